//! Revision 2026-07-28: requests that stand for themselves.
//!
//! Knows that the gate asks the server what it is before it judges a first request, with what that request says of its
//! client, and that `server/discover` is answered from what the gate was told, like a list. Knows the errors by which
//! a client learns that it must begin with `initialize` instead.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::handshake::Hello;
use super::lane::Task;
use super::questions::asks;
use super::{Ask, Core, Own, Phase, params};
use crate::audit::Outcome;
use crate::chain::Protocol;
use crate::gate::catalogue::Catalogue;
use crate::mcp::digest::digest;
use crate::mcp::method::{ClientRequest, REVISIONS};
use crate::mcp::stateless::{Meta, REVISION, UNSUPPORTED_PROTOCOL_VERSION, unsupported};
use crate::mcp::{Item, ItemKey, ItemKind, discover, initialize};
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND};
use crate::wire::reply;

/// How long a server may take to say what it is. One that begins with `initialize` may never answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is known of a session of requests that stand for themselves.
pub(super) struct Stateless {
    /// What the client says of itself, as JSON text of the members of `_meta`: revision, capabilities, name.
    version: String,
    capabilities: String,
    client_info: Option<String>,
    /// The number of the last `server/discover` of the gate's, and of the last that was judged.
    begun: u64,
    settled: u64,
    /// By when it must be answered.
    deadline: Option<Instant>,
    /// What the server said last.
    hello: Option<Arc<Hello>>,
    /// The revisions it says it speaks.
    versions: Vec<String>,
    waiting: usize,
    /// The server refused this revision once, and said in the same breath that it speaks it.
    asked_again: bool,
    /// The lists must be read, once it is known which there are.
    read: bool,
}

/// Why a server is not one of this revision.
struct Other {
    /// The revisions that it names itself.
    versions: Option<Vec<String>>,
    reason: &'static str,
}

impl Core {
    /// Whether the session is of requests that stand for themselves.
    pub(super) const fn is_stateless(&self) -> bool {
        self.stateless.is_some()
    }

    /// The parameters of a request of the gate's own, with `rest`, members as JSON text.
    pub(super) fn own_params(&self, rest: &str) -> Option<String> {
        match &self.stateless {
            Some(of) => Some(of.meta().params(rest)),
            None if rest.is_empty() => None,
            None => Some(format!("{{{rest}}}")),
        }
    }

    /// A request of a session that has not begun with `initialize`.
    pub(super) fn on_stateless_request(&mut self, mut ask: Ask) {
        if let Err(error) = self.narrow_stateless(&mut ask) {
            self.record_refused(&ask.name, &error.to_string());
            self.reply_error(&ask.id, INVALID_PARAMS, &error.to_string(), None);
            return;
        }
        let meta = match Meta::of_params(ask.params()) {
            Ok(meta) => meta,
            Err(error) => {
                self.record_refused(&ask.name, &error.to_string());
                self.reply_error(&ask.id, INVALID_PARAMS, &error.to_string(), None);
                return;
            }
        };
        if meta.version != REVISION {
            let data = self.unsupported(&meta.version);
            self.record_refused(&ask.name, "a revision that is not served");
            let message = "Unsupported protocol version";
            self.reply_error(&ask.id, UNSUPPORTED_PROTOCOL_VERSION, message, Some(&data));
            return;
        }
        if ask.method.is_some_and(|method| !method.stands_for_itself()) {
            self.record_refused(&ask.name, "a method that this revision does not have");
            self.reply_error(&ask.id, METHOD_NOT_FOUND, "Method not found", None);
            return;
        }
        if self.stateless.is_none() {
            self.stateless = Some(Stateless {
                version: meta.version.into_owned(),
                capabilities: meta.capabilities.to_owned(),
                client_info: meta.client_info.map(str::to_owned),
                begun: 0,
                settled: 0,
                deadline: None,
                hello: None,
                versions: Vec::new(),
                waiting: 0,
                asked_again: false,
                read: true,
            });
            self.phase = Phase::Asked;
        }
        if ask.method == Some(ClientRequest::Discover) {
            ask.after = self.stateless.as_ref().map_or(0, |of| of.begun);
        }
        self.dispatch_stateless(ask);
    }

    /// Sends a request on once it is known what the server is.
    pub(super) fn dispatch_stateless(&mut self, ask: Ask) {
        let Some(of) = &self.stateless else {
            return;
        };
        if of.hello.is_none() {
            if of.deadline.is_none() && of.begun == of.settled {
                self.discover();
            }
            self.park(ask);
        } else if ask.method == Some(ClientRequest::Discover) {
            self.dispatch_discover(ask);
        } else {
            self.dispatch(ask);
        }
    }

