//! What is seen of a policy beside its answers: what it wrote to the log, and how much memory it had.
//!
//! For people who write policies: a gate looks on no policy so. Knows nothing of where it is shown.

use std::sync::{Mutex, PoisonError};

/// Looks on while the hooks of one policy run.
#[derive(Debug, Default)]
pub struct Witness {
    seen: Mutex<Seen>,
}

/// What was seen since it was last asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// What the policy wrote to the log, in order.
    pub log: Vec<LogLine>,
    /// How many more messages it wrote than the host takes of one hook.
    pub dropped: u32,
    /// The most linear memory an instance had at the end of a hook, bytes; 0 if none ran.
    pub memory: usize,
}

/// A message to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How it was meant.
    pub level: LogLevel,
    /// The text as the policy wrote it, cut as the host's log is: escape it before a terminal.
    pub text: String,
}

/// How a message to the log is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl Witness {
    /// What was seen until now; what follows is counted anew.
    pub fn take(&self) -> Seen {
        self.with(std::mem::take)
    }

    pub(super) fn logged(&self, level: LogLevel, text: String) {
        self.with(|seen| seen.log.push(LogLine { level, text }));
    }

    pub(super) fn dropped(&self) {
        self.with(|seen| seen.dropped = seen.dropped.saturating_add(1));
    }

    pub(super) fn had_memory(&self, bytes: usize) {
        self.with(|seen| seen.memory = seen.memory.max(bytes));
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
