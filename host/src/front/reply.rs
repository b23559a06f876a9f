//! What is answered over HTTP: whole bodies, streams of events, refusals.
//!
//! Knows status codes and JSON-RPC errors. Decides nothing.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_EXPOSE_HEADERS, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER,
};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use http_body::{Frame, SizeHint};

use super::connection::Busy;
use super::events::Events;
use super::sse;
use crate::wire::reply;

/// The body of an answer.
pub(crate) struct Body {
    content: Content,
    /// Tells the connection when this answer is over.
    busy: Option<Busy>,
}

enum Content {
    /// All of it; none once it was given out.
    Whole(Option<Bytes>),
    /// Events, as they come.
    Events(Box<Events>),
}

/// An answer that refuses a request.
#[derive(Debug)]
pub(crate) struct Refusal(Box<Refused>);

#[derive(Debug)]
struct Refused {
    status: StatusCode,
    text: Cow<'static, str>,
    rpc: Option<Rpc>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// An answer that somebody else made.
    made: Option<Response<Bytes>>,
}

/// What makes a refusal a JSON-RPC error.
#[derive(Debug)]
struct Rpc {
    id: Option<Box<str>>,
    code: i64,
    data: Option<String>,
}

impl Body {
    /// A body that is there already.
    pub(crate) fn whole(content: impl Into<Bytes>) -> Self {
        Self {
            content: Content::Whole(Some(content.into())),
            busy: None,
        }
    }

    /// A stream of events.
    pub(crate) fn events(events: Events) -> Self {
        Self {
            content: Content::Events(Box::new(events)),
            busy: None,
        }
    }

    /// The same; `busy` is dropped when it was written, or will not be any more.
    pub(crate) fn while_busy(mut self, busy: Busy) -> Self {
        self.busy = Some(busy);
        self
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut self.content {
            Content::Whole(content) => Poll::Ready(content.take()),
            Content::Events(events) => events.poll(cx),
        }
        .map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(content) => content.as_ref().is_none_or(Bytes::is_empty),
            Content::Events(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(content) => {
                SizeHint::with_exact(content.as_ref().map_or(0, |content| content.len() as u64))
            }
            Content::Events(_) => SizeHint::default(),
        }
    }
}

/// An answer with a whole body of type `media_type`.
pub(crate) fn whole(
    status: StatusCode,
    media_type: &'static str,
    content: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::whole(content));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// One JSON-RPC message.
pub(crate) fn message(status: StatusCode, line: &Bytes) -> Response<Body> {
    whole(status, "application/json", sse::trimmed(line))
}

/// `202 Accepted`, without a body.
pub(crate) fn accepted() -> Response<Body> {
    let mut response = Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = StatusCode::ACCEPTED;
    response
}

/// A stream of events; proxies on the way are told not to hold them back.
pub(crate) fn stream(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(sse::MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(
        HeaderName::from_static("x-accel-buffering"),
        HeaderValue::from_static("no"),
    );
    response
}

/// Lets a page of `origin`, which was found to be taken, read the answer (WHATWG Fetch, CORS).
pub(crate) fn readable_by(response: &mut Response<Body>, origin: &HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(http::header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    headers.insert(
        ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("Mcp-Session-Id, WWW-Authenticate, Retry-After"),
    );
    headers.append(http::header::VARY, HeaderValue::from_static("Origin"));
}

impl Refusal {
    /// In plain text.
    pub(crate) fn plain(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Refused {
            status,
            text: text.into(),
            rpc: None,
            headers: Vec::new(),
            made: None,
        }))
    }

    /// As a JSON-RPC error: `id` raw, if one is known.
    pub(crate) fn rpc(
        status: StatusCode,
        id: Option<&str>,
        code: i64,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        let mut refusal = Self::plain(status, message);
        refusal.0.rpc = Some(Rpc {
            id: id.map(Into::into),
            code,
            data: None,
        });
        refusal
    }

    /// An answer that is made already.
    pub(crate) fn made(response: Response<Bytes>) -> Self {
        let mut refusal = Self::plain(response.status(), "");
        refusal.0.made = Some(response);
        refusal
    }

    /// With `data`, raw JSON, in the error.
    pub(crate) fn with_data(mut self, data: String) -> Self {
        if let Some(rpc) = &mut self.0.rpc {
            rpc.data = Some(data);
        }
        self
    }

    /// With the methods that are allowed.
    pub(crate) fn allowing(self, methods: &'static str) -> Self {
        self.with_header(ALLOW, HeaderValue::from_static(methods))
    }

    /// With the seconds after which it may be tried again.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        self.with_header(RETRY_AFTER, seconds.into())
    }

    /// And nothing more on this connection: what the client still sends will not be read.
    pub(crate) fn closing(self) -> Self {
        self.with_header(CONNECTION, HeaderValue::from_static("close"))
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// The status it will have.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The answer.
    pub(crate) fn into_response(self) -> Response<Body> {
        let refused = *self.0;
        let mut response = match (refused.made, &refused.rpc) {
            (Some(made), _) => made.map(Body::whole),
            (None, Some(rpc)) => {
                let line = reply::error(
                    rpc.id.as_deref(),
                    rpc.code,
                    &refused.text,
                    rpc.data.as_deref(),
                );
                message(refused.status, &line.into())
            }
            (None, None) => whole(
                refused.status,
                "text/plain; charset=utf-8",
                format!("{}\n", refused.text),
            ),
        };
        for (name, value) in refused.headers {
            response.headers_mut().append(name, value);
        }
        response
    }
}
