//! What one caller can do to another, a web page to a user, and a client that is slow, or gone, or never reads, to all.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Era, Mcp, Reply, Scene, Socket, Upstream, in_both_revisions, outcome, tool, until,
};

in_both_revisions!(
    two_callers_may_use_one_id_at_once,
    nothing_of_the_caller_travels_upstream,
    a_task_belongs_to_the_caller_who_began_it,
    a_web_page_reaches_nothing,
    a_slow_head_or_body_is_cut_off_and_holds_up_nobody,
    a_client_that_never_reads_is_not_buffered_for,
    streams_that_were_left_are_given_back,
);

/// Another caller, with a session of its own where there are such.
fn bob(scene: &Scene) -> Mcp {
    let token = scene.home.token("bob");
    until("the token to be known", || {
        let unknown = scene.serve.stranger("s", &token, Era::Modern);
        (unknown.raw("tools/list", "").status == 200).then_some(())
    });
    scene.serve.client("s", &token, scene.era)
}

#[test]
fn a_session_of_another_caller_is_as_unknown_as_any() {
    let scene = Scene::new(Era::Legacy);
    let mut bob = bob(&scene);
    let own = bob.session.clone().unwrap();
    let alice = scene.mcp.session.clone().unwrap();
    assert_ne!(own, alice);
    assert!(alice.len() >= 22 && alice.bytes().all(|byte| byte.is_ascii_graphic()));
    assert_eq!(scene.upstream.mentions(&alice), 0, "our ids are ours");

    let mut requests = vec![bob.post(&scene.marked())];
    bob.session = Some("0".repeat(alice.len()));
    requests.extend([
        bob.post(
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"MARK"}}"#,
        ),
        bob.post(r#"{"jsonrpc":"2.0","id":1,"result":{"MARK":1}}"#),
        bob.post("")
            .without("Content-Type")
            .set("Accept", "text/event-stream"),
        bob.verb("DELETE").add("Mcp-Session-Id", "x"),
    ]);
    for (n, request) in requests.into_iter().enumerate() {
        let request = match n {
            3 => bob.listening(),
            _ => request,
        };
        let try_with = |session: &str| {
            let mut response = request.clone().set("Mcp-Session-Id", session).send();
            response.headers.retain(|(name, _)| name != "date");
            (response.status, response.headers, response.body)
        };
        let unknown = try_with(&"0".repeat(alice.len()));
        assert_eq!(unknown.0, 404, "{unknown:?}");
        assert_eq!(try_with(&alice), unknown);
        scene.nothing_upstream("another caller's session");
    }
    // Without a token not even that much.
    for session in [alice.clone(), own, "unknown".to_owned()] {
        let response = scene
            .mcp
            .post(&scene.marked())
            .without("Authorization")
            .set("Mcp-Session-Id", &session)
            .send();
        scene.refused(&response, 401, &[], "no token");
    }
    // No session at all, and ids that are none.
    let response = scene
        .mcp
        .post(&scene.marked())
        .without("Mcp-Session-Id")
        .send();
    scene.refused(&response, 400, &[], "no session");
    for id in [
        "",
        "x",
        "../s",
        &format!("{alice} "),
        &format!("{alice}0"),
        &alice.to_uppercase(),
    ] {
        if *id == format!("{alice} ") {
            continue; // White space around a value is no part of it.
        }
        let response = scene
            .mcp
            .post(&scene.marked())
            .set("Mcp-Session-Id", id)
            .send();
        assert!(matches!(response.status, 400 | 404), "{id}: {response:?}");
        scene.nothing_upstream(id);
    }
    // Ended, it is unknown, to its caller too.
    let response = scene
        .mcp
        .verb("DELETE")
        .add("Mcp-Session-Id", &alice)
        .send();
    assert!(matches!(response.status, 200 | 204), "{response:?}");
    assert_eq!(scene.mcp.post(&scene.marked()).send().status, 404);
    assert_eq!(scene.upstream.mentions("MARK"), 0);
}