    /// Asks the server what it is.
    pub(super) fn discover(&mut self) {
        let deadline = self.now + PATIENCE.min(self.config.limits.list_timeout);
        if let Some(of) = &mut self.stateless {
            of.begun += 1;
            of.deadline = Some(deadline);
        }
        let params = self.own_params("");
        let own = Own::Discover;
        self.send_own(
            own,
            Protocol::Handshake,
            "server/discover",
            params.as_deref(),
        );
    }

    /// The client's `server/discover`: answered from one of the gate's that was asked after it came.
    pub(super) fn dispatch_discover(&mut self, ask: Ask) {
        let Some(of) = &self.stateless else {
            return;
        };
        if of.settled <= ask.after {
            if of.begun <= ask.after && self.up {
                self.discover();
            }
            self.park(ask);
            return;
        }
        if !self.is_current() {
            self.settle_soon();
            self.park(ask);
            return;
        }
        let Some(answer) = of.hello.clone().and_then(|hello| self.described(&hello)) else {
            self.fail(&ask.id, INTERNAL_ERROR, "the server's answer is malformed");
            return;
        };
        self.record_list(&ask, ItemKind::SelfDescription, Outcome::Allowed);
        self.close(&ask.id);
        self.reply(&ask.id, reply::result(ask.id.raw(), &answer));
    }

    /// What the client is told of the server.
    fn described(&self, hello: &Hello) -> Option<String> {
        let mut after = initialize::with_list_changed(hello.result_text()).ok()?;
        if self.is_nameless() {
            after = discover::without_self_description(&after, &self.entry.name).ok()?;
        }
        let waiting = self.stateless.as_ref().map_or(0, |of| of.waiting);
        if waiting > 0 && self.config.notice {
            let notice = super::handshake::notice(waiting, &self.entry.name);
            after = initialize::with_notice(&after, &notice).ok()?;
        }
        Some(discover::for_one_client(&after, false).unwrap_or(after))
    }

    /// The server said what it is.
    pub(super) fn on_discovered(&mut self, line: Bytes, result: std::ops::Range<usize>) {
        let hello = Hello {
            asked: None,
            line,
            result,
        };
        let Some(of) = &mut self.stateless else {
            return;
        };
        of.deadline = None;
        let again = of
            .hello
            .as_ref()
            .is_some_and(|before| before.result_text() == hello.result_text());
        if again && !of.read {
            of.settled = of.begun;
            self.dispatch_parked();
            return;
        }
        if asks(Some(hello.result_text()), None) {
            self.on_undescribed("the server's answer asks something of the client");
            return;
        }
        let said = match discover::parse(hello.result_text()) {
            Ok(said) => said,
            Err(error) => {
                let reason = format!("the server's answer is malformed: {error}");
                self.on_undescribed(&reason);
                return;
            }
        };
        if !said.versions.iter().any(|version| version == REVISION) {
            self.on_other_server(&Other {
                versions: Some(said.versions),
                reason: "the server does not speak 2026-07-28",
            });
            return;
        }
        of.versions = said.versions;
        let digest = match digest(ItemKind::SelfDescription, &said.definition) {
            Ok(digest) => digest,
            Err(error) => {
                let reason = format!("the server's self-description is malformed: {error}");
                self.on_undescribed(&reason);
                return;
            }
        };
        let key = ItemKey {
            kind: ItemKind::SelfDescription,
            name: "".into(),
        };
        self.declared = said.kinds.iter().copied().collect();
        let catalogue = Catalogue {
            own: Some((Item { key, digest }, Arc::from(said.definition))),
            lists: self.catalogue.lists.clone(),
        };
        self.settle(Task::Describe {
            catalogue: Arc::new(catalogue),
            hello: Box::new(hello),
        });
    }

    /// What the server said of itself is judged.
    pub(super) fn on_stateless_described(&mut self, hello: Hello, waiting: usize) {
        let Some(of) = &mut self.stateless else {
            return;
        };
        of.hello = Some(Arc::new(hello));
        of.settled = of.begun;
        of.waiting = waiting;
        let read = std::mem::take(&mut of.read);
        let unread = self.declared.iter().any(|kind| !self.reads.was_read(*kind));
        self.phase = Phase::Running;
        if read || unread {
            self.read_declared();
        }
    }

