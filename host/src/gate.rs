//! A message's path: from the client through the chain to the server, and back.
//!
//! Ties bytes, meaning, chain, ledger and upstream together; everything it decides itself is what the protocol asks
//! for. What may pass is decided by the chain.

mod board;
pub mod catalogue;
pub mod host;
pub mod names;
pub mod probe;
pub mod reading;
pub mod serve;
pub mod server;
pub mod session;
pub mod watch;
pub mod wrap;

pub use host::Host;
pub use server::ServerEntry;
