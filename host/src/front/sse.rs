//! Server-sent events as they are written (WHATWG HTML, "Server-sent events"; MCP 2025-11-25 and 2026-07-28, Streamable
//! HTTP).
//!
//! Knows the text format of one event. Knows nothing of what is in it, nor when it is sent.

use bytes::{BufMut as _, Bytes, BytesMut};

/// The media type of a stream of events.
pub(crate) const MEDIA_TYPE: &str = "text/event-stream";

/// A comment, by which a stream on which nothing happens is kept open.
pub(crate) const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// How long a client should wait before it comes back, in milliseconds.
const RETRY_MS: u32 = 1_000;

/// From this size on a message is not copied into its event, but written beside it.
const LARGE: usize = 16 << 10;

/// The name of one event: which stream of its session, and which event of it. The first is 0, the priming event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventId {
    /// The stream's number within its session.
    pub(crate) stream: u64,
    /// The event's number within its stream.
    pub(crate) event: u64,
}

impl EventId {
    /// Reads an id as we write it: two decimal numbers without signs, spaces or leading zeros. None for anything else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (stream, event) = text.split_once('-')?;
        Some(Self {
            stream: number(stream)?,
            event: number(event)?,
        })
    }
}

fn number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let shortest = text == "0" || !text.starts_with('0');
    (plain && shortest).then(|| text.parse().ok()).flatten()
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.stream, self.event)
    }
}

/// An event that carries a message: one or more pieces, to be written one after the other.
pub(crate) fn event(id: Option<EventId>, message: &Bytes) -> Vec<Bytes> {
    let message = trimmed(message);
    let head = match id {
        Some(id) => format!("id: {id}\nevent: message\ndata: "),
        None => "event: message\ndata: ".to_owned(),
    };
    // A message has no line break. Should one come all the same, it must not end the field.
    if memchr::memchr2(b'\r', b'\n', &message).is_some() {
        return vec![broken(&head, &message)];
    }
    if message.len() >= LARGE {
        return vec![head.into(), message, Bytes::from_static(b"\n\n")];
    }
    let mut out = BytesMut::with_capacity(head.len() + message.len() + 2);
    out.put_slice(head.as_bytes());
    out.put_slice(&message);
    out.put_slice(b"\n\n");
    vec![out.freeze()]
}

/// The first event of a stream that can be resumed: an id and no data, so that a client can come back before anything
/// was said (2025-11-25, "Sending Messages to the Server", 6).
pub(crate) fn priming(stream: u64) -> Bytes {
    let id = EventId { stream, event: 0 };
    format!("id: {id}\nretry: {RETRY_MS}\ndata: \n\n").into()
}

/// Without line breaks at the end.
pub(crate) fn trimmed(message: &Bytes) -> Bytes {
    let end = message
        .iter()
        .rposition(|byte| !matches!(byte, b'\n' | b'\r'))
        .map_or(0, |last| last + 1);
    message.slice(..end)
}

/// With every line of the message in a field of its own, as readers put them together again.
fn broken(head: &str, message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(head.len() + message.len() + 64);
    out.put_slice(head.as_bytes());
    let mut previous = 0;
    for &byte in message {
        match byte {
            // The second half of a CRLF ends no further line.
            b'\n' if previous == b'\r' => {}
            b'\n' | b'\r' => out.put_slice(b"\ndata: "),
            byte => out.put_u8(byte),
        }
        previous = byte;
    }
    out.put_slice(b"\n\n");
    out.freeze()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(pieces: Vec<Bytes>) -> String {
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[test]
    fn an_event_is_its_id_its_name_and_the_message() {
        let id = EventId {
            stream: 3,
            event: 7,
        };
        assert_eq!(
            text(event(Some(id), &"{\"a\":1}\n".into())),
            "id: 3-7\nevent: message\ndata: {\"a\":1}\n\n"
        );
        assert_eq!(
            text(event(None, &"{}".into())),
            "event: message\ndata: {}\n\n"
        );
    }

    #[test]
    fn a_large_message_is_not_copied() {
        let large: Bytes = vec![b'x'; LARGE].into();
        let pieces = event(None, &large);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        assert_eq!(
            pieces.concat().len(),
            LARGE + "event: message\ndata: \n\n".len()
        );
    }

    #[test]
    fn a_line_break_in_a_message_cannot_end_the_event_or_begin_a_field() {
        let hostile: Bytes = "{\n\r\n\rid: 9-9\nevent: other}".into();
        assert_eq!(
            text(event(None, &hostile)),
            "event: message\ndata: {\ndata: \ndata: \ndata: id: 9-9\ndata: event: other}\n\n"
        );
    }

    #[test]
    fn ids_are_read_only_as_they_are_written() {
        let id = EventId {
            stream: 12,
            event: 0,
        };
        assert_eq!(EventId::parse(&id.to_string()), Some(id));
        for other in [
            "",
            "-",
            "1-",
            "-1",
            "1",
            "01-1",
            "1-01",
            "+1-1",
            "1-1 ",
            "1-1-1",
            "1-99999999999999999999",
            "a-b",
        ] {
            assert_eq!(EventId::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_priming_event_names_the_stream_and_says_nothing() {
        assert_eq!(priming(4), "id: 4-0\nretry: 1000\ndata: \n\n");
    }
}
