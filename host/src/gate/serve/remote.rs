//! The server behind a URL: messages go out one request each, and what comes back is told apart by its stream.
//!
//! Knows the order in which a server must hear things. What the messages mean is the core's to know.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::Said;
use super::session::{Server, Session};
use crate::gate::session::{On, ToServer};
use crate::mcp::initialize::ServerHello;
use crate::mcp::stateless::REVISION;
use crate::upstream::http::{About, Connection, Era, Events, Posted, UpstreamError};
use crate::wire::envelope::{self, Envelope, Message};
use crate::wire::{Frame, WireLimits};

/// One session with a server, upstream.
pub(super) struct Remote {
    connection: Connection,
    limits: WireLimits,
    stateless: bool,
    /// The server has answered `initialize`.
    begun: AtomicBool,
    /// Whether `initialize` is under way: until it is answered nothing else may be said, since it has no session yet.
    asking: watch::Sender<bool>,
    /// Somebody listens to what belongs to no request, or has tried to.
    listens: AtomicBool,
    /// Messages that are no requests: they are sent one after the other, and before any request that follows them.
    teller: mpsc::UnboundedSender<Bytes>,
    /// How many of those there were, and how many the server has taken.
    told: AtomicU64,
    heard: watch::Sender<u64>,
}

/// Connects to the server; nothing is sent yet. `again`: the first thing to be said is `initialize`, by the gate itself.
pub(super) fn connect(session: &Arc<Session>, again: bool) -> Server {
    let crate::upstream::Upstream::Http(endpoint) = &session.entry.upstream else {
        return Server::Gone;
    };
    let limits = session.limits();
    let (teller, receiver) = mpsc::unbounded_channel();
    let remote = Arc::new(Remote {
        connection: Connection::new(endpoint.clone(), limits),
        limits,
        stateless: session.stateless,
        begun: AtomicBool::new(false),
        asking: watch::Sender::new(again && !session.stateless),
        listens: AtomicBool::new(false),
        teller,
        told: AtomicU64::new(0),
        heard: watch::Sender::new(0),
    });
    session.begin(tell_all(session.clone(), remote.clone(), receiver));
    Server::Remote(remote)
}

impl Remote {
    /// Sends a message that is no request, after those before it.
    pub(super) fn tell(&self, message: ToServer) {
        self.told.fetch_add(1, Ordering::AcqRel);
        // The task that sends them ends with the session.
        let _ = self.teller.send(message.cleared.into_bytes());
    }

    /// The upstream session is over.
    pub(super) async fn end(&self) {
        self.connection.end().await;
    }

    /// Waits until the server has heard everything that was told before now.
    async fn heard(&self) {
        let told = self.told.load(Ordering::Acquire);
        if *self.heard.borrow() < told {
            let mut heard = self.heard.subscribe();
            // Without the task that sends them nobody waits for an answer either.
            let _ = heard.wait_for(|heard| *heard >= told).await;
        }
    }

    async fn post(&self, line: Bytes, on: &On) -> Result<Posted, UpstreamError> {
        if !self.stateless && self.begun.load(Ordering::Acquire) {
            let about = About {
                era: Era::Session,
                method: None,
                params: None,
                definition: None,
            };
            return self.connection.post(line, &about).await;
        }
        let kept = line.clone();
        let parsed = envelope::parse(&kept, &self.limits);
        let (method, params) = match parsed.as_ref().map(|envelope| &envelope.message) {
            Ok(
                Message::Request { method, params, .. } | Message::Notification { method, params },
            ) => (Some(&**method), *params),
            _ => (None, None),
        };
        let begins = !self.stateless && method == Some("initialize");
        if begins {
            self.asking.send_replace(true);
        } else if *self.asking.borrow() {
            let mut asking = self.asking.subscribe();
            let _ = asking.wait_for(|asking| !*asking).await;
        }
        let about = About {
            era: match method {
                _ if self.stateless => Era::Stateless { version: REVISION },
                Some("initialize") => Era::Initialize,
                _ => Era::Session,
            },
            method,
            params,
            definition: match on {
                On::Request { definition, .. } => definition.as_deref(),
                On::Own(_) | On::Other => None,
            },
        };
        self.connection.post(line, &about).await
    }
}

/// Sends what is no request, one after the other.
async fn tell_all(
    session: Arc<Session>,
    remote: Arc<Remote>,
    mut receiver: mpsc::UnboundedReceiver<Bytes>,
) {
    while let Some(line) = receiver.recv().await {
        let posted = remote.post(line, &On::Other).await;
        remote.heard.send_modify(|heard| *heard += 1);
        match posted {
            Ok(Posted::Accepted | Posted::Message { .. }) => {}
            Ok(Posted::Stream(events)) => drop(events),
            Err(error) => {
                tracing::warn!("{error}");
                session.on_failure(&remote, &error);
            }
        }
        // What belongs to no request is listened to as soon as the server knows that the client is ready.
        if !remote.stateless && !remote.listens.swap(true, Ordering::AcqRel) {
            session.begin(listen(session.clone(), remote.clone()));
        }
    }
}

