//! What a JWT says of its bearer (RFC 7519, section 4.1), after its signature was found good.
//!
//! Knows claims and the configuration's demands. Knows no key and no clock: the time is handed in.

use serde_json::Value;

use crate::chain::convert::Caller;
use crate::config::JwtConfig;
use crate::front::auth::RESERVED;
use crate::front::auth::tokens::{MAX_ROLES, MAX_WORD, is_word};
use crate::mcp::escape;

/// The latest time a claim may name, seconds since the Unix epoch: the year 9999.
const LATEST: f64 = 253_402_300_799.0;

/// Claims that were checked, but for the time and the server.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::front::auth) struct Claims {
    /// Who the bearer is.
    pub(in crate::front::auth) caller: Caller,
    /// From when on it is not taken any more, leeway included, milliseconds since the Unix epoch.
    pub(in crate::front::auth) until_ms: u64,
    /// From when on it is taken, leeway included.
    from_ms: u64,
    /// Whether it has every scope that is asked for.
    pub(in crate::front::auth) in_scope: bool,
    /// The audiences, if none of them is one that the configuration takes for every server.
    only_for: Option<Vec<String>>,
}

/// Which claim is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::front::auth) enum WrongClaim {
    #[error("its claims are no JSON object")]
    Shape,
    #[error("`iss` is not the `issuer` of [http.jwt]")]
    Issuer,
    #[error("`aud` is not an `audience` of [http.jwt], nor the URL of the server that is called")]
    Audience,
    #[error("`exp` is missing or no time")]
    NoExpiry,
    #[error("it has expired (`exp`)")]
    Expired,
    #[error("`nbf` is no time")]
    NoBeginning,
    #[error("it is not valid yet (`nbf`)")]
    Early,
    #[error(
        "the `caller_claim` of [http.jwt] is missing, or no visible text of 1 to {MAX_WORD} characters, or a word that \
         callers without credentials are called by"
    )]
    Caller,
    #[error(
        "the `roles_claim` of [http.jwt] is neither a string nor an array of strings that can be roles"
    )]
    Roles,
    #[error("`scope` is no string")]
    Scope,
}

impl Claims {
    /// Reads the payload of a token.
    pub(super) fn read(payload: &[u8], config: &JwtConfig) -> Result<Self, WrongClaim> {
        let claims: Value = serde_json::from_slice(payload).map_err(|_| WrongClaim::Shape)?;
        if !claims.is_object() {
            return Err(WrongClaim::Shape);
        }
        if claims.get("iss").and_then(Value::as_str) != Some(&config.issuer) {
            return Err(WrongClaim::Issuer);
        }
        let leeway = config.leeway.as_millis() as f64;
        let until = claims.get("exp").and_then(time_ms);
        let until = until.ok_or(WrongClaim::NoExpiry)? + leeway;
        let from = match claims.get("nbf") {
            None => 0.0,
            Some(value) => (time_ms(value).ok_or(WrongClaim::NoBeginning)? - leeway).max(0.0),
        };
        Ok(Self {
            only_for: audience(&claims, config)?,
            caller: Caller {
                id: caller(&claims, config)?,
                roles: roles(&claims, config)?,
            },
            // Between 0 and the year 9999, with at most ten minutes' leeway: exact in both types.
            until_ms: until as u64,
            from_ms: from as u64,
            in_scope: in_scope(&claims, config)?,
        })
    }

    /// Whether they hold at a time.
    pub(super) fn at(&self, now_ms: u64) -> Result<(), WrongClaim> {
        if now_ms >= self.until_ms {
            return Err(WrongClaim::Expired);
        }
        if now_ms < self.from_ms {
            return Err(WrongClaim::Early);
        }
        Ok(())
    }

    /// Whether the token is meant for a server whose endpoint has this URL.
    pub(super) fn meant_for(&self, url: impl FnOnce() -> Option<String>) -> Result<(), WrongClaim> {
        match &self.only_for {
            None => Ok(()),
            Some(audiences) => match url() {
                Some(url) if audiences.contains(&url) => Ok(()),
                _ => Err(WrongClaim::Audience),
            },
        }
    }
}

/// A time in seconds, as milliseconds; none if it is of another type, or out of all reason.
fn time_ms(value: &Value) -> Option<f64> {
    let seconds = value.as_f64()?;
    (0.0..=LATEST)
        .contains(&seconds)
        .then_some(seconds * 1000.0)
}

/// The audiences, if none of them is taken for every server.
fn audience(claims: &Value, config: &JwtConfig) -> Result<Option<Vec<String>>, WrongClaim> {
    let audiences = match claims.get("aud") {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => texts(several).ok_or(WrongClaim::Audience)?,
        _ => return Err(WrongClaim::Audience),
    };
    if audiences.iter().any(|one| config.audience.contains(one)) {
        return Ok(None);
    }
    Ok(Some(audiences))
}

fn caller(claims: &Value, config: &JwtConfig) -> Result<String, WrongClaim> {
    let id = at_path(claims, &config.caller_claim).and_then(Value::as_str);
    let visible = |text: &&str| {
        let length = text.chars().count();
        (1..=MAX_WORD).contains(&length)
            && !text.chars().any(escape::is_hidden)
            && !RESERVED.contains(text)
    };
    id.filter(visible)
        .map(str::to_owned)
        .ok_or(WrongClaim::Caller)
}

/// Roles, sorted. A token without the claim has none: issuers leave it out for those who have none. One that is there in
/// a shape that is not understood refuses the token: with fewer roles than it has, its bearer might be let do more.
fn roles(claims: &Value, config: &JwtConfig) -> Result<Vec<String>, WrongClaim> {
    let Some(path) = &config.roles_claim else {
        return Ok(Vec::new());
    };
    let mut roles: Vec<String> = match at_path(claims, path) {
        None => Vec::new(),
        Some(Value::String(words)) => words.split_ascii_whitespace().map(str::to_owned).collect(),
        Some(Value::Array(several)) => texts(several).ok_or(WrongClaim::Roles)?,
        Some(_) => return Err(WrongClaim::Roles),
    };
    roles.sort();
    roles.dedup();
    if roles.len() > MAX_ROLES || !roles.iter().all(|role| is_word(role)) {
        return Err(WrongClaim::Roles);
    }
    Ok(roles)
}

/// Whether every scope that is asked for is in `scope` (RFC 9068, section 2.2.3) or `scp`.
fn in_scope(claims: &Value, config: &JwtConfig) -> Result<bool, WrongClaim> {
    if config.scopes.is_empty() {
        return Ok(true);
    }
    let scopes: Vec<String> = match claims.get("scope").or_else(|| claims.get("scp")) {
        None => Vec::new(),
        Some(Value::String(words)) => words.split(' ').map(str::to_owned).collect(),
        Some(Value::Array(several)) => texts(several).ok_or(WrongClaim::Scope)?,
        Some(_) => return Err(WrongClaim::Scope),
    };
    Ok(config.scopes.iter().all(|scope| scopes.contains(scope)))
}

fn at_path<'a>(claims: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(claims, |value, step| value.get(step))
}

fn texts(values: &[Value]) -> Option<Vec<String>> {
    values
        .iter()
        .map(|value| value.as_str().map(str::to_owned))
        .collect()
}

#[cfg(test)]
mod tests;
