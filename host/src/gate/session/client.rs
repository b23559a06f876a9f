//! What the client says.
//!
//! Knows which messages are understood at all: everything else gets an error, a record, and nothing goes upstream
//! (design, invariant 9).

use bytes::Bytes;

use super::{Ask, Core, Key, MAX_OPEN, On, Open, Own, Phase, Sent, params, without_end};
use crate::audit::Outcome;
use crate::chain::{Permit, Protocol};
use crate::mcp::method::{self, ClientNotification, ClientRequest};
use crate::mcp::stateless::names_revision;
use crate::wire::Frame;
use crate::wire::envelope::{
    self, Envelope, INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, Message, OwnedId,
};
use crate::wire::reply;

impl Core {
    /// Takes what the client sent, in the exchange of this number; 0 where the transport has none.
    pub fn on_client(&mut self, frame: Frame, exchange: u64) {
        self.on_client_with(frame, exchange, None);
    }

    /// As [`Self::on_client`], with the `Mcp-Param-*` headers that came with the message: the name after the prefix,
    /// and the raw value.
    pub fn on_client_with(
        &mut self,
        frame: Frame,
        exchange: u64,
        params: Option<Vec<(String, String)>>,
    ) {
        self.params = params;
        match frame {
            Frame::Line(line) | Frame::Partial(line) => self.on_client_line(&line, exchange),
            Frame::TooLong {
                id,
                is_request,
                bytes,
            } => {
                let limit = self.wire.max_message;
                let reason = format!(
                    "the message has {bytes} bytes, more than the {limit} allowed; raise `max_message_bytes` in [limits]"
                );
                self.record_refused("", &reason);
                if is_request {
                    self.refuse_line(id, exchange, INVALID_REQUEST, &reason);
                }
            }
        }
    }

    /// An error to a line that is no request, or none that can be taken up.
    fn refuse_line(&mut self, id: Option<OwnedId>, exchange: u64, code: i64, reason: &str) {
        let line = reply::error(id.as_ref().map(OwnedId::raw), code, reason, None);
        let id = id.unwrap_or_else(OwnedId::null);
        self.answer(&Key { id, exchange }, Some(code), without_end(line));
    }

    fn on_client_line(&mut self, line: &Bytes, exchange: u64) {
        let wire = self.wire;
        let envelope = match envelope::parse(line, &wire) {
            Ok(envelope) => envelope,
            Err(malformed) => {
                let method = malformed.method.clone().unwrap_or_default();
                self.record_refused(&method, &malformed.reason);
                // JSON-RPC 2.0, section 4.1: a notification gets no answer, not even an error. One whose id cannot be
                // read is answered with the id null.
                let is_notification =
                    malformed.id.is_none() && method::client_notification(&method).is_some();
                if !is_notification {
                    self.refuse_line(malformed.id, exchange, malformed.code, &malformed.reason);
                }
                return;
            }
        };
        let forwarded = line_of(line, &envelope);
        match envelope.message {
            Message::Request { id, method, params } => {
                let id = id.to_owned();
                self.on_client_request(Key { id, exchange }, &method, params, forwarded);
            }
            Message::Notification { method, params } => {
                self.on_client_notification(&method, params, forwarded, exchange);
            }
            Message::Result { id, .. } => self.on_client_answer(Some(&id.to_owned()), forwarded),
            Message::Error { id, .. } => {
                self.on_client_answer(id.map(|id| id.to_owned()).as_ref(), forwarded);
            }
        }
    }

    fn on_client_request(&mut self, id: Key, name: &str, parameters: Option<&str>, line: Bytes) {
        if self.is_open(&id) {
            let reason = "a request with this id is open already";
            self.record_refused(name, reason);
            self.reply_error(&id, INVALID_REQUEST, reason, None);
            return;
        }
        if self.open.len() >= MAX_OPEN {
            let reason = "too many requests are open";
            self.record_refused(name, reason);
            self.reply_error(&id, INTERNAL_ERROR, reason, None);
            return;
        }
        if let Some(reason) = self.gone.clone() {
            self.fail(&id, INTERNAL_ERROR, &reason);
            self.out.end = Some(reason);
            return;
        }
        let method = method::client_request(name);
        if method.is_none() && !self.entry.lets_through(&self.config, name) {
            self.record_refused(name, "nobody knows this method");
            self.reply_error(&id, METHOD_NOT_FOUND, "Method not found", None);
            return;
        }
        let params = parameters.and_then(|text| place_of(&line, text));
        let ask = Ask {
            id,
            line,
            name: name.into(),
            method,
            params,
            after: self.reads.begun(),
            mirrored: self.params.take().map(Into::into),
        };
        if self.is_stateless() || self.phase == Phase::Fresh && names_revision(ask.params()) {
            self.on_stateless_request(ask);
            return;
        }
        if ask.method.is_some_and(|method| !method.is_of_sessions()) {
            self.record_refused(&ask.name, "a method that this revision does not have");
            self.reply_error(&ask.id, METHOD_NOT_FOUND, "Method not found", None);
            return;
        }
        // One revision from end to end: a server of both would take this for a request of the other.
        if self.phase != Phase::Fresh && names_revision(ask.params()) {
            let reason = "a request of another revision, in a session that began with `initialize`";
            self.record_refused(&ask.name, reason);
            self.reply_error(&ask.id, INVALID_REQUEST, reason, None);
            return;
        }
        match (ask.method, self.phase) {
            (Some(ClientRequest::Initialize), Phase::Fresh) => self.initialize(ask),
            (Some(ClientRequest::Initialize), _) => {
                self.fail(
                    &ask.id,
                    INVALID_REQUEST,
                    "the session is initialized already",
                );
            }
            (Some(ClientRequest::Ping), Phase::Fresh | Phase::Asked | Phase::Describing) => {
                self.reply(&ask.id, reply::result(ask.id.raw(), "{}"));
            }
            (_, Phase::Fresh) => {
                self.record_refused(&ask.name, "the session is not initialized");
                self.fail(&ask.id, INVALID_REQUEST, "the session is not initialized");
            }
            // A client that does not wait for the answer to `initialize`: the server sees nothing of what follows
            // before it has given it, since some take what they are sent meanwhile for another handshake.
            (_, Phase::Asked | Phase::Describing) => self.park(ask),
            _ => self.dispatch(ask),
        }
    }

