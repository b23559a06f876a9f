//! Upstream servers: child processes on stdio, and the pipes to them.
//!
//! Knows processes, pipes and their ends. Knows nothing of what the bytes mean, nor who may write them: whoever holds
//! the outbox writes what a spent permit gave it.

pub mod child;
pub mod outbox;
pub mod pipe;

pub use child::{Child, Launch, LaunchError};
pub use outbox::Outbox;
