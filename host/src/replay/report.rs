//! What a replay came to: counts, and every difference once.
//!
//! Knows words and numbers. Texts quote what servers and policies wrote: escape them before a terminal.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::Serialize;

use super::scan::Scan;
use crate::audit::time::rfc3339;
use crate::tape::Reader;
use crate::tape::record::{Judged, Refusal, What};

/// What a replay came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What was played.
    pub tape: TapeReport,
    /// How the chain differs from the tape's; none where two policies were compared with each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain: Option<ChainReport>,
    /// What was answered otherwise, like differences once.
    pub differences: Vec<Difference>,
    /// The counts.
    pub summary: Summary,
}

/// What was played.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TapeReport {
    /// The file.
    pub file: String,
    /// The version of witgate that wrote it.
    pub witgate: String,
    /// The time of its first message, RFC 3339 in UTC.
    pub first: Option<String>,
    /// The time of its last.
    pub last: Option<String>,
    /// The servers on it.
    pub servers: Vec<String>,
    /// Messages that could not be kept: the tape has gaps.
    pub lost: u64,
    /// Whether it ends within a record: its process was killed, or still writes.
    pub truncated: bool,
    /// Whether its process ended it in order.
    pub closed: bool,
}

/// How a chain differs from those on a tape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChainReport {
    /// Whether it is the tape's own: it must then give the same verdicts exactly.
    pub same: bool,
    /// How many chains were in force on the tape.
    pub of_tape: usize,
    /// How many of them it is.
    pub same_as: usize,
    /// How it differs from the last of them.
    pub differences: Vec<String>,
}

/// The counts, in messages.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Summary {
    /// All of them.
    pub messages: u64,
    /// Those answered the same.
    pub same: u64,
    /// Those that would have been refused, or shown less.
    pub refused: u64,
    /// Those that would have been allowed, or shown more.
    pub allowed: u64,
    /// Those answered otherwise in another way.
    pub otherwise: u64,
    /// Those that were not compared.
    pub not_compared: u64,
    /// Why not, and how many.
    pub why: BTreeMap<String, u64>,
    /// Of those, the ones in which a policy failed only now.
    pub failed_now: u64,
}

/// What came of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Verdict {
    /// A word: `allowed`, `visible`, `passed`, `replaced`, `withheld`, `locked`, or the decision's.
    pub verdict: String,
    /// Whether it is a refusal.
    pub refused: bool,
    /// The code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The policy that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The remedy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A message that is answered otherwise, or several of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The line of the tape, of the first of them.
    pub line: u64,
    /// When, of the first of them.
    pub time: String,
    /// How many there are.
    pub times: u64,
    /// The server.
    pub server: String,
    /// Who sent the message; nobody where servers are observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The method, `list`, `result of METHOD` or `observe`.
    pub message: String,
    /// The kind of the item it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The item's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it came to.
    pub old: Verdict,
    /// What it would have come to.
    pub new: Verdict,
    /// The policy whose own answer differs, where the message came to the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// What the difference does.
    pub effect: Effect,
}

/// What a difference does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Effect {
    /// Neither of the others.
    Otherwise,
    /// What was refused is allowed.
    Allows,
    /// What was allowed is refused.
    Refuses,
}

/// A difference, without its place on the tape.
pub(super) struct Found {
    pub(super) effect: Effect,
    pub(super) message: String,
    pub(super) item: Option<(String, String)>,
    pub(super) old: Verdict,
    pub(super) new: Verdict,
    pub(super) policy: Option<String>,
}

/// Where on the tape something is.
pub(super) struct Place {
    line: u64,
    time: String,
    server: String,
    caller: Option<String>,
}

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Same,
    Differs(Effect),
    /// Why it was not compared, and whether that is because a policy failed only now.
    Not(String, bool),
}

/// Counts, and differences by what they are.
#[derive(Default)]
pub(super) struct Counting {
    summary: Summary,
    differences: Vec<Difference>,
    known: HashMap<String, usize>,
}

impl Effect {
    pub(super) const fn of(old: &Verdict, new: &Verdict) -> Self {
        match (old.refused, new.refused) {
            (false, true) => Self::Refuses,
            (true, false) => Self::Allows,
            _ => Self::Otherwise,
        }
    }
}

