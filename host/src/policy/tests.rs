//! Tests of the engine against guests: one that behaves (`tests/golden`), and many that do not.
#![allow(clippy::unwrap_used)]

mod compiled;
mod golden;
mod golden_languages;
#[path = "../../../tests/support/hostile.rs"]
pub(crate) mod hostile;
mod imports;
mod loading;
mod misbehaving;
mod readiness;
mod released;
mod requests;
mod reuse;
mod wasi;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::contract::{Call, Caller, Context, Item, ItemKind, Server, Standing};
use super::*;

/// Limits for guests that behave: wide, since machines that run tests are slow.
fn limits() -> PolicyLimits {
    PolicyLimits {
        hook_time: Duration::from_secs(20),
        record_time: Duration::from_secs(20),
        memory: 8 << 20,
        output: 1 << 20,
    }
}

/// Limits for guests that spin.
fn short() -> PolicyLimits {
    PolicyLimits {
        hook_time: Duration::from_millis(50),
        record_time: Duration::from_millis(50),
        ..limits()
    }
}

fn engine(limits: PolicyLimits) -> Engine {
    Engine::new(EngineOptions {
        cache_dir: None,
        limits,
        ready: 4,
    })
    .unwrap()
}

fn source(name: &str, component: impl Into<Bytes>) -> Source {
    Source {
        name: name.into(),
        origin: PolicyOrigin::Directory,
        file: format!("policies.d/{name}.wasm"),
        component: component.into(),
        settings: None,
        mode: Mode::Enforce,
        grants: crate::config::Grants::default(),
        reuse: 1,
    }
}

async fn load(engine: &Engine, source: Source) -> Result<Arc<Policy>, LoadError> {
    engine.load(vec![source]).await.pop().unwrap()
}

/// One loaded policy, under these limits.
async fn policy(limits: PolicyLimits, component: Vec<u8>) -> Arc<Policy> {
    load(&engine(limits), source("guest", component))
        .await
        .unwrap()
}

/// Knows one definition, and takes for ever over any other.
struct OneDefinition;

impl Definitions for OneDefinition {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        if digest == Digest::from_bytes([7; 32]) {
            std::future::ready(Some("{\"name\":\"seven\"}".into())).boxed()
        } else if digest == Digest::from_bytes([8; 32]) {
            std::future::ready(None).boxed()
        } else {
            std::future::pending().boxed()
        }
    }
}

/// A ledger in which policy `guest` of the policy directory has these keys.
fn view_of(facts: &[(&str, &str)], sightings: &[(&str, &str)]) -> View {
    let part = |keys: &[(&str, &str)]| {
        let keys: BTreeMap<String, String> = keys
            .iter()
            .map(|(key, value)| (key.to_string(), value.to_string()))
            .collect();
        Arc::new(HashMap::from([(
            Namespace::new(PolicyOrigin::Directory, "guest"),
            keys,
        )]))
    };
    View {
        snapshot: Arc::new(Snapshot {
            ledger_id: "test".into(),
            revision: 1,
            version: 1,
            facts: part(facts),
            sightings: part(sightings),
            servers: Arc::default(),
            observers: Arc::default(),
            notes: Arc::default(),
        }),
        definitions: Arc::new(OneDefinition),
        now_ms: 1_700_000_000_123,
    }
}

fn view() -> View {
    view_of(&[], &[])
}

fn server() -> Server {
    Server {
        name: "files".into(),
        standing: Standing::Trusted,
        labels: Vec::new(),
    }
}

fn context() -> Context {
    Context {
        server: server(),
        caller: Caller {
            id: "local".into(),
            roles: vec!["operator".into()],
            labels: Vec::new(),
        },
        labels: Vec::new(),
    }
}

fn item(name: &str) -> Item {
    Item {
        kind: ItemKind::Tool,
        name: name.into(),
        digest: Digest::from_bytes([7; 32]).to_string(),
        labels: Vec::new(),
    }
}

fn call(name: &str) -> Call {
    Call {
        method: "tools/call".into(),
        item: item(name),
        target: None,
        arguments: Some("{\"a\":1}".into()),
        labels: Vec::new(),
    }
}
