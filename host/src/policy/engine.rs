//! The engine: wasmtime as this host sets it up, and the slots that bound how many instances live at once.
//!
//! Knows settings and reservations. Knows nothing of single components.

use std::sync::Arc;

use tokio::sync::Semaphore;
use wasmtime::component::Linker;
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::contract::imports;
use super::guest::{Guest, TABLE_ENTRIES};
use super::ticker::Ticker;
use super::{EngineError, EngineOptions, wasi};

/// How many linear memories instances that are ready may have, all policies together.
const READY_SLOTS: u32 = 64;

/// How many linear memories instances that were made for a message in hand may have; a message that finds none waits.
const INLINE_SLOTS: u32 = 64;

const SLOTS: u32 = READY_SLOTS + INLINE_SLOTS;

/// The most linear memories one instance may have: a component made from several modules has one or two.
pub(super) const MAX_MEMORIES: u32 = 8;

/// A page of WebAssembly memory.
const WASM_PAGE: usize = 64 * 1024;

/// Compiles, caches and limits components. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

/// What all clones of an engine share.
pub(super) struct Shared {
    pub(super) wasm: wasmtime::Engine,
    pub(super) linker: Linker<Guest>,
    pub(super) options: EngineOptions,
    pub(super) ticker: Ticker,
    /// Slots of ready instances.
    pub(super) ready: Arc<Semaphore>,
    /// Slots of instances made inline.
    pub(super) inline: Arc<Semaphore>,
    /// Connections of policies that may make requests.
    pub(super) client: wasi::Client,
}

impl Engine {
    /// Sets the engine up; falls back to on-demand allocation where the system grants no pool.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        let wasm = match pooled(&options, SLOTS, Reset::here()) {
            Ok(engine) => engine,
            Err(why) => {
                tracing::warn!(
                    "no address space could be reserved for policies ({why:#}); instances are allocated one by one, which is slower"
                );
                on_demand(&options)?
            }
        };
        Self::with(wasm, options)
    }

    /// Builds on an engine that was set up by [`config`].
    fn with(wasm: wasmtime::Engine, options: EngineOptions) -> Result<Self, EngineError> {
        let linker = linker(&wasm).map_err(|error| EngineError(format!("{error:#}")))?;
        let ticker = Ticker::start(wasm.weak())
            .map_err(|error| EngineError(format!("its clock thread did not start: {error}")))?;
        Ok(Self {
            shared: Arc::new(Shared {
                wasm,
                linker,
                options,
                ticker,
                ready: Arc::new(Semaphore::new(READY_SLOTS as usize)),
                inline: Arc::new(Semaphore::new(INLINE_SLOTS as usize)),
                client: wasi::Client::default(),
            }),
        })
    }
}

#[cfg(test)]
impl Engine {
    /// An engine as it is where the system grants no pool.
    pub(super) fn without_pool(options: EngineOptions) -> Result<Self, EngineError> {
        Self::with(on_demand(&options)?, options)
    }
}

fn on_demand(options: &EngineOptions) -> Result<wasmtime::Engine, EngineError> {
    wasmtime::Engine::new(&config(options)).map_err(|error| EngineError(format!("{error:#}")))
}

/// The settings that do not depend on how instances are allocated; so both ways share compiled code.
fn config(options: &EngineOptions) -> Config {
    let memory = memory_limit(options);
    let mut config = Config::new();
    config
        // Guests run as futures of their own on fibers; component-model concurrency would cost every store a table of
        // tasks that nothing here uses.
        .concurrency_support(false)
        .epoch_interruption(true)
        // Same inputs, same verdict (design, invariant 7), also across machines. Threads are not compiled in at all.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // Half for the guest; the rest is for host functions, which run on the same stack.
        .max_wasm_stack(512 * 1024)
        .async_stack_size(1024 * 1024)
        // As much address space as a memory may have bytes, so that growth never moves it; and a guard wide enough
        // that constant offsets into it need no check of their own.
        .memory_reservation(memory as u64)
        .memory_reservation_for_growth(0)
        .memory_may_move(false)
        .memory_guard_size(2 << 20)
        // Only native debuggers and profilers read it, and registering it costs every load.
        .native_unwind_info(false)
        .parallel_compilation(true);
    config
}

