//! An HTTP server whose answers a test decides, request by request, and that keeps what it was sent.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: String,
}

impl Request {
    /// The JSON-RPC method; empty if there is none.
    pub(super) fn says(&self) -> String {
        let message: Value = serde_json::from_str(&self.body).unwrap_or_default();
        message["method"].as_str().unwrap_or_default().to_owned()
    }

    /// An answer with this result to the JSON-RPC request.
    pub(super) fn result(&self, result: &Value) -> Reply {
        let message: Value = serde_json::from_str(&self.body).unwrap();
        let body = json!({"jsonrpc": "2.0", "id": message["id"], "result": result});
        Reply::json(200, &body.to_string())
    }

    /// The answer that a server gives to `initialize`, with a session.
    pub(super) fn welcome(&self, session: &str) -> Reply {
        self.result(&json!({
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "remote", "version": "1"},
        }))
        .with("mcp-session-id", session)
    }

    /// The list of one tool, `echo`.
    pub(super) fn tools(&self) -> Reply {
        self.result(&json!({"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}))
    }
}

/// What the server does about a request.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    head: String,
    body: String,
    /// Whether the connection stays open, and the answer unfinished, until the other side closes it.
    pub(super) holds: bool,
}

impl Reply {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::of(status, "application/json", body)
    }

    pub(super) fn of(status: u16, kind: &str, body: &str) -> Self {
        Self {
            head: format!("HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\n"),
            body: body.to_owned(),
            holds: false,
        }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// A stream of events that says nothing more.
    pub(super) fn stream(events: &str) -> Self {
        Self {
            holds: true,
            ..Self::of(200, "text/event-stream", events)
        }
    }

    fn write(&self, stream: &mut impl Write) -> std::io::Result<()> {
        let length = if self.holds {
            String::new()
        } else {
            format!("content-length: {}\r\n", self.body.len())
        };
        stream.write_all(format!("{}{length}\r\n{}", self.head, self.body).as_bytes())?;
        stream.flush()
    }
}

#[derive(Default)]
struct State {
    seen: Vec<Request>,
    closed: Vec<String>,
}

/// A server that runs as long as the test.
pub(super) struct Server {
    scheme: &'static str,
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(super) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("http", answer, Some)
    }

    /// By TLS, with a certificate of the fixtures' own authority.
    pub(super) fn start_tls(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let config = Arc::new(tls());
        Self::listen("https", answer, move |stream| {
            let session = rustls::ServerConnection::new(config.clone()).ok()?;
            Some(rustls::StreamOwned::new(session, stream))
        })
    }

    fn listen<S: Read + Write>(
        scheme: &'static str,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> Option<S> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let (shared, answer, wrap) = (state.clone(), Arc::new(answer), Arc::new(wrap));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, answer, wrap) = (shared.clone(), answer.clone(), wrap.clone());
                std::thread::spawn(move || {
                    if let Some(stream) = wrap(stream) {
                        serve(stream, &state, &*answer);
                    }
                });
            }
        });
        Self {
            scheme,
            address,
            state,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("{}://{}/mcp", self.scheme, self.address)
    }

    /// Everything that was sent to it.
    pub(super) fn seen(&self) -> Vec<Request> {
        self.state.lock().unwrap().seen.clone()
    }

    /// The requests with this JSON-RPC method.
    pub(super) fn saying(&self, method: &str) -> Vec<Request> {
        let mut seen = self.seen();
        seen.retain(|request| request.says() == method);
        seen
    }

    /// The JSON-RPC methods of the streams that the other side closed.
    pub(super) fn closed(&self) -> Vec<String> {
        self.state.lock().unwrap().closed.clone()
    }
}

fn tls() -> rustls::ServerConfig {
    use rustls::pki_types::pem::PemObject;
    let fixture = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fixtures/tls")
            .join(name)
    };
    let certificates = rustls::pki_types::CertificateDer::pem_file_iter(fixture("one.cert.pem"))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let key = rustls::pki_types::PrivateKeyDer::from_pem_file(fixture("one.key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .unwrap()
}

fn serve<S: Read + Write>(stream: S, state: &Mutex<State>, answer: &dyn Fn(&Request) -> Reply) {
    let mut reader = BufReader::new(stream);
    while let Some(request) = read(&mut reader) {
        state.lock().unwrap().seen.push(request.clone());
        let reply = answer(&request);
        if reply.write(reader.get_mut()).is_err() {
            return;
        }
        if reply.holds {
            let mut rest = Vec::new();
            let _ = reader.read_to_end(&mut rest);
            state.lock().unwrap().closed.push(request.says());
            return;
        }
    }
}

fn read(reader: &mut BufReader<impl Read>) -> Option<Request> {
    let mut line = String::new();
    if reader.read_line(&mut line).ok()? == 0 {
        return None;
    }
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}
