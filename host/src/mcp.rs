//! What messages mean: methods, item kinds, catalogues, digests.
//!
//! Knows MCP's words and shapes. Knows nothing of policies, ledgers or transports.

pub mod item;

pub use item::{Digest, DigestError, Item, ItemKey, ItemKind};
