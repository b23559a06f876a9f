//! `witgate policy list`: the chain, in order, and what could not be put in force.

use serde::Serialize;

use super::{hook_words, lines};
use crate::cli::{Context, Failed, output};
use crate::config::Mode;
use crate::policy::Policy;

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

/// Lists the policies in force, and what could not be put in force.
pub(super) async fn list(context: &Context) -> Result<(), Failed> {
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
