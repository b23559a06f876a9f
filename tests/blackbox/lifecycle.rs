//! A session from its first byte to its last: handshake, concurrency, cancellation, the server's death, the end.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::{Answer, Client, Fixture, Home, tool, until};

fn slow(home: &Home) -> Fixture {
    let mut server = home.fixture("slow");
    server
        .tools([tool("slow", ""), tool("fast", ""), tool("never", "")])
        .rules([
            r#"{"method":"tools/call","name":"slow","delay_ms":700}"#,
            r#"{"method":"tools/call","name":"never","silent":true}"#,
        ]);
    server
}

#[test]
fn a_client_that_tries_2026_07_28_first_is_told_to_fall_back() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).start();
    let params = r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}"#;
    // Any other code is fatal to one client or another. The server is asked by the gate, once: what it does not know,
    // it does not offer.
    let code = Answer::read(&client.raw("server/discover", params)).failed();
    assert_eq!(code, -32601);
    client.handshake();
    assert_eq!(client.tools().len(), 3);
    assert_eq!(server.mentions("server/discover"), 1);
}

#[test]
fn older_revisions_are_spoken_as_they_are_asked_for() {
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let home = Home::new();
        let server = slow(&home);
        let client = home.gate("slow", &server).start();
        let result = client
            .request("initialize", &json!({"protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}))
            .ran();
        assert_eq!(result["protocolVersion"], version);
        client.initialized();
        client.call("fast").ran();
    }
}

#[test]
fn a_slow_call_does_not_hold_up_a_fast_one() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    let mark = client.mark();
    let slow = client.ask("tools/call", r#"{"name":"slow"}"#);
    client.call("fast").ran();
    client.request("ping", &json!({})).ran();
    client.answer_to(slow);
    let last = client.heard(mark).pop().unwrap();
    assert!(last.contains("ran slow"), "{:#?}", client.heard(mark));
}

#[test]
fn sixteen_calls_at_once_get_each_its_own_answer() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    let ids: Vec<String> = (0..64)
        .map(|n| {
            let id = format!("{}{n}", if n % 2 == 0 { "even-" } else { "odd-" });
            client.send(&format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"tools/call","params":{{"name":"fast","arguments":{{"n":{n}}}}}}}"#));
            id
        })
        .collect();
    for (n, id) in ids.iter().enumerate() {
        let result = Answer::read(&client.answer_to(id.as_str())).ran();
        assert_eq!(result["_meta"]["params"]["arguments"]["n"], n);
    }
}

#[test]
fn ids_of_both_sides_may_be_alike() {
    let home = Home::new();
    let mut server = home.fixture("ids");
    server.tools([tool("a", "")]).rules([
        r#"{"method":"tools/call","name":"a","delay_ms":200,"before":["{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"roots/list\"}","{\"jsonrpc\":\"2.0\",\"id\":\"0\",\"method\":\"roots/list\"}"]}"#,
    ]);
    let client = home.gate("ids", &server).start();
    client.initialize(r#"{"roots":{}}"#);
    client.initialized();
    client.tools();
    let mark = client.mark();
    // 0 and "0" are two ids, here and there.
    client.send(r#"{"jsonrpc":"2.0","id":0,"method":"tools/call","params":{"name":"a"}}"#);
    let requests = until("both requests of the server's", || {
        let heard = client.heard_with(mark, "roots/list");
        (heard.len() == 2).then_some(heard)
    });
    for (n, request) in requests.iter().enumerate() {
        client.send(&json!({"jsonrpc":"2.0","id":request["id"],"result":{"roots":[{"uri":format!("file:///{n}")}]}}).to_string());
    }
    let answer = client.wait(mark, "the answer to the call", |m| {
        m["id"] == 0 && m.get("result").is_some()
    });
    assert_eq!(Answer::read(&answer).ran()["content"][0]["text"], "ran a");
    until(
        "both answers to reach the server, each under its own id",
        || {
            let has = |id: Value, uri: &str| {
                server.received().iter().any(|line| {
                    let message: Value = serde_json::from_str(line).unwrap();
                    message["id"] == id && message["result"]["roots"][0]["uri"] == uri
                })
            };
            (has(json!(0), "file:///0") && has(json!("0"), "file:///1")).then_some(())
        },
    );
}

#[test]
fn an_id_in_use_is_not_taken_a_second_time() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    let call = |name: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":"twice","method":"tools/call","params":{{"name":"{name}"}}}}"#
        )
    };
    let mark = client.mark();
    client.send(&call("slow"));
    client.send(&call("fast"));
    let id = |message: &Value| message["id"] == "twice";
    client.wait(mark, "an answer", id);
    until("both answers", || {
        let answers = client
            .heard(mark)
            .iter()
            .filter(|line| line.contains("twice"))
            .count();
        (answers == 2).then_some(())
    });
    assert_eq!(server.received_with("tools/call").len(), 1);
}

