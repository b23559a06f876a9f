//! POST: one message of a client's, of either era.
//!
//! Knows which session it belongs to, and how its answer travels: as one JSON body, or as events if more than the
//! answer is said. What it means, and whether it may pass, is the session's to say.

mod answers;
mod era;
mod under_way;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;

use super::auth::{Admission, Pass};
use super::events::Events;
use super::headers::{self, SESSION_ID};
use super::limits::{Admitted, Full};
use super::metrics::{self, Seen};
use super::reply::{self, Body, Refusal};
use super::sessions::{Entry, NoRoom};
use super::{Front, body, listen, modern, sse};
use crate::audit::{Outcome, Record};
use crate::chain::convert::Caller;
use crate::gate::serve::{Exchange, Said, Session};
use crate::mcp::headers::HEADER_MISMATCH;
use crate::mcp::method::{self, ClientRequest};
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_REQUEST};
use crate::wire::{Malformed, Message, WireLimits, parse};
pub(super) use answers::no_session;
use answers::{cannot_open, ended, malformed, status_of};
use era::{Era, era};
use under_way::{Going, Unclaimed, said};

/// After how many seconds a client that was turned away for want of room may try again.
pub(super) const RETRY_S: u32 = 1;

/// The most that a server may say before it answers `initialize`.
const MAX_BEFORE_SESSION: usize = 64;

/// The longest method that is recorded, characters.
const MAX_METHOD: usize = 200;

/// What a request needs to be answered.
#[derive(Clone, Copy)]
struct Asked<'a> {
    server: &'a str,
    parts: &'a Parts,
    /// The message.
    line: &'a Bytes,
    /// Its id, raw.
    id: &'a str,
    method: &'a str,
    params: Option<&'a str>,
    pass: Pass,
}

impl Asked<'_> {
    /// Whether an answer that came by itself is to travel as an event: the client would rather have events, and the
    /// server had no say, since it has no HTTP, or the gate answers in its place. Otherwise JSON stays JSON.
    fn wants_events(&self, session: &Session) -> bool {
        let gates_own = || {
            matches!(
                method::client_request(self.method),
                Some(ClientRequest::List(_) | ClientRequest::Discover)
            )
        };
        headers::prefers_events(&self.parts.headers) && (!session.is_over_http() || gates_own())
    }
}

impl Front {
    /// Answers a POST of `caller` to `server`'s endpoint.
    pub(super) async fn post(
        self: &Arc<Self>,
        server: &str,
        admission: Admission,
        parts: &Parts,
        incoming: Incoming,
        seen: &mut Seen,
    ) -> Result<Response<Body>, Refusal> {
        let Admission { caller, pass } = admission;
        headers::body_is_json(&parts.headers)?;
        headers::accepts(&parts.headers, &["application/json", sse::MEDIA_TYPE])?;
        let line = self.body(incoming).await?;
        let limits = {
            let limits = &self.gateway.host.config.load().limits;
            WireLimits {
                max_message: limits.max_message,
                max_depth: limits.max_depth,
            }
        };
        let envelope = match parse(&line, &limits) {
            Ok(envelope) => envelope,
            Err(error) => {
                self.record_malformed(server, &caller, &error);
                return Err(malformed(&error));
            }
        };
        let era = era(parts, &envelope.message)?;
        if let Message::Request { method, .. } | Message::Notification { method, .. } =
            &envelope.message
        {
            seen.method = metrics::known(method);
        }
        let (id, method, params) = match &envelope.message {
            Message::Request { id, method, params } => (id.raw(), &**method, *params),
            told => return self.tell(era, server, &caller, parts, told, &line).await,
        };
        let asked = Asked {
            server,
            parts,
            line: &line,
            id,
            method,
            params,
            pass,
        };
        let admitted = self.admission.enter(&caller.id).await.map_err(|full| {
            let status = match full {
                Full::Caller => StatusCode::TOO_MANY_REQUESTS,
                Full::All | Full::Queue => StatusCode::SERVICE_UNAVAILABLE,
            };
            Refusal::rpc(status, Some(id), INTERNAL_ERROR, full.to_string()).retry_after(RETRY_S)
        })?;
        match era {
            Era::Modern => self.modern(asked, caller, admitted, seen).await,
            Era::Legacy if method == "initialize" => self.initialize(asked, caller, seen).await,
            Era::Legacy => self.legacy(asked, &caller, admitted, seen).await,
        }
    }

    /// Reads the body, when there is room for one more to be read.
    async fn body(&self, incoming: Incoming) -> Result<Bytes, Refusal> {
        let limits = &self.config.limits;
        let reading = tokio::time::timeout(limits.queue_timeout, self.bodies.acquire()).await;
        let Ok(Ok(_reading)) = reading else {
            return Err(Refusal::rpc(
                StatusCode::SERVICE_UNAVAILABLE,
                None,
                INTERNAL_ERROR,
                "too many bodies are being read (`max_requests` in [http.limits])",
            )
            .retry_after(RETRY_S)
            .closing());
        };
        let body = body::read(incoming, limits.max_body_bytes, limits.body_timeout).await?;
        Ok(body::on_one_line(body))
    }

