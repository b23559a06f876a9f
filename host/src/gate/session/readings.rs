//! When lists are read.
//!
//! One reading runs and one waits, however often a server says that something changed. What the client asks for is
//! read at once; what a server's notifications ask for, at most ten times a second.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::lane::Task;
use super::{Core, Own, Phase};
use crate::chain::Protocol;
use crate::gate::reading::{Outcome, Reading, ReadingError, Step, list_method};
use crate::mcp::ItemKind;

/// The least time between two readings that a server's notifications brought about.
const PACE: Duration = Duration::from_millis(100);

/// How long after a reading that failed it is tried again.
const RETRY: Duration = Duration::from_secs(2);

/// The state of reading.
#[derive(Default)]
pub(super) struct Readings {
    running: Option<Reading>,
    number: u64,
    deadline: Option<Instant>,
    /// Kinds to be read next; true if the client waits for it.
    wanted: BTreeMap<ItemKind, bool>,
    last_begun: Option<Instant>,
    settled: u64,
    judging: bool,
    /// For each kind that failed: why, since when it fails.
    failed: BTreeMap<ItemKind, (ReadingError, Instant)>,
    /// Kinds that were read at least once.
    read: BTreeSet<ItemKind>,
    /// When what failed is to be tried again.
    retry: Option<Instant>,
    resubscribe: bool,
}

impl Readings {
    /// The number of the last reading that began.
    pub(super) const fn begun(&self) -> u64 {
        self.number
    }

    /// The number of the last reading that is judged.
    pub(super) const fn settled_number(&self) -> u64 {
        self.settled
    }

    /// Why a kind could not be read, and since when, if its last reading failed.
    pub(super) fn failure(&self, kind: ItemKind) -> Option<&(ReadingError, Instant)> {
        self.failed.get(&kind)
    }

    /// Whether a kind was ever read.
    pub(super) fn was_read(&self, kind: ItemKind) -> bool {
        self.read.contains(&kind)
    }

    /// Whether a reading runs, is judged, or waits.
    pub(super) fn is_busy(&self) -> bool {
        self.running.is_some() || self.judging || !self.wanted.is_empty()
    }

    /// When the core must be woken for a reading's sake.
    pub(super) fn wake(&self) -> Option<Instant> {
        let paced = self
            .last_begun
            .filter(|_| self.running.is_none() && !self.wanted.is_empty())
            .map(|begun| begun + PACE);
        [self.deadline, paced, self.retry]
            .into_iter()
            .flatten()
            .min()
    }

    /// A reading is over and judged.
    pub(super) fn settled(&mut self, outcome: &Outcome, now: Instant) {
        self.judging = false;
        self.settled = self.number;
        for kind in &outcome.complete {
            self.failed.remove(kind);
            self.read.insert(*kind);
        }
        for (kind, error) in &outcome.failed {
            match self.failed.get_mut(kind) {
                Some((reason, _)) => *reason = error.clone(),
                None => {
                    self.failed.insert(*kind, (error.clone(), now));
                }
            }
        }
    }

    /// Whether subscriptions are to be made again, once, after everything was read.
    pub(super) fn take_resubscribe(&mut self) -> bool {
        !self.is_busy() && std::mem::take(&mut self.resubscribe)
    }

    /// The server is another process now: what was read of the one before does not count.
    pub(super) fn forget(&mut self) {
        self.read.clear();
        self.failed.clear();
        self.retry = None;
        self.resubscribe = true;
    }
}

impl Core {
    /// Has every declared kind read: after `initialized`, and after a restart.
    pub(super) fn read_declared(&mut self) {
        let declared = self.declared.clone();
        for kind in declared {
            self.reads.wanted.insert(kind, true);
        }
        self.read_wanted();
    }

    /// Has a kind read because the client waits for its list.
    pub(super) fn read_for_client(&mut self, kind: ItemKind) {
        self.reads.wanted.insert(kind, true);
        self.read_wanted();
    }

    /// Has kinds read because the server says that they changed.
    pub(super) fn read_for_server(&mut self, kinds: &[ItemKind]) {
        if self.phase != Phase::Running {
            return;
        }
        for kind in kinds {
            self.reads.wanted.entry(*kind).or_insert(false);
        }
        self.read_wanted();
    }

    /// Begins the reading that waits, if none runs and it is time.
    pub(super) fn read_wanted(&mut self) {
        let reads = &self.reads;
        if reads.running.is_some()
            || reads.judging
            || reads.wanted.is_empty()
            || !self.up
            || self.phase != Phase::Running
        {
            return;
        }
        let urgent = reads.wanted.values().any(|client| *client);
        let paced = reads
            .last_begun
            .is_some_and(|begun| self.now < begun + PACE);
        if paced && !urgent {
            return;
        }
        let kinds: Vec<ItemKind> = std::mem::take(&mut self.reads.wanted).into_keys().collect();
        self.reads.number += 1;
        self.reads.last_begun = Some(self.now);
        self.reads.retry = None;
        self.reads.deadline = Some(self.now + self.config.limits.list_timeout);
        self.reads.running = Some(Reading::new(kinds.iter().copied(), &self.config.limits));
        for kind in kinds {
            self.ask_page(kind, None);
        }
    }

