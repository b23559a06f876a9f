//! What an operation does, the same for every backend.
//!
//! Knows the rules: which operation is a change, which moves the revision, what is superseded, what is too big, which
//! definitions nothing refers to. Knows nothing of where rows are kept: that is [`Tables`].
//!
//! Bounds, so that a hostile server or a careless policy cannot grow the ledger for ever:
//!
//! - a policy's key, value and number of keys: [`MAX_KEY`], [`MAX_VALUE`], [`MAX_KEYS`]; beyond them a commit is
//!   refused;
//! - what an item showed: the first digest and the last [`LATEST_SIGHTED`];
//! - what a server showed, however its names change: [`MAX_SIGHTED`] digests, [`MAX_SIGHTED_BYTES`] of definitions;
//!   the oldest give way;
//! - definitions: those that nothing refers to go, looked for once [`PRUNE_AFTER`] of them or [`PRUNE_AFTER_BYTES`]
//!   have come;
//! - observers: of those that ended or whose process died, the latest of each server stays.

mod observing;
mod prune;
mod servers;

use std::collections::HashSet;
use std::sync::Arc;

use super::{
    AuditHead, Definition, LedgerError, Namespace, Observer, Op, SIGHTING_PREFIX, ServerRecord,
    Snapshot, StoredPolicy,
};
use crate::mcp::{Digest, Item};

/// The longest key of a policy, bytes.
pub const MAX_KEY: usize = 16 << 10;
/// The longest value of a policy, bytes.
pub const MAX_VALUE: usize = 1 << 20;
/// The most keys of one policy, facts and sightings each.
pub const MAX_KEYS: usize = 200_000;
/// How many digests of an item are kept beside its first.
pub const LATEST_SIGHTED: usize = 16;
/// The most digests kept of one server, all items together.
pub const MAX_SIGHTED: usize = 16_384;
/// The most bytes of definitions kept for one server's sighted digests.
pub const MAX_SIGHTED_BYTES: u64 = 64 << 20;
/// How many definitions come before those that nothing refers to are looked for.
pub const PRUNE_AFTER: u64 = 512;
/// How many bytes of definitions come before those that nothing refers to are looked for.
pub const PRUNE_AFTER_BYTES: u64 = 16 << 20;
/// How long a definition stays although nothing refers to it yet: it may be referred to by a commit that follows.
pub const PRUNE_GRACE_MS: u64 = 60_000;
/// How many bytes of the latest definitions have that grace.
pub const PRUNE_GRACE_BYTES: u64 = 32 << 20;

/// Which of a policy's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Those that verdicts may depend on.
    Facts,
    /// Those under [`SIGHTING_PREFIX`].
    Sightings,
}

impl Part {
    fn of(key: &str) -> Self {
        if key.starts_with(SIGHTING_PREFIX) {
            Self::Sightings
        } else {
            Self::Facts
        }
    }
}

/// What came since definitions were last pruned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Unpruned {
    /// Definitions.
    pub(super) count: u64,
    /// Their bytes.
    pub(super) bytes: u64,
}

/// One definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) digest: Digest,
    pub(super) at_ms: u64,
    pub(super) bytes: u64,
}

/// One sighted digest and the size of its definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SightedSize {
    /// Counts up with every sighted digest of the ledger.
    pub(super) seq: i64,
    /// Bytes of the definition; 0 if it is not pinned.
    pub(super) bytes: u64,
}

/// Rows, as a backend keeps them during one commit. The parts of a [`Snapshot`] are written through; the rest lives
/// here alone. All take effect together, or none.
pub(super) trait Tables {
    fn put_value(
        &mut self,
        part: Part,
        namespace: &Namespace,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), LedgerError>;
    fn put_server(&mut self, name: &str, record: Option<&ServerRecord>) -> Result<(), LedgerError>;
    /// A new observer, after all others, or a change of one.
    fn put_observer(&mut self, observer: &Observer) -> Result<(), LedgerError>;
    fn remove_observer(&mut self, id: &str) -> Result<(), LedgerError>;
    fn put_note(&mut self, key: &str, value: Option<&str>) -> Result<(), LedgerError>;

