//! Sessions whose clients come over HTTP.
//!
//! Knows which session a message belongs to and runs it; decides nothing. What HTTP is (headers, streams of events,
//! status codes) is `front`'s to know.

mod child;
mod exchange;
mod health;
mod remote;
mod session;
mod spread;
pub(in crate::gate) mod stdio;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::chain::convert::Caller;
use crate::config::Config;
use crate::gate::session::Tasks;
use crate::gate::wrap::{Typed, WrapError, observer, resolve};
use crate::gate::{Host, ServerEntry};
use crate::ledger::{Commit, Op};
use crate::mcp::stateless;
use crate::upstream::LaunchError;

pub use exchange::{Exchange, Listening, Said};
pub use session::Session;

/// How long a session of 2026-07-28 is kept after its last request: its catalogue is read again after that.
const KEEP: Duration = Duration::from_secs(300);

/// How often sessions that nobody uses are looked for, and observers that ended are written down.
const SWEEP: Duration = Duration::from_secs(1);

/// All servers of the configuration, and the sessions with them.
pub struct Gateway {
    /// What all sessions share.
    pub host: Arc<Host>,
    kept: Mutex<HashMap<Who, Vec<Arc<Session>>>>,
    open: Mutex<Vec<Weak<Session>>>,
    /// The tasks that a caller's calls of a server have made in 2026-07-28, where sessions come and go.
    tasks: Mutex<HashMap<(String, Caller), Arc<Tasks>>>,
    ended: Mutex<Vec<String>>,
    pub(in crate::gate::serve) board: health::Board,
}

/// Whose requests of 2026-07-28 share a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Who {
    server: String,
    caller: Caller,
    /// The client's capabilities, as it wrote them.
    capabilities: String,
}

