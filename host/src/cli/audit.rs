//! `witgate audit`: the record of decisions.

use clap::Subcommand;
use serde::Deserialize;

use super::{Context, Failed, output};
use crate::audit::{self, AuditError, Line};
use crate::config::Config;
use crate::ledger::{self, OpenMode};
use crate::mcp::escape;
use crate::setup::{self, Places};

/// Records that are printed for people if they do not say how many.
const LATEST: usize = 20;

/// Read and verify the record of decisions.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the latest records, oldest first; with --json one JSON object a line
    Tail {
        /// Go on with records as they come
        #[arg(short, long)]
        follow: bool,
        /// How many of those that are there [default: 20, with --json all]
        #[arg(short = 'n', long, value_name = "N")]
        lines: Option<usize>,
    },
    /// Check that no record was edited, deleted, inserted or cut off
    Verify,
}

/// Runs the command. Neither part needs policies, so that both work when the chain is broken.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let config = Config::load(context.global.config.as_deref())?;
    let places = setup::places(&config, context.global.state.as_deref());
    match args.action {
        Action::Tail { follow, lines } => tail(context, &places, follow, lines),
        Action::Verify => verify(context, &places).await,
    }
}

impl From<AuditError> for Failed {
    fn from(error: AuditError) -> Self {
        Self::new("audit", error.to_string())
    }
}

fn tail(
    context: &Context,
    places: &Places,
    follow: bool,
    lines: Option<usize>,
) -> Result<(), Failed> {
    let all = if context.out.is_json() {
        usize::MAX
    } else {
        LATEST
    };
    let there = audit::tail(&places.audit_dir, false)?.count();
    let passed = there.saturating_sub(lines.unwrap_or(all));
    let mut bad = None;
    for line in audit::tail(&places.audit_dir, follow)?.skip(passed) {
        match line {
            Ok(line) if context.out.is_json() => context.out.line(&output::ascii(&line.text)),
            Ok(line) => context.out.line(&for_people(&line)),
            // A line that cannot be read is told in its place; those after it are records all the same.
            Err(error) => {
                let failed = Failed::from(error);
                context.out.warning(&failed.message);
                bad = Some(failed);
            }
        }
    }
    match bad {
        Some(failed) => Err(Failed::told(failed.code)),
        None => Ok(()),
    }
}

/// What people read of a record; the line has more.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    server: String,
    method: String,
    item: Option<Item>,
    verdict: String,
    codes: Vec<Code>,
    decided_by: Option<String>,
    lost: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Item {
    kind: String,
    name: String,
}

#[derive(Debug, Deserialize)]
struct Code {
    policy: String,
    code: String,
}

fn for_people(line: &Line) -> String {
    let Ok(record) = serde_json::from_str::<Record>(&line.text) else {
        return escape::visible_cut(&line.text, 400).into_owned();
    };
    if let Some(lost) = record.lost {
        return format!("{}  {lost} records could not be kept", line.time);
    }
    let mut text = format!(
        "{}  {:<8}  {}  {}",
        line.time, record.verdict, record.server, record.method
    );
    if let Some(item) = &record.item {
        text.push_str(&format!("  {} \"{}\"", item.kind, item.name));
    }
    let codes: Vec<_> = record
        .codes
        .iter()
        .map(|code| format!("{}:{}", code.policy, code.code))
        .collect();
    if !codes.is_empty() {
        text.push_str(&format!("  {}", codes.join(" ")));
    } else if let Some(policy) = &record.decided_by {
        text.push_str(&format!("  by {policy}"));
    }
    escape::visible(&text).into_owned()
}

async fn verify(context: &Context, places: &Places) -> Result<(), Failed> {
    let ledger = ledger::open(&places.ledger_url, &places.marker, OpenMode::ReadOnly).await?;
    let heads = match &ledger {
        Some(ledger) => ledger.audit_heads().await?,
        None => Vec::new(),
    };
    let report = audit::verify(&places.audit_dir, &heads)?;
    if context.out.is_json() {
        context.out.value(&Verified {
            ok: report.bad.is_none(),
            path: places.audit_dir.display().to_string(),
            report: &report,
        })?;
        return match report.bad {
            Some(_) => Err(Failed::told("audit_bad")),
            None => Ok(()),
        };
    }
    match &report.bad {
        None => {
            context.out.line(&format!(
                "{} records in {} files are as they were written; {} of them not bound into the ledger yet.",
                report.records, report.files, report.unbound
            ));
            Ok(())
        }
        Some(bad) => {
            let place = match bad.line {
                0 => places.audit_dir.join(&bad.file).display().to_string(),
                line => format!("{}:{line}", places.audit_dir.join(&bad.file).display()),
            };
            let text = format!("{place}: {}", bad.detail);
            Err(Failed::new("audit_bad", escape::visible(&text)))
        }
    }
}

#[derive(serde::Serialize)]
struct Verified<'a> {
    ok: bool,
    path: String,
    #[serde(flatten)]
    report: &'a audit::Report,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        for_people(&Line {
            file: "f".to_owned(),
            number: 2,
            time: "2026-11-20T10:30:00.123Z".to_owned(),
            text: text.to_owned(),
        })
    }

    #[test]
    fn a_record_is_one_line_for_people() {
        assert_eq!(
            shown(
                r#"{"time":"x","seq":1,"server":"files","method":"tools/call","item":{"kind":"tool","name":"a\u001b[2J"},"verdict":"filtered","codes":[{"policy":"trust-baseline","code":"changed"}],"micros":{}}"#
            ),
            "2026-11-20T10:30:00.123Z  filtered  files  tools/call  tool \"a\\u{1b}[2J\"  trust-baseline:changed"
        );
        assert_eq!(
            shown(r#"{"lost":3}"#),
            "2026-11-20T10:30:00.123Z  3 records could not be kept"
        );
        assert_eq!(shown("{\u{9b}"), "{\\u{9b}");
    }
}