    /// Whether a request with this id is open, so that an answer could mean either.
    fn is_open(&self, key: &Key) -> bool {
        if self.separate {
            return self.open.contains_key(key);
        }
        let other = self.key_of(key.id.clone(), None);
        self.open
            .get(&other)
            .is_some_and(|open| !matches!(open, Open::Cancelled))
    }

    /// Sends a request on, or refuses it, or parks it.
    pub(super) fn dispatch(&mut self, ask: Ask) {
        match ask.method {
            Some(ClientRequest::List(kind)) => self.dispatch_list(ask, kind),
            Some(ClientRequest::Call(kind)) => self.dispatch_call(ask, kind),
            Some(ClientRequest::Task(kind)) => self.dispatch_task(ask, kind),
            Some(ClientRequest::Discover) => self.dispatch_discover(ask),
            Some(ClientRequest::Listen) => self.dispatch_listen(ask),
            _ => self.dispatch_plain(ask),
        }
    }

    fn dispatch_plain(&mut self, ask: Ask) {
        if self.view.quarantined || !self.view.enabled {
            // It answers nothing: what the client needs to go on, the host answers itself.
            match ask.method {
                Some(ClientRequest::Ping | ClientRequest::SetLevel) => {
                    self.close(&ask.id);
                    self.reply(&ask.id, reply::result(ask.id.raw(), "{}"));
                }
                _ => self.fail(
                    &ask.id,
                    INTERNAL_ERROR,
                    "the server is withheld by operator policy",
                ),
            }
            return;
        }
        if !self.up {
            self.park(ask);
            return;
        }
        let protocol = match ask.method {
            Some(ClientRequest::Ping) => Protocol::Ping,
            Some(ClientRequest::SetLevel) => {
                self.replay.level = ask.params().map(str::to_owned);
                Protocol::LogLevel
            }
            _ => Protocol::Vendor,
        };
        if protocol == Protocol::Vendor {
            self.record_plain(&ask.name, Outcome::Allowed);
        }
        self.send(ask, protocol, Sent::Plain);
    }

    /// Forwards a request of the protocol itself.
    pub(super) fn send(&mut self, ask: Ask, protocol: Protocol, what: Sent) {
        let token = ask.params().and_then(params::progress_token);
        let permit = Permit::protocol(protocol, ask.line);
        self.forward(permit, On::request(&ask.id));
        let forwarded = super::Forwarded {
            name: ask.name,
            what,
            token,
        };
        self.put(ask.id, Open::Forwarded(Box::new(forwarded)));
    }

    fn on_client_notification(
        &mut self,
        name: &str,
        given: Option<&str>,
        line: Bytes,
        exchange: u64,
    ) {
        let Some(notification) = method::client_notification(name) else {
            if self.entry.lets_through(&self.config, name) && self.has_voice() {
                self.record_plain(name, Outcome::Allowed);
                self.forward(Permit::protocol(Protocol::Vendor, line), On::Other);
            } else {
                let reason = if method::client_request(name).is_some() {
                    "a request without an id"
                } else {
                    "nobody knows this notification"
                };
                self.record_refused(name, reason);
                // JSON-RPC has no answer to a notification; where the transport has one, it is not "accepted".
                if exchange != 0 {
                    self.refuse_line(None, exchange, INVALID_REQUEST, reason);
                }
            }
            return;
        };
        if self.is_stateless() && notification != ClientNotification::Cancelled {
            self.record_refused(name, "a notification that this revision does not have");
            return;
        }
        match notification {
            ClientNotification::Initialized => self.on_initialized(line),
            ClientNotification::Cancelled => self.on_client_cancelled(given, line),
            ClientNotification::Progress if self.up => {
                self.forward(Permit::protocol(Protocol::Progress, line), On::Other);
            }
            // A server that was not told of roots is not told that they changed.
            ClientNotification::RootsListChanged if self.denies_roots() => {}
            ClientNotification::RootsListChanged if self.up => {
                self.forward(Permit::protocol(Protocol::RootsChanged, line), On::Other);
            }
            ClientNotification::TaskStatus if self.up => {
                self.forward(Permit::protocol(Protocol::Task, line), On::Other);
            }
            ClientNotification::Progress
            | ClientNotification::RootsListChanged
            | ClientNotification::TaskStatus => {}
        }
    }

