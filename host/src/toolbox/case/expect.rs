//! What a hook must answer: the shape of `expect`, checked while it is read, so that a misspelt word is an error and not
//! a case that fails, or one that cannot.

use serde_json::{Map, Value as Tree};

use super::super::Hook;
use super::super::reader::{CaseError, Object, Value};

/// What a case expects, in the shape of what is found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Expect(pub Map<String, Tree>);

/// Why a hook gave no answer, by the words of cases.
const FAILURES: [(&str, ()); 5] = [
    ("trap", ()),
    ("timeout", ()),
    ("out-of-memory", ()),
    ("bad-output", ()),
    ("host", ()),
];

const REFUSALS: [(&str, ()); 3] = [("moved-on", ()), ("unknown-entry", ()), ("not-allowed", ())];

/// The keys of `expect` that a hook's cases can have.
const fn keys(hook: Hook) -> &'static [&'static str] {
    match hook {
        Hook::Settings => &["verdict", "settings_error"],
        Hook::Inventory => &["verdict", "store"],
        Hook::ListFilter => &["verdict", "items"],
        Hook::CallGate | Hook::ResultGate | Hook::ClientRequestGate => &["verdict"],
        Hook::DiscoverySurface => &["verdict", "surfaced"],
        Hook::ReviewEntries => &["verdict", "entries"],
        Hook::ReviewDecide => &["verdict", "refused", "entry", "store"],
    }
}

/// The key that says what a judging hook answers; without it a case could not fail.
const fn answer(hook: Hook) -> Option<&'static str> {
    match hook {
        Hook::ListFilter => Some("items"),
        Hook::CallGate | Hook::ResultGate | Hook::ClientRequestGate => Some("verdict"),
        Hook::DiscoverySurface => Some("surfaced"),
        Hook::ReviewEntries => Some("entries"),
        Hook::Settings | Hook::Inventory | Hook::ReviewDecide => None,
    }
}

impl Expect {
    /// Reads `expect` of a case of `hook`, whose answer must have `answers` elements if it is a list of answers.
    pub(super) fn read(value: &Value<'_>, hook: Hook, answers: usize) -> Result<Self, CaseError> {
        let object = value.object()?;
        let mut found = Map::new();
        for key in keys(hook) {
            let Some(part) = object.get(key) else {
                continue;
            };
            match *key {
                "verdict" => verdict(&part, hook)?,
                "items" => list(&part, answers, kept)?,
                "surfaced" => list(&part, answers, surfaced)?,
                "entries" => part.array()?.iter().try_for_each(entry)?,
                "entry" => part.present().map_or(Ok(()), |_| entry(&part))?,
                "refused" => refused(&part)?,
                "store" => drop(super::store(part.clone())?),
                _ => drop(part.some_text()?),
            }
            found.insert((*key).to_owned(), part.tree()?);
        }
        let failure = found.contains_key("verdict") && answer(hook) != Some("verdict");
        if failure && found.len() > 1 {
            return Err(object
                .error("cannot have `verdict` with others: a hook that fails answers nothing"));
        }
        if found.contains_key("refused") && found.len() > 1 {
            return Err(
                object.error("cannot have `refused` with others: a refusal changes nothing")
            );
        }
        if let Some(answer) = answer(hook)
            && found.is_empty()
            && object.all().all(|(key, _)| keys(hook).contains(&key))
        {
            return Err(object.error(&format!("needs `{answer}`: what the hook must answer")));
        }
        object.finish(|key| {
            let known = Hook::ALL.into_iter().any(|hook| keys(hook).contains(&key));
            known.then(|| {
                format!(
                    "remove it; of {} a case can expect: {}",
                    hook.word(),
                    keys(hook).join(", ")
                )
            })
        })?;
        Ok(Self(found))
    }
}