    fn ask_page(&mut self, kind: ItemKind, cursor: Option<&str>) {
        let own = Own::Page {
            kind,
            reading: self.reads.number,
        };
        let rest = cursor.map(|raw| format!("\"cursor\":{raw}"));
        let params = self.own_params(rest.as_deref().unwrap_or_default());
        self.send_own(own, Protocol::Reading, list_method(kind), params.as_deref());
    }

    /// A line that may be a page that came before: told without parsing it.
    pub(super) fn on_page_again(&mut self, line: &Bytes) -> bool {
        let Some(running) = &self.reads.running else {
            return false;
        };
        let found = self.own.iter().find_map(|(id, own)| {
            let Own::Page { kind, reading } = own else {
                return None;
            };
            if *reading != self.reads.number {
                return None;
            }
            let page = self
                .catalogue
                .lists
                .get(kind)?
                .pages
                .get(running.pages(*kind))?;
            let raw = format!("\"{id}\"");
            page.is_again(line, raw.as_bytes())
                .then(|| (id.clone(), *kind, page.clone()))
        });
        let Some((id, kind, page)) = found else {
            return false;
        };
        self.own.remove(&id);
        if let Some(running) = &mut self.reads.running {
            let step = running.take(kind, page);
            self.on_step(kind, step);
        }
        true
    }

    /// A page of a list.
    pub(super) fn on_page(
        &mut self,
        kind: ItemKind,
        reading: u64,
        line: Bytes,
        id: Range<usize>,
        result: Range<usize>,
    ) {
        if reading == self.reads.number
            && let Some(running) = &mut self.reads.running
        {
            let step = running.page(kind, line, id, result);
            self.on_step(kind, step);
        }
    }

    /// An error instead of a page.
    pub(super) fn on_page_error(
        &mut self,
        kind: ItemKind,
        reading: u64,
        line: Bytes,
        id: Range<usize>,
        code: i64,
    ) {
        if reading == self.reads.number
            && let Some(running) = &mut self.reads.running
        {
            let step = running.error(kind, line, id, code);
            self.on_step(kind, step);
        }
    }

    /// An answer to a page's request that is no answer.
    pub(super) fn on_page_malformed(&mut self, kind: ItemKind, reading: u64, reason: String) {
        if reading == self.reads.number
            && let Some(running) = &mut self.reads.running
        {
            let step = running.fail(kind, ReadingError::Malformed(reason));
            self.on_step(kind, step);
        }
    }

    /// A page's request that could not be brought to the server.
    pub(super) fn on_page_unreached(&mut self, kind: ItemKind, reading: u64, reason: String) {
        if reading == self.reads.number
            && let Some(running) = &mut self.reads.running
        {
            let step = running.fail(kind, ReadingError::Unreached(reason));
            self.on_step(kind, step);
        }
    }

    fn on_step(&mut self, kind: ItemKind, step: Step) {
        self.reads.deadline = Some(self.now + self.config.limits.list_timeout);
        match step {
            Step::Next(cursor) => self.ask_page(kind, Some(&cursor)),
            Step::Done => self.finish_reading(),
        }
    }

    /// Ends a reading that a server does not answer, or that it cannot any more.
    pub(super) fn abandon_reading(&mut self, error: &ReadingError) {
        if let Some(running) = &mut self.reads.running {
            running.fail_all(error);
            self.finish_reading();
        }
    }

    fn finish_reading(&mut self) {
        let Some(running) = self.reads.running.take_if(|running| running.is_over()) else {
            return;
        };
        self.own.retain(|_, own| !matches!(own, Own::Page { .. }));
        self.reads.deadline = None;
        self.reads.judging = true;
        let outcome = running.finish(&self.catalogue);
        for (kind, error) in &outcome.failed {
            tracing::warn!(server = %self.entry.name, "reading the list of {kind}s failed: {error}");
        }
        if !outcome.failed.is_empty() && self.up {
            self.reads.retry = Some(self.now + RETRY);
        }
        self.settle(Task::Observe(Box::new(outcome)));
    }

    /// What is due for a reading's sake.
    pub(super) fn on_reading_time(&mut self) {
        if self
            .reads
            .deadline
            .is_some_and(|deadline| deadline <= self.now)
        {
            self.abandon_reading(&ReadingError::Timeout);
        }
        if self.reads.retry.is_some_and(|retry| retry <= self.now) {
            self.reads.retry = None;
            let failed: Vec<ItemKind> = self.reads.failed.keys().copied().collect();
            for kind in failed {
                self.reads.wanted.insert(kind, true);
            }
        }
        self.read_wanted();
    }
}
