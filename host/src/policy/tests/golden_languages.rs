//! `delete-guard` as other languages' tools built it for each version of the contract (`tests/golden`): whatever they
//! make of the contract must load and judge as it did.

use std::io::Read;

use super::super::contract::{Catalogue, Denial, Verdict};
use super::*;

/// Language, file, and the component's digest: the files are witnesses and are not built again.
const WITNESSES: [(&str, &[u8], &str); 4] = [
    (
        "javascript 0.1.0",
        include_bytes!("../../../../tests/golden/v0_1_0_javascript.wasm.zst"),
        "ff4b171026c32d6d6bc49a1672331a926d1300b278b3b1299a18d296a6f03aa4",
    ),
    (
        "python 0.1.0",
        include_bytes!("../../../../tests/golden/v0_1_0_python.wasm.zst"),
        "82b1e406c624da73771690552937e40ec7b2b390c27b8bb2bb6e108983d8b043",
    ),
    (
        "c 0.1.0",
        include_bytes!("../../../../tests/golden/v0_1_0_c.wasm.zst"),
        "973f1a75c15939255c1e3f6746ec24678c3b3faadbfa26afd39225fc6c095492",
    ),
    (
        "go 0.1.0",
        include_bytes!("../../../../tests/golden/v0_1_0_go.wasm.zst"),
        "456e1c7eb4c1628f0fd2c0df9d044462fba616cae78e99c28e69a62de4d10fd9",
    ),
];

/// Knows two definitions, the second of which speaks of `internal` things.
struct TwoDefinitions;

impl Definitions for TwoDefinitions {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        let text = match digest {
            one if one == Digest::from_bytes([1; 32]) => Some(r#"{"description":"plain"}"#),
            two if two == Digest::from_bytes([2; 32]) => {
                Some(r#"{"description":"For INTERNAL use"}"#)
            }
            _ => None,
        };
        std::future::ready(text.map(Into::into)).boxed()
    }
}

fn unpacked(compressed: &[u8]) -> Vec<u8> {
    let mut component = Vec::new();
    ruzstd::decoding::StreamingDecoder::new(compressed)
        .unwrap()
        .read_to_end(&mut component)
        .unwrap();
    component
}

fn view(sightings: &[(&str, &str)]) -> View {
    View {
        definitions: Arc::new(TwoDefinitions),
        ..view_of(&[], sightings)
    }
}

fn codes(answers: &[Option<Denial>]) -> Vec<Option<&str>> {
    answers
        .iter()
        .map(|answer| answer.as_ref().map(|denial| &*denial.code))
        .collect()
}

/// One engine and one test for all, since compiling them is what takes its time.
#[tokio::test]
async fn components_of_other_languages_judge_as_they_did() {
    // Compiled once: the second load finds them in the cache.
    let cache = tempfile::tempdir().unwrap();
    let engine = Engine::new(EngineOptions {
        cache_dir: Some(cache.path().join("components")),
        limits: PolicyLimits {
            memory: 64 << 20,
            ..limits()
        },
        ready: 4,
    })
    .unwrap();
    let mut sources = Vec::new();
    for (_, compressed, _) in &WITNESSES {
        let mut source = source("guest", unpacked(compressed));
        source.settings = Some(r#"{"hide":"Internal"}"#.into());
        sources.push(source);
    }
    let loaded = engine.load(sources.clone()).await;
    for ((name, _, sha256), policy) in WITNESSES.iter().zip(loaded) {
        let policy = policy.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(policy.sha256(), *sha256, "{name}");
        assert!(name.ends_with(policy.contract_version()), "{name}");
        // Twice, since each message meets an instance of its own.
        for _ in 0..2 {
            judges_calls(&policy, name).await;
            filters(&policy, name).await;
            counts_readings(&policy, name).await;
        }
    }
    for ((name, ..), mut source) in WITNESSES.iter().zip(sources) {
        source.settings = Some(r#"{"hidden":"x"}"#.into());
        let error = load(&engine, source).await.unwrap_err();
        assert!(error.detail.contains("hidden"), "{name}: {error}");
    }
}

async fn judges_calls(policy: &Policy, name: &str) {
    for (tool, arguments, confirmed) in [
        ("read", Some("{}"), true),
        (
            "delete_repo",
            Some(r#"{"confirm":true,"note":"\u00e9 \ud83d\ude00"}"#),
            true,
        ),
        ("Delete_Repo", Some(r#"{"\u0063onfirm":true}"#), true),
        ("delete_repo", Some(r#"{"confirm":"true"}"#), false),
        ("DELETE_repo", Some(r#"["confirm"]"#), false),
        ("delete_repo", None, false),
    ] {
        let call = Call {
            arguments: arguments.map(str::to_owned),
            ..call(tool)
        };
        let answer = policy.check(&view(&[]), &context(), &call).await.unwrap();
        let expected = if confirmed {
            Verdict::Allow
        } else {
            Verdict::Deny(Denial {
                code: "confirm_required".into(),
                reason: "Deleting needs the argument `confirm` to be true".into(),
                remedy: Some("Ask the person, then call again with `confirm` set to true".into()),
                labels: Vec::new(),
            })
        };
        assert_eq!(answer.value, expected, "{name}: {tool} {arguments:?}");
        assert!(answer.pure, "{name}");
    }
}

async fn filters(policy: &Policy, name: &str) {
    let items = [1, 2, 3].map(|byte| Item {
        digest: Digest::from_bytes([byte; 32]).to_string(),
        ..item("tool")
    });
    let prompt = Item {
        kind: ItemKind::Prompt,
        ..items[1].clone()
    };
    let items = [items.as_slice(), &[prompt]].concat();
    let answer = policy.filter(&view(&[]), &context(), &items).await.unwrap();
    assert_eq!(
        codes(&answer.value),
        [None, Some("hidden_word"), Some("no_definition"), None],
        "{name}"
    );
}

async fn counts_readings(policy: &Policy, name: &str) {
    let catalogue = Catalogue {
        digest: Digest::from_bytes([7; 32]).to_string(),
        complete: vec![ItemKind::Tool],
        items: vec![item("read")],
        labels: Vec::new(),
    };
    for (before, after) in [(None, "1"), (Some("41"), "42"), (Some("many"), "1")] {
        let before = before.map(|count| ("sighting/readings/files", count));
        let view = view(before.as_slice());
        let changes = policy.observe(&view, &server(), &catalogue).await.unwrap();
        let changes: Vec<_> = changes
            .value
            .iter()
            .map(|change| (&*change.key, change.value.as_deref()))
            .collect();
        assert_eq!(
            changes,
            [("sighting/readings/files", Some(after))],
            "{name}"
        );
    }
}
