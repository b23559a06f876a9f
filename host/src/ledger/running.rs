//! What a running gate's policies are and did: kept where operators' commands can read it.
//!
//! Knows the form of the record, and whether the process that wrote it still runs. Knows nothing of policies.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Observer, Op, Snapshot, observers};

/// Notes whose keys begin so hold the policies of one process: `running/PID`.
const NOTE: &str = "running/";

/// One process, and the policies of its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The process.
    pub pid: u32,
    /// When that process started, where the system tells.
    pub pid_start: Option<u64>,
    /// Its configuration's file, or where one would be looked for.
    pub config: String,
    /// Which chain is in force in it, counted from 1.
    pub generation: u64,
    /// Its policies in order; those that are in force no longer at the end.
    pub policies: Vec<RunningPolicy>,
}

/// A policy of a running process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunningPolicy {
    /// Its name.
    pub name: String,
    /// `builtin`, `configuration` or `directory`.
    pub origin: String,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// What came of its latest change.
    pub outcome: String,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// What is wrong with it, and the mend.
    pub problem: Option<String>,
    /// What is in force, if anything is.
    pub in_force: Option<InForce>,
}

/// What is in force of a policy, and what it did since it is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct InForce {
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
    /// The version of the contract that it was built against.
    pub contract: String,
    /// The hooks it exports.
    pub hooks: Vec<String>,
    /// `enforce` or `monitor`.
    pub mode: String,
    /// Why its verdicts are neither kept nor replayed: what it was granted, or that instances serve again. Empty if they
    /// may be.
    #[serde(default)]
    pub not_replayable: Vec<String>,
    /// What it did.
    pub did: Did,
}

/// What a policy did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Did {
    /// Instances that were used.
    pub instances: u64,
    /// Hooks that were called.
    pub calls: u64,
    /// Hooks that failed, by how.
    pub failures: BTreeMap<String, u64>,
    /// Records of the audit on which it would have had a say if its mode were `enforce`, by code.
    pub would: BTreeMap<String, u64>,
    /// What it counted itself.
    pub counters: BTreeMap<String, u64>,
    /// Its latest failure, if it had one.
    pub last_failure: Option<LastFailure>,
}

/// A hook that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastFailure {
    /// When, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Which hook, and what is known of it. May quote the policy.
    pub what: String,
}

impl Did {
    /// What it did in several processes together.
    pub fn add(&mut self, other: &Self) {
        let sum = |all: &mut BTreeMap<String, u64>, more: &BTreeMap<String, u64>| {
            for (name, count) in more {
                let sum = all.entry(name.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        };
        self.instances = self.instances.saturating_add(other.instances);
        self.calls = self.calls.saturating_add(other.calls);
        sum(&mut self.failures, &other.failures);
        sum(&mut self.would, &other.would);
        sum(&mut self.counters, &other.counters);
        let at = |last: &Option<LastFailure>| last.as_ref().map(|last| last.at_ms);
        if at(&other.last_failure) > at(&self.last_failure) {
            self.last_failure.clone_from(&other.last_failure);
        }
    }
}

/// Keeps what a process says; none when it runs no longer.
pub fn note(pid: u32, running: Option<&Running>) -> Op {
    Op::Note {
        key: format!("{NOTE}{pid}"),
        // A record of numbers and strings is always JSON.
        value: running.and_then(|running| serde_json::to_string(running).ok()),
    }
}

/// What the processes say that run now.
pub fn all(snapshot: &Snapshot) -> Vec<Running> {
    let notes = written(snapshot).filter_map(|(_, value)| serde_json::from_str(value).ok());
    notes.filter(runs).collect()
}

/// Takes away what processes said that run no longer, and what cannot be read.
pub fn leftovers(snapshot: &Snapshot) -> Vec<Op> {
    let left = written(snapshot)
        .filter(|(_, value)| !serde_json::from_str(value).is_ok_and(|running| runs(&running)));
    left.map(|(key, _)| Op::Note {
        key: key.clone(),
        value: None,
    })
    .collect()
}

fn written(snapshot: &Snapshot) -> impl Iterator<Item = (&String, &String)> {
    snapshot
        .notes
        .range(NOTE.to_owned()..)
        .take_while(|(key, _)| key.starts_with(NOTE))
}

fn runs(running: &Running) -> bool {
    observers::alive(&Observer {
        id: String::new(),
        server: String::new(),
        pid: running.pid,
        pid_start: running.pid_start,
        ended: false,
        observation: None,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::{Commit, in_memory};

    fn running(pid: u32, pid_start: Option<u64>) -> Running {
        Running {
            pid,
            pid_start,
            config: "/x".to_owned(),
            generation: 1,
            policies: vec![RunningPolicy::default()],
        }
    }

    #[tokio::test]
    async fn only_what_running_processes_say_counts() {
        let ledger = in_memory(None);
        let (pid, start) = observers::this_process();
        let here = running(pid, start);
        let ops = vec![
            note(pid, Some(&here)),
            note(0, Some(&running(0, None))),
            Op::Note {
                key: "running/1".to_owned(),
                value: Some("no record".to_owned()),
            },
        ];
        let before = ledger.snapshot().revision;
        let snapshot = ledger.commit(Commit::unconditional(ops)).await.unwrap();
        assert_eq!(snapshot.revision, before, "no verdict depends on it");
        assert_eq!(all(&snapshot), [here]);
        let left = leftovers(&snapshot);
        let snapshot = ledger.commit(Commit::unconditional(left)).await.unwrap();
        assert_eq!(snapshot.notes.len(), 1);
    }

    #[test]
    fn what_several_did_is_added_up() {
        let did = |calls, at_ms| Did {
            calls,
            would: BTreeMap::from([("no".to_owned(), calls)]),
            last_failure: Some(LastFailure {
                at_ms,
                what: at_ms.to_string(),
            }),
            ..Did::default()
        };
        let mut sum = did(1, 5);
        sum.add(&did(2, 7));
        sum.add(&did(4, 6));
        assert_eq!((sum.calls, sum.would["no"]), (7, 7));
        assert_eq!(sum.last_failure.unwrap().what, "7");
    }
}
