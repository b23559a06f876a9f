//! How much may be under way at once, of one caller and of all.
//!
//! Knows counts and a queue. Knows nothing of what is counted.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bound on how many of something there may be.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    open: Arc<AtomicUsize>,
    max: usize,
}

/// One of those that a [`Bound`] counts; none again when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Arc<AtomicUsize>);

/// Lets requests in.
pub(crate) struct Admission {
    all: Arc<Semaphore>,
    callers: Mutex<HashMap<Box<str>, Arc<Semaphore>>>,
    per_caller: usize,
    queue: Bound,
    wait: Duration,
}

/// A request that was let in; over when dropped.
#[derive(Debug)]
pub(crate) struct Admitted {
    _all: OwnedSemaphorePermit,
    _caller: OwnedSemaphorePermit,
}

/// Why a request was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    /// The caller has too many under way.
    #[error(
        "too many requests of this caller are under way (`max_requests_per_caller` in [http.limits])"
    )]
    Caller,
    /// Too many are under way in all.
    #[error("too many requests are under way (`max_requests` in [http.limits])")]
    All,
    /// Too many wait already.
    #[error("too many requests wait (`max_queue` in [http.limits])")]
    Queue,
}

impl Bound {
    /// At most `max`.
    pub(crate) fn new(max: usize) -> Self {
        Self {
            open: Arc::default(),
            max,
        }
    }

    /// One more, if there may be.
    pub(crate) fn take(&self) -> Option<Slot> {
        let before = self.open.fetch_add(1, Ordering::Relaxed);
        let slot = Slot(self.open.clone());
        (before < self.max).then_some(slot)
    }

    /// How many there are.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    /// At most `max` at once, `per_caller` of one caller; `queue` more wait for at most `wait`.
    pub(crate) fn new(max: usize, per_caller: usize, queue: usize, wait: Duration) -> Self {
        Self {
            all: Arc::new(Semaphore::new(max)),
            callers: Mutex::default(),
            per_caller,
            queue: Bound::new(queue),
            wait,
        }
    }

    /// Lets a request of `caller` in, when there is room.
    pub(crate) async fn enter(&self, caller: &str) -> Result<Admitted, Full> {
        let of_caller = self.of(caller);
        let mine = of_caller.clone().try_acquire_owned();
        let any = match &mine {
            Ok(_) => self.all.clone().try_acquire_owned().ok(),
            Err(_) => None,
        };
        if let (Ok(caller), Some(all)) = (mine, any) {
            return Ok(Admitted {
                _all: all,
                _caller: caller,
            });
        }
        let _waiting = self.queue.take().ok_or(Full::Queue)?;
        let deadline = tokio::time::Instant::now() + self.wait;
        let caller = within(deadline, of_caller, Full::Caller).await?;
        let all = within(deadline, self.all.clone(), Full::All).await?;
        Ok(Admitted {
            _all: all,
            _caller: caller,
        })
    }

    fn of(&self, caller: &str) -> Arc<Semaphore> {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = callers.get(caller) {
            return known.clone();
        }
        let new = Arc::new(Semaphore::new(self.per_caller));
        callers.insert(caller.into(), new.clone());
        new
    }

    /// Forgets callers of whom nothing is under way.
    pub(crate) fn tidy(&self) {
        self.callers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, of_caller| {
                Arc::strong_count(of_caller) > 1 || of_caller.available_permits() < self.per_caller
            });
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.queue.open()
    }
}

async fn within(
    deadline: tokio::time::Instant,
    semaphore: Arc<Semaphore>,
    full: Full,
) -> Result<OwnedSemaphorePermit, Full> {
    match tokio::time::timeout_at(deadline, semaphore.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        // Nobody closes these semaphores.
        Ok(Err(_)) | Err(_) => Err(full),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const WAIT: Duration = Duration::from_millis(30);
    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn a_bound_counts_what_is_held() {
        let bound = Bound::new(2);
        let one = bound.take().unwrap();
        let _two = bound.take().unwrap();
        assert!(bound.take().is_none());
        assert_eq!(bound.open(), 2, "who was not let in is not counted");
        drop(one);
        assert!(bound.take().is_some());
    }

    #[tokio::test]
    async fn one_caller_cannot_take_what_is_anothers() {
        let admission = Admission::new(3, 2, 4, WAIT);
        let _a1 = admission.enter("a").await.unwrap();
        let _a2 = admission.enter("a").await.unwrap();
        let begun = tokio::time::Instant::now();
        assert_eq!(admission.enter("a").await.unwrap_err(), Full::Caller);
        assert!(begun.elapsed() >= WAIT);
        let _b1 = admission.enter("b").await.unwrap();
        assert_eq!(admission.enter("b").await.unwrap_err(), Full::All);
    }

    #[tokio::test]
    async fn who_waits_is_let_in_when_there_is_room_and_the_queue_is_bounded() {
        let admission = Admission::new(1, 1, 1, LONG);
        let first = admission.enter("a").await.unwrap();
        let mut second = Box::pin(admission.enter("a"));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(admission.waiting(), 1);
        assert_eq!(admission.enter("b").await.unwrap_err(), Full::Queue);
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(admission.waiting(), 0);
        drop(second);
    }

    #[tokio::test]
    async fn callers_that_left_are_forgotten_and_others_not() {
        let admission = Admission::new(9, 1, 9, WAIT);
        let stays = admission.enter("stays").await.unwrap();
        drop(admission.enter("leaves").await.unwrap());
        admission.tidy();
        assert_eq!(admission.callers.lock().unwrap().len(), 1);
        assert_eq!(admission.enter("stays").await.unwrap_err(), Full::Caller);
        drop(stays);
        admission.tidy();
        assert!(admission.callers.lock().unwrap().is_empty());
    }
}
