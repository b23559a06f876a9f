//! Chores of the project that need more than cargo: `cargo xtask policies`, `cargo xtask component`.

mod component;
mod policies;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "Chores of the witgate project")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds the policies written in Rust to components, and writes a manifest beside them.
    Policies(policies::Args),
    /// Makes a component of a module, with the arguments of `wasm-tools component`.
    #[command(subcommand)]
    Component(component::Step),
}

#[allow(clippy::print_stderr, reason = "xtask is a command")]
fn main() -> ExitCode {
    let done = match Cli::parse().chore {
        Chore::Policies(args) => policies::run(&args),
        Chore::Component(step) => component::run(&step),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
