//! What the server says.
//!
//! Knows which of a server's messages may reach the client; answers to requests are in `results`.

use bytes::Bytes;

use super::{About, Core, On, Open, Phase, Sent, params};
use crate::mcp::escape::visible_cut;
use crate::mcp::method::{self, ServerNotification};
use crate::mcp::uri::normal_form;
use crate::wire::Frame;
use crate::wire::envelope::{self, INTERNAL_ERROR, METHOD_NOT_FOUND, Message, OwnedId};

/// What is shown of a line that is no message, characters.
const SHOWN: usize = 200;

impl Core {
    /// Takes what the server sent: on the stream of the exchange `origin`, or on the one for all.
    pub fn on_server(&mut self, frame: Frame, origin: Option<u64>) {
        let Some(frame) = self.after_questions(frame, origin) else {
            return;
        };
        match frame {
            Frame::Line(line) | Frame::Partial(line) => self.on_server_line(&line, origin),
            Frame::TooLong {
                id,
                is_request,
                bytes,
            } => {
                let limit = self.wire.max_message;
                let reason = format!(
                    "the server's message has {bytes} bytes, more than the {limit} allowed; raise `max_message_bytes` in \
                     [limits]"
                );
                self.on_bad_answer(id.filter(|_| !is_request), origin, &reason);
            }
        }
    }

    fn on_server_line(&mut self, line: &Bytes, origin: Option<u64>) {
        if self.on_page_again(line) {
            return;
        }
        let wire = self.wire;
        let envelope = match envelope::parse(line, &wire) {
            Ok(envelope) => envelope,
            Err(malformed) => {
                let text = String::from_utf8_lossy(line);
                tracing::warn!(
                    server = %self.entry.name,
                    "a line that is no message is dropped ({}): {}",
                    malformed.reason,
                    visible_cut(&text, SHOWN)
                );
                let id = malformed.id.filter(|_| malformed.method.is_none());
                let reason = format!("the server's answer is malformed: {}", malformed.reason);
                self.on_bad_answer(id, origin, &reason);
                return;
            }
        };
        match &envelope.message {
            Message::Result { .. } | Message::Error { .. } => {
                self.on_server_answer(line, &envelope, origin);
            }
            Message::Request { id, method, .. } => {
                let id = id.to_owned();
                let known = method::server_request(method).is_some()
                    || self.entry.lets_through(&self.config, method);
                if known {
                    let whole = super::client::line_of(line, &envelope);
                    let about = origin.map_or(About::Session, About::During);
                    self.on_server_request(id, method, whole, about);
                } else {
                    self.record_refused(method, "the server asks what nobody knows");
                    self.answer_server(&id, METHOD_NOT_FOUND, "Method not found");
                }
            }
            Message::Notification { method, params } => {
                let whole = super::client::line_of(line, &envelope);
                self.on_server_notification(method, *params, whole, origin);
            }
        }
    }

    /// An answer that cannot be used: who waits for it is told.
    fn on_bad_answer(&mut self, id: Option<OwnedId>, origin: Option<u64>, reason: &str) {
        self.record_refused("", reason);
        let Some(id) = id else { return };
        let text = id.raw().trim_matches('"').to_owned();
        match self.own.remove(&text) {
            Some(super::Own::Page { kind, reading }) => {
                self.on_page_malformed(kind, reading, reason.to_owned());
            }
            Some(super::Own::Initialize) => self.out.end = Some(reason.to_owned()),
            Some(super::Own::Discover) => self.on_not_discovered(None),
            Some(super::Own::Ignored) => {}
            None => {
                let key = self.key_of(id, origin);
                if matches!(self.open.get(&key), Some(Open::Forwarded(_))) {
                    self.fail(&key, INTERNAL_ERROR, reason);
                }
            }
        }
    }

    /// Whether an answer to this is still to come.
    pub fn awaits(&self, on: &On) -> bool {
        match on {
            On::Request { key, .. } => matches!(self.open.get(key), Some(Open::Forwarded(_))),
            On::Own(id) => self.own.contains_key(id.trim_matches('"')),
            On::Other => false,
        }
    }

