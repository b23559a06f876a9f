//! The lane: one task at a time tells policies what was read, and works out what the client may see.
//!
//! Knows when something must be told or judged anew: a reading that differs, another generation or standing, a ledger
//! that moved. Knows nothing of who waits for it; whoever does looks again when it is done.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::handshake::Hello;
use super::{About, Core, Event, Phase, without_end};
use crate::chain::convert::{self, Caller, ServerView};
use crate::chain::observe::{self, Reading};
use crate::chain::visibility;
use crate::chain::{Generation, Refused, Visibility};
use crate::config::{Config, Mode};
use crate::gate::Host;
use crate::gate::catalogue::Catalogue;
use crate::gate::host::{ledger_refusal, now_ms};
use crate::gate::reading::Outcome;
use crate::ledger::{LedgerError, Op};
use crate::mcp::{Item, ItemKind};
use crate::policy::{Failure, contract};
use crate::wire::reply;

/// How long after a failure nothing is tried again: whoever asks meanwhile is refused.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What the lane is to do.
pub(super) enum Task {
    /// A self-description came.
    Describe {
        /// The catalogue with it.
        catalogue: Arc<Catalogue>,
        /// The answer it came in.
        hello: Box<Hello>,
    },
    /// A reading is over.
    Observe(Box<Outcome>),
    /// What is known is judged anew, and baselines close.
    Refresh,
}

/// The lane's state.
#[derive(Default)]
pub(super) struct Lane {
    busy: bool,
    queue: VecDeque<Task>,
    /// Kinds whose baseline is to close.
    close: BTreeSet<ItemKind>,
    /// What the visibility in force was judged by.
    judged: Option<(u64, ServerView)>,
    /// The last failure, and when.
    failed: Option<(Refused, Instant)>,
    /// Policies that failed to record the last reading.
    broken: Vec<Failure>,
}

/// What the lane's task came to.
pub struct Settled {
    task: Task,
    generation: Arc<Generation>,
    config: Arc<Config>,
    view: ServerView,
    catalogue: Arc<Catalogue>,
    closed: Vec<ItemKind>,
    observed: bool,
    outcome: Result<Judged, LedgerError>,
}

struct Judged {
    visibility: Arc<Visibility>,
    broken: Vec<Failure>,
    waiting: usize,
}

/// Everything a task needs, apart from the session.
struct Work {
    host: Arc<Host>,
    generation: Arc<Generation>,
    view: ServerView,
    caller: Caller,
    catalogue: Arc<Catalogue>,
    reading: Option<Reading>,
    broken: Vec<Failure>,
    close: Vec<ItemKind>,
    count: bool,
}

impl Work {
    async fn run(&self) -> Result<Judged, LedgerError> {
        let definitions = self.host.definitions(&self.catalogue);
        let ledger = &*self.host.ledger;
        let mut broken = self.broken.clone();
        // What an earlier session saw waiting is forgotten as soon as this one begins to see: it counts until then.
        let mut waiting = self.waiting().await;
        waiting.retain(|(_, _, of_items)| *of_items);
        if let Some(reading) = &self.reading {
            let observed = observe::observe(
                ledger,
                &self.generation,
                &definitions,
                &self.view,
                reading,
                now_ms(),
            )
            .await?;
            broken = observed.broken;
        }
        if !self.close.is_empty() {
            let closing = Reading {
                items: self.catalogue.items(),
                closing: self.close.clone(),
                ..Reading::default()
            };
            observe::observe(
                ledger,
                &self.generation,
                &definitions,
                &self.view,
                &closing,
                now_ms(),
            )
            .await?;
        }
        let view = self.host.view(&self.catalogue);
        let items = self.catalogue.items();
        let visibility = if self.view.enabled {
            let context = convert::context(&self.view, &self.caller);
            visibility::compute(&self.generation, &view, &context, &items, &broken).await
        } else {
            Visibility::disabled(&items, self.generation.id, view.snapshot.revision)
        };
        waiting.extend(self.waiting().await);
        Ok(Judged {
            visibility: Arc::new(visibility),
            broken,
            waiting: waiting.len(),
        })
    }

    /// Every entry of this server that waits for a person, if that is to be counted: the policy's place in the chain,
    /// the entry's id, and whether it is of an item that is listed.
    async fn waiting(&self) -> BTreeSet<(usize, String, bool)> {
        let mut waiting = BTreeSet::new();
        if !self.count {
            return waiting;
        }
        let view = self.host.view(&self.catalogue);
        for (place, policy) in self.generation.policies.iter().enumerate() {
            if policy.hooks().review && policy.source().mode == Mode::Enforce {
                match policy.entries(&view, Some(&self.view.name)).await {
                    Ok(entries) => {
                        waiting.extend(entries.value.into_iter().filter(|entry| entry.waiting).map(
                            |entry| {
                                let own = matches!(entry.kind, contract::ItemKind::SelfDescription);
                                (place, entry.id, !own)
                            },
                        ))
                    }
                    Err(failure) => visibility::report(&failure),
                }
            }
        }
        waiting
    }
}

