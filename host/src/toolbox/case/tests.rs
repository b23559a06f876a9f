#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::policy::contract::{Action, ItemKind, Standing};

fn case(text: &str) -> Case {
    Case::parse("case.json", text, None).unwrap()
}

fn trouble(text: &str) -> String {
    let error = Case::parse("case.json", text, None).unwrap_err();
    error.to_string()
}

#[test]
fn what_is_left_out_has_a_default() {
    let case = case(r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "read"}}}"#);
    let Input::CallGate { context, call } = case.input else {
        panic!("another hook");
    };
    assert_eq!(context.server.name, "server");
    assert_eq!(context.server.standing, Standing::Trusted);
    assert_eq!(
        (&*context.caller.id, context.caller.roles.len()),
        ("local", 0)
    );
    assert_eq!(
        (&*call.method, &*call.item.name, &*call.item.digest),
        ("tools/call", "read", "")
    );
    assert_eq!((call.target, call.arguments), (None, None));
    assert_eq!((case.settings, case.now_ms, case.expect), (None, 0, None));
    assert!(case.store.is_empty() && case.definitions.is_empty());
}

/// A policy may tell `1.0` from `1`, and a definition's digest is over what is written.
#[test]
fn json_is_handed_on_as_it_is_written() {
    let case = case(
        r#"{"hook": "result-gate", "settings": { "a" : 1.0 },
            "call": {"item": {"kind": "tool", "definition": {"name":"read" , "n": 1.0}}, "arguments": [1.0 ,2]},
            "outcome": { "content" : [] }}"#,
    );
    assert_eq!(case.settings.unwrap(), r#"{ "a" : 1.0 }"#);
    let Input::ResultGate { call, outcome, .. } = case.input else {
        panic!("another hook");
    };
    assert_eq!(call.arguments.unwrap(), "[1.0 ,2]");
    assert_eq!(outcome, r#"{ "content" : [] }"#);
    let digest: Digest = call.item.digest.parse().unwrap();
    assert_eq!(&*case.definitions[&digest], r#"{"name":"read" , "n": 1.0}"#);
}

#[test]
fn a_definition_names_its_item() {
    let case = case(
        r#"{"hook": "list-filter", "items": [
            {"kind": "tool", "definition": {"name": "read"}},
            {"kind": "resource", "definition": {"uri": "FILE:///%61/../b"}},
            {"kind": "resource-template", "definition": {"uriTemplate": "file:///{x}"}},
            {"kind": "self-description", "definition": {"instructions": "…"}},
            {"kind": "self-description"},
            {"kind": "prompt", "name": "gone", "digest": "1:0707070707070707070707070707070707070707070707070707070707070707"}]}"#,
    );
    let Input::ListFilter { items, .. } = case.input else {
        panic!("another hook");
    };
    let names: Vec<_> = items.iter().map(|item| item.name.as_str()).collect();
    assert_eq!(names, ["read", "file:///b", "file:///{x}", "", "", "gone"]);
    assert_eq!(items[1].kind, ItemKind::ResourceItem);
    let known: Vec<_> = items.iter().map(|item| item.digest.len()).collect();
    assert_eq!(known, [66, 66, 66, 66, 0, 66]);
    assert_eq!(case.definitions.len(), 4);
}

#[test]
fn a_reading_is_whole_unless_it_is_said_otherwise() {
    let whole = case(r#"{"hook": "inventory"}"#);
    let Input::Inventory { server, catalogue } = whole.input else {
        panic!("another hook");
    };
    assert_eq!((&*server.name, catalogue.complete.len()), ("server", 5));
    let part = case(
        r#"{"hook": "inventory", "context": {"server": {"name": "s", "standing": "quarantined"}},
            "items": [{"kind": "tool", "definition": {"name": "a"}}, {"kind": "tool", "name": "b"}],
            "catalogue": {"complete": ["tool"], "labels": {"observer": "o1"}}}"#,
    );
    let Input::Inventory {
        server,
        catalogue: read,
    } = part.input
    else {
        panic!("another hook");
    };
    assert_eq!(server.standing, Standing::Quarantined);
    assert_eq!(read.complete, [ItemKind::Tool]);
    assert_eq!(read.labels, [("observer".to_owned(), "o1".to_owned())]);
    assert_ne!(read.digest, catalogue.digest);
}

#[test]
fn a_decision_is_made_at_the_message_s_time() {
    let case = case(
        r#"{"hook": "review-decide", "now_ms": 7, "decision": {"entry": "e", "action": {"other": "forget-server"}, "labels": {"to": "x"}}}"#,
    );
    let Input::ReviewDecide(decision) = case.input else {
        panic!("another hook");
    };
    assert_eq!((decision.now_ms, &*decision.actor), (7, "operator"));
    assert_eq!(decision.action, Action::Other("forget-server".into()));
}

