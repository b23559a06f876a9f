//! `witgate policy list`: the chain, in order, what came of every policy's latest change, and what it did.

use std::collections::BTreeMap;

use serde::Serialize;

use super::lines;
use crate::cli::time::rfc3339;
use crate::cli::{Context, Failed, output};
use crate::config::Config;
use crate::ledger::running::LastFailure;
use crate::operator::policies::{self, Policies, PolicyView};
use crate::setup;

/// A policy for machines.
#[derive(Debug, Serialize)]
struct PolicyJson<'a> {
    /// Its place in the chain, from 1.
    order: Option<usize>,
    name: &'a str,
    origin: &'a str,
    file: &'a str,
    mode: Option<&'a str>,
    sha256: Option<&'a str>,
    contract: Option<&'a str>,
    hooks: &'a [String],
    /// Why its verdicts are neither kept nor replayed; empty if they may be.
    not_replayable: &'a [String],
    in_force: bool,
    /// Whether older bytes are in force than the file should give.
    last_good: bool,
    outcome: &'a str,
    since: Option<String>,
    problem: Option<&'a str>,
    /// How many running gates have it so; 0 if none runs and this is what one would have.
    gates: usize,
    instances: u64,
    calls: u64,
    failures: &'a BTreeMap<String, u64>,
    last_failure: Option<LastFailureJson<'a>>,
    /// In mode `monitor`: audit records on which it would have had a say, by code.
    would: &'a BTreeMap<String, u64>,
    counters: &'a BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct LastFailureJson<'a> {
    at: Option<String>,
    what: &'a str,
}

impl<'a> From<&'a LastFailure> for LastFailureJson<'a> {
    fn from(last: &'a LastFailure) -> Self {
        Self {
            at: rfc3339(last.at_ms),
            what: &last.what,
        }
    }
}

static NOTHING: BTreeMap<String, u64> = BTreeMap::new();

impl<'a> From<&'a PolicyView> for PolicyJson<'a> {
    fn from(view: &'a PolicyView) -> Self {
        let told = &view.told;
        let in_force = told.in_force.as_ref();
        let did = in_force.map(|one| &one.did);
        Self {
            order: view.order,
            name: &told.name,
            origin: &told.origin,
            file: &told.file,
            mode: in_force.map(|one| &*one.mode),
            sha256: in_force.map(|one| &*one.sha256),
            contract: in_force.map(|one| &*one.contract),
            hooks: in_force.map_or(&[], |one| &one.hooks),
            not_replayable: in_force.map_or(&[], |one| &one.not_replayable),
            in_force: in_force.is_some(),
            last_good: view.last_good(),
            outcome: &told.outcome,
            since: rfc3339(told.since_ms),
            problem: told.problem.as_deref(),
            gates: view.gates,
            instances: did.map_or(0, |did| did.instances),
            calls: did.map_or(0, |did| did.calls),
            failures: did.map_or(&NOTHING, |did| &did.failures),
            last_failure: did.and_then(|did| Some(did.last_failure.as_ref()?.into())),
            would: did.map_or(&NOTHING, |did| &did.would),
            counters: did.map_or(&NOTHING, |did| &did.counters),
        }
    }
}

/// Lists the policies in force and what could not be put in force: those of the gates that run, or, where none does,
/// those that one would have.
pub(super) async fn list(context: &Context) -> Result<(), Failed> {
    let seen = seen(context).await?;
    if context.out.is_json() {
        let all: Vec<PolicyJson<'_>> = seen.all.iter().map(PolicyJson::from).collect();
        return context.out.value(&all);
    }
    context.out.line(&match seen.gates {
        0 => "No gate runs; one that starts would have:\n".to_owned(),
        1 => "One gate runs:\n".to_owned(),
        gates => format!("{gates} gates run; what their policies did is added up:\n"),
    });
    let header = [
        "#", "NAME", "MODE", "OUTCOME", "SINCE", "CALLS", "FAILED", "HOOKS", "SHA256", "FROM",
    ];
    context
        .out
        .line(&output::table(&header, seen.all.iter().map(row)));
    for view in &seen.all {
        for text in notes(view) {
            context.out.line(&lines(&format!("\n{text}")));
        }
    }
    Ok(())
}

async fn seen(context: &Context) -> Result<Policies, Failed> {
    let config = Config::load(context.global.config.as_deref())?;
    let places = setup::places(&config, context.global.state.as_deref());
    let ledger = setup::open_ledger(&places, false).await?;
    if let Some(seen) = policies::of_gates(&config, &ledger.snapshot()) {
        return Ok(seen);
    }
    let setup = context.open(false).await?;
    Ok(policies::would_be(&setup.builder.statuses()))
}

fn row(view: &PolicyView) -> Vec<String> {
    let json = PolicyJson::from(view);
    let mode = match (json.mode, json.last_good) {
        (None, _) => "not in force".to_owned(),
        (Some(mode), true) => format!("{mode}, last good"),
        (Some(mode), false) => mode.to_owned(),
    };
    let sha256 = json.sha256.unwrap_or_default();
    vec![
        json.order
            .map_or_else(|| "-".to_owned(), |order| order.to_string()),
        json.name.to_owned(),
        mode,
        json.outcome.to_owned(),
        json.since.clone().unwrap_or_default(),
        json.calls.to_string(),
        json.failures.values().sum::<u64>().to_string(),
        json.hooks.join(" "),
        sha256.get(..16).unwrap_or(sha256).to_owned(),
        json.file.to_owned(),
    ]
}

/// What a row has no room for.
fn notes(view: &PolicyView) -> Vec<String> {
    let json = PolicyJson::from(view);
    let name = json.name;
    let counts = |all: &BTreeMap<String, u64>| {
        let all: Vec<_> = all
            .iter()
            .map(|(what, count)| format!("{what} {count}"))
            .collect();
        all.join(", ")
    };
    let mut notes: Vec<_> = json.problem.map(str::to_owned).into_iter().collect();
    if !json.not_replayable.is_empty() {
        notes.push(format!(
            "{name} is not replayable ({}): its verdicts are not kept, and no tape tells them again",
            json.not_replayable.join("; ")
        ));
    }
    if !json.would.is_empty() {
        let would = counts(json.would);
        notes.push(format!(
            "{name} would have decided, if it did not only monitor: {would}"
        ));
    }
    if !json.failures.is_empty() {
        let last = json.last_failure.map_or_else(String::new, |last| {
            format!(
                "; the latest, {}: {}",
                last.at.unwrap_or_default(),
                last.what
            )
        });
        notes.push(format!("{name} failed: {}{last}", counts(json.failures)));
    }
    if !json.counters.is_empty() {
        notes.push(format!("{name} counted: {}", counts(json.counters)));
    }
    notes
}
