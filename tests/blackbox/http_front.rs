//! The front as a client meets it: streams that can be come back to, limits and what is said over them, web pages, the
//! first start, what the operator is told.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{
    Era, Events, Fixture, Home, Mcp, Serve, Socket, example, outcome, tool, until,
};

const PROGRESS: &str = "notifications/progress";

/// The gate in front of a scripted server on stdio, for anybody.
struct Front {
    mcp: Mcp,
    serve: Serve,
    fixture: Fixture,
    home: Home,
}

/// With the tools `a`, `talks`, which says something and answers when it is told to, and `silent`; more in `[http]`.
fn front(more: &str) -> Front {
    let home = Home::new();
    let mut fixture = home.fixture("s");
    fixture.tools([tool("a", ""), tool("talks", ""), tool("silent", "")]);
    fixture.rules([
        json!({"method": "tools/call", "name": "talks", "before": [progress(1)], "silent": true})
            .to_string(),
        json!({"method": "tools/call", "name": "silent", "silent": true}).to_string(),
    ]);
    home.configure_http(&format!(
        "auth = \"none\"\n{more}\n[server.s]\ncommand = {}\nargs = [{}]\nstanding = \"trusted\"\n",
        Value::from(example("fixture-server").to_str().unwrap()),
        Value::from(fixture.dir().to_str().unwrap()),
    ));
    let serve = home.serve();
    let mcp = serve.client("s", "", Era::Legacy);
    Front {
        mcp,
        serve,
        fixture,
        home,
    }
}

fn progress(step: u32) -> String {
    json!({"jsonrpc": "2.0", "method": PROGRESS, "params": {"progressToken": "t", "progress": step}})
        .to_string()
}

fn answer(id: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": "done"}]}})
        .to_string()
}

impl Front {
    /// Calls `talks`, and has heard what it says first.
    fn talk(&self, id: &str) -> Events {
        let params = r#"{"name":"talks","arguments":{},"_meta":{"progressToken":"t"}}"#;
        let events = self
            .mcp
            .post(&self.mcp.message(id, "tools/call", params))
            .open()
            .events();
        events.wait_method(0, PROGRESS);
        events
    }

    /// Comes back to the stream that an event was on.
    fn resume(&self, id: &str) -> Socket {
        self.mcp.listening().add("Last-Event-ID", id).open()
    }

    /// A request of a tool, sent on a connection of its own.
    fn calling(&self, id: &str, tool: &str) -> Socket {
        let params = json!({"name": tool, "arguments": {}}).to_string();
        self.mcp
            .post(&self.mcp.message(id, "tools/call", &params))
            .open()
    }
}

/// The id of the last event.
fn last_id(events: &Events) -> String {
    events.heard().pop().unwrap().id.unwrap()
}

#[test]
fn a_stream_that_broke_off_goes_on_where_it_was_left() {
    let front = front("");
    let events = front.talk("x");
    let first = events.heard();
    assert_eq!(first[0].data, "", "an event without data comes first");
    let left = last_id(&events);
    events.close();
    // Said while nobody was there: a broken connection cancels nothing.
    front.fixture.send(&progress(2));
    front.fixture.send(&answer("x"));
    let again = front.resume(&left).events();
    again.wait(0, "the answer", |message| message["id"] == "x");
    again.ended();
    let heard = again.heard();
    let said: Vec<Value> = heard
        .iter()
        .map(|event| serde_json::from_str(&event.data).unwrap())
        .collect();
    assert_eq!(said.len(), 2, "{heard:?}");
    assert_eq!(said[0]["params"]["progress"], 2);
    assert_eq!(said[1]["result"]["content"][0]["text"], "done");
    assert_eq!(
        front.fixture.received_with("notifications/cancelled").len(),
        0
    );

    // From the very first event, all of it once more; from the last, nothing.
    let whole = front.resume(first[0].id.as_deref().unwrap()).events();
    whole.ended();
    assert_eq!(whole.heard().len(), 3);
    assert_eq!(whole.heard()[1..], heard[..], "under the same ids");
    let nothing = front.resume(&last_id(&again)).events();
    nothing.ended();
    assert_eq!(nothing.heard(), []);
}

