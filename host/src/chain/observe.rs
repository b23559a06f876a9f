//! Telling recording policies what a server offers, and keeping what they return.
//!
//! Knows that changes are applied whole and only if nothing they were derived from has changed. Knows nothing of how
//! a reading is made.

use std::sync::Arc;
use std::time::Duration;

use crate::chain::Generation;
use crate::chain::convert::{self, ServerView};
use crate::chain::recording::About;
use crate::chain::visibility::report;
use crate::config::Mode;
use crate::ledger::{Commit, Definition, Ledger, LedgerError, Observation, Op, Snapshot};
use crate::mcp::digest::catalogue_digest;
use crate::mcp::{Item, ItemKind};
use crate::policy::contract::{self, Catalogue, Change};
use crate::policy::{Definitions, Evaluated, Failure, View};
use crate::tape::record::{Answer, Observed as Recorded, What};

/// How often changes are derived again because somebody else committed in between, before the reading fails.
const MAX_ATTEMPTS: u32 = 50;

/// A reading, to be told to the policies.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// The observer that made it; none if it only closes baselines.
    pub observer: Option<String>,
    /// Everything the server offers, as last read.
    pub items: Vec<Item>,
    /// The kinds this reading read to the end.
    pub complete: Vec<ItemKind>,
    /// The kinds whose baseline closes before the reading is judged.
    pub closing: Vec<ItemKind>,
    /// What is malformed, escaped.
    pub malformed: Vec<(ItemKind, String)>,
    /// Definitions to be pinned.
    pub definitions: Vec<Definition>,
    /// Operations that belong into the same commit.
    pub also: Vec<Op>,
}

/// What came of telling.
#[derive(Debug)]
pub struct Observed {
    /// The ledger with everything that was returned.
    pub snapshot: Arc<Snapshot>,
    /// Policies that failed to record: what this reading shows is withheld by them.
    pub broken: Vec<Failure>,
}

/// Runs every policy's `observe` on one snapshot and commits what they return, again if the ledger moved on meanwhile.
pub async fn observe(
    ledger: &dyn Ledger,
    generation: &Generation,
    definitions: &Arc<dyn Definitions>,
    server: &ServerView,
    reading: &Reading,
    now_ms: u64,
) -> Result<Observed, LedgerError> {
    let mut snapshot = ledger.snapshot();
    let mut attempt = 0;
    let mut monitored = true;
    loop {
        let view = View {
            snapshot: snapshot.clone(),
            definitions: definitions.clone(),
            now_ms,
        };
        let view = generation.watched(&view);
        let catalogue = catalogue(reading, &snapshot, &server.name);
        let told = server.to_contract();
        let answers = tell(generation, &view, &told, &catalogue, monitored).await;
        let recorded = generation.is_recorded().then(|| Recorded {
            server: told,
            digest: catalogue.digest,
            complete: catalogue.complete,
            labels: catalogue.labels,
            answers: answers
                .iter()
                .map(|(place, answer)| Answer::of(*place, answer, Vec::clone))
                .collect(),
        });
        let (ops, broken) = derive(generation, answers, reading, now_ms);
        let committed = match ops.is_empty() {
            true => Ok(snapshot.clone()),
            false => {
                let commit = Commit {
                    based_on: Some(snapshot.version),
                    ops,
                };
                ledger.commit(commit).await
            }
        };
        match committed {
            Ok(snapshot) => {
                if let Some(recorded) = recorded {
                    let about = About {
                        items: Some(catalogue.items),
                        after: Some(snapshot.clone()),
                    };
                    generation.record(&view, about, || What::Observed(recorded));
                }
                return Ok(Observed { snapshot, broken });
            }
            Err(LedgerError::Conflict { now }) if attempt < MAX_ATTEMPTS => {
                snapshot = now;
                attempt += 1;
                // Several processes that retry in step would go on colliding.
                let pause = rand::random_range(0..u64::from(attempt.min(10)) + 1);
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
            // Whose verdicts do not bind must not close anything by wanting to keep too much.
            Err(LedgerError::Refused(why)) if monitored && generation.monitors_inventory() => {
                tracing::warn!("what policies that only monitor would keep is left out: {why}");
                monitored = false;
            }
            Err(error) => return Err(error),
        }
    }
}

/// What one policy, by its place in the chain, returns.
type Returned = (usize, Result<Evaluated<Vec<Change>>, Failure>);

/// Tells every recording policy, and has what each returns; `monitored`: also those whose verdicts do not bind.
pub async fn tell(
    generation: &Generation,
    view: &View,
    server: &contract::Server,
    catalogue: &Catalogue,
    monitored: bool,
) -> Vec<Returned> {
    let mut returned = Vec::new();
    for (place, policy) in generation.policies.iter().enumerate() {
        let asked = monitored || policy.source().mode == Mode::Enforce;
        if policy.hooks().inventory && asked {
            let answer = policy.observe(view, server, catalogue).await;
            if let Err(failure) = &answer {
                report(failure);
            }
            returned.push((place, answer));
        }
    }
    returned
}

/// What is to be committed, and which policies failed to record.
fn derive(
    generation: &Generation,
    answers: Vec<Returned>,
    reading: &Reading,
    now_ms: u64,
) -> (Vec<Op>, Vec<Failure>) {
    let mut ops = reading.also.clone();
    let mut broken = Vec::new();
    for (place, answer) in answers {
        let policy = &generation.policies[place];
        match answer {
            Ok(evaluated) => ops.extend(evaluated.value.into_iter().map(|change| Op::Keep {
                namespace: policy.namespace().clone(),
                key: change.key,
                value: change.value,
            })),
            Err(failure) if policy.source().mode == Mode::Enforce => broken.push(failure),
            Err(_) => {}
        }
    }
    ops.extend(reading.definitions.iter().cloned().map(Op::Define));
    if let Some(id) = &reading.observer {
        ops.push(Op::Observed {
            id: id.clone(),
            observation: Observation {
                at_ms: now_ms,
                complete: reading.complete.clone(),
                items: reading.items.clone(),
                malformed: reading.malformed.clone(),
            },
        });
    }
    (ops, broken)
}

fn catalogue(reading: &Reading, snapshot: &Snapshot, server: &str) -> Catalogue {
    let keyed: Vec<_> = reading
        .items
        .iter()
        .map(|i| (i.key.kind, &*i.key.name, i.digest))
        .collect();
    let mut labels = Vec::new();
    if let Some(observer) = &reading.observer {
        labels.push(("observer".to_owned(), observer.clone()));
        let mut live: Vec<&str> = snapshot
            .observers
            .iter()
            .filter(|o| o.server == server && crate::ledger::observers::alive(o))
            .map(|o| o.id.as_str())
            .collect();
        if !live.contains(&observer.as_str()) {
            live.push(observer);
        }
        labels.push(("live-observers".to_owned(), live.join(" ")));
    }
    if !reading.closing.is_empty() {
        let words: Vec<_> = reading.closing.iter().map(|kind| kind.word()).collect();
        labels.push(("baselined".to_owned(), words.join(" ")));
    }
    Catalogue {
        digest: catalogue_digest(&keyed).to_string(),
        complete: reading.complete.iter().map(|k| convert::kind(*k)).collect(),
        items: reading.items.iter().map(convert::item).collect(),
        labels,
    }
}
