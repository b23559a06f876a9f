//! F5–F8, F15 and invariant 9: what is not understood is not forwarded.

use serde_json::{Value, json};

use crate::support::{Client, Fixture, Home, tool};

struct Scene {
    home: Home,
    server: Fixture,
    client: Client,
}

fn scene() -> Scene {
    let home = Home::new();
    let mut server = home.fixture("strict");
    server.tools([tool("a", ""), tool("hidden", "")]);
    let client = home
        .gate("strict", &server)
        .with(&["--deny-tool", "hidden"])
        .open();
    client.tools();
    Scene {
        home,
        server,
        client,
    }
}

impl Scene {
    /// A line with `"id":"x"` that must be answered by this error, and of which nothing may reach the server.
    #[track_caller]
    fn refuses(&self, line: &str, code: i64) {
        let mark = self.client.mark();
        self.client.send(line);
        let answer = self
            .client
            .wait(mark, line, |message| message.get("error").is_some());
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["error"]["code"], code, "{line}\n→ {answer}");
        self.nothing_upstream(line);
    }

    /// Asserts that the server was sent nothing since: a marker call, which goes through in order, arrives alone.
    #[track_caller]
    fn nothing_upstream(&self, line: &str) {
        let before = self.server.received().len();
        self.client.call("a").ran();
        let new = self.server.received().split_off(before);
        assert_eq!(self.server.mentions("hidden"), 0, "{line}");
        assert_eq!(
            self.server.mentions("MARK"),
            0,
            "{line}\nreached the server: {new:#?}"
        );
    }
}

#[test]
fn f5_a_call_without_id_is_not_forwarded_and_leaves_one_record() {
    let scene = scene();
    for name in ["a", "hidden"] {
        scene.client.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"{name}","arguments":{{"MARK":1}}}}}}"#
        ));
    }
    scene.nothing_upstream("an id-less call");
    scene.client.close_well();
    let calls: Vec<Value> = scene
        .home
        .audit()
        .into_iter()
        .filter(|record| record["method"] == "tools/call")
        .collect();
    let refused = calls
        .iter()
        .filter(|record| record["verdict"] == "refused")
        .count();
    let allowed = calls
        .iter()
        .filter(|record| record["verdict"] == "allowed")
        .count();
    assert_eq!((refused, allowed), (2, 1), "{calls:#?}");
}

#[test]
fn f6_a_batch_is_refused_whole() {
    let scene = scene();
    let call = r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a","arguments":{"MARK":1}}}"#;
    scene.refuses(&format!("[{call}]"), -32600);
    scene.refuses(&format!("[{call},{call}]"), -32600);
    scene.refuses("[]", -32600);
    scene.refuses(&format!("  \t[ {call} ]"), -32600);
}

#[test]
fn f7_a_call_with_unfit_params_is_refused() {
    let scene = scene();
    for params in [
        r#"{"arguments":{"MARK":1}}"#,
        r#"{"name":5,"arguments":{"MARK":1}}"#,
        r#"{"name":null,"arguments":{"MARK":1}}"#,
        r#"{"name":["a"],"arguments":{"MARK":1}}"#,
        r#"{"name":"","arguments":{"MARK":1}}"#,
        r#"{"name":"a","arguments":["MARK"]}"#,
        r#"{"name":"a","arguments":"MARK"}"#,
        r#"{"name":"a","name":"hidden","arguments":{"MARK":1}}"#,
        r#"{"name":"hidden","name":"a","arguments":{"MARK":1}}"#,
        r#"{"name":"a","n\u0061me":"hidden","arguments":{"MARK":1}}"#,
        r#"{"name":"a","arguments":{"MARK":1},"arguments":{}}"#,
        r#"["a",{"MARK":1}]"#,
    ] {
        scene.refuses(
            &format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{params}}}"#),
            -32602,
        );
    }
}

