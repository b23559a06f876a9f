//! Who may call over HTTP: tokens, JWTs, roles, and what is not listened to at all.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};

use crate::support::{
    Era, Home, Mcp, Response, Scene, Serve, Upstream, in_both_revisions, tool, until,
};

in_both_revisions!(
    a_token_that_is_not_good_lets_nobody_in,
    a_revoked_token_ends_what_is_open,
    roles_decide_what_is_listed_and_called,
    a_jwt_lets_its_bearer_in,
    a_forged_jwt_lets_nobody_in,
);

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures")
        .join(name)
}

/// A gate before `upstream`, with these keys in `[http]` and in the server's section.
fn gate(home: &Home, upstream: &Upstream, http: &str, server: &str) -> Serve {
    home.configure_http(&format!(
        "{http}\n[server.s]\nurl = \"{}\"\nstanding = \"trusted\"\n{server}",
        upstream.url()
    ));
    home.serve()
}

/// What needs no session and would reach the server: it carries the word `MARK`.
fn opening(client: &Mcp) -> String {
    match client.era {
        Era::Legacy => {
            let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"MARK","version":"1"}}"#;
            client.message("x", "initialize", params)
        }
        Era::Modern => client.message("x", "tools/call", r#"{"name":"a","arguments":{"MARK":1}}"#),
    }
}

/// Asserts that the audit names a caller, once it is written.
fn audited(home: &Home, caller: &str) -> String {
    let named = format!("\"caller\":\"{caller}\"");
    until("the caller in the audit", || {
        let audit = home.run(&["audit", "tail", "-n", "100", "--json"]).done();
        audit.stdout.contains(&named).then_some(audit.stdout)
    })
}

/// Asserts that a bearer of `token` gets nowhere.
#[track_caller]
fn stranger(serve: &Serve, token: &str, era: Era) -> Response {
    let client = serve.stranger("s", token, era);
    let response = client.post(&opening(&client)).send();
    assert_eq!(response.status, 401, "{response:?}");
    let told = response.header("www-authenticate").unwrap();
    assert!(told.contains("error=\"invalid_token\""), "{told}");
    response
}

fn a_token_that_is_not_good_lets_nobody_in(era: Era) {
    let scene = Scene::new(era);
    let serve = &scene.serve;
    let good = scene.mcp.token.clone();
    let mut wrong = good.clone();
    wrong.replace_range(10..11, if &wrong[10..11] == "A" { "B" } else { "A" });
    let told: Vec<_> = [wrong.as_str(), &good[..20], "x", "alice"]
        .iter()
        .map(|token| stranger(serve, token, era).body)
        .collect();
    assert!(told.iter().all(|body| *body == told[0]), "{told:?}");

    let client = serve.stranger("s", "", era);
    let body = opening(&client);
    let bare = client.post(&body);
    for request in [
        bare.clone(),
        bare.clone().add("Authorization", &format!("Basic {good}")),
        bare.clone().add("Authorization", &good),
        bare.clone()
            .add("X-Authorization", &format!("Bearer {good}")),
        bare.clone().add("Cookie", &format!("access_token={good}")),
    ] {
        let response = request.send();
        assert_eq!(response.status, 401, "{response:?}");
        let told = response.header("www-authenticate").unwrap();
        assert_eq!(told, "Bearer realm=\"witgate\"");
    }
    let mut in_url = serve.stranger("s", "", era);
    in_url.path = format!("/mcp/s?access_token={good}");
    let response = in_url.post(&body).send();
    assert!(matches!(response.status, 401 | 404), "{response:?}");
    for twice in [
        bare.clone()
            .add("Authorization", &format!("Bearer {good}"))
            .add("Authorization", &format!("Bearer {good}")),
        bare.clone()
            .add("Authorization", &format!("Bearer {good}, Bearer {good}")),
        bare.add("Authorization", "Bearer "),
    ] {
        let response = twice.send();
        assert_eq!(response.status, 400, "{response:?}");
    }
    scene.nothing_upstream("no good token");
    for secret in [&good, &wrong] {
        assert!(!serve.log().contains(secret.as_str()), "{}", serve.log());
    }
}

