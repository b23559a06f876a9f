//! `witgate try`: what an agent would see of a server, every item, its verdict, and why.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::wrap::ServerArgs;
use super::{Context, Failed, output};
use crate::audit::Audit;
use crate::chain::visibility::Status;
use crate::discovery::{self, Found};
use crate::gate::probe::{ProbeError, Seen, probe};
use crate::gate::{Host, wrap};
use crate::mcp::escape::{visible, visible_cut};
use crate::mcp::{Item, ItemKind};
use crate::{ledger, setup};

/// How much of a name is shown in the table, characters.
const SHOWN: usize = 60;

/// See what an agent would see of a server: every item, its verdict, and why. Writes nothing without --keep
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: witgate try -- npx -y @modelcontextprotocol/server-everything")]
pub(super) struct Args {
    #[command(flatten)]
    server: ServerArgs,
    /// Show what an agent that searches for these words would find
    #[arg(long, value_name = "WORDS")]
    search: Option<String>,
    /// Keep what was seen: the first look at a server becomes its baseline
    #[arg(long)]
    keep: bool,
}

impl From<ProbeError> for Failed {
    fn from(error: ProbeError) -> Self {
        Self::new("server", visible(&error.to_string()).into_owned())
    }
}

/// One item for machines.
#[derive(Debug, Serialize)]
struct ItemJson<'a> {
    kind: &'static str,
    name: &'a str,
    digest: String,
    verdict: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    denials: Vec<DenialJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    surfaced_as: Option<&'a str>,
}

/// Why one policy withholds an item.
#[derive(Debug, Serialize)]
struct DenialJson<'a> {
    policy: &'a str,
    code: &'a str,
    reason: &'a str,
    remedy: Option<&'a str>,
}

/// Looks at the server and prints what was seen.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let (name, lists) = args.server.named()?;
    let options = setup::Options {
        flags: vec![(name.clone(), lists)],
        ..context.options(args.keep)
    };
    let mut setup = setup::open(&options).await?;
    let entry = wrap::resolve(&setup.config, &name, args.server.typed())?;
    if !args.keep {
        // What is learned goes into a copy that ends with this process.
        setup.ledger = ledger::in_memory(Some(&setup.ledger.snapshot()));
    }
    let ledger = setup.ledger.clone();
    let host = Arc::new(Host::new(setup, Audit::off()));
    let observer = wrap::observer(&entry.name);
    let id = observer.id.clone();
    let seen = probe(host, entry, observer).await?;
    let ends = ledger::Commit {
        based_on: None,
        ops: vec![ledger::Op::ObserverEnds { id }],
    };
    ledger.commit(ends).await?;
    match &args.search {
        Some(query) => print_found(context, &seen, query),
        None => print_seen(context, &seen, args.keep),
    }
}

fn print_seen(context: &Context, seen: &Seen, kept: bool) -> Result<(), Failed> {
    if context.out.is_json() {
        let items: Vec<_> = seen
            .items
            .iter()
            .map(|(item, status)| item_json(item, status))
            .collect();
        let malformed: Vec<_> = seen
            .malformed
            .iter()
            .map(|(kind, what)| json!({"kind": kind.word(), "problem": what}))
            .collect();
        let failed: Vec<_> = seen
            .failed
            .iter()
            .map(|(kind, why)| json!({"kind": kind.word(), "problem": why}))
            .collect();
        return context.out.value(&json!({
            "server": seen.server.name,
            "standing": seen.server.standing(),
            "items": items,
            "malformed": malformed,
            "failed": failed,
            "kept": kept,
        }));
    }
    let paint = context.out.paint();
    let visible_items = seen
        .items
        .iter()
        .filter(|(_, status)| *status == Status::Visible)
        .count();
    let standing = if seen.server.quarantined {
        "quarantined"
    } else {
        "trusted"
    };
    context.out.line(&format!(
        "{} ({standing}): an agent sees {visible_items} of {} items",
        paint.bold(&visible(&seen.server.name)),
        seen.items.len()
    ));
    let rows = seen.items.iter().map(|(item, status)| {
        let (verdict, why) = match status {
            Status::Visible => ("visible".to_owned(), String::new()),
            Status::Withheld(withheld) => {
                let why = withheld
                    .denials
                    .iter()
                    .map(|(policy, d)| format!("{policy}: {} ({})", visible(&d.reason), d.code))
                    .collect::<Vec<_>>()
                    .join("; ");
                let verdict = if withheld.locked.is_some() {
                    "withheld, named"
                } else {
                    "withheld"
                };
                (verdict.to_owned(), why)
            }
        };
        vec![
            item.key.kind.word().to_owned(),
            shown_name(item),
            verdict,
            why,
        ]
    });
    context
        .out
        .line(&output::table(&["KIND", "NAME", "VERDICT", "WHY"], rows));
    for (kind, what) in &seen.malformed {
        context.out.line(&format!(
            "{} {kind}: {what}",
            paint.red("malformed and withheld:")
        ));
    }
    for (kind, why) in &seen.failed {
        let note = paint.red("could not be read:");
        context
            .out
            .line(&format!("{note} {kind}: {}", visible(why)));
    }
    if !kept {
        context.out.line(&paint.dim(
            "Nothing was kept. `witgate wrap` approves what it sees first, and withholds what changes or appears later.",
        ));
    }
    Ok(())
}

fn shown_name(item: &Item) -> String {
    match item.key.kind {
        ItemKind::SelfDescription => "(its own words)".to_owned(),
        _ => visible_cut(&item.key.name, SHOWN).into_owned(),
    }
}

fn item_json<'a>(item: &'a Item, status: &'a Status) -> ItemJson<'a> {
    let withheld = match status {
        Status::Visible => None,
        Status::Withheld(withheld) => Some(withheld),
    };
    ItemJson {
        kind: item.key.kind.word(),
        name: &item.key.name,
        digest: item.digest.to_string(),
        verdict: if withheld.is_some() {
            "withheld"
        } else {
            "visible"
        },
        denials: withheld
            .iter()
            .flat_map(|withheld| &withheld.denials)
            .map(|(policy, denial)| DenialJson {
                policy,
                code: &denial.code,
                reason: &denial.reason,
                remedy: denial.remedy.as_deref(),
            })
            .collect(),
        surfaced_as: withheld
            .and_then(|w| w.locked.as_ref())
            .map(|locked| locked.status.as_str()),
    }
}

fn print_found(context: &Context, seen: &Seen, query: &str) -> Result<(), Failed> {
    let found = discovery::search(
        seen.items.iter().map(|(item, s)| (item, s)),
        |digest| seen.definitions.get(digest).map(|text| &**text),
        query,
    );
    if context.out.is_json() {
        return context.out.value(&found.to_json(&seen.server.name));
    }
    let Found {
        locked,
        hits,
        hidden_matches,
    } = &found;
    if locked.is_empty() && hits.is_empty() {
        context.out.line(if *hidden_matches {
            "Nothing that can be called matches; something that waits for review does."
        } else {
            "Nothing matches."
        });
        return Ok(());
    }
    let rows = locked
        .iter()
        .map(|entry| {
            vec![
                visible_cut(&entry.name, SHOWN).into_owned(),
                entry.status.clone(),
                visible(&entry.remedy).into_owned(),
            ]
        })
        .chain(hits.iter().map(|name| {
            vec![
                visible_cut(name, SHOWN).into_owned(),
                "callable".to_owned(),
                String::new(),
            ]
        }));
    context
        .out
        .line(&output::table(&["NAME", "STATUS", "REMEDY"], rows));
    Ok(())
}
