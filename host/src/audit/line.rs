//! The lines of the audit: how a record is written, and what must be read to check a chain.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::Record;
use super::time::rfc3339;

/// The longest method that is recorded, characters.
const MAX_METHOD: usize = 200;

/// SHA-256 of a line, without its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Hash(pub(super) [u8; 32]);

impl Hash {
    /// What stands before the first line.
    pub(super) const NONE: Self = Self([0; 32]);

    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// How far a file has come: the number of its last line, the line's hash, the bytes up to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// None before the header.
    pub(super) last: Option<u64>,
    pub(super) head: Hash,
    pub(super) length: u64,
}

impl Chain {
    pub(super) const EMPTY: Self = Self {
        last: None,
        head: Hash::NONE,
        length: 0,
    };

    /// Appends a line to `out`, made by `body` after the members that every line begins with.
    fn append(
        &mut self,
        out: &mut Vec<u8>,
        at_ms: u64,
        body: &impl Serialize,
    ) -> serde_json::Result<()> {
        let seq = self.last.map_or(0, |last| last + 1);
        let begun = out.len();
        let line = Linked {
            time: rfc3339(at_ms),
            seq,
            prev: self.head.to_string(),
            body,
        };
        if let Err(error) = serde_json::to_writer(&mut *out, &line) {
            out.truncate(begun);
            return Err(error);
        }
        self.head = Hash::of(&out[begun..]);
        self.last = Some(seq);
        out.push(b'\n');
        self.length += (out.len() - begun) as u64;
        Ok(())
    }

    pub(super) fn header(
        &mut self,
        out: &mut Vec<u8>,
        at_ms: u64,
        header: &Header,
    ) -> serde_json::Result<()> {
        self.append(out, at_ms, header)
    }

    pub(super) fn lost(
        &mut self,
        out: &mut Vec<u8>,
        at_ms: u64,
        lost: u64,
    ) -> serde_json::Result<()> {
        self.append(out, at_ms, &Lost { lost })
    }

    pub(super) fn closed(&mut self, out: &mut Vec<u8>, at_ms: u64) -> serde_json::Result<()> {
        self.append(out, at_ms, &Closed { closed: true })
    }

    pub(super) fn record(
        &mut self,
        out: &mut Vec<u8>,
        at_ms: u64,
        record: &Record,
        with_arguments: bool,
    ) -> serde_json::Result<()> {
        self.append(out, at_ms, &Written::of(record, with_arguments))
    }
}

#[derive(Serialize)]
struct Linked<'a, T> {
    time: String,
    seq: u64,
    prev: String,
    #[serde(flatten)]
    body: &'a T,
}

/// The first line of a file: who writes it, and where the files before it ended as far as the ledger knew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    /// The version that writes.
    pub(super) witgate: String,
    pub(super) pid: u32,
    /// The file that this process wrote before, if it had to begin another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) continues: Option<String>,
    /// How many files the ledger knew; none if it could not be asked.
    pub(super) known: Option<u64>,
    /// The latest of them.
    pub(super) follows: Vec<Ended>,
}

/// Where a file ended, by the header of a later one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ended {
    pub(super) file: String,
    pub(super) seq: u64,
    pub(super) head: String,
}

/// Stands for records that could not be kept until they could be written.
#[derive(Serialize)]
struct Lost {
    lost: u64,
}

/// The last line of a file that ended in order: nothing comes after it.
#[derive(Serialize)]
struct Closed {
    closed: bool,
}

#[derive(Serialize)]
struct Written<'a> {
    generation: u64,
    caller: &'a str,
    server: &'a str,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<WrittenItem<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments_digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<Arguments>,
    verdict: &'a str,
    codes: Vec<Code<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    decided_by: Option<&'a str>,
    micros: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
struct WrittenItem<'a> {
    kind: &'a str,
    name: &'a str,
}

#[derive(Serialize)]
struct Code<'a> {
    policy: &'a str,
    code: &'a str,
}

/// JSON as it came, or a string where it is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Arguments {
    Json(Box<RawValue>),
    Text(String),
}

impl Arguments {
    /// A line's end in JSON text is white space between tokens, and in a line of ours the end of the line.
    fn of(text: &str) -> Self {
        match RawValue::from_string(text.replace(['\n', '\r'], " ")) {
            Ok(json) => Self::Json(json),
            Err(_) => Self::Text(text.to_owned()),
        }
    }
}

impl<'a> Written<'a> {
    fn of(record: &'a Record, with_arguments: bool) -> Self {
        let method = record.method.as_str();
        let cut = method.char_indices().nth(MAX_METHOD);
        let arguments = record.arguments.as_deref();
        let mut micros = serde_json::Map::new();
        for (policy, taken) in &record.micros {
            // A policy may have judged the call and its result: one figure.
            let before = micros.get(&**policy).and_then(serde_json::Value::as_u64);
            let sum = before.unwrap_or(0) + u64::from(*taken);
            micros.insert(policy.to_string(), sum.into());
        }
        Self {
            generation: record.generation,
            caller: &record.caller,
            server: &record.server,
            method: cut.map_or(method, |(end, _)| &method[..end]),
            item: record.item.as_ref().map(|(kind, name)| WrittenItem {
                kind: kind.word(),
                name,
            }),
            digest: record.digest.map(|digest| digest.to_string()),
            arguments_digest: arguments.map(|text| Hash::of(text.as_bytes()).to_string()),
            arguments: arguments.filter(|_| with_arguments).map(Arguments::of),
            verdict: record.verdict.word(),
            codes: record
                .codes
                .iter()
                .map(|(policy, code)| Code { policy, code })
                .collect(),
            decided_by: record.decided_by.as_deref(),
            micros,
        }
    }
}

/// What every line says of itself.
#[derive(Deserialize)]
pub(super) struct Link {
    pub(super) time: String,
    pub(super) seq: u64,
    pub(super) prev: String,
    /// Only a header has it.
    witgate: Option<serde::de::IgnoredAny>,
    /// Only the last line of a file that ended in order has it.
    closed: Option<serde::de::IgnoredAny>,
}

impl Link {
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(line).map_err(|error| format!("it is no record: {error}"))
    }

    pub(super) fn is_header(&self) -> bool {
        self.witgate.is_some()
    }

    pub(super) fn is_last(&self) -> bool {
        self.closed.is_some()
    }
}
