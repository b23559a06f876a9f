//! Streams of server-sent events, read as they come.
//!
//! Knows the WHATWG HTML standard, §9.2.6 "Interpreting an event stream", and nothing of what events carry. Whatever the
//! chunks, the events are the same. A line that lies within one chunk is never copied.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr2};

/// The longest event id that is kept; it goes back in a header.
const MAX_ID: usize = 1024;

/// One event that was dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its data; never empty. Lines are joined by LF, as the standard says.
    pub data: Bytes,
    /// The last event id as of this event, if the stream ever gave one.
    pub id: Option<Bytes>,
}

/// A line or an event is longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// The state of one stream.
#[derive(Debug)]
pub struct Parser {
    /// The longest line, and the most data of one event, bytes.
    limit: usize,
    /// What is not looked at yet.
    chunk: Bytes,
    /// The beginning of a line whose end has not come.
    partial: BytesMut,
    /// The last line ended in CR: a LF that follows belongs to it.
    after_cr: bool,
    /// No line was read yet: a byte order mark may stand before the first.
    first: bool,
    data: Data,
    id: Option<Bytes>,
    /// The event's type, where it is not `message`.
    foreign: bool,
    retry: Option<Duration>,
}

/// The data of the event being read.
#[derive(Debug, Default)]
enum Data {
    #[default]
    None,
    One(Bytes),
    More(BytesMut),
}

impl Parser {
    /// At the beginning of a stream whose lines and events may have up to `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            chunk: Bytes::new(),
            partial: BytesMut::new(),
            after_cr: false,
            first: true,
            data: Data::None,
            id: None,
            foreign: false,
            retry: None,
        }
    }

    /// Takes what came. Everything before it must have been read by [`Self::read`].
    pub fn feed(&mut self, chunk: Bytes) {
        debug_assert!(self.chunk.is_empty(), "the chunk before is not read up");
        self.chunk = chunk;
    }

    /// The last event id, events without data included.
    pub fn id(&self) -> Option<&Bytes> {
        self.id.as_ref()
    }

    /// How long to wait before connecting again, if the stream said so.
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Takes over what an earlier connection of the same stream said of the time before connecting again.
    pub fn set_retry(&mut self, retry: Option<Duration>) {
        self.retry = retry;
    }

    /// The next event of type `message` that has data; none if more bytes are needed. An event that the stream's end
    /// cuts off is never dispatched.
    ///
    /// # Errors
    /// If a line or the event's data is longer than the limit; the stream cannot be read on.
    pub fn read(&mut self) -> Result<Option<Event>, TooLong> {
        while let Some(line) = self.line()? {
            if line.is_empty() {
                if let Some(event) = self.dispatch() {
                    return Ok(Some(event));
                }
            } else {
                self.field(&line)?;
            }
        }
        Ok(None)
    }

    /// The next whole line, without its end.
    fn line(&mut self) -> Result<Option<Bytes>, TooLong> {
        if self.after_cr && !self.chunk.is_empty() {
            self.after_cr = false;
            if self.chunk[0] == b'\n' {
                let _ = self.chunk.split_to(1);
            }
        }
        let Some(end) = memchr2(b'\n', b'\r', &self.chunk) else {
            self.check(self.partial.len() + self.chunk.len())?;
            self.partial.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        };
        self.check(self.partial.len() + end)?;
        let mut line = self.chunk.split_to(end);
        self.after_cr = self.chunk.split_to(1)[0] == b'\r';
        if !self.partial.is_empty() {
            self.partial.extend_from_slice(&line);
            line = std::mem::take(&mut self.partial).freeze();
        }
        if std::mem::take(&mut self.first) && line.starts_with(b"\xEF\xBB\xBF") {
            let _ = line.split_to(3);
        }
        Ok(Some(line))
    }

    fn field(&mut self, line: &Bytes) -> Result<(), TooLong> {
        let colon = memchr(b':', line);
        let name = &line[..colon.unwrap_or(line.len())];
        let mut value = line.slice(colon.map_or(line.len(), |at| at + 1)..);
        if value.first() == Some(&b' ') {
            let _ = value.split_to(1);
        }
        match name {
            b"data" => self.add(value)?,
            b"event" => self.foreign = !value.is_empty() && value != "message",
            b"id" if !value.contains(&0) => {
                // Copied, or it would keep the whole chunk; one that is too long cannot be resumed from.
                self.id = (value.len() <= MAX_ID && !value.is_empty())
                    .then(|| Bytes::copy_from_slice(&value));
            }
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                let ms = str::from_utf8(&value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                self.retry = Some(Duration::from_millis(ms.unwrap_or(u64::MAX)));
            }
            _ => {} // a comment, or a field that nobody knows
        }
        Ok(())
    }

    fn add(&mut self, value: Bytes) -> Result<(), TooLong> {
        self.data = match std::mem::take(&mut self.data) {
            Data::None => Data::One(value),
            Data::One(before) => {
                self.check(before.len() + 1 + value.len())?;
                let mut all = BytesMut::with_capacity(before.len() + 1 + value.len());
                all.extend_from_slice(&before);
                all.extend_from_slice(b"\n");
                all.extend_from_slice(&value);
                Data::More(all)
            }
            Data::More(mut all) => {
                self.check(all.len() + 1 + value.len())?;
                all.extend_from_slice(b"\n");
                all.extend_from_slice(&value);
                Data::More(all)
            }
        };
        Ok(())
    }

    fn dispatch(&mut self) -> Option<Event> {
        let foreign = std::mem::take(&mut self.foreign);
        let data = match std::mem::take(&mut self.data) {
            Data::None => return None,
            Data::One(data) => data,
            Data::More(all) => all.freeze(),
        };
        (!foreign && !data.is_empty()).then(|| Event {
            data,
            id: self.id.clone(),
        })
    }

    fn check(&self, length: usize) -> Result<(), TooLong> {
        // The field's name and the space after it are not the event's.
        if length > self.limit.saturating_add(8) {
            Err(TooLong)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
