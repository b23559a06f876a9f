//! The smaller records of the contract, which hold no definitions: servers, callers, denials, actions, labels.

use super::super::reader::{CaseError, Value};
use crate::mcp::{Digest, ItemKind};
use crate::policy::contract::{Action, Caller, Denial, Server, Standing};

pub(super) type Labels = Vec<(String, String)>;

const ACTIONS: [(&str, Plain); 5] = [
    ("approve", Plain::Approve),
    ("approve-also", Plain::ApproveAlso),
    ("revoke", Plain::Revoke),
    ("block", Plain::Block),
    ("unblock", Plain::Unblock),
];

/// The actions of the contract that need no more than their word.
#[derive(Clone, Copy)]
enum Plain {
    Approve,
    ApproveAlso,
    Revoke,
    Block,
    Unblock,
}

/// The member of a definition that names its item.
const fn naming(kind: ItemKind) -> Option<&'static str> {
    match kind {
        ItemKind::Tool | ItemKind::Prompt => Some("name"),
        ItemKind::Resource => Some("uri"),
        ItemKind::ResourceTemplate => Some("uriTemplate"),
        ItemKind::SelfDescription => None,
    }
}

/// The name that a definition gives its item.
pub(super) fn defined_name(kind: ItemKind, definition: &Value<'_>) -> Result<String, CaseError> {
    let object = definition.object()?;
    let Some(key) = naming(kind) else {
        return Ok(String::new());
    };
    match object.peek(key) {
        Some(name) => name.text(),
        None => Err(definition.error(&format!("of a {kind} needs `{key}`, which names it"))),
    }
}

pub(super) fn optional_digest(value: &Value<'_>) -> Result<Option<Digest>, CaseError> {
    let text = value.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    let digest = text.parse();
    digest.map(Some).map_err(|_| {
        value.error(
            "is no digest: write `1:` and 64 lower-case hexadecimal digits, or give the definition",
        )
    })
}

pub(super) fn server(value: Option<Value<'_>>) -> Result<Server, CaseError> {
    let mut server = Server {
        name: "server".to_owned(),
        standing: Standing::Trusted,
        labels: Labels::new(),
    };
    if let Some(value) = value {
        let object = value.object()?;
        if let Some(name) = object.get("name") {
            server.name = name.some_text()?;
        }
        if let Some(standing) = object.get("standing") {
            server.standing = standing.word(&[
                ("trusted", Standing::Trusted),
                ("quarantined", Standing::Quarantined),
            ])?;
        }
        server.labels = labels(object.get("labels"))?;
        object.done()?;
    }
    Ok(server)
}

pub(super) fn caller(value: Option<Value<'_>>) -> Result<Caller, CaseError> {
    let mut caller = Caller {
        id: "local".to_owned(),
        roles: Vec::new(),
        labels: Labels::new(),
    };
    if let Some(value) = value {
        let object = value.object()?;
        if let Some(id) = object.get("id") {
            caller.id = id.text()?;
        }
        if let Some(roles) = object.get("roles") {
            let roles = roles.array()?;
            caller.roles = roles.iter().map(Value::text).collect::<Result<_, _>>()?;
        }
        caller.labels = labels(object.get("labels"))?;
        object.done()?;
    }
    Ok(caller)
}

pub(super) fn denial(value: &Value<'_>) -> Result<Denial, CaseError> {
    let object = value.object()?;
    let denial = Denial {
        code: object
            .need("code", "the policy's own word for why")?
            .some_text()?,
        reason: object
            .get("reason")
            .map_or(Ok(String::new()), |reason| reason.text())?,
        remedy: match object.get("remedy") {
            Some(remedy) => remedy.optional_text()?,
            None => None,
        },
        labels: labels(object.get("labels"))?,
    };
    object.done()?;
    Ok(denial)
}

pub(super) fn action(value: &Value<'_>) -> Result<Action, CaseError> {
    if value.is_object() {
        let object = value.object()?;
        let other = object.need("other", "an action that the contract has no word for")?;
        let other = other.some_text()?;
        object.done()?;
        return Ok(Action::Other(other));
    }
    Ok(match value.word(&ACTIONS)? {
        Plain::Approve => Action::Approve,
        Plain::ApproveAlso => Action::ApproveAlso,
        Plain::Revoke => Action::Revoke,
        Plain::Block => Action::Block,
        Plain::Unblock => Action::Unblock,
    })
}

pub(super) fn labels(value: Option<Value<'_>>) -> Result<Labels, CaseError> {
    let Some(value) = value else {
        return Ok(Labels::new());
    };
    let object = value.object()?;
    let labels = object
        .all()
        .map(|(key, value)| Ok((key.to_owned(), value.text()?)));
    labels.collect()
}
