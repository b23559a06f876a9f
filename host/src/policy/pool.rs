//! Instances: each made for one hook, some of them ahead of need.
//!
//! Knows how an instance comes to be, how many are kept, and what becomes of them. Knows nothing of what hooks mean.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::component::InstancePre;
use wasmtime::{Store, UpdateDeadline};

use super::FailureKind;
use super::contract::exports;
use super::engine::Shared;
use super::failure::classify;
use super::guest::{Common, Guest};
use super::shape::Indices;
use crate::mcp::escape::visible_cut;

/// How many instances are kept ready until a message finds none.
const READY_AT_FIRST: usize = 2;

/// The most linear memory that ready instances of one policy may have together, touched or not: small guests are kept
/// by the dozen, one that brings an interpreter only once or twice.
const READY_BYTES: usize = 32 << 20;

/// For how long no message must have found the pool empty until one instance less is kept.
const CALM: Duration = Duration::from_secs(30);

/// Makes instances of one component.
pub(super) struct Maker {
    pub(super) engine: Arc<Shared>,
    pub(super) common: Arc<Common>,
    pub(super) pre: InstancePre<Guest>,
    pub(super) indices: Indices,
    /// What `configure` is called with, if it is exported.
    pub(super) settings: Option<String>,
    /// How many of the engine's slots an instance takes.
    pub(super) slots: u32,
    /// For how many hooks an instance serves.
    pub(super) reuse: u32,
}

/// One instance, configured and never used, or just used.
pub(super) struct Instance {
    // Declared first: its memory goes back to the engine before the slot does.
    pub(super) store: Store<Guest>,
    pub(super) hooks: Exports,
    ready: bool,
    /// How many hooks it served.
    uses: u32,
    _slot: OwnedSemaphorePermit,
}

/// The hooks of one instance.
pub(super) struct Exports {
    settings: Option<exports::settings::Guest>,
    pub(super) inventory: Option<exports::inventory::Guest>,
    pub(super) list_filter: Option<exports::list_filter::Guest>,
    pub(super) call_gate: Option<exports::call_gate::Guest>,
    pub(super) result_gate: Option<exports::result_gate::Guest>,
    pub(super) client_request_gate: Option<exports::client_request_gate::Guest>,
    pub(super) discovery_surface: Option<exports::discovery_surface::Guest>,
    pub(super) review: Option<exports::review::Guest>,
}

/// Why an instance could not be made.
pub(super) enum Unmade {
    /// Its exports are not of the contract's types.
    Mismatch(String),
    /// `configure` answered with an error.
    Refused(String),
    /// It failed.
    Failed {
        stage: &'static str,
        kind: FailureKind,
        detail: String,
    },
}

/// The instances of one policy that are ready, and those that were used and wait to be cleared away.
pub(super) struct Pool {
    pub(super) maker: Maker,
    /// How much linear memory the first instance had, bytes.
    pub(super) first_memory: usize,
    most: usize,
    state: Mutex<State>,
}

struct State {
    ready: Vec<Instance>,
    /// Clearing an instance away costs as much as a small hook: that waits until the reply is written.
    spent: Vec<Instance>,
    making: usize,
    wanted: usize,
    last_miss: Instant,
}

/// Takes back the word that an instance is being made, however that ends.
struct Making<'a>(&'a Pool);

impl Maker {
    /// Makes an instance in a slot kept for ready ones; none if all are taken.
    async fn make_ready(&self) -> Option<Result<Instance, Unmade>> {
        let slots = self.engine.ready.clone();
        let slot = slots.try_acquire_many_owned(self.slots).ok()?;
        Some(self.make(slot, true).await)
    }

    /// Makes an instance for a message in hand; waits for a slot if all are taken.
    async fn make_inline(&self) -> Result<Instance, Unmade> {
        let slots = self.engine.inline.clone();
        match slots.acquire_many_owned(self.slots).await {
            Ok(slot) => self.make(slot, false).await,
            Err(_) => Err(Unmade::Failed {
                stage: "instantiate",
                kind: FailureKind::Host,
                detail: "the engine is shut down".into(),
            }),
        }
    }

    async fn make(&self, slot: OwnedSemaphorePermit, ready: bool) -> Result<Instance, Unmade> {
        let limits = &self.engine.options.limits;
        let _running = self.engine.ticker.running();
        let deadline = Instant::now() + limits.record_time;
        let guest = Guest::new(self.common.clone(), limits.memory, deadline);
        let mut store = Store::new(&self.engine.wasm, guest);
        store.limiter(|guest| &mut guest.memory);
        store.epoch_deadline_callback(|mut store| {
            let guest = store.data_mut();
            if Instant::now() < guest.deadline {
                // tokio's own yield, not wasmtime's: it lets timers and sockets have their turn too.
                let turn = Box::pin(tokio::task::yield_now());
                return Ok(UpdateDeadline::YieldCustom(1, turn));
            }
            guest.timed_out = true;
            Ok(UpdateDeadline::Interrupt)
        });
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(limits.output);
        let instance = match self.pre.instantiate_async(&mut store).await {
            Ok(instance) => instance,
            Err(error) => return Err(failed("instantiate", &store, &error)),
        };
        let hooks = self.indices.load(&mut store, &instance).map_err(|error| {
            Unmade::Mismatch(visible_cut(&format!("{error:#}"), 500).into_owned())
        })?;
        if let (Some(settings), Some(text)) = (&hooks.settings, &self.settings) {
            match settings.call_configure(&mut store, text).await {
                Ok(Ok(())) => {}
                Ok(Err(why)) => return Err(Unmade::Refused(visible_cut(&why, 500).into_owned())),
                Err(error) => return Err(failed("settings.configure", &store, &error)),
            }
        }
        Ok(Instance {
            store,
            hooks,
            ready,
            uses: 0,
            _slot: slot,
        })
    }
}