    /// The server will not answer this any more, if it has not: it could not be reached, or gave up.
    pub fn on_unanswered(&mut self, on: &On, reason: &str) {
        match on {
            On::Request { key, .. } => {
                if let Some(Open::Forwarded(forwarded)) = self.open.get(key) {
                    if matches!(forwarded.what, Sent::Initialize) {
                        self.phase = Phase::Fresh;
                        self.replay.hello = None;
                    }
                    tracing::warn!(server = %self.entry.name, "{}", visible_cut(reason, SHOWN));
                    self.fail(key, INTERNAL_ERROR, reason);
                } else if matches!(self.open.get(key), Some(Open::Cancelled)) {
                    self.close(key);
                }
            }
            On::Own(id) => match self.own.remove(id.trim_matches('"')) {
                Some(super::Own::Page { kind, reading }) => {
                    self.on_page_unreached(kind, reading, reason.to_owned());
                }
                Some(super::Own::Initialize) => self.out.end = Some(reason.to_owned()),
                Some(super::Own::Discover) => self.on_undescribed(reason),
                Some(super::Own::Ignored) | None => {}
            },
            On::Other => {}
        }
    }

    fn on_server_notification(
        &mut self,
        name: &str,
        given: Option<&str>,
        line: Bytes,
        origin: Option<u64>,
    ) {
        let mut about = origin.map_or(About::Session, About::During);
        match method::server_notification(name) {
            Some(ServerNotification::ListChanged(kinds)) => self.read_for_server(kinds),
            Some(ServerNotification::Acknowledged) if !self.has_voice() => {
                if let Some((exchange, _)) = self.listener_of(given, &about) {
                    self.acknowledge(exchange);
                }
            }
            Some(notification) => {
                let concerns = self.concerns_client(notification, given, &mut about);
                let judged = concerns
                    && notification == ServerNotification::TaskStatus
                    && self.on_task_told(name, given, &line, &about);
                if concerns && !judged {
                    self.say(super::voice::Said::Notification(line, about));
                }
            }
            None if self.entry.lets_through(&self.config, name) => {
                self.say(super::voice::Said::Notification(line, about));
            }
            None => self.record_refused(name, "nobody knows this notification"),
        }
    }

    /// Whether a notification is about something the client has to do with; `about` becomes the request that it is
    /// about, where it says so.
    fn concerns_client(
        &mut self,
        notification: ServerNotification,
        given: Option<&str>,
        about: &mut About,
    ) -> bool {
        match notification {
            ServerNotification::Progress => {
                let Some(token) = given.and_then(params::told_token) else {
                    return false;
                };
                let on = match about {
                    About::During(exchange) => Some(*exchange),
                    _ => None,
                };
                let meant = self.open.iter().find(|(key, open)| {
                    on.is_none_or(|exchange| exchange == key.exchange)
                        && matches!(open, Open::Forwarded(f) if f.token.as_deref() == Some(token))
                });
                if let Some((key, _)) = meant
                    && *about == About::Session
                {
                    *about = About::During(key.exchange);
                }
                meant.is_some() || !self.tasks.is_empty()
            }
            ServerNotification::Cancelled => {
                let id = given.and_then(params::request_id);
                id.is_some_and(|id| self.asked.remove(&id))
            }
            ServerNotification::ResourceUpdated => {
                let Some(uri) = given.and_then(params::uri) else {
                    return false;
                };
                let uri = normal_form(&uri).into_owned();
                if self.is_stateless() {
                    // Whether it is one of those listened to, or a part of one, is the server's to say.
                    let Some((exchange, _)) = self.listener_of(given, about) else {
                        return false;
                    };
                    *about = About::During(exchange);
                    return self.may_reach(&uri);
                }
                // A sub-resource of what is subscribed to may be named (MCP, server/resources, subscriptions).
                let subscribed = self.replay.subscriptions.contains_key(&uri)
                    || !self.replay.subscriptions.is_empty();
                subscribed && self.may_reach(&uri)
            }
            ServerNotification::TaskStatus => {
                if let Some((exchange, _)) = self.listener_of(given, about) {
                    *about = About::During(exchange);
                }
                given
                    .and_then(params::task_id)
                    .is_some_and(|id| self.tasks.has(&id))
            }
            ServerNotification::Acknowledged => {
                let listener = self
                    .listener_of(given, about)
                    .filter(|(_, filter)| !filter.is_acknowledged())
                    .map(|(exchange, _)| exchange);
                if let Some(exchange) = listener {
                    *about = About::During(exchange);
                }
                listener.is_some()
            }
            ServerNotification::Message
            | ServerNotification::ElicitationComplete
            | ServerNotification::ListChanged(_) => true,
        }
    }
}
