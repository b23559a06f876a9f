#![allow(clippy::unwrap_used)]

mod server;

use std::time::Duration;

use http::HeaderMap;

use self::server::Script;
use super::*;
use crate::upstream::endpoint::parse_url;

const CALL: &[u8] = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add"}}"#;
const ANSWER: &str = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;

fn connection(script: &Script) -> Connection {
    with_headers(script, HeaderMap::new())
}

fn with_headers(script: &Script, headers: HeaderMap) -> Connection {
    let url = parse_url(&format!("http://{}/mcp?tenant=7", script.address)).unwrap();
    let limits = WireLimits {
        max_message: 1 << 20,
        max_depth: 64,
    };
    Connection::new(Endpoint::new("s", url, headers, None), limits)
}

fn about(era: Era<'static>) -> About<'static> {
    About {
        era,
        method: Some("tools/call"),
        params: Some(r#"{"name":"add","arguments":{"a":1}}"#),
        definition: None,
    }
}

async fn post(connection: &Connection, era: Era<'static>) -> Result<Posted, UpstreamError> {
    let posting = async { connection.post(Bytes::from_static(CALL), &about(era)).await };
    tokio::time::timeout(Duration::from_secs(20), posting)
        .await
        .unwrap()
}

fn line(posted: Posted) -> String {
    match posted {
        Posted::Message { line, .. } => String::from_utf8(line.to_vec()).unwrap(),
        Posted::Accepted => "accepted".to_owned(),
        Posted::Stream(_) => "stream".to_owned(),
    }
}

fn json(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn stream(more: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{more}\r\n")
}

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}

const STATELESS: Era<'static> = Era::Stateless {
    version: "2026-07-28",
};

#[tokio::test]
async fn a_message_goes_as_it_is_with_the_headers_of_its_revision_and_no_others() {
    let script = Script::start(vec![json(ANSWER), json(ANSWER)]).await;
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer upstream".parse().unwrap());
    headers.insert("mcp-method", "forged".parse().unwrap());
    let connection = with_headers(&script, headers);
    assert_eq!(line(post(&connection, STATELESS).await.unwrap()), ANSWER);
    assert_eq!(line(post(&connection, Era::Session).await.unwrap()), ANSWER);
    let seen = script.seen();
    assert_eq!(seen[0].body, CALL);
    assert_eq!(seen[0].request, "POST /mcp?tenant=7 HTTP/1.1");
    let mut names = seen[0].names();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "accept",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "mcp-method",
            "mcp-name",
            "mcp-protocol-version",
            "user-agent"
        ]
    );
    assert_eq!(seen[0].header("authorization"), Some("Bearer upstream"));
    assert_eq!(seen[0].header("mcp-protocol-version"), Some("2026-07-28"));
    assert_eq!(seen[0].header("mcp-method"), Some("tools/call"));
    assert_eq!(seen[0].header("mcp-name"), Some("add"));
    assert_eq!(
        seen[0].header("host"),
        Some(script.address.to_string().as_str())
    );
    assert_eq!(seen[1].header("mcp-method"), None);
    assert_eq!(seen[1].header("mcp-protocol-version"), None);
}

#[tokio::test]
async fn calls_one_after_the_other_use_one_connection() {
    let script = Script::start(vec![json(ANSWER); 5]).await;
    let connection = connection(&script);
    for _ in 0..5 {
        assert_eq!(line(post(&connection, STATELESS).await.unwrap()), ANSWER);
    }
    assert_eq!(script.connections(), 1);
}

#[tokio::test]
async fn an_answer_in_pieces_or_with_line_breaks_is_one_line() {
    let pretty = "\n{\n \"jsonrpc\": \"2.0\",\r\n \"id\": 1, \"result\": {}\n}\n";
    let (one, two) = pretty.split_at(9);
    let pieces = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: Application/JSON; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n{}{}0\r\n\r\n",
        chunk(one),
        chunk(two)
    );
    let script = Script::start(vec![pieces, json(ANSWER)]).await;
    let connection = connection(&script);
    let said = line(post(&connection, STATELESS).await.unwrap());
    assert_eq!(said, pretty.trim().replace(['\r', '\n'], " "));
    post(&connection, STATELESS).await.unwrap();
    assert_eq!(script.connections(), 1, "the end was read");
}

