//! The chain: policies in order, and the verdicts they come to together.
//!
//! Knows generations, visibility, and the permits without which nothing goes upstream. Knows no transport.

use std::sync::Arc;

use crate::policy::Policy;

/// A policy that should be in force with other bytes, or at all, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The policy.
    pub policy: String,
    /// What is wrong, where, and the mend.
    pub detail: String,
    /// Whether the last good bytes are in force instead.
    pub last_good: bool,
}

/// The chain at one moment: immutable, and one serves a message from start to end.
pub struct Generation {
    /// Counts up within the process.
    pub id: u64,
    /// The policies, in order.
    pub policies: Vec<Arc<Policy>>,
    /// What could not be put in force.
    pub problems: Vec<Problem>,
}
