//! What a server behind a URL may say, and how it is told what it may not.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use super::super::super::{Config, ConfigError};
use super::super::check;
use crate::config::Remote;

fn parse(text: &str) -> Result<Config, ConfigError> {
    check(
        Path::new("/etc/witgate/witgate.toml"),
        &format!("version = 1\n[server.s]\n{text}"),
    )
}

fn remote(text: &str) -> Arc<Remote> {
    parse(text).unwrap().servers["s"].remote.clone().unwrap()
}

/// The error's text from the line's number on.
fn refusal(text: &str) -> String {
    let error = parse(text).unwrap_err().to_string();
    error.replace("/etc/witgate/witgate.toml:", "")
}

#[test]
fn a_url_with_headers_is_an_endpoint_once_it_is_needed() {
    let remote = remote(
        "url = \"https://api.example/mcp\"\nheaders = { Authorization = \"Bearer ${CARGO_PKG_NAME}\", x-plain = \"$5\" }",
    );
    let endpoint = remote.endpoint("s").unwrap();
    assert_eq!(endpoint.url, "https://api.example/mcp");
    assert_eq!(endpoint.headers["authorization"], "Bearer witgate");
    assert_eq!(endpoint.headers["x-plain"], "$5");
    assert!(
        Arc::ptr_eq(&endpoint, &remote.endpoint("s").unwrap()),
        "sessions share it"
    );
    assert!(!format!("{endpoint:?}").contains("Bearer"));
    assert!(!format!("{remote:?}").contains("Bearer"));
}

#[test]
fn a_variable_that_is_missing_is_named_when_the_server_is_needed_and_no_earlier() {
    let remote = remote(
        "url = \"https://api.example/\"\nheaders.Authorization = \"Bearer ${WITGATE_NO_SUCH}\"",
    );
    let error = remote.endpoint("s").unwrap_err().to_string();
    assert!(
        error.starts_with(
            "/etc/witgate/witgate.toml:4: `server.s.headers.Authorization` needs the environment variable \
             WITGATE_NO_SUCH, which is not set"
        ),
        "{error}"
    );
}

#[test]
fn client_credentials_are_read_and_not_shown() {
    let remote = remote(
        "url = \"https://api.example/mcp?x=1\"\n[server.s.oauth]\nclient_id = \"me\"\nclient_secret = \"hunter2\"\n\
         scopes = [\"read\"]\ntoken_url = \"https://login.example/token\"",
    );
    let endpoint = remote.endpoint("s").unwrap();
    let oauth = endpoint.oauth().unwrap();
    assert_eq!(oauth.client_id, "me");
    assert_eq!(oauth.client_secret, "hunter2");
    assert_eq!(oauth.scopes, ["read"]);
    assert_eq!(
        oauth.token_url.as_deref(),
        Some("https://login.example/token")
    );
    assert_eq!(oauth.resource, "https://api.example/mcp");
    for shown in [
        format!("{remote:?}"),
        format!("{endpoint:?}"),
        format!("{oauth:?}"),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn what_cannot_be_is_refused_with_line_key_and_mend() {
    let url = "url = \"https://a.example/\"\n";
    for (text, expected) in [
        (
            "command = \"x\"\nurl = \"https://a.example/\"",
            "3: `server.s.command` stands beside `url`",
        ),
        (
            "env = { A = \"b\" }\nurl = \"https://a.example/\"",
            "3: `server.s.env` stands beside `url`",
        ),
        (
            "headers = { A = \"b\" }",
            "3: `server.s.headers` stands without `url`",
        ),
        (
            "insecure = true",
            "3: `server.s.insecure` stands without `url`",
        ),
        (
            "url = \"a.example\"",
            "3: `server.s.url` must begin with `https://`",
        ),
        (
            "url = \"https://u:hunter2@a.example/\"",
            "3: `server.s.url` has user information",
        ),
        (
            "url = \"http://a.example/\"",
            "3: `server.s.url` is on another machine and without TLS",
        ),
        (
            "url = \"http://127.0.0.1.example/\"",
            "3: `server.s.url` is on another machine and without TLS",
        ),
        (
            "url = \"https://a.example/${\"",
            "3: `server.s.url` has `${`",
        ),
        (
            &format!("{url}headers = \"hunter2\""),
            "4: `server.s.headers` must be a table",
        ),
        (
            &format!("{url}headers = {{ Mcp-Name = \"a\" }}"),
            "4: `server.s.headers.Mcp-Name` is a header that witgate makes itself",
        ),
        (
            &format!("{url}headers = {{ host = \"a\" }}"),
            "4: `server.s.headers.host` is a header that witgate makes itself",
        ),
        (
            &format!("{url}headers = {{ Content-Length = \"1\" }}"),
            "4: `server.s.headers.Content-Length` is a header that witgate",
        ),
        (
            &format!("{url}headers = {{ \"a b\" = \"1\" }}"),
            "4: `server.s.headers.\"a b\"` is not the name of a header",
        ),
        (
            &format!("{url}headers = {{ A = \"1\", a = \"2\" }}"),
            "4: `server.s.headers.a` stands there twice",
        ),
        (
            &format!("{url}headers = {{ A = \"hunter2\\n\\u0001\" }}"),
            "4: `server.s.headers.A` is not the value of a header",
        ),
        (
            &format!("{url}[server.s.oauth]\nclient_id = \"a\""),
            "4: `server.s.oauth` has no `client_secret`",
        ),
        (
            &format!("{url}[server.s.oauth]\nclient_id = \"a\"\nclient_secret = \"\""),
            "6: `server.s.oauth.client_secret` is empty",
        ),
        (
            &format!(
                "{url}headers.Authorization = \"a\"\n[server.s.oauth]\nclient_id = \"a\"\nclient_secret = \"b\""
            ),
            "5: `server.s.oauth` stands beside a header `Authorization`",
        ),
        (
            &format!(
                "{url}[server.s.oauth]\nclient_id = \"a\"\nclient_secret = \"b\"\ntoken_url = \"http://login.example/\""
            ),
            "7: `server.s.oauth.token_url` is on another machine and without TLS",
        ),
        (
            &format!("{url}header = {{}}"),
            "4: unknown key `server.s.header`: did you mean `headers`?",
        ),
    ] {
        let error = refusal(text);
        assert!(error.starts_with(expected), "{error} for {text}");
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn without_tls_a_server_must_be_on_this_machine_or_said_to_be_meant() {
    for url in [
        "http://localhost:1/",
        "http://LOCALHOST/",
        "http://127.9.9.9/",
        "http://[::1]:8/x",
    ] {
        remote(&format!("url = {url:?}"));
    }
    remote("url = \"http://a.example/\"\ninsecure = true");
}
