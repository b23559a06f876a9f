//! Chores of the project that need more than cargo: `cargo xtask policies`.

mod policies;

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
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().chore {
        Chore::Policies(args) => policies::run(&args),
    }
}
