//! What hooks may answer: counts, lengths, characters.
//!
//! The types hold already; these are the rules that types cannot state. A wrong answer is a failure and denies; only
//! texts for people are cut instead.

use std::collections::HashSet;

use super::contract::{
    Admission, Change, Decided, Denial, Entry, Hold, Locked, Refusal, Ruling, Verdict,
};
use crate::mcp::escape::visible_cut;

/// The most changes one hook may return.
pub(super) const MAX_CHANGES: usize = 100_000;

/// The most entries `review.entries` may return.
pub(super) const MAX_ENTRIES: usize = 100_000;

/// The longest key of the store, bytes. Keys hold names that servers chose.
const MAX_KEY: usize = 16 * 1024;

/// The longest value of the store, bytes.
const MAX_VALUE: usize = 1 << 20;

/// The longest id of an entry, bytes: people type it.
const MAX_ID: usize = 256;

/// The most characters of a reason or a remedy that are kept. The gate cuts them further for agents.
const MAX_REASON: usize = 1_000;

/// What is wrong with an answer.
type Wrong = String;

/// Adds up the text of an answer.
struct Size {
    left: usize,
    limit: usize,
}

impl Size {
    fn new(limit: usize) -> Self {
        Self { left: limit, limit }
    }

    fn add(&mut self, text: &str) -> Result<(), Wrong> {
        match self.left.checked_sub(text.len()) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(format!(
                "it answered with more than {} bytes of text",
                self.limit
            )),
        }
    }

    fn option(&mut self, text: Option<&String>) -> Result<(), Wrong> {
        text.map_or(Ok(()), |text| self.add(text))
    }

    fn labels(&mut self, labels: &[(String, String)]) -> Result<(), Wrong> {
        labels.iter().try_for_each(|(key, value)| {
            self.add(key)?;
            self.add(value)
        })
    }
}

pub(super) fn changes(changes: &[Change], limit: usize) -> Result<(), Wrong> {
    changes_within(changes, &mut Size::new(limit))
}

pub(super) fn filtered(
    answers: &mut [Option<Denial>],
    items: usize,
    limit: usize,
) -> Result<(), Wrong> {
    counted(answers.len(), items)?;
    let mut size = Size::new(limit);
    answers
        .iter_mut()
        .flatten()
        .try_for_each(|denial| denial_within(denial, &mut size))
}

pub(super) fn verdict(verdict: &mut Verdict, limit: usize) -> Result<(), Wrong> {
    let mut size = Size::new(limit);
    match verdict {
        Verdict::Allow => Ok(()),
        Verdict::Deny(denial) => denial_within(denial, &mut size),
        Verdict::Hold(Hold {
            code: name,
            reason,
            labels,
        }) => {
            code(name)?;
            size.add(reason)?;
            size.labels(labels)?;
            cut(reason);
            Ok(())
        }
        Verdict::Other(_) => Err("it answered with a verdict this host does not know".into()),
    }
}

pub(super) fn ruling(ruling: &mut Ruling, limit: usize) -> Result<(), Wrong> {
    let mut size = Size::new(limit);
    match ruling {
        Ruling::Pass => Ok(()),
        Ruling::Replace(text) => {
            size.add(text)?;
            serde_json::from_str::<serde::de::IgnoredAny>(text)
                .map(drop)
                .map_err(|error| format!("its replacement is not JSON: {error}"))
        }
        Ruling::Deny(denial) => denial_within(denial, &mut size),
        Ruling::Other(_) => Err("it answered with a ruling this host does not know".into()),
    }
}

pub(super) fn admission(admission: &mut Admission, limit: usize) -> Result<(), Wrong> {
    match admission {
        Admission::Allow => Ok(()),
        Admission::Deny(denial) => denial_within(denial, &mut Size::new(limit)),
        Admission::Other(_) => Err("it answered with an admission this host does not know".into()),
    }
}