#[test]
fn f8_a_method_nobody_knows_is_refused_and_an_escaped_one_is_the_method_it_spells() {
    let scene = scene();
    for method in [
        "tools/Call",
        "tools/call ",
        "TOOLS/CALL",
        "tools/call\\u0000",
        "x-vendor/run",
        "",
    ] {
        scene.refuses(
            &format!(r#"{{"jsonrpc":"2.0","id":"x","method":"{method}","params":{{"name":"a","arguments":{{"MARK":1}}}}}}"#),
            -32601,
        );
    }
    let escaped = |id: &str, name: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"{id}","m\u0065thod":"tools\/c\u0061ll","params":{{"name":"{name}","arguments":{{}}}}}}"#
        )
    };
    scene
        .client
        .exchange(&escaped("denied", "hidden"), "denied")
        .refused_as("FILTERED", "filtered");
    scene
        .client
        .exchange(&escaped("allowed", "a"), "allowed")
        .ran();
}

#[test]
fn f15_a_key_twice_anywhere_in_the_arguments_is_refused() {
    let scene = scene();
    for arguments in [
        r#"{"MARK":1,"MARK":2}"#,
        r#"{"MARK":[{"a":1,"\u0061":2}]}"#,
        r#"{"MARK":{"b":[[{"c":{"d":1,"e":2,"d":3}}]]}}"#,
        r#"{"MARK":{"\ud83d\ude00":1,"😀":2}}"#,
        r#"{"MARK":{"":1,"":2}}"#,
    ] {
        scene.refuses(
            &format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{{"name":"a","arguments":{arguments}}}}}"#),
            -32602,
        );
    }
}

#[test]
fn lines_that_are_no_json_rpc_are_refused_and_the_session_lives() {
    let scene = scene();
    for (line, code) in [
        ("MARK", -32700),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"ping","params":{"MARK":1}"#,
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"ping","params":{"MARK":01}}"#,
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"ping"} {"MARK":1}"#,
            -32700,
        ),
        (r#""MARK""#, -32600),
        (
            r#"{"jsonrpc":"1.0","id":"x","method":"ping","params":{"MARK":1}}"#,
            -32600,
        ),
        (r#"{"id":"x","method":"ping","params":{"MARK":1}}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"ping","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"ping","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{"MARK":1},"method":"ping"}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"ping","method":"tools/call","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":7,"params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"ping","result":{"MARK":1}}"#,
            -32600,
        ),
    ] {
        scene.refuses(line, code);
    }
    scene.client.write(
        b"{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"method\":\"ping\",\"params\":{\"MARK\":\"\xff\"}}\n",
    );
    scene.nothing_upstream("invalid UTF-8");
    scene.client.write(b"\r\n\n  \n");
    scene.nothing_upstream("blank lines");
    scene.client.close_well();
}

#[test]
fn nesting_over_the_limit_is_refused() {
    let scene = scene();
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    scene.refuses(
        &format!(r#"{{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{{"name":"a","arguments":{{"MARK":{deep}}}}}}}"#),
        -32602,
    );
    // Without an end: not even a parser that recurses comes to harm.
    scene.refuses(
        &format!(
            r#"{{"jsonrpc":"2.0","id":"x","method":"ping","params":{{"MARK":{}"#,
            "[".repeat(200_000)
        ),
        -32700,
    );
}

#[test]
fn a_vendor_method_passes_only_if_the_configuration_lists_it() {
    let home = Home::new();
    home.configure("version = 1\n[server.strict]\nmethods = [\"x-vendor/run\"]\n");
    let mut server = home.fixture("strict");
    server
        .tools([tool("a", "")])
        .rules([r#"{"method":"x-vendor/run","result":{"ok":1.0}}"#]);
    let client = home.gate("strict", &server).open();
    assert_eq!(
        client.request("x-vendor/run", &json!({})).ran(),
        json!({"ok": 1.0})
    );
    assert_eq!(
        client.request("x-vendor/other", &json!({})).failed(),
        -32601
    );
    assert_eq!(server.mentions("x-vendor/other"), 0);
}

#[test]
fn a_client_may_not_speak_before_initialize() {
    let home = Home::new();
    let mut server = home.fixture("early");
    server.tools([tool("a", "")]);
    let client = home.gate("early", &server).start();
    let answer = client.call("a");
    assert!(
        !matches!(answer, crate::support::Answer::Ran(_)),
        "a call before the handshake must not run: {answer:?}"
    );
    assert!(server.received_with("tools/call").is_empty());
    client.handshake();
    client.call("a").ran();
}
