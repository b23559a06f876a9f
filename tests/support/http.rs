//! HTTP on plain sockets: requests that no client library would make, and every byte of what comes back.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Answer, PATIENCE};

/// A connection to the gate.
pub(crate) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A whole response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Response {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether it is a stream of events.
    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The messages in it, in their order: of a stream, one an event; otherwise the body, if it is JSON.
    pub(crate) fn messages(&self) -> Vec<String> {
        if self.is_stream() {
            let mut events = Vec::new();
            let mut rest = self.body.as_str();
            while let Some((event, after)) = next_event(rest) {
                events.push(event.data);
                rest = after;
            }
            events.retain(|data| !data.is_empty());
            return events;
        }
        match serde_json::from_str::<Value>(&self.body) {
            Ok(_) => vec![self.body.clone()],
            Err(_) => Vec::new(),
        }
    }

    /// The message that answers `id`.
    pub(crate) fn answer_line(&self, id: &Value) -> Option<String> {
        self.messages().into_iter().find(|line| {
            let message: Value = serde_json::from_str(line).unwrap();
            message["id"] == *id && message.get("method").is_none()
        })
    }

    /// The code of the JSON-RPC error in it.
    #[track_caller]
    pub(crate) fn code(&self) -> i64 {
        let line = self.messages().pop().unwrap_or_default();
        let message: Value = serde_json::from_str(&line).unwrap_or_default();
        message["error"]["code"]
            .as_i64()
            .unwrap_or_else(|| panic!("no JSON-RPC error in {self:?}"))
    }
}

/// An event of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) id: Option<String>,
    pub(crate) data: String,
}

/// The first whole event in `text`, and what comes after it. Comments alone are no event.
fn next_event(mut text: &str) -> Option<(Event, &str)> {
    loop {
        let end = text.find("\n\n")?;
        let (block, rest) = (&text[..end], &text[end + 2..]);
        let mut event = Event::default();
        let mut lines: Vec<&str> = Vec::new();
        let mut any = false;
        for line in block.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => lines.push(value),
                "id" => event.id = Some(value.to_owned()),
                _ => continue,
            }
            any = true;
        }
        if any {
            event.data = lines.join("\n");
            return Some((event, rest));
        }
        text = rest;
    }
}

/// A response's head: status, headers, bytes.
fn head(buffer: &[u8]) -> Option<(Response, usize)> {
    let end = buffer.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let response = Response {
        status,
        headers,
        body: String::new(),
    };
    Some((response, end))
}

