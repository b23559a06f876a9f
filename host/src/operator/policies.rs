//! The policies as an operator sees them: those of the gates that run, or those that a gate would put in force.
//!
//! Knows how what several gates say is put together. Knows nothing of how it is shown.

use std::collections::BTreeMap;

use crate::chain::build::outcome::{Outcome, Status};
use crate::chain::build::told::told;
use crate::config::Config;
use crate::ledger::Snapshot;
use crate::ledger::running::{self, InForce, RunningPolicy};

/// What there is to see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policies {
    /// How many gates run with this configuration.
    pub gates: usize,
    /// Their policies, in order; where none runs, those that one would have.
    pub all: Vec<PolicyView>,
}

/// A policy, the same in one gate or in several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyView {
    /// What the gates say of it; what it did, added up.
    pub told: RunningPolicy,
    /// Its place in the chain, from 1; none if it is not in force.
    pub order: Option<usize>,
    /// How many gates have it so.
    pub gates: usize,
}

impl PolicyView {
    /// What came of its latest change, if this version knows the word.
    pub fn outcome(&self) -> Option<Outcome> {
        Outcome::from_word(&self.told.outcome)
    }

    /// Whether older bytes are in force than its file should give.
    pub fn last_good(&self) -> bool {
        let waits = matches!(self.outcome(), Some(Outcome::Rejected | Outcome::Pending));
        self.told.in_force.is_some() && waits
    }

    /// What is the same where the policy is the same.
    fn key(told: &RunningPolicy) -> [&str; 4] {
        let in_force = told.in_force.as_ref();
        let of = |pick: fn(&InForce) -> &String| in_force.map_or("", |one| pick(one));
        [
            &told.origin,
            &told.name,
            of(|one| &one.sha256),
            of(|one| &one.mode),
        ]
    }
}

/// What the gates that run with a configuration have in force; none if no such gate runs.
pub fn of_gates(config: &Config, snapshot: &Snapshot) -> Option<Policies> {
    let file = config.expected_file().display().to_string();
    let mut gates = running::all(snapshot);
    gates.retain(|gate| gate.config == file);
    // The newest chain is likely the one that the others are about to have.
    gates.sort_by_key(|gate| {
        let latest = gate.policies.iter().map(|policy| policy.since_ms).max();
        std::cmp::Reverse(latest)
    });
    if gates.is_empty() {
        return None;
    }
    let lists = gates.iter().map(|gate| gate.policies.clone());
    Some(Policies {
        gates: gates.len(),
        all: together(lists),
    })
}

/// What a gate would put in force.
pub fn would_be(statuses: &[Status]) -> Policies {
    let list = statuses
        .iter()
        .map(|status| told(status, |_| BTreeMap::new()));
    let mut all = together([list.collect()]);
    for policy in &mut all {
        policy.gates = 0;
    }
    Policies { gates: 0, all }
}

fn together(lists: impl IntoIterator<Item = Vec<RunningPolicy>>) -> Vec<PolicyView> {
    let mut all: Vec<PolicyView> = Vec::new();
    for list in lists {
        let mut place = 0;
        for told in list {
            let order = told.in_force.is_some().then(|| {
                place += 1;
                place
            });
            let same =
                |view: &&mut PolicyView| PolicyView::key(&view.told) == PolicyView::key(&told);
            match all.iter_mut().find(same) {
                Some(view) => view.add(&told),
                None => all.push(PolicyView {
                    told,
                    order,
                    gates: 1,
                }),
            }
        }
    }
    // What is not in force has no place, and comes last; what never will be again, last of all.
    all.sort_by_key(|view| {
        let removed = view.outcome() == Some(Outcome::Removed);
        (removed, view.order.unwrap_or(usize::MAX))
    });
    all
}

impl PolicyView {
    fn add(&mut self, told: &RunningPolicy) {
        self.gates += 1;
        if let (Some(all), Some(more)) = (&mut self.told.in_force, &told.in_force) {
            all.did.add(&more.did);
        }
        // One that is in trouble somewhere is in trouble; otherwise the latest change counts.
        let worse = told.problem.is_some() && self.told.problem.is_none();
        let later = told.since_ms > self.told.since_ms
            && told.problem.is_some() == self.told.problem.is_some();
        if worse || later {
            self.told.outcome.clone_from(&told.outcome);
            self.told.problem.clone_from(&told.problem);
            self.told.since_ms = told.since_ms;
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::ledger::running::Did;

    fn policy(name: &str, sha256: &str, outcome: Outcome, calls: u64) -> RunningPolicy {
        RunningPolicy {
            name: name.to_owned(),
            origin: "directory".to_owned(),
            outcome: outcome.word().to_owned(),
            since_ms: calls,
            problem: (outcome == Outcome::Rejected).then(|| "bad".to_owned()),
            in_force: (!sha256.is_empty()).then(|| InForce {
                sha256: sha256.to_owned(),
                mode: "enforce".to_owned(),
                did: Did {
                    calls,
                    ..Did::default()
                },
                ..InForce::default()
            }),
            ..RunningPolicy::default()
        }
    }

    #[test]
    fn what_gates_have_alike_is_one_policy_and_what_they_have_otherwise_is_another() {
        let one = vec![
            policy("a", "1", Outcome::Installed, 1),
            policy("b", "2", Outcome::Rejected, 2),
            policy("c", "", Outcome::Rejected, 0),
        ];
        let other = vec![
            policy("a", "1", Outcome::Unchanged, 10),
            policy("b", "2", Outcome::Unchanged, 20),
            policy("b", "3", Outcome::Updated, 30),
        ];
        let all = together([one, other]);
        let shown: Vec<_> = all
            .iter()
            .map(|view| {
                let calls = view.told.in_force.as_ref().map(|one| one.did.calls);
                (
                    &*view.told.name,
                    view.order,
                    view.gates,
                    calls,
                    &*view.told.outcome,
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("a", Some(1), 2, Some(11), "unchanged"),
                ("b", Some(2), 2, Some(22), "rejected"),
                ("b", Some(3), 1, Some(30), "updated"),
                ("c", None, 1, None, "rejected"),
            ]
        );
        assert!(all[1].last_good() && !all[3].last_good());
    }
}
