//! What a hostile client can do with HTTP itself: types, encodings, headers that disagree, framing, sizes. Nothing of it
//! may reach the server.

use crate::support::{Era, Scene, Socket, Upstream, in_both_revisions, outcome, tool};

in_both_revisions!(
    a_body_of_another_type_is_refused,
    a_body_in_another_encoding_is_refused,
    headers_that_stand_twice_are_refused,
    a_header_that_another_line_hides_in_is_refused,
    a_name_with_line_ends_in_it_adds_no_header_upstream,
    bodies_framed_in_two_ways_are_refused_or_read_in_one,
    malformed_chunks_are_refused,
    other_methods_and_paths_lead_nowhere,
    what_is_too_large_is_refused,
    a_revision_that_headers_and_body_do_not_agree_on_is_refused,
);

/// Where the word of the attack came through, the scene's assertion shows it; here only that it was no success.
#[track_caller]
fn fails(scene: &Scene, mut socket: Socket, what: &str) {
    if let Some(response) = socket.response() {
        assert!(
            (400..=501).contains(&response.status) && response.status != 500,
            "{what}\n→ {response:?}"
        );
    }
    scene.nothing_upstream(what);
}

fn a_body_of_another_type_is_refused(era: Era) {
    let scene = Scene::new(era);
    let post = scene.mcp.post(&scene.marked());
    for kind in [
        "text/plain",
        "text/plain;charset=UTF-8",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=utf-7",
        "application/json; charset=utf-8; charset=utf-16",
        "application/json, text/plain",
        "application/json-rpc",
        "application/jsonx",
        "json",
        "*/*",
        "",
    ] {
        let response = post.clone().set("Content-Type", kind).send();
        scene.refused(&response, 415, &[], kind);
    }
    let response = post.clone().without("Content-Type").send();
    scene.refused(&response, 415, &[], "no type");
    for kind in ["application/json; charset=utf-8", "Application/JSON"] {
        let call = scene.mcp.message("x", "tools/call", r#"{"name":"a"}"#);
        let response = scene.mcp.post(&call).set("Content-Type", kind).send();
        outcome(&response, &"x".into()).ran();
    }
    for accept in ["application/json", "text/event-stream", "text/html", ""] {
        let response = post.clone().set("Accept", accept).send();
        scene.refused(&response, 406, &[], accept);
    }
}

fn a_body_in_another_encoding_is_refused(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    let post = scene.mcp.post(&call);
    for encoding in ["gzip", "br", "deflate", "identity, gzip", "x-unknown"] {
        let response = post.clone().add("Content-Encoding", encoding).send();
        scene.refused(&response, 415, &[], encoding);
    }
    let response = post.clone().body(format!("\u{feff}{call}")).send();
    assert_eq!(response.status, 400, "{response:?}");
    scene.nothing_upstream("a byte order mark");
    let utf_16: Vec<u8> = call.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let response = post.clone().body(&utf_16).send();
    assert_eq!(response.status, 400, "{response:?}");
    scene.nothing_upstream("UTF-16");
    let marked = [&[0xff, 0xfe][..], &utf_16].concat();
    let response = post.clone().body(&marked).send();
    assert_eq!(response.status, 400, "{response:?}");
    scene.nothing_upstream("UTF-16 with a mark");
}

fn headers_that_stand_twice_are_refused(era: Era) {
    let scene = Scene::new(era);
    let post = scene.mcp.post(&scene.marked());
    let token = format!("Bearer {}", scene.mcp.token);
    let mut headers = vec![
        ("Host", scene.serve.address.to_string()),
        ("Host", "evil.example".to_owned()),
        ("Authorization", token),
        ("Authorization", "Bearer other".to_owned()),
        ("Content-Type", "application/json".to_owned()),
        ("Content-Type", "text/plain".to_owned()),
        ("Content-Length", "5".to_owned()),
        ("Origin", "http://evil.example".to_owned()),
        ("MCP-Protocol-Version", era.version().to_owned()),
        ("MCP-Protocol-Version", "2025-06-18".to_owned()),
    ];
    match era {
        Era::Legacy => {
            let session = scene.mcp.session.clone().unwrap();
            headers.extend([
                ("Mcp-Session-Id", session),
                ("Mcp-Session-Id", "other".to_owned()),
            ]);
        }
        Era::Modern => headers.extend([
            ("Mcp-Method", "tools/call".to_owned()),
            ("Mcp-Method", "tools/list".to_owned()),
            ("Mcp-Name", "a".to_owned()),
            ("Mcp-Name", "hidden2".to_owned()),
        ]),
    }
    for (name, value) in headers {
        let request = match name {
            // Of the one there is no first yet.
            "Origin" => post.clone().add(name, "http://127.0.0.1").add(name, &value),
            "Content-Length" => post
                .clone()
                .add(name, &scene.marked().len().to_string())
                .add(name, &value),
            _ => post.clone().add(name, &value),
        };
        fails(&scene, request.open(), &format!("{name} twice"));
    }
}

fn a_header_that_another_line_hides_in_is_refused(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    let token = format!("Authorization: Bearer {}", scene.mcp.token);
    let head = scene.mcp.post(&call).head();
    let head = head
        .strip_suffix("\r\n")
        .unwrap()
        .replace(&format!("{token}\r\n"), "");
    let length = format!("Content-Length: {}\r\n\r\n", call.len());
    // The token stands where no header is: it must not count.
    for hidden in [
        format!("X-A: 1\r{token}\r\n"),
        format!("X-A: 1\n {token}\r\n"),
        format!("X-A: 1\r\n {token}\r\n"),
        format!("X-A: 1\r\n\t{token}\r\n"),
        format!("X-A: 1\0{token}\r\n"),
        format!("X-A: 1\u{b}{token}\r\n"),
        format!(" {token}\r\n"),
        format!("{}\r\n", token.replace(": ", " : ")),
        format!("{}\r\n", token.replace("Authorization", "Autho rization")),
        format!("{}\r\n", token.replace("Bearer ", "Bearer\r\n ")),
        format!("{}\r\n", token.replace("Bearer ", "Bearer Bearer ")),
        format!("{}\r\n", token.replace("Bearer", "Basic")),
        format!("{token},Bearer x\r\n"),
        format!("X-{token}\r\n"),
        format!("Proxy-{token}\r\n"),
        format!("Cookie: {}\r\n", scene.mcp.token),
    ] {
        let mut socket = Socket::connect(scene.serve.address);
        socket.write(format!("{head}{hidden}{length}{call}"));
        fails(&scene, socket, &hidden);
    }
    let response = scene.mcp.post(&call).without("Authorization").send();
    scene.refused(&response, 401, &[], "no token at all");
}

fn a_name_with_line_ends_in_it_adds_no_header_upstream(era: Era) {
    let name = "a\r\nX-Injected: 1\r\n\r\nGET /injected HTTP/1.1";
    let region = r#"{"name":"r","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"}}}}"#;
    let upstream = Upstream::new([
        tool("a", ""),
        tool(name, ""),
        tool("käse", ""),
        tool("=?base64?YQ==?=", ""),
        region.to_owned(),
    ]);
    let scene = Scene::with(era, upstream, "", "");
    for name in [name, "käse", "=?base64?YQ==?="] {
        scene.mcp.call(name).ran();
    }
    let line = scene.mcp.message(
        "x",
        "tools/call",
        r#"{"name":"r","arguments":{"region":"x\r\nX-Injected: 1"}}"#,
    );
    let post = scene.mcp.post(&line);
    let post = match era {
        Era::Legacy => post,
        Era::Modern => post.add(
            "Mcp-Param-Region",
            &crate::support::encoded("x\r\nX-Injected: 1"),
        ),
    };
    outcome(&post.send(), &"x".into()).ran();
    let calls = scene.upstream.received_with("tools/call");
    assert_eq!(calls.len(), 4);
    for call in &calls {
        assert_eq!(call.header("x-injected"), None, "{call:?}");
        assert_eq!(call.verb, "POST");
        if era == Era::Modern {
            let message = call.message();
            let name = message["params"]["name"].as_str().unwrap();
            assert_eq!(
                call.header("mcp-name"),
                Some(&*crate::support::encoded(name))
            );
        }
    }
    if era == Era::Modern {
        assert_eq!(
            calls[3].header("mcp-param-region"),
            Some(&*crate::support::encoded("x\r\nX-Injected: 1"))
        );
    }
}

fn bodies_framed_in_two_ways_are_refused_or_read_in_one(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    let post = scene.mcp.post(&call);
    let chunked = format!("{:x}\r\n{call}\r\n0\r\n\r\n", call.len());
    // What a proxy in front could have let through as a body: a request without a token.
    let smuggled = post.clone().without("Authorization").bytes();
    let smuggled = String::from_utf8(smuggled).unwrap();
    for (coding, length) in [
        ("xchunked", chunked.len()),
        ("chunked, identity", chunked.len()),
        ("identity", call.len()),
        ("gzip, chunked", chunked.len()),
        ("chunked, chunked", chunked.len()),
        ("\u{b}chunked", chunked.len()),
        ("\"chunked\"", chunked.len()),
    ] {
        let request = post
            .clone()
            .add("Transfer-Encoding", coding)
            .add("Content-Length", &length.to_string())
            .body(&chunked);
        fails(&scene, request.open(), coding);
    }
    let wrong = |head: &str, body: &str| {
        let mut socket = Socket::connect(scene.serve.address);
        let start = post.head();
        let start = start.strip_suffix("\r\n").unwrap();
        socket.write(format!("{start}{head}\r\n\r\n{body}"));
        socket
    };
    for head in [
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\r\n : chunked",
        "Content-Length : 5",
        "Content-Length: +5",
        "Content-Length: -1",
        "Content-Length: 0x10",
        "Content-Length: 5, 6",
        "Content-Length: 99999999999999999999",
    ] {
        fails(&scene, wrong(head, &chunked), head);
    }
    // A body that ends before the length says: the rest is a request of its own, and has no token.
    let mut socket = wrong("Content-Length: 0", &smuggled);
    let first = socket.response().unwrap();
    assert_eq!(first.status, 400, "{first:?}");
    fails(&scene, socket, "a request after an empty body");
    let mut socket = wrong(
        &format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked",
            5 + smuggled.len()
        ),
        &format!("0\r\n\r\n{smuggled}"),
    );
    let first = socket.response().unwrap();
    assert_eq!(first.status, 400, "{first:?}");
    fails(&scene, socket, "a request after an empty chunk");
}