#[test]
fn an_event_that_there_never_was_is_refused() {
    let front = front("");
    let events = front.talk("x");
    let id = last_id(&events);
    let (stream, event) = id.split_once('-').unwrap();
    let later: u64 = event.parse().unwrap();
    for unknown in [
        "".to_owned(),
        "x".to_owned(),
        stream.to_owned(),
        format!("{stream}-{}", later + 1),
        format!("99-{event}"),
        format!("{stream}-{event}-0"),
        format!("{stream}-18446744073709551615"),
    ] {
        let response = front.resume(&unknown).response().unwrap();
        assert_eq!(response.status, 400, "{unknown:?}: {response:?}");
    }
    // Another session of the same caller has events of its own only.
    let other = front.serve.client("s", "", Era::Legacy);
    let response = other.listening().add("Last-Event-ID", &id).send();
    assert_eq!(response.status, 400, "{response:?}");
    front.fixture.send(&answer("x"));
}

#[test]
fn who_comes_back_takes_the_stream_from_the_connection_that_hangs() {
    let front = front("");
    let old = front.talk("x");
    let new = front.resume(&last_id(&old)).events();
    old.ended();
    front.fixture.send(&answer("x"));
    new.wait(0, "the answer", |message| message["id"] == "x");
    new.ended();
    assert!(!format!("{:?}", old.heard()).contains("done"));
}

#[test]
fn a_session_has_one_stream_of_its_own_and_misses_nothing_while_it_is_away() {
    let front = front("");
    let log = |text: &str| {
        json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": text}})
            .to_string()
    };
    let says = |text: &'static str| move |message: &Value| message["params"]["data"] == text;
    let events = front.mcp.listen();
    front.fixture.send(&log("one"));
    events.wait(0, "one", says("one"));
    let second = front.mcp.listening().send();
    assert_eq!(second.status, 409, "{second:?}");
    let left = last_id(&events);
    events.close();
    front.fixture.send(&log("two"));
    let again = until("the stream to be free", || {
        let mut socket = front.mcp.listening().add("Last-Event-ID", &left).open();
        (socket.head().unwrap().status == 200).then(|| socket.events())
    });
    again.wait(0, "two", says("two"));
    assert!(!format!("{:?}", again.heard()).contains("one"));
    again.close();
    // Without an id it is another stream, on which nothing comes twice.
    let fresh = until("the stream to be free", || {
        let mut socket = front.mcp.listening().open();
        (socket.head().unwrap().status == 200).then(|| socket.events())
    });
    front.fixture.send(&log("three"));
    fresh.wait(0, "three", says("three"));
    assert!(!format!("{:?}", fresh.heard()).contains("two"));
}

#[test]
fn more_requests_than_a_caller_may_have_wait_and_are_then_turned_away() {
    let front = front("[http.limits]\nmax_requests_per_caller = 1\nqueue_timeout_ms = 200\n");
    let busy = front.calling("x", "silent");
    until("the call to reach the server", || {
        (front.fixture.mentions("silent") > 0).then_some(())
    });
    let response = front.calling("y", "a").response().unwrap();
    assert_eq!(response.status, 429, "{response:?}");
    assert_eq!(response.header("retry-after"), Some("1"));
    assert_eq!(outcome(&response, &"y".into()).failed(), -32603);
    // Who leaves before the answer has a request under way all the same.
    busy.close();
    assert_eq!(front.calling("y", "a").response().unwrap().status, 429);
    // One that waits is let in as soon as there is room.
    front.fixture.send(&answer("x"));
    until("room", || {
        (front.calling("z", "a").response().unwrap().status == 200).then_some(())
    });
}

/// How many processes the gate has started that run.
fn processes(serve: &Serve) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", serve.id())).unwrap();
    tasks
        .map(|task| {
            std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default()
        })
        .map(|children| children.split_whitespace().count())
        .sum()
}

/// In 2026-07-28 the client says what it can, and the server may answer by that: each word of it has a session.
#[test]
fn ever_new_capabilities_begin_no_more_processes_than_a_caller_may_have_sessions() {
    let front = front("[http.limits]\nmax_sessions_per_caller = 2\n");
    let modern = front.serve.client("s", "", Era::Modern);
    for n in 0..6 {
        let capabilities = json!({"experimental": {format!("x{n}"): {}}});
        let meta = json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": capabilities,
        });
        let ask =
            json!({"jsonrpc": "2.0", "id": n, "method": "tools/list", "params": {"_meta": meta}});
        modern.post(&ask.to_string()).send();
        // One is of the session that the other client opened.
        until("the others to give way", || {
            (processes(&front.serve) <= 1 + 2).then_some(())
        });
    }
    front.mcp.call("a").ran();
}

