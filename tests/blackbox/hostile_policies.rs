//! Policies that spin, swell, trap and lie: what fails, denies, and nothing else suffers (invariants 3 and 7).

use serde_json::json;

use crate::support::{Answer, Client, Fixture, Home, golden, hostile, tool};

/// A gate with one more policy in its directory, before a server with one tool.
fn with_policy(home: &Home, wasm: &[u8]) -> (Fixture, Client) {
    std::fs::write(home.policies().join("10-hostile.wasm"), wasm).unwrap();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    (server, client)
}

/// Asserts that a policy denies all calls as a failure, that nothing goes upstream, and that the session lives.
#[track_caller]
fn fails(wasm: &[u8]) {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nhook_ms = 300\n");
    let (server, client) = with_policy(&home, wasm);
    assert_eq!(client.tools(), ["a"]);
    for _ in 0..2 {
        let line = client.raw("tools/call", r#"{"name":"a","arguments":{}}"#);
        assert!(line.len() < 2000, "{} bytes", line.len());
        Answer::read(&line).refused_as("ERROR", "policy_error");
    }
    client.request("ping", &json!({})).ran();
    assert!(server.received_with("tools/call").is_empty());
    client.close_well();
    let errors = home
        .audit()
        .into_iter()
        .filter(|record| record["verdict"] == "error" && record["decided_by"] == "10-hostile")
        .count();
    assert_eq!(errors, 2, "{:#?}", home.audit());
}

#[test]
fn one_that_spins_fails() {
    fails(&hostile::spin());
}

#[test]
fn one_that_takes_all_memory_fails() {
    fails(&hostile::allocate());
}

#[test]
fn one_that_traps_fails() {
    fails(&hostile::trap());
}

#[test]
fn one_that_recurses_fails() {
    fails(&hostile::recurse());
}

#[test]
fn one_with_a_huge_answer_fails() {
    fails(&hostile::huge_output());
}

#[test]
fn those_that_answer_nonsense_fail() {
    for wasm in [
        hostile::bad_discriminant(),
        hostile::out_of_bounds(),
        hostile::answer_out_of_bounds(),
        hostile::bad_text(),
        hostile::bad_code(),
        hostile::unknown_verdict(),
        hostile::bad_key(),
    ] {
        fails(&wasm);
    }
}

#[test]
fn a_spinning_policy_holds_up_no_other_message() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nhook_ms = 3000\n");
    let (_server, client) = with_policy(&home, &hostile::spin());
    client.tools();
    let mark = client.mark();
    let spinning = client.ask("tools/call", r#"{"name":"a"}"#);
    for _ in 0..5 {
        client.request("ping", &json!({})).ran();
    }
    client.tools();
    let heard = client.heard(mark);
    assert!(
        !heard.iter().any(|line| line.contains("policy_error")),
        "{heard:#?}"
    );
    Answer::read(&client.answer_to(spinning)).refused_as("ERROR", "policy_error");
}

#[test]
fn nothing_bleeds_from_one_message_to_the_next() {
    let home = Home::new();
    let (_server, client) = with_policy(&home, &hostile::remembers());
    for _ in 0..20 {
        client.call("a").ran();
    }
}

#[test]
fn a_reason_is_escaped_and_cut() {
    let home = Home::new();
    let reason = format!("\u{1b}[31m\u{202e}{}", "long ".repeat(100));
    let (_server, client) = with_policy(&home, &hostile::denies(&reason));
    let refusal = client.call("a").refused_as("DENIED", "no");
    assert!(
        !refusal.reason.contains(['\u{1b}', '\u{202e}']),
        "{refusal:?}"
    );
    assert!(refusal.reason.chars().count() <= 220, "{refusal:?}");
}

#[test]
fn no_order_of_files_turns_a_denial_into_an_allowance() {
    for (first, second) in [("10-no", "20-yes"), ("20-no", "10-yes")] {
        let home = Home::new();
        std::fs::write(
            home.policies().join(format!("{first}.wasm")),
            hostile::denies("No."),
        )
        .unwrap();
        std::fs::write(
            home.policies().join(format!("{second}.wasm")),
            hostile::allow(),
        )
        .unwrap();
        let mut server = home.fixture("s");
        server.tools([tool("a", "")]);
        let client = home.gate("s", &server).open();
        client.call("a").refused_as("DENIED", "no");
        assert!(server.received_with("tools/call").is_empty());
    }
}

/// The policy that has every hook, before a server with these tools.
fn with_golden(home: &Home, tools: &[&str]) -> (Fixture, Client) {
    std::fs::write(home.policies().join("10-golden.wasm"), golden()).unwrap();
    let mut server = home.fixture("s");
    server.tools(tools.iter().map(|name| tool(name, "")));
    let client = home.gate("s", &server).open();
    (server, client)
}

#[test]
fn every_verdict_of_a_call_gate_has_its_answer() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nhook_ms = 300\n");
    let tools = [
        "deny_it", "hold_it", "other", "trap", "spin", "grow", "recurse", "fine",
    ];
    let (server, client) = with_golden(&home, &tools);
    assert_eq!(client.tools(), tools);
    let refusal = client.call("deny_it").refused_as("DENIED", "denied");
    assert_eq!(refusal.reason, "Told to deny");
    client
        .call("hold_it")
        .refused_as("DENIED", "approval_required");
    for failing in ["other", "trap", "spin", "grow", "recurse"] {
        client.call(failing).refused_as("ERROR", "policy_error");
    }
    client.call("fine").ran();
    assert_eq!(server.received_with("tools/call").len(), 1);
}

