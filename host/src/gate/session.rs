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
mod params;
mod questions;
mod readings;
mod records;
mod restart;
mod results;
mod server;
mod stateless;
mod tasks;
mod voice;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::chain::convert::{self, Caller, ServerView};
use crate::chain::{Cleared, Generation, Permit, Remembered, Visibility};
use crate::config::Config;
use crate::gate::catalogue::Catalogue;
use crate::gate::reading::ReadingError;
use crate::gate::{Host, ServerEntry};
use crate::ledger::Observer;
use crate::mcp::method::{CallKind, ClientRequest};
use crate::mcp::{Digest, ItemKind};
use crate::policy::contract;
use crate::wire::WireLimits;
use crate::wire::envelope::{INTERNAL_ERROR, OwnedId};
use crate::wire::reply;

pub use lane::Settled;

/// The most requests of a client, and of a server, that are open at once; beyond that it gets an error.
const MAX_OPEN: usize = 4096;

/// The most URIs that results handed to the session and that it remembers.
const MAX_HANDED: usize = 10_000;

/// The most tasks that are remembered for one caller.
const MAX_TASKS: usize = 10_000;

/// Something that a job brings back.
pub enum Event {
    /// A call was judged.
    Judged(Box<calls::Judged>),
    /// A result was judged.
    Inspected(Box<results::Inspected>),
    /// The lane's task is done.
    Settled(Box<Settled>),
    /// The ledger was asked whether the snapshot is the latest.
    Confirmed(Option<Box<crate::chain::Refused>>),
    /// The resources that a request listens to were judged; none if there were none.
    Listens(Option<Box<(calls::Judged, listen::Filter)>>),
    /// What a notification tells of a task's result was judged.
    Told(Box<tasks::Told>),
    /// What a server asks of the client was judged.
    Questioned(Box<voice::Questioned>),
    /// Instances are ready again.
    Refilled,
}

/// Work that ends in an event.
pub type Job = BoxFuture<'static, Event>;

/// A request of the client's, told apart from all others of its session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// Its id, as the client chose it.
    pub id: OwnedId,
    /// The exchange it came in: what the transport numbers its requests by, 0 where it does not.
    pub exchange: u64,
}

impl Key {
    /// The id as raw JSON.
    pub fn raw(&self) -> &str {
        self.id.raw()
    }
}

/// What a line for the client belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// It is the answer to a request of the client's, with the error's code if it is one.
    Answer(Key, Option<i64>),
    /// It was said while a request of this exchange was under way, and because of it.
    During(u64),
    /// The server said it on a stream for everything, and not what it belongs to.
    Session,
    /// It belongs to no request.
    Standing,
}

/// A line for the client.
#[derive(Debug)]
pub struct ToClient {
    /// What it belongs to.
    pub about: About,
    /// The message, without a line end.
    pub line: Bytes,
}

/// What a message for the server is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum On {
    /// A request of the client's. A call of a tool comes with the tool's definition, where it was observed.
    Request {
        /// Which one.
        key: Key,
        /// The text of the tool's definition.
        definition: Option<Arc<str>>,
    },
    /// A request of the host's own, with this id.
    Own(String),
    /// A notification, or an answer to a request of the server's.
    Other,
}

impl On {
    /// A request that calls no tool.
    fn request(key: &Key) -> Self {
        Self::Request {
            key: key.clone(),
            definition: None,
        }
    }
}

/// A message for the server.
#[derive(Debug)]
pub struct ToServer {
    /// What it is.
    pub on: On,
    /// The message, without a line end.
    pub cleared: Cleared,
}

/// What the core gives out.
#[derive(Default)]
pub struct Out {
    /// For the client, in order.
    pub client: Vec<ToClient>,
    /// Exchanges whose client wants no answer any more, and gets none.
    pub given_up: Vec<u64>,
    /// For the server, in order.
    pub server: Vec<ToServer>,
    /// Work to be done, with the exchange whose answer waits for it, if one alone does.
    pub jobs: Vec<(Option<u64>, Job)>,
    /// The session is over, for this reason.
    pub end: Option<String>,
}

/// How far the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// Nothing was said yet.
    Fresh,
    /// The server was asked to initialize.
    Asked,
    /// Its self-description is being judged.
    Describing,
    /// The client has its answer.
    Answered,
    /// The client said `notifications/initialized`.
    Running,
}

/// A request of the client.
#[derive(Debug, Clone)]
struct Ask {
    id: Key,
    /// The line to be forwarded.
    line: Bytes,
    name: Arc<str>,
    /// What MCP means by it; none for a vendor's method that the operator lets through.
    method: Option<ClientRequest>,
    params: Option<Range<usize>>,
    /// The last reading that had begun when it came: a list wants a later one.
    after: u64,
    /// The headers that mirror its arguments: the name after `Mcp-Param-`, and the raw value.
    mirrored: Option<Arc<[(String, String)]>>,
}