    /// A request of 2026-07-28.
    async fn modern(
        &self,
        asked: Asked<'_>,
        caller: Caller,
        admitted: Admitted,
        seen: &mut Seen,
    ) -> Result<Response<Body>, Refusal> {
        let headers = &asked.parts.headers;
        modern::check(headers, asked.id, asked.method, asked.params)?;
        let params = match asked.method {
            "tools/call" => Some(modern::params_of(headers).map_err(|error| {
                Refusal::rpc(
                    StatusCode::BAD_REQUEST,
                    Some(asked.id),
                    HEADER_MISMATCH,
                    format!("Header mismatch: {error}"),
                )
            })?),
            _ => None,
        };
        let session = self
            .gateway
            .stateless(asked.server, caller, asked.line)
            .await
            .map_err(|error| cannot_open(&error, asked.id))?;
        let mut exchange = session.request(asked.line.clone(), params);
        let first = match self.first(&mut exchange, asked.id).await? {
            None => return Err(ended(&session, asked.id)),
            Some(Said::Answer { line, error }) => {
                seen.error = error.is_some();
                if error.is_none() && asked.wants_events(&session) {
                    let event = sse::event(None, &line).concat();
                    return Ok(reply::stream(Body::whole(event)));
                }
                return Ok(reply::message(status_of(error), &line));
            }
            Some(Said::Message(line)) => Some(line),
            Some(Said::Streams) => None,
        };
        let slot = self.stream_slot(Some(asked.id))?;
        // A subscription is no request under way: it stays open for as long as the client listens.
        let subscription = asked.method == "subscriptions/listen";
        let source = said(
            session,
            exchange,
            (!subscription).then_some(admitted),
            asked.id,
        );
        let (holds, keep_alive) = (self.holds(asked.pass), self.config.limits.keep_alive);
        let mut events = Events::once(first.as_ref(), source, holds, keep_alive, slot);
        if subscription {
            events = events.until(self.stops());
        }
        Ok(reply::stream(Body::events(events)))
    }

    /// A request of a session that began with `initialize`.
    async fn legacy(
        &self,
        asked: Asked<'_>,
        caller: &Caller,
        admitted: Admitted,
        seen: &mut Seen,
    ) -> Result<Response<Body>, Refusal> {
        let entry = self.session_of(asked.server, caller, asked.parts)?;
        let in_use = entry.in_use();
        let mut going = Going {
            exchange: Some(entry.session.request(asked.line.clone(), None)),
            admitted: Some(admitted),
            limit: self.config.limits.first_byte_timeout,
        };
        let first = match &mut going.exchange {
            Some(exchange) => self.first(exchange, asked.id).await?,
            None => None,
        };
        let (Some(exchange), admitted) = (going.exchange.take(), going.admitted.take()) else {
            return Err(no_session());
        };
        let first = match first {
            None if entry.session.is_over().is_some() => return Err(no_session()),
            // The client cancelled it, and gets no answer.
            None => return Ok(reply::stream(Body::whole(""))),
            Some(Said::Answer { line, error }) => {
                seen.error = error.is_some();
                if seen.error || !asked.wants_events(&entry.session) {
                    return Ok(reply::message(StatusCode::OK, &line));
                }
                // It is all there is to come.
                Err(line)
            }
            Some(Said::Message(line)) => Ok(Some(line)),
            Some(Said::Streams) => Ok(None),
        };
        let slot = self.stream_slot(Some(asked.id))?;
        let stream = match first {
            Ok(first) => {
                let session = entry.session.clone();
                entry.stream(first, said(session, exchange, admitted, asked.id))
            }
            Err(answer) => entry.stream(Some(answer), Box::pin(stream::empty())),
        };
        let Some(reader) = stream.read(0) else {
            return Err(no_session());
        };
        let (holds, keep_alive) = (self.holds(asked.pass), self.config.limits.keep_alive);
        let events = Events::kept(reader, entry.primed, holds, keep_alive, slot).of(in_use);
        Ok(reply::stream(Body::events(events)))
    }

