//! What a case's hook may read: a ledger in memory that holds the case's store, and the case's definitions.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::Case;
use crate::ledger::{Namespace, SIGHTING_PREFIX, Snapshot};
use crate::mcp::Digest;
use crate::policy::contract::Change;
use crate::policy::{Definitions, View};

/// Definitions that are known from the start.
struct Known(HashMap<Digest, Arc<str>>);

impl Definitions for Known {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        std::future::ready(self.0.get(&digest).cloned()).boxed()
    }
}

/// The view that a policy of this namespace has of a case.
pub(super) fn view(case: &Case, namespace: &Namespace) -> View {
    let (sightings, facts): (BTreeMap<_, _>, BTreeMap<_, _>) = case
        .store
        .clone()
        .into_iter()
        .partition(|(key, _)| key.starts_with(SIGHTING_PREFIX));
    View {
        snapshot: Arc::new(Snapshot {
            facts: Arc::new(HashMap::from([(namespace.clone(), facts)])),
            sightings: Arc::new(HashMap::from([(namespace.clone(), sightings)])),
            ..Snapshot::empty("case".into())
        }),
        definitions: Arc::new(Known(case.definitions.clone())),
        now_ms: case.now_ms,
    }
}

/// The store once the changes are applied.
pub(super) fn applied(
    store: &BTreeMap<String, String>,
    changes: &[Change],
) -> BTreeMap<String, String> {
    let mut store = store.clone();
    for change in changes {
        match &change.value {
            Some(value) => store.insert(change.key.clone(), value.clone()),
            None => store.remove(&change.key),
        };
    }
    store
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_applied_in_their_order() {
        let store = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let change = |key: &str, value: Option<&str>| Change {
            key: key.to_owned(),
            value: value.map(str::to_owned),
            labels: Vec::new(),
        };
        let changes = [
            change("b", Some("1")),
            change("a", None),
            change("b", Some("2")),
            change("never", None),
        ];
        let after = BTreeMap::from([("b".to_owned(), "2".to_owned())]);
        assert_eq!(applied(&store, &changes), after);
    }
}
