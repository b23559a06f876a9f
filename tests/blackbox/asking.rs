//! What a server asks of the client: judged wherever it hides, in order, and hidden from the server if the operator
//! denies it.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::support::{Answer, Client, Fixture, Home, example, golden, tool, until};

const ALL: &str = r#"{"sampling":{},"elicitation":{"form":{},"url":{}},"roots":{}}"#;

/// A chain with the golden policy, which denies these methods.
fn deny(home: &Home, methods: &[&str]) {
    std::fs::write(home.policies().join("10-golden.wasm"), golden()).unwrap();
    let settings = format!("[settings]\ndeny_requests = {methods:?}\n");
    std::fs::write(home.policies().join("10-golden.toml"), settings).unwrap();
}

fn open(home: &Home, server: &Fixture) -> Client {
    let client = home.gate("s", server).start();
    client.initialize(ALL);
    client.initialized();
    client.tools();
    client
}

fn asks(id: &str, method: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":"{id}","method":"{method}","params":{params}}}"#)
}

/// The answer that the server got to a request of its own.
#[track_caller]
fn told(server: &Fixture, id: &str) -> Value {
    until("an answer to the server's request", || {
        let received = server.received();
        let mut messages = received
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        messages.find(|message| message["id"] == id && message.get("method").is_none())
    })
}

/// The records of questions: method, verdict and codes.
fn records(home: &Home) -> Vec<(String, String, Value)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    home.audit()
        .iter()
        .filter(|record| {
            ["sampling/", "elicitation/", "roots/"]
                .iter()
                .any(|of| text(&record["method"]).starts_with(of))
        })
        .map(|record| {
            (
                text(&record["method"]),
                text(&record["verdict"]),
                record["codes"].clone(),
            )
        })
        .collect()
}

