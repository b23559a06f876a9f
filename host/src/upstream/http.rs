//! A client of one MCP server behind a URL: streamable HTTP, as of 2025-03-26 to 2025-11-25 and as of 2026-07-28.
//!
//! Knows requests, statuses, headers and streams. Knows no message's meaning: what it sends it was given together with what
//! the headers need ([`About`]), and what it receives it hands on unchecked, one line each.
//!
//! # Use
//!
//! One [`Endpoint`] per server, shared; one [`Connection`] per session with it (or per (server, caller) in 2026-07-28).
//! [`Connection::post`] sends one message and waits for the head of the answer:
//!
//! - [`Posted::Accepted`]: there is nothing to read. Usual for notifications and answers.
//! - [`Posted::Message`]: one message. With a status that is no success it is a JSON-RPC error, which may have no id: it
//!   answers what was posted.
//! - [`Posted::Stream`]: call [`Events::next`] until the answer came, then [`Events::done`]. What comes before belongs to the
//!   same request. A stream that ends (`None`) without the answer has failed; resuming is done within `next`.
//!
//! All futures can be driven anywhere; none spawns a task; a call's bytes are written and read by whoever awaits it.
//! Dropping the future of `post`, or `Events`, closes the connection they use: in 2026-07-28 that is how a request is
//! cancelled; in older revisions a server takes it for a mere disconnection, and `notifications/cancelled` has to be posted.
//!
//! In the older revisions: post `initialize` as [`Era::Initialize`], then say [`Connection::negotiated`] with the version
//! of the result (the session's id is kept from the answer), post everything else as [`Era::Session`], and call
//! [`Connection::listen`] after `notifications/initialized` for what belongs to no request. [`UpstreamError::SessionGone`]
//! from anything means that only a new `initialize` on a new `Connection` goes on. [`Connection::end`] at the end.
//!
//! In 2026-07-28: post everything as [`Era::Stateless`].

mod body;
mod error;
mod events;
mod link;
mod oauth;
mod pool;
pub mod sse;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Incoming};

use body::{Content, Unread, content};
pub use error::UpstreamError;
pub use events::Events;
use events::Purpose;
use link::{Link, SendError};
pub(in crate::upstream) use oauth::Tokens;
pub(in crate::upstream) use pool::Pool;

use crate::mcp::escape::visible;
use crate::mcp::headers;
use crate::upstream::Endpoint;
use crate::wire::{Message, WireLimits, parse};

const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const JSON_OR_STREAM: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");
const STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

/// How long the end of a session may take to be told.
const GOODBYE: Duration = Duration::from_secs(2);

/// How often a message that no byte was written of is sent again.
const ATTEMPTS: usize = 4;

/// What the headers of a message need, beside the message.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// By which rules it travels.
    pub era: Era<'a>,
    /// Its method; none if it is an answer.
    pub method: Option<&'a str>,
    /// Its `params`, as they are written.
    pub params: Option<&'a str>,
    /// Of `tools/call`: the tool's definition, as the server wrote it, for `Mcp-Param-*`. Used in 2026-07-28 only.
    pub definition: Option<&'a str>,
}

/// By which rules a message travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Era<'a> {
    /// `initialize` itself: no session yet, no version agreed on.
    Initialize,
    /// Within a session that `initialize` began.
    Session,
    /// 2026-07-28 or later: no session, everything in the request.
    Stateless {
        /// The version that the message's `_meta` names.
        version: &'a str,
    },
}

/// What a server did with a message.
pub enum Posted {
    /// It took it, and says nothing.
    Accepted,
    /// It answers with one message.
    Message {
        /// The message: one line, not yet checked in any way.
        line: Bytes,
        /// The status it came with; if it is no success, the message is an error.
        status: StatusCode,
    },
    /// It answers with a stream.
    Stream(Box<Events>),
}

/// A client's side of one session with a server. Cheap to clone; clones are the same session.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    endpoint: Arc<Endpoint>,
    limits: WireLimits,
    session: Mutex<Session>,
}

/// What the session adds to every request.
struct Session {
    /// The endpoint's headers, and the session's own.
    headers: HeaderMap,
    has_id: bool,
}

impl Connection {
    /// A new one; nothing is sent yet. `limits` bound every message that comes back.
    pub fn new(endpoint: Arc<Endpoint>, limits: WireLimits) -> Self {
        let headers = endpoint.base.clone();
        Self(Arc::new(Inner {
            endpoint,
            limits,
            session: Mutex::new(Session {
                headers,
                has_id: false,
            }),
        }))
    }

    /// The version that `initialize` agreed on: every later request names it.
    pub fn negotiated(&self, version: &str) {
        if let Ok(value) = HeaderValue::from_str(version) {
            self.with_session(|session| session.headers.insert(PROTOCOL_VERSION, value));
        }
    }

