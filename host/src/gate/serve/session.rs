//! One caller's connection to one server, as it runs: the core, the server behind it, and who waits for what.
//!
//! Knows how the core is driven from many tasks at once: under a lock that is never held across a wait.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Instant;

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, watch};

use super::exchange::{Exchange, Feed, Listening, Standing};
use super::remote::Remote;
use super::spread::Work;
use super::{Gateway, OpenError, Said, child, remote};
use crate::chain::convert::Caller;
use crate::gate::session::{Core, Opening, Tasks};
use crate::gate::{Host, ServerEntry};
use crate::ledger::Observer;
use crate::mcp::stateless::{Names, names};
use crate::upstream::Upstream;
use crate::wire::{Frame, WireLimits};

/// A connection of one caller to one server: in revisions that begin with `initialize`, a session of MCP; in
/// 2026-07-28, requests of a caller whose client has the same capabilities.
pub struct Session {
    caller: Caller,
    pub(super) entry: Arc<ServerEntry>,
    pub(super) host: Arc<Host>,
    gateway: Weak<Gateway>,
    /// The server answered last time.
    well: AtomicBool,
    observer: String,
    pub(super) stateless: bool,
    state: Mutex<State>,
    /// The keeper has to look again when it must wake.
    look: Notify,
    over: OnceLock<String>,
    /// Becomes true when the session is over and its server ended.
    gone: watch::Sender<bool>,
    /// Everything that drives the session stops.
    pub(super) stop: watch::Sender<bool>,
}

/// What the lock guards.
pub(super) struct State {
    pub(super) core: Core,
    pub(super) feeds: HashMap<u64, Feed>,
    pub(super) standing: Standing,
    pub(super) server: Server,
    /// When the keeper is going to wake.
    armed: Option<Instant>,
    next: u64,
    last_used: Instant,
    /// Ids and progress tokens in use, where the server does not tell requests apart by their streams.
    pub(super) names: HashMap<u64, Names>,
    /// Names of requests that are about to come.
    reserved: Vec<Names>,
}

impl State {
    /// What was reserved for a request is its own from now on.
    fn take_reserved(&mut self, number: u64, frame: &Frame) {
        if self.reserved.is_empty() {
            return;
        }
        if let Frame::Line(line) = frame {
            let named = names(line);
            if let Some(at) = self.reserved.iter().position(|reserved| *reserved == named) {
                let reserved = self.reserved.swap_remove(at);
                self.names.insert(number, reserved);
            }
        }
    }
}

/// The server's end.
pub(super) enum Server {
    /// A process.
    Child {
        /// What is for it.
        outbox: mpsc::UnboundedSender<Bytes>,
        /// Runs its pipes, and ends with it.
        task: tokio::task::JoinHandle<()>,
    },
    /// A URL: the session with it.
    Remote(Arc<Remote>),
    /// None at the moment.
    Gone,
}

impl Session {
    /// Starts or connects the server, and everything that drives the session.
    pub(super) fn open(
        gateway: &Arc<Gateway>,
        entry: ServerEntry,
        caller: Caller,
        observer: Observer,
        tasks: Arc<Tasks>,
        stateless: bool,
    ) -> Result<Arc<Self>, OpenError> {
        let entry = Arc::new(entry);
        let host = gateway.host.clone();
        let now = Instant::now();
        let id = observer.id.clone();
        let opening = Opening {
            host: host.clone(),
            entry: entry.clone(),
            caller: caller.clone(),
            observer,
            tasks,
            separate: stateless && matches!(entry.upstream, Upstream::Http(_)),
        };
        let core = Core::new(opening, now);
        let launched = match &entry.upstream {
            Upstream::Child(launch) => Some(
                crate::upstream::Child::launch(launch)
                    .inspect_err(|error| gateway.board.down(&entry.name, &error.to_string()))?,
            ),
            Upstream::Http(_) => None,
        };
        let session = Arc::new(Self {
            caller,
            entry,
            host,
            gateway: Arc::downgrade(gateway),
            well: AtomicBool::new(false),
            observer: id,
            stateless,
            state: Mutex::new(State {
                core,
                feeds: HashMap::new(),
                standing: Standing::default(),
                server: Server::Gone,
                armed: None,
                next: 0,
                last_used: now,
                names: HashMap::new(),
                reserved: Vec::new(),
            }),
            look: Notify::new(),
            over: OnceLock::new(),
            gone: watch::Sender::new(false),
            stop: watch::Sender::new(false),
        });
        match launched {
            Some(launched) => child::run(&session, launched),
            None => {
                let server = remote::connect(&session, false);
                session.lock().server = server;
            }
        }
        tokio::spawn(keep(session.clone()));
        Ok(session)
    }

