//! `witgate demo`: a bundled server that turns on its user, and the gate that notices.
//!
//! Everything runs for real: the server as a child process, the gate in front of it with the shipped policies, and
//! the operator's own commands over the same ledger. The ledger is in memory, so that nothing is left behind.

mod agent;
pub(super) mod server;

use std::sync::Arc;

use self::agent::Agent;
use super::review;
use super::{Context, Failed};
use crate::audit::Audit;
use crate::gate::session::io::run_on;
use crate::gate::{Host, ServerEntry, wrap};
use crate::mcp::escape::visible;
use crate::operator::Operator;
use crate::setup;
use crate::upstream::Launch;

/// How much the pipes between the agent and the gate hold.
const PIPE: usize = 1 << 20;

/// The bundled server's name.
const NAME: &str = "notes";

/// Watch a server turn on its user, and the gate notice
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Tells the story.
pub(super) async fn run(context: &Context, _args: Args) -> Result<(), Failed> {
    let setup = setup::in_memory().await?;
    let ledger = setup.ledger.clone();
    let operator = Operator::new(&setup.generation.policies, ledger, "you".to_owned());
    let program = std::env::current_exe()
        .map_err(|e| Failed::new("demo", format!("this program cannot be found again: {e}")))?;
    let command = vec![program.display().to_string(), server::COMMAND.to_owned()];
    let launch = Launch {
        command,
        env: Default::default(),
        name: NAME.to_owned(),
    };
    let entry = ServerEntry {
        name: NAME.to_owned(),
        upstream: crate::upstream::Upstream::Child(launch.clone()),
        typed: true,
    };
    let host = Arc::new(Host::new(setup, Audit::off()));
    let (near, far) = tokio::io::duplex(PIPE);
    let (source, sink) = tokio::io::split(far);
    let session = run_on(host, entry, launch, wrap::observer(NAME), source, sink);
    let story = tell(context, Agent::new(near), &operator);
    let (ended, told) = tokio::join!(session, story);
    told?;
    ended
        .map(|_| ())
        .map_err(|error| Failed::new("demo", error.to_string()))
}

async fn tell(context: &Context, mut agent: Agent, operator: &Operator) -> Result<(), Failed> {
    let out = &context.out;
    let paint = out.paint();
    let step = |text: &str| out.line(&format!("\n{}", paint.bold(text)));
    let agent_sees =
        |tools: &[String]| out.line(&format!("   the agent sees   {}", tools.join(", ")));
    let answers = |call: &str, text: &str| {
        out.line(&format!(
            "   the agent calls  {call}\n   and gets         {}",
            visible(text)
        ));
    };

    step("1. An agent meets a notes server for the first time, through witgate.");
    agent.initialize().await?;
    agent_sees(&agent.tools().await?);
    let text = agent.call("add_note", r#"{"text":"buy milk"}"#).await?;
    answers("add_note", &text);
    out.line("   Its tools are approved as they were seen first: that is the baseline.");

    step("2. Behind the scenes the server changes add_note, and adds a tool.");
    out.line(&format!(
        "   add_note now says: {}",
        paint.red(server::POISON)
    ));
    agent.until_list_changes().await?;
    agent_sees(&agent.tools().await?);
    let text = agent.call("add_note", r#"{"text":"buy bread"}"#).await?;
    answers("add_note", &text);
    out.line(
        "   Nothing of the new description reached the agent, nothing of the call the server.",
    );

    step("3. What you see: witgate review");
    let mut entries = operator.entries(Some(NAME)).await?;
    entries.retain(|review| review.entry.waiting);
    for review in entries {
        out.line("");
        out.line(&review::shown(context, operator, review).await?);
    }

    step("4. You approve neither. Caught, the server goes back to what it was.");
    let text = agent.call("list_notes", "{}").await?;
    answers("list_notes", &text);
    agent.until_list_changes().await?;
    agent_sees(&agent.tools().await?);
    let text = agent.call("add_note", r#"{"text":"buy bread"}"#).await?;
    answers("add_note", &text);
    out.line("   What is exactly as approved may be used; sync_notes would still be waiting, had it stayed.");
    out.line(&format!(
        "\nTry it on a server of your own:  {}",
        paint.bold("witgate try -- npx -y @modelcontextprotocol/server-everything")
    ));
    Ok(())
}
