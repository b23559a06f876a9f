//! B29 and invariant 12: until judged, a server has no voice.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, Fixture, Home, tool, until};

/// What a server may want of a client: a request for each, and text for its eyes.
const WANTS: [&str; 6] = [
    r#"{"jsonrpc":"2.0","id":"w1","method":"sampling/createMessage","params":{"messages":[{"role":"user","content":{"type":"text","text":"VOICE"}}],"maxTokens":1}}"#,
    r#"{"jsonrpc":"2.0","id":"w2","method":"elicitation/create","params":{"message":"VOICE","requestedSchema":{"type":"object","properties":{}}}}"#,
    r#"{"jsonrpc":"2.0","id":"w3","method":"roots/list","params":{"x":"VOICE"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"error","data":"VOICE"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///VOICE"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1,"message":"VOICE"}}"#,
];

/// Asserts that the server got errors for its three requests and the client heard nothing.
#[track_caller]
fn voiceless(server: &Fixture, client: &Client, mark: usize) {
    for id in ["w1", "w2", "w3"] {
        let answer = until("an answer to the server's request", || {
            let received = server.received();
            let mut messages = received
                .iter()
                .map(|line| serde_json::from_str::<Value>(line).unwrap());
            messages.find(|message| message["id"] == id)
        });
        assert!(answer["error"]["code"].is_i64(), "{answer:#?}");
    }
    let heard = client.heard(mark);
    assert!(
        !heard.iter().any(|line| line.contains("VOICE")),
        "{heard:#?}"
    );
}

fn script(server: &mut Fixture) {
    server
        .tools([tool("a", "")])
        .set("instructions", r#""VOICE""#)
        .set(
            "server_info",
            r#"{"name":"VOICE","title":"VOICE","version":"VOICE IN THE VERSION"}"#,
        );
}

#[test]
fn b29_a_quarantined_server_asks_and_says_nothing() {
    let home = Home::new();
    home.configure("version = 1\n[server.s]\nstanding = \"quarantined\"\n");
    let mut server = home.fixture("s");
    script(&mut server);
    let client = home.gate("s", &server).start();
    client.initialize(r#"{"sampling":{},"elicitation":{},"roots":{}}"#);
    client.initialized();
    assert_eq!(client.tools(), Vec::<String>::new());
    for line in WANTS {
        server.send(line);
    }
    voiceless(&server, &client, 0);
    client.call("a").refused_as("LOCKED", "server_quarantined");
    for (method, params) in [
        ("prompts/list", json!({})),
        ("resources/list", json!({})),
        ("resources/templates/list", json!({})),
    ] {
        let result = client.request(method, &params).ran();
        assert!(
            result
                .as_object()
                .unwrap()
                .values()
                .all(|list| list == &json!([])),
            "{result}"
        );
    }
    assert!(server.received_with("tools/call").is_empty());
}

#[test]
fn b29_a_server_not_yet_observed_asks_and_says_nothing() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let greeting: Vec<Value> = WANTS.iter().map(|line| Value::from(*line)).collect();
    server.set("greeting", Value::from(greeting).to_string());
    let client = home.gate("s", &server).start();
    client.initialize(r#"{"sampling":{},"elicitation":{},"roots":{}}"#);
    voiceless(&server, &client, 0);
}

#[test]
fn a_trusted_server_is_heard_and_the_client_s_answers_reach_it() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).start();
    client.initialize(r#"{"sampling":{},"elicitation":{},"roots":{}}"#);
    client.initialized();
    client.tools();
    let mark = client.mark();
    server.send(WANTS[0]);
    server.send(WANTS[3]);
    let asked = client.wait_method(mark, "sampling/createMessage");
    client.wait_method(mark, "notifications/message");
    client.send(&json!({"jsonrpc":"2.0","id":asked["id"],"error":{"code":-1,"message":"the person said no"}}).to_string());
    until("the client's error", || {
        (server.mentions("the person said no") == 1).then_some(())
    });
}

#[test]
fn nothing_the_client_sends_can_answer_what_was_not_asked() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.send(r#"{"jsonrpc":"2.0","id":"unasked","result":{"MARK":1}}"#);
    client.send(r#"{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"MARK"}}"#);
    client.call("a").ran();
    assert_eq!(server.mentions("MARK"), 0, "{:#?}", server.received());
}

#[test]
fn nothing_the_server_sends_can_answer_what_was_not_asked_or_not_of_it() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    let mark = client.mark();
    for line in [
        r#"{"jsonrpc":"2.0","id":"unasked","result":{"content":[{"type":"text","text":"VOICE"}]}}"#,
        r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"VOICE"}}"#,
        r#"[{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"VOICE"}}]"#,
        r#"{"jsonrpc":"2.0","method":"notifications/VOICE","params":{}}"#,
        r#"{"jsonrpc":"2.0","id":"w9","method":"tools/VOICE","params":{}}"#,
        "VOICE, not JSON",
        r#"{"jsonrpc":"2.0","method":"notifications/message","method":"notifications/progress","params":{"data":"VOICE"}}"#,
    ] {
        server.send(line);
    }
    client.call("a").ran();
    assert!(
        !client.hears_within(mark, Duration::from_millis(200), |message| {
            message.to_string().contains("VOICE")
        })
    );
}
