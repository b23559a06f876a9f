//! The places of a chain: what should be in force in each, and what was.
//!
//! Knows how configuration, policy directory, sidecars and last good bytes go together. Loads nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::builtin;
use super::directory::{self, Pair};
use super::shelf::{Candidate, Shelf};
use super::sidecar::Sidecar;
use crate::config::{Config, Grants, Lists, Mode, PolicyConfig, PolicySource};
use crate::ledger::{Namespace, PolicyOrigin, StoredPolicy};
use crate::policy::{Policy, Source};

/// One place in the chain: what should be in force, and what was.
pub(super) struct Place {
    pub(super) name: String,
    pub(super) origin: PolicyOrigin,
    pub(super) file: String,
    pub(super) wanted: Wish,
    /// What was last in force, under what the operator says of it now.
    pub(super) last_good: Option<Wanted>,
    /// Whether its file changed since it was last taken up.
    pub(super) fresh: bool,
}

/// What should be in force.
pub(super) enum Wish {
    /// This.
    Is(Wanted),
    /// Nothing that can be had, and why.
    Refused(String),
    /// What is still being written.
    Changing,
}

/// A component with everything the operator said about it.
#[derive(Clone)]
pub(super) struct Wanted {
    pub(super) component: Bytes,
    pub(super) settings: Option<String>,
    pub(super) mode: Mode,
    pub(super) grants: Grants,
    pub(super) reuse: u32,
    pub(super) sidecar: Option<String>,
}

/// What is in force, with the text of the sidecar that it came with.
#[derive(Clone)]
pub(super) struct InForce {
    pub(super) policy: Arc<Policy>,
    pub(super) sidecar: Option<String>,
}

/// What was in force before, by whose it is: in this process, and as the ledger has it.
pub(super) struct Before<'a> {
    pub(super) in_force: &'a [InForce],
    pub(super) stored: Option<&'a BTreeMap<Namespace, StoredPolicy>>,
    /// Whether what the ledger has forgotten counts no longer.
    pub(super) forgetting: bool,
}

impl Place {
    pub(super) fn namespace(&self) -> Namespace {
        Namespace::new(self.origin, &self.name)
    }

    pub(super) fn source(&self, wanted: &Wanted) -> Source {
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
}

impl Wanted {
    /// What the directory holds, under the grants of the configuration.
    fn from_pair(
        component: Bytes,
        text: Option<String>,
        sidecar: Sidecar,
        grants: &BTreeMap<String, Grants>,
        name: &str,
    ) -> Self {
        Self {
            component,
            settings: sidecar.settings,
            mode: sidecar.mode,
            grants: grants.get(name).cloned().unwrap_or_default(),
            reuse: sidecar.reuse,
            sidecar: text,
        }
    }
}

impl Before<'_> {
    /// The component and the sidecar that were last in force.
    fn last(&self, namespace: &Namespace) -> Option<(Bytes, Option<String>)> {
        let stored = self.stored.and_then(|stored| stored.get(namespace));
        let running = self
            .in_force
            .iter()
            .find(|one| one.policy.namespace() == namespace);
        if let Some(one) = running.filter(|_| stored.is_some() || !self.forgetting) {
            let component = one.policy.source().component.clone();
            return Some((component, one.sidecar.clone()));
        }
        stored.map(|last| (last.component.clone(), last.sidecar.clone()))
    }

    /// The policies that were in force from the directory, and where each was.
    fn directory(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        for (namespace, last) in self.stored.into_iter().flatten() {
            if let Some(name) = namespace.as_str().strip_prefix("directory/") {
                all.insert(name.to_owned(), last.file.clone());
            }
        }
        for one in self.in_force {
            let source = one.policy.source();
            if source.origin == PolicyOrigin::Directory
                && self.last(one.policy.namespace()).is_some()
            {
                all.insert(source.name.clone(), source.file.clone());
            }
        }
        all
    }
}