    /// Who it belongs to.
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The server's name.
    pub fn server(&self) -> &str {
        &self.entry.name
    }

    /// Whether its requests stand for themselves.
    pub(super) const fn is_stateless(&self) -> bool {
        self.stateless
    }

    /// Whether the server is behind a URL, so that it chooses the form of its answers: JSON or events.
    pub fn is_over_http(&self) -> bool {
        matches!(self.entry.upstream, Upstream::Http(_))
    }

    /// Why it is over, if it is: the server is gone for good, or the session was closed.
    pub fn is_over(&self) -> Option<String> {
        self.over.get().cloned()
    }

    /// When it was last used.
    pub fn last_used(&self) -> Instant {
        self.lock().last_used
    }

    /// Whether requests are under way.
    pub fn is_busy(&self) -> bool {
        !self.lock().feeds.is_empty()
    }

    /// Keeps the id and the progress token of a request, a whole message, for it, if nobody uses them. Always possible
    /// where the server tells requests apart by their streams.
    pub(super) fn reserve(&self, line: &[u8]) -> bool {
        if matches!(self.entry.upstream, Upstream::Http(_)) {
            return true;
        }
        let named = names(line);
        let mut state = self.lock();
        let taken = state
            .names
            .values()
            .chain(&state.reserved)
            .any(|used| used.clash(&named));
        if !taken {
            state.reserved.push(named);
        }
        !taken
    }

    /// Begins a request: one message on one line, not yet checked. `params` are the `Mcp-Param-*` headers that came with it (name
    /// after the prefix, raw value), in 2026-07-28 only.
    pub fn request(
        self: &Arc<Self>,
        line: Bytes,
        params: Option<Vec<(String, String)>>,
    ) -> Exchange {
        self.request_frame(Frame::Line(line), params)
    }

    /// As [`Self::request`], with what a stream of lines holds.
    pub(super) fn request_frame(
        self: &Arc<Self>,
        frame: Frame,
        params: Option<Vec<(String, String)>>,
    ) -> Exchange {
        let (sender, receiver) = mpsc::unbounded_channel();
        let feed = Feed::new(sender);
        let queued = feed.queued.clone();
        let mut work = Vec::new();
        let mut state = self.lock();
        state.next += 1;
        let number = state.next;
        if self.over.get().is_none() {
            state.feeds.insert(number, feed);
        }
        state.take_reserved(number, &frame);
        state.last_used = Instant::now();
        let now = state.last_used;
        state.core.at(now);
        state.core.on_client_with(frame, number, params);
        self.spread(&mut state, Some(number), &mut work);
        drop(state);
        Exchange::new(self.clone(), number, receiver, queued, work)
    }

    /// Takes a notification or an answer of the client's; what cannot be understood comes back as an error line.
    pub async fn tell(self: &Arc<Self>, line: Bytes) -> Option<Bytes> {
        let mut exchange = self.request(line, None);
        self.forget(exchange.number());
        match exchange.next().await {
            Some(super::Said::Answer { line, .. }) => Some(line),
            _ => None,
        }
    }

    /// Nothing more is said to an exchange.
    pub(super) fn forget(&self, number: u64) {
        let mut state = self.lock();
        state.feeds.remove(&number);
        state.names.remove(&number);
    }

    /// What belongs to no request. What was said while nobody listened comes first, as far as it was kept. One who
    /// listened before hears nothing any more.
    pub fn listen(self: &Arc<Self>) -> Listening {
        let mut state = self.lock();
        state.last_used = Instant::now();
        let receiver = state.standing.listen();
        Listening::new(self.clone(), receiver)
    }

    /// Ends the session and its connection to the server, and waits for that.
    pub async fn close(&self) {
        self.end("the client closed it");
        self.ended().await;
    }

