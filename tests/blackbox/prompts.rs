//! Prompts are hidden and refused as tools are, by whatever way they are reached.

use serde_json::{Value, json};

use crate::support::{Home, prompt, tool};

#[test]
fn a_denied_prompt_can_be_neither_listed_nor_got_nor_completed() {
    let home = Home::new();
    home.configure("version = 1\n[server.s]\ndeny_prompts = [\"secret*\"]\nallow = []\n");
    let mut server = home.fixture("s");
    server.offer(&[
        ("tools", vec![tool("plain", "")]),
        (
            "prompts",
            vec![
                prompt("plain", ""),
                prompt("Secret_one", ""),
                prompt("ｓecret", ""),
            ],
        ),
    ]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.names("prompts/list", "name"), ["plain"]);
    // A tool's list is no prompt's: the same name is another item.
    assert_eq!(client.tools(), Vec::<String>::new());
    let mut lines = Vec::new();
    for name in ["Secret_one", "ｓecret", "SECRET", "absent"] {
        for (method, params) in [
            ("prompts/get", json!({"name": name})),
            (
                "completion/complete",
                json!({"ref":{"type":"ref/prompt","name":name},"argument":{"name":"a","value":""}}),
            ),
        ] {
            let line = client.exchange_raw(
                &json!({"jsonrpc":"2.0","id":method,"method":method,"params":params}),
            );
            let answer: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(answer["error"]["code"], -32602, "{line}");
            assert_eq!(answer["error"]["data"]["decision"], "FILTERED", "{line}");
            lines.push(line.replace(name, "NAME"));
        }
    }
    // Hidden or absent: the same bytes but for the name.
    lines.sort();
    lines.dedup();
    assert_eq!(lines.len(), 2, "{lines:#?}");
    assert!(server.received_with("prompts/get").is_empty());
    assert!(server.received_with("completion/complete").is_empty());
    client
        .request("prompts/get", &json!({"name": "plain"}))
        .ran();
}

#[test]
fn a_reference_of_an_unknown_type_goes_nowhere() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.offer(&[("prompts", vec![prompt("p", "")])]);
    let client = home.gate("s", &server).open();
    for reference in [
        json!({"type": "ref/other", "name": "p"}),
        json!({"name": "p"}),
        json!({"type": "ref/prompt"}),
        json!("p"),
    ] {
        let code = client
            .request(
                "completion/complete",
                &json!({"ref": reference, "argument": {"name": "a", "value": ""}}),
            )
            .failed();
        assert_eq!(code, -32602, "{reference}");
    }
    assert!(server.received_with("completion/complete").is_empty());
}