impl Core {
    /// Gives the lane a task.
    pub(super) fn settle(&mut self, task: Task) {
        self.lane.queue.push_back(task);
        self.run_lane();
    }

    /// Has what is known judged anew, unless that is about to happen anyway.
    pub(super) fn settle_soon(&mut self) {
        if self.lane.queue.is_empty() && !self.lane.busy && self.phase >= Phase::Answered {
            self.settle(Task::Refresh);
        }
    }

    /// Has a kind's baseline closed: its list, or a call of it, is about to be answered.
    pub(super) fn close_baseline(&mut self, kind: ItemKind) {
        self.lane.close.insert(kind);
        self.settle_soon();
    }

    /// Whether what the client may see was judged by what is in force now.
    pub(super) fn is_current(&self) -> bool {
        !self.expired && self.is_in_force()
    }

    /// Whether the chain, the ledger and the configuration are still those that judged.
    fn is_in_force(&self) -> bool {
        let Some(visibility) = &self.visibility else {
            return false;
        };
        visibility.generation == self.host.chain.current().id
            && visibility.revision == self.host.ledger.snapshot().revision
            && Arc::ptr_eq(&self.config, &self.host.config.load())
    }

    /// Why nothing can be judged, if that failed only just now.
    pub(super) fn cannot_judge(&self) -> Option<Refused> {
        let (refused, at) = self.lane.failed.as_ref()?;
        (self.now.duration_since(*at) < PAUSE_AFTER_FAILURE).then(|| refused.clone())
    }

    fn run_lane(&mut self) {
        if self.lane.busy {
            return;
        }
        let Some(task) = self.lane.queue.pop_front() else {
            return;
        };
        let generation = self.host.chain.current();
        let config = self.host.config.load_full();
        let view = self.entry.view(&config, &self.host.ledger.snapshot());
        let trusted = !view.quarantined && view.enabled;
        let again = !self.lane.broken.is_empty()
            || self.lane.judged.as_ref() != Some(&(generation.id, view.clone()));
        let mut close = std::mem::take(&mut self.lane.close);
        let (catalogue, reading) = match &task {
            Task::Describe { catalogue, .. } => {
                let complete = self.settled_by_initialize();
                close.extend(complete.iter().copied());
                (
                    catalogue.clone(),
                    Some(self.describing(catalogue, complete)),
                )
            }
            Task::Observe(outcome) if outcome.changed || again => {
                let catalogue = outcome.catalogue.clone();
                (
                    catalogue.clone(),
                    Some(self.telling(&catalogue, outcome.complete.clone())),
                )
            }
            Task::Refresh if again => {
                let kinds = self.catalogue.lists.keys().copied();
                let own = self
                    .catalogue
                    .own
                    .as_ref()
                    .map(|_| ItemKind::SelfDescription);
                let complete = kinds.chain(own).collect();
                (
                    self.catalogue.clone(),
                    Some(self.telling(&self.catalogue, complete)),
                )
            }
            Task::Observe(outcome) => (outcome.catalogue.clone(), None),
            Task::Refresh => (self.catalogue.clone(), None),
        };
        close.retain(|kind| trusted && !self.answered.contains(kind));
        let work = Work {
            host: self.host.clone(),
            generation: generation.clone(),
            view: view.clone(),
            caller: self.caller.clone(),
            catalogue: catalogue.clone(),
            broken: self.lane.broken.clone(),
            close: close.into_iter().collect(),
            count: matches!(task, Task::Describe { .. }) && config.notice,
            reading,
        };
        // A list that came again as it was needs no judging: the visibility in force is of the same items.
        if work.reading.is_none() && work.close.is_empty() && self.is_current() {
            self.lane.busy = true;
            self.on_unchanged(task);
            return;
        }
        self.lane.busy = true;
        let observed = work.reading.is_some();
        let settling = Box::pin(async move {
            let outcome = work.run().await;
            let closed = work.close;
            Event::Settled(Box::new(Settled {
                task,
                generation,
                config,
                view,
                catalogue,
                closed,
                observed,
                outcome,
            }))
        });
        self.out.jobs.push((None, settling));
    }

    /// What the answer to `initialize` says to the end: the self-description, and that the server offers nothing of
    /// the kinds it does not declare.
    fn settled_by_initialize(&self) -> Vec<ItemKind> {
        ItemKind::ALL
            .into_iter()
            .filter(|kind| !self.declared.contains(kind))
            .collect()
    }

    fn describing(&self, catalogue: &Catalogue, complete: Vec<ItemKind>) -> Reading {
        let mut reading = self.telling(catalogue, complete);
        if !self.began {
            reading.also.push(Op::ObserverBegins(self.observer.clone()));
        }
        let identity = self.entry.upstream.identity();
        let snapshot = self.host.ledger.snapshot();
        let known = snapshot
            .servers
            .get(&self.entry.name)
            .and_then(|s| s.identity.as_ref());
        if known != Some(&identity) {
            let server = self.entry.name.clone();
            reading.also.push(Op::Identity {
                server,
                identity,
                at_ms: now_ms(),
            });
        }
        if self.close_first {
            reading.closing = ItemKind::ALL.to_vec();
        }
        reading
    }

