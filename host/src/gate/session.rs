//! One client's session with one server, as a state machine.
//!
//! [`Core`] is fed lines, events and the time, and gives out lines and jobs; it knows no pipe and no clock, so that
//! every order of events can be played to it. `io` drives it.
//!
//! A request that cannot be decided yet (the catalogue is being read, the ledger has moved on) is parked, and looked
//! at again after whatever it waits for: `dispatch` asks anew each time what is still missing.

mod calls;
mod client;
mod handshake;
pub mod io;
mod lane;
mod listen;
mod lists;
mod out;
mod params;
mod questions;
mod readings;
mod records;
mod restart;
mod results;
mod server;
mod state;
mod stateless;
mod tasks;
mod voice;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::chain::convert::{self, Caller, ServerView};
use crate::chain::{Generation, Permit, Remembered, Visibility};
use crate::config::Config;
use crate::gate::catalogue::Catalogue;
use crate::gate::reading::ReadingError;
use crate::gate::{Host, ServerEntry};
use crate::ledger::Observer;
use crate::mcp::{Digest, ItemKind};
use crate::policy::contract;
use crate::wire::WireLimits;
use crate::wire::envelope::{INTERNAL_ERROR, OwnedId};
use crate::wire::reply;

pub use lane::Settled;
pub use out::{About, Event, Job, Key, On, Out, ToClient, ToServer};
use state::{Ask, CallContext, Form, Forwarded, Open, Own, Phase, Replay, Sent};
pub use tasks::Tasks;

/// The most requests of a client, and of a server, that are open at once; beyond that it gets an error.
const MAX_OPEN: usize = 4096;

/// The most URIs that results handed to the session and that it remembers.
const MAX_HANDED: usize = 10_000;

/// What a session begins with.
pub struct Opening {
    /// What all sessions of the process share.
    pub host: Arc<Host>,
    /// The server.
    pub entry: Arc<ServerEntry>,
    /// Who sends the client's messages.
    pub caller: Caller,
    /// What the session is called where its readings are recorded.
    pub observer: Observer,
    /// The tasks that calls made before, if sessions share them.
    pub tasks: Arc<Tasks>,
    /// Whether the server answers each exchange on a stream of its own, so that ids need not differ.
    pub separate: bool,
}

impl Opening {
    /// The session of a person's client on stdio.
    pub fn local(host: Arc<Host>, entry: Arc<ServerEntry>, observer: Observer) -> Self {
        Self {
            host,
            entry,
            caller: Caller::local(),
            observer,
            tasks: Arc::default(),
            separate: false,
        }
    }
}

/// The state of a session.
pub struct Core {
    host: Arc<Host>,
    entry: Arc<ServerEntry>,
    caller: Caller,
    wire: WireLimits,
    config: Arc<Config>,
    generation: Arc<Generation>,
    out: Out,
    phase: Phase,
    replay: Replay,
    /// The client's open requests.
    open: HashMap<Key, Open>,
    /// The exchanges of open requests by their ids, for servers that answer all of them on one stream.
    exchanges: HashMap<OwnedId, u64>,
    cancelled: VecDeque<Key>,
    parked: Vec<Ask>,
    /// The client's `initialized`, if it came before it was due.
    early_initialized: Option<Bytes>,
    /// The host's own requests, by the text of their ids.
    own: HashMap<String, Own>,
    id_prefix: String,
    next_id: u32,
    /// The server's open requests that the client has.
    asked: HashSet<OwnedId>,
    observer: Observer,
    began: bool,
    known: HashSet<Digest>,
    declared: BTreeSet<ItemKind>,
    catalogue: Arc<Catalogue>,
    visibility: Option<Arc<Visibility>>,
    /// A policy failed when it was worked out: good for whoever waited for it, and for nobody after.
    expired: bool,
    view: ServerView,
    /// What judging hooks are told of server and caller.
    context: Arc<contract::Context>,
    /// Verdicts on calls that came before.
    remembered: Remembered,
    /// The caller's and the server's names, as records have them.
    names: (Arc<str>, Arc<str>),
    /// Kinds whose list, or a call of which, this session has answered while the server was trusted.
    answered: BTreeSet<ItemKind>,
    /// Kinds whose baseline must close before anything is judged: the name stands for another command now.
    close_first: bool,
    lane: lane::Lane,
    reads: readings::Readings,
    /// What the client was last shown of each kind, or told to have changed.
    shown: BTreeMap<ItemKind, u64>,
    answers: lists::Answers,
    held: voice::Held,
    stalled: voice::Stalled,
    handed: HashSet<String>,
    tasks: Arc<Tasks>,
    separate: bool,
    /// What is known if the session did not begin with `initialize`.
    stateless: Option<stateless::Stateless>,
    /// The headers that mirror arguments of the message being taken up.
    params: Option<Vec<(String, String)>>,
    confirming: bool,
    refilling: bool,
    spent: bool,
    up: bool,
    restart: restart::Restart,
    /// Why there is no server, if it ended before anybody asked it anything.
    gone: Option<String>,
    now: Instant,
}

