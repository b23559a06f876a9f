//! Drives a session: pipes, processes, signals and the clock.
//!
//! Knows how bytes come and go; what they mean is the core's.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::FutureExt;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};

use super::{Core, Job, Opening, Out};
use crate::gate::{Host, ServerEntry};
use crate::ledger::Observer;
use crate::upstream::child::Remains;
use crate::upstream::pipe::{Sink, Source};
use crate::upstream::{Child, Launch, LaunchError, Outbox};
use crate::wire::LineReader;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// The most bytes that wait for one side before nothing more is read from the other.
const MAX_QUEUED: usize = 64 << 20;

/// How long requests that are under way may still be answered after the client has gone silent.
const DRAIN: Duration = Duration::from_secs(10);

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The client closed its end, or a signal asked for it.
    InOrder,
    /// Something ended it, for this reason.
    Because(String),
}

/// A session cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The server cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// The client's pipes fail.
    #[error("standard input or output: {0}")]
    Stdio(#[source] io::Error),
}

/// One end: what is read from it, cut into lines.
pub(in crate::gate) struct Inlet<R> {
    source: R,
    pub(in crate::gate) buffer: BytesMut,
    pub(in crate::gate) lines: LineReader,
    pub(in crate::gate) open: bool,
}

impl<R: AsyncRead + Unpin> Inlet<R> {
    pub(in crate::gate) fn new(source: R, max: usize) -> Self {
        Self {
            source,
            buffer: BytesMut::with_capacity(CHUNK),
            lines: LineReader::new(max),
            open: true,
        }
    }

    pub(in crate::gate) async fn read(&mut self) -> io::Result<usize> {
        // Doubled while a line grows: growing by chunks would copy a long line once for each.
        self.buffer.reserve(CHUNK.max(self.buffer.len()));
        self.source.read_buf(&mut self.buffer).await
    }
}

/// The server's process and the pipes to it.
struct Server {
    inlet: Inlet<Source>,
    outbox: Outbox<Sink>,
    remains: Remains,
}

impl Server {
    fn launch(launch: &Launch, max: usize) -> Result<Self, LaunchError> {
        let (source, outbox, remains) = Child::launch(launch)?.split();
        Ok(Self {
            inlet: Inlet::new(source, max),
            outbox,
            remains,
        })
    }
}

struct Session<R, W> {
    core: Core,
    launch: Launch,
    client: Inlet<R>,
    client_out: Outbox<W>,
    client_gone: bool,
    server: Option<Server>,
    jobs: FuturesUnordered<Job>,
    ended: Option<Ended>,
    drain_by: Option<Instant>,
}

/// Runs a session with a server that is started and a client at these pipes, until the client closes it, a signal ends it,
/// or it cannot go on; gives its last state.
pub async fn run_on<R, W>(
    host: Arc<Host>,
    entry: ServerEntry,
    launch: Launch,
    observer: Observer,
    source: R,
    sink: W,
) -> Result<(Ended, Core), SessionError>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let core = Core::new(
        Opening::local(host.clone(), Arc::new(entry), observer),
        Instant::now(),
    );
    let max = core.wire_limits().max_message;
    let server = Server::launch(&launch, max)?;
    let mut session = Session {
        client: Inlet::new(source, max),
        client_out: Outbox::new(sink),
        client_gone: false,
        server: Some(server),
        jobs: FuturesUnordered::new(),
        ended: None,
        drain_by: None,
        core,
        launch,
    };
    let ended = session.run(&host).await?;
    Ok((ended, session.close().await))
}

