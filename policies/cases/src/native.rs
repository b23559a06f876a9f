//! A policy as a Rust type, with the SDK's host for tests.

use witgate_policy::testing::{self, TestHost};
use witgate_policy::{
    Call, Catalogue, Change, Context, Decision, Denial, Entry, Item, Locked, Policy, Refusal,
    Server, Verdict, Withheld,
};

use crate::Subject;

/// See the module.
#[derive(Debug)]
pub struct Native<P> {
    policy: P,
    host: TestHost,
}

impl<P> Native<P> {
    /// The host, to look into its store.
    pub fn host(&self) -> &TestHost {
        &self.host
    }
}

impl<P: Policy> Subject for Native<P> {
    fn new(settings_json: &str) -> Result<Self, String> {
        Ok(Self {
            policy: testing::configured(settings_json)?,
            host: TestHost::new(),
        })
    }

    fn put(&mut self, key: &str, value: &str) {
        self.host.apply(&[Change::keep(key, value)]);
    }

    fn observe(&mut self, server: &Server, catalogue: &Catalogue, now_ms: u64) {
        let changes = self.policy.observe(&self.host, server, catalogue, now_ms);
        self.host.apply(&changes);
    }

    fn filter(&self, context: &Context, items: &[Item]) -> Vec<Option<Denial>> {
        self.policy.filter(&self.host.judging(), context, items)
    }

    fn check(&self, context: &Context, call: &Call) -> Verdict {
        self.policy.check(&self.host.judging(), context, call)
    }

    fn surface(&self, context: &Context, withheld: &[Withheld]) -> Vec<Option<Locked>> {
        self.policy.surface(&self.host.judging(), context, withheld)
    }

    fn entries(&self, server: Option<&str>) -> Vec<Entry> {
        self.policy.entries(&self.host, server)
    }

    fn decide(&mut self, decision: &Decision) -> Result<Option<Entry>, Refusal> {
        let decided = self.policy.decide(&self.host, decision)?;
        self.host.apply(&decided.changes);
        Ok(decided.entry)
    }
}
