//! Strings as JSON writes them: skipping, unescaping, escaping.

use std::borrow::Cow;

/// What a string was found to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct StringFacts {
    /// It has escapes.
    pub(super) escaped: bool,
    /// Where the first escape is that is half of a surrogate pair.
    pub(super) half_pair: Option<usize>,
}

/// Whether a byte cannot stand for itself in a string.
const fn is_special(byte: u8) -> bool {
    byte == b'"' || byte == b'\\' || byte < 0x20
}

/// A mark in the highest bit of each of eight bytes that is special, the first of them exactly; those behind the
/// first may be marked wrongly, since subtracting borrows from them.
const fn specials(eight: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    const fn below(eight: u64, limit: u64) -> u64 {
        eight.wrapping_sub(ONES * limit) & !eight
    }
    let quotes = below(eight ^ (ONES * b'"' as u64), 1);
    let backslashes = below(eight ^ (ONES * b'\\' as u64), 1);
    (below(eight, 0x20) | quotes | backslashes) & HIGHS
}

/// Steps from behind the opening quote to behind the closing one. None, and `at` at the trouble, if the string is bad.
pub(super) fn skip(bytes: &[u8], at: &mut usize) -> Option<StringFacts> {
    let mut facts = StringFacts {
        escaped: false,
        half_pair: None,
    };
    // Where a high half was written, if the escape just before was one.
    let mut high: Option<usize> = None;
    loop {
        let from = *at;
        *at = plain_run(bytes, from);
        if *at > from
            && let Some(lonely) = high.take()
        {
            facts.half_pair.get_or_insert(lonely);
        }
        match bytes.get(*at)? {
            b'"' => {
                if let Some(lonely) = high {
                    facts.half_pair.get_or_insert(lonely);
                }
                *at += 1;
                return Some(facts);
            }
            b'\\' => {
                facts.escaped = true;
                let start = *at;
                let unit = escape(bytes, at)?;
                let before = high.take();
                match (before, unit) {
                    (Some(_), 0xDC00..=0xDFFF) => {}
                    (before, unit) => {
                        if let Some(lonely) = before {
                            facts.half_pair.get_or_insert(lonely);
                        }
                        match unit {
                            0xD800..=0xDBFF => high = Some(start),
                            0xDC00..=0xDFFF => {
                                facts.half_pair.get_or_insert(start);
                            }
                            _ => {}
                        }
                    }
                }
            }
            _ => return None,
        }
    }
}

/// The end of the run of bytes from `from` on that stand for themselves.
fn plain_run(bytes: &[u8], from: usize) -> usize {
    let (eights, tail) = bytes[from..].as_chunks::<8>();
    for (i, eight) in eights.iter().enumerate() {
        let marks = specials(u64::from_le_bytes(*eight));
        if marks != 0 {
            return from + i * 8 + marks.trailing_zeros() as usize / 8;
        }
    }
    let within = tail
        .iter()
        .position(|&b| is_special(b))
        .unwrap_or(tail.len());
    bytes.len() - tail.len() + within
}

/// Reads the escape whose backslash is at `at`: the UTF-16 unit it stands for.
fn escape(bytes: &[u8], at: &mut usize) -> Option<u16> {
    *at += 1;
    let letter = *bytes.get(*at)?;
    let unit = match letter {
        b'"' | b'\\' | b'/' => u16::from(letter),
        b'b' => 0x08,
        b'f' => 0x0C,
        b'n' => 0x0A,
        b'r' => 0x0D,
        b't' => 0x09,
        b'u' => {
            let digits = bytes.get(*at + 1..*at + 5)?;
            let mut unit = 0;
            for &digit in digits {
                unit = unit << 4 | char::from(digit).to_digit(16)? as u16;
            }
            *at += 5;
            return Some(unit);
        }
        _ => return None,
    };
    *at += 1;
    Some(unit)
}

/// What a raw string (without its quotes, taken from valid JSON) says. Halves of surrogate pairs, which no `str` can
/// hold, become U+FFFD; texts scanned with `Strictness::Unique` have none.
pub fn unescape(raw: &str) -> Cow<'_, str> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw);
    }
    let mut text = String::with_capacity(raw.len());
    decode(raw, |part| match part {
        Part::Plain(run) => text.push_str(run),
        Part::Char(c) => text.push(c),
        Part::Half(_) => text.push(char::REPLACEMENT_CHARACTER),
    });
    Cow::Owned(text)
}

/// What a raw string means, as bytes that are equal exactly if the meanings are: UTF-8, and halves of surrogate pairs
/// in the same pattern (as in WTF-8).
pub(crate) fn meaning(raw: &str) -> Cow<'_, [u8]> {
    if !raw.contains('\\') {
        return Cow::Borrowed(raw.as_bytes());
    }
    let mut bytes = Vec::with_capacity(raw.len());
    decode(raw, |part| match part {
        Part::Plain(run) => bytes.extend_from_slice(run.as_bytes()),
        Part::Char(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        Part::Half(unit) => bytes.extend_from_slice(&[
            0xE0 | (unit >> 12) as u8,
            0x80 | (unit >> 6 & 0x3F) as u8,
            0x80 | (unit & 0x3F) as u8,
        ]),
    });
    Cow::Owned(bytes)
}

enum Part<'a> {
    /// A run without escapes.
    Plain(&'a str),
    /// An escaped character.
    Char(char),
    /// Half of a surrogate pair.
    Half(u16),
}

fn decode<'a>(raw: &'a str, mut take: impl FnMut(Part<'a>)) {
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let run = memchr::memchr(b'\\', &bytes[at..]).map_or(bytes.len(), |i| at + i);
        if run > at {
            take(Part::Plain(&raw[at..run]));
            at = run;
            continue;
        }
        let Some(unit) = escape(bytes, &mut at) else {
            return; // not valid JSON, which the caller vouches for
        };
        let mut after = at;
        let low = match unit {
            0xD800..=0xDBFF if bytes.get(at) == Some(&b'\\') => escape(bytes, &mut after),
            _ => None,
        };
        match char::decode_utf16([unit, low.unwrap_or(0)]).next() {
            Some(Ok(c)) => {
                if c.len_utf16() == 2 {
                    at = after;
                }
                take(Part::Char(c));
            }
            _ => take(Part::Half(unit)),
        }
    }
}

/// Appends `text` as a JSON string, quotes included, in its shortest spelling: only what must be escaped is.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    while from < bytes.len() {
        let run = plain_run(bytes, from);
        out.extend_from_slice(&bytes[from..run]);
        let Some(&byte) = bytes.get(run) else { break };
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x09 => out.extend_from_slice(b"\\t"),
            0x0A => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            0x0D => out.extend_from_slice(b"\\r"),
            control => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(control >> 4)]);
                out.push(HEX[usize::from(control & 15)]);
            }
        }
        from = run + 1;
    }
    out.push(b'"');
}
