//! Between the host's types and the contract's.
//!
//! Knows both; decides nothing.

use crate::ledger::Standing;
use crate::mcp::{self, ItemKind};
use crate::policy::contract;

/// Who sends a message, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// `local` on stdio.
    pub id: String,
    /// The caller's roles.
    pub roles: Vec<String>,
}

impl Caller {
    /// The person who started the client, on stdio.
    pub fn local() -> Self {
        Self {
            id: "local".into(),
            roles: Vec::new(),
        }
    }
}

/// A server, as policies see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ServerView {
    /// The operator's name for it.
    pub name: String,
    /// Whether it is quarantined.
    pub quarantined: bool,
    /// Whether changes of its tools approve themselves.
    pub auto_approve: bool,
    /// Whether the operator lets it be used at all.
    pub enabled: bool,
}

impl ServerView {
    /// The server in the contract's words.
    pub fn to_contract(&self) -> contract::Server {
        let mut labels = Vec::new();
        if self.auto_approve {
            labels.push(("auto-approve-tool-changes".to_owned(), "true".to_owned()));
        }
        contract::Server {
            name: self.name.clone(),
            standing: if self.quarantined {
                contract::Standing::Quarantined
            } else {
                contract::Standing::Trusted
            },
            labels,
        }
    }

    /// The standing in the ledger's words.
    pub const fn standing(&self) -> Standing {
        if self.quarantined {
            Standing::Quarantined
        } else {
            Standing::Trusted
        }
    }
}

/// What judging hooks are told besides the thing to be judged.
pub fn context(server: &ServerView, caller: &Caller) -> contract::Context {
    contract::Context {
        server: server.to_contract(),
        caller: contract::Caller {
            id: caller.id.clone(),
            roles: caller.roles.clone(),
            labels: Vec::new(),
        },
        labels: Vec::new(),
    }
}

/// An item kind in the contract's words.
pub const fn kind(kind: ItemKind) -> contract::ItemKind {
    match kind {
        ItemKind::Tool => contract::ItemKind::Tool,
        ItemKind::Prompt => contract::ItemKind::Prompt,
        ItemKind::Resource => contract::ItemKind::ResourceItem,
        ItemKind::ResourceTemplate => contract::ItemKind::ResourceTemplate,
        ItemKind::SelfDescription => contract::ItemKind::SelfDescription,
    }
}

/// An observed item in the contract's words.
pub fn item(item: &mcp::Item) -> contract::Item {
    contract::Item {
        kind: kind(item.key.kind),
        name: item.key.name.to_string(),
        digest: item.digest.to_string(),
        labels: Vec::new(),
    }
}