fn malformed_chunks_are_refused(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    let size = format!("{:x}", call.len());
    let post = scene.mcp.post(&call).add("Transfer-Encoding", "chunked");
    for body in [
        format!("{size}{call}\r\n0\r\n\r\n"),
        format!("-{size}\r\n{call}\r\n0\r\n\r\n"),
        format!("0x{size}\r\n{call}\r\n0\r\n\r\n"),
        format!("fffffffffffffffff\r\n{call}\r\n0\r\n\r\n"),
        format!("{size}\r\n{call}X\r\n0\r\n\r\n"),
        format!("{size};{}\r\n{call}\r\n0\r\n\r\n", "x".repeat(100_000)),
        format!("{size}\n{call}\n0\n\n"),
    ] {
        fails(
            &scene,
            post.clone().body(&body).open(),
            &body[..body.len().min(200)],
        );
    }
    // Good chunks, split in the middle of everything, are a good body.
    let good = scene.mcp.message("x", "tools/call", r#"{"name":"a"}"#);
    let body: String = good.chars().map(|c| format!("1\r\n{c}\r\n")).collect();
    let response = scene
        .mcp
        .post(&good)
        .add("Transfer-Encoding", "chunked")
        .body(format!("{body}0\r\n\r\n"))
        .send();
    outcome(&response, &"x".into()).ran();
    // Trailers are no headers.
    let trailers = format!(
        "{size}\r\n{call}\r\n0\r\nAuthorization: Bearer {}\r\n\r\n",
        scene.mcp.token
    );
    let response = post
        .clone()
        .without("Authorization")
        .add("Trailer", "Authorization")
        .body(&trailers)
        .send();
    scene.refused(&response, 401, &[], "a token in the trailers");
}

fn other_methods_and_paths_lead_nowhere(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    let post = String::from_utf8(scene.mcp.post(&call).bytes()).unwrap();
    let line = "POST /mcp/s HTTP/1.1";
    assert!(post.starts_with(line), "{post}");
    for other in [
        "PUT /mcp/s HTTP/1.1",
        "PATCH /mcp/s HTTP/1.1",
        "post /mcp/s HTTP/1.1",
        "TRACE /mcp/s HTTP/1.1",
        "CONNECT /mcp/s HTTP/1.1",
        "POST /mcp/S HTTP/1.1",
        "POST /mcp/s/ HTTP/1.1",
        "POST /mcp//s HTTP/1.1",
        "POST //mcp/s HTTP/1.1",
        "POST /mcp/%73 HTTP/1.1",
        "POST /mcp/./s HTTP/1.1",
        "POST /mcp/x/../s HTTP/1.1",
        "POST /mcp/s;x HTTP/1.1",
        "POST /mcp HTTP/1.1",
        "POST /mcp/ HTTP/1.1",
        "POST / HTTP/1.1",
        "POST * HTTP/1.1",
        "POST mcp/s HTTP/1.1",
        "POST /mcp/unknown HTTP/1.1",
        "POST /mcp/s",
        "POST /mcp/s HTTP/9.9",
        "PRI * HTTP/2.0",
    ] {
        let mut socket = Socket::connect(scene.serve.address);
        socket.write(post.replacen(line, other, 1));
        fails(&scene, socket, other);
    }
    // A token in the query is none.
    let token = scene.mcp.token.clone();
    for query in [
        format!("?access_token={token}"),
        format!("?token={token}"),
        format!("?Authorization=Bearer%20{token}"),
    ] {
        let text = post
            .replacen(line, &format!("POST /mcp/s{query} HTTP/1.1"), 1)
            .replace(&format!("Authorization: Bearer {token}\r\n"), "");
        let mut socket = Socket::connect(scene.serve.address);
        socket.write(text);
        let response = socket.response().unwrap();
        assert!(
            matches!(response.status, 401 | 404),
            "{query}: {response:?}"
        );
        scene.nothing_upstream(&query);
    }
}

fn what_is_too_large_is_refused(era: Era) {
    let upstream = Upstream::new([tool("a", "")]);
    let scene = Scene::with(
        era,
        upstream,
        "",
        "[http.limits]\nmax_body_bytes = 100000\nmax_header_bytes = 16384\n",
    );
    let call = scene.marked();
    let long = call.replace(
        "\"MARK\":1",
        &format!("\"MARK\":\"{}\"", "x".repeat(200_000)),
    );
    let response = scene.mcp.post(&call).body(&long).send();
    scene.refused(&response, 413, &[], "a long body");
    let chunked = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let response = scene
        .mcp
        .post(&call)
        .add("Transfer-Encoding", "chunked")
        .body(&chunked)
        .send();
    scene.refused(&response, 413, &[], "a long body in chunks");
    // Said to be long: refused without waiting for it.
    let mut socket = Socket::connect(scene.serve.address);
    let head = scene
        .mcp
        .post(&call)
        .add("Content-Length", "4000000000")
        .head();
    socket.write(head);
    assert_eq!(socket.response().unwrap().status, 413);
    scene.nothing_upstream("a length of 4 GB");
    for (name, count, length) in [("X-A", 1, 100_000), ("X-A", 5000, 1)] {
        let value = "x".repeat(length);
        let request = (0..count).fold(scene.mcp.post(&call), |request, _| {
            request.add(name, &value)
        });
        let mut socket = request.open();
        if let Some(response) = socket.response() {
            assert_eq!(response.status, 431, "{response:?}");
        }
        scene.nothing_upstream("large headers");
    }
    let request = String::from_utf8(scene.mcp.post(&call).bytes()).unwrap();
    let mut socket = Socket::connect(scene.serve.address);
    socket.write(request.replacen("/mcp/s", &format!("/mcp/s?{}", "x".repeat(100_000)), 1));
    fails(&scene, socket, "a long path");
}

fn a_revision_that_headers_and_body_do_not_agree_on_is_refused(era: Era) {
    let scene = Scene::new(era);
    let call = scene.marked();
    let post = scene.mcp.post(&call);
    for version in [
        "2026-07-28",
        "2025-11-25",
        "1999-01-01",
        "2026-07-28, 2026-07-28",
        "",
        "x",
    ] {
        if version == era.version() {
            continue;
        }
        let response = post.clone().set("MCP-Protocol-Version", version).send();
        scene.refused(&response, 400, &[], &format!("version `{version}`"));
    }
    if era == Era::Legacy {
        return;
    }
    let response = post.clone().without("MCP-Protocol-Version").send();
    scene.refused(&response, 400, &[-32020], "no version");
    // With a version in the body that nobody speaks, headers or not.
    let unknown = call.replace("2026-07-28", "1999-01-01");
    let response = scene
        .mcp
        .post(&unknown)
        .set("MCP-Protocol-Version", "1999-01-01")
        .send();
    scene.refused(&response, 400, &[-32022], "an unknown version");
    // Without what a request must say of its client.
    for (part, code) in [
        (
            r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            [-32602, -32020],
        ),
        (
            r#","io.modelcontextprotocol/clientCapabilities":{}"#,
            [-32602, -32602],
        ),
    ] {
        let line = call.replace(part, "");
        assert_ne!(line, call);
        let response = scene.mcp.post(&line).send();
        scene.refused(&response, 400, &code, part);
    }
    // With it twice.
    let twice = call.replace(
        r#""io.modelcontextprotocol/clientCapabilities":{}"#,
        r#""io.modelcontextprotocol/clientCapabilities":{},"io.modelcontextprotocol/protocolVersion":"2025-11-25""#,
    );
    let response = scene.mcp.post(&call).body(&twice).send();
    scene.refused(&response, 400, &[-32602], "two versions in the body");
}

#[test]
fn each_header_that_disagrees_with_the_body_is_refused() {
    let scene = Scene::new(Era::Modern);
    let call = scene.marked();
    let post = scene.mcp.post(&call);
    for (name, values) in [
        (
            "Mcp-Method",
            &[
                "tools/list",
                "TOOLS/CALL",
                "tools%2Fcall",
                "",
                "tools/call, tools/call",
            ][..],
        ),
        (
            "Mcp-Name",
            &[
                "A",
                "hidden2",
                "",
                "a, a",
                "=?base64?YWE=?=",
                "=?base64?%%?=",
                "=?BASE64?YQ==?=",
                "=?base64?YQ?=",
            ],
        ),
    ] {
        for value in values {
            let response = post.clone().set(name, value).send();
            scene.refused(&response, 400, &[-32020], &format!("{name}: {value}"));
        }
        let response = post.clone().without(name).send();
        scene.refused(&response, 400, &[-32020], &format!("no {name}"));
        let mut socket = Socket::connect(scene.serve.address);
        let request = post.clone().set(name, "VALUE").bytes();
        let at = request
            .windows(5)
            .position(|five| five == b"VALUE")
            .unwrap();
        socket.write([&request[..at], b"caf\xe9", &request[at + 5..]].concat());
        fails(&scene, socket, &format!("{name} in Latin-1"));
    }
    // Spelled in base64 it is the same name.
    let good = scene.mcp.message("x", "tools/call", r#"{"name":"a"}"#);
    let response = scene
        .mcp
        .post(&good)
        .set("Mcp-Name", "=?base64?YQ==?=")
        .send();
    outcome(&response, &"x".into()).ran();
    // A name in the header alone does not make a list a call.
    let list = scene.mcp.message("x", "tools/list", "");
    let response = scene
        .mcp
        .post(&list)
        .set("Mcp-Method", "tools/call")
        .add("Mcp-Name", "a")
        .send();
    scene.refused(&response, 400, &[-32020], "a list as a call");
}

#[test]
fn each_mirrored_argument_must_agree_with_the_body() {
    let region = r#"{"name":"r","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"},"on":{"type":"boolean","x-mcp-header":"On"}}}}"#;
    let upstream = Upstream::new([tool("a", ""), region.to_owned()]);
    let scene = Scene::with(Era::Modern, upstream, "", "");
    let call = |arguments: &str| {
        let params = format!(r#"{{"name":"r","arguments":{arguments}}}"#);
        scene
            .mcp
            .post(&scene.mcp.message("x", "tools/call", &params))
    };
    let marked = || call(r#"{"region":"eu","n":42,"on":true,"MARK":1}"#);
    let right = [("Region", "eu"), ("N", "42"), ("On", "true")];
    for (wrong, values) in [
        (
            "Region",
            &["us", "EU", "", "=?base64?dXM=?=", "=?base64?!?="][..],
        ),
        ("N", &["43", "042x", "", "4 2"]),
        ("On", &["false", "TRUE", "1", ""]),
    ] {
        for value in values.iter().map(Some).chain([None]) {
            let mut request = marked();
            for (name, good) in right {
                let header = format!("Mcp-Param-{name}");
                match value {
                    _ if name != wrong => request = request.add(&header, good),
                    Some(value) => request = request.add(&header, value),
                    None => {}
                }
            }
            let response = request.send();
            scene.refused(&response, 400, &[-32020], &format!("{wrong}: {value:?}"));
        }
    }
    let all = |request: crate::support::Request| {
        right.iter().fold(request, |request, (name, value)| {
            request.add(&format!("Mcp-Param-{name}"), value)
        })
    };
    let response = all(marked()).add("mcp-param-region", "eu").send();
    scene.refused(&response, 400, &[-32020], "one of them twice");
    // One for an argument that is not there.
    let response = call(r#"{"MARK":1}"#).add("Mcp-Param-Region", "eu").send();
    scene.refused(&response, 400, &[-32020], "one without an argument");

    let response = all(call(r#"{"region":"eu","n":42,"on":true}"#)).send();
    outcome(&response, &"x".into()).ran();
    let got = scene.upstream.received_with("tools/call").pop().unwrap();
    for (name, value) in right {
        let header = format!("mcp-param-{}", name.to_lowercase());
        assert_eq!(got.header(&header), Some(value), "{got:?}");
    }
    // The argument is what it is however the header spells it; none at all needs none.
    let response = call(r#"{"region":"eu"}"#)
        .add("Mcp-Param-Region", "=?base64?ZXU=?=")
        .send();
    outcome(&response, &"x".into()).ran();
    outcome(&call(r#"{"region":null}"#).send(), &"x".into()).ran();
}