    /// Sends one message, exactly as given, and waits for the head of what the server answers; for a single message also
    /// for its body. How long to wait is the caller's to say.
    ///
    /// # Errors
    /// Everything that is not an answer in the sense of MCP. Only after `Unreachable`, `ConnectTimeout`, `Tls`,
    /// `Unauthorized` and `Credentials` is it certain that the server did not act on the message.
    pub async fn post(&self, message: Bytes, about: &About<'_>) -> Result<Posted, UpstreamError> {
        let mut headers = match about.era {
            Era::Initialize => self.0.endpoint.base.clone(),
            Era::Session => self.session_headers(),
            Era::Stateless { version } => self.stateless_headers(version, about),
        };
        headers.insert(header::CONTENT_TYPE, JSON);
        headers.insert(header::ACCEPT, JSON_OR_STREAM);
        let (link, answer) = self.send(Method::POST, headers, message).await?;
        let status = answer.status();
        if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT {
            self.pool().put(link, Some(answer.into_body()));
            return Ok(Posted::Accepted);
        }
        if about.era == Era::Initialize
            && status.is_success()
            && let Some(id) = answer.headers().get(SESSION_ID)
        {
            self.with_session(|session| {
                session.has_id = true;
                session.headers.insert(SESSION_ID, id.clone())
            });
        }
        if !status.is_success() {
            return self.failed(link, answer, about.era == Era::Session).await;
        }
        let content = content(&answer);
        match content {
            Content::Json => {
                let line = self.whole(link, answer.into_body()).await?;
                if line.is_empty() {
                    return Ok(Posted::Accepted);
                }
                Ok(Posted::Message { line, status })
            }
            Content::Stream => {
                let purpose = match about.era {
                    Era::Stateless { .. } => Purpose::Once,
                    _ => Purpose::Answer,
                };
                let events = Events::new(self.clone(), purpose, link, answer.into_body(), None);
                Ok(Posted::Stream(Box::new(events)))
            }
            Content::Other if answer.body().is_end_stream() => {
                self.pool().put(link, None);
                Ok(Posted::Accepted)
            }
            Content::Other => Err(self.not_mcp(&answer)),
        }
    }

    /// Opens the stream of what belongs to no request (GET), from `last_event_id` on if one is given. None if the server
    /// offers none. The stream goes on over further connections until the session is over.
    ///
    /// # Errors
    /// As [`Self::post`].
    pub async fn listen(
        &self,
        last_event_id: Option<&Bytes>,
    ) -> Result<Option<Events>, UpstreamError> {
        let last = last_event_id.cloned();
        let value = last
            .clone()
            .and_then(|id| HeaderValue::from_maybe_shared(id).ok());
        Ok(self
            .get(value)
            .await?
            .map(|(link, body)| Events::new(self.clone(), Purpose::Listening, link, body, last)))
    }

    /// Tells the server that the session is over (DELETE), if there is one that it knows by an id. Best effort, for two
    /// seconds at most.
    pub async fn end(&self) {
        if !self.with_session(|session| session.has_id) {
            return;
        }
        let headers = self.session_headers();
        let told = self.send(Method::DELETE, headers, Bytes::new());
        match tokio::time::timeout(GOODBYE, told).await {
            Ok(Ok((link, answer))) => self.pool().put(link, Some(answer.into_body())),
            Ok(Err(error)) => tracing::debug!("the end of a session was not told: {error}"),
            Err(_) => {
                tracing::debug!(server = %self.0.endpoint.name, "the end of a session was not told in time")
            }
        }
    }

    /// GET, from an event on; none if the server offers no stream to be listened to.
    async fn get(
        &self,
        last: Option<HeaderValue>,
    ) -> Result<Option<(Link, Incoming)>, UpstreamError> {
        let mut headers = self.session_headers();
        headers.insert(header::ACCEPT, STREAM);
        if let Some(last) = last {
            headers.insert(LAST_EVENT_ID, last);
        }
        let (link, answer) = self.send(Method::GET, headers, Bytes::new()).await?;
        let status = answer.status();
        if status == StatusCode::METHOD_NOT_ALLOWED {
            self.pool().put(link, Some(answer.into_body()));
            return Ok(None);
        }
        if !status.is_success() {
            return match self.failed(link, answer, true).await {
                Err(error) => Err(error),
                Ok(_) => Err(self.status(status)),
            };
        }
        match content(&answer) {
            Content::Stream => Ok(Some((link, answer.into_body()))),
            _ => Err(self.not_mcp(&answer)),
        }
    }

