#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::Value;

use super::*;
use crate::chain::build::sidecar::Sidecar;
use crate::toolbox::{Case, Hook};

fn validator(schema: &str) -> Validator {
    let schema: Value = serde_json::from_str(schema).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Every `*.json` in a folder called `cases` below `folder`.
fn cases(folder: &Path, inside: bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.ends_with("node_modules") {
            cases(&path, inside || path.ends_with("cases"), found);
        } else if inside && path.extension().is_some_and(|end| end == "json") {
            found.push(path);
        }
    }
}

#[test]
fn every_case_in_the_repository_is_one_to_the_schema_and_to_the_parser() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    for folder in ["../tests/golden", "../examples", "templates/policy"] {
        cases(&root.join(folder), false, &mut files);
    }
    assert!(files.len() >= 19, "{files:?}");
    let schema = validator(CASE);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let case: Value = serde_json::from_str(&text).unwrap();
        if let Err(error) = schema.validate(&case) {
            panic!("{}: {error} at {}", file.display(), error.instance_path());
        }
        Case::parse(&file.display().to_string(), &text, None).unwrap();
    }
}

/// Cases that are right, of every hook.
const GOOD: [&str; 24] = [
    r#"{"hook": "settings"}"#,
    r#"{"hook": "settings", "$schema": "x", "about": "x", "settings": {"a": 1}, "now_ms": 1, "expect": {"settings_error": "a"}}"#,
    r#"{"hook": "settings", "expect": {"verdict": {"failure": "timeout"}}}"#,
    r#"{"hook": "inventory", "store": {"a": "b"}, "expect": {"store": {}}}"#,
    r#"{"hook": "inventory", "context": {"server": {"name": "s", "standing": "quarantined", "labels": {"a": "b"}}}, "catalogue": {"complete": [], "labels": {}}}"#,
    r#"{"hook": "list-filter", "items": []}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a"}], "expect": {"items": ["keep"]}}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "self-description"}], "expect": {"items": [{"deny": {}}]}}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "prompt", "definition": {"name": "a"}, "labels": {}}], "expect": {"verdict": {"failure": "trap"}}}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "resource", "definition": {"uri": "a:b"}}, {"kind": "resource-template", "definition": {"uriTemplate": "a:{b}"}}]}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "self-description", "definition": {}}], "definitions": [{"kind": "tool", "definition": {"name": "x"}}]}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a", "digest": ""}}}"#,
    r#"{"hook": "call-gate", "call": {"method": "m", "item": {"kind": "tool", "name": "a"}, "target": null, "arguments": null, "labels": {}}, "expect": {"verdict": "allow"}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}, "target": "a:b", "arguments": [1]}, "expect": {"verdict": {"hold": {"code": "a", "reason": "b", "labels": {}}}}}"#,
    r#"{"hook": "call-gate", "context": {"caller": {"id": "a", "roles": ["b"]}, "labels": {}}, "call": {"item": {"kind": "tool", "name": "a"}}, "expect": {"verdict": {"deny": {"code": "a", "remedy": null}}}}"#,
    r#"{"hook": "result-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "outcome": null, "expect": {"verdict": "pass"}}"#,
    r#"{"hook": "result-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "outcome": {}, "expect": {"verdict": {"replace": {"a": 1}}}}"#,
    r#"{"hook": "client-request-gate", "request": {"method": "m", "mode": "form", "params": {}, "during": null}, "expect": {"verdict": "allow"}}"#,
    r#"{"hook": "client-request-gate", "request": {"method": "m", "during": {"item": {"kind": "tool", "name": "a"}}}, "expect": {"verdict": {"deny": {"code": "a"}}}}"#,
    r#"{"hook": "discovery-surface", "withheld": [{"item": {"kind": "tool", "name": "a"}, "denial": {"code": "a", "reason": "b", "remedy": null}}], "expect": {"surfaced": [null]}}"#,
    r#"{"hook": "review-entries", "server": null, "expect": {"entries": [{"id": "a", "waiting": true, "since_ms": 1, "approved_digests": ["x"]}]}}"#,
    r#"{"hook": "review-decide", "decision": {"entry": "a", "action": "approve-also", "proof": null}, "expect": {"entry": null, "store": {}}}"#,
    r#"{"hook": "review-decide", "decision": {"entry": "a", "action": {"other": "b"}}, "expect": {"refused": {"other": "x"}}}"#,
    r#"{"hook": "review-decide", "decision": {"entry": "a", "action": "block"}, "expect": {"refused": "moved-on"}}"#,
];

