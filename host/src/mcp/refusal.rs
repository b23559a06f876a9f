//! What an agent gets when it is refused.
//!
//! Knows the payloads. Who is told what, and why, is decided elsewhere.

use super::escape::visible_cut;
use crate::wire::reply;

/// The most characters of a reason, a remedy or a name that an agent is shown.
pub const SHOWN: usize = 200;

/// A refusal as an agent sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// `FILTERED`, `LOCKED`, `DENIED`, `WITHHELD` or `ERROR`.
    pub decision: &'a str,
    /// Stable and machine-readable.
    pub code: &'a str,
    /// One sentence for people.
    pub reason: &'a str,
    /// What a person can do about it.
    pub remedy: Option<&'a str>,
    /// The name that was called, or the URI.
    pub tool: &'a str,
}

impl Refusal<'_> {
    /// The refusal as a JSON object: the `data` of a JSON-RPC error, and the text in a tool's result. Reason, remedy
    /// and name are escaped, so that nothing hidden reaches the agent or who reads over its shoulder, and cut.
    pub fn data(&self) -> String {
        let mut text = String::with_capacity(160);
        let mut member = |key: &str, value: &str| {
            text.push(if text.is_empty() { '{' } else { ',' });
            text.push_str(key);
            text.push_str(&reply::string(value));
        };
        member("\"decision\":", self.decision);
        member("\"code\":", self.code);
        member("\"reason\":", &self.reason());
        if let Some(remedy) = self.remedy {
            member("\"remedy\":", &visible_cut(remedy, SHOWN));
        }
        member("\"tool\":", &visible_cut(self.tool, SHOWN));
        text.push('}');
        text
    }

    /// As [`Self::data`], with the URI that was asked for once more where the protocol has it.
    pub fn data_with_uri(&self) -> String {
        let mut text = self.data();
        text.pop();
        text.push_str(",\"uri\":");
        text.push_str(&reply::string(&visible_cut(self.tool, SHOWN)));
        text.push('}');
        text
    }

    /// The result of a `tools/call` that was refused: an ordinary result that says so, as text. It has no
    /// `structuredContent`, which clients check against the tool's output schema.
    pub fn tool_result(&self) -> String {
        let text = reply::string(&self.data());
        format!("{{\"content\":[{{\"type\":\"text\",\"text\":{text}}}],\"isError\":true}}")
    }

    /// The reason, escaped and cut: the `message` of a JSON-RPC error.
    pub fn reason(&self) -> String {
        visible_cut(self.reason, SHOWN).into_owned()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const FILTERED: Refusal<'_> = Refusal {
        decision: "FILTERED",
        code: "filtered",
        reason: "Tool filtered by operator policy",
        remedy: None,
        tool: "x\"y",
    };

    #[test]
    fn the_payload_is_the_designs() {
        let data = r#"{"decision":"FILTERED","code":"filtered","reason":"Tool filtered by operator policy","tool":"x\"y"}"#;
        assert_eq!(FILTERED.data(), data);
        let result: serde_json::Value = serde_json::from_str(&FILTERED.tool_result()).unwrap();
        assert_eq!(
            result,
            serde_json::json!({"content": [{"type": "text", "text": data}], "isError": true})
        );
        let locked = Refusal {
            remedy: Some("Ask the person to run `witgate review`."),
            ..FILTERED
        };
        let data: serde_json::Value = serde_json::from_str(&locked.data()).unwrap();
        assert_eq!(data["remedy"], "Ask the person to run `witgate review`.");
    }

    #[test]
    fn a_policys_words_are_escaped_and_cut() {
        let reason = format!("\u{1b}[31m{}", "r".repeat(500));
        let refusal = Refusal {
            reason: &reason,
            remedy: Some(&reason),
            tool: &reason,
            ..FILTERED
        };
        let data: serde_json::Value = serde_json::from_str(&refusal.data()).unwrap();
        for key in ["reason", "remedy", "tool"] {
            let shown = data[key].as_str().unwrap();
            assert!(
                shown.starts_with("\\u{1b}[31mr") && shown.ends_with('…'),
                "{shown}"
            );
            assert_eq!(shown.chars().count(), 200);
        }
        assert_eq!(data["reason"], refusal.reason());
    }
}
