//! A point in time that is moved far more often than it is reached.
//!
//! Knows only the clock.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// A deadline. Its timer is only set again when it rang too early: most deadlines are lifted long before, and setting a
/// timer costs more than looking at the clock.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    /// Sets it `after` from now.
    pub(crate) fn set(&mut self, after: Duration) {
        self.at = Some(Instant::now() + after);
    }

    /// There is none any more.
    pub(crate) fn lift(&mut self) {
        self.at = None;
    }

    /// Whether there is one.
    pub(crate) fn is_set(&self) -> bool {
        self.at.is_some()
    }

    /// Whether it has passed; if it has not, `cx` is woken when it does.
    pub(crate) fn passed(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(at) = self.at else {
            return false;
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        // A timer that rings later than the deadline would be too late; one that rings sooner is set again then.
        if timer.deadline() > at {
            timer.as_mut().reset(at);
        }
        while let Poll::Ready(()) = timer.as_mut().poll(cx) {
            if at <= Instant::now() {
                return true;
            }
            timer.as_mut().reset(at);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// Until it passes.
    async fn passes(deadline: &mut Deadline) {
        poll_fn(|cx| {
            if deadline.passed(cx) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    #[tokio::test]
    async fn it_passes_when_it_was_last_set_to() {
        let step = Duration::from_millis(20);
        let mut deadline = Deadline::default();
        let begun = Instant::now();
        deadline.set(step);
        deadline.set(step * 5);
        passes(&mut deadline).await;
        assert!(begun.elapsed() >= step * 5, "later than at first");
        deadline.set(step * 10_000);
        assert!(
            tokio::time::timeout(step, passes(&mut deadline))
                .await
                .is_err()
        );
        deadline.set(step);
        passes(&mut deadline).await;
        assert!(begun.elapsed() < step * 10_000, "sooner than at first");
        deadline.lift();
        assert!(
            tokio::time::timeout(step, passes(&mut deadline))
                .await
                .is_err()
        );
    }
}