#[test]
fn a_cancellation_reaches_the_server_under_the_request_s_own_id() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    client.send(r#"{"jsonrpc":"2.0","id":"gone","method":"tools/call","params":{"name":"never"}}"#);
    until("the call to be under way", || {
        (server.mentions("never") > 0).then_some(())
    });
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"gone","reason":"enough"}}"#);
    let cancelled = until("the cancellation", || {
        server.received_with("notifications/cancelled").pop()
    });
    let call = server.received_with("tools/call").pop().unwrap();
    assert_eq!(cancelled["params"]["requestId"], call["id"]);
    assert_eq!(cancelled["params"]["reason"], "enough");
    // One for a request that is not under way goes nowhere.
    client.send(
        r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"other"}}"#,
    );
    client.call("fast").ran();
    assert_eq!(server.received_with("notifications/cancelled").len(), 1);
}

#[test]
fn the_end_of_input_lets_calls_under_way_finish() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    let slow = client.ask("tools/call", r#"{"name":"slow"}"#);
    until("the call to be under way", || {
        (server.mentions("slow") > 0).then_some(())
    });
    client.close_well();
    assert!(Answer::read(&client.answer_to(slow)).ran()["content"].is_array());
    assert_eq!(server.ends(), 1, "the child saw the end of its input");
    assert_gone(&server);
}

