//! A ledger in memory: for trying things out, and as the measure of the others.
//!
//! Knows no file. What it holds is gone with it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use tokio::sync::watch;

use super::apply::{self, LATEST_SIGHTED, Part, Pinned, SightedSize, Tables, Unpruned, World};
use super::{
    AuditHead, Commit, Definition, Ledger, LedgerError, Namespace, Observer, ServerRecord,
    Snapshot, StoredPolicy,
};
use crate::mcp::{Digest, Item, ItemKey};

/// See [`super::in_memory`].
pub(super) struct Memory {
    /// Held for the length of a commit.
    rows: Mutex<Rows>,
    snapshot: ArcSwap<Snapshot>,
    revisions: watch::Sender<u64>,
    world: fn() -> World,
    /// Where definitions are looked up that this ledger does not have itself.
    beneath: Option<Arc<dyn Ledger>>,
}

/// What is not in the snapshot.
#[derive(Clone, Default)]
struct Rows {
    definitions: HashMap<Digest, Kept>,
    next_place: u64,
    unpruned: Unpruned,
    /// By server and item, oldest first.
    sighted: HashMap<String, BTreeMap<ItemKey, Vec<Sighted>>>,
    next_seq: i64,
    policies: BTreeMap<Namespace, StoredPolicy>,
    heads: BTreeMap<String, AuditHead>,
}

#[derive(Clone)]
struct Kept {
    text: Arc<str>,
    at_ms: u64,
    /// Counts up.
    place: u64,
}

#[derive(Clone, Copy)]
struct Sighted {
    seq: i64,
    digest: Digest,
    at_ms: u64,
}

impl Memory {
    pub(super) fn new(
        snapshot: Snapshot,
        world: fn() -> World,
        beneath: Option<Arc<dyn Ledger>>,
    ) -> Self {
        Self {
            rows: Mutex::default(),
            revisions: watch::Sender::new(snapshot.revision),
            snapshot: ArcSwap::from_pointee(snapshot),
            world,
            beneath,
        }
    }

    /// A panic while the lock was held left the rows as they were: they are replaced whole.
    fn rows(&self) -> std::sync::MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn commit_now(&self, commit: &Commit) -> Result<Arc<Snapshot>, LedgerError> {
        let mut rows = self.rows();
        let now = self.snapshot.load_full();
        if commit.based_on.is_some_and(|based| based != now.version) {
            return Err(LedgerError::Conflict { now });
        }
        let mut next_rows = rows.clone();
        let mut next = Snapshot::clone(&now);
        let touched = apply::apply(&commit.ops, &mut next, &mut next_rows, (self.world)())?;
        if !touched.anything {
            return Ok(now);
        }
        *rows = next_rows;
        let next = Arc::new(next);
        self.snapshot.store(Arc::clone(&next));
        if touched.revision {
            self.revisions.send_replace(next.revision);
        }
        Ok(next)
    }
}

impl Ledger for Memory {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    fn age(&self) -> Duration {
        Duration::ZERO
    }

    fn confirm(&self) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>> {
        ready(Ok(self.snapshot())).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>> {
        async move { self.commit_now(&commit) }.boxed()
    }

    fn definition(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<str>>, LedgerError>> {
        let own = self.rows().definitions.get(&digest).cloned();
        match (own, &self.beneath) {
            (None, Some(beneath)) => beneath.definition(digest),
            (own, _) => ready(Ok(own.map(|kept| kept.text))).boxed(),
        }
    }

    fn sighted(&self, server: String) -> BoxFuture<'_, Result<Vec<(Item, u64)>, LedgerError>> {
        let own: Vec<(Item, u64)> = self
            .rows()
            .of(&server)
            .into_iter()
            .map(|(sighted, key)| {
                let (key, digest) = (key.clone(), sighted.digest);
                (Item { key, digest }, sighted.at_ms)
            })
            .collect();
        async move {
            let mut all = match &self.beneath {
                Some(beneath) => beneath.sighted(server).await?,
                None => Vec::new(),
            };
            for (item, at_ms) in own {
                if !all.iter().any(|(known, _)| *known == item) {
                    all.push((item, at_ms));
                }
            }
            Ok(all)
        }
        .boxed()
    }

    fn policies(&self) -> BoxFuture<'_, Result<Vec<StoredPolicy>, LedgerError>> {
        let own: Vec<StoredPolicy> = self.rows().policies.values().cloned().collect();
        async move {
            let mut all = match &self.beneath {
                Some(beneath) => beneath.policies().await?,
                None => Vec::new(),
            };
            all.retain(|policy| !own.iter().any(|newer| newer.namespace == policy.namespace));
            all.extend(own);
            Ok(all)
        }
        .boxed()
    }

    fn audit_heads(&self) -> BoxFuture<'_, Result<Vec<AuditHead>, LedgerError>> {
        let own: Vec<AuditHead> = self.rows().heads.values().cloned().collect();
        async move {
            let mut all = match &self.beneath {
                Some(beneath) => beneath.audit_heads().await?,
                None => Vec::new(),
            };
            all.retain(|head| !own.iter().any(|newer| newer.file == head.file));
            all.extend(own);
            Ok(all)
        }
        .boxed()
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.revisions.subscribe()
    }

    fn location(&self) -> String {
        "in memory".to_owned()
    }
}

