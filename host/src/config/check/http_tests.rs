//! What `[http]` may say, and how it is told what it may not.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::super::{
    AuthConfig, Config, ConfigError, HttpConfig, HttpLimits, JwksSource, JwtAlgorithm, TlsConfig,
};
use super::super::check;

const JWT: &str = "[http.jwt]\nissuer = \"https://i\"\naudience = \"a\"\njwks_file = \"k.json\"\n";

fn parse(text: &str) -> Result<Config, ConfigError> {
    check(
        Path::new("/etc/witgate/witgate.toml"),
        &format!("version = 1\n{text}"),
    )
}

fn http(text: &str) -> HttpConfig {
    parse(text).unwrap().http
}

/// The error's text from the line's number on.
fn refusal(text: &str) -> String {
    let error = parse(text).unwrap_err().to_string();
    error.replace("/etc/witgate/witgate.toml:", "")
}

#[test]
fn without_the_section_a_loopback_port_asks_for_a_token() {
    let http = http("");
    assert_eq!(http, HttpConfig::default());
    assert_eq!(http.listen.to_string(), "127.0.0.1:7777");
    assert_eq!(http.auth, AuthConfig::Token);
    assert_eq!(self::http("[http]\n"), http);
}

#[test]
fn every_key_is_read() {
    let http = http(
        r#"
[http]
listen = "0.0.0.0:8443"
auth = "jwt"
hosts = ["Gate.Example.com", "10.0.0.1:8443"]
origins = ["https://App.example.com:443", "http://localhost:3000"]
public_url = "https://gate.example.com/mcp-gate/"
admin = "127.0.0.1:9090"
[http.tls]
cert = "tls/cert.pem"
key = "/k.pem"
[http.jwt]
issuer = "https://login.example.com/realms/x"
audience = ["https://gate.example.com", "witgate"]
jwks_url = "https://login.example.com/keys?v=1"
roles_claim = "realm_access.roles"
caller_claim = ["https://example.com/name"]
algorithms = ["ES256", "EdDSA"]
leeway_s = 5
scopes = ["mcp:use"]
authorization_servers = ["https://login.example.com"]
[http.limits]
max_body_bytes = 2048
max_header_bytes = 9000
max_requests = 3
max_requests_per_caller = 4
max_queue = 0
queue_timeout_ms = 6
max_streams = 7
max_sessions = 8
max_sessions_per_caller = 9
session_idle_s = 10
first_byte_timeout_s = 11
body_timeout_ms = 12
header_timeout_ms = 13
keep_alive_s = 14
shutdown_grace_s = 0
max_connections = 16
"#,
    );
    assert_eq!(http.listen, "0.0.0.0:8443".parse().unwrap());
    assert_eq!(http.admin, Some("127.0.0.1:9090".parse().unwrap()));
    assert_eq!(
        http.hosts,
        ["gate.example.com", "10.0.0.1:8443"],
        "the public host is there already"
    );
    assert_eq!(
        http.origins,
        ["https://app.example.com", "http://localhost:3000"]
    );
    assert_eq!(
        http.public_url.as_deref(),
        Some("https://gate.example.com/mcp-gate")
    );
    assert_eq!(
        http.tls,
        Some(TlsConfig {
            cert: PathBuf::from("/etc/witgate/tls/cert.pem"),
            key: PathBuf::from("/k.pem"),
        })
    );
    let AuthConfig::Jwt(jwt) = http.auth else {
        panic!("{:?}", http.auth)
    };
    assert_eq!(jwt.issuer, "https://login.example.com/realms/x");
    assert_eq!(jwt.audience, ["https://gate.example.com", "witgate"]);
    assert_eq!(
        jwt.keys,
        JwksSource::Url("https://login.example.com/keys?v=1".into())
    );
    assert_eq!(jwt.roles_claim.unwrap(), ["realm_access", "roles"]);
    assert_eq!(jwt.caller_claim, ["https://example.com/name"]);
    assert_eq!(jwt.algorithms, [JwtAlgorithm::ES256, JwtAlgorithm::EdDSA]);
    assert_eq!(jwt.leeway, Duration::from_secs(5));
    assert_eq!(jwt.scopes, ["mcp:use"]);
    assert_eq!(jwt.authorization_servers, ["https://login.example.com"]);
    assert_eq!(
        http.limits,
        HttpLimits {
            max_body_bytes: 2048,
            max_header_bytes: 9000,
            max_requests: 3,
            max_requests_per_caller: 4,
            max_queue: 0,
            queue_timeout: Duration::from_millis(6),
            max_streams: 7,
            max_sessions: 8,
            max_sessions_per_caller: 9,
            session_idle: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(11),
            body_timeout: Duration::from_millis(12),
            header_timeout: Duration::from_millis(13),
            keep_alive: Duration::from_secs(14),
            shutdown_grace: Duration::ZERO,
            max_connections: 16,
        }
    );
}

