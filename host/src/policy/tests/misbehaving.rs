//! Guests that load and then do what they should not: each is a failure of its kind, and the next call is as good as
//! the first.

use super::super::contract::{Catalogue, Verdict};
use super::*;
use std::time::Instant;

async fn failure(limits: PolicyLimits, component: Vec<u8>) -> (Arc<Policy>, Failure) {
    failure_on(&engine(limits), component).await
}

async fn failure_on(engine: &Engine, component: Vec<u8>) -> (Arc<Policy>, Failure) {
    let policy = load(engine, source("guest", component)).await.unwrap();
    let failure = policy
        .check(&view(), &context(), &call("read"))
        .await
        .unwrap_err();
    (policy, failure)
}

/// Each kind has its own remedy and its own count, so they must not be mixed up.
#[tokio::test]
async fn each_failure_is_of_its_kind_and_counted() {
    every_failure(engine).await;
}

/// The same where the system grants no pool of instances.
#[tokio::test]
async fn limits_hold_without_a_pool() {
    every_failure(|limits| {
        Engine::without_pool(EngineOptions {
            cache_dir: None,
            limits,
            ready: 4,
        })
        .unwrap()
    })
    .await;
}

async fn every_failure(engine: impl Fn(PolicyLimits) -> Engine) {
    use FailureKind::*;
    let kinds = [
        ("spin", Timeout, ""),
        ("allocate", OutOfMemory, "may have 8388608"),
        ("spin-after-answer", Timeout, ""),
        ("spin-in-allocator", Timeout, ""),
        ("allocator-out-of-bounds", BadOutput, ""),
        ("allocator-unaligned", BadOutput, ""),
        ("trap", Trap, "unreachable"),
        ("recurse", Trap, "stack"),
        ("huge-output", BadOutput, ""),
        ("bad-discriminant", BadOutput, "discriminant"),
        ("out-of-bounds", BadOutput, "out of bounds"),
        ("answer-out-of-bounds", BadOutput, ""),
        ("bad-text", BadOutput, ""),
        ("bad-code", BadOutput, "\\u{1b}[2"),
        ("unknown-verdict", BadOutput, "does not know"),
        ("bad-key", BadOutput, ""),
    ];
    for (name, component) in hostile::misbehaving() {
        let (_, kind, detail) = kinds.iter().find(|(of, ..)| *of == name).unwrap();
        let limits = if *kind == Timeout { short() } else { limits() };
        let (policy, failure) = failure_on(&engine(limits), component).await;
        assert_eq!(failure.kind, *kind, "{name}: {failure}");
        assert!(failure.detail.contains(detail), "{name}: {failure}");
        assert_eq!(
            (&*failure.policy, failure.hook),
            ("guest", "call-gate.check")
        );
        let stats = policy.stats();
        let counted = [
            (Trap, stats.traps),
            (Timeout, stats.timeouts),
            (OutOfMemory, stats.out_of_memory),
            (BadOutput, stats.bad_output),
            (Host, stats.host),
        ];
        for (of, count) in counted {
            assert_eq!(count, u64::from(of == *kind), "{name}: {stats:?}");
        }
        assert_eq!((stats.calls, stats.instances), (1, 1), "{name}");
    }
    assert_eq!(kinds.len(), hostile::misbehaving().len());
}

/// A trapped instance is dead, and so is everything it wrote: the guest traps if it ever finds its own mark.
#[tokio::test]
async fn no_memory_survives_a_call() {
    let policy = policy(limits(), hostile::remembers()).await;
    for round in 0..20 {
        let answer = policy.check(&view(), &context(), &call("read")).await;
        assert_eq!(answer.unwrap().value, Verdict::Allow, "{round}");
        if round % 3 == 0 {
            policy.refill().await;
        }
    }
}

/// On one thread, a spinning policy must leave others their turn, and end at its time though it never looks up.
#[tokio::test(flavor = "current_thread")]
async fn a_spinning_guest_does_not_hold_the_thread() {
    let engine = engine(short());
    let spin = load(&engine, source("spin", hostile::spin()))
        .await
        .unwrap();
    let allow = load(&engine, source("allow", hostile::allow()))
        .await
        .unwrap();
    let (view, context, call) = (view(), context(), call("read"));
    let judged = async {
        let mut judged = 0;
        while spin.stats().timeouts == 0 {
            judged += u32::from(allow.check(&view, &context, &call).await.is_ok());
            tokio::task::yield_now().await;
        }
        judged
    };
    let (failure, judged) = tokio::join!(spin.check(&view, &context, &call), judged);
    assert_eq!(failure.unwrap_err().kind, FailureKind::Timeout);
    assert!(judged > 1, "{judged}");
}

/// A guest that yields its turn only to other tasks would keep timers and sockets waiting.
#[test]
fn a_spinning_guest_does_not_hold_up_timers() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        // As many turns pass before the runtime looks at its timers of its own accord.
        .event_interval(1_000_000)
        .build()
        .unwrap();
    runtime.block_on(async {
        let slow = PolicyLimits {
            hook_time: Duration::from_millis(400),
            ..limits()
        };
        let spin = policy(slow, hostile::spin()).await;
        let (view, context, call) = (view(), context(), call("read"));
        let spinning = tokio::spawn({
            let spin = spin.clone();
            async move { spin.check(&view, &context, &call).await }
        });
        tokio::time::sleep(Duration::from_millis(10)).await;
        assert_eq!(spin.stats().timeouts, 0);
        let failure = spinning.await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout);
    });
}

