//! What one instance is to the host: the data of its store, the limits on its memory, and the imports it may call.
//!
//! Knows one hook's view of the ledger at a time. Knows nothing of instances' lives, nor of what hooks answer.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use wasmtime::ResourceLimiter;

use super::contract::imports::{catalog, clock, log, metrics, store};
use super::counted::Counted;
use super::guest_log::{CHARS, GuestLog};
use super::wasi::{Client, Virtual};
use super::{View, Witness};
use crate::config::HttpGrant;
use crate::ledger::{Namespace, SIGHTING_PREFIX};
use crate::mcp::Digest;
use crate::mcp::escape::visible_cut;

/// The most entries all tables of one instance may have together.
pub(super) const TABLE_ENTRIES: usize = 50_000;

/// What every instance of a policy has in common.
pub(super) struct Common {
    pub(super) policy: Arc<str>,
    pub(super) namespace: Namespace,
    pub(super) counted: Counted,
    /// The grant `wasi:http`, if it was given.
    pub(super) http: Option<Arc<HttpGrant>>,
    /// Where its requests are made.
    pub(super) client: Client,
    /// Who looks on while its hooks run.
    pub(super) witness: Option<Arc<Witness>>,
}

/// The data of an instance's store.
pub(super) struct Guest {
    common: Arc<Common>,
    /// What the running hook may read; none while nothing may be read.
    reading: Option<Reading>,
    /// When the running hook must be over.
    pub(super) deadline: Instant,
    /// Whether it was stopped because it was not.
    pub(super) timed_out: bool,
    /// Whether the running hook asked the clock.
    pub(super) asked_clock: bool,
    log: Arc<GuestLog>,
    /// Made when WASI is first called.
    wasi: Option<Box<Virtual>>,
    /// Whether the log was told that a count was not taken.
    miscounted: bool,
    /// The limits on its memory, and whether they were met.
    pub(super) memory: Memory,
}

struct Reading {
    view: View,
    sightings: bool,
    began: Instant,
}

/// Bounds the linear memories and the tables of one instance, each kind taken together.
pub(super) struct Memory {
    limit: usize,
    /// Bytes of linear memory it has.
    pub(super) bytes: usize,
    entries: usize,
    /// Whether it was refused memory.
    pub(super) refused: bool,
}

/// An import was called that cannot be answered.
#[derive(Debug, thiserror::Error)]
pub(super) enum ImportError {
    /// Before any hook.
    #[error(
        "`{0}` was called while the component was instantiated or configured; imports answer only inside the other hooks"
    )]
    TooEarly(&'static str),
    /// The definition did not come in the hook's time.
    #[error("the hook's time ran out while it waited for `catalog.definition`")]
    TooLate,
}

/// More memory than the instance may have.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct MemoryRefused(String);

impl Guest {
    pub(super) fn new(common: Arc<Common>, memory: usize, deadline: Instant) -> Self {
        let log = Arc::new(GuestLog::new(common.policy.clone(), common.witness.clone()));
        Self {
            common,
            reading: None,
            deadline,
            timed_out: false,
            asked_clock: false,
            log,
            wasi: None,
            miscounted: false,
            memory: Memory {
                limit: memory,
                bytes: 0,
                entries: 0,
                refused: false,
            },
        }
    }

    /// A hook begins: imports answer from `view`. An instance that is used again keeps nothing of the hook before but
    /// its own memory.
    pub(super) fn begin(&mut self, view: View, sightings: bool, deadline: Instant) {
        self.reading = Some(Reading {
            view,
            sightings,
            began: Instant::now(),
        });
        self.deadline = deadline;
        self.asked_clock = false;
        self.miscounted = false;
        self.log.begin();
    }

    /// The hook gave its answer or failed: whoever looks on is told of its memory.
    pub(super) fn witnessed(&self) {
        if let Some(witness) = &self.common.witness {
            witness.had_memory(self.memory.bytes);
        }
    }

    /// The hook is over: lets go of the ledger's snapshot.
    pub(super) fn end(&mut self) {
        self.reading = None;
    }

    /// What it has of WASI.
    pub(super) fn wasi(&mut self) -> &mut Virtual {
        let Self {
            wasi, log, common, ..
        } = self;
        wasi.get_or_insert_with(|| Box::new(Virtual::new(log, common.http.clone(), &common.client)))
    }

    /// The time that WASI's clocks show, milliseconds: the message's, and 0 before any.
    pub(super) fn virtual_ms(&mut self) -> u64 {
        match &self.reading {
            Some(reading) => {
                self.asked_clock = true;
                reading.view.now_ms
            }
            None => 0,
        }
    }

