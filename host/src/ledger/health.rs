//! How a running gate finds the servers that it serves: kept where operators' commands can read it.
//!
//! Knows the form of the record, and whether the process that wrote it still runs. Knows nothing of servers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Observer, Op, Snapshot, observers};

/// Notes whose keys begin so hold one server's health, as one process found it: `health/PID/NAME`.
const NOTE: &str = "health/";

/// How a server is, as one process found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The process that serves it.
    pub pid: u32,
    /// When that process started, where the system tells.
    pub pid_start: Option<u64>,
    /// Whether it answers; none if nobody used it yet.
    pub up: Option<bool>,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// Sessions with it.
    pub sessions: usize,
    /// Why it is not up, escaped; empty if it is.
    pub detail: String,
}

/// Keeps a server's health; none when the process serves it no longer.
pub fn note(server: &str, pid: u32, health: Option<&Health>) -> Op {
    Op::Note {
        key: format!("{NOTE}{pid}/{server}"),
        // A record of numbers and strings is always JSON.
        value: health.and_then(|health| serde_json::to_string(health).ok()),
    }
}

/// What running processes say of a server.
pub fn of_server(snapshot: &Snapshot, server: &str) -> Vec<Health> {
    all(&snapshot.notes)
        .filter(|(name, health)| *name == server && runs(health))
        .map(|(_, health)| health)
        .collect()
}

/// Takes away what processes said that run no longer.
pub fn leftovers(snapshot: &Snapshot) -> Vec<Op> {
    all(&snapshot.notes)
        .filter(|(_, health)| !runs(health))
        .map(|(name, health)| note(name, health.pid, None))
        .collect()
}

fn all(notes: &BTreeMap<String, String>) -> impl Iterator<Item = (&str, Health)> {
    notes
        .range(NOTE.to_owned()..)
        .take_while(|(key, _)| key.starts_with(NOTE))
        .filter_map(|(key, value)| {
            let (_, server) = key[NOTE.len()..].split_once('/')?;
            Some((server, serde_json::from_str(value).ok()?))
        })
}

fn runs(health: &Health) -> bool {
    observers::alive(&Observer {
        id: String::new(),
        server: String::new(),
        pid: health.pid,
        pid_start: health.pid_start,
        ended: false,
        observation: None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::{Commit, in_memory};

    fn health(pid: u32, pid_start: Option<u64>) -> Health {
        Health {
            pid,
            pid_start,
            up: Some(false),
            since_ms: 7,
            sessions: 1,
            detail: "refused".to_owned(),
        }
    }

    #[tokio::test]
    async fn only_what_running_processes_say_counts() {
        let ledger = in_memory(None);
        let (pid, start) = observers::this_process();
        let here = health(pid, start);
        let gone = health(pid, start.map(|start| start + 1).or(Some(0)));
        let other = health(0, None);
        let ops = vec![
            note("s", pid, Some(&here)),
            note("t", pid, Some(&gone)),
            note("s", 0, Some(&other)),
        ];
        let commit = Commit {
            based_on: None,
            ops,
        };
        let snapshot = ledger.commit(commit).await.unwrap();
        assert_eq!(of_server(&snapshot, "s"), [here]);
        let left = leftovers(&snapshot);
        assert!(
            left.iter()
                .any(|op| matches!(op, Op::Note { key, value: None } if key == "health/0/s")),
            "{left:?}"
        );
    }
}