    /// The client no longer wants an answer: what was not forwarded never is.
    fn on_client_cancelled(&mut self, given: Option<&str>, line: Bytes) {
        let Some(id) = given.and_then(params::request_id) else {
            self.record_refused("notifications/cancelled", "it names no request");
            return;
        };
        let id = self.key_of(id, None);
        match self.open.get(&id) {
            Some(Open::Parked) => {
                self.out.given_up.push(id.exchange);
                self.parked.retain(|ask| ask.id != id);
                self.close(&id);
            }
            Some(Open::Judging) => {
                self.out.given_up.push(id.exchange);
                self.cancel(id);
            }
            Some(Open::Forwarded(forwarded)) => {
                // MCP, basic/utilities/cancellation: `initialize` must not be cancelled.
                if matches!(forwarded.what, Sent::Initialize) {
                    return;
                }
                self.out.given_up.push(id.exchange);
                self.cancel(id);
                self.forward(Permit::protocol(Protocol::Progress, line), On::Other);
            }
            Some(Open::Cancelled) | None => {}
        }
    }

    /// The client is gone that waited for what came in an exchange: whatever is open of it is cancelled, and the
    /// server is told, unless its stream of it is closed anyway.
    pub fn on_exchange_gone(&mut self, exchange: u64) {
        let gone = self.open.keys().filter(|key| key.exchange == exchange);
        let gone: Vec<Key> = gone.cloned().collect();
        for key in gone {
            match self.open.get(&key) {
                Some(Open::Parked) => {
                    self.parked.retain(|ask| ask.id != key);
                    self.close(&key);
                }
                Some(Open::Forwarded(_)) if self.separate => {
                    self.close(&key);
                }
                Some(Open::Forwarded(_)) => {
                    let params = format!(
                        "{{\"requestId\":{},\"reason\":\"the client is gone\"}}",
                        key.raw()
                    );
                    let line = reply::notification("notifications/cancelled", Some(&params));
                    let permit = Permit::protocol(Protocol::Progress, without_end(line));
                    self.forward(permit, On::Other);
                    self.cancel(key);
                }
                Some(Open::Judging) => self.cancel(key),
                Some(Open::Cancelled) | None => {}
            }
        }
    }

    fn cancel(&mut self, id: Key) {
        self.put(id.clone(), Open::Cancelled);
        self.cancelled.push_back(id);
        // A server need not answer what was cancelled, so the oldest are forgotten at some time.
        if self.cancelled.len() > MAX_OPEN / 4
            && let Some(oldest) = self.cancelled.pop_front()
            && matches!(self.open.get(&oldest), Some(Open::Cancelled))
        {
            self.close(&oldest);
        }
    }

    /// The client's answer to a request of the server's.
    fn on_client_answer(&mut self, id: Option<&OwnedId>, line: Bytes) {
        match id {
            Some(id) if self.asked.remove(id) => {
                self.forward(Permit::protocol(Protocol::Answer, line), On::Other);
            }
            _ => self.record_refused("", "an answer to nothing that was asked"),
        }
    }

    /// Forwards a request of the host's own.
    pub(super) fn send_own(
        &mut self,
        own: Own,
        protocol: Protocol,
        method: &str,
        params: Option<&str>,
    ) {
        let id = self.own_id(own);
        let line = reply::request(&id, method, params);
        let permit = Permit::protocol(protocol, without_end(line));
        self.forward(permit, On::Own(id));
    }
}

/// What to write upstream for a message: the line itself, shared, where it may go on as it is.
pub(super) fn line_of(line: &Bytes, envelope: &Envelope<'_>) -> Bytes {
    if envelope.canonical {
        line.clone()
    } else {
        Bytes::from(envelope.forward().into_owned())
    }
}

/// Where `part` stands in `line`, if it is a part of it or stands in it again.
fn place_of(line: &Bytes, part: &str) -> Option<std::ops::Range<usize>> {
    let (from, at) = (line.as_ptr() as usize, part.as_ptr() as usize);
    let start = match at.checked_sub(from) {
        Some(start) if start + part.len() <= line.len() => start,
        // The line was written anew around the untouched part.
        _ => memchr::memmem::find(line, part.as_bytes())?,
    };
    Some(start..start + part.len())
}
