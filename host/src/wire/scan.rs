//! A strict, single-pass JSON scanner: says whether a text is JSON within the limits, and where its parts are.
//!
//! Knows RFC 8259 and nothing of JSON-RPC. Builds no values: every part it hands out is a slice of the text, so that
//! what is not changed can be forwarded byte for byte. It never recurses: a hostile text cannot exhaust the stack.
//!
//! Trouble is ranked. A text that is no JSON stops the scan. Trouble within JSON (nesting over the limit, a key twice,
//! half a surrogate pair, a number beyond every double) is noted and the scan goes on to the end, so that a message
//! can still be told apart by its `id` when it is refused.

mod scanner;
mod string;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub(crate) use scanner::{Plan, Scanner};
pub use string::unescape;
pub(crate) use string::{meaning, write_string};

/// How closely a text is looked at beyond the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// What every reader understands alike: keys unique in each object (compared unescaped), no half of a surrogate
    /// pair, no number that overflows a double. With the depth limit aside, and keys unique, exactly the texts that
    /// `serde_json` reads as a `Value`.
    Unique,
    /// The grammar of RFC 8259 only. Servers that cut text in the middle of a character send halves of surrogate
    /// pairs in results; those go through.
    Any,
}

/// What is wrong with a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScanErrorKind {
    /// It is not JSON.
    Syntax,
    /// It is not UTF-8.
    Utf8,
    /// It is nested deeper than the limit.
    Depth,
    /// An object has a key twice.
    DuplicateKey {
        /// The key, unescaped; cut at 80 characters.
        key: String,
    },
    /// A string holds half of a UTF-16 surrogate pair as an escape.
    Surrogate,
    /// A number is too large for a double.
    Range,
}

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at byte {offset}")]
pub struct ScanError {
    /// What.
    pub kind: ScanErrorKind,
    /// The byte at which it shows, from the start of the text.
    pub offset: usize,
}

impl fmt::Display for ScanErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax => f.write_str("not JSON"),
            Self::Utf8 => f.write_str("not UTF-8"),
            Self::Depth => f.write_str("nested too deep"),
            Self::DuplicateKey { key } => write!(f, "the key {key:?} a second time"),
            Self::Surrogate => f.write_str("half of a surrogate pair"),
            Self::Range => f.write_str("a number too large for a double"),
        }
    }
}

/// One member of an object; all slices are of the object's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member<'a> {
    /// The key as it is written, without its quotes.
    pub key: &'a str,
    /// Whether the key has no escapes, so that `key` is what it means.
    pub key_is_plain: bool,
    /// The value as it is written.
    pub value: &'a str,
    /// Where the key's opening quote is, in bytes from the start of the object's text.
    pub start: usize,
    /// Where the value begins.
    pub value_start: usize,
    /// Where the value ends.
    pub end: usize,
}

impl Member<'_> {
    /// Whether the key means `name`, however it is spelt.
    pub fn is(&self, name: &str) -> bool {
        if self.key_is_plain {
            self.key == name
        } else {
            meaning(self.key) == name.as_bytes()
        }
    }

    /// Whether a reader that ignores case would take the key for `name` though it is another. Go's `encoding/json` is
    /// one: it folds ASCII case, and takes `ſ` for `s` and the Kelvin sign for `k`. A message that means one thing to
    /// the gate and another to such a server must not pass.
    pub fn could_pass_for(&self, name: &str) -> bool {
        if self.key_is_plain && self.key.len() < name.len() {
            return false;
        }
        !self.is(name) && folds_to(&unescape(self.key), name)
    }
}

/// Whether `key` is the ASCII text `name` but for case, in the way of Go's `encoding/json`.
fn folds_to(key: &str, name: &str) -> bool {
    let fold = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    };
    if key.is_ascii() {
        return key.eq_ignore_ascii_case(name);
    }
    key.chars().map(fold).eq(name.chars().map(fold))
}

