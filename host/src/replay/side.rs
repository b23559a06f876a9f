//! A chain that is asked again.
//!
//! Knows which store each of its policies reads: the tape's, if the policy is the tape's own, else one that grew from
//! the tape's by what the policy itself returned. Knows nothing of what its answers are compared with.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use super::Listing;
use super::world::{Advance, Pinned, Space, State, apply};
use crate::chain::visibility::{self, Status};
use crate::chain::{Generation, judge, observe};
use crate::ledger::{Namespace, SIGHTING_PREFIX, Snapshot};
use crate::mcp::{Item, ItemKey, ItemKind};
use crate::policy::contract::{self, Call, Catalogue, Context};
use crate::policy::{Failure, View};
use crate::tape::record::{self, Answer, Called, Judged, Observed, What};
use crate::tape::{Evaluation, Recorder};

/// A question from the tape.
pub(super) struct Asked<'a> {
    pub(super) judged: &'a Judged,
    pub(super) items: &'a Listing,
    /// The store that the tape's chain read.
    pub(super) state: &'a State,
    pub(super) definitions: Arc<Pinned>,
}

/// What a chain said, or why it cannot be asked.
pub(super) enum Heard {
    Said(Box<What>),
    Nothing(String),
}

/// Whose visibility: server and caller.
type Who = (String, String, Vec<String>);

/// A chain that is asked again.
pub(super) struct Side {
    generation: Generation,
    record: Arc<record::Generation>,
    caught: Arc<Caught>,
    /// Each policy's own store, by its place.
    spaces: Vec<Space>,
    /// By place, the place of the same policy in the tape's chain; none if that has it not, or has another.
    same: Vec<Option<usize>>,
    /// The ledger as it was last put together, and of what.
    snapshot: Option<(Vec<Space>, Arc<Snapshot>)>,
    /// What each caller was last shown.
    shown: HashMap<Who, HashMap<Item, Status>>,
    /// Policies that failed to record, by server.
    broken: HashMap<String, Vec<Failure>>,
    /// Calls that were refused when they were last judged.
    refused: HashSet<u64>,
}

/// Keeps the last evaluation that a chain told of.
#[derive(Default)]
struct Caught(Mutex<Option<Arc<Evaluation>>>);

impl Recorder for Caught {
    fn take(&self, evaluation: Evaluation) -> Arc<Evaluation> {
        let evaluation = Arc::new(evaluation);
        let mut caught = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *caught = Some(evaluation.clone());
        evaluation
    }

    fn again(&self, _: &Arc<Evaluation>) {}
}

impl Caught {
    fn what(&self) -> Option<What> {
        let mut caught = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        caught.take().map(|evaluation| evaluation.what.clone())
    }
}

impl Side {
    pub(super) fn new(chain: &Generation) -> Self {
        let caught = Arc::new(Caught::default());
        let policies = chain.policies.len();
        Self {
            generation: chain.recorded_by(caught.clone()),
            record: Arc::new(record::Generation::of(chain.id, &chain.policies)),
            caught,
            spaces: vec![Space::default(); policies],
            same: vec![None; policies],
            snapshot: None,
            shown: HashMap::new(),
            broken: HashMap::new(),
            refused: HashSet::new(),
        }
    }

    /// The chain as a record.
    pub(super) fn record(&self) -> &record::Generation {
        &self.record
    }

    /// Places of the policies that must answer as the tape's did: there, and here.
    pub(super) fn same_places(&self) -> Vec<(usize, usize)> {
        let places = self.same.iter().enumerate();
        places
            .filter_map(|(here, there)| Some(((*there)?, here)))
            .collect()
    }

    /// What comes next was asked of this chain of the tape's.
    pub(super) fn assume(&mut self, generation: &record::Generation) {
        let own = self.record.policies.iter();
        self.same = own
            .map(|policy| {
                let mut theirs = generation.policies.iter();
                theirs.position(|other| policy.answers_as(other))
            })
            .collect();
    }

