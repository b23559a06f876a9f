//! Brings the rule to the component's hooks.

use bindings::exports::witgate::policy::{call_gate, settings};
use bindings::witgate::policy::types::ItemKind;
use std::sync::OnceLock;

use crate::rule::Rule;

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "local:policy/policy", generate_all });
}

/// Set once in every instance, before any other hook. Every message meets a fresh instance: nothing else that is kept in
/// memory outlives one.
static RULE: OnceLock<Rule> = OnceLock::new();

struct Policy;

impl settings::Guest for Policy {
    fn configure(settings_json: String) -> Result<(), String> {
        let rule = Rule::from_json(&settings_json)?;
        RULE.set(rule).map_err(|_| "configured twice".to_owned())
    }
}

impl call_gate::Guest for Policy {
    fn check(_context: call_gate::Context, call: call_gate::Call) -> call_gate::Verdict {
        let rule = RULE.get().expect("the host configures first");
        if matches!(call.item.kind, ItemKind::Tool) && rule.denies(&call.item.name) {
            return call_gate::Verdict::Deny(call_gate::Denial {
                code: "word_denied".to_owned(),
                reason: "The tool's name has a word that the operator denies".to_owned(),
                remedy: Some("Ask the operator, or use another tool".to_owned()),
                labels: Vec::new(),
            });
        }
        call_gate::Verdict::Allow
    }
}

bindings::export!(Policy with_types_in bindings);