fn verdict(value: &Value<'_>, hook: Hook) -> Result<(), CaseError> {
    if !value.is_object() {
        return match hook {
            Hook::CallGate | Hook::ClientRequestGate => value.word(&[("allow", ())]),
            Hook::ResultGate => value.word(&[("pass", ())]),
            _ => Err(value.error("can only be a failure here, such as {\"failure\": \"trap\"}")),
        };
    }
    let object = value.object()?;
    let part = one(&object, "verdict")?;
    if let Some(failure) = object.get("failure") {
        failure.word(&FAILURES)?;
    }
    if matches!(
        hook,
        Hook::CallGate | Hook::ResultGate | Hook::ClientRequestGate
    ) && let Some(denial) = object.get("deny")
    {
        texts(&denial, &["code", "reason"], &["remedy"])?;
    }
    if hook == Hook::CallGate
        && let Some(hold) = object.get("hold")
    {
        texts(&hold, &["code", "reason"], &[])?;
    }
    if hook == Hook::ResultGate {
        // Any JSON may stand in place of a result.
        let _ = object.get("replace");
    }
    object.done().map(|()| drop(part))
}

/// Expects that an object has one member.
fn one<'a>(object: &Object<'a>, what: &str) -> Result<Value<'a>, CaseError> {
    let mut members = object.all();
    match (members.next(), members.next()) {
        (Some((_, value)), None) => Ok(value.clone()),
        _ => Err(object.error(&format!("must have one key: a {what} is one thing"))),
    }
}

/// An object of strings and labels; those in `optional` may be `null`, which expects that there is none.
fn texts(
    value: &Value<'_>,
    needed: &[&'static str],
    optional: &[&'static str],
) -> Result<(), CaseError> {
    let object = value.object()?;
    for key in needed {
        if let Some(text) = object.get(key) {
            text.text()?;
        }
    }
    for key in optional {
        if let Some(text) = object.get(key) {
            text.optional_text()?;
        }
    }
    labels(&object)?;
    object.done()
}

fn labels(object: &Object<'_>) -> Result<(), CaseError> {
    let Some(labels) = object.get("labels") else {
        return Ok(());
    };
    let labels = labels.object()?;
    labels
        .all()
        .try_for_each(|(_, value)| value.text().map(drop))
}

/// A list with one expectation for each thing the hook was given.
fn list(
    value: &Value<'_>,
    answers: usize,
    each: impl Fn(&Value<'_>) -> Result<(), CaseError>,
) -> Result<(), CaseError> {
    let list = value.array()?;
    if list.len() != answers {
        return Err(value.error(&format!(
            "has {} elements, and the hook is given {answers} items: write one for each, in their order",
            list.len()
        )));
    }
    list.iter().try_for_each(each)
}

fn kept(value: &Value<'_>) -> Result<(), CaseError> {
    if !value.is_object() {
        return value.word(&[("keep", ())]);
    }
    let object = value.object()?;
    let denial = object.need("deny", "the denial")?;
    texts(&denial, &["code", "reason"], &["remedy"])?;
    object.done()
}

fn surfaced(value: &Value<'_>) -> Result<(), CaseError> {
    match value.present() {
        None => Ok(()),
        Some(_) => texts(value, &["status", "remedy"], &[]),
    }
}

fn refused(value: &Value<'_>) -> Result<(), CaseError> {
    if !value.is_object() {
        return value.word(&REFUSALS);
    }
    let object = value.object()?;
    object.need("other", "what the policy says")?.text()?;
    object.done()
}

fn entry(value: &Value<'_>) -> Result<(), CaseError> {
    let object = value.object()?;
    for key in ["id", "server", "kind", "name", "status", "by"] {
        if let Some(text) = object.get(key) {
            text.text()?;
        }
    }
    for key in ["waiting", "present"] {
        if let Some(flag) = object.get(key) {
            flag.boolean()?;
        }
    }
    if let Some(since) = object.get("since_ms") {
        since.number()?;
    }
    for key in ["approved_digests", "current_digests"] {
        if let Some(digests) = object.get(key) {
            digests
                .array()?
                .iter()
                .try_for_each(|digest| digest.text().map(drop))?;
        }
    }
    labels(&object)?;
    object.done()
}
