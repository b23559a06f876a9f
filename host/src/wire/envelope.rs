//! The JSON-RPC 2.0 envelope: what kind of message a line is, and where its parts are.
//!
//! Knows the members of JSON-RPC and which messages are too ambiguous to forward; knows no method. Everything is
//! borrowed from the line, and `params`, `result` and `error` stay as they were written.
//!
//! A line goes on only if every reader would take it for the same message. Hence, beyond JSON-RPC itself: no key
//! twice; no key that a reader blind to case would take for another member (`Method`); no line break inside the
//! message (readers of text streams end a line at a carriage return too, and would see several messages in one).

mod id;

use std::borrow::Cow;
use std::ops::Range;

pub use id::{Id, MAX_ID_BYTES, OwnedId};

use super::WireLimits;
use super::scan::{
    Member, Plan, ScanError, Scanner, Strictness, meaning, string_text, unescape, utf8, validate,
    write_string,
};

/// JSON-RPC: the line is no JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC: it is JSON, but no message.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC: nobody knows the method.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC: the trouble is in `params`.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC: the trouble is at the answering side.
pub const INTERNAL_ERROR: i64 = -32603;

/// A message, told by its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// It has a `method` and an `id`.
    Request {
        /// Its id.
        id: Id<'a>,
        /// Its method, unescaped.
        method: Cow<'a, str>,
        /// Its `params`, an object as it was written; none if absent or `null`.
        params: Option<&'a str>,
    },
    /// It has a `method` and no `id`.
    Notification {
        /// Its method, unescaped.
        method: Cow<'a, str>,
        /// As in a request.
        params: Option<&'a str>,
    },
    /// It has a `result`.
    Result {
        /// The request it answers.
        id: Id<'a>,
        /// Any value, as it was written.
        result: &'a str,
    },
    /// It has an `error`.
    Error {
        /// The request it answers; none if the other side could not read one.
        id: Option<Id<'a>>,
        /// An object, as it was written.
        error: &'a str,
    },
}

/// A line that is one well-formed message.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// What it says.
    pub message: Message<'a>,
    /// The line, without its line break.
    pub line: &'a [u8],
    /// Whether the line may go on as it is: no escapes in the method or in the keys of the message's own members.
    pub canonical: bool,
    /// Where the id's value is within the line; none if there is no id, or it is `null`.
    pub id_span: Option<Range<usize>>,
    /// Members that JSON-RPC does not know, each as it was written from its key to its value's end.
    unknown: Vec<&'a str>,
}

/// A line that is no message to be forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// The JSON-RPC code for it: -32700, -32600, or -32602 for trouble inside `params`.
    pub code: i64,
    /// What is wrong; what it quotes is escaped and cut at 80 characters.
    pub reason: String,
    /// The message's id, if it has one that can be trusted.
    pub id: Option<OwnedId>,
    /// The message's method, if it has one; none in an answer.
    pub method: Option<String>,
}

impl<'a> Envelope<'a> {
    /// What to write in place of the line, without a line break: the line itself where it is canonical, else the
    /// same message written anew around its untouched parts.
    pub fn forward(&self) -> Cow<'a, [u8]> {
        if self.canonical {
            return Cow::Borrowed(self.line);
        }
        let id = match &self.message {
            Message::Request { id, .. } | Message::Result { id, .. } => Some(id.raw()),
            Message::Error { id, .. } => Some(id.as_ref().map_or("null", Id::raw)),
            Message::Notification { .. } => None,
        };
        Cow::Owned(self.written(id))
    }

    /// As `forward`, under another id: `id` is raw. A message without an id stays without one.
    pub fn forward_with_id(&self, id: &str) -> Vec<u8> {
        match &self.id_span {
            Some(span) if self.canonical => {
                let mut out = Vec::with_capacity(self.line.len() - span.len() + id.len());
                out.extend_from_slice(&self.line[..span.start]);
                out.extend_from_slice(id.as_bytes());
                out.extend_from_slice(&self.line[span.end..]);
                out
            }
            Some(_) => self.written(Some(id)),
            None => self.forward().into_owned(),
        }
    }

    /// The message written anew.
    fn written(&self, id: Option<&str>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.line.len() + 16);
        out.extend_from_slice(b"{\"jsonrpc\":\"2.0\"");
        if let Some(id) = id {
            out.extend_from_slice(b",\"id\":");
            out.extend_from_slice(id.as_bytes());
        }
        let (key, value) = match &self.message {
            Message::Request { method, params, .. } | Message::Notification { method, params } => {
                out.extend_from_slice(b",\"method\":");
                write_string(&mut out, method);
                (",\"params\":", *params)
            }
            Message::Result { result, .. } => (",\"result\":", Some(*result)),
            Message::Error { error, .. } => (",\"error\":", Some(*error)),
        };
        if let Some(value) = value {
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(value.as_bytes());
        }
        for unknown in &self.unknown {
            out.push(b',');
            out.extend_from_slice(unknown.as_bytes());
        }
        out.push(b'}');
        out
    }
}

