//! What one caller may see of one server, and so may call.
//!
//! Computed once per catalogue, generation, ledger revision and caller. Knows items and denials; knows nothing of how
//! a list or a refusal is written.

use std::collections::HashMap;
use std::sync::Arc;

use crate::chain::Generation;
use crate::chain::convert;
use crate::chain::recording::About;
use crate::config::Mode;
use crate::mcp::{Item, ItemKey, ItemKind};
use crate::policy::contract::{Context, Denial, Locked, Withheld as WithheldItem};
use crate::policy::{Evaluated, Failure, Policy, View};
use crate::tape::Mark;
use crate::tape::record::{Listed, What};

/// The code of a refusal that comes from a policy's failure.
pub const POLICY_ERROR: &str = "policy_error";

/// What the code of a verdict begins with that does not bind.
pub const WOULD: &str = "would:";

/// Why an item is withheld.
#[derive(Debug, Clone, PartialEq)]
pub struct Withheld {
    /// The denials of every policy that withholds it, in chain order.
    pub denials: Vec<(Arc<str>, Denial)>,
    /// What a searching agent may be told, if every one of them says so: the first one's words.
    pub locked: Option<Locked>,
}

impl Withheld {
    /// Whether a policy's failure, not its verdict, withholds the item.
    pub fn failed(&self) -> Option<&Arc<str>> {
        self.denials
            .iter()
            .find(|(_, denial)| denial.code == POLICY_ERROR)
            .map(|(policy, _)| policy)
    }
}

/// Visible, or withheld and why.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Every policy keeps it.
    Visible,
    /// At least one does not.
    Withheld(Arc<Withheld>),
}

/// What one caller may see of one server's catalogue.
#[derive(Debug, Clone)]
pub struct Visibility {
    /// The generation that judged.
    pub generation: u64,
    /// The ledger revision it judged on.
    pub revision: u64,
    /// Every item's status.
    statuses: HashMap<ItemKey, (Item, Status)>,
    /// What policies whose verdicts do not bind would withhold of what is visible, and their codes.
    would: HashMap<ItemKey, Vec<(Arc<str>, String)>>,
    /// Whether the same question would have the same answer: no policy failed, asked the clock, or is one whose verdicts
    /// are not kept. Only then may it serve more than who waited for it.
    pub complete: bool,
    /// The record of it, if it was recorded.
    mark: Option<Mark>,
}

impl Visibility {
    /// An item as it was observed, and its status; none if nothing of that name was.
    pub fn get(&self, key: &ItemKey) -> Option<(&Item, &Status)> {
        self.statuses.get(key).map(|(item, status)| (item, status))
    }

    /// Whether an item is visible.
    pub fn shows(&self, key: &ItemKey) -> bool {
        matches!(self.get(key), Some((_, Status::Visible)))
    }

    /// The codes, for the audit, of policies that would withhold this item if their verdicts did bind.
    pub fn would(&self, key: &ItemKey) -> &[(Arc<str>, String)] {
        self.would.get(key).map_or(&[], Vec::as_slice)
    }

    /// The same of all items of a kind, each code once.
    pub fn would_of(&self, kind: ItemKind) -> Vec<(Arc<str>, String)> {
        let all = self.would.iter().filter(|(key, _)| key.kind == kind);
        let mut codes: Vec<_> = all.flat_map(|(_, codes)| codes).cloned().collect();
        codes.sort();
        codes.dedup();
        codes
    }

    /// The visible items of a kind, in no order.
    pub fn visible(&self, kind: ItemKind) -> impl Iterator<Item = &Item> {
        self.statuses
            .values()
            .filter(move |(item, status)| item.key.kind == kind && *status == Status::Visible)
            .map(|(item, _)| item)
    }