impl Ask {
    /// Whether it asks for the first page of a kind's list.
    fn lists(&self, kind: ItemKind) -> bool {
        self.method == Some(ClientRequest::List(kind)) && !self.has_cursor()
    }

    /// The kind of item that it names, if it calls one.
    const fn item_kind(&self) -> Option<ItemKind> {
        match self.method {
            Some(ClientRequest::Call(CallKind::Tool)) => Some(ItemKind::Tool),
            Some(ClientRequest::Call(CallKind::Prompt)) => Some(ItemKind::Prompt),
            Some(ClientRequest::Call(_)) => Some(ItemKind::Resource),
            _ => None,
        }
    }

    /// The arguments it hands over, as it wrote them, if it is a call that can be understood.
    fn arguments(&self) -> Option<Box<str>> {
        let Some(ClientRequest::Call(kind)) = self.method else {
            return None;
        };
        let target = crate::mcp::call::target(kind, self.params()).ok()?;
        target.arguments.as_deref().map(Into::into)
    }

    fn has_cursor(&self) -> bool {
        self.params()
            .is_some_and(|params| lists::cursor(params).is_ok_and(|c| c.is_some()))
    }

    fn params(&self) -> Option<&str> {
        let range = self.params.clone()?;
        std::str::from_utf8(self.line.get(range)?).ok()
    }
}

/// Where an open request of the client stands.
enum Open {
    /// It waits in `parked`.
    Parked,
    /// A job judges it, or what it brought back.
    Judging,
    /// The server has it.
    Forwarded(Box<Forwarded>),
    /// The client said it no longer wants the answer.
    Cancelled,
}

/// A request that the server has.
struct Forwarded {
    name: Arc<str>,
    what: Sent,
    /// The raw progress token, if the client gave one.
    token: Option<Box<str>>,
}

/// What kind of request the server has.
enum Sent {
    Initialize,
    /// A call, to be judged again when its result comes.
    Call(Arc<CallContext>),
    /// Anything else: goes back as it comes.
    Plain,
    /// `tasks/list`.
    TaskList,
    /// `tasks/get` of a task that a call made: what it says of the call's result is judged.
    Task(Arc<CallContext>),
    /// `subscriptions/listen`: open for as long as the client listens.
    Listen(listen::Filter),
}

/// The form that a refusal takes (design §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A tool's result.
    Tool,
    /// An error that names the URI too, which clients look for there (MCP, server/resources, "Error Handling").
    Resource,
    /// An error.
    Other,
}

impl Form {
    /// For what reaches an item of this kind.
    const fn of(kind: ItemKind) -> Self {
        match kind {
            ItemKind::Tool => Self::Tool,
            ItemKind::Resource => Self::Resource,
            _ => Self::Other,
        }
    }
}

/// What a result must be judged with.
struct CallContext {
    generation: Arc<Generation>,
    context: Arc<contract::Context>,
    call: contract::Call,
    /// The form that refusals take.
    form: Form,
    /// The name or URI that was asked for.
    name: String,
    item: Option<(ItemKind, Arc<str>)>,
    digest: Option<Digest>,
}

/// A request of the host's own that the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Own {
    /// A page of a list, in the reading of this number.
    Page { kind: ItemKind, reading: u64 },
    /// The handshake after a restart.
    Initialize,
    /// `server/discover`.
    Discover,
    /// Something whose answer nobody waits for.
    Ignored,
}

/// The server's state as far as a restart replays it.
#[derive(Default)]
struct Replay {
    /// The client's `initialize`, its id where it stands.
    hello: Option<(Bytes, Range<usize>)>,
    /// What the server answered: protocol version and capabilities, as it wrote them.
    agreed: Option<(String, String)>,
    /// The client's `notifications/initialized`.
    initialized: Option<Bytes>,
    /// Subscriptions by URI, and the requests that made them.
    subscriptions: BTreeMap<String, String>,
    /// The parameters of the last `logging/setLevel`.
    level: Option<String>,
}

/// The tasks that calls have made, with what their results must be judged with.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<String, Arc<CallContext>>>);

impl Tasks {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<CallContext>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &str) -> Option<Arc<CallContext>> {
        self.all().get(id).cloned()
    }

    fn has(&self, id: &str) -> bool {
        self.all().contains_key(id)
    }

    fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    fn insert(&self, id: String, context: Arc<CallContext>) {
        let mut all = self.all();
        if all.len() >= MAX_TASKS
            && let Some(some) = all.keys().next().cloned()
        {
            all.remove(&some);
        }
        all.insert(id, context);
    }

    fn clear(&self) {
        self.all().clear();
    }
}

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
