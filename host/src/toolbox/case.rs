//! A case: what one hook is given, and what it must answer.
//!
//! Knows the format of case files, key by key. Runs nothing.

mod expect;
mod parts;
mod records;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::Hook;
use super::reader::{CaseError, Object, Value};
use crate::mcp::Digest;
use crate::policy::contract::{
    Call, Catalogue, ClientRequest, Context, Decision, Item, Server, Withheld,
};
pub use expect::Expect;
use parts::Parts;

/// A case file, read.
#[derive(Debug, Clone)]
pub struct Case {
    /// The file.
    pub file: String,
    /// What it is about.
    pub about: Option<String>,
    /// The policy's settings as JSON text, if the case gives any.
    pub settings: Option<String>,
    /// The message's time.
    pub now_ms: u64,
    /// The policy's part of the store before.
    pub store: BTreeMap<String, String>,
    /// What `catalog.definition` knows.
    pub definitions: HashMap<Digest, Arc<str>>,
    /// What the hook is given.
    pub input: Input,
    /// What it must answer.
    pub expect: Option<Expect>,
}

/// A hook and what it is given.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub enum Input {
    Settings,
    Inventory {
        server: Server,
        catalogue: Catalogue,
    },
    ListFilter {
        context: Context,
        items: Vec<Item>,
    },
    CallGate {
        context: Context,
        call: Call,
    },
    ResultGate {
        context: Context,
        call: Call,
        outcome: String,
    },
    ClientRequestGate {
        context: Context,
        request: ClientRequest,
    },
    DiscoverySurface {
        context: Context,
        withheld: Vec<Withheld>,
    },
    ReviewEntries {
        server: Option<String>,
    },
    ReviewDecide(Decision),
}

/// The keys that some hooks take and others do not, and which.
const TAKEN: [(&str, &[Hook]); 9] = [
    (
        "context",
        &[
            Hook::Inventory,
            Hook::ListFilter,
            Hook::CallGate,
            Hook::ResultGate,
            Hook::ClientRequestGate,
            Hook::DiscoverySurface,
        ],
    ),
    ("items", &[Hook::Inventory, Hook::ListFilter]),
    ("catalogue", &[Hook::Inventory]),
    ("call", &[Hook::CallGate, Hook::ResultGate]),
    ("outcome", &[Hook::ResultGate]),
    ("request", &[Hook::ClientRequestGate]),
    ("withheld", &[Hook::DiscoverySurface]),
    ("decision", &[Hook::ReviewDecide]),
    ("server", &[Hook::ReviewEntries]),
];

impl Input {
    /// The hook.
    pub const fn hook(&self) -> Hook {
        match self {
            Self::Settings => Hook::Settings,
            Self::Inventory { .. } => Hook::Inventory,
            Self::ListFilter { .. } => Hook::ListFilter,
            Self::CallGate { .. } => Hook::CallGate,
            Self::ResultGate { .. } => Hook::ResultGate,
            Self::ClientRequestGate { .. } => Hook::ClientRequestGate,
            Self::DiscoverySurface { .. } => Hook::DiscoverySurface,
            Self::ReviewEntries { .. } => Hook::ReviewEntries,
            Self::ReviewDecide(_) => Hook::ReviewDecide,
        }
    }

    /// How many answers the hook must give, where that follows from what it is given.
    fn answers(&self) -> usize {
        match self {
            Self::ListFilter { items, .. } => items.len(),
            Self::DiscoverySurface { withheld, .. } => withheld.len(),
            _ => 0,
        }
    }
}

