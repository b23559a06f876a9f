//! The sessions of clients that began with `initialize`: their ids, whose they are, their streams, and when they end.
//!
//! Knows ids and time. What a session does is `gate`'s to know.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;

use super::events::{Kept, Reader, Source};
use crate::chain::convert::Caller;
use crate::gate::serve::Session;

/// Streams that are over and may still be asked for again, of one session.
const MAX_PAST_STREAMS: usize = 8;

/// What those may hold together, bytes.
const MAX_PAST_BYTES: usize = 512 << 10;

/// A session that was idle for so long may make room for another of the same caller.
const MAKES_ROOM: Duration = Duration::from_secs(60);

/// All sessions that are open.
pub(crate) struct Sessions {
    open: Mutex<Open>,
    max: usize,
    max_per_caller: usize,
    idle: Duration,
}

#[derive(Default)]
struct Open {
    by_id: HashMap<Arc<str>, Arc<Entry>>,
    /// How many each caller has, those that are being opened included.
    callers: HashMap<Arc<str>, usize>,
    all: usize,
}

/// A session in the table.
pub(crate) struct Entry {
    /// Its id, which the client sends back.
    pub(crate) id: Arc<str>,
    /// The session.
    pub(crate) session: Arc<Session>,
    /// Whether its streams begin with an event without data.
    pub(crate) primed: bool,
    caller: Caller,
    server: Box<str>,
    streams: Mutex<Streams>,
    begun: Instant,
    /// When it was last used, milliseconds after `begun`.
    used: AtomicU64,
    /// Requests and streams under way.
    busy: AtomicUsize,
}

#[derive(Default)]
struct Streams {
    /// The stream that belongs to no request.
    standalone: Option<Arc<Kept>>,
    of_requests: VecDeque<Arc<Kept>>,
    last: u64,
}

/// Room for one session; given back when dropped, unless a session took it.
pub(crate) struct Room {
    sessions: Arc<Sessions>,
    caller: Arc<str>,
    taken: bool,
}

/// While this lives, the session is in use.
pub(crate) struct InUse(Arc<Entry>);

/// Why there is no room for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoom {
    /// The caller has too many.
    #[error(
        "too many sessions of this caller are open (`max_sessions_per_caller` in [http.limits])"
    )]
    Caller,
    /// There are too many in all.
    #[error("too many sessions are open (`max_sessions` in [http.limits])")]
    All,
}

impl Sessions {
    /// At most `max`, `max_per_caller` of one caller; each ends after `idle` without use.
    pub(crate) fn new(max: usize, max_per_caller: usize, idle: Duration) -> Arc<Self> {
        Arc::new(Self {
            open: Mutex::default(),
            max,
            max_per_caller,
            idle,
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.open().by_id.len()
    }

    /// Room for one more of `caller`. The caller's session that was longest without use makes room if there is none;
    /// it is handed back to be closed.
    pub(crate) fn room(
        self: &Arc<Self>,
        caller: &str,
    ) -> Result<(Room, Option<Arc<Entry>>), NoRoom> {
        let mut open = self.open();
        let full = |open: &Open| {
            if open.callers.get(caller).copied().unwrap_or_default() >= self.max_per_caller {
                Some(NoRoom::Caller)
            } else if open.all >= self.max {
                Some(NoRoom::All)
            } else {
                None
            }
        };
        let mut closed = None;
        if let Some(why) = full(&open) {
            let oldest = open
                .by_id
                .values()
                .filter(|entry| *entry.caller.id == *caller && entry.idle() >= MAKES_ROOM)
                .max_by_key(|entry| entry.idle())
                .cloned()
                .ok_or(why)?;
            open.remove(&oldest.id);
            closed = Some(oldest);
            if let Some(why) = full(&open) {
                return Err(why);
            }
        }
        let caller: Arc<str> = caller.into();
        *open.callers.entry(caller.clone()).or_default() += 1;
        open.all += 1;
        drop(open);
        let room = Room {
            sessions: self.clone(),
            caller,
            taken: false,
        };
        Ok((room, closed))
    }

    /// The session `id` of that caller with that server. Whatever does not fit, it is as if there were none; a caller
    /// with other roles than the session began with is another, since it is judged by those.
    pub(crate) fn find(&self, id: &str, caller: &Caller, server: &str) -> Option<Arc<Entry>> {
        let entry = self.open().by_id.get(id).cloned()?;
        let fits = entry.caller == *caller && *entry.server == *server;
        (fits && entry.session.is_over().is_none()).then_some(entry)
    }

    /// Takes a session out of the table.
    pub(crate) fn remove(&self, id: &str) -> Option<Arc<Entry>> {
        self.open().remove(id)
    }

    /// Takes out those that nobody used for too long, and those that are over.
    pub(crate) fn take_ended(&self) -> Vec<Arc<Entry>> {
        let mut open = self.open();
        let ended: Vec<_> = open
            .by_id
            .values()
            .filter(|entry| entry.idle() >= self.idle || entry.session.is_over().is_some())
            .map(|entry| entry.id.clone())
            .collect();
        ended.iter().filter_map(|id| open.remove(id)).collect()
    }

    /// Takes out all.
    pub(crate) fn take_all(&self) -> Vec<Arc<Entry>> {
        let mut open = self.open();
        let all: Vec<_> = open.by_id.keys().cloned().collect();
        all.iter().filter_map(|id| open.remove(id)).collect()
    }
}

impl Open {
    fn remove(&mut self, id: &str) -> Option<Arc<Entry>> {
        let entry = self.by_id.remove(id)?;
        self.give_back(&entry.caller.id);
        Some(entry)
    }

    fn give_back(&mut self, caller: &str) {
        self.all = self.all.saturating_sub(1);
        if let Some(count) = self.callers.get_mut(caller) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.callers.remove(caller);
            }
        }
    }
}

