//! Why an operator's command was not carried out.

use crate::ledger::LedgerError;
use crate::policy::Failure;

/// Why an operator's command was not carried out. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// No entry has the id.
    #[error("no entry is called {id:?}; `witgate review list --all` shows every id")]
    UnknownEntry {
        /// As typed.
        id: String,
    },
    /// Several policies have an entry of that id.
    #[error("several entries are called {id:?}: {}; type one of them whole", candidates.join(", "))]
    AmbiguousEntry {
        /// As typed.
        id: String,
        /// Their whole ids.
        candidates: Vec<String>,
    },
    /// A text that cannot name a digest.
    #[error(
        "{text:?} names no digest: give at least 8 of its hexadecimal digits, as `witgate review show {id}` prints them"
    )]
    BadDigest {
        /// As typed.
        text: String,
        /// The entry it was given for, or `--server NAME`.
        id: String,
    },
    /// Several digests begin as typed.
    #[error("several definitions of {id} have a digest that begins with {text:?}; type more of it")]
    AmbiguousDigest {
        /// As typed.
        text: String,
        /// The entry.
        id: String,
    },
    /// What the operator looked at is not what is there now.
    #[error(
        "refused, moved on: no observer shows {id} with a definition whose digest begins with {text:?} any more; \
         {shown}. Look again: witgate review show {id}"
    )]
    MovedOn {
        /// The entry.
        id: String,
        /// The digest as typed.
        text: String,
        /// What is shown now, in words.
        shown: String,
    },
    /// What waits at a server is not what the operator looked at.
    #[error(
        "refused, moved on: what waits at {server} has the catalogue digest {now}, not one that begins with {text:?}. \
         Look again: witgate review show --server {server}"
    )]
    CatalogueMovedOn {
        /// The server.
        server: String,
        /// The digest as typed.
        text: String,
        /// The digest now.
        now: String,
    },
    /// The digest to be revoked is not approved.
    #[error(
        "{id} has no approved definition whose digest begins with {text:?}; approved: {approved}"
    )]
    NotApproved {
        /// The entry.
        id: String,
        /// The digest as typed.
        text: String,
        /// What is approved, in words.
        approved: String,
    },
    /// The policy does not take this action on this entry.
    #[error("the policy {policy} does not take `{action}` for {id}, whose status is {status}")]
    NotAllowed {
        /// The policy.
        policy: String,
        /// The action.
        action: String,
        /// The entry.
        id: String,
        /// Its status, escaped.
        status: String,
    },
    /// The policy gave a reason of its own.
    #[error("the policy {policy} refuses `{action}` for {id}: {reason}")]
    Refused {
        /// The policy.
        policy: String,
        /// The action.
        action: String,
        /// The entry.
        id: String,
        /// Its words, escaped.
        reason: String,
    },
    /// No server has the name.
    #[error("no server is called {name:?}; known: {}", if known.is_empty() { "none yet".to_owned() } else { known.join(", ") })]
    UnknownServer {
        /// As typed.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The configuration says the standing, and what it says holds.
    #[error(
        "{file} says `standing` in [server.{server}], and what the file says holds: edit the file, or remove the key \
         from it"
    )]
    StandingInFile {
        /// The server.
        server: String,
        /// The file.
        file: String,
    },
    /// The configuration names the server, so that a change of the ledger alone would part the two.
    #[error("{file} has [server.{server}]: edit the file first")]
    ServerInFile {
        /// The server.
        server: String,
        /// The file.
        file: String,
    },
    /// A running gate is connected to the server.
    #[error("the server {server} is in use by process {pid}: end that client's connection first")]
    InUse {
        /// The server.
        server: String,
        /// The process.
        pid: u32,
    },
    /// A name that no server can have.
    #[error(transparent)]
    BadName(#[from] crate::config::ConfigError),
    /// Others committed again and again.
    #[error("the ledger was changed by others again and again meanwhile; try once more")]
    Contended,
    /// A policy's hook failed.
    #[error("{0}; nothing was changed. See `witgate doctor`")]
    Failure(#[from] Failure),
    /// The ledger refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl OperatorError {
    /// The stable word for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownEntry { .. } => "unknown_entry",
            Self::AmbiguousEntry { .. } => "ambiguous_entry",
            Self::BadDigest { .. } => "bad_digest",
            Self::AmbiguousDigest { .. } => "ambiguous_digest",
            Self::MovedOn { .. } | Self::CatalogueMovedOn { .. } => "moved_on",
            Self::NotApproved { .. } => "not_approved",
            Self::NotAllowed { .. } => "not_allowed",
            Self::Refused { .. } => "refused",
            Self::UnknownServer { .. } => "unknown_server",
            Self::StandingInFile { .. } | Self::ServerInFile { .. } => "edit_the_file",
            Self::InUse { .. } => "in_use",
            Self::BadName(_) => "bad_name",
            Self::Contended => "contended",
            Self::Failure(_) => "policy_error",
            Self::Ledger(LedgerError::Lost { .. }) => "ledger_lost",
            Self::Ledger(LedgerError::Newer { .. }) => "ledger_newer",
            Self::Ledger(_) => "ledger_error",
        }
    }
}
