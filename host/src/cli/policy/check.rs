//! `witgate policy check`: whether a gate would take a component, and what it costs to have it.

use std::path::PathBuf;

use serde::Serialize;
use serde_json::Value;

use super::figures::{LimitsJson, grouped, tenths, time};
use super::inspect::{ComponentJson, rows};
use super::lines;
use super::subject::{Opened, Settings, beside, not_loaded, open};
use super::test::{self, Tested};
use crate::cli::{Context, Failed};
use crate::mcp::escape::visible_cut;
use crate::operator::component::Shape;
use crate::policy::{Policy, Source};
use crate::toolbox::reuse::{self, Otherwise};
use crate::toolbox::{Case, Subject, bench};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The component
    file: PathBuf,
    /// Its settings, JSON or TOML [default: those of the NAME.toml beside it]
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Run these cases too, as `policy test` does
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
}

/// What came of it, for machines.
#[derive(Debug, Serialize)]
struct CheckJson<'a> {
    #[serde(flatten)]
    component: ComponentJson<'a>,
    ok: bool,
    problem: Option<String>,
    /// Where its settings are from; none if it was given none.
    settings: Option<String>,
    limits: LimitsJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    loaded: Option<LoadedJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reuse: Option<ReuseJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cases: Option<Tested>,
}

/// What loading took.
#[derive(Debug, Serialize)]
struct LoadedJson {
    /// Whether the compiled code was in the cache.
    cached: bool,
    micros: f64,
    /// Linear memory of an instance once it is configured, bytes.
    memory: usize,
}

/// Instances that serve more than once.
#[derive(Debug, Serialize)]
struct ReuseJson {
    /// For how many messages the sidecar says that one serves.
    messages: u32,
    /// On how many inputs they were compared with new ones.
    compared: usize,
    otherwise: Vec<Otherwise>,
}

/// Loads a component as a gate would, and says whether it can be used.
pub(super) async fn check(context: &Context, args: Args) -> Result<(), Failed> {
    let cases = match &args.cases {
        Some(folder) => Some(test::of_folder(folder)?),
        None => None,
    };
    let opened = open(
        context,
        &args.file,
        &Settings::OrBeside(args.settings.as_deref()),
    )?;
    let loaded = load(&opened).await;
    // What cannot even be read as a component has no shape to show; the engine says what it is instead.
    let Ok(shape) = Shape::read(&opened.source.component) else {
        return loaded.map(drop);
    };
    let mut json = CheckJson {
        component: ComponentJson::new(&args.file, &opened.source.component, &shape),
        ok: loaded.is_ok(),
        problem: loaded.as_ref().err().map(|failed| failed.message.clone()),
        settings: opened.settings_from.clone(),
        limits: LimitsJson::new(&opened.limits),
        loaded: None,
        reuse: None,
        cases: None,
    };
    let mut subject = match loaded {
        Ok((mut subject, policy)) => {
            json.loaded = Some(LoadedJson::new(&subject, &policy));
            json.reuse = reuse(&args, &opened, &mut subject, &policy, cases.as_deref()).await?;
            subject
        }
        Err(failed) if context.out.is_json() => {
            context.out.value(&json)?;
            return Err(Failed::told(failed.code));
        }
        Err(failed) => {
            context.out.line(&json.text(&opened));
            return Err(failed);
        }
    };
    if !context.out.is_json() {
        context.out.line(&json.text(&opened));
    }
    let mut outcome = match &json.reuse {
        Some(reuse) if !reuse.otherwise.is_empty() => Err(Failed::told("reused_otherwise")),
        _ => Ok(()),
    };
    if let Some(cases) = cases {
        if !context.out.is_json() {
            context.out.line("");
        }
        // As `policy test` has it: what lies beside the component has no part in its cases.
        if args.settings.is_none() {
            subject = subject.without_settings();
        }
        let tested = test::run(context, &mut subject, &cases).await;
        outcome = outcome.and(tested.outcome());
        json.cases = Some(tested);
    }
    json.ok = outcome.is_ok();
    if context.out.is_json() {
        context.out.value(&json)?;
    }
    outcome
}

async fn load(opened: &Opened) -> Result<(Subject, std::sync::Arc<Policy>), Failed> {
    let mut subject = opened.subject().await?;
    let policy = subject.with_own_settings().await;
    let policy = policy.map_err(|error| not_loaded(&error))?;
    Ok((subject, policy))
}

/// Compares instances that serve more than once with new ones, if the sidecar says that they do.
async fn reuse(
    args: &Args,
    opened: &Opened,
    fresh: &mut Subject,
    policy: &Policy,
    cases: Option<&[Case]>,
) -> Result<Option<ReuseJson>, Failed> {
    let messages = beside(&args.file)?.reuse;
    if messages <= 1 {
        return Ok(None);
    }
    let inputs = match cases {
        Some(cases) => cases
            .iter()
            .map(|case| (case.file.clone(), case.clone()))
            .collect(),
        None => bench::usual_of(policy.hooks())
            .map_err(|e| Failed::new("inputs", lines(&e.to_string())))?,
    };
    let source = Source {
        reuse: messages,
        ..opened.source.clone()
    };
    let reused = Subject::new(&opened.engine, source).await;
    let mut reused = reused.map_err(|error| not_loaded(&error))?;
    Ok(Some(ReuseJson {
        messages,
        compared: inputs.len(),
        otherwise: reuse::compare(fresh, &mut reused, &inputs).await,
    }))
}

impl LoadedJson {
    fn new(subject: &Subject, policy: &Policy) -> Self {
        Self {
            cached: subject.compiled().is_cached(),
            micros: tenths(subject.compiled().took()),
            memory: policy.memory(),
        }
    }
}

impl CheckJson<'_> {
    fn text(&self, opened: &Opened) -> String {
        let mut text = rows(&self.component);
        text.push(format!(
            "settings  {}",
            self.settings
                .as_deref()
                .map_or("none".to_owned(), |from| format!("of {from}"))
        ));
        if !opened.source.grants.is_empty() {
            text.push(format!(
                "grants    {}",
                opened.source.grants.words().join("; ")
            ));
        }
        text.push(format!("limits    {}", self.limits.line()));
        if let Some(loaded) = &self.loaded {
            let took = time(std::time::Duration::from_secs_f64(loaded.micros / 1e6));
            text.push(if loaded.cached {
                format!("compiled  before, taken from the cache in {took}")
            } else {
                format!("compiled  in {took}")
            });
            text.push(format!(
                "memory    {} bytes once configured",
                grouped(loaded.memory)
            ));
            if let Some(reuse) = &self.reuse {
                text.extend(reuse.text());
            }
            text.push("It loads, and takes its settings.".to_owned());
        }
        lines(&text.join("\n"))
    }
}

impl ReuseJson {
    fn text(&self) -> Vec<String> {
        let (messages, compared) = (self.messages, self.compared);
        if self.otherwise.is_empty() {
            return vec![format!(
                "reuse     {messages} messages an instance; on {compared} inputs it answers as a new one does"
            )];
        }
        let mut text = vec![format!(
            "reuse     {messages} messages an instance, and it does not answer as a new one does: let it keep nothing between hooks, or take `reuse` out of the sidecar"
        )];
        for differs in &self.otherwise {
            text.push(format!("          on {}", differs.input));
            for (which, found) in [("new", &differs.fresh), ("used", &differs.reused)] {
                let found = Value::Object(found.clone()).to_string();
                text.push(format!(
                    "            {which:<5} {}",
                    visible_cut(&found, 400)
                ));
            }
        }
        text
    }
}
