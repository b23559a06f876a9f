//! A policy's status and what it did, in the form in which the ledger keeps it for operators' commands.
//!
//! Knows both forms. Counts nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::outcome::Status;
use crate::ledger::running::{Did, InForce, LastFailure, RunningPolicy};
use crate::mcp::escape::visible_cut;
use crate::policy::{Policy, Stats};

/// The longest problem that is kept, characters.
const SHOWN: usize = 2_000;

/// A status with what the policy did; `would`: what its verdicts would have done that did not bind, by code.
pub fn told(
    status: &Status,
    would: impl Fn(&Arc<Policy>) -> BTreeMap<String, u64>,
) -> RunningPolicy {
    let problem = status.problem.as_deref();
    RunningPolicy {
        name: status.name.clone(),
        origin: status.origin.word().to_owned(),
        file: status.file.clone(),
        outcome: status.outcome.word().to_owned(),
        since_ms: status.since_ms,
        problem: problem.map(|problem| cut(problem, SHOWN)),
        in_force: status.policy.as_ref().map(|policy| {
            let hooks = policy.hooks().words();
            InForce {
                sha256: policy.sha256().to_owned(),
                contract: policy.contract_version().to_owned(),
                hooks: hooks.into_iter().map(str::to_owned).collect(),
                mode: policy.source().mode.word().to_owned(),
                not_replayable: policy.source().not_replayable(),
                did: Did {
                    would: would(policy),
                    ..did(policy)
                },
            }
        }),
    }
}

/// What a policy did, as far as it knows itself.
fn did(policy: &Policy) -> Did {
    let Stats {
        calls,
        traps,
        timeouts,
        out_of_memory,
        bad_output,
        host,
        instances,
    } = policy.stats();
    let failures = [
        ("trap", traps),
        ("timeout", timeouts),
        ("out-of-memory", out_of_memory),
        ("bad-output", bad_output),
        ("host", host),
    ];
    let failed = failures.into_iter().filter(|(_, count)| *count > 0);
    Did {
        instances,
        calls,
        failures: failed.map(|(how, count)| (how.to_owned(), count)).collect(),
        would: BTreeMap::new(),
        counters: policy.counted(),
        last_failure: policy.last_failure().map(|(at_ms, failure)| LastFailure {
            at_ms,
            what: visible_cut(&format!("{}: {}", failure.hook, failure.detail), SHOWN).into_owned(),
        }),
    }
}

/// Cuts text that is escaped where it is shown.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