    /// Everything withheld by the host itself: the operator disabled the server.
    pub fn disabled(items: &[Item], generation: u64, revision: u64) -> Self {
        let denial = Denial {
            code: "server_disabled".to_owned(),
            reason: "The operator has disabled this server".to_owned(),
            remedy: None,
            labels: Vec::new(),
        };
        let locked = Locked {
            status: "server_disabled".to_owned(),
            remedy: "The person can set `enabled = true` for this server in witgate.toml, then run `witgate doctor`"
                .to_owned(),
            labels: Vec::new(),
        };
        let withheld = Arc::new(Withheld {
            denials: vec![("witgate".into(), denial)],
            locked: Some(locked),
        });
        let statuses = items
            .iter()
            .map(|i| {
                (
                    i.key.clone(),
                    (i.clone(), Status::Withheld(withheld.clone())),
                )
            })
            .collect();
        Self {
            generation,
            revision,
            statuses,
            would: HashMap::new(),
            complete: true,
            mark: None,
        }
    }

    /// Somebody was answered from it.
    pub fn given(&self) {
        if let Some(mark) = &self.mark {
            mark.again();
        }
    }

    /// Every item with its status, in no order.
    pub fn all(&self) -> impl Iterator<Item = (&Item, &Status)> {
        self.statuses.values().map(|(item, status)| (item, status))
    }
}

/// Asks every policy about every item. A policy that fails withholds all of them, and so does one of `broken`: those
/// that failed to record this reading. What a policy says, or how it fails, that only monitors is noted and changes
/// nothing else; what it would withhold it cannot surface either.
pub async fn compute(
    generation: &Generation,
    view: &View,
    context: &Context,
    items: &[Item],
    broken: &[Failure],
) -> Visibility {
    let watched = generation.watched(view);
    let view: &View = &watched;
    let mut noted = generation.answers();
    let asked: Vec<_> = items.iter().map(convert::item).collect();
    let mut denials: Vec<Vec<(usize, Denial)>> = vec![Vec::new(); items.len()];
    let mut would: Vec<Vec<(Arc<str>, String)>> = vec![Vec::new(); items.len()];
    let mut complete = true;
    if !items.is_empty() {
        for (place, policy) in generation.policies.iter().enumerate() {
            if policy.source().mode == Mode::Monitor {
                if policy.hooks().list_filter {
                    let answers = policy.filter(view, context, &asked).await;
                    noted.note(place, &answers, |answers| withheld_by(answers));
                    watch(policy, answers, &mut would);
                }
                continue;
            }
            let answers = match broken
                .iter()
                .find(|failure| failure.policy == *policy.name())
            {
                Some(failure) => Err(failure.clone()),
                None if policy.hooks().list_filter => policy.filter(view, context, &asked).await,
                None => continue,
            };
            noted.note(place, &answers, |answers| withheld_by(answers));
            match answers {
                Ok(answers) => {
                    complete &= answers.pure;
                    for (index, answer) in answers.value.into_iter().enumerate() {
                        if let Some(denial) = answer {
                            denials[index].push((place, denial));
                        }
                    }
                }
                Err(failure) => {
                    complete = false;
                    report(&failure);
                    for all in &mut denials {
                        all.push((place, failure_denial(&failure)));
                    }
                }
            }
        }
    }
    let locked = surface(generation, view, context, &asked, &denials, &mut complete).await;
    let about = About {
        items: generation.is_recorded().then_some(asked),
        ..About::default()
    };
    let mark = generation.record(&watched, about, || {
        let locked = locked.iter().enumerate();
        What::Listed(Listed {
            context: context.clone(),
            answers: noted.all(),
            locked: locked
                .filter_map(|(index, locked)| Some((index, locked.clone()?)))
                .collect(),
        })
    });
    let statuses: HashMap<_, _> = items
        .iter()
        .zip(denials.into_iter().zip(locked))
        .map(|(item, (denials, locked))| {
            let status = if denials.is_empty() {
                Status::Visible
            } else {
                let denials = denials
                    .into_iter()
                    .map(|(place, denial)| (generation.policies[place].name().clone(), denial))
                    .collect();
                Status::Withheld(Arc::new(Withheld { denials, locked }))
            };
            (item.key.clone(), (item.clone(), status))
        })
        .collect();
    let would = items
        .iter()
        .zip(would)
        .filter(|(item, codes)| {
            let status = statuses.get(&item.key).map(|(_, status)| status);
            !codes.is_empty() && status == Some(&Status::Visible)
        })
        .map(|(item, codes)| (item.key.clone(), codes))
        .collect();
    Visibility {
        generation: generation.id,
        revision: view.snapshot.revision,
        statuses,
        would,
        complete,
        mark,
    }
}

