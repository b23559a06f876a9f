//! What hooks answered as JSON, in the shape in which cases expect it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::policy::FailureKind;
use crate::policy::contract::{
    Admission, Change, Decided, Denial, Entry, Hold, ItemKind, Locked, Refusal, Ruling, Verdict,
};

/// What was found, key by key of `expect`.
pub(super) type Found = Map<String, Value>;

/// One key of what was found.
pub(super) fn one(key: &str, value: impl Into<Value>) -> Found {
    Map::from_iter([(key.to_owned(), value.into())])
}

/// The word for a way to fail.
pub(super) const fn failure_word(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Trap => "trap",
        FailureKind::Timeout => "timeout",
        FailureKind::OutOfMemory => "out-of-memory",
        FailureKind::BadOutput => "bad-output",
        FailureKind::Host => "host",
    }
}

pub(super) fn failure(kind: FailureKind) -> Found {
    one("verdict", json!({"failure": failure_word(kind)}))
}

pub(super) fn verdict(verdict: &Verdict) -> Found {
    one(
        "verdict",
        match verdict {
            Verdict::Allow => json!("allow"),
            Verdict::Deny(denial) => json!({"deny": denied(denial)}),
            Verdict::Hold(Hold {
                code,
                reason,
                labels,
            }) => {
                json!({"hold": {"code": code, "reason": reason, "labels": labelled(labels)}})
            }
            Verdict::Other(word) => json!({"other": word}),
        },
    )
}

pub(super) fn ruling(ruling: &Ruling) -> Found {
    one(
        "verdict",
        match ruling {
            Ruling::Pass => json!("pass"),
            // What is no JSON was a failure before it came here.
            Ruling::Replace(text) => {
                json!({"replace": serde_json::from_str::<Value>(text).unwrap_or_default()})
            }
            Ruling::Deny(denial) => json!({"deny": denied(denial)}),
            Ruling::Other(word) => json!({"other": word}),
        },
    )
}

pub(super) fn admission(admission: &Admission) -> Found {
    one(
        "verdict",
        match admission {
            Admission::Allow => json!("allow"),
            Admission::Deny(denial) => json!({"deny": denied(denial)}),
            Admission::Other(word) => json!({"other": word}),
        },
    )
}

pub(super) fn filtered(answers: &[Option<Denial>]) -> Found {
    let answers = answers.iter().map(|answer| match answer {
        None => json!("keep"),
        Some(denial) => json!({"deny": denied(denial)}),
    });
    one("items", answers.collect::<Vec<_>>())
}

pub(super) fn surfaced(answers: &[Option<Locked>]) -> Found {
    let answers = answers.iter().map(|answer| match answer {
        None => Value::Null,
        Some(Locked {
            status,
            remedy,
            labels,
        }) => json!({"status": status, "remedy": remedy, "labels": labelled(labels)}),
    });
    one("surfaced", answers.collect::<Vec<_>>())
}

pub(super) fn entries(entries: &[Entry]) -> Found {
    one("entries", entries.iter().map(entry).collect::<Vec<_>>())
}

pub(super) fn decided(
    answer: &Result<Decided, Refusal>,
    after: &BTreeMap<String, String>,
) -> Found {
    match answer {
        Ok(decided) => {
            let mut found = one("entry", decided.entry.as_ref().map(entry));
            found.extend(stored(after));
            found
        }
        Err(refusal) => one(
            "refused",
            match refusal {
                Refusal::MovedOn => json!("moved-on"),
                Refusal::UnknownEntry => json!("unknown-entry"),
                Refusal::NotAllowed => json!("not-allowed"),
                Refusal::Other(word) => json!({"other": word}),
            },
        ),
    }
}

pub(super) fn stored(after: &BTreeMap<String, String>) -> Found {
    one("store", json!(after))
}

/// A change for machines.
pub(super) fn change(change: &Change) -> Value {
    json!({"key": change.key, "value": change.value, "labels": labelled(&change.labels)})
}

fn denied(denial: &Denial) -> Value {
    json!({
        "code": denial.code,
        "reason": denial.reason,
        "remedy": denial.remedy,
        "labels": labelled(&denial.labels),
    })
}

fn entry(entry: &Entry) -> Value {
    json!({
        "id": entry.id,
        "server": entry.server,
        "kind": kind(&entry.kind),
        "name": entry.name,
        "status": entry.status,
        "waiting": entry.waiting,
        "by": entry.by,
        "since_ms": entry.since_ms,
        "approved_digests": entry.approved_digests,
        "current_digests": entry.current_digests,
        "present": entry.present,
        "labels": labelled(&entry.labels),
    })
}

fn kind(kind: &ItemKind) -> &str {
    match kind {
        ItemKind::Tool => "tool",
        ItemKind::Prompt => "prompt",
        ItemKind::ResourceItem => "resource",
        ItemKind::ResourceTemplate => "resource-template",
        ItemKind::SelfDescription => "self-description",
        ItemKind::Other(word) => word,
    }
}

fn labelled(labels: &[(String, String)]) -> Value {
    let labels = labels
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)));
    Value::Object(labels.collect())
}
