//! What all sessions of a process share: configuration, ledger, chain, audit.
//!
//! Knows how to make the view that a message's hooks read. Knows no session.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;

use crate::audit::Audit;
use crate::chain::build::Builder;
use crate::chain::{Chain, Refused};
use crate::config::Config;
use crate::gate::catalogue::Catalogue;
use crate::ledger::{Ledger, LedgerError};
use crate::mcp::Digest;
use crate::policy::{Definitions, View};
use crate::setup::{Places, Setup};
use crate::tape::Tape;

/// A snapshot that was not confirmed for so long closes (design, invariant 10).
pub const MAX_LEDGER_AGE: Duration = Duration::from_secs(2);

/// What all sessions of a process share.
pub struct Host {
    /// The configuration in force.
    pub config: ArcSwap<Config>,
    /// The ledger.
    pub ledger: Arc<dyn Ledger>,
    /// The chain.
    pub chain: Chain,
    /// The audit.
    pub audit: Audit,
    /// The tape, if everything is recorded.
    pub tape: Option<Arc<Tape>>,
    /// Builds later generations.
    pub builder: Builder,
    /// Where things are.
    pub places: Places,
}

impl Host {
    /// From what was opened, with the audit to write.
    pub fn new(setup: Setup, audit: Audit) -> Self {
        Self {
            config: ArcSwap::from_pointee(setup.config),
            ledger: setup.ledger,
            chain: Chain::new(setup.generation),
            audit,
            tape: None,
            builder: setup.builder,
            places: setup.places,
        }
    }

    /// The same, recording everything that the chain is given, if there is a tape.
    pub fn recording(self, tape: Option<Tape>) -> Self {
        let Some(tape) = tape.map(Arc::new) else {
            return self;
        };
        Self {
            chain: self.chain.recorded_by(tape.clone()),
            tape: Some(tape),
            ..self
        }
    }

    /// Writes what is left of audit and tape.
    pub async fn close_records(&self) {
        self.audit.close().await;
        if let Some(tape) = &self.tape {
            tape.close().await;
        }
    }

    /// What the hooks of a message that comes now read.
    pub fn view(&self, catalogue: &Arc<Catalogue>) -> View {
        View {
            snapshot: self.ledger.snapshot(),
            definitions: self.definitions(catalogue),
            now_ms: now_ms(),
        }
    }

    /// The pinned definitions: those of the current catalogue from memory, others from the ledger.
    pub fn definitions(&self, catalogue: &Arc<Catalogue>) -> Arc<dyn Definitions> {
        Arc::new(Pinned {
            catalogue: catalogue.clone(),
            ledger: self.ledger.clone(),
        })
    }
}

/// Milliseconds since the Unix epoch.
pub fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The refusal of a call because the ledger cannot be relied on.
pub fn ledger_refusal(error: &LedgerError) -> Refused {
    let (code, reason) = match error {
        LedgerError::Lost { .. } => ("ledger_lost", "The gate's ledger is lost"),
        LedgerError::Newer { .. } => ("ledger_newer", "The gate's ledger is newer than the gate"),
        _ => ("ledger_stale", "The gate's ledger cannot be read"),
    };
    Refused::unavailable(code, reason)
}

struct Pinned {
    catalogue: Arc<Catalogue>,
    ledger: Arc<dyn Ledger>,
}

impl Definitions for Pinned {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        if let Some(text) = self.catalogue.definition(&digest) {
            return Box::pin(std::future::ready(Some(text)));
        }
        let ledger = self.ledger.clone();
        Box::pin(async move { ledger.definition(digest).await.ok().flatten() })
    }
}