#[test]
fn a_call_that_is_cancelled_ends_its_streams_and_makes_room() {
    let front = front("[http.limits]\nmax_requests_per_caller = 2\nqueue_timeout_ms = 200\n");
    let mut silent = front.calling("x", "silent");
    let talk = front.talk("y");
    assert_eq!(front.calling("z", "a").response().unwrap().status, 429);
    for id in ["x", "y"] {
        // What needs no room passes: else nobody could cancel.
        let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        assert_eq!(front.mcp.post(&cancelled.to_string()).send().status, 202);
    }
    let nothing = silent.response().unwrap();
    assert_eq!(
        (nothing.status, nothing.body.as_str()),
        (200, ""),
        "{nothing:?}"
    );
    talk.ended();
    assert!(!format!("{:?}", talk.heard()).contains("error"));
    front.mcp.call("a").ran();
}

#[test]
fn more_sessions_than_a_caller_may_have_are_refused_until_one_ends() {
    let front = front("[http.limits]\nmax_sessions_per_caller = 1\n");
    let initialize = r#"{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"b","version":"1"}}}"#;
    let stranger = front.serve.stranger("s", "", Era::Legacy);
    let refused = stranger.post(initialize).send();
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.header("mcp-session-id"), None);
    assert_eq!(
        front.fixture.starts().len(),
        1,
        "no process was started for it"
    );
    let own = front.mcp.session.as_deref().unwrap();
    let ended = front.mcp.verb("DELETE").add("Mcp-Session-Id", own).send();
    assert_eq!(ended.status, 204, "{ended:?}");
    let opened = stranger.post(initialize).send();
    assert_eq!(opened.status, 200, "{opened:?}");
    let id = opened.header("mcp-session-id").unwrap();
    assert_ne!(Some(id), front.mcp.session.as_deref());
    assert!(
        id.len() >= 22 && id.bytes().all(|byte| byte.is_ascii_graphic()),
        "{id}"
    );
}