fn a_revoked_token_ends_what_is_open(era: Era) {
    let scene = Scene::new(era);
    let token = scene.home.token("bob");
    until("the token to be known", || {
        let bob = scene.serve.stranger("s", &token, Era::Modern);
        (bob.raw("tools/list", "").status == 200).then_some(())
    });
    let bob = scene.serve.client("s", &token, era);
    bob.call("a").ran();
    let events = bob.listen();
    scene.home.run(&["token", "revoke", "bob"]).done();
    until("the token to be refused", || {
        let response = bob.raw("tools/call", r#"{"name":"a"}"#);
        (response.status == 401).then_some(())
    });
    events.ended();
    stranger(&scene.serve, &token, era);
    scene.mcp.call("a").ran();
}

fn roles_decide_what_is_listed_and_called(era: Era) {
    let upstream = Upstream::new([tool("read_a", ""), tool("write_b", ""), tool("drop_c", "")]);
    let home = Home::new();
    let serve = gate(
        &home,
        &upstream,
        "",
        "deny = [\"drop_*\"]\n[server.s.roles.reader]\nallow = [\"read_*\", \"drop_*\"]\n[server.s.roles.admin]\n\
         [server.s.no_role]\nallow = []\n",
    );
    let client = |name: &str, roles: &[&str]| {
        let mut words = vec!["token", "new", name, "--json"];
        words.extend(roles.iter().flat_map(|role| ["--role", role]));
        let made = home.run(&words).done().json();
        let token = made["token"].as_str().unwrap().to_owned();
        until("the token to be known", || {
            let unknown = serve.stranger("s", &token, Era::Modern);
            (unknown.raw("tools/list", "").status == 200).then_some(())
        });
        serve.client("s", &token, era)
    };
    let reader = client("r", &["reader"]);
    assert_eq!(reader.tools(), ["read_a"]);
    reader.call("read_a").ran();
    reader.call("write_b").refused_as("FILTERED", "filtered");
    assert_eq!(client("a", &["admin"]).tools(), ["read_a", "write_b"]);
    assert_eq!(
        client("ra", &["reader", "admin"]).tools(),
        ["read_a", "write_b"]
    );
    let nobody = client("n", &[]);
    assert_eq!(nobody.tools(), [""; 0]);
    nobody.call("read_a").refused_as("FILTERED", "filtered");
    assert_eq!(upstream.mentions("write_b"), 0, "called");

    assert!(!audited(&home, "r").contains(&reader.token));
}

/// `[http]` for JWTs of the test's keys.
fn jwt_config(more: &str) -> String {
    format!(
        "auth = \"jwt\"\n[http.jwt]\nissuer = \"https://issuer.example\"\naudience = \"gate\"\njwks_file = {:?}\n{more}",
        fixture("keys/jwks.json")
    )
}

fn claims() -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    json!({
        "iss": "https://issuer.example", "aud": "gate", "sub": "ann", "exp": now.as_secs() + 600, "groups": ["dev"],
    })
}

fn signed(algorithm: Algorithm, kid: &str, key: &EncodingKey, claims: &Value) -> String {
    let mut header = Header::new(algorithm);
    header.kid = Some(kid.to_owned());
    jsonwebtoken::encode(&header, claims, key).unwrap()
}

fn rsa() -> EncodingKey {
    EncodingKey::from_rsa_pem(&std::fs::read(fixture("keys/rsa.pem")).unwrap()).unwrap()
}

