//! Building generations: the configured policies, then those of the directory.
//!
//! Knows where components come from, what is kept of the generation before, and what stands in where one is missing or
//! broken: the last good bytes, kept in the ledger. Knows nothing of what policies decide, nor when to look again.

pub mod builtin;
pub mod directory;
pub mod outcome;
mod places;
pub mod settle;
mod shelf;
pub mod sidecar;
#[cfg(test)]
mod tests;
pub mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::sync::Mutex;

use crate::chain::{Generation, Problem};
use crate::config::{Config, Lists, PolicySource};
use crate::ledger::{self, Commit, Ledger, LedgerError, Namespace, Op, PolicyOrigin, StoredPolicy};
use crate::policy::{Engine, Policy, Source};
use outcome::{Outcome, Status};
use places::{Before, InForce, Place, Wanted, Wish};
use settle::Due;
use shelf::{Places, Shelf};

/// How long a start waits for files that are being written.
const PATIENCE: Duration = Duration::from_secs(2);

/// The most removed policies that are remembered.
const REMOVED: usize = 16;

/// A chain cannot be built: nothing that was in force before stands in for what is wrong.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Policies that cannot be put in force.
    #[error("{}", .0.iter().map(|p| p.detail.as_str()).collect::<Vec<_>>().join("\n"))]
    Policies(Vec<Problem>),
    /// Nobody can say which policies the directory holds.
    #[error("the policy directory cannot be listed: {0}")]
    Directory(String),
    /// The ledger cannot be asked for the last good bytes, or told of the new ones.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What becomes of a policy that cannot be put in force, and has no last good bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// The build fails: what cannot be loaded denies.
    Strict,
    /// It is left out, and told in [`Generation::problems`]: for commands through which nothing is called.
    Tolerant,
}

/// Why a generation is built after another, beside that something changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Why {
    /// What seems not to have changed is read again too: content decides.
    pub again: bool,
    /// An operator had a policy forgotten: what the ledger does not hold counts as last good no longer.
    pub forgotten: bool,
}

/// Builds generations from configurations, one after the other.
pub struct Builder {
    engine: Engine,
    ledger: Arc<dyn Ledger>,
    flags: Vec<(String, Lists)>,
    built: AtomicU64,
    state: Mutex<State>,
    statuses: ArcSwap<Vec<Status>>,
}

/// What is remembered from one generation to the next.
#[derive(Default)]
struct State {
    shelf: Shelf,
    in_force: Vec<InForce>,
    /// What could not be loaded, and why: it is not tried again with every change of something else, since a policy may
    /// take its whole time to fail.
    failed: Vec<(Source, String)>,
    /// Components that a configuration names which was refused: what mends it may be one of them.
    also: BTreeSet<PathBuf>,
}

/// What a place got, and why not what it should.
#[derive(Default)]
struct Got {
    policy: Option<Arc<Policy>>,
    /// The sidecar that came with it.
    sidecar: Option<String>,
    /// Whether that is what was wanted.
    wanted: bool,
    /// Whether it is not the very policy that ran before.
    loaded: bool,
    reason: Option<String>,
}

impl Builder {
    /// A builder; `flags` are the lists that the command line gives: (server, lists).
    pub fn new(engine: Engine, ledger: Arc<dyn Ledger>, flags: Vec<(String, Lists)>) -> Self {
        Self {
            engine,
            ledger,
            flags,
            built: AtomicU64::new(0),
            state: Mutex::default(),
            statuses: ArcSwap::default(),
        }
    }

    /// The lists that the command line gives.
    pub fn flags(&self) -> &[(String, Lists)] {
        &self.flags
    }

    /// What became of each policy, in the chain's order, those that are in force no longer at the end.
    pub fn statuses(&self) -> Arc<Vec<Status>> {
        self.statuses.load_full()
    }