#[test]
fn in_2026_07_28_there_are_no_sessions_to_take() {
    let scene = Scene::new(Era::Modern);
    let legacy = scene.serve.client("s", &scene.mcp.token, Era::Legacy);
    let session = legacy.session.clone().unwrap();
    for id in [session.as_str(), "unknown"] {
        let call = scene.mcp.message("x", "tools/call", r#"{"name":"a"}"#);
        let response = scene.mcp.post(&call).add("Mcp-Session-Id", id).send();
        assert_eq!(response.header("mcp-session-id"), None, "{response:?}");
        outcome(&response, &"x".into()).ran();
    }
    for verb in ["GET", "DELETE"] {
        let response = scene
            .mcp
            .verb(verb)
            .add("Accept", "text/event-stream")
            .add("MCP-Protocol-Version", "2026-07-28")
            .send();
        assert_eq!(response.status, 405, "{response:?}");
    }
}

fn two_callers_may_use_one_id_at_once(era: Era) {
    let scene = Scene::new(era);
    let bob = bob(&scene);
    scene
        .upstream
        .on("tools/call", Reply::Late(Duration::from_millis(300)));
    let call = |mcp: &Mcp, who: &str| {
        let params = format!(r#"{{"name":"a","arguments":{{"who":"{who}"}}}}"#);
        let line = mcp.message(7, "tools/call", &params);
        let mut socket = mcp.post(&line).open();
        let response = socket.response().unwrap();
        outcome(&response, &7.into()).ran()["structuredContent"]["params"]["arguments"]["who"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    for round in 0..3 {
        let (a, b) = (format!("alice{round}"), format!("bob{round}"));
        let both = std::thread::scope(|scope| {
            let first = scope.spawn(|| call(&scene.mcp, &a));
            let second = scope.spawn(|| call(&bob, &b));
            (first.join().unwrap(), second.join().unwrap())
        });
        assert_eq!(both, (a, b));
    }
}

fn nothing_of_the_caller_travels_upstream(era: Era) {
    let scene = Scene::new(era);
    let call = scene.mcp.message("x", "tools/call", r#"{"name":"a"}"#);
    let response = scene
        .mcp
        .post(&call)
        .add("Cookie", "SECRET=1")
        .add("X-Forwarded-For", "SECRET")
        .add("X-Api-Key", "SECRET")
        .add("Proxy-Authorization", "Basic SECRET")
        .add("User-Agent", "SECRET")
        .add("Mcp-Param-Other", "SECRET")
        .send();
    outcome(&response, &"x".into()).ran();
    let token = &scene.mcp.token;
    for word in [token.as_str(), "SECRET", "alice"] {
        assert_eq!(
            scene.upstream.mentions(word),
            0,
            "{:#?}",
            scene.upstream.received()
        );
    }
    for request in scene.upstream.received() {
        assert_eq!(request.header("authorization"), None, "{request:?}");
    }
}

fn a_task_belongs_to_the_caller_who_began_it(era: Era) {
    let upstream = Upstream::new([tool("a", "")]);
    let task = r#""taskId":"TASK","status":"working","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z""#;
    let (began, state) = match era {
        Era::Legacy => (
            format!(r#"{{"task":{{{task},"ttl":null}}}}"#),
            format!(r#"{{{task},"ttl":null}}"#),
        ),
        Era::Modern => (
            format!(r#"{{"resultType":"task",{task},"ttlMs":null}}"#),
            format!(r#"{{"resultType":"complete",{task},"ttlMs":null}}"#),
        ),
    };
    let begin = began.clone();
    upstream
        .rule(move |received| {
            let begins = received.body.contains("BEGIN");
            begins.then(|| Reply::Result(begin.clone()))
        })
        .on("tasks/get", Reply::Result(state.clone()))
        .on("tasks/cancel", Reply::Result(state))
        .on("tasks/result", Reply::Result(r#"{"content":[{"type":"text","text":"RESULT"}]}"#.to_owned()))
        .rule(move |received| {
            // A legacy server has to say that it knows tasks.
            let tasks = r#""capabilities":{"tools":{"listChanged":true},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
            match received.method().as_str() {
                "initialize" => Some(Reply::Result(format!(
                    r#"{{"protocolVersion":"2025-11-25",{tasks},"serverInfo":{{"name":"upstream","version":"1"}}}}"#
                ))),
                "server/discover" => Some(Reply::Result(format!(
                    r#"{{"resultType":"complete","supportedVersions":["2026-07-28"],{tasks},"ttlMs":0,"cacheScope":"private"}}"#
                ))),
                _ => None,
            }
        });
    let scene = Scene::with(era, upstream, "", "");
    let bob = bob(&scene);
    let capabilities = r#"{"tasks":{},"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    let alice = scene
        .serve
        .client_with("s", &scene.mcp.token, era, capabilities);
    let extra = if era == Era::Legacy {
        r#","task":{}"#
    } else {
        ""
    };
    let params = format!(r#"{{"name":"a","arguments":{{"BEGIN":1}}{extra}}}"#);
    let id = alice.id();
    let response = alice.post(&alice.message(id, "tools/call", &params)).send();
    let result = outcome(&response, &id.into()).ran();
    assert!(result.to_string().contains("TASK"), "{result}");

    let methods: &[&str] = match era {
        Era::Legacy => &["tasks/get", "tasks/result", "tasks/cancel"],
        Era::Modern => &["tasks/get", "tasks/update", "tasks/cancel"],
    };
    let ask = |mcp: &Mcp, method: &str, id: &str| {
        let params = format!(r#"{{"taskId":"{id}"}}"#);
        let line = mcp.message("t", method, &params);
        let post = mcp.post(&line);
        let post = match era {
            Era::Legacy => post,
            Era::Modern => post.add("Mcp-Name", id),
        };
        post.send()
    };
    let before = scene.upstream.mentions("TASK");
    for method in methods {
        let (theirs, none) = (ask(&bob, method, "TASK"), ask(&bob, method, "NONE"));
        for response in [&theirs, &none] {
            assert!(response.code() < 0, "{method}: {response:?}");
            assert!(!response.body.contains("RESULT"), "{response:?}");
        }
        assert_eq!(
            theirs.body.replace("TASK", "NONE"),
            none.body,
            "what another began is as unknown as what nobody did"
        );
    }
    assert_eq!(
        scene.upstream.mentions("TASK"),
        before,
        "{:#?}",
        scene.upstream.received()
    );
    outcome(&ask(&alice, "tasks/get", "TASK"), &"t".into()).ran();
}

fn a_web_page_reaches_nothing(era: Era) {
    let scene = Scene::new(era);
    let port = scene.serve.address.port();
    let post = scene.mcp.post(&scene.marked());
    for host in [
        "evil.example".to_owned(),
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("localhost.evil.example:{port}"),
        "localhost:1".to_owned(),
        format!("127.0.0.1:{port}.evil.example"),
        format!("user@127.0.0.1:{port}"),
        format!("127.0.0.1:{port}/evil"),
        format!("127.0.0.2:{port}"),
        format!("[::ffff:127.0.0.1]:{port}x"),
        String::new(),
    ] {
        let response = post.clone().set("Host", &host).send();
        assert!(
            matches!(response.status, 400 | 403),
            "Host `{host}`: {response:?}"
        );
        scene.nothing_upstream(&host);
    }
    fails_without_host(&scene);
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("http://localhost:{port}.evil.example"),
        "http://127.0.0.1:1".to_owned(),
        "null".to_owned(),
        "file://".to_owned(),
        "chrome-extension://abcdef".to_owned(),
        format!("http://127.0.0.1:{port}, http://evil.example"),
        format!("http://user@127.0.0.1:{port}"),
        String::new(),
    ] {
        let response = post.clone().add("Origin", &origin).send();
        assert_eq!(response.status, 403, "Origin `{origin}`: {response:?}");
        assert_eq!(response.header("access-control-allow-origin"), None);
        scene.nothing_upstream(&origin);
        // A browser asks first, and learns nothing it could go on with.
        let response = scene
            .serve
            .request("OPTIONS", &scene.mcp.path)
            .add("Origin", &origin)
            .add("Access-Control-Request-Method", "POST")
            .send();
        assert_eq!(response.header("access-control-allow-origin"), None);
        assert!(response.status >= 400, "{response:?}");
    }
    // A page that reads what a name was rebound to.
    for verb in ["GET", "DELETE"] {
        let response = scene
            .mcp
            .verb(verb)
            .set("Host", "evil.example")
            .add("Accept", "text/event-stream")
            .send();
        assert_eq!(response.status, 403, "{response:?}");
    }
}

fn fails_without_host(scene: &Scene) {
    let post = scene.mcp.post(&scene.marked()).without("Host");
    let text = String::from_utf8(post.bytes()).unwrap();
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut socket = Socket::connect(scene.serve.address);
        socket.write(text.replacen("HTTP/1.1", version, 1));
        if let Some(response) = socket.response() {
            assert!(matches!(response.status, 400 | 403), "{response:?}");
        }
        scene.nothing_upstream("no Host");
    }
}

fn a_slow_head_or_body_is_cut_off_and_holds_up_nobody(era: Era) {
    let upstream = Upstream::new([tool("a", "")]);
    let scene = Scene::with(
        era,
        upstream,
        "",
        "[http.limits]\nbody_timeout_ms = 700\nheader_timeout_ms = 700\n",
    );
    let bytes = scene.mcp.post(&scene.marked()).bytes();
    let body = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap()
        + 4;
    // None, some or all of the head, some of the body; and then nothing.
    let mut slow: Vec<Socket> = [0, 10, body - 2, body, bytes.len() - 1]
        .into_iter()
        .map(|end| {
            let mut socket = Socket::connect(scene.serve.address);
            socket.write(&bytes[..end]);
            socket
        })
        .collect();
    let start = Instant::now();
    scene.mcp.call("a").ran();
    assert!(start.elapsed() < Duration::from_secs(20));
    for socket in &mut slow {
        assert!(socket.is_closed(), "a slow client is never cut off");
    }
    // A byte now and then does not help: the limit is on the whole.
    let mut socket = Socket::connect(scene.serve.address);
    socket.write(&bytes[..body]);
    let end = Instant::now() + Duration::from_secs(3);
    for byte in &bytes[body..bytes.len() - 1] {
        if Instant::now() >= end {
            break;
        }
        socket.write([*byte]);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(socket.is_closed());
    scene.nothing_upstream("a slow request");
}

/// Resident mebibytes of the gate.
fn resident(scene: &Scene) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/status", scene.serve.id())).unwrap();
    let line = text
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kibibytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes / 1024
}

fn a_client_that_never_reads_is_not_buffered_for(era: Era) {
    let upstream = Upstream::new(["a", "talks"].map(|name| tool(name, "")));
    let scene = Scene::with(era, upstream, "", "");
    let text = "x".repeat(1 << 20);
    let progress = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"p","progress":1,"message":"{text}"}}}}"#
    );
    let before = resident(&scene);
    let within = |before: u64, what: &str| {
        let now = resident(&scene);
        assert!(
            now < before + 110,
            "{before} MiB before, {now} MiB after 150 MiB of {what} that nobody read"
        );
        // Everybody else goes on.
        scene.mcp.call("a").ran();
        assert_eq!(scene.mcp.tools(), ["a", "talks"]);
    };
    scene
        .upstream
        .on_call("talks", Reply::Events(vec![progress; 150]));
    let params = r#"{"name":"talks","arguments":{},"_meta":{"progressToken":"p"}}"#;
    let line = match era {
        Era::Legacy => scene.mcp.message("deaf", "tools/call", params),
        Era::Modern => scene
            .mcp
            .message("deaf", "tools/call", r#"{"name":"talks","arguments":{}}"#)
            .replace(r#""_meta":{"#, r#""_meta":{"progressToken":"p","#),
    };
    // Kept, and never read from.
    let mut deaf = scene.mcp.post(&line).open();
    deaf.head();
    std::thread::sleep(Duration::from_secs(4));
    within(before, "a request's stream");
    deaf.close();
    if era == Era::Modern {
        return; // What else a server says there is not relayed.
    }
    let before = resident(&scene);
    let mut deaf = scene.mcp.listening().open();
    deaf.head();
    until("the gate to listen too", || {
        (scene.upstream.streams() > 0).then_some(())
    });
    let said = format!(
        r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":"{text}"}}}}"#
    );
    for _ in 0..150 {
        scene.upstream.push(&said);
    }
    within(before, "the server's own stream");
    deaf.close();
}

fn streams_that_were_left_are_given_back(era: Era) {
    let upstream = Upstream::new([tool("a", "")]);
    let scene = Scene::with(
        era,
        upstream,
        "",
        "[http.limits]\nmax_streams = 2\nkeep_alive_s = 1\n",
    );
    for _ in 0..5 {
        let events = until("a stream", || {
            let mut socket = scene.mcp.listening().open();
            let head = socket.head().unwrap();
            match head.status {
                200 => Some(socket.events()),
                409 | 429 | 503 => None,
                other => panic!("{other}: {head:?}"),
            }
        });
        events.close();
    }
    // One who will send nothing more is gone too: nobody could tell it from a connection that is left half open.
    let mut half = until("a stream", || {
        let mut socket = scene.mcp.listening().open();
        (socket.head().unwrap().status == 200).then_some(socket)
    });
    half.half_close();
    assert!(half.is_closed());
    scene.mcp.call("a").ran();
}

#[test]
fn what_one_stream_said_is_not_told_on_another() {
    let scene = Scene::new(Era::Legacy);
    let bob = bob(&scene);
    let progress = |word: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/progress","params":{{"progressToken":"{word}","progress":1,"message":"{word}"}}}}"#
        )
    };
    let answer = r#"{"jsonrpc":"2.0","id":$ID,"result":{"content":[]}}"#;
    let call = |word: &str| {
        scene.upstream.on(
            "tools/call",
            Reply::Events(vec![progress(word), progress(word), answer.to_owned()]),
        );
        let params =
            format!(r#"{{"name":"a","arguments":{{}},"_meta":{{"progressToken":"{word}"}}}}"#);
        let line = scene.mcp.message(word, "tools/call", &params);
        let events = scene.mcp.post(&line).open().events();
        events.wait(0, "the answer", |message| message["id"] == word);
        events.ended();
        events.heard()
    };
    let (first, second) = (call("ONE"), call("TWO"));
    let ids = |events: &[crate::support::Event]| -> Vec<String> {
        events.iter().filter_map(|event| event.id.clone()).collect()
    };
    let (one, two) = (ids(&first), ids(&second));
    assert!(!one.is_empty(), "no ids, nothing to resume: {first:?}");
    assert!(one.iter().all(|id| !two.contains(id)), "{one:?} {two:?}");

    let resume = |mcp: &Mcp, id: &str| mcp.listening().add("Last-Event-ID", id).open();
    // The caller's own: what came after it on that stream, and nothing of the other.
    let rest = resume(&scene.mcp, &one[0]).events();
    rest.wait(0, "the answer again", |message| message["id"] == "ONE");
    rest.ended();
    let told = format!("{:?}", rest.heard());
    assert!(!told.contains("TWO"), "{told}");
    // Of another session, or none: nothing.
    let again = scene.serve.client("s", &scene.mcp.token, Era::Legacy);
    for (mcp, id) in [
        (&bob, one[0].as_str()),
        (&again, one[0].as_str()),
        (&bob, "x"),
        (&scene.mcp, "x"),
        (&scene.mcp, "999999-1"),
        (&scene.mcp, "-1"),
        (&scene.mcp, "1-99999999999999999999999"),
    ] {
        let mut socket = resume(mcp, id);
        let head = socket.head().unwrap();
        if head.status == 200 {
            let events = socket.events();
            let says = |message: &Value| message.to_string().contains("ONE");
            assert!(!events.hears_within(0, Duration::from_millis(300), says));
        } else {
            assert!(matches!(head.status, 400 | 404 | 409), "{id}: {head:?}");
        }
    }
    assert_eq!(scene.mcp.request("ping", &json!({})).ran(), json!({}));
}
