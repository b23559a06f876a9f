//! Building a generation: the configured policies, then those of the directory.
//!
//! Knows where components come from and what stands in when one is missing or broken: the last good bytes, kept in
//! the ledger. Knows nothing of what policies decide.

pub mod builtin;
pub mod directory;
pub mod sidecar;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::chain::{Generation, Problem, ownership};
use crate::config::{Config, Grants, Lists, Mode, PolicyConfig, PolicySource};
use crate::ledger::{Commit, Ledger, LedgerError, Namespace, Op, PolicyOrigin, StoredPolicy};
use crate::policy::{Engine, Policy, Source};
use directory::Candidate;
use sidecar::Sidecar;

/// A chain cannot be built: nothing that was in force before stands in for what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Policies that cannot be put in force.
    #[error("{}", .0.iter().map(|p| p.detail.as_str()).collect::<Vec<_>>().join("\n"))]
    Policies(Vec<Problem>),
    /// The ledger cannot be asked for the last good bytes, or told of the new ones.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Builds generations from configurations, one after the other.
pub struct Builder {
    engine: Engine,
    ledger: Arc<dyn Ledger>,
    flags: Vec<(String, Lists)>,
    built: AtomicU64,
}

/// One place in the chain: what should be in force, and what was.
struct Place {
    name: String,
    origin: PolicyOrigin,
    file: String,
    wanted: Result<Wanted, String>,
    last_good: Option<Wanted>,
}

/// A component with everything the operator said about it.
#[derive(Clone)]
struct Wanted {
    component: Bytes,
    settings: Option<String>,
    mode: Mode,
    grants: Grants,
    reuse: u32,
    sidecar: Option<String>,
}

impl Place {
    fn source(&self, wanted: &Wanted) -> Source {
        Source {
            name: self.name.clone(),
            origin: self.origin,
            file: self.file.clone(),
            component: wanted.component.clone(),
            settings: wanted.settings.clone(),
            mode: wanted.mode,
            grants: wanted.grants.clone(),
            reuse: wanted.reuse,
        }
    }

    fn problem(&self, detail: String) -> Problem {
        Problem {
            policy: self.name.clone(),
            detail,
            last_good: self.last_good.is_some(),
        }
    }
}

impl Builder {
    /// A builder; `flags` are the lists that the command line gives: (server, lists).
    pub fn new(engine: Engine, ledger: Arc<dyn Ledger>, flags: Vec<(String, Lists)>) -> Self {
        Self {
            engine,
            ledger,
            flags,
            built: AtomicU64::new(0),
        }
    }

    /// The lists that the command line gives.
    pub fn flags(&self) -> &[(String, Lists)] {
        &self.flags
    }

