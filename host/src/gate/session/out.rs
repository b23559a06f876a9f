//! What goes in and out of a session besides lines: whom a line is for, what a message for the server is, what jobs
//! bring back.
//!
//! Knows the shapes; decides nothing.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::{Settled, calls, listen, results, tasks, voice};
use crate::chain::Cleared;
use crate::wire::envelope::OwnedId;

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
    pub(super) fn request(key: &Key) -> Self {
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
