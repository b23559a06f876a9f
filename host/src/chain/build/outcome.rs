//! What became of each policy when the chain was last built, and why.
//!
//! Knows the words for it. Knows nothing of files, nor of where it is shown.

use std::sync::Arc;

use crate::ledger::PolicyOrigin;
use crate::policy::Policy;

/// What came of the latest change of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Outcome {
    /// It is in force, and was not before.
    Installed,
    /// It is in force with other bytes, settings, mode, grants or reuse than before.
    Updated,
    /// It is in force no longer.
    Removed,
    /// What was read is what was in force.
    Unchanged,
    /// What was read cannot be put in force. What was in force before, if anything, stays.
    Rejected,
    /// It is still being written. What was in force before, if anything, stays.
    Pending,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] = [
        Self::Installed,
        Self::Updated,
        Self::Removed,
        Self::Unchanged,
        Self::Rejected,
        Self::Pending,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Updated => "updated",
            Self::Removed => "removed",
            Self::Unchanged => "unchanged",
            Self::Rejected => "rejected",
            Self::Pending => "pending",
        }
    }

    /// The outcome of that word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }
}

/// A policy, and what came of its latest change.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// How it came into the chain, or should.
    pub origin: PolicyOrigin,
    /// Its file, or `builtin:NAME`.
    pub file: String,
    /// What came of its latest change.
    pub outcome: Outcome,
    /// Since when, milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// What is wrong, where, and the mend, where something is.
    pub problem: Option<String>,
    /// What is in force.
    pub policy: Option<Arc<Policy>>,
}

impl Status {
    /// Whether older bytes are in force than its file should give.
    pub fn last_good(&self) -> bool {
        self.policy.is_some() && matches!(self.outcome, Outcome::Rejected | Outcome::Pending)
    }

    /// Whether it is not in force and should be.
    pub fn missing(&self) -> bool {
        self.policy.is_none() && self.outcome != Outcome::Removed
    }

    /// Whether it is of the policy of this name and origin.
    pub fn is_at(&self, origin: PolicyOrigin, name: &str) -> bool {
        self.origin == origin && self.name == name
    }

    /// Whether both say the same of the same change.
    pub(super) fn tells_as(&self, other: &Self) -> bool {
        (self.outcome, self.since_ms, &self.problem)
            == (other.outcome, other.since_ms, &other.problem)
    }

    /// Puts it into the log.
    pub fn log(&self) {
        let (policy, outcome) = (&*self.name, self.outcome.word());
        let file = &*crate::mcp::escape::visible(&self.file);
        let sha256 = self.policy.as_ref().map_or("", |policy| {
            let sha256 = policy.sha256();
            sha256.get(..16).unwrap_or(sha256)
        });
        let problem = self.problem.as_deref().map(escaped).unwrap_or_default();
        if self.outcome == Outcome::Rejected {
            tracing::warn!(policy, outcome, sha256, "{problem}");
        } else {
            tracing::info!(policy, outcome, sha256, file, "{problem}");
        }
    }
}

/// Text of ours that may quote somebody else's, line by line.
fn escaped(text: &str) -> String {
    let lines: Vec<_> = text.split('\n').map(crate::mcp::escape::visible).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_word_of_its_own() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.word()), Some(outcome));
        }
        assert_eq!(Outcome::from_word("lost"), None);
    }
}
