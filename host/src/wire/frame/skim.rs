//! A look through a message that is too long to keep: which id does it have, and is it a request?
//!
//! It follows strings and brackets only, over any number of chunks, and remembers at most one key and one value of
//! bounded length. It does not find out whether the message is valid; nothing of it goes anywhere.

use crate::wire::envelope::{Id, MAX_ID_BYTES, OwnedId};
use crate::wire::scan::{unescape, utf8};

/// The longest key worth remembering, bytes as written: `"jsonrpc"` with every letter escaped is shorter.
const MAX_KEY: usize = 48;
/// One byte more than the longest id, so that a longer one is still told to be too long.
const MAX_VALUE: usize = MAX_ID_BYTES + 1;

/// What is known so far.
#[derive(Debug, Default)]
pub(super) struct Skim {
    depth: u64,
    /// Inside a string.
    string: bool,
    /// Behind a backslash inside a string.
    escape: bool,
    place: Place,
    /// The key being read at the top level, as written, and then the value, if it is the id's.
    text: Vec<u8>,
    /// The current member's value is the id.
    in_id: bool,
    ids: Ids,
    method: bool,
}

/// Where in the top-level object the text is.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a key, or in it.
    #[default]
    Key,
    /// Behind the colon.
    Value,
}

#[derive(Debug, Default)]
enum Ids {
    #[default]
    None,
    One(OwnedId),
    /// One that is no id, or several.
    Unusable,
}

impl Skim {
    /// Looks through the next chunk.
    pub(super) fn take(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() {
            let byte = chunk[at];
            if self.string {
                if self.escape {
                    self.escape = false;
                    self.keep(&chunk[at..=at]);
                    at += 1;
                    continue;
                }
                let run = memchr::memchr2(b'"', b'\\', &chunk[at..]).unwrap_or(chunk.len() - at);
                if run > 0 {
                    self.keep(&chunk[at..at + run]);
                    at += run;
                    continue;
                }
                self.escape = byte == b'\\';
                self.string = self.escape;
                self.keep(&chunk[at..=at]);
            } else {
                self.structure(byte);
            }
            at += 1;
        }
    }

    /// The id, if there was exactly one, and a usable one.
    pub(super) fn id(&self) -> Option<OwnedId> {
        match &self.ids {
            Ids::One(id) => Some(id.clone()),
            _ => None,
        }
    }

    /// Whether there was a `method`.
    pub(super) fn has_method(&self) -> bool {
        self.method
    }

    /// A byte outside strings.
    fn structure(&mut self, byte: u8) {
        match byte {
            b'"' => {
                self.string = true;
                self.keep(b"\"");
            }
            b'{' | b'[' => {
                self.keep(&[byte]);
                self.depth += 1;
                if self.depth == 1 {
                    self.text.clear();
                }
            }
            b'}' | b']' => {
                if self.depth == 1 {
                    self.member_ends();
                }
                self.depth = self.depth.saturating_sub(1);
                self.keep(&[byte]);
            }
            b',' if self.depth == 1 => self.member_ends(),
            b':' if self.depth == 1 && self.place == Place::Key => self.key_ends(),
            _ => self.keep(&[byte]),
        }
    }

    /// Remembers what belongs to a top-level key or to the id.
    fn keep(&mut self, bytes: &[u8]) {
        let limit = match self.place {
            Place::Key if self.depth == 1 => MAX_KEY,
            Place::Value if self.in_id => MAX_VALUE,
            _ => return,
        };
        let room = limit.saturating_sub(self.text.len());
        self.text.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn key_ends(&mut self) {
        let raw = utf8(self.text.trim_ascii()).unwrap_or_default();
        let key = raw
            .strip_prefix('"')
            .and_then(|raw| raw.strip_suffix('"'))
            .map(unescape);
        self.in_id = key.as_deref() == Some("id");
        self.method |= key.as_deref() == Some("method");
        self.text.clear();
        self.place = Place::Value;
    }

    fn member_ends(&mut self) {
        if self.in_id {
            let id = utf8(self.text.trim_ascii())
                .ok()
                .and_then(|raw| Id::read(raw).ok());
            self.ids = match (&self.ids, id) {
                (Ids::None, Some(id)) => Ids::One(id.to_owned()),
                _ => Ids::Unusable,
            };
        }
        self.in_id = false;
        self.text.clear();
        self.place = Place::Key;
    }
}
