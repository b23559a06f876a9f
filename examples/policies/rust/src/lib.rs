//! `delete-guard`: deleting needs a confirmation, and tools whose description has a word are hidden.
//!
//! The same rule is in every language's folder beside this one.

use serde::Deserialize;
use serde_json::Value;
use witgate_policy::{
    Call, Catalogue, Change, Context, Denial, Host, Item, ItemKind, Policy, Server, Verdict,
};

/// What the operator may set.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Tools whose description has this word are hidden.
    hide: Option<String>,
}

/// See the module.
pub struct DeleteGuard {
    /// In lower case.
    hide: Option<String>,
}

impl Policy for DeleteGuard {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        match settings.hide {
            Some(word) if word.is_empty() => {
                Err("`hide` must not be empty; leave it out to hide nothing".to_owned())
            }
            hide => Ok(Self {
                hide: hide.map(|word| word.to_ascii_lowercase()),
            }),
        }
    }

    fn check(&self, _host: &impl Host, _context: &Context, call: &Call) -> Verdict {
        let deletes = call.item.name.to_ascii_lowercase().starts_with("delete_");
        if call.item.kind != ItemKind::Tool || !deletes || confirmed(call.arguments.as_deref()) {
            return Verdict::Allow;
        }
        let denial = Denial::new(
            "confirm_required",
            "Deleting needs the argument `confirm` to be true",
        );
        Verdict::Deny(denial.remedy("Ask the person, then call again with `confirm` set to true"))
    }

    fn filter(&self, host: &impl Host, _context: &Context, items: &[Item]) -> Vec<Option<Denial>> {
        let verdict = |item: &Item| match &self.hide {
            Some(word) if item.kind == ItemKind::Tool => hidden(host, item, word),
            _ => None,
        };
        items.iter().map(verdict).collect()
    }

    fn observe(
        &self,
        host: &impl Host,
        server: &Server,
        _: &Catalogue,
        _now_ms: u64,
    ) -> Vec<Change> {
        let key = format!("sighting/readings/{}", server.name);
        let before: u64 = host
            .get(&key)
            .and_then(|count| count.parse().ok())
            .unwrap_or(0);
        vec![Change::keep(key, before.saturating_add(1).to_string())]
    }
}

/// Whether `arguments` is an object with `confirm: true`.
fn confirmed(arguments: Option<&str>) -> bool {
    let arguments = arguments.and_then(|text| serde_json::from_str::<Value>(text).ok());
    arguments.is_some_and(|arguments| arguments.get("confirm") == Some(&Value::Bool(true)))
}

/// Why a tool is hidden, if it is.
fn hidden(host: &impl Host, item: &Item, word: &str) -> Option<Denial> {
    let definition = host.definition(&item.digest);
    let Some(Ok(definition)) = definition.map(|text| serde_json::from_str::<Value>(&text)) else {
        return Some(Denial::new(
            "no_definition",
            "Its definition cannot be read",
        ));
    };
    let description = definition.get("description")?.as_str()?;
    description.to_ascii_lowercase().contains(word).then(|| {
        Denial::new(
            "hidden_word",
            "Its description has a word that the operator hides",
        )
    })
}

witgate_policy::export!(DeleteGuard: settings, list_filter, call_gate, inventory);

#[cfg(test)]
mod tests {
    use super::*;
    use witgate_policy::testing::{TestHost, configured, context, item, tool_call};

    #[test]
    fn deleting_needs_a_confirmation() {
        let policy: DeleteGuard = configured("{}").unwrap();
        let check = |name, arguments| {
            policy.check(
                &TestHost::new(),
                &context("files"),
                &tool_call(name, arguments),
            )
        };
        assert_eq!(check("read_repo", "{}"), Verdict::Allow);
        assert_eq!(
            check("delete_repo", r#"{"conf\u0069rm": true}"#),
            Verdict::Allow
        );
        assert!(matches!(
            check("delete_repo", r#"{"confirm": "true"}"#),
            Verdict::Deny(_)
        ));
    }

    #[test]
    fn a_description_with_the_word_hides_a_tool() {
        let policy: DeleteGuard = configured(r#"{"hide": "internal"}"#).unwrap();
        let host = TestHost::new()
            .define("1:a", r#"{"description": "INTERNAL use"}"#)
            .define("1:b", r#"{"description": "Reads a file"}"#);
        let items = ["1:a", "1:b", "1:c"].map(|digest| item(ItemKind::Tool, "x", digest));
        let answers = policy.filter(&host, &context("files"), &items);
        let codes: Vec<_> = answers
            .iter()
            .map(|one| one.as_ref().map(|one| one.code.as_str()))
            .collect();
        assert_eq!(codes, [Some("hidden_word"), None, Some("no_definition")]);
    }
}
