//! Tasks: a call whose result comes later is judged where it begins and where its result is fetched.

use serde_json::json;

use crate::support::{Answer, Client, Fixture, Home, golden, tool};

fn scene(home: &Home) -> (Fixture, Client) {
    std::fs::write(home.policies().join("10-golden.wasm"), golden()).unwrap();
    let mut server = home.fixture("s");
    let task = r#"{"task":{"taskId":"t-$ID","status":"working","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z","ttl":null}}"#;
    let begins = |name: &str, id: &str| {
        let result = task.replace("t-$ID", id);
        format!(r#"{{"method":"tools/call","name":"{name}","result":{result}}}"#)
    };
    server
        .set(
            "capabilities",
            r#"{"tools":{"listChanged":true},"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#,
        )
        .tools(["long", "deny_long", "evil"].map(|name| tool(name, "")))
        .rules([
            begins("long", "t1"),
            begins("evil", "t2"),
            r#"{"method":"tasks/get","result":{"taskId":"t1","status":"completed","createdAt":"2026-01-01T00:00:00Z","lastUpdatedAt":"2026-01-01T00:00:00Z","ttl":null}}"#.to_owned(),
            r#"{"method":"tasks/result","times":1,"result":{"content":[{"type":"text","text":"done"}]}}"#.to_owned(),
            r#"{"method":"tasks/result","result":{"content":[{"type":"text","text":"[deny] VOICE"}]}}"#.to_owned(),
        ]);
    let client = home.gate("s", &server).open();
    client.tools();
    (server, client)
}

#[test]
fn a_call_as_a_task_is_judged_when_it_begins() {
    let home = Home::new();
    let (server, client) = scene(&home);
    let call = |name: &str| {
        client.request(
            "tools/call",
            &json!({"name": name, "arguments": {}, "task": {"ttl": 1000}}),
        )
    };
    call("deny_long").refused_as("DENIED", "denied");
    call("absent").refused_as("FILTERED", "filtered");
    assert!(server.received_with("tools/call").is_empty());
    assert_eq!(call("long").ran()["task"]["taskId"], "t1");
    client.request("tasks/get", &json!({"taskId": "t1"})).ran();
}

#[test]
fn a_task_s_result_is_judged_when_it_is_fetched() {
    let home = Home::new();
    let (_server, client) = scene(&home);
    for name in ["long", "evil"] {
        client
            .request(
                "tools/call",
                &json!({"name": name, "arguments": {}, "task": {}}),
            )
            .ran();
    }
    let fetch = |id: &str| client.raw("tasks/result", &json!({"taskId": id}).to_string());
    assert_eq!(
        Answer::read(&fetch("t1")).ran()["content"][0]["text"],
        "done"
    );
    let line = fetch("t2");
    assert!(!line.contains("VOICE"), "{line}");
    Answer::read(&line).refused_as("WITHHELD", "result_denied");
}
