//! The SDK for policies of witgate, the policy host for the Model Context Protocol.
//!
//! A policy is a WebAssembly component that exports hooks of `witgate:policy`. With this crate it is a type that
//! implements [`Policy`] and a line that exports the hooks it has:
//!
//! ```
//! use witgate_policy::{Call, Context, Denial, Host, Policy, Verdict};
//!
//! /// Nobody but the person at the keyboard may write.
//! pub struct ReadOnly;
//!
//! impl Policy for ReadOnly {
//!     type Settings = ();
//!
//!     fn new(_: ()) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!
//!     fn check(&self, _host: &impl Host, _context: &Context, call: &Call) -> Verdict {
//!         if call.item.name.starts_with("write_") {
//!             return Verdict::Deny(Denial::new("read_only", "This server is read-only here"));
//!         }
//!         Verdict::Allow
//!     }
//! }
//!
//! witgate_policy::export!(ReadOnly: call_gate);
//! ```
//!
//! The crate knows the contract and how a component is made of a Rust type. It knows nothing of any host: what a
//! policy reads of one comes through [`Host`], and [`testing`] has one for tests on the machine that builds.

mod arena;
#[doc(hidden)]
pub mod bindings;
mod export;
mod host;
mod policy;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod words;

pub use bindings::exports::{
    Action, Admission, Catalogue, ClientRequest, Decided, Decision, Entry, Hold, Locked, Refusal,
    Ruling, Verdict, Withheld,
};
pub use bindings::types::{
    Call, Caller, Change, Context, Denial, Item, ItemKind, Server, Standing,
};
#[doc(hidden)]
pub use export::rt;
pub use host::{Host, LogLevel};
pub use policy::Policy;
pub use words::{SIGHTING_PREFIX, label};

/// The guide's examples are compiled with the crate's.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/policies.md")]
mod guide {}