impl Verdict {
    pub(super) fn good(word: &str) -> Self {
        Self {
            verdict: word.to_owned(),
            refused: false,
            code: None,
            by: None,
            reason: None,
            remedy: None,
        }
    }

    pub(super) fn of_refusal(refused: Option<&Refusal>, otherwise: &str) -> Self {
        let Some(refusal) = refused else {
            return Self::good(otherwise);
        };
        Self {
            verdict: refusal.decision.clone(),
            refused: true,
            code: Some(refusal.code.clone()),
            by: refusal.by.clone(),
            reason: Some(refusal.reason.clone()),
            remedy: refusal.remedy.clone(),
        }
    }

    /// A policy's own answer, as it is written.
    pub(super) fn raw(answer: &impl Serialize) -> Self {
        let text = serde_json::to_string(answer).unwrap_or_default();
        Self::good(&text)
    }
}

impl Place {
    pub(super) fn of(line: u64, judged: &Judged) -> Self {
        let caller = match &judged.what {
            What::Observed(_) => None,
            What::Listed(listed) => Some(&listed.context),
            What::Called(called) => Some(&called.context),
            What::Returned(returned) => Some(&returned.context),
            What::Asked(asked) => Some(&asked.context),
        };
        Self {
            line,
            time: rfc3339(judged.now_ms),
            server: super::server_of(&judged.what).to_owned(),
            caller: caller.map(|context| context.caller.id.clone()),
        }
    }

    pub(super) fn at(&self, found: Found) -> Difference {
        let (kind, name) = found.item.unzip();
        Difference {
            line: self.line,
            time: self.time.clone(),
            times: 1,
            server: self.server.clone(),
            caller: self.caller.clone(),
            message: found.message,
            kind,
            name,
            old: found.old,
            new: found.new,
            policy: found.policy,
            effect: found.effect,
        }
    }
}

impl Fate {
    /// Of a message with differences: the gravest counts.
    pub(super) fn of(differences: &[Difference]) -> Self {
        let effects = differences.iter().map(|difference| difference.effect);
        Self::Differs(effects.max().unwrap_or(Effect::Otherwise))
    }

    /// Of a verdict that was given again, and is not on the tape itself.
    pub(super) fn lost() -> Self {
        Self::Not("its first verdict was lost".to_owned(), false)
    }
}

impl Counting {
    pub(super) fn count(&mut self, fate: &Fate) {
        let summary = &mut self.summary;
        summary.messages += 1;
        match fate {
            Fate::Same => summary.same += 1,
            Fate::Differs(Effect::Refuses) => summary.refused += 1,
            Fate::Differs(Effect::Allows) => summary.allowed += 1,
            Fate::Differs(Effect::Otherwise) => summary.otherwise += 1,
            Fate::Not(why, now) => {
                summary.not_compared += 1;
                summary.failed_now += u64::from(*now);
                *summary.why.entry(why.clone()).or_default() += 1;
            }
        }
    }

    pub(super) fn again(&mut self, fate: &Fate) {
        self.count(fate);
    }

    /// Takes up differences; like ones are counted.
    pub(super) fn differ(&mut self, differences: Vec<Difference>) {
        for difference in differences {
            let same = Difference {
                line: 0,
                time: String::new(),
                ..difference.clone()
            };
            let key = serde_json::to_string(&same).unwrap_or_default();
            match self.known.get(&key) {
                Some(at) => self.differences[*at].times += 1,
                None => {
                    self.known.insert(key, self.differences.len());
                    self.differences.push(difference);
                }
            }
        }
    }

    pub(super) fn report(
        self,
        tape: &Path,
        reader: &Reader,
        scan: &Scan,
        chain: Option<ChainReport>,
    ) -> Report {
        Report {
            tape: TapeReport {
                file: tape.display().to_string(),
                witgate: reader.header().witgate.clone(),
                first: scan.times.map(|(first, _)| rfc3339(first)),
                last: scan.times.map(|(_, last)| rfc3339(last)),
                servers: scan.servers.iter().cloned().collect(),
                lost: scan.lost,
                truncated: reader.truncated(),
                closed: reader.closed(),
            },
            chain,
            differences: self.differences,
            summary: self.summary,
        }
    }
}
