//! A host for tests: the store, the definitions, the clock, the log and the counters, in memory.
//!
//! ```
//! use witgate_policy::testing::{self, TestHost};
//! use witgate_policy::{Change, Host};
//!
//! let mut host = TestHost::new().with("limit", "3");
//! assert_eq!(host.get("limit").as_deref(), Some("3"));
//! host.apply(&[Change::delete("limit")]);
//! assert_eq!(host.get("limit"), None);
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::{
    Call, Caller, Change, ClientRequest, Context, Host, Item, ItemKind, LogLevel, Policy,
    SIGHTING_PREFIX, Server, Standing,
};

/// A host in memory. Recording hooks use it as it is; give judging ones [`judging`](Self::judging), which hides
/// sightings as the real host does.
#[derive(Debug, Clone, Default)]
pub struct TestHost {
    store: BTreeMap<String, String>,
    definitions: BTreeMap<String, String>,
    now_ms: u64,
    hide_sightings: bool,
    asked_clock: Cell<bool>,
    log: RefCell<Vec<(LogLevel, String)>>,
    counted: RefCell<BTreeMap<String, u64>>,
}

impl TestHost {
    /// A host with an empty store, at time 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a key in the store.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Self {
        self.store.insert(key.to_owned(), value.to_owned());
        self
    }

    /// The same, with a pinned definition.
    #[must_use]
    pub fn define(mut self, digest: &str, text: &str) -> Self {
        self.definitions.insert(digest.to_owned(), text.to_owned());
        self
    }

    /// The same, at another time.
    #[must_use]
    pub fn at(mut self, now_ms: u64) -> Self {
        self.now_ms = now_ms;
        self
    }

    /// This host as judging hooks see it: without sightings.
    #[must_use]
    pub fn judging(&self) -> Self {
        Self {
            hide_sightings: true,
            ..self.clone()
        }
    }

    /// Applies what a recording hook returned.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match &change.value {
                Some(value) => self.store.insert(change.key.clone(), value.clone()),
                None => self.store.remove(&change.key),
            };
        }
    }

    /// The store, sightings included.
    pub fn store(&self) -> &BTreeMap<String, String> {
        &self.store
    }

    /// Whether the clock was asked: if so, the host would not cache the verdict.
    pub fn asked_clock(&self) -> bool {
        self.asked_clock.get()
    }

    /// What was logged.
    pub fn logged(&self) -> Vec<(LogLevel, String)> {
        self.log.borrow().clone()
    }

    /// What was counted, by name.
    pub fn counted(&self) -> BTreeMap<String, u64> {
        self.counted.borrow().clone()
    }

    fn shows(&self, key: &str) -> bool {
        !(self.hide_sightings && key.starts_with(SIGHTING_PREFIX))
    }
}

impl Host for TestHost {
    fn get(&self, key: &str) -> Option<String> {
        self.shows(key)
            .then(|| self.store.get(key).cloned())
            .flatten()
    }

    fn scan(&self, prefix: &str) -> Vec<(String, String)> {
        self.store
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .filter(|(key, _)| self.shows(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    }

    fn definition(&self, digest: &str) -> Option<String> {
        self.definitions.get(digest).cloned()
    }

    fn now_ms(&self) -> u64 {
        self.asked_clock.set(true);
        self.now_ms
    }

    fn log(&self, level: LogLevel, text: &str) {
        self.log.borrow_mut().push((level, text.to_owned()));
    }

    fn count(&self, name: &str, by: u64) {
        let mut counted = self.counted.borrow_mut();
        let sum = counted.entry(name.to_owned()).or_default();
        *sum = sum.saturating_add(by);
    }
}

/// Makes a policy as the host would: from settings as JSON text; blank for none.
pub fn configured<P: Policy>(settings_json: &str) -> Result<P, String> {
    crate::rt::configured(settings_json)
}

/// A trusted or quarantined server without labels.
pub fn server(name: &str, standing: Standing) -> Server {
    Server {
        name: name.to_owned(),
        standing,
        labels: Vec::new(),
    }
}

/// A message of the caller `local` at a trusted server.
pub fn context(server_name: &str) -> Context {
    Context {
        server: server(server_name, Standing::Trusted),
        caller: Caller {
            id: "local".to_owned(),
            roles: Vec::new(),
            labels: Vec::new(),
        },
        labels: Vec::new(),
    }
}

/// An item.
pub fn item(kind: ItemKind, name: &str, digest: &str) -> Item {
    Item {
        kind,
        name: name.to_owned(),
        digest: digest.to_owned(),
        labels: Vec::new(),
    }
}

/// A `tools/call` of the tool `name` with arguments as JSON text.
pub fn tool_call(name: &str, arguments: &str) -> Call {
    Call {
        method: "tools/call".to_owned(),
        item: item(ItemKind::Tool, name, ""),
        target: None,
        arguments: Some(arguments.to_owned()),
        labels: Vec::new(),
    }
}

/// A request of the server's own to the client, with `params` as JSON text. An elicitation is in the mode that they
/// name, `form` if they name none.
pub fn client_request(method: &str, params: &str) -> ClientRequest {
    let mode = || {
        let params: serde_json::Value = serde_json::from_str(params).ok()?;
        Some(params.get("mode")?.as_str()?.to_owned())
    };
    ClientRequest {
        method: method.to_owned(),
        mode: (method == "elicitation/create").then(|| mode().unwrap_or_else(|| "form".to_owned())),
        params: Some(params.to_owned()),
        during: None,
        labels: vec![("via".to_owned(), "request".to_owned())],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_scan_is_in_order_and_stops_at_the_prefix() {
        let host = TestHost::new()
            .with("b/2", "y")
            .with("a", "")
            .with("b/1", "x")
            .with("c", "");
        let found = host.scan("b/");
        assert_eq!(
            found,
            [("b/1".into(), "x".into()), ("b/2".into(), "y".into())]
        );
    }

    #[test]
    fn judging_hooks_do_not_see_sightings() {
        let host = TestHost::new().with("sighting/x", "1").with("item/x", "2");
        assert_eq!(host.get("sighting/x").as_deref(), Some("1"));
        let judging = host.judging();
        assert_eq!(judging.get("sighting/x"), None);
        assert_eq!(judging.scan("").len(), 1);
    }

    #[test]
    fn an_elicitation_has_a_mode() {
        let mode = |method, params| client_request(method, params).mode;
        assert_eq!(mode("elicitation/create", "{}").as_deref(), Some("form"));
        let url = r#"{"mode":"url"}"#;
        assert_eq!(mode("elicitation/create", url).as_deref(), Some("url"));
        assert_eq!(mode("roots/list", url), None);
    }

    #[test]
    fn the_wit_text_beside_the_crate_is_the_projects() {
        let here = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        for name in ["types.wit", "hooks.wit", "worlds.wit"] {
            let project = std::fs::read_to_string(here.join("../../wit").join(name)).unwrap();
            let own = std::fs::read_to_string(here.join("wit").join(name)).unwrap();
            assert_eq!(own, project, "{name}: run `cargo xtask policies`");
        }
    }
}
