//! What every command needs before it can work: configuration, ledger, engine, chain.
//!
//! Knows where they are and in which order they are opened. Knows nothing of messages or of output.

use std::path::PathBuf;
use std::sync::Arc;

use crate::chain::Generation;
use crate::config::{Config, Lists};
use crate::ledger::Ledger;
use crate::policy::Engine;

/// What the command line says beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<String>,
    /// Lists given by flags for one server: (server, lists).
    pub flags: Vec<(String, Lists)>,
    /// Whether a ledger is made where there is none; otherwise one in memory stands in for it.
    pub create: bool,
}

/// Everything opened.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The ledger; in memory if there is none yet and none was to be made.
    pub ledger: Arc<dyn Ledger>,
    /// The engine, for building later generations.
    pub engine: Engine,
    /// The chain as configured.
    pub generation: Arc<Generation>,
    /// The state directory: the ledger's folder.
    pub state_dir: PathBuf,
    /// The file beside the configuration that remembers the ledger.
    pub marker: PathBuf,
}

/// Opens everything, in order: configuration, ledger, engine, chain. An error is one the user can mend.
pub async fn open(_options: &Options) -> anyhow::Result<Setup> {
    todo!()
}

/// Where things are: the state directory, the ledger's URL and the marker, without opening anything.
pub fn places(_config: &Config, _state: Option<&str>) -> Places {
    todo!()
}

/// See [`places`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The ledger's URL.
    pub ledger_url: String,
    /// The folder of the ledger; the audit is under it.
    pub state_dir: PathBuf,
    /// The audit's folder.
    pub audit_dir: PathBuf,
    /// The file beside the configuration that remembers the ledger.
    pub marker: PathBuf,
    /// Where compiled components are kept.
    pub cache_dir: PathBuf,
}
