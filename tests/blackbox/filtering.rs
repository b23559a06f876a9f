//! F1–F4, F10–F14, F16, F18: what the operator's lists hide stays hidden, whatever it is called.

use serde_json::{Value, json};

use crate::support::{Fixture, Home, tool};

/// The server of the table: four tools, one item without a name, one that is no object.
fn table(home: &Home) -> Fixture {
    let mut server = home.fixture("files");
    server.tools([
        &tool("read_file", "Reads a file."),
        &tool("delete_repo", "Deletes."),
        &tool("Delete_Repo2", "Deletes too."),
        &tool("write", "Writes."),
        r#"{"description":"has no name"}"#,
        r#""str""#,
    ]);
    server
}

#[test]
fn f1_a_denied_tool_and_malformed_items_are_not_listed() {
    let home = Home::new();
    let server = table(&home);
    let client = home
        .gate("files", &server)
        .with(&["--deny-tool", "delete_repo"])
        .open();
    assert_eq!(client.tools(), ["read_file", "Delete_Repo2", "write"]);
    client.close_well();
}

#[test]
fn f2_another_spelling_of_a_denied_name_is_refused_and_nothing_goes_upstream() {
    let home = Home::new();
    let server = table(&home);
    let client = home
        .gate("files", &server)
        .with(&["--deny-tool", "delete_repo"])
        .open();
    for name in [
        "delete_repo",
        "DELETE_REPO",
        " delete_repo",
        "delete\u{200b}_repo",
        "ｄｅｌｅｔｅ_repo",
    ] {
        let refusal = client.call(name).refused_as("FILTERED", "filtered");
        assert_eq!(refusal.reason, "Tool filtered by operator policy");
        assert_eq!(refusal.remedy, None);
    }
    client.call("write").ran();
    assert_eq!(
        server.received_with("tools/call").len(),
        1,
        "{:#?}",
        server.received()
    );
}

#[test]
fn f3_deny_wins_over_allow_and_both_ignore_case() {
    let home = Home::new();
    home.configure(
        "version = 1\n[server.files]\nallow = [\"delete_repo2\", \"read_file\"]\ndeny = [\"READ_FILE\"]\n",
    );
    let server = table(&home);
    let client = home.gate("files", &server).open();
    assert_eq!(client.tools(), ["Delete_Repo2"]);
    client.call("Delete_Repo2").ran();
    client.call("read_file").refused_as("FILTERED", "filtered");
    client.call("write").refused_as("FILTERED", "filtered");
}

#[test]
fn f4_a_glob_hides_all_it_matches() {
    let home = Home::new();
    let server = table(&home);
    let client = home
        .gate("files", &server)
        .with(&["--deny-tool", "delete_*", "--deny-tool", "wri?e"])
        .open();
    assert_eq!(client.tools(), ["read_file"]);
    client
        .call("Delete_Repo2")
        .refused_as("FILTERED", "filtered");
}

#[test]
fn f10_disguised_variants_of_a_denied_name_are_caught_when_the_server_lists_them() {
    let home = Home::new();
    let mut server = home.fixture("disguise");
    let disguised = [
        " delete_repo",
        "delete_repo\u{a0}",
        "delete\u{200b}_repo",
        "dele\u{ad}te_repo",
        "\u{feff}delete_repo",
        "ｄｅｌｅｔｅ＿ｒｅｐｏ",
        "DELETE_REPO",
    ];
    server.tools(
        disguised
            .iter()
            .copied()
            .chain(["fine"])
            .map(|name| tool(name, "")),
    );
    let client = home
        .gate("disguise", &server)
        .with(&["--deny-tool", "delete_repo"])
        .open();
    assert_eq!(client.tools(), ["fine"]);
    for name in disguised {
        client.call(name).refused_as("FILTERED", "filtered");
    }
    assert!(server.received_with("tools/call").is_empty());
}

#[test]
fn f10_under_an_allow_list_a_name_that_normalisation_alters_is_denied() {
    let home = Home::new();
    let mut server = home.fixture("allowed");
    server.tools(["read", "READ", " read", "rea\u{200d}d"].map(|name| tool(name, "")));
    let client = home
        .gate("allowed", &server)
        .with(&["--allow-tool", "read"])
        .open();
    assert_eq!(client.tools(), ["read", "READ"]);
}

#[test]
fn f11_a_hidden_tool_and_one_that_does_not_exist_get_the_same_bytes_but_for_the_name() {
    let home = Home::new();
    let server = table(&home);
    let client = home
        .gate("files", &server)
        .with(&["--deny-tool", "delete_repo"])
        .open();
    let answer = |name: &str| {
        let line = client.exchange_raw(
            &json!({"jsonrpc":"2.0","id":"same","method":"tools/call","params":{"name":name,"arguments":{}}}),
        );
        assert!(line.contains(name), "{line}");
        line.replace(name, "NAME")
    };
    assert_eq!(answer("delete_repo"), answer("never_there"));
    assert_eq!(answer("has no name"), answer("never_there_either"));
}

