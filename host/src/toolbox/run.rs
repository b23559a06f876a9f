//! One hook of one component on one case.
//!
//! Knows how a case becomes a call of a hook, and what is seen while it runs. Compares nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::{Case, Input};
use super::found::{self, Found};
use super::world;
use crate::policy::contract::{
    Admission, Change, Decided, Denial, Entry, Locked, Refusal, Ruling, Verdict,
};
use crate::policy::{
    Compiled, Engine, Evaluated, Failure, FailureKind, LoadCause, LoadError, Policy, Seen, Source,
    View, Witness,
};

/// A component, compiled once; its policies are configured as cases ask.
pub struct Subject {
    compiled: Compiled,
    /// What cases without settings of their own have.
    settings: Option<String>,
    witness: Arc<Witness>,
    /// By settings.
    policies: HashMap<Option<String>, Arc<Policy>>,
}

/// What came of a case's hook.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What it answered, in the shape in which cases expect it.
    pub found: serde_json::Map<String, Value>,
    /// How long it took, an instance being ready; of `settings`, with the making of the instance.
    pub took: Duration,
    /// Whether the host may keep the verdict: it did not ask the clock. None if there was none.
    pub pure: Option<bool>,
    /// The changes it returned.
    pub changes: Option<Vec<Value>>,
    /// What failed, if something did.
    pub trouble: Option<Trouble>,
    /// Its log and its memory.
    pub seen: Seen,
    /// What it counted, by name.
    pub counted: BTreeMap<String, u64>,
}

/// Why a hook gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The hook failed.
    #[error("{}: {_1}", found::failure_word(*_0))]
    Failed(FailureKind, String),
    /// The policy cannot be loaded with the case's settings, or has no such hook.
    #[error("{0}")]
    Unusable(String),
    /// It refuses its settings.
    #[error("it refuses its settings: {0}")]
    Settings(String),
}

impl Subject {
    /// Compiles a component, and sees whether it can be used at all. `source.settings` are those of cases that give
    /// none.
    ///
    /// # Errors
    /// If no settings could make it usable.
    pub async fn new(engine: &Engine, source: Source) -> Result<Self, LoadError> {
        let settings = source.settings.clone();
        let compiled = engine.compile(source).await?;
        let witness = Arc::new(Witness::default());
        let mut policies = HashMap::new();
        match compiled
            .configure(settings.clone(), Some(witness.clone()))
            .await
        {
            Ok(policy) => {
                policies.insert(settings.clone(), policy);
            }
            // Other settings may suit it.
            Err(error) if matches!(error.cause, LoadCause::Settings(_)) => {}
            Err(error) if settings.is_none() && matches!(error.cause, LoadCause::Failed(_)) => {}
            Err(error) => return Err(error),
        }
        Ok(Self {
            compiled,
            settings,
            witness,
            policies,
        })
    }

    /// The same, where cases that give no settings have none.
    pub fn without_settings(self) -> Self {
        Self {
            settings: None,
            ..self
        }
    }

    /// The compiled component.
    pub fn compiled(&self) -> &Compiled {
        &self.compiled
    }

    /// The policy with a case's settings.
    ///
    /// # Errors
    /// If it cannot be loaded with them.
    pub async fn policy(&mut self, case: &Case) -> Result<Arc<Policy>, LoadError> {
        let settings = case.settings.clone().or_else(|| self.settings.clone());
        self.with(settings).await
    }

    /// The policy with the settings of cases that give none.
    ///
    /// # Errors
    /// If it cannot be loaded with them.
    pub async fn with_own_settings(&mut self) -> Result<Arc<Policy>, LoadError> {
        self.with(self.settings.clone()).await
    }

    async fn with(&mut self, settings: Option<String>) -> Result<Arc<Policy>, LoadError> {
        if let Some(policy) = self.policies.get(&settings) {
            return Ok(policy.clone());
        }
        let policy = self.configure(settings.clone()).await?;
        self.policies.insert(settings, policy.clone());
        Ok(policy)
    }

    async fn configure(&self, settings: Option<String>) -> Result<Arc<Policy>, LoadError> {
        self.compiled
            .configure(settings, Some(self.witness.clone()))
            .await
    }

    /// Runs a case's hook on an instance of its own.
    pub async fn run(&mut self, case: &Case) -> Ran {
        self.witness.take();
        if matches!(case.input, Input::Settings) {
            return self.run_settings(case).await;
        }
        let policy = match self.policy(case).await {
            Ok(policy) => policy,
            Err(error) => return Ran::trouble(unloaded(error), Duration::ZERO, Seen::default()),
        };
        let hook = case.input.hook();
        if !hook.is_in(policy.hooks()) {
            let why = format!("it does not export the hook of this case, {}", hook.word());
            return Ran::trouble(Trouble::Unusable(why), Duration::ZERO, Seen::default());
        }
        // A gate has instances ready too.
        policy.refill().await;
        let view = world::view(case, policy.namespace());
        let before = policy.counted();
        let started = Instant::now();
        let answer = call(&policy, &case.input, &view).await;
        let took = started.elapsed();
        let seen = self.witness.take();
        let ran = match answer {
            Ok(answer) => Ran::answered(case, answer.as_ref(), took, seen),
            Err(failure) => Ran::trouble(failure.into(), took, seen),
        };
        Ran {
            counted: more(&before, policy.counted()),
            ..ran
        }
    }

