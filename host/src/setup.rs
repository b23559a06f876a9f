//! What every command needs before it can work: configuration, ledger, engine, chain.
//!
//! Knows where they are and in which order they are opened. Knows nothing of messages or of output.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::chain::Generation;
use crate::chain::build::{BuildError, Builder, Manner};
use crate::config::{Config, ConfigError, Lists, PolicyDir};
use crate::ledger::{self, Commit, Ledger, LedgerError, Op, OpenMode};
use crate::policy::{Engine, EngineError, EngineOptions, PolicyLimits};

/// How many instances of a policy are kept ready at the most.
const READY_INSTANCES: usize = 4;

/// What the command line says beside the configuration.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<String>,
    /// Lists given by flags for one server: (server, lists).
    pub flags: Vec<(String, Lists)>,
    /// Another policy directory than the configuration's. The chain is then made of configuration and folder alone: what
    /// is missing or broken has no last good bytes to stand in for it, and no ledger is opened.
    pub policy_dir: Option<PathBuf>,
    /// Whether a ledger is made where there is none; otherwise one in memory stands in for it, and nothing is
    /// written.
    pub create: bool,
    /// Whether a policy that cannot be put in force is left out and told; otherwise nothing begins.
    pub tolerant: bool,
}

/// Everything opened.
pub struct Setup {
    /// The checked configuration.
    pub config: Config,
    /// The ledger; in memory if there is none yet and none was to be made.
    pub ledger: Arc<dyn Ledger>,
    /// The engine.
    pub engine: Engine,
    /// Builds later generations.
    pub builder: Builder,
    /// The chain as configured.
    pub generation: Arc<Generation>,
    /// Where things are.
    pub places: Places,
}

