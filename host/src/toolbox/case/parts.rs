//! The parts that hooks are given: items, calls, and what else holds definitions.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::reader::{CaseError, Value};
use super::records::{
    Labels, action, caller, defined_name, denial, labels, optional_digest, server,
};
use crate::chain::convert;
use crate::mcp::digest::{catalogue_digest, digest};
use crate::mcp::uri::normal_form;
use crate::mcp::{Digest, ItemKind};
use crate::policy::contract::{
    Call, Catalogue, ClientRequest, Context, Decision, Item, Server, Withheld,
};

/// Reads parts, and keeps the definitions that come with them.
pub(super) struct Parts {
    now_ms: u64,
    pub(super) known: HashMap<Digest, Arc<str>>,
}

/// An item with its kind and digest as the host knows them.
pub(super) struct Found {
    item: Item,
    kind: ItemKind,
    digest: Option<Digest>,
}

const KINDS: [(&str, ItemKind); 5] = [
    ("tool", ItemKind::Tool),
    ("prompt", ItemKind::Prompt),
    ("resource", ItemKind::Resource),
    ("resource-template", ItemKind::ResourceTemplate),
    ("self-description", ItemKind::SelfDescription),
];

impl Parts {
    pub(super) fn new(now_ms: u64) -> Self {
        Self {
            now_ms,
            known: HashMap::new(),
        }
    }

    /// `definitions`: what `catalog.definition` knows beside the definitions of items.
    pub(super) fn definitions(&mut self, value: &Value<'_>) -> Result<(), CaseError> {
        for entry in value.array()? {
            let object = entry.object()?;
            let kind = object.need("kind", "what it defines")?.word(&KINDS)?;
            let definition = object.need("definition", "the definition itself")?;
            self.pin(kind, &definition)?;
            object.done()?;
        }
        Ok(())
    }

    fn pin(&mut self, kind: ItemKind, definition: &Value<'_>) -> Result<Digest, CaseError> {
        let text = definition.raw();
        let digest = digest(kind, text)
            .map_err(|error| definition.error(&format!("has no digest: {error}")))?;
        self.known.insert(digest, text.into());
        Ok(digest)
    }

    /// `items`; none are none.
    pub(super) fn found(&mut self, value: Option<Value<'_>>) -> Result<Vec<Found>, CaseError> {
        let Some(value) = value else {
            return Ok(Vec::new());
        };
        value.array()?.iter().map(|item| self.item(item)).collect()
    }

    /// `items`, as hooks are given them.
    pub(super) fn items(&mut self, value: Option<Value<'_>>) -> Result<Vec<Item>, CaseError> {
        let found = self.found(value)?;
        Ok(found.into_iter().map(|found| found.item).collect())
    }

    fn item(&mut self, value: &Value<'_>) -> Result<Found, CaseError> {
        let object = value.object()?;
        let kind = object.need("kind", "such as \"tool\"")?.word(&KINDS)?;
        let labels = labels(object.get("labels"))?;
        let (name, digest) = match object.get("definition") {
            Some(definition) => {
                let name = defined_name(kind, &definition)?;
                let digest = self.pin(kind, &definition)?;
                for key in ["name", "digest"] {
                    if let Some(double) = object.peek(key) {
                        return Err(double
                            .error("is what the definition says: remove it, or the definition"));
                    }
                }
                (name, Some(digest))
            }
            None => {
                let name = match object.get("name") {
                    Some(name) => name.text()?,
                    None if kind == ItemKind::SelfDescription => String::new(),
                    None => {
                        return Err(object.error("needs `definition`, or `name` if it has none"));
                    }
                };
                let digest = match object.get("digest") {
                    Some(value) => optional_digest(&value)?,
                    None => None,
                };
                (name, digest)
            }
        };
        object.done()?;
        let name = match kind {
            ItemKind::Resource => normal_form(&name).into_owned(),
            _ => name,
        };
        let item = Item {
            kind: convert::kind(kind),
            name,
            digest: digest.map(|digest| digest.to_string()).unwrap_or_default(),
            labels,
        };
        Ok(Found { item, kind, digest })
    }

