//! F5–F13, F15 and F17 over HTTP in both revisions: what is hidden stays hidden, what is not understood stays here.

use serde_json::{Value, json};

use crate::support::{
    Era, Reply, Scene, Upstream, in_both_revisions, outcome, prompt, resource, tool,
};

in_both_revisions!(
    f5_a_call_without_id_is_not_forwarded_and_leaves_one_record,
    f6_a_batch_is_refused_whole,
    f7_a_call_with_unfit_params_is_refused,
    f8_a_method_nobody_knows_is_refused_and_an_escaped_one_is_the_method_it_spells,
    f9_a_denied_resource_is_denied_to_every_method,
    f10_disguised_variants_of_a_denied_name_are_caught,
    f11_a_hidden_tool_and_one_that_does_not_exist_get_the_same_bytes_but_for_the_name,
    f12_a_page_that_filters_to_nothing_keeps_its_cursor,
    f13_a_list_in_an_odd_frame_shows_nothing_hidden,
    f15_a_key_twice_anywhere_in_the_arguments_is_refused,
    filtered_lists_are_nobody_else_s_to_keep,
    lines_that_are_no_json_rpc_are_refused,
    nesting_over_the_limit_is_refused,
);

fn f5_a_call_without_id_is_not_forwarded_and_leaves_one_record(era: Era) {
    let scene = Scene::new(era);
    for name in ["a", "hidden"] {
        let params = format!(r#"{{"name":"{name}","arguments":{{"MARK":1}}}}"#);
        let line = format!(
            r#"{{"jsonrpc":"2.0","method":"tools/call","params":{}}}"#,
            scene.mcp.params(&params)
        );
        let response = scene.mcp.post(&line).send();
        scene.refused(&response, 400, &[-32600], &line);
    }
    scene.serve.stop();
    let calls: Vec<Value> = scene
        .home
        .audit()
        .into_iter()
        .filter(|record| record["method"] == "tools/call" && record["verdict"] == "refused")
        .collect();
    assert_eq!(calls.len(), 2, "{calls:#?}");
}

fn f6_a_batch_is_refused_whole(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    for line in [
        format!("[{call}]"),
        format!("[{call},{call}]"),
        "[]".to_owned(),
        format!(" \t\r\n[ {call} ]"),
    ] {
        // With the headers of the call in it, so that they are no reason to refuse it.
        let response = scene.mcp.post(&call).body(&line).send();
        scene.refused(&response, 400, &[-32600], &line);
    }
}

fn f7_a_call_with_unfit_params_is_refused(era: Era) {
    let scene = Scene::new(era);
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
        let line = scene.mcp.message("x", "tools/call", params);
        for name in ["a", "hidden"] {
            let request = scene.mcp.post(&line);
            let request = match era {
                Era::Legacy => request,
                Era::Modern => request.set("Mcp-Name", name),
            };
            let response = request.send();
            assert!(
                matches!(response.status, 200 | 400),
                "{line}\n→ {response:?}"
            );
            // Where the header names something else than the body, that may be what is said.
            assert!(
                [-32602, -32020].contains(&response.code()),
                "{line}\n→ {response:?}"
            );
            scene.nothing_upstream(&line);
        }
    }
}

