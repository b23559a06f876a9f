//! A running `witgate serve`, and clients of it in both revisions.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use serde_json::{Value, json};

use super::http::{Events, Response, Socket, outcome};
use super::{Answer, Home};

/// The protocol's two ways over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Era {
    /// 2025-11-25: `initialize` and a session.
    Legacy,
    /// 2026-07-28: no session, metadata with every request.
    Modern,
}

impl Era {
    /// The revision's name.
    pub(crate) fn version(self) -> &'static str {
        match self {
            Self::Legacy => "2025-11-25",
            Self::Modern => "2026-07-28",
        }
    }
}

/// The gate as a process. Ended when dropped.
pub(crate) struct Serve {
    child: Mutex<Child>,
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<String>>,
}

impl Home {
    /// Writes a configuration whose listener takes any free port, with `more` after it.
    pub(crate) fn configure_http(&self, more: &str) -> &Self {
        self.configure(&format!(
            "version = 1\n[http]\nlisten = \"127.0.0.1:0\"\n{more}"
        ))
    }

    /// Makes a token for a caller of this name.
    pub(crate) fn token(&self, name: &str) -> String {
        let made = self.run(&["token", "new", name, "--json"]).done().json();
        made["token"].as_str().unwrap().to_owned()
    }

    /// Starts the gate and waits until it listens.
    #[track_caller]
    pub(crate) fn serve(&self) -> Serve {
        let mut child = self
            .command()
            .args(["serve", "--json"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log: Arc<Mutex<String>> = Arc::default();
        let (ear, mut err) = (Arc::clone(&log), child.stderr.take().unwrap());
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = err.read(&mut chunk) {
                let text = String::from_utf8_lossy(&chunk[..read]);
                ear.lock().unwrap().push_str(&text);
            }
        });
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        if line.is_empty() {
            let status = child.wait().unwrap();
            reader.join().unwrap();
            panic!("the gate ended with {status}\n{}", log.lock().unwrap());
        }
        let said: Value = serde_json::from_str(&line).unwrap();
        let address = said["listen"]
            .as_str()
            .unwrap_or_else(|| panic!("no address in {line}"));
        Serve {
            child: Mutex::new(child),
            address: address.parse().unwrap(),
            log,
        }
    }
}

impl Serve {
    /// What was written to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child.lock().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for the process to end.
    #[track_caller]
    pub(crate) fn ended(&self) -> ExitStatus {
        super::until("the gate to end", || {
            self.child.lock().unwrap().try_wait().unwrap()
        })
    }

