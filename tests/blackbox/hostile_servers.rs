//! Servers that flood, never end, alternate, swell, and die: B21, B30, and what the issue lists.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Answer, Home, tool, until};

const NONE: [&str; 0] = [];

#[test]
fn b21_a_list_that_fails_leaves_the_last_reading_and_opens_nothing() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("b", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    server
        .tools([tool("a", "changed"), tool("b", ""), tool("c", "")])
        .rules([r#"{"method":"tools/list","error":{"code":-32603,"message":"not now"}}"#]);
    Answer::read(&client.raw("tools/list", "")).failed();
    // Calls go on against the last reading; what it did not hold is not callable.
    client.call("b").ran();
    client.call("c").refused();
    server.rules(NONE);
    client.until_tools(&["b"]);
    client.call("a").refused_as("LOCKED", "changed");
}

#[test]
fn b21_a_last_reading_serves_for_so_long_only() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nstale_catalogue_ms = 400\nlist_timeout_ms = 300\n");
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a"]);
    server.rules([r#"{"method":"tools/list","silent":true}"#]);
    server.list_changed("tools");
    until("calls to be refused", || {
        (client.call("a").code() == Some("catalogue_unavailable")).then_some(())
    });
    server.rules(NONE).list_changed("tools");
    until("calls to run again", || {
        matches!(client.call("a"), Answer::Ran(_)).then_some(())
    });
}

#[test]
fn a_first_list_that_never_comes_opens_nothing() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nlist_timeout_ms = 300\n");
    let mut server = home.fixture("s");
    server
        .tools([tool("a", "")])
        .rules([r#"{"method":"tools/list","silent":true}"#]);
    let client = home.gate("s", &server).open();
    client.call("a").refused();
    Answer::read(&client.raw("tools/list", "")).failed();
    assert!(server.received_with("tools/call").is_empty());
    client.request("ping", &json!({})).ran();
}

#[test]
fn b30_a_flood_of_list_changed_causes_one_reading_at_a_time() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server
        .tools([tool("stamp", "as of $NOW"), tool("still", "")])
        .rules([r#"{"method":"tools/list","delay_ms":50}"#]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.until_tools(&["still"]);
    let (mark, before, start) = (
        client.mark(),
        server.received_with("tools/list").len(),
        Instant::now(),
    );
    server.command(
        r#"{"flood":{"line":"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/tools/list_changed\"}","times":5000}}"#,
    );
    client.call("still").ran();
    client.tools();
    let readings = server.received_with("tools/list").len() - before;
    // Each reading takes 50 ms at the server, one runs and one waits: no more can have begun in this time.
    let most = start.elapsed().as_millis() / 50 + 3;
    assert!(
        readings as u128 <= most,
        "{readings} readings, {most} at most"
    );
    assert_eq!(
        client.heard_with(mark, "notifications/tools/list_changed"),
        Vec::<Value>::new(),
        "what the client sees did not change"
    );
}

#[test]
fn b30_a_list_that_changes_with_every_reading_does_not_grow_the_ledger_for_ever() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("swelling", &format!("$NOW {}", "x".repeat(1_000_000)))]);
    let client = home.gate("s", &server).open();
    for _ in 0..120 {
        client.raw("tools/list", "");
    }
    client.close_well();
    // Once more, so that whatever is tidied at a start or an end has been.
    let client = home.gate("s", &server).open();
    client.tools();
    client.close_well();
    let size: u64 = std::fs::read_dir(home.state())
        .unwrap()
        .filter_map(|entry| entry.unwrap().metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum();
    assert!(
        size < 80_000_000,
        "{size} bytes are kept of 120 million sent"
    );
    // `doctor` names the item and what varies in it.
    let doctor = home.doctor().to_string();
    assert!(
        doctor.contains("swelling") && doctor.contains("description"),
        "{doctor}"
    );
}

#[test]
fn a_list_that_never_ends_its_pages_is_given_up() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nmax_pages = 50\n");
    let mut server = home.fixture("s");
    server
        .tools([tool("a", "")])
        .set("page_size", "1")
        .set("endless", "true");
    let client = home.gate("s", &server).open();
    let answer = client.request("tools/list", &json!({}));
    assert!(matches!(answer, Answer::Failed(..)), "{answer:?}");
    client.call("a").refused();
    let asked = server.received_with("tools/list").len();
    assert!(asked <= 50 * 3, "{asked} pages were read");
    client.request("ping", &json!({})).ran();
    client.close_well();
}

#[test]
fn two_lists_that_alternate_are_each_judged() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("both", "one"), tool("first", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["both", "first"]);
    server.set(
        "alternate",
        format!(
            r#"[{{"tools":[{},{}]}},{{"tools":[{},{}]}}]"#,
            tool("both", "one"),
            tool("first", ""),
            tool("both", "two"),
            tool("second", "")
        ),
    );
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..20 {
        seen.insert(client.tools());
    }
    let expected = [vec![], vec!["both".to_owned(), "first".to_owned()]];
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    until("the second list", || {
        client.tools().is_empty().then_some(())
    });
    assert_eq!(home.status("s", "second"), "pending");
}

#[test]
fn a_catalogue_over_the_limits_is_unavailable_and_one_of_huge_descriptions_is_not() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nmax_catalogue_bytes = 3000000\nmax_items = 100\n");
    let mut server = home.fixture("s");
    server.tools([tool("huge", &"x".repeat(1_000_000)), tool("small", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["huge", "small"]);
    client.call("huge").ran();

    server.tools((0..4).map(|n| tool(&format!("t{n}"), &"x".repeat(1_000_000))));
    assert!(matches!(
        client.request("tools/list", &json!({})),
        Answer::Failed(..)
    ));
    server.tools((0..101).map(|n| tool(&format!("t{n}"), "")));
    assert!(matches!(
        client.request("tools/list", &json!({})),
        Answer::Failed(..)
    ));
    client.call("t1").refused();
    server.tools([tool("small", "")]);
    assert_eq!(client.tools(), ["small"]);
}

#[test]
fn death_in_the_middle_of_an_answer_is_an_error_for_the_call() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("torn", "")]).rules([
        r#"{"method":"tools/call","name":"torn","partial":"{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"VOICE"}"#,
    ]);
    let client = home.gate("s", &server).open();
    client.tools();
    let line = client.raw("tools/call", r#"{"name":"torn"}"#);
    assert!(!line.contains("VOICE"), "{line}");
    Answer::read(&line).failed();
    until("calls to run again", || {
        matches!(client.call("a"), Answer::Ran(_)).then_some(())
    });
    assert_eq!(server.starts().len(), 2);
}

