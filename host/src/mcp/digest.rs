//! Digests: the canonical form of a definition, and what is hashed.
//!
//! The canonical form is the same JSON with the keys of every object in the order of the Unicode code points of what
//! they mean, without white space, with strings in their shortest spelling, and with numbers exactly as they were
//! written. So key order, spacing and spelling of strings do not matter, and everything else does: `1.0` is not `1`,
//! and no two integers are taken for one because a double cannot tell them apart.

use std::borrow::Cow;

use sha2::{Digest as _, Sha256};

use super::{Digest, ItemKind};
use crate::wire::scan::{Plan, ScanError, Scanner, Strictness, unescape, validate, write_string};

/// The deepest nesting of a definition: what readers of JSON commonly accept, `serde_json` among them.
pub const MAX_DEPTH: usize = 127;

/// The digest of a definition: SHA-256 over `witgate:item:1`, a line feed, the kind's word, a line feed, and the
/// canonical form.
///
/// # Errors
/// If the definition is malformed: no JSON, nested too deep, a key twice anywhere, half of a surrogate pair, a number
/// beyond every double.
pub fn digest(kind: ItemKind, definition: &str) -> Result<Digest, ScanError> {
    let canonical = canonical(definition)?;
    let mut hash = Sha256::new();
    hash.update(b"witgate:item:1\n");
    hash.update(kind.word());
    hash.update(b"\n");
    hash.update(canonical);
    Ok(Digest::from_bytes(hash.finalize().into()))
}

/// The canonical form of a JSON text.
///
/// # Errors
/// As [`digest`].
pub fn canonical(text: &str) -> Result<String, ScanError> {
    validate(text.as_bytes(), MAX_DEPTH, Strictness::Unique)?;
    let mut scanner = Scanner::new(text, usize::MAX);
    scanner.space();
    let mut out = Vec::with_capacity(text.len());
    write(&mut scanner, text, &mut out)?;
    // Whole characters of `text` and ASCII were written, and nothing else.
    Ok(String::from_utf8(out).unwrap_or_default())
}

/// The digest of a set of items: what an operator's decision about all of them at once is bound to. Their order does
/// not matter.
///
/// SHA-256 over `witgate:catalogue:1`, a line feed, and for each item, sorted by kind, name and digest: the kind's
/// word, a space, the name's length in bytes as a decimal number, a space, the name, a space, the digest as it is
/// written, a line feed. The length makes it unambiguous whatever the names hold.
pub fn catalogue_digest(items: &[(ItemKind, &str, Digest)]) -> Digest {
    let mut sorted: Vec<_> = items
        .iter()
        .map(|(kind, name, digest)| (kind.word(), *name, digest))
        .collect();
    sorted.sort_unstable();
    let mut hash = Sha256::new();
    hash.update(b"witgate:catalogue:1\n");
    for (kind, name, digest) in sorted {
        hash.update(format!("{kind} {} {name} {digest}\n", name.len()));
    }
    Digest::from_bytes(hash.finalize().into())
}

/// Writes the value at which `scanner` stands. The recursion is bounded: the text was validated against `MAX_DEPTH`.
fn write<'a>(scanner: &mut Scanner<'a>, text: &'a str, out: &mut Vec<u8>) -> Result<(), ScanError> {
    match scanner.peek() {
        Some(b'{') => return write_object(scanner, text, out),
        Some(b'[') => {
            scanner.open(b'[')?;
            out.push(b'[');
            let mut more = !scanner.closes(b']');
            while more {
                write(scanner, text, out)?;
                more = scanner.goes_on(b']')?;
                if more {
                    out.push(b',');
                }
            }
            out.push(b']');
        }
        first => {
            let start = scanner.position();
            scanner.value(Plan::Any)?;
            let raw = &text[start..scanner.position()];
            if first == Some(b'"') {
                write_string(out, &unescape(&raw[1..raw.len() - 1]));
            } else {
                out.extend_from_slice(raw.as_bytes());
            }
        }
    }
    Ok(())
}

/// Writes an object: first its members as they come, then, if their keys were not in order, those bytes anew.
fn write_object<'a>(
    scanner: &mut Scanner<'a>,
    text: &'a str,
    out: &mut Vec<u8>,
) -> Result<(), ScanError> {
    scanner.open(b'{')?;
    out.push(b'{');
    let base = out.len();
    let mut written: Vec<(Cow<'a, str>, usize, usize)> = Vec::new();
    let mut in_order = true;
    let mut more = !scanner.closes(b'}');
    while more {
        let (key, ..) = scanner.key()?;
        let key = unescape(key);
        let start = out.len();
        write_string(out, &key);
        out.push(b':');
        write(scanner, text, out)?;
        // UTF-8 sorts as its code points do.
        in_order &= written.last().is_none_or(|(last, ..)| *last < key);
        written.push((key, start, out.len()));
        more = scanner.goes_on(b'}')?;
        if more {
            out.push(b',');
        }
    }
    if !in_order {
        let unsorted = out.split_off(base);
        written.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        for (i, (_, start, end)) in written.into_iter().enumerate() {
            if i > 0 {
                out.push(b',');
            }
            out.extend_from_slice(&unsorted[start - base..end - base]);
        }
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests;