/// The chain's places in order: what the configuration names, then what the directory holds or held.
pub(super) fn all(
    config: &Config,
    flags: &[(String, Lists)],
    shelf: &Shelf,
    now: std::time::Instant,
    before: &Before<'_>,
) -> Vec<Place> {
    let files: Vec<Candidate<'_>> = shelf.candidates(now).collect();
    let shipped = builtin::NAMES.map(|name| PolicyConfig {
        name: name.to_owned(),
        source: PolicySource::Builtin(name.to_owned()),
        mode: Mode::Enforce,
        settings: None,
        grants: Grants::default(),
        reuse: 1,
    });
    let policies = config.policies.as_deref().unwrap_or(&shipped);
    let mut places: Vec<Place> = policies
        .iter()
        .map(|policy| match &policy.source {
            PolicySource::Builtin(builtin) => shipped_with(policy, builtin, config, flags),
            PolicySource::File(path) => configured(policy, path, &files, before),
        })
        .collect();
    let taken: BTreeSet<String> = places.iter().map(|place| place.name.clone()).collect();
    let unlisted = shelf.unlisted().map(ToString::to_string);
    places.extend(from_directory(
        config,
        &files,
        before,
        &taken,
        unlisted.as_deref(),
    ));
    places
}

fn shipped_with(
    policy: &PolicyConfig,
    builtin: &str,
    config: &Config,
    flags: &[(String, Lists)],
) -> Place {
    let wanted = match builtin::component(builtin) {
        None => Err(format!(
            "policy `{}`: there is no `builtin:{builtin}`; there are {}",
            policy.name,
            builtin::NAMES.join(", ")
        )),
        Some(component) if builtin == builtin::ALLOW_DENY => {
            builtin::allow_deny_settings(policy.settings.as_deref(), &config.servers, flags)
                .map(|settings| said_of(policy, component, settings))
                .map_err(|e| format!("policy `{}`: its settings: {e}", policy.name))
        }
        Some(component) => Ok(said_of(policy, component, policy.settings.clone())),
    };
    Place {
        name: policy.name.clone(),
        origin: PolicyOrigin::Builtin,
        file: format!("builtin:{builtin}"),
        wanted: wanted.map_or_else(Wish::Refused, Wish::Is),
        last_good: None,
        fresh: false,
    }
}

/// A component with what the configuration says of it.
fn said_of(policy: &PolicyConfig, component: Bytes, settings: Option<String>) -> Wanted {
    Wanted {
        component,
        settings,
        mode: policy.mode,
        grants: policy.grants.clone(),
        reuse: policy.reuse,
        sidecar: None,
    }
}

