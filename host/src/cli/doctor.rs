//! `witgate doctor`: what is wrong, and how to mend it.

use super::{Context, Failed};
use crate::mcp::escape;
use crate::operator::doctor::{self, Report, Severity, Visit};

/// Find out what is wrong and how to mend it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Runs the command: exits 1 if anything is wrong.
pub(super) async fn run(context: &Context, _args: Args) -> Result<(), Failed> {
    let report = doctor::examine(&Visit {
        config: context.global.config.clone(),
        state: context.global.state.clone(),
    })
    .await;
    if context.out.is_json() {
        context.out.value(&report)?;
    } else {
        context.out.line(&for_people(&report, context.out.paint()));
    }
    if report.ok {
        Ok(())
    } else {
        Err(Failed::told("not_ok"))
    }
}

fn for_people(report: &Report, paint: super::output::Paint) -> String {
    let mut lines = Vec::new();
    let mut fact = |name: &str, text: String| {
        let text = escape::visible(&text).into_owned();
        lines.push(format!("{} {text}", paint.bold(&format!("{name:<14}"))));
    };
    let config = &report.config;
    let absent = if config.present {
        ""
    } else {
        " (none: all defaults)"
    };
    fact("configuration", format!("{}{absent}", config.path));
    let ledger = &report.ledger;
    let state = match (ledger.ok, ledger.present) {
        (false, _) => "cannot be used".to_owned(),
        (true, false) => "none yet; the first start makes it".to_owned(),
        (true, true) => format!(
            "revision {}, {} bytes",
            ledger.revision.unwrap_or_default(),
            ledger.bytes.unwrap_or_default()
        ),
    };
    fact("ledger", format!("{} ({state})", ledger.location));
    let policies: Vec<_> = report
        .policies
        .iter()
        .map(|policy| match (policy.last_good, policy.enforced) {
            (true, _) => format!("{} (last good)", policy.name),
            (_, false) => format!("{} (monitors)", policy.name),
            _ => policy.name.clone(),
        })
        .collect();
    let none = "none can be put in force".to_owned();
    fact(
        "policies",
        if policies.is_empty() {
            none
        } else {
            policies.join(", ")
        },
    );
    let audit = &report.audit;
    let state = if audit.enabled {
        format!("{} records in {} files", audit.records, audit.files)
    } else {
        "off".to_owned()
    };
    fact("audit", format!("{} ({state})", audit.path));
    let tape = &report.tape;
    if tape.enabled || tape.files > 0 {
        let state = if tape.enabled { "" } else { "off; " };
        let state = format!("{state}{} bytes in {} files", tape.bytes, tape.files);
        fact("tape", format!("{} ({state})", tape.path));
    }
    for server in &report.servers {
        let standing = match server.standing {
            crate::ledger::Standing::Trusted => "trusted",
            crate::ledger::Standing::Quarantined => "quarantined",
        };
        fact(
            "server",
            format!(
                "{}: {standing}, {} items, {} waiting",
                server.name, server.items, server.waiting
            ),
        );
    }
    for problem in &report.problems {
        let mark = match problem.severity {
            Severity::Error => paint.red("wrong"),
            Severity::Warning => paint.bold("beware"),
        };
        let shown = |text: &str| {
            let lines: Vec<_> = text.split('\n').map(escape::visible).collect();
            lines.join("\n  ")
        };
        lines.push(format!(
            "\n{mark}: {}\n  where: {}\n  mend:  {}",
            shown(&problem.what),
            shown(&problem.place),
            shown(&problem.mend)
        ));
    }
    lines.push(
        if report.ok {
            "\nAll is well."
        } else {
            "\nNot well."
        }
        .to_owned(),
    );
    lines.join("\n")
}