#[test]
fn death_in_the_middle_of_a_list_opens_nothing() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    server
        .tools([tool("a", ""), tool("new", "")])
        .rules([r#"{"method":"tools/list","partial":"{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"tools\":[{\"name\":\"new\""}"#]);
    client.raw("tools/list", "");
    server.rules(NONE);
    client.until_tools(&["a"]);
    client.call("new").refused();
}

#[test]
fn a_server_that_dies_over_and_over_is_not_restarted_in_a_spin() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    server.rules([r#"{"method":"tools/list","die":3}"#]);
    server.crash();
    let start = Instant::now();
    std::thread::sleep(Duration::from_secs(2));
    let (starts, seconds) = (server.starts().len(), start.elapsed().as_secs_f64());
    assert!(
        (starts as f64) < 10.0 + 5.0 * seconds,
        "{starts} starts in {seconds:.1} s"
    );
    client.request("ping", &json!({}));
    client.close();
}

#[test]
fn an_answer_over_the_limit_is_an_error_for_its_call() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nmax_message_bytes = 100000\n");
    let mut server = home.fixture("s");
    let big = format!(
        r#"{{"content":[{{"type":"text","text":"{}"}}]}}"#,
        "x".repeat(200_000)
    );
    server
        .tools([tool("a", ""), tool("big", "")])
        .rules([format!(
            r#"{{"method":"tools/call","name":"big","result":{big}}}"#
        )]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.call("big").failed();
    client.call("a").ran();
}

#[test]
fn an_answer_is_given_once_whatever_the_server_repeats() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("twice", "")]).rules([
        r#"{"method":"tools/call","name":"twice","after":["{\"jsonrpc\":\"2.0\",\"id\":$ID,\"result\":{\"content\":[],\"second\":1}}"]}"#,
    ]);
    let client = home.gate("s", &server).open();
    client.tools();
    let mark = client.mark();
    client.call("twice").ran();
    client.call("a").ran();
    let answers = client.heard(mark);
    assert_eq!(answers.len(), 2, "{answers:#?}");
    assert!(
        !answers.iter().any(|line| line.contains("second")),
        "{answers:#?}"
    );
}

#[test]
fn an_answer_that_is_malformed_is_an_error_for_its_call() {
    let home = Home::new();
    let mut server = home.fixture("s");
    let lines = [
        r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[]},"error":{"code":1,"message":"both"}}"#,
        r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[]},"result":{"content":[],"second":1}}"#,
        r#"{"jsonrpc":"1.0","id":$ID,"result":{"content":[],"second":1}}"#,
    ];
    let names: Vec<String> = (0..lines.len()).map(|n| format!("bad{n}")).collect();
    server
        .tools(
            names
                .iter()
                .map(|name| tool(name, ""))
                .chain([tool("a", "")]),
        )
        .rules(lines.iter().zip(&names).map(|(line, name)| {
            json!({"method": "tools/call", "name": name, "line": line}).to_string()
        }));
    let client = home.gate("s", &server).open();
    client.tools();
    for name in &names {
        let answer = client.call(name);
        assert!(matches!(answer, Answer::Failed(..)), "{name}: {answer:?}");
    }
    client.call("a").ran();
}