    /// The tape's store moved on.
    pub(super) fn advance(&mut self, advance: &Advance) {
        for (place, policy) in self.record.policies.iter().enumerate() {
            let namespace = policy.namespace();
            let space = &mut self.spaces[place];
            let (from, to) = (advance.from.space(&namespace), advance.to.space(&namespace));
            if advance.first || self.same[place].is_some() {
                *space = to;
            } else if !advance.own && !Arc::ptr_eq(&from, &to) {
                let mut changes = BTreeMap::new();
                crate::tape::state::compare(&from, &to, &mut changes);
                apply(space, changes);
            }
        }
    }

    /// The ledger that this chain reads.
    fn snapshot(&mut self, state: &State) -> Arc<Snapshot> {
        let spaces: Vec<Space> = self
            .record
            .policies
            .iter()
            .enumerate()
            .map(|(place, policy)| match self.same[place] {
                Some(_) => state.space(&policy.namespace()),
                None => self.spaces[place].clone(),
            })
            .collect();
        if let Some((of, snapshot)) = &self.snapshot
            && of.iter().zip(&spaces).all(|(a, b)| is_same(a, b))
        {
            return snapshot.clone();
        }
        let mut facts: HashMap<Namespace, BTreeMap<String, String>> = HashMap::new();
        let mut sightings = facts.clone();
        for (policy, space) in self.generation.policies.iter().zip(&spaces) {
            for (key, value) in space.iter() {
                let section = match key.starts_with(SIGHTING_PREFIX) {
                    true => &mut sightings,
                    false => &mut facts,
                };
                let keys = section.entry(policy.namespace().clone()).or_default();
                keys.insert(key.clone(), value.clone());
            }
        }
        let snapshot = Arc::new(Snapshot {
            facts: Arc::new(facts),
            sightings: Arc::new(sightings),
            ..Snapshot::empty("tape".into())
        });
        self.snapshot = Some((spaces, snapshot.clone()));
        snapshot
    }

    /// Asks the chain what the tape's was asked. An error says what is wrong with the record.
    pub(super) async fn ask(&mut self, asked: &Asked<'_>) -> Result<Heard, String> {
        let view = View {
            snapshot: self.snapshot(asked.state),
            definitions: asked.definitions.clone(),
            now_ms: asked.judged.now_ms,
        };
        let missed = asked.definitions.missed();
        let heard = self.put(asked, &view).await?;
        if asked.definitions.missed() > missed {
            let why = "it asks for a definition that the tape does not have";
            return Ok(Heard::Nothing(why.to_owned()));
        }
        Ok(heard)
    }

    async fn put(&mut self, asked: &Asked<'_>, view: &View) -> Result<Heard, String> {
        match &asked.judged.what {
            What::Observed(observed) => {
                let what = self.observe(view, observed, asked.items).await;
                return Ok(Heard::Said(Box::new(what)));
            }
            What::Listed(listed) => {
                let items = asked.items.iter().map(item);
                let items: Vec<Item> = items.collect::<Result<_, _>>()?;
                let broken = self.broken.get(&listed.context.server.name);
                let broken = broken.cloned().unwrap_or_default();
                let visibility =
                    visibility::compute(&self.generation, view, &listed.context, &items, &broken)
                        .await;
                let shown = self.shown.entry(who(&listed.context)).or_default();
                for (item, status) in visibility.all() {
                    shown.insert(item.clone(), status.clone());
                }
            }
            What::Called(called) => {
                let status = match self.status(called)? {
                    Ok(status) => status,
                    Err(why) => return Ok(Heard::Nothing(why)),
                };
                let judgement = judge::call(
                    &self.generation,
                    view,
                    &called.context,
                    status.as_ref(),
                    &called.call,
                    Bytes::new(),
                )
                .await;
                let key = key(&called.context, &called.call);
                match judgement.outcome {
                    Ok(_) => self.refused.remove(&key),
                    Err(_) => self.refused.insert(key),
                };
            }
            What::Returned(returned) => {
                if self
                    .refused
                    .contains(&key(&returned.context, &returned.call))
                {
                    let why = "the call that it answers would have been refused";
                    return Ok(Heard::Nothing(why.to_owned()));
                }
                let (context, call) = (&returned.context, &returned.call);
                judge::result(&self.generation, view, context, call, &returned.outcome).await;
            }
            What::Asked(asked) => {
                judge::client_request(&self.generation, view, &asked.context, &asked.request).await;
            }
        }
        Ok(match self.caught.what() {
            Some(what) => Heard::Said(Box::new(what)),
            None => Heard::Nothing("the chain gave no answer".to_owned()),
        })
    }