impl Core {
    /// A session that has said nothing yet, to a server that runs.
    pub fn new(opening: Opening, now: Instant) -> Self {
        let Opening {
            host,
            entry,
            caller,
            observer,
            tasks,
            separate,
        } = opening;
        let config = host.config.load_full();
        let snapshot = host.ledger.snapshot();
        let view = entry.view(&config, &snapshot);
        let known = snapshot
            .observers
            .iter()
            .filter_map(|o| o.observation.as_ref())
            .flat_map(|seen| seen.items.iter().map(|item| item.digest))
            .collect();
        let identity = entry.upstream.identity();
        let stood_for = snapshot
            .servers
            .get(&entry.name)
            .and_then(|s| s.identity.as_deref());
        let close_first = stood_for.is_some_and(|before| before != identity);
        let context = Arc::new(convert::context(&view, &caller));
        let names = (caller.id.as_str().into(), entry.name.as_str().into());
        let wire = WireLimits {
            max_message: config.limits.max_message,
            max_depth: config.limits.max_depth,
        };
        Self {
            generation: host.chain.current(),
            caller,
            context,
            names,
            remembered: Remembered::default(),
            wire,
            out: Out::default(),
            phase: Phase::Fresh,
            replay: Replay::default(),
            open: HashMap::new(),
            exchanges: HashMap::new(),
            cancelled: VecDeque::new(),
            parked: Vec::new(),
            early_initialized: None,
            own: HashMap::new(),
            id_prefix: format!("witgate-{:08x}-", rand::random::<u32>()),
            next_id: 0,
            asked: HashSet::new(),
            observer,
            began: false,
            known,
            declared: BTreeSet::new(),
            catalogue: Arc::default(),
            visibility: None,
            expired: false,
            view,
            answered: BTreeSet::new(),
            close_first,
            lane: lane::Lane::default(),
            reads: readings::Readings::default(),
            shown: BTreeMap::new(),
            answers: lists::Answers::default(),
            held: voice::Held::default(),
            stalled: voice::Stalled::default(),
            handed: HashSet::new(),
            tasks,
            separate,
            stateless: None,
            params: None,
            confirming: false,
            refilling: false,
            spent: false,
            up: true,
            restart: restart::Restart::default(),
            gone: None,
            now,
            config,
            host,
            entry,
        }
    }

    /// Takes what is to be written and done.
    pub fn take(&mut self) -> Out {
        std::mem::take(&mut self.out)
    }

    /// Tells the time.
    pub fn at(&mut self, now: Instant) {
        self.now = now;
    }

    /// Whether nothing is under way that a client could still want.
    pub fn is_idle(&self) -> bool {
        self.parked.is_empty()
            && self.open.values().all(|open| match open {
                Open::Cancelled => true,
                Open::Forwarded(forwarded) => matches!(forwarded.what, Sent::Listen(_)),
                Open::Parked | Open::Judging => false,
            })
    }

    /// What is known of the server: how it stands, what it offers, what of that is visible.
    pub fn state(&self) -> (&ServerView, &Catalogue, Option<&Visibility>) {
        (&self.view, &self.catalogue, self.visibility.as_deref())
    }

    /// Why a kind could not be read, if its last reading failed.
    pub fn failure(&self, kind: ItemKind) -> Option<&ReadingError> {
        self.reads.failure(kind).map(|(error, _)| error)
    }

    /// The limits that lines of this session have.
    pub const fn wire_limits(&self) -> &WireLimits {
        &self.wire
    }

    /// Handles what a job brought back.
    pub fn on_event(&mut self, event: Event) {
        match event {
            Event::Judged(judged) => self.on_judged_anew(*judged),
            Event::Inspected(inspected) => self.on_inspected(*inspected),
            Event::Settled(settled) => self.on_settled(*settled),
            Event::Confirmed(refused) => self.on_confirmed(refused.map(|r| *r)),
            Event::Listens(judged) => self.on_listens(judged),
            Event::Told(told) => self.on_told(*told),
            Event::Questioned(questioned) => self.on_questioned(*questioned),
            Event::Refilled => self.refilling = false,
        }
    }

