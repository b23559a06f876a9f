//! SQLite and memory come to the same, whatever happens to them, and a ledger read again is the ledger written.

use proptest::prelude::*;

use super::*;
use crate::ledger::memory::Memory;

fn world() -> World {
    World {
        now_ms: 1_000_000,
        alive: |observer| observer.pid == 1,
    }
}

fn server() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c")].prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some("x".to_owned())),
        Just(Some(String::new()))
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let key = prop_oneof![
        Just("item/1"),
        Just("item/2"),
        Just("sighting/1"),
        Just("sighting/2")
    ];
    let keep = (key, value(), any::<bool>()).prop_map(|(key, value, other)| {
        let name = if other { "other" } else { "one" };
        Op::Keep {
            namespace: crate::ledger::Namespace::new(crate::ledger::PolicyOrigin::Directory, name),
            key: key.to_owned(),
            value,
        }
    });
    let id = prop_oneof![Just("o1"), Just("o2"), Just("o3"), Just("o4")];
    let begins = (id.clone(), server(), 1..3_u32).prop_map(|(id, server, pid)| {
        Op::ObserverBegins(crate::ledger::Observer {
            id: id.to_owned(),
            server,
            pid,
            pid_start: Some(7),
            ended: false,
            observation: None,
        })
    });
    let items = proptest::collection::vec((0..3_u64, 0..20_u64), 0..3);
    let observed = (id.clone(), 0..50_u64, items).prop_map(|(id, at, items)| {
        let items = items.into_iter();
        observed(
            id,
            at,
            items
                .map(|(name, n)| tool(&format!("t{name}"), n))
                .collect(),
        )
    });
    let word = prop_oneof![
        Just(None),
        Just(Some(Standing::Trusted)),
        Just(Some(Standing::Quarantined))
    ];
    prop_oneof![
        4 => keep,
        2 => begins,
        6 => observed,
        1 => id.prop_map(ends),
        1 => (server(), word, 0..9_u64).prop_map(|(name, word, at)| standing(&name, word, at)),
        1 => (server(), 0..9_u64).prop_map(|(name, at)| identity(&name, "[]", at)),
        1 => server().prop_map(|server| Op::Forget { server }),
        1 => (server(), server()).prop_map(|(from, to)| Op::Rename { from, to }),
        1 => value().prop_map(|value| note("n", value.as_deref())),
        1 => (0..9_u64).prop_map(|n| define(n, "{}")),
        1 => (0..3_u64).prop_map(|seq| Op::AuditHead(head("f", seq))),
        1 => any::<bool>().prop_map(|a| {
            let bytes: &'static [u8] = if a { b"a" } else { b"b" };
            Op::PolicyInForce(stored_policy("p", bytes))
        }),
        1 => Just(Op::PolicyForgotten { namespace: stored_policy("p", b"").namespace }),
    ]
}

/// Commits: how far back the snapshot is that each is based on, if it is based on any, and its operations.
fn commits() -> impl Strategy<Value = Vec<(Option<u64>, Vec<Op>)>> {
    let commit = (
        proptest::option::weighted(0.3, 0..2_u64),
        proptest::collection::vec(op(), 1..4),
    );
    proptest::collection::vec(commit, 1..60)
}

async fn all(ledger: &Arc<dyn Ledger>) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut sighted = Vec::new();
    for server in ["a", "b", "c"] {
        sighted.push(ledger.sighted(server.to_owned()).await.unwrap());
    }
    let mut definitions = Vec::new();
    for n in 0..9 {
        definitions.push(ledger.definition(digest(n)).await.unwrap());
    }
    (
        contents(&ledger.snapshot()),
        sighted,
        definitions,
        ledger.policies().await.unwrap(),
        ledger.audit_heads().await.unwrap(),
    )
}

async fn same_on_both(commits: Vec<(Option<u64>, Vec<Op>)>) {
    let place = Place::new();
    let (url, marker) = (place.url(), place.marker());
    let open = || open_as(&url, &marker, OpenMode::CreateIfFirst, schema::STEPS, world);
    let in_file = open().await.unwrap().unwrap();
    let reader = open().await.unwrap().unwrap();
    let in_memory: Arc<dyn Ledger> =
        Arc::new(Memory::new(Snapshot::empty("m".into()), world, None));
    for (back, ops) in commits {
        let mut answers = Vec::new();
        for ledger in [&in_file, &in_memory] {
            let version = ledger.snapshot().version;
            let based_on = back.map(|back| version.saturating_sub(back));
            let ops = ops.clone();
            let answer = ledger.commit(Commit { based_on, ops }).await;
            answers.push(match answer {
                Ok(snapshot) => format!(
                    "{:?}",
                    contents(&snapshot).eq(&contents(&ledger.snapshot()))
                ),
                Err(error) => error.to_string(),
            });
        }
        assert_eq!(answers[0], answers[1]);
        assert_eq!(all(&in_file).await, all(&in_memory).await);
    }
    reader.confirm().await.unwrap();
    assert_eq!(all(&reader).await, all(&in_memory).await);
    drop((in_file, reader));
    let again = open().await.unwrap().unwrap();
    assert_eq!(all(&again).await, all(&in_memory).await);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sqlite_and_memory_come_to_the_same(commits in commits()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(same_on_both(commits));
    }
}
