//! F9 and F17: resources, by whatever way they are reached.

use serde_json::{Value, json};

use crate::support::{Client, Fixture, Home, resource, template, tool};

fn files(home: &Home, configuration: &str) -> (Fixture, Client) {
    home.configure(&format!("version = 1\n[server.files]\n{configuration}\n"));
    let mut server = home.fixture("files");
    server
        .offer(&[
            ("tools", vec![tool("find", "")]),
            (
                "resources",
                vec![resource("file:///a", "a"), resource("file:///b", "b")],
            ),
            (
                "templates",
                vec![
                    template("note:///{id}", "notes"),
                    template("blob:///{id}", "blobs"),
                ],
            ),
        ])
        .rules([
            r#"{"method":"tools/call","name":"find","result":{"content":[
            {"type":"resource_link","uri":"found:///linked","name":"linked"},
            {"type":"resource","resource":{"uri":"found:///embedded","text":"t"}},
            {"type":"resource_link","uri":"file:///a","name":"denied"}]}}"#
                .replace('\n', ""),
        ]);
    let client = home.gate("files", &server).open();
    (server, client)
}

#[test]
fn f17_a_resource_that_a_result_handed_out_is_gone_once_its_server_is_quarantined() {
    let home = Home::new();
    let (server, client) = files(&home, "");
    client.call("find").ran();
    let linked = json!({"uri": "found:///linked"});
    client.request("resources/read", &linked).ran();
    home.configure("version = 1\n[server.files]\nstanding = \"quarantined\"\n");
    crate::support::until("the new configuration to be in force", || {
        client.tools().is_empty().then_some(())
    });
    unreachable(&client, &server, "found:///linked");
}

#[test]
fn a_denied_resource_is_denied_however_a_server_would_decode_its_uri() {
    let home = Home::new();
    let (server, client) = files(&home, r#"deny_resources = ["note:///secret/*"]"#);
    client
        .request("resources/read", &json!({"uri": "note:///1"}))
        .ran();
    for uri in ["note:///secret%2Fkey", "note:///x%2F..%2Fsecret%2Fkey"] {
        unreachable(&client, &server, uri);
    }
}

/// Every way to reach a resource; each must be refused, and nothing of it may reach the server.
#[track_caller]
fn unreachable(client: &Client, server: &Fixture, uri: &str) {
    let reaching = || {
        [
            "resources/read",
            "resources/subscribe",
            "completion/complete",
        ]
        .map(|method| server.received_with(method).len())
    };
    let before = reaching();
    let reference =
        json!({"ref":{"type":"ref/resource","uri":uri},"argument":{"name":"id","value":"x"}});
    for (method, params) in [
        ("resources/read", json!({"uri": uri})),
        ("resources/subscribe", json!({"uri": uri})),
        ("completion/complete", reference),
    ] {
        let line = client.raw(method, &params.to_string());
        let answer: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(answer["error"]["code"], -32602, "{method} {uri}: {line}");
        assert!(
            answer["error"]["data"]["code"].is_string(),
            "{method} {uri}: {line}"
        );
    }
    assert_eq!(
        reaching(),
        before,
        "{uri} reached the server: {:#?}",
        server.received()
    );
}

#[test]
fn f9_a_denied_resource_can_be_neither_read_nor_subscribed_nor_completed() {
    let home = Home::new();
    let (server, client) = files(&home, "deny_resources = [\"file:///a\"]");
    assert_eq!(client.names("resources/list", "uri"), ["file:///b"]);
    unreachable(&client, &server, "file:///a");
    client
        .request("resources/read", &json!({"uri": "file:///b"}))
        .ran();
    client
        .request("resources/subscribe", &json!({"uri": "file:///b"}))
        .ran();
}

#[test]
fn f17_other_spellings_of_a_denied_uri_are_denied() {
    let home = Home::new();
    let (server, client) = files(&home, "deny_resources = [\"file:///a\"]");
    client.names("resources/list", "uri");
    for uri in ["file:///%61", "FILE:///a", "file:///x/../a", "file:///./a"] {
        unreachable(&client, &server, uri);
    }
}

#[test]
fn f17_a_resource_from_a_result_is_readable_and_an_unheard_one_is_not() {
    let home = Home::new();
    let (server, client) = files(&home, "deny_resources = [\"file:///a\"]");
    unreachable(&client, &server, "found:///linked");
    client.call("find").ran();
    for uri in ["found:///linked", "found:///embedded"] {
        let read = client.request("resources/read", &json!({"uri": uri})).ran();
        assert_eq!(read["contents"][0]["uri"], uri);
    }
    unreachable(&client, &server, "found:///other");
    // Handing it out does not undo the operator's word.
    unreachable(&client, &server, "file:///a");
}

#[test]
fn f17_a_resource_that_a_visible_template_matches_is_readable() {
    let home = Home::new();
    let (server, client) = files(&home, "deny_resources = [\"blob:*\", \"note:///secret\"]");
    assert_eq!(
        client.names("resources/templates/list", "uriTemplate"),
        ["note:///{id}"]
    );
    client
        .request("resources/read", &json!({"uri": "note:///1"}))
        .ran();
    unreachable(&client, &server, "note:///secret");
    unreachable(&client, &server, "note:///1/2");
    unreachable(&client, &server, "blob:///1");
    let template = json!({"ref":{"type":"ref/resource","uri":"note:///{id}"},"argument":{"name":"id","value":"x"}});
    client.request("completion/complete", &template).ran();
}

#[test]
fn an_update_of_a_denied_resource_is_not_told() {
    let home = Home::new();
    let (server, client) = files(&home, "deny_resources = [\"file:///a\"]");
    client.names("resources/list", "uri");
    client
        .request("resources/subscribe", &json!({"uri": "file:///b"}))
        .ran();
    let mark = client.mark();
    for uri in ["file:///a", "file:///%61", "file:///b"] {
        server.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{{"uri":"{uri}"}}}}"#
        ));
    }
    let told = client.wait_method(mark, "notifications/resources/updated");
    assert_eq!(told["params"]["uri"], "file:///b");
}