    /// Waits for the server's end.
    pub(super) async fn ended(&self) {
        let mut gone = self.gone.subscribe();
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// The session is over: everybody who waits is let go.
    pub(super) fn end(&self, reason: &str) {
        if self.over.set(reason.to_owned()).is_err() {
            return;
        }
        let mut state = self.lock();
        state.feeds.clear();
        state.standing.close();
        drop(state);
        self.stop.send_replace(true);
    }

    /// The server answers.
    pub(super) fn is_up(&self) {
        if !self.well.swap(true, Ordering::Relaxed)
            && let Some(gateway) = self.gateway.upgrade()
        {
            gateway.board.up(&self.entry.name);
        }
    }

    /// The server cannot be reached, or ended.
    pub(super) fn is_down(&self, why: &str) {
        self.well.store(false, Ordering::Relaxed);
        if let Some(gateway) = self.gateway.upgrade() {
            gateway.board.down(&self.entry.name, why);
        }
    }

    /// The server's end is gone too.
    pub(super) fn buried(&self) {
        if let Some(gateway) = self.gateway.upgrade() {
            gateway.observer_ended(self.observer.clone());
        }
        self.gone.send_replace(true);
    }

    /// The limits of messages.
    pub(super) fn limits(&self) -> WireLimits {
        *self.lock().core.wire_limits()
    }

    /// Says something to an exchange that is no line of the core's.
    pub(super) fn says(&self, exchange: u64, said: Said) {
        if let Some(feed) = self.lock().feeds.get(&exchange) {
            feed.say(said);
        }
    }

    /// Runs something until it is done or the session is over.
    pub(super) fn begin(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut stop = self.stop.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                () = work => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        });
    }

    /// Looks at the core.
    pub(in crate::gate) fn with_core<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.lock().core)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the keeper look again if the core wants to be woken earlier than it will.
    pub(super) fn arm(&self, state: &mut State) {
        if let Some(wake) = state.core.wake()
            && state.armed.is_none_or(|armed| wake < armed)
        {
            state.armed = Some(wake);
            self.look.notify_one();
        }
    }

    /// Everything due was said: instances that were used are made ready again. Once the answer is on its way, so that
    /// nobody waits for it.
    pub(super) fn quiet(self: &Arc<Self>) {
        let mut state = self.lock();
        state.core.on_quiet();
        self.spread(&mut state, None, &mut Vec::new());
    }

    /// Tells the core of something, does what comes of it, and gives back what belongs to `own`.
    pub(super) fn drive(
        self: &Arc<Self>,
        own: Option<u64>,
        tell: impl FnOnce(&mut Core),
    ) -> Vec<Work> {
        let mut work = Vec::new();
        let mut state = self.lock();
        state.core.at(Instant::now());
        tell(&mut state.core);
        if own.is_none() {
            state.core.on_quiet();
        }
        self.spread(&mut state, own, &mut work);
        work
    }
}

/// Wakes the core when it is time, or when the ledger or the chain moved.
async fn keep(session: Arc<Session>) {
    let mut revisions = session.host.ledger.revisions();
    let mut generations = session.host.chain.changes();
    let mut stop = session.stop.subscribe();
    loop {
        let wake = {
            let mut state = session.lock();
            state.armed = state.core.wake();
            state.armed
        };
        let moved = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            () = session.look.notified() => continue,
            Ok(()) = revisions.changed() => true,
            Ok(()) = generations.changed() => true,
            () = until(wake) => false,
        };
        let mut restart = false;
        session.drive(None, |core| {
            if moved {
                core.on_moved();
            } else {
                core.on_time();
                restart = core.take_restart();
            }
        });
        if restart {
            start_again(&session);
        }
    }
    let server = std::mem::replace(&mut session.lock().server, Server::Gone);
    match server {
        Server::Child { outbox, task } => {
            drop(outbox);
            let _ = task.await;
        }
        Server::Remote(remote) => remote.end().await,
        Server::Gone => {}
    }
    session.buried();
}

fn start_again(session: &Arc<Session>) {
    match &session.entry.upstream {
        Upstream::Child(launch) => match crate::upstream::Child::launch(launch) {
            Ok(child) => child::run(session, child),
            Err(error) => {
                session.is_down(&error.to_string());
                session.drive(None, |core| core.on_restart_failed(&error.to_string()));
                return;
            }
        },
        Upstream::Http(_) => {
            let server = remote::connect(session, true);
            session.lock().server = server;
        }
    }
    session.drive(None, Core::on_server_back);
}

async fn until(wake: Option<Instant>) {
    match wake {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}
