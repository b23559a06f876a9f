//! Tokens that are good, and the ways to forge one.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header as JwtHeader};
use serde_json::{Value, json};

use super::*;
use crate::config::JwksSource;

const NOW_S: u64 = 1_795_170_516;
const NOW: u64 = NOW_S * 1000;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/fixtures/keys")
        .join(name)
}

fn config(keys: PathBuf) -> JwtConfig {
    JwtConfig {
        issuer: "https://i".to_owned(),
        audience: vec!["gate".to_owned()],
        keys: JwksSource::File(keys),
        roles_claim: None,
        caller_claim: vec!["sub".to_owned()],
        algorithms: JwtAlgorithm::ALL.to_vec(),
        leeway: Duration::ZERO,
        scopes: vec!["use".to_owned()],
        authorization_servers: Vec::new(),
    }
}

fn jwt() -> Jwt {
    Jwt::open(&config(fixture("jwks.json")), Some("https://g".to_owned())).unwrap()
}

fn claims() -> Value {
    json!({"iss": "https://i", "aud": "gate", "sub": "ann", "exp": NOW_S + 60, "scope": "use"})
}

fn key(name: &str) -> EncodingKey {
    let pem = std::fs::read(fixture(name)).unwrap();
    match name {
        "rsa.pem" => EncodingKey::from_rsa_pem(&pem).unwrap(),
        "ed.pem" => EncodingKey::from_ed_pem(&pem).unwrap(),
        _ => EncodingKey::from_ec_pem(&pem).unwrap(),
    }
}

fn signed(algorithm: Algorithm, kid: Option<&str>, file: &str, claims: &Value) -> String {
    let mut header = JwtHeader::new(algorithm);
    header.kid = kid.map(str::to_owned);
    jsonwebtoken::encode(&header, claims, &key(file)).unwrap()
}

fn good() -> String {
    signed(Algorithm::ES256, Some("ec"), "ec.pem", &claims())
}

/// A token with the header as given, signed over by `ec.pem`.
fn with_header(header: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(&claims()));
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key("ec.pem"), Algorithm::ES256).unwrap();
    format!("{message}.{signature}")
}

