//! Every hook with a policy that behaves, as built for each version of the contract. What a version has is tested with
//! the component of that version, which stays as it was built.

use super::super::contract::{
    Action, Admission, Catalogue, ClientRequest, Decision, Denial, Refusal, Ruling, Verdict,
    Withheld,
};
use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/v0_1_0_rust.wasm");
const GOLDEN_0_1_1: &[u8] = include_bytes!("../../../../tests/golden/v0_1_1_rust.wasm");
const GOLDEN_0_1_2: &[u8] = include_bytes!("../../../../tests/golden/v0_1_2_rust.wasm");

async fn golden() -> Arc<Policy> {
    load(&engine(limits()), source("guest", GOLDEN))
        .await
        .unwrap()
}

async fn checked(policy: &Policy, view: &View, name: &str) -> Result<Evaluated<Verdict>, Failure> {
    policy.check(view, &context(), &call(name)).await
}

/// The reason of a denial whose code is `echo`.
async fn echo(policy: &Policy, view: &View, name: &str) -> String {
    match checked(policy, view, name).await.unwrap().value {
        Verdict::Deny(Denial { code, reason, .. }) if code == "echo" => reason,
        other => panic!("{name}: {other:?}"),
    }
}

#[tokio::test]
async fn all_hooks_are_found() {
    let policy = golden().await;
    let all = Hooks {
        client_request_gate: false,
        settings: true,
        inventory: true,
        list_filter: true,
        call_gate: true,
        result_gate: true,
        discovery_surface: true,
        review: true,
    };
    assert_eq!(policy.hooks(), all);
    assert_eq!(policy.contract_version(), "0.1.0");
    // The file is a witness of that version: it is not built again.
    assert_eq!(
        policy.sha256(),
        "6497be291f2a82dfb8372c20dcf9c5ab8e4eb6b2107b6b96f1e0487fb3cb0119"
    );

    let newer = load(&engine(limits()), source("guest", GOLDEN_0_1_1))
        .await
        .unwrap();
    let all = Hooks {
        client_request_gate: true,
        ..all
    };
    assert_eq!(newer.hooks(), all);
    assert_eq!(newer.contract_version(), "0.1.1");
    assert_eq!(
        newer.sha256(),
        "adbf6fd2b2e8f5feb614a09317c904b3ee38e0116020218a5964a1b9bde9d28b"
    );
    // Its imports are named after its version, and answer.
    let view = view_of(&[("b", "three")], &[]);
    assert_eq!(echo(&newer, &view, "get:b").await, "Some(\"three\")");
}

fn asks(method: &str, params: &str) -> ClientRequest {
    ClientRequest {
        method: method.into(),
        mode: (method == "elicitation/create").then(|| "form".into()),
        params: Some(params.into()),
        during: Some(call("ask_me")),
        labels: Vec::new(),
    }
}

#[tokio::test]
async fn what_a_server_asks_of_the_client_is_admitted_or_not() {
    let engine = engine(limits());
    let mut given = source("guest", GOLDEN_0_1_1);
    given.settings = Some("{\"deny_requests\":[\"roots/list\"],\"suffix\":\"!\"}".into());
    let policy = load(&engine, given).await.unwrap();
    let admit = async |method: &str, params: &str| {
        let request = asks(method, params);
        policy.admit(&view(), &context(), &request).await
    };
    let reason = async |method: &str, params: &str| match admit(method, params).await.unwrap().value
    {
        Admission::Deny(denial) => (denial.code, denial.reason),
        other => panic!("{method}: {other:?}"),
    };
    let allowed = admit("elicitation/create", "{}").await.unwrap();
    assert_eq!((allowed.value, allowed.pure), (Admission::Allow, true));
    let denied = ("request_denied".to_owned(), "Told to deny!".to_owned());
    assert_eq!(reason("roots/list", "{}").await, denied);
    assert_eq!(reason("sampling/createMessage", "[deny]").await, denied);
    assert_eq!(
        reason("elicitation/create", "[echo]").await.1,
        "elicitation/create Some(\"form\") Some(\"ask_me\")!"
    );
    assert!(!admit("elicitation/create", "[clock]").await.unwrap().pure);
    for (params, kind) in [
        ("[trap]", FailureKind::Trap),
        ("[other]", FailureKind::BadOutput),
    ] {
        let failure = admit("elicitation/create", params).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert_eq!(failure.hook, "client-request-gate.admit");
    }
    // A policy of an earlier version has no such hook, and is not asked.
    let older = golden().await;
    let asked = older
        .admit(&view(), &context(), &asks("roots/list", ""))
        .await;
    assert_eq!(asked.unwrap_err().kind, FailureKind::Host);
}

