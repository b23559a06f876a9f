//! JWTs (RFC 7519) of an issuer the operator names, as access tokens (RFC 9068, RFC 8725).
//!
//! Knows a token's three parts, its signature and how long an answer is good for. What claims mean is `claims`'s to say,
//! where keys come from `source`'s. The library verifies signatures; header and claims are read here, strictly: what
//! is there in a wrong type counts as wrong, not as missing.

mod claims;
mod keys;
pub(super) mod source;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::config::{JwtAlgorithm, JwtConfig};
use claims::{Claims, WrongClaim};
use keys::KeySet;
use source::{KeysError, Source};

/// The longest token that is looked at, bytes.
const MAX_TOKEN: usize = 16 << 10;

/// The most tokens that are remembered as verified.
const MAX_KNOWN: usize = 4096;

/// Verifies tokens.
pub(super) struct Jwt {
    config: JwtConfig,
    /// What stands before `/mcp/SERVER` in a server's own URL, where the operator gave one.
    public_url: Option<String>,
    source: Source,
    known: Mutex<Known>,
}

/// Tokens whose signature and claims were found good, by their SHA-256, under one set of keys.
#[derive(Default)]
struct Known {
    keys: u64,
    claims: HashMap<[u8; 32], Arc<Claims>>,
}

/// Why a token is not taken.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not valid here, or not any more.
    Invalid(Why),
    /// It lacks a scope that the configuration asks for.
    Scope,
    /// It cannot be verified now: why.
    NoKeys(String),
}

