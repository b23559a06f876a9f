//! The suite itself: [`run_on!`] makes a module of tests for one opener.

use super::*;

async fn apply(ledger: &dyn Ledger, ops: Vec<Op>) -> Arc<Snapshot> {
    ledger.commit(Commit::unconditional(ops)).await.unwrap()
}

async fn refused(ledger: &dyn Ledger, ops: Vec<Op>) -> String {
    let before = contents(&ledger.snapshot());
    let error = ledger
        .commit(Commit::unconditional(ops))
        .await
        .err()
        .unwrap();
    assert!(matches!(error, LedgerError::Refused(_)), "{error}");
    assert_eq!(contents(&ledger.snapshot()), before);
    error.to_string()
}

/// The digests, as numbers, that an item ever showed.
async fn showed(ledger: &dyn Ledger, server: &str, name: &str) -> Vec<Digest> {
    let all = ledger.sighted(server.to_owned()).await.unwrap();
    let of_item = all.into_iter().filter(|(item, _)| &*item.key.name == name);
    of_item.map(|(item, _)| item.digest).collect()
}

pub(in crate::ledger) async fn a_kept_value_is_in_the_snapshot(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let snapshot = apply(ledger, vec![keep("item/a", Some("1"))]).await;
    assert_eq!(snapshot.value(&policy(), "item/a"), Some("1"));
    assert_eq!((snapshot.version, snapshot.revision), (1, 1));
    assert_eq!(contents(&ledger.snapshot()), contents(&snapshot));
    assert_eq!(
        contents(&ledger.confirm().await.unwrap()),
        contents(&snapshot)
    );
    let snapshot = apply(ledger, vec![keep("item/a", None)]).await;
    assert_eq!(snapshot.value(&policy(), "item/a"), None);
    assert!(snapshot.facts.is_empty());
    assert_eq!((snapshot.version, snapshot.revision), (2, 2));
}

pub(in crate::ledger) async fn what_changes_nothing_moves_nothing(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let all = || {
        vec![
            keep("item/a", Some("1")),
            keep("sighting/a", Some("1")),
            note("n", Some("x")),
            define(1, "{}"),
            identity("s", "[\"c\"]", 5),
            standing("s", Some(Standing::Trusted), 6),
            Op::PolicyInForce(stored_policy("p", b"abc")),
            Op::AuditHead(head("f", 3)),
        ]
    };
    let before = apply(ledger, all()).await;
    let mut again = all();
    again.extend([
        keep("item/none", None),
        note("none", None),
        ends("nobody"),
        standing("unknown", None, 7),
        Op::Forget {
            server: "unknown".to_owned(),
        },
        Op::Rename {
            from: "s".to_owned(),
            to: "s".to_owned(),
        },
        Op::PolicyForgotten {
            namespace: Namespace::new(PolicyOrigin::Directory, "unknown"),
        },
    ]);
    let after = apply(ledger, again).await;
    assert_eq!(contents(&after), contents(&before));
    let after = apply(ledger, vec![]).await;
    assert_eq!(contents(&after), contents(&before));
}

pub(in crate::ledger) async fn only_what_verdicts_depend_on_moves_the_revision(
    ledger: Arc<dyn Ledger>,
) {
    let ledger = &*ledger;
    let silent = [
        keep("sighting/a", Some("1")),
        note("n", Some("x")),
        define(1, "{}"),
        identity("s", "[\"c\"]", 5),
        begins("o", "s"),
        observed("o", 9, vec![tool("t", 1)]),
        ends("o"),
        Op::PolicyInForce(stored_policy("p", b"abc")),
        Op::PolicyForgotten {
            namespace: stored_policy("p", b"abc").namespace,
        },
        Op::AuditHead(head("f", 3)),
    ];
    for (n, op) in (1..).zip(silent) {
        let snapshot = apply(ledger, vec![op.clone()]).await;
        assert_eq!((snapshot.version, snapshot.revision), (n, 0), "{op:?}");
    }
    let moving = [
        keep("item/a", Some("1")),
        standing("s", Some(Standing::Trusted), 6),
        Op::Rename {
            from: "s".to_owned(),
            to: "t".to_owned(),
        },
        Op::Forget {
            server: "t".to_owned(),
        },
    ];
    for (n, op) in (1..).zip(moving) {
        let snapshot = apply(ledger, vec![op.clone()]).await;
        assert_eq!(snapshot.revision, n, "{op:?}");
    }
}

