//! `witgate policy`: what is in force, and what is in a file.

mod check;
mod diff;
mod forget;
mod inspect;
mod list;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use super::{Context, Failed};
use crate::mcp::escape;
use crate::policy::Hooks;

/// See the policies in force, and look into components.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the policies in force, in order, and what could not be put in force
    List,
    /// Show what a component imports and exports, without running it
    Inspect {
        /// The component
        file: PathBuf,
    },
    /// Load a component as a gate would, and say whether it can be used
    Check {
        /// The component
        file: PathBuf,
        /// Its settings, JSON or TOML [default: those of the NAME.toml beside it]
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
    /// Ask two components what a tape holds, and see what the second decides otherwise
    Diff(diff::Args),
    /// Forget the last good bytes of a policy whose file is gone for good
    Forget {
        /// The policy, as `policy list` names it
        name: String,
    },
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list::list(context).await,
        Action::Inspect { file } => inspect::inspect(context, &file),
        Action::Check { file, settings } => check::check(context, &file, settings.as_deref()).await,
        Action::Diff(args) => diff::diff(context, &args).await,
        Action::Forget { name } => forget::forget(context, &name).await,
    }
}

/// The words of the hooks a policy exports, as the contract spells them.
pub(super) fn hook_words(hooks: Hooks) -> Vec<&'static str> {
    let all = [
        (hooks.settings, "settings"),
        (hooks.inventory, "inventory"),
        (hooks.list_filter, "list-filter"),
        (hooks.call_gate, "call-gate"),
        (hooks.result_gate, "result-gate"),
        (hooks.client_request_gate, "client-request-gate"),
        (hooks.discovery_surface, "discovery-surface"),
        (hooks.review, "review"),
    ];
    let exported = all.into_iter().filter(|(exported, _)| *exported);
    exported.map(|(_, word)| word).collect()
}

/// Text of ours that may quote somebody else's, line by line.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape::visible).collect();
    lines.join("\n")
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(file).map_err(|e| Failed::new("unreadable", format!("{}: {e}", file.display())))
}
