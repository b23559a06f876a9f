//! The ledger: what must outlive a process. Policy key-values, definitions, standings, what was observed, the bytes of
//! every policy in force, the heads of the audit.
//!
//! Knows how such records are kept, shared between processes and guarded against loss. Knows nothing of what a policy
//! means by its keys, nor of messages.

mod apply;
mod digests;
pub mod health;
mod marker;
mod memory;
pub mod observers;
pub(crate) mod private;
pub mod running;
mod sqlite;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::mcp::{Digest, Item, ItemKind};

pub use apply::{
    LATEST_SIGHTED, MAX_KEY, MAX_KEYS, MAX_SIGHTED, MAX_SIGHTED_BYTES, MAX_VALUE, PRUNE_AFTER,
    PRUNE_AFTER_BYTES, PRUNE_GRACE_BYTES, PRUNE_GRACE_MS,
};

/// Keys of a policy that begin so record what was seen: they do not move the revision, and judging hooks do not see
/// them.
pub const SIGHTING_PREFIX: &str = "sighting/";

/// A policy's own part of the store: who brought the policy in, and its name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace(Arc<str>);

/// How a policy came into the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PolicyOrigin {
    /// It ships inside the binary.
    Builtin,
    /// The configuration names its file.
    Configuration,
    /// It stands in the policy directory.
    Directory,
}

impl PolicyOrigin {
    /// The word for this origin, in namespaces and in output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Builtin => "builtin",
            Self::Configuration => "configuration",
            Self::Directory => "directory",
        }
    }
}

impl Namespace {
    /// The namespace of the policy called `name` that came from `origin`.
    pub fn new(origin: PolicyOrigin, name: &str) -> Self {
        Self(format!("{}/{name}", origin.word()).into())
    }

    /// The namespace as it is written in the ledger: `origin/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A namespace read back from the ledger.
    pub fn from_stored(text: &str) -> Self {
        Self(text.into())
    }
}

/// Whether the operator lets a server speak at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// Policies judge its items one by one.
    Trusted,
    /// It lists nothing, answers nothing, asks nothing.
    Quarantined,
}

/// A standing that an operator's command set, and who and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingRecord {
    /// What was said.
    pub standing: Standing,
    /// Who said it.
    pub actor: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What the ledger keeps about a server's name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ServerRecord {
    /// The operator's command about its standing, if there was one.
    pub standing: Option<StandingRecord>,
    /// What the name stands for: the command as a JSON array of its words, or a URL.
    pub identity: Option<String>,
    /// When the name was first seen, milliseconds since the Unix epoch.
    pub first_seen_ms: u64,
}

/// One process's one connection to a server; its latest reading is what "the server shows now".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observer {
    /// Random, unique.
    pub id: String,
    /// The server's name.
    pub server: String,
    /// The process, and its start in clock ticks since boot where the system tells (process numbers are used again).
    pub pid: u32,
    /// See `pid`.
    pub pid_start: Option<u64>,
    /// Whether the connection ended in order.
    pub ended: bool,
    /// Its latest reading, if there was one.
    pub observation: Option<Arc<Observation>>,
}

/// What a reading showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The kinds read to the end.
    pub complete: Vec<ItemKind>,
    /// The items, malformed ones and doubles left out.
    pub items: Vec<Item>,
    /// Items that were withheld as malformed, or because two shared a name: kind and what is wrong, escaped.
    pub malformed: Vec<(ItemKind, String)>,
}

/// A definition to be pinned.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Over its canonical form.
    pub digest: Digest,
    /// What kind of item it defines.
    pub kind: ItemKind,
    /// The JSON text as the server sent it.
    pub text: Arc<str>,
}

/// The bytes of a policy that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPolicy {
    /// Whose store namespace it has.
    pub namespace: Namespace,
    /// Its file's name or path, for messages.
    pub file: String,
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
    /// The component.
    pub component: Bytes,
    /// The sidecar's text, if there was one.
    pub sidecar: Option<String>,
}

/// Where a file of the audit ended when its head was last bound into the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditHead {
    /// The file's name within the audit directory.
    pub file: String,
    /// Number of the last record.
    pub seq: u64,
    /// SHA-256 of the last record's line, hexadecimal.
    pub head: String,
    /// Bytes up to the end of that record.
    pub length: u64,
}

