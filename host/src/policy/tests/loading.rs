//! Components that must not load, and why: every error names the file, what is wrong, and the mend.

use super::*;

async fn refusal(limits: PolicyLimits, source: Source) -> String {
    match load(&engine(limits), source).await {
        Ok(policy) => panic!("{policy:?} was loaded"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn every_refusal_says_what_and_how_to_mend_it() {
    let words: &[(&str, &[&str])] = &[
        (
            "import-in-start",
            &["instantiate", "clock.now-ms", "Correct the policy"],
        ),
        (
            "import-in-configure",
            &["settings.configure", "clock.now-ms", "Correct the policy"],
        ),
        (
            "spin-in-start",
            &["instantiate", "over its time", "record_ms"],
        ),
        (
            "spin-in-configure",
            &["settings.configure", "over its time", "record_ms"],
        ),
        (
            "trap-in-configure",
            &["settings.configure", "unreachable", "Correct the policy"],
        ),
        (
            "refuses-settings",
            &["refuses its settings: bad \\u{1b}[2J", "witgate.toml"],
        ),
        (
            "writes-in-judging-hook",
            &["witgate:policy/store@0.1.0", "put", "0.1.0"],
        ),
        (
            "imports-unknown",
            &["wasi:keyvalue/store@0.2.6", "grant", "--stub-wasi"],
        ),
        (
            "version-0.2.0",
            &[
                "call-gate@0.2.0",
                "version 0.2.0",
                "0.1.0 and any later 0.1",
            ],
        ),
        (
            "no-hook",
            &["no hook", "call-gate", "0.1.0 and any later 0.1"],
        ),
        ("unknown-hook", &["mood-gate@0.1.9", "Install a witgate"]),
        ("unknown-package", &["witgate:other/thing@0.1.0"]),
        ("wrong-types", &["contract's types", "0.1.0"]),
    ];
    for (name, component) in hostile::unloadable() {
        let (_, words) = words.iter().find(|(of, _)| *of == name).unwrap();
        let text = refusal(short(), source(name, component)).await;
        let begin = format!("policy `{name}` (policies.d/{name}.wasm): ");
        assert!(text.starts_with(&begin), "{text}");
        for word in *words {
            assert!(text.contains(word), "{name}: `{word}` is not in: {text}");
        }
        assert!(!text.contains('\u{1b}'), "{text}");
    }
    assert_eq!(words.len(), hostile::unloadable().len());
}

/// Settings that nobody reads are an operator's mistake.
#[tokio::test]
async fn settings_need_somebody_to_read_them() {
    let mut given = source("guest", hostile::allow());
    given.settings = Some("{\"deny\":[\"rm\"]}".into());
    let text = refusal(limits(), given).await;
    assert!(text.contains("does not export `settings`"), "{text}");

    // None given: a policy that takes some is configured with an empty object.
    let wants = source("guest", hostile::wants_empty_settings());
    assert!(load(&engine(limits()), wants.clone()).await.is_ok());
    let mut wrong = wants;
    wrong.settings = Some("{\"a\":1}".into());
    let text = refusal(limits(), wrong).await;
    assert!(text.contains("refuses its settings: other"), "{text}");
}

#[tokio::test]
async fn more_memory_than_allowed_at_the_start_names_the_limit() {
    let big = hostile::big_at_start(8 << 20);
    let text = refusal(limits(), source("guest", big)).await;
    assert!(text.contains("policy_memory_bytes"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_too_large_is_not_even_read() {
    let text = refusal(limits(), source("guest", vec![0; (64 << 20) + 1])).await;
    assert!(text.contains("67108865 bytes long"), "{text}");
}

/// One bad file must not keep the good ones out, and the order is the chain's.
#[tokio::test]
async fn each_component_is_loaded_for_itself_and_in_order() {
    let mut torn = hostile::allow();
    torn.truncate(torn.len() - 40);
    let loaded = engine(limits())
        .load(vec![
            source("one", hostile::allow()),
            source("two", &b"(component)"[..]),
            source("three", torn),
            source("four", hostile::built_against("0.1.4")),
        ])
        .await;
    let names: Vec<_> = loaded
        .iter()
        .map(|policy| match policy {
            Ok(policy) => (
                policy.name().to_string(),
                policy.contract_version().to_owned(),
            ),
            Err(error) => (error.name.clone(), error.detail.clone()),
        })
        .collect();
    assert_eq!(names[0], ("one".into(), "0.1.0".into()));
    assert!(names[1].0 == "two" && names[1].1.contains("wasm-tools parse"));
    assert!(names[2].0 == "three" && names[2].1.contains("cannot be compiled"));
    assert_eq!(names[3], ("four".into(), "0.1.4".into()));
}

/// `types` is imported by nearly every component, and holds nothing to call.
#[tokio::test]
async fn an_import_of_types_alone_is_no_import() {
    let policy = policy(limits(), hostile::allow()).await;
    assert_eq!(
        policy.hooks(),
        Hooks {
            call_gate: true,
            ..Hooks::default()
        }
    );
    assert_eq!(policy.sha256().len(), 64);
    assert_eq!(policy.namespace().as_str(), "directory/guest");
}

fn cached(dir: &std::path::Path) -> Engine {
    Engine::new(EngineOptions {
        cache_dir: Some(dir.to_owned()),
        limits: limits(),
        ready: 1,
    })
    .unwrap()
}

/// The second start takes compiled code from the cache, in a new engine; a damaged file is replaced.
#[tokio::test]
async fn compiled_components_are_kept_and_mended() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let files = || -> Vec<_> {
        std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    };
    let component = Bytes::from(hostile::denies("x"));
    load(&cached(&cache), source("guest", component.clone()))
        .await
        .unwrap();
    let [file] = &files()[..] else {
        panic!("{:?}", files());
    };
    let kept = std::fs::read(file).unwrap();
    let policy = load(&cached(&cache), source("guest", component.clone()))
        .await
        .unwrap();
    assert!(policy.check(&view(), &context(), &call("a")).await.is_ok());

    std::fs::write(file, b"\x7fELF nonsense").unwrap();
    let policy = load(&cached(&cache), source("guest", component))
        .await
        .unwrap();
    assert!(policy.check(&view(), &context(), &call("a")).await.is_ok());
    assert_eq!(std::fs::read(file).unwrap(), kept);
}
