//! What a session keeps of requests and of its server.
//!
//! Knows the shapes; decides nothing.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::{Key, listen, lists};
use crate::chain::Generation;
use crate::mcp::method::{CallKind, ClientRequest};
use crate::mcp::{Digest, ItemKind};
use crate::policy::contract;

/// How far the handshake is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
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
pub(super) struct Ask {
    pub(super) id: Key,
    /// The line to be forwarded.
    pub(super) line: Bytes,
    pub(super) name: Arc<str>,
    /// What MCP means by it; none for a vendor's method that the operator lets through.
    pub(super) method: Option<ClientRequest>,
    pub(super) params: Option<Range<usize>>,
    /// The last reading that had begun when it came: a list wants a later one.
    pub(super) after: u64,
    /// The headers that mirror its arguments: the name after `Mcp-Param-`, and the raw value.
    pub(super) mirrored: Option<Arc<[(String, String)]>>,
}

impl Ask {
    /// Whether it asks for the first page of a kind's list.
    pub(super) fn lists(&self, kind: ItemKind) -> bool {
        self.method == Some(ClientRequest::List(kind)) && !self.has_cursor()
    }

    /// The kind of item that it names, if it calls one.
    pub(super) const fn item_kind(&self) -> Option<ItemKind> {
        match self.method {
            Some(ClientRequest::Call(CallKind::Tool)) => Some(ItemKind::Tool),
            Some(ClientRequest::Call(CallKind::Prompt)) => Some(ItemKind::Prompt),
            Some(ClientRequest::Call(_)) => Some(ItemKind::Resource),
            _ => None,
        }
    }

    /// The arguments it hands over, as it wrote them, if it is a call that can be understood.
    pub(super) fn arguments(&self) -> Option<Box<str>> {
        let Some(ClientRequest::Call(kind)) = self.method else {
            return None;
        };
        let target = crate::mcp::call::target(kind, self.params()).ok()?;
        target.arguments.as_deref().map(Into::into)
    }

    pub(super) fn has_cursor(&self) -> bool {
        self.params()
            .is_some_and(|params| lists::cursor(params).is_ok_and(|c| c.is_some()))
    }

    pub(super) fn params(&self) -> Option<&str> {
        let range = self.params.clone()?;
        std::str::from_utf8(self.line.get(range)?).ok()
    }
}

/// Where an open request of the client stands.
pub(super) enum Open {
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
pub(super) struct Forwarded {
    pub(super) name: Arc<str>,
    pub(super) what: Sent,
    /// The raw progress token, if the client gave one.
    pub(super) token: Option<Box<str>>,
}

/// What kind of request the server has.
pub(super) enum Sent {
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
pub(super) enum Form {
    /// A tool's result.
    Tool,
    /// An error that names the URI too, which clients look for there (MCP, server/resources, "Error Handling").
    Resource,
    /// An error.
    Other,
}

impl Form {
    /// For what reaches an item of this kind.
    pub(super) const fn of(kind: ItemKind) -> Self {
        match kind {
            ItemKind::Tool => Self::Tool,
            ItemKind::Resource => Self::Resource,
            _ => Self::Other,
        }
    }
}

/// What a result must be judged with.
pub(super) struct CallContext {
    pub(super) generation: Arc<Generation>,
    pub(super) context: Arc<contract::Context>,
    pub(super) call: contract::Call,
    /// The form that refusals take.
    pub(super) form: Form,
    /// The name or URI that was asked for.
    pub(super) name: String,
    pub(super) item: Option<(ItemKind, Arc<str>)>,
    pub(super) digest: Option<Digest>,
    /// Codes of policies that would withhold the item if their verdicts did bind.
    pub(super) would: Vec<(Arc<str>, String)>,
}

/// A request of the host's own that the server has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Own {
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
pub(super) struct Replay {
    /// The client's `initialize`, its id where it stands.
    pub(super) hello: Option<(Bytes, Range<usize>)>,
    /// What the server answered: protocol version and capabilities, as it wrote them.
    pub(super) agreed: Option<(String, String)>,
    /// The client's `notifications/initialized`.
    pub(super) initialized: Option<Bytes>,
    /// Subscriptions by URI, and the requests that made them.
    pub(super) subscriptions: BTreeMap<String, String>,
    /// The parameters of the last `logging/setLevel`.
    pub(super) level: Option<String>,
}
