//! The scan itself: one pass, an explicit stack of bits, a list of keys.

use super::string::{self, StringFacts};
use super::{ScanError, ScanErrorKind, meaning};

/// Up to this many keys are compared pair by pair; more are sorted.
const FEW_KEYS: usize = 8;

/// What is looked for in a value beyond the grammar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plan {
    /// Doubles in every object, halves of surrogate pairs, numbers out of range.
    Unique,
    /// Doubles in the value itself, if it is an object, and not in what it holds.
    UniqueAtTop,
    /// Nothing.
    Any,
}

/// A position in a text, and what was noted on the way there.
pub(crate) struct Scanner<'a> {
    text: &'a str,
    at: usize,
    /// How many containers are open: those of the value being scanned and those its caller opened.
    depth: usize,
    max_depth: usize,
    /// One bit per container open in the value being scanned: set for an object.
    objects: Vec<u64>,
    /// The keys of the objects open in the value being scanned, one object's after the other's.
    keys: Vec<Key>,
    /// Where each of those objects' keys begin in `keys`.
    bases: Vec<usize>,
    noted: Option<ScanError>,
}

/// A key within the text, quotes left out.
#[derive(Clone, Copy)]
struct Key {
    start: usize,
    end: usize,
    plain: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str, max_depth: usize) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            max_depth,
            objects: Vec::new(),
            keys: Vec::new(),
            bases: Vec::new(),
            noted: None,
        }
    }

    /// Where the scan stands.
    pub(crate) fn position(&self) -> usize {
        self.at
    }

    /// The first trouble that did not stop the scan, and forgets it.
    pub(crate) fn noted(&mut self) -> Option<ScanError> {
        self.noted.take()
    }

    /// Skips white space.
    pub(crate) fn space(&mut self) {
        let bytes = self.text.as_bytes();
        while matches!(bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// Expects the container that begins with `bracket`, and white space after it.
    pub(crate) fn open(&mut self, bracket: u8) -> Result<(), ScanError> {
        self.expect(bracket)?;
        self.depth += 1;
        self.space();
        Ok(())
    }

    /// Whether the container opened last ends here; steps over `bracket` if so.
    pub(crate) fn closes(&mut self, bracket: u8) -> bool {
        let closes = self.peek() == Some(bracket);
        if closes {
            self.at += 1;
            self.depth -= 1;
        }
        closes
    }

    /// After an element: whether another follows (steps over the comma) or the container ends (over `bracket`).
    pub(crate) fn goes_on(&mut self, bracket: u8) -> Result<bool, ScanError> {
        self.space();
        if self.closes(bracket) {
            return Ok(false);
        }
        self.expect(b',')?;
        self.space();
        Ok(true)
    }

    /// A key, its colon and the white space after it: the key without quotes, whether it is plain, where its quote is.
    pub(crate) fn key(&mut self) -> Result<(&'a str, bool, usize), ScanError> {
        let start = self.at;
        let facts = self.string(false)?;
        let text = self.text;
        let key = &text[start + 1..self.at - 1];
        self.space();
        self.expect(b':')?;
        self.space();
        Ok((key, !facts.escaped, start))
    }

    /// Expects that nothing but white space follows.
    pub(crate) fn finish(&mut self) -> Result<(), ScanError> {
        self.space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// Scans one value, beginning here; stands behind it afterwards.
    pub(crate) fn value(&mut self, plan: Plan) -> Result<(), ScanError> {
        let outer = self.depth;
        self.keys.clear();
        self.bases.clear();
        loop {
            // A value begins here.
            match self.peek() {
                Some(b'{') => {
                    self.enter(true, outer, plan);
                    if self.peek() != Some(b'}') {
                        self.member(plan, outer)?;
                        continue;
                    }
                    self.leave(true, outer, plan);
                }
                Some(b'[') => {
                    self.enter(false, outer, plan);
                    if self.peek() != Some(b']') {
                        continue;
                    }
                    self.leave(false, outer, plan);
                }
                Some(b'"') => {
                    self.string(plan == Plan::Unique)?;
                }
                Some(b'-' | b'0'..=b'9') => self.number(plan == Plan::Unique)?,
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.syntax()),
            }
            // A value ended here.
            loop {
                if self.depth == outer {
                    return Ok(());
                }
                let object = self.in_object(outer);
                self.space();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.member(plan, outer)?;
                        }
                        break;
                    }
                    Some(b'}') if object => self.leave(true, outer, plan),
                    Some(b']') if !object => self.leave(false, outer, plan),
                    _ => return Err(self.syntax()),
                }
            }
        }
    }

    /// Whether the innermost open container is an object.
    fn in_object(&self, outer: usize) -> bool {
        let bit = self.depth - outer - 1;
        self.objects[bit / 64] & (1 << (bit % 64)) != 0
    }

    fn enter(&mut self, object: bool, outer: usize, plan: Plan) {
        let bit = self.depth - outer;
        if bit / 64 == self.objects.len() {
            self.objects.push(0);
        }
        let mask = 1 << (bit % 64);
        if object {
            self.objects[bit / 64] |= mask;
        } else {
            self.objects[bit / 64] &= !mask;
        }
        self.depth += 1;
        if self.depth > self.max_depth {
            self.note(ScanErrorKind::Depth, self.at);
        }
        if object && self.tracks(plan, bit) {
            self.bases.push(self.keys.len());
        }
        self.at += 1;
        self.space();
    }

    fn leave(&mut self, object: bool, outer: usize, plan: Plan) {
        self.depth -= 1;
        self.at += 1;
        if object
            && self.tracks(plan, self.depth - outer)
            && let Some(base) = self.bases.pop()
        {
            if let Some(double) = self.double(base) {
                let raw = &self.text[double.start..double.end];
                let key = String::from_utf8_lossy(&meaning(raw))
                    .chars()
                    .take(80)
                    .collect();
                self.note(ScanErrorKind::DuplicateKey { key }, double.start - 1);
            }
            self.keys.truncate(base);
        }
    }

    /// Whether the keys of an object `level` containers inside the value are compared.
    fn tracks(&self, plan: Plan, level: usize) -> bool {
        match plan {
            Plan::Unique => true,
            Plan::UniqueAtTop => level == 0,
            Plan::Any => false,
        }
    }

    /// A key within the value being scanned, up to where its own value begins.
    fn member(&mut self, plan: Plan, outer: usize) -> Result<(), ScanError> {
        let strict = plan == Plan::Unique;
        let start = self.at;
        let facts = self.string(strict)?;
        if self.tracks(plan, self.depth - outer - 1) {
            self.keys.push(Key {
                start: start + 1,
                end: self.at - 1,
                plain: !facts.escaped,
            });
        }
        self.space();
        self.expect(b':')?;
        self.space();
        Ok(())
    }

    /// A key among those from `base` on that stood before, if there is one; may reorder them.
    fn double(&mut self, base: usize) -> Option<Key> {
        let text = self.text;
        let keys = &mut self.keys[base..];
        let raw = |key: &Key| &text.as_bytes()[key.start..key.end];
        if keys.iter().all(|key| key.plain) {
            if keys.len() <= FEW_KEYS {
                return keys
                    .iter()
                    .enumerate()
                    .find(|(i, key)| keys[..*i].iter().any(|other| raw(other) == raw(key)))
                    .map(|(_, key)| *key);
            }
            keys.sort_unstable_by(|a, b| raw(a).cmp(raw(b)).then(a.start.cmp(&b.start)));
            return keys
                .windows(2)
                .find(|pair| raw(&pair[0]) == raw(&pair[1]))
                .map(|pair| pair[1]);
        }
        let mut meant: Vec<_> = keys
            .iter()
            .map(|key| (meaning(&text[key.start..key.end]), *key))
            .collect();
        meant.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.start.cmp(&b.1.start)));
        meant
            .windows(2)
            .find(|pair| pair[0].0 == pair[1].0)
            .map(|pair| pair[1].1)
    }

    /// A string; in strict mode notes halves of surrogate pairs.
    fn string(&mut self, strict: bool) -> Result<StringFacts, ScanError> {
        self.expect(b'"')?;
        let bytes = self.text.as_bytes();
        let facts = string::skip(bytes, &mut self.at).ok_or_else(|| self.syntax())?;
        if strict && let Some(offset) = facts.half_pair {
            self.note(ScanErrorKind::Surrogate, offset);
        }
        Ok(facts)
    }

    /// A number; in strict mode notes one that overflows a double.
    fn number(&mut self, strict: bool) -> Result<(), ScanError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err(self.syntax()),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut exponent = false;
        if let Some(b'e' | b'E') = self.peek() {
            exponent = true;
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        // Without an exponent it takes 309 digits to overflow.
        if strict && (exponent || self.at - start > 308) {
            let finite = self.text[start..self.at]
                .parse::<f64>()
                .is_ok_and(f64::is_finite);
            if !finite {
                self.note(ScanErrorKind::Range, start);
            }
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), ScanError> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start {
            Err(self.syntax())
        } else {
            Ok(())
        }
    }

    fn literal(&mut self, word: &str) -> Result<(), ScanError> {
        if self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    /// The byte at which the scan stands.
    pub(crate) fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Result<(), ScanError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.syntax())
        }
    }

    fn syntax(&self) -> ScanError {
        ScanError {
            kind: ScanErrorKind::Syntax,
            offset: self.at,
        }
    }

    fn note(&mut self, kind: ScanErrorKind, offset: usize) {
        self.noted.get_or_insert(ScanError { kind, offset });
    }
}