#[test]
fn sigterm_drains_and_exits_well() {
    for signal in [Signal::TERM, Signal::INT] {
        let home = Home::new();
        let server = slow(&home);
        let client = home.gate("slow", &server).open();
        client.tools();
        let slow = client.ask("tools/call", r#"{"name":"slow"}"#);
        until("the call to be under way", || {
            (server.mentions("slow") > 0).then_some(())
        });
        client.signal(signal);
        let status = client.ended();
        assert!(status.success(), "{status}\n{}", client.log());
        client.answer_to(slow);
        assert_gone(&server);
    }
}

#[test]
fn a_child_that_does_not_end_by_itself_is_ended() {
    let home = Home::new();
    let mut server = slow(&home);
    server.set("linger_ms", "600000");
    let client = home.gate("slow", &server).open();
    client.tools();
    client.close_well();
    assert_gone(&server);
}

/// Asserts that no process of the server's is left.
#[track_caller]
fn assert_gone(server: &Fixture) {
    for pid in server.starts() {
        let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        until("the child to be gone", || {
            rustix::process::test_kill_process(pid)
                .is_err()
                .then_some(())
        });
    }
}

#[test]
fn the_server_s_death_ends_its_calls_and_the_session_goes_on() {
    let home = Home::new();
    let mut server = slow(&home);
    let client = home.gate("slow", &server).open();
    assert_eq!(client.tools().len(), 3);
    client
        .request("logging/setLevel", &json!({"level": "warning"}))
        .ran();
    let pending = client.ask("tools/call", r#"{"name":"never"}"#);
    until("the call to be under way", || {
        (server.mentions("never") > 0).then_some(())
    });
    // It comes back with another tool and a changed one.
    server.tools([
        tool("slow", "changed"),
        tool("fast", ""),
        tool("never", ""),
        tool("new", ""),
    ]);
    let mark = client.mark();
    server.crash();
    Answer::read(&client.answer_to(pending)).failed();
    client.wait_method(mark, "notifications/tools/list_changed");
    until("the second start", || {
        (server.starts().len() == 2).then_some(())
    });
    client.until_tools(&["fast", "never"]);
    client.call("fast").ran();
    client.call("slow").refused_as("LOCKED", "changed");
    client.call("new").refused_as("LOCKED", "pending_approval");
    assert_eq!(server.received_with("initialize").len(), 2);
    assert_eq!(server.received_with("notifications/initialized").len(), 2);
    let levels = server.received_with("logging/setLevel");
    assert_eq!(levels.len(), 2, "the log level is set again: {levels:#?}");
    assert_eq!(levels[1]["params"]["level"], "warning");
    client.close_well();
}

#[test]
fn subscriptions_survive_the_server_s_death() {
    let home = Home::new();
    let mut server = home.fixture("subs");
    server.offer(&[(
        "resources",
        vec![
            crate::support::resource("file:///a", "a"),
            crate::support::resource("file:///b", "b"),
        ],
    )]);
    let client = home.gate("subs", &server).open();
    client.names("resources/list", "uri");
    for uri in ["file:///a", "file:///b"] {
        client
            .request("resources/subscribe", &json!({"uri": uri}))
            .ran();
    }
    client
        .request("resources/unsubscribe", &json!({"uri": "file:///b"}))
        .ran();
    server.crash();
    let all = until("the subscription to be made again", || {
        let all = server.received_with("resources/subscribe");
        (all.len() == 3).then_some(all)
    });
    assert_eq!(all[2]["params"]["uri"], "file:///a");
    let mark = client.mark();
    server.send(r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file:///a"}}"#);
    client.wait_method(mark, "notifications/resources/updated");
}

#[test]
fn a_server_that_comes_back_as_another_ends_the_session() {
    let home = Home::new();
    let mut server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    server.set("protocol", r#""2024-11-05""#);
    server.crash();
    let status = client.ended();
    assert!(!status.success(), "{}", client.log());
}

#[test]
fn a_server_that_cannot_be_started_is_named() {
    let home = Home::new();
    let mut server = slow(&home);
    server.set("dead_on_arrival", "true");
    let client = home.gate("slow", &server).start();
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#;
    Answer::read(&client.raw("initialize", params)).failed();
    let missing = std::path::Path::new("/no/such/program");
    let client = home.gate("gone", &server).upstream(&[missing]).start();
    client.ask("initialize", params);
    until("the log to name the program", || {
        client.log().contains("/no/such/program").then_some(())
    });
}

#[test]
fn a_line_over_the_limit_is_an_error_for_its_id_and_the_session_lives() {
    let home = Home::new();
    home.configure("version = 1\n[limits]\nmax_message_bytes = 100000\n");
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    client.tools();
    let big = "x".repeat(200_000);
    for line in [
        format!(
            r#"{{"jsonrpc":"2.0","id":"before","method":"tools/call","params":{{"name":"fast","arguments":{{"x":"{big}"}}}}}}"#
        ),
        format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{{"name":"fast","arguments":{{"id":7,"x":"{big}"}}}},"id":"after"}}"#
        ),
    ] {
        let id = if line.contains("before") {
            "before"
        } else {
            "after"
        };
        client.exchange(&line, id).failed();
    }
    client.call("fast").ran();
    assert_eq!(server.received_with("tools/call").len(), 1);
}

#[test]
fn eight_mebibytes_pass_both_ways() {
    let home = Home::new();
    let server = slow(&home);
    let client = home.gate("slow", &server).open();
    let big = "x".repeat(8 << 20);
    let result = client
        .request(
            "tools/call",
            &json!({"name": "fast", "arguments": {"x": big}}),
        )
        .ran();
    assert_eq!(
        result["_meta"]["params"]["arguments"]["x"]
            .as_str()
            .unwrap()
            .len(),
        8 << 20
    );
}

#[test]
fn the_child_gets_the_client_s_environment_without_witgate_s_own() {
    let home = Home::new();
    let mut server = slow(&home);
    server.set("stderr", r#""a word of the server's\n""#);
    let client = home
        .gate("slow", &server)
        .env("WITGATE_LOG", "info")
        .env("WITGATE_ANYTHING", "secret")
        .env("A_TOKEN", "for-the-server")
        .open();
    client.tools();
    let environment = server.environment();
    assert!(
        environment.contains("A_TOKEN=for-the-server\n"),
        "{environment}"
    );
    assert!(!environment.contains("WITGATE_"), "{environment}");
    let log = until("the server's word in the log", || {
        let log = client.log();
        log.contains("a word of the server's").then_some(log)
    });
    let line = log.lines().find(|line| line.contains("a word of")).unwrap();
    assert!(
        line.contains("slow"),
        "prefixed with the server's name: {line}"
    );
}

#[test]
fn stdout_carries_messages_and_nothing_else() {
    let home = Home::new();
    let mut server = slow(&home);
    server.set("stderr", r#""noise\n""#);
    let client = home
        .gate("slow", &server)
        .env("WITGATE_LOG", "trace")
        .open();
    client.tools();
    client.call("fast").ran();
    server.list_changed("tools");
    client.tools();
    client.close_well();
    for line in client.heard(0) {
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
    }
}

#[test]
fn two_sessions_of_one_server_do_not_disturb_each_other() {
    let home = Home::new();
    let mut server = slow(&home);
    let clients: Vec<Client> = (0..3).map(|_| home.gate("slow", &server).open()).collect();
    for client in &clients {
        assert_eq!(client.tools().len(), 3);
    }
    server.tools([
        tool("slow", ""),
        tool("fast", ""),
        tool("never", ""),
        tool("new", ""),
    ]);
    for client in &clients {
        assert_eq!(client.tools().len(), 3);
    }
    home.approve("slow", "new");
    for client in &clients {
        client.until_tools(&["slow", "fast", "never", "new"]);
    }
    assert!(
        !clients[0].hears_within(clients[0].mark(), Duration::from_millis(300), |message| {
            message["method"] == "notifications/tools/list_changed"
        })
    );
}