    /// Reads and loads everything that `config` names and the policy directory holds: the first generation. What fails
    /// is replaced by its last good bytes and reported in [`Generation::problems`].
    ///
    /// # Errors
    /// If the ledger cannot be used; with [`Manner::Strict`] also if something fails and has no last good bytes.
    pub async fn build(
        &self,
        config: &Config,
        manner: Manner,
    ) -> Result<Arc<Generation>, BuildError> {
        let mut state = self.state.lock().await;
        let places = state.places(config);
        // What was dropped in only just now is given the time to be whole; what goes on changing is not waited for.
        let patience = Instant::now() + PATIENCE;
        while let Due::At(then) = on_shelf(&mut state, {
            let places = places.clone();
            move |shelf| shelf.look(&places, Instant::now())
        })
        .await
        {
            if then > patience {
                break;
            }
            tokio::time::sleep_until(then.into()).await;
        }
        let now = Instant::now();
        on_shelf(&mut state, move |shelf| shelf.read(false, now)).await;
        if manner == Manner::Strict
            && let Some(error) = state.shelf.unlisted()
        {
            return Err(BuildError::Directory(error.to_string()));
        }
        let stored = self.stored().await?;
        let before = Before {
            in_force: &[],
            stored: Some(&stored),
            forgetting: false,
        };
        let all = places::all(config, &self.flags, &state.shelf, now, &before);
        let got = self.load(&all, &[], &mut state.failed).await;
        let problems = problems(&all, &got);
        let fatal: Vec<_> = problems.iter().filter(|p| !p.last_good).cloned().collect();
        if manner == Manner::Strict && !fatal.is_empty() {
            return Err(BuildError::Policies(fatal));
        }
        self.keep(&all, &got, Some(&stored)).await?;
        let statuses = all
            .iter()
            .zip(&got)
            .map(|(place, got)| first_status(place, got, stored.get(&place.namespace())))
            .collect();
        self.statuses.store(Arc::new(statuses));
        state.shelf.taken(now);
        state.in_force = in_force(&got);
        Ok(self.generation(&state.in_force, problems))
    }

    /// Looks whether anything changed that `config` names or the policy directory holds, and when it can be taken up.
    pub async fn look(&self, config: &Config) -> Due {
        let mut state = self.state.lock().await;
        let places = state.places(config);
        on_shelf(&mut state, move |shelf| shelf.look(&places, Instant::now())).await
    }

    /// Looks from now on also at what the configuration `refused` names.
    pub async fn look_also(&self, refused: Option<&Config>) {
        let mut state = self.state.lock().await;
        state.also = refused.map(named).unwrap_or_default();
    }

    /// Whether the configuration's file changed, and has settled since.
    pub async fn has_new_config(&self) -> bool {
        let state = self.state.lock().await;
        state.shelf.has_new_config(Instant::now())
    }

    /// The configuration's file was read, and is in force as it is.
    pub async fn heed_config(&self) {
        let mut state = self.state.lock().await;
        state.shelf.heed_config();
    }

    /// The generation after the one that was built last, if anything that is in force changes. A policy that fails
    /// leaves what was in force of it in force, and one that never was is left out; [`Builder::statuses`] tells of both.
    ///
    /// # Errors
    /// If the ledger cannot be used, or if `config` is new and a policy that it names, or that was in force before, can
    /// not be in force under it. Then everything is as before.
    pub async fn next(
        &self,
        config: &Config,
        why: Why,
    ) -> Result<Option<Arc<Generation>>, BuildError> {
        let mut state = self.state.lock().await;
        let places = state.places(config);
        let now = Instant::now();
        on_shelf(&mut state, move |shelf| {
            shelf.look(&places, now);
            shelf.read(why.again, now);
        })
        .await;
        let mut stored = if why.forgotten {
            Some(self.stored().await?)
        } else {
            None
        };
        // Time, or memory, may have been short.
        let mut failed = if why.again {
            Vec::new()
        } else {
            std::mem::take(&mut state.failed)
        };
        let (all, got) = loop {
            let before = Before {
                in_force: &state.in_force,
                stored: stored.as_ref(),
                forgetting: why.forgotten,
            };
            let all = places::all(config, &self.flags, &state.shelf, now, &before);
            let got = self.load(&all, &state.in_force, &mut failed).await;
            // Another process may have had in force what never was in this one.
            if stored.is_none() && got.iter().any(|got| got.policy.is_none()) {
                stored = Some(self.stored().await?);
                continue;
            }
            break (all, got);
        };
        state.failed = failed;
        let problems = problems(&all, &got);
        let closed = |(place, got): (&Place, &Got)| {
            let ran = state
                .in_force
                .iter()
                .any(|one| one.policy.namespace() == &place.namespace());
            got.policy.is_none()
                && (place.origin != PolicyOrigin::Directory || (ran && !why.forgotten))
        };
        let fatal: Vec<_> = all
            .iter()
            .zip(&got)
            .filter(|both| closed(*both))
            .filter_map(|(place, got)| problem(place, got))
            .collect();
        if !fatal.is_empty() {
            return Err(BuildError::Policies(fatal));
        }
        self.keep(&all, &got, stored.as_ref()).await?;
        let before = self.statuses();
        let statuses = next_statuses(&before, &all, &got);
        for status in statuses.iter().filter(|now| {
            let known = before
                .iter()
                .find(|known| known.is_at(now.origin, &now.name));
            !known.is_some_and(|before| before.tells_as(now))
        }) {
            status.log();
        }
        self.statuses.store(Arc::new(statuses));
        state.shelf.taken(now);
        let next = in_force(&got);
        let same = next.len() == state.in_force.len()
            && next
                .iter()
                .zip(&state.in_force)
                .all(|(a, b)| Arc::ptr_eq(&a.policy, &b.policy));
        state.in_force = next;
        Ok((!same).then(|| self.generation(&state.in_force, problems)))
    }