fn f8_a_method_nobody_knows_is_refused_and_an_escaped_one_is_the_method_it_spells(era: Era) {
    let scene = Scene::new(era);
    for method in ["tools/Call", "tools/call ", "TOOLS/CALL", "x-vendor/run"] {
        let line = scene
            .mcp
            .message("x", method, r#"{"name":"a","arguments":{"MARK":1}}"#);
        let response = scene.mcp.post(&line).send();
        match era {
            Era::Legacy => scene.refused(&response, 200, &[-32601], &line),
            // A header's value has no space at its end.
            Era::Modern if method.ends_with(' ') => {
                scene.refused(&response, 400, &[-32020], &line);
            }
            Era::Modern => scene.refused(&response, 404, &[-32601], &line),
        }
    }
    let escaped = |name: &str| {
        let line = scene
            .mcp
            .message(
                "x",
                "METHOD",
                &format!(r#"{{"name":"{name}","arguments":{{}}}}"#),
            )
            .replace(
                r#""method":"METHOD""#,
                r#""m\u0065thod":"tools\/c\u0061ll""#,
            );
        outcome(&scene.mcp.post(&line).send(), &json!("x"))
    };
    escaped("hidden").refused_as("FILTERED", "filtered");
    scene.nothing_upstream("an escaped call");
    escaped("a").ran();
}

fn f9_a_denied_resource_is_denied_to_every_method(era: Era) {
    let upstream = Upstream::new([tool("a", "")]);
    upstream
        .resources([
            resource("file:///MARK", "secret"),
            resource("file:///open", "open"),
        ])
        .prompts([prompt("p", "")]);
    let scene = Scene::with(era, upstream, "deny_resources = [\"file:///MARK\"]\n", "");
    let listed = scene.mcp.request("resources/list", &json!({})).ran();
    assert_eq!(listed["resources"].as_array().unwrap().len(), 1, "{listed}");
    scene
        .mcp
        .request("resources/read", &json!({"uri": "file:///open"}))
        .ran();
    for uri in ["file:///MARK", "file:///%4dARK", "FILE:///./MARK"] {
        let code = scene
            .mcp
            .request("resources/read", &json!({"uri": uri}))
            .refused();
        assert_eq!(code.decision, "FILTERED", "{uri}");
        let completion = json!({"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": "x", "value": ""}});
        scene
            .mcp
            .request("completion/complete", &completion)
            .refused();
        if era == Era::Legacy {
            scene
                .mcp
                .request("resources/subscribe", &json!({"uri": uri}))
                .refused();
        } else {
            // Agreed to or refused: the server does not hear of it.
            let params = format!(r#"{{"notifications":{{"resourceSubscriptions":["{uri}"]}}}}"#);
            let mut socket = scene
                .mcp
                .post(&scene.mcp.message("sub", "subscriptions/listen", &params))
                .open();
            socket.head();
            let before = scene.upstream.mentions("RK");
            assert_eq!(before, 0, "{:#?}", scene.upstream.received());
            socket.close();
        }
    }
    scene.nothing_upstream("a denied resource");
}

fn f10_disguised_variants_of_a_denied_name_are_caught(era: Era) {
    let disguised = [
        " hidden",
        "hidden\u{a0}",
        "hid\u{200b}den",
        "hid\u{ad}den",
        "\u{feff}hidden",
        "ｈｉｄｄｅｎ",
        "HIDDEN",
    ];
    let upstream = Upstream::new(
        disguised
            .iter()
            .copied()
            .chain(["a"])
            .map(|name| tool(name, "")),
    );
    let scene = Scene::with(era, upstream, "deny = [\"hidden\"]\n", "");
    assert_eq!(scene.mcp.tools(), ["a"]);
    for name in disguised {
        scene.mcp.call(name).refused_as("FILTERED", "filtered");
    }
    assert!(scene.upstream.received_with("tools/call").is_empty());
}

fn f11_a_hidden_tool_and_one_that_does_not_exist_get_the_same_bytes_but_for_the_name(era: Era) {
    let scene = Scene::new(era);
    let answer = |name: &str| {
        let line = scene.mcp.message(
            "same",
            "tools/call",
            &format!(r#"{{"name":"{name}","arguments":{{}}}}"#),
        );
        let mut response = scene.mcp.post(&line).send();
        assert!(response.body.contains(name), "{response:?}");
        // The time, and the length with the name.
        response
            .headers
            .retain(|(name, _)| !["date", "content-length"].contains(&name.as_str()));
        (
            response.status,
            response.headers,
            response.body.replace(name, "NAME"),
        )
    };
    assert_eq!(answer("hidden"), answer("absent"));
    scene.nothing_upstream("a hidden tool");
}

fn f12_a_page_that_filters_to_nothing_keeps_its_cursor(era: Era) {
    let upstream = Upstream::new(["hidden1", "read", "hidden2"].map(|name| tool(name, "")));
    upstream.pages_of(1);
    let scene = Scene::with(era, upstream, "deny = [\"hidden*\"]\n", "");
    let first = scene.mcp.request("tools/list", &json!({})).ran();
    assert_eq!(first["tools"], json!([]));
    let cursor = first["nextCursor"].clone();
    assert!(cursor.is_string(), "{first}");
    let second = scene
        .mcp
        .request("tools/list", &json!({"cursor": cursor}))
        .ran();
    assert_eq!(second["tools"][0]["name"], "read");
    assert_eq!(scene.mcp.tools(), ["read"]);
    for cursor in ["p7", "never", ""] {
        let code = scene
            .mcp
            .request("tools/list", &json!({"cursor": cursor}))
            .failed();
        assert_eq!(code, -32602, "{cursor}");
    }
}

fn f13_a_list_in_an_odd_frame_shows_nothing_hidden(era: Era) {
    let scene = Scene::new(era);
    let items = format!("[{},{}]", tool("hidden", "HIDDEN"), tool("a", "A."));
    let kind = match era {
        Era::Legacy => "",
        Era::Modern => r#""resultType":"complete","ttlMs":0,"cacheScope":"public","#,
    };
    let list = format!(r#"{{{kind}"tools":{items}}}"#);
    let message = format!(r#"{{"jsonrpc":"2.0","id":$ID,"result":{list}}}"#);
    let ask = |method: &str, params: &str| {
        let response = scene.mcp.raw(method, params);
        assert!(!response.body.contains("HIDDEN"), "{method}: {response:?}");
    };
    scene
        .upstream
        .on_call("a", Reply::Result(list.clone()))
        .on("ping", Reply::Result(list.clone()))
        .on("logging/setLevel", Reply::Result(list.clone()))
        .on("completion/complete", Reply::Result(list.clone()))
        .on(
            "prompts/list",
            Reply::Result(format!(r#"{{{kind}"prompts":[],"tools":{items}}}"#)),
        );
    let asks = [
        ("tools/call", r#"{"name":"a","arguments":{}}"#),
        ("ping", ""),
        ("logging/setLevel", r#"{"level":"info"}"#),
        ("prompts/list", ""),
    ];
    for (method, params) in asks {
        ask(method, params);
    }
    // The same as an event of a stream, with the type of something else, and with a status that says it failed.
    for reply in [
        Reply::Events(vec![message.clone()]),
        Reply::Json(404, message.clone()),
        Reply::Raw(format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {0}\r\n\r\n{message}",
            message.len() - 2
        )),
    ] {
        for (method, params) in asks {
            scene.upstream.on(method, reply.clone());
            ask(method, params);
        }
    }
    // A list of tools itself, as an event among others.
    scene.upstream.on(
        "tools/list",
        Reply::Events(vec![
            format!(r#"{{"jsonrpc":"2.0","method":"notifications/message","params":{{"level":"info","data":{list}}}}}"#),
            message.clone(),
        ]),
    );
    let listed = scene.mcp.raw("tools/list", "");
    let answer = listed.messages().pop().unwrap();
    assert!(!answer.contains("HIDDEN"), "{listed:?}");
}

fn f15_a_key_twice_anywhere_in_the_arguments_is_refused(era: Era) {
    let scene = Scene::new(era);
    for arguments in [
        r#"{"MARK":1,"MARK":2}"#,
        r#"{"MARK":[{"a":1,"\u0061":2}]}"#,
        r#"{"MARK":{"b":[[{"c":{"d":1,"e":2,"d":3}}]]}}"#,
        r#"{"MARK":{"":1,"":2}}"#,
    ] {
        let params = format!(r#"{{"name":"a","arguments":{arguments}}}"#);
        let line = scene.mcp.message("x", "tools/call", &params);
        let response = scene.mcp.post(&line).send();
        assert_eq!(response.code(), -32602, "{line}\n→ {response:?}");
        scene.nothing_upstream(&line);
    }
}

fn filtered_lists_are_nobody_else_s_to_keep(era: Era) {
    let scene = Scene::new(era);
    for method in ["tools/list", "server/discover"] {
        if era == Era::Legacy {
            continue;
        }
        let result = scene.mcp.request(method, &json!({})).ran();
        assert_eq!(result["cacheScope"], "private", "{method}: {result}");
        assert!(
            result["ttlMs"].as_u64().unwrap() < 600_000,
            "{method}: {result}"
        );
    }
    let response = scene.mcp.raw("tools/list", "");
    assert!(!response.body.contains("hidden"), "{response:?}");
}

fn lines_that_are_no_json_rpc_are_refused(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    for (line, code) in [
        ("MARK", -32700),
        ("", -32700),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"MARK":1}"#,
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"MARK":01}}"#,
            -32700,
        ),
        (
            r#"{"jsonrpc":"2.0","id":"x","method":"tools/call"} {"MARK":1}"#,
            -32700,
        ),
        (r#""MARK""#, -32600),
        (
            r#"{"jsonrpc":"1.0","id":"x","method":"tools/call","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"id":"x","method":"tools/call","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"method":"tools/call","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1.5,"method":"tools/call","params":{"MARK":1}}"#,
            -32600,
        ),
        (
            r#"{"jsonrpc":"2.0","id":{"MARK":1},"method":"tools/call"}"#,
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
        // With the headers of a good call.
        let response = scene.mcp.post(&call).body(line).send();
        scene.refused(&response, 400, &[code], line);
    }
    let response = scene
        .mcp
        .post(&call)
        .body(call.replace("MARK", "MARK\u{1}").as_bytes())
        .send();
    scene.refused(&response, 400, &[-32700], "a raw control character");
    let mut invalid = call.clone().into_bytes();
    let at = invalid.windows(4).position(|four| four == b"MARK").unwrap();
    invalid[at + 4] = 0xff;
    let response = scene.mcp.post(&call).body(invalid).send();
    assert_eq!(response.status, 400, "{response:?}");
    scene.nothing_upstream("invalid UTF-8");
}

fn nesting_over_the_limit_is_refused(era: Era) {
    let scene = Scene::new(era);
    let deep = format!("{}{}", "[".repeat(5000), "]".repeat(5000));
    let params = format!(r#"{{"name":"a","arguments":{{"MARK":{deep}}}}}"#);
    let line = scene.mcp.message("x", "tools/call", &params);
    let response = scene.mcp.post(&scene.marked()).body(&line).send();
    assert_eq!(response.code(), -32602, "{response:?}");
    scene.nothing_upstream("deep nesting");
    // Without an end: not even a parser that recurses comes to harm.
    let open = scene.marked().replace("{\"MARK\":1}", &"[".repeat(200_000));
    let response = scene.mcp.post(&scene.marked()).body(&open).send();
    scene.refused(&response, 400, &[-32700], "endless nesting");
}
