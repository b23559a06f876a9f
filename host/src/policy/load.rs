//! Loading: from a file's bytes to a policy that was instantiated and configured once.
//!
//! Knows what can be wrong with a component and what mends it. Knows nothing of the chain.

use std::sync::Arc;

use futures_util::future::join_all;
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use super::cache::Cache;
use super::counted::Counted;
use super::engine::{Engine, MAX_MEMORIES, Shared, TABLES_PER_SLOT};
use super::guest::Common;
use super::pool::{Maker, Pool, Unmade};
use super::shape::{self, Indices, SERVED};
use super::{Counters, FailureKind, LoadCause, LoadError, Policy, Source, Witness};
use crate::ledger::Namespace;
use crate::mcp::escape::visible_cut;

/// The largest component, bytes: one that brings Python is about half of it.
pub const MAX_COMPONENT: usize = 64 << 20;

/// A component that may become a policy.
pub(super) struct Candidate {
    pub(super) source: Source,
    /// Empty if the component was refused unread.
    pub(super) sha256: String,
    pub(super) component: Result<Component, String>,
    /// Whether the cache had it.
    pub(super) cached: bool,
}

/// A component as the cache knows it.
struct Found {
    source: Source,
    sha256: String,
    /// None if it must be compiled.
    component: Result<Option<Component>, String>,
}

impl Engine {
    /// Loads components, compiled in parallel: compiles or takes them from the cache, checks exports and imports,
    /// instantiates each once and configures it. One answer each, in their order.
    pub async fn load(&self, sources: Vec<Source>) -> Vec<Result<Arc<Policy>, LoadError>> {
        let named: Vec<_> = sources
            .iter()
            .map(|source| (source.name.clone(), source.file.clone()))
            .collect();
        let shared = self.shared.clone();
        let compiled = tokio::task::spawn_blocking(move || compile_all(&shared, sources)).await;
        match compiled {
            Ok(candidates) => {
                join_all(
                    candidates
                        .into_iter()
                        .map(|candidate| begin(self.shared.clone(), candidate, None)),
                )
                .await
            }
            Err(error) => named
                .into_iter()
                .map(|(name, file)| {
                    Err(LoadError {
                        name,
                        file,
                        detail: format!(
                            "the compiler failed: {error}. Build the policy again, and report this if it stays so"
                        ),
                        cause: LoadCause::Component,
                    })
                })
                .collect(),
        }
    }
}

/// Takes components from the cache, and compiles those that are not there.
pub(super) fn compile_all(engine: &Shared, sources: Vec<Source>) -> Vec<Candidate> {
    let cache = engine.options.cache_dir.as_deref().and_then(|dir| {
        Cache::open(dir, &engine.wasm)
            .inspect_err(|error| {
                tracing::warn!(
                    "compiled policies are not kept, which makes starting slower: {error}"
                );
            })
            .ok()
    });
    let found: Vec<Found> = sources
        .into_iter()
        .map(|source| Found::new(engine, cache.as_ref(), source))
        .collect();
    let compile = |found: Found| found.compile(engine, cache.as_ref());
    if found
        .iter()
        .any(|found| matches!(found.component, Ok(None)))
    {
        found.into_par_iter().map(compile).collect()
    } else {
        // Nothing to compile: the threads for it are not even started.
        found.into_iter().map(compile).collect()
    }
}

impl Found {
    fn new(engine: &Shared, cache: Option<&Cache>, source: Source) -> Self {
        let (sha256, component) = match check(&source) {
            Ok(()) => {
                let sha256 = hex::encode(Sha256::digest(&source.component));
                let kept = cache.and_then(|cache| cache.load(&sha256, &engine.wasm));
                (sha256, Ok(kept))
            }
            Err(why) => (String::new(), Err(why)),
        };
        Self {
            source,
            sha256,
            component,
        }
    }

    fn compile(self, engine: &Shared, cache: Option<&Cache>) -> Candidate {
        let Self {
            source,
            sha256,
            component,
        } = self;
        let cached = matches!(component, Ok(Some(_)));
        let component = component.and_then(|kept| match kept {
            Some(component) => Ok(component),
            None => compile(engine, cache, &source, &sha256),
        });
        Candidate {
            source,
            sha256,
            component,
            cached,
        }
    }
}

/// What can be told from the bytes and from what the operator said.
fn check(source: &Source) -> Result<(), String> {
    if source.component.len() > MAX_COMPONENT {
        return Err(format!(
            "it is {} bytes long; at most {MAX_COMPONENT} are loaded. Strip it (`wasm-tools strip`) or build it smaller",
            source.component.len()
        ));
    }
    shape::check_bytes(&source.component)
}

