//! Policies: WebAssembly components that export hooks of `witgate:policy`.
//!
//! Knows how to load, limit and call one component. Knows nothing of chains, of messages, or of what a verdict leads
//! to.

mod answer;
mod cache;
mod compiled;
pub mod contract;
mod counted;
mod engine;
mod failure;
mod guest;
mod guest_log;
mod hooks;
mod load;
mod pool;
mod shape;
#[cfg(test)]
pub(crate) mod tests;
mod ticker;
mod wasi;
mod witness;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::config::{Grants, Mode};
use crate::ledger::{Namespace, PolicyOrigin, Snapshot};
use crate::mcp::Digest;

pub use compiled::Compiled;
pub use engine::Engine;
pub use load::MAX_COMPONENT;
pub use witness::{LogLevel, LogLine, Seen, Witness};

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
    pub grants: Grants,
    /// For how many messages one instance serves; 1 is an instance for each. Verdicts of reused instances are not kept.
    pub reuse: u32,
}

impl Source {
    /// Why verdicts of this policy may be neither kept nor replayed, in words; nothing if they may be.
    pub fn not_replayable(&self) -> Vec<String> {
        let mut why = self.grants.words();
        if self.reuse > 1 {
            why.push(format!("reuse = {}", self.reuse));
        }
        why
    }
}

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
    /// What it is that is wrong.
    pub cause: LoadCause,
}

/// What kept a component from being loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadCause {
    /// Its bytes, what it imports or exports, or what the operator gave it.
    Component,
    /// It refuses its settings, and says this.
    Settings(String),
    /// It failed while it was instantiated or configured.
    Failed(FailureKind),
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
    pub client_request_gate: bool,
    pub discovery_surface: bool,
    pub review: bool,
}

impl Hooks {
    /// The words of those that are exported, as the contract spells them.
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (self.settings, "settings"),
            (self.inventory, "inventory"),
            (self.list_filter, "list-filter"),
            (self.call_gate, "call-gate"),
            (self.result_gate, "result-gate"),
            (self.client_request_gate, "client-request-gate"),
            (self.discovery_surface, "discovery-surface"),
            (self.review, "review"),
        ];
        let exported = all.into_iter().filter(|(exported, _)| *exported);
        exported.map(|(_, word)| word).collect()
    }
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
    /// Whether the same inputs give the same answer for ever: it did not ask the clock, and the policy is one whose
    /// verdicts may be kept (see [`Policy::replayable`]).
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

/// [`Stats`] as they are counted.
#[derive(Debug, Default)]
struct Counters {
    calls: AtomicU64,
    traps: AtomicU64,
    timeouts: AtomicU64,
    out_of_memory: AtomicU64,
    bad_output: AtomicU64,
    host: AtomicU64,
    instances: AtomicU64,
    /// The latest failure, and when.
    last: Mutex<Option<(u64, Failure)>>,
}

/// A loaded policy. Every call runs on an instance of its own; some are kept ready.
pub struct Policy {
    name: Arc<str>,
    namespace: Namespace,
    source: Source,
    sha256: String,
    shape: shape::Shape,
    pool: pool::Pool,
    counters: Counters,
    common: Arc<guest::Common>,
}

impl Policy {
    /// Its name.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its part of the store.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// What it was loaded from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// SHA-256 of the component, hexadecimal.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The version of `witgate:policy` it was built against.
    pub fn contract_version(&self) -> &str {
        &self.shape.version
    }

    /// What it exports.
    pub fn hooks(&self) -> Hooks {
        self.shape.hooks
    }

    /// Whether the same inputs give the same verdict for ever, so that verdicts may be kept and replayed: nothing it was
    /// granted reaches outside, and no instance serves twice.
    pub const fn replayable(&self) -> bool {
        self.source.reuse <= 1 && !self.source.grants.impure()
    }

    /// How much linear memory its first instance had once it was configured, bytes.
    pub fn memory(&self) -> usize {
        self.pool.first_memory
    }

    /// How many instances are ready now.
    pub fn ready(&self) -> usize {
        self.pool.ready()
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            calls: read(&self.counters.calls),
            traps: read(&self.counters.traps),
            timeouts: read(&self.counters.timeouts),
            out_of_memory: read(&self.counters.out_of_memory),
            bad_output: read(&self.counters.bad_output),
            host: read(&self.counters.host),
            instances: read(&self.counters.instances),
        }
    }

    /// Its latest failure, and when: milliseconds since the Unix epoch.
    pub fn last_failure(&self) -> Option<(u64, Failure)> {
        self.counters.last().clone()
    }

    /// What it counted by the `metrics` import since it was loaded, by name.
    pub fn counted(&self) -> BTreeMap<String, u64> {
        self.common.counted.all()
    }

    /// Instantiates and configures until as many instances are ready as there should be, and clears used ones away.
    /// Called after a reply was written.
    pub async fn refill(&self) {
        self.pool.refill().await;
    }
}

impl Counters {
    fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    fn instance(&self) {
        self.instances.fetch_add(1, Ordering::Relaxed);
    }

    fn last(&self) -> MutexGuard<'_, Option<(u64, Failure)>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failure(&self, failure: &Failure) {
        *self.last() = Some((crate::ledger::now_ms(), failure.clone()));
        let counter = match failure.kind {
            FailureKind::Trap => &self.traps,
            FailureKind::Timeout => &self.timeouts,
            FailureKind::OutOfMemory => &self.out_of_memory,
            FailureKind::BadOutput => &self.bad_output,
            FailureKind::Host => &self.host,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("name", &self.name)
            .field("file", &self.source.file)
            .field("sha256", &self.sha256)
            .field("shape", &self.shape)
            .finish_non_exhaustive()
    }
}