#[tokio::test]
async fn a_stream_gives_its_messages_and_its_connection_back() {
    let body = format!(
        "{}{}",
        chunk(": hello\n\ndata: {\"a\":1}\n\n"),
        chunk(&format!("data: {ANSWER}\n\n"))
    );
    let answer = format!(
        "{}{body}0\r\n\r\n",
        stream("transfer-encoding: chunked\r\n")
    );
    let script = Script::start(vec![answer, json(ANSWER)]).await;
    let connection = connection(&script);
    let Posted::Stream(mut events) = post(&connection, STATELESS).await.unwrap() else {
        panic!("no stream");
    };
    assert_eq!(events.next().await.unwrap().unwrap().data, r#"{"a":1}"#);
    assert_eq!(events.next().await.unwrap().unwrap().data, ANSWER);
    events.done();
    post(&connection, STATELESS).await.unwrap();
    assert_eq!(script.connections(), 1);
}

#[tokio::test]
async fn dropping_a_stream_closes_its_connection() {
    let answer = format!(
        "{}{}",
        stream("transfer-encoding: chunked\r\n"),
        chunk("data: 1\n\n")
    );
    let script = Script::start(vec![answer]).await;
    let connection = connection(&script);
    let Posted::Stream(mut events) = post(&connection, STATELESS).await.unwrap() else {
        panic!("no stream");
    };
    events.next().await.unwrap().unwrap();
    drop(events);
    script.closed().await;
}

#[tokio::test]
async fn dropping_a_request_that_waits_closes_its_connection() {
    let script = Script::start(vec![String::new()]).await;
    let connection = connection(&script);
    let waiting = connection.clone();
    let task = tokio::spawn(async move { post(&waiting, STATELESS).await.map(line) });
    script.requests(1).await;
    task.abort();
    script.closed().await;
}

#[tokio::test]
async fn a_session_is_kept_named_and_ended() {
    let begun = json(ANSWER).replace("content-type", "mcp-session-id: abc-1\r\ncontent-type");
    let accepted = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned();
    let script = Script::start(vec![begun, accepted.clone(), json(ANSWER), accepted]).await;
    let connection = connection(&script);
    assert_eq!(
        line(post(&connection, Era::Initialize).await.unwrap()),
        ANSWER
    );
    connection.negotiated("2025-11-25");
    assert_eq!(
        line(post(&connection, Era::Session).await.unwrap()),
        "accepted"
    );
    assert_eq!(line(post(&connection, Era::Session).await.unwrap()), ANSWER);
    connection.end().await;
    let seen = script.seen();
    assert_eq!(seen[0].header("mcp-session-id"), None);
    for later in &seen[1..] {
        assert_eq!(later.header("mcp-session-id"), Some("abc-1"));
        assert_eq!(later.header("mcp-protocol-version"), Some("2025-11-25"));
    }
    assert!(seen[3].request.starts_with("DELETE "));
}

#[tokio::test]
async fn a_session_that_the_server_forgot_is_gone() {
    let begun = json(ANSWER).replace("content-type", "mcp-session-id: abc-1\r\ncontent-type");
    let gone =
        "HTTP/1.1 404 Not Found\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
            .to_owned();
    let script = Script::start(vec![begun, gone.clone(), gone]).await;
    let connection = connection(&script);
    post(&connection, Era::Initialize).await.unwrap();
    let error = post(&connection, Era::Session).await.err().unwrap();
    assert!(
        matches!(error, UpstreamError::SessionGone { .. }),
        "{error}"
    );
    let error = connection.listen(None).await.err().unwrap();
    assert!(
        matches!(error, UpstreamError::SessionGone { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_of_json_rpc_comes_through_with_any_status() {
    let error = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"Method not found"}}"#;
    let script = Script::start(vec![json(error).replace("200 OK", "404 Not Found")]).await;
    match post(&connection(&script), STATELESS).await.unwrap() {
        Posted::Message { line, status } => {
            assert_eq!(line, error);
            assert_eq!(status, StatusCode::NOT_FOUND);
        }
        _ => panic!("no message"),
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_resumed_from_its_last_event() {
    let begun = json(ANSWER).replace("content-type", "mcp-session-id: s\r\ncontent-type");
    let first = format!(
        "{}id: e1\nretry: 60\ndata:\n\n",
        stream("connection: close\r\n")
    );
    let second = format!(
        "{}id: e2\ndata: {{\"n\":1}}\n\n",
        stream("connection: close\r\n")
    );
    let third = format!(
        "{}id: e3\ndata: {ANSWER}\n\n",
        stream("connection: close\r\n")
    );
    let script = Script::start(vec![begun, first, second, third]).await;
    let connection = connection(&script);
    post(&connection, Era::Initialize).await.unwrap();
    let Posted::Stream(mut events) = post(&connection, Era::Session).await.unwrap() else {
        panic!("no stream");
    };
    assert_eq!(events.next().await.unwrap().unwrap().data, r#"{"n":1}"#);
    // Whoever stops waiting loses nothing.
    let impatient = tokio::time::timeout(Duration::from_millis(1), events.next()).await;
    assert!(impatient.is_err());
    assert_eq!(events.next().await.unwrap().unwrap().data, ANSWER);
    events.done();
    let seen = script.seen();
    assert_eq!(seen.len(), 4);
    assert!(seen[2].request.starts_with("GET "));
    assert_eq!(seen[2].header("last-event-id"), Some("e1"));
    assert_eq!(seen[3].header("last-event-id"), Some("e2"));
    assert_eq!(seen[3].header("mcp-session-id"), Some("s"));
}

#[tokio::test]
async fn an_answer_is_not_resumed_without_ids_or_in_the_new_revision() {
    let with_id = format!(
        "{}id: 1\ndata: {{\"n\":1}}\n\n",
        stream("connection: close\r\n")
    );
    let without = with_id.replace("id: 1\n", "");
    let script = Script::start(vec![with_id, without]).await;
    let connection = connection(&script);
    for era in [STATELESS, Era::Session] {
        let Posted::Stream(mut events) = post(&connection, era).await.unwrap() else {
            panic!("no stream");
        };
        assert_eq!(events.next().await.unwrap().unwrap().data, r#"{"n":1}"#);
        assert!(events.next().await.is_none());
    }
    assert_eq!(script.seen().len(), 2);
}

#[tokio::test]
async fn listening_goes_on_after_the_stream_ends_until_the_session_does() {
    let first = format!("{}retry: 50\ndata: 1\n\n", stream("connection: close\r\n"));
    let second = format!("{}id: 9\ndata: 2\n\n", stream("connection: close\r\n"));
    let third = "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned();
    let script = Script::start(vec![first, second, third]).await;
    let connection = connection(&script);
    let mut events = connection.listen(None).await.unwrap().unwrap();
    assert_eq!(events.next().await.unwrap().unwrap().data, "1");
    assert_eq!(events.next().await.unwrap().unwrap().data, "2");
    assert!(events.next().await.is_none());
    let seen = script.seen();
    assert_eq!(seen[1].header("last-event-id"), None);
    assert_eq!(seen[2].header("last-event-id"), Some("9"));
}

#[tokio::test]
async fn a_server_that_offers_no_stream_says_so() {
    let refused = "HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n".to_owned();
    let script = Script::start(vec![refused]).await;
    assert!(connection(&script).listen(None).await.unwrap().is_none());
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_it_waited_is_not_used() {
    let script = Script::start(vec![
        json(ANSWER).replace("content-type", "connection: close\r\ncontent-type"),
        json(ANSWER) + Script::HANG_UP,
        json(ANSWER),
    ])
    .await;
    let connection = connection(&script);
    for _ in 0..3 {
        assert_eq!(line(post(&connection, STATELESS).await.unwrap()), ANSWER);
        script.settled().await;
    }
    assert_eq!(script.connections(), 3);
    assert_eq!(script.seen().len(), 3, "nothing was sent twice");
}

#[tokio::test]
async fn a_request_that_may_have_reached_the_server_is_not_sent_again() {
    let script = Script::start(vec![json(ANSWER), Script::HANG_UP.to_owned(), json(ANSWER)]).await;
    let connection = connection(&script);
    post(&connection, STATELESS).await.unwrap();
    let error = post(&connection, STATELESS).await.err().unwrap();
    assert!(matches!(error, UpstreamError::Broken { .. }), "{error}");
    assert_eq!(script.seen().len(), 2);
}

/// What a hostile or broken server answers, and what becomes of it.
#[tokio::test]
async fn answers_that_are_no_mcp_are_errors_that_say_what_they_are() {
    type Is = fn(&UpstreamError) -> bool;
    let html = "HTTP/1.1 500 Oops\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>";
    let cases: Vec<(String, Is)> = vec![
        (html.to_owned(), |e| matches!(e, UpstreamError::Status { status, .. } if *status == 500)),
        (html.replace("500 Oops", "200 OK"), |e| matches!(e, UpstreamError::NotMcp { .. })),
        (json(ANSWER).replace("content-type", "content-encoding: gzip\r\ncontent-type"), |e| matches!(e, UpstreamError::NotMcp { .. })),
        (json(ANSWER).replace("content-type", "content-type: text/event-stream\r\ncontent-type"), |e| matches!(e, UpstreamError::NotMcp { .. })),
        ("HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n".to_owned(), |e| matches!(e, UpstreamError::Status { status, .. } if *status == 302)),
        ("HTTP/1.1 401 No\r\nwww-authenticate: Bearer\r\ncontent-length: 0\r\n\r\n".to_owned(), |e| matches!(e, UpstreamError::Unauthorized { .. })),
        (json("{}").replace("200 OK", "400 Bad Request"), |e| matches!(e, UpstreamError::Status { status, .. } if *status == 400)),
        (format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(1 << 20)), |e| matches!(e, UpstreamError::Broken { .. })),
        (format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(1000)), |e| matches!(e, UpstreamError::Broken { .. })),
        ("220 smtp ready\r\n".to_owned(), |e| matches!(e, UpstreamError::Broken { .. })),
        (Script::HANG_UP.to_owned(), |e| matches!(e, UpstreamError::Broken { .. })),
        (json(ANSWER).replace("content-length: 3", "content-length: 9") + Script::HANG_UP, |e| matches!(e, UpstreamError::Broken { .. })),
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999999\r\n\r\n{".to_owned(), |e| matches!(e, UpstreamError::TooLarge { .. })),
        (format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{}", chunk(&"[".repeat(100_000)).repeat(11)), |e| matches!(e, UpstreamError::TooLarge { .. })),
    ];
    for (answer, is) in cases {
        let shown: String = answer.chars().take(120).collect();
        let script = Script::start(vec![answer]).await;
        let error = post(&connection(&script), STATELESS).await.err();
        let error = error.unwrap_or_else(|| panic!("no error from {shown:?}"));
        assert!(is(&error), "{error} from {shown:?}");
        let said = error.to_string();
        assert!(
            !said.contains("<html>") && !said.contains("169.254"),
            "{said}"
        );
        assert!(said.contains("`s`"), "{said}");
    }
}

#[tokio::test]
async fn a_stream_with_an_endless_line_ends_with_an_error() {
    let endless = chunk(&"x".repeat(100_000)).repeat(11);
    let answer = format!("{}{endless}", stream("transfer-encoding: chunked\r\n"));
    let script = Script::start(vec![answer]).await;
    let Posted::Stream(mut events) = post(&connection(&script), STATELESS).await.unwrap() else {
        panic!("no stream");
    };
    let error = events.next().await.unwrap().err().unwrap();
    assert!(matches!(error, UpstreamError::TooLarge { .. }), "{error}");
    assert!(events.next().await.is_none());
}

#[tokio::test]
async fn nobody_listening_is_told_with_the_address() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let url = parse_url(&format!("http://{address}/mcp?key=secret")).unwrap();
    let endpoint = Endpoint::new("notes", url, HeaderMap::new(), None);
    let connection = Connection::new(endpoint, WireLimits::default());
    let error = post(&connection, STATELESS).await.err().unwrap();
    assert!(
        matches!(error, UpstreamError::Unreachable { .. }),
        "{error}"
    );
    let said = error.to_string();
    assert!(
        said.contains(&address.to_string()) && said.contains("[server.notes]"),
        "{said}"
    );
    assert!(!said.contains("secret"), "{said}");
}

#[test]
fn nothing_secret_is_shown() {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", "Bearer hunter2".parse().unwrap());
    let url = parse_url("https://api.example/mcp?key=hunter2").unwrap();
    let endpoint = Endpoint::new("s", url, headers, None);
    for shown in [
        format!("{endpoint:?}"),
        format!("{:?}", crate::upstream::Upstream::Http(endpoint.clone())),
        endpoint.identity(),
        endpoint.shown(),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("api.example"), "{shown}");
    }
}

#[test]
fn a_url_is_read_or_refused_with_the_mend() {
    for (text, expected) in [
        ("api.example/mcp", Err(())),
        ("ftp://api.example/", Err(())),
        ("https://", Err(())),
        ("https://user:pass@api.example/", Err(())),
        ("http://[]/", Err(())),
        ("", Err(())),
        ("http://[::1]:8080/mcp", Ok(("::1", 8080))),
        ("https://api.example", Ok(("api.example", 443))),
        ("http://localhost/mcp", Ok(("localhost", 80))),
    ] {
        let read = parse_url(text).map_err(|_| ());
        let endpoint = read.map(|url| Endpoint::new("s", url, HeaderMap::new(), None));
        let parts = endpoint
            .as_ref()
            .map(|e| (e.host(), e.port()))
            .map_err(|_| ());
        assert_eq!(parts, expected, "{text}");
    }
}
