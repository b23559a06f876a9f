//! The rules: what a record makes of a digest, and what an event makes of a record. Pure; knows no store and no server.
//!
//! Only [`Admission`]s and a person's approval add to the approved digests, and a reading is admitted only while the
//! baseline is open or where the server's changes approve themselves.

use crate::records::{Approval, Ever, Mark, Record, Stored};

/// What `auto-baseline` signs with.
pub const AUTO_BASELINE: &str = "auto-baseline";
/// What the server's own setting signs with.
pub const AUTO_APPROVE: &str = "auto-approve-changes";

/// The most digests that can be approved side by side.
pub const MOST_APPROVED: usize = 16;

/// What a digest is to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// Usable: it is among the approved.
    Approved,
    /// Nothing is approved.
    Pending,
    /// Others are approved.
    Changed,
    /// Unusable, whatever is approved.
    Blocked,
    /// The record cannot be read.
    Corrupt,
}

/// How far a reading approves by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Not at all: the server is quarantined, or its baseline is closed.
    Nothing,
    /// What nobody decided about, and never showed another digest.
    Baseline,
    /// Everything but what is blocked, or cannot be read.
    Changes,
}

/// What a person asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// This digest becomes the approved one.
    Approve,
    /// This digest is approved beside the others.
    ApproveAlso,
    /// This digest is approved no longer.
    Revoke,
    /// The item is unusable.
    Block,
    /// The item is what its approvals make it.
    Unblock,
}

/// Something that happened to an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A complete reading showed it.
    Shown {
        /// What it showed.
        digest: &'a str,
        /// How far this reading approves.
        admission: Admission,
        /// Which digests it ever showed, this reading left out.
        ever: Option<&'a Ever>,
        /// The digests that other observers show now.
        elsewhere: &'a [&'a str],
    },
    /// A person decided.
    Decided {
        /// What they asked for.
        word: Word,
        /// The digest they looked at; empty if the word needs none.
        digest: &'a str,
        /// Who.
        actor: &'a str,
        /// The digests that observers show now.
        shown: &'a [&'a str],
    },
}

/// Why a person's word was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// No observer shows the digest they looked at.
    MovedOn,
    /// The word does not fit the record: why, and what to do.
    NotNow(&'static str),
}

impl Stored {
    /// What `digest` is by this record.
    pub fn status(&self, digest: &str) -> Status {
        match self {
            Self::Absent => Status::Pending,
            Self::Corrupt => Status::Corrupt,
            Self::Record(record) if record.blocked.is_some() => Status::Blocked,
            Self::Record(record) if record.approves(digest) => Status::Approved,
            Self::Record(record) if record.approved.is_empty() => Status::Pending,
            Self::Record(_) => Status::Changed,
        }
    }
}

/// What an event makes of a record: the new one, or none if nothing changes.
pub fn step(stored: &Stored, event: &Event<'_>, now_ms: u64) -> Result<Option<Record>, Refused> {
    match *event {
        Event::Shown {
            digest,
            admission,
            ever,
            elsewhere,
        } => Ok(match admission {
            Admission::Nothing => None,
            Admission::Baseline => baseline(stored, digest, ever, now_ms),
            Admission::Changes => follow(stored, digest, elsewhere, now_ms),
        }),
        Event::Decided {
            word,
            digest,
            actor,
            shown,
        } => decided(stored, word, digest, Mark::new(actor, now_ms), shown),
    }
}

/// First sight. Where sightings are older than any decision (an installation that never approved what it saw), the
/// item must never have shown another digest.
fn baseline(stored: &Stored, digest: &str, ever: Option<&Ever>, now_ms: u64) -> Option<Record> {
    let steady = ever.is_none_or(|ever| !ever.several && ever.first == digest);
    (*stored == Stored::Absent && steady).then(|| Record {
        approved: vec![approval(digest, Mark::new(AUTO_BASELINE, now_ms))],
        ..Record::default()
    })
}

/// The server's changes approve themselves. What other observers still show stays approved, or two of them would
/// undo each other's approvals for ever.
fn follow(stored: &Stored, digest: &str, elsewhere: &[&str], now_ms: u64) -> Option<Record> {
    let mut record = match stored {
        Stored::Absent => Record::default(),
        Stored::Corrupt => return None,
        Stored::Record(record) if record.blocked.is_some() || record.approves(digest) => {
            return None;
        }
        Stored::Record(record) => record.clone(),
    };
    record
        .approved
        .retain(|kept| elsewhere.contains(&kept.digest.as_str()));
    record.approved.truncate(MOST_APPROVED - 1);
    record
        .approved
        .push(approval(digest, Mark::new(AUTO_APPROVE, now_ms)));
    record.cleared = None;
    Some(record)
}

fn decided(
    stored: &Stored,
    word: Word,
    digest: &str,
    mark: Mark,
    shown: &[&str],
) -> Result<Option<Record>, Refused> {
    let old = match stored {
        Stored::Record(record) => record.clone(),
        Stored::Absent | Stored::Corrupt => Record::default(),
    };
    let mut new = old.clone();
    match word {
        Word::Approve | Word::ApproveAlso => {
            if digest.is_empty() || !shown.contains(&digest) {
                return Err(Refused::MovedOn);
            }
            if old.blocked.is_some() {
                return Err(Refused::NotNow("it is blocked: unblock it first"));
            }
            if word == Word::Approve {
                new.approved.clear();
            }
            if !new.approves(digest) {
                if new.approved.len() == MOST_APPROVED {
                    return Err(Refused::NotNow(
                        "16 definitions are approved already: revoke one first",
                    ));
                }
                new.approved.push(approval(digest, mark));
            }
            new.cleared = None;
        }
        Word::Revoke => {
            // Of a record that cannot be read nothing is approved, which is what is asked for.
            if *stored != Stored::Corrupt && !old.approves(digest) {
                return Err(Refused::NotNow("that digest is not approved"));
            }
            new.approved.retain(|kept| kept.digest != digest);
            if new.approved.is_empty() {
                new.cleared = Some(mark);
            }
        }
        Word::Block => {
            new.blocked.get_or_insert(mark);
        }
        Word::Unblock => {
            if new.blocked.take().is_none() {
                return Err(Refused::NotNow("it is not blocked"));
            }
            if new.approved.is_empty() {
                new.cleared.get_or_insert(mark);
            }
        }
    }
    Ok((new != old || *stored == Stored::Corrupt).then_some(new))
}

fn approval(digest: &str, mark: Mark) -> Approval {
    Approval {
        digest: digest.to_owned(),
        mark,
    }
}
