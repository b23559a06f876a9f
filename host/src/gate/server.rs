//! The server behind the gate, and what holds for it at a moment.
//!
//! Knows the server's configuration and how it was named. What makes a standing is `operator`'s to say.

use crate::chain::convert::ServerView;
use crate::config::Config;
use crate::ledger::{Snapshot, Standing};
use crate::operator::standing;
use crate::upstream::Upstream;

/// A server to be put behind the gate.
#[derive(Debug, Clone)]
pub struct ServerEntry {
    /// The operator's name for it, or a slug.
    pub name: String,
    /// How it is reached.
    pub upstream: Upstream,
    /// Whether its command was typed at `wrap`, by which it is trusted where nobody says otherwise.
    pub typed: bool,
}

impl ServerEntry {
    /// The server as policies see it now.
    pub fn view(&self, config: &Config, snapshot: &Snapshot) -> ServerView {
        let settings = config.servers.get(&self.name);
        let record = snapshot.servers.get(&self.name);
        let said = record.and_then(|record| record.standing.as_ref());
        let (standing, _) = standing(settings, said, self.typed);
        ServerView {
            name: self.name.clone(),
            quarantined: standing == Standing::Quarantined,
            auto_approve: settings.is_some_and(|s| s.auto_approve_tool_changes),
            enabled: settings.is_none_or(|s| s.enabled),
        }
    }

    /// Whether the operator lets a vendor method through.
    pub fn lets_through(&self, config: &Config, method: &str) -> bool {
        config
            .servers
            .get(&self.name)
            .is_some_and(|s| s.methods.iter().any(|m| m == method))
    }
}
