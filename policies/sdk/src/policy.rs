//! The trait a policy implements.

use serde::de::DeserializeOwned;

use crate::{
    Admission, Call, Catalogue, Change, ClientRequest, Context, Decided, Decision, Denial, Entry,
    Host, Item, Locked, Refusal, Ruling, Server, Verdict, Withheld,
};

/// A policy: settings, and the hooks it has.
///
/// Implement the hooks you need and name the same ones in [`export!`](crate::export!). A hook that is exported but not
/// implemented traps, which the host takes for a denial.
///
/// Judging hooks (`filter`, `check`, `inspect`, `admit`, `surface`) and `entries` are pure: what they answer may depend on
/// their arguments, the settings and what `host` answers, and on nothing else. Hooks that record (`observe`, `decide`)
/// write nothing themselves: they return the changes, which the host applies whole. Every message meets a fresh
/// instance, so nothing kept in the policy's own memory outlives one.
pub trait Policy: Sized + Send + Sync + 'static {
    /// What the operator may set: any type that serde reads from JSON. Use `#[serde(deny_unknown_fields, default)]`,
    /// so that a misspelt key refuses the policy instead of being ignored; use `()` if there is nothing to set.
    type Settings: DeserializeOwned + Default;

    /// Makes the policy of its settings. An error refuses it, and is shown to the operator: say what to write instead.
    /// No method of a [`Host`] can be called here.
    fn new(settings: Self::Settings) -> Result<Self, String>;

    /// `inventory.observe`: what a server offers has been read. Returns what to remember.
    fn observe(
        &self,
        _host: &impl Host,
        _server: &Server,
        _catalogue: &Catalogue,
        _now_ms: u64,
    ) -> Vec<Change> {
        not_implemented("observe")
    }

    /// `list-filter.filter`: one answer for each item, in their order; `None` keeps it.
    fn filter(
        &self,
        _host: &impl Host,
        _context: &Context,
        _items: &[Item],
    ) -> Vec<Option<Denial>> {
        not_implemented("filter")
    }

    /// `call-gate.check`: may this call run?
    fn check(&self, _host: &impl Host, _context: &Context, _call: &Call) -> Verdict {
        not_implemented("check")
    }

    /// `result-gate.inspect`: may the agent have what the call brought back? `outcome` is JSON text: the response's
    /// `result`, or `{"error": …}`.
    fn inspect(
        &self,
        _host: &impl Host,
        _context: &Context,
        _call: &Call,
        _outcome: &str,
    ) -> Ruling {
        not_implemented("inspect")
    }

    /// `client-request-gate.admit`: may the server ask this of the client?
    fn admit(&self, _host: &impl Host, _context: &Context, _request: &ClientRequest) -> Admission {
        not_implemented("admit")
    }

    /// `discovery-surface.surface`: one answer for each item this policy withholds, in their order; `None` hides it.
    fn surface(
        &self,
        _host: &impl Host,
        _context: &Context,
        _withheld: &[Withheld],
    ) -> Vec<Option<Locked>> {
        not_implemented("surface")
    }

    /// `review.entries`: everything a person can decide about, of one server or of all.
    fn entries(&self, _host: &impl Host, _server: Option<&str>) -> Vec<Entry> {
        not_implemented("entries")
    }

    /// `review.decide`: a person's word on one entry.
    fn decide(&self, _host: &impl Host, _decision: &Decision) -> Result<Decided, Refusal> {
        not_implemented("decide")
    }
}

/// Traps: the component says it has a hook, and it has not.
#[cold]
fn not_implemented(hook: &str) -> ! {
    panic!("the policy exports `{hook}` but does not implement it")
}
