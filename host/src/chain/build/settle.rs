//! When something that changes has changed for good.
//!
//! Knows times: how long a state must have stood, and how long others wait for it. Knows nothing of files.

use std::time::{Duration, Instant};

/// How long a state must have stood before it counts.
pub const SETTLE: Duration = Duration::from_millis(150);

/// How long what has settled waits for what still changes, so that files which are replaced together come into force
/// together. Whoever changes for longer is not waited for.
pub const TOGETHER: Duration = Duration::from_millis(500);

/// Something that is looked at again and again, and taken up once it has settled.
#[derive(Debug)]
pub(super) struct Settling<T> {
    seen: T,
    /// Since when it has been as it is.
    since: Instant,
    /// When it began to change.
    began: Instant,
    /// Whether it differs from what was taken up.
    fresh: bool,
    /// Whether it was told that it goes on changing.
    told: bool,
}

/// When something can be taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing differs from what was taken up.
    Never,
    /// Something may then, if it stays as it is.
    At(Instant),
    /// Something can now, or it must be told that it goes on changing.
    Now,
}

impl<T: PartialEq> Settling<T> {
    /// First seen so, and so since `since`.
    pub(super) const fn new(seen: T, since: Instant) -> Self {
        Self {
            seen,
            since,
            began: since,
            fresh: true,
            told: false,
        }
    }

    /// Looked at again.
    pub(super) fn look(&mut self, seen: T, now: Instant) {
        if self.seen != seen {
            self.seen = seen;
            self.stir(now);
        }
    }

    /// It changed, although it looks as before.
    pub(super) fn stir(&mut self, now: Instant) {
        self.since = now;
        if !self.fresh {
            self.fresh = true;
            self.began = now;
        }
    }

    /// It is what was taken up, however long it has stood.
    pub(super) const fn adopt(&mut self) {
        self.fresh = false;
    }

    /// It differs from what was taken up, although nothing showed that: it has stood as long as before.
    pub(super) const fn differs(&mut self) {
        self.fresh = true;
    }

    /// As it was last seen.
    pub(super) const fn seen(&self) -> &T {
        &self.seen
    }

    /// Whether it differs from what was taken up.
    pub(super) const fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether it has stood long enough.
    pub(super) fn is_settled(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.since) >= SETTLE
    }

    /// It was taken up, or it was told that it cannot be yet.
    pub(super) fn taken(&mut self, now: Instant) {
        if self.is_settled(now) {
            self.fresh = false;
            self.told = false;
        } else if now.saturating_duration_since(self.began) >= TOGETHER {
            self.told = true;
        }
    }

    fn due(&self, now: Instant) -> Wait {
        if !self.fresh {
            return Wait::Nothing;
        }
        if self.is_settled(now) {
            return Wait::Ready;
        }
        let settles = self.since + SETTLE;
        let out_of_step = self.began + TOGETHER;
        match (now >= out_of_step, self.told) {
            (false, _) => Wait::For(settles.min(out_of_step)),
            (true, false) => Wait::Ready,
            (true, true) => Wait::Alone(settles),
        }
    }
}

enum Wait {
    Nothing,
    Ready,
    /// The others wait for it.
    For(Instant),
    /// Nobody waits for it.
    Alone(Instant),
}

/// When something of several can be taken up.
#[derive(Debug)]
pub(super) struct Gathered {
    now: Instant,
    ready: bool,
    wait: Option<Instant>,
    alone: Option<Instant>,
}

impl Gathered {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            now,
            ready: false,
            wait: None,
            alone: None,
        }
    }

    pub(super) fn add<T: PartialEq>(&mut self, one: &Settling<T>) {
        let sooner = |at: Option<Instant>, other| Some(at.map_or(other, |at| at.min(other)));
        match one.due(self.now) {
            Wait::Nothing => {}
            Wait::Ready => self.ready = true,
            Wait::For(at) => self.wait = sooner(self.wait, at),
            Wait::Alone(at) => self.alone = sooner(self.alone, at),
        }
    }

    pub(super) fn due(self) -> Due {
        match (self.wait, self.ready, self.alone) {
            (Some(at), _, _) => Due::At(at),
            (None, true, _) => Due::Now,
            (None, false, Some(at)) => Due::At(at),
            (None, false, None) => Due::Never,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(now: Instant, all: &[&Settling<u8>]) -> Due {
        let mut gathered = Gathered::new(now);
        for one in all {
            gathered.add(one);
        }
        gathered.due()
    }

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_stood_long_enough_is_taken_up_once() {
        let start = Instant::now();
        let mut one = Settling::new(1, start);
        assert_eq!(due(start, &[&one]), Due::At(start + SETTLE));
        let later = start + SETTLE;
        one.look(1, later);
        assert_eq!(due(later, &[&one]), Due::Now);
        one.taken(later);
        assert_eq!(due(later, &[&one]), Due::Never);
    }

    /// Two files of one deployment must not come into force one after the other.
    #[test]
    fn what_has_settled_waits_for_what_changed_a_little_later() {
        let start = Instant::now();
        let first = Settling::new(1, start);
        let second = Settling::new(1, start + ms(100));
        let settled = start + SETTLE;
        assert_eq!(due(settled, &[&first, &second]), Due::At(start + ms(250)));
        assert_eq!(due(start + ms(250), &[&first, &second]), Due::Now);
    }

    /// A writer that never ends must not hold up the others, and is told of once.
    #[test]
    fn what_changes_for_ever_is_not_waited_for() {
        let start = Instant::now();
        let mut endless = Settling::new(0, start);
        let mut now = start;
        for round in 1..8 {
            now = start + ms(100 * round);
            endless.look(u8::try_from(round).unwrap_or(0), now);
        }
        let mut other = Settling::new(1, now - SETTLE);
        assert_eq!(due(now, &[&endless, &other]), Due::Now);
        assert!(!endless.is_settled(now));
        endless.taken(now);
        other.taken(now);
        assert!(endless.is_fresh() && !other.is_fresh());
        assert_eq!(due(now, &[&endless, &other]), Due::At(now + SETTLE));
        other.look(2, now + ms(10));
        assert_eq!(due(now + ms(160), &[&other]), Due::Now);
        let mut again = now + ms(160);
        endless.look(200, again);
        assert_eq!(due(again, &[&endless, &other]), Due::Now);
        again += SETTLE;
        assert_eq!(due(again, &[&endless]), Due::Now, "it has settled at last");
        endless.taken(again);
        assert!(!endless.is_fresh());
    }
}