pub(super) fn surfaced(
    answers: &mut [Option<Locked>],
    items: usize,
    limit: usize,
) -> Result<(), Wrong> {
    counted(answers.len(), items)?;
    let mut size = Size::new(limit);
    answers.iter_mut().flatten().try_for_each(|locked| {
        code(&locked.status)?;
        size.add(&locked.remedy)?;
        size.labels(&locked.labels)?;
        cut(&mut locked.remedy);
        Ok(())
    })
}

pub(super) fn entries(entries: &[Entry], limit: usize) -> Result<(), Wrong> {
    if entries.len() > MAX_ENTRIES {
        return Err(format!("it answered with {} entries", entries.len()));
    }
    let mut size = Size::new(limit);
    let mut ids = HashSet::with_capacity(entries.len());
    entries.iter().try_for_each(|entry| {
        entry_within(entry, &mut size)?;
        if ids.insert(entry.id.as_str()) {
            Ok(())
        } else {
            Err("two of its entries have the same id".into())
        }
    })
}

pub(super) fn decided(answer: &Result<Decided, Refusal>, limit: usize) -> Result<(), Wrong> {
    let mut size = Size::new(limit);
    match answer {
        Ok(decided) => {
            if let Some(entry) = &decided.entry {
                entry_within(entry, &mut size)?;
            }
            size.labels(&decided.labels)?;
            changes_within(&decided.changes, &mut size)
        }
        Err(Refusal::Other(why)) => size.add(why),
        Err(Refusal::MovedOn | Refusal::UnknownEntry | Refusal::NotAllowed) => Ok(()),
    }
}

fn changes_within(changes: &[Change], size: &mut Size) -> Result<(), Wrong> {
    if changes.len() > MAX_CHANGES {
        return Err(format!(
            "it answered with {} changes; at most {MAX_CHANGES} are taken",
            changes.len()
        ));
    }
    changes.iter().try_for_each(|change| {
        let value = change.value.as_ref().map_or(0, String::len);
        if change.key.is_empty() || change.key.len() > MAX_KEY {
            return Err(format!(
                "a change has a key of {} bytes; 1 to {MAX_KEY} are taken",
                change.key.len()
            ));
        }
        if value > MAX_VALUE {
            return Err(format!(
                "a change has a value of {value} bytes; at most {MAX_VALUE} are taken"
            ));
        }
        size.add(&change.key)?;
        size.option(change.value.as_ref())?;
        size.labels(&change.labels)
    })
}

fn denial_within(denial: &mut Denial, size: &mut Size) -> Result<(), Wrong> {
    code(&denial.code)?;
    size.add(&denial.reason)?;
    size.option(denial.remedy.as_ref())?;
    size.labels(&denial.labels)?;
    cut(&mut denial.reason);
    if let Some(remedy) = &mut denial.remedy {
        cut(remedy);
    }
    Ok(())
}

fn entry_within(entry: &Entry, size: &mut Size) -> Result<(), Wrong> {
    if entry.id.is_empty() || entry.id.len() > MAX_ID {
        return Err(format!(
            "an entry has an id of {} bytes; 1 to {MAX_ID} are taken",
            entry.id.len()
        ));
    }
    for text in [
        &entry.id,
        &entry.server,
        &entry.name,
        &entry.status,
        &entry.by,
    ] {
        size.add(text)?;
    }
    for digest in entry.approved_digests.iter().chain(&entry.current_digests) {
        size.add(digest)?;
    }
    size.labels(&entry.labels)
}

/// A code is for machines: audits, agents and tests match it.
fn code(code: &str) -> Result<(), Wrong> {
    let sound = (1..=64).contains(&code.len())
        && code
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if sound {
        Ok(())
    } else {
        Err(format!(
            "its code `{}` is not 1 to 64 lower-case letters, digits and `_`",
            visible_cut(code, 80)
        ))
    }
}

fn counted(answers: usize, items: usize) -> Result<(), Wrong> {
    if answers == items {
        Ok(())
    } else {
        Err(format!("it gave {answers} answers for {items} items"))
    }
}

fn cut(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(MAX_REASON) {
        text.truncate(end);
        text.push('…');
    }
}
