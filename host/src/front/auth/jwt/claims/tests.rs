//! What claims must be, and how they are told from those that only look so.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::config::{JwksSource, JwtAlgorithm};

const NOW_S: u64 = 1_795_170_516;
const NOW: u64 = NOW_S * 1000;

fn config() -> JwtConfig {
    JwtConfig {
        issuer: "https://i".to_owned(),
        audience: vec!["gate".to_owned()],
        keys: JwksSource::File("k".into()),
        roles_claim: Some(vec!["realm".to_owned(), "roles".to_owned()]),
        caller_claim: vec!["sub".to_owned()],
        algorithms: JwtAlgorithm::ALL.to_vec(),
        leeway: Duration::from_secs(10),
        scopes: Vec::new(),
        authorization_servers: Vec::new(),
    }
}

/// Good claims, with some replaced, or left out where they are null.
fn claims(other: Value) -> Value {
    let mut claims = json!({"iss": "https://i", "aud": "gate", "sub": "ann", "exp": NOW_S + 60});
    for (name, value) in other.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims
        .as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    claims
}

fn read(other: Value) -> Result<Claims, WrongClaim> {
    Claims::read(claims(other).to_string().as_bytes(), &config())
}

#[test]
fn good_claims_name_the_caller_and_its_roles() {
    let found = read(json!({"realm": {"roles": ["b", "a", "b"]}})).unwrap();
    assert_eq!(found.caller.id, "ann");
    assert_eq!(found.caller.roles, ["a", "b"]);
    assert_eq!(found.until_ms, NOW + 70_000);
    let words = read(json!({"realm": {"roles": "admin  dev"}})).unwrap();
    assert_eq!(words.caller.roles, ["admin", "dev"]);
    for none in [json!({}), json!({"realm": {}}), json!({"realm": 5})] {
        assert!(read(none).unwrap().caller.roles.is_empty());
    }
}

/// With fewer roles than it has, a caller might be let do more.
#[test]
fn roles_in_a_shape_that_is_not_understood_refuse_the_token() {
    for roles in [
        json!(5),
        json!({"a": true}),
        json!(["a", 5]),
        json!(["a b"]),
        json!([""]),
        json!(["a\u{0}"]),
        json!(["x".repeat(257)]),
        json!((0..257).map(|n| format!("r{n}")).collect::<Vec<_>>()),
    ] {
        let error = read(json!({"realm": {"roles": roles}})).unwrap_err();
        assert_eq!(error, WrongClaim::Roles, "{roles}");
    }
}

/// A known way in: a time that is no number was taken as if it were not there.
#[test]
fn times_must_be_numbers_and_hold_at_the_moment() {
    for exp in [
        json!(null),
        json!("1"),
        json!("9999999999"),
        json!(true),
        json!([1]),
        json!(-1),
        json!(1e300),
    ] {
        assert_eq!(
            read(json!({"exp": exp})).unwrap_err(),
            WrongClaim::NoExpiry,
            "{exp}"
        );
    }
    for nbf in [
        json!("x"),
        json!("9999999999"),
        json!(false),
        json!({}),
        json!(1e300),
    ] {
        assert_eq!(
            read(json!({"nbf": nbf})).unwrap_err(),
            WrongClaim::NoBeginning,
            "{nbf}"
        );
    }
    let found = read(json!({"exp": NOW_S, "nbf": NOW_S})).unwrap();
    assert_eq!(found.at(NOW), Ok(()));
    assert_eq!(found.at(NOW + 9_999), Ok(()));
    assert_eq!(found.at(NOW + 10_000), Err(WrongClaim::Expired));
    assert_eq!(found.at(NOW - 10_000), Ok(()));
    assert_eq!(found.at(NOW - 10_001), Err(WrongClaim::Early));
    let half = read(json!({"exp": 0.5 + NOW_S as f64})).unwrap();
    assert_eq!(half.until_ms, NOW + 10_500);
}

#[test]
fn the_issuer_must_be_the_one_exactly() {
    for iss in [
        json!(null),
        json!("https://i/"),
        json!("https://I"),
        json!(["https://i"]),
        json!(""),
    ] {
        assert_eq!(
            read(json!({"iss": iss})).unwrap_err(),
            WrongClaim::Issuer,
            "{iss}"
        );
    }
}

#[test]
fn the_audience_is_the_gate_or_the_very_server() {
    let url = |url: &'static str| move || Some(url.to_owned());
    let whole = read(json!({"aud": ["other", "gate"]})).unwrap();
    assert_eq!(whole.meant_for(|| None), Ok(()));
    let one = read(json!({"aud": ["https://g/mcp/files"]})).unwrap();
    assert_eq!(one.meant_for(url("https://g/mcp/files")), Ok(()));
    for other in [
        "https://g/mcp/mail",
        "https://g/mcp/files/",
        "https://g/mcp/file",
    ] {
        assert_eq!(one.meant_for(url(other)), Err(WrongClaim::Audience));
    }
    assert_eq!(one.meant_for(|| None), Err(WrongClaim::Audience));
    for aud in [
        json!(null),
        json!(5),
        json!(["gate", 5]),
        json!({"gate": 1}),
    ] {
        assert_eq!(
            read(json!({"aud": aud})).unwrap_err(),
            WrongClaim::Audience,
            "{aud}"
        );
    }
}

#[test]
fn a_caller_has_a_visible_name_of_its_own() {
    for sub in [
        json!(null),
        json!(""),
        json!(5),
        json!("a\nb"),
        json!("a\u{202e}b"),
        json!("local"),
        json!("anonymous"),
        json!("x".repeat(257)),
    ] {
        assert_eq!(
            read(json!({"sub": sub})).unwrap_err(),
            WrongClaim::Caller,
            "{sub}"
        );
    }
    assert_eq!(read(json!({"sub": "Ann Ö"})).unwrap().caller.id, "Ann Ö");
}

#[test]
fn every_scope_that_is_asked_for_must_be_there() {
    let mut config = config();
    config.scopes = vec!["a".to_owned(), "b".to_owned()];
    let in_scope = |other: Value| {
        let text = claims(other).to_string();
        Claims::read(text.as_bytes(), &config).map(|claims| claims.in_scope)
    };
    assert_eq!(in_scope(json!({"scope": "b c a"})), Ok(true));
    assert_eq!(in_scope(json!({"scp": ["a", "b"]})), Ok(true));
    for less in [
        json!({}),
        json!({"scope": "a"}),
        json!({"scope": "ab"}),
        json!({"scope": "", "scp": "a b"}),
    ] {
        assert_eq!(in_scope(less), Ok(false));
    }
    assert_eq!(in_scope(json!({"scope": 5})), Err(WrongClaim::Scope));
}

#[test]
fn claims_are_an_object() {
    for text in ["", "[]", "5", "\"x\"", "{"] {
        let found = Claims::read(text.as_bytes(), &config());
        assert_eq!(found, Err(WrongClaim::Shape), "{text}");
    }
}
