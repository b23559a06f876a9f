//! An MCP server behind a URL, inside the test: of both revisions, scripted, on plain sockets, so that it can also say
//! what no server should. Every request that reaches it is kept, head and body.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;

/// The metadata key that names the revision of a request.
const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    /// `POST`, `GET` or `DELETE`.
    pub(crate) verb: String,
    /// All headers, names in lower case, in their order.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// Which connection it came on.
    connection: SocketAddr,
}

impl Received {
    /// A header's value; none if there is no such header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The message; null if the body is none.
    pub(crate) fn message(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The JSON-RPC method; empty if there is none.
    pub(crate) fn method(&self) -> String {
        self.message()["method"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The id's raw text, as an answer repeats it.
    fn id(&self) -> String {
        self.message()["id"].to_string()
    }

    fn is_modern(&self) -> bool {
        self.message()["params"]["_meta"].get(VERSION_KEY).is_some()
    }
}

/// What a rule answers. In all text `$ID` becomes the request's id.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// One JSON-RPC message, with this status.
    Json(u16, String),
    /// A whole result, in a message of the usual form.
    Result(String),
    /// A stream of these messages, which then ends.
    Events(Vec<String>),
    /// A stream of these messages; the connection breaks after them.
    Broken(Vec<String>),
    /// These bytes, a whole response or not; then the connection is closed.
    Raw(String),
    /// These bytes, and nothing more for as long as the server lives.
    Stalled(String),
    /// What an ordinary server would say, after so long.
    Late(Duration),
}

type Rule = Box<dyn Fn(&Received) -> Option<Reply> + Send>;

#[derive(Default)]
struct State {
    tools: Vec<String>,
    prompts: Vec<String>,
    resources: Vec<String>,
    page_size: Option<usize>,
    rules: Vec<Rule>,
    received: Vec<Received>,
    /// Open streams: which method or verb they answer, the subscription's id if they have one, and where to write.
    streams: Vec<(String, Option<String>, TcpStream)>,
    connections: Vec<TcpStream>,
    /// Connections that the other side closed.
    closed: Vec<SocketAddr>,
    sessions: u64,
    down: bool,
    over: bool,
}

/// The server; ends when dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    shared: Arc<(Mutex<State>, Condvar)>,
}

fn lock(shared: &(Mutex<State>, Condvar)) -> MutexGuard<'_, State> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Upstream {
    /// A server that offers these tools, given raw.
    pub(crate) fn new<T: AsRef<str>>(tools: impl IntoIterator<Item = T>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        upstream.tools(tools);
        let (shared, address) = (Arc::clone(&upstream.shared), upstream.address);
        std::thread::spawn(move || listen(&shared, listener, address));
        upstream
    }