impl Case {
    /// Reads the text of a case file. `hook` is the hook that was named beside the file, if one was; else the file must
    /// name it.
    ///
    /// # Errors
    /// If it is no case: an unknown key, a wrong type, a part that the hook does not take.
    pub fn parse(file: &str, text: &str, hook: Option<Hook>) -> Result<Self, CaseError> {
        let object = Value::file(file, text)?.object()?;
        if let Some(schema) = object.get("$schema") {
            schema.text()?;
        }
        let about = object.get("about").map(|about| about.text()).transpose()?;
        let hook = named(&object, hook)?;
        let settings = match object.get("settings") {
            Some(settings) => {
                settings.object()?;
                Some(settings.raw().to_owned())
            }
            None => None,
        };
        let now_ms = object.get("now_ms").map_or(Ok(0), |now| now.number())?;
        let store = object.get("store").map_or(Ok(BTreeMap::new()), store)?;
        let mut parts = Parts::new(now_ms);
        if let Some(definitions) = object.get("definitions") {
            parts.definitions(&definitions)?;
        }
        let input = input(&object, hook, &mut parts)?;
        let expect = match object.get("expect") {
            Some(expect) => Some(Expect::read(&expect, hook, input.answers())?),
            None => None,
        };
        object.finish(|key| elsewhere(key, hook))?;
        Ok(Self {
            file: file.to_owned(),
            about,
            settings,
            now_ms,
            store,
            definitions: parts.known,
            input,
            expect,
        })
    }
}

/// The hook that the file or the command names.
fn named(object: &Object<'_>, given: Option<Hook>) -> Result<Hook, CaseError> {
    let words = Hook::ALL.map(|hook| (hook.word(), hook));
    match (object.get("hook"), given) {
        (Some(hook), given) => {
            let found = hook.word(&words)?;
            match given {
                Some(given) if given != found => Err(hook.error(&format!(
                    "is \"{}\", and the command says {}: give one of them",
                    found.word(),
                    given.word()
                ))),
                _ => Ok(found),
            }
        }
        (None, Some(given)) => Ok(given),
        (None, None) => {
            let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            Err(object.error(&format!("needs `hook`: one of {}", words.join(", "))))
        }
    }
}

fn input(object: &Object<'_>, hook: Hook, parts: &mut Parts) -> Result<Input, CaseError> {
    Ok(match hook {
        Hook::Settings => Input::Settings,
        Hook::Inventory => {
            let server = parts.only_server(object.get("context"))?;
            let items = parts.found(object.get("items"))?;
            let catalogue = parts.catalogue(object.get("catalogue"), items)?;
            Input::Inventory { server, catalogue }
        }
        Hook::ListFilter => Input::ListFilter {
            context: parts.context(object.get("context"))?,
            items: parts.items(Some(object.need("items", "the items to be filtered")?))?,
        },
        Hook::CallGate => Input::CallGate {
            context: parts.context(object.get("context"))?,
            call: parts.call(&object.need("call", "the call to be judged")?)?,
        },
        Hook::ResultGate => Input::ResultGate {
            context: parts.context(object.get("context"))?,
            call: parts.call(&object.need("call", "the call that brought the outcome")?)?,
            outcome: object
                .need("outcome", "what the call brought back")?
                .raw()
                .to_owned(),
        },
        Hook::ClientRequestGate => Input::ClientRequestGate {
            context: parts.context(object.get("context"))?,
            request: parts.request(&object.need("request", "what the server asks")?)?,
        },
        Hook::DiscoverySurface => Input::DiscoverySurface {
            context: parts.context(object.get("context"))?,
            withheld: parts.withheld(&object.need("withheld", "the items that are withheld")?)?,
        },
        Hook::ReviewEntries => Input::ReviewEntries {
            server: match object.get("server") {
                Some(server) => server.optional_text()?,
                None => None,
            },
        },
        Hook::ReviewDecide => Input::ReviewDecide(
            parts.decision(&object.need("decision", "what the person decided")?)?,
        ),
    })
}

/// What to do about a key that another hook's cases have.
fn elsewhere(key: &str, hook: Hook) -> Option<String> {
    let (_, takers) = TAKEN.iter().find(|(taken, _)| *taken == key)?;
    let words: Vec<_> = takers.iter().map(|hook| hook.word()).collect();
    Some(format!(
        "remove it; {} is not given it, but {} is",
        hook.word(),
        words.join(", ")
    ))
}

fn store(value: Value<'_>) -> Result<BTreeMap<String, String>, CaseError> {
    let object = value.object()?;
    let entries = object.all().map(|(key, value)| {
        if value.is_text() {
            return Ok((key.to_owned(), value.text()?));
        }
        Err(value.error("must be a string: the store keeps text, so write \"3\" for 3"))
    });
    entries.collect()
}

#[cfg(test)]
mod tests;