async fn listen(session: Arc<Session>, remote: Arc<Remote>) {
    let mut events = match remote.connection.listen(None).await {
        Ok(Some(events)) => events,
        Ok(None) => return,
        Err(error) => {
            tracing::debug!("{error}");
            session.on_failure(&remote, &error);
            return;
        }
    };
    while let Some(event) = events.next().await {
        match event {
            // Answers come where they were asked for (MCP 2025-11-25, transports, "Listening for Messages from the
            // Server"); resuming a request's stream is done where it is read.
            Ok(event) if is_answer(&event.data, &remote.limits) => {
                tracing::debug!("an answer on the server's own stream is dropped");
            }
            Ok(event) => {
                session.drive(None, |core| core.on_server(Frame::Line(event.data), None));
            }
            Err(error) => {
                tracing::debug!("{error}");
                session.on_failure(&remote, &error);
                return;
            }
        }
    }
}

/// Whether a line answers a request.
fn is_answer(line: &Bytes, limits: &crate::wire::WireLimits) -> bool {
    envelope::parse(line, limits).is_ok_and(|envelope| {
        matches!(
            envelope.message,
            Message::Result { .. } | Message::Error { .. }
        )
    })
}

/// Sends a request, and takes up everything that comes back for it.
pub(super) async fn post(session: &Arc<Session>, own: Option<u64>, message: ToServer) {
    let Some(remote) = session.remote() else {
        return;
    };
    let ToServer { on, cleared } = message;
    let origin = match &on {
        On::Request { key, .. } => Some(key.exchange),
        On::Own(_) | On::Other => None,
    };
    remote.heard().await;
    let posted = remote.post(cleared.into_bytes(), &on).await;
    match &posted {
        Ok(_) => session.is_up(),
        Err(error) => session.is_down(&error.to_string()),
    }
    match posted {
        Ok(Posted::Message { line, .. }) => {
            deliver(session, &remote, own, origin, line).await;
            if session.lock().core.awaits(&on) {
                session
                    .unanswered(&on, "the server answered something else")
                    .await;
            }
        }
        Ok(Posted::Stream(events)) => stream(session, &remote, own, origin, &on, events).await,
        Ok(Posted::Accepted) => session.unanswered(&on, "the server gave no answer").await,
        Err(error) => {
            session.on_failure(&remote, &error);
            session.unanswered(&on, &error.to_string()).await;
        }
    }
    // While `initialize` is under way nothing else is: whatever it came to, the others need not wait any more.
    remote.asking.send_if_modified(std::mem::take);
}

async fn stream(
    session: &Arc<Session>,
    remote: &Arc<Remote>,
    own: Option<u64>,
    origin: Option<u64>,
    on: &On,
    mut events: Box<Events>,
) {
    if let Some(exchange) = origin {
        session.says(exchange, Said::Streams);
    }
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => deliver(session, remote, own, origin, event.data).await,
            Err(error) => {
                session.on_failure(remote, &error);
                session.unanswered(on, &error.to_string()).await;
                return;
            }
        }
        if !session.lock().core.awaits(on) {
            events.done();
            return;
        }
    }
    session
        .unanswered(on, "the server ended the stream before it answered")
        .await;
}

/// Hands a line of the server's to the core, and does what comes of it for the same exchange.
async fn deliver(
    session: &Arc<Session>,
    remote: &Arc<Remote>,
    own: Option<u64>,
    origin: Option<u64>,
    line: Bytes,
) {
    if !remote.stateless && !remote.begun.load(Ordering::Acquire) {
        remote.begin(&line);
    }
    let work = session.drive(own, |core| core.on_server(Frame::Line(line), origin));
    if !work.is_empty() {
        session.clone().work(own, work).await;
    }
}

impl Remote {
    /// Takes up the version that the server's answer to `initialize` agrees on.
    fn begin(&self, line: &Bytes) {
        let Ok(Envelope {
            message: Message::Result { result, .. },
            ..
        }) = envelope::parse(line, &self.limits)
        else {
            return;
        };
        if let Ok(said) = ServerHello::parse(result) {
            self.connection.negotiated(&said.protocol_version);
            self.begun.store(true, Ordering::Release);
            self.asking.send_replace(false);
        }
    }
}

impl Session {
    fn remote(&self) -> Option<Arc<Remote>> {
        match &self.lock().server {
            Server::Remote(remote) => Some(remote.clone()),
            Server::Child { .. } | Server::Gone => None,
        }
    }

    /// A request that the server will not answer any more is answered in its place.
    async fn unanswered(self: &Arc<Self>, on: &On, reason: &str) {
        let own = match on {
            On::Request { key, .. } => Some(key.exchange),
            On::Own(_) | On::Other => None,
        };
        let work = self.drive(own, |core| core.on_unanswered(on, reason));
        if !work.is_empty() {
            self.clone().work(own, work).await;
        }
    }

    /// An upstream session that is over is begun again.
    fn on_failure(self: &Arc<Self>, remote: &Arc<Remote>, error: &UpstreamError) {
        if !matches!(error, UpstreamError::SessionGone { .. }) {
            return;
        }
        let mut state = self.lock();
        let still = matches!(&state.server, Server::Remote(now) if Arc::ptr_eq(now, remote));
        if !still {
            return;
        }
        state.server = Server::Gone;
        drop(state);
        self.drive(None, |core| core.on_server_gone("it ended the session"));
    }
}