#[test]
fn f12_a_page_that_filters_to_nothing_keeps_its_cursor() {
    let home = Home::new();
    let mut server = home.fixture("pages");
    server
        .tools([
            tool("delete_repo", ""),
            tool("read", ""),
            tool("delete_all", ""),
        ])
        .set("page_size", "1");
    let client = home
        .gate("pages", &server)
        .with(&["--deny-tool", "delete*"])
        .open();
    let first = client.request("tools/list", &json!({})).ran();
    assert_eq!(first["tools"], json!([]));
    let cursor = first["nextCursor"].clone();
    assert!(cursor.is_string(), "{first}");
    let second = client
        .request("tools/list", &json!({"cursor": cursor}))
        .ran();
    assert_eq!(second["tools"][0]["name"], "read");
    let last = client
        .request("tools/list", &json!({"cursor": second["nextCursor"]}))
        .ran();
    assert_eq!(last, json!({"tools": []}));
    assert_eq!(client.tools(), ["read"]);
}

#[test]
fn f13_a_list_in_an_odd_frame_shows_nothing_hidden() {
    let home = Home::new();
    let mut server = table(&home);
    let list = format!(
        r#"{{"tools":[{},{}]}}"#,
        tool("delete_repo", "HIDDEN"),
        tool("write", "Writes.")
    );
    server.rules([
        format!(r#"{{"method":"tools/call","name":"write","result":{list}}}"#),
        format!(r#"{{"method":"ping","result":{list}}}"#),
        format!(r#"{{"method":"logging/setLevel","result":{list}}}"#),
        format!(
            r#"{{"method":"prompts/list","result":{{"prompts":[],{}}}"#,
            &list[1..]
        ),
    ]);
    let client = home
        .gate("files", &server)
        .with(&["--deny-tool", "delete_repo"])
        .open();
    for (method, params) in [
        ("tools/call", r#"{"name":"write","arguments":{}}"#),
        ("ping", ""),
        ("logging/setLevel", r#"{"level":"info"}"#),
        ("prompts/list", ""),
    ] {
        let line = client.raw(method, params);
        assert!(!line.contains("HIDDEN"), "{method}: {line}");
    }
}

#[test]
fn f14_every_source_of_an_allow_list_must_admit() {
    let home = Home::new();
    home.configure("version = 1\n[server.files]\nallow = [\"read_file\", \"write\"]\n");
    let server = table(&home);
    let client = home
        .gate("files", &server)
        .with(&["--allow-tool", "write", "--allow-tool", "delete_repo"])
        .open();
    assert_eq!(client.tools(), ["write"]);
    client.call("read_file").refused_as("FILTERED", "filtered");
    client
        .call("delete_repo")
        .refused_as("FILTERED", "filtered");
}

#[test]
fn f14_an_empty_allow_list_admits_nothing() {
    let home = Home::new();
    home.configure("version = 1\n[server.files]\nallow = []\n");
    let server = table(&home);
    let client = home.gate("files", &server).open();
    assert_eq!(client.tools(), Vec::<String>::new());
    client.call("write").refused_as("FILTERED", "filtered");
    assert!(server.received_with("tools/call").is_empty());
}

#[test]
fn f16_a_denial_is_text_only_whatever_output_the_tool_promises() {
    let home = Home::new();
    let mut server = home.fixture("typed");
    let typed = r#"{"name":"typed","inputSchema":{"type":"object"},"outputSchema":{"type":"object","properties":{"n":{"type":"number"}},"required":["n"]}}"#;
    server.tools([typed]);
    let client = home
        .gate("typed", &server)
        .with(&["--deny-tool", "typed"])
        .open();
    let line = client.raw("tools/call", r#"{"name":"typed","arguments":{}}"#);
    let message: Value = serde_json::from_str(&line).unwrap();
    let result = message["result"].as_object().unwrap();
    assert_eq!(result["isError"], true);
    assert!(!result.contains_key("structuredContent"), "{line}");
    assert_eq!(result["content"].as_array().unwrap().len(), 1);
    assert_eq!(result["content"][0]["type"], "text");
    let payload: Value =
        serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(
        payload,
        json!({"decision":"FILTERED","code":"filtered","reason":"Tool filtered by operator policy","tool":"typed"})
    );
}

#[test]
fn f18_a_cursor_that_was_never_issued_or_is_gone_is_an_error() {
    let home = Home::new();
    let mut server = home.fixture("cursors");
    server
        .tools([tool("a", ""), tool("b", "")])
        .set("page_size", "1");
    let client = home.gate("cursors", &server).open();
    let first = client.request("tools/list", &json!({})).ran();
    let old = first["nextCursor"].as_str().unwrap().to_owned();
    let asked = server.received_with("tools/list").len();
    for cursor in ["never", "p7", "", "p-1"] {
        let code = client
            .request("tools/list", &json!({"cursor": cursor}))
            .failed();
        assert_eq!(code, -32602, "{cursor}");
    }
    assert_eq!(
        server.received_with("tools/list").len(),
        asked,
        "no cursor of a client's is forwarded"
    );
    // The reading that issued it goes when others have taken its place.
    for reading in 0..10 {
        server
            .set("cursor", format!(r#""r{reading}-""#))
            .tools(["a", "b"].map(|name| tool(name, &format!("as of {reading}"))));
        client.request("tools/list", &json!({})).ran();
    }
    assert_eq!(
        client
            .request("tools/list", &json!({"cursor": old}))
            .failed(),
        -32602
    );
}
