//! The chain: policies in order, and the verdicts they come to together.
//!
//! Knows generations, visibility, and the permits without which nothing goes upstream. Knows no transport.

pub mod build;
pub mod convert;
pub mod judge;
pub mod observe;
pub mod ownership;
pub mod permit;
mod recording;
pub mod remembered;
pub mod visibility;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::watch;

use crate::config::Mode;
use crate::policy::Policy;
use crate::tape::Recorder;

pub use judge::{Decision, Judgement, Refused};
pub use permit::{Cleared, Permit, Protocol, Stale};
pub use recording::Recording;
pub use remembered::Remembered;
pub use visibility::Visibility;

/// A policy that should be in force with other bytes, or at all, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The policy.
    pub policy: String,
    /// What is wrong, where, and the mend.
    pub detail: String,
    /// Whether the last good bytes are in force instead.
    pub last_good: bool,
}

/// The chain at one moment: immutable, and one serves a message from start to end.
#[derive(Clone)]
pub struct Generation {
    /// Counts up within the process.
    pub id: u64,
    /// The policies, in order.
    pub policies: Vec<Arc<Policy>>,
    /// What could not be put in force.
    pub problems: Vec<Problem>,
    /// Who is told of everything it is asked, if somebody records.
    pub recording: Option<Recording>,
}

impl Generation {
    /// Makes instances ready again, after a reply was written.
    pub async fn refill(&self) {
        for policy in &self.policies {
            policy.refill().await;
        }
    }

    /// Whether any policy judges what servers ask of the client.
    pub fn judges_client_requests(&self) -> bool {
        self.policies
            .iter()
            .any(|policy| policy.hooks().client_request_gate)
    }

    /// Whether what servers ask of the client is to be judged, be it only to be recorded.
    pub fn hears_client_requests(&self) -> bool {
        self.is_recorded() || self.judges_client_requests()
    }

    /// Whether any policy whose verdicts do not bind records what servers offer.
    pub fn monitors_inventory(&self) -> bool {
        self.policies
            .iter()
            .any(|policy| policy.hooks().inventory && policy.source().mode == Mode::Monitor)
    }

    /// Whether results are to be judged: by any policy, or only to be recorded.
    pub fn inspects_results(&self) -> bool {
        let judges = |policy: &Arc<Policy>| policy.hooks().result_gate;
        self.is_recorded() || self.policies.iter().any(judges)
    }
}

/// The generation in force, swapped whole.
pub struct Chain {
    current: ArcSwap<Generation>,
    changed: watch::Sender<u64>,
    recorder: Option<Arc<dyn Recorder>>,
}

impl Chain {
    /// A chain that begins with `generation`.
    pub fn new(generation: Arc<Generation>) -> Self {
        let changed = watch::Sender::new(generation.id);
        Self {
            current: ArcSwap::new(generation),
            changed,
            recorder: None,
        }
    }

    /// The same chain, telling `recorder` of everything that it and those after it are asked.
    pub fn recorded_by(self, recorder: Arc<dyn Recorder>) -> Self {
        let generation = self.current().recorded_by(recorder.clone());
        Self {
            recorder: Some(recorder),
            ..Self::new(Arc::new(generation))
        }
    }

    /// The generation in force.
    pub fn current(&self) -> Arc<Generation> {
        self.current.load_full()
    }

    /// Puts `next` in force; messages under way finish on the one they began with.
    pub fn swap(&self, next: Arc<Generation>) {
        let id = next.id;
        let next = match &self.recorder {
            Some(recorder) => Arc::new(next.recorded_by(recorder.clone())),
            None => next,
        };
        self.current.store(next);
        self.changed.send_replace(id);
    }

    /// Follows the generation's number.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}
