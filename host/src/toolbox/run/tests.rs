#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::*;
use crate::config::Mode;
use crate::ledger::PolicyOrigin;
use crate::policy::tests::hostile;
use crate::policy::{EngineOptions, PolicyLimits};
use crate::toolbox::{differences, read, reuse};

const GOLDEN: &[u8] = include_bytes!("../../../../tests/golden/v0_1_2_rust.wasm");

fn engine() -> Engine {
    Engine::new(EngineOptions {
        cache_dir: None,
        limits: PolicyLimits {
            hook_time: Duration::from_secs(20),
            record_time: Duration::from_secs(20),
            memory: 8 << 20,
            output: 1 << 20,
        },
        ready: 4,
    })
    .unwrap()
}

fn source(component: &[u8]) -> Source {
    Source {
        name: "guest".into(),
        origin: PolicyOrigin::Directory,
        file: "guest.wasm".into(),
        component: component.to_vec().into(),
        settings: None,
        mode: Mode::Enforce,
        grants: Default::default(),
        reuse: 1,
    }
}

async fn subject(component: &[u8]) -> Subject {
    Subject::new(&engine(), source(component)).await.unwrap()
}

fn case(text: &str) -> Case {
    Case::parse("case.json", text, None).unwrap()
}

fn call(name: &str) -> Case {
    case(
        &json!({"hook": "call-gate", "call": {"item": {"kind": "tool", "name": name}}}).to_string(),
    )
}

/// The golden policy's cases have every hook, and a failure or a refusal of most.
#[tokio::test]
async fn every_hook_runs_as_its_case_says() {
    let mut golden = subject(GOLDEN).await;
    let cases = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/cases");
    let cases = read(&[cases.into()]).unwrap();
    let mut hooks: Vec<_> = cases.iter().map(|case| case.input.hook()).collect();
    hooks.sort_unstable();
    hooks.dedup();
    assert_eq!(hooks, crate::toolbox::Hook::ALL);
    for case in cases {
        let ran = golden.run(&case).await;
        let different = differences(case.expect.as_ref().unwrap(), &ran.found);
        assert!(
            different.is_empty(),
            "{}: {different:#?}\n{ran:#?}",
            case.file
        );
    }
}

#[tokio::test]
async fn log_and_memory_are_those_of_the_run() {
    let mut golden = subject(GOLDEN).await;
    let ran = golden.run(&call("log:one")).await;
    assert_eq!(ran.found, found::one("verdict", "allow"));
    assert_eq!((ran.seen.log.len(), &*ran.seen.log[0].text), (1, "one"));
    assert!(ran.seen.memory >= 64 << 10);
    assert_eq!(golden.run(&call("read")).await.seen.log, []);
}

/// Counters are of a policy, and its runs are many; each shows its own.
#[tokio::test]
async fn what_is_counted_is_that_of_the_run() {
    let mut golden = subject(GOLDEN).await;
    for _ in 0..2 {
        let ran = golden.run(&call("count:seen")).await;
        assert_eq!(ran.counted, BTreeMap::from([("seen".to_owned(), 1)]));
    }
    assert!(golden.run(&call("read")).await.counted.is_empty());
}

#[tokio::test]
async fn a_verdict_that_asked_the_clock_is_not_pure() {
    let mut golden = subject(GOLDEN).await;
    assert_eq!(golden.run(&call("clock")).await.pure, Some(false));
    assert_eq!(golden.run(&call("read")).await.pure, Some(true));
    assert_eq!(golden.run(&call("trap")).await.pure, None);
}

#[tokio::test]
async fn trouble_is_of_its_kind() {
    let mut golden = subject(GOLDEN).await;
    let refused = r#"{"hook": "call-gate", "settings": {"refuse": "so"}, "call": {"item": {"kind": "tool", "name": "a"}}}"#;
    let refused = golden.run(&case(refused)).await;
    assert_eq!(
        refused.found,
        found::one("settings_error", "told to refuse: so")
    );
    let settings = case(r#"{"hook": "settings", "settings": {"refuse": "so"}}"#);
    assert_eq!(golden.run(&settings).await.found, refused.found);

    let mut filter = subject(&hostile::filter(8192, 0)).await;
    let absent = filter.run(&call("read")).await;
    assert!(
        matches!(absent.trouble, Some(Trouble::Unusable(_))),
        "{absent:?}"
    );
    // One that takes no settings cannot be given any.
    let given = r#"{"hook": "list-filter", "settings": {}, "items": []}"#;
    let given = filter.run(&case(given)).await;
    assert!(
        matches!(given.trouble, Some(Trouble::Unusable(_))),
        "{given:?}"
    );

    let mut spoilt = subject(&hostile::trap_in_configure()).await;
    let trapped = spoilt.run(&case(r#"{"hook": "settings"}"#)).await;
    assert_eq!(trapped.found, found::failure(FailureKind::Trap));
    // A gate does not load it, which is no verdict.
    let unloaded = spoilt.run(&call("read")).await;
    assert!(
        matches!(unloaded.trouble, Some(Trouble::Unusable(_))),
        "{unloaded:?}"
    );
}

/// Verdicts of an instance that remembers depend on who asked before.
#[tokio::test]
async fn an_instance_that_remembers_shows_when_it_is_used_again() {
    for (component, differs) in [(hostile::remembers(), true), (GOLDEN.to_vec(), false)] {
        let mut fresh = subject(&component).await;
        let reused = Source {
            reuse: 8,
            ..source(&component)
        };
        let mut reused = Subject::new(&engine(), reused).await.unwrap();
        let inputs = [
            ("a".to_owned(), call("read")),
            ("b".to_owned(), call("deny")),
        ];
        let otherwise = reuse::compare(&mut fresh, &mut reused, &inputs).await;
        assert_eq!(!otherwise.is_empty(), differs, "{otherwise:?}");
    }
}

#[tokio::test]
async fn what_no_settings_could_mend_is_refused_at_once() {
    for component in [b"text".to_vec(), wat::parse_str("(component)").unwrap()] {
        assert!(Subject::new(&engine(), source(&component)).await.is_err());
    }
    // This one may do with other settings.
    assert!(
        Subject::new(&engine(), source(&hostile::refuses_settings()))
            .await
            .is_ok()
    );
}