fn ec(name: &str) -> EncodingKey {
    EncodingKey::from_ec_pem(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

fn a_jwt_lets_its_bearer_in(era: Era) {
    let upstream = Upstream::new([tool("a", ""), tool("b", "")]);
    let home = Home::new();
    let serve = gate(
        &home,
        &upstream,
        &jwt_config("roles_claim = \"groups\"\nscopes = [\"use\"]\n"),
        "[server.s.roles.dev]\nallow = [\"a\"]\n",
    );
    let mut scoped = claims();
    scoped["scope"] = "use more".into();
    for token in [
        signed(Algorithm::RS256, "rsa", &rsa(), &scoped),
        signed(Algorithm::ES256, "ec", &ec("keys/ec.pem"), &scoped),
    ] {
        let client = serve.client("s", &token, era);
        assert_eq!(client.tools(), ["a"]);
        client.call("a").ran();
        assert_eq!(
            upstream.mentions(&token[..40]),
            0,
            "the token goes no further"
        );
    }
    let unscoped = signed(Algorithm::RS256, "rsa", &rsa(), &claims());
    let client = serve.stranger("s", &unscoped, era);
    let response = client.post(&opening(&client)).send();
    assert_eq!(response.status, 403, "{response:?}");
    let told = response.header("www-authenticate").unwrap().to_owned();
    assert!(
        told.contains("error=\"insufficient_scope\", scope=\"use\""),
        "{told}"
    );

    // RFC 9728: the challenge leads to where tokens come from.
    let url = told.split("resource_metadata=\"").nth(1).unwrap();
    let base = format!("http://{}", serve.address);
    let path = url.trim_end_matches('"').strip_prefix(&base).unwrap();
    let metadata = serve.get(path);
    assert_eq!(metadata.status, 200, "{metadata:?}");
    let metadata: Value = serde_json::from_str(&metadata.body).unwrap();
    assert_eq!(metadata["resource"], format!("{base}/mcp/s"));
    assert_eq!(
        metadata["authorization_servers"],
        json!(["https://issuer.example"])
    );
    assert_eq!(metadata["scopes_supported"], json!(["use"]));
}

fn a_forged_jwt_lets_nobody_in(era: Era) {
    let upstream = Upstream::new([tool("a", "")]);
    let home = Home::new();
    let serve = gate(&home, &upstream, &jwt_config(""), "");
    serve.client(
        "s",
        &signed(Algorithm::RS256, "rsa", &rsa(), &claims()),
        era,
    );
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed(Algorithm::RS256, "rsa", &rsa(), &claims)
    };
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let public = std::fs::read(fixture("keys/rsa.pub.pem")).unwrap();
    let unsigned = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims()));
    for (what, token) in [
        ("alg none", unsigned),
        (
            "the public key as a secret",
            signed(
                Algorithm::HS256,
                "rsa",
                &EncodingKey::from_secret(&public),
                &claims(),
            ),
        ),
        (
            "another's key",
            signed(Algorithm::ES256, "ec", &ec("keys/other.pem"), &claims()),
        ),
        (
            "another key's name",
            signed(Algorithm::RS256, "ec", &rsa(), &claims()),
        ),
        (
            "a key for encryption",
            signed(Algorithm::RS256, "enc", &rsa(), &claims()),
        ),
        ("another audience", with("aud", json!("other"))),
        ("another issuer", with("iss", json!("https://evil.example"))),
        ("expired", with("exp", json!(1_000_000_000))),
        ("a time that is no number", with("nbf", json!("9999999999"))),
        ("not yet", with("nbf", json!(99_999_999_999_u64))),
        ("a caller of another way", with("sub", json!("local"))),
        ("a token of ours", home.token("mine")),
    ] {
        let response = stranger(&serve, &token, era);
        let told = response.header("www-authenticate").unwrap();
        assert!(told.contains("resource_metadata="), "{what}: {told}");
    }
    assert_eq!(upstream.mentions("MARK"), 0, "nothing reached the server");
}

#[test]
fn an_address_that_others_reach_needs_authentication_and_tls() {
    let home = Home::new();
    home.run(&["serve", "--listen", "0.0.0.0:0"])
        .exits(2)
        .says(&["0.0.0.0:0 can be reached from other machines", "[http.tls]"]);
    home.configure("version = 1\n[http]\nlisten = \"[::]:0\"\nauth = \"none\"\n");
    home.run(&["serve"])
        .exits(2)
        .says(&["witgate.toml:3: `http.listen`", "`auth = \"token\"`"]);
    home.configure("version = 1\n[http]\nlisten = \"127.0.0.1:0\"\n[http.tls]\ncert = \"no.pem\"\nkey = \"no.pem\"\n");
    home.run(&["serve"])
        .exits(2)
        .says(&["no.pem: cannot be read", "[http.tls]"]);
}

