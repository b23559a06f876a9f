//! What the shipped policies must do, told once and run twice: on the policies as Rust types, in their own crates'
//! tests, and on the built components, in the host's.
//!
//! Every function here is a test; a wrong answer panics. Cases are named after those in the project's list where they
//! come from it (`f…`, `b…`).

#![allow(clippy::missing_panics_doc)]

pub mod allow_deny;
mod native;
pub mod quarantine;
pub mod trust_baseline;

pub use native::Native;
use witgate_policy::{
    Call, Catalogue, Context, Decision, Denial, Entry, Item, Locked, Refusal, Server, Verdict,
    Withheld,
};

/// A policy with a store of its own, as a Rust type or as a component.
pub trait Subject: Sized {
    /// Configures it; settings are JSON text.
    fn new(settings_json: &str) -> Result<Self, String>;

    /// Puts something into its store that it did not write.
    fn put(&mut self, key: &str, value: &str);

    /// `inventory.observe`; applies the changes.
    fn observe(&mut self, server: &Server, catalogue: &Catalogue, now_ms: u64);

    /// `list-filter.filter`.
    fn filter(&self, context: &Context, items: &[Item]) -> Vec<Option<Denial>>;

    /// `call-gate.check`.
    fn check(&self, context: &Context, call: &Call) -> Verdict;

    /// `discovery-surface.surface`.
    fn surface(&self, context: &Context, withheld: &[Withheld]) -> Vec<Option<Locked>>;

    /// `review.entries`.
    fn entries(&self, server: Option<&str>) -> Vec<Entry>;

    /// `review.decide`; applies the changes.
    fn decide(&mut self, decision: &Decision) -> Result<Option<Entry>, Refusal>;
}

/// A digest in the contract's form, told apart by `text`.
pub fn digest(text: &str) -> String {
    let mut hex = String::new();
    for n in 0..64_usize {
        let byte = text.as_bytes().get(n / 2).copied().unwrap_or(0);
        let half = if n % 2 == 0 { byte >> 4 } else { byte & 15 };
        hex.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
    }
    format!("1:{hex}")
}