pub(in crate::ledger) async fn revisions_wake_when_it_moves_and_only_then(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let mut revisions = ledger.revisions();
    revisions.mark_unchanged();
    apply(ledger, vec![keep("sighting/a", Some("1"))]).await;
    assert!(!revisions.has_changed().unwrap());
    apply(ledger, vec![keep("item/a", Some("1"))]).await;
    assert!(revisions.has_changed().unwrap());
    assert_eq!(*revisions.borrow_and_update(), 1);
}

pub(in crate::ledger) async fn a_commit_on_an_old_snapshot_conflicts(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let old = ledger.snapshot();
    let now = apply(ledger, vec![note("n", Some("x"))]).await;
    let late = Commit::based_on(&old, vec![keep("item/a", Some("1"))]);
    match ledger.commit(late).await {
        Err(LedgerError::Conflict { now: told }) => assert_eq!(contents(&told), contents(&now)),
        other => panic!("{other:?}"),
    }
    let in_time = Commit::based_on(&now, vec![keep("item/a", Some("1"))]);
    let snapshot = ledger.commit(in_time).await.unwrap();
    assert_eq!(snapshot.value(&policy(), "item/a"), Some("1"));
}

pub(in crate::ledger) async fn a_refused_operation_undoes_its_commit(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    apply(ledger, vec![identity("a", "[]", 1), identity("b", "[]", 1)]).await;
    let ops = vec![
        keep("item/a", Some("1")),
        keep("sighting/a", Some("1")),
        note("n", Some("x")),
        define(1, "{}"),
        begins("o", "a"),
        observed("o", 9, vec![tool("t", 1)]),
        Op::PolicyInForce(stored_policy("p", b"abc")),
        Op::AuditHead(head("f", 3)),
        Op::Rename {
            from: "a".to_owned(),
            to: "b".to_owned(),
        },
    ];
    let error = refused(ledger, ops).await;
    assert!(error.contains("`b` is taken"), "{error}");
    assert_eq!(ledger.definition(digest(1)).await.unwrap(), None);
    assert_eq!(ledger.sighted("a".to_owned()).await.unwrap(), []);
    assert_eq!(ledger.policies().await.unwrap(), []);
    assert_eq!(ledger.audit_heads().await.unwrap(), []);
}

pub(in crate::ledger) async fn standing_and_identity_make_a_servers_record(
    ledger: Arc<dyn Ledger>,
) {
    let ledger = &*ledger;
    apply(ledger, vec![identity("s", "[\"c\"]", 5)]).await;
    apply(ledger, vec![identity("s", "[\"d\"]", 9)]).await;
    let snapshot = apply(ledger, vec![standing("s", Some(Standing::Quarantined), 7)]).await;
    let record = &snapshot.servers["s"];
    assert_eq!(record.first_seen_ms, 5);
    assert_eq!(record.identity.as_deref(), Some("[\"d\"]"));
    assert_eq!(
        record.standing,
        Some(StandingRecord {
            standing: Standing::Quarantined,
            actor: "me".to_owned(),
            at_ms: 7
        })
    );
    let snapshot = apply(ledger, vec![standing("s", None, 8)]).await;
    assert_eq!(snapshot.servers["s"].standing, None);
    assert_eq!(snapshot.revision, 2);
}

pub(in crate::ledger) async fn a_rename_takes_everything_along(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    apply(
        ledger,
        vec![
            identity("s", "[]", 1),
            begins("o", "s"),
            observed("o", 9, vec![tool("t", 1)]),
        ],
    )
    .await;
    let rename = |from: &str, to: &str| Op::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    let snapshot = apply(ledger, vec![rename("s", "t")]).await;
    assert_eq!(snapshot.servers.keys().collect::<Vec<_>>(), ["t"]);
    assert_eq!(snapshot.observers_of("t").count(), 1);
    assert_eq!(snapshot.observers_of("s").count(), 0);
    assert_eq!(showed(ledger, "t", "t").await, [digest(1)]);
    assert_eq!(showed(ledger, "s", "t").await, []);
    let error = refused(ledger, vec![rename("s", "u")]).await;
    assert!(error.contains("no server `s`"), "{error}");
}