    /// The URL of its endpoint.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/mcp", self.address)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.shared)
    }

    /// Offers these tools from now on.
    pub(crate) fn tools<T: AsRef<str>>(&self, tools: impl IntoIterator<Item = T>) -> &Self {
        self.state().tools = texts(tools);
        self
    }

    /// Offers these prompts from now on.
    pub(crate) fn prompts<T: AsRef<str>>(&self, prompts: impl IntoIterator<Item = T>) -> &Self {
        self.state().prompts = texts(prompts);
        self
    }

    /// Offers these resources from now on.
    pub(crate) fn resources<T: AsRef<str>>(&self, resources: impl IntoIterator<Item = T>) -> &Self {
        self.state().resources = texts(resources);
        self
    }

    /// Lists in pages of this size.
    pub(crate) fn pages_of(&self, size: usize) -> &Self {
        self.state().page_size = Some(size);
        self
    }

    /// Answers a JSON-RPC method, or the verb `GET` or `DELETE`, with this from now on.
    pub(crate) fn on(&self, method: &str, reply: Reply) -> &Self {
        let wanted = method.to_owned();
        self.rule(move |received| {
            let fits = received.verb == wanted || received.method() == wanted;
            fits.then(|| reply.clone())
        })
    }

    /// Answers the call of one tool with this from now on.
    pub(crate) fn on_call(&self, tool: &str, reply: Reply) -> &Self {
        let tool = tool.to_owned();
        self.rule(move |received| {
            let message = received.message();
            let fits = message["method"] == "tools/call" && message["params"]["name"] == *tool;
            fits.then(|| reply.clone())
        })
    }

    /// Answers what `rule` picks; the newest rule that picks a request holds.
    pub(crate) fn rule(&self, rule: impl Fn(&Received) -> Option<Reply> + Send + 'static) -> &Self {
        self.state().rules.push(Box::new(rule));
        self
    }

    /// Every request so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state().received.clone()
    }

    /// The messages with this JSON-RPC method so far.
    pub(crate) fn received_with(&self, method: &str) -> Vec<Received> {
        let mut received = self.received();
        received.retain(|request| request.method() == method);
        received
    }

    /// How many requests, head or body, have this text in them.
    pub(crate) fn mentions(&self, text: &str) -> usize {
        let has = |request: &&Received| {
            request.body.contains(text)
                || request
                    .headers
                    .iter()
                    .any(|(name, value)| name.contains(text) || value.contains(text))
        };
        self.received().iter().filter(has).count()
    }

    /// Waits until a request that `wanted` accepts has arrived.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        let end = Instant::now() + PATIENCE;
        let mut state = self.state();
        loop {
            if let Some(found) = state.received.iter().find(|request| wanted(request)) {
                return found.clone();
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(
                !left.is_zero(),
                "waited for {what}; the server got {:#?}",
                state.received
            );
            state = self
                .shared
                .1
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits until a message with this JSON-RPC method, or a request with this verb, has arrived.
    #[track_caller]
    pub(crate) fn wait_for(&self, method: &str) -> Received {
        self.wait(method, |request| {
            request.verb == method || request.method() == method
        })
    }

    /// Sends a message on every open stream of its own: those of `GET` and `subscriptions/listen`. `$SUBSCRIPTION`
    /// becomes what such a notification carries in `_meta`. Returns how many there were.
    pub(crate) fn push(&self, message: &str) -> usize {
        let mut state = self.state();
        state.streams.retain_mut(|(_, subscription, stream)| {
            let meta = subscription.as_ref().map_or("{}".to_owned(), |id| {
                format!(r#"{{"io.modelcontextprotocol/subscriptionId":{id}}}"#)
            });
            let chunk = chunk(&event(&message.replace("$SUBSCRIPTION", &meta)));
            stream.write_all(chunk.as_bytes()).is_ok()
        });
        state.streams.len()
    }

    /// Says on every open stream that a list changed: `tools`, `prompts` or `resources`.
    pub(crate) fn list_changed(&self, kind: &str) -> usize {
        self.push(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/{kind}/list_changed","params":{{"_meta":$SUBSCRIPTION}}}}"#
        ))
    }

    /// Whether the connection that a request came on was closed by the other side.
    pub(crate) fn is_closed(&self, request: &Received) -> bool {
        self.state().closed.contains(&request.connection)
    }

    /// How many streams of its own are open, as far as it knows.
    pub(crate) fn streams(&self) -> usize {
        self.state().streams.len()
    }

    /// Closes every connection and refuses new ones, as a process that died would.
    pub(crate) fn die(&self) {
        {
            let mut state = self.state();
            state.down = true;
            state.streams.clear();
            for connection in state.connections.drain(..) {
                let _ = connection.shutdown(Shutdown::Both);
            }
        }
        // Wakes the listener, which then lets go of the port.
        let _ = TcpStream::connect(self.address);
        super::until("the server to be gone", || {
            TcpStream::connect(self.address).is_err().then_some(())
        });
    }

    /// Listens again where it did.
    pub(crate) fn come_back(&self) {
        self.state().down = false;
        self.shared.1.notify_all();
        super::until("the server to be back", || {
            TcpStream::connect(self.address).ok().map(drop)
        });
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        let mut state = self.state();
        state.over = true;
        state.down = true;
        state.streams.clear();
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
        drop(state);
        self.shared.1.notify_all();
        let _ = TcpStream::connect(self.address);
    }
}

fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Vec<String> {
    items
        .into_iter()
        .map(|item| item.as_ref().to_owned())
        .collect()
}

/// Accepts connections until the server is down; then waits until it is up again.
fn listen(shared: &Arc<(Mutex<State>, Condvar)>, first: TcpListener, address: SocketAddr) {
    let mut listener = Some(first);
    loop {
        let up = match listener.take() {
            Some(up) => up,
            None => match TcpListener::bind(address) {
                Ok(up) => up,
                Err(_) => {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                }
            },
        };
        for stream in up.incoming() {
            let Ok(stream) = stream else { continue };
            let mut state = lock(shared);
            if state.down {
                break;
            }
            state.connections.push(stream.try_clone().unwrap());
            drop(state);
            let shared = Arc::clone(shared);
            std::thread::spawn(move || {
                let peer = stream.peer_addr();
                serve(&shared, stream);
                if let Ok(peer) = peer {
                    lock(&shared).closed.push(peer);
                }
            });
        }
        drop(up);
        let mut state = lock(shared);
        while state.down && !state.over {
            state = shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.over {
            return;
        }
    }
}

/// Reads one request; none when the connection ends.
fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Received> {
    let mut more = |buffer: &mut Vec<u8>| {
        let mut chunk = [0; 8192];
        let read = stream.read(&mut chunk).ok().filter(|read| *read > 0)?;
        buffer.extend_from_slice(&chunk[..read]);
        Some(())
    };
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        more(buffer)?;
    };
    let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = head.split("\r\n").filter(|line| !line.is_empty());
    let verb = lines.next()?.split(' ').next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.iter().find(|(header, _)| header == name);
    // The gate knows how long its messages are.
    assert!(header("transfer-encoding").is_none(), "{head}");
    let length: usize = header("content-length").map_or(0, |(_, value)| value.parse().unwrap());
    while buffer.len() < end + length {
        more(buffer)?;
    }
    let body = String::from_utf8(buffer[end..end + length].to_vec()).unwrap();
    buffer.drain(..end + length);
    Some(Received {
        verb,
        headers,
        body,
        connection: stream.peer_addr().ok()?,
    })
}

fn event(message: &str) -> String {
    format!("event: message\ndata: {message}\n\n")
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

const STREAM: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";

fn whole(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Status\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// Serves one connection.
fn serve(shared: &Arc<(Mutex<State>, Condvar)>, mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    // A peer that reads nothing is not waited for.
    let _ = stream.set_write_timeout(Some(Duration::from_secs(2)));
    let mut buffer = Vec::new();
    while let Some(received) = read(&mut stream, &mut buffer) {
        let reply = {
            let mut state = lock(shared);
            state.received.push(received.clone());
            let reply = state.rules.iter().rev().find_map(|rule| rule(&received));
            shared.1.notify_all();
            reply
        };
        let id = received.id();
        let texts = |messages: &[String]| {
            let messages = messages.iter();
            let chunks = messages.map(|message| chunk(&event(&message.replace("$ID", &id))));
            format!("{STREAM}{}", chunks.collect::<String>())
        };
        let (out, stay) = match reply {
            None => (ordinary(shared, &received, &stream), true),
            Some(Reply::Late(time)) => {
                std::thread::sleep(time);
                (ordinary(shared, &received, &stream), true)
            }
            Some(Reply::Json(status, message)) => {
                let message = message.replace("$ID", &id);
                (
                    whole(status, "Content-Type: application/json\r\n", &message),
                    true,
                )
            }
            Some(Reply::Result(result)) => (answer(&id, &result), true),
            Some(Reply::Events(messages)) => (format!("{}0\r\n\r\n", texts(&messages)), true),
            Some(Reply::Broken(messages)) => (texts(&messages), false),
            Some(Reply::Raw(bytes)) => (bytes.replace("$ID", &id), false),
            Some(Reply::Stalled(bytes)) => (bytes.replace("$ID", &id), true),
        };
        if stream.write_all(out.as_bytes()).is_err() {
            return;
        }
        if !stay {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn answer(id: &str, result: &str) -> String {
    let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
    whole(200, "Content-Type: application/json\r\n", &message)
}

/// What an ordinary server answers: the bytes.
fn ordinary(
    shared: &Arc<(Mutex<State>, Condvar)>,
    received: &Received,
    stream: &TcpStream,
) -> String {
    let message = received.message();
    let (id, method, params) = (received.id(), received.method(), &message["params"]);
    let mut state = lock(shared);
    if received.verb == "DELETE" {
        return whole(200, "", "");
    }
    if received.verb == "GET" {
        state
            .streams
            .push(("GET".to_owned(), None, stream.try_clone().unwrap()));
        return STREAM.to_owned();
    }
    if message.get("id").is_none() || message.get("method").is_none() {
        return whole(202, "", "");
    }
    let modern = received.is_modern();
    let complete = if modern {
        r#""resultType":"complete","#
    } else {
        ""
    };
    let capabilities = r#"{"tools":{"listChanged":true},"prompts":{"listChanged":true},"resources":{"listChanged":true,"subscribe":true},"completions":{},"logging":{}}"#;
    let list = |member: &str, items: &[String]| {
        let start = params["cursor"]
            .as_str()
            .map_or(0, |cursor| cursor[1..].parse().unwrap());
        let end = items
            .len()
            .min(start + state.page_size.unwrap_or(items.len()));
        let next = if end < items.len() {
            format!(r#","nextCursor":"p{end}""#)
        } else {
            String::new()
        };
        let cache = if modern {
            r#","ttlMs":600000,"cacheScope":"public""#
        } else {
            ""
        };
        let page = items[start..end].join(",");
        answer(
            &id,
            &format!(r#"{{{complete}"{member}":[{page}]{next}{cache}}}"#),
        )
    };
    match method.as_str() {
        "initialize" => {
            state.sessions += 1;
            let version = &params["protocolVersion"];
            let result = format!(
                r#"{{"protocolVersion":{version},"capabilities":{capabilities},"serverInfo":{{"name":"upstream","version":"1"}}}}"#
            );
            let message = format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#);
            let headers = format!(
                "Content-Type: application/json\r\nMcp-Session-Id: upstream-{}\r\n",
                state.sessions
            );
            whole(200, &headers, &message)
        }
        "server/discover" => answer(
            &id,
            &format!(
                r#"{{{complete}"supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{capabilities},"ttlMs":600000,"cacheScope":"public","_meta":{{"io.modelcontextprotocol/serverInfo":{{"name":"upstream","version":"1"}}}}}}"#
            ),
        ),
        "tools/list" => list("tools", &state.tools),
        "prompts/list" => list("prompts", &state.prompts),
        "resources/list" => list("resources", &state.resources),
        "resources/templates/list" => list("resourceTemplates", &[]),
        "tools/call" => {
            let text = json!(format!("ran {}", params["name"].as_str().unwrap_or("?")));
            answer(
                &id,
                &format!(
                    r#"{{{complete}"content":[{{"type":"text","text":{text}}}],"structuredContent":{{"params":{params}}}}}"#
                ),
            )
        }
        "prompts/get" => answer(&id, &format!(r#"{{{complete}"messages":[]}}"#)),
        "resources/read" => answer(
            &id,
            &format!(
                r#"{{{complete}"contents":[{{"uri":{},"text":"read"}}],"ttlMs":0,"cacheScope":"public"}}"#,
                params["uri"]
            ),
        ),
        "completion/complete" => answer(
            &id,
            &format!(
                r#"{{{complete}"completion":{{"values":["one"],"total":1,"hasMore":false}}}}"#
            ),
        ),
        "subscriptions/listen" => {
            state
                .streams
                .push((method, Some(id.clone()), stream.try_clone().unwrap()));
            let acknowledged = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}},"notifications":{}}}}}"#,
                params["notifications"]
            );
            format!("{STREAM}{}", chunk(&event(&acknowledged)))
        }
        "ping" | "logging/setLevel" | "resources/subscribe" | "resources/unsubscribe" => answer(
            &id,
            if modern {
                r#"{"resultType":"complete"}"#
            } else {
                "{}"
            },
        ),
        _ => whole(
            if modern { 404 } else { 200 },
            "Content-Type: application/json\r\n",
            &format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"Method not found"}}}}"#
            ),
        ),
    }
}
