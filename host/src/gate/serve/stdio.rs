//! One client on pipes, with a server behind a URL.
//!
//! Knows lines in and out, which of them belong together, and when it is over. The client may try revision 2026-07-28
//! first and begin with `initialize` afterwards: each of the two is a session of its own, since they are two ways to speak
//! to a server over HTTP.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, AbortHandle, BoxStream, SelectAll, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exchange, Gateway, Listening, OpenError, Said, Session};
use crate::chain::convert::Caller;
use crate::gate::session::io::{Ended, Inlet, SessionError};
use crate::gate::{Host, ServerEntry};
use crate::mcp::stateless::names_revision;
use crate::upstream::Outbox;
use crate::wire::{Frame, Message, WireLimits, parse, scan};

/// The most bytes that wait for the client before nothing more is taken from the server.
const MAX_QUEUED: usize = 64 << 20;

/// How long requests that are under way may still be answered after the client has gone silent.
const DRAIN: Duration = Duration::from_secs(10);

/// How long the client may take for the last of what is for it.
const LAST: Duration = Duration::from_secs(2);

/// What one exchange does next.
enum Step {
    Said(Said),
    /// It is over; its key in `under_way`.
    Over(u64),
}

/// A message of the client's that is dealt with.
struct UnderWay {
    session: Arc<Session>,
    /// Its number within its session.
    number: u64,
    /// Its id, raw, if it is a request.
    id: Option<String>,
    /// Nobody waits for its end: it is no request, or open for as long as the client listens.
    lasts: bool,
    handle: AbortHandle,
}

/// One way of speaking to the server, once it is used.
struct Way {
    session: Arc<Session>,
    listening: Option<Listening>,
    over: BoxFuture<'static, String>,
}

struct Pump<R, W> {
    gateway: Arc<Gateway>,
    entry: ServerEntry,
    limits: WireLimits,
    client: Inlet<R>,
    out: Outbox<W>,
    client_gone: bool,
    /// Begun with `initialize`.
    legacy: Option<Way>,
    /// Of requests that stand for themselves.
    modern: Option<Way>,
    exchanges: SelectAll<BoxStream<'static, Step>>,
    under_way: HashMap<u64, UnderWay>,
    next: u64,
    drain_by: Option<Instant>,
}

enum Woken {
    Client(io::Result<usize>),
    Step(Step),
    Line(Bytes),
    Over(String),
    Gone,
    Written(io::Result<()>),
    Signal,
    Time,
}

