//! `witgate review approve | revoke | block | unblock`.

use serde::Serialize;

use super::list::EntryJson;
use super::show;
use crate::cli::{Context, Failed};
use crate::mcp::escape;
use crate::operator::{Decided, Verb, printed_digest};

#[derive(Serialize)]
struct DecidedJson<'a> {
    action: &'a str,
    digest: Option<&'a str>,
    /// The entry as it is now; none if it is gone.
    entry: Option<EntryJson<'a>>,
}

#[derive(Serialize)]
struct Answer<'a> {
    decided: Vec<DecidedJson<'a>>,
}

/// Decides about one entry.
pub(super) async fn one(
    context: &Context,
    id: &str,
    digest: Option<&str>,
    verb: Verb,
) -> Result<(), Failed> {
    let setup = context.open(true).await?;
    let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
    let decided = operator.decide(id, digest, verb).await?;
    report(context, verb, &[decided])
}

/// Approves everything that waits at a server, and shows what that was.
pub(super) async fn server(context: &Context, server: &str, digest: &str) -> Result<(), Failed> {
    let setup = context.open(true).await?;
    let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
    let decided = operator.approve_server(server, digest).await?;
    approved(context, &operator, &decided).await
}

/// Reports what was approved at a server: the differences, equal ones once, and what became of each item.
pub(crate) async fn approved(
    context: &Context,
    operator: &crate::operator::Operator,
    decided: &[Decided],
) -> Result<(), Failed> {
    if !context.out.is_json() && !decided.is_empty() {
        let mut entries: Vec<_> = decided.iter().map(|d| d.before.clone()).collect();
        entries.dedup();
        let looked = show::look_all(operator, entries).await?;
        let text = show::together(&looked, context.out.paint());
        context.out.line(&format!("{text}\n"));
    }
    report(context, Verb::Approve, decided)
}

fn report(context: &Context, verb: Verb, decided: &[Decided]) -> Result<(), Failed> {
    if context.out.is_json() {
        let decided = decided.iter().map(|decided| DecidedJson {
            action: verb.word(),
            digest: decided.digest.as_deref(),
            entry: decided.after.as_ref().map(EntryJson::new),
        });
        return context.out.value(&Answer {
            decided: decided.collect(),
        });
    }
    if decided.is_empty() {
        context.out.line("Nothing waited.");
    }
    for one in decided {
        context.out.line(&told(verb, one));
    }
    Ok(())
}

fn told(verb: Verb, decided: &Decided) -> String {
    let done = match verb {
        Verb::Approve | Verb::ApproveAlso => "approved",
        Verb::Revoke => "revoked",
        Verb::Block => "blocked",
        Verb::Unblock => "unblocked",
    };
    let mut text = format!("{done}: {}", show::title(&decided.before));
    if let Some(digest) = &decided.digest {
        text.push_str(&format!(" ({})", escape::visible(printed_digest(digest))));
    }
    if let Some(after) = &decided.after {
        let status = escape::visible(&after.entry.status);
        if status != done {
            text.push_str(&format!("; it is now {status}"));
        }
    }
    text
}