/// What woke the session.
enum Woken {
    Client(io::Result<usize>),
    Server(io::Result<usize>),
    Event(super::Event),
    Moved,
    Signal,
    Time,
    Written(io::Result<()>),
    WrittenUp(io::Result<()>),
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<R, W> {
    async fn run(&mut self, host: &Host) -> Result<Ended, SessionError> {
        let mut revisions = host.ledger.revisions();
        let mut generations = host.chain.changes();
        let mut terminate = signal(SignalKind::terminate()).map_err(SessionError::Stdio)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(SessionError::Stdio)?;
        loop {
            self.settle();
            if let Some(ended) = self.is_over() {
                return Ok(ended);
            }
            let wake = [self.core.wake(), self.drain_by]
                .into_iter()
                .flatten()
                .min();
            let crowded = self.client_out.queued() > MAX_QUEUED;
            let stuffed = self
                .server
                .as_ref()
                .is_some_and(|s| s.outbox.queued() > MAX_QUEUED);
            let (server_in, server_out) = match &mut self.server {
                Some(server) => (Some(&mut server.inlet), Some(&mut server.outbox)),
                None => (None, None),
            };
            let reads = self.client.open && !stuffed && self.drain_by.is_none();
            let woken = tokio::select! {
                biased;
                event = self.jobs.next(), if !self.jobs.is_empty() => match event {
                    Some(event) => Woken::Event(event),
                    None => continue,
                },
                read = read_from(server_in), if !crowded => Woken::Server(read),
                read = self.client.read(), if reads => Woken::Client(read),
                written = self.client_out.flush(), if self.client_out.queued() > 0 => Woken::Written(written),
                written = flush_to(server_out) => Woken::WrittenUp(written),
                Ok(()) = revisions.changed() => Woken::Moved,
                Ok(()) = generations.changed() => Woken::Moved,
                Some(()) = terminate.recv() => Woken::Signal,
                Some(()) = interrupt.recv() => Woken::Signal,
                () = until(wake) => Woken::Time,
            };
            self.core.at(Instant::now());
            self.on_woken(woken);
        }
    }

    fn on_woken(&mut self, woken: Woken) {
        match woken {
            Woken::Event(event) => self.core.on_event(event),
            Woken::Client(read) => self.on_client_read(&read),
            Woken::Server(read) => self.on_server_read(&read),
            Woken::Moved => self.core.on_moved(),
            Woken::Signal => self.drain(),
            Woken::Time => self.on_time(),
            Woken::Written(Ok(())) | Woken::WrittenUp(Ok(())) => {}
            Woken::Written(Err(error)) => self.on_client_broken(&error),
            Woken::WrittenUp(Err(error)) => self.on_server_end(&error.to_string()),
        }
    }

    /// Does everything that can be done without waiting: finished jobs, and writing what the pipes take.
    fn settle(&mut self) {
        loop {
            self.spread();
            match self.jobs.next().now_or_never() {
                Some(Some(event)) => {
                    self.core.at(Instant::now());
                    self.core.on_event(event);
                }
                _ => break,
            }
        }
        if self.client_out.queued() > 0
            && let Some(Err(error)) = self.client_out.flush().now_or_never()
        {
            self.on_client_broken(&error);
        }
        if let Some(server) = &mut self.server
            && server.outbox.queued() > 0
            && let Some(Err(error)) = server.outbox.flush().now_or_never()
        {
            self.on_server_end(&error.to_string());
        }
        self.core.on_quiet();
        self.spread();
    }

    /// Hands what the core gives out to where it goes.
    fn spread(&mut self) {
        let Out {
            client,
            // On one stream there is nothing to end.
            given_up: _,
            server,
            jobs,
            end,
        } = self.core.take();
        if !self.client_gone {
            for said in client {
                self.client_out.push(said.line);
                self.client_out.push_slice(b"\n");
            }
        }
        if let Some(to) = &mut self.server {
            for message in server {
                to.outbox.push(message.cleared.into_bytes());
                to.outbox.push_slice(b"\n");
            }
        }
        self.jobs.extend(jobs.into_iter().map(|(_, job)| job));
        if let Some(reason) = end {
            self.ended.get_or_insert(Ended::Because(reason));
        }
    }

    fn is_over(&self) -> Option<Ended> {
        if let Some(ended) = &self.ended {
            return Some(ended.clone());
        }
        let by = self.drain_by?;
        let idle = self.core.is_idle() && self.client_out.queued() == 0;
        (idle || self.client_gone || Instant::now() >= by).then_some(Ended::InOrder)
    }

    fn on_client_read(&mut self, read: &io::Result<usize>) {
        match read {
            Ok(1..) => {
                while let Some(frame) = self.client.lines.next(&mut self.client.buffer) {
                    self.core.on_client(frame, 0);
                }
            }
            _ => {
                self.client.open = false;
                if let Some(frame) = self.client.lines.end(&mut self.client.buffer) {
                    self.core.on_client(frame, 0);
                }
                self.drain();
            }
        }
    }

    fn on_server_read(&mut self, read: &io::Result<usize>) {
        let Some(server) = &mut self.server else {
            return;
        };
        if let Ok(1..) = read {
            while let Some(frame) = server.inlet.lines.next(&mut server.inlet.buffer) {
                self.core.on_server(frame, None);
            }
            return;
        }
        server.inlet.open = false;
        // A line that the server did not end is not known to be whole.
        if server.inlet.lines.end(&mut server.inlet.buffer).is_some() {
            tracing::warn!(server = %self.launch.name, "the server ended in the middle of a line, which is dropped");
        }
        self.on_server_end("it closed its output");
    }

    fn on_server_end(&mut self, how: &str) {
        let Some(server) = self.server.take() else {
            return;
        };
        let Server {
            remains,
            outbox,
            inlet,
        } = server;
        drop((outbox, inlet));
        tokio::spawn(async move {
            if let Err(error) = remains.end().await {
                tracing::warn!("the server's process cannot be waited for: {error}");
            }
        });
        self.core.on_server_gone(how);
    }

    fn on_client_broken(&mut self, error: &io::Error) {
        if !self.client_gone {
            tracing::debug!("the client does not read any more: {error}");
            self.client_gone = true;
            self.drain();
        }
    }

    fn on_time(&mut self) {
        self.core.on_time();
        if self.drain_by.is_none() && self.core.take_restart() {
            let max = self.core.wire_limits().max_message;
            match Server::launch(&self.launch, max) {
                Ok(server) => {
                    self.server = Some(server);
                    self.core.on_server_back();
                }
                Err(error) => self.core.on_restart_failed(&error.to_string()),
            }
        }
    }

    /// Nothing more is taken from the client; what is under way may still be answered.
    fn drain(&mut self) {
        self.drain_by.get_or_insert(Instant::now() + DRAIN);
    }

    /// Writes what is left, and ends the server.
    async fn close(mut self) -> Core {
        self.spread();
        if !self.client_gone {
            let flushed =
                tokio::time::timeout(Duration::from_secs(2), self.client_out.flush()).await;
            if !matches!(flushed, Ok(Ok(()))) {
                tracing::debug!("the client did not take the last of what was for it");
            }
        }
        if let Some(server) = self.server.take() {
            let Server {
                remains,
                mut outbox,
                inlet,
            } = server;
            let _ = outbox.flush().now_or_never();
            drop((outbox, inlet));
            match remains.end().await {
                Ok(status) => tracing::debug!("the server ended: {status}"),
                Err(error) => tracing::warn!("the server's process cannot be waited for: {error}"),
            }
        }
        self.core
    }
}

async fn read_from(inlet: Option<&mut Inlet<Source>>) -> io::Result<usize> {
    match inlet {
        Some(inlet) if inlet.open => inlet.read().await,
        _ => std::future::pending().await,
    }
}

async fn flush_to(outbox: Option<&mut Outbox<Sink>>) -> io::Result<()> {
    match outbox {
        Some(outbox) if outbox.queued() > 0 => outbox.flush().await,
        _ => std::future::pending().await,
    }
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
