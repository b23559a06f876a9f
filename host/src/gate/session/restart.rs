//! When the server ends before the session does.
//!
//! Knows what open requests are told, how soon the server is started again, and when that is given up.

use std::time::{Duration, Instant};

use super::{About, Core, Own, Phase, without_end};
use crate::gate::reading::ReadingError;
use crate::wire::reply;

/// The wait before the first restart; doubled for each that follows without the server having run for long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait between restarts.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A server that ran for this long is not in a loop.
const RAN_WELL: Duration = Duration::from_secs(30);

/// How many restarts in a loop there are before the session ends.
const MAX_ATTEMPTS: u32 = 8;

/// The state of restarting.
#[derive(Default)]
pub(super) struct Restart {
    attempts: u32,
    due: Option<Instant>,
    up_since: Option<Instant>,
    /// By when the replayed handshake must be answered.
    answer_by: Option<Instant>,
}

impl Restart {
    /// When the core must be woken for a restart's sake.
    pub(super) fn wake(&self) -> Option<Instant> {
        [self.due, self.answer_by].into_iter().flatten().min()
    }
}

impl Core {
    /// The server's output ended: its process is gone, or as good as gone.
    pub fn on_server_gone(&mut self, how: &str) {
        if !self.up {
            return;
        }
        self.abandon_questions();
        self.up = false;
        tracing::warn!(server = %self.entry.name, "the server ended: {how}");
        self.fail_forwarded(&format!("the server ended before it answered ({how})"));
        for id in std::mem::take(&mut self.asked) {
            let params = format!(
                "{{\"requestId\":{},\"reason\":\"the server that asked has ended\"}}",
                id.raw()
            );
            let line = reply::notification("notifications/cancelled", Some(&params));
            self.tell(About::Standing, without_end(line));
        }
        self.own.clear();
        self.held.forget();
        // In 2026-07-28 tasks are the caller's, and other sessions know them too.
        if !self.is_stateless() {
            self.tasks.clear();
        }
        self.restart.answer_by = None;
        self.abandon_reading(&ReadingError::Gone);
        self.reads.forget();
        if self.phase < Phase::Answered {
            let reason = format!("the server ended before it was initialized ({how})");
            if self.phase == Phase::Fresh {
                // Nobody has asked yet: whoever does first is told.
                self.gone = Some(reason);
            } else {
                self.out.end = Some(reason);
            }
            return;
        }
        let ran_well = self
            .restart
            .up_since
            .is_some_and(|since| self.now.duration_since(since) >= RAN_WELL);
        if ran_well {
            self.restart.attempts = 0;
        }
        if self.restart.attempts >= MAX_ATTEMPTS {
            self.out.end = Some(format!(
                "the server ended {MAX_ATTEMPTS} times in a row ({how})"
            ));
            return;
        }
        let wait = FIRST_WAIT
            .saturating_mul(1 << self.restart.attempts)
            .min(LONGEST_WAIT);
        self.restart.attempts += 1;
        self.restart.due = Some(self.now + wait);
    }

    /// Whether the server is to be started again now; asked once, the answer is not given again.
    pub fn take_restart(&mut self) -> bool {
        self.restart.due.take_if(|due| *due <= self.now).is_some()
    }

    /// The server could not be started again.
    pub fn on_restart_failed(&mut self, why: &str) {
        self.up = true;
        self.on_server_gone(why);
    }

    /// The server runs again.
    pub fn on_server_back(&mut self) {
        self.up = true;
        self.restart.up_since = Some(self.now);
        self.restart.answer_by = Some(self.now + self.config.limits.list_timeout);
        self.replay_hello();
    }

    /// What is due now.
    pub fn on_time(&mut self) {
        self.on_reading_time();
        self.on_voice_time();
        self.on_discover_time();
        if self.own.values().all(|own| *own != Own::Initialize) {
            self.restart.answer_by = None;
        }
        if self.restart.answer_by.is_some_and(|by| by <= self.now) {
            self.out.end = Some("the server does not answer after its restart".to_owned());
        }
    }

    /// When something will be due.
    pub fn wake(&self) -> Option<Instant> {
        [
            self.reads.wake(),
            self.held.wake(),
            self.restart.wake(),
            self.wake_for_discover(),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}
