//! `witgate server`: which servers there are, and which may speak.

use clap::Subcommand;
use serde::Serialize;

use super::{Context, Failed, output, review};
use crate::ledger::Standing;
use crate::ledger::health::Health;
use crate::operator::{Server, StandingFrom, printed_digest};

/// See servers, trust them, quarantine them.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List every server that the configuration or the ledger knows
    List,
    /// Trust a server and approve what waits there, as you have seen it
    Trust {
        /// The server
        name: String,
        /// The catalogue digest of what you looked at (`witgate review show --server NAME`), 8 digits or more
        #[arg(long)]
        digest: String,
    },
    /// Silence a server: it lists nothing, answers nothing, asks nothing
    Quarantine {
        /// The server
        name: String,
    },
    /// Give a server another name, with everything kept about it
    Rename {
        /// The name it has
        from: String,
        /// The name it gets
        to: String,
    },
    /// Forget what is kept about a server; the same name is no first sight all the same
    Forget {
        /// The server
        name: String,
    },
}

/// A server for machines.
#[derive(Debug, Serialize)]
pub(super) struct ServerJson<'a> {
    name: &'a str,
    standing: Standing,
    standing_from: StandingFrom,
    enabled: bool,
    command: &'a [String],
    items: usize,
    waiting: usize,
    catalogue_digest: String,
    processes: &'a [u32],
    health: &'a [Health],
    malformed: Vec<Malformed<'a>>,
}

#[derive(Debug, Serialize)]
struct Malformed<'a> {
    kind: &'a str,
    what: &'a str,
}

impl<'a> ServerJson<'a> {
    pub(super) fn new(server: &'a Server) -> Self {
        Self {
            name: &server.name,
            standing: server.standing,
            standing_from: server.standing_from,
            enabled: server.enabled,
            command: &server.command,
            items: server.items,
            waiting: server.waiting(),
            catalogue_digest: server.catalogue_digest.to_string(),
            processes: &server.processes,
            health: &server.health,
            malformed: server
                .malformed
                .iter()
                .map(|(kind, what)| Malformed { kind, what })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct Done<'a> {
    done: &'a str,
    server: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context).await,
        Action::Trust { name, digest } => {
            let setup = context.open(true).await?;
            let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
            let decided = operator.trust(&setup.config, &name, &digest).await?;
            review::approved(context, &operator, &decided).await?;
            tell(context, &format!("{name} is trusted."));
            Ok(())
        }
        Action::Quarantine { name } => {
            // Needs no policy: a server can be silenced while the chain is broken.
            let (config, ledger) = context.ledger().await?;
            let operator = context.operator(&[], ledger);
            operator.quarantine(&config, &name).await?;
            done(
                context,
                "quarantine",
                &name,
                None,
                &format!("{name} is quarantined."),
            )
        }
        Action::Rename { from, to } => {
            let setup = context.open(true).await?;
            let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
            operator.rename(&setup.config, &from, &to).await?;
            let text = format!("{from} is called {to} now. Start it with `--name {to}`.");
            done(context, "rename", &from, Some(&to), &text)
        }
        Action::Forget { name } => {
            let setup = context.open(true).await?;
            let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
            operator.forget(&setup.config, &name).await?;
            let text = format!(
                "{name} is forgotten. When it is started again under that name, everything it offers waits for you."
            );
            done(context, "forget", &name, None, &text)
        }
    }
}

fn done(
    context: &Context,
    what: &str,
    server: &str,
    to: Option<&str>,
    text: &str,
) -> Result<(), Failed> {
    if context.out.is_json() {
        return context.out.value(&Done {
            done: what,
            server,
            to,
        });
    }
    tell(context, text);
    Ok(())
}

fn tell(context: &Context, text: &str) {
    if !context.out.is_json() {
        context.out.line(&crate::mcp::escape::visible(text));
    }
}

async fn list(context: &Context) -> Result<(), Failed> {
    let setup = context.open(false).await?;
    let servers = context
        .operator(&setup.generation.policies, setup.ledger.clone())
        .servers(&setup.config)
        .await?;
    if context.out.is_json() {
        let servers: Vec<_> = servers.iter().map(ServerJson::new).collect();
        return context.out.value(&servers);
    }
    if servers.is_empty() {
        context
            .out
            .line("No server yet. Put `witgate wrap --` in front of a server's command.");
        return Ok(());
    }
    let header = [
        "NAME",
        "STANDING",
        "ITEMS",
        "WAITING",
        "CATALOGUE DIGEST",
        "HEALTH",
        "COMMAND",
    ];
    let table = output::table(&header, servers.iter().map(row));
    context.out.line(&table);
    Ok(())
}

fn row(server: &Server) -> Vec<String> {
    let mut standing = match server.standing {
        Standing::Trusted => "trusted",
        Standing::Quarantined => "quarantined",
    }
    .to_owned();
    if !server.enabled {
        standing.push_str(", disabled");
    }
    let waiting = server.waiting();
    let digest = server.catalogue_digest.to_string();
    let shown = waiting > 0 || server.standing == Standing::Quarantined;
    vec![
        server.name.clone(),
        standing,
        server.items.to_string(),
        waiting.to_string(),
        if shown {
            printed_digest(&digest).to_owned()
        } else {
            String::new()
        },
        server
            .health
            .iter()
            .map(health)
            .collect::<Vec<_>>()
            .join("; "),
        output::shell_line(&server.command),
    ]
}

/// How a gate that runs finds the server.
fn health(health: &Health) -> String {
    let state = match health.up {
        None => return "not used yet".to_owned(),
        Some(true) => "up",
        Some(false) => "down",
    };
    let since = super::time::rfc3339(health.since_ms).unwrap_or_default();
    let why = if health.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", health.detail)
    };
    format!("{state} since {since}, {} sessions{why}", health.sessions)
}