    /// `initialize`: opens a session, which is the client's once the server has answered with a result.
    async fn initialize(
        self: &Arc<Self>,
        asked: Asked<'_>,
        caller: Caller,
        seen: &mut Seen,
    ) -> Result<Response<Body>, Refusal> {
        if asked.parts.headers.contains_key(SESSION_ID) {
            return Err(Refusal::rpc(
                StatusCode::BAD_REQUEST,
                Some(asked.id),
                INVALID_REQUEST,
                "a session is initialized once: send `initialize` without Mcp-Session-Id",
            ));
        }
        let (room, closed) = self.sessions.room(&caller.id).map_err(|error| {
            let status = match error {
                NoRoom::Caller => StatusCode::TOO_MANY_REQUESTS,
                NoRoom::All => StatusCode::SERVICE_UNAVAILABLE,
            };
            Refusal::rpc(status, Some(asked.id), INTERNAL_ERROR, error.to_string())
                .retry_after(RETRY_S)
        })?;
        if let Some(closed) = closed {
            listen::close(closed);
        }
        let session = self
            .gateway
            .open(asked.server, caller)
            .await
            .map_err(|error| cannot_open(&error, asked.id))?;
        let mut unclaimed = Unclaimed(Some(session.clone()));
        let mut exchange = session.request(asked.line.clone(), None);
        let mut said: Option<Vec<Bytes>> = None;
        let (line, error) = loop {
            match self.first(&mut exchange, asked.id).await? {
                None => return Err(ended(&session, asked.id)),
                Some(Said::Answer { line, error }) => break (line, error),
                Some(Said::Streams) => {
                    said.get_or_insert_default();
                }
                // The client has no session yet, and could answer nothing.
                Some(Said::Message(line)) => {
                    let said = said.get_or_insert_default();
                    if said.len() < MAX_BEFORE_SESSION {
                        said.push(line);
                    }
                }
            }
        };
        seen.error = error.is_some();
        let primed = listen::is_primed(&line);
        let mut response = match said {
            None => reply::message(StatusCode::OK, &line),
            Some(mut said) => {
                said.push(line);
                let events: Vec<u8> = said
                    .iter()
                    .flat_map(|line| sse::event(None, line))
                    .flatten()
                    .collect();
                reply::stream(Body::whole(events))
            }
        };
        if error.is_none() {
            unclaimed.0 = None;
            let entry = room.put(session, asked.server, primed);
            let id = HeaderValue::from_str(&entry.id).map_err(|_| no_session())?;
            response.headers_mut().insert(SESSION_ID, id);
        }
        Ok(response)
    }

    /// A notification, or an answer of the client's.
    async fn tell(
        &self,
        era: Era,
        server: &str,
        caller: &Caller,
        parts: &Parts,
        told: &Message<'_>,
        line: &Bytes,
    ) -> Result<Response<Body>, Refusal> {
        if era == Era::Modern {
            // This revision has none over HTTP: a client closes the stream to cancel, and answers by asking again.
            return match told {
                Message::Notification { method, .. }
                    if method::client_notification(method).is_some() =>
                {
                    Ok(reply::accepted())
                }
                told => {
                    let reason = "in 2026-07-28 clients send requests only";
                    let method = match told {
                        Message::Notification { method, .. } => method,
                        _ => "",
                    };
                    self.record_refused(server, caller, method, reason);
                    Err(Refusal::rpc(
                        StatusCode::BAD_REQUEST,
                        None,
                        INVALID_REQUEST,
                        reason,
                    ))
                }
            };
        }
        let entry = self.session_of(server, caller, parts)?;
        let _in_use = entry.in_use();
        let is_request = matches!(told, Message::Notification { method, .. } if method::client_request(method).is_some());
        match entry.session.tell(line.clone()).await {
            // What is not accepted gets an error's status (MCP 2025-11-25, transports, "Sending Messages to the Server").
            None if is_request => Err(Refusal::rpc(
                StatusCode::BAD_REQUEST,
                None,
                INVALID_REQUEST,
                "a request without an id",
            )),
            None => Ok(reply::accepted()),
            Some(error) => Ok(reply::message(StatusCode::BAD_REQUEST, &error)),
        }
    }

    /// The session that a message names.
    fn session_of(
        &self,
        server: &str,
        caller: &Caller,
        parts: &Parts,
    ) -> Result<Arc<Entry>, Refusal> {
        let id =
            headers::one(&parts.headers, &SESSION_ID).map_err(|error| headers::unusable(&error))?;
        let Some(id) = id else {
            return Err(Refusal::rpc(
                StatusCode::BAD_REQUEST,
                None,
                INVALID_REQUEST,
                "Mcp-Session-Id is missing: begin with `initialize`, or send a request of 2026-07-28",
            ));
        };
        self.sessions
            .find(id, caller, server)
            .ok_or_else(no_session)
    }

    /// What comes first of an answer, if it comes in time.
    async fn first(&self, exchange: &mut Exchange, id: &str) -> Result<Option<Said>, Refusal> {
        let limit = self.config.limits.first_byte_timeout;
        tokio::time::timeout(limit, exchange.next())
            .await
            .map_err(|_| {
                Refusal::rpc(
                    StatusCode::GATEWAY_TIMEOUT,
                    Some(id),
                    INTERNAL_ERROR,
                    "the server did not answer in time (`first_byte_timeout_s` in [http.limits])",
                )
            })
    }

    /// What is not understood is recorded, like everything that is refused.
    fn record_malformed(&self, server: &str, caller: &Caller, error: &Malformed) {
        let method = error.method.as_deref().unwrap_or_default();
        self.record_refused(server, caller, method, &error.reason);
    }

    fn record_refused(&self, server: &str, caller: &Caller, method: &str, reason: &str) {
        let host = &self.gateway.host;
        host.audit.record(Record {
            generation: host.chain.current().id,
            caller: caller.id.as_str().into(),
            server: server.into(),
            method: method.chars().take(MAX_METHOD).collect(),
            verdict: Outcome::Refused,
            codes: vec![("witgate".into(), reason.to_owned())],
            ..Record::default()
        });
    }
}