/// One change. A commit's operations are applied whole or not at all.
#[derive(Debug, Clone)]
pub enum Op {
    /// A policy's key gets a value, or none and is deleted. Moves the revision unless the key is a sighting or the
    /// value is the one it has.
    Keep {
        /// Whose key.
        namespace: Namespace,
        /// The key.
        key: String,
        /// The value; none deletes.
        value: Option<String>,
    },
    /// Pins a definition. Does not move the revision. A definition stays while something refers to it: an item that
    /// was sighted, an observer's reading, a policy's value that holds its digest. So define in the commit that refers
    /// to it, even if it was defined before, or within a minute ([`PRUNE_GRACE_MS`]) before.
    Define(Definition),
    /// An operator's word on a server's standing. Moves the revision.
    Standing {
        /// The server's name.
        server: String,
        /// The word; none takes it back.
        record: Option<StandingRecord>,
    },
    /// What a server's name stands for. Does not move the revision.
    Identity {
        /// The server's name.
        server: String,
        /// See [`ServerRecord::identity`].
        identity: String,
        /// When, for a name never seen.
        at_ms: u64,
    },
    /// A server's name and its observers are forgotten. Moves the revision.
    Forget {
        /// The server's name.
        server: String,
    },
    /// A server gets another name, observers included; an error if the new one is taken. Moves the revision.
    Rename {
        /// The old name.
        from: String,
        /// The new one.
        to: String,
    },
    /// A connection to a server begins. Does not move the revision.
    ObserverBegins(Observer),
    /// A connection ended in order. Does not move the revision.
    ObserverEnds {
        /// The observer.
        id: String,
    },
    /// A reading. Does not move the revision. Also keeps which digests an item ever showed: the first and the last 16.
    Observed {
        /// The observer, which must have begun.
        id: String,
        /// What it saw.
        observation: Observation,
    },
    /// A policy is in force with these bytes. Does not move the revision.
    PolicyInForce(StoredPolicy),
    /// The bytes of a policy are forgotten; its keys stay.
    PolicyForgotten {
        /// Whose.
        namespace: Namespace,
    },
    /// The audit's heads. Does not move the revision.
    AuditHead(AuditHead),
    /// A fact of the host's own, such as that a configuration was in force. Does not move the revision.
    Note {
        /// The key.
        key: String,
        /// The value; none deletes.
        value: Option<String>,
    },
}

/// Changes to be applied whole, if nothing has been committed since the snapshot they were made on.
#[derive(Debug, Clone)]
pub struct Commit {
    /// [`Snapshot::version`] of what the changes were derived from; none for changes that depend on nothing read.
    pub based_on: Option<u64>,
    /// The changes.
    pub ops: Vec<Op>,
}

/// Everything verdicts may depend on, in memory, at one moment. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The ledger's id, made when it was created.
    pub ledger_id: Arc<str>,
    /// Moves with every commit that a verdict may depend on.
    pub revision: u64,
    /// Moves with every commit.
    pub version: u64,
    /// The policies' key-values that verdicts may depend on.
    pub facts: Arc<HashMap<Namespace, BTreeMap<String, String>>>,
    /// The policies' key-values under [`SIGHTING_PREFIX`].
    pub sightings: Arc<HashMap<Namespace, BTreeMap<String, String>>>,
    /// What is known about servers' names.
    pub servers: Arc<BTreeMap<String, ServerRecord>>,
    /// Every observer that has not been superseded: of those that ended or died, the latest of each server.
    pub observers: Arc<Vec<Observer>>,
    /// The host's own facts.
    pub notes: Arc<BTreeMap<String, String>>,
}

/// Why the ledger cannot be used, or a commit was not applied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// Something else was committed since: derive the changes again from this snapshot.
    #[error("the ledger has moved on to version {}", .now.version)]
    Conflict {
        /// The ledger as it is now.
        now: Arc<Snapshot>,
    },
    /// The ledger that was here is gone, or is another one.
    #[error(
        "the ledger {location} is lost: {detail}. Restore it from a backup; or, to start again, when what a trusted server shows next is approved, delete {marker}"
    )]
    Lost {
        /// Where it should be.
        location: String,
        /// What was found instead.
        detail: String,
        /// The file beside the configuration that remembers it.
        marker: String,
    },
    /// It was written by a later version of witgate.
    #[error(
        "the ledger {location} has schema {found}; this witgate knows schemas up to {known}. Install the witgate that wrote it, or a later one"
    )]
    Newer {
        /// Where it is.
        location: String,
        /// Its schema.
        found: u32,
        /// The latest schema this version knows.
        known: u32,
    },
    /// It cannot be read as a ledger.
    #[error(
        "the ledger {location} cannot be read: {detail}. Restore it from a backup, or move it away and see `witgate doctor`"
    )]
    Corrupt {
        /// Where it is.
        location: String,
        /// What is wrong.
        detail: String,
    },
    /// The system or the database refused.
    #[error("the ledger {location}: {detail}")]
    Unavailable {
        /// Where it is.
        location: String,
        /// What it said.
        detail: String,
    },
    /// The file that remembers which ledger was in use cannot be read or written.
    #[error(
        "{marker}, which remembers the ledger in use, cannot be used: {detail}. Restore it from a backup; if the ledger is the right one, delete it"
    )]
    Marker {
        /// The file beside the configuration.
        marker: String,
        /// What is wrong.
        detail: String,
    },
    /// A change that cannot be made, such as a rename to a name that is taken.
    #[error("{0}")]
    Refused(String),
}