    /// Tells recording policies; those that are not the tape's keep what they return.
    async fn observe(&mut self, view: &View, observed: &Observed, items: &Listing) -> What {
        let catalogue = Catalogue {
            digest: observed.digest.clone(),
            complete: observed.complete.clone(),
            items: items.to_vec(),
            labels: observed.labels.clone(),
        };
        let answers =
            observe::tell(&self.generation, view, &observed.server, &catalogue, true).await;
        let mut broken = Vec::new();
        for (place, answer) in &answers {
            match answer {
                Ok(returned) if self.same[*place].is_none() => {
                    let changes = returned.value.iter();
                    let changes = changes.map(|c| (c.key.clone(), c.value.clone()));
                    apply(&mut self.spaces[*place], changes);
                }
                Ok(_) => {}
                Err(failure) if self.record.policies[*place].enforces() => {
                    broken.push(failure.clone());
                }
                Err(_) => {}
            }
        }
        self.broken.insert(observed.server.name.clone(), broken);
        let answers = answers.iter();
        What::Observed(Observed {
            answers: answers
                .map(|(place, answer)| Answer::of(*place, answer, Vec::clone))
                .collect(),
            ..observed.clone()
        })
    }

    /// The status of the item that a call reaches, or why that is not known. None for what no list showed.
    fn status(&self, called: &Called) -> Result<Result<Option<Status>, String>, String> {
        if !called.listed {
            return Ok(Ok(None));
        }
        let item = item(&called.call.item)?;
        let shown = self.shown.get(&who(&called.context));
        let status = shown.and_then(|shown| shown.get(&item)).cloned();
        Ok(match status {
            Some(status) => Ok(Some(status)),
            None => Err("the list that showed the item is not on the tape".to_owned()),
        })
    }
}

/// Whether two spaces are surely the same.
fn is_same(one: &Space, other: &Space) -> bool {
    Arc::ptr_eq(one, other) || (one.is_empty() && other.is_empty())
}

fn who(context: &Context) -> Who {
    let contract::Caller { id, roles, .. } = &context.caller;
    (context.server.name.clone(), id.clone(), roles.clone())
}

/// Stands for a call by whoever made it.
fn key(context: &Context, call: &Call) -> u64 {
    let mut hasher = DefaultHasher::new();
    who(context).hash(&mut hasher);
    call.method.hash(&mut hasher);
    call.item.name.hash(&mut hasher);
    call.item.digest.hash(&mut hasher);
    call.target.hash(&mut hasher);
    call.arguments.hash(&mut hasher);
    hasher.finish()
}

/// An item in the host's words.
fn item(item: &contract::Item) -> Result<Item, String> {
    let kind = match &item.kind {
        contract::ItemKind::Tool => ItemKind::Tool,
        contract::ItemKind::Prompt => ItemKind::Prompt,
        contract::ItemKind::ResourceItem => ItemKind::Resource,
        contract::ItemKind::ResourceTemplate => ItemKind::ResourceTemplate,
        contract::ItemKind::SelfDescription => ItemKind::SelfDescription,
        contract::ItemKind::Other(word) => {
            return Err(format!(
                "names an item of a kind this version does not know, `{word}`"
            ));
        }
    };
    Ok(Item {
        key: ItemKey {
            kind,
            name: item.name.as_str().into(),
        },
        digest: item
            .digest
            .parse()
            .map_err(|e| format!("names an item wrongly: {e}"))?,
    })
}
