//! What a server says of its own accord, and when it may.
//!
//! Until it is judged, a server has no voice (design, invariant 12). What it says between `initialized` and the end of
//! the first reading is held back, in order, for that moment: real servers ask for roots right away. What it says
//! before, or when it is quarantined, is refused.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::{About, Core, On, Phase};
use crate::chain::{Permit, Protocol};
use crate::mcp::method::{self, ServerRequest};
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, OwnedId};
use crate::wire::reply;

/// The most messages that are held back.
const MAX_HELD: usize = 256;

/// The most bytes that are held back.
const MAX_HELD_BYTES: usize = 4 << 20;

/// How long requests are held back: a server may wait for its answer before it lists anything.
const HOLD: Duration = Duration::from_secs(1);

/// What a server says.
pub(super) enum Said {
    /// It asks.
    Request(OwnedId, Bytes, About),
    /// It tells.
    Notification(Bytes, About),
}

/// What is held back.
#[derive(Default)]
pub(super) struct Held {
    said: VecDeque<Said>,
    bytes: usize,
    since: Option<Instant>,
    /// The server was judged since it started.
    judged: bool,
}

impl Held {
    /// When the core must be woken for what is held back.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.since.map(|since| since + HOLD)
    }

    /// The server is another process now.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Core {
    /// Whether the server may be heard.
    pub(super) fn has_voice(&self) -> bool {
        self.held.judged && !self.view.quarantined && self.view.enabled && self.up
    }

    /// A request of the server's.
    pub(super) fn on_server_request(
        &mut self,
        id: OwnedId,
        method: &str,
        line: Bytes,
        about: About,
    ) {
        // Whether the other side lives is the host's to say as long as the server has no voice.
        if !self.has_voice() && method::server_request(method) == Some(ServerRequest::Ping) {
            let mut line = reply::result(id.raw(), "{}");
            line.pop();
            self.forward(Permit::protocol(Protocol::Answer, line.into()), On::Other);
            return;
        }
        if self.is_stateless() {
            self.record_refused(method, "this revision has no requests of servers");
            if !self.separate {
                self.answer_server(&id, METHOD_NOT_FOUND, "Method not found");
            }
            return;
        }
        if self.asked.contains(&id) {
            self.record_refused(method, "the server used an id twice");
            self.answer_server(
                &id,
                INVALID_REQUEST,
                "a request with this id is open already",
            );
            return;
        }
        self.say(Said::Request(id, line, about));
    }

    /// Lets the server say something: now, later, or not at all.
    pub(super) fn say(&mut self, said: Said) {
        if self.has_voice() {
            self.hear(said);
            return;
        }
        let may_come = !self.view.quarantined && self.view.enabled && self.phase == Phase::Running;
        let size = match &said {
            Said::Request(_, line, _) | Said::Notification(line, _) => line.len(),
        };
        let fits = self.held.said.len() < MAX_HELD && self.held.bytes + size <= MAX_HELD_BYTES;
        if may_come && !self.held.judged && fits {
            self.held.bytes += size;
            self.held.since.get_or_insert(self.now);
            self.held.said.push_back(said);
        } else {
            self.silence(said);
        }
    }

    fn hear(&mut self, said: Said) {
        match said {
            Said::Request(id, line, about) => {
                self.asked.insert(id);
                self.tell(about, line);
            }
            Said::Notification(line, about) => self.tell(about, line),
        }
    }

    /// The server gets an error for what it asks; what it tells is dropped.
    fn silence(&mut self, said: Said) {
        if let Said::Request(id, ..) = said {
            self.record_refused("", "a request of a server that has no voice");
            self.answer_server(&id, INTERNAL_ERROR, "not available");
        }
    }

    /// Answers the server in the client's place.
    pub(super) fn answer_server(&mut self, id: &OwnedId, code: i64, message: &str) {
        let mut line = reply::error(Some(id.raw()), code, message, None);
        line.pop();
        self.forward(Permit::protocol(Protocol::Answer, line.into()), On::Other);
    }

    /// After something was judged: what was held back is said, or silenced for good.
    pub(super) fn release_voice(&mut self) {
        let settled = self.phase == Phase::Running
            && !self.reads.is_busy()
            && self.visibility.is_some()
            && self
                .declared
                .iter()
                .all(|kind| self.reads.was_read(*kind) || self.reads.failure(*kind).is_some());
        if !settled && !self.view.quarantined && self.view.enabled {
            return;
        }
        self.held.judged |= settled;
        self.flush_held();
    }

    /// What is due for the sake of what is held back.
    pub(super) fn on_voice_time(&mut self) {
        if self.held.wake().is_some_and(|wake| wake <= self.now) {
            self.flush_held();
        }
    }

    fn flush_held(&mut self) {
        self.held.since = None;
        self.held.bytes = 0;
        for said in std::mem::take(&mut self.held.said) {
            if self.has_voice() {
                self.hear(said)
            } else {
                self.silence(said)
            }
        }
    }
}