/// What is wrong with a token. For the log, so it quotes nothing but the header's words, escaped.
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    #[error("it is no JWT: {0}")]
    Malformed(&'static str),
    #[error("its header asks for what is not understood (`crit`)")]
    Critical,
    #[error("its type is {0:?}, which is no access token's")]
    Type(String),
    #[error("its algorithm {0:?} is not among `algorithms`")]
    Algorithm(String),
    #[error("no key fits: kid {kid:?}, algorithm {algorithm}")]
    Key {
        kid: Option<String>,
        algorithm: &'static str,
    },
    #[error("the signature is wrong")]
    Signature,
    #[error("{0}")]
    Claim(#[from] WrongClaim),
}

/// A token's header (RFC 7515, section 4.1). Keys that it brings along (`jwk`, `jku`, `x5u`, `x5c`) are not looked at.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    typ: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

impl Jwt {
    /// With the keys' source opened.
    pub(super) fn open(config: &JwtConfig, public_url: Option<String>) -> Result<Self, KeysError> {
        Ok(Self {
            source: Source::open(&config.keys)?,
            config: config.clone(),
            public_url,
            known: Mutex::default(),
        })
    }

    /// Who bears a token and may call `server`.
    pub(super) async fn verify(
        &self,
        token: &str,
        server: &str,
        now_ms: u64,
    ) -> Result<Arc<Claims>, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::Invalid(Why::Malformed("it is too long")));
        }
        let keys = self.source.current(Instant::now()).await;
        let keys = keys.map_err(Refusal::NoKeys)?;
        let digest: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let claims = match self.known(&keys, &digest) {
            Some(claims) => claims,
            None => {
                let (claims, keys) = self.check(token, keys, now_ms).await?;
                self.remember(&keys, digest, &claims, now_ms);
                claims
            }
        };
        claims
            .at(now_ms)
            .and_then(|()| claims.meant_for(|| self.resource(server)))
            .map_err(|wrong| Refusal::Invalid(wrong.into()))?;
        if !claims.in_scope {
            return Err(Refusal::Scope);
        }
        Ok(claims)
    }

    /// Why nothing could be verified now, if so.
    pub(super) fn trouble(&self) -> Option<String> {
        self.source.trouble(Instant::now())
    }

    /// The URL of a server's endpoint, which clients name as the resource they want a token for (RFC 8707).
    fn resource(&self, server: &str) -> Option<String> {
        let base = self.public_url.as_ref()?;
        Some(format!("{base}/mcp/{server}"))
    }

    /// Signature and claims, from the beginning; with the keys that fitted.
    async fn check(
        &self,
        token: &str,
        keys: Arc<KeySet>,
        now_ms: u64,
    ) -> Result<(Arc<Claims>, Arc<KeySet>), Refusal> {
        let invalid = Refusal::Invalid;
        let parts = Parts::of(token).map_err(invalid)?;
        let algorithm = self.algorithm(&parts.header).map_err(invalid)?;
        let kid = parts.header.kid.as_deref();
        let keys = match keys.find(kid, algorithm) {
            Some(_) => keys,
            // The issuer may have begun to sign with a key that is newer than what was fetched.
            None => match self.source.newer(Instant::now()).await {
                Some(newer) => newer,
                None => keys,
            },
        };
        let key = keys.find(kid, algorithm).ok_or_else(|| {
            invalid(Why::Key {
                kid: kid.map(cut),
                algorithm: algorithm.name(),
            })
        })?;
        if !key.verifies(parts.signed, parts.signature, algorithm) {
            return Err(invalid(Why::Signature));
        }
        let claims = Claims::read(&parts.payload, &self.config)
            .and_then(|claims| claims.at(now_ms).map(|()| claims))
            .map_err(|wrong| invalid(wrong.into()))?;
        Ok((Arc::new(claims), keys))
    }

    fn algorithm(&self, header: &Header) -> Result<JwtAlgorithm, Why> {
        if header.crit.is_some() {
            return Err(Why::Critical);
        }
        // RFC 9068, section 2.1, and RFC 8725, section 3.11: what is another kind of token says so.
        if let Some(typ) = &header.typ {
            let typ = typ.to_ascii_lowercase();
            let kind = typ.strip_prefix("application/").unwrap_or(&typ);
            if !matches!(kind, "jwt" | "at+jwt") {
                return Err(Why::Type(cut(&typ)));
            }
        }
        JwtAlgorithm::by_name(&header.alg)
            .filter(|algorithm| self.config.algorithms.contains(algorithm))
            .ok_or_else(|| Why::Algorithm(cut(&header.alg)))
    }

    fn known(&self, keys: &KeySet, digest: &[u8; 32]) -> Option<Arc<Claims>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.of(keys).get(digest).cloned()
    }

    fn remember(&self, keys: &KeySet, digest: [u8; 32], claims: &Arc<Claims>, now_ms: u64) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let all = known.of(keys);
        if all.len() >= MAX_KNOWN {
            all.retain(|_, claims| claims.at(now_ms).is_ok());
        }
        if all.len() >= MAX_KNOWN {
            all.clear();
        }
        all.insert(digest, claims.clone());
    }
}

impl Known {
    /// What is known under these keys: nothing, if the keys are others now.
    fn of(&mut self, keys: &KeySet) -> &mut HashMap<[u8; 32], Arc<Claims>> {
        if self.keys != keys.id {
            self.keys = keys.id;
            self.claims.clear();
        }
        &mut self.claims
    }
}

/// What a token says, short enough for a log.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

/// A token taken apart.
struct Parts<'a> {
    header: Header,
    payload: Vec<u8>,
    /// What was signed: the first two parts and the dot.
    signed: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a str) -> Result<Self, Why> {
        let three = || Why::Malformed("it has not three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(three)?;
        let (header, payload) = signed.split_once('.').ok_or_else(three)?;
        if payload.contains('.') {
            return Err(three());
        }
        let decoded = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| Why::Malformed("a part is not base64url"))
        };
        let header = serde_json::from_slice(&decoded(header)?)
            .map_err(|_| Why::Malformed("its header is no JSON object of the right shape"))?;
        Ok(Self {
            header,
            payload: decoded(payload)?,
            signed,
            signature,
        })
    }
}

#[cfg(test)]
mod tests;
