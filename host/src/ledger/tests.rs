//! What every ledger must do, whatever keeps it: one suite, run on each backend.

#![allow(clippy::unwrap_used)]

pub(super) mod suite;

use std::sync::Arc;

use super::*;
use crate::mcp::ItemKey;

/// Makes ledgers to be tested.
pub(super) trait Opener {
    fn open(&self) -> Arc<dyn Ledger>;
}

struct InMemory;

impl Opener for InMemory {
    fn open(&self) -> Arc<dyn Ledger> {
        in_memory(None)
    }
}

pub(super) fn digest(n: u64) -> Digest {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Digest::from_bytes(bytes)
}

pub(super) fn policy() -> Namespace {
    Namespace::new(PolicyOrigin::Builtin, "trust-baseline")
}

pub(super) fn keep(key: &str, value: Option<&str>) -> Op {
    Op::Keep {
        namespace: policy(),
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

pub(super) fn note(key: &str, value: Option<&str>) -> Op {
    Op::Note {
        key: key.to_owned(),
        value: value.map(str::to_owned),
    }
}

pub(super) fn define(n: u64, text: &str) -> Op {
    Op::Define(Definition {
        digest: digest(n),
        kind: ItemKind::Tool,
        text: text.into(),
    })
}

pub(super) fn tool(name: &str, n: u64) -> Item {
    Item {
        key: ItemKey {
            kind: ItemKind::Tool,
            name: name.into(),
        },
        digest: digest(n),
    }
}

/// An observer of this process, so that it counts as alive.
pub(super) fn begins(id: &str, server: &str) -> Op {
    let (pid, pid_start) = observers::this_process();
    Op::ObserverBegins(Observer {
        id: id.to_owned(),
        server: server.to_owned(),
        pid,
        pid_start,
        ended: false,
        observation: None,
    })
}

/// An observer of a process that is gone: no process has this number.
pub(super) fn begins_dead(id: &str, server: &str, at_ms: Option<u64>) -> Op {
    Op::ObserverBegins(Observer {
        id: id.to_owned(),
        server: server.to_owned(),
        pid: u32::MAX,
        pid_start: None,
        ended: false,
        observation: at_ms.map(|at_ms| Arc::new(observation(at_ms, vec![]))),
    })
}

pub(super) fn ends(id: &str) -> Op {
    Op::ObserverEnds { id: id.to_owned() }
}

pub(super) fn observation(at_ms: u64, items: Vec<Item>) -> Observation {
    Observation {
        at_ms,
        complete: vec![ItemKind::Tool],
        items,
        malformed: vec![(ItemKind::Prompt, "no name".to_owned())],
    }
}

pub(super) fn observed(id: &str, at_ms: u64, items: Vec<Item>) -> Op {
    Op::Observed {
        id: id.to_owned(),
        observation: observation(at_ms, items),
    }
}

pub(super) fn identity(server: &str, identity: &str, at_ms: u64) -> Op {
    Op::Identity {
        server: server.to_owned(),
        identity: identity.to_owned(),
        at_ms,
    }
}

pub(super) fn standing(server: &str, standing: Option<Standing>, at_ms: u64) -> Op {
    Op::Standing {
        server: server.to_owned(),
        record: standing.map(|standing| StandingRecord {
            standing,
            actor: "me".to_owned(),
            at_ms,
        }),
    }
}

pub(super) fn stored_policy(name: &str, component: &'static [u8]) -> StoredPolicy {
    StoredPolicy {
        namespace: Namespace::new(PolicyOrigin::Directory, name),
        file: format!("{name}.wasm"),
        sha256: hex::encode(component),
        component: Bytes::from_static(component),
        sidecar: Some("mode = \"monitor\"\n".to_owned()),
    }
}

pub(super) fn head(file: &str, seq: u64) -> AuditHead {
    AuditHead {
        file: file.to_owned(),
        seq,
        head: "ab".repeat(32),
        length: seq * 100,
    }
}

/// Everything of a snapshot, for comparison.
pub(super) fn contents(snapshot: &Arc<Snapshot>) -> impl PartialEq + std::fmt::Debug + use<> {
    (
        (snapshot.revision, snapshot.version),
        Arc::clone(&snapshot.facts),
        Arc::clone(&snapshot.sightings),
        Arc::clone(&snapshot.servers),
        Arc::clone(&snapshot.observers),
        Arc::clone(&snapshot.notes),
    )
}

suite::run_on!(memory, InMemory);

/// A trial on a copy: the real ledger is read, never written.
#[tokio::test]
async fn what_is_tried_over_a_ledger_does_not_reach_it() {
    let beneath = in_memory(None);
    let ops = vec![
        define(1, "{}"),
        begins("o", "s"),
        observed("o", 1, vec![tool("a", 1)]),
        keep("item/a", Some("1")),
    ];
    beneath.commit(Commit::unconditional(ops)).await.unwrap();
    let before = contents(&beneath.snapshot());

    let trial = in_memory_over(Arc::clone(&beneath));
    assert_eq!(contents(&trial.snapshot()), before);
    let ops = vec![
        define(2, "[]"),
        observed("o", 2, vec![tool("a", 2)]),
        keep("item/a", None),
    ];
    trial.commit(Commit::unconditional(ops)).await.unwrap();
    assert_eq!(
        trial.definition(digest(1)).await.unwrap().as_deref(),
        Some("{}")
    );
    assert_eq!(
        trial.definition(digest(2)).await.unwrap().as_deref(),
        Some("[]")
    );
    let showed = trial.sighted("s".to_owned()).await.unwrap();
    assert_eq!(showed, [(tool("a", 1), 1), (tool("a", 2), 2)]);

    assert_eq!(contents(&beneath.snapshot()), before);
    assert_eq!(beneath.definition(digest(2)).await.unwrap(), None);
}