    async fn run_settings(&self, case: &Case) -> Ran {
        let settings = case.settings.clone().or_else(|| self.settings.clone());
        let started = Instant::now();
        let configured = self.configure(settings).await;
        let took = started.elapsed();
        let mut seen = self.witness.take();
        let trouble = match configured {
            Ok(policy) if policy.hooks().settings => {
                seen.memory = policy.memory();
                return Ran::answered(case, None, took, seen);
            }
            Ok(_) => Trouble::Unusable("it takes no settings".to_owned()),
            Err(LoadError {
                cause: LoadCause::Failed(kind),
                detail,
                ..
            }) => Trouble::Failed(kind, detail),
            Err(error) => unloaded(error),
        };
        Ran::trouble(trouble, took, seen)
    }
}

impl Ran {
    fn answered(case: &Case, answer: Option<&Answer>, took: Duration, seen: Seen) -> Self {
        let changes = answer.and_then(Answer::changes);
        Self {
            found: answer.map(|answer| answer.found(case)).unwrap_or_default(),
            took,
            pure: answer.and_then(Answer::pure),
            changes: changes.map(|changes| changes.iter().map(found::change).collect()),
            trouble: None,
            seen,
            counted: BTreeMap::new(),
        }
    }

    fn trouble(trouble: Trouble, took: Duration, seen: Seen) -> Self {
        let found = match &trouble {
            Trouble::Failed(kind, _) => found::failure(*kind),
            Trouble::Unusable(why) => found::one("unusable", why.as_str()),
            Trouble::Settings(said) => found::one("settings_error", said.as_str()),
        };
        Self {
            found,
            took,
            pure: None,
            changes: None,
            trouble: Some(trouble),
            seen,
            counted: BTreeMap::new(),
        }
    }
}

/// How much more each counter has than before.
fn more(before: &BTreeMap<String, u64>, after: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let grown = after.into_iter().map(|(name, sum)| {
        let was = before.get(&name).copied().unwrap_or_default();
        (name, sum.saturating_sub(was))
    });
    grown.filter(|(_, more)| *more > 0).collect()
}

fn unloaded(error: LoadError) -> Trouble {
    match error.cause {
        LoadCause::Settings(said) => Trouble::Settings(said),
        LoadCause::Component | LoadCause::Failed(_) => Trouble::Unusable(error.detail),
    }
}

/// What a hook answered, as the engine hands it on.
enum Answer {
    Changes(Evaluated<Vec<Change>>),
    Filtered(Evaluated<Vec<Option<Denial>>>),
    Verdict(Evaluated<Verdict>),
    Ruling(Evaluated<Ruling>),
    Admission(Evaluated<Admission>),
    Surfaced(Evaluated<Vec<Option<Locked>>>),
    Entries(Evaluated<Vec<Entry>>),
    Decided(Evaluated<Result<Decided, Refusal>>),
}

/// Calls the hook of an input; none if that is `settings`, which every instance went through already.
async fn call(policy: &Policy, input: &Input, view: &View) -> Result<Option<Answer>, Failure> {
    Ok(Some(match input {
        Input::Settings => return Ok(None),
        Input::Inventory { server, catalogue } => {
            Answer::Changes(policy.observe(view, server, catalogue).await?)
        }
        Input::ListFilter { context, items } => {
            Answer::Filtered(policy.filter(view, context, items).await?)
        }
        Input::CallGate { context, call } => {
            Answer::Verdict(policy.check(view, context, call).await?)
        }
        Input::ResultGate {
            context,
            call,
            outcome,
        } => Answer::Ruling(policy.inspect(view, context, call, outcome).await?),
        Input::ClientRequestGate { context, request } => {
            Answer::Admission(policy.admit(view, context, request).await?)
        }
        Input::DiscoverySurface { context, withheld } => {
            Answer::Surfaced(policy.surface(view, context, withheld).await?)
        }
        Input::ReviewEntries { server } => {
            Answer::Entries(policy.entries(view, server.as_deref()).await?)
        }
        Input::ReviewDecide(decision) => Answer::Decided(policy.decide(view, decision).await?),
    }))
}

/// How long the hook of a case takes, and nothing beside it.
pub(super) async fn measured(
    policy: &Policy,
    case: &Case,
    view: &View,
) -> Result<Duration, Trouble> {
    let started = Instant::now();
    let answer = call(policy, &case.input, view).await;
    let took = started.elapsed();
    answer?;
    Ok(took)
}

impl Answer {
    /// In the shape in which cases expect it.
    fn found(&self, case: &Case) -> Found {
        match self {
            Self::Changes(answer) => found::stored(&world::applied(&case.store, &answer.value)),
            Self::Filtered(answer) => found::filtered(&answer.value),
            Self::Verdict(answer) => found::verdict(&answer.value),
            Self::Ruling(answer) => found::ruling(&answer.value),
            Self::Admission(answer) => found::admission(&answer.value),
            Self::Surfaced(answer) => found::surfaced(&answer.value),
            Self::Entries(answer) => found::entries(&answer.value),
            Self::Decided(answer) => found::decided(
                &answer.value,
                &world::applied(&case.store, self.changes().unwrap_or_default()),
            ),
        }
    }

    /// The changes it holds, if it is an answer that can.
    fn changes(&self) -> Option<&[Change]> {
        match self {
            Self::Changes(answer) => Some(&answer.value),
            Self::Decided(answer) => Some(match &answer.value {
                Ok(decided) => &decided.changes,
                Err(_) => &[],
            }),
            _ => None,
        }
    }

    /// Whether the host may keep it, if it is a verdict.
    fn pure(&self) -> Option<bool> {
        match self {
            Self::Filtered(answer) => Some(answer.pure),
            Self::Verdict(answer) => Some(answer.pure),
            Self::Ruling(answer) => Some(answer.pure),
            Self::Admission(answer) => Some(answer.pure),
            Self::Surfaced(answer) => Some(answer.pure),
            Self::Changes(_) | Self::Entries(_) | Self::Decided(_) => None,
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure.kind, failure.detail)
    }
}

#[cfg(test)]
mod tests;