pub(in crate::ledger) async fn a_forgotten_server_leaves_no_observer(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let ops = vec![
        identity("s", "[]", 1),
        identity("t", "[]", 1),
        begins("o", "s"),
        begins("p", "t"),
        observed("o", 9, vec![tool("x", 1)]),
        observed("p", 9, vec![tool("x", 1)]),
    ];
    apply(ledger, ops).await;
    let forget = Op::Forget {
        server: "s".to_owned(),
    };
    let snapshot = apply(ledger, vec![forget]).await;
    assert_eq!(snapshot.servers.keys().collect::<Vec<_>>(), ["t"]);
    assert_eq!(snapshot.observers.len(), 1);
    assert_eq!(showed(ledger, "s", "x").await, []);
    assert_eq!(showed(ledger, "t", "x").await, [digest(1)]);
    let error = refused(ledger, vec![observed("o", 10, vec![])]).await;
    assert!(error.contains("begin again"), "{error}");
}

pub(in crate::ledger) async fn of_ended_and_dead_observers_the_latest_stays(
    ledger: Arc<dyn Ledger>,
) {
    let ledger = &*ledger;
    let ops = vec![
        begins_dead("dead-late", "s", Some(30)),
        begins_dead("dead-early", "s", Some(20)),
        begins_dead("dead-blind", "s", None),
        begins_dead("other", "t", Some(10)),
        begins("live-1", "s"),
        begins("live-2", "s"),
    ];
    let snapshot = apply(ledger, ops).await;
    let ids = |snapshot: &Snapshot| -> Vec<String> {
        let all = snapshot.observers.iter();
        all.map(|o| o.id.clone()).collect()
    };
    assert_eq!(ids(&snapshot), ["dead-late", "other", "live-1", "live-2"]);
    let snapshot = apply(ledger, vec![observed("live-1", 40, vec![]), ends("live-1")]).await;
    assert_eq!(ids(&snapshot), ["other", "live-1", "live-2"]);
    assert!(snapshot.observers[1].ended);
    let error = refused(ledger, vec![observed("live-1", 50, vec![])]).await;
    assert!(error.contains("live-1"), "{error}");
    let error = refused(ledger, vec![begins("live-2", "s")]).await;
    assert!(error.contains("unique"), "{error}");
}

pub(in crate::ledger) async fn an_item_keeps_its_first_and_its_latest_digests(
    ledger: Arc<dyn Ledger>,
) {
    let ledger = &*ledger;
    apply(ledger, vec![begins("o", "s"), begins("p", "s")]).await;
    for n in 1..=30 {
        let items = vec![tool("a", n), tool("steady", 1000)];
        apply(ledger, vec![observed("o", n, items)]).await;
    }
    apply(
        ledger,
        vec![observed("p", 31, vec![tool("a", 30), tool("b", 1)])],
    )
    .await;
    let expected: Vec<Digest> = std::iter::once(1).chain(15..=30).map(digest).collect();
    assert_eq!(showed(ledger, "s", "a").await, expected);
    assert_eq!(showed(ledger, "s", "steady").await, [digest(1000)]);
    let all = ledger.sighted("s".to_owned()).await.unwrap();
    assert_eq!(all.first().unwrap(), &(tool("a", 1), 1));
    assert_eq!(all.last().unwrap(), &(tool("b", 1), 31));
    assert!(all.windows(2).all(|pair| pair[0].1 <= pair[1].1));
}

pub(in crate::ledger) async fn a_server_cannot_grow_its_sightings_by_new_names(
    ledger: Arc<dyn Ledger>,
) {
    let ledger = &*ledger;
    apply(ledger, vec![begins("o", "s"), begins("p", "t")]).await;
    apply(ledger, vec![observed("p", 1, vec![tool("kept", 1)])]).await;
    let batch = 1000;
    for at in 0..=(MAX_SIGHTED / batch) {
        let names = (at * batch)..((at + 1) * batch);
        let items = names.map(|n| tool(&format!("t{n}"), 7)).collect();
        apply(ledger, vec![observed("o", at as u64, items)]).await;
    }
    let all = ledger.sighted("s".to_owned()).await.unwrap();
    assert_eq!(all.len(), MAX_SIGHTED);
    let last = (MAX_SIGHTED / batch + 1) * batch - 1;
    assert_eq!(&*all.last().unwrap().0.key.name, format!("t{last}"));
    assert_eq!(showed(ledger, "t", "kept").await, [digest(1)]);
}

