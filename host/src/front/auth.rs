//! Who is calling: from the credentials of a request to a caller, or to the refusal that says what is missing.
//!
//! Knows `Authorization` (RFC 6750), tokens, JWTs and what clients are told about where to get one (RFC 9728). Knows
//! nothing of what a caller may do, which is policies' to say. A credential never leaves this module: not into the log,
//! not into the audit, not to a server.

mod bearer;
mod challenge;
mod jwt;
mod metadata;
mod token;
pub mod tokens;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::chain::convert::Caller;
use crate::config::{AuthConfig, HttpConfig, JwksSource, JwtConfig};
use crate::gate::host::{MAX_LEDGER_AGE, now_ms};
use crate::ledger::Ledger;
use bearer::Presented;
use jwt::{Jwt, Refusal};
use metadata::Metadata;
use tokens::index::Tokens;

pub use challenge::Challenge;
pub use jwt::source::KeysError;
pub use token::Secret;

/// The caller's id where nobody is asked who they are.
pub const ANONYMOUS: &str = "anonymous";

/// Ids that mean something of their own, so that no credential may bear them: the caller on stdio, and nobody.
const RESERVED: [&str; 2] = ["local", ANONYMOUS];

/// Why callers cannot be known.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The keys that sign JWTs cannot be had.
    #[error("[http.jwt]: {0}")]
    Keys(#[from] KeysError),
}

/// Tells callers by their credentials, as the configuration says.
pub struct Authenticator {
    way: Way,
    ledger: Arc<dyn Ledger>,
    metadata: Metadata,
}

enum Way {
    Token(Tokens),
    Jwt(Box<Jwt>),
    None,
}

/// A caller who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// Who it is: the name of a token, what a JWT says, or `anonymous`.
    pub caller: Caller,
    /// By what, to ask later whether that still holds: see [`Authenticator::holds`].
    pub pass: Pass,
}

/// What a caller came in by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pass(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The digest of a token.
    Token([u8; 32]),
    /// Until then, milliseconds since the Unix epoch.
    Until(u64),
    /// Nothing that could end.
    Nothing,
}

impl Authenticator {
    /// As `[http]` says. `local` is the address that is listened on, with the port the system chose. A JWKS file that
    /// cannot be used is an error; a JWKS URL is fetched in the background, and callers wait for it.
    pub fn open(
        http: &HttpConfig,
        local: SocketAddr,
        ledger: Arc<dyn Ledger>,
    ) -> Result<Arc<Self>, AuthError> {
        let way = match &http.auth {
            AuthConfig::Token => Way::Token(Tokens::new(ledger.clone())),
            AuthConfig::Jwt(config) => {
                Way::Jwt(Box::new(Jwt::open(config, http.public_url.clone())?))
            }
            AuthConfig::None => Way::None,
        };
        Ok(Arc::new(Self {
            way,
            ledger,
            metadata: Metadata::new(http, local),
        }))
    }

    /// Who sends a request with these headers to `server`. `Host` has been checked; the query string is never looked
    /// at.
    pub async fn authenticate(
        &self,
        headers: &HeaderMap,
        server: &str,
    ) -> Result<Admission, Challenge> {
        let refused = |challenge: Challenge| self.metadata.complete(challenge, headers, server);
        match &self.way {
            Way::None => Ok(Admission {
                caller: Caller {
                    id: ANONYMOUS.to_owned(),
                    roles: Vec::new(),
                },
                pass: Pass(Kind::Nothing),
            }),
            Way::Token(tokens) => {
                let text = presented(headers).map_err(refused)?;
                self.fresh()?;
                let found = tokens.find(text, now_ms());
                let (caller, digest) = found.ok_or_else(|| refused(Challenge::invalid_token()))?;
                Ok(Admission {
                    caller,
                    pass: Pass(Kind::Token(digest)),
                })
            }
            Way::Jwt(jwt) => {
                let text = presented(headers).map_err(refused)?;
                match jwt.verify(text, server, now_ms()).await {
                    Ok(verified) => Ok(Admission {
                        caller: verified.caller.clone(),
                        pass: Pass(Kind::Until(verified.until_ms)),
                    }),
                    Err(Refusal::Invalid(why)) => {
                        tracing::info!(%why, "a JWT was refused");
                        Err(refused(Challenge::invalid_token()))
                    }
                    Err(Refusal::Scope) => Err(refused(Challenge::insufficient_scope())),
                    Err(Refusal::NoKeys(detail)) => {
                        tracing::debug!("no JWT can be verified: {detail}");
                        Err(Challenge::unavailable(
                            "The keys that callers' tokens are verified by cannot be had; try again later",
                        ))
                    }
                }
            }
        }
    }

    /// Whether what a caller came in by still holds: asked again and again while a stream stays open, since a token may
    /// be revoked and a JWT expires. Closed while the ledger is stale.
    pub fn holds(&self, pass: &Pass) -> bool {
        match (&self.way, pass.0) {
            (Way::Token(tokens), Kind::Token(digest)) => {
                self.fresh().is_ok() && tokens.holds(&digest, now_ms())
            }
            (Way::Jwt(_), Kind::Until(until_ms)) => now_ms() < until_ms,
            (Way::None, Kind::Nothing) => true,
            _ => false,
        }
    }

    /// The protected resource's metadata (RFC 9728), for a path under `/.well-known/`; none if there is none there.
    pub fn metadata(&self, path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        self.metadata.answer(path, headers)
    }

    /// Why nobody could be known now, if so: for `/readyz`.
    pub fn trouble(&self) -> Option<String> {
        match &self.way {
            Way::Jwt(jwt) => jwt.trouble(),
            Way::Token(_) | Way::None => None,
        }
    }

    /// A token may have been revoked in what a stale snapshot does not show (design, invariant 10).
    fn fresh(&self) -> Result<(), Challenge> {
        if self.ledger.age() <= MAX_LEDGER_AGE {
            return Ok(());
        }
        Err(Challenge::unavailable(
            "The gate's ledger cannot be read, so nobody can be known; try again later",
        ))
    }
}

/// Whether the JWKS file that a configuration names can be used; a URL is not asked.
pub fn check_keys(config: &JwtConfig) -> Result<(), KeysError> {
    match &config.keys {
        JwksSource::File(path) => jwt::source::check(path),
        JwksSource::Url(_) => Ok(()),
    }
}

/// The one bearer token that a request must have.
fn presented(headers: &HeaderMap) -> Result<&str, Challenge> {
    match bearer::of(headers) {
        Presented::Token(text) => Ok(text),
        Presented::Nothing => Err(Challenge::missing()),
        Presented::Malformed(what) => Err(Challenge::malformed(what)),
    }
}

#[cfg(test)]
mod tests;
