//! The store on a tape: what is told comes back, however it changed.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use proptest::prelude::*;

use super::scan::{Scan, chain_differences};
use super::world::World;
use crate::ledger::{Namespace, PolicyOrigin, SIGHTING_PREFIX, Snapshot};
use crate::tape::record::{Definition, Items, Store};
use crate::tape::state::States;
use crate::tape::tests::chain;

type Keys = BTreeMap<String, String>;

fn namespace(name: &str) -> Namespace {
    Namespace::new(PolicyOrigin::Directory, name)
}

fn ledger(version: u64, spaces: &[Keys; 2]) -> Snapshot {
    let mut facts = HashMap::new();
    let mut sightings = HashMap::new();
    for (name, keys) in ["p", "q"].iter().zip(spaces) {
        let (seen, known): (Keys, Keys) = keys
            .clone()
            .into_iter()
            .partition(|(key, _)| key.starts_with(SIGHTING_PREFIX));
        facts.insert(namespace(name), known);
        sightings.insert(namespace(name), seen);
    }
    Snapshot {
        version,
        facts: Arc::new(facts),
        sightings: Arc::new(sightings),
        ..Snapshot::empty("l".into())
    }
}

fn keys() -> impl Strategy<Value = Keys> {
    let key = prop_oneof!["[a-d]", "sighting/[a-d]"];
    proptest::collection::btree_map(key, "[a-c]?", 0..6)
}

proptest! {
    /// Snapshots come in any order, some of them again, and a policy comes into the chain only later.
    #[test]
    fn every_state_that_is_told_is_the_store_that_was_read(
        stores in proptest::collection::vec((keys(), keys()), 1..6),
        order in proptest::collection::vec(0_usize..6, 1..24),
        joins in 0_usize..24,
    ) {
        let snapshots: Vec<Snapshot> = stores
            .iter()
            .enumerate()
            .map(|(n, (p, q))| ledger(n as u64, &[p.clone(), q.clone()]))
            .collect();
        let mut states = States::default();
        let mut world = World::default();
        states.watch([namespace("p")]);
        for (step, which) in order.into_iter().enumerate() {
            if step == joins {
                states.watch([namespace("q")]);
            }
            let which = which % snapshots.len();
            let number = states
                .number_of(&snapshots[which], |store| world.store(store))
                .unwrap();
            let state = world.state(number).unwrap();
            prop_assert_eq!(&*state.space("directory/p"), &stores[which].0);
            let q = if step >= joins { stores[which].1.clone() } else { Keys::new() };
            prop_assert_eq!(&*state.space("directory/q"), &q);
        }
    }

    /// A big store is told in portions.
    #[test]
    fn portions_make_up_the_store(sizes in proptest::collection::vec(1_usize..700_000, 1..8)) {
        let store: Keys = sizes
            .iter()
            .enumerate()
            .map(|(n, size)| (format!("k{n}"), "x".repeat(*size)))
            .collect();
        let snapshot = ledger(1, &[store.clone(), Keys::new()]);
        let mut states = States::default();
        states.watch([namespace("p")]);
        let mut world = World::default();
        let mut portions = 0;
        let number = states
            .number_of(&snapshot, |portion| {
                portions += 1;
                world.store(portion)
            })
            .unwrap();
        prop_assert_eq!(&*world.state(number).unwrap().space("directory/p"), &store);
        let bytes: usize = sizes.iter().sum();
        prop_assert!(portions > bytes / 1_800_000, "{} portions of {} bytes", portions, bytes);
    }
}

fn store(state: u64, version: u64, from: Option<u64>, key: &str) -> Store {
    let keys = BTreeMap::from([(key.to_owned(), Some("1".to_owned()))]);
    Store {
        state,
        version,
        from,
        changes: BTreeMap::from([("directory/p".to_owned(), keys)]),
    }
}

/// Somebody who took longer read an older ledger: that is no way back.
#[test]
fn the_store_moves_on_with_the_ledger_s_version_only() {
    let mut world = World::default();
    world.store(store(0, 5, None, "a")).unwrap();
    world.store(store(1, 9, Some(0), "b")).unwrap();
    world.store(store(2, 7, Some(1), "c")).unwrap();
    world.store(store(3, 9, Some(1), "d")).unwrap();
    let advances = world.advances(&Scan::default()).unwrap();
    let keys: Vec<Vec<String>> = advances
        .iter()
        .map(|advance| advance.to.space("directory/p").keys().cloned().collect())
        .collect();
    assert_eq!(keys, [vec!["a"], vec!["a", "b"], vec!["a", "b", "d"]]);
    assert!(advances[0].first && !advances[1].first && !advances[1].own);
    assert!(world.advances(&Scan::default()).unwrap().is_empty());
}

#[test]
fn what_refers_to_nothing_is_refused() {
    let mut world = World::default();
    assert!(world.state(0).is_err() && world.items(Some(0)).is_err());
    assert!(world.store(store(1, 1, Some(0), "a")).is_err());
    world.store(store(1, 1, None, "a")).unwrap();
    assert!(
        world.store(store(1, 1, None, "a")).is_err(),
        "a second time"
    );
    world.store(store(2, 1, None, "a")).unwrap();
    assert!(
        world.store(store(1, 1, Some(1), "a")).is_err(),
        "not the last"
    );
    let items = || Items {
        list: 0,
        items: Vec::new(),
    };
    world.list(items()).unwrap();
    assert!(world.list(items()).is_err(), "a second time");
    let definition = Definition {
        digest: "nonsense".to_owned(),
        text: None,
    };
    assert!(world.define(definition).is_err());
}

#[test]
fn chains_are_told_apart_by_all_that_makes_verdicts() {
    let one = chain(1, &["a", "b"]);
    assert!(chain_differences(&one, &chain(7, &["a", "b"])).is_empty());
    assert_eq!(
        chain_differences(&one, &chain(1, &["b", "a"])),
        ["the order"]
    );
    assert_eq!(
        chain_differences(&one, &chain(1, &["b", "c"])),
        ["- a (a.wasm)", "+ c (c.wasm)"]
    );
    let mut other = one.clone();
    other.policies[1].settings = Some("{}".to_owned());
    other.policies[1].mode = "monitor".to_owned();
    assert_eq!(
        chain_differences(&one, &other),
        ["~ b: other settings, another mode"]
    );
}
