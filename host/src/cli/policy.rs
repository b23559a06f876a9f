//! `witgate policy`: what is in force, and what is in a file.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use clap::Subcommand;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Context, Failed, output};
use crate::chain::build::sidecar::Sidecar;
use crate::config::{Config, Mode};
use crate::ledger::{self, Commit, Op, PolicyOrigin};
use crate::mcp::escape;
use crate::operator::component::Shape;
use crate::policy::{Engine, Hooks, Policy, Source};
use crate::setup;

/// See the policies in force, and look into components.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the policies in force, in order, and what could not be put in force
    List,
    /// Show what a component imports and exports, without running it
    Inspect {
        /// The component
        file: PathBuf,
    },
    /// Load a component as a gate would, and say whether it can be used
    Check {
        /// The component
        file: PathBuf,
        /// Its settings, JSON or TOML [default: those of the NAME.toml beside it]
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
    /// Forget the last good bytes of a policy whose file is gone for good
    Forget {
        /// The policy, as `policy list` names it
        name: String,
    },
}

/// A policy for machines.
#[derive(Debug, Default, Serialize)]
struct PolicyJson {
    name: String,
    origin: Option<&'static str>,
    file: Option<String>,
    mode: Option<&'static str>,
    sha256: Option<String>,
    contract: Option<String>,
    hooks: Vec<&'static str>,
    in_force: bool,
    /// Whether older bytes are in force than the file should give.
    last_good: bool,
    problem: Option<String>,
}

/// A component for machines.
#[derive(Debug, Serialize)]
struct ComponentJson<'a> {
    file: String,
    bytes: usize,
    sha256: String,
    contract: Vec<&'a str>,
    hooks: Vec<&'a str>,
    imports: &'a [String],
    exports: &'a [String],
    /// Whether it can be used; none if nobody tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Runs the command.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context).await,
        Action::Inspect { file } => inspect(context, &file),
        Action::Check { file, settings } => check(context, &file, settings.as_deref()).await,
        Action::Forget { name } => forget(context, &name).await,
    }
}

/// The words of the hooks a policy exports, as the contract spells them.
pub(super) fn hook_words(hooks: Hooks) -> Vec<&'static str> {
    let all = [
        (hooks.settings, "settings"),
        (hooks.inventory, "inventory"),
        (hooks.list_filter, "list-filter"),
        (hooks.call_gate, "call-gate"),
        (hooks.result_gate, "result-gate"),
        (hooks.client_request_gate, "client-request-gate"),
        (hooks.discovery_surface, "discovery-surface"),
        (hooks.review, "review"),
    ];
    let exported = all.into_iter().filter(|(exported, _)| *exported);
    exported.map(|(_, word)| word).collect()
}

const fn mode_word(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Monitor => "monitor",
    }
}

fn in_force(policy: &Policy) -> PolicyJson {
    let source = policy.source();
    PolicyJson {
        name: policy.name().to_string(),
        origin: Some(source.origin.word()),
        file: Some(source.file.clone()),
        mode: Some(mode_word(source.mode)),
        sha256: Some(policy.sha256().to_owned()),
        contract: Some(policy.contract_version().to_owned()),
        hooks: hook_words(policy.hooks()),
        in_force: true,
        ..PolicyJson::default()
    }
}

async fn list(context: &Context) -> Result<(), Failed> {
    let setup = context.open(false).await?;
    let mut policies: Vec<_> = setup
        .generation
        .policies
        .iter()
        .map(|policy| in_force(policy))
        .collect();
    for problem in &setup.generation.problems {
        let named = policies.iter_mut().find(|p| p.name == problem.policy);
        match named {
            Some(policy) => {
                policy.last_good = problem.last_good;
                policy.problem = Some(problem.detail.clone());
            }
            None => policies.push(PolicyJson {
                name: problem.policy.clone(),
                problem: Some(problem.detail.clone()),
                ..PolicyJson::default()
            }),
        }
    }
    if context.out.is_json() {
        return context.out.value(&policies);
    }
    let header = ["NAME", "MODE", "HOOKS", "SHA256", "FROM"];
    let rows = policies.iter().map(|policy| {
        let sha256 = policy.sha256.as_deref().unwrap_or_default();
        let mode = match (policy.in_force, policy.last_good) {
            (false, _) => "not in force".to_owned(),
            (true, true) => format!("{}, last good", policy.mode.unwrap_or_default()),
            (true, false) => policy.mode.unwrap_or_default().to_owned(),
        };
        vec![
            policy.name.clone(),
            mode,
            policy.hooks.join(" "),
            sha256.get(..16).unwrap_or(sha256).to_owned(),
            policy.file.clone().unwrap_or_default(),
        ]
    });
    context.out.line(&output::table(&header, rows));
    for policy in &policies {
        if let Some(problem) = &policy.problem {
            context.out.line(&lines(&format!("\n{problem}")));
        }
    }
    Ok(())
}

/// Text of ours that may quote somebody else's, line by line.
fn lines(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(escape::visible).collect();
    lines.join("\n")
}

fn read(file: &Path) -> Result<Vec<u8>, Failed> {
    std::fs::read(file).map_err(|e| Failed::new("unreadable", format!("{}: {e}", file.display())))
}

fn inspect(context: &Context, file: &Path) -> Result<(), Failed> {
    let bytes = read(file)?;
    let shape = shape(file, &bytes)?;
    show(context, file, &bytes, &shape, None)
}

fn shape(file: &Path, bytes: &[u8]) -> Result<Shape, Failed> {
    Shape::read(bytes).map_err(|e| Failed::new("no_component", format!("{} {e}", file.display())))
}