    /// Sends a request, with an access token where the server asks for one; with a fresh one, once, if the server does not
    /// take it any more: what a server answers with 401 it did not act on.
    async fn send(
        &self,
        method: Method,
        mut headers: HeaderMap,
        body: Bytes,
    ) -> Result<(Link, Response<Incoming>), UpstreamError> {
        let Some(tokens) = &self.0.endpoint.tokens else {
            return self.exchange(method, headers, body).await;
        };
        let token = tokens.get().await?;
        headers.insert(header::AUTHORIZATION, token.clone());
        let (link, answer) = self
            .exchange(method.clone(), headers.clone(), body.clone())
            .await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok((link, answer));
        }
        tokens.reject(&token);
        headers.insert(header::AUTHORIZATION, tokens.get().await?);
        self.exchange(method, headers, body).await
    }

    /// Sends a request over a connection that waits, or over a new one.
    async fn exchange(
        &self,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(Link, Response<Incoming>), UpstreamError> {
        let endpoint = &self.0.endpoint;
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = endpoint.target.clone();
        *request.headers_mut() = headers;
        let mut attempt = 1;
        loop {
            let mut link = match self.pool().take() {
                Some(link) if attempt < ATTEMPTS => link,
                _ => Link::open(endpoint).await?,
            };
            match link.send(request).await {
                Ok(answer) => return Ok((link, answer)),
                Err(SendError::Unsent(unsent, _)) if attempt < ATTEMPTS => {
                    request = *unsent;
                    attempt += 1;
                }
                Err(SendError::Unsent(_, source) | SendError::Broken(source)) => {
                    return Err(self.broken(source));
                }
            }
        }
    }

    /// What a status that is no success means.
    async fn failed(
        &self,
        link: Link,
        answer: Response<Incoming>,
        in_session: bool,
    ) -> Result<Posted, UpstreamError> {
        let server = || self.0.endpoint.name.clone();
        let status = answer.status();
        if status == StatusCode::UNAUTHORIZED {
            return Err(UpstreamError::Unauthorized { server: server() });
        }
        if status == StatusCode::NOT_FOUND
            && in_session
            && self.with_session(|session| session.has_id)
        {
            return Err(UpstreamError::SessionGone { server: server() });
        }
        if content(&answer) == Content::Json {
            let line = self.whole(link, answer.into_body()).await?;
            let parsed = parse(&line, &self.0.limits);
            if parsed.is_ok_and(|envelope| matches!(envelope.message, Message::Error { .. })) {
                return Ok(Posted::Message { line, status });
            }
        } else {
            self.pool().put(link, Some(answer.into_body()));
        }
        Err(self.status(status))
    }

    /// The whole of a body that is one message.
    async fn whole(&self, mut link: Link, body: Incoming) -> Result<Bytes, UpstreamError> {
        match body::whole(&mut link, body, self.limit()).await {
            Ok(line) => {
                self.pool().put(link, None);
                Ok(line)
            }
            Err(Unread::TooLarge) => Err(self.too_large()),
            Err(Unread::Broken(source)) => Err(self.broken(source)),
        }
    }

    fn stateless_headers(&self, version: &str, about: &About<'_>) -> HeaderMap {
        let mut headers = self.0.endpoint.base.clone();
        headers.insert(PROTOCOL_VERSION, headers::encode(version));
        let Some(method) = about.method else {
            return headers;
        };
        headers.insert(MCP_METHOD, headers::encode(method));
        if let Some(name) = headers::name_of(method, about.params) {
            headers.insert(MCP_NAME, headers::encode(&name));
        }
        if let Some(definition) = about.definition {
            for (name, value) in headers::for_call(definition, about.params) {
                headers.insert(name, value);
            }
        }
        headers
    }

    fn session_headers(&self) -> HeaderMap {
        self.with_session(|session| session.headers.clone())
    }

    fn with_session<T>(&self, f: impl FnOnce(&mut Session) -> T) -> T {
        f(&mut self
            .0
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner))
    }

    fn limit(&self) -> usize {
        self.0.limits.max_message
    }

    fn pool(&self) -> &Arc<Pool> {
        &self.0.endpoint.pool
    }

    fn too_large(&self) -> UpstreamError {
        UpstreamError::TooLarge {
            server: self.0.endpoint.name.clone(),
            limit: self.limit(),
        }
    }

    fn broken(&self, source: hyper::Error) -> UpstreamError {
        UpstreamError::Broken {
            server: self.0.endpoint.name.clone(),
            source,
        }
    }

    fn status(&self, status: StatusCode) -> UpstreamError {
        UpstreamError::Status {
            server: self.0.endpoint.name.clone(),
            status,
        }
    }

    fn not_mcp(&self, answer: &Response<Incoming>) -> UpstreamError {
        let written = answer
            .headers()
            .get(header::CONTENT_TYPE)
            .map_or("".into(), |value| String::from_utf8_lossy(value.as_bytes()));
        let content_type = visible(&written.chars().take(80).collect::<String>()).to_string();
        tracing::warn!(
            server = %self.0.endpoint.name,
            "the answer is neither JSON nor a stream of events: content type {content_type:?}"
        );
        UpstreamError::NotMcp {
            server: self.0.endpoint.name.clone(),
            content_type,
        }
    }
}

#[cfg(test)]
mod tests;