#[test]
fn a_result_gate_sees_results_and_errors_wherever_they_travel() {
    let home = Home::new();
    let (mut server, client) = with_golden(
        &home,
        &["result", "error", "garbage", "unknown", "changed", "fine"],
    );
    let text = |name: &str, text: &str| {
        format!(
            r#"{{"method":"tools/call","name":"{name}","result":{{"content":[{{"type":"text","text":"{text} VOICE"}}]}}}}"#
        )
    };
    server.rules([
        text("result", "[deny]"),
        text("garbage", "[garbage]"),
        text("unknown", "[other]"),
        text("changed", "[replace]"),
        r#"{"method":"tools/call","name":"error","error":{"code":-1,"message":"[deny] VOICE"}}"#
            .to_owned(),
    ]);
    client.tools();
    for name in ["result", "error"] {
        let line = client.raw("tools/call", &format!(r#"{{"name":"{name}"}}"#));
        assert!(!line.contains("VOICE"), "{line}");
        let refusal = Answer::read(&line).refused_as("WITHHELD", "result_denied");
        let words =
            format!("{} {}", refusal.reason, refusal.remedy.unwrap_or_default()).to_lowercase();
        assert!(
            words.contains("ran") && words.contains("repeat"),
            "it says that the call ran: {words}"
        );
    }
    for name in ["garbage", "unknown"] {
        let line = client.raw("tools/call", &format!(r#"{{"name":"{name}"}}"#));
        assert!(!line.contains("VOICE"), "{line}");
        assert_eq!(Answer::read(&line).refused().code, "policy_error");
    }
    let changed = client.call("changed").ran();
    assert_eq!(changed["content"][0]["text"], "[replaced] VOICE");
    client.call("fine").ran();
    assert_eq!(server.received_with("tools/call").len(), 6);
}

#[test]
fn a_filter_hides_and_its_judgement_is_the_call_s_too() {
    let home = Home::new();
    let (server, client) = with_golden(&home, &["hide_me", "hide_wholly_me", "seen"]);
    assert_eq!(client.tools(), ["seen"]);
    // Surfaced by the one policy that withholds it.
    client
        .call("hide_me")
        .refused_as("LOCKED", "pending_approval");
    client
        .call("hide_wholly_me")
        .refused_as("FILTERED", "filtered");
    assert!(server.received_with("tools/call").is_empty());
}

#[test]
fn a_policy_s_store_is_its_own() {
    let home = Home::new();
    let (_server, client) = with_golden(
        &home,
        &[
            "get:count/s",
            "get:sighting/s",
            "scan:",
            "caller",
            "arguments",
        ],
    );
    client.tools();
    let reason = |name: &str| client.call(name).refused_as("DENIED", "echo").reason;
    assert!(
        reason("get:count/s").starts_with("Some("),
        "{}",
        reason("get:count/s")
    );
    assert_eq!(
        reason("get:sighting/s"),
        "None",
        "judging hooks do not see sightings"
    );
    let all = reason("scan:");
    assert!(all.contains("count/s") && !all.contains("item/"), "{all}");
    assert!(reason("caller").contains("local"));
    let spelled = client
        .request(
            "tools/call",
            &json!({"name": "arguments", "arguments": {"a": 1}}),
        )
        .refused_as("DENIED", "echo");
    assert!(spelled.reason.contains('a'), "{spelled:?}");
}
