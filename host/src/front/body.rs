//! Reading a request's body, within its limits.
//!
//! Knows how long and how large a body may be. Knows nothing of what is in it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt as _;

use super::reply::Refusal;
use crate::wire::envelope::INVALID_REQUEST;
use crate::wire::scan::{Strictness, validate};

/// The most that is reserved for a body before it is there.
const RESERVED: u64 = 64 << 10;

/// Reads all of `body`: at most `max` bytes, within `time`.
///
/// # Errors
/// `413` if it is larger, `408` if it takes longer, `400` if the connection breaks or the framing is wrong.
pub(crate) async fn read<B>(body: B, max: usize, time: Duration) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes> + Unpin,
{
    let too_large = || {
        refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is larger than {max} bytes (`max_body_bytes` in [http.limits])"),
        )
    };
    let said = http_body::Body::size_hint(&body).lower();
    if said > max as u64 {
        return Err(too_large());
    }
    let mut whole = Whole::default();
    let reading = async {
        let mut body = body;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return Err(refused(
                    StatusCode::BAD_REQUEST,
                    "the body ended before its end".to_owned(),
                ));
            };
            // Trailers say nothing here.
            let Ok(piece) = frame.into_data() else {
                continue;
            };
            if whole.len() + piece.len() > max {
                return Err(too_large());
            }
            whole.push(piece, said);
        }
        Ok(())
    };
    match tokio::time::timeout(time, reading).await {
        Ok(done) => done.map(|()| whole.into_bytes()),
        Err(_) => Err(refused(
            StatusCode::REQUEST_TIMEOUT,
            "the body did not come in time (`body_timeout_ms` in [http.limits])".to_owned(),
        )),
    }
}

fn refused(status: StatusCode, text: String) -> Refusal {
    Refusal::rpc(status, None, INVALID_REQUEST, text).closing()
}

/// A body as one piece; copied only if it came in several.
#[derive(Default)]
struct Whole {
    first: Bytes,
    all: BytesMut,
}

impl Whole {
    fn len(&self) -> usize {
        self.first.len().max(self.all.len())
    }

    fn push(&mut self, piece: Bytes, expected: u64) {
        if self.len() == 0 {
            self.first = piece;
            return;
        }
        if self.all.is_empty() {
            let reserved = usize::try_from(expected.min(RESERVED)).unwrap_or_default();
            self.all
                .reserve(reserved.max(self.first.len() + piece.len()));
            self.all.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.all.extend_from_slice(&piece);
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() {
            self.first
        } else {
            self.all.freeze()
        }
    }
}

/// The message on one line. HTTP's bodies may be spread over several, while a message that goes on to a server must not
/// be: outside strings, where alone valid JSON has line breaks, a space stands for the same.
pub(crate) fn on_one_line(body: Bytes) -> Bytes {
    let body = super::sse::trimmed(&body);
    if memchr::memchr2(b'\r', b'\n', &body).is_none()
        || validate(&body, usize::MAX, Strictness::Any).is_err()
    {
        return body;
    }
    let mut line = BytesMut::from(&body[..]);
    for byte in line.iter_mut() {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    line.freeze()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body::Frame;
    use http_body_util::{Full, StreamBody};

    const SOON: Duration = Duration::from_secs(5);

    fn pieces(
        of: &[&'static str],
    ) -> impl http_body::Body<Data = Bytes, Error = std::io::Error> + Unpin {
        let frames: Vec<_> = of
            .iter()
            .map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes()))))
            .collect();
        StreamBody::new(stream::iter(frames))
    }

    #[tokio::test]
    async fn a_body_in_one_piece_is_not_copied_and_pieces_are_joined() {
        let one = Bytes::from_static(b"{\"a\":1}");
        let read_one = read(Full::new(one.clone()), 7, SOON).await.unwrap();
        assert_eq!(read_one.as_ptr(), one.as_ptr());
        let joined = read(pieces(&["{\"a", "", "\":", "1}"]), 7, SOON)
            .await
            .unwrap();
        assert_eq!(joined, one);
        assert_eq!(read(pieces(&[]), 7, SOON).await.unwrap(), Bytes::new());
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_or_not_it_says_so() {
        let said = read(Full::new(Bytes::from_static(b"12345678")), 7, SOON).await;
        assert_eq!(said.unwrap_err().status(), 413);
        let unsaid = read(pieces(&["1234", "5678"]), 7, SOON).await;
        assert_eq!(unsaid.unwrap_err().status(), 413);
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_not_waited_for() {
        let never = StreamBody::new(stream::pending::<Result<Frame<Bytes>, std::io::Error>>());
        assert_eq!(read(never, 7, SOON / 100).await.unwrap_err().status(), 408);
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_refused() {
        let broken = StreamBody::new(stream::iter([
            Ok(Frame::data(Bytes::from_static(b"{"))),
            Err(std::io::Error::other("gone")),
        ]));
        assert_eq!(read(broken, 7, SOON).await.unwrap_err().status(), 400);
    }

    #[test]
    fn line_breaks_outside_strings_become_spaces_and_nothing_else_changes() {
        let one: Bytes = "{\"a\": \"x y\"}".into();
        assert_eq!(on_one_line(one.clone()).as_ptr(), one.as_ptr());
        assert_eq!(on_one_line("{\r\n \"a\":\n1}\r\n".into()), "{   \"a\": 1}");
        // Not JSON: it stays what it is, and is refused.
        assert_eq!(on_one_line("{\"a\":\"x\ny\"}".into()), "{\"a\":\"x\ny\"}");
        assert_eq!(on_one_line("\n".into()), "");
    }
}