#[tokio::test]
async fn settings_reach_the_policy() {
    let engine = engine(limits());
    let mut given = source("guest", GOLDEN);
    given.settings = Some("{\"suffix\":\"!\"}".into());
    let policy = load(&engine, given.clone()).await.unwrap();
    // Every instance is configured, not only the first.
    for _ in 0..3 {
        let Verdict::Deny(denial) = checked(&policy, &view(), "deny").await.unwrap().value else {
            panic!("not denied");
        };
        assert_eq!(denial.reason, "Told to deny!");
    }
    given.settings = Some("{\"refuse\":\"no\\u0007\"}".into());
    let error = load(&engine, given).await.unwrap_err();
    assert!(error.detail.contains("no\\u{7}"), "{error}");
}

#[tokio::test]
async fn verdicts_come_through() {
    let policy = golden().await;
    let allowed = checked(&policy, &view(), "read").await.unwrap();
    assert_eq!((allowed.value, allowed.pure), (Verdict::Allow, true));
    let Verdict::Hold(hold) = checked(&policy, &view(), "hold").await.unwrap().value else {
        panic!("not held");
    };
    assert_eq!(hold.code, "ask");
    assert_eq!(
        echo(&policy, &view(), "caller").await,
        "local [\"operator\"]"
    );
    assert_eq!(
        echo(&policy, &view(), "arguments").await,
        "Some(\"{\\\"a\\\":1}\")"
    );
}

#[tokio::test]
async fn misbehaviour_is_told_apart_in_real_code_too() {
    let engine = engine(PolicyLimits {
        hook_time: Duration::from_millis(300),
        output: 100_000,
        ..limits()
    });
    let policy = load(&engine, source("guest", GOLDEN)).await.unwrap();
    for (name, kind) in [
        ("spin", FailureKind::Timeout),
        ("grow", FailureKind::OutOfMemory),
        ("trap", FailureKind::Trap),
        ("recurse", FailureKind::Trap),
        ("huge", FailureKind::BadOutput),
        ("other", FailureKind::BadOutput),
    ] {
        let failure = checked(&policy, &view(), name).await.unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
    }
    assert!(checked(&policy, &view(), "read").await.is_ok());
}

/// Verdicts are cached by revision, and sightings do not move it: judging hooks must not see them.
#[tokio::test]
async fn judging_hooks_see_facts_only() {
    let policy = golden().await;
    let mut view = view_of(
        &[("a/1", "one"), ("a/2", "two"), ("b", "three")],
        &[("sighting/x", "seen")],
    );
    assert_eq!(echo(&policy, &view, "get:b").await, "Some(\"three\")");
    assert_eq!(echo(&policy, &view, "get:c").await, "None");
    assert_eq!(echo(&policy, &view, "get:sighting/x").await, "None");
    assert_eq!(
        echo(&policy, &view, "scan:a/").await,
        "[(\"a/1\", \"one\"), (\"a/2\", \"two\")]"
    );
    assert_eq!(echo(&policy, &view, "scan:sighting/").await, "[]");
    let all = echo(&policy, &view, "scan:").await;
    assert!(all.contains("three") && !all.contains("seen"), "{all}");

    // Another policy's keys do not exist.
    let other = Namespace::new(PolicyOrigin::Configuration, "guest");
    let facts = view.snapshot.facts.values().next().unwrap().clone();
    let snapshot = Snapshot {
        facts: Arc::new(HashMap::from([(other, facts)])),
        ..(*view.snapshot).clone()
    };
    view.snapshot = Arc::new(snapshot);
    assert_eq!(echo(&policy, &view, "scan:").await, "[]");
}

#[tokio::test]
async fn clock_and_definitions_answer() {
    let policy = golden().await;
    let seven = Digest::from_bytes([7; 32]);
    let eight = Digest::from_bytes([8; 32]);
    assert_eq!(
        echo(&policy, &view(), &format!("definition:{seven}")).await,
        "Some(\"{\\\"name\\\":\\\"seven\\\"}\")"
    );
    assert_eq!(
        echo(&policy, &view(), &format!("definition:{eight}")).await,
        "None"
    );
    assert_eq!(echo(&policy, &view(), "definition:2:00").await, "None");
    assert_eq!(echo(&policy, &view(), "clock").await, "1700000000123");
    assert!(!checked(&policy, &view(), "clock").await.unwrap().pure);
}

