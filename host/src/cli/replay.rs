//! `witgate replay`: the chain of today on the messages of yesterday.

use std::path::PathBuf;

use serde::Serialize;

use super::{Context, Failed};
use crate::mcp::escape;
use crate::replay::{self, ChainReport, Difference, Report, TapeReport, Verdict};
use crate::setup;
use crate::tape::{Reader, TapeError};

/// The most of a text that is printed for people, characters.
const SHOWN: usize = 120;

/// Ask a chain again what a tape holds, and see what it would decide otherwise.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "A tape is written while `record = \"full\"` stands in [audit]; its files are in `tapes` under the state \
    folder. Nothing is written.\n\nExits 0 if everything is decided the same, 1 if something is not or a policy fails, 2 if \
    the tape or the chain cannot be used."
)]
pub(super) struct Args {
    /// The tape: one file
    tape: PathBuf,
    /// Take the policies of this folder for those of the policy directory
    #[arg(long, value_name = "DIR")]
    policy_dir: Option<PathBuf>,
    /// Only the messages of one server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
    /// Refuse to go on unless the chain is the tape's own
    #[arg(long)]
    same_chain: bool,
}

impl From<TapeError> for Failed {
    fn from(error: TapeError) -> Self {
        Self::unusable("tape", error.to_string())
    }
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    if let Some(folder) = &args.policy_dir
        && !folder.is_dir()
    {
        let what = format!("{}: is no folder", folder.display());
        return Err(Failed::unusable("policy_dir", what));
    }
    // The command line's lists are part of the chain: those that the tape was recorded under.
    let flags = Reader::open(&args.tape)?.header().flags.clone();
    let options = setup::Options {
        flags,
        policy_dir: args.policy_dir.clone(),
        ..context.options(false)
    };
    // Here 1 says that something is decided otherwise: what cannot be asked is unusable.
    let setup = setup::open(&options).await.map_err(|error| Failed {
        exit: 2,
        ..Failed::from(error)
    })?;
    for problem in &setup.generation.problems {
        context.out.warning(&escape::visible(&problem.detail));
    }
    if args.same_chain {
        must_be_same(&args.tape, &setup.generation)?;
    }
    let report = replay::against(&args.tape, &setup.generation, args.server.as_deref()).await?;
    tell(context, &report)
}

fn must_be_same(tape: &std::path::Path, chain: &crate::chain::Generation) -> Result<(), Failed> {
    let chain = crate::tape::record::Generation::of(chain.id, &chain.policies);
    for generation in replay::chains(tape)? {
        let differences = replay::chain_differences(&generation, &chain);
        if !differences.is_empty() {
            let what = format!(
                "the chain is not the tape's own: {}",
                escape::visible(&differences.join("; "))
            );
            return Err(Failed::unusable("other_chain", what));
        }
    }
    Ok(())
}

/// Prints a report. An error if something is decided otherwise.
pub(super) fn tell(context: &Context, report: &Report) -> Result<(), Failed> {
    let summary = &report.summary;
    let changed = summary.refused + summary.allowed + summary.otherwise;
    let same = changed == 0 && summary.failed_now == 0;
    if context.out.is_json() {
        #[derive(Serialize)]
        struct Answer<'a> {
            same: bool,
            #[serde(flatten)]
            report: &'a Report,
        }
        context.out.value(&Answer { same, report })?;
    } else {
        context.out.line(&text(report));
    }
    match same {
        true => Ok(()),
        false => Err(Failed::told("differs")),
    }
}

fn text(report: &Report) -> String {
    let mut lines = about(&report.tape);
    if let Some(chain) = &report.chain {
        lines.extend(chain_lines(chain));
    }
    if !report.differences.is_empty() {
        lines.push(String::new());
        lines.extend(report.differences.iter().map(difference));
    }
    lines.push(String::new());
    lines.extend(summary(report));
    lines.join("\n")
}