/// The whole chunks at the start of `bytes`, how many bytes they took, and whether the last one was there.
fn chunks(mut bytes: &[u8]) -> (Vec<u8>, usize, bool) {
    let (all, mut body) = (bytes.len(), Vec::new());
    loop {
        let Some(line) = bytes.windows(2).position(|two| two == b"\r\n") else {
            return (body, all - bytes.len(), false);
        };
        let size = std::str::from_utf8(&bytes[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some(chunk) = bytes.get(line + 2..line + 4 + size) else {
            return (body, all - bytes.len(), false);
        };
        bytes = &bytes[line + 4 + size..];
        if size == 0 {
            return (body, all - bytes.len(), true);
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

impl Socket {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    /// Writes bytes as they are. A peer that has closed shows in what is read next.
    pub(crate) fn write(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Closes the connection at once.
    pub(crate) fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> bool {
        let mut chunk = [0; 16 << 10];
        match self.stream.read(&mut chunk) {
            Ok(read @ 1..) => {
                self.buffer.extend_from_slice(&chunk[..read]);
                true
            }
            Ok(_) => false,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                panic!("waited {PATIENCE:?} for the gate, which neither answers nor closes")
            }
            Err(_) => false,
        }
    }

    /// Waits for the head of a response, and leaves it to be read.
    #[track_caller]
    pub(crate) fn head(&mut self) -> Option<Response> {
        loop {
            if let Some((response, _)) = head(&self.buffer) {
                return Some(response);
            }
            if !self.more() {
                return None;
            }
        }
    }

    /// Reads one whole response; none if the connection ends without one.
    #[track_caller]
    pub(crate) fn response(&mut self) -> Option<Response> {
        let (mut response, start) = loop {
            if let Some(found) = head(&self.buffer) {
                break found;
            }
            if !self.more() {
                return None;
            }
        };
        let chunked = response.header("transfer-encoding") == Some("chunked");
        let length = response
            .header("content-length")
            .map(|length| length.parse::<usize>().unwrap());
        let (body, taken) = loop {
            if chunked {
                let (body, taken, last) = chunks(&self.buffer[start..]);
                if last || !self.more() {
                    break (body, taken);
                }
                continue;
            }
            let length = match length {
                Some(length) => length,
                None if matches!(response.status, 202 | 204) => 0,
                // It lasts until the connection ends.
                None => usize::MAX,
            };
            if self.buffer.len() - start >= length || !self.more() {
                let end = self.buffer.len().min(start.saturating_add(length));
                break (self.buffer[start..end].to_vec(), end - start);
            }
        };
        self.buffer.drain(..start + taken);
        response.body = String::from_utf8(body).unwrap();
        Some(response)
    }

    /// Whether the other side closes within [`PATIENCE`], whatever it says before.
    pub(crate) fn is_closed(&mut self) -> bool {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            let mut chunk = [0; 4096];
            match self.stream.read(&mut chunk) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
        false
    }

    /// Goes on reading as a stream of events.
    #[track_caller]
    pub(crate) fn events(mut self) -> Events {
        let (head, start) = loop {
            if let Some(found) = head(&self.buffer) {
                break found;
            }
            assert!(self.more(), "the connection ended without a response");
        };
        if !head.is_stream() {
            let whole = self.response();
            panic!("expected a stream, got {whole:?}");
        }
        self.buffer.drain(..start);
        Events::follow(self, head)
    }
}

#[derive(Default)]
struct Heard {
    events: Vec<Event>,
    ended: bool,
}

/// A stream of events that is being read.
pub(crate) struct Events {
    /// The head of the response.
    pub(crate) head: Response,
    stream: TcpStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
}

impl Events {
    fn follow(mut socket: Socket, head: Response) -> Self {
        let stream = socket.stream.try_clone().unwrap();
        // It may be silent for as long as it likes.
        stream.set_read_timeout(None).unwrap();
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let ear = Arc::clone(&heard);
        std::thread::spawn(move || {
            let mut text = Vec::new();
            loop {
                let (body, taken, last) = chunks(&socket.buffer);
                socket.buffer.drain(..taken);
                text.extend_from_slice(&body);
                {
                    let mut heard = ear.0.lock().unwrap();
                    while let Some((event, rest)) = std::str::from_utf8(&text)
                        .ok()
                        .and_then(next_event)
                        .map(|(event, rest)| (event, rest.as_bytes().to_vec()))
                    {
                        heard.events.push(event);
                        text = rest;
                    }
                    ear.1.notify_all();
                }
                if last || !socket.more() {
                    ear.0.lock().unwrap().ended = true;
                    ear.1.notify_all();
                    return;
                }
            }
        });
        Self {
            head,
            stream,
            heard,
        }
    }

    /// All events so far.
    pub(crate) fn heard(&self) -> Vec<Event> {
        self.heard.0.lock().unwrap().events.clone()
    }

    /// How many events came so far: a mark for [`Events::wait`].
    pub(crate) fn mark(&self) -> usize {
        self.heard.0.lock().unwrap().events.len()
    }

    fn find(
        &self,
        mark: usize,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<Event> {
        let end = Instant::now() + patience;
        let mut heard = self.heard.0.lock().unwrap();
        loop {
            let found = heard.events[mark..]
                .iter()
                .find(|event| serde_json::from_str(&event.data).is_ok_and(|said| wanted(&said)));
            if let Some(event) = found {
                return Some(event.clone());
            }
            let left = end.saturating_duration_since(Instant::now());
            if heard.ended || left.is_zero() {
                return None;
            }
            heard = self
                .heard
                .1
                .wait_timeout(heard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for a message from `mark` on.
    #[track_caller]
    pub(crate) fn wait(&self, mark: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> Event {
        self.find(mark, PATIENCE, wanted)
            .unwrap_or_else(|| panic!("waited for {what}; heard {:#?}", self.heard()))
    }

    /// Waits for a message with this method from `mark` on.
    #[track_caller]
    pub(crate) fn wait_method(&self, mark: usize, method: &str) -> Value {
        let event = self.wait(mark, method, |message| message["method"] == method);
        serde_json::from_str(&event.data).unwrap()
    }

    /// Whether a message that `unwanted` accepts comes from `mark` on within `time`.
    pub(crate) fn hears_within(
        &self,
        mark: usize,
        time: Duration,
        unwanted: impl Fn(&Value) -> bool,
    ) -> bool {
        self.find(mark, time, unwanted).is_some()
    }

    /// Waits until the stream has ended.
    #[track_caller]
    pub(crate) fn ended(&self) {
        super::until("the stream to end", || {
            self.heard.0.lock().unwrap().ended.then_some(())
        });
    }

    /// Closes the connection.
    pub(crate) fn close(self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }
}

/// What comes of a request.
#[track_caller]
pub(crate) fn outcome(response: &Response, id: &Value) -> Answer {
    let line = response
        .answer_line(id)
        .unwrap_or_else(|| panic!("no answer to {id} in {response:?}"));
    Answer::read(&line)
}