impl Rows {
    /// What a server showed, oldest first.
    fn of(&self, server: &str) -> Vec<(Sighted, &ItemKey)> {
        let items = self.sighted.get(server).into_iter().flatten();
        let mut all: Vec<(Sighted, &ItemKey)> = items
            .flat_map(|(key, showings)| showings.iter().map(move |s| (*s, key)))
            .collect();
        all.sort_by_key(|(sighted, _)| sighted.seq);
        all
    }

    fn size_of(&self, digest: &Digest) -> u64 {
        let known = self.definitions.get(digest);
        known.map_or(0, |kept| kept.text.len() as u64)
    }
}

/// The parts of the snapshot are kept by the snapshot itself.
impl Tables for Rows {
    fn put_value(
        &mut self,
        _part: Part,
        _namespace: &Namespace,
        _key: &str,
        _value: Option<&str>,
    ) -> Result<(), LedgerError> {
        Ok(())
    }

    fn put_server(
        &mut self,
        _name: &str,
        _record: Option<&ServerRecord>,
    ) -> Result<(), LedgerError> {
        Ok(())
    }

    fn put_observer(&mut self, _observer: &Observer) -> Result<(), LedgerError> {
        Ok(())
    }

    fn remove_observer(&mut self, _id: &str) -> Result<(), LedgerError> {
        Ok(())
    }

    fn put_note(&mut self, _key: &str, _value: Option<&str>) -> Result<(), LedgerError> {
        Ok(())
    }

    fn define(&mut self, definition: &Definition, now_ms: u64) -> Result<bool, LedgerError> {
        if self.definitions.contains_key(&definition.digest) {
            return Ok(false);
        }
        let kept = Kept {
            text: Arc::clone(&definition.text),
            at_ms: now_ms,
            place: self.next_place,
        };
        self.next_place += 1;
        self.definitions.insert(definition.digest, kept);
        Ok(true)
    }

    fn definitions(&mut self) -> Result<Vec<Pinned>, LedgerError> {
        let mut all: Vec<(&Digest, &Kept)> = self.definitions.iter().collect();
        all.sort_by_key(|(_, kept)| std::cmp::Reverse(kept.place));
        Ok(all
            .into_iter()
            .map(|(digest, kept)| Pinned {
                digest: *digest,
                at_ms: kept.at_ms,
                bytes: kept.text.len() as u64,
            })
            .collect())
    }

    fn undefine(&mut self, digest: &Digest) -> Result<(), LedgerError> {
        self.definitions.remove(digest);
        Ok(())
    }

    fn unpruned(&mut self) -> &mut Unpruned {
        &mut self.unpruned
    }

    fn sight(&mut self, server: &str, item: &Item, at_ms: u64) -> Result<bool, LedgerError> {
        let of_server = self.sighted.entry(server.to_owned()).or_default();
        let showings = of_server.entry(item.key.clone()).or_default();
        if showings.iter().any(|s| s.digest == item.digest) {
            return Ok(false);
        }
        if showings.len() > LATEST_SIGHTED {
            showings.remove(1);
        }
        showings.push(Sighted {
            seq: self.next_seq,
            digest: item.digest,
            at_ms,
        });
        self.next_seq += 1;
        Ok(true)
    }

    fn sighted_sizes(&mut self, server: &str) -> Result<Vec<SightedSize>, LedgerError> {
        let all = self.of(server).into_iter();
        Ok(all
            .map(|(sighted, _)| SightedSize {
                seq: sighted.seq,
                bytes: self.size_of(&sighted.digest),
            })
            .collect())
    }

    fn drop_sighted(&mut self, server: &str, seq: i64) -> Result<(), LedgerError> {
        if let Some(items) = self.sighted.get_mut(server) {
            items.retain(|_, showings| {
                showings.retain(|s| s.seq > seq);
                !showings.is_empty()
            });
        }
        Ok(())
    }

    fn rename_sighted(&mut self, from: &str, to: &str) -> Result<(), LedgerError> {
        if let Some(items) = self.sighted.remove(from) {
            self.sighted.insert(to.to_owned(), items);
        }
        Ok(())
    }

    fn sighted_digests(&mut self) -> Result<HashSet<Digest>, LedgerError> {
        let items = self.sighted.values().flat_map(BTreeMap::values);
        Ok(items.flatten().map(|sighted| sighted.digest).collect())
    }

    fn put_policy(&mut self, policy: &StoredPolicy) -> Result<bool, LedgerError> {
        let before = self
            .policies
            .insert(policy.namespace.clone(), policy.clone());
        Ok(before.as_ref() != Some(policy))
    }

    fn remove_policy(&mut self, namespace: &Namespace) -> Result<bool, LedgerError> {
        Ok(self.policies.remove(namespace).is_some())
    }

    fn put_head(&mut self, head: &AuditHead) -> Result<bool, LedgerError> {
        let before = self.heads.insert(head.file.clone(), head.clone());
        Ok(before.as_ref() != Some(head))
    }
}
