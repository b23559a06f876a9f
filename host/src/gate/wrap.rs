//! A server behind the gate on this process's standard input and output, from what the command line says.
//!
//! Knows how the command line and `[server.NAME]` go together (design §9).

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{Audit, AuditError};
use crate::config::{Config, names};
use crate::gate::names::slug;
use crate::gate::session::io::{Ended, SessionError, run};
use crate::gate::{Host, ServerEntry, watch};
use crate::ledger::{Commit, LedgerError, Observer, Op, Snapshot, observers};
use crate::setup::Setup;
use crate::upstream::{Launch, Upstream};

/// A server cannot be put behind the gate.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// The name cannot be one.
    #[error("{0}")]
    Name(String),
    /// Nothing says what to run.
    #[error(
        "server `{name}`: nothing says what to run; give a command after `--`, or `command` in [server.{name}] of {file}"
    )]
    NoCommand {
        /// The server.
        name: String,
        /// The configuration.
        file: String,
    },
    /// The file names another command.
    #[error(
        "server `{name}`: {file} has another command in [server.{name}]; leave the command out, or give the server \
         another name by `--name`"
    )]
    OtherCommand {
        /// The server.
        name: String,
        /// The configuration.
        file: String,
    },
    /// The operator disabled it.
    #[error("server `{name}` is disabled; set `enabled = true` in [server.{name}] of {file}")]
    Disabled {
        /// The server.
        name: String,
        /// The configuration.
        file: String,
    },
    /// The audit cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The session cannot be run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The ledger refuses.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// The server's name: as given, or a slug of the command.
pub fn name_of(name: Option<&str>, command: &[String]) -> Result<String, WrapError> {
    let name = name.map_or_else(|| slug(command), str::to_owned);
    names::check_server_name(&name).map_err(|error| WrapError::Name(error.to_string()))?;
    Ok(name)
}

/// What is to be run under a name: the command typed, the file's, or both if they are the same.
pub fn resolve(config: &Config, name: &str, command: &[String]) -> Result<ServerEntry, WrapError> {
    let file = || {
        config
            .file
            .as_deref()
            .unwrap_or(&config.dir)
            .display()
            .to_string()
    };
    let listed = config.servers.get(name);
    if listed.is_some_and(|server| !server.enabled) {
        return Err(WrapError::Disabled {
            name: name.to_owned(),
            file: file(),
        });
    }
    let in_file = listed
        .map(|server| server.command.as_slice())
        .unwrap_or_default();
    let typed = !command.is_empty();
    let command = match (command, in_file) {
        ([], []) => {
            return Err(WrapError::NoCommand {
                name: name.to_owned(),
                file: file(),
            });
        }
        ([], listed) => listed,
        (typed, []) => typed,
        (typed, listed) if typed == listed => typed,
        _ => {
            return Err(WrapError::OtherCommand {
                name: name.to_owned(),
                file: file(),
            });
        }
    };
    let launch = Launch {
        command: command.to_vec(),
        env: listed.map(|server| server.env.clone()).unwrap_or_default(),
        name: name.to_owned(),
    };
    Ok(ServerEntry {
        name: name.to_owned(),
        upstream: Upstream::Child(launch),
        typed,
    })
}

/// What to tell the operator if the name stood for another command before.
pub fn stood_for_another(entry: &ServerEntry, snapshot: &Snapshot) -> Option<String> {
    let now = entry.upstream.identity();
    let before = snapshot.servers.get(&entry.name)?.identity.as_ref()?;
    (*before != now).then(|| {
        format!(
            "server `{}` stood for {before} and now for {now}: what is the same stays approved, the rest waits for \
             review. If this is another server, give it a name of its own by `--name`",
            entry.name
        )
    })
}

/// This process as an observer of a server.
pub fn observer(server: &str) -> Observer {
    let (pid, pid_start) = observers::this_process();
    Observer {
        id: format!("{:016x}", rand::random::<u64>()),
        server: server.to_owned(),
        pid,
        pid_start,
        ended: false,
        observation: None,
    }
}

/// Opens the audit as configured.
pub fn open_audit(setup: &Setup) -> Result<Audit, AuditError> {
    let config = &setup.config.audit;
    if !config.enabled {
        return Ok(Audit::off());
    }
    match Audit::open(
        &setup.places.audit_dir,
        setup.ledger.clone(),
        config.arguments,
    ) {
        Err(error) if !config.required => {
            tracing::error!("decisions are not recorded: {error}");
            Ok(Audit::off())
        }
        opened => opened,
    }
}

/// Runs the session until it ends, and leaves ledger and audit in order.
pub async fn wrap(
    setup: Setup,
    entry: ServerEntry,
    file: Option<PathBuf>,
) -> Result<Ended, WrapError> {
    if let Some(message) = stood_for_another(&entry, &setup.ledger.snapshot()) {
        tracing::warn!("{message}");
    }
    for problem in &setup.generation.problems {
        tracing::warn!("{}", problem.detail);
    }
    let audit = open_audit(&setup)?;
    let host = Arc::new(Host::new(setup, audit));
    let observer = observer(&entry.name);
    let id = observer.id.clone();
    let watching = tokio::spawn(watch::watch(host.clone(), file));
    let ended = run(host.clone(), entry, observer).await;
    watching.abort();
    let ends = Commit {
        based_on: None,
        ops: vec![Op::ObserverEnds { id }],
    };
    if let Err(error) = host.ledger.commit(ends).await {
        tracing::warn!("{error}");
    }
    host.audit.close().await;
    Ok(ended?)
}
