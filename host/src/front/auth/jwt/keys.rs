//! A set of public keys (RFC 7517): which of them may verify a token.
//!
//! Knows key types and the algorithms that fit them. Secrets, keys for encryption and what is not understood are left
//! out: a key is used for nothing but what it was made for (RFC 8725, section 3.1).

use std::sync::atomic::{AtomicU64, Ordering};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use serde_json::Value;

use crate::config::JwtAlgorithm;

/// The most keys of a set that are looked at.
const MAX_KEYS: usize = 100;

/// Keys that may verify tokens.
#[derive(Debug)]
pub(super) struct KeySet {
    /// Another for every set that was ever read.
    pub(super) id: u64,
    keys: Vec<Key>,
}

/// One public key.
pub(super) struct Key {
    kid: Option<String>,
    /// The algorithms that it may be used with.
    algorithms: Vec<JwtAlgorithm>,
    key: DecodingKey,
}

/// A text is no set of keys.
#[derive(Debug, thiserror::Error)]
#[error("is no JWK set: {0}; it should be JSON, `{{\"keys\": [ … ]}}`, as the issuer publishes it")]
pub struct NoKeySet(String);

#[derive(Deserialize)]
struct Document {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set. One without any usable key is a set all the same: then no token is valid.
    pub(super) fn parse(text: &[u8]) -> Result<Self, NoKeySet> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let document: Document =
            serde_json::from_slice(text).map_err(|e| NoKeySet(e.to_string()))?;
        let keys = document.keys.into_iter().take(MAX_KEYS);
        Ok(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            keys: keys.filter_map(Key::read).collect(),
        })
    }

    /// How many keys may be used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The one key for a token of this `kid` and algorithm. A token without `kid` needs a set with one fitting key, so
    /// that no key is tried that its issuer did not mean.
    pub(super) fn find(&self, kid: Option<&str>, algorithm: JwtAlgorithm) -> Option<&Key> {
        let mut fitting = self.keys.iter().filter(|key| {
            key.algorithms.contains(&algorithm) && (kid.is_none() || key.kid.as_deref() == kid)
        });
        let key = fitting.next()?;
        fitting.next().is_none().then_some(key)
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        let common = &jwk.common;
        let for_signatures = common
            .public_key_use
            .as_ref()
            .is_none_or(|what| *what == PublicKeyUse::Signature)
            && common
                .key_operations
                .as_ref()
                .is_none_or(|all| all.contains(&KeyOperations::Verify));
        if !for_signatures {
            return None;
        }
        let mut algorithms = by_type(&jwk.algorithm).to_vec();
        if let Some(only) = common.key_algorithm {
            algorithms.retain(|algorithm| algorithm.name() == only.to_string());
        }
        if algorithms.is_empty() {
            return None;
        }
        Some(Self {
            kid: common.key_id.clone(),
            algorithms,
            key: DecodingKey::from_jwk(&jwk).ok()?,
        })
    }

    /// Whether a signature (base64url) of this algorithm over a text is this key's.
    pub(super) fn verifies(&self, text: &str, signature: &str, algorithm: JwtAlgorithm) -> bool {
        self.algorithms.contains(&algorithm)
            && jsonwebtoken::crypto::verify(
                signature,
                text.as_bytes(),
                &self.key,
                library(algorithm),
            )
            .unwrap_or(false)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Key");
        shown.field("kid", &self.kid);
        shown.field("algorithms", &self.algorithms);
        shown.finish_non_exhaustive()
    }
}

/// The algorithms that a key of this type and curve can verify.
fn by_type(parameters: &AlgorithmParameters) -> &'static [JwtAlgorithm] {
    use JwtAlgorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match parameters {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[EdDSA],
        AlgorithmParameters::OctetKeyPair(_) | AlgorithmParameters::OctetKey(_) => &[],
    }
}

/// The library's name for it.
fn library(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::RS256 => Algorithm::RS256,
        JwtAlgorithm::RS384 => Algorithm::RS384,
        JwtAlgorithm::RS512 => Algorithm::RS512,
        JwtAlgorithm::PS256 => Algorithm::PS256,
        JwtAlgorithm::PS384 => Algorithm::PS384,
        JwtAlgorithm::PS512 => Algorithm::PS512,
        JwtAlgorithm::ES256 => Algorithm::ES256,
        JwtAlgorithm::ES384 => Algorithm::ES384,
        JwtAlgorithm::EdDSA => Algorithm::EdDSA,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const SET: &[u8] = include_bytes!("../../../../../tests/fixtures/keys/jwks.json");

    #[test]
    fn a_key_is_found_by_its_name_and_for_what_it_is_made() {
        let set = KeySet::parse(SET).unwrap();
        assert_eq!(set.len(), 3, "no secret, none for encryption, none unknown");
        let found = |kid, algorithm| set.find(kid, algorithm).is_some();
        assert!(found(Some("rsa"), JwtAlgorithm::RS256));
        assert!(found(Some("rsa"), JwtAlgorithm::PS512));
        assert!(found(Some("ec"), JwtAlgorithm::ES256));
        assert!(found(Some("ed"), JwtAlgorithm::EdDSA));
        assert!(found(None, JwtAlgorithm::EdDSA));
        assert!(
            !found(Some("rsa"), JwtAlgorithm::ES256),
            "another's algorithm"
        );
        assert!(!found(Some("ec"), JwtAlgorithm::ES384), "another curve");
        assert!(!found(Some("enc"), JwtAlgorithm::RS256), "for encryption");
        assert!(!found(Some("nobody"), JwtAlgorithm::RS256));
    }

    #[test]
    fn a_token_without_kid_is_not_tried_against_several_keys() {
        let mut document: Value = serde_json::from_slice(SET).unwrap();
        let keys = document["keys"].as_array_mut().unwrap();
        let mut second = keys[0].clone();
        second["kid"] = "rsa2".into();
        keys.push(second);
        let set = KeySet::parse(document.to_string().as_bytes()).unwrap();
        assert!(set.find(None, JwtAlgorithm::RS256).is_none());
        assert!(set.find(Some("rsa2"), JwtAlgorithm::RS256).is_some());
    }

    #[test]
    fn what_is_no_set_is_told() {
        for text in ["", "[]", "{}", "{\"keys\": 1}", "<html>"] {
            let error = KeySet::parse(text.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("is no JWK set: "), "{error}");
        }
        assert_eq!(KeySet::parse(b"{\"keys\":[]}").unwrap().len(), 0);
    }
}
