//! A snapshot with changes that are not committed yet, so that the second decision of a command sees the first.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::ledger::{Namespace, Op, SIGHTING_PREFIX, Snapshot};
use crate::policy::contract::Change;

/// A snapshot, and what was done to it since.
pub(super) struct Overlay {
    snapshot: Arc<Snapshot>,
    /// The changes so far, in order, for one commit.
    pub(super) ops: Vec<Op>,
}

impl Overlay {
    pub(super) fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            ops: Vec::new(),
        }
    }

    /// As it stands with the changes.
    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// Applies what a hook returned.
    pub(super) fn apply(&mut self, namespace: &Namespace, changes: Vec<Change>) {
        let mut snapshot = (*self.snapshot).clone();
        for change in changes {
            let part = if change.key.starts_with(SIGHTING_PREFIX) {
                &mut snapshot.sightings
            } else {
                &mut snapshot.facts
            };
            keep(Arc::make_mut(part), namespace, &change);
            self.ops.push(Op::Keep {
                namespace: namespace.clone(),
                key: change.key,
                value: change.value,
            });
        }
        self.snapshot = Arc::new(snapshot);
    }
}

fn keep(
    part: &mut HashMap<Namespace, BTreeMap<String, String>>,
    namespace: &Namespace,
    change: &Change,
) {
    let keys = part.entry(namespace.clone()).or_default();
    match &change.value {
        Some(value) => keys.insert(change.key.clone(), value.clone()),
        None => keys.remove(&change.key),
    };
}
