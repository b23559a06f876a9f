//! The hooks by the words that cases and commands use for them.

use crate::policy::Hooks;

/// A function of the contract that the host calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Hook {
    Settings,
    Inventory,
    ListFilter,
    CallGate,
    ResultGate,
    ClientRequestGate,
    DiscoverySurface,
    ReviewEntries,
    ReviewDecide,
}

impl Hook {
    /// Every hook, in the order of the contract.
    pub const ALL: [Self; 9] = [
        Self::Settings,
        Self::Inventory,
        Self::ListFilter,
        Self::CallGate,
        Self::ResultGate,
        Self::ClientRequestGate,
        Self::DiscoverySurface,
        Self::ReviewEntries,
        Self::ReviewDecide,
    ];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Inventory => "inventory",
            Self::ListFilter => "list-filter",
            Self::CallGate => "call-gate",
            Self::ResultGate => "result-gate",
            Self::ClientRequestGate => "client-request-gate",
            Self::DiscoverySurface => "discovery-surface",
            Self::ReviewEntries => "review-entries",
            Self::ReviewDecide => "review-decide",
        }
    }

    /// The hook that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hook| hook.word() == word)
    }

    /// Whether it is among `hooks`.
    pub const fn is_in(self, hooks: Hooks) -> bool {
        match self {
            Self::Settings => hooks.settings,
            Self::Inventory => hooks.inventory,
            Self::ListFilter => hooks.list_filter,
            Self::CallGate => hooks.call_gate,
            Self::ResultGate => hooks.result_gate,
            Self::ClientRequestGate => hooks.client_request_gate,
            Self::DiscoverySurface => hooks.discovery_surface,
            Self::ReviewEntries | Self::ReviewDecide => hooks.review,
        }
    }

    /// Whether it is given `record_ms` rather than `hook_ms`.
    pub const fn is_recording(self) -> bool {
        matches!(
            self,
            Self::Settings | Self::Inventory | Self::ReviewEntries | Self::ReviewDecide
        )
    }

    /// Whether its answer holds changes to the store.
    pub const fn returns_changes(self) -> bool {
        matches!(self, Self::Inventory | Self::ReviewDecide)
    }
}