    /// When the hook began, if time passes for it: for a policy that reaches outside.
    pub(super) fn running(&self) -> Option<Instant> {
        self.common.http.as_ref()?;
        Some(self.reading.as_ref()?.began)
    }

    fn reading(&self, import: &'static str) -> Result<&Reading, ImportError> {
        self.reading.as_ref().ok_or(ImportError::TooEarly(import))
    }
}

impl Reading {
    /// The policy's keys that begin with `prefix`, in order, sightings included where the hook sees them.
    fn scan(&self, namespace: &Namespace, prefix: &str) -> Vec<(String, String)> {
        let facts = self.view.snapshot.facts.get(namespace);
        let sightings = if self.sightings {
            self.view.snapshot.sightings.get(namespace)
        } else {
            None
        };
        let mut found = Vec::new();
        let mut left = beginning(facts, prefix).peekable();
        let mut right = beginning(sightings, prefix).peekable();
        loop {
            let next = match (left.peek(), right.peek()) {
                (Some(a), Some(b)) if b.0 < a.0 => right.next(),
                (Some(_), _) => left.next(),
                (None, _) => right.next(),
            };
            let Some((key, value)) = next else {
                return found;
            };
            found.push((key.clone(), value.clone()));
        }
    }

    fn get(&self, namespace: &Namespace, key: &str) -> Option<String> {
        let part = if key.starts_with(SIGHTING_PREFIX) {
            if !self.sightings {
                return None;
            }
            &self.view.snapshot.sightings
        } else {
            &self.view.snapshot.facts
        };
        part.get(namespace)?.get(key).cloned()
    }
}

fn beginning<'a>(
    part: Option<&'a BTreeMap<String, String>>,
    prefix: &'a str,
) -> impl Iterator<Item = (&'a String, &'a String)> {
    part.into_iter()
        .flat_map(move |part| part.range::<str, _>((Bound::Included(prefix), Bound::Unbounded)))
        .take_while(move |(key, _)| key.starts_with(prefix))
}

impl store::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.reading("store.get")?.get(&self.common.namespace, &key))
    }

    fn scan(&mut self, prefix: String) -> wasmtime::Result<Vec<(String, String)>> {
        Ok(self
            .reading("store.scan")?
            .scan(&self.common.namespace, &prefix))
    }
}

impl catalog::Host for Guest {
    async fn definition(&mut self, digest: String) -> wasmtime::Result<Option<String>> {
        let reading = self.reading("catalog.definition")?;
        let Ok(digest) = digest.parse::<Digest>() else {
            return Ok(None);
        };
        let answer = reading.view.definitions.definition(digest);
        let deadline = tokio::time::Instant::from_std(self.deadline);
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(text) => Ok(text.map(|text| text.as_ref().to_owned())),
            Err(_) => {
                self.timed_out = true;
                Err(ImportError::TooLate.into())
            }
        }
    }
}

impl clock::Host for Guest {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        let now = self.reading("clock.now-ms")?.view.now_ms;
        self.asked_clock = true;
        Ok(now)
    }
}

impl log::Host for Guest {
    fn message(&mut self, level: log::Level, text: String) -> wasmtime::Result<()> {
        self.reading("log.message")?;
        self.log.message(level, &text);
        Ok(())
    }
}

impl metrics::Host for Guest {
    fn add(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        self.reading("metrics.add")?;
        if let Err(why) = self.common.counted.add(&name, by)
            && !std::mem::replace(&mut self.miscounted, true)
        {
            let policy = &*self.common.policy;
            let name = visible_cut(&name, CHARS);
            tracing::warn!(policy, "`{name}` is not counted: {why}");
        }
        Ok(())
    }
}

impl ResourceLimiter for Memory {
    // A refusal traps: a guest that is told `-1` goes on with whatever its allocator makes of it.
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let bytes = self.bytes.saturating_add(desired.saturating_sub(current));
        if bytes > self.limit {
            self.refused = true;
            return Err(MemoryRefused(format!(
                "it asked for {bytes} bytes of memory and may have {}",
                self.limit
            ))
            .into());
        }
        self.bytes = bytes;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Err(MemoryRefused(format!("its memory could not grow: {error}")).into())
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let entries = self.entries.saturating_add(desired.saturating_sub(current));
        if entries > TABLE_ENTRIES {
            self.refused = true;
            return Err(MemoryRefused(format!(
                "it asked for {entries} table entries and may have {TABLE_ENTRIES}"
            ))
            .into());
        }
        self.entries = entries;
        Ok(true)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.refused = true;
        Err(MemoryRefused(format!("its table could not grow: {error}")).into())
    }
}