    /// The server answered with an error, or not at all: it is one that begins with `initialize`, or out of order.
    pub(super) fn on_not_discovered(&mut self, error: Option<&str>) {
        let code = error.and_then(params::error_code);
        if code == Some(UNSUPPORTED_PROTOCOL_VERSION) {
            let versions = error.and_then(params::supported_versions);
            let speaks = |all: &Vec<String>| all.iter().any(|version| version == REVISION);
            // "The client SHOULD select a mutually supported version and retry" (MCP 2026-07-28, basic/versioning).
            if let Some(of) = &mut self.stateless
                && versions.as_ref().is_some_and(speaks)
                && !std::mem::replace(&mut of.asked_again, true)
            {
                self.discover();
                return;
            }
            self.on_other_server(&Other {
                versions,
                reason: "the server does not speak 2026-07-28",
            });
            return;
        }
        self.on_other_server(&Other {
            versions: None,
            reason: "the server does not know `server/discover`; begin with `initialize`",
        });
    }

    /// Nothing that waits for the server's self-description can be judged.
    pub(super) fn on_undescribed(&mut self, reason: &str) {
        tracing::warn!(server = %self.entry.name, "{reason}");
        if let Some(of) = &mut self.stateless {
            of.deadline = None;
            of.settled = of.begun;
        }
        for ask in std::mem::take(&mut self.parked) {
            self.fail(&ask.id, INTERNAL_ERROR, reason);
        }
        if self.stateless.as_ref().is_some_and(|of| of.hello.is_none()) {
            self.stateless = None;
            self.phase = Phase::Fresh;
        }
    }

    /// The server is not of this revision: every request that waits is told so, in the error that clients fall back
    /// to `initialize` on. The session may still begin with that.
    fn on_other_server(&mut self, other: &Other) {
        if let Some(of) = &mut self.stateless {
            of.deadline = None;
            of.settled = of.begun;
        }
        let trusted = !self.view.quarantined && self.view.enabled;
        let known = other.versions.as_deref().unwrap_or_default();
        let served: Vec<&str> = REVISIONS
            .into_iter()
            .filter(|revision| trusted && known.iter().any(|version| version == revision))
            .collect();
        for ask in std::mem::take(&mut self.parked) {
            self.close(&ask.id);
            if !served.is_empty() {
                let data = unsupported(served.iter().copied(), REVISION);
                let message = "Unsupported protocol version";
                self.reply_error(&ask.id, UNSUPPORTED_PROTOCOL_VERSION, message, Some(&data));
            } else if ask.method == Some(ClientRequest::Discover) {
                self.reply_error(&ask.id, METHOD_NOT_FOUND, "Method not found", None);
            } else {
                self.reply_error(&ask.id, INVALID_REQUEST, other.reason, None);
            }
        }
        if self.stateless.as_ref().is_some_and(|of| of.hello.is_none()) {
            self.stateless = None;
            self.phase = Phase::Fresh;
        }
    }

    /// What a client is told that asks for another revision.
    fn unsupported(&self, requested: &str) -> String {
        let known = self.stateless.as_ref().map(|of| of.versions.as_slice());
        let served: Vec<&str> = REVISIONS
            .into_iter()
            .chain([REVISION])
            .filter(|revision| match known {
                Some(known) if !known.is_empty() => known.iter().any(|v| v == revision),
                _ => *revision == REVISION,
            })
            .collect();
        unsupported(served, requested)
    }

    /// The server runs again, and is asked anew.
    pub(super) fn discover_again(&mut self) {
        if let Some(of) = &mut self.stateless {
            of.read = true;
        }
        self.discover();
    }

    /// What is due because the server does not say what it is.
    pub(super) fn on_discover_time(&mut self) {
        let late = |of: &Stateless| of.deadline.is_some_and(|deadline| deadline <= self.now);
        if !self.stateless.as_ref().is_some_and(late) {
            return;
        }
        self.own.retain(|_, own| *own != Own::Discover);
        if self.stateless.as_ref().is_some_and(|of| of.hello.is_some()) {
            self.on_undescribed("the server does not answer in time");
        } else {
            self.on_not_discovered(None);
        }
    }

    /// When the core must be woken for that.
    pub(super) fn wake_for_discover(&self) -> Option<Instant> {
        self.stateless.as_ref()?.deadline
    }
}

impl Stateless {
    fn meta(&self) -> Meta<'_> {
        Meta {
            version: self.version.as_str().into(),
            client_info: self.client_info.as_deref(),
            capabilities: &self.capabilities,
        }
    }
}