/// Prints a component; `tried`: what came of loading it, if that was asked.
fn show(
    context: &Context,
    file: &Path,
    bytes: &[u8],
    shape: &Shape,
    tried: Option<&Result<(), String>>,
) -> Result<(), Failed> {
    let json = ComponentJson {
        file: file.display().to_string(),
        bytes: bytes.len(),
        sha256: hex::encode(Sha256::digest(bytes)),
        contract: shape.versions(),
        hooks: shape.hooks(),
        imports: &shape.imports,
        exports: &shape.exports,
        ok: tried.map(Result::is_ok),
        problem: tried.and_then(|tried| tried.as_ref().err().cloned()),
    };
    if context.out.is_json() {
        return context.out.value(&json);
    }
    let or_none = |words: &[&str]| match words {
        [] => "none".to_owned(),
        words => words.join(", "),
    };
    let imports: Vec<_> = shape.imports.iter().map(String::as_str).collect();
    let text = [
        format!("file      {}", json.file),
        format!("size      {} bytes", json.bytes),
        format!("sha256    {}", json.sha256),
        format!("contract  witgate:policy {}", or_none(&json.contract)),
        format!("hooks     {}", or_none(&json.hooks)),
        format!("imports   {}", or_none(&imports)),
    ];
    context.out.line(&lines(&text.join("\n")));
    if tried.is_some_and(Result::is_ok) {
        context.out.line("It loads, and takes its settings.");
    }
    Ok(())
}

async fn check(context: &Context, file: &Path, settings: Option<&Path>) -> Result<(), Failed> {
    let bytes = read(file)?;
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    let name = stem.to_string_lossy().into_owned();
    let settings = match settings {
        Some(settings) => Some(settings_of(settings)?),
        None => beside(file)?,
    };
    let config = Config::load(context.global.config.as_deref())?;
    let places = setup::places(&config, context.global.state.as_deref());
    let engine = Engine::new(setup::engine_options(&config, &places))
        .map_err(|e| Failed::new("engine", e.to_string()))?;
    let source = Source {
        name: name.clone(),
        origin: PolicyOrigin::Directory,
        file: file.display().to_string(),
        component: Bytes::from(bytes.clone()),
        settings,
        mode: Mode::Enforce,
        grants: config
            .policy_dir
            .grants
            .get(&name)
            .cloned()
            .unwrap_or_default(),
    };
    let tried = match engine.load(vec![source]).await.pop() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the engine gave no answer".to_owned()),
    };
    // What cannot even be read as a component has no shape to show; the engine says what it is instead.
    if let Ok(shape) = Shape::read(&bytes) {
        show(context, file, &bytes, &shape, Some(&tried))?;
        if context.out.is_json() && tried.is_err() {
            return Err(Failed::told("not_loaded"));
        }
    }
    tried.map_err(|problem| Failed::new("not_loaded", lines(&problem)))
}

/// Settings from a file of their own: JSON, or TOML by its ending.
fn settings_of(file: &Path) -> Result<String, Failed> {
    let fails =
        |detail: String| Failed::unusable("settings", format!("{}: {detail}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| fails(e.to_string()))?;
    if file.extension().is_some_and(|ending| ending == "toml") {
        let table: toml::Table = toml::from_str(&text).map_err(|e| fails(e.to_string()))?;
        return serde_json::to_string(&table).map_err(|e| fails(e.to_string()));
    }
    let checked: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| fails(format!("is no JSON: {e}")))?;
    match checked {
        serde_json::Value::Object(_) => Ok(text),
        _ => Err(fails("must hold a JSON object".to_owned())),
    }
}

/// Settings of the sidecar beside a component, as the policy directory would read it.
fn beside(file: &Path) -> Result<Option<String>, Failed> {
    let sidecar = file.with_extension("toml");
    match std::fs::read_to_string(&sidecar) {
        Ok(text) => Sidecar::parse(&text)
            .map(|sidecar| sidecar.settings)
            .map_err(|e| Failed::new("sidecar", format!("{}: {e}", sidecar.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Failed::new(
            "sidecar",
            format!("{}: {e}", sidecar.display()),
        )),
    }
}

/// Works without a chain, since a broken chain may be why it is called.
async fn forget(context: &Context, name: &str) -> Result<(), Failed> {
    let (_, ledger) = context.ledger().await?;
    let stored = ledger.policies().await?;
    let called = |namespace: &str| namespace.split_once('/').map(|(_, name)| name.to_owned());
    let mut known = Vec::new();
    let mut ops = Vec::new();
    for policy in stored {
        let policy_name = called(policy.namespace.as_str()).unwrap_or_default();
        if policy_name == name {
            ops.push(Op::PolicyForgotten {
                namespace: policy.namespace,
            });
        } else {
            known.push(policy_name);
        }
    }
    if ops.is_empty() {
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => known.join(", "),
        };
        return Err(Failed::new(
            "unknown_policy",
            lines(&format!(
                "no bytes are kept of a policy called {name:?}; kept: {known}. A shipped policy cannot be forgotten: \
                 leave it out of [[policy]] instead"
            )),
        ));
    }
    ops.push(Op::Note {
        key: setup::POLICIES_NOTE.to_owned(),
        value: Some(ledger::now_ms().to_string()),
    });
    ledger.commit(Commit::unconditional(ops)).await?;
    if context.out.is_json() {
        #[derive(Serialize)]
        struct Done<'a> {
            done: &'a str,
            policy: &'a str,
        }
        return context.out.value(&Done {
            done: "forget",
            policy: name,
        });
    }
    context.out.line(&lines(&format!(
        "The bytes kept of {name} are forgotten. If its file is still there, it is taken up again."
    )));
    Ok(())
}