#[test]
fn more_streams_than_there_may_be_are_refused() {
    let front = front("[http.limits]\nmax_streams = 1\n");
    let _events = front.mcp.listen();
    let other = front.serve.client("s", "", Era::Legacy);
    let response = other.listening().send();
    assert_eq!(response.status, 503, "{response:?}");
    // Answers that need no stream are given all the same.
    other.call("a").ran();
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for_for_ever() {
    let front = front("[http.limits]\nfirst_byte_timeout_s = 1\n");
    let response = front.calling("x", "silent").response().unwrap();
    assert_eq!(response.status, 504, "{response:?}");
    assert_eq!(outcome(&response, &"x".into()).failed(), -32603);
    front.mcp.call("a").ran();
}

#[test]
fn a_message_over_several_lines_is_one_message() {
    let front = front("");
    let pretty = "{\r\n  \"jsonrpc\": \"2.0\",\n  \"id\": 5,\n  \"method\": \"tools/call\",\n  \"params\": {\n    \"name\": \"a\",\n    \"arguments\": {\"text\": \"two\\nlines\"}\n  }\n}\n";
    outcome(&front.mcp.post(pretty).send(), &5.into()).ran();
    let call = front.fixture.received_with("tools/call").pop().unwrap();
    assert_eq!(call["params"]["arguments"]["text"], "two\nlines");
    // A line end inside a string is no JSON, and nothing is made of it.
    let broken = pretty.replace("\\n", "\n");
    let response = front.mcp.post(&broken).send();
    assert_eq!((response.status, response.code()), (400, -32700));
}

#[test]
fn pages_that_may_call_can_and_others_can_not() {
    let front = front("origins = [\"https://app.example\"]\n");
    let asks = |origin: &str| {
        front
            .serve
            .request("OPTIONS", "/mcp/s")
            .add("Origin", origin)
            .add("Access-Control-Request-Method", "POST")
            .add(
                "Access-Control-Request-Headers",
                "authorization, mcp-method",
            )
            .send()
    };
    let allowed = asks("https://app.example");
    assert_eq!(allowed.status, 204, "{allowed:?}");
    assert_eq!(
        allowed.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    assert_eq!(
        allowed.header("access-control-allow-headers"),
        Some("authorization, mcp-method")
    );
    let refused = asks("https://evil.example");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.header("access-control-allow-origin"), None);
    let ping = front.mcp.message(7, "ping", "{}");
    let read = front
        .mcp
        .post(&ping)
        .add("Origin", "https://app.example")
        .send();
    assert_eq!(read.status, 200);
    assert_eq!(
        read.header("access-control-allow-origin"),
        Some("https://app.example")
    );
    let exposed = read.header("access-control-expose-headers").unwrap();
    assert!(exposed.contains("Mcp-Session-Id"), "{exposed}");
    assert_eq!(
        front
            .mcp
            .post(&ping)
            .send()
            .header("access-control-allow-origin"),
        None
    );
}

#[test]
fn a_stop_ends_streams_at_once_and_waits_for_what_is_under_way() {
    let front = front("");
    let standing = front.mcp.listen();
    let talk = front.talk("x");
    front.serve.signal(rustix::process::Signal::TERM);
    standing.ended();
    front.fixture.send(&answer("x"));
    talk.wait(0, "the answer", |message| message["id"] == "x");
    assert!(front.serve.ended().success(), "{}", front.serve.log());
    until("the server's end", || {
        (front.fixture.ends() == 1).then_some(())
    });
}

#[test]
fn a_second_signal_does_not_wait_for_what_is_under_way() {
    let front = front("[http.limits]\nshutdown_grace_s = 600\n");
    let talk = front.talk("x");
    front.serve.signal(rustix::process::Signal::INT);
    until("the gate to stop listening", || {
        std::net::TcpStream::connect(front.serve.address)
            .is_err()
            .then_some(())
    });
    front.serve.signal(rustix::process::Signal::INT);
    talk.ended();
    assert!(front.serve.ended().success(), "{}", front.serve.log());
}

#[test]
fn the_operator_reads_metrics_on_a_listener_of_their_own() {
    // Free at the moment; nobody else on this machine is likely to take it within milliseconds.
    let admin = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let front = front(&format!("admin = \"{admin}\"\n"));
    front.mcp.call("a").ran();
    front.mcp.call("nothing").refused_as("FILTERED", "filtered");
    front.mcp.raw("made/up\\\"", "{}");
    let read = |path: &str| {
        let mut socket = Socket::connect(admin);
        socket.write(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"));
        socket.response().unwrap()
    };
    let metrics = read("/metrics");
    assert_eq!(metrics.status, 200);
    for line in [
        r#"witgate_http_requests_total{server="s",method="tools/call",outcome="ok"} 2"#,
        r#"witgate_decisions_total{server="s",decision="filtered"} 1"#,
        r#"witgate_decisions_total{server="s",decision="allowed"}"#,
        "witgate_sessions 1",
        r#"witgate_policy_seconds_count{policy="allow-deny"}"#,
    ] {
        assert!(metrics.body.contains(line), "{line}\n{}", metrics.body);
    }
    assert!(!metrics.body.contains("made"), "{}", metrics.body);
    assert_eq!(read("/readyz").status, 200);
    assert_eq!(read("/mcp/s").status, 404);
    assert_eq!(
        front.serve.get("/metrics").status,
        404,
        "not where callers are"
    );
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let front = front("");
    front
        .home
        .run(&["serve", "--listen", &address])
        .exits(1)
        .says(&[&address, "`listen` in [http]"]);
}

#[test]
fn the_first_start_shows_a_token_once() {
    let home = Home::new();
    let fixture = {
        let mut fixture = home.fixture("s");
        fixture.tools([tool("a", "")]);
        fixture
    };
    home.configure_http(&format!(
        "[server.s]\ncommand = {}\nargs = [{}]\nstanding = \"trusted\"\n",
        Value::from(example("fixture-server").to_str().unwrap()),
        Value::from(fixture.dir().to_str().unwrap()),
    ));
    let mut first = home
        .command()
        .arg("serve")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(first.stderr.take().unwrap()).lines();
    let token = loop {
        let line = lines.next().expect("a token").unwrap();
        if let Some(at) = line.find("wg_") {
            let told = line[at..].split(|c: char| !c.is_ascii_alphanumeric() && !"-_".contains(c));
            break told.take(1).collect::<String>();
        }
    };
    let pid = rustix::process::Pid::from_child(&first);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(first.wait().unwrap().success());

    let serve = home.serve();
    serve.client("s", &token, Era::Legacy).call("a").ran();
    let wrong = serve.stranger("s", "wg_wrong", Era::Legacy);
    assert_eq!(wrong.raw("ping", "{}").status, 401);
    assert!(!serve.log().contains("wg_"), "{}", serve.log());
}