async fn why(jwt: &Jwt, token: &str) -> Why {
    match jwt.verify(token, "files", NOW).await.unwrap_err() {
        Refusal::Invalid(why) => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_the_issuer_signed_is_taken() {
    let jwt = jwt();
    for (algorithm, kid, file) in [
        (Algorithm::RS256, "rsa", "rsa.pem"),
        (Algorithm::RS512, "rsa", "rsa.pem"),
        (Algorithm::PS256, "rsa", "rsa.pem"),
        (Algorithm::ES256, "ec", "ec.pem"),
        (Algorithm::EdDSA, "ed", "ed.pem"),
    ] {
        let token = signed(algorithm, Some(kid), file, &claims());
        let found = jwt.verify(&token, "files", NOW).await.unwrap();
        assert_eq!(found.caller.id, "ann");
        assert_eq!(found.until_ms, NOW + 60_000);
    }
    let nameless = signed(Algorithm::EdDSA, None, "ed.pem", &claims());
    assert!(jwt.verify(&nameless, "files", NOW).await.is_ok());
}

/// The ways of RFC 8725, section 2: no signature, the public key as a secret, another's key, a key brought along.
#[tokio::test]
async fn a_forged_token_is_refused() {
    let jwt = jwt();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        let unsigned = format!("{}.{}.", part(&json!({"alg": alg})), part(&claims()));
        assert!(
            matches!(why(&jwt, &unsigned).await, Why::Algorithm(_)),
            "{alg}"
        );
    }
    for secret in ["rsa.pub.pem", "ec.pub.pem", "ed.pub.pem"] {
        let secret = EncodingKey::from_secret(&std::fs::read(fixture(secret)).unwrap());
        for kid in ["rsa", "ec", "ed", "secret"] {
            let mut header = JwtHeader::new(Algorithm::HS256);
            header.kid = Some(kid.to_owned());
            let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
            assert!(matches!(why(&jwt, &token).await, Why::Algorithm(_)));
        }
    }
    let others = signed(Algorithm::ES256, Some("ec"), "other.pem", &claims());
    assert!(matches!(why(&jwt, &others).await, Why::Signature));
    let brought = with_header(&json!({
        "alg": "ES256", "kid": "mine", "jku": "https://evil.example", "jwk": {"kty": "EC"},
    }));
    assert!(matches!(why(&jwt, &brought).await, Why::Key { .. }));

    let (head, signature) = good()
        .rsplit_once('.')
        .map(|(h, s)| (h.to_owned(), s.to_owned()))
        .unwrap();
    let mut richer = claims();
    richer["sub"] = "root".into();
    let header = head.split_once('.').unwrap().0;
    let swapped = format!("{header}.{}.{signature}", part(&richer));
    assert!(matches!(why(&jwt, &swapped).await, Why::Signature));
    assert!(matches!(
        why(&jwt, &format!("{head}.")).await,
        Why::Signature
    ));
}

/// A key's name leads to that key only, and a key only to what it was made for.
#[tokio::test]
async fn the_wrong_key_for_a_name_or_an_algorithm_is_refused() {
    let jwt = jwt();
    for (algorithm, kid, file) in [
        (Algorithm::RS256, "ec", "rsa.pem"),
        (Algorithm::RS256, "enc", "rsa.pem"),
        (Algorithm::RS256, "nobody", "rsa.pem"),
        (Algorithm::ES256, "rsa", "ec.pem"),
        (Algorithm::EdDSA, "ec", "ed.pem"),
    ] {
        let token = signed(algorithm, Some(kid), file, &claims());
        assert!(matches!(why(&jwt, &token).await, Why::Key { .. }), "{kid}");
    }
    let mut narrow = config(fixture("jwks.json"));
    narrow.algorithms = vec![JwtAlgorithm::RS256];
    let narrow = Jwt::open(&narrow, None).unwrap();
    assert!(matches!(why(&narrow, &good()).await, Why::Algorithm(_)));
}

#[tokio::test]
async fn a_header_that_is_not_understood_is_refused() {
    let jwt = jwt();
    let kid = |other: Value| {
        let mut header = json!({"alg": "ES256", "kid": "ec"});
        for (name, value) in other.as_object().unwrap() {
            header[name] = value.clone();
        }
        with_header(&header)
    };
    for typ in ["JWT", "jwt", "at+jwt", "application/at+JWT"] {
        let token = kid(json!({"typ": typ}));
        assert!(jwt.verify(&token, "files", NOW).await.is_ok(), "{typ}");
    }
    for typ in ["logout+jwt", "secevent+jwt", "dpop+jwt", ""] {
        assert!(matches!(
            why(&jwt, &kid(json!({"typ": typ}))).await,
            Why::Type(_)
        ));
    }
    for crit in [json!(["b64"]), json!([]), json!("x")] {
        assert!(matches!(
            why(&jwt, &kid(json!({"crit": crit}))).await,
            Why::Critical
        ));
    }
    for odd in [json!({"alg": 5}), json!({"kid": 5}), json!({"typ": []})] {
        assert!(matches!(why(&jwt, &kid(odd)).await, Why::Malformed(_)));
    }
}

#[tokio::test]
async fn what_is_no_jwt_is_refused() {
    let jwt = jwt();
    let good = good();
    let long = format!("{good}{}", "A".repeat(MAX_TOKEN));
    for odd in [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        &format!("{good}.x"),
        &format!("x{good}"),
        &good.replacen('.', "=.", 1),
        &good.replacen('.', " .", 1),
        &long,
    ] {
        assert!(
            matches!(why(&jwt, odd).await, Why::Malformed(_)),
            "{odd:.80}"
        );
    }
}

#[tokio::test]
async fn the_server_and_the_scope_are_looked_at_each_time() {
    let jwt = jwt();
    let mut one = claims();
    one["aud"] = "https://g/mcp/files".into();
    let one = signed(Algorithm::ES256, Some("ec"), "ec.pem", &one);
    for _ in 0..2 {
        assert!(jwt.verify(&one, "files", NOW).await.is_ok());
        let refused = jwt.verify(&one, "mail", NOW).await.unwrap_err();
        assert!(matches!(
            refused,
            Refusal::Invalid(Why::Claim(WrongClaim::Audience))
        ));
    }
    let mut narrow = claims();
    narrow["scope"] = "other".into();
    let narrow = signed(Algorithm::ES256, Some("ec"), "ec.pem", &narrow);
    for _ in 0..2 {
        let refused = jwt.verify(&narrow, "files", NOW).await.unwrap_err();
        assert!(matches!(refused, Refusal::Scope));
    }
}

/// What was verified once is looked up afterwards, and must end all the same.
#[tokio::test]
async fn a_remembered_token_expires() {
    let jwt = jwt();
    let token = good();
    assert!(jwt.verify(&token, "files", NOW + 59_999).await.is_ok());
    let keys = jwt.source.current(Instant::now()).await.unwrap();
    let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    assert!(jwt.known(&keys, &digest).is_some());
    let refused = jwt.verify(&token, "files", NOW + 60_000).await.unwrap_err();
    assert!(matches!(
        refused,
        Refusal::Invalid(Why::Claim(WrongClaim::Expired))
    ));
}

/// What was verified with a key that the issuer took back is not taken any more.
#[tokio::test]
async fn a_remembered_token_ends_with_its_key() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("k.json");
    std::fs::copy(fixture("jwks.json"), &file).unwrap();
    let jwt = Jwt::open(&config(file.clone()), None).unwrap();
    let token = good();
    assert!(jwt.verify(&token, "files", NOW).await.is_ok());
    let later = Instant::now() + Duration::from_secs(2);
    std::fs::write(&file, "no keys").unwrap();
    jwt.source.current(later).await.unwrap();
    assert!(
        jwt.verify(&token, "files", NOW).await.is_ok(),
        "the last good keys"
    );
    std::fs::write(&file, "{\"keys\":[]}").unwrap();
    jwt.source
        .current(later + Duration::from_secs(2))
        .await
        .unwrap();
    assert!(matches!(why(&jwt, &token).await, Why::Key { .. }));
}

/// However many tokens come, what is remembered is bounded.
#[tokio::test]
async fn few_tokens_are_remembered() {
    let jwt = jwt();
    let keys = jwt.source.current(Instant::now()).await.unwrap();
    let found = jwt.verify(&good(), "files", NOW).await.unwrap();
    for n in 0..2 * MAX_KNOWN as u64 {
        let mut digest = [0; 32];
        digest[..8].copy_from_slice(&n.to_le_bytes());
        jwt.remember(&keys, digest, &found, NOW);
    }
    assert!(jwt.known.lock().unwrap().claims.len() <= MAX_KNOWN);
}

#[test]
fn a_file_that_holds_no_keys_is_an_error_at_the_start() {
    let error = |file: PathBuf| Jwt::open(&config(file), None).err().unwrap().to_string();
    let text = error(fixture("rsa.pem"));
    assert!(text.contains("rsa.pem: is no JWK set: "), "{text}");
    let text = error(fixture("missing.json"));
    assert!(
        text.starts_with("`jwks_file`: ") && text.contains("missing.json: cannot be read"),
        "{text}"
    );
}