fn about(tape: &TapeReport) -> Vec<String> {
    let mut lines = vec![escape::visible(&format!("tape      {}", tape.file)).into_owned()];
    if let (Some(first), Some(last)) = (&tape.first, &tape.last) {
        let servers = tape.servers.join(", ");
        let recorded = format!("recorded  {first} to {last}, by witgate {}", tape.witgate);
        lines.push(escape::visible(&recorded).into_owned());
        lines.push(escape::visible(&format!("servers   {servers}")).into_owned());
    }
    if tape.lost > 0 {
        lines.push(format!(
            "gap       {} messages could not be recorded; what came after may differ because of it",
            tape.lost
        ));
    }
    if tape.truncated {
        lines.push("end       within a record: its process was killed, or still writes".to_owned());
    } else if !tape.closed {
        lines.push("end       open: its process was killed, or still writes".to_owned());
    }
    lines
}

fn chain_lines(chain: &ChainReport) -> Vec<String> {
    if chain.same {
        return vec!["chain     the tape's own: every verdict must be the same".to_owned()];
    }
    let several = chain.of_tape;
    let mut lines = vec![
        match (chain.differences.is_empty(), chain.same_as, several) {
            (true, ..) => {
                format!("chain     the last of the {several} that were in force on the tape")
            }
            (false, 0, 1) => "chain     not the tape's own:".to_owned(),
            (false, 0, _) => {
                format!("chain     none of the {several} on the tape; against the last:")
            }
            (false, ..) => format!("chain     one of the {several} on the tape, but not the last:"),
        },
    ];
    for difference in &chain.differences {
        lines.push(escape::visible(&format!("          {difference}")).into_owned());
    }
    lines
}

fn difference(difference: &Difference) -> String {
    let mut text = format!("{}  {}", difference.time, difference.server);
    if let Some(caller) = &difference.caller {
        text.push_str(&format!("  {caller}"));
    }
    text.push_str(&format!("  {}", difference.message));
    if let (Some(kind), Some(name)) = (&difference.kind, &difference.name) {
        match name.as_str() {
            "" => text.push_str(&format!("  {kind}")),
            name => text.push_str(&format!("  {kind} {name:?}")),
        }
    }
    let (old, new) = match &difference.policy {
        None => words(&difference.old, &difference.new),
        Some(policy) => {
            text.push_str(&format!("  {policy} answers otherwise:"));
            (
                difference.old.verdict.clone(),
                difference.new.verdict.clone(),
            )
        }
    };
    let cut = |text: &str| escape::visible_cut(text, SHOWN).into_owned();
    let mut text = format!("{}  {} -> {}", cut(&text), cut(&old), cut(&new));
    if difference.times > 1 {
        text.push_str(&format!("  ({} times)", difference.times));
    }
    text
}

/// Two verdicts; with their texts, where nothing else tells them apart.
fn words(old: &Verdict, new: &Verdict) -> (String, String) {
    let short = (word(old, false), word(new, false));
    if short.0 == short.1 {
        (word(old, true), word(new, true))
    } else {
        short
    }
}

fn word(verdict: &Verdict, texts: bool) -> String {
    let mut text = verdict.verdict.clone();
    if let Some(code) = &verdict.code {
        text.push_str(&format!(" {code}"));
    }
    if let Some(by) = &verdict.by {
        text.push_str(&format!(" by {by}"));
    }
    if texts {
        for part in [&verdict.reason, &verdict.remedy].into_iter().flatten() {
            text.push_str(&format!(" {part:?}"));
        }
    }
    text
}

fn summary(report: &Report) -> Vec<String> {
    let summary = &report.summary;
    let count = |n: u64, what: &str| (n > 0).then(|| format!("{n} {what}"));
    let parts: Vec<_> = [
        Some(format!("{} the same", summary.same)),
        count(summary.refused, "would have been refused, or shown less"),
        count(summary.allowed, "would have been allowed, or shown more"),
        count(summary.otherwise, "decided otherwise"),
        count(summary.not_compared, "not compared"),
    ]
    .into_iter()
    .flatten()
    .collect();
    let mut lines = vec![format!(
        "{} messages: {}",
        summary.messages,
        parts.join(", ")
    )];
    for (why, times) in &summary.why {
        let line = format!("  not compared, {times}: {why}");
        lines.push(escape::visible(&line).into_owned());
    }
    lines
}
