//! The fixture itself, without the gate: if it did not do what its script says, no other test would mean anything.

use crate::support::{Home, prompt, template, tool};

#[test]
fn it_sends_the_script_s_bytes_and_records_what_it_gets() {
    let home = Home::new();
    let mut server = home.fixture("raw");
    let odd = r#"{ "inputSchema": {"type":"object"}, "name": "odd", "x": 1.50e1 , "x": 2 }"#;
    server.tools([odd, &tool("plain", "")]);
    let client = home.gate("raw", &server).direct();
    client.handshake();
    let line = client.raw("tools/list", "");
    assert!(line.contains(odd), "{line}");
    let echoed = client.raw(
        "tools/call",
        r#"{"name":"plain","arguments":{ "n" : 1.0E+2 }}"#,
    );
    assert!(echoed.contains(r#"{ "n" : 1.0E+2 }"#), "{echoed}");
    assert_eq!(server.received_with("tools/call").len(), 1);
    client.close_well();
    assert_eq!((server.starts().len(), server.ends()), (1, 1));
}

#[test]
fn it_pages_and_changes_while_it_runs() {
    let home = Home::new();
    let mut server = home.fixture("pages");
    server
        .offer(&[
            ("tools", vec![tool("a", ""), tool("b", ""), tool("c", "")]),
            ("prompts", vec![prompt("p", "")]),
            ("templates", vec![template("x://{id}", "t")]),
        ])
        .set("page_size", "2");
    let client = home.gate("pages", &server).direct();
    client.handshake();
    assert_eq!(client.tools(), ["a", "b", "c"]);
    assert_eq!(client.names("prompts/list", "name"), ["p"]);
    assert_eq!(
        client.names("resources/templates/list", "uriTemplate"),
        ["x://{id}"]
    );
    let mark = client.mark();
    server.tools([tool("d", "")]).list_changed("tools");
    client.wait_method(mark, "notifications/tools/list_changed");
    assert_eq!(client.tools(), ["d"]);
}

#[test]
fn it_offers_by_capability_and_after_initialized() {
    let home = Home::new();
    let mut server = home.fixture("late");
    server
        .tools([tool("a", ""), tool("b", "")])
        .set("before", format!(r#"{{"tools":[{}]}}"#, tool("a", "")))
        .set(
            "with",
            format!(r#"{{"sampling":{{"tools":[{}]}}}}"#, tool("s", "")),
        );
    let client = home.gate("late", &server).direct();
    client.initialize(r#"{"sampling":{}}"#);
    assert_eq!(client.tools(), ["a"]);
    client.initialized();
    assert_eq!(client.tools(), ["a", "b", "s"]);
}

#[test]
fn its_rules_delay_break_and_die() {
    let home = Home::new();
    let mut server = home.fixture("rules");
    server.tools([tool("slow", ""), tool("torn", "")]).rules([
        r#"{"method":"tools/call","name":"slow","delay_ms":300,"before":["{\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$TOKEN,\"progress\":1}}"]}"#,
        r#"{"method":"tools/call","name":"torn","partial":"{\"jsonrpc\":\"2.0\",\"id\":$ID,\"resu"}"#,
        r#"{"method":"ping","times":1,"error":{"code":-1,"message":"once"}}"#,
    ]);
    let client = home.gate("rules", &server).direct();
    client.handshake();
    assert_eq!(client.request("ping", &serde_json::json!({})).failed(), -1);
    client.request("ping", &serde_json::json!({})).ran();
    let mark = client.mark();
    let slow = client.ask(
        "tools/call",
        r#"{"name":"slow","_meta":{"progressToken":"t"}}"#,
    );
    client.raw("ping", "");
    client.answer_to(slow);
    let order: Vec<bool> = client
        .heard(mark)
        .iter()
        .map(|line| line.contains("ran slow"))
        .collect();
    assert_eq!(order, [false, false, true], "{:?}", client.heard(mark));
    client.ask("tools/call", r#"{"name":"torn"}"#);
    assert_eq!(client.ended().code(), Some(9));
}
