//! WASI's clocks at the message's time.
//!
//! Time does not pass within a message, so waiting for a later time is over at once: a guest that sleeps goes on, and
//! one that waits for the clock to move runs into its limit. A policy that was granted something impure has timers that
//! run, since it may have to give up waiting for others.

use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Instant as Nanos};
use wasmtime_wasi::p2::bindings::clocks::wall_clock::{self, Datetime};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};
use wasmtime_wasi::{WasiCtxView, WasiView};

use crate::policy::guest::Guest;

/// The guest itself answers: it knows the message's time.
struct Clocks;

impl HasData for Clocks {
    type Data<'a> = &'a mut Guest;
}

/// Answers both clocks in place of those that stand there.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wall_clock::add_to_linker::<_, Clocks>(linker, |guest| guest)?;
    monotonic_clock::add_to_linker::<_, Clocks>(linker, |guest| guest)
}

impl wall_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<Datetime> {
        let now = Duration::from_millis(self.virtual_ms());
        Ok(Datetime {
            seconds: now.as_secs(),
            nanoseconds: now.subsec_nanos(),
        })
    }

    fn resolution(&mut self) -> wasmtime::Result<Datetime> {
        Ok(Datetime {
            seconds: 0,
            nanoseconds: 1_000_000,
        })
    }
}

impl monotonic_clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<Nanos> {
        let now = self.virtual_ms().saturating_mul(1_000_000);
        let passed = self.running().map_or(0, |began| nanos(began.elapsed()));
        // Never zero, not even while an instance is made: Go's runtime takes that for a broken clock, and stops.
        Ok(now.saturating_add(passed).max(1))
    }

    fn resolution(&mut self) -> wasmtime::Result<Nanos> {
        Ok(if self.running().is_some() {
            1
        } else {
            1_000_000
        })
    }

    fn subscribe_instant(&mut self, when: Nanos) -> wasmtime::Result<Resource<DynPollable>> {
        let left = match self.running() {
            Some(_) => when.saturating_sub(monotonic_clock::Host::now(self)?),
            None => 0,
        };
        monotonic_clock::Host::subscribe_duration(self, left)
    }

    fn subscribe_duration(&mut self, duration: Nanos) -> wasmtime::Result<Resource<DynPollable>> {
        let timer = match self.running() {
            // Further away than can be told: the hook's own limit comes first.
            Some(_) => Timer::At(Instant::now().checked_add(Duration::from_nanos(duration))),
            None => Timer::Over,
        };
        let WasiCtxView { table, .. } = self.ctx();
        let timer = table.push(timer)?;
        subscribe(table, timer)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What a guest waits for.
enum Timer {
    /// Nothing: time stands.
    Over,
    /// A time that comes, or never does.
    At(Option<Instant>),
}

#[async_trait]
impl Pollable for Timer {
    async fn ready(&mut self) {
        match self {
            // Others get a turn, or a guest that polls in a loop keeps the thread to itself.
            Self::Over => tokio::task::yield_now().await,
            Self::At(Some(at)) => tokio::time::sleep_until((*at).into()).await,
            Self::At(None) => std::future::pending().await,
        }
    }
}
