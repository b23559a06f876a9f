//! `witgate policy test`: a policy's cases, and what came of each.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::{Map, Value};

use super::figures::tenths;
use super::subject::{Settings, open};
use crate::cli::output::Paint;
use crate::cli::{Context, Failed};
use crate::mcp::escape::{visible, visible_cut};
use crate::policy::LogLine;
use crate::toolbox::case::Expect;
use crate::toolbox::{self, Case, Difference, Ran, Subject, differences};

/// The most characters of a value that are shown to people.
const VALUE_CHARS: usize = 400;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The component
    file: PathBuf,
    /// Case files, and folders that are searched for `*.json`
    #[arg(required = true)]
    cases: Vec<PathBuf>,
    /// Settings of the cases that give none, JSON or TOML [default: none, whatever is beside the component]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Only cases whose path, or what they are about, has this in it
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
}

/// What came of all cases, for machines.
#[derive(Debug, Serialize)]
pub(super) struct Tested {
    passed: usize,
    pub(super) failed: usize,
    cases: Vec<CaseJson>,
}

/// What came of one.
#[derive(Debug, Serialize)]
struct CaseJson {
    file: String,
    about: Option<String>,
    hook: &'static str,
    ok: bool,
    micros: f64,
    /// What the hook answered, in the shape of `expect`.
    found: Map<String, Value>,
    differences: Vec<Difference>,
    /// Why the hook gave no answer.
    trouble: Option<String>,
    log: Vec<LogJson>,
}

/// A line of the policy's log.
#[derive(Debug, Serialize)]
pub(super) struct LogJson {
    pub(super) level: &'static str,
    pub(super) text: String,
}

/// Runs the cases.
pub(super) async fn test(context: &Context, args: Args) -> Result<(), Failed> {
    let mut cases = read(&args.cases)?;
    if let Some(part) = &args.filter {
        let about = |case: &Case| {
            case.about
                .as_ref()
                .is_some_and(|about| about.contains(part))
        };
        cases.retain(|case| case.file.contains(part) || about(case));
        if cases.is_empty() {
            return Err(Failed::unusable(
                "no_case",
                format!(
                    "no case has {part:?} in its path or in what it is about: choose another --filter"
                ),
            ));
        }
    }
    let opened = open(
        context,
        &args.file,
        &Settings::OrNone(args.settings.as_deref()),
    )?;
    let mut subject = opened.subject().await?;
    let tested = run(context, &mut subject, &cases).await;
    if context.out.is_json() {
        context.out.value(&tested)?;
    }
    tested.outcome()
}

/// Reads cases, each of which says what it expects.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Case>, Failed> {
    let cases = toolbox::read(paths)?;
    let silent: Vec<_> = cases
        .iter()
        .filter(|case| case.expect.is_none())
        .map(|case| {
            format!(
                "{}:1:1: the case needs `expect`: what the hook must answer",
                case.file
            )
        })
        .collect();
    if silent.is_empty() {
        Ok(cases)
    } else {
        Err(Failed::unusable("cases", super::lines(&silent.join("\n"))))
    }
}

/// Runs cases, and tells people of each.
pub(super) async fn run(context: &Context, subject: &mut Subject, cases: &[Case]) -> Tested {
    let mut tested = Tested {
        passed: 0,
        failed: 0,
        cases: Vec::with_capacity(cases.len()),
    };
    let nothing = Expect::default();
    for case in cases {
        let ran = subject.run(case).await;
        let different = differences(case.expect.as_ref().unwrap_or(&nothing), &ran.found);
        let case = CaseJson::new(case, ran, different);
        if !context.out.is_json() {
            context.out.line(&case.text(context.out.paint()));
        }
        if case.ok {
            tested.passed += 1;
        } else {
            tested.failed += 1;
        }
        tested.cases.push(case);
    }
    if !context.out.is_json() {
        let (passed, failed) = (tested.passed, tested.failed);
        context
            .out
            .line(&format!("\n{passed} passed, {failed} failed"));
    }
    tested
}

impl Tested {
    /// Whether the command did what it was asked.
    pub(super) fn outcome(&self) -> Result<(), Failed> {
        match self.failed {
            0 => Ok(()),
            _ => Err(Failed::told("cases_failed")),
        }
    }
}

impl CaseJson {
    fn new(case: &Case, ran: Ran, differences: Vec<Difference>) -> Self {
        Self {
            file: case.file.clone(),
            about: case.about.clone(),
            hook: case.input.hook().word(),
            ok: differences.is_empty(),
            micros: tenths(ran.took),
            found: ran.found,
            differences,
            trouble: ran.trouble.map(|trouble| trouble.to_string()),
            log: ran.seen.log.iter().map(LogJson::from).collect(),
        }
    }

    /// For people: one line if it passed.
    fn text(&self, paint: Paint) -> String {
        let word = if self.ok {
            paint.green("ok    ")
        } else {
            paint.red("FAILED")
        };
        let mut text = format!("{word}  {}", visible(&self.file));
        if let Some(about) = &self.about {
            text.push_str("  ");
            text.push_str(&paint.dim(&visible_cut(about, VALUE_CHARS)));
        }
        if self.ok {
            return text;
        }
        for difference in &self.differences {
            text.push_str(&format!(
                "\n        {}\n          expected  {}\n          found     {}",
                visible(&difference.path),
                shown(difference.expected.as_ref()),
                shown(difference.found.as_ref())
            ));
        }
        if let Some(trouble) = &self.trouble {
            text.push_str(&format!(
                "\n        it failed: {}",
                visible_cut(trouble, VALUE_CHARS)
            ));
        }
        for line in &self.log {
            text.push_str(&format!(
                "\n        log: {}: {}",
                line.level,
                visible(&line.text)
            ));
        }
        text
    }
}

impl From<&LogLine> for LogJson {
    fn from(line: &LogLine) -> Self {
        Self {
            level: line.level.word(),
            text: line.text.clone(),
        }
    }
}

/// A value as JSON in one line.
fn shown(value: Option<&Value>) -> String {
    match value {
        None => "nothing".to_owned(),
        Some(value) => visible_cut(&value.to_string(), VALUE_CHARS).into_owned(),
    }
}

/// The cases of a folder that `policy check` was given.
pub(super) fn of_folder(folder: &Path) -> Result<Vec<Case>, Failed> {
    read(&[folder.to_owned()])
}
