//! The server behind the gate, and what holds for it at a moment.
//!
//! Knows how the file's word, the operator's command and the way the server was named make its standing (design §9).

use crate::chain::convert::ServerView;
use crate::config::Config;
use crate::ledger::{Snapshot, Standing};
use crate::upstream::Launch;

/// A server to be put behind the gate.
#[derive(Debug, Clone)]
pub struct ServerEntry {
    /// The operator's name for it, or a slug.
    pub name: String,
    /// How it is started.
    pub launch: Launch,
    /// Whether its command was typed at `wrap`, by which it is trusted where nobody says otherwise.
    pub typed: bool,
}

/// Where a server's standing comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StandingSource {
    /// The configuration says so.
    File,
    /// An operator's command said so.
    Operator,
    /// Nobody said anything.
    Default,
}

/// The standing of a server: the file's explicit word, else the operator's command, else by how it was named.
pub fn standing(
    config: &Config,
    snapshot: &Snapshot,
    name: &str,
    typed: bool,
) -> (Standing, StandingSource) {
    if let Some(standing) = config.servers.get(name).and_then(|server| server.standing) {
        return (standing, StandingSource::File);
    }
    if let Some(record) = snapshot
        .servers
        .get(name)
        .and_then(|server| server.standing.as_ref())
    {
        return (record.standing, StandingSource::Operator);
    }
    let default = if typed {
        Standing::Trusted
    } else {
        Standing::Quarantined
    };
    (default, StandingSource::Default)
}

impl ServerEntry {
    /// The server as policies see it now.
    pub fn view(&self, config: &Config, snapshot: &Snapshot) -> ServerView {
        let (standing, _) = standing(config, snapshot, &self.name, self.typed);
        let settings = config.servers.get(&self.name);
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