    fn generation(&self, in_force: &[InForce], problems: Vec<Problem>) -> Arc<Generation> {
        Arc::new(Generation {
            id: self.built.fetch_add(1, Ordering::Relaxed) + 1,
            policies: in_force.iter().map(|one| one.policy.clone()).collect(),
            problems,
            recording: None,
        })
    }

    async fn stored(&self) -> Result<BTreeMap<Namespace, StoredPolicy>, LedgerError> {
        let stored = self.ledger.policies().await?;
        let by_namespace = stored.into_iter().map(|p| (p.namespace.clone(), p));
        Ok(by_namespace.collect())
    }

    /// Loads what is wanted, then, for what fails, what was last good. What runs already is not loaded again, nor is what
    /// `failed`, which is then what failed of what was asked for.
    async fn load(
        &self,
        places: &[Place],
        in_force: &[InForce],
        failed: &mut Vec<(Source, String)>,
    ) -> Vec<Got> {
        let mut tried = Tried {
            before: std::mem::take(failed),
            now: Vec::new(),
        };
        let mut got: Vec<Got> = places
            .iter()
            .map(|place| Got {
                reason: match &place.wanted {
                    Wish::Is(_) => None,
                    Wish::Refused(why) => Some(why.clone()),
                    Wish::Changing => Some(format!(
                        "policy `{}`: {} is still being written",
                        place.name, place.file
                    )),
                },
                ..Got::default()
            })
            .collect();
        let wanted = |index: usize| match &places[index].wanted {
            Wish::Is(wanted) => Some(wanted),
            Wish::Refused(_) | Wish::Changing => None,
        };
        let all = (places, in_force);
        self.attempt(all, wanted, true, &mut tried, &mut got).await;
        let last = |index: usize| places[index].last_good.as_ref();
        self.attempt(all, last, false, &mut tried, &mut got).await;
        *failed = tried.now;
        got
    }