fn failed(stage: &'static str, store: &Store<Guest>, error: &wasmtime::Error) -> Unmade {
    let (kind, detail) = classify(store.data(), error);
    Unmade::Failed {
        stage,
        kind,
        detail,
    }
}

impl Indices {
    /// Looks the hooks up in an instance, and checks their types.
    fn load(
        &self,
        store: &mut Store<Guest>,
        instance: &wasmtime::component::Instance,
    ) -> wasmtime::Result<Exports> {
        macro_rules! load {
            ($($hook:ident),*) => {
                Exports { $($hook: self.$hook.as_ref().map(|hook| hook.load(&mut *store, instance)).transpose()?,)* }
            };
        }
        Ok(load!(
            settings,
            inventory,
            list_filter,
            call_gate,
            result_gate,
            client_request_gate,
            discovery_surface,
            review
        ))
    }
}

impl Pool {
    /// Makes the first instance, which shows whether the component runs at all, and keeps it.
    pub(super) async fn begin(maker: Maker) -> Result<Self, Unmade> {
        let first = match maker.make_ready().await {
            Some(made) => made?,
            None => maker.make_inline().await?,
        };
        let first_memory = first.store.data().memory.bytes;
        let most = (READY_BYTES / first_memory.max(1))
            .max(1)
            .min(maker.engine.options.ready);
        let pool = Self {
            maker,
            first_memory,
            most,
            state: Mutex::new(State {
                ready: Vec::with_capacity(most),
                spent: Vec::with_capacity(most),
                making: 0,
                wanted: READY_AT_FIRST.min(most),
                last_miss: Instant::now(),
            }),
        };
        if first.ready && most > 0 {
            pool.state().ready.push(first);
        }
        Ok(pool)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An instance that is ready, or a new one.
    pub(super) async fn take(&self) -> Result<Instance, Unmade> {
        let ready = {
            let mut state = self.state();
            let ready = state.ready.pop();
            if ready.is_none() {
                state.last_miss = Instant::now();
                state.wanted = (state.wanted * 2).clamp(1, self.most.max(1)).min(self.most);
            }
            ready
        };
        match ready {
            Some(instance) => Ok(instance),
            None => self.maker.make_inline().await,
        }
    }

    /// Makes an instance as for a message that finds none ready, and drops it.
    pub(super) async fn make_one(&self) -> Result<(), Unmade> {
        self.maker.make_inline().await.map(drop)
    }

    /// Clears a used instance away, later if it can wait, else now; or keeps it for the next message, where the operator
    /// said so.
    pub(super) fn retire(&self, mut instance: Instance) {
        instance.store.data_mut().end();
        if !instance.ready {
            return;
        }
        instance.uses = instance.uses.saturating_add(1);
        let mut state = self.state();
        if instance.uses < self.maker.reuse && state.ready.len() < state.wanted {
            state.ready.push(instance);
            return;
        }
        if state.spent.len() < self.most {
            state.spent.push(instance);
        }
    }

    /// Clears used instances away and makes new ones until as many are ready as there should be.
    pub(super) async fn refill(&self) {
        let (spent, surplus) = {
            let mut state = self.state();
            let mut surplus = None;
            if state.wanted > READY_AT_FIRST && state.last_miss.elapsed() > CALM {
                state.wanted -= 1;
                state.last_miss = Instant::now();
                if state.ready.len() > state.wanted {
                    surplus = state.ready.pop();
                }
            }
            (std::mem::take(&mut state.spent), surplus)
        };
        drop((spent, surplus));
        loop {
            let making = {
                let mut state = self.state();
                if state.ready.len() + state.making >= state.wanted {
                    return;
                }
                state.making += 1;
                Making(self)
            };
            let instance = self.maker.make_ready().await;
            drop(making);
            match instance {
                Some(Ok(instance)) => {
                    self.state().ready.push(instance);
                }
                Some(Err(why)) => {
                    tracing::warn!(
                        policy = &*self.maker.common.policy,
                        "no instance could be made ready: {}",
                        why.detail()
                    );
                    return;
                }
                None => return,
            }
        }
    }

    /// How many are ready.
    pub(super) fn ready(&self) -> usize {
        self.state().ready.len()
    }
}

impl Unmade {
    /// What is wrong, in words.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Mismatch(detail) => {
                format!("its exports are not of the contract's types: {detail}")
            }
            Self::Refused(why) => format!("it refuses its settings: {why}"),
            Self::Failed { stage, detail, .. } => format!("it failed in {stage}: {detail}"),
        }
    }

    /// What kind of failure it is where a hook was to be called.
    pub(super) fn kind(&self) -> FailureKind {
        match self {
            Self::Mismatch(_) | Self::Refused(_) => FailureKind::BadOutput,
            Self::Failed { kind, .. } => *kind,
        }
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        self.0.state().making -= 1;
    }
}
