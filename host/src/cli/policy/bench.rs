//! `witgate policy bench`: what a policy costs.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::figures::{LimitsJson, grouped, micros};
use super::subject::{Opened, Settings, not_loaded, open};
use super::{hook_parser, lines};
use crate::cli::{Context, Failed, output};
use crate::toolbox::bench::{self, Figures, Row};
use crate::toolbox::{self, Case, Hook};

/// How this witgate was built: figures of a debug build say little.
const BUILD: &str = if cfg!(debug_assertions) {
    "debug"
} else {
    "release"
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The component
    file: PathBuf,
    /// Only this hook [default: all that the component exports]
    #[arg(long, value_parser = hook_parser())]
    hook: Option<Hook>,
    /// Measure on the inputs of these cases [default: what a usual server and a usual call look like]
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// For how long to measure, all in all
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Settings, JSON or TOML [default: those of the NAME.toml beside it]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
}

/// What came of it, for machines.
#[derive(Debug, Serialize)]
struct BenchJson {
    file: String,
    bytes: usize,
    witgate: &'static str,
    build: &'static str,
    cores: usize,
    limits: LimitsJson,
    rows: Vec<Row>,
    instances_per_second: f64,
}

/// Measures a policy.
pub(super) async fn bench(context: &Context, args: Args) -> Result<(), Failed> {
    let opened = open(
        context,
        &args.file,
        &Settings::OrBeside(args.settings.as_deref()),
    )?;
    let mut subject = opened.subject().await?;
    let policy = subject.with_own_settings().await;
    let policy = policy.map_err(|error| not_loaded(&error))?;
    let inputs = inputs(&args, policy.hooks())?;
    // The last share is for making instances.
    let shares = u32::try_from(inputs.len())
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let share = Duration::from_secs(args.seconds) / shares;
    let mut rows = Vec::with_capacity(inputs.len());
    for (name, case) in &inputs {
        progress(case.input.hook().word(), name);
        rows.push(bench::row(&mut subject, name, case, share).await);
    }
    progress("instances", "");
    let instances = bench::instances_per_second(&policy, share).await;
    progress("", "");
    let measured = BenchJson {
        file: opened.source.file.clone(),
        bytes: opened.source.component.len(),
        witgate: env!("CARGO_PKG_VERSION"),
        build: BUILD,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        limits: LimitsJson::new(&opened.limits),
        rows,
        instances_per_second: instances
            .map_err(|trouble| Failed::new("not_instantiated", lines(&trouble.to_string())))?
            .round(),
    };
    if context.out.is_json() {
        context.out.value(&measured)?;
    } else {
        measured.print(context, &opened);
    }
    if measured.rows.iter().any(|row| row.failed.is_some()) {
        return Err(Failed::told("hook_failed"));
    }
    Ok(())
}

/// What to measure.
fn inputs(args: &Args, exported: crate::policy::Hooks) -> Result<Vec<(String, Case)>, Failed> {
    let wanted = |hook: Hook| {
        hook != Hook::Settings && hook.is_in(exported) && args.hook.is_none_or(|only| only == hook)
    };
    let mut inputs = Vec::new();
    match &args.cases {
        Some(cases) => {
            let cases = toolbox::read(std::slice::from_ref(cases))?;
            let cases = cases.into_iter().filter(|case| wanted(case.input.hook()));
            inputs.extend(cases.map(|case| (case.file.clone(), case)));
        }
        None => {
            for hook in Hook::ALL.into_iter().filter(|hook| wanted(*hook)) {
                let usual = bench::usual(hook);
                inputs.extend(usual.map_err(|e| Failed::new("inputs", e.to_string()))?);
            }
        }
    }
    if inputs.is_empty() {
        return Err(Failed::unusable(
            "nothing_to_measure",
            format!(
                "the component has no hook that this asks for; it exports {}",
                exported.words().join(", ")
            ),
        ));
    }
    Ok(inputs)
}

/// Tells who waits at a terminal what is being measured; nothing clears the line.
fn progress(hook: &str, input: &str) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        use std::io::Write;
        let text = crate::mcp::escape::visible_cut(input, 60);
        let _ = write!(stderr, "\r\u{1b}[K{hook}  {text}");
        let _ = stderr.flush();
    }
}

impl BenchJson {
    fn print(&self, context: &Context, opened: &Opened) {
        let out = &context.out;
        let head = format!(
            "{}: {} bytes, settings {}\nwitgate {}, {} build, {} cores; {}\n",
            self.file,
            grouped(self.bytes),
            opened
                .settings_from
                .as_deref()
                .map_or("none".to_owned(), |from| format!("of {from}")),
            self.witgate,
            self.build,
            self.cores,
            self.limits.line()
        );
        out.line(&lines(&head));
        let header = ["HOOK", "INPUT", "READY P50", "P99", "COLD P50", "P99"];
        let rows = self.rows.iter().map(|row| {
            let mut cells = vec![row.hook.to_owned(), row.input.clone()];
            match &row.failed {
                Some(failed) => cells.push(format!("failed: {failed}")),
                None => cells.extend([row.ready, row.cold].into_iter().flat_map(figures)),
            }
            cells
        });
        out.line(&output::table(&header, rows));
        out.line(&format!(
            "\nReady: the instance was there before the message. Cold: with instantiating and configuring.\n{} instances a second on one core.",
            grouped(self.instances_per_second as usize)
        ));
        if self.build == "debug" {
            out.line("This is a debug build of witgate: build it with `--release` before you rely on these figures.");
        }
    }
}

fn figures(figures: Option<Figures>) -> [String; 2] {
    figures.map_or_else(Default::default, |figures| {
        [micros(figures.p50_us), micros(figures.p99_us)]
    })
}
