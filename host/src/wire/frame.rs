//! Lines out of chunks: the framing of MCP on stdio.
//!
//! Knows where a line ends and what to do with one that is too long: it keeps nothing of it, but looks through it as
//! it streams by for the `id`, so that the other side can be told which request failed.

mod skim;

use bytes::{Bytes, BytesMut};

use self::skim::Skim;
use super::envelope::OwnedId;

/// What the stream holds next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line that is not blank, without its line break (LF, or CR LF).
    Line(Bytes),
    /// A line over the limit; nothing of it was kept.
    TooLong {
        /// The message's id, if it has exactly one that can be read.
        id: Option<OwnedId>,
        /// Whether it has a `method`: a request or a notification, not an answer.
        is_request: bool,
        /// How long it was, line break not counted.
        bytes: u64,
    },
    /// What stood after the last line break when the stream ended: a whole message perhaps, or one cut short.
    Partial(Bytes),
}

/// Cuts a stream into lines. The caller reads into a buffer and asks for frames until there are none.
///
/// ```
/// use bytes::BytesMut;
/// use witgate::wire::{Frame, LineReader};
///
/// let mut reader = LineReader::new(1024);
/// let mut buffer = BytesMut::from("{\"a\":1}\r\n\n{\"b\"".as_bytes());
/// assert_eq!(reader.next(&mut buffer), Some(Frame::Line("{\"a\":1}".into())));
/// assert_eq!(reader.next(&mut buffer), None);
/// buffer.extend_from_slice(b":2}");
/// assert_eq!(reader.next(&mut buffer), None);
/// assert_eq!(reader.end(&mut buffer), Some(Frame::Partial("{\"b\":2}".into())));
/// ```
#[derive(Debug)]
pub struct LineReader {
    max: usize,
    /// How much of the buffer is known to hold no line break.
    searched: usize,
    /// What is known of the line that is streaming by, if it is too long.
    skipped: Option<Skipped>,
}

#[derive(Debug, Default)]
struct Skipped {
    bytes: u64,
    /// Whether the last byte was a carriage return, which belongs to the line break if LF follows.
    carriage_return: bool,
    skim: Skim,
}

impl LineReader {
    /// A reader of lines of at most `max` bytes, the line break not counted.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            searched: 0,
            skipped: None,
        }
    }

    /// The next frame in `buffer`, taken out of it; none if more must be read first.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        loop {
            let line_break =
                memchr::memchr(b'\n', &buffer[self.searched..]).map(|i| self.searched + i);
            if let Some(skipped) = &mut self.skipped {
                let taken = buffer.split_to(line_break.unwrap_or(buffer.len()));
                skipped.take(&taken);
                line_break?;
                let _ = buffer.split_to(1);
                return self.skipped.take().map(Skipped::frame);
            }
            let Some(end) = line_break else {
                // One more byte may be the carriage return of the line break.
                if buffer.len() > self.max.saturating_add(1) {
                    self.skip(buffer);
                    return None;
                }
                self.searched = buffer.len();
                return None;
            };
            self.searched = 0;
            let mut line = buffer.split_to(end);
            let _ = buffer.split_to(1);
            let length = end - usize::from(line.ends_with(b"\r"));
            if length > self.max {
                let mut skipped = Skipped::default();
                skipped.take(&line);
                return Some(skipped.frame());
            }
            line.truncate(length);
            if !line.trim_ascii().is_empty() {
                return Some(Frame::Line(line.freeze()));
            }
        }
    }

    /// The last frame, when the stream has ended and `next` gave none; none if the stream ended with a line break.
    pub fn end(&mut self, buffer: &mut BytesMut) -> Option<Frame> {
        self.searched = 0;
        if let Some(mut skipped) = self.skipped.take() {
            skipped.take(&buffer.split());
            return Some(skipped.frame());
        }
        let rest = buffer.split();
        if rest.len() > self.max {
            let mut skipped = Skipped::default();
            skipped.take(&rest);
            return Some(skipped.frame());
        }
        (!rest.trim_ascii().is_empty()).then(|| Frame::Partial(rest.freeze()))
    }

    /// Gives up on the line that `buffer` holds the beginning of, and its memory with it.
    fn skip(&mut self, buffer: &mut BytesMut) {
        let mut skipped = Skipped::default();
        skipped.take(buffer);
        *buffer = BytesMut::new();
        self.searched = 0;
        self.skipped = Some(skipped);
    }
}

impl Skipped {
    fn take(&mut self, chunk: &[u8]) {
        self.bytes += chunk.len() as u64;
        if let Some(last) = chunk.last() {
            self.carriage_return = *last == b'\r';
        }
        self.skim.take(chunk);
    }

    fn frame(self) -> Frame {
        Frame::TooLong {
            id: self.skim.id(),
            is_request: self.skim.has_method(),
            bytes: self.bytes - u64::from(self.carriage_return),
        }
    }
}

#[cfg(test)]
mod tests;