/// A session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server has this name.
    #[error("no server is called `{0}`; the servers stand in the configuration, in [server.NAME]")]
    UnknownServer(String),
    /// Too many sessions are open.
    #[error("{open} sessions are open; raise `{key}` in [http.limits]")]
    TooMany {
        /// How many are.
        open: usize,
        /// The setting.
        key: &'static str,
    },
    /// The message does not say what a request of 2026-07-28 must.
    #[error(transparent)]
    Meta(#[from] stateless::MetaError),
    /// The configuration cannot be used for it.
    #[error(transparent)]
    Server(#[from] WrapError),
    /// The server cannot be started.
    #[error(transparent)]
    Launch(#[from] LaunchError),
}

impl Gateway {
    /// Over the servers of the host's configuration. Needs the runtime that the sessions will run on.
    pub fn new(host: Arc<Host>) -> Arc<Self> {
        let gateway = Arc::new(Self {
            host,
            kept: Mutex::default(),
            open: Mutex::default(),
            tasks: Mutex::default(),
            ended: Mutex::default(),
            board: health::Board::default(),
        });
        let weak = Arc::downgrade(&gateway);
        tokio::spawn(async move {
            if let Some(gateway) = weak.upgrade() {
                let left = crate::ledger::health::leftovers(&gateway.host.ledger.snapshot());
                gateway.write_down(left).await;
            }
            let mut config: Option<Arc<Config>> = None;
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(gateway) = weak.upgrade() else {
                    return;
                };
                let now = gateway.host.config.load_full();
                if !config
                    .as_ref()
                    .is_some_and(|before| Arc::ptr_eq(before, &now))
                {
                    gateway.end_of_other_servers();
                    config = Some(now);
                }
                gateway.sweep(Instant::now());
                let health = gateway.board.changes(&gateway.by_server());
                gateway.write_down(health).await;
            }
        });
        gateway
    }

    /// Whether the configuration in force has a server of this name.
    pub fn knows(&self, server: &str) -> bool {
        self.host.config.load().servers.contains_key(server)
    }

    /// How many sessions run, of both kinds.
    pub fn sessions(&self) -> usize {
        let mut open = lock(&self.open);
        open.retain(|session| session.upgrade().is_some_and(|s| s.is_over().is_none()));
        open.len()
    }

    /// Opens a session, for a client that is about to say `initialize`.
    ///
    /// # Errors
    /// If no server has that name, or it cannot be started.
    pub async fn open(
        self: &Arc<Self>,
        server: &str,
        caller: Caller,
    ) -> Result<Arc<Session>, OpenError> {
        let entry = self.entry(server)?;
        self.begin(entry, caller, false)
    }

    /// The session for a request of 2026-07-28: `line` is the whole message, well-formed, with `_meta`.
    ///
    /// # Errors
    /// If no server has that name, it cannot be started, or `_meta` lacks what such a request must have.
    pub async fn stateless(
        self: &Arc<Self>,
        server: &str,
        caller: Caller,
        line: &Bytes,
    ) -> Result<Arc<Session>, OpenError> {
        let meta = stateless::Meta::of_line(line)?;
        let who = Who {
            server: server.to_owned(),
            caller,
            capabilities: meta.capabilities.to_owned(),
        };
        // Held until the new session stands there: two first requests at once begin one.
        let mut kept = lock(&self.kept);
        if let Some(sessions) = kept.get_mut(&who) {
            sessions.retain(|session| session.is_over().is_none());
            // One whose server tells its requests apart by their streams takes all, another only those whose id and
            // progress token nobody uses at the moment.
            if let Some(found) = sessions.iter().find(|session| session.reserve(line)) {
                return Ok(found.clone());
            }
        }
        let entry = self.entry(server)?;
        self.make_room(&mut kept, &who.caller)?;
        let session = self.begin(entry, who.caller.clone(), true)?;
        session.reserve(line);
        kept.entry(who).or_default().push(session.clone());
        Ok(session)
    }

    /// Room for one more session of 2026-07-28: the client chooses its capabilities, and each has a session, perhaps a
    /// process. Where there are too many, the one of the caller's that was not used for longest gives way.
    fn make_room(
        &self,
        kept: &mut HashMap<Who, Vec<Arc<Session>>>,
        caller: &Caller,
    ) -> Result<(), OpenError> {
        let config = self.host.config.load();
        let limits = &config.http.limits;
        let open: usize = kept.values().map(Vec::len).sum();
        let own = kept.iter().filter(|(who, _)| who.caller == *caller);
        let own: Vec<_> = own.flat_map(|(_, sessions)| sessions).cloned().collect();
        let key = if own.len() >= limits.max_sessions_per_caller {
            "max_sessions_per_caller"
        } else if open >= limits.max_sessions {
            "max_sessions"
        } else {
            return Ok(());
        };
        let idle = own.iter().filter(|session| !session.is_busy());
        let Some(oldest) = idle.min_by_key(|session| session.last_used()) else {
            return Err(OpenError::TooMany { open, key });
        };
        oldest.end("the caller began another");
        for sessions in kept.values_mut() {
            sessions.retain(|session| !Arc::ptr_eq(session, oldest));
        }
        kept.retain(|_, sessions| !sessions.is_empty());
        Ok(())
    }

    fn entry(&self, server: &str) -> Result<ServerEntry, OpenError> {
        let config = self.host.config.load();
        if !config.servers.contains_key(server) {
            return Err(OpenError::UnknownServer(server.to_owned()));
        }
        Ok(resolve(&config, server, Typed::Nothing)?)
    }

    fn begin(
        self: &Arc<Self>,
        entry: ServerEntry,
        caller: Caller,
        stateless: bool,
    ) -> Result<Arc<Session>, OpenError> {
        let tasks = if stateless {
            let whose = (entry.name.clone(), caller.clone());
            lock(&self.tasks).entry(whose).or_default().clone()
        } else {
            Arc::default()
        };
        let observer = observer(&entry.name);
        let session = Session::open(self, entry, caller, observer, tasks, stateless)?;
        lock(&self.open).push(Arc::downgrade(&session));
        Ok(session)
    }

    /// An observer's connection has ended.
    fn observer_ended(&self, id: String) {
        lock(&self.ended).push(id);
    }

    /// How many sessions each server of the configuration has.
    fn by_server(&self) -> BTreeMap<String, usize> {
        let config = self.host.config.load();
        let mut sessions: BTreeMap<String, usize> = config
            .servers
            .keys()
            .map(|name| (name.clone(), 0))
            .collect();
        for session in lock(&self.open).iter().filter_map(Weak::upgrade) {
            if session.is_over().is_none() {
                *sessions.entry(session.server().to_owned()).or_default() += 1;
            }
        }
        sessions
    }

    /// Writes down which observers ended and how the servers are, if anything of that is new.
    async fn write_down(&self, health: Vec<Op>) {
        let ended = std::mem::take(&mut *lock(&self.ended));
        let mut ops = health;
        ops.extend(ended.iter().map(|id| Op::ObserverEnds { id: id.clone() }));
        if ops.is_empty() {
            return;
        }
        let commit = Commit {
            based_on: None,
            ops,
        };
        if let Err(error) = self.host.ledger.commit(commit).await {
            tracing::warn!("{error}");
            lock(&self.ended).extend(ended);
        }
    }

    /// Ends the sessions with servers that the configuration names no longer, or otherwise.
    fn end_of_other_servers(&self) {
        let open: Vec<_> = lock(&self.open).iter().filter_map(Weak::upgrade).collect();
        for session in open {
            let same = self
                .entry(session.server())
                .is_ok_and(|entry| entry.upstream == session.entry.upstream);
            if !same && session.is_over().is_none() {
                tracing::info!(
                    server = session.server(),
                    "a session ends: the configuration has changed"
                );
                session.end("the configuration has changed");
            }
        }
    }

    /// Ends sessions of 2026-07-28 that nobody used for a while, and forgets those that are over.
    fn sweep(&self, now: Instant) {
        let mut idle = Vec::new();
        let mut kept = lock(&self.kept);
        kept.retain(|_, sessions| {
            sessions.retain(|session| {
                let keep = session.is_over().is_none()
                    && (session.is_busy() || now.duration_since(session.last_used()) < KEEP);
                if !keep {
                    idle.push(session.clone());
                }
                keep
            });
            !sessions.is_empty()
        });
        drop(kept);
        for session in idle {
            session.end("nobody used it");
        }
        lock(&self.open).retain(|session| session.strong_count() > 0);
        lock(&self.tasks).retain(|_, tasks| Arc::strong_count(tasks) > 1 || !tasks.is_empty());
    }

    /// Ends every session and every server's process; requests under way may be answered until then.
    pub async fn close(&self) {
        let open: Vec<_> = lock(&self.open)
            .drain(..)
            .filter_map(|session| session.upgrade())
            .collect();
        for session in &open {
            session.end("the gate ends");
        }
        for session in open {
            session.ended().await;
        }
        lock(&self.kept).clear();
        let health = self.board.farewell();
        self.write_down(health).await;
    }
}

/// A panic elsewhere leaves nothing half done under these locks: each guards one step of a state machine.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
