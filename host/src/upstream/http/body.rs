//! What an answer's body is, and a body that is one message.
//!
//! Knows content types and line breaks. What is in a message it does not look at.

use bytes::{Bytes, BytesMut};
use http::{Response, header};
use hyper::body::{Body, Incoming};

use super::link::Link;

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Content {
    Json,
    Stream,
    Other,
}

/// What the headers say that the body is.
pub(super) fn content<T>(answer: &Response<T>) -> Content {
    let headers = answer.headers();
    let encoded = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .any(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(written), None, false) = (types.next(), types.next(), encoded) else {
        return Content::Other;
    };
    let written = written.as_bytes();
    let end = memchr::memchr(b';', written).unwrap_or(written.len());
    let kind = written[..end].trim_ascii();
    if kind.eq_ignore_ascii_case(b"application/json") {
        Content::Json
    } else if kind.eq_ignore_ascii_case(b"text/event-stream") {
        Content::Stream
    } else {
        Content::Other
    }
}

/// A message without line breaks and without white space around it. In JSON a line break is white space wherever it may
/// stand at all, so that a space says the same.
pub(super) fn one_line(message: Bytes) -> Bytes {
    let trimmed = message.trim_ascii();
    let message = message.slice_ref(trimmed);
    if memchr::memchr2(b'\n', b'\r', &message).is_none() {
        return message;
    }
    let mut copy = BytesMut::from(message);
    for byte in copy.iter_mut() {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    copy.freeze()
}

/// Why a body is not a message.
pub(super) enum Unread {
    /// It is longer than the limit.
    TooLarge,
    /// The connection ended before it was whole.
    Broken(hyper::Error),
}

/// The whole of a body, on one line. Not copied if it came in one piece.
pub(super) async fn whole(
    link: &mut Link,
    mut body: Incoming,
    limit: usize,
) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Unread::TooLarge);
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(chunk) = link.read(&mut body).await {
        let chunk = chunk.map_err(Unread::Broken)?;
        if first.len() + all.len() + chunk.len() > limit {
            return Err(Unread::TooLarge);
        }
        if first.is_empty() && all.is_empty() {
            first = chunk;
        } else {
            if all.is_empty() {
                let known = usize::try_from(body.size_hint().lower()).unwrap_or(0);
                all.reserve(first.len() + chunk.len() + known);
                all.extend_from_slice(&first);
                first = Bytes::new();
            }
            all.extend_from_slice(&chunk);
        }
        if body.is_end_stream() {
            break;
        }
    }
    Ok(one_line(if all.is_empty() { first } else { all.freeze() }))
}