/// Runs sessions with a client at these pipes until it closes them, a signal ends them, or they cannot go on; gives the
/// last session that there was.
pub(in crate::gate) async fn run_on<R, W>(
    host: Arc<Host>,
    entry: ServerEntry,
    source: R,
    sink: W,
) -> Result<(Ended, Option<Arc<Session>>), SessionError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let config = host.config.load();
    let limits = WireLimits {
        max_message: config.limits.max_message,
        max_depth: config.limits.max_depth,
    };
    drop(config);
    let mut pump = Pump {
        gateway: Gateway::new(host),
        entry,
        limits,
        client: Inlet::new(source, limits.max_message),
        out: Outbox::new(sink),
        client_gone: false,
        legacy: None,
        modern: None,
        exchanges: SelectAll::new(),
        under_way: HashMap::new(),
        next: 0,
        drain_by: None,
    };
    let ended = pump.run().await?;
    Ok((ended, pump.close().await))
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Pump<R, W> {
    async fn run(&mut self) -> Result<Ended, SessionError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(SessionError::Stdio)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(SessionError::Stdio)?;
        loop {
            if let Some(ended) = self.is_over() {
                return Ok(ended);
            }
            let crowded = self.out.queued() > MAX_QUEUED;
            let reads = self.client.open && !crowded && self.drain_by.is_none();
            let woken = tokio::select! {
                biased;
                Some(step) = self.exchanges.next(), if !crowded && !self.exchanges.is_empty() => Woken::Step(step),
                heard = heard(&mut self.legacy, crowded) => match heard {
                    Heard::Line(line) => Woken::Line(line),
                    Heard::Over(reason) => Woken::Over(reason),
                },
                heard = heard(&mut self.modern, crowded) => match heard {
                    Heard::Line(line) => Woken::Line(line),
                    Heard::Over(_) => Woken::Gone,
                },
                read = self.client.read(), if reads => Woken::Client(read),
                written = self.out.flush(), if self.out.queued() > 0 => Woken::Written(written),
                Some(()) = terminate.recv() => Woken::Signal,
                Some(()) = interrupt.recv() => Woken::Signal,
                () = until(self.drain_by) => Woken::Time,
            };
            match woken {
                Woken::Client(read) => self.on_read(&read),
                Woken::Step(Step::Said(Said::Message(line) | Said::Answer { line, .. })) => {
                    self.write(line);
                }
                Woken::Step(Step::Said(Said::Streams)) | Woken::Time => {}
                Woken::Step(Step::Over(key)) => drop(self.under_way.remove(&key)),
                Woken::Line(line) => self.write(line),
                Woken::Over(reason) => return Ok(Ended::Because(reason)),
                Woken::Gone => self.modern = None,
                Woken::Written(Ok(())) => {}
                Woken::Written(Err(error)) => {
                    tracing::debug!("the client does not read any more: {error}");
                    self.client_gone = true;
                    self.drain();
                }
                Woken::Signal => self.drain(),
            }
        }
    }

    fn is_over(&self) -> Option<Ended> {
        let by = self.drain_by?;
        let waits = self.under_way.values().any(|request| !request.lasts);
        let idle = !waits && self.out.queued() == 0;
        (idle || self.client_gone || Instant::now() >= by).then_some(Ended::InOrder)
    }

    fn on_read(&mut self, read: &io::Result<usize>) {
        if let Ok(1..) = read {
            while let Some(frame) = self.client.lines.next(&mut self.client.buffer) {
                self.on_frame(frame);
            }
            return;
        }
        self.client.open = false;
        if let Some(frame) = self.client.lines.end(&mut self.client.buffer) {
            self.on_frame(frame);
        }
        self.drain();
    }

    /// Hands a message of the client's to the session it belongs to.
    fn on_frame(&mut self, frame: Frame) {
        let line = match &frame {
            Frame::Line(line) | Frame::Partial(line) => line.clone(),
            Frame::TooLong { .. } => Bytes::new(),
        };
        let envelope = parse(&line, &self.limits).ok();
        let message = envelope.as_ref().map(|envelope| &envelope.message);
        let session = match self.session(message) {
            Ok(session) => session,
            Err(error) => {
                tracing::error!("{error}");
                self.drain();
                return;
            }
        };
        let cancelled = match message {
            Some(Message::Notification { method, params })
                if method == "notifications/cancelled" =>
            {
                params.and_then(cancelled)
            }
            _ => None,
        };
        if let Some(id) = cancelled
            && session.is_stateless()
        {
            // Said to the server by closing the request's stream.
            self.give_up(id);
            return;
        }
        let exchange = session.request_frame(frame, None);
        if let Some(id) = cancelled {
            self.give_up(id);
        }
        let number = exchange.number();
        let request = match message {
            Some(Message::Request { id, method, .. }) => Some((id.raw(), &**method)),
            _ => None,
        };
        if request.is_none() {
            // Nothing is answered but what is wrong with it, which is known by now.
            session.forget(number);
        }
        self.next += 1;
        let (steps, handle) = stream::abortable(steps(exchange, self.next));
        self.exchanges.push(steps.boxed());
        let under_way = UnderWay {
            session,
            number,
            id: request.map(|(id, _)| id.to_owned()),
            lasts: request.is_none_or(|(_, method)| method == "subscriptions/listen"),
            handle,
        };
        self.under_way.insert(self.next, under_way);
    }

    /// The session that a message belongs to; begun if there is none yet.
    fn session(&mut self, message: Option<&Message<'_>>) -> Result<Arc<Session>, OpenError> {
        if let Some(way) = &self.legacy {
            return Ok(way.session.clone());
        }
        let (stands_for_itself, begins) = match message {
            Some(Message::Request { method, params, .. }) => {
                (names_revision(*params), method == "initialize")
            }
            _ => (false, false),
        };
        match &self.modern {
            Some(way) if !begins => Ok(way.session.clone()),
            None if stands_for_itself => Ok(self.begin(true)?.session.clone()),
            _ => {
                if let Some(way) = self.modern.take() {
                    way.session.end("the client began with `initialize`");
                }
                Ok(self.begin(false)?.session.clone())
            }
        }
    }

    fn begin(&mut self, stateless: bool) -> Result<&Way, OpenError> {
        let session = self
            .gateway
            .begin(self.entry.clone(), Caller::local(), stateless)?;
        let ends = session.clone();
        let way = Way {
            listening: Some(session.listen()),
            over: Box::pin(async move {
                ends.ended().await;
                ends.is_over().unwrap_or_default()
            }),
            session,
        };
        let place = if stateless {
            &mut self.modern
        } else {
            &mut self.legacy
        };
        Ok(place.insert(way))
    }

    /// The client does not want the answer to a request any more.
    fn give_up(&mut self, id: &str) {
        let found = self
            .under_way
            .iter()
            .find(|(_, request)| request.id.as_deref() == Some(id))
            .map(|(key, _)| *key);
        if let Some(request) = found.and_then(|key| self.under_way.remove(&key)) {
            request.session.forget(request.number);
            request.handle.abort();
        }
    }

    fn write(&mut self, line: Bytes) {
        if !self.client_gone {
            self.out.push(line);
            self.out.push_slice(b"\n");
        }
    }

    /// Nothing more is taken from the client; what is under way may still be answered.
    fn drain(&mut self) {
        self.drain_by.get_or_insert(Instant::now() + DRAIN);
    }

    /// Writes what is left, and ends the sessions.
    async fn close(mut self) -> Option<Arc<Session>> {
        if !self.client_gone
            && !matches!(
                tokio::time::timeout(LAST, self.out.flush()).await,
                Ok(Ok(()))
            )
        {
            tracing::debug!("the client did not take the last of what was for it");
        }
        drop(self.exchanges);
        let last = self.legacy.or(self.modern).map(|way| way.session);
        self.gateway.close().await;
        last
    }
}

