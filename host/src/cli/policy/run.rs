//! `witgate policy run`: one hook on one input, and all that can be seen of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use serde_json::{Map, Value};

use super::figures::{LimitsJson, grouped, tenths, time};
use super::subject::{Opened, Settings, open};
use super::test::LogJson;
use super::{hook_parser, lines};
use crate::cli::{Context, Failed};
use crate::toolbox::{Case, Hook, Ran, Trouble, read_one};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The component
    file: PathBuf,
    /// The hook [default: the one that the input names]
    #[arg(long, value_parser = hook_parser())]
    hook: Option<Hook>,
    /// What the hook is given, as a case file has it (see `witgate policy schema case`); `-` reads standard input
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Settings if the input gives none, JSON or TOML [default: none, whatever is beside the component]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// What came of it, for machines.
#[derive(Debug, Serialize)]
struct RanJson {
    file: String,
    hook: &'static str,
    /// What the hook answered, in the shape in which cases expect it.
    found: Map<String, Value>,
    micros: f64,
    /// Linear memory at the hook's end, bytes.
    memory: usize,
    /// Whether the host may keep the verdict for the same inputs; none if there is no verdict.
    cacheable: Option<bool>,
    changes: Option<Vec<Value>>,
    trouble: Option<String>,
    log: Vec<LogJson>,
    /// How many more messages it wrote than the host takes of one hook.
    log_dropped: u32,
    /// What it counted by the `metrics` import.
    counters: BTreeMap<String, u64>,
    limits: LimitsJson,
}

/// Runs a hook.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let case = read_one(&args.input, args.hook)?;
    let opened = open(
        context,
        &args.file,
        &Settings::OrNone(args.settings.as_deref()),
    )?;
    let mut subject = opened.subject().await?;
    let ran = subject.run(&case).await;
    let failed = ran.trouble.is_some();
    if context.out.is_json() {
        context.out.value(&RanJson::new(&opened, &case, &ran))?;
    } else {
        context.out.line(&lines(&text(&opened, &case, &ran)?));
    }
    if failed {
        return Err(Failed::told("hook_failed"));
    }
    Ok(())
}

impl RanJson {
    fn new(opened: &Opened, case: &Case, ran: &Ran) -> Self {
        Self {
            file: opened.source.file.clone(),
            hook: case.input.hook().word(),
            found: ran.found.clone(),
            micros: tenths(ran.took),
            memory: ran.seen.memory,
            cacheable: ran.pure,
            changes: ran.changes.clone(),
            trouble: ran.trouble.as_ref().map(Trouble::to_string),
            log: ran.seen.log.iter().map(LogJson::from).collect(),
            log_dropped: ran.seen.dropped,
            counters: ran.counted.clone(),
            limits: LimitsJson::new(&opened.limits),
        }
    }
}

fn text(opened: &Opened, case: &Case, ran: &Ran) -> Result<String, Failed> {
    let hook = case.input.hook();
    let limits = &opened.limits;
    let (limit, key) = if hook.is_recording() {
        (limits.record_time, "record_ms")
    } else {
        (limits.hook_time, "hook_ms")
    };
    let mut text = vec![format!("hook       {}", hook.word())];
    for (key, value) in &ran.found {
        let value = serde_json::to_string_pretty(value)
            .map_err(|e| Failed::new("output", e.to_string()))?;
        text.push(format!(
            "{key:<9}  {}",
            value.replace('\n', "\n           ")
        ));
    }
    if ran.found.is_empty() {
        text.push("settings   taken".to_owned());
    }
    if let Some(trouble) = &ran.trouble {
        text.push(format!("failed     {trouble}"));
    }
    text.push(format!(
        "time       {} of {} ({key})",
        time(ran.took),
        time(limit)
    ));
    text.push(format!(
        "memory     {} bytes of {} (policy_memory_bytes)",
        grouped(ran.seen.memory),
        grouped(limits.memory)
    ));
    match ran.pure {
        None => {}
        Some(true) => text.push("kept       yes: the same inputs give the same verdict".to_owned()),
        Some(false) if opened.source.grants.impure() => text.push(
            "kept       no: what it was granted may answer otherwise another time".to_owned(),
        ),
        Some(false) => text.push("kept       no: it asked the clock".to_owned()),
    }
    if let Some(changes) = &ran.changes {
        text.push(format!("changes    {}", changes.len()));
        for change in changes {
            text.push(format!("           {}", change_text(change)));
        }
    }
    if !ran.counted.is_empty() {
        let counters = ran.counted.iter();
        let counters: Vec<_> = counters.map(|(name, by)| format!("{name} +{by}")).collect();
        text.push(format!("counters   {}", counters.join(", ")));
    }
    if ran.seen.log.is_empty() {
        text.push("log        nothing".to_owned());
    }
    for (n, line) in ran.seen.log.iter().enumerate() {
        let head = if n == 0 { "log" } else { "" };
        text.push(format!("{head:<9}  {}: {}", line.level.word(), line.text));
    }
    if ran.seen.dropped > 0 {
        text.push(format!(
            "           {} more were dropped: the host takes no more of one hook",
            ran.seen.dropped
        ));
    }
    Ok(text.join("\n"))
}

fn change_text(change: &Value) -> String {
    match &change["value"] {
        Value::Null => format!("delete {}", change["key"]),
        value => format!("{} = {value}", change["key"]),
    }
}
