//! A server before the policy, and a person beside it.

use witgate_policy::testing::{context, item, server};
use witgate_policy::{
    Action, Catalogue, Decision, Denial, Entry, Item, ItemKind, Refusal, Server, Standing,
};

use crate::{Subject, digest};

/// A server before the policy: what the host would tell of it.
pub(super) struct World<S> {
    pub(super) subject: S,
    pub(super) server: Server,
    pub(super) observer: &'static str,
    pub(super) live: Vec<&'static str>,
    /// Kinds the host says are baselined.
    pub(super) baselined: Vec<&'static str>,
    pub(super) now_ms: u64,
}

impl<S: Subject> World<S> {
    pub(super) fn new() -> Self {
        Self::with("{}")
    }

    pub(super) fn with(settings: &str) -> Self {
        Self {
            subject: S::new(settings).expect("the settings are right"),
            server: server("s", Standing::Trusted),
            observer: "o1",
            live: vec!["o1"],
            baselined: Vec::new(),
            now_ms: 1000,
        }
    }

    /// A server whose first list was {a, b} and was answered.
    pub(super) fn baselined() -> Self {
        let mut world = Self::new();
        world.reads(&[("a", "1"), ("b", "1")]);
        world.answers();
        world
    }

    /// A complete reading of the tools.
    pub(super) fn reads(&mut self, tools: &[(&str, &str)]) {
        self.reads_kinds(&[ItemKind::Tool], &tools_of(tools));
    }

    pub(super) fn reads_kinds(&mut self, complete: &[ItemKind], items: &[Item]) {
        self.now_ms += 1;
        let catalogue = Catalogue {
            digest: digest("catalogue"),
            complete: complete.to_vec(),
            items: items.to_vec(),
            labels: vec![
                ("observer".to_owned(), self.observer.to_owned()),
                ("live-observers".to_owned(), self.live.join(" ")),
                ("baselined".to_owned(), self.baselined.join(" ")),
            ],
        };
        self.subject.observe(&self.server, &catalogue, self.now_ms);
    }

    /// The host answers the list of tools.
    pub(super) fn answers(&mut self) {
        self.baselined = vec!["tool"];
    }

    /// What the policy says of tools at this server: `ok`, or the denial's code.
    pub(super) fn says(&self, tools: &[(&str, &str)]) -> Vec<String> {
        self.says_of(&tools_of(tools))
    }

    pub(super) fn says_of(&self, items: &[Item]) -> Vec<String> {
        let mut context = context(&self.server.name);
        context.server = self.server.clone();
        let verdicts = self.subject.filter(&context, items);
        assert_eq!(verdicts.len(), items.len());
        let code = |verdict: Option<Denial>| verdict.map_or("ok".to_owned(), |denial| denial.code);
        verdicts.into_iter().map(code).collect()
    }

    /// The entry of a tool.
    pub(super) fn entry(&self, name: &str) -> Entry {
        let entries = self.subject.entries(Some(&self.server.name));
        entries
            .into_iter()
            .find(|entry| entry.name == name)
            .expect("there is an entry")
    }

    pub(super) fn decide(&mut self, name: &str, action: Action, text: &str) -> Result<(), Refusal> {
        let id = self.entry(name).id;
        self.decide_id(
            &id,
            action,
            if text.is_empty() {
                String::new()
            } else {
                digest(text)
            },
            vec![],
        )
    }

    pub(super) fn decide_id(
        &mut self,
        entry: &str,
        action: Action,
        expected_digest: String,
        labels: Vec<(String, String)>,
    ) -> Result<(), Refusal> {
        self.now_ms += 1;
        let decision = Decision {
            entry: entry.to_owned(),
            expected_digest,
            action,
            actor: "alice".to_owned(),
            proof: None,
            now_ms: self.now_ms,
            labels,
        };
        let decided = self.subject.decide(&decision)?;
        if let Some(decided) = decided {
            let entries = self.subject.entries(Some(&decided.server));
            let now = entries.into_iter().find(|entry| entry.id == decided.id);
            assert_eq!(
                now.as_ref(),
                Some(&decided),
                "the entry is told as it stands"
            );
        }
        Ok(())
    }

    pub(super) fn server_wide(
        &mut self,
        action: &str,
        labels: Vec<(String, String)>,
    ) -> Result<(), Refusal> {
        let entry = format!("server:{}", self.server.name);
        self.decide_id(
            &entry,
            Action::Other(action.to_owned()),
            String::new(),
            labels,
        )
    }
}

/// Tools, each (name, text that tells its definition apart).
pub(super) fn tools_of(tools: &[(&str, &str)]) -> Vec<Item> {
    tools
        .iter()
        .map(|(name, text)| item(ItemKind::Tool, name, &digest(text)))
        .collect()
}
