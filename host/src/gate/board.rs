//! What this process's policies are and did, for operators' commands.
//!
//! Knows when that is worth writing down: at once if what is in force changed, else every few seconds at most, and
//! never while a message waits. Knows nothing of what changed it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::audit::Record;
use crate::chain::build::told::told;
use crate::chain::visibility::WOULD;
use crate::gate::Host;
use crate::ledger::running::{self, Running};
use crate::ledger::{Commit, Op, observers};
use crate::policy::Policy;

/// How often what policies did is written down.
const EVERY: Duration = Duration::from_secs(3);

/// The most codes of one policy that are counted apart.
const MAX_CODES: usize = 64;

/// The code under which those beyond [`MAX_CODES`] are counted.
const OTHERS: &str = "others";

/// What was written down, and what is counted here.
pub(super) struct Board {
    tallies: Arc<Tallies>,
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    at: Option<Instant>,
    running: Option<Running>,
}

/// Would-be verdicts, by policy and code.
#[derive(Default)]
struct Tallies(Mutex<HashMap<Arc<str>, Tally>>);

#[derive(Default)]
struct Tally {
    /// Whose they are: another policy under the same name begins anew.
    policy: Weak<Policy>,
    by_code: BTreeMap<String, u64>,
}

impl Board {
    /// Counts from now on.
    pub(super) fn new(host: &Host) -> Arc<Self> {
        let tallies: Arc<Tallies> = Arc::default();
        let counts = tallies.clone();
        host.audit.shown_to(move |record| counts.count(record));
        Arc::new(Self {
            tallies,
            written: Mutex::default(),
        })
    }

    /// Writes down what there is, if it differs from what was: with `at_once` now, else once it is time again.
    pub(super) async fn tell(&self, host: &Host, at_once: bool) {
        let (first, due) = {
            let written = lock(&self.written);
            let due = written.at.is_none_or(|at| at.elapsed() >= EVERY);
            (written.at.is_none(), due)
        };
        if !due && !at_once {
            return;
        }
        let now = self.running(host);
        if lock(&self.written).running.as_ref() == Some(&now) {
            return;
        }
        let mut ops = Vec::new();
        if first {
            ops = running::leftovers(&host.ledger.snapshot());
        }
        ops.push(running::note(now.pid, Some(&now)));
        match host.ledger.commit(Commit::unconditional(ops)).await {
            Ok(_) => {
                *lock(&self.written) = Written {
                    at: Some(Instant::now()),
                    running: Some(now),
                };
            }
            // The ledger's own troubles are told where calls depend on it.
            Err(error) => tracing::debug!("what policies did is not written down: {error}"),
        }
    }

    /// Takes away again what was written down.
    pub(super) async fn farewell(&self, host: &Host) {
        let (pid, _) = observers::this_process();
        let ops: Vec<Op> = vec![running::note(pid, None)];
        if let Err(error) = host.ledger.commit(Commit::unconditional(ops)).await {
            tracing::debug!("what policies did is not taken away: {error}");
        }
    }

    fn running(&self, host: &Host) -> Running {
        let (pid, pid_start) = observers::this_process();
        let statuses = host.builder.statuses();
        Running {
            pid,
            pid_start,
            config: host.config.load().expected_file().display().to_string(),
            generation: host.chain.current().id,
            policies: statuses
                .iter()
                .map(|status| told(status, |policy| self.tallies.of(policy)))
                .collect(),
        }
    }
}

impl Tallies {
    /// Counts what a record says of verdicts that do not bind.
    fn count(&self, record: &Record) {
        for (policy, code) in &record.codes {
            let Some(code) = code.strip_prefix(WOULD) else {
                continue;
            };
            let mut tallies = lock(&self.0);
            // Names of policies are the operator's: there are as many as there are policies.
            let by_code = &mut tallies.entry(policy.clone()).or_default().by_code;
            let code = if by_code.contains_key(code) || by_code.len() < MAX_CODES {
                code
            } else {
                OTHERS
            };
            *by_code.entry(code.to_owned()).or_default() += 1;
        }
    }

    fn of(&self, policy: &Arc<Policy>) -> BTreeMap<String, u64> {
        let mut tallies = lock(&self.0);
        let tally = tallies.entry(policy.name().clone()).or_default();
        let known = tally.policy.upgrade();
        if known.is_some_and(|known| !Arc::ptr_eq(&known, policy)) || tally.is_of_another() {
            tally.by_code.clear();
        }
        tally.policy = Arc::downgrade(policy);
        tally.by_code.clone()
    }
}

impl Tally {
    /// Whether it was of a policy that is there no longer.
    fn is_of_another(&self) -> bool {
        self.policy.strong_count() == 0 && !self.policy.ptr_eq(&Weak::new())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verdicts_that_do_not_bind_are_counted_and_codes_are_bounded() {
        let tallies = Tallies::default();
        let codes = |all: &[(&str, &str)]| Record {
            codes: all
                .iter()
                .map(|(policy, code)| ((*policy).into(), (*code).to_owned()))
                .collect(),
            ..Record::default()
        };
        tallies.count(&codes(&[("a", "would:no"), ("a", "no"), ("b", "would:no")]));
        tallies.count(&codes(&[("a", "would:no")]));
        for number in 0..MAX_CODES + 10 {
            tallies.count(&codes(&[("b", &format!("would:c{number}"))]));
        }
        let all = lock(&tallies.0);
        assert_eq!(all["a"].by_code, BTreeMap::from([("no".to_owned(), 2)]));
        assert_eq!(all["b"].by_code.len(), MAX_CODES + 1);
        assert_eq!(all["b"].by_code[OTHERS], 11);
    }
}