    /// Reads and loads everything that `config` names and the policy directory holds. What fails is replaced by its
    /// last good bytes and reported in [`Generation::problems`]; without such bytes the whole build fails.
    pub async fn build(&self, config: &Config) -> Result<Arc<Generation>, BuildError> {
        let stored = self.ledger.policies().await?;
        let stored: BTreeMap<_, _> = stored
            .into_iter()
            .map(|policy| (policy.namespace.clone(), policy))
            .collect();
        let mut places = self.configured(config, &stored);
        let taken: BTreeSet<String> = places.iter().map(|place| place.name.clone()).collect();
        places.extend(from_directory(config, &stored, &taken));
        let mut problems = Vec::new();
        let policies = self.load(&places, &mut problems).await?;
        self.keep(&places, &policies, &stored).await?;
        let id = self.built.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Arc::new(Generation {
            id,
            policies,
            problems,
            recording: None,
        }))
    }

    fn configured(
        &self,
        config: &Config,
        stored: &BTreeMap<Namespace, StoredPolicy>,
    ) -> Vec<Place> {
        let shipped = builtin::NAMES.map(|name| PolicyConfig {
            name: name.to_owned(),
            source: PolicySource::Builtin(name.to_owned()),
            mode: Mode::Enforce,
            settings: None,
            grants: Grants::default(),
            reuse: 1,
        });
        let policies = config.policies.as_deref().unwrap_or(&shipped);
        policies
            .iter()
            .map(|policy| self.one_configured(config, policy, stored))
            .collect()
    }

    fn one_configured(
        &self,
        config: &Config,
        policy: &PolicyConfig,
        stored: &BTreeMap<Namespace, StoredPolicy>,
    ) -> Place {
        let wanted = |component, settings| Wanted {
            component,
            settings,
            mode: policy.mode,
            grants: policy.grants.clone(),
            reuse: policy.reuse,
            sidecar: None,
        };
        match &policy.source {
            PolicySource::Builtin(builtin) => Place {
                name: policy.name.clone(),
                origin: PolicyOrigin::Builtin,
                file: format!("builtin:{builtin}"),
                wanted: builtin::component(builtin)
                    .ok_or_else(|| {
                        format!(
                            "policy `{}`: there is no `builtin:{builtin}`; there are {}",
                            policy.name,
                            builtin::NAMES.join(", ")
                        )
                    })
                    .and_then(|component| {
                        let settings = if builtin == builtin::ALLOW_DENY {
                            builtin::allow_deny_settings(
                                policy.settings.as_deref(),
                                &config.servers,
                                &self.flags,
                            )
                            .map_err(|e| format!("policy `{}`: its settings: {e}", policy.name))?
                        } else {
                            policy.settings.clone()
                        };
                        Ok(wanted(component, settings))
                    }),
                last_good: None,
            },
            PolicySource::File(path) => {
                let namespace = Namespace::new(PolicyOrigin::Configuration, &policy.name);
                let read = ownership::check(path)
                    .map_err(|e| e.to_string())
                    .and_then(|()| directory::read_whole(path).map_err(|e| e.to_string()))
                    .map_err(|e| format!("policy `{}`: {e}", policy.name));
                Place {
                    name: policy.name.clone(),
                    origin: PolicyOrigin::Configuration,
                    file: path.display().to_string(),
                    wanted: read.map(|component| wanted(component, policy.settings.clone())),
                    last_good: stored
                        .get(&namespace)
                        .map(|last| wanted(last.component.clone(), policy.settings.clone())),
                }
            }
        }
    }

    /// Loads what is wanted, then, for what fails, what was last good.
    async fn load(
        &self,
        places: &[Place],
        problems: &mut Vec<Problem>,
    ) -> Result<Vec<Arc<Policy>>, BuildError> {
        let mut loaded: Vec<Option<Arc<Policy>>> = places.iter().map(|_| None).collect();
        let mut fatal = Vec::new();
        let mut reasons: Vec<Option<String>> = vec![None; places.len()];
        let first: Vec<usize> = (0..places.len())
            .filter(|index| places[*index].wanted.is_ok())
            .collect();
        let sources = first
            .iter()
            .filter_map(|index| {
                places[*index]
                    .wanted
                    .as_ref()
                    .ok()
                    .map(|w| places[*index].source(w))
            })
            .collect();
        for (index, result) in first.iter().zip(self.engine.load(sources).await) {
            match result {
                Ok(policy) => loaded[*index] = Some(policy),
                Err(error) => reasons[*index] = Some(error.to_string()),
            }
        }
        for (index, place) in places.iter().enumerate() {
            if let Err(detail) = &place.wanted {
                reasons[index] = Some(detail.clone());
            }
        }
        let again: Vec<usize> = (0..places.len())
            .filter(|index| loaded[*index].is_none() && places[*index].last_good.is_some())
            .collect();
        let sources = again
            .iter()
            .filter_map(|index| {
                places[*index]
                    .last_good
                    .as_ref()
                    .map(|w| places[*index].source(w))
            })
            .collect();
        for (index, result) in again.iter().zip(self.engine.load(sources).await) {
            if let Ok(policy) = result {
                loaded[*index] = Some(policy);
            }
        }
        for ((place, reason), policy) in places.iter().zip(reasons).zip(&loaded) {
            if let Some(reason) = reason {
                let problem = place.problem(reason);
                if policy.is_some() {
                    problems.push(problem)
                } else {
                    fatal.push(problem)
                }
            }
        }
        if fatal.is_empty() {
            Ok(loaded.into_iter().flatten().collect())
        } else {
            Err(BuildError::Policies(fatal))
        }
    }

    /// Keeps the bytes of what is now in force and was not before.
    async fn keep(
        &self,
        places: &[Place],
        policies: &[Arc<Policy>],
        stored: &BTreeMap<Namespace, StoredPolicy>,
    ) -> Result<(), BuildError> {
        let mut ops = Vec::new();
        for (place, policy) in places.iter().zip(policies) {
            let Ok(wanted) = &place.wanted else { continue };
            if place.origin == PolicyOrigin::Builtin
                || policy.source().component != wanted.component
            {
                continue;
            }
            let now = StoredPolicy {
                namespace: policy.namespace().clone(),
                file: place.file.clone(),
                sha256: policy.sha256().to_owned(),
                component: wanted.component.clone(),
                sidecar: wanted.sidecar.clone(),
            };
            if stored.get(&now.namespace) != Some(&now) {
                ops.push(Op::PolicyInForce(now));
            }
        }
        if !ops.is_empty() {
            self.ledger
                .commit(Commit {
                    based_on: None,
                    ops,
                })
                .await?;
        }
        Ok(())
    }
}