    /// What is offered at once: the items, and which kinds were read to the end.
    pub(super) fn catalogue(
        &mut self,
        value: Option<Value<'_>>,
        found: Vec<Found>,
    ) -> Result<Catalogue, CaseError> {
        let mut complete = ItemKind::ALL.to_vec();
        let mut named = Vec::new();
        if let Some(value) = value {
            let object = value.object()?;
            if let Some(kinds) = object.get("complete") {
                let kinds = kinds.array()?;
                complete = kinds
                    .iter()
                    .map(|kind| kind.word(&KINDS))
                    .collect::<Result<_, _>>()?;
            }
            named = labels(object.get("labels"))?;
            object.done()?;
        }
        let pinned: Vec<_> = found
            .iter()
            .filter_map(|found| Some((found.kind, &*found.item.name, found.digest?)))
            .collect();
        Ok(Catalogue {
            digest: catalogue_digest(&pinned).to_string(),
            complete: complete.into_iter().map(convert::kind).collect(),
            items: found.into_iter().map(|found| found.item).collect(),
            labels: named,
        })
    }

    /// `context`.
    pub(super) fn context(&self, value: Option<Value<'_>>) -> Result<Context, CaseError> {
        let mut context = Context {
            server: server(None)?,
            caller: caller(None)?,
            labels: Labels::new(),
        };
        if let Some(value) = value {
            let object = value.object()?;
            context.server = server(object.get("server"))?;
            context.caller = caller(object.get("caller"))?;
            context.labels = labels(object.get("labels"))?;
            object.done()?;
        }
        Ok(context)
    }

    /// `context` of a hook that is told of the server alone.
    pub(super) fn only_server(&self, value: Option<Value<'_>>) -> Result<Server, CaseError> {
        let Some(value) = value else {
            return server(None);
        };
        let object = value.object()?;
        let server = server(object.get("server"))?;
        object.finish(|key| {
            matches!(key, "caller" | "labels")
                .then(|| "remove it; inventory is told of the server alone".to_owned())
        })?;
        Ok(server)
    }

    /// `call`.
    pub(super) fn call(&mut self, value: &Value<'_>) -> Result<Call, CaseError> {
        let object = value.object()?;
        let method = match object.get("method") {
            Some(method) => method.some_text()?,
            None => "tools/call".to_owned(),
        };
        let item = self.item(&object.need("item", "what is called")?)?.item;
        let target = match object.get("target") {
            Some(target) => target.optional_text()?,
            None => None,
        };
        let arguments = object.get("arguments");
        let call = Call {
            method,
            item,
            target: target.map(|target| normal_form(&target).into_owned()),
            arguments: arguments.and_then(|value| value.present().map(str::to_owned)),
            labels: labels(object.get("labels"))?,
        };
        object.done()?;
        Ok(call)
    }

    /// `request`.
    pub(super) fn request(&mut self, value: &Value<'_>) -> Result<ClientRequest, CaseError> {
        let object = value.object()?;
        let method = object
            .need("method", "such as \"elicitation/create\"")?
            .some_text()?;
        let mode = match object.get("mode") {
            Some(mode) => mode.optional_text()?,
            None => None,
        };
        let params = object.get("params");
        let during = match object.get("during") {
            Some(call) if call.present().is_some() => Some(self.call(&call)?),
            _ => None,
        };
        let request = ClientRequest {
            method,
            mode,
            params: params.and_then(|value| value.present().map(str::to_owned)),
            during,
            labels: labels(object.get("labels"))?,
        };
        object.done()?;
        Ok(request)
    }

    /// `withheld`.
    pub(super) fn withheld(&mut self, value: &Value<'_>) -> Result<Vec<Withheld>, CaseError> {
        let mut all = Vec::new();
        for entry in value.array()? {
            let object = entry.object()?;
            let item = self.item(&object.need("item", "what is withheld")?)?.item;
            let denial = denial(&object.need("denial", "why it is withheld")?)?;
            let labels = labels(object.get("labels"))?;
            object.done()?;
            all.push(Withheld {
                item,
                denial,
                labels,
            });
        }
        Ok(all)
    }

    /// `decision`.
    pub(super) fn decision(&self, value: &Value<'_>) -> Result<Decision, CaseError> {
        let object = value.object()?;
        let text = |key, default: &str| match object.get(key) {
            Some(value) => value.text(),
            None => Ok(default.to_owned()),
        };
        let decision = Decision {
            entry: object.need("entry", "the entry's id")?.some_text()?,
            expected_digest: match object.get("expected_digest") {
                Some(value) => optional_digest(&value)?.map(|digest| digest.to_string()),
                None => None,
            }
            .unwrap_or_default(),
            action: action(&object.need("action", "such as \"approve\"")?)?,
            actor: text("actor", "operator")?,
            proof: match object.get("proof") {
                Some(proof) => proof.optional_text()?,
                None => None,
            },
            now_ms: self.now_ms,
            labels: labels(object.get("labels"))?,
        };
        object.done()?;
        Ok(decision)
    }
}