fn configured(
    policy: &PolicyConfig,
    path: &Path,
    files: &[Candidate<'_>],
    before: &Before<'_>,
) -> Place {
    let namespace = Namespace::new(PolicyOrigin::Configuration, &policy.name);
    let candidate = files.iter().find(|candidate| candidate.file == path);
    let wanted = match candidate.and_then(|candidate| candidate.content) {
        Some(Ok(pair)) => Wish::Is(said_of(
            policy,
            pair.component.clone(),
            policy.settings.clone(),
        )),
        Some(Err(error)) => Wish::Refused(format!("policy `{}`: {error}", policy.name)),
        None => Wish::Changing,
    };
    // The configuration names it, so what runs stays although its bytes were forgotten.
    let kept = Before {
        forgetting: false,
        ..*before
    };
    let last = kept.last(&namespace);
    Place {
        name: policy.name.clone(),
        origin: PolicyOrigin::Configuration,
        file: path.display().to_string(),
        wanted,
        last_good: last.map(|(last, _)| said_of(policy, last, policy.settings.clone())),
        fresh: candidate.is_some_and(|candidate| candidate.fresh),
    }
}

/// The directory's policies in file-name order, together with those that were in force from it and are gone.
fn from_directory(
    config: &Config,
    files: &[Candidate<'_>],
    before: &Before<'_>,
    taken: &BTreeSet<String>,
    unlisted: Option<&str>,
) -> Vec<Place> {
    let mut places: BTreeMap<String, Place> = BTreeMap::new();
    for (name, file) in before.directory() {
        let why = match unlisted {
            Some(error) => unlistable(&name, error),
            None => format!(
                "policy `{name}`: {file} is gone; the bytes that were last in force stay. Put the file back, or run \
                 `witgate policy forget {name}`"
            ),
        };
        let place = Place {
            last_good: last_good(config, &name, before).filter(|_| !taken.contains(&name)),
            wanted: Wish::Refused(why),
            origin: PolicyOrigin::Directory,
            fresh: false,
            file,
            name: name.clone(),
        };
        places.insert(format!("{name}.wasm"), place);
    }
    for candidate in files.iter().filter(|candidate| candidate.listed) {
        let name = directory::name_of(candidate.file);
        let file = candidate.file.display().to_string();
        let named_twice = taken.contains(&name);
        let wanted = match (candidate.content, unlisted) {
            (_, Some(error)) => Wish::Refused(unlistable(&name, error)),
            (None, None) => Wish::Changing,
            (Some(_), None) if named_twice => Wish::Refused(format!(
                "policy `{name}` ({file}): the configuration has a policy of that name; rename the file"
            )),
            (Some(content), None) => content
                .as_ref()
                .map_err(ToString::to_string)
                .and_then(|pair| checked(config, candidate.file, &name, pair, before))
                .map_err(|detail| format!("policy `{name}`: {detail}"))
                .map_or_else(Wish::Refused, Wish::Is),
        };
        let place = Place {
            // Two of one name are never in force together.
            last_good: last_good(config, &name, before).filter(|_| !named_twice),
            origin: PolicyOrigin::Directory,
            fresh: candidate.fresh,
            wanted,
            file,
            name: name.clone(),
        };
        places.insert(format!("{name}.wasm"), place);
    }
    places.into_values().collect()
}

fn unlistable(name: &str, error: &str) -> String {
    format!("policy `{name}`: the policy directory cannot be listed: {error}")
}

fn last_good(config: &Config, name: &str, before: &Before<'_>) -> Option<Wanted> {
    let namespace = Namespace::new(PolicyOrigin::Directory, name);
    let (component, text) = before.last(&namespace)?;
    let sidecar = text.as_deref().map_or_else(
        || Some(Sidecar::default()),
        |text| Sidecar::parse(text).ok(),
    )?;
    let grants = &config.policy_dir.grants;
    Some(Wanted::from_pair(component, text, sidecar, grants, name))
}

/// What a file of the directory and its sidecar say together.
fn checked(
    config: &Config,
    file: &Path,
    name: &str,
    pair: &Pair,
    before: &Before<'_>,
) -> Result<Wanted, String> {
    let beside = directory::sidecar_of(file);
    let namespace = Namespace::new(PolicyOrigin::Directory, name);
    let had_sidecar = || {
        before
            .last(&namespace)
            .is_some_and(|(_, text)| text.is_some())
    };
    let sidecar = match &pair.sidecar {
        Some(text) => Sidecar::parse(text).map_err(|e| format!("{}: {e}", beside.display()))?,
        None if had_sidecar() => {
            return Err(format!(
                "its sidecar {} is gone; what was last in force stays. Put the sidecar back, or run `witgate policy \
                 forget {name}` to take the file without one",
                beside.display()
            ));
        }
        None => Sidecar::default(),
    };
    if let Some(expected) = &sidecar.sha256 {
        let found = hex::encode(Sha256::digest(&pair.component));
        if !expected.eq_ignore_ascii_case(&found) {
            return Err(format!(
                "{} has SHA-256 {found}, its sidecar says {expected}; get the right file, or correct `sha256`",
                file.display()
            ));
        }
    }
    let (component, text) = (pair.component.clone(), pair.sidecar.clone());
    let grants = &config.policy_dir.grants;
    Ok(Wanted::from_pair(component, text, sidecar, grants, name))
}
