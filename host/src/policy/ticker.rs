//! The epoch: what makes a guest stop and look at the clock.
//!
//! Knows one engine, and whether any guest runs. Knows nothing of deadlines: those are each store's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::EngineWeak;

/// The time between two ticks: the longest that a guest holds its thread before others get a turn.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// How many ticks without a guest it takes until the thread sleeps. Waking it costs the next hook a system call, so it
/// does not sleep between the messages of a busy session.
const IDLE_TICKS: u32 = 50;

/// A plain thread that advances an engine's epoch while guests run, and sleeps while none does.
///
/// It holds the engine weakly, and ends with the ticker.
pub(super) struct Ticker {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    asleep: AtomicBool,
    stopped: AtomicBool,
}

/// While it lives, the epoch advances.
pub(super) struct Running {
    shared: Arc<Shared>,
}

impl Ticker {
    /// Starts the thread.
    pub(super) fn start(engine: EngineWeak) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let thread = thread::Builder::new()
            .name("witgate-epoch".into())
            .stack_size(64 * 1024)
            .spawn({
                let shared = shared.clone();
                move || tick(&engine, &shared)
            })?;
        Ok(Self { shared, thread })
    }

    /// Says that a guest is about to run.
    pub(super) fn running(&self) -> Running {
        self.shared.running.fetch_add(1, Ordering::SeqCst);
        // Either this sees that the thread sleeps, or the thread, which says so before it looks, sees the guest.
        if self.shared.asleep.load(Ordering::SeqCst) {
            self.thread.thread().unpark();
        }
        Running {
            shared: self.shared.clone(),
        }
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

fn tick(engine: &EngineWeak, shared: &Shared) {
    let mut idle = 0;
    while !shared.stopped.load(Ordering::SeqCst) {
        if shared.running.load(Ordering::SeqCst) > 0 {
            idle = 0;
            let Some(engine) = engine.upgrade() else {
                return;
            };
            engine.increment_epoch();
        } else {
            idle += 1;
        }
        if idle < IDLE_TICKS {
            thread::park_timeout(TICK);
            continue;
        }
        shared.asleep.store(true, Ordering::SeqCst);
        while shared.running.load(Ordering::SeqCst) == 0 && !shared.stopped.load(Ordering::SeqCst) {
            thread::park();
        }
        shared.asleep.store(false, Ordering::SeqCst);
        idle = 0;
        // The first tick comes a whole period after the guest began, not at once.
        thread::park_timeout(TICK);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    /// A sleeping thread that is not woken would let a guest run for ever.
    #[test]
    #[allow(clippy::unwrap_used)]
    fn wakes_from_its_sleep_for_a_guest() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let engine = wasmtime::Engine::new(&config).unwrap();
        let module = wasmtime::Module::new(
            &engine,
            wat::parse_str("(module (func (export \"spin\") (loop (br 0))))").unwrap(),
        )
        .unwrap();
        let ticker = Ticker::start(engine.weak()).unwrap();
        let waited = Instant::now();
        while !ticker.shared.asleep.load(Ordering::SeqCst) {
            assert!(waited.elapsed() < Duration::from_secs(30));
            thread::sleep(TICK);
        }
        let mut store = wasmtime::Store::new(&engine, ());
        store.set_epoch_deadline(2);
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let spin = instance
            .get_typed_func::<(), ()>(&mut store, "spin")
            .unwrap();
        let running = ticker.running();
        let error = spin.call(&mut store, ()).unwrap_err();
        drop(running);
        assert_eq!(
            error.downcast_ref::<wasmtime::Trap>(),
            Some(&wasmtime::Trap::Interrupt)
        );
    }
}
