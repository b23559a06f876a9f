//! A server behind the gate on this process's standard input and output, from what the command line says.
//!
//! Knows how the command line and `[server.NAME]` go together (design §9).

use std::path::PathBuf;
use std::sync::Arc;

use crate::audit::{Audit, AuditError};
use crate::config::remote::read_header;
use crate::config::{Config, ConfigError, Remote, Template, names};
use crate::gate::names::{slug, slug_of_url};
use crate::gate::serve::stdio;
use crate::gate::session::io::{Ended, SessionError, run_on};
use crate::gate::watch::Watching;
use crate::gate::{Host, ServerEntry};
use crate::ledger::{Commit, LedgerError, Observer, Op, Snapshot, observers};
use crate::setup::Setup;
use crate::tape::{self, Tape};
use crate::upstream::pipe::{Sink, Source};
use crate::upstream::{Launch, Upstream};

/// A server cannot be put behind the gate.
#[derive(Debug, thiserror::Error)]
pub enum WrapError {
    /// The name cannot be one.
    #[error("{0}")]
    Name(String),
    /// Nothing says what to run or to reach.
    #[error(
        "server `{name}`: nothing says what to run or to reach; give a command after `--` or a URL by `--url`, or write \
         `command` or `url` in [server.{name}] of {file}"
    )]
    NoCommand {
        /// The server.
        name: String,
        /// The configuration.
        file: String,
    },
    /// The file names another command or URL.
    #[error(
        "server `{name}`: {file} has another command or URL in [server.{name}]; leave yours out, or give the server \
         another name by `--name`"
    )]
    OtherCommand {
        /// The server.
        name: String,
        /// The configuration.
        file: String,
    },
    /// The URL, a header or a variable in them cannot be used.
    #[error("{0}")]
    Remote(#[from] ConfigError),
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

/// What was typed at `wrap` or `try` to say which server is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typed<'a> {
    /// Nothing: the file says it.
    Nothing,
    /// What to start; not empty.
    Command(&'a [String]),
    /// What to reach.
    Url {
        /// The URL, perhaps with variables.
        url: &'a str,
        /// Headers, each `Name: value`, perhaps with variables.
        headers: &'a [String],
    },
}

/// The server's name: as given, or a slug of what was typed.
pub fn name_of(name: Option<&str>, typed: Typed<'_>) -> Result<String, WrapError> {
    let name = match (name, typed) {
        (Some(name), _) => name.to_owned(),
        (None, Typed::Nothing) => slug(&[]),
        (None, Typed::Command(command)) => slug(command),
        (None, Typed::Url { url, .. }) => {
            let url = remote(url, &[])?.endpoint("")?;
            slug_of_url(&url.url)
        }
    };
    names::check_server_name(&name).map_err(|error| WrapError::Name(error.to_string()))?;
    Ok(name)
}

/// What is behind the gate under a name: what was typed, what the file says, or both if they are the same.
pub fn resolve(config: &Config, name: &str, typed: Typed<'_>) -> Result<ServerEntry, WrapError> {
    let file = || {
        config
            .file
            .as_deref()
            .unwrap_or(&config.dir)
            .display()
            .to_string()
    };
    let other = || WrapError::OtherCommand {
        name: name.to_owned(),
        file: file(),
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
    let reached = listed.and_then(|server| server.remote.as_deref());
    let launch = |command: &[String]| {
        Upstream::Child(Launch {
            command: command.to_vec(),
            env: listed.map(|server| server.env.clone()).unwrap_or_default(),
            name: name.to_owned(),
        })
    };
    let upstream = match (typed, in_file, reached) {
        (Typed::Nothing, [], None) => {
            return Err(WrapError::NoCommand {
                name: name.to_owned(),
                file: file(),
            });
        }
        (Typed::Nothing, _, Some(remote)) => Upstream::Http(remote.endpoint(name)?),
        (Typed::Nothing, command, None) => launch(command),
        (Typed::Command(typed), listed, None) if listed.is_empty() || listed == typed => {
            launch(typed)
        }
        (Typed::Url { url, headers }, [], None) => {
            Upstream::Http(remote(url, headers)?.endpoint(name)?)
        }
        (Typed::Url { url, headers }, [], Some(listed)) => {
            let typed = remote(url, headers)?;
            if typed.url.expand()? != listed.url.expand()? {
                return Err(other());
            }
            Upstream::Http(listed.with_headers(typed.headers).endpoint(name)?)
        }
        (Typed::Command(_) | Typed::Url { .. }, _, _) => return Err(other()),
    };
    Ok(ServerEntry {
        name: name.to_owned(),
        upstream,
        typed: typed != Typed::Nothing,
    })
}

fn remote(url: &str, headers: &[String]) -> Result<Remote, ConfigError> {
    let mut remote = Remote::new(Template::parse(url, "--url")?);
    for header in headers {
        remote.headers.push(read_header(header)?);
    }
    Ok(remote)
}

/// What to tell the operator if the name stood for something else before.
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

/// Begins a tape, if one is configured. Nothing waits for a tape: a gate that cannot write one goes on without.
pub fn open_tape(setup: &Setup) -> Option<Tape> {
    if !setup.config.audit.tape {
        return None;
    }
    let options = tape::Options {
        flags: setup.builder.flags().to_vec(),
        ..tape::Options::default()
    };
    Tape::open(&setup.places.tape_dir, options)
        .inspect_err(|error| tracing::error!("nothing is recorded to be replayed: {error}"))
        .ok()
}

/// Runs the session on standard input and output.
async fn run(
    host: Arc<Host>,
    entry: ServerEntry,
    observer: Observer,
) -> Result<Ended, SessionError> {
    let source = Source::stdin().map_err(SessionError::Stdio)?;
    let sink = Sink::stdout().map_err(SessionError::Stdio)?;
    if let Upstream::Child(launch) = &entry.upstream {
        let launch = launch.clone();
        let (ended, _) = run_on(host, entry, launch, observer, source, sink).await?;
        return Ok(ended);
    }
    let (ended, _) = stdio::run_on(host, entry, source, sink).await?;
    Ok(ended)
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
    let tape = open_tape(&setup);
    let host = Arc::new(Host::new(setup, audit).recording(tape));
    let observer = observer(&entry.name);
    let id = observer.id.clone();
    let watching = Watching::start(host.clone(), file);
    let ended = run(host.clone(), entry, observer).await;
    watching.end().await;
    let ends = Commit {
        based_on: None,
        ops: vec![Op::ObserverEnds { id }],
    };
    if let Err(error) = host.ledger.commit(ends).await {
        tracing::warn!("{error}");
    }
    host.close_records().await;
    Ok(ended?)
}