/// A running gate goes on with what was good, so the doctor must say what is not.
#[test]
fn the_doctor_names_what_callers_cannot_be_known_by() {
    let home = Home::new();
    home.configure_http(&format!(
        "auth = \"jwt\"\n[http.tls]\ncert = {:?}\nkey = {:?}\n[http.jwt]\nissuer = \"https://i\"\naudience = \
         \"a\"\njwks_file = {:?}\n",
        fixture("tls/one.cert.pem"),
        fixture("tls/two.key.pem"),
        fixture("keys/rsa.pem")
    ));
    home.run(&["doctor"]).exits(1).says(&[
        "two.key.pem cannot be used together",
        "[http.tls]",
        "rsa.pem: is no JWK set",
        "[http.jwt]",
    ]);
    home.configure_http("auth = \"none\"\n");
    home.run(&["doctor"])
        .done()
        .says(&["beware", "auth = \"token\""]);
    home.configure_http("");
    home.run(&["doctor"]).done().says(&["All is well"]);
}

#[test]
fn without_authentication_whoever_comes_is_anonymous() {
    let upstream = Upstream::new([tool("a", "")]);
    let home = Home::new();
    let serve = gate(&home, &upstream, "auth = \"none\"\n", "");
    serve.client("s", "", Era::Legacy).call("a").ran();
    audited(&home, "anonymous");
}

/// Starts the gate without `--json` and reads what people are told until `last` stands in it.
fn told(home: &Home, last: &str) -> String {
    let mut child = home
        .command()
        .arg("serve")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut text = String::new();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !text.contains(last) {
        text.push_str(&lines.next().unwrap().unwrap());
        text.push('\n');
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    for line in lines.map_while(Result::ok) {
        text.push_str(&line);
        text.push('\n');
    }
    child.wait().unwrap();
    text
}

#[test]
fn the_first_start_shows_a_token_and_no_other_start_does() {
    let home = Home::new();
    home.configure_http("[server.s]\ncommand = \"x\"\n");
    let first = told(&home, "claude mcp add --transport http s http://127.0.0.1:");
    let token = first.split("\"Bearer ").nth(1).unwrap();
    let token = token.split('"').next().unwrap().to_owned();
    assert!(token.starts_with("wg_"), "{first}");
    assert!(first.contains("\"mcpServers\""), "{first}");
    let second = told(&home, "/mcp/s");
    assert!(!second.contains("wg_"), "{second}");

    let serve = home.serve();
    let response = serve
        .stranger("s", &token, Era::Modern)
        .raw("tools/list", "");
    assert_ne!(response.status, 401, "{response:?}");
    let listed = home.run(&["token", "list", "--json"]).done().json();
    assert_eq!(listed["tokens"][0]["name"], "default");
    home.run(&["token", "revoke", "default"]).done();
    drop(serve);
    assert!(
        !told(&home, "/mcp/s").contains("wg_"),
        "not again after it was revoked"
    );
}

#[test]
fn it_speaks_tls_where_it_has_a_certificate() {
    let home = Home::new();
    home.configure_http(&format!(
        "[http.tls]\ncert = {:?}\nkey = {:?}\n",
        fixture("tls/one.cert.pem"),
        fixture("tls/one.key.pem")
    ));
    let serve = home.serve();
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_file(fixture("tls/root.pem")).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(serve.address).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    let port = serve.address.port();
    write!(
        stream,
        "GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut response = String::new();
    // The end may come without a goodbye.
    let _ = stream.read_to_string(&mut response);
    assert!(response.starts_with("HTTP/1.1 200"), "{response}");
}
