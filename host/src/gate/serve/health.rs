//! How the servers are that this process serves.
//!
//! Knows what the sessions say of them, and when that is worth writing down.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;
use crate::gate::host::now_ms;
use crate::ledger::health::{self, Health};
use crate::ledger::{Op, observers};
use crate::mcp::escape::visible_cut;

/// The most characters that are kept of why a server is not up.
const SHOWN: usize = 300;

/// The servers' health, by name.
#[derive(Default)]
pub(super) struct Board(Mutex<BTreeMap<String, Entry>>);

#[derive(Default)]
struct Entry {
    up: Option<bool>,
    since_ms: u64,
    detail: String,
    written: Option<Health>,
}

impl Board {
    /// The server answers.
    pub(super) fn up(&self, server: &str) {
        self.say(server, true, "");
    }

    /// The server cannot be reached, or ended.
    pub(super) fn down(&self, server: &str, why: &str) {
        self.say(server, false, why);
    }

    fn say(&self, server: &str, up: bool, detail: &str) {
        let mut all = lock(&self.0);
        if !all.contains_key(server) {
            all.insert(server.to_owned(), Entry::default());
        }
        let Some(entry) = all.get_mut(server) else {
            return;
        };
        if entry.up != Some(up) {
            entry.up = Some(up);
            entry.since_ms = now_ms();
        }
        if entry.detail != detail {
            entry.detail = visible_cut(detail, SHOWN).into_owned();
        }
    }

    /// What must be written down since last time, given how many sessions each server has.
    pub(super) fn changes(&self, sessions: &BTreeMap<String, usize>) -> Vec<Op> {
        let (pid, pid_start) = observers::this_process();
        let mut all = lock(&self.0);
        for server in sessions.keys() {
            all.entry(server.clone()).or_default();
        }
        let mut ops = Vec::new();
        for (server, entry) in all.iter_mut() {
            let now = Health {
                pid,
                pid_start,
                up: entry.up,
                since_ms: entry.since_ms,
                sessions: sessions.get(server).copied().unwrap_or_default(),
                detail: entry.detail.clone(),
            };
            if entry.written.as_ref() != Some(&now) {
                ops.push(health::note(server, pid, Some(&now)));
                entry.written = Some(now);
            }
        }
        ops
    }

    /// Takes everything away again.
    pub(super) fn farewell(&self) -> Vec<Op> {
        let (pid, _) = observers::this_process();
        let mut all = lock(&self.0);
        let ops = all
            .iter()
            .filter(|(_, entry)| entry.written.is_some())
            .map(|(server, _)| health::note(server, pid, None))
            .collect();
        all.clear();
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let board = Board::default();
        let none = BTreeMap::new();
        board.up("s");
        assert_eq!(board.changes(&none).len(), 1);
        board.up("s");
        assert!(board.changes(&none).is_empty());
        board.down("s", "refused");
        assert_eq!(board.changes(&none).len(), 1);
        let one = BTreeMap::from([("s".to_owned(), 1), ("t".to_owned(), 0)]);
        assert_eq!(
            board.changes(&one).len(),
            2,
            "a session more, and a server nobody used yet"
        );
        assert_eq!(board.farewell().len(), 2);
        assert!(board.farewell().is_empty());
    }
}
