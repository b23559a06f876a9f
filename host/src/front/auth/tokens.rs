//! Tokens as the ledger keeps them: made, listed, revoked.
//!
//! A token is a note of the ledger, so a commit by any process takes effect in every running gate as soon as its snapshot
//! moves. Kept are name, roles, times and the SHA-256; the token itself is shown once and kept nowhere.

pub(super) mod index;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RESERVED;
use super::token::Secret;
use crate::config::{ConfigError, names};
use crate::ledger::{Commit, Ledger, LedgerError, Op, Snapshot};
use crate::mcp::escape;

/// Notes whose keys begin so hold a token each, under its name.
const NOTE: &str = "token/";
/// Notes whose keys begin so say when a token was last used, by its name.
const USED: &str = "token-used/";
/// Says that there was a token once: only the first start makes one.
const MADE: &str = "tokens-made";

/// The name of the token that the first start makes.
pub const FIRST: &str = "default";
/// The most tokens there may be.
pub const MAX_TOKENS: usize = 10_000;
/// The most roles of a caller.
pub const MAX_ROLES: usize = 256;
/// The longest role, and the longest id of a caller, in characters.
pub const MAX_WORD: usize = 256;
/// Use is recorded to the hour.
const USE_STEP_MS: u64 = 60 * 60 * 1000;
/// How often a change is derived again because the ledger moved meanwhile.
const ATTEMPTS: u32 = 50;

/// A token, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its name, which is the caller's id.
    pub name: String,
    /// The caller's roles, sorted.
    pub roles: Vec<String>,
    /// When it was made, milliseconds since the Unix epoch.
    pub created_ms: u64,
    /// From when on it is not taken any more, milliseconds since the Unix epoch.
    pub expires_ms: Option<u64>,
    /// When it was last used, to the hour; none if it never was.
    pub used_ms: Option<u64>,
    digest: [u8; 32],
}

/// All tokens of a ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// In the order of their names.
    pub tokens: Vec<Token>,
    /// Names whose record cannot be read, perhaps because a later witgate wrote it. They are not taken.
    pub unreadable: Vec<String>,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The name cannot be a token's.
    #[error("{0}")]
    BadName(String),
    /// The role cannot be one.
    #[error(
        "{0:?} cannot be a role: use 1 to {MAX_WORD} visible characters without white space, and at most {MAX_ROLES} \
         roles"
    )]
    BadRole(String),
    /// There is one of that name.
    #[error(
        "there is a token `{0}` already; choose another name, or revoke it with `witgate token revoke {0}`"
    )]
    Taken(String),
    /// There is none of that name.
    #[error("there is no token `{0}`; `witgate token list` shows which there are")]
    Unknown(String),
    /// There are too many.
    #[error(
        "there are {MAX_TOKENS} tokens, the most there may be; revoke some with `witgate token revoke NAME`"
    )]
    TooMany,
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What stands in a note. A field that this version does not know may narrow what the token is good for, so it makes the
/// record unreadable.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    sha256: String,
    roles: Vec<String>,
    created_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_ms: Option<u64>,
}

/// Every token that a snapshot holds, expired ones too.
pub fn list(snapshot: &Snapshot) -> Listed {
    listed(&snapshot.notes)
}

fn listed(notes: &BTreeMap<String, String>) -> Listed {
    let mut listed = Listed::default();
    for (key, value) in notes.range(NOTE.to_owned()..) {
        let Some(name) = key.strip_prefix(NOTE) else {
            break;
        };
        match token(name, value, notes) {
            Some(token) => listed.tokens.push(token),
            None => listed.unreadable.push(name.to_owned()),
        }
    }
    listed
}

fn token(name: &str, value: &str, notes: &BTreeMap<String, String>) -> Option<Token> {
    let record: Record = serde_json::from_str(value).ok()?;
    let mut digest = [0; 32];
    hex::decode_to_slice(&record.sha256, &mut digest).ok()?;
    let used = notes.get(&format!("{USED}{name}"));
    Some(Token {
        name: name.to_owned(),
        roles: record.roles,
        created_ms: record.created_ms,
        expires_ms: record.expires_ms,
        used_ms: used.and_then(|text| text.parse().ok()),
        digest,
    })
}

/// Makes a token. `expires_ms`: see [`Token::expires_ms`].
pub async fn make(
    ledger: &dyn Ledger,
    name: &str,
    roles: &[String],
    expires_ms: Option<u64>,
    now_ms: u64,
) -> Result<Secret, TokenError> {
    check_name(name)?;
    let roles = checked_roles(roles)?;
    let secret = Secret::random();
    let ops = vec![
        put(name, &secret, roles, expires_ms, now_ms),
        note(MADE, "1"),
        forget_use(name),
    ];
    commit(ledger, |snapshot| {
        if snapshot.notes.contains_key(&format!("{NOTE}{name}")) {
            return Err(TokenError::Taken(name.to_owned()));
        }
        if listed(&snapshot.notes).tokens.len() >= MAX_TOKENS {
            return Err(TokenError::TooMany);
        }
        Ok(ops.clone())
    })
    .await?;
    Ok(secret)
}

