//! What authors' tools ask of the engine beyond what a gate does.

use super::super::contract::Verdict;
use super::*;

const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/v0_1_1_rust.wasm");

async fn compiled(component: impl Into<Bytes>) -> Compiled {
    engine(limits())
        .compile(source("guest", component))
        .await
        .unwrap()
}

/// Cases differ in their settings; compiling anew for each would take minutes for a large guest.
#[tokio::test]
async fn one_compiled_component_takes_many_settings() {
    let compiled = compiled(GOLDEN).await;
    for suffix in ["!", "?"] {
        let settings = format!("{{\"suffix\":{suffix:?}}}");
        let policy = compiled.configure(Some(settings), None).await.unwrap();
        let answer = policy.check(&view(), &context(), &call("deny")).await;
        let Verdict::Deny(denial) = answer.unwrap().value else {
            panic!("not denied");
        };
        assert_eq!(denial.reason, format!("Told to deny{suffix}"));
        assert!(policy.memory() >= 64 << 10, "{}", policy.memory());
    }
}

/// What refused settings say is compared with what a case expects, so it must not be mixed up with other trouble.
#[tokio::test]
async fn what_keeps_a_policy_from_loading_is_told_apart() {
    let refused = compiled(GOLDEN).await;
    let refused = refused
        .configure(Some("{\"refuse\":\"so\"}".into()), None)
        .await
        .unwrap_err();
    assert_eq!(
        refused.cause,
        LoadCause::Settings("told to refuse: so".into())
    );
    let trapped = compiled(hostile::trap_in_configure()).await;
    let trapped = trapped.configure(None, None).await.unwrap_err();
    assert_eq!(trapped.cause, LoadCause::Failed(FailureKind::Trap));
    let needless = compiled(hostile::allow()).await;
    let needless = needless
        .configure(Some("{}".into()), None)
        .await
        .unwrap_err();
    assert_eq!(needless.cause, LoadCause::Component);
    let unread = engine(limits())
        .compile(source("guest", &b"text"[..]))
        .await
        .unwrap_err();
    assert_eq!(unread.cause, LoadCause::Component);
    assert!(unread.detail.contains("no WebAssembly component"));
}

#[tokio::test]
async fn a_witness_sees_the_log_and_the_memory() {
    let witness = Arc::new(Witness::default());
    let compiled = compiled(hostile::logs()).await;
    let policy = compiled
        .configure(None, Some(witness.clone()))
        .await
        .unwrap();
    assert_eq!(witness.take(), Seen::default());
    policy
        .check(&view(), &context(), &call("read"))
        .await
        .unwrap();
    let seen = witness.take();
    assert_eq!((seen.log.len(), seen.dropped), (32, 68));
    assert_eq!(seen.log[0].text, "hi\u{1b}[2Jx");
    assert_eq!(seen.memory, 32 * 65536);
    assert_eq!(witness.take(), Seen::default());
}

/// What a failed hook had is what its author looks for.
#[tokio::test]
async fn a_witness_sees_the_memory_of_a_hook_that_failed() {
    let witness = Arc::new(Witness::default());
    let compiled = compiled(hostile::allocate()).await;
    let policy = compiled
        .configure(None, Some(witness.clone()))
        .await
        .unwrap();
    let failure = policy
        .check(&view(), &context(), &call("read"))
        .await
        .unwrap_err();
    assert_eq!(failure.kind, FailureKind::OutOfMemory);
    assert!(witness.take().memory > 32 * 65536);
}

#[tokio::test]
async fn a_cached_component_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let options = EngineOptions {
        cache_dir: Some(dir.path().join("compiled")),
        limits: limits(),
        ready: 0,
    };
    for cached in [false, true] {
        let engine = Engine::new(options.clone()).unwrap();
        let compiled = engine.compile(source("guest", GOLDEN)).await.unwrap();
        assert_eq!(compiled.is_cached(), cached);
    }
}
