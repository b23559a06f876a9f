//! States of the store, told as what differs.
//!
//! Knows which states a file can still refer to, and how two of them differ. Only the namespaces of policies that are
//! or were in the chain are looked at.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::record::{Changes, KEPT_STATES, Store};
use crate::ledger::{Namespace, Snapshot};

/// About how many bytes of keys and values one record holds.
const CHUNK: usize = 1 << 20;

type Section = Arc<HashMap<Namespace, BTreeMap<String, String>>>;

/// The states that were told, and what they are made of.
#[derive(Default)]
pub(crate) struct States {
    kept: VecDeque<Kept>,
    next: u64,
    watched: Arc<BTreeSet<Namespace>>,
}

/// A state. It keeps the snapshot's maps alive, so that no other can come to stand at their addresses.
struct Kept {
    number: u64,
    facts: Section,
    sightings: Section,
    watched: Arc<BTreeSet<Namespace>>,
}

impl Kept {
    fn is(&self, snapshot: &Snapshot, watched: &Arc<BTreeSet<Namespace>>) -> bool {
        Arc::ptr_eq(&self.facts, &snapshot.facts)
            && Arc::ptr_eq(&self.sightings, &snapshot.sightings)
            && Arc::ptr_eq(&self.watched, watched)
    }
}

impl States {
    /// These namespaces are looked at too from now on.
    pub(crate) fn watch(&mut self, namespaces: impl IntoIterator<Item = Namespace>) {
        let mut watched = BTreeSet::clone(&self.watched);
        watched.extend(namespaces);
        if watched != *self.watched {
            self.watched = Arc::new(watched);
        }
    }

    /// The number of a snapshot's state. If it was not told yet, `tell` is given the records that tell it.
    pub(crate) fn number_of<E>(
        &mut self,
        snapshot: &Snapshot,
        mut tell: impl FnMut(Store) -> Result<(), E>,
    ) -> Result<u64, E> {
        if let Some(number) = self.known(snapshot) {
            return Ok(number);
        }
        let before = self.kept.back();
        let from = before.map(|kept| kept.number);
        let changes = differences(before, snapshot, &self.watched);
        if let Some(from) = from.filter(|_| changes.is_empty()) {
            self.keep(from, snapshot);
            return Ok(from);
        }
        let state = self.next;
        let mut from = from;
        for changes in chunks(changes) {
            tell(Store {
                state,
                version: snapshot.version,
                from,
                changes,
            })?;
            from = Some(state);
        }
        self.next += 1;
        self.keep(state, snapshot);
        Ok(state)
    }

    /// The number of the state that changes led to, which are told already.
    pub(super) fn led_to(&mut self, snapshot: &Snapshot) -> u64 {
        if let Some(number) = self.known(snapshot) {
            return number;
        }
        let state = self.next;
        self.next += 1;
        self.keep(state, snapshot);
        state
    }

    fn known(&self, snapshot: &Snapshot) -> Option<u64> {
        let mut kept = self.kept.iter().rev();
        kept.find(|kept| kept.is(snapshot, &self.watched))
            .map(|kept| kept.number)
    }

    /// A state that shows itself under other addresses takes the place of what it was: the same number is kept once.
    fn keep(&mut self, number: u64, snapshot: &Snapshot) {
        self.kept.retain(|kept| kept.number != number);
        self.kept.push_back(Kept {
            number,
            facts: snapshot.facts.clone(),
            sightings: snapshot.sightings.clone(),
            watched: self.watched.clone(),
        });
        while self.kept.len() > KEPT_STATES {
            self.kept.pop_front();
        }
    }
}

/// What differs in a snapshot from a state before, in the namespaces that are looked at.
fn differences(before: Option<&Kept>, after: &Snapshot, watched: &BTreeSet<Namespace>) -> Changes {
    let nothing = BTreeMap::new();
    let mut changes = Changes::new();
    for namespace in watched {
        let was = before.filter(|kept| kept.watched.contains(namespace));
        let mut found = BTreeMap::new();
        for (old, new) in [
            (was.map(|kept| &kept.facts), &after.facts),
            (was.map(|kept| &kept.sightings), &after.sightings),
        ] {
            if old.is_some_and(|old| Arc::ptr_eq(old, new)) {
                continue;
            }
            let old = old.and_then(|old| old.get(namespace)).unwrap_or(&nothing);
            let new = new.get(namespace).unwrap_or(&nothing);
            compare(old, new, &mut found);
        }
        if !found.is_empty() {
            changes.insert(namespace.as_str().to_owned(), found);
        }
    }
    changes
}

/// Puts every key whose value differs into `found`, with the value it has now. Walks both maps once.
pub(crate) fn compare(
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    found: &mut BTreeMap<String, Option<String>>,
) {
    let mut old = old.iter().peekable();
    let mut new = new.iter().peekable();
    loop {
        let order = match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((a, _)), Some((b, _))) => a.cmp(b),
        };
        match order {
            std::cmp::Ordering::Less => {
                if let Some((key, _)) = old.next() {
                    found.insert(key.clone(), None);
                }
            }
            std::cmp::Ordering::Greater => {
                if let Some((key, value)) = new.next() {
                    found.insert(key.clone(), Some(value.clone()));
                }
            }
            std::cmp::Ordering::Equal => {
                if let (Some((_, was)), Some((key, is))) = (old.next(), new.next())
                    && was != is
                {
                    found.insert(key.clone(), Some(is.clone()));
                }
            }
        }
    }
}

/// Changes in portions, so that no line holds a whole store; one portion at least.
fn chunks(changes: Changes) -> Vec<Changes> {
    let mut chunks = Vec::new();
    let mut chunk = Changes::new();
    let mut bytes = 0;
    for (namespace, changes) in changes {
        for (key, value) in changes {
            bytes += key.len() + value.as_ref().map_or(0, String::len);
            chunk
                .entry(namespace.clone())
                .or_default()
                .insert(key, value);
            if bytes > CHUNK {
                chunks.push(std::mem::take(&mut chunk));
                bytes = 0;
            }
        }
    }
    if !chunk.is_empty() || chunks.is_empty() {
        chunks.push(chunk);
    }
    chunks
}