#[test]
fn the_hook_can_be_named_beside_the_file() {
    let text = r#"{"server": "files"}"#;
    let case = Case::parse("case.json", text, Some(Hook::ReviewEntries)).unwrap();
    assert_eq!(case.input.hook(), Hook::ReviewEntries);
    assert!(trouble(text).contains("needs `hook`"));
    let both = r#"{"hook": "inventory"}"#;
    let error = Case::parse("case.json", both, Some(Hook::CallGate)).unwrap_err();
    assert!(
        error.to_string().contains("the command says call-gate"),
        "{error}"
    );
}

#[test]
fn what_is_expected_is_kept_as_it_is_found() {
    let case = case(
        r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a"}, {"kind": "tool", "name": "b"}],
            "expect": {"items": ["keep", {"deny": {"code": "x", "remedy": null}}]}}"#,
    );
    let expected = json!({"items": ["keep", {"deny": {"code": "x", "remedy": null}}]});
    assert_eq!(serde_json::Value::Object(case.expect.unwrap().0), expected);
}

/// A misspelt word must not become a case that always fails, or never.
#[test]
fn every_mistake_is_told_with_its_place_and_mend() {
    let call = r#""call": {"item": {"kind": "tool", "name": "a"}}"#;
    for (text, told) in [
        (r#"{"hook": "call-gat"}"#.to_owned(), "1:10: `hook` cannot be \"call-gat\": did you mean \"call-gate\"?"),
        (r#"{"hook": "call-gate"}"#.to_owned(), "1:1: the case needs `call`: the call to be judged"),
        (format!("{{\"hook\": \"call-gate\",\n {call},\n \"items\": []}}"), "3:2: unknown key `items`: remove it; call-gate is not given it, but inventory, list-filter is"),
        (format!(r#"{{"hook": "call-gate", {call}, "expct": {{}}}}"#), "unknown key `expct`: did you mean `expect`?"),
        (format!(r#"{{"hook": "call-gate", {call}, "expect": {{"verdict": "alow"}}}}"#), "`expect.verdict` cannot be \"alow\": did you mean \"allow\"?"),
        (format!(r#"{{"hook": "call-gate", {call}, "expect": {{"verdict": {{"dney": {{}}}}}}}}"#), "unknown key `expect.verdict.dney`: did you mean `deny`?"),
        (format!(r#"{{"hook": "call-gate", {call}, "expect": {{"verdict": {{"deny": {{"cod": "x"}}}}}}}}"#), "unknown key `expect.verdict.deny.cod`: did you mean `code`?"),
        (format!(r#"{{"hook": "call-gate", {call}, "expect": {{}}}}"#), "`expect` needs `verdict`"),
        (format!(r#"{{"hook": "call-gate", {call}, "expect": {{"items": []}}}}"#), "unknown key `expect.items`: remove it; of call-gate a case can expect: verdict"),
        (r#"{"hook": "list-filter", "items": [], "expect": {"verdict": "allow"}}"#.to_owned(), "`expect.verdict` can only be a failure here"),
        (r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a"}], "expect": {"items": []}}"#.to_owned(), "`expect.items` has 0 elements, and the hook is given 1 items"),
        (r#"{"hook": "list-filter", "items": [{"kind": "tool"}]}"#.to_owned(), "`items[0]` needs `definition`, or `name` if it has none"),
        (r#"{"hook": "list-filter", "items": [{"kind": "tool", "definition": {"title": "a"}}]}"#.to_owned(), "`items[0].definition` of a tool needs `name`"),
        (r#"{"hook": "list-filter", "items": [{"kind": "tool", "definition": {"name": "a"}, "name": "a"}]}"#.to_owned(), "`items[0].name` is what the definition says"),
        (r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a", "digest": "1:xyz"}]}"#.to_owned(), "`items[0].digest` is no digest"),
        (r#"{"hook": "inventory", "context": {"caller": {}}}"#.to_owned(), "inventory is told of the server alone"),
        (r#"{"hook": "inventory", "store": {"n": 3}}"#.to_owned(), "`store.n` must be a string: the store keeps text, so write \"3\""),
        (r#"{"hook": "inventory", "now_ms": -1}"#.to_owned(), "`now_ms` must be a whole number"),
        (r#"{"hook": "settings", "settings": "x"}"#.to_owned(), "`settings` must be an object, not the string \"x\""),
        (r#"{"hook": "review-decide", "decision": {"entry": "a", "action": "aprove"}}"#.to_owned(), "did you mean \"approve\"?"),
        (r#"{"hook": "review-decide", "decision": {"entry": "a", "action": "approve"}, "expect": {"refused": "moved-on", "store": {}}}"#.to_owned(), "`expect` cannot have `refused` with others"),
        (r#"{"hook": "inventory", "expect": {"verdict": {"failure": "trap"}, "store": {}}}"#.to_owned(), "`expect` cannot have `verdict` with others"),
    ] {
        let found = trouble(&text);
        assert!(found.starts_with("case.json:") && found.contains(told), "{text}\n  {found}");
    }
}