/// An instance that waits ready for longer than a hook may run must not fail for that. The guest works long enough to
/// be asked for its deadline.
#[tokio::test]
async fn readiness_does_not_use_up_a_hooks_time() {
    let brief = PolicyLimits {
        hook_time: Duration::from_millis(900),
        record_time: Duration::from_millis(900),
        ..limits()
    };
    let policy = policy(brief, hostile::works()).await;
    policy.refill().await;
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let answer = policy.check(&view(), &context(), &call("read")).await;
    assert_eq!(answer.unwrap().value, Verdict::Allow);
}

/// A host function that waits is outside the reach of epochs.
#[tokio::test]
async fn a_definition_that_does_not_come_is_a_timeout() {
    let started = Instant::now();
    let (_, failure) = failure(short(), hostile::asks_definition()).await;
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    assert!(started.elapsed() < Duration::from_secs(20));
}

/// A caller that gives up (its client cancelled) leaves nothing running, and the slot comes back.
#[tokio::test]
async fn a_dropped_call_gives_its_slot_back() {
    let engine = engine(limits());
    let policy = load(&engine, source("spin", hostile::spin()))
        .await
        .unwrap();
    let slots =
        || engine.shared.ready.available_permits() + engine.shared.inline.available_permits();
    let (view, context, call) = (view(), context(), call("read"));
    let before = slots();
    for _ in 0..3 {
        let check = policy.check(&view, &context, &call);
        assert!(
            tokio::time::timeout(Duration::from_millis(5), check)
                .await
                .is_err()
        );
    }
    // The first instance was ready since the load, and is gone as well.
    assert_eq!(slots(), before + 1);
}

/// A filter that answers for other items than it was asked about could hide one and show another.
#[tokio::test]
async fn a_filter_must_answer_for_every_item() {
    let items = [item("a"), item("b")];
    let few = policy(limits(), hostile::wrong_count()).await;
    let failure = few.filter(&view(), &context(), &items).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadOutput);
    assert_eq!(failure.detail, "it gave 0 answers for 2 items");

    let right = policy(limits(), hostile::filter(8192, 2)).await;
    let answer = right.filter(&view(), &context(), &items).await.unwrap();
    assert_eq!(answer.value, [None, None]);

    let endless = policy(limits(), hostile::endless_list()).await;
    let failure = endless
        .filter(&view(), &context(), &items)
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::BadOutput, "{failure}");
}

/// A list of a thousand items that are all kept is a large answer of no text: the limit must let it pass.
#[tokio::test]
async fn a_long_list_is_no_long_text() {
    let limits = PolicyLimits {
        output: 1024,
        ..limits()
    };
    let items = vec![item("a"); 5_000];
    let policy = policy(limits, hostile::filter(1 << 20, 5_000)).await;
    let answer = policy.filter(&view(), &context(), &items).await.unwrap();
    assert_eq!(answer.value.len(), 5_000);
}

/// What is not JSON would break the client's stream.
#[tokio::test]
async fn a_replacement_must_be_json() {
    for (text, good) in [
        ("{\"content\":[]}", true),
        ("{\"content\":[]", false),
        ("{} {}", false),
        ("", false),
        ("\u{0}", false),
    ] {
        let policy = policy(limits(), hostile::replaces(text)).await;
        let answer = policy
            .inspect(&view(), &context(), &call("read"), "{}")
            .await;
        match answer {
            Ok(_) => assert!(good, "{text}"),
            Err(failure) => {
                assert!(!good, "{text}: {failure}");
                assert_eq!(failure.kind, FailureKind::BadOutput);
            }
        }
    }
}

/// The ledger keeps what policies record: it must not be a place to fill up.
#[tokio::test]
async fn changes_are_bounded() {
    let catalogue = Catalogue {
        digest: "1:00".into(),
        complete: Vec::new(),
        items: Vec::new(),
        labels: Vec::new(),
    };
    let wide = PolicyLimits {
        output: 8 << 20,
        ..limits()
    };
    for (component, word) in [
        (hostile::huge_value(), "1048577 bytes"),
        (hostile::empty_key(), "key of 0 bytes"),
    ] {
        let policy = policy(wide.clone(), component).await;
        let failure = policy
            .observe(&view(), &server(), &catalogue)
            .await
            .unwrap_err();
        assert_eq!(failure.kind, FailureKind::BadOutput);
        assert!(failure.detail.contains(word), "{failure}");
    }
}

/// A reason is for people: it is cut, not refused.
#[tokio::test]
async fn a_long_reason_is_cut() {
    let policy = policy(limits(), hostile::denies(&"é".repeat(1_400))).await;
    let answer = policy.check(&view(), &context(), &call("read")).await;
    let Verdict::Deny(denial) = answer.unwrap().value else {
        panic!("not denied");
    };
    assert_eq!(denial.reason, format!("{}…", "é".repeat(1_000)));
}

/// A hook that a policy does not have is never taken for an allowance.
#[tokio::test]
async fn a_missing_hook_is_a_failure() {
    let policy = policy(limits(), hostile::filter(8192, 0)).await;
    let failure = policy
        .check(&view(), &context(), &call("read"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::Host);
    assert_eq!(policy.stats().host, 1);
}
