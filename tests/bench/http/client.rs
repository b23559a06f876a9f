//! The client that measures: HTTP/1.1 over a plain socket, with as little work of its own as can be.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ways::Way;

/// The revisions measured.
#[derive(Clone, Copy, PartialEq, Eq)]
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

/// What a request is about.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    Initialize,
    Initialized,
    List,
    /// A call of a tool with this number in its arguments.
    Call(&'a str, u64),
    /// The end of the session.
    Delete,
}

/// A whole response, and how many bytes of the buffer it took.
struct Response {
    status: u16,
    session: Option<String>,
    body: String,
    taken: usize,
}

/// Reads a response, if all of it is there.
fn response(buffer: &[u8]) -> Option<Response> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let head = std::str::from_utf8(&buffer[..end]).expect("a head is ASCII");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let (mut length, mut chunked, mut session) = (0, false, None);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().expect("a length is a number");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value == "chunked";
        } else if name.eq_ignore_ascii_case("mcp-session-id") {
            session = Some(value.to_owned());
        }
    }
    let (body, taken) = if chunked {
        let (body, taken) = unchunked(&buffer[end..])?;
        (body, end + taken)
    } else {
        (buffer.get(end..end + length)?.to_vec(), end + length)
    };
    Some(Response {
        status,
        session,
        body: String::from_utf8(body).expect("a body is UTF-8"),
        taken,
    })
}

/// The body in chunks, and the bytes it took.
fn unchunked(mut rest: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (whole, mut body) = (rest.len(), Vec::new());
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).expect("a size is ASCII");
        let size = usize::from_str_radix(size, 16).expect("a size is hexadecimal");
        let chunk = rest.get(line + 2..line + 2 + size + 2)?;
        rest = &rest[line + 2 + size + 2..];
        if size == 0 {
            return Some((body, whole - rest.len()));
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// The requests of one client: what stands before and after what changes.
pub(crate) struct Writer {
    era: Era,
    /// The request line but for its method, and the headers all requests have.
    head: String,
    prefix: &'static str,
    next: u64,
}

impl Writer {
    fn new(way: &Way, era: Era) -> Self {
        let token = way.token.as_deref().map_or_else(String::new, |token| {
            format!("Authorization: Bearer {token}\r\n")
        });
        Self {
            era,
            head: format!(
                " {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{token}",
                way.path, way.address
            ),
            prefix: way.prefix,
            next: 1,
        }
    }

    fn write(&mut self, ask: Ask<'_>, into: &mut Vec<u8>) {
        let meta = match self.era {
            Era::Legacy => "",
            Era::Modern => {
                r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#
            }
        };
        let id = self.next;
        self.next += 1;
        let prefix = self.prefix;
        let (method, body) = match ask {
            Ask::Delete => ("", String::new()),
            Ask::Initialized => (
                "notifications/initialized",
                r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned(),
            ),
            Ask::Initialize => (
                "initialize",
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"initialize","params":{{"protocolVersion":"2025-11-25","capabilities":{{}},"clientInfo":{{"name":"bench","version":"1"}}}}}}"#
                ),
            ),
            Ask::List => (
                "tools/list",
                format!(
                    r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/list","params":{{{meta}}}}}"#
                ),
            ),
            Ask::Call(tool, n) => {
                let comma = if meta.is_empty() { "" } else { "," };
                (
                    "tools/call",
                    format!(
                        r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{prefix}{tool}","arguments":{{"path":"/tmp/x","n":{n}}}{comma}{meta}}}}}"#
                    ),
                )
            }
        };
        let verb = if method.is_empty() { "DELETE" } else { "POST" };
        into.clear();
        write!(into, "{verb}{}", self.head).unwrap();
        if method != "initialize" {
            write!(into, "MCP-Protocol-Version: {}\r\n", self.era.version()).unwrap();
        }
        if self.era == Era::Modern {
            write!(into, "Mcp-Method: {method}\r\n").unwrap();
            if let Ask::Call(tool, _) = ask {
                write!(into, "Mcp-Name: {prefix}{tool}\r\n").unwrap();
            }
        }
        write!(into, "Content-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    }

    /// Takes up the session that `initialize` opened, if the server has such.
    fn enter(&mut self, session: Option<&str>) {
        if let Some(session) = session {
            self.head
                .push_str(&format!("Mcp-Session-Id: {session}\r\n"));
        }
    }
}

/// A connection of a client, ready to call: its session, if the revision has such, is open.
pub(crate) struct Connection {
    stream: TcpStream,
    writer: Writer,
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Connection {
    /// Connects, and opens a session where there are such.
    pub(crate) fn open(way: &Way, era: Era) -> Self {
        let stream = TcpStream::connect(way.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let mut connection = Self {
            stream,
            writer: Writer::new(way, era),
            out: Vec::new(),
            input: Vec::new(),
        };
        if era == Era::Legacy {
            let (_, session, body) = connection.exchange(Ask::Initialize);
            assert!(body.contains("serverInfo"), "{}: {body}", way.name);
            connection.writer.enter(session.as_deref());
            connection.exchange(Ask::Initialized);
        }
        connection
    }

    /// Sends a request and waits for its response: status, session, body.
    pub(crate) fn exchange(&mut self, ask: Ask<'_>) -> (u16, Option<String>, String) {
        self.writer.write(ask, &mut self.out);
        self.stream.write_all(&self.out).unwrap();
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some(response) = response(&self.input) {
                self.input.drain(..response.taken);
                return (response.status, response.session, response.body);
            }
            let read = self.stream.read(&mut chunk).unwrap();
            assert_ne!(read, 0, "the connection was closed");
            self.input.extend_from_slice(&chunk[..read]);
        }
    }

    /// How long a request takes whose response must contain `expected`.
    pub(crate) fn time(&mut self, ask: Ask<'_>, expected: &str) -> Duration {
        let start = Instant::now();
        let (status, _, body) = self.exchange(ask);
        let took = start.elapsed();
        assert!(
            status == 200 && body.contains(expected),
            "expected `{expected}`, got {status} {body}"
        );
        took
    }

    /// The same connection, to be driven beside others.
    pub(crate) fn beside_others(self) -> Concurrent {
        self.stream.set_nonblocking(true).unwrap();
        Concurrent {
            stream: tokio::net::TcpStream::from_std(self.stream).unwrap(),
            writer: self.writer,
            out: self.out,
            input: self.input,
        }
    }
}

/// A connection of which many are driven by one thread.
pub(crate) struct Concurrent {
    stream: tokio::net::TcpStream,
    writer: Writer,
    out: Vec<u8>,
    input: Vec<u8>,
}

impl Concurrent {
    /// Makes `calls` calls, one after the other; no two have the same arguments.
    pub(crate) async fn calls(&mut self, calls: usize, first: u64) {
        for n in first..first + calls as u64 {
            self.writer.write(Ask::Call("run", n), &mut self.out);
            self.stream.write_all(&self.out).await.unwrap();
            let response = loop {
                if let Some(response) = response(&self.input) {
                    break response;
                }
                let read = self.stream.read_buf(&mut self.input).await.unwrap();
                assert_ne!(read, 0, "the connection was closed");
            };
            assert!(response.body.contains("done"), "{}", response.body);
            self.input.drain(..response.taken);
        }
    }
}