/// Reads one line, its line break left out.
///
/// Judged are: the whole line by the grammar; `params` by [`super::scan::Strictness::Unique`]; `result` and `error`
/// for doubles among their own keys only, since deeper ones are a server's answer and go through; depth everywhere.
///
/// # Errors
/// Anything that is not exactly one message, or that readers could take for different ones.
pub fn parse<'a>(line: &'a [u8], limits: &WireLimits) -> Result<Envelope<'a>, Malformed> {
    let whole = |code, reason: String| Malformed {
        code,
        reason,
        id: None,
        method: None,
    };
    let no_json = |error: ScanError| whole(PARSE_ERROR, format!("the message is {error}"));
    if line.len() > limits.max_message {
        let reason = format!(
            "the message has {} bytes; the limit is {}",
            line.len(),
            limits.max_message
        );
        return Err(whole(INVALID_REQUEST, reason));
    }
    let text = utf8(line).map_err(no_json)?;
    let mut scanner = Scanner::new(text, limits.max_depth);
    scanner.space();
    if scanner.open(b'{').is_err() {
        // An array would be a batch, which MCP dropped; some servers still run them.
        let json = validate(line, usize::MAX, Strictness::Any);
        return Err(match json {
            Err(error) => no_json(error),
            Ok(()) if line.trim_ascii().starts_with(b"[") => whole(
                INVALID_REQUEST,
                "batches are not accepted: send one message per line".into(),
            ),
            Ok(()) => whole(INVALID_REQUEST, "the message is not a JSON object".into()),
        });
    }
    let mut found = Found::default();
    let mut more = !scanner.closes(b'}');
    while more {
        found.member(&mut scanner, text).map_err(no_json)?;
        more = scanner.goes_on(b'}').map_err(no_json)?;
    }
    scanner.finish().map_err(no_json)?;
    if let Some(at) = memchr::memchr2(b'\r', b'\n', line) {
        found.fault(INVALID_REQUEST, || {
            format!("a line break inside the message, at byte {at}")
        });
    }
    found.conclude(line)
}

/// The members that JSON-RPC knows.
const KNOWN: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// The most members beyond those. Each is compared with all others.
const MAX_UNKNOWN: usize = 32;

/// What was found of a message so far.
#[derive(Default)]
struct Found<'a> {
    /// The raw values of the members in `KNOWN`.
    values: [Option<&'a str>; 6],
    /// Which of them stood twice.
    twice: [bool; 6],
    id_span: Option<Range<usize>>,
    escapes: bool,
    unknown: Vec<&'a str>,
    /// The first fault: its code and what is wrong.
    fault: Option<(i64, String)>,
}

