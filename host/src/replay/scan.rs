//! A first look at a whole tape: whether it can be read, and what must be known before it is played.

use std::collections::BTreeSet;
use std::path::Path;

use super::report::ChainReport;
use crate::tape::record::{Generation, PolicyRecord, Record};
use crate::tape::{Reader, TapeError};

/// What a tape holds.
#[derive(Default)]
pub(super) struct Scan {
    /// The chains, in the order in which they were in force.
    pub(super) generations: Vec<Generation>,
    /// The states that changes of the process itself led to.
    led: BTreeSet<u64>,
    /// Evaluations that could not be kept.
    pub(super) lost: u64,
    /// The times of the first and the last message.
    pub(super) times: Option<(u64, u64)>,
    /// The servers.
    pub(super) servers: BTreeSet<String>,
}

impl Scan {
    pub(super) fn read(tape: &Path) -> Result<Self, TapeError> {
        let mut scan = Self::default();
        for line in Reader::open(tape)? {
            match line?.record {
                Record::Generation(generation) => scan.generations.push(generation),
                Record::Judged(judged) => {
                    scan.led.extend(judged.led.map(|led| led.state));
                    scan.at(judged.now_ms);
                    let server = super::server_of(&judged.what);
                    if !scan.servers.contains(server) {
                        scan.servers.insert(server.to_owned());
                    }
                }
                Record::Again(again) => scan.at(again.now_ms),
                Record::Lost(lost) => scan.lost = scan.lost.saturating_add(lost.evaluations),
                _ => {}
            }
        }
        Ok(scan)
    }

    fn at(&mut self, now_ms: u64) {
        let (first, last) = self.times.unwrap_or((now_ms, now_ms));
        self.times = Some((first.min(now_ms), last.max(now_ms)));
    }

    /// Whether a state came of what the process's own policies returned.
    pub(super) fn is_own(&self, state: u64) -> bool {
        self.led.contains(&state)
    }

    /// How a chain differs from those on the tape: from the last of them, if it is none of them.
    pub(super) fn compared_with(&self, chain: &Generation) -> ChainReport {
        let differences: Vec<_> = self
            .generations
            .iter()
            .map(|generation| chain_differences(generation, chain))
            .collect();
        ChainReport {
            same: differences.iter().all(Vec::is_empty),
            of_tape: self.generations.len(),
            same_as: differences.iter().filter(|d| d.is_empty()).count(),
            differences: differences.into_iter().next_back().unwrap_or_default(),
        }
    }
}

/// How a chain differs from another: what is new, gone, or not what it was; nothing if it must answer the same.
pub fn chain_differences(old: &Generation, new: &Generation) -> Vec<String> {
    let mut found = Vec::new();
    for policy in &old.policies {
        match named(new, policy) {
            None => found.push(format!("- {} ({})", policy.name, policy.file)),
            Some(now) => {
                let what = changes(policy, now);
                if !what.is_empty() {
                    found.push(format!("~ {}: {}", policy.name, what.join(", ")));
                }
            }
        }
    }
    for policy in &new.policies {
        if named(old, policy).is_none() {
            found.push(format!("+ {} ({})", policy.name, policy.file));
        }
    }
    let order = |one: &Generation, other: &Generation| -> Vec<String> {
        let both = one.policies.iter().filter(|p| named(other, p).is_some());
        both.map(PolicyRecord::namespace).collect()
    };
    if order(old, new) != order(new, old) {
        found.push("the order".to_owned());
    }
    found
}

fn named<'a>(chain: &'a Generation, policy: &PolicyRecord) -> Option<&'a PolicyRecord> {
    let same = |other: &&PolicyRecord| other.name == policy.name && other.origin == policy.origin;
    chain.policies.iter().find(same)
}

fn changes(old: &PolicyRecord, new: &PolicyRecord) -> Vec<&'static str> {
    let all = [
        (old.sha256 != new.sha256, "another component"),
        (old.settings != new.settings, "other settings"),
        (old.mode != new.mode, "another mode"),
        (old.grants != new.grants, "other grants"),
        (old.reuse != new.reuse, "other reuse"),
    ];
    let changed = all.into_iter().filter(|(changed, _)| *changed);
    changed.map(|(_, what)| what).collect()
}