#[test]
fn little_need_be_said_of_jwts() {
    let AuthConfig::Jwt(jwt) = http(&format!("[http]\nauth = \"jwt\"\n{JWT}")).auth else {
        panic!()
    };
    assert_eq!(jwt.keys, JwksSource::File("/etc/witgate/k.json".into()));
    assert_eq!(jwt.caller_claim, ["sub"]);
    assert_eq!(jwt.roles_claim, None);
    assert_eq!(jwt.algorithms, JwtAlgorithm::ALL);
    assert_eq!(jwt.authorization_servers, ["https://i"]);
    assert!(jwt.scopes.is_empty());
}

/// Everybody who reaches the port could call, or read the token that another sends.
#[test]
fn an_address_that_others_reach_needs_authentication_and_tls() {
    let tls = "[http.tls]\ncert = \"c\"\nkey = \"k\"\n";
    for open in [
        "0.0.0.0:1",
        "[::]:1",
        "192.168.0.7:1",
        "[::ffff:10.0.0.1]:1",
    ] {
        for (auth, tls, mend) in [
            ("token", "", "[http.tls]"),
            ("none", "", "`auth = \"token\"`"),
            ("none", tls, "`auth = \"token\"`"),
        ] {
            let text = format!("[http]\nlisten = \"{open}\"\nauth = \"{auth}\"\n{tls}");
            let refusal = refusal(&text);
            assert!(
                refusal.starts_with("3: `http.listen` can be reached from other machines")
                    && refusal.contains(mend),
                "{refusal}"
            );
        }
        assert!(parse(&format!("[http]\nlisten = \"{open}\"\n{tls}")).is_ok());
        let nameless = refusal(&format!(
            "[http]\nlisten = \"{open}\"\nauth = \"jwt\"\n{tls}{JWT}"
        ));
        assert!(nameless.contains("`public_url"), "{nameless}");
    }
    for local in [
        "127.0.0.1:0",
        "127.9.9.9:1",
        "[::1]:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        for auth in ["token", "none"] {
            let text = format!("[http]\nlisten = \"{local}\"\nauth = \"{auth}\"\n");
            assert!(parse(&text).is_ok(), "{text}");
        }
    }
}

#[test]
fn another_address_on_the_command_line_is_held_to_the_same() {
    let open = "0.0.0.0:1".parse().unwrap();
    let error = HttpConfig::default().listening_at(open).unwrap_err();
    assert!(
        error
            .0
            .starts_with("--listen 0.0.0.0:1 can be reached from other machines"),
        "{error}"
    );
    let local = "[::1]:0".parse().unwrap();
    let moved = HttpConfig::default().listening_at(local).unwrap();
    assert_eq!(moved.listen, local);
}