/// The directory's policies in file-name order, together with those that were in force from it and are gone.
fn from_directory(
    config: &Config,
    stored: &BTreeMap<Namespace, StoredPolicy>,
    taken: &BTreeSet<String>,
) -> Vec<Place> {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (namespace, last) in stored {
        let Some(name) = namespace.as_str().strip_prefix("directory/") else {
            continue;
        };
        let place = Place {
            name: name.to_owned(),
            origin: PolicyOrigin::Directory,
            file: last.file.clone(),
            wanted: Err(format!(
                "policy `{name}`: {} is gone; the bytes that were last in force stay. Put the file back, or run \
                 `witgate policy forget {name}`",
                last.file
            )),
            last_good: from_stored(config, name, last),
        };
        places.insert(format!("{name}.wasm"), place);
    }
    for candidate in directory::read(&config.policy_dir.path) {
        let Candidate { name, file, .. } = &candidate;
        let last_good = places
            .remove(&format!("{name}.wasm"))
            .and_then(|place| place.last_good);
        let wanted = if taken.contains(name) {
            Err(format!(
                "policy `{name}` ({}): the configuration has a policy of that name; rename the file",
                file.display()
            ))
        } else {
            checked(config, &candidate, last_good.as_ref())
        };
        let place = Place {
            name: name.clone(),
            origin: PolicyOrigin::Directory,
            file: file.display().to_string(),
            wanted,
            last_good,
        };
        places.insert(format!("{name}.wasm"), place);
    }
    places.into_values().collect()
}

fn from_stored(config: &Config, name: &str, last: &StoredPolicy) -> Option<Wanted> {
    let sidecar = match &last.sidecar {
        Some(text) => Sidecar::parse(text).ok()?,
        None => Sidecar::default(),
    };
    Some(Wanted {
        component: last.component.clone(),
        settings: sidecar.settings,
        mode: sidecar.mode,
        grants: config
            .policy_dir
            .grants
            .get(name)
            .cloned()
            .unwrap_or_default(),
        reuse: sidecar.reuse,
        sidecar: last.sidecar.clone(),
    })
}

fn checked(
    config: &Config,
    candidate: &Candidate,
    last_good: Option<&Wanted>,
) -> Result<Wanted, String> {
    let named = |detail: String| format!("policy `{}`: {detail}", candidate.name);
    let (component, text) = candidate
        .content
        .as_ref()
        .map_err(|e| named(e.to_string()))?;
    if text.is_none() && last_good.is_some_and(|last| last.sidecar.is_some()) {
        return Err(named(format!(
            "its sidecar {} is gone; what was last in force stays. Put the sidecar back, or run `witgate policy \
             forget {}` to take the file without one",
            candidate.file.with_extension("toml").display(),
            candidate.name
        )));
    }
    let sidecar = match text {
        Some(text) => Sidecar::parse(text).map_err(|e| {
            named(format!(
                "{}: {e}",
                candidate.file.with_extension("toml").display()
            ))
        })?,
        None => Sidecar::default(),
    };
    if let Some(expected) = &sidecar.sha256 {
        let found = directory::sha256(component);
        if !expected.eq_ignore_ascii_case(&found) {
            return Err(named(format!(
                "{} has SHA-256 {found}, its sidecar says {expected}; get the right file, or correct `sha256`",
                candidate.file.display()
            )));
        }
    }
    Ok(Wanted {
        component: component.clone(),
        settings: sidecar.settings,
        mode: sidecar.mode,
        grants: config
            .policy_dir
            .grants
            .get(&candidate.name)
            .cloned()
            .unwrap_or_default(),
        reuse: sidecar.reuse,
        sidecar: text.clone(),
    })
}
