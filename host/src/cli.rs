//! The command line: one file per command, each thin over the library.
//!
//! Knows arguments, exit codes, terminals and JSON output. Decides nothing. People's output and JSON go to stdout, logs
//! and errors to stderr; a command exits 0 when it is done, 1 when it was refused or failed, 2 when the arguments or
//! the configuration cannot be used.

mod audit;
mod demo;
mod doctor;
mod error;
mod output;
mod policy;
mod render;
mod replay;
mod review;
mod serve;
mod server;
mod time;
mod token;
mod try_;
mod wrap;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};

use crate::config::Config;
use crate::ledger::Ledger;
use crate::operator::Operator;
use crate::policy::Policy;
use crate::setup::{self, Setup};

pub use error::Failed;
pub use output::Output;

/// A policy host for the Model Context Protocol: stands between an MCP client and its servers.
#[derive(Debug, Parser)]
#[command(name = "witgate", version, about, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Arguments that every command takes.
#[derive(Debug, Clone, Default, Args)]
pub struct Global {
    /// The configuration file [default: witgate.toml in the platform's configuration folder]
    #[arg(
        long,
        global = true,
        env = "WITGATE_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
    /// The ledger, `sqlite:PATH` or a path [default: in the platform's state folder]
    #[arg(
        long,
        global = true,
        env = "WITGATE_STATE",
        value_name = "URL",
        hide_env_values = true
    )]
    pub state: Option<String>,
    /// Print JSON for machines
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Wrap(wrap::Args),
    Serve(serve::Args),
    Try(try_::Args),
    Demo(demo::Args),
    /// The bundled server of the demonstration
    #[command(name = demo::server::COMMAND, hide = true)]
    DemoServer,
    /// See what waits for you, and decide about it
    Review(review::Args),
    /// See servers, trust them, quarantine them
    Server(server::Args),
    /// See the policies in force; write, test and measure your own
    Policy(policy::Args),
    /// Read and verify the record of decisions
    Audit(audit::Args),
    /// Ask a chain again what a tape holds, and see what it would decide otherwise
    Replay(replay::Args),
    /// Make, list and revoke the tokens that clients over HTTP call with
    Token(token::Args),
    /// Find out what is wrong and how to mend it
    Doctor(doctor::Args),
}

/// What a command works with.
pub struct Context {
    /// The arguments every command takes.
    pub global: Global,
    /// Where output goes.
    pub out: Output,
}

/// Runs the command that the process's arguments name.
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

/// Runs the command that `args` name, the program's name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; all else is unusable arguments.
            let code = if error.use_stderr() { 2 } else { 0 };
            // A closed stdout or stderr leaves nobody to tell.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    output::start_log();
    // On stdio transports stdout carries MCP and nothing else.
    let json = cli.global.json && !matches!(cli.command, Command::Wrap(_));
    let out = Output::standard(json);
    let context = Context {
        global: cli.global,
        out,
    };
    // The doctor alone looks at everything else all the same.
    if let (Some(state), false) = (
        &context.global.state,
        matches!(cli.command, Command::Doctor(_)),
    ) && let Err(error) = Config::check_state(state)
    {
        return context.fail(&error.into());
    }
    // One session needs no hop between threads; many clients need all cores.
    let mut runtime = match cli.command {
        Command::Serve(_) => tokio::runtime::Builder::new_multi_thread(),
        _ => tokio::runtime::Builder::new_current_thread(),
    };
    let runtime = match runtime.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return context.fail(&Failed::new("runtime", error.to_string())),
    };
    let done = runtime.block_on(async {
        match cli.command {
            Command::Wrap(args) => wrap::run(&context, args).await,
            Command::Serve(args) => serve::run(&context, args).await,
            Command::Try(args) => try_::run(&context, args).await,
            Command::Demo(args) => demo::run(&context, args).await,
            Command::DemoServer => demo::server::run(),
            Command::Review(args) => review::run(&context, args).await,
            Command::Server(args) => server::run(&context, args).await,
            Command::Policy(args) => policy::run(&context, args).await,
            Command::Audit(args) => audit::run(&context, args).await,
            Command::Replay(args) => replay::run(&context, args).await,
            Command::Token(args) => token::run(&context, args).await,
            Command::Doctor(args) => doctor::run(&context, args).await,
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => context.fail(&failed),
    }
}

impl Context {
    /// Opens configuration, ledger and chain. `write`: the command changes the ledger, so one is made if there is none;
    /// otherwise nothing is written.
    ///
    /// A policy that cannot be put in force is left out: a running gate goes on without it too, and no message is judged
    /// here.
    pub async fn open(&self, write: bool) -> Result<Setup, Failed> {
        let options = setup::Options {
            tolerant: true,
            ..self.options(write)
        };
        Ok(setup::open(&options).await?)
    }

    /// What every command that opens a ledger says of it.
    fn options(&self, create: bool) -> setup::Options {
        setup::Options {
            config: self.global.config.clone(),
            state: self.global.state.clone(),
            flags: Vec::new(),
            policy_dir: None,
            create,
            tolerant: false,
        }
    }

    /// Opens configuration and ledger to change the ledger, and no chain: for what must work when that is broken.
    pub async fn ledger(&self) -> Result<(Config, Arc<dyn Ledger>), Failed> {
        let config = Config::load(self.global.config.as_deref())?;
        let places = setup::places(&config, self.global.state.as_deref());
        let ledger = setup::open_ledger(&places, true).await?;
        Ok((config, ledger))
    }

    /// The operator whose command this is, deciding through `policies`.
    pub fn operator(&self, policies: &[Arc<Policy>], ledger: Arc<dyn Ledger>) -> Operator {
        Operator::new(policies, ledger, actor())
    }

    /// A command line of witgate that reaches the same configuration and ledger.
    pub fn command(&self, words: &[&str]) -> String {
        let mut line = vec!["witgate".to_owned()];
        if let Some(config) = &self.global.config {
            line.extend(["--config".to_owned(), config.display().to_string()]);
        }
        if let Some(state) = &self.global.state {
            line.extend(["--state".to_owned(), state.clone()]);
        }
        line.extend(words.iter().map(|word| (*word).to_owned()));
        output::shell_line(&line)
    }

    fn fail(&self, failed: &Failed) -> ExitCode {
        self.out.failure(failed);
        ExitCode::from(failed.exit)
    }
}

/// Who is at the keyboard, as far as the system tells: the login name, else the user's number.
fn actor() -> String {
    ["USER", "LOGNAME"]
        .iter()
        .filter_map(|name| std::env::var(name).ok())
        .find(|name| !name.is_empty())
        .map_or_else(user_number, |name| {
            crate::mcp::escape::visible_cut(&name, 64).into_owned()
        })
}

#[cfg(unix)]
fn user_number() -> String {
    format!("uid {}", rustix::process::getuid().as_raw())
}

#[cfg(not(unix))]
fn user_number() -> String {
    "operator".to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