/// Revokes a token: running gates take it no more as soon as they see the commit, which is within two seconds.
pub async fn revoke(ledger: &dyn Ledger, name: &str) -> Result<(), TokenError> {
    let key = format!("{NOTE}{name}");
    commit(ledger, |snapshot| {
        if !snapshot.notes.contains_key(&key) {
            let shown = escape::visible_cut(name, names::MAX_NAME);
            return Err(TokenError::Unknown(shown.into_owned()));
        }
        let gone = Op::Note {
            key: key.clone(),
            value: None,
        };
        Ok(vec![gone, forget_use(name)])
    })
    .await
}

/// Makes the token [`FIRST`], without roles, if there never was a token in this ledger; none otherwise, also if all have
/// been revoked since.
pub async fn first(ledger: &dyn Ledger, now_ms: u64) -> Result<Option<Secret>, TokenError> {
    let there_was = |snapshot: &Snapshot| snapshot.notes.contains_key(MADE);
    if there_was(&ledger.snapshot()) {
        return Ok(None);
    }
    let secret = Secret::random();
    let mut made = false;
    commit(ledger, |snapshot| {
        made = !there_was(snapshot);
        if !made {
            return Ok(Vec::new());
        }
        let token = put(FIRST, &secret, Vec::new(), None, now_ms);
        Ok(vec![token, note(MADE, "1")])
    })
    .await?;
    Ok(made.then_some(secret))
}

/// Commits what `derive` makes of the ledger as it is, again if it moved meanwhile.
async fn commit(
    ledger: &dyn Ledger,
    mut derive: impl FnMut(&Snapshot) -> Result<Vec<Op>, TokenError>,
) -> Result<(), TokenError> {
    let mut snapshot = ledger.snapshot();
    let mut attempt = 0;
    loop {
        let ops = derive(&snapshot)?;
        if ops.is_empty() {
            return Ok(());
        }
        match ledger.commit(Commit::based_on(&snapshot, ops)).await {
            Ok(_) => return Ok(()),
            Err(LedgerError::Conflict { now }) if attempt < ATTEMPTS => {
                attempt += 1;
                snapshot = now;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

fn put(
    name: &str,
    secret: &Secret,
    roles: Vec<String>,
    expires_ms: Option<u64>,
    now_ms: u64,
) -> Op {
    let record = Record {
        sha256: hex::encode(secret.digest()),
        roles,
        created_ms: now_ms,
        expires_ms,
    };
    // A record of strings and numbers is always JSON; an empty note would only be unreadable.
    let value = serde_json::to_string(&record).unwrap_or_default();
    note(&format!("{NOTE}{name}"), &value)
}

fn note(key: &str, value: &str) -> Op {
    Op::Note {
        key: key.to_owned(),
        value: Some(value.to_owned()),
    }
}

fn forget_use(name: &str) -> Op {
    Op::Note {
        key: format!("{USED}{name}"),
        value: None,
    }
}

/// A token's name becomes a caller's id, and must not pass for one that means something else.
fn check_name(name: &str) -> Result<(), TokenError> {
    names::check_token_name(name).map_err(|ConfigError(text)| TokenError::BadName(text))?;
    if RESERVED.contains(&name) {
        return Err(TokenError::BadName(format!(
            "`{name}` cannot be a token name: callers are called so who have none; choose another"
        )));
    }
    Ok(())
}

fn checked_roles(roles: &[String]) -> Result<Vec<String>, TokenError> {
    if let Some(bad) = roles.iter().find(|role| !is_word(role)) {
        let shown = escape::visible_cut(bad, 64);
        return Err(TokenError::BadRole(shown.into_owned()));
    }
    let mut roles = roles.to_vec();
    roles.sort();
    roles.dedup();
    match roles.get(MAX_ROLES) {
        Some(bad) => Err(TokenError::BadRole(bad.clone())),
        None => Ok(roles),
    }
}

/// Whether a text can be a role: visible, without white space, not too long.
pub(super) fn is_word(text: &str) -> bool {
    let fits = |c: char| !c.is_whitespace() && !escape::is_hidden(c);
    !text.is_empty() && text.chars().count() <= MAX_WORD && text.chars().all(fits)
}

#[cfg(test)]
mod tests;