/// How a slot's memory is made fresh for the next instance.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reset {
    /// The kernel says which pages were touched; those are written over and stay resident, so that the next instance of
    /// that policy faults nothing in.
    Touched,
    /// All of it is given back. Guests leave most of their memory's beginning, the stack, untouched: writing over it
    /// without knowing would cost more than faults do.
    Whole,
}

impl Reset {
    /// The way that this kernel allows: Linux tells since 6.7.
    fn here() -> Self {
        if PoolingAllocationConfig::is_pagemap_scan_available() {
            Self::Touched
        } else {
            Self::Whole
        }
    }
}

fn pooled(options: &EngineOptions, slots: u32, reset: Reset) -> wasmtime::Result<wasmtime::Engine> {
    // A small guest touches a tenth of what may stay resident.
    let (scan, memory_kept, table_kept) = match reset {
        Reset::Touched => (Enabled::Auto, 512 * 1024, 64 * 1024),
        Reset::Whole => (Enabled::No, 0, 0),
    };
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        // These two only count: a component that links many modules (Python's are thirty) takes one memory all the same.
        .total_core_instances(slots.saturating_mul(64))
        .max_core_instance_size(4 << 20)
        .max_component_instance_size(4 << 20)
        .total_memories(slots)
        .max_memories_per_component(MAX_MEMORIES)
        .max_memories_per_module(MAX_MEMORIES)
        .total_tables(slots.saturating_mul(TABLES_PER_SLOT))
        .max_tables_per_module(8)
        .table_elements(TABLE_ENTRIES)
        .total_stacks(slots)
        .max_memory_size(memory_limit(options))
        .linear_memory_keep_resident(memory_kept)
        .table_keep_resident(table_kept)
        .pagemap_scan(scan)
        .max_unused_warm_slots(16);
    let mut config = config(options);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    wasmtime::Engine::new(&config)
}

/// How many tables there are for every memory: a component has one of its own and one that joins its imports.
pub(super) const TABLES_PER_SLOT: u32 = 2;

/// The limit on memory in whole pages.
fn memory_limit(options: &EngineOptions) -> usize {
    options
        .limits
        .memory
        .max(WASM_PAGE)
        .next_multiple_of(WASM_PAGE)
}

/// Every import that a component may have, some only by a grant: `shape` tells which. `types` holds no functions and
/// needs no entry.
fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    imports::store::add_to_linker::<_, Own>(&mut linker, |guest| guest)?;
    imports::catalog::add_to_linker::<_, Own>(&mut linker, |guest| guest)?;
    imports::clock::add_to_linker::<_, Own>(&mut linker, |guest| guest)?;
    imports::log::add_to_linker::<_, Own>(&mut linker, |guest| guest)?;
    imports::metrics::add_to_linker::<_, Own>(&mut linker, |guest| guest)?;
    wasi::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// Imports answer from the store's own data.
struct Own;

impl wasmtime::component::HasData for Own {
    type Data<'a> = &'a mut Guest;
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::policy::PolicyLimits;

    fn options(memory: usize) -> EngineOptions {
        EngineOptions {
            cache_dir: None,
            limits: PolicyLimits {
                hook_time: Duration::from_millis(100),
                record_time: Duration::from_millis(100),
                memory,
                output: 1 << 20,
            },
            ready: 4,
        }
    }

    /// A container or a limit on address space must not keep the gate from starting.
    #[test]
    fn starts_where_no_pool_can_be_reserved() {
        let options = options(4 << 30);
        assert!(pooled(&options, 1_000_000, Reset::Whole).is_err());
        assert!(on_demand(&options).is_ok());
    }

    /// Compiled code is shared between the two ways of allocating, and with other processes' caches.
    #[test]
    fn both_ways_of_allocating_share_compiled_code() {
        use std::hash::{DefaultHasher, Hash, Hasher};
        let hash = |engine: &wasmtime::Engine| {
            let mut hasher = DefaultHasher::new();
            engine.precompile_compatibility_hash().hash(&mut hasher);
            hasher.finish()
        };
        let options = options(64 << 20);
        assert_eq!(
            hash(&pooled(&options, 4, Reset::Whole).unwrap()),
            hash(&on_demand(&options).unwrap())
        );
    }
}
