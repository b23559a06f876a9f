//! Invariant 11: what policy does not touch arrives byte for byte, both ways.
//!
//! The same lines are sent to the fixture directly and through the gate; the answers must be the same lines.

use serde_json::{Value, json};

use crate::support::{Client, Fixture, Home, prompt, resource, template, tool};

/// Lines whose answers are compared, each with the id it is answered under.
fn requests() -> Vec<(Value, String)> {
    let calls = [
        r#"{"name":"plain","arguments":{"z":1,"a":2.0,"m":1E300,"i":123456789012345678901234567890}}"#,
        r#"{ "arguments" : { "deep" : [ [ { } ] ] , "s":"\u00e9\ud83d\ude00\/" } , "name" : "plain" , "unknown":{"x":-0.0} }"#,
        r#"{"name":"odd","_meta":{"progressToken":1.0,"vendor":[null,true]}}"#,
        r#"{"name":"failing","arguments":{}}"#,
        r#"{"name":"erring","arguments":{}}"#,
        r#"{"name":"big","arguments":{}}"#,
    ];
    let mut requests: Vec<(Value, String)> = calls
        .iter()
        .enumerate()
        .map(|(n, params)| {
            let id = json!(format!("call-{n}"));
            let line =
                format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{params}}}"#);
            (id, line)
        })
        .collect();
    let plain = |id: Value, rest: &str| {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},{rest}}}"#);
        (id, line)
    };
    requests.extend([
        plain(json!(0), r#""method":"ping""#),
        plain(json!(-7), r#""method":"ping","params":{}"#),
        plain(json!(9007199254740991_i64), r#""method":"ping","params":{"_meta":{}}"#),
        plain(json!(""), r#""method":"ping""#),
        plain(json!("é\u{1f600}"), r#""method":"ping""#),
        plain(json!(100), r#""method":"tools/list""#),
        plain(json!(101), r#""method":"tools/list","params":{}"#),
        plain(json!(102), r#""method":"prompts/list""#),
        plain(json!(103), r#""method":"resources/list""#),
        plain(json!(104), r#""method":"resources/templates/list""#),
        plain(json!(105), r#""method":"prompts/get","params":{"name":"p","arguments":{"x":"y"}}"#),
        plain(json!(106), r#""method":"resources/read","params":{"uri":"file:///a%20b"}"#),
        plain(json!(107), r#""method":"resources/read","params":{"uri":"note:///7"}"#),
        plain(json!(108), r#""method":"resources/subscribe","params":{"uri":"file:///a%20b"}"#),
        plain(json!(109), r#""method":"completion/complete","params":{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"x","value":""}}"#),
        plain(json!(110), r#""method":"logging/setLevel","params":{"level":"debug"}"#),
    ]);
    requests
}

fn scene(home: &Home) -> Fixture {
    let mut server = home.fixture("plain");
    let odd = r#"{ "inputSchema":{"type":"object","properties":{"n":{"minimum":1.50e+1,"maximum":9007199254740993}}} , "x-vendor":{"b":1,"a":2},"name":"odd", "description":"\u00fcber\/\ud83d\ude00" }"#;
    server
        .offer(&[
            (
                "tools",
                vec![tool("plain", "é"), odd.into(), tool("failing", ""), tool("erring", ""), tool("big", "")],
            ),
            ("prompts", vec![prompt("p", "")]),
            ("resources", vec![resource("file:///a%20b", "r")]),
            ("templates", vec![template("note:///{id}", "t")]),
        ])
        .set("list_more", r#"", \"_meta\" : { \"v\":1.0 }""#)
        .set("server_info", r#"{"version":"1.2.3-rc.1+b","name":"plain","title":"P","x":1.0}"#)
        .set("instructions", r#""Be \u00e9xact.\nOr else.""#)
        .set("initialize_more", r#"",\"x-vendor\":{\"n\":1e2}""#)
        .rules([
            r#"{"method":"tools/call","name":"odd","line":"{ \"id\" : $ID , \"result\" : {\"content\":[ ],\"structuredContent\":{\"n\":1.0E5,\"big\":123456789012345678901234567890},\"vendor\":{\"z\":1,\"a\":[]}} , \"jsonrpc\":\"2.0\" }"}"#.to_owned(),
            r#"{"method":"tools/call","name":"failing","result":{"isError":true,"content":[{"type":"text","text":"{\"decision\":\"mine\"}"}]}}"#.to_owned(),
            r#"{"method":"tools/call","name":"erring","error":{"message":"no","code":-32099,"data":{"n":1.0}}}"#.to_owned(),
            format!(r#"{{"method":"tools/call","name":"big","result":{{"content":[{{"type":"text","text":"{}"}}]}}}}"#, "x".repeat(3_000_000)),
        ]);
    server
}

fn ask_all(client: &Client) -> Vec<String> {
    requests()
        .into_iter()
        .map(|(id, line)| {
            let mark = client.mark();
            client.send(&line);
            client.wait(mark, &line, |message| message["id"] == id)
        })
        .collect()
}

#[test]
fn every_answer_is_the_same_line_with_and_without_the_gate() {
    let home = Home::new();
    let server = scene(&home);
    let gate = home.gate("plain", &server);
    let direct = gate.direct();
    direct.handshake();
    let expected = ask_all(&direct);
    let gated = gate.open();
    let got = ask_all(&gated);
    for ((expected, got), (_, request)) in expected.iter().zip(&got).zip(requests()) {
        assert!(
            expected == got,
            "{request}\ndirect: {}\ngated:  {}",
            expected.chars().take(2000).collect::<String>(),
            got.chars().take(2000).collect::<String>()
        );
    }
}

#[test]
fn every_request_reaches_the_server_as_it_was_sent() {
    let home = Home::new();
    let server = scene(&home);
    let gated = home.gate("plain", &server).open();
    ask_all(&gated);
    let received = server.received();
    for (id, line) in requests() {
        // Lists are answered from a reading of the gate's own.
        if line.contains("/list\"") {
            continue;
        }
        let params = |line: &str| {
            let raw: std::collections::HashMap<String, Box<serde_json::value::RawValue>> =
                serde_json::from_str(line).unwrap();
            raw.get("params").map(|params| params.get().to_owned())
        };
        let arrived = received.iter().any(|got| {
            let message: Value = serde_json::from_str(got).unwrap();
            let sent: Value = serde_json::from_str(&line).unwrap();
            message["method"] == sent["method"] && params(got) == params(&line)
        });
        assert!(arrived, "{id}: {line}\nnot in {received:#?}");
    }
}

#[test]
fn the_initialize_result_is_edited_in_named_places_only() {
    let home = Home::new();
    let server = scene(&home);
    let gate = home.gate("plain", &server);
    let params = r#"{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    let direct = gate.direct().raw("initialize", params);
    let gated = gate.start().raw("initialize", params);
    assert_eq!(gated, direct);

    // A server that does not promise `listChanged`: the gate does, and changes nothing else.
    let mut quiet = home.fixture("quiet");
    quiet.set(
        "capabilities",
        r#"{ "x-vendor":{"n":1.0},"tools":{ },"experimental":{} }"#,
    );
    let gate = home.gate("quiet", &quiet);
    let direct: Value = serde_json::from_str(&gate.direct().raw("initialize", params)).unwrap();
    let gated_line = gate.start().raw("initialize", params);
    let mut gated: Value = serde_json::from_str(&gated_line).unwrap();
    assert_eq!(
        gated["result"]["capabilities"]["tools"]["listChanged"],
        true
    );
    assert!(
        gated_line.contains(r#""x-vendor":{"n":1.0}"#),
        "{gated_line}"
    );
    gated["result"]["capabilities"]["tools"]
        .as_object_mut()
        .unwrap()
        .remove("listChanged");
    assert_eq!(gated, direct);
}

#[test]
fn the_notice_counts_what_waits_and_can_be_turned_off() {
    let home = Home::new();
    let mut server = home.fixture("noted");
    server
        .tools([tool("a", "")])
        .set("instructions", r#""Mine.""#);
    let client = home.gate("noted", &server).start();
    assert_eq!(client.handshake()["instructions"], "Mine.");
    client.tools();
    server.tools([tool("a", "SECRET"), tool("b", "SECRET")]);
    client.tools();
    client.close_well();
    let noted = home.gate("noted", &server).start().handshake();
    let text = noted["instructions"].as_str().unwrap();
    assert!(text.starts_with("Mine."), "{text}");
    assert!(
        text.contains('2') && text.contains("witgate review"),
        "{text}"
    );
    home.configure("version = 1\nnotice = false\n");
    let silent = home.gate("noted", &server).start().handshake();
    assert_eq!(silent["instructions"], "Mine.");
}

#[test]
fn notifications_and_requests_of_a_trusted_server_pass_as_they_are() {
    let home = Home::new();
    let mut server = home.fixture("chatty");
    server.tools([tool("a", "")]).rules([
        r#"{"method":"tools/call","name":"a","delay_ms":1,"before":["{\"method\":\"notifications/message\",\"params\":{\"level\":\"info\",\"data\":{\"n\":1.0}},\"jsonrpc\":\"2.0\"}","{\"method\":\"notifications/progress\",\"params\":{\"progressToken\":$TOKEN,\"progress\":0.50},\"jsonrpc\":\"2.0\"}","{\"method\":\"sampling/createMessage\",\"params\":{\"messages\":[],\"maxTokens\":1e2},\"jsonrpc\":\"2.0\",\"id\":1}"]}"#,
    ]);
    let client = home.gate("chatty", &server).start();
    client.initialize(r#"{"sampling":{}}"#);
    client.initialized();
    client.tools();
    let mark = client.mark();
    client.send(r#"{"jsonrpc":"2.0","id":"c","method":"tools/call","params":{"name":"a","_meta":{"progressToken":"tok-1"}}}"#);
    let asked = client.wait_method(mark, "sampling/createMessage");
    client.answer_to("c");
    let heard = client.heard(mark);
    for expected in [
        r#"{"method":"notifications/message","params":{"level":"info","data":{"n":1.0}},"jsonrpc":"2.0"}"#,
        r#"{"method":"notifications/progress","params":{"progressToken":"tok-1","progress":0.50},"jsonrpc":"2.0"}"#,
    ] {
        assert!(
            heard.iter().any(|line| line == expected),
            "{expected}\n{heard:#?}"
        );
    }
    assert!(
        heard.iter().any(|line| line.contains(r#""maxTokens":1e2"#)),
        "{heard:#?}"
    );
    client.send(&format!(
        r#"{{"jsonrpc":"2.0","id":{},"result":{{"role":"assistant","x":1.0}}}}"#,
        asked["id"]
    ));
    crate::support::until("the answer to reach the server under its own id", || {
        server
            .received()
            .iter()
            .any(|line| {
                let message: Value = serde_json::from_str(line).unwrap();
                message["id"] == 1 && line.contains(r#""result":{"role":"assistant","x":1.0}"#)
            })
            .then_some(())
    });
}
