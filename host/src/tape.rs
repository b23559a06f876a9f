//! The tape: everything a chain was given (catalogues, calls, results, questions, the store, definitions, the time) and
//! what it said, so that it can be asked again.
//!
//! Knows what an evaluation is, and how records are written off the hot path and read back. Knows no transport and no
//! chain: whoever judges tells it. Nothing waits for a tape and nothing is refused because of one: what cannot be kept
//! is counted instead.

mod file;
pub mod read;
pub mod record;
mod reel;
pub(crate) mod state;
#[cfg(test)]
pub(crate) mod tests;
pub mod watch;
mod writer;

use std::path::Path;
use std::sync::Arc;

use crate::ledger::Snapshot;
use crate::policy::Definitions;
use crate::policy::contract::Item;
use crate::tape::record::{Generation, What};
use crate::tape::watch::Read;
use writer::Handle;

pub use read::{Line, Reader, TapeError, files, lost};
pub use writer::Options;

/// One judgement, or one telling of what a server offers: what it was made on, and what came of it.
pub struct Evaluation {
    /// Counts up within the process; given by whoever records it.
    pub number: u64,
    /// The chain that was asked.
    pub generation: Arc<Generation>,
    /// The ledger that it read.
    pub snapshot: Arc<Snapshot>,
    /// The ledger with what it changed, if it changed something.
    pub after: Option<Arc<Snapshot>>,
    /// Where the definitions of `items` are.
    pub definitions: Arc<dyn Definitions>,
    /// The definitions that hooks asked for.
    pub read: Read,
    /// The items it is about, where it is about a whole catalogue.
    pub items: Option<Arc<Vec<Item>>>,
    /// The message's time, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What was judged, and how.
    pub what: What,
}

/// Takes evaluations. Called on the path of messages: neither method may wait.
pub trait Recorder: Send + Sync + 'static {
    /// Takes one, and gives it its number.
    fn take(&self, evaluation: Evaluation) -> Arc<Evaluation>;

    /// The verdict of an evaluation was given once more, without asking any policy.
    fn again(&self, evaluation: &Arc<Evaluation>);
}

/// An evaluation that was recorded: kept with a verdict that may be given again.
#[derive(Clone)]
pub struct Mark {
    recorder: Arc<dyn Recorder>,
    evaluation: Arc<Evaluation>,
}

impl Mark {
    /// Has `recorder` take an evaluation.
    pub fn new(recorder: &Arc<dyn Recorder>, evaluation: Evaluation) -> Self {
        Self {
            evaluation: recorder.take(evaluation),
            recorder: recorder.clone(),
        }
    }

    /// Records that the verdict was given again.
    pub fn again(&self) {
        self.recorder.again(&self.evaluation);
    }
}

impl std::fmt::Debug for Mark {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Mark")
            .field(&self.evaluation.number)
            .finish()
    }
}

/// Writes the tape of one process. Dropping it has the thread write what is left.
pub struct Tape {
    handle: Handle,
}

impl Tape {
    /// Begins a tape in `dir`, which is made private if it is not there.
    ///
    /// # Errors
    /// If the folder or the first file cannot be made.
    pub fn open(dir: &Path, options: Options) -> Result<Self, TapeError> {
        let handle = Handle::open(dir, options)?;
        Ok(Self { handle })
    }

    /// Evaluations that could not be kept so far.
    pub fn lost(&self) -> u64 {
        self.handle.lost()
    }

    /// Writes what is left. What comes later is not taken.
    pub async fn close(&self) {
        self.handle.close().await;
    }
}

impl Recorder for Tape {
    fn take(&self, evaluation: Evaluation) -> Arc<Evaluation> {
        self.handle.take(evaluation)
    }

    fn again(&self, evaluation: &Arc<Evaluation>) {
        self.handle.again(evaluation);
    }
}
