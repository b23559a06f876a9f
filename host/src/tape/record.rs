//! The records of a tape: one JSON object a line, whose only key says what it is.
//!
//! A file holds everything that its evaluations refer to, before they do: generations, lists of items, definitions,
//! states of the store. The words of the contract are written as `policy::contract` spells them; a change of that
//! spelling is a new format, and so is a new kind of record.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::{Lists, Mode};
use crate::policy::contract::{
    Admission, Call, Change, ClientRequest, Context, Denial, Item, ItemKind, Locked, Ruling,
    Server, Verdict,
};
use crate::policy::{Evaluated, Failure, FailureKind, Policy};

/// The format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

/// How many states of the store, counted from the one that was told last, an evaluation may refer to.
pub const KEPT_STATES: usize = 8;

/// How many lists of items, counted from the one that was told last, an evaluation may refer to.
pub const KEPT_LISTS: usize = 32;

/// One line. `W` is [`What`], or a reference to it where it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Record<W = What> {
    /// The first line of a file.
    Tape(Header),
    /// A chain that was in force.
    Generation(Generation),
    /// A list of items.
    Items(Items),
    /// A pinned definition, or that there was none.
    Definition(Definition),
    /// A state of the store.
    Store(Store),
    /// An evaluation.
    Judged(Judged<W>),
    /// A verdict was given again.
    Again(Again),
    /// Evaluations that could not be kept.
    Lost(Lost),
    /// The last line of a file that ended in order.
    Closed(Closed),
}

/// Who writes, since when, and for which command line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT`].
    pub format: u32,
    /// The version of witgate that writes.
    pub witgate: String,
    /// When the file was begun, RFC 3339 in UTC.
    pub time: String,
    /// The process.
    pub pid: u32,
    /// The file that this one goes on from, if the process wrote one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continues: Option<String>,
    /// The lists of the command line, by server: they are part of the settings of `allow-deny`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<(String, Lists)>,
}

/// A chain as it was in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Counts up within the process.
    pub id: u64,
    /// The policies, in order.
    pub policies: Vec<PolicyRecord>,
}

/// A policy of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRecord {
    /// Its name.
    pub name: String,
    /// How it came into the chain: `builtin`, `configuration`, `directory`.
    pub origin: String,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// SHA-256 of the component, hexadecimal.
    pub sha256: String,
    /// Its settings as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<String>,
    /// `enforce` or `monitor`.
    pub mode: String,
    /// What was granted to it, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub grants: Vec<String>,
    /// For how many messages one instance serves.
    pub reuse: u32,
    /// Whether the same inputs must give the same answers: no reuse, and nothing granted that reaches outside.
    pub replayable: bool,
}

/// A list of items that evaluations refer to by its number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Items {
    /// Its number within the file.
    pub list: u64,
    /// The items.
    pub items: Vec<Item>,
}

/// What `catalog.definition` answers for a digest from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The digest.
    pub digest: String,
    /// The definition's text; none if it is not pinned.
    pub text: Option<Arc<str>>,
}

/// Values by namespace and key; none for a key that is gone.
pub type Changes = BTreeMap<String, BTreeMap<String, Option<String>>>;

/// A state of the store, as what differs from one before. A big one goes on in the records that follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// Its number within the file.
    pub state: u64,
    /// The ledger's version that showed it.
    pub version: u64,
    /// The state it differs from: none is empty, its own number goes on with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// What differs.
    pub changes: Changes,
}

/// The state that an evaluation's own changes led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Led {
    /// Its number within the file.
    pub state: u64,
    /// The ledger's version that showed it.
    pub version: u64,
}

/// An evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged<W = What> {
    /// Counts up within the process.
    pub n: u64,
    /// The chain that was asked.
    pub generation: u64,
    /// The state of the store that it read.
    pub state: u64,
    /// The state that its own changes led to, if they changed something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub led: Option<Led>,
    /// The items it is about, where it is about a whole catalogue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// The message's time, milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// What was judged, and how.
    pub what: W,
}

/// A verdict was given again, without asking any policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Again {
    /// The evaluation that came to it.
    pub of: u64,
    /// When, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// Evaluations that could not be kept before this line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// How many.
    pub evaluations: u64,
}

/// The end of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    /// Whether the process went on in another file.
    pub continued: bool,
}

/// What was judged, and how.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// Recording policies were told what a server offers.
    Observed(Observed),
    /// What one caller may see of one server was worked out.
    Listed(Listed),
    /// A call.
    Called(Called),
    /// What a call brought back.
    Returned(Returned),
    /// What a server asks of the client.
    Asked(Asked),
}

/// One policy's answer, or how it failed. A failure is no verdict.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer<T> {
    /// The policy's place in the generation, from 0.
    pub policy: usize,
    /// What it answered.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub said: Option<T>,
    /// How it failed, if it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<Failed>,
}

const fn none<T>() -> Option<T> {
    None
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// The hook.
    pub hook: String,
    /// How: `trap`, `timeout`, `out-of-memory`, `bad-output`, `host`.
    pub kind: String,
    /// What is known beyond that.
    pub detail: String,
}