    /// Pins a definition; false if it was.
    fn define(&mut self, definition: &Definition, now_ms: u64) -> Result<bool, LedgerError>;
    /// Every definition, the latest first.
    fn definitions(&mut self) -> Result<Vec<Pinned>, LedgerError>;
    fn undefine(&mut self, digest: &Digest) -> Result<(), LedgerError>;
    fn unpruned(&mut self) -> &mut Unpruned;

    /// Adds a digest to those an item showed, and drops the second oldest beyond `1 + LATEST_SIGHTED`; false if it
    /// was there.
    fn sight(&mut self, server: &str, item: &Item, at_ms: u64) -> Result<bool, LedgerError>;
    /// What a server showed, oldest first.
    fn sighted_sizes(&mut self, server: &str) -> Result<Vec<SightedSize>, LedgerError>;
    /// Drops what a server showed up to and with `seq`.
    fn drop_sighted(&mut self, server: &str, seq: i64) -> Result<(), LedgerError>;
    fn rename_sighted(&mut self, from: &str, to: &str) -> Result<(), LedgerError>;
    /// The digests of all servers.
    fn sighted_digests(&mut self) -> Result<HashSet<Digest>, LedgerError>;

    /// False if it was there with the same bytes.
    fn put_policy(&mut self, policy: &StoredPolicy) -> Result<bool, LedgerError>;
    /// False if there was none.
    fn remove_policy(&mut self, namespace: &Namespace) -> Result<bool, LedgerError>;
    /// False if it was there.
    fn put_head(&mut self, head: &AuditHead) -> Result<bool, LedgerError>;
}

/// What a commit touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Touched {
    /// Anything at all.
    pub(super) anything: bool,
    /// Something that verdicts may depend on.
    pub(super) revision: bool,
    pub(super) facts: bool,
    pub(super) sightings: bool,
    pub(super) servers: bool,
    pub(super) observers: bool,
    pub(super) notes: bool,
}

/// What the rules need to know of the world.
#[derive(Clone, Copy)]
pub(super) struct World {
    /// Milliseconds since the Unix epoch.
    pub(super) now_ms: u64,
    /// Whether an observer's process lives.
    pub(super) alive: fn(&Observer) -> bool,
}

impl World {
    /// The world as it is.
    pub(super) fn now() -> Self {
        Self {
            now_ms: super::now_ms(),
            alive: super::observers::alive,
        }
    }
}

/// Applies operations in order, to the tables and to the snapshot, whose version and revision move as they should. An
/// error means that neither may be used.
pub(super) fn apply(
    ops: &[Op],
    snapshot: &mut Snapshot,
    tables: &mut dyn Tables,
    world: World,
) -> Result<Touched, LedgerError> {
    let mut work = Work {
        snapshot,
        tables,
        world,
        touched: Touched::default(),
    };
    for op in ops {
        work.op(op)?;
    }
    work.prune(ops)?;
    let touched = work.touched;
    if touched.anything {
        snapshot.version += 1;
    }
    if touched.revision {
        snapshot.revision += 1;
    }
    Ok(touched)
}

struct Work<'a> {
    snapshot: &'a mut Snapshot,
    tables: &'a mut dyn Tables,
    world: World,
    touched: Touched,
}

