//! What a policy writes to the host's log, by `log.message` or to its standard output and error.
//!
//! Knows how much of it is kept. Nothing a policy can read is here.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::contract::imports::log::Level;
use super::{LogLevel, Witness};
use crate::mcp::escape::visible_cut;

/// The most messages one hook may write to the log; more are dropped.
const MESSAGES: u32 = 32;

/// The most characters of one message.
pub(super) const CHARS: usize = 1_000;

/// The log of one instance. Streams that the instance holds share it.
#[derive(Debug)]
pub(super) struct GuestLog {
    policy: Arc<str>,
    /// Who looks on; messages then go there instead.
    witness: Option<Arc<Witness>>,
    written: AtomicU32,
}

impl GuestLog {
    pub(super) fn new(policy: Arc<str>, witness: Option<Arc<Witness>>) -> Self {
        Self {
            policy,
            witness,
            written: AtomicU32::new(0),
        }
    }

    /// A hook begins: it may write as much as any other.
    pub(super) fn begin(&self) {
        self.written.store(0, Ordering::Relaxed);
    }

    /// Writes one message, escaped and cut; the first of those that are too many is told of.
    pub(super) fn message(&self, level: Level, text: &str) {
        let policy = &*self.policy;
        let written = self.written.load(Ordering::Relaxed).saturating_add(1);
        self.written.store(written, Ordering::Relaxed);
        if let Some(witness) = &self.witness {
            if written > MESSAGES {
                witness.dropped();
            } else {
                witness.logged(level.into(), text.chars().take(CHARS).collect());
            }
            return;
        }
        if written > MESSAGES {
            if written == MESSAGES + 1 {
                tracing::warn!(
                    policy,
                    "more than {MESSAGES} messages from one hook; the rest is dropped"
                );
            }
            return;
        }
        let text = visible_cut(text, CHARS);
        match level {
            Level::Debug => tracing::debug!(policy, "{text}"),
            Level::Info => tracing::info!(policy, "{text}"),
            Level::Warn => tracing::warn!(policy, "{text}"),
            Level::Error => tracing::error!(policy, "{text}"),
        }
    }
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}
