//! Reads JSON files, and remembers which keys were asked for: a key nobody asked for is an error.
//!
//! Knows lines, columns, dotted keys and types, and how an error about them reads. Knows no key by name.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::mcp::digest::MAX_DEPTH;
use crate::wire::scan::{Strictness, element_ranges, members, string_text, unescape, validate};

/// A case file cannot be used: names the file, the line and column, the key, and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {detail}")]
pub struct CaseError {
    /// The file.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// The key, what is wrong with it, and what mends it.
    pub detail: String,
}

/// A file being read.
#[derive(Clone, Copy)]
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

/// One value of it.
#[derive(Clone)]
pub(super) struct Value<'a> {
    file: File<'a>,
    key: String,
    at: usize,
    raw: &'a str,
}

/// One object of it.
pub(super) struct Object<'a> {
    whole: Value<'a>,
    /// Key, where it is, value.
    members: Vec<(Cow<'a, str>, usize, Value<'a>)>,
    asked: RefCell<Vec<&'static str>>,
}

impl File<'_> {
    fn error(&self, at: usize, detail: String) -> CaseError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        CaseError {
            file: self.name.to_owned(),
            line: 1 + before.bytes().filter(|byte| *byte == b'\n').count(),
            column: 1 + before[line_start..].chars().count(),
            detail,
        }
    }
}

impl<'a> Value<'a> {
    /// The whole of a file.
    ///
    /// # Errors
    /// If it is not one JSON value that every reader understands alike.
    pub(super) fn file(name: &'a str, text: &'a str) -> Result<Self, CaseError> {
        let file = File { name, text };
        if let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text) {
            let said = error.to_string();
            let said = said
                .rsplit_once(" at line ")
                .map_or(&*said, |(said, _)| said);
            return Err(CaseError {
                file: name.to_owned(),
                line: error.line(),
                column: error.column().max(1),
                detail: format!("not JSON: {said}"),
            });
        }
        validate(text.as_bytes(), MAX_DEPTH, Strictness::Unique)
            .map_err(|error| file.error(error.offset, format!("{}: remove it", error.kind)))?;
        let raw = text.trim();
        Ok(Self {
            file,
            key: String::new(),
            at: text.len() - text.trim_start().len(),
            raw,
        })
    }

    /// The value as it is written.
    pub(super) fn raw(&self) -> &'a str {
        self.raw
    }

    /// The value as it is written, none if it is `null`.
    pub(super) fn present(&self) -> Option<&'a str> {
        (self.raw != "null").then_some(self.raw)
    }

    /// The value as a tree.
    pub(super) fn tree(&self) -> Result<serde_json::Value, CaseError> {
        serde_json::from_str(self.raw).map_err(|error| self.error(&format!("is wrong: {error}")))
    }

    /// An error about this value.
    pub(super) fn error(&self, detail: &str) -> CaseError {
        let detail = if self.key.is_empty() {
            format!("the case {detail}")
        } else {
            format!("`{}` {detail}", self.key)
        };
        self.file.error(self.at, detail)
    }

    fn expected(&self, what: &str) -> CaseError {
        self.error(&format!("must be {what}, not {}", self.shown()))
    }

    /// The value for errors: type and, where it is short, text.
    fn shown(&self) -> String {
        match self.raw.as_bytes().first() {
            Some(b'{') => "an object".to_owned(),
            Some(b'[') => "an array".to_owned(),
            Some(b'"') if self.raw.len() <= 60 => format!("the string {}", self.raw),
            Some(b'"') => "a string".to_owned(),
            Some(b't' | b'f') => format!("the boolean {}", self.raw),
            Some(b'n') => "null".to_owned(),
            _ => format!("the number {}", self.raw),
        }
    }

    /// A string.
    pub(super) fn text(&self) -> Result<String, CaseError> {
        string_text(self.raw)
            .map(Cow::into_owned)
            .ok_or_else(|| self.expected("a string"))
    }

    /// A string that is not empty.
    pub(super) fn some_text(&self) -> Result<String, CaseError> {
        let text = self.text()?;
        if text.is_empty() {
            return Err(self.error("must not be empty"));
        }
        Ok(text)
    }

    /// A string, none if it is `null`.
    pub(super) fn optional_text(&self) -> Result<Option<String>, CaseError> {
        self.present().map(|_| self.text()).transpose()
    }

    /// One of several words.
    pub(super) fn word<T: Copy>(&self, words: &[(&str, T)]) -> Result<T, CaseError> {
        let text = self.text()?;
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*meant);
        }
        let known: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let mend = match near(&text, &known) {
            Some(word) => format!("did you mean \"{word}\"?"),
            None => format!("use one of {}", quoted(&known)),
        };
        Err(self.error(&format!("cannot be {}: {mend}", self.raw)))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, CaseError> {
        match self.raw {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(self.expected("true or false")),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn number(&self) -> Result<u64, CaseError> {
        self.raw
            .parse()
            .map_err(|_| self.expected("a whole number from 0 to 18446744073709551615"))
    }

    /// Whether it is a string.
    pub(super) fn is_text(&self) -> bool {
        self.raw.starts_with('"')
    }

    /// Whether it is an object.
    pub(super) fn is_object(&self) -> bool {
        self.raw.starts_with('{')
    }

    /// The elements of an array.
    pub(super) fn array(&self) -> Result<Vec<Self>, CaseError> {
        let ranges = element_ranges(self.raw).map_err(|_| self.expected("an array"))?;
        let elements = ranges.into_iter().enumerate().map(|(index, range)| Self {
            file: self.file,
            key: format!("{}[{index}]", self.key),
            at: self.at + range.start,
            raw: &self.raw[range],
        });
        Ok(elements.collect())
    }

    /// An object.
    pub(super) fn object(&self) -> Result<Object<'a>, CaseError> {
        let found = members(self.raw).map_err(|_| self.expected("an object"))?;
        let members = found.into_iter().map(|member| {
            let name = unescape(member.key);
            let value = Self {
                file: self.file,
                key: dotted(&self.key, &name),
                at: self.at + member.value_start,
                raw: member.value,
            };
            (name, self.at + member.start, value)
        });
        Ok(Object {
            members: members.collect(),
            whole: self.clone(),
            asked: RefCell::default(),
        })
    }
}