pub(in crate::ledger) async fn policies_cannot_keep_without_bounds(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let long = "k".repeat(MAX_KEY + 1);
    let error = refused(ledger, vec![keep(&long, Some("v"))]).await;
    assert!(error.contains("16384 bytes"), "{error}");
    let long = "v".repeat(MAX_VALUE + 1);
    let error = refused(ledger, vec![keep("sighting/k", Some(&long))]).await;
    assert!(error.contains("builtin/trust-baseline"), "{error}");
    apply(ledger, vec![keep("item/k", Some(&long[1..]))]).await;
}

pub(in crate::ledger) async fn definitions_are_found_by_digest(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let text = "{\"name\":\"tab\\t é \u{202e}\",\"n\":1.0}";
    apply(ledger, vec![define(1, text), define(2, "{}")]).await;
    apply(ledger, vec![define(1, "not taken: a digest has one text")]).await;
    let found = ledger.definition(digest(1)).await.unwrap();
    assert_eq!(found.as_deref(), Some(text));
    assert_eq!(ledger.definition(digest(3)).await.unwrap(), None);
}

pub(in crate::ledger) async fn policies_in_force_come_back_byte_for_byte(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let (a, b) = (stored_policy("a", b"\0asm"), stored_policy("b", b"\xff"));
    let mut newer = stored_policy("a", b"\0asm2");
    newer.sidecar = None;
    apply(
        ledger,
        vec![Op::PolicyInForce(b.clone()), Op::PolicyInForce(a)],
    )
    .await;
    apply(ledger, vec![Op::PolicyInForce(newer.clone())]).await;
    assert_eq!(ledger.policies().await.unwrap(), [newer, b.clone()]);
    let gone = Op::PolicyForgotten {
        namespace: Namespace::new(PolicyOrigin::Directory, "a"),
    };
    apply(ledger, vec![gone]).await;
    assert_eq!(ledger.policies().await.unwrap(), [b]);
}

pub(in crate::ledger) async fn the_last_head_of_an_audit_file_counts(ledger: Arc<dyn Ledger>) {
    let ledger = &*ledger;
    let ops = [head("b", 1), head("a", 1), head("b", 2)];
    apply(ledger, ops.into_iter().map(Op::AuditHead).collect()).await;
    assert_eq!(
        ledger.audit_heads().await.unwrap(),
        [head("a", 1), head("b", 2)]
    );
}

pub(in crate::ledger) async fn a_confirmed_ledger_is_fresh(ledger: Arc<dyn Ledger>) {
    let before = std::time::Instant::now();
    ledger.confirm().await.unwrap();
    assert!(ledger.age() <= before.elapsed());
}

/// Tests of one backend: `run_on!(module, opener)`.
macro_rules! run_on {
    ($module:ident, $opener:expr) => {
        mod $module {
            use super::*;
            suite::run_on!(@tests $opener;
                a_kept_value_is_in_the_snapshot,
                what_changes_nothing_moves_nothing,
                only_what_verdicts_depend_on_moves_the_revision,
                revisions_wake_when_it_moves_and_only_then,
                a_commit_on_an_old_snapshot_conflicts,
                a_refused_operation_undoes_its_commit,
                standing_and_identity_make_a_servers_record,
                a_rename_takes_everything_along,
                a_forgotten_server_leaves_no_observer,
                of_ended_and_dead_observers_the_latest_stays,
                an_item_keeps_its_first_and_its_latest_digests,
                a_server_cannot_grow_its_sightings_by_new_names,
                policies_cannot_keep_without_bounds,
                definitions_are_found_by_digest,
                policies_in_force_come_back_byte_for_byte,
                the_last_head_of_an_audit_file_counts,
                a_confirmed_ledger_is_fresh,
            );
        }
    };
    (@tests $opener:expr; $($name:ident,)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                let opener = $opener;
                suite::$name(opener.open()).await;
            }
        )*
    };
}
pub(in crate::ledger) use run_on;