    /// Has it stop in good order.
    #[track_caller]
    pub(crate) fn stop(&self) {
        self.signal(rustix::process::Signal::TERM);
        let status = self.ended();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// A request to it, not sent yet, with nothing but `Host`.
    pub(crate) fn request(&self, verb: &str, path: &str) -> Request {
        Request {
            address: self.address,
            line: format!("{verb} {path} HTTP/1.1"),
            headers: vec![("Host".to_owned(), self.address.to_string())],
            body: Vec::new(),
        }
    }

    /// Sends a plain `GET` and waits for the response.
    #[track_caller]
    pub(crate) fn get(&self, path: &str) -> Response {
        self.request("GET", path).send()
    }

    /// A client of a server behind it, with a session where there are such; the client has these capabilities.
    #[track_caller]
    pub(crate) fn client_with(
        &self,
        server: &str,
        token: &str,
        era: Era,
        capabilities: &str,
    ) -> Mcp {
        let mut client = self.stranger(server, token, era);
        client.capabilities = capabilities.to_owned();
        if era == Era::Legacy {
            client.initialize();
            client.initialized();
        }
        client
    }

    /// The same, of a client without capabilities.
    #[track_caller]
    pub(crate) fn client(&self, server: &str, token: &str, era: Era) -> Mcp {
        self.client_with(server, token, era, "{}")
    }

    /// A client that has not said anything yet.
    pub(crate) fn stranger(&self, server: &str, token: &str, era: Era) -> Mcp {
        Mcp {
            address: self.address,
            path: format!("/mcp/{server}"),
            token: token.to_owned(),
            era,
            session: None,
            capabilities: "{}".to_owned(),
            next: AtomicU64::new(1),
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        // Killed at once it would leave the servers it started behind.
        let pid = rustix::process::Pid::from_child(child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A request that a test makes up.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    line: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Adds a header, beside others of its name.
    pub(crate) fn add(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a header out.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers
            .retain(|(header, _)| !header.eq_ignore_ascii_case(name));
        self
    }

    /// Gives a header this value alone.
    pub(crate) fn set(self, name: &str, value: &str) -> Self {
        self.without(name).add(name, value)
    }

    /// Another body; the length follows it.
    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// The head, as sent, with whatever headers it has.
    pub(crate) fn head(&self) -> String {
        let headers = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {value}\r\n"));
        format!("{}\r\n{}\r\n", self.line, headers.collect::<String>())
    }

    /// All of its bytes, with its length.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let has_length = self.headers.iter().any(|(name, _)| {
            name.eq_ignore_ascii_case("content-length")
                || name.eq_ignore_ascii_case("transfer-encoding")
        });
        let whole = if has_length || self.body.is_empty() {
            self.clone()
        } else {
            self.clone()
                .add("Content-Length", &self.body.len().to_string())
        };
        [whole.head().as_bytes(), &self.body].concat()
    }

    /// Sends it on a connection of its own.
    pub(crate) fn open(&self) -> Socket {
        let mut socket = Socket::connect(self.address);
        socket.write(self.bytes());
        socket
    }

    /// Sends it and waits for the whole response.
    #[track_caller]
    pub(crate) fn send(&self) -> Response {
        self.try_send()
            .unwrap_or_else(|| panic!("no response to {self:?}"))
    }

    /// Sends it and waits for the whole response, or for the end of the connection.
    #[track_caller]
    pub(crate) fn try_send(&self) -> Option<Response> {
        self.open().response()
    }
}

/// A client of one server behind the gate.
pub(crate) struct Mcp {
    address: SocketAddr,
    pub(crate) path: String,
    pub(crate) token: String,
    pub(crate) era: Era,
    pub(crate) session: Option<String>,
    capabilities: String,
    next: AtomicU64,
}

impl Mcp {
    /// An id not used before.
    pub(crate) fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// The metadata of a request of 2026-07-28, with a comma before it if `after` something.
    fn meta(&self, after: bool) -> String {
        let comma = if after { "," } else { "" };
        format!(
            r#"{comma}"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{{"name":"blackbox","version":"1"}},"io.modelcontextprotocol/clientCapabilities":{}}}"#,
            self.capabilities
        )
    }

    /// Raw params, an object or empty, with what the revision adds to them.
    pub(crate) fn params(&self, params: &str) -> String {
        let params = if params.is_empty() { "{}" } else { params };
        match (self.era, params.strip_suffix('}')) {
            (Era::Modern, Some(open)) => {
                format!("{open}{}}}", self.meta(open.trim_end() != "{"))
            }
            _ => params.to_owned(),
        }
    }

