//! GET and DELETE of sessions that began with `initialize`: listening, coming back to a stream, ending.
//!
//! Knows the rules of "Listening for Messages from the Server", "Resumability and Redelivery" and "Session Management"
//! (2025-11-25, Transports).

use std::sync::Arc;

use futures_util::stream;
use http::request::Parts;
use http::{Response, StatusCode};

use super::auth::Admission;
use super::events::{Events, Source};
use super::headers::{self, LAST_EVENT_ID, PROTOCOL_VERSION, SESSION_ID};
use super::reply::{self, Body, Refusal};
use super::sessions::Entry;
use super::sse::{self, EventId};
use super::{Front, post};
use crate::chain::convert::Caller;
use crate::gate::serve::Session;
use crate::mcp::initialize::ServerHello;
use crate::mcp::method::REVISIONS;
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_REQUEST};
use crate::wire::{Envelope, Message, WireLimits, parse};

/// The first revision whose clients know that a stream may begin with an event without data.
const PRIMED: &str = "2025-11-25";

impl Front {
    /// Answers a GET: the session's stream that belongs to no request, or one that broke off.
    pub(super) fn listen(
        &self,
        server: &str,
        admission: &Admission,
        parts: &Parts,
    ) -> Result<Response<Body>, Refusal> {
        headers::accepts(&parts.headers, &[sse::MEDIA_TYPE])?;
        let entry = self.session(server, &admission.caller, parts)?;
        let slot = self.stream_slot(None)?;
        let last = headers::one(&parts.headers, &LAST_EVENT_ID)
            .map_err(|error| headers::unusable(&error))?;
        let reader = match last {
            None => entry
                .standalone(|| standing(&entry.session))
                .ok_or_else(|| {
                    Refusal::rpc(
                        StatusCode::CONFLICT,
                        None,
                        INVALID_REQUEST,
                        "this session's stream is open on another connection; end that first",
                    )
                })?,
            Some(last) => {
                let unknown = || {
                    Refusal::rpc(
                        StatusCode::BAD_REQUEST,
                        None,
                        INVALID_REQUEST,
                        "Last-Event-ID names no event that is kept",
                    )
                };
                let last = EventId::parse(last).ok_or_else(unknown)?;
                let stream = entry.stream_numbered(last.stream).ok_or_else(unknown)?;
                if stream.standalone && stream.is_over() {
                    stream.goes_on_with(standing(&entry.session));
                }
                stream.read(last.event).ok_or_else(unknown)?
            }
        };
        let standalone = reader.is_standalone();
        let primed = last.is_none() && entry.primed;
        let holds = self.holds(admission.pass);
        let mut events = Events::kept(reader, primed, holds, self.config.limits.keep_alive, slot)
            .of(entry.in_use());
        if standalone {
            events = events.until(self.stops());
        }
        Ok(reply::stream(Body::events(events)))
    }

    /// Answers a DELETE: ends the session.
    pub(super) fn delete(
        &self,
        server: &str,
        caller: &Caller,
        parts: &Parts,
    ) -> Result<Response<Body>, Refusal> {
        let entry = self.session(server, caller, parts)?;
        self.sessions.remove(&entry.id);
        close(entry);
        let mut response = Response::new(Body::whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        Ok(response)
    }

    /// The session that a GET or a DELETE names.
    fn session(&self, server: &str, caller: &Caller, parts: &Parts) -> Result<Arc<Entry>, Refusal> {
        let unusable = |error| headers::unusable(&error);
        let version = headers::one(&parts.headers, &PROTOCOL_VERSION).map_err(unusable)?;
        let id = headers::one(&parts.headers, &SESSION_ID).map_err(unusable)?;
        let modern = version == Some(crate::mcp::stateless::REVISION);
        let Some(id) = id.filter(|_| !modern) else {
            return Err(Refusal::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET and DELETE are for sessions that began with `initialize`: send their Mcp-Session-Id",
            )
            .allowing("POST"));
        };
        if let Some(version) = version {
            known(version)?;
        }
        self.sessions
            .find(id, caller, server)
            .ok_or_else(post::no_session)
    }
}

/// Refuses a revision that is none of those with sessions.
pub(super) fn known(version: &str) -> Result<(), Refusal> {
    if REVISIONS.contains(&version) {
        return Ok(());
    }
    Err(Refusal::rpc(
        StatusCode::BAD_REQUEST,
        None,
        INVALID_REQUEST,
        format!(
            "MCP-Protocol-Version is not one of {}",
            REVISIONS.join(", ")
        ),
    ))
}

/// Whether the client knows events without data: `line` is the answer to its `initialize`, which says the revision that
/// the session is of.
pub(super) fn is_primed(line: &[u8]) -> bool {
    let revision = match parse(line, &WireLimits::default()) {
        Ok(Envelope {
            message: Message::Result { result, .. },
            ..
        }) => ServerHello::parse(result).ok(),
        _ => None,
    };
    revision.is_some_and(|hello| &*hello.protocol_version >= PRIMED)
}

/// What the server says to no request in particular.
fn standing(session: &Arc<Session>) -> Source {
    Box::pin(stream::unfold(
        session.listen(),
        |mut listening| async move {
            let line = listening.next().await?;
            Some((line, listening))
        },
    ))
}

/// Ends a session, in the background: its server may take a while.
pub(super) fn close(entry: Arc<Entry>) {
    tokio::spawn(async move { entry.session.close().await });
}

impl Front {
    /// Room for one more stream of events. `id` is the request's, raw.
    pub(super) fn stream_slot(&self, id: Option<&str>) -> Result<super::limits::Slot, Refusal> {
        self.streams.take().ok_or_else(|| {
            Refusal::rpc(
                StatusCode::SERVICE_UNAVAILABLE,
                id,
                INTERNAL_ERROR,
                "too many streams are open (`max_streams` in [http.limits])",
            )
            .retry_after(post::RETRY_S)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_primed;

    #[test]
    fn streams_are_primed_from_the_revision_on_that_knows_of_it() {
        let answer = |version| {
            format!(
                r#"{{"jsonrpc":"2.0","id":1,"result":{{"protocolVersion":"{version}","capabilities":{{}}}}}}"#
            )
        };
        assert!(is_primed(answer("2025-11-25").as_bytes()));
        assert!(!is_primed(answer("2025-06-18").as_bytes()));
        assert!(!is_primed(br#"{"jsonrpc":"2.0","id":1,"result":{}}"#));
        assert!(!is_primed(b"no message"));
    }
}
