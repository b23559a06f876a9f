//! Guests of `tests/hostile` that misbehave: each way is a failure of its kind, which denies, and the next message is
//! judged by a fresh instance.

use std::path::PathBuf;

use serde_json::json;

use crate::built;
use crate::support::{Answer, Client, Fixture, Home, tool, until};

/// What misbehaves, and the kind of failure that the log says.
type Misdeeds = &'static [(&'static str, &'static [&'static str])];

const JS: Misdeeds = &[
    ("Timeout", &["spin", "regex", "sort", "spin_while_read"]),
    ("OutOfMemory", &["grow", "grow_and_catch", "nest"]),
    ("BadOutput", &["huge", "many", "other", "bad_code"]),
    (
        "Trap",
        &[
            "grow_text",
            "recurse",
            "throw",
            "throw_text",
            "throw_verdict",
            "reject",
            "nothing",
            "none",
            "text",
            "number",
            "list",
            "promise",
            "empty",
            "unknown_tag",
            "case_of_tag",
            "number_for_tag",
            "deny_without_denial",
            "deny_null",
            "deny_text",
            "missing_field",
            "missing_labels",
            "number_for_text",
            "symbol_for_text",
            "text_for_list",
            "wrong_pairs",
            "throw_while_read",
            "surrogate",
            "time",
        ],
    ),
];

const PYTHON: Misdeeds = &[
    ("Timeout", &["spin", "regex", "big_number"]),
    (
        "OutOfMemory",
        &[
            "grow",
            "grow_and_catch",
            "grow_text",
            "recurse_without_limit",
        ],
    ),
    ("BadOutput", &["huge", "many", "other", "bad_code"]),
    (
        "Trap",
        &[
            "spin_while_read",
            "sleep",
            "recurse",
            "nest",
            "throw",
            "throw_err",
            "throw_verdict",
            "leave",
            "leave_at_once",
            "abort",
            "nothing",
            "text",
            "number",
            "kind_of_verdict",
            "coroutine",
            "hold_for_denial",
            "deny_none",
            "deny_text",
            "missing_field",
            "number_for_text",
            "bytes_for_text",
            "text_for_list",
            "wrong_pairs",
            "throw_while_read",
            "surrogate",
            "file",
            "connect",
            "process",
            "thread",
            "clock",
        ],
    ),
];

fn guest(language: &str) -> PathBuf {
    built(&format!("hostile/{language}.wasm"), "tests/hostile/build")
}

/// A gate with a hostile guest in its directory, before a server with these tools.
fn scene(home: &Home, language: &str, tools: &[&str]) -> (Fixture, Client) {
    home.configure("version = 1\n[limits]\nhook_ms = 3000\npolicy_output_bytes = 1000000\n");
    std::fs::copy(guest(language), home.policies().join("10-hostile.wasm")).unwrap();
    let mut server = home.fixture("s");
    server.tools(tools.iter().map(|name| tool(name, "")));
    let client = home.gate("s", &server).open();
    (server, client)
}

/// Waits until the log beyond `mark` says a failure, and returns what follows the mark.
#[track_caller]
fn failure_since(client: &Client, mark: usize) -> String {
    until("a failure in the log", || {
        let log = client.log()[mark..].to_owned();
        log.contains("kind=").then_some(log)
    })
}

/// What misbehaves, one by one with its kind of failure, `without` these.
fn one_by_one(misdeeds: Misdeeds, without: &[&str]) -> Vec<(&'static str, &'static str)> {
    misdeeds
        .iter()
        .flat_map(|(kind, names)| names.iter().map(|name| (*kind, *name)))
        .filter(|(_, name)| !without.contains(name))
        .collect()
}

fn every_misdeed_denies(language: &str, misdeeds: &[(&str, &str)]) {
    let home = Home::new();
    let mut tools: Vec<&str> = misdeeds.iter().map(|(_, name)| *name).collect();
    tools.extend(["allow", "poison", "is_it_poisoned"]);
    let (server, client) = scene(&home, language, &tools);
    assert_eq!(client.tools(), tools);
    for (kind, name) in misdeeds {
        let mark = client.log().len();
        let line = client.raw("tools/call", &json!({"name": name}).to_string());
        assert!(line.len() < 2000, "{name}: {} bytes", line.len());
        Answer::read(&line).refused_as("ERROR", "policy_error");
        let log = failure_since(&client, mark);
        assert!(log.contains(&format!("kind={kind}")), "{name}: {log}");
        client.call("allow").ran();
    }
    // What one message leaves behind, the next does not find.
    for _ in 0..3 {
        client.call("poison").ran();
        client.call("is_it_poisoned").ran();
    }
    client.request("ping", &json!({})).ran();
    let allowed = misdeeds.len() + 6;
    assert_eq!(server.received_with("tools/call").len(), allowed);
    client.close_well();
    let errors = home
        .audit()
        .iter()
        .filter(|record| record["verdict"] == "error" && record["decided_by"] == "10-hostile")
        .count();
    assert_eq!(errors, misdeeds.len());
}

