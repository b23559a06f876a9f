//! What one file of a tape holds already, and so what must be told before the next evaluation.
//!
//! Knows the lines. Knows nothing of where they are written.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::Evaluation;
use super::record::{Again, Definition, Items, Judged, KEPT_LISTS, Led, Record};
use super::state::States;
use crate::audit::writer::block_on::block_on;
use crate::ledger::Namespace;
use crate::mcp::Digest;
use crate::policy::contract::Item;

/// The longest line that is written and read, bytes.
pub(super) const MAX_LINE: usize = 512 << 20;

/// An evaluation cannot be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unwritable {
    /// It is longer than a line may be.
    #[error("a record is longer than {MAX_LINE} bytes")]
    TooLong,
    /// It is not to be had as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// What the file holds already.
#[derive(Default)]
pub(super) struct Reel {
    generations: HashSet<u64>,
    /// Whether there was a text.
    definitions: HashMap<Digest, bool>,
    lists: VecDeque<(u64, Arc<Vec<Item>>)>,
    next_list: u64,
    states: States,
    judged: HashSet<u64>,
}

impl Reel {
    /// Appends an evaluation, and before it whatever it refers to and is not there yet. After an error the file must
    /// not be gone on with: what it refers to may be half told.
    pub(super) fn judged(
        &mut self,
        lines: &mut Vec<u8>,
        evaluation: &Evaluation,
    ) -> Result<(), Unwritable> {
        self.generation(lines, evaluation)?;
        self.definitions(lines, evaluation)?;
        let items = match &evaluation.items {
            Some(items) => Some(self.list(lines, items)?),
            None => None,
        };
        let state = self.states.number_of(&evaluation.snapshot, |store| {
            put(lines, &Record::<()>::Store(store))
        })?;
        let led = evaluation.after.as_deref().map(|after| Led {
            state: self.states.led_to(after),
            version: after.version,
        });
        put(
            lines,
            &Record::Judged(Judged {
                n: evaluation.number,
                generation: evaluation.generation.id,
                state,
                led: led.filter(|led| led.state != state),
                items,
                now_ms: evaluation.now_ms,
                what: &evaluation.what,
            }),
        )?;
        self.judged.insert(evaluation.number);
        Ok(())
    }

    /// Appends that a verdict was given again; the evaluation itself, if it stands in a file before.
    pub(super) fn again(
        &mut self,
        lines: &mut Vec<u8>,
        evaluation: &Evaluation,
        now_ms: u64,
    ) -> Result<(), Unwritable> {
        let of = evaluation.number;
        if self.judged.contains(&of) {
            put(lines, &Record::<()>::Again(Again { of, now_ms }))
        } else {
            self.judged(lines, evaluation)
        }
    }

    fn generation(
        &mut self,
        lines: &mut Vec<u8>,
        evaluation: &Evaluation,
    ) -> Result<(), Unwritable> {
        let generation = &*evaluation.generation;
        if self.generations.insert(generation.id) {
            put(lines, &Record::<()>::Generation(generation.clone()))?;
            let policies = generation.policies.iter();
            self.states
                .watch(policies.map(|policy| Namespace::from_stored(&policy.namespace())));
        }
        Ok(())
    }

    /// Tells what hooks were answered, then whatever else they could have asked for about these items.
    fn definitions(
        &mut self,
        lines: &mut Vec<u8>,
        evaluation: &Evaluation,
    ) -> Result<(), Unwritable> {
        for (digest, text) in &evaluation.read {
            self.definition(lines, *digest, text.clone())?;
        }
        for item in evaluation.items.iter().flat_map(|items| items.iter()) {
            let Ok(digest) = item.digest.parse::<Digest>() else {
                continue;
            };
            if self.definitions.contains_key(&digest) {
                continue;
            }
            let text = block_on(evaluation.definitions.definition(digest));
            self.definition(lines, digest, text)?;
        }
        Ok(())
    }

    fn definition(
        &mut self,
        lines: &mut Vec<u8>,
        digest: Digest,
        text: Option<Arc<str>>,
    ) -> Result<(), Unwritable> {
        if self.definitions.insert(digest, text.is_some()) == Some(text.is_some()) {
            return Ok(());
        }
        let digest = digest.to_string();
        put(
            lines,
            &Record::<()>::Definition(Definition { digest, text }),
        )
    }

    fn list(&mut self, lines: &mut Vec<u8>, items: &Arc<Vec<Item>>) -> Result<u64, Unwritable> {
        let mut known = self.lists.iter().rev();
        if let Some((list, _)) =
            known.find(|(_, known)| Arc::ptr_eq(known, items) || known == items)
        {
            return Ok(*list);
        }
        let list = self.next_list;
        self.next_list += 1;
        let items = items.clone();
        put(
            lines,
            &Record::<()>::Items(Items {
                list,
                items: items.to_vec(),
            }),
        )?;
        self.lists.push_back((list, items));
        if self.lists.len() > KEPT_LISTS {
            self.lists.pop_front();
        }
        Ok(list)
    }
}

/// Appends one line.
pub(super) fn put<W: Serialize>(lines: &mut Vec<u8>, record: &Record<W>) -> Result<(), Unwritable> {
    let begun = lines.len();
    serde_json::to_writer(&mut *lines, record)?;
    if lines.len() - begun > MAX_LINE {
        return Err(Unwritable::TooLong);
    }
    lines.push(b'\n');
    Ok(())
}