impl Work<'_> {
    fn op(&mut self, op: &Op) -> Result<(), LedgerError> {
        match op {
            Op::Keep {
                namespace,
                key,
                value,
            } => self.keep(namespace, key, value.as_deref()),
            Op::Define(definition) => {
                if self.tables.define(definition, self.world.now_ms)? {
                    self.touched.anything = true;
                    let unpruned = self.tables.unpruned();
                    unpruned.count += 1;
                    unpruned.bytes += definition.text.len() as u64;
                }
                Ok(())
            }
            Op::Standing { server, record } => self.change_server(
                server,
                record.as_ref().map(|record| record.at_ms),
                true,
                |known| known.standing.clone_from(record),
            ),
            Op::Identity {
                server,
                identity,
                at_ms,
            } => self.change_server(server, Some(*at_ms), false, |known| {
                known.identity = Some(identity.clone());
            }),
            Op::Forget { server } => self.forget(server),
            Op::Rename { from, to } => self.rename(from, to),
            Op::ObserverBegins(observer) => self.observer_begins(observer),
            Op::ObserverEnds { id } => self.observer_ends(id),
            Op::Observed { id, observation } => self.observed(id, observation),
            Op::PolicyInForce(policy) => {
                self.touched.anything |= self.tables.put_policy(policy)?;
                Ok(())
            }
            Op::PolicyForgotten { namespace } => {
                self.touched.anything |= self.tables.remove_policy(namespace)?;
                Ok(())
            }
            Op::AuditHead(head) => {
                self.touched.anything |= self.tables.put_head(head)?;
                Ok(())
            }
            Op::Note { key, value } => self.note(key, value.as_deref()),
        }
    }

    fn keep(
        &mut self,
        namespace: &Namespace,
        key: &str,
        value: Option<&str>,
    ) -> Result<(), LedgerError> {
        let part = Part::of(key);
        let section = match part {
            Part::Facts => &mut self.snapshot.facts,
            Part::Sightings => &mut self.snapshot.sightings,
        };
        let known = section.get(namespace);
        if known.and_then(|keys| keys.get(key)).map(String::as_str) == value {
            return Ok(());
        }
        if let Some(value) = value {
            let who = namespace.as_str();
            if key.len() > MAX_KEY {
                return Err(too_much(who, "a key", MAX_KEY, "bytes"));
            }
            if value.len() > MAX_VALUE {
                return Err(too_much(who, "a value", MAX_VALUE, "bytes"));
            }
            if known.is_some_and(|keys| keys.len() >= MAX_KEYS && !keys.contains_key(key)) {
                return Err(too_much(who, "its store", MAX_KEYS, "keys"));
            }
        }
        self.tables.put_value(part, namespace, key, value)?;
        let section = Arc::make_mut(section);
        match value {
            Some(value) => {
                let keys = section.entry(namespace.clone()).or_default();
                keys.insert(key.to_owned(), value.to_owned());
            }
            None => {
                if let Some(keys) = section.get_mut(namespace) {
                    keys.remove(key);
                    if keys.is_empty() {
                        section.remove(namespace);
                    }
                }
            }
        }
        self.touched.anything = true;
        match part {
            Part::Facts => {
                self.touched.facts = true;
                self.touched.revision = true;
            }
            Part::Sightings => self.touched.sightings = true,
        }
        Ok(())
    }

    /// Changes a server's record; `seen_ms` makes one where there is none.
    fn change_server(
        &mut self,
        name: &str,
        seen_ms: Option<u64>,
        moves_revision: bool,
        change: impl FnOnce(&mut ServerRecord),
    ) -> Result<(), LedgerError> {
        let before = self.snapshot.servers.get(name);
        let mut after = match (before, seen_ms) {
            (Some(before), _) => before.clone(),
            (None, Some(first_seen_ms)) => ServerRecord {
                first_seen_ms,
                ..ServerRecord::default()
            },
            (None, None) => return Ok(()),
        };
        change(&mut after);
        if before == Some(&after) {
            return Ok(());
        }
        self.tables.put_server(name, Some(&after))?;
        Arc::make_mut(&mut self.snapshot.servers).insert(name.to_owned(), after);
        self.touched.anything = true;
        self.touched.servers = true;
        self.touched.revision |= moves_revision;
        Ok(())
    }

    fn note(&mut self, key: &str, value: Option<&str>) -> Result<(), LedgerError> {
        if self.snapshot.notes.get(key).map(String::as_str) == value {
            return Ok(());
        }
        self.tables.put_note(key, value)?;
        let notes = Arc::make_mut(&mut self.snapshot.notes);
        match value {
            Some(value) => notes.insert(key.to_owned(), value.to_owned()),
            None => notes.remove(key),
        };
        self.touched.anything = true;
        self.touched.notes = true;
        Ok(())
    }
}

fn too_much(who: &str, what: &str, limit: usize, unit: &str) -> LedgerError {
    LedgerError::Refused(format!(
        "the policy `{who}` would keep too much: {what} may have {limit} {unit}"
    ))
}
