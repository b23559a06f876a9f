//! Policies: WebAssembly components that export hooks of `witgate:policy`.
//!
//! Knows how to load, limit and call one component. Knows nothing of chains, of messages, or of what a verdict leads
//! to.

pub mod contract;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::config::Mode;
use crate::ledger::{Namespace, PolicyOrigin, Snapshot};
use crate::mcp::Digest;
use contract::{
    Call, Catalogue, Change, Context, Decided, Decision, Denial, Entry, Item, Locked, Refusal,
    Ruling, Server, Verdict, Withheld,
};

/// What bounds every instance of every policy.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyLimits {
    /// How long a judging hook may run, wall clock.
    pub hook_time: Duration,
    /// How long a recording hook (`observe`, `decide`), `entries` and `configure` may run, wall clock.
    pub record_time: Duration,
    /// The most linear memory one instance may have, bytes.
    pub memory: usize,
    /// The most bytes a hook may answer with.
    pub output: usize,
}

/// How an [`Engine`] is set up.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Where compiled components are kept (made private, 0700); none compiles every time.
    pub cache_dir: Option<PathBuf>,
    /// What bounds instances.
    pub limits: PolicyLimits,
    /// How many instances of a policy are kept ready at the most.
    pub ready: usize,
}

/// A component to be loaded, and everything the operator said about it.
#[derive(Debug, Clone)]
pub struct Source {
    /// The policy's name, unique in the chain.
    pub name: String,
    /// How it came into the chain.
    pub origin: PolicyOrigin,
    /// The file, or `builtin:NAME`, for messages.
    pub file: String,
    /// The component's bytes.
    pub component: Bytes,
    /// Its settings as JSON text, if it was given any.
    pub settings: Option<String>,
    /// Whether its verdicts bind.
    pub mode: Mode,
    /// Imports beyond the usual that the operator lets it have.
    pub grants: Vec<String>,
}

/// Compiles, caches and limits components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {}

/// The engine cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("the policy engine: {0}")]
pub struct EngineError(pub String);

/// Why a component was not loaded: names the file, what is wrong with it, and the mend.
#[derive(Debug, Clone, thiserror::Error)]
#[error("policy `{name}` ({file}): {detail}")]
pub struct LoadError {
    /// The policy.
    pub name: String,
    /// Its file.
    pub file: String,
    /// What is wrong, and what mends it.
    pub detail: String,
}

/// The hooks a component exports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Hooks {
    pub settings: bool,
    pub inventory: bool,
    pub list_filter: bool,
    pub call_gate: bool,
    pub result_gate: bool,
    pub discovery_surface: bool,
    pub review: bool,
}

/// How a hook failed. Failures deny, and are never cached or replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// It trapped.
    Trap,
    /// It ran over its time.
    Timeout,
    /// It wanted more memory than it may have.
    OutOfMemory,
    /// Its answer is too long, or not of the hook's shape.
    BadOutput,
    /// The host could not run it.
    Host,
}

/// A hook failed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("policy `{policy}` failed in {hook} ({kind:?}): {detail}")]
pub struct Failure {
    /// The policy.
    pub policy: Arc<str>,
    /// The hook.
    pub hook: &'static str,
    /// How.
    pub kind: FailureKind,
    /// What is known beyond that, for the log.
    pub detail: String,
}

/// Where `catalog.definition` looks.
pub trait Definitions: Send + Sync + 'static {
    /// The text pinned under a digest.
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>>;
}

/// What one message's hooks may read: one ledger snapshot, the definitions, the message's time.
#[derive(Clone)]
pub struct View {
    /// The ledger as of the message.
    pub snapshot: Arc<Snapshot>,
    /// The pinned definitions.
    pub definitions: Arc<dyn Definitions>,
    /// The message's time, milliseconds since the Unix epoch.
    pub now_ms: u64,
}

/// What a hook answered.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated<T> {
    /// The answer.
    pub value: T,
    /// Whether the same inputs give the same answer for ever: it did not ask the clock.
    pub pure: bool,
    /// How long the hook took.
    pub micros: u32,
}

/// What a policy has done since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(missing_docs)]
pub struct Stats {
    pub calls: u64,
    pub traps: u64,
    pub timeouts: u64,
    pub out_of_memory: u64,
    pub bad_output: u64,
    pub host: u64,
    pub instances: u64,
}

/// A loaded policy. Every call runs on an instance of its own; some are kept ready.
pub struct Policy {}

impl Engine {
    /// Sets the engine up; falls back to on-demand allocation where the system grants no pool.
    pub fn new(_options: EngineOptions) -> Result<Self, EngineError> {
        todo!()
    }

    /// Loads components, compiled in parallel: compiles or takes them from the cache, checks exports and imports,
    /// instantiates each once and configures it. One answer each, in their order.
    pub async fn load(&self, _sources: Vec<Source>) -> Vec<Result<Arc<Policy>, LoadError>> {
        todo!()
    }
}

impl Policy {
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        todo!()
    }

    /// Its part of the store.
    pub fn namespace(&self) -> &Namespace {
        todo!()
    }

    /// What it was loaded from.
    pub fn source(&self) -> &Source {
        todo!()
    }

    /// SHA-256 of the component, hexadecimal.
    pub fn sha256(&self) -> &str {
        todo!()
    }

    /// The version of `witgate:policy` it was built against.
    pub fn contract_version(&self) -> &str {
        todo!()
    }

    /// What it exports.
    pub fn hooks(&self) -> Hooks {
        todo!()
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Instantiates and configures until as many instances are ready as there should be. Called after a reply was
    /// written.
    pub async fn refill(&self) {
        todo!()
    }

    /// `inventory.observe`. Sees sightings.
    pub async fn observe(
        &self,
        _view: &View,
        _server: &Server,
        _catalogue: &Catalogue,
    ) -> Result<Evaluated<Vec<Change>>, Failure> {
        todo!()
    }

    /// `list-filter.filter`: as many answers as items.
    pub async fn filter(
        &self,
        _view: &View,
        _context: &Context,
        _items: &[Item],
    ) -> Result<Evaluated<Vec<Option<Denial>>>, Failure> {
        todo!()
    }

    /// `call-gate.check`. An `other` verdict is a failure.
    pub async fn check(
        &self,
        _view: &View,
        _context: &Context,
        _call: &Call,
    ) -> Result<Evaluated<Verdict>, Failure> {
        todo!()
    }

    /// `result-gate.inspect`. An `other` ruling is a failure, and so is a replacement that is not JSON.
    pub async fn inspect(
        &self,
        _view: &View,
        _context: &Context,
        _call: &Call,
        _outcome: &str,
    ) -> Result<Evaluated<Ruling>, Failure> {
        todo!()
    }

    /// `discovery-surface.surface`: as many answers as items.
    pub async fn surface(
        &self,
        _view: &View,
        _context: &Context,
        _withheld: &[Withheld],
    ) -> Result<Evaluated<Vec<Option<Locked>>>, Failure> {
        todo!()
    }

    /// `review.entries`. Sees sightings.
    pub async fn entries(
        &self,
        _view: &View,
        _server: Option<&str>,
    ) -> Result<Evaluated<Vec<Entry>>, Failure> {
        todo!()
    }

    /// `review.decide`. Sees sightings.
    pub async fn decide(
        &self,
        _view: &View,
        _decision: &Decision,
    ) -> Result<Evaluated<Result<Decided, Refusal>>, Failure> {
        todo!()
    }
}
