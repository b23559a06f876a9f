//! Upstream servers: child processes on stdio and the pipes to them, or URLs that speak streamable HTTP.
//!
//! Knows processes, pipes, connections and their ends. Knows nothing of what the bytes mean, nor who may write them: whoever holds
//! the outbox writes what a spent permit gave it.

pub mod child;
pub mod endpoint;
pub mod http;
pub mod outbox;
pub mod pipe;

pub use child::{Child, Launch, LaunchError};
pub use endpoint::Endpoint;
pub use outbox::Outbox;

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Upstream {
    /// A process that is started, on stdio.
    Child(Launch),
    /// A URL.
    Http(std::sync::Arc<Endpoint>),
}

impl Upstream {
    /// What a server's name stands for in the ledger: the command's words as a JSON array, or the URL
    /// with a digest in place of its query.
    pub fn identity(&self) -> String {
        match self {
            Self::Child(launch) => serde_json::Value::from(launch.command.as_slice()).to_string(),
            Self::Http(endpoint) => endpoint.identity(),
        }
    }
}
