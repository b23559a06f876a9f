//! A request's id.

use std::borrow::Cow;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::wire::scan::{Strictness, unescape, validate, write_string};

/// The longest id, bytes as written. Ids are kept while a request is open, and quoted where one failed.
pub const MAX_ID_BYTES: usize = 1024;

/// An id as it stands in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Id<'a> {
    /// An integer, verbatim.
    Number(&'a str),
    /// A string.
    String {
        /// As it was written, with its quotes.
        raw: &'a str,
        /// What it says.
        text: Cow<'a, str>,
    },
}

impl<'a> Id<'a> {
    /// Reads an id from a raw JSON value.
    ///
    /// # Errors
    /// What is wrong, if it is neither an integer nor a string, or too long.
    pub fn read(raw: &'a str) -> Result<Self, &'static str> {
        if raw.len() > MAX_ID_BYTES {
            return Err("`id` is longer than 1024 bytes");
        }
        match raw.as_bytes() {
            [b'"', .., b'"'] if validate(raw.as_bytes(), 1, Strictness::Unique).is_ok() => {
                Ok(Self::String {
                    raw,
                    text: unescape(&raw[1..raw.len() - 1]),
                })
            }
            [b'"', ..] => Err("`id` is a string with half of a surrogate pair"),
            [b'-' | b'0'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => {
                Ok(Self::Number(raw))
            }
            _ => Err("`id` is neither an integer nor a string"),
        }
    }

    /// As it was written.
    pub fn raw(&self) -> &'a str {
        match self {
            Self::Number(raw) | Self::String { raw, .. } => raw,
        }
    }

    /// A copy that outlives the line.
    pub fn to_owned(&self) -> OwnedId {
        let meaning = match self {
            Self::Number("-0") => Some("0".into()),
            Self::String { raw, text } if raw.len() != text.len() + 2 => {
                let mut shortest = Vec::with_capacity(raw.len());
                write_string(&mut shortest, text);
                String::from_utf8(shortest).ok().map(String::into_boxed_str)
            }
            _ => None,
        };
        OwnedId {
            raw: self.raw().into(),
            meaning,
        }
    }
}

/// An id apart from its line. Two are equal if they mean the same, however they were written: `"a"` and `"\u0061"`
/// are, `1` and `"1"` are not.
#[derive(Clone)]
pub struct OwnedId {
    raw: Box<str>,
    /// The shortest way to write it, where `raw` is not.
    meaning: Option<Box<str>>,
}

impl OwnedId {
    /// The id that the integer `number` is.
    pub fn number(number: i64) -> Self {
        Self {
            raw: number.to_string().into(),
            meaning: None,
        }
    }

    /// What stands in an answer to something whose id could not be read.
    pub fn null() -> Self {
        Self {
            raw: "null".into(),
            meaning: None,
        }
    }

    /// As it was written.
    pub fn raw(&self) -> &str {
        &self.raw
    }

    fn meaning(&self) -> &str {
        self.meaning.as_deref().unwrap_or(&self.raw)
    }
}

impl PartialEq for OwnedId {
    fn eq(&self, other: &Self) -> bool {
        self.meaning() == other.meaning()
    }
}

impl Eq for OwnedId {}

impl Hash for OwnedId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.meaning().hash(state);
    }
}

impl fmt::Debug for OwnedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.raw)
    }
}