/// Where ledgers are kept. All methods may be called from any thread; none blocks the caller's thread on the database.
pub trait Ledger: Send + Sync + 'static {
    /// The latest snapshot, from memory.
    fn snapshot(&self) -> Arc<Snapshot>;

    /// How long ago the snapshot was last known to be the latest.
    fn age(&self) -> Duration;

    /// Asks the database now whether the snapshot is the latest, and fetches what is.
    fn confirm(&self) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>>;

    /// Applies a commit, and answers with the snapshot that holds it.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>>;

    /// A pinned definition's text.
    fn definition(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<str>>, LedgerError>>;

    /// The digests an item of a server ever showed, oldest first: the first and the last 16.
    fn sighted(&self, server: String) -> BoxFuture<'_, Result<Vec<(Item, u64)>, LedgerError>>;

    /// The bytes of every policy in force that is not built in.
    fn policies(&self) -> BoxFuture<'_, Result<Vec<StoredPolicy>, LedgerError>>;

    /// The heads of the audit's files.
    fn audit_heads(&self) -> BoxFuture<'_, Result<Vec<AuditHead>, LedgerError>>;

    /// Follows the revision: the receiver wakes when it moves, by this process or another.
    fn revisions(&self) -> tokio::sync::watch::Receiver<u64>;

    /// Where it is, for messages.
    fn location(&self) -> String;
}

/// How a ledger is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Made if this is the first start.
    CreateIfFirst,
    /// Only if there is one; nothing is written.
    ReadOnly,
}

/// Opens the ledger at `url` (`sqlite:PATH` or a bare path). `marker` is the file beside the configuration that
/// remembers which ledger was in use. None if there is no ledger, and never was, and the mode makes none.
pub async fn open(
    url: &str,
    marker: &std::path::Path,
    mode: OpenMode,
) -> Result<Option<Arc<dyn Ledger>>, LedgerError> {
    sqlite::open(url, marker, mode).await
}

/// A ledger in memory, beginning with a copy of `snapshot` if one is given. Definitions and what items showed are not
/// part of a snapshot: see [`in_memory_over`].
pub fn in_memory(snapshot: Option<&Snapshot>) -> Arc<dyn Ledger> {
    let beginning = snapshot.map_or_else(|| Snapshot::empty("in-memory".into()), Clone::clone);
    Arc::new(memory::Memory::new(beginning, apply::World::now, None))
}

/// A ledger in memory, beginning with what `beneath` holds now; definitions and sighted digests that it does not have
/// itself are looked up there. Nothing is ever written to `beneath`.
pub fn in_memory_over(beneath: Arc<dyn Ledger>) -> Arc<dyn Ledger> {
    let beginning = Snapshot::clone(&beneath.snapshot());
    Arc::new(memory::Memory::new(
        beginning,
        apply::World::now,
        Some(beneath),
    ))
}

/// Milliseconds since the Unix epoch, now.
pub fn now_ms() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}

impl Snapshot {
    /// A ledger at its beginning.
    pub fn empty(ledger_id: Arc<str>) -> Self {
        Self {
            ledger_id,
            revision: 0,
            version: 0,
            facts: Arc::default(),
            sightings: Arc::default(),
            servers: Arc::default(),
            observers: Arc::default(),
            notes: Arc::default(),
        }
    }

    /// A policy's value, fact or sighting.
    pub fn value(&self, namespace: &Namespace, key: &str) -> Option<&str> {
        let section = if key.starts_with(SIGHTING_PREFIX) {
            &self.sightings
        } else {
            &self.facts
        };
        section.get(namespace)?.get(key).map(String::as_str)
    }

    /// A server's observers, in the order in which they began.
    pub fn observers_of<'a>(&'a self, server: &'a str) -> impl Iterator<Item = &'a Observer> {
        let all = self.observers.iter();
        all.filter(move |observer| observer.server == server)
    }
}

impl Commit {
    /// Changes that depend on nothing read.
    pub fn unconditional(ops: Vec<Op>) -> Self {
        Self {
            based_on: None,
            ops,
        }
    }

    /// Changes derived from `snapshot`.
    pub fn based_on(snapshot: &Snapshot, ops: Vec<Op>) -> Self {
        Self {
            based_on: Some(snapshot.version),
            ops,
        }
    }
}

#[cfg(test)]
mod tests;