#[tokio::test]
async fn lists_are_filtered_and_surfaced_in_order() {
    let policy = golden().await;
    let items = ["read", "hide_me", "write", "hide_wholly"].map(item);
    let kept = policy.filter(&view(), &context(), &items).await.unwrap();
    let withheld: Vec<_> = kept.value.iter().map(Option::is_some).collect();
    assert_eq!(withheld, [false, true, false, true]);

    let withheld: Vec<_> = items
        .iter()
        .zip(kept.value)
        .filter_map(|(item, denial)| {
            Some(Withheld {
                item: item.clone(),
                denial: denial?,
                labels: Vec::new(),
            })
        })
        .collect();
    let surfaced = policy
        .surface(&view(), &context(), &withheld)
        .await
        .unwrap();
    let status: Vec<_> = surfaced
        .value
        .iter()
        .map(|locked| locked.as_ref().map(|locked| locked.status.as_str()))
        .collect();
    assert_eq!(status, [Some("pending_approval"), None]);
}

#[tokio::test]
async fn results_are_passed_replaced_or_denied() {
    let policy = golden().await;
    let inspect = async |outcome: &str| {
        let answer = policy
            .inspect(&view(), &context(), &call("read"), outcome)
            .await;
        answer.map(|answer| answer.value)
    };
    assert_eq!(inspect("{}").await.unwrap(), Ruling::Pass);
    assert_eq!(
        inspect("{\"a\":\"[replace]\"}").await.unwrap(),
        Ruling::Replace("{\"a\":\"[replaced]\"}".into())
    );
    assert!(matches!(
        inspect("{\"a\":\"[deny]\"}").await.unwrap(),
        Ruling::Deny(_)
    ));
    for outcome in ["[garbage]", "[other]"] {
        let failure = inspect(outcome).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadOutput, "{failure}");
    }
}

/// A reading, the entry it makes, and the decision about it: recording hooks see what was sighted.
#[tokio::test]
async fn readings_are_recorded_and_decided() {
    let policy = golden().await;
    let digest = Digest::from_bytes([7; 32]).to_string();
    let catalogue = Catalogue {
        digest: digest.clone(),
        complete: vec![ItemKind::Tool],
        items: vec![item("read")],
        labels: Vec::new(),
    };
    let before = view_of(&[("count/files", "4")], &[]);
    let changes = policy
        .observe(&before, &server(), &catalogue)
        .await
        .unwrap()
        .value;
    let changes: Vec<_> = changes
        .iter()
        .map(|change| (change.key.as_str(), change.value.as_deref()))
        .collect();
    assert_eq!(
        changes,
        [
            ("count/files", Some("5")),
            ("sighting/files", Some(digest.as_str()))
        ]
    );

    let after = view_of(
        &[("count/files", "5"), ("zebra", "")],
        &[("sighting/files", &digest)],
    );
    let entries = policy.entries(&after, Some("files")).await.unwrap().value;
    assert_eq!(entries.len(), 1);
    assert!(entries[0].waiting && entries[0].present);
    assert_eq!(entries[0].current_digests, std::slice::from_ref(&digest));
    let none = policy.entries(&after, Some("other")).await.unwrap().value;
    assert!(none.is_empty());

    let decision = Decision {
        entry: "files".into(),
        expected_digest: digest.clone(),
        action: Action::Approve,
        actor: "ann".into(),
        proof: None,
        now_ms: 9,
        labels: Vec::new(),
    };
    let decided = policy.decide(&after, &decision).await.unwrap().value;
    let decided = decided.unwrap();
    assert_eq!(decided.changes[0].value.as_deref(), Some(digest.as_str()));
    assert_eq!(decided.entry.unwrap().status, "approved");

    let moved = policy.decide(&before, &decision).await.unwrap().value;
    assert_eq!(moved.unwrap_err(), Refusal::MovedOn);
}

/// What one policy counts is counted of all its instances together, and no verdict depends on it.
#[tokio::test]
async fn what_a_policy_counts_is_kept_beside_its_verdicts() {
    let policy = load(&engine(limits()), source("guest", GOLDEN_0_1_2))
        .await
        .unwrap();
    assert_eq!(policy.contract_version(), "0.1.2");
    for _ in 0..3 {
        let answer = checked(&policy, &view(), "count:reads").await.unwrap();
        assert_eq!((answer.value, answer.pure), (Verdict::Allow, true));
    }
    // Not a counter's name: the call goes on, nothing is counted.
    let answer = checked(&policy, &view(), "count:Not One").await.unwrap();
    assert_eq!(answer.value, Verdict::Allow);
    assert_eq!(policy.counted(), BTreeMap::from([("reads".to_owned(), 3)]));
}