#[test]
fn what_is_wrong_names_line_key_and_mend() {
    for (text, expected) in [
        (
            "[http]\nlisten = \"localhost:1\"",
            "3: `http.listen` must be an address and a port",
        ),
        ("[http]\nlisten = 7777", "3: `http.listen` must be a string"),
        (
            "[http]\nauth = \"off\"",
            "3: `http.auth` must be \"token\", \"jwt\" or \"none\", not the string \"off\"",
        ),
        (
            "[http]\nauth = \"jwt\"",
            "3: `http.auth` is \"jwt\", and there is no [http.jwt] section",
        ),
        (
            "[http.jwt]\nissuer = \"https://i\"",
            "2: `http.jwt` has no effect while `http.auth` is \"token\"",
        ),
        (
            "[http]\nlimit = 1",
            "3: unknown key `http.limit`: did you mean `limits`?",
        ),
        (
            "[http]\nhosts = [\"https://a\"]",
            "3: `http.hosts` [0], \"https://a\", is no host",
        ),
        (
            "[http]\nhosts = [\"a\", \"*.b\"]",
            "3: `http.hosts` [1], \"*.b\", is no host",
        ),
        (
            "[http]\norigins = [\"*\"]",
            "3: `http.origins` [0], \"*\", is no origin",
        ),
        (
            "[http]\norigins = [\"null\"]",
            "3: `http.origins` [0], \"null\", is no origin",
        ),
        (
            "[http]\norigins = [\"https://a/\"]",
            "3: `http.origins` [0], \"https://a/\", is no origin",
        ),
        (
            "[http]\npublic_url = \"http://gate.example.com\"",
            "3: `http.public_url` must be https",
        ),
        (
            "[http]\npublic_url = \"https://u:p@a\"",
            "3: `http.public_url` must be a URL such as",
        ),
        (
            "[http]\npublic_url = \"https://a?x=1\"",
            "3: `http.public_url` must be a URL without a query",
        ),
        (
            "[http]\npublic_url = \"https://a#f\"",
            "3: `http.public_url` must be a URL such as",
        ),
        (
            "[http]\nadmin = \"0.0.0.0:1\"",
            "3: `http.admin` can be reached from other machines",
        ),
        (
            "[http]\nadmin = \"127.0.0.1:7777\"",
            "3: `http.admin` is the address of `http.listen`",
        ),
        ("[http.tls]\ncert = \"c\"", "2: `http.tls` has no `key`"),
        (
            "[http.limits]\nmax_requests = 0",
            "3: `http.limits.max_requests` must be an integer from 1",
        ),
        (
            "[http.limits]\nmax_header_bytes = 100",
            "3: `http.limits.max_header_bytes` must be an integer from 8192",
        ),
        (
            "[http.limits]\nkeep_alive = 1",
            "3: unknown key `http.limits.keep_alive`: did you mean `keep_alive_s`?",
        ),
    ] {
        let refusal = refusal(text);
        assert!(refusal.starts_with(expected), "{text}\n{refusal}");
    }
    assert!(parse("[http]\nadmin = \"0.0.0.0:1\"\nadmin_insecure = true").is_ok());
}

#[test]
fn what_is_wrong_about_jwts_names_line_key_and_mend() {
    let jwt = |text: &str| format!("[http]\nauth = \"jwt\"\n[http.jwt]\n{text}");
    let whole = "issuer = \"https://i\"\naudience = \"a\"\njwks_file = \"k\"\n";
    for (text, expected) in [
        (
            "audience = \"a\"\n".to_owned(),
            "4: `http.jwt` has no `issuer`",
        ),
        (
            "issuer = \"https://i\"\n".to_owned(),
            "4: `http.jwt` has no `audience`",
        ),
        (
            "issuer = \"https://i\"\naudience = []\n".to_owned(),
            "6: `http.jwt.audience` is empty",
        ),
        (
            "issuer = \"https://i\"\naudience = \"a\"\n".to_owned(),
            "4: `http.jwt` names no keys",
        ),
        (
            format!("{whole}jwks_url = \"https://k\"\n"),
            "8: `http.jwt.jwks_url` stands beside `jwks_file`",
        ),
        (
            "issuer = \"https://i\"\naudience = \"a\"\njwks_url = \"http://keys.example.com\"\n"
                .to_owned(),
            "7: `http.jwt.jwks_url` must be https",
        ),
        (
            format!("{whole}algorithms = [\"HS256\"]\n"),
            "8: `http.jwt.algorithms` [0], \"HS256\", must be one of",
        ),
        (
            format!("{whole}algorithms = [\"none\"]\n"),
            "8: `http.jwt.algorithms` [0], \"none\", must be one of",
        ),
        (
            format!("{whole}algorithms = []\n"),
            "4: `http.jwt` takes no signature at all",
        ),
        (
            format!("{whole}roles_claim = \"a..b\"\n"),
            "8: `http.jwt.roles_claim` names no claim",
        ),
        (
            format!("{whole}scopes = [\"a b\"]\n"),
            "8: `http.jwt.scopes` [0], \"a b\", is no scope",
        ),
        (
            "issuer = \"accounts\"\naudience = \"a\"\njwks_file = \"k\"\n".to_owned(),
            "5: `http.jwt.issuer` must be a URL such as",
        ),
    ] {
        let refusal = refusal(&jwt(&text));
        assert!(refusal.starts_with(expected), "{text}\n{refusal}");
    }
    for local in [
        "http://127.0.0.1:9/k",
        "http://localhost/k",
        "http://[::1]:9/k",
    ] {
        let text = format!("issuer = \"https://i\"\naudience = \"a\"\njwks_url = \"{local}\"\n");
        assert!(parse(&jwt(&text)).is_ok(), "{local}");
    }
    let named = "issuer = \"accounts\"\naudience = \"a\"\njwks_file = \"k\"\nauthorization_servers = [\"https://i\"]\n";
    assert!(parse(&jwt(named)).is_ok());
}