/// Why a command cannot begin: something the user can mend.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A configuration that was in force is gone.
    #[error(
        "the configuration {file} was in force and is missing; put it back, or write one that holds `version = 1`"
    )]
    ConfigMissing {
        /// Where it was.
        file: PathBuf,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The engine cannot be set up.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The chain cannot be built.
    #[error(transparent)]
    Chain(#[from] BuildError),
}

/// The ledger's note under which a configuration that was in force is remembered.
pub fn config_note(file: &Path) -> String {
    format!("config:{}", file.display())
}

/// The ledger's note that moves whenever an operator forgets a policy, so that running gates build their chain anew.
pub const POLICIES_NOTE: &str = "policies-forgotten";

/// Opens everything, in order: configuration, ledger, engine, chain. An error is one the user can mend.
pub async fn open(options: &Options) -> Result<Setup, SetupError> {
    let mut config = Config::load(options.config.as_deref())?;
    let places = places(&config, options.state.as_deref());
    let ledger = match &options.policy_dir {
        None => open_ledger(&places, options.create).await?,
        Some(path) => {
            config.policy_dir.path.clone_from(path);
            ledger::in_memory(None)
        }
    };
    remember_config(&config, &*ledger, options.create).await?;
    let engine = Engine::new(engine_options(&config, &places))?;
    let builder = Builder::new(engine.clone(), ledger.clone(), options.flags.clone());
    let manner = if options.tolerant {
        Manner::Tolerant
    } else {
        Manner::Strict
    };
    let generation = builder.build(&config, manner).await?;
    Ok(Setup {
        config,
        ledger,
        engine,
        builder,
        generation,
        places,
    })
}

/// The shipped chain over a ledger in memory: nothing of the user's is read, and nothing is left behind but compiled
/// components.
pub async fn in_memory() -> Result<Setup, SetupError> {
    let config = Config::in_dir(Path::new("."));
    let places = places(&config, None);
    let ledger = ledger::in_memory(None);
    let engine = Engine::new(engine_options(&config, &places))?;
    let builder = Builder::new(engine.clone(), ledger.clone(), Vec::new());
    // A folder of policies beside the current folder is not the user's policy directory.
    let bare = Config {
        policy_dir: PolicyDir {
            path: PathBuf::new(),
            ..config.policy_dir
        },
        ..config
    };
    let generation = builder.build(&bare, Manner::Strict).await?;
    Ok(Setup {
        config: bare,
        ledger,
        engine,
        builder,
        generation,
        places,
    })
}

/// Opens the ledger; where nothing may be written, a copy in memory of what there is.
pub async fn open_ledger(places: &Places, create: bool) -> Result<Arc<dyn Ledger>, LedgerError> {
    let mode = if create {
        OpenMode::CreateIfFirst
    } else {
        OpenMode::ReadOnly
    };
    let found = ledger::open(&places.ledger_url, &places.marker, mode).await?;
    Ok(match found {
        Some(ledger) if create => ledger,
        Some(ledger) => ledger::in_memory_over(ledger),
        None => ledger::in_memory(None),
    })
}

/// A configuration that was once in force and is missing closes; one that is there is remembered.
pub(crate) async fn remember_config(
    config: &Config,
    ledger: &dyn Ledger,
    write: bool,
) -> Result<(), SetupError> {
    let snapshot = ledger.snapshot();
    match &config.file {
        None => {
            let file = config.dir.join("witgate.toml");
            if snapshot.notes.contains_key(&config_note(&file)) {
                return Err(SetupError::ConfigMissing { file });
            }
        }
        Some(file) => {
            let key = config_note(file);
            if write && !snapshot.notes.contains_key(&key) {
                let note = Op::Note {
                    key,
                    value: Some("in force".to_owned()),
                };
                ledger
                    .commit(Commit {
                        based_on: None,
                        ops: vec![note],
                    })
                    .await?;
            }
        }
    }
    Ok(())
}

/// How the engine is set up for a configuration.
pub fn engine_options(config: &Config, places: &Places) -> EngineOptions {
    EngineOptions {
        cache_dir: Some(places.cache_dir.clone()),
        limits: PolicyLimits {
            hook_time: config.limits.hook_time,
            record_time: config.limits.record_time,
            memory: config.limits.policy_memory,
            output: config.limits.policy_output,
        },
        ready: READY_INSTANCES,
    }
}

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The ledger's URL.
    pub ledger_url: String,
    /// The folder of the ledger; the audit is under it.
    pub state_dir: PathBuf,
    /// The audit's folder.
    pub audit_dir: PathBuf,
    /// The tapes' folder.
    pub tape_dir: PathBuf,
    /// The file beside the configuration that remembers the ledger.
    pub marker: PathBuf,
    /// Where compiled components are kept.
    pub cache_dir: PathBuf,
}

/// Where things are: the state directory, the ledger's URL and the marker, without opening anything.
pub fn places(config: &Config, state: Option<&str>) -> Places {
    let dirs = directories::ProjectDirs::from("", "", "witgate");
    let fallback = config.dir.join("state");
    let default_state = dirs.as_ref().map_or(fallback, |dirs| {
        dirs.state_dir()
            .unwrap_or_else(|| dirs.data_local_dir())
            .to_owned()
    });
    let url = state.map(str::to_owned).or_else(|| config.state.clone());
    let file = match url
        .as_deref()
        .map(|url| url.strip_prefix("sqlite:").unwrap_or(url))
    {
        Some(path) => PathBuf::from(path.strip_prefix("//").unwrap_or(path)),
        None => default_state.join("ledger.db"),
    };
    let state_dir = file
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .map_or_else(|| PathBuf::from("."), Path::to_owned);
    Places {
        ledger_url: url.unwrap_or_else(|| format!("sqlite:{}", file.display())),
        audit_dir: config
            .audit
            .path
            .clone()
            .unwrap_or_else(|| state_dir.join("audit")),
        cache_dir: dirs.map_or_else(
            || state_dir.join("cache"),
            |d| d.cache_dir().join("compiled"),
        ),
        marker: config.dir.join("ledger.json"),
        tape_dir: state_dir.join("tapes"),
        state_dir,
    }
}