/// What one policy withholds, by the items' places, and why.
fn withheld_by(answers: &[Option<Denial>]) -> Vec<(usize, Denial)> {
    let answers = answers.iter().enumerate();
    answers
        .filter_map(|(index, denial)| Some((index, denial.clone()?)))
        .collect()
}

/// Notes what a policy would withhold whose verdicts do not bind. Its failure is one verdict about all items.
fn watch(
    policy: &Policy,
    answers: Result<Evaluated<Vec<Option<Denial>>>, Failure>,
    would: &mut [Vec<(Arc<str>, String)>],
) {
    let items = would.len();
    let mut note = |index: usize, code: &str| {
        let code = format!("{WOULD}{code}");
        would[index].push((policy.name().clone(), code));
    };
    match answers {
        Ok(answers) => {
            for (index, answer) in answers.value.into_iter().enumerate() {
                if let Some(denial) = answer {
                    note(index, &denial.code);
                }
            }
        }
        Err(failure) => {
            report(&failure);
            (0..items).for_each(|index| note(index, POLICY_ERROR));
        }
    }
}

/// What may be told of each withheld item: the first policy's words, if every policy that withholds it has some.
async fn surface(
    generation: &Generation,
    view: &View,
    context: &Context,
    items: &[crate::policy::contract::Item],
    denials: &[Vec<(usize, Denial)>],
    complete: &mut bool,
) -> Vec<Option<Locked>> {
    let mut told: Vec<Option<Locked>> = vec![None; items.len()];
    let mut hidden = vec![false; items.len()];
    for (place, policy) in generation.policies.iter().enumerate() {
        let mut indices = Vec::new();
        let mut withheld = Vec::new();
        for (index, all) in denials.iter().enumerate() {
            if let Some((_, denial)) = all.iter().find(|(by, _)| *by == place) {
                indices.push(index);
                withheld.push(WithheldItem {
                    item: items[index].clone(),
                    denial: denial.clone(),
                    labels: Vec::new(),
                });
            }
        }
        if indices.is_empty() {
            continue;
        }
        let answers = surfaced_by(policy, view, context, &withheld, complete).await;
        for (index, answer) in indices.into_iter().zip(answers) {
            match answer {
                None => hidden[index] = true,
                Some(locked) => {
                    told[index].get_or_insert(locked);
                }
            }
        }
    }
    told.into_iter()
        .zip(hidden)
        .map(|(locked, hidden)| locked.filter(|_| !hidden))
        .collect()
}

/// One policy's word on what it withholds; nothing if it has no such hook, failed before, or fails now.
async fn surfaced_by(
    policy: &Policy,
    view: &View,
    context: &Context,
    withheld: &[WithheldItem],
    complete: &mut bool,
) -> Vec<Option<Locked>> {
    let nothing = vec![None; withheld.len()];
    if !policy.hooks().discovery_surface || withheld.iter().any(|w| w.denial.code == POLICY_ERROR) {
        return nothing;
    }
    match policy.surface(view, context, withheld).await {
        Ok(answers) => {
            *complete &= answers.pure;
            answers.value
        }
        Err(failure) => {
            *complete = false;
            report(&failure);
            nothing
        }
    }
}

/// A failure as the denial it amounts to.
pub(super) fn failure_denial(failure: &Failure) -> Denial {
    Denial {
        code: POLICY_ERROR.to_owned(),
        reason: format!(
            "The policy `{}` failed, and what fails denies",
            failure.policy
        ),
        remedy: Some("The person can run `witgate doctor`".to_owned()),
        labels: Vec::new(),
    }
}

/// Puts a failure into the log.
pub(crate) fn report(failure: &Failure) {
    tracing::warn!(policy = %failure.policy, hook = failure.hook, kind = ?failure.kind, "{}", failure.detail);
}