/// A policy's denial is told to the server as a person's would be; the client hears nothing of it.
#[test]
fn a_policy_denies_what_the_server_asks() {
    let home = Home::new();
    deny(&home, &["sampling/createMessage"]);
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = open(&home, &server);
    let mark = client.mark();
    let sampling = r#"{"messages":[],"maxTokens":1}"#;
    server.send(&asks("w1", "sampling/createMessage", sampling));
    server.send(&asks("w2", "elicitation/create", r#"{"message":"[deny]"}"#));
    server.send(&asks("w3", "elicitation/create", r#"{"message":"[trap]"}"#));
    let url =
        r#"{"mode":"url","message":"m","url":"https://example.com","elicitationId":"1","n":1.0}"#;
    server.send(&asks("w4", "elicitation/create", url));
    server.send(r#"{"jsonrpc":"2.0","id":"w5","method":"roots/list"}"#);
    assert_eq!(told(&server, "w1")["error"]["code"], -1);
    assert_eq!(told(&server, "w2")["result"], json!({"action": "decline"}));
    assert_eq!(told(&server, "w3")["result"], json!({"action": "decline"}));
    client.wait_method(mark, "roots/list");
    // Byte for byte, and nothing else.
    assert_eq!(
        client.heard(mark),
        [
            asks("w4", "elicitation/create", url),
            r#"{"jsonrpc":"2.0","id":"w5","method":"roots/list"}"#.to_owned()
        ]
    );
    client.send(r#"{"jsonrpc":"2.0","id":"w5","result":{"roots":[{"uri":"file:///home"}]}}"#);
    assert_eq!(
        told(&server, "w5")["result"]["roots"][0]["uri"],
        "file:///home"
    );
    client.close_well();
    let records = records(&home);
    let verdicts: Vec<_> = records
        .iter()
        .map(|(method, verdict, _)| (method.as_str(), verdict.as_str()))
        .collect();
    assert_eq!(
        verdicts,
        [
            ("sampling/createMessage", "denied"),
            ("elicitation/create", "denied"),
            ("elicitation/create", "error"),
            ("elicitation/create", "allowed"),
            ("roots/list", "allowed"),
        ]
    );
    assert!(
        records[0].2.to_string().contains("request_denied"),
        "{records:?}"
    );
}

/// What the server says behind a question comes behind it, and its answers too.
#[test]
fn nothing_overtakes_a_question_that_is_judged() {
    let home = Home::new();
    deny(&home, &["roots/list"]);
    let mut server = home.fixture("s");
    let note = |n: usize| {
        format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{n}}}}}"#
        )
    };
    let mut before = Vec::new();
    for n in 0..40 {
        before.push(asks(
            &format!("e{n}"),
            "elicitation/create",
            r#"{"message":"m"}"#,
        ));
        before.push(asks(&format!("r{n}"), "roots/list", "{}"));
        before.push(note(n));
    }
    let rule = json!({"method": "tools/call", "before": before, "result": {"content": []}});
    server.tools([tool("a", "")]).rules([rule.to_string()]);
    let client = open(&home, &server);
    let mark = client.mark();
    let id = client.ask("tools/call", r#"{"name":"a","arguments":{}}"#);
    client.answer_to(id);
    let heard: Vec<Value> = client
        .heard(mark)
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut expected = Vec::new();
    for n in 0..40 {
        expected.push(json!(format!("e{n}")));
        expected.push(json!(n));
    }
    expected.push(json!(id));
    let order: Vec<Value> = heard
        .iter()
        .map(|message| match message.get("id") {
            Some(id) => id.clone(),
            None => message["params"]["data"].clone(),
        })
        .collect();
    assert_eq!(order, expected);
    assert_eq!(told(&server, "r39")["error"]["code"], -32601);
}

/// A request that clients could read in another way than the gate is not relayed.
#[test]
fn a_question_that_can_be_read_in_two_ways_is_refused() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = open(&home, &server);
    let mark = client.mark();
    for (id, params) in [
        (
            "w1",
            r#"{"mode":"form","Mode":"url","url":"https://evil.example"}"#,
        ),
        ("w2", r#"{"mode":"URL","url":"https://evil.example"}"#),
        ("w3", r#"{"mode":7}"#),
    ] {
        server.send(&asks(id, "elicitation/create", params));
        assert_eq!(told(&server, id)["error"]["code"], -32602, "{params}");
    }
    client.call("a").ran();
    assert_eq!(
        client.heard_with(mark, "elicitation/create"),
        Vec::<Value>::new()
    );
}

/// The operator's defaults: the capability is not declared, and who asks all the same is refused. A server's own
/// section only narrows.
#[test]
fn what_the_operator_denies_is_neither_declared_nor_asked() {
    let home = Home::new();
    home.configure(
        "version = 1\n[client_requests]\nsampling = \"deny\"\n\
         [server.s.client_requests]\nsampling = \"allow\"\nelicitation_url = \"deny\"\n",
    );
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).start();
    client.initialize(
        r#"{ "x":1.0, "sampling":{"tools":{}}, "elicitation":{"form":{} ,"url":{}}, "roots" : {}}"#,
    );
    client.initialized();
    client.tools();
    let received = server.received();
    assert!(
        received[0].contains(
            r#""capabilities":{ "x":1.0, "elicitation":{"form":{}}, "roots" : {}},"clientInfo""#
        ),
        "{}",
        received[0]
    );
    let mark = client.mark();
    server.send(&asks("w1", "sampling/createMessage", "{}"));
    server.send(&asks(
        "w2",
        "elicitation/create",
        r#"{"mode":"url","url":"https://example.com"}"#,
    ));
    server.send(&asks("w3", "elicitation/create", r#"{"message":"m"}"#));
    assert_eq!(told(&server, "w1")["error"]["code"], -1);
    assert_eq!(told(&server, "w2")["result"]["action"], "decline");
    client.wait_method(mark, "elicitation/create");
    assert_eq!(client.heard(mark).len(), 1);
    client.close_well();
    let codes: Vec<String> = records(&home)
        .iter()
        .map(|(_, verdict, codes)| format!("{verdict} {codes}"))
        .collect();
    assert!(
        codes[0].starts_with("denied") && codes[0].contains("client_request_denied"),
        "{codes:?}"
    );
    assert!(codes[2].starts_with("allowed"), "{codes:?}");
}

/// Capabilities that a server could read although the gate cannot are not forwarded.
#[test]
fn capabilities_that_cannot_be_narrowed_are_refused() {
    let home = Home::new();
    home.configure("version = 1\n[client_requests]\nsampling = \"deny\"\n");
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).start();
    let params = r#"{"protocolVersion":"2025-11-25","capabilities":{"Sampling":{}},"clientInfo":{"name":"c","version":"1"}}"#;
    assert_eq!(
        Answer::read(&client.raw("initialize", params)).failed(),
        -32602
    );
    // Another try is possible.
    client.initialize(r#"{"sampling":{}}"#);
    assert_eq!(server.received().len(), 1, "{:#?}", server.received());
    assert_eq!(server.mentions("ampling"), 0);
}

/// A server that is not told of roots is not told that they changed.
#[test]
fn denied_roots_are_not_spoken_of() {
    let home = Home::new();
    home.configure("version = 1\n[client_requests]\nroots = \"deny\"\n");
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = open(&home, &server);
    client.send(r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#);
    client.call("a").ran();
    assert_eq!(server.mentions("roots"), 0, "{:#?}", server.received());
}

/// An error that asks the person to open a URL is a question like any other.
#[test]
fn an_error_that_asks_is_judged() {
    let home = Home::new();
    deny(&home, &[]);
    let mut server = home.fixture("s");
    let error = |message: &str| {
        json!({"code": -32042, "message": "more is needed", "data": {"elicitations": [
            {"mode": "url", "elicitationId": "1", "url": "https://example.com", "message": message}]}})
    };
    let rule = |tool: &str, message: &str| json!({"method": "tools/call", "name": tool, "error": error(message)});
    let form = json!({"method": "tools/call", "name": "form", "error":
        {"code": -32042, "message": "m", "data": {"elicitations": [{"message": "VOICE"}]}}});
    server
        .tools(["good", "bad", "form"].map(|name| tool(name, "")))
        .rules([
            rule("good", "m").to_string(),
            rule("bad", "[deny] VOICE").to_string(),
            form.to_string(),
        ]);
    let client = open(&home, &server);
    assert_eq!(client.call("good").failed(), -32042);
    client.call("bad").refused_as("DENIED", "request_denied");
    client
        .call("form")
        .refused_as("DENIED", "client_request_unreadable");
    assert!(!client.heard(0).iter().any(|line| line.contains("VOICE")));
}

/// A request of 2026-07-28.
fn stands(client: &Client, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {"sampling": {}, "elicitation": {"form": {}, "url": {}},
            "extensions": {"io.modelcontextprotocol/tasks": {}}},
    });
    client.raw(method, &params.to_string())
}

fn wants(map: &Value) -> Value {
    json!({"resultType": "input_required", "inputRequests": map, "requestState": "VOICE"})
}

fn modern(server: &mut Fixture, rules: &[Value]) {
    let discover = json!({"method": "server/discover", "result": {
        "resultType": "complete", "supportedVersions": ["2026-07-28"],
        "capabilities": {"tools": {}, "prompts": {}}, "ttlMs": 1, "cacheScope": "public"}});
    let rules: Vec<String> = std::iter::once(&discover)
        .chain(rules)
        .map(Value::to_string)
        .collect();
    server.rules(rules);
}

/// In 2026-07-28 questions travel inside results. One that is refused refuses the whole answer: nobody can tell the
/// server, and the client must not answer the rest.
#[test]
fn questions_inside_results_are_judged() {
    let home = Home::new();
    deny(&home, &["roots/list"]);
    let mut server = home.fixture("s");
    let form = json!({"method": "elicitation/create", "params": {"message": "m"}});
    let rule = |tool: &str, map: Value| json!({"method": "tools/call", "name": tool, "result": wants(&map)});
    modern(
        &mut server,
        &[
            rule("good", json!({"a": form})),
            rule("bad", json!({"a": form, "b": {"method": "roots/list"}})),
            rule("odd", json!({"a": form, "b": {"method": "tools/call"}})),
            json!({"method": "tools/call", "name": "state", "result": {"resultType": "input_required", "requestState": "s"}}),
            json!({"method": "prompts/get", "result": wants(&json!({"b": {"method": "roots/list"}}))}),
        ],
    );
    let tools = ["good", "bad", "odd", "state"].map(|name| tool(name, ""));
    let prompts = vec![crate::support::prompt("p", "")];
    server.offer(&[("tools", tools.to_vec()), ("prompts", prompts)]);
    let client = home.gate("s", &server).start();
    let call = |name: &str| {
        stands(
            &client,
            "tools/call",
            json!({"name": name, "arguments": {}}),
        )
    };
    let good: Value = serde_json::from_str(&call("good")).unwrap();
    assert_eq!(good["result"], wants(&json!({"a": form})));
    let state: Value = serde_json::from_str(&call("state")).unwrap();
    assert_eq!(state["result"]["requestState"], "s");

    let bad = call("bad");
    assert!(
        !bad.contains("VOICE") && !bad.contains("inputRequests"),
        "{bad}"
    );
    assert!(bad.contains(r#""resultType":"complete""#), "{bad}");
    Answer::read(&bad).refused_as("DENIED", "request_denied");
    Answer::read(&call("odd")).refused_as("DENIED", "client_request_unreadable");
    let prompt = stands(&client, "prompts/get", json!({"name": "p"}));
    assert!(
        prompt.contains(r#""code":-32602"#) && !prompt.contains("VOICE"),
        "{prompt}"
    );
    Answer::read(&prompt).refused_as("DENIED", "request_denied");
    client.close_well();
    let verdicts: Vec<_> = records(&home)
        .into_iter()
        .map(|(method, verdict, _)| (method, verdict))
        .collect();
    let record = |method: &str, verdict: &str| (method.to_owned(), verdict.to_owned());
    assert_eq!(
        verdicts,
        [
            record("elicitation/create", "allowed"),
            record("elicitation/create", "allowed"),
            record("roots/list", "denied"),
            record("roots/list", "denied"),
        ]
    );
}

/// Capabilities come with every request of 2026-07-28, and so do denials.
#[test]
fn what_the_operator_denies_is_not_declared_in_any_request() {
    let home = Home::new();
    home.configure(
        "version = 1\n[client_requests]\nsampling = \"deny\"\nelicitation_url = \"deny\"\n",
    );
    let mut server = home.fixture("s");
    let sampling = json!({"s": {"method": "sampling/createMessage", "params": {}}});
    modern(
        &mut server,
        &[json!({"method": "tools/call", "result": wants(&sampling)})],
    );
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).start();
    let answer = stands(&client, "tools/call", json!({"name": "a", "arguments": {}}));
    Answer::read(&answer).refused_as("DENIED", "client_request_denied");
    let received = server.received();
    assert!(received.iter().any(|line| line.contains("tools/call")));
    for line in &received {
        let message: Value = serde_json::from_str(line).unwrap();
        assert_eq!(
            message["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"],
            json!({"elicitation": {"form": {}}, "extensions": {"io.modelcontextprotocol/tasks": {}}}),
            "{line}"
        );
    }
}

/// What answers anything else cannot ask: a list, a plain answer.
#[test]
fn answers_that_cannot_ask_are_withheld_if_they_do() {
    let home = Home::new();
    let mut server = home.fixture("s");
    let sampling = json!({"s": {"method": "roots/list"}});
    modern(
        &mut server,
        &[json!({"method": "prompts/list", "result": {
            "resultType": "input_required", "prompts": [], "inputRequests": sampling}})],
    );
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).start();
    let list = stands(&client, "prompts/list", json!({}));
    assert!(
        list.contains("error") && !list.contains("inputRequests"),
        "{list}"
    );
    let tools = stands(&client, "tools/list", json!({}));
    assert_eq!(Answer::read(&tools).ran()["tools"][0]["name"], "a");

    let mut old = home.fixture("t");
    let ping = json!({"method": "logging/setLevel", "result": {"inputRequests": sampling}});
    old.tools([tool("a", "")]).rules([ping.to_string()]);
    let client = home.gate("t", &old).open();
    let answer = client.raw("logging/setLevel", r#"{"level":"info"}"#);
    assert!(
        answer.contains("-32603") && !answer.contains("roots/list"),
        "{answer}"
    );
}

/// A task that waits for input asks in its state, and in what is told of it.
#[test]
fn a_task_that_waits_for_input_is_judged() {
    let home = Home::new();
    deny(&home, &["roots/list"]);
    let mut server = home.fixture("s");
    let task = |extra: Value| {
        let mut task = json!({"resultType": "complete", "taskId": "t1", "status": "input_required",
            "createdAt": "2026-01-01T00:00:00Z", "lastUpdatedAt": "2026-01-01T00:00:00Z", "ttlMs": null});
        task.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        task
    };
    let form = json!({"a": {"method": "elicitation/create", "params": {"message": "m"}}});
    let roots = json!({"b": {"method": "roots/list"}});
    let tell = |map: &Value| {
        json!({"jsonrpc": "2.0", "method": "notifications/tasks", "params": task(json!({"inputRequests": map}))})
            .to_string()
    };
    modern(
        &mut server,
        &[
            json!({"method": "tools/call", "result": task(json!({"resultType": "task"}))}),
            json!({"method": "tasks/get", "times": 1, "before": [tell(&roots), tell(&form)],
                "result": task(json!({"inputRequests": form}))}),
            json!({"method": "tasks/get", "result": task(json!({"inputRequests": roots}))}),
        ],
    );
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).start();
    let call = stands(&client, "tools/call", json!({"name": "a", "arguments": {}}));
    assert_eq!(Answer::read(&call).ran()["taskId"], "t1");
    let mark = client.mark();
    let get = || stands(&client, "tasks/get", json!({"taskId": "t1"}));
    assert_eq!(Answer::read(&get()).ran()["inputRequests"], form);
    let told = client.heard_with(mark, "notifications/tasks");
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["params"]["inputRequests"], form);
    // No tool's result: a client reads a task here.
    let refused = get();
    assert!(refused.contains(r#""code":-32602"#), "{refused}");
    Answer::read(&refused).refused_as("DENIED", "request_denied");
}

/// The chain that is in force when the question is asked decides.
#[test]
fn a_policy_that_comes_later_judges_what_is_asked_later() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = open(&home, &server);
    let mark = client.mark();
    server.send(&asks("w1", "roots/list", "{}"));
    client.wait_method(mark, "roots/list");
    deny(&home, &["roots/list"]);
    let mut n = 1;
    until("the new chain", || {
        n += 1;
        let id = format!("w{n}");
        let mark = client.mark();
        server.send(&asks(&id, "roots/list", "{}"));
        let answered = until("one or the other", || {
            let heard = !client.heard_with(mark, "roots/list").is_empty();
            let refused = server.mentions(&format!(r#""id":"{id}""#)) > 0;
            (heard || refused).then_some(refused)
        });
        answered.then_some(())
    });
}

/// A server over HTTP answers each call on a stream of its own: what it asks there comes with that call, and the policy
/// and the audit know it.
#[test]
fn a_question_on_a_call_s_own_stream_comes_with_that_call() {
    let home = Home::new();
    deny(&home, &["roots/list"]);
    let mut server = Command::new(example("conformance-server"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut url = String::new();
    let mut out = BufReader::new(server.stdout.take().unwrap());
    out.read_line(&mut url).unwrap();
    let client = Client::spawn(home.command().args(["wrap", "--url", url.trim()]));
    client.initialize(ALL);
    client.initialized();
    client.tools();
    let sample = |prompt: &str| {
        let call = json!({"name": "test_sampling", "arguments": {"prompt": prompt}});
        client.ask("tools/call", &call.to_string())
    };
    let mark = client.mark();
    let refused = sample("[deny] VOICE");
    let answer = client.answer_to(refused);
    assert!(
        answer.contains("User rejected sampling request"),
        "{answer}"
    );
    let asked = sample("hi");
    let question = client.wait_method(mark, "sampling/createMessage");
    let said = json!({"jsonrpc": "2.0", "id": question["id"], "result": {
        "role": "assistant", "model": "m", "content": {"type": "text", "text": "sampled"}}});
    client.send(&said.to_string());
    assert!(client.answer_to(asked).contains("sampled"));
    let questions = client.heard_with(mark, "sampling/createMessage");
    assert_eq!(questions.len(), 1, "{questions:?}");
    client.close_well();
    server.kill().unwrap();
    server.wait().unwrap();
    let asked: Vec<(Value, Value)> = home
        .audit()
        .iter()
        .filter(|record| record["method"] == "sampling/createMessage")
        .map(|record| (record["verdict"].clone(), record["item"]["name"].clone()))
        .collect();
    let record = |verdict: &str| (json!(verdict), json!("test_sampling"));
    assert_eq!(asked, [record("denied"), record("allowed")]);
}