/// See [`What::Observed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observed {
    /// The server.
    pub server: Server,
    /// The catalogue's digest.
    pub digest: String,
    /// The kinds that were read to the end.
    pub complete: Vec<ItemKind>,
    /// The catalogue's labels.
    pub labels: Vec<(String, String)>,
    /// What each policy returned.
    pub answers: Vec<Answer<Vec<Change>>>,
}

/// See [`What::Listed`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Listed {
    /// Server and caller.
    pub context: Context,
    /// The items that each policy withholds, by their places in the list, and why.
    pub answers: Vec<Answer<Vec<(usize, Denial)>>>,
    /// What a searching agent may be told of items, by their places.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub locked: Vec<(usize, Locked)>,
}

/// See [`What::Called`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Called {
    /// Server and caller.
    pub context: Context,
    /// The call.
    pub call: Call,
    /// Whether the item is of a list; otherwise only a result showed it.
    pub listed: bool,
    /// The verdicts of the policies that were asked.
    pub answers: Vec<Answer<Verdict>>,
    /// The refusal, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// See [`What::Returned`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Returned {
    /// Server and caller.
    pub context: Context,
    /// The call.
    pub call: Call,
    /// What it brought back, JSON text.
    pub outcome: String,
    /// The rulings of the policies that were asked.
    pub answers: Vec<Answer<Ruling>>,
    /// What was sent instead, if it was replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
    /// The refusal, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// See [`What::Asked`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Server and caller.
    pub context: Context,
    /// What is asked.
    pub request: ClientRequest,
    /// The answers of the policies that were asked.
    pub answers: Vec<Answer<Admission>>,
    /// The refusal, if it was refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
}

/// What came of a message that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The decision's word, such as `DENIED`.
    pub decision: String,
    /// The code.
    pub code: String,
    /// The reason.
    pub reason: String,
    /// The remedy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// The policy that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

impl Generation {
    /// The record of a chain.
    pub fn of(id: u64, policies: &[Arc<Policy>]) -> Self {
        let policies = policies.iter().map(|p| PolicyRecord::of(p)).collect();
        Self { id, policies }
    }
}

impl PolicyRecord {
    fn of(policy: &Policy) -> Self {
        let source = policy.source();
        Self {
            name: source.name.clone(),
            origin: source.origin.word().to_owned(),
            file: source.file.clone(),
            sha256: policy.sha256().to_owned(),
            settings: source.settings.clone(),
            mode: match source.mode {
                Mode::Enforce => "enforce",
                Mode::Monitor => "monitor",
            }
            .to_owned(),
            grants: source.grants.words(),
            reuse: source.reuse,
            replayable: source.reuse <= 1 && !source.grants.impure(),
        }
    }

    /// Its part of the store.
    pub fn namespace(&self) -> String {
        format!("{}/{}", self.origin, self.name)
    }

    /// Whether its verdicts bind.
    pub fn enforces(&self) -> bool {
        self.mode == "enforce"
    }

    /// Whether both must give the same answers to the same questions.
    pub fn answers_as(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
            && self.settings == other.settings
            && self.origin == other.origin
            && self.name == other.name
    }
}

impl<T> Answer<T> {
    /// The record of an answer; `words` picks what of it is recorded.
    pub fn of<U>(
        policy: usize,
        answer: &Result<Evaluated<U>, Failure>,
        words: impl FnOnce(&U) -> T,
    ) -> Self {
        Self {
            policy,
            said: answer.as_ref().ok().map(|answer| words(&answer.value)),
            failed: answer.as_ref().err().map(Failed::of),
        }
    }
}

impl Failed {
    /// The record of a failure.
    pub fn of(failure: &Failure) -> Self {
        let kind = match failure.kind {
            FailureKind::Trap => "trap",
            FailureKind::Timeout => "timeout",
            FailureKind::OutOfMemory => "out-of-memory",
            FailureKind::BadOutput => "bad-output",
            FailureKind::Host => "host",
        };
        Self {
            hook: failure.hook.to_owned(),
            kind: kind.to_owned(),
            detail: failure.detail.clone(),
        }
    }
}

impl What {
    /// About how many bytes it holds: what bounds the queue.
    pub fn weight(&self) -> usize {
        const BESIDES: usize = 1024;
        let call = |call: &Call| call.arguments.as_ref().map_or(0, String::len);
        BESIDES
            + match self {
                Self::Observed(observed) => {
                    let said = observed.answers.iter().filter_map(|a| a.said.as_ref());
                    said.flatten()
                        .map(|change| {
                            change.key.len() + change.value.as_ref().map_or(0, String::len)
                        })
                        .sum()
                }
                Self::Listed(_) => 0,
                Self::Called(called) => call(&called.call),
                Self::Returned(returned) => {
                    call(&returned.call)
                        + returned.outcome.len()
                        + returned.replaced.as_ref().map_or(0, String::len)
                }
                Self::Asked(asked) => {
                    asked.request.params.as_ref().map_or(0, String::len)
                        + asked.request.during.as_ref().map_or(0, call)
                }
            }
    }
}