    /// The ledger's revision or the chain's generation moved, or the configuration changed.
    pub fn on_moved(&mut self) {
        self.settle_soon();
    }

    /// After everything that is due was written: makes instances ready again, if some were used.
    pub fn on_quiet(&mut self) {
        if self.spent && !self.refilling {
            self.spent = false;
            self.refilling = true;
            let generation = self.generation.clone();
            let refill = Box::pin(async move {
                generation.refill().await;
                Event::Refilled
            });
            self.out.jobs.push((None, refill));
        }
    }

    /// Writes to the server what a permit allows; the permit back if what it was judged on is no longer in force.
    fn forward(&mut self, permit: Permit, on: On) -> bool {
        let generation = self.host.chain.current().id;
        let revision = self.host.ledger.snapshot().revision;
        match permit.spend(generation, revision) {
            Ok(cleared) => {
                self.out.server.push(ToServer { on, cleared });
                true
            }
            Err(stale) => {
                tracing::debug!("{stale}");
                false
            }
        }
    }

    /// Answers a request with a result of the gate's, a whole line.
    fn reply(&mut self, key: &Key, line: Vec<u8>) {
        self.answer(key, None, without_end(line));
    }

    /// Answers a request with an error of the gate's.
    fn reply_error(&mut self, key: &Key, code: i64, message: &str, data: Option<&str>) {
        let line = reply::error(Some(key.raw()), code, message, data);
        self.answer(key, Some(code), without_end(line));
    }

    /// Answers a request. `error` is the code, if it is an error.
    fn answer(&mut self, key: &Key, error: Option<i64>, line: Bytes) {
        let about = About::Answer(key.clone(), error);
        self.out.client.push(ToClient { about, line });
    }

    /// Says something that is no answer.
    fn tell(&mut self, about: About, line: Bytes) {
        self.out.client.push(ToClient { about, line });
    }

    /// Closes a request of the client with an error.
    fn fail(&mut self, key: &Key, code: i64, message: &str) {
        if let Some(Open::Cancelled) = self.close(key) {
            return;
        }
        self.reply_error(key, code, message, None);
    }

    /// Notes where an open request stands.
    fn put(&mut self, key: Key, open: Open) {
        if key.exchange != 0 {
            self.exchanges.insert(key.id.clone(), key.exchange);
        }
        self.open.insert(key, open);
    }

    /// A request is no longer open.
    fn close(&mut self, key: &Key) -> Option<Open> {
        if key.exchange != 0 && self.exchanges.get(&key.id) == Some(&key.exchange) {
            self.exchanges.remove(&key.id);
        }
        self.open.remove(key)
    }

    /// The request that an id means, in a message that came on the stream of `origin` or on one for all.
    fn key_of(&self, id: OwnedId, origin: Option<u64>) -> Key {
        let exchange = origin.or_else(|| self.exchanges.get(&id).copied());
        Key {
            id,
            exchange: exchange.unwrap_or_default(),
        }
    }

    /// Closes every request that the server has, since it will not answer.
    fn fail_forwarded(&mut self, message: &str) {
        let gone: Vec<Key> = self
            .open
            .iter()
            .filter(|(_, open)| matches!(open, Open::Forwarded(_)))
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.fail(&id, INTERNAL_ERROR, message);
        }
    }

    /// A fresh id for a request of the host's own: its text, and as raw JSON. Always of the same length.
    fn own_id(&mut self, own: Own) -> String {
        self.next_id = self.next_id.wrapping_add(1);
        let text = format!("{}{:08x}", self.id_prefix, self.next_id);
        let raw = format!("\"{text}\"");
        self.own.insert(text, own);
        raw
    }

    /// Parks a request until something it waits for has come.
    fn park(&mut self, ask: Ask) {
        self.put(ask.id.clone(), Open::Parked);
        self.parked.push(ask);
    }

    /// Looks again at everything that was parked.
    fn dispatch_parked(&mut self) {
        for ask in std::mem::take(&mut self.parked) {
            if self.is_stateless() {
                self.dispatch_stateless(ask);
            } else {
                self.dispatch(ask);
            }
        }
    }
}

/// A line that the gate wrote, without its end.
fn without_end(mut line: Vec<u8>) -> Bytes {
    if line.last() == Some(&b'\n') {
        line.pop();
    }
    line.into()
}

#[cfg(test)]
mod tests;