/// Checks that `text` is one JSON value, white space around it allowed.
///
/// `max_depth` is the number of objects and arrays that may stand inside each other.
///
/// # Errors
/// The first trouble found; one that makes the text no JSON goes before others.
pub fn validate(text: &[u8], max_depth: usize, strictness: Strictness) -> Result<(), ScanError> {
    let mut scanner = Scanner::new(utf8(text)?, max_depth);
    let plan = match strictness {
        Strictness::Unique => Plan::Unique,
        Strictness::Any => Plan::Any,
    };
    scanner.space();
    scanner.value(plan)?;
    scanner.finish()?;
    scanner.noted().map_or(Ok(()), Err)
}

/// The members of the object `object`, in order, doubles included.
///
/// # Errors
/// If the text is not an object; where it is one it is expected to be valid already.
pub fn members(object: &str) -> Result<Vec<Member<'_>>, ScanError> {
    collect(object, usize::MAX, Plan::Any)
}

/// The members of the object `object`, judged at the same time as [`validate`] does by [`Strictness::Unique`].
///
/// # Errors
/// If the text is not an object, or as [`validate`].
pub fn unique_members(object: &str, max_depth: usize) -> Result<Vec<Member<'_>>, ScanError> {
    let found = collect(object, max_depth, Plan::Unique)?;
    let few = found.len() <= 16 && found.iter().all(|member| member.key_is_plain);
    let double =
        |(i, member): (usize, &Member<'_>)| found[..i].iter().any(|other| other.key == member.key);
    if !few || found.iter().enumerate().any(double) {
        validate(object.as_bytes(), max_depth, Strictness::Unique)?;
    }
    Ok(found)
}

fn collect<'a>(
    object: &'a str,
    max_depth: usize,
    plan: Plan,
) -> Result<Vec<Member<'a>>, ScanError> {
    let mut scanner = Scanner::new(object, max_depth);
    let mut found = Vec::with_capacity(8);
    scanner.space();
    scanner.open(b'{')?;
    let mut more = !scanner.closes(b'}');
    while more {
        let (key, key_is_plain, start) = scanner.key()?;
        let value_start = scanner.position();
        scanner.value(plan)?;
        let end = scanner.position();
        found.push(Member {
            key,
            key_is_plain,
            value: &object[value_start..end],
            start,
            value_start,
            end,
        });
        more = scanner.goes_on(b'}')?;
    }
    scanner.finish()?;
    scanner.noted().map_or(Ok(found), Err)
}

/// The elements of the array `array` as they are written, in order.
///
/// # Errors
/// If the text is not an array; where it is one it is expected to be valid already.
pub fn elements(array: &str) -> Result<Vec<&str>, ScanError> {
    let ranges = element_ranges(array)?;
    Ok(ranges.into_iter().map(|range| &array[range]).collect())
}

/// Where the elements of the array `array` are in it, in order.
///
/// # Errors
/// As [`elements`].
pub fn element_ranges(array: &str) -> Result<Vec<Range<usize>>, ScanError> {
    let mut scanner = Scanner::new(array, usize::MAX);
    let mut found = Vec::new();
    scanner.space();
    scanner.open(b'[')?;
    let mut more = !scanner.closes(b']');
    while more {
        let start = scanner.position();
        scanner.value(Plan::Any)?;
        found.push(start..scanner.position());
        more = scanner.goes_on(b']')?;
    }
    scanner.finish()?;
    Ok(found)
}

/// What the raw value `raw` says if it is a string, none if it is something else or holds half of a surrogate pair.
pub fn string_text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        validate(raw.as_bytes(), 1, Strictness::Unique).ok()?;
    }
    Some(unescape(inner))
}

/// `text` as UTF-8.
pub(crate) fn utf8(text: &[u8]) -> Result<&str, ScanError> {
    str::from_utf8(text).map_err(|error| ScanError {
        kind: ScanErrorKind::Utf8,
        offset: error.valid_up_to(),
    })
}

#[cfg(test)]
mod tests;
