//! A server as a child process.
//!
//! Knows how one is started, what environment it gets, where its standard error goes, and how it is ended: its whole
//! process group, since launchers such as `npx` put the server a process further down.

use std::collections::BTreeMap;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{ChildStderr, Command};

use crate::mcp::escape::visible;
use crate::upstream::Outbox;
use crate::upstream::pipe::{Sink, Source};

/// How long a child has to end by itself after its input was closed, and again after SIGTERM.
const GRACE: Duration = Duration::from_millis(1500);

/// The longest line of standard error that is logged whole, bytes.
const MAX_STDERR_LINE: u64 = 16 << 10;

/// What is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The command and its arguments; never empty.
    pub command: Vec<String>,
    /// Environment beside the client's own.
    pub env: BTreeMap<String, String>,
    /// The server's name, for the log.
    pub name: String,
}

/// A server cannot be started.
#[derive(Debug, thiserror::Error)]
#[error(
    "server `{name}`: `{program}` cannot be started: {source}. Check the command after `--`, or `command` in [server.{name}]"
)]
pub struct LaunchError {
    /// The server.
    pub name: String,
    /// The program.
    pub program: String,
    /// What the system said.
    pub source: io::Error,
}

/// A running server.
pub struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
    /// What it writes.
    pub output: Source,
    /// What it reads.
    pub input: Outbox<Sink>,
}

/// A server whose pipes were taken apart from it: it can still be waited for and ended.
pub struct Remains {
    process: tokio::process::Child,
    group: Option<Pid>,
}

impl Child {
    /// Starts it: in a process group of its own, with the client's environment less `WITGATE_*`, its standard error
    /// going to the log line by line.
    pub fn launch(launch: &Launch) -> Result<Self, LaunchError> {
        let program = launch.command.first().cloned().unwrap_or_default();
        Self::start(launch, &program).map_err(|source| LaunchError {
            name: launch.name.clone(),
            program,
            source,
        })
    }

    fn start(launch: &Launch, program: &str) -> io::Result<Self> {
        let mut command = Command::new(program);
        command
            .args(launch.command.iter().skip(1))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for (key, _) in std::env::vars_os() {
            if key.to_string_lossy().starts_with("WITGATE_") {
                command.env_remove(key);
            }
        }
        command.envs(&launch.env);
        let mut process = command.spawn()?;
        let missing = || io::Error::other("a pipe of the child is missing");
        let output = process.stdout.take().ok_or_else(missing)?.into_owned_fd()?;
        let input = process.stdin.take().ok_or_else(missing)?.into_owned_fd()?;
        if let Some(stderr) = process.stderr.take() {
            tokio::spawn(log_stderr(launch.name.clone(), stderr));
        }
        let group = process
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        Ok(Self {
            process,
            group,
            output: Source::pipe(output)?,
            input: Outbox::new(Sink::pipe(input)?),
        })
    }

    /// Takes the pipes apart from the process.
    pub fn split(self) -> (Source, Outbox<Sink>, Remains) {
        (
            self.output,
            self.input,
            Remains {
                process: self.process,
                group: self.group,
            },
        )
    }
}

impl Remains {
    /// Ends the process, its input being closed already: waits, then SIGTERM to its group, then SIGKILL.
    pub async fn end(mut self) -> io::Result<ExitStatus> {
        if let Ok(status) = tokio::time::timeout(GRACE, self.process.wait()).await {
            // Whatever the server itself started and left behind goes with it.
            self.signal(Signal::TERM);
            return status;
        }
        self.signal(Signal::TERM);
        if let Ok(status) = tokio::time::timeout(GRACE, self.process.wait()).await {
            return status;
        }
        self.signal(Signal::KILL);
        self.process.wait().await
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group
            && let Err(error) = rustix::process::kill_process_group(group, signal)
            && error != rustix::io::Errno::SRCH
        {
            tracing::warn!("the server's process group cannot be ended: {error}");
        }
    }
}

async fn log_stderr(name: String, stderr: ChildStderr) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut reader)
            .take(MAX_STDERR_LINE)
            .read_until(b'\n', &mut line)
            .await
        {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let text = String::from_utf8_lossy(&line);
                let text = text.trim_end_matches(['\n', '\r']);
                if !text.is_empty() {
                    tracing::info!(target: "server", "{name}: {}", visible(text));
                }
            }
        }
    }
}
