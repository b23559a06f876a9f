//! What hooks are given where no case says otherwise: what a usual server offers, and a usual call of it.

use serde_json::{Value, json};

use super::super::{Case, CaseError, Hook};
use crate::policy::Hooks;

/// How many tools the lists have that are filtered.
const LISTS: [usize; 3] = [10, 100, 1_000];

/// A tool as servers describe them: half a kilobyte.
fn tool(n: usize) -> Value {
    json!({"kind": "tool", "definition": {
        "name": format!("search_records_{n:04}"),
        "title": format!("Search the records of department {n}"),
        "description": "Searches records by text and by date. Returns at most `limit` matches, the newest first, each \
            with its title, its author and the place where the text was found.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "The text to search for"},
                "since": {"type": "string", "format": "date", "description": "Only records from this day on"},
                "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            },
            "required": ["query"],
        },
        "annotations": {"readOnlyHint": true, "openWorldHint": false},
    }})
}

fn tools(count: usize) -> Vec<Value> {
    (0..count).map(tool).collect()
}

fn call() -> Value {
    json!({
        "item": tool(0),
        "arguments": {"query": "the minutes of the last meeting", "since": "2026-01-01", "limit": 20},
    })
}

/// A result of two kilobytes.
fn outcome() -> Value {
    let found = "The board met in the old library; the minutes were read and approved. ".repeat(28);
    json!({"content": [{"type": "text", "text": found}], "isError": false})
}

/// The inputs that a hook is measured on, and what to call them.
///
/// # Errors
/// None that a caller could mend: they are cases like any others.
pub fn usual(hook: Hook) -> Result<Vec<(String, Case)>, CaseError> {
    let inputs = match hook {
        // Part of every instance that is made.
        Hook::Settings => Vec::new(),
        Hook::ListFilter => LISTS
            .into_iter()
            .map(|count| (format!("{count} tools"), json!({"items": tools(count)})))
            .collect(),
        Hook::Inventory => vec![("100 tools".to_owned(), json!({"items": tools(100)}))],
        Hook::CallGate => vec![("a call".to_owned(), json!({"call": call()}))],
        Hook::ResultGate => vec![(
            "a result of 2 KB".to_owned(),
            json!({"call": call(), "outcome": outcome()}),
        )],
        Hook::ClientRequestGate => vec![(
            "an elicitation".to_owned(),
            json!({"request": {
                "method": "elicitation/create",
                "mode": "form",
                "params": {"message": "Which department?", "requestedSchema": {
                    "type": "object", "properties": {"department": {"type": "string"}}}},
                "during": call(),
            }}),
        )],
        Hook::DiscoverySurface => {
            let denial =
                json!({"code": "pending_approval", "reason": "Nobody has approved it yet"});
            let withheld: Vec<_> = tools(10)
                .into_iter()
                .map(|item| json!({"item": item, "denial": denial}))
                .collect();
            vec![("10 withheld".to_owned(), json!({"withheld": withheld}))]
        }
        Hook::ReviewEntries => vec![("an empty store".to_owned(), json!({}))],
        Hook::ReviewDecide => vec![(
            "an unknown entry".to_owned(),
            json!({"decision": {"entry": "none", "action": "approve"}}),
        )],
    };
    let named = inputs.into_iter().map(|(name, input)| {
        let case = Case::parse(&name, &input.to_string(), Some(hook))?;
        Ok((name, case))
    });
    named.collect()
}

/// The inputs of every hook of a policy, by the hook and what to call them.
///
/// # Errors
/// As [`usual`].
pub fn usual_of(hooks: Hooks) -> Result<Vec<(String, Case)>, CaseError> {
    let mut all = Vec::new();
    for hook in Hook::ALL.into_iter().filter(|hook| hook.is_in(hooks)) {
        let inputs = usual(hook)?.into_iter();
        all.extend(inputs.map(|(name, case)| (format!("{} of {name}", hook.word()), case)));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_hook_that_is_called_has_an_input() {
        for hook in Hook::ALL {
            let inputs = usual(hook).unwrap();
            assert_eq!(inputs.is_empty(), hook == Hook::Settings, "{hook:?}");
            assert!(inputs.iter().all(|(_, case)| case.input.hook() == hook));
        }
    }
}