    /// A request's message.
    pub(crate) fn message(&self, id: impl Into<Value>, method: &str, params: &str) -> String {
        format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"{method}","params":{}}}"#,
            id.into(),
            self.params(params)
        )
    }

    /// A request, not sent yet, with every header of this client's but no body.
    pub(crate) fn verb(&self, verb: &str) -> Request {
        let mut request = Request {
            address: self.address,
            line: format!("{verb} {} HTTP/1.1", self.path),
            headers: Vec::new(),
            body: Vec::new(),
        }
        .add("Host", &self.address.to_string());
        if !self.token.is_empty() {
            request = request.add("Authorization", &format!("Bearer {}", self.token));
        }
        request
    }

    /// A `POST` of this body, not sent yet, with all the headers a client of the revision would make for it.
    pub(crate) fn post(&self, body: &str) -> Request {
        let mut request = self
            .verb("POST")
            .add("Content-Type", "application/json")
            .add("Accept", "application/json, text/event-stream")
            .body(body);
        let message: Value = serde_json::from_str(body).unwrap_or_default();
        if self.era == Era::Legacy {
            if let Some(session) = &self.session {
                request = request
                    .add("Mcp-Session-Id", session)
                    .add("MCP-Protocol-Version", self.era.version());
            }
            return request;
        }
        request = request.add("MCP-Protocol-Version", self.era.version());
        if let Some(method) = message["method"].as_str() {
            request = request.add("Mcp-Method", method);
        }
        let params = &message["params"];
        match params["name"].as_str().or(params["uri"].as_str()) {
            Some(name) => request.add("Mcp-Name", &encoded(name)),
            None => request,
        }
    }

    /// Sends a request with raw params and waits for the whole response.
    #[track_caller]
    pub(crate) fn raw(&self, method: &str, params: &str) -> Response {
        self.post(&self.message(self.id(), method, params)).send()
    }

    /// Sends a request and waits for what comes of it.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, params: &Value) -> Answer {
        let id = self.id();
        let response = self
            .post(&self.message(id, method, &params.to_string()))
            .send();
        outcome(&response, &id.into())
    }

    /// Calls a tool without arguments.
    #[track_caller]
    pub(crate) fn call(&self, tool: &str) -> Answer {
        self.request("tools/call", &json!({"name": tool, "arguments": {}}))
    }

    /// The names of all listed tools.
    #[track_caller]
    pub(crate) fn tools(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut params = json!({});
        loop {
            let result = self.request("tools/list", &params).ran();
            for tool in result["tools"].as_array().unwrap() {
                names.push(tool["name"].as_str().unwrap().to_owned());
            }
            match result.get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return names,
            }
        }
    }

    /// Says `initialize` and takes up the session; the result.
    #[track_caller]
    pub(crate) fn initialize(&mut self) -> Value {
        let id = self.id();
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{{"name":"blackbox","version":"1"}}}}}}"#,
            self.capabilities
        );
        let response = self.post(&body).send();
        let session = response
            .header("mcp-session-id")
            .unwrap_or_else(|| panic!("no session in {response:?}"));
        self.session = Some(session.to_owned());
        outcome(&response, &id.into()).ran()
    }

    /// Says `notifications/initialized`.
    #[track_caller]
    pub(crate) fn initialized(&self) {
        let response = self
            .post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .send();
        assert_eq!(response.status, 202, "{response:?}");
    }

    /// The request for the stream of what belongs to no request, not sent yet.
    pub(crate) fn listening(&self) -> Request {
        match self.era {
            Era::Legacy => self
                .post("")
                .without("Content-Type")
                .set("Accept", "text/event-stream")
                .with_verb("GET"),
            Era::Modern => self.post(&self.message(
                self.id(),
                "subscriptions/listen",
                r#"{"notifications":{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}}"#,
            )),
        }
    }

    /// Opens the stream of what belongs to no request; in 2026-07-28, once it is acknowledged.
    #[track_caller]
    pub(crate) fn listen(&self) -> Events {
        let events = self.listening().open().events();
        if self.era == Era::Modern {
            events.wait_method(0, "notifications/subscriptions/acknowledged");
        }
        events
    }
}

impl Request {
    fn with_verb(mut self, verb: &str) -> Self {
        let rest = self.line.split_once(' ').unwrap().1;
        self.line = format!("{verb} {rest}");
        self
    }
}

/// A header's value for a name: as it is, or in the encoding for what no header can carry.
pub(crate) fn encoded(name: &str) -> String {
    let plain = name.bytes().all(|byte| (0x20..0x7f).contains(&byte))
        && name.trim() == name
        && !(name.starts_with("=?base64?") && name.ends_with("?="));
    if plain {
        return name.to_owned();
    }
    let text = base64::engine::general_purpose::STANDARD.encode(name);
    format!("=?base64?{text}?=")
}
