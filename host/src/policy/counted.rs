//! What policies count by the `metrics` import.
//!
//! Knows names and numbers of one policy. Nothing a policy can read is here, so that no verdict depends on it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The most counters of one policy: a name may hold what a server wrote, and memory is the host's.
const MAX_COUNTERS: usize = 64;

/// The longest name, bytes.
const MAX_NAME: usize = 64;

/// The counters of one policy, of all its instances together.
#[derive(Debug, Default)]
pub(super) struct Counted(Mutex<BTreeMap<String, u64>>);

/// A count that was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotCounted {
    /// The name is not one of a counter.
    #[error("its name is not 1 to {MAX_NAME} lower-case letters, digits and `_`")]
    Name,
    /// The policy has as many counters as it may.
    #[error("the policy has {MAX_COUNTERS} counters, which is the most")]
    Full,
}

impl Counted {
    /// Adds to a counter, which begins at nothing.
    pub(super) fn add(&self, name: &str, by: u64) -> Result<(), NotCounted> {
        let sound = (1..=MAX_NAME).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !sound {
            return Err(NotCounted::Name);
        }
        let mut counters = self.counters();
        if let Some(sum) = counters.get_mut(name) {
            *sum = sum.saturating_add(by);
            return Ok(());
        }
        if counters.len() >= MAX_COUNTERS {
            return Err(NotCounted::Full);
        }
        counters.insert(name.to_owned(), by);
        Ok(())
    }

    /// Every counter, by name.
    pub(super) fn all(&self) -> BTreeMap<String, u64> {
        self.counters().clone()
    }

    fn counters(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_by_name() {
        let counted = Counted::default();
        counted.add("seen", 1).unwrap();
        counted.add("seen", u64::MAX).unwrap();
        counted.add("other_2", 0).unwrap();
        let all = counted.all();
        assert_eq!(all["seen"], u64::MAX);
        assert_eq!(all["other_2"], 0);
    }

    /// A policy that counts by names a server chose would else fill memory, and break what reads the metrics.
    #[test]
    fn names_are_of_one_form_and_few() {
        let counted = Counted::default();
        for name in ["", "A", "a-b", "a b", "é", &"x".repeat(65), "a\n"] {
            assert_eq!(counted.add(name, 1), Err(NotCounted::Name), "{name:?}");
        }
        for n in 0..MAX_COUNTERS {
            counted.add(&format!("n{n}"), 1).unwrap();
        }
        assert_eq!(counted.add("one_more", 1), Err(NotCounted::Full));
        counted.add("n0", 1).unwrap();
        assert_eq!(counted.all().len(), MAX_COUNTERS);
    }
}