#[test]
fn every_misdeed_in_javascript_is_a_failure_of_its_kind() {
    every_misdeed_denies("js", &one_by_one(JS, &[]));
}

#[test]
fn every_misdeed_in_python_is_a_failure_of_its_kind() {
    every_misdeed_denies("python", &one_by_one(PYTHON, &[]));
}

#[test]
fn with_wasi_they_fail_alike_and_the_time_is_the_messages() {
    for (language, misdeeds, clock, without) in [
        ("js-wasi", JS, "time", &["time"][..]),
        ("python-wasi", PYTHON, "clock", &["clock", "sleep"]),
    ] {
        every_misdeed_denies(language, &one_by_one(misdeeds, without));
        let home = Home::new();
        let (_server, client) = scene(&home, language, &[clock]);
        let told = client.call(clock).refused_as("DENIED", "time").reason;
        assert!(!told.is_empty(), "{language}");
    }
}

/// A clock that stands would make who waits for it wait for ever.
#[test]
fn to_sleep_takes_no_time() {
    let home = Home::new();
    let (_server, client) = scene(&home, "python-wasi", &["sleep"]);
    client.call("sleep").ran();
}

#[test]
fn what_is_thrown_is_in_the_log_with_its_place_where_wasi_carries_it() {
    for (language, place) in [("js-wasi", "policy.js:"), ("python-wasi", "policy.py")] {
        let home = Home::new();
        let (server, client) = scene(&home, language, &["throw"]);
        client.close_well();
        let client = home.gate("s", &server).env("WITGATE_LOG", "info").open();
        client.call("throw").refused_as("ERROR", "policy_error");
        let log = failure_since(&client, 0);
        assert!(
            log.contains("on purpose") && log.contains(place),
            "{language}: {log}"
        );
    }
}

fn a_list_that_is_none_shows_nothing(language: &str, names: &[&str]) {
    for name in names {
        let home = Home::new();
        let (server, client) = scene(&home, language, &[name, "allow"]);
        assert!(client.tools().is_empty(), "{language}: {name}");
        client.call("allow").refused();
        failure_since(&client, 0);
        assert!(server.received_with("tools/call").is_empty());
        client.close_well();
    }
}

#[test]
fn a_list_of_the_wrong_shape_in_javascript_shows_nothing() {
    let names = [
        "short_list",
        "long_list",
        "no_list",
        "list_of_numbers",
        "list_of_booleans",
    ];
    a_list_that_is_none_shows_nothing("js", &names);
    // Whoever forgets to return keeps the item: undefined is an option without a value.
    let home = Home::new();
    let (_server, client) = scene(&home, "js", &["list_with_holes"]);
    assert_eq!(client.tools(), ["list_with_holes"]);
}

#[test]
fn a_list_of_the_wrong_shape_in_python_shows_nothing() {
    let names = [
        "short_list",
        "long_list",
        "no_list",
        "list_of_numbers",
        "generator",
    ];
    a_list_that_is_none_shows_nothing("python", &names);
}

/// Chance and time would make one input have two verdicts.
#[test]
fn random_numbers_are_the_same_for_every_message() {
    for (language, tool) in [("js", "random"), ("python", "dice")] {
        let home = Home::new();
        let (_server, client) = scene(&home, language, &[tool]);
        let first = client.call(tool).refused_as("DENIED", "random");
        client.close_well();
        let other = Home::new();
        let (_server, client) = scene(&other, language, &[tool]);
        assert_eq!(
            client.call(tool).refused_as("DENIED", "random"),
            first,
            "{language}"
        );
    }
}

#[test]
fn there_is_no_environment_to_read() {
    let home = Home::new();
    let (_server, client) = scene(&home, "python", &["environment"]);
    let refusal = client
        .call("environment")
        .refused_as("DENIED", "environment");
    assert_eq!(refusal.reason, "{}");
}