/// Cases that are wrong, each in one way.
const BAD: [&str; 45] = [
    r#"[]"#,
    r#"{}"#,
    r#"{"hook": "call"}"#,
    r#"{"hook": "settings", "extra": 1}"#,
    r#"{"hook": "settings", "about": 1}"#,
    r#"{"hook": "settings", "settings": []}"#,
    r#"{"hook": "settings", "now_ms": -1}"#,
    r#"{"hook": "settings", "now_ms": "1"}"#,
    r#"{"hook": "settings", "context": {}}"#,
    r#"{"hook": "settings", "expect": {"store": {}}}"#,
    r#"{"hook": "settings", "expect": {"settings_error": ""}}"#,
    r#"{"hook": "settings", "expect": {"settings_error": "a", "verdict": {"failure": "trap"}}}"#,
    r#"{"hook": "settings", "expect": {"verdict": "allow"}}"#,
    r#"{"hook": "settings", "expect": {"verdict": {"failure": "crash"}}}"#,
    r#"{"hook": "inventory", "store": {"a": 1}}"#,
    r#"{"hook": "inventory", "context": {"caller": {}}}"#,
    r#"{"hook": "inventory", "catalogue": {"complete": ["tools"]}}"#,
    r#"{"hook": "inventory", "catalogue": {"digest": "x"}}"#,
    r#"{"hook": "inventory", "expect": {"store": {}, "verdict": {"failure": "trap"}}}"#,
    r#"{"hook": "list-filter"}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool"}]}"#,
    r#"{"hook": "list-filter", "items": [{"name": "a"}]}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a", "digest": "x"}]}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a", "definition": {"name": "a"}}]}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool", "definition": {}}]}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "resource", "definition": {"name": "a"}}]}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool", "definition": []}]}"#,
    r#"{"hook": "list-filter", "items": [], "expect": {}}"#,
    r#"{"hook": "list-filter", "items": [{"kind": "tool", "name": "a"}], "expect": {"items": ["drop"]}}"#,
    r#"{"hook": "list-filter", "items": [], "definitions": [{"definition": {}}]}"#,
    r#"{"hook": "call-gate"}"#,
    r#"{"hook": "call-gate", "call": {}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}, "target": 1}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "outcome": {}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "expect": {"verdict": "pass"}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "expect": {"verdict": {}}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "expect": {"verdict": {"deny": {}, "hold": {}}}}"#,
    r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "context": {"caller": {"roles": "a"}}}"#,
    r#"{"hook": "result-gate", "call": {"item": {"kind": "tool", "name": "a"}}}"#,
    r#"{"hook": "result-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "outcome": {}, "expect": {"verdict": {"hold": {}}}}"#,
    r#"{"hook": "client-request-gate", "request": {}}"#,
    r#"{"hook": "discovery-surface", "withheld": [{"item": {"kind": "tool", "name": "a"}}]}"#,
    r#"{"hook": "review-entries", "server": 1}"#,
    r#"{"hook": "review-decide", "decision": {"entry": "a", "action": "accept"}}"#,
    r#"{"hook": "review-decide", "decision": {"entry": "a", "action": "block"}, "expect": {"refused": "moved-on", "entry": null}}"#,
];

/// An editor that follows the schema must not promise what the command refuses, nor the other way round.
#[test]
fn schema_and_parser_agree_on_cases() {
    let schema = validator(CASE);
    for (texts, good) in [(&GOOD[..], true), (&BAD[..], false)] {
        for text in texts {
            let case: Value = serde_json::from_str(text).unwrap();
            assert_eq!(schema.is_valid(&case), good, "the schema: {text}");
            let parsed = Case::parse("case.json", text, None);
            assert_eq!(parsed.is_ok(), good, "the parser: {text}: {parsed:?}");
        }
    }
    for hook in Hook::ALL {
        let named = format!("\"hook\": \"{}\"", hook.word());
        assert!(GOOD.iter().any(|text| text.contains(&named)), "{hook:?}");
    }
}

#[test]
fn schema_and_parser_agree_on_sidecars() {
    let schema = validator(SIDECAR);
    for (text, good) in [
        ("", true),
        ("mode = \"monitor\"", true),
        (
            "mode = \"enforce\"\nreuse = 8\nsha256 = \"00\"\n[settings]\na = 1",
            true,
        ),
        ("mode = \"off\"", false),
        ("mode = 1", false),
        ("reuse = 0", false),
        ("reuse = -1", false),
        ("reuse = 4294967296", false),
        ("sha256 = 1", false),
        ("settings = 1", false),
        ("grants = []", false),
    ] {
        let table: toml::Table = toml::from_str(text).unwrap();
        let value = serde_json::to_value(&table).unwrap();
        assert_eq!(schema.is_valid(&value), good, "the schema: {text}");
        assert_eq!(Sidecar::parse(text).is_ok(), good, "the parser: {text}");
    }
}
