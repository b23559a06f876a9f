//! `witgate review`: what waits for a person, and what the person says.

mod decide;
mod list;
mod show;
#[cfg(test)]
mod tests;

use clap::Subcommand;

use super::{Context, Failed};
use crate::operator::{Operator, ReviewEntry};
pub(super) use decide::approved;

/// See what waits for you, and decide about it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List what waits
    List {
        /// List everything, also what does not wait
        #[arg(long)]
        all: bool,
        /// Only this server's
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Show what a definition is, and how it differs from the approved one
    Show {
        /// The entry, as `review list` names it
        #[arg(required_unless_present = "server", conflicts_with = "server")]
        id: Option<String>,
        /// Everything that waits at this server
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
    /// Approve a definition you have looked at
    Approve {
        /// The entry, as `review list` names it
        #[arg(required_unless_present = "server", conflicts_with = "server")]
        id: Option<String>,
        /// Everything that waits at this server
        #[arg(long, value_name = "NAME", conflicts_with = "also")]
        server: Option<String>,
        /// The digest of what you looked at, 8 digits or more; with --server the catalogue digest
        #[arg(long)]
        digest: String,
        /// Keep what is approved already: the item may be either
        #[arg(long)]
        also: bool,
    },
    /// Take an approval back
    Revoke {
        /// The entry, as `review list --all` names it
        id: String,
        /// The approved digest, 8 digits or more
        #[arg(long)]
        digest: String,
    },
    /// Withhold an item whatever its definition
    Block {
        /// The entry, as `review list --all` names it
        id: String,
    },
    /// Judge an item by its definition again
    Unblock {
        /// The entry, as `review list --all` names it
        id: String,
    },
}

/// An entry as `review show` shows it.
pub(super) async fn shown(
    context: &Context,
    operator: &Operator,
    review: ReviewEntry,
) -> Result<String, Failed> {
    let looked = show::look(operator, review).await?;
    Ok(show::one(context, &looked))
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    use crate::operator::Verb;
    let list = Action::List {
        all: false,
        server: None,
    };
    match args.action.unwrap_or(list) {
        Action::List { all, server } => list::run(context, all, server.as_deref()).await,
        Action::Show {
            server: Some(server),
            ..
        } => show::server(context, &server).await,
        Action::Show { id, .. } => show::entry(context, &id.unwrap_or_default()).await,
        Action::Approve {
            server: Some(server),
            digest,
            ..
        } => decide::server(context, &server, &digest).await,
        Action::Approve {
            id, digest, also, ..
        } => {
            let verb = if also {
                Verb::ApproveAlso
            } else {
                Verb::Approve
            };
            decide::one(context, &id.unwrap_or_default(), Some(&digest), verb).await
        }
        Action::Revoke { id, digest } => {
            decide::one(context, &id, Some(&digest), Verb::Revoke).await
        }
        Action::Block { id } => decide::one(context, &id, None, Verb::Block).await,
        Action::Unblock { id } => decide::one(context, &id, None, Verb::Unblock).await,
    }
}
