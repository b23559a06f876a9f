//! Connections that wait for their next request.
//!
//! Knows when one may be used again: its last answer was read, the server did not close it, and it did not wait long.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use tokio::runtime;

use super::link::Link;

/// How long a connection may wait for its next request. Node.js and uvicorn close theirs after five seconds, and a request
/// that meets such a closing may have reached the server or not.
const MAX_IDLE: Duration = Duration::from_secs(4);

/// How long a server may take to end a stream after the answer before the connection is given up.
const MAX_TAIL: Duration = Duration::from_secs(1);

/// How much may come behind an answer before the connection is given up, bytes.
const MAX_TAIL_BYTES: usize = 64 << 10;

/// The most connections that wait.
const MAX_WAITING: usize = 256;

/// The connections to one endpoint that wait.
#[derive(Default)]
pub(in crate::upstream) struct Pool {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The longest waiting first.
    waiting: VecDeque<Waiting>,
    /// The runtime whose task gives up connections that waited too long.
    sweeper: Option<runtime::Id>,
}

struct Waiting {
    link: Link,
    /// What is still to be read of the last answer.
    tail: Option<Incoming>,
    tail_bytes: usize,
    since: Instant,
    /// The runtime that its socket belongs to.
    runtime: runtime::Id,
}

impl Pool {
    /// One that can take a request at once.
    pub(super) fn take(&self) -> Option<Link> {
        let runtime = runtime::Handle::try_current().ok()?.id();
        let mut state = self.state();
        let mut at = state.waiting.len();
        while at > 0 {
            at -= 1;
            if state.waiting[at].runtime != runtime {
                continue;
            }
            match state.waiting[at].look() {
                Fitness::Ready => return state.waiting.remove(at).map(|waiting| waiting.link),
                Fitness::NotYet => {}
                Fitness::Unfit => drop(state.waiting.remove(at)),
            }
        }
        None
    }

    /// Takes one back; `tail` is the body of its last answer, where it is not known to be read to its end.
    pub(super) fn put(self: &Arc<Self>, link: Link, tail: Option<Incoming>) {
        let Ok(handle) = runtime::Handle::try_current() else {
            return;
        };
        let runtime = handle.id();
        let mut state = self.state();
        if state.waiting.len() >= MAX_WAITING {
            state.waiting.pop_front();
        }
        state.waiting.push_back(Waiting {
            link,
            tail,
            tail_bytes: 0,
            since: Instant::now(),
            runtime,
        });
        if state.sweeper != Some(runtime) {
            state.sweeper = Some(runtime);
            drop(state);
            let pool = Arc::downgrade(self);
            handle.spawn(async move {
                loop {
                    tokio::time::sleep(MAX_IDLE).await;
                    let Some(pool) = pool.upgrade() else { return };
                    let mut state = pool.state();
                    state
                        .waiting
                        .retain(|waiting| waiting.since.elapsed() < MAX_IDLE);
                    if state.waiting.is_empty() {
                        if state.sweeper == Some(runtime) {
                            state.sweeper = None;
                        }
                        return;
                    }
                }
            });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Fitness {
    Ready,
    NotYet,
    Unfit,
}

impl Waiting {
    /// Looks without waiting. Nobody is woken by what comes later: whoever needs a connection looks again.
    fn look(&mut self) -> Fitness {
        let age = self.since.elapsed();
        if age >= MAX_IDLE {
            return Fitness::Unfit;
        }
        let cx = &mut Context::from_waker(Waker::noop());
        while let Some(body) = &mut self.tail {
            match self.link.poll_read(body, cx) {
                Poll::Pending if age < MAX_TAIL => return Fitness::NotYet,
                Poll::Pending | Poll::Ready(Some(Err(_))) => return Fitness::Unfit,
                Poll::Ready(None) => self.tail = None,
                Poll::Ready(Some(Ok(bytes))) => {
                    self.tail_bytes += bytes.len();
                    if self.tail_bytes > MAX_TAIL_BYTES {
                        return Fitness::Unfit;
                    }
                }
            }
        }
        if self.link.is_ready(cx) {
            Fitness::Ready
        } else {
            Fitness::Unfit
        }
    }
}
