//! Observers that come and go, and what they see.

use std::collections::HashSet;
use std::sync::Arc;

use super::{MAX_SIGHTED, MAX_SIGHTED_BYTES, Work};
use crate::ledger::{LedgerError, Observation, Observer};
use crate::mcp::Item;

impl Work<'_> {
    pub(super) fn observer_begins(&mut self, observer: &Observer) -> Result<(), LedgerError> {
        if self.snapshot.observers.iter().any(|o| o.id == observer.id) {
            return Err(LedgerError::Refused(format!(
                "the observer {} has begun before: ids must be unique",
                observer.id
            )));
        }
        self.tables.put_observer(observer)?;
        Arc::make_mut(&mut self.snapshot.observers).push(observer.clone());
        self.touched.anything = true;
        self.touched.observers = true;
        self.supersede(&observer.server)
    }

    pub(super) fn observer_ends(&mut self, id: &str) -> Result<(), LedgerError> {
        let running = |observer: &Observer| observer.id == id && !observer.ended;
        if !self.snapshot.observers.iter().any(running) {
            return Ok(());
        }
        let mut server = String::new();
        for observer in Arc::make_mut(&mut self.snapshot.observers) {
            if running(observer) {
                observer.ended = true;
                self.tables.put_observer(observer)?;
                server.clone_from(&observer.server);
            }
        }
        self.touched.anything = true;
        self.touched.observers = true;
        self.supersede(&server)
    }

    pub(super) fn observed(
        &mut self,
        id: &str,
        observation: &Observation,
    ) -> Result<(), LedgerError> {
        let Some(at) = self
            .snapshot
            .observers
            .iter()
            .position(|observer| observer.id == id && !observer.ended)
        else {
            return Err(LedgerError::Refused(format!(
                "the observer {id} has not begun, has ended, or its server was forgotten: begin again"
            )));
        };
        let known = &self.snapshot.observers[at];
        let before = known.observation.clone();
        if before.as_deref() == Some(observation) {
            return Ok(());
        }
        let server = known.server.clone();
        let observer = &mut Arc::make_mut(&mut self.snapshot.observers)[at];
        observer.observation = Some(Arc::new(observation.clone()));
        self.tables.put_observer(observer)?;
        self.touched.anything = true;
        self.touched.observers = true;

        // What this observer showed in its last reading is among the sighted already.
        let shown: HashSet<&Item> = before.iter().flat_map(|b| b.items.iter()).collect();
        let mut added = false;
        for item in observation
            .items
            .iter()
            .filter(|item| !shown.contains(item))
        {
            added |= self.tables.sight(&server, item, observation.at_ms)?;
        }
        if added {
            self.bound_sighted(&server)?;
        }
        Ok(())
    }

    /// Drops the oldest of what a server showed until it is within bounds.
    fn bound_sighted(&mut self, server: &str) -> Result<(), LedgerError> {
        let sizes = self.tables.sighted_sizes(server)?;
        let mut rows = sizes.len();
        let mut bytes: u64 = sizes.iter().map(|size| size.bytes).sum();
        let mut until = None;
        for size in &sizes {
            if rows <= MAX_SIGHTED && bytes <= MAX_SIGHTED_BYTES {
                break;
            }
            rows -= 1;
            bytes -= size.bytes;
            until = Some(size.seq);
        }
        match until {
            Some(seq) => self.tables.drop_sighted(server, seq),
            None => Ok(()),
        }
    }

    /// Of a server's observers that ended or died, only the one with the latest reading stays.
    fn supersede(&mut self, server: &str) -> Result<(), LedgerError> {
        let alive = self.world.alive;
        let mut gone: Vec<(Option<u64>, usize, String)> = self
            .snapshot
            .observers
            .iter()
            .enumerate()
            .filter(|(_, o)| o.server == server && (o.ended || !alive(o)))
            .map(|(place, o)| (o.observation.as_ref().map(|o| o.at_ms), place, o.id.clone()))
            .collect();
        gone.sort();
        gone.pop();
        let gone: Vec<String> = gone.into_iter().map(|(_, _, id)| id).collect();
        self.remove_observers(&gone)
    }

    pub(super) fn observer_ids(&self, which: impl Fn(&Observer) -> bool) -> Vec<String> {
        let observers = self.snapshot.observers.iter();
        observers
            .filter(|o| which(o))
            .map(|o| o.id.clone())
            .collect()
    }

    pub(super) fn remove_observers(&mut self, ids: &[String]) -> Result<(), LedgerError> {
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            self.tables.remove_observer(id)?;
        }
        Arc::make_mut(&mut self.snapshot.observers).retain(|o| !ids.contains(&o.id));
        self.touched.anything = true;
        self.touched.observers = true;
        Ok(())
    }
}
