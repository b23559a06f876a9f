//! A server that answers by a script: the n-th request, on whatever connection, gets the n-th text.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// One request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) request: String,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} twice");
        value
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.headers.iter().map(|(name, _)| name.as_str()).collect()
    }
}

#[derive(Default)]
struct State {
    answers: Vec<String>,
    seen: Vec<Seen>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    connections: usize,
    closed: usize,
    requests: usize,
}

pub(super) struct Script {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
    counts: watch::Receiver<Counts>,
}

impl Script {
    /// Stands at the end of an answer after which the server closes the connection.
    pub(super) const HANG_UP: &'static str = "\u{0}hang up";

    pub(super) async fn start(mut answers: Vec<String>) -> Self {
        answers.reverse();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            answers,
            seen: Vec::new(),
        }));
        let (count, counts) = watch::channel(Counts::default());
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.send_modify(|counts| counts.connections += 1);
                let (state, count) = (shared.clone(), count.clone());
                tokio::spawn(async move {
                    serve(stream, &state, &count).await;
                    count.send_modify(|counts| counts.closed += 1);
                });
            }
        });
        Self {
            address,
            state,
            counts,
        }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    pub(super) fn connections(&self) -> usize {
        self.counts.borrow().connections
    }

    /// Waits until a connection was closed by the other side.
    pub(super) async fn closed(&self) {
        self.until(|counts| counts.closed > 0).await;
    }

    /// Waits until so many requests came.
    pub(super) async fn requests(&self, many: usize) {
        self.until(|counts| counts.requests >= many).await;
    }

    /// Gives what was written, a closing included, the time to arrive.
    pub(super) async fn settled(&self) {
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }

    async fn until(&self, is: impl Fn(&Counts) -> bool) {
        let mut counts = self.counts.clone();
        tokio::time::timeout(
            std::time::Duration::from_secs(20),
            counts.wait_for(|c| is(c)),
        )
        .await
        .unwrap()
        .unwrap();
    }
}

async fn serve(mut stream: TcpStream, state: &Mutex<State>, count: &watch::Sender<Counts>) {
    let mut buffer = Vec::new();
    while let Some(seen) = request(&mut stream, &mut buffer).await {
        let answer = {
            let mut state = state.lock().unwrap();
            state.seen.push(seen);
            state.answers.pop().unwrap_or_default()
        };
        count.send_modify(|counts| counts.requests += 1);
        let (text, hang_up) = match answer.strip_suffix(Script::HANG_UP) {
            Some(text) => (text, true),
            None => (answer.as_str(), false),
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
        if hang_up || text.contains("connection: close") {
            return;
        }
    }
}

async fn request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Seen> {
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8(buffer[..end].to_vec()).unwrap();
            let mut lines = head.split("\r\n");
            let request = lines.next().unwrap().to_owned();
            let headers: Vec<(String, String)> = lines
                .map(|line| line.split_once(": ").unwrap())
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect();
            let length = headers
                .iter()
                .find(|(name, _)| name == "content-length")
                .map_or(0, |(_, value)| value.parse().unwrap());
            if buffer.len() >= end + 4 + length {
                let body = buffer[end + 4..end + 4 + length].to_vec();
                buffer.drain(..end + 4 + length);
                return Some(Seen {
                    request,
                    headers,
                    body,
                });
            }
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}
