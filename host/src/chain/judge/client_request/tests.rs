//! Policies of several kinds in one chain, and what they come to together.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::ledger::{PolicyOrigin, Snapshot};
use crate::mcp::Digest;
use crate::policy::contract::{Caller, Item, ItemKind, Server, Standing};
use crate::policy::{Definitions, Engine, EngineOptions, PolicyLimits, Source};

const GOLDEN: &[u8] = include_bytes!("../../../../../tests/golden/v0_1_1_rust.wasm");
/// Without this hook.
const OLDER: &[u8] = include_bytes!("../../../../../tests/golden/v0_1_0_rust.wasm");

struct NoDefinitions;

impl Definitions for NoDefinitions {
    fn definition(&self, _digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        std::future::ready(None).boxed()
    }
}

fn view() -> View {
    View {
        snapshot: Arc::new(Snapshot {
            ledger_id: "test".into(),
            revision: 1,
            version: 1,
            facts: Arc::default(),
            sightings: Arc::default(),
            servers: Arc::default(),
            observers: Arc::default(),
            notes: Arc::default(),
        }),
        definitions: Arc::new(NoDefinitions),
        now_ms: 0,
    }
}

fn context() -> Context {
    Context {
        server: Server {
            name: "files".into(),
            standing: Standing::Trusted,
            labels: Vec::new(),
        },
        caller: Caller {
            id: "local".into(),
            roles: Vec::new(),
            labels: Vec::new(),
        },
        labels: Vec::new(),
    }
}

/// A chain of policies: name, component, mode, and the methods it denies.
async fn chain(policies: &[(&str, &'static [u8], Mode, &str)]) -> Generation {
    let engine = Engine::new(EngineOptions {
        cache_dir: None,
        limits: PolicyLimits {
            hook_time: std::time::Duration::from_secs(20),
            record_time: std::time::Duration::from_secs(20),
            memory: 8 << 20,
            output: 1 << 20,
        },
        ready: 1,
    })
    .unwrap();
    let sources = policies
        .iter()
        .map(|(name, component, mode, denies)| Source {
            name: (*name).to_owned(),
            origin: PolicyOrigin::Directory,
            file: format!("{name}.wasm"),
            component: Bytes::from_static(component),
            settings: (!denies.is_empty()).then(|| format!("{{\"deny_requests\":[\"{denies}\"]}}")),
            mode: *mode,
            grants: crate::config::Grants::default(),
            reuse: 1,
        })
        .collect();
    let policies = engine.load(sources).await;
    Generation {
        id: 7,
        policies: policies.into_iter().map(Result::unwrap).collect(),
        problems: Vec::new(),
        recording: None,
    }
}

async fn judged(generation: &Generation, kind: AskKind, params: &str) -> ClientJudgement {
    let request = request(kind, Some(params), None, "request");
    client_request(generation, &view(), &context(), &request).await
}

#[tokio::test]
async fn every_policy_that_has_the_hook_must_allow() {
    let generation = chain(&[
        ("older", OLDER, Mode::Enforce, ""),
        ("watches", GOLDEN, Mode::Monitor, "roots/list"),
        ("first", GOLDEN, Mode::Enforce, ""),
        ("second", GOLDEN, Mode::Enforce, "sampling/createMessage"),
        ("third", GOLDEN, Mode::Enforce, "sampling/createMessage"),
    ])
    .await;
    let allowed = judged(&generation, AskKind::ElicitationUrl, "{}").await;
    assert_eq!(allowed.outcome, Ok(()));
    assert!(allowed.pure && allowed.codes.is_empty());
    let asked: Vec<_> = allowed.micros.iter().map(|(policy, _)| &**policy).collect();
    assert_eq!(asked, ["watches", "first", "second", "third"]);

    // The first denial ends it.
    let denied = judged(&generation, AskKind::Sampling, "{}").await;
    let refused = denied.outcome.unwrap_err();
    assert_eq!(refused.decision, Decision::Denied);
    assert_eq!(refused.code, "request_denied");
    assert_eq!(refused.decided_by.as_deref(), Some("second"));
    assert_eq!(refused.codes, [("second".into(), "request_denied".into())]);
    assert_eq!(denied.micros.len(), 3);

    // Who only watches is recorded and does not bind.
    let watched = judged(&generation, AskKind::Roots, "{}").await;
    assert_eq!(watched.outcome, Ok(()));
    assert_eq!(
        watched.codes,
        [("watches".into(), "would:request_denied".into())]
    );
}

/// A policy that cannot say yes has not said it.
#[tokio::test]
async fn failures_deny_and_are_not_remembered() {
    let generation = chain(&[("only", GOLDEN, Mode::Enforce, "")]).await;
    for params in ["[trap]", "[other]"] {
        let judgement = judged(&generation, AskKind::Sampling, params).await;
        let refused = judgement.outcome.unwrap_err();
        assert_eq!(refused.decision, Decision::Error, "{params}");
        assert_eq!(refused.code, "policy_error");
        assert!(!judgement.pure);
    }
    let asked_clock = judged(&generation, AskKind::Sampling, "[clock]").await;
    assert!(asked_clock.outcome.is_ok() && !asked_clock.pure);
}

#[tokio::test]
async fn the_policy_sees_mode_and_call() {
    let generation = chain(&[("only", GOLDEN, Mode::Enforce, "")]).await;
    let call = Call {
        method: "tools/call".into(),
        item: Item {
            kind: ItemKind::Tool,
            name: "book".into(),
            digest: String::new(),
            labels: Vec::new(),
        },
        target: None,
        arguments: None,
        labels: Vec::new(),
    };
    let request = request(
        AskKind::ElicitationUrl,
        Some("[echo]"),
        Some(&call),
        "result",
    );
    let judgement = client_request(&generation, &view(), &context(), &request).await;
    assert_eq!(
        judgement.outcome.unwrap_err().reason,
        "elicitation/create Some(\"url\") Some(\"book\")"
    );
    assert_eq!(request.labels, [("via".into(), "result".into())]);
}