fn compile(
    engine: &Shared,
    cache: Option<&Cache>,
    source: &Source,
    sha256: &str,
) -> Result<Component, String> {
    let component = Component::from_binary(&engine.wasm, &source.component).map_err(|error| {
        let error = format!("{error:#}");
        let error = visible_cut(&error, 500);
        if error.contains("pooling allocator configuration") {
            format!(
                "it needs more than an instance may have: {error}. Build it smaller, or raise `policy_memory_bytes` under `[limits]` in witgate.toml"
            )
        } else {
            format!("it cannot be compiled: {error}. Build it again with current tools")
        }
    })?;
    if let Some(cache) = cache
        && let Err(error) = cache.keep(sha256, &component)
    {
        tracing::warn!(
            policy = source.name,
            "the compiled policy is not kept, which makes starting slower: {error}"
        );
    }
    Ok(component)
}

/// Checks a compiled component from the outside, then runs it for the first time.
pub(super) async fn begin(
    engine: Arc<Shared>,
    candidate: Candidate,
    witness: Option<Arc<Witness>>,
) -> Result<Arc<Policy>, LoadError> {
    let Candidate {
        source,
        sha256,
        component,
        cached: _,
    } = candidate;
    let refused = |source: Source, (cause, detail)| LoadError {
        name: source.name,
        file: source.file,
        detail,
        cause,
    };
    let unfit = |detail| (LoadCause::Component, detail);
    let name: Arc<str> = source.name.as_str().into();
    let namespace = Namespace::new(source.origin, &name);
    let common = Arc::new(Common {
        policy: name.clone(),
        namespace: namespace.clone(),
        counted: Counted::default(),
        http: source.grants.http.clone().map(Arc::new),
        client: engine.client.clone(),
        witness,
    });
    let made = async {
        let component = component.map_err(unfit)?;
        let shape = shape::inspect(&component, &source).map_err(unfit)?;
        let maker = maker(engine, common.clone(), &component, &shape, &source).map_err(unfit)?;
        let pool = Pool::begin(maker).await.map_err(first_failure)?;
        Ok((shape, pool))
    }
    .await;
    match made {
        Ok((shape, pool)) => Ok(Arc::new(Policy {
            name,
            namespace,
            source,
            sha256,
            shape,
            pool,
            counters: Counters::default(),
            common,
        })),
        Err(why) => Err(refused(source, why)),
    }
}

fn maker(
    engine: Arc<Shared>,
    common: Arc<Common>,
    component: &Component,
    shape: &shape::Shape,
    source: &Source,
) -> Result<Maker, String> {
    let settings = match (&source.settings, shape.hooks.settings) {
        (Some(_), false) => {
            return Err(
                "it was given settings and takes none (it does not export `settings`). Remove `settings` from its entry in witgate.toml or its sidecar"
                    .into(),
            );
        }
        (Some(settings), true) => Some(settings.clone()),
        (None, true) => Some("{}".to_owned()),
        (None, false) => None,
    };
    let Some(needs) = component.resources_required() else {
        return Err("it imports core modules or components. Build it as one component".into());
    };
    let slots = needs
        .num_memories
        .max(needs.num_tables.div_ceil(TABLES_PER_SLOT))
        .max(1);
    if slots > MAX_MEMORIES {
        return Err(format!(
            "it has {} memories and {} tables; at most {MAX_MEMORIES} and {} are given to one instance. Build it from fewer modules",
            needs.num_memories,
            needs.num_tables,
            MAX_MEMORIES * TABLES_PER_SLOT
        ));
    }
    let mend = format!(
        "Build it against the `wit/` of a version that is served ({SERVED}), or install a later witgate"
    );
    let pre = engine.linker.instantiate_pre(component).map_err(|error| {
        format!(
            "its imports are not what this host offers: {}. {mend}",
            visible_cut(&format!("{error:#}"), 500)
        )
    })?;
    let indices = Indices::new(&pre, shape.hooks).map_err(|error| {
        format!(
            "its exports are not of the contract's types: {}. {mend}",
            visible_cut(&format!("{error:#}"), 500)
        )
    })?;
    Ok(Maker {
        engine,
        common,
        pre,
        indices,
        settings,
        slots,
        reuse: source.reuse,
    })
}

/// Why the first instance could not be made, with the mend.
fn first_failure(why: Unmade) -> (LoadCause, String) {
    let mend = match &why {
        Unmade::Mismatch(_) => {
            format!("Build it against the `wit/` of a version that is served ({SERVED})")
        }
        Unmade::Refused(_) => {
            "Correct `settings` in its entry in witgate.toml or its sidecar".into()
        }
        Unmade::Failed { kind, .. } => match kind {
            FailureKind::Timeout => {
                "Make it do less at its start, or raise `record_ms` under `[limits]` in witgate.toml".into()
            }
            FailureKind::OutOfMemory => {
                "Make it need less, or raise `policy_memory_bytes` under `[limits]` in witgate.toml".into()
            }
            FailureKind::Trap | FailureKind::BadOutput => "Correct the policy".into(),
            FailureKind::Host => "See the log".into(),
        },
    };
    let detail = format!("{}. {mend}", why.detail());
    let cause = match why {
        Unmade::Mismatch(_) => LoadCause::Component,
        Unmade::Refused(said) => LoadCause::Settings(said),
        Unmade::Failed { kind, .. } => LoadCause::Failed(kind),
    };
    (cause, detail)
}
