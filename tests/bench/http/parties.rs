//! The two trivial parties: an MCP server that finds what it needs by searching and answers from ready-made text, and a
//! bare relay that forwards what it gets.
//!
//! Both serve on hyper with as many threads as there are cores, print their port, and end when their input does.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

use crate::measure::member;

/// Tools of the list; the last two are `run` and `denied`.
const TOOLS: usize = 20;
/// The header that names a session.
const SESSION: &str = "mcp-session-id";

type Answer = Response<BoxBody<Bytes, hyper::Error>>;

/// Serves with `answer` until the input ends.
#[allow(clippy::print_stdout)]
fn run<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static)
where
    F: Future<Output = Answer> + Send + 'static,
{
    std::thread::spawn(|| {
        // Whoever started this process is gone.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            stream.set_nodelay(true).unwrap();
            let answer = answer.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let answer = answer(request);
                    async { Ok::<_, Infallible>(answer.await) }
                });
                // A client that goes away is no concern of ours.
                let _ = http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
}

fn full(status: StatusCode, body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut answer = Response::new(body.boxed());
    *answer.status_mut() = status;
    answer
}

/// What the server says to either revision.
struct Texts {
    list: String,
    modern_list: String,
    sessions: AtomicU64,
}

impl Texts {
    fn new() -> Self {
        let padding = "x".repeat(200);
        let mut names: Vec<String> = (2..TOOLS).map(|n| format!("tool_{n}")).collect();
        names.extend(["run".to_owned(), "denied".to_owned()]);
        let items: Vec<String> = names
            .iter()
            .map(|name| {
                format!(
                    r#"{{"name":"{name}","description":"{padding}","inputSchema":{{"type":"object","properties":{{"path":{{"type":"string"}},"n":{{"type":"integer"}}}}}}}}"#
                )
            })
            .collect();
        let items = items.join(",");
        Self {
            list: format!(r#"{{"tools":[{items}]}}"#),
            modern_list: format!(
                r#"{{"resultType":"complete","tools":[{items}],"ttlMs":0,"cacheScope":"private"}}"#
            ),
            sessions: AtomicU64::new(0),
        }
    }

    fn result(&self, method: &str, modern: bool) -> &str {
        match (method, modern) {
            ("\"tools/call\"", false) => r#"{"content":[{"type":"text","text":"done"}]}"#,
            ("\"tools/call\"", true) => {
                r#"{"resultType":"complete","content":[{"type":"text","text":"done"}]}"#
            }
            ("\"tools/list\"", false) => &self.list,
            ("\"tools/list\"", true) => &self.modern_list,
            ("\"initialize\"", _) => {
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"trivial","version":"1"}}"#
            }
            ("\"server/discover\"", _) => {
                r#"{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{"listChanged":true}},"ttlMs":0,"cacheScope":"private","_meta":{"io.modelcontextprotocol/serverInfo":{"name":"trivial","version":"1"}}}"#
            }
            (_, false) => "{}",
            (_, true) => r#"{"resultType":"complete"}"#,
        }
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        if request.method() == Method::DELETE {
            return full(StatusCode::OK, "");
        }
        if request.method() != Method::POST {
            return full(StatusCode::METHOD_NOT_ALLOWED, "");
        }
        let modern = request
            .headers()
            .get("mcp-protocol-version")
            .is_some_and(|version| version == "2026-07-28");
        let Ok(body) = request.into_body().collect().await else {
            return full(StatusCode::BAD_REQUEST, "");
        };
        let body = body.to_bytes();
        let message = std::str::from_utf8(&body).unwrap_or_default();
        let Some(id) = member(message, "\"id\":") else {
            return full(StatusCode::ACCEPTED, "");
        };
        let method = member(message, "\"method\":").unwrap_or_default();
        let result = self.result(method, modern);
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
        let mut answer = full(StatusCode::OK, text);
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if method == "\"initialize\"" {
            let session = self.sessions.fetch_add(1, Ordering::Relaxed);
            headers.insert(SESSION, HeaderValue::from(session));
        }
        answer
    }
}

/// The trivial MCP server, of both revisions.
pub(crate) fn upstream() {
    let texts = Arc::new(Texts::new());
    run(move |request| Arc::clone(&texts).answer(request));
}

/// The bare relay to the server at `port`.
pub(crate) fn relay(port: u16) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    run(move |request| {
        let client = client.clone();
        async move {
            let (mut head, body) = request.into_parts();
            let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
            head.uri = format!("http://127.0.0.1:{port}{path}").parse().unwrap();
            head.headers.remove(HOST);
            match client.request(Request::from_parts(head, body)).await {
                Ok(answer) => answer.map(BodyExt::boxed),
                Err(error) => full(StatusCode::BAD_GATEWAY, error.to_string()),
            }
        }
    });
}