    fn telling(&self, catalogue: &Catalogue, complete: Vec<ItemKind>) -> Reading {
        Reading {
            observer: Some(self.observer.id.clone()),
            items: catalogue.items(),
            malformed: catalogue.malformed(),
            definitions: catalogue.definitions(&complete, |digest| self.known.contains(digest)),
            complete,
            ..Reading::default()
        }
    }

    fn on_unchanged(&mut self, task: Task) {
        self.lane.busy = false;
        if let Task::Observe(outcome) = task {
            self.catalogue = outcome.catalogue.clone();
            self.reads.settled(&outcome, self.now);
        }
        self.after_settling();
    }

    /// Takes up what a task came to.
    pub(super) fn on_settled(&mut self, settled: Settled) {
        self.lane.busy = false;
        self.generation = settled.generation;
        self.config = settled.config;
        self.view = settled.view;
        self.context = Arc::new(convert::context(&self.view, &self.caller));
        self.remembered.clear();
        let judged = match settled.outcome {
            Ok(judged) => judged,
            Err(error) => {
                tracing::error!("{error}");
                self.on_unsettled(settled.task, &error);
                return;
            }
        };
        if settled.observed {
            self.lane.judged = Some((self.generation.id, self.view.clone()));
            self.known
                .extend(settled.catalogue.items().iter().map(|item| item.digest));
        }
        self.lane.failed = None;
        self.lane.broken = judged.broken;
        self.answered.extend(settled.closed);
        self.catalogue = settled.catalogue;
        self.visibility = Some(judged.visibility);
        self.expired = false;
        self.answers.clear();
        self.spent = true;
        match settled.task {
            Task::Describe { hello, .. } => {
                self.began = true;
                self.close_first = false;
                self.on_described(*hello, judged.waiting);
            }
            Task::Observe(outcome) => self.reads.settled(&outcome, self.now),
            Task::Refresh => {}
        }
        self.announce();
        self.after_settling();
    }

    /// The ledger failed: nothing that the task should have shown is shown.
    fn on_unsettled(&mut self, task: Task, error: &LedgerError) {
        let refused = ledger_refusal(error);
        match task {
            Task::Describe { hello, .. } => {
                if let Some(id) = &hello.asked {
                    let id = id.clone();
                    self.fail(
                        &id,
                        crate::wire::envelope::INTERNAL_ERROR,
                        &error.to_string(),
                    );
                }
                self.out.end = Some(error.to_string());
            }
            Task::Observe(outcome) => self.reads.settled(&outcome, self.now),
            Task::Refresh => {}
        }
        self.visibility = None;
        self.lane.failed = Some((refused, self.now));
        self.after_settling();
    }

    fn after_settling(&mut self) {
        self.run_lane();
        self.release_voice();
        self.dispatch_parked();
        if !self.lane.busy && self.visibility.is_some() && !self.is_in_force() {
            self.settle_soon();
        }
        // A failure is never kept: whoever asks next has it tried again.
        self.expired |= self
            .visibility
            .as_ref()
            .is_some_and(|visibility| !visibility.complete);
        self.read_wanted();
        if self.visibility.is_some() && self.reads.take_resubscribe() {
            self.resubscribe();
        }
    }

    /// Tells the client which lists differ from what it was shown, unless it is about to be answered with one.
    fn announce(&mut self) {
        let Some(visibility) = self.visibility.clone() else {
            return;
        };
        for (kinds, method) in ANNOUNCED {
            if !kinds
                .iter()
                .any(|kind| self.catalogue.lists.contains_key(kind))
            {
                continue;
            }
            let now = self.hash_of_visible(&visibility, kinds);
            let before = self.shown.insert(kinds[0], now);
            let asks = self
                .parked
                .iter()
                .any(|ask| kinds.iter().any(|kind| ask.lists(*kind)));
            let declared = kinds.iter().any(|kind| self.declared.contains(kind));
            if self.phase == Phase::Running && declared && !asks && before.is_some_and(|b| b != now)
            {
                if self.is_stateless() {
                    self.tell_listeners(kinds[0], method);
                } else {
                    let line = reply::notification(method, None);
                    self.tell(About::Standing, without_end(line));
                }
            }
        }
    }

    fn hash_of_visible(&self, visibility: &Visibility, kinds: &[ItemKind]) -> u64 {
        let mut hasher = DefaultHasher::new();
        for kind in kinds {
            let Some(list) = self.catalogue.lists.get(kind) else {
                continue;
            };
            let visible: Vec<&Item> = list
                .items
                .iter()
                .filter(|item| visibility.shows(&item.key))
                .collect();
            visible.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// Which kinds a notification speaks of.
const ANNOUNCED: [(&[ItemKind], &str); 3] = [
    (&[ItemKind::Tool], "notifications/tools/list_changed"),
    (&[ItemKind::Prompt], "notifications/prompts/list_changed"),
    (
        &[ItemKind::Resource, ItemKind::ResourceTemplate],
        "notifications/resources/list_changed",
    ),
];