impl<'a> Found<'a> {
    fn fault(&mut self, code: i64, reason: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some((code, reason()));
        }
    }

    /// Takes in one member.
    fn member(&mut self, scanner: &mut Scanner<'a>, text: &'a str) -> Result<(), ScanError> {
        let (key, plain, key_start) = scanner.key()?;
        let meant = unescape(key);
        let known = KNOWN.iter().position(|name| *name == meant);
        self.escapes |= known.is_some() && !plain;
        let plan = match known.map(|i| KNOWN[i]) {
            Some("params") => Plan::Unique,
            Some("result" | "error") => Plan::UniqueAtTop,
            _ => Plan::Any,
        };
        let start = scanner.position();
        scanner.value(plan)?;
        let end = scanner.position();
        if let Some(error) = scanner.noted() {
            let code = if plan == Plan::Unique {
                INVALID_PARAMS
            } else {
                INVALID_REQUEST
            };
            self.fault(code, || format!("in `{}`: {error}", quoted(&meant)));
        }
        let Some(known) = known else {
            let member = Member {
                key,
                key_is_plain: plain,
                value: &text[start..end],
                start: key_start,
                value_start: start,
                end,
            };
            if let Some(name) = KNOWN.iter().find(|name| member.could_pass_for(name)) {
                self.fault(INVALID_REQUEST, || {
                    format!(
                        "the key `{}`, which could be taken for `{name}`",
                        quoted(&meant)
                    )
                });
            }
            if self.unknown.len() == MAX_UNKNOWN {
                let reason =
                    || format!("more than {MAX_UNKNOWN} members that JSON-RPC does not know");
                self.fault(INVALID_REQUEST, reason);
                return Ok(());
            }
            if self
                .unknown
                .iter()
                .any(|other| same_key(other, &text[key_start..end]))
            {
                self.fault(INVALID_REQUEST, || {
                    format!("the key `{}` a second time", quoted(&meant))
                });
            }
            self.unknown.push(&text[key_start..end]);
            return Ok(());
        };
        if self.values[known].replace(&text[start..end]).is_some() {
            self.twice[known] = true;
            self.fault(INVALID_REQUEST, || {
                format!("the key `{}` a second time", KNOWN[known])
            });
        }
        if known == 1 {
            self.id_span = Some(start..end);
        }
        Ok(())
    }

    /// Judges the whole.
    fn conclude(mut self, line: &'a [u8]) -> Result<Envelope<'a>, Malformed> {
        let [jsonrpc, id, method, params, result, error] = self.values;
        let raw_id = id;
        let id = match raw_id.map(Id::read) {
            _ if self.twice[1] => None,
            None => None,
            Some(Ok(id)) => Some(id),
            Some(Err(_)) if raw_id == Some("null") && error.is_some() && method.is_none() => {
                self.id_span = None;
                None
            }
            Some(Err(reason)) => {
                self.fault(INVALID_REQUEST, || reason.into());
                None
            }
        };
        match jsonrpc {
            None => self.fault(INVALID_REQUEST, || {
                "no `jsonrpc`: it must be \"2.0\"".into()
            }),
            Some(version) if string_text(version).as_deref() != Some("2.0") => {
                self.fault(INVALID_REQUEST, || "`jsonrpc` is not \"2.0\"".into());
            }
            Some(version) => self.escapes |= version != "\"2.0\"",
        }
        let method = method.and_then(|raw| {
            self.escapes |= raw.contains('\\');
            let text = string_text(raw).filter(|_| !self.twice[2]);
            if text.is_none() {
                self.fault(INVALID_REQUEST, || "`method` is not a string".into());
            }
            text
        });
        let params = params.filter(|raw| *raw != "null");
        if let Some(raw) = params
            && !raw.starts_with('{')
        {
            self.fault(INVALID_PARAMS, || "`params` is not an object".into());
        }
        let has_method = self.values[2].is_some();
        let message = match (has_method, result, error) {
            (true, None, None) => method.clone().map(|method| match id.clone() {
                Some(id) => Message::Request { id, method, params },
                None => Message::Notification { method, params },
            }),
            (false, Some(result), None) => id.clone().map(|id| Message::Result { id, result }),
            (false, None, Some(error)) => {
                if !error.starts_with('{') {
                    self.fault(INVALID_REQUEST, || "`error` is not an object".into());
                }
                Some(Message::Error {
                    id: id.clone(),
                    error,
                })
            }
            (false, None, None) => {
                self.fault(INVALID_REQUEST, || {
                    "no `method`, `result` or `error`".into()
                });
                None
            }
            _ => {
                self.fault(INVALID_REQUEST, || {
                    "more than one of `method`, `result` and `error`".into()
                });
                None
            }
        };
        if !has_method && self.values[3].is_some() {
            self.fault(INVALID_REQUEST, || "`params` in an answer".into());
        }
        if message.is_none() {
            self.fault(INVALID_REQUEST, || "an answer without an `id`".into());
        }
        match (self.fault, message) {
            (None, Some(message)) => Ok(Envelope {
                message,
                line,
                canonical: !self.escapes,
                id_span: self.id_span,
                unknown: self.unknown,
            }),
            (fault, _) => {
                let (code, reason) = fault.unwrap_or((INVALID_REQUEST, String::new()));
                Err(Malformed {
                    code,
                    reason,
                    id: id.map(|id| id.to_owned()),
                    method: method.map(Cow::into_owned),
                })
            }
        }
    }
}

/// Whether two members, as written, have the same key.
fn same_key(a: &str, b: &str) -> bool {
    let key = |text| {
        let mut scanner = Scanner::new(text, 1);
        scanner.key().map(|(key, ..)| meaning(key))
    };
    matches!((key(a), key(b)), (Ok(a), Ok(b)) if a == b)
}

/// `text` in a shape that can stand in a reason: control characters escaped, cut at 80 characters.
fn quoted(text: &str) -> String {
    text.escape_debug().take(80).collect()
}

#[cfg(test)]
mod tests;