    /// Fills the places that are still empty.
    async fn attempt<'a>(
        &self,
        (places, in_force): (&[Place], &[InForce]),
        choice: impl Fn(usize) -> Option<&'a Wanted>,
        wanted: bool,
        tried: &mut Tried,
        got: &mut [Got],
    ) {
        let mut loading = Vec::new();
        let mut sources = Vec::new();
        for (index, place) in places.iter().enumerate() {
            let Some(chosen) = choice(index).filter(|_| got[index].policy.is_none()) else {
                continue;
            };
            let source = place.source(chosen);
            let runs = in_force
                .iter()
                .find(|one| is_of(one.policy.source(), &source));
            if let Some(one) = runs {
                got[index].fill(&one.policy, chosen, wanted, false);
            } else if let Some(why) = tried.failed(&source) {
                got[index].reason.get_or_insert(why);
            } else {
                loading.push((index, chosen));
                sources.push(source);
            }
        }
        let loaded = if sources.is_empty() {
            Vec::new()
        } else {
            self.engine.load(sources.clone()).await
        };
        let sources = sources.into_iter().zip(loading);
        for ((source, (index, chosen)), result) in sources.zip(loaded) {
            match result {
                Ok(policy) => got[index].fill(&policy, chosen, wanted, true),
                Err(error) => {
                    let why = error.to_string();
                    tried.now.push((source, why.clone()));
                    // Why the last good bytes cannot be loaded matters less than why they are needed.
                    got[index].reason.get_or_insert(why);
                }
            }
        }
    }

    /// Keeps the bytes of what is now in force and is not kept.
    async fn keep(
        &self,
        places: &[Place],
        got: &[Got],
        stored: Option<&BTreeMap<Namespace, StoredPolicy>>,
    ) -> Result<(), LedgerError> {
        let mut ops = Vec::new();
        for (place, got) in places.iter().zip(got) {
            let Some(policy) = got.policy.as_ref().filter(|_| got.wanted) else {
                continue;
            };
            // What ran before was kept then; only an operator who had it forgotten changes that.
            if place.origin == PolicyOrigin::Builtin || !(got.loaded || stored.is_some()) {
                continue;
            }
            let now = StoredPolicy {
                namespace: policy.namespace().clone(),
                file: place.file.clone(),
                sha256: policy.sha256().to_owned(),
                component: policy.source().component.clone(),
                sidecar: got.sidecar.clone(),
            };
            if stored.and_then(|stored| stored.get(&now.namespace)) != Some(&now) {
                ops.push(Op::PolicyInForce(now));
            }
        }
        if !ops.is_empty() {
            self.ledger.commit(Commit::unconditional(ops)).await?;
        }
        Ok(())
    }
}

/// What could not be loaded.
struct Tried {
    /// The last time.
    before: Vec<(Source, String)>,
    /// This time.
    now: Vec<(Source, String)>,
}

impl Tried {
    /// Why a policy cannot be loaded, if that is known.
    fn failed(&mut self, source: &Source) -> Option<String> {
        let at = self.before.iter().position(|(one, _)| is_of(one, source));
        if let Some(at) = at {
            self.now.push(self.before.swap_remove(at));
        }
        let known = self.now.iter().find(|(one, _)| is_of(one, source))?;
        Some(known.1.clone())
    }
}

impl Got {
    fn fill(&mut self, policy: &Arc<Policy>, chosen: &Wanted, wanted: bool, loaded: bool) {
        self.policy = Some(policy.clone());
        self.sidecar.clone_from(&chosen.sidecar);
        self.wanted = wanted;
        self.loaded = loaded;
    }
}

/// Works on the shelf where waiting for the disk holds up nobody.
async fn on_shelf<T: Send + 'static>(
    state: &mut State,
    work: impl FnOnce(&mut Shelf) -> T + Send + 'static,
) -> T {
    let mut shelf = std::mem::take(&mut state.shelf);
    let worked = tokio::task::spawn_blocking(move || {
        let done = work(&mut shelf);
        (shelf, done)
    });
    match worked.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok((shelf, done)) => {
            state.shelf = shelf;
            done
        }
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime ends, and with it whoever waits here.
        Err(Err(_)) => std::future::pending().await,
    }
}

impl State {
    fn places(&self, config: &Config) -> Places {
        let mut named = named(config);
        named.extend(self.also.iter().cloned());
        Places {
            config: Some(config.expected_file()),
            named,
            directory: config.policy_dir.path.clone(),
        }
    }
}

/// The components that a configuration names.
fn named(config: &Config) -> BTreeSet<PathBuf> {
    let policies = config.policies.iter().flatten();
    let files = policies.filter_map(|policy| match &policy.source {
        PolicySource::File(path) => Some(path.clone()),
        PolicySource::Builtin(_) => None,
    });
    files.collect()
}

fn in_force(got: &[Got]) -> Vec<InForce> {
    let in_force = got.iter().filter_map(|got| {
        Some(InForce {
            policy: got.policy.clone()?,
            sidecar: got.sidecar.clone(),
        })
    });
    in_force.collect()
}