impl Room {
    /// Puts a session into it, under a new id.
    pub(crate) fn put(mut self, session: Arc<Session>, server: &str, primed: bool) -> Arc<Entry> {
        self.taken = true;
        let entry = Arc::new(Entry {
            id: new_id().into(),
            caller: session.caller().clone(),
            session,
            primed,
            server: server.into(),
            streams: Mutex::default(),
            begun: Instant::now(),
            used: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
        });
        self.sessions
            .open()
            .by_id
            .insert(entry.id.clone(), entry.clone());
        entry
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if !self.taken {
            self.sessions.open().give_back(&self.caller);
        }
    }
}

/// 256 random bits, as visible ASCII characters (2025-11-25, "Session Management", 1).
fn new_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}

impl Entry {
    /// How long nobody used it.
    fn idle(&self) -> Duration {
        if self.busy.load(Ordering::Acquire) > 0 {
            return Duration::ZERO;
        }
        let used = Duration::from_millis(self.used.load(Ordering::Acquire));
        self.begun.elapsed().saturating_sub(used)
    }

    /// In use from now on.
    pub(crate) fn in_use(self: &Arc<Self>) -> InUse {
        self.busy.fetch_add(1, Ordering::AcqRel);
        InUse(self.clone())
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A stream for a request's answer, that the client may come back to.
    pub(crate) fn stream(&self, first: Option<Bytes>, source: Source) -> Arc<Kept> {
        let mut streams = self.streams();
        streams.forget_past();
        streams.last += 1;
        let stream = Kept::new(streams.last, false, first, source);
        streams.of_requests.push_back(stream.clone());
        stream
    }

    /// Reads the stream that belongs to no request, `source` being what comes next; none if a client reads it already.
    pub(crate) fn standalone(&self, source: impl FnOnce() -> Source) -> Option<Reader> {
        let mut streams = self.streams();
        if let Some(stream) = &streams.standalone
            && stream.is_connected()
        {
            return None;
        }
        streams.last += 1;
        let stream = Kept::new(streams.last, true, None, source());
        streams.standalone = Some(stream.clone());
        stream.read(0)
    }

    /// The stream of that number, if it is kept.
    pub(crate) fn stream_numbered(&self, number: u64) -> Option<Arc<Kept>> {
        let streams = self.streams();
        streams
            .standalone
            .iter()
            .chain(&streams.of_requests)
            .find(|stream| stream.number == number)
            .cloned()
    }
}

impl Streams {
    /// Forgets the oldest of the streams that are over.
    fn forget_past(&mut self) {
        let (mut count, mut bytes) = (0, 0);
        let mut kept = VecDeque::with_capacity(self.of_requests.len() + 1);
        while let Some(stream) = self.of_requests.pop_back() {
            if stream.is_over() && !stream.is_connected() {
                count += 1;
                bytes += stream.bytes();
                if count > MAX_PAST_STREAMS || bytes > MAX_PAST_BYTES {
                    continue;
                }
            }
            kept.push_front(stream);
        }
        self.of_requests = kept;
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        let now = u64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.0.used.store(now, Ordering::Release);
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}
