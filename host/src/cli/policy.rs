//! `witgate policy`: what is in force, what is in a file, and what an author of policies works with.

mod bench;
mod check;
mod diff;
mod figures;
mod forget;
mod inspect;
mod list;
mod new;
mod run;
mod schema;
mod subject;
mod test;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::{Context, Failed};
use crate::mcp::escape;
use crate::toolbox::Hook;

/// See the policies in force; write, test and measure your own.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the policies in force, in order, and what could not be put in force
    List,
    /// Write a project to begin with
    New(new::Args),
    /// Show what a component imports and exports, and what it was made with, without running it
    Inspect {
        /// The component
        file: PathBuf,
    },
    /// Load a component as a gate would, and say whether it can be used
    Check(check::Args),
    /// Run one hook on one input, and show its verdict, time, memory and log
    Run(run::Args),
    /// Run a policy's cases, and compare what it answers with what they expect
    Test(test::Args),
    /// Measure a policy's hooks, on instances that are ready and on new ones
    Bench(bench::Args),
    /// Print the JSON Schema of case files or of sidecars
    Schema {
        /// Which
        of: schema::Of,
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
        Action::Diff(args) => diff::diff(context, &args).await,
        Action::New(args) => new::new(context, &args),
        Action::Check(args) => check::check(context, args).await,
        Action::Run(args) => run::run(context, args).await,
        Action::Test(args) => test::test(context, args).await,
        Action::Bench(args) => bench::bench(context, args).await,
        Action::Schema { of } => schema::print(context, of),
        Action::Forget { name } => forget::forget(context, &name).await,
    }
}

/// A hook by its word.
fn hook_parser() -> impl TypedValueParser<Value = Hook> {
    PossibleValuesParser::new(Hook::ALL.map(Hook::word))
        .try_map(|word| Hook::from_word(&word).ok_or("no hook"))
}

/// Text of ours that may quote somebody else's, line by line.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape::visible).collect();
    lines.join("\n")
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(file).map_err(|e| Failed::new("unreadable", format!("{}: {e}", file.display())))
}