/// Whether a policy that was loaded from one would be loaded from the other just the same.
fn is_of(one: &Source, other: &Source) -> bool {
    let bytes = |source: &Source| (source.component.as_ptr(), source.component.len());
    one.name == other.name
        && one.origin == other.origin
        && one.file == other.file
        && one.settings == other.settings
        && one.mode == other.mode
        && one.grants == other.grants
        && one.reuse == other.reuse
        && (bytes(one) == bytes(other) || one.component == other.component)
}

fn problems(places: &[Place], got: &[Got]) -> Vec<Problem> {
    let both = places.iter().zip(got);
    both.filter_map(|(place, got)| problem(place, got))
        .collect()
}

fn problem(place: &Place, got: &Got) -> Option<Problem> {
    Some(Problem {
        policy: place.name.clone(),
        detail: got.reason.clone()?,
        last_good: got.policy.is_some(),
    })
}

/// A place's status, with an outcome of now.
fn status(place: &Place, got: &Got, outcome: Outcome) -> Status {
    Status {
        name: place.name.clone(),
        origin: place.origin,
        file: place.file.clone(),
        outcome,
        since_ms: ledger::now_ms(),
        problem: got.reason.clone(),
        policy: got.policy.clone(),
    }
}

/// How a place failed, if it did.
fn failed(place: &Place, got: &Got) -> Option<Outcome> {
    got.reason.as_ref()?;
    Some(match place.wanted {
        Wish::Changing => Outcome::Pending,
        Wish::Is(_) | Wish::Refused(_) => Outcome::Rejected,
    })
}

/// What a start found, against what was in force when the ledger was last told.
fn first_status(place: &Place, got: &Got, stored: Option<&StoredPolicy>) -> Status {
    let outcome = failed(place, got).unwrap_or_else(|| {
        let as_stored = stored.map(|stored| {
            got.policy.as_ref().map(|p| p.sha256()) == Some(&stored.sha256)
                && got.sidecar == stored.sidecar
        });
        match as_stored {
            None if place.origin == PolicyOrigin::Builtin => Outcome::Unchanged,
            None => Outcome::Installed,
            Some(true) => Outcome::Unchanged,
            Some(false) => Outcome::Updated,
        }
    });
    status(place, got, outcome)
}

/// What became of every place, and of those that are there no longer.
fn next_statuses(before: &[Status], places: &[Place], got: &[Got]) -> Vec<Status> {
    let here: Vec<_> = places
        .iter()
        .zip(got)
        .map(|(place, got)| {
            let known = before.iter().find(|status| {
                status.is_at(place.origin, &place.name) && status.outcome != Outcome::Removed
            });
            next_status(known, place, got)
        })
        .collect();
    let gone = before.iter().filter(|status| {
        !here
            .iter()
            .any(|now: &Status| now.is_at(status.origin, &status.name))
    });
    // What never was in force and is gone is nothing to remember.
    let removed = gone.filter_map(|status| match (status.outcome, &status.policy) {
        (Outcome::Removed, _) => Some(status.clone()),
        (_, Some(_)) => Some(Status {
            outcome: Outcome::Removed,
            since_ms: ledger::now_ms(),
            problem: None,
            policy: None,
            ..status.clone()
        }),
        (_, None) => None,
    });
    let mut removed: Vec<_> = removed.collect();
    removed.sort_by_key(|status| std::cmp::Reverse(status.since_ms));
    removed.truncate(REMOVED);
    here.into_iter().chain(removed).collect()
}

fn next_status(known: Option<&Status>, place: &Place, got: &Got) -> Status {
    let ran = known.is_some_and(|status| status.policy.is_some());
    let outcome = match failed(place, got) {
        Some(outcome) => outcome,
        None if got.loaded && ran => Outcome::Updated,
        None if got.loaded => Outcome::Installed,
        None => Outcome::Unchanged,
    };
    let now = status(place, got, outcome);
    let Some(known) = known else { return now };
    let same = match outcome {
        Outcome::Rejected => {
            !place.fresh && known.outcome == outcome && known.problem == now.problem
        }
        Outcome::Pending => known.outcome == outcome,
        Outcome::Unchanged => !place.fresh && known.problem.is_none(),
        Outcome::Installed | Outcome::Updated | Outcome::Removed => false,
    };
    if same {
        Status {
            policy: now.policy,
            file: now.file,
            ..known.clone()
        }
    } else {
        now
    }
}
