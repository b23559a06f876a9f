//! Noticing that the configuration or the policy directory changed, or that an operator had a policy forgotten, and
//! putting the change in force.
//!
//! Knows when to look again. What is broken leaves what was in force as it is; `witgate policy list` and
//! `witgate doctor` tell of it.

mod around;
mod events;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::chain::build::settle::Due;
use crate::chain::build::{BuildError, Why};
use crate::config::Config;
use crate::gate::Host;
use crate::gate::board::Board;
use crate::setup::{POLICIES_NOTE, remember_config};
use events::Events;

/// How often it is looked, events or not: they can be lost, and some file systems have none.
const LOOK: Duration = Duration::from_millis(500);

/// How often it is looked where there are no events.
const LOOK_BLIND: Duration = Duration::from_millis(100);

/// How often everything is read again whether or not it seems to have changed.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// How long after an event it is looked, so that a burst of them is one look.
const GATHER: Duration = Duration::from_millis(10);

/// How long after a change could not be taken up it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A process that watches, and tells in the ledger what its policies do.
pub struct Watching {
    host: Arc<Host>,
    board: Arc<Board>,
    task: JoinHandle<()>,
}

impl Watching {
    /// Looks for as long as the process runs; `named` is the configuration that the command line names.
    pub fn start(host: Arc<Host>, named: Option<PathBuf>) -> Self {
        let board = Board::new(&host);
        let watcher = Watcher {
            told: forgotten(&host),
            host: host.clone(),
            board: board.clone(),
            named,
            refused: None,
            failed: None,
        };
        Self {
            host,
            board,
            task: tokio::spawn(watcher.run()),
        }
    }

    /// Looks no longer, and takes away what it told.
    pub async fn end(self) {
        self.task.abort();
        // Nothing that it still does may come after the farewell.
        let _ = self.task.await;
        self.board.farewell(&self.host).await;
    }
}

struct Watcher {
    host: Arc<Host>,
    board: Arc<Board>,
    named: Option<PathBuf>,
    /// The note about forgotten policies that was heeded last.
    told: Option<String>,
    /// Why the configuration's file is not in force, if it is not.
    refused: Option<String>,
    /// Why nothing could be taken up the last time, if so.
    failed: Option<String>,
}

/// The ledger's note that moves when a policy is forgotten.
fn forgotten(host: &Host) -> Option<String> {
    host.ledger.snapshot().notes.get(POLICIES_NOTE).cloned()
}

impl Watcher {
    async fn run(mut self) {
        let mut events = Events::start();
        let mut read = Instant::now();
        self.board.tell(&self.host, true).await;
        loop {
            let config = self.host.config.load_full();
            events = events.around(config.clone()).await;
            let due = self.host.builder.look(&config).await;
            let told = forgotten(&self.host);
            let why = Why {
                again: read.elapsed() >= READ_AGAIN,
                forgotten: told != self.told,
            };
            let mut pause = if events.work() { LOOK } else { LOOK_BLIND };
            let changed = due == Due::Now || why != Why::default();
            if changed && self.reload(&config, why).await {
                self.told = told;
                if why.again {
                    read = Instant::now();
                }
            } else if changed {
                pause = TRY_AGAIN;
            }
            self.board.tell(&self.host, changed).await;
            let mut until = Instant::now() + pause;
            if let Due::At(then) = due {
                until = until.min(then.into());
            }
            tokio::select! {
                () = events.some() => tokio::time::sleep(GATHER).await,
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Takes up what changed; false if it must be tried again.
    async fn reload(&mut self, before: &Arc<Config>, why: Why) -> bool {
        // One that was refused may be good now, if a policy it names was mended.
        let reads = why.again || self.refused.is_some() || self.host.builder.has_new_config().await;
        let refused = self.refused.is_some();
        let config = if reads { self.read(before) } else { None };
        if refused && self.refused.is_none() {
            self.host.builder.look_also(None).await;
        }
        if config.is_none() && !before.policy_dir.watch && !why.forgotten {
            self.host.builder.heed_config().await;
            return true;
        }
        if let Some(config) = config {
            match self.put_in_force(&config, why).await {
                Ok(()) => return true,
                Err(BuildError::Policies(problems)) => {
                    // The files may have changed too: they are judged under the configuration that stays.
                    self.refuse(&BuildError::Policies(problems).to_string());
                    self.host.builder.look_also(Some(&config)).await;
                }
                Err(error) => return self.fail(&error),
            }
        }
        match self.put_in_force(before, why).await {
            Ok(()) => true,
            Err(error) => self.fail(&error),
        }
    }

    /// The configuration's file, if it can be used and differs from what is in force.
    fn read(&mut self, before: &Config) -> Option<Arc<Config>> {
        let named = self.named.as_deref().or(before.file.as_deref());
        match Config::load(named) {
            Ok(config) if config == *before => {
                self.refused = None;
                None
            }
            Ok(config) => Some(Arc::new(config)),
            Err(error) => {
                self.refuse(&error.to_string());
                None
            }
        }
    }

    async fn put_in_force(&mut self, config: &Arc<Config>, why: Why) -> Result<(), BuildError> {
        let next = self.host.builder.next(config, why).await?;
        self.failed = None;
        let changed = !Arc::ptr_eq(config, &self.host.config.load());
        if changed {
            self.refused = None;
            self.host.builder.look_also(None).await;
            self.host.config.store(config.clone());
        }
        if let Some(next) = next {
            tracing::info!(generation = next.id, "a new chain is in force");
            self.host.chain.swap(next);
        }
        if changed && let Err(error) = remember_config(config, &*self.host.ledger, true).await {
            tracing::warn!("{error}");
        }
        Ok(())
    }

    /// Tells once that the configuration in force stays.
    fn refuse(&mut self, error: &str) {
        if self.refused.as_deref() != Some(error) {
            tracing::error!("the configuration in force stays: {error}");
            self.refused = Some(error.to_owned());
        }
    }

    /// Tells once that the chain in force stays.
    fn fail(&mut self, error: &BuildError) -> bool {
        let error = error.to_string();
        if self.failed.as_ref() != Some(&error) {
            tracing::error!("the chain in force stays: {error}");
            self.failed = Some(error);
        }
        false
    }
}