impl<'a> Object<'a> {
    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        self.peek(key)
    }

    /// The value of `key`, which does not count as asked for.
    pub(super) fn peek(&self, key: &str) -> Option<Value<'a>> {
        let mut members = self.members.iter();
        let found = members.find(|(name, ..)| name == key);
        found.map(|(.., value)| value.clone())
    }

    /// The value of `key`, which must be there; `what` says what it is.
    pub(super) fn need(&self, key: &'static str, what: &str) -> Result<Value<'a>, CaseError> {
        self.get(key)
            .ok_or_else(|| self.error(&format!("needs `{key}`: {what}")))
    }

    /// Every key and value, whatever the key: for objects whose keys are their own affair.
    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &Value<'a>)> {
        self.members.iter().map(|(name, _, value)| (&**name, value))
    }

    /// An error about the whole object.
    pub(super) fn error(&self, detail: &str) -> CaseError {
        self.whole.error(detail)
    }

    /// An error if there is a key that was never asked for; `elsewhere` says of a key that it belongs somewhere else.
    pub(super) fn finish(
        self,
        elsewhere: impl Fn(&str) -> Option<String>,
    ) -> Result<(), CaseError> {
        let asked = self.asked.into_inner();
        let mut members = self.members.iter();
        let unknown = members.find(|(name, ..)| !asked.contains(&&**name));
        let Some((name, at, value)) = unknown else {
            return Ok(());
        };
        let mend = elsewhere(name).unwrap_or_else(|| match near(name, &asked) {
            Some(known) => format!("did you mean `{known}`?"),
            None => format!("remove it; known here: {}", asked.join(", ")),
        });
        let detail = format!("unknown key `{}`: {mend}", value.key);
        Err(self.whole.file.error(*at, detail))
    }

    /// [`Object::finish`] where no key belongs elsewhere.
    pub(super) fn done(self) -> Result<(), CaseError> {
        self.finish(|_| None)
    }
}

/// The known word that a wrong one is near to.
fn near<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(known, wrong), *known))
        .min()
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3))
        .map(|(_, known)| known)
}

fn quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("\"{word}\"")).collect();
    quoted.join(", ")
}

fn dotted(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'$'));
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn trouble(text: &str) -> String {
        let read = || -> Result<(), CaseError> {
            let object = Value::file("a.json", text)?.object()?;
            if let Some(word) = object.get("word") {
                word.word(&[("allow", 1), ("deny", 2)])?;
            }
            if let Some(list) = object.get("list") {
                for element in list.array()? {
                    element.number()?;
                }
            }
            object.done()
        };
        read().unwrap_err().to_string()
    }

    #[test]
    fn every_error_names_the_place_and_the_mend() {
        for (text, error) in [
            (
                "{\n  \"word\": \"alow\"\n}",
                "a.json:2:11: `word` cannot be \"alow\": did you mean \"allow\"?",
            ),
            (
                "{\"word\": \"x\"}",
                "a.json:1:10: `word` cannot be \"x\": use one of \"allow\", \"deny\"",
            ),
            (
                "{\"word\": 1}",
                "a.json:1:10: `word` must be a string, not the number 1",
            ),
            (
                "{\"lits\": []}",
                "a.json:1:2: unknown key `lits`: did you mean `list`?",
            ),
            (
                "{\"é\": 1, \"other key\": 1}",
                "a.json:1:2: unknown key `\"é\"`: remove it; known here: word, list",
            ),
            (
                "{\n\"é\\n\": \"é\", \"list\": [1, -1]}",
                "a.json:2:25: `list[1]` must be a whole number from 0 to 18446744073709551615, not the number -1",
            ),
            (
                "{\"list\": [1, 1],\n \"list\": []}",
                "a.json:2:2: the key \"list\" a second time: remove it",
            ),
            (
                "{\n  \"list\": [1 2]\n}",
                "a.json:2:14: not JSON: expected `,` or `]`",
            ),
            ("", "a.json:1:1: not JSON: EOF while parsing a value"),
            (
                " []",
                "a.json:1:2: the case must be an object, not an array",
            ),
        ] {
            assert_eq!(trouble(text), error);
        }
    }

    #[test]
    fn text_that_no_reader_agrees_on_is_refused() {
        assert!(trouble("{\"list\": \"\\ud800\"}").contains("a.json:1:"));
        assert!(trouble(&"[".repeat(1000)).contains("not JSON"));
    }

    #[test]
    fn a_value_is_handed_on_as_it_is_written() {
        let value = Value::file("a.json", " {\"a\" :  [1.0 , 2 ] }\n").unwrap();
        let object = value.object().unwrap();
        assert_eq!(object.get("a").unwrap().raw(), "[1.0 , 2 ]");
        assert_eq!(value.raw(), "{\"a\" :  [1.0 , 2 ] }");
    }
}
