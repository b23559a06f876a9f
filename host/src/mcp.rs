//! What messages mean: methods, item kinds, catalogues, digests, and what a message says in headers beside its body.
//!
//! Knows MCP's words and shapes, of the revisions 2024-11-05 to 2025-11-25 and 2026-07-28. Knows nothing of policies, ledgers
//! or transports.

pub mod call;
pub mod capabilities;
pub mod client_request;
pub mod digest;
pub mod discover;
pub mod escape;
pub mod headers;
pub mod initialize;
pub mod input_required;
pub mod item;
pub mod list;
pub mod method;
pub mod refusal;
pub mod stateless;
pub mod template;
pub mod uri;

pub use item::{Digest, DigestError, Item, ItemKey, ItemKind};