/// What an exchange does, to its end.
fn steps(exchange: Exchange, key: u64) -> impl stream::Stream<Item = Step> + Send {
    stream::unfold(Some(exchange), move |state| async move {
        let mut exchange = state?;
        Some(match exchange.next().await {
            Some(said) => (Step::Said(said), Some(exchange)),
            None => (Step::Over(key), None),
        })
    })
}

/// The raw id of the request that a `notifications/cancelled` is about.
fn cancelled(params: &str) -> Option<&str> {
    let members = scan::members(params).ok()?;
    let id = members.iter().find(|member| member.is("requestId"))?;
    Some(id.value)
}

/// What a session says beside its exchanges.
enum Heard {
    Line(Bytes),
    Over(String),
}

async fn heard(way: &mut Option<Way>, crowded: bool) -> Heard {
    let Some(way) = way else {
        return std::future::pending().await;
    };
    if let Some(listening) = way.listening.as_mut().filter(|_| !crowded) {
        tokio::select! {
            biased;
            line = listening.next() => match line {
                Some(line) => return Heard::Line(line),
                None => way.listening = None,
            },
            reason = &mut way.over => return Heard::Over(reason),
        }
    }
    Heard::Over((&mut way.over).await)
}

async fn until(by: Option<Instant>) {
    match by {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
