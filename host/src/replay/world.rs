//! What stands on the tape at the moment that is played: states of the store, lists of items, definitions.
//!
//! Knows how they follow from one another. Knows nothing of who reads them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use futures_util::future::{BoxFuture, FutureExt, ready};

use super::Listing;
use super::scan::Scan;
use crate::mcp::Digest;
use crate::policy::Definitions;
use crate::tape::record::{self, Changes, Items, Judged, KEPT_LISTS, KEPT_STATES, Store, What};

/// A policy's keys and values, sightings among them.
pub(super) type Space = Arc<BTreeMap<String, String>>;

/// A state of the store.
#[derive(Clone, Default)]
pub(super) struct State {
    version: u64,
    spaces: BTreeMap<String, Space>,
}

/// The store moved on.
pub(super) struct Advance {
    /// From where; an empty store at the beginning.
    pub(super) from: Arc<State>,
    /// To where.
    pub(super) to: Arc<State>,
    /// Whether by what the process's own policies returned.
    pub(super) own: bool,
    /// Whether this is where the tape begins.
    pub(super) first: bool,
}

/// What stands on the tape at one moment.
#[derive(Default)]
pub(super) struct World {
    states: VecDeque<(u64, Arc<State>)>,
    lists: VecDeque<(u64, Listing)>,
    definitions: Arc<Pinned>,
    /// The latest state, by the ledger's version.
    head: Option<Arc<State>>,
    /// States told since it was last asked for advances.
    told: Vec<u64>,
}

/// The definitions on the tape.
#[derive(Default)]
pub(super) struct Pinned {
    known: RwLock<HashMap<Digest, Option<Arc<str>>>>,
    missed: AtomicU64,
}

impl State {
    /// A namespace's keys and values.
    pub(super) fn space(&self, namespace: &str) -> Space {
        self.spaces.get(namespace).cloned().unwrap_or_default()
    }

    fn apply(&mut self, changes: Changes) {
        for (namespace, changes) in changes {
            let space = self.spaces.entry(namespace).or_default();
            apply(space, changes);
        }
    }
}

/// Applies changes to a space; other holders keep what they have.
pub(super) fn apply(
    space: &mut Space,
    changes: impl IntoIterator<Item = (String, Option<String>)>,
) {
    let mut changes = changes.into_iter().peekable();
    if changes.peek().is_none() {
        return;
    }
    let space = Arc::make_mut(space);
    for (key, value) in changes {
        match value {
            Some(value) => space.insert(key, value),
            None => space.remove(&key),
        };
    }
}

impl World {
    pub(super) fn list(&mut self, items: Items) -> Result<(), String> {
        if self.lists.iter().any(|(list, _)| *list == items.list) {
            return Err(format!("tells list {} a second time", items.list));
        }
        self.lists.push_back((items.list, Arc::new(items.items)));
        if self.lists.len() > KEPT_LISTS {
            self.lists.pop_front();
        }
        Ok(())
    }

    pub(super) fn items(&self, list: Option<u64>) -> Result<Listing, String> {
        let Some(list) = list else {
            return Ok(Listing::default());
        };
        let mut known = self.lists.iter();
        let found = known.find(|(number, _)| *number == list);
        found
            .map(|(_, items)| items.clone())
            .ok_or_else(|| format!("refers to list {list}, which is not told"))
    }

    pub(super) fn define(&self, definition: record::Definition) -> Result<(), String> {
        let digest = definition.digest.parse::<Digest>();
        let digest = digest.map_err(|error| error.to_string())?;
        let mut known = self
            .definitions
            .known
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        known.insert(digest, definition.text);
        Ok(())
    }

    pub(super) fn definitions(&self) -> Arc<Pinned> {
        self.definitions.clone()
    }

    pub(super) fn store(&mut self, store: Store) -> Result<(), String> {
        if store.from == Some(store.state) {
            let last = self.states.back_mut();
            let Some((_, state)) = last.filter(|(number, _)| *number == store.state) else {
                return Err(format!(
                    "goes on with state {}, which is not the last",
                    store.state
                ));
            };
            Arc::make_mut(state).apply(store.changes);
            return Ok(());
        }
        let mut state = match store.from {
            Some(from) => State::clone(&*self.state(from)?),
            None => State::default(),
        };
        state.version = store.version;
        state.apply(store.changes);
        self.keep(store.state, state)
    }

    pub(super) fn state(&self, number: u64) -> Result<Arc<State>, String> {
        let found = self.states.iter().find(|(known, _)| *known == number);
        found
            .map(|(_, state)| state.clone())
            .ok_or_else(|| format!("refers to state {number}, which is not told"))
    }

    fn keep(&mut self, number: u64, state: State) -> Result<(), String> {
        if self.states.iter().any(|(known, _)| *known == number) {
            return Err(format!("tells state {number} a second time"));
        }
        self.states.push_back((number, Arc::new(state)));
        self.told.push(number);
        if self.states.len() > KEPT_STATES {
            self.states.pop_front();
        }
        Ok(())
    }

    /// Takes up what an evaluation's own changes led to.
    pub(super) fn led(
        &mut self,
        judged: &Judged,
        generation: &record::Generation,
    ) -> Result<(), String> {
        let (Some(led), What::Observed(observed)) = (judged.led, &judged.what) else {
            return Ok(());
        };
        if self.state(led.state).is_ok() {
            return Ok(());
        }
        let mut state = State::clone(&*self.state(judged.state)?);
        state.version = led.version;
        for answer in &observed.answers {
            let Some(policy) = generation.policies.get(answer.policy) else {
                return Err(format!(
                    "has an answer of policy {}, which the chain has not",
                    answer.policy
                ));
            };
            let said = answer.said.iter().flatten();
            let changes = said.map(|change| (change.key.clone(), change.value.clone()));
            apply(state.spaces.entry(policy.namespace()).or_default(), changes);
        }
        self.keep(led.state, state)
    }

    /// How the store moved on since this was last asked. A state older than the latest is no move: it was read by
    /// something that took longer.
    pub(super) fn advances(&mut self, scan: &Scan) -> Result<Vec<Advance>, String> {
        let mut advances = Vec::new();
        for number in std::mem::take(&mut self.told) {
            let Ok(to) = self.state(number) else { continue };
            let first = self.head.is_none();
            let from = self.head.clone().unwrap_or_default();
            if first || to.version >= from.version {
                self.head = Some(to.clone());
                let own = scan.is_own(number);
                advances.push(Advance {
                    from,
                    to,
                    own,
                    first,
                });
            }
        }
        Ok(advances)
    }
}

impl Pinned {
    /// How often something was asked for that is not on the tape.
    pub(super) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }
}

impl Definitions for Pinned {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let text = known.get(&digest).cloned().unwrap_or_else(|| {
            self.missed.fetch_add(1, Ordering::Relaxed);
            None
        });
        ready(text).boxed()
    }
}
