//! One generation after another, from files as they change.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;
use crate::config::{Grants, Mode, PolicyConfig};
use crate::ledger::in_memory;
use crate::policy::tests::hostile;
use crate::policy::{EngineOptions, PolicyLimits};

struct Scene {
    _dir: tempfile::TempDir,
    config: Config,
    builder: Builder,
}

fn engine() -> Engine {
    let time = Duration::from_secs(20);
    Engine::new(EngineOptions {
        cache_dir: None,
        limits: PolicyLimits {
            hook_time: time,
            record_time: time,
            memory: 8 << 20,
            output: 1 << 20,
        },
        ready: 1,
    })
    .unwrap()
}

impl Scene {
    /// An empty directory under a configuration without policies of its own.
    fn new() -> Self {
        Self::over(tempfile::tempdir().unwrap(), in_memory(None))
    }

    fn over(dir: tempfile::TempDir, ledger: Arc<dyn Ledger>) -> Self {
        std::fs::create_dir_all(dir.path().join("policies.d")).unwrap();
        let mut config = Config::in_dir(dir.path());
        config.policies = Some(Vec::new());
        Self {
            _dir: dir,
            config,
            builder: Builder::new(engine(), ledger, Vec::new()),
        }
    }

    /// The same files and ledger, in another process.
    fn again(self) -> Self {
        let ledger = self.builder.ledger.clone();
        Self::over(self._dir, ledger)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.config.policy_dir.path.join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        let draft = self.path("draft");
        std::fs::write(&draft, bytes).unwrap();
        std::fs::rename(draft, self.path(name)).unwrap();
    }

    async fn start(&self) -> Arc<Generation> {
        self.builder
            .build(&self.config, Manner::Strict)
            .await
            .unwrap()
    }

    /// Waits until what changed can be taken up, and takes it up.
    async fn next_for(&self, why: Why) -> Result<Option<Arc<Generation>>, BuildError> {
        while let Due::At(then) = self.builder.look(&self.config).await {
            tokio::time::sleep_until(then.into()).await;
        }
        self.builder.next(&self.config, why).await
    }

    async fn next(&self) -> Option<Arc<Generation>> {
        self.next_for(Why::default()).await.unwrap()
    }

    async fn forget(&self, name: &str) {
        let namespace = Namespace::new(PolicyOrigin::Directory, name);
        let ops = vec![Op::PolicyForgotten { namespace }];
        let commit = Commit::unconditional(ops);
        self.builder.ledger.commit(commit).await.unwrap();
    }

    /// The name and outcome of every policy, and whether it is in force.
    fn outcomes(&self) -> Vec<(String, &'static str, bool)> {
        let statuses = self.builder.statuses();
        let told = statuses.iter().map(|status| {
            (
                status.name.clone(),
                status.outcome.word(),
                status.policy.is_some(),
            )
        });
        told.collect()
    }

    fn problem(&self, name: &str) -> String {
        let statuses = self.builder.statuses();
        let status = statuses.iter().find(|status| status.name == name).unwrap();
        status.problem.clone().unwrap_or_default()
    }
}

fn told(all: &[(&str, &'static str, bool)]) -> Vec<(String, &'static str, bool)> {
    let all = all
        .iter()
        .map(|(name, outcome, in_force)| ((*name).to_owned(), *outcome, *in_force));
    all.collect()
}

const FORGOTTEN: Why = Why {
    again: false,
    forgotten: true,
};

/// A swap costs the changed policy only, and loses neither instances nor counts of the others.
#[tokio::test]
async fn what_has_not_changed_is_the_very_same_policy() {
    let scene = Scene::new();
    scene.put("a.wasm", &hostile::denies("A"));
    scene.put("b.wasm", &hostile::denies("B"));
    let first = scene.start().await;
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("b", "installed", true)])
    );
    assert!(scene.next().await.is_none());

    scene.put("b.wasm", &hostile::allow());
    let second = scene.next().await.unwrap();
    assert_eq!(second.id, first.id + 1);
    assert!(Arc::ptr_eq(&first.policies[0], &second.policies[0]));
    assert!(!Arc::ptr_eq(&first.policies[1], &second.policies[1]));
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("b", "updated", true)])
    );

    scene.put("b.wasm", &hostile::allow());
    assert!(scene.next().await.is_none(), "the same bytes again");
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("b", "unchanged", true)])
    );
}

#[tokio::test]
async fn one_bad_file_does_not_hold_up_the_others() {
    let scene = Scene::new();
    scene.put("a.wasm", &hostile::allow());
    scene.start().await;
    scene.put("bad.wasm", b"no component");
    scene.put("c.wasm", &hostile::allow());
    let next = scene.next().await.unwrap();
    assert_eq!(next.policies.len(), 2);
    assert_eq!(
        scene.outcomes(),
        told(&[
            ("a", "installed", true),
            ("bad", "rejected", false),
            ("c", "installed", true)
        ])
    );
    assert!(
        scene.problem("bad").contains("bad.wasm"),
        "{}",
        scene.problem("bad")
    );

    let again = scene.again();
    let started = again.builder.build(&again.config, Manner::Strict).await;
    assert!(
        matches!(started, Err(BuildError::Policies(problems)) if problems.len() == 1),
        "what cannot be loaded denies"
    );
    let started = again.builder.build(&again.config, Manner::Tolerant).await;
    assert_eq!(started.unwrap().policies.len(), 2);
    assert_eq!(
        again.outcomes(),
        told(&[
            ("a", "unchanged", true),
            ("bad", "rejected", false),
            ("c", "unchanged", true)
        ])
    );
    std::fs::remove_file(again.path("bad.wasm")).unwrap();
    assert!(again.next().await.is_none());
    assert_eq!(again.outcomes().len(), 2, "nothing is left to tell of it");
}

/// A policy may take its whole time to fail: not with every change of another, then.
#[tokio::test]
async fn what_failed_is_tried_again_only_if_it_changed_or_all_is_read_again() {
    let scene = Scene::new();
    scene.start().await;
    scene.put("bad.wasm", &hostile::refuses_settings());
    assert!(scene.next().await.is_none());
    let problem = scene.problem("bad");
    scene.builder.state.lock().await.failed[0].1 = "remembered".to_owned();
    scene.put("a.wasm", &hostile::allow());
    assert!(scene.next().await.is_some());
    assert_eq!(scene.problem("bad"), "remembered");
    let again = Why {
        again: true,
        forgotten: false,
    };
    assert!(scene.next_for(again).await.unwrap().is_none());
    assert_eq!(scene.problem("bad"), problem);
    scene.put("bad.wasm", &hostile::configure_ok());
    assert!(scene.next().await.is_some());
    assert!(scene.builder.state.lock().await.failed.is_empty());
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("bad", "installed", true)])
    );
}

#[tokio::test]
async fn what_breaks_or_goes_leaves_the_last_good_one_until_it_is_forgotten() {
    let scene = Scene::new();
    scene.put("a.wasm", &hostile::denies("A"));
    scene.put("b.wasm", &hostile::denies("B"));
    scene.put("b.toml", b"mode = \"monitor\"");
    let first = scene.start().await;
    scene.put("a.wasm", b"no component");
    std::fs::remove_file(scene.path("b.wasm")).unwrap();
    assert!(scene.next().await.is_none());
    let rejected = told(&[("a", "rejected", true), ("b", "rejected", true)]);
    assert_eq!(scene.outcomes(), rejected);
    assert!(scene.problem("b").contains("policy forget b"));
    assert!(scene.builder.statuses().iter().all(Status::last_good));

    let scene = scene.again();
    let started = scene.start().await;
    assert_eq!(scene.outcomes(), rejected);
    for (now, before) in started.policies.iter().zip(&first.policies) {
        assert_eq!(now.sha256(), before.sha256());
        assert_eq!(now.source().mode, before.source().mode);
    }

    scene.forget("b").await;
    let next = scene.next_for(FORGOTTEN).await.unwrap().unwrap();
    assert_eq!(next.policies.len(), 1);
    assert!(Arc::ptr_eq(&next.policies[0], &started.policies[0]));
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "rejected", true), ("b", "removed", false)])
    );
    scene.put("a.wasm", &hostile::denies("A"));
    scene.put("b.wasm", &hostile::denies("B"));
    std::fs::remove_file(scene.path("b.toml")).unwrap();
    let next = scene.next().await.unwrap();
    assert_eq!(next.policies.len(), 2);
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "unchanged", true), ("b", "installed", true)])
    );
    assert_eq!(
        next.policies[1].source().mode,
        Mode::Enforce,
        "its sidecar was forgotten too"
    );
}

/// A policy that is forgotten while its file is good is taken up again, and kept again.
#[tokio::test]
async fn what_is_forgotten_and_still_there_is_kept_again() {
    let scene = Scene::new();
    scene.put("a.wasm", &hostile::allow());
    scene.start().await;
    scene.forget("a").await;
    assert!(scene.next_for(FORGOTTEN).await.unwrap().is_none());
    assert_eq!(scene.builder.ledger.policies().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_sidecar_counts_like_its_component() {
    let scene = Scene::new();
    scene.put("a.wasm", &hostile::configure_ok());
    scene.put("a.toml", b"mode = \"monitor\"");
    let mode = |generation: &Generation| generation.policies[0].source().mode;
    assert_eq!(mode(&*scene.start().await), Mode::Monitor);
    scene.put("a.toml", b"mode = \"enforce\"");
    assert_eq!(mode(&scene.next().await.unwrap()), Mode::Enforce);
    scene.put("a.toml", b"[settings]\nword = \"x\"");
    let next = scene.next().await.unwrap();
    let settings = next.policies[0].source().settings.clone();
    assert_eq!(settings.as_deref(), Some("{\"word\":\"x\"}"));
    scene.put("a.toml", b"reuse = 7");
    assert_eq!(scene.next().await.unwrap().policies[0].source().reuse, 7);
    for (text, words) in [
        (&b"mod = 1"[..], "unknown field"),
        (b"sha256 = \"00\"", "sha256"),
        (b"\xff", "UTF-8"),
    ] {
        scene.put("a.toml", text);
        assert!(scene.next().await.is_none());
        assert_eq!(scene.outcomes(), told(&[("a", "rejected", true)]));
        let problem = scene.problem("a");
        assert!(
            problem.contains(words) || problem.contains("SHA-256"),
            "{problem}"
        );
    }
    std::fs::remove_file(scene.path("a.toml")).unwrap();
    assert!(scene.next().await.is_none());
    assert!(
        scene.problem("a").contains("its sidecar"),
        "{}",
        scene.problem("a")
    );
    scene.put("a.toml", b"reuse = 7");
    assert!(scene.next().await.is_none());
    assert_eq!(scene.outcomes(), told(&[("a", "unchanged", true)]));
}

/// Half an edit of the configuration would be another than the operator wrote.
#[tokio::test]
async fn a_configuration_is_taken_up_whole_or_not_at_all() {
    let mut scene = Scene::new();
    scene.put("a.wasm", &hostile::denies("A"));
    let first = scene.start().await;
    let before = scene.config.clone();
    let named = |name: &str, path: PathBuf| PolicyConfig {
        name: name.to_owned(),
        source: PolicySource::File(path),
        mode: Mode::Enforce,
        settings: None,
        grants: Grants::default(),
        reuse: 1,
    };
    let outside = scene._dir.path().join("mine.wasm");
    std::fs::write(&outside, b"no component").unwrap();
    scene.config.policies = Some(vec![named("mine", outside.clone())]);
    let refused = scene.next_for(Why::default()).await;
    assert!(matches!(refused, Err(BuildError::Policies(_))));
    let same_name = std::mem::replace(&mut scene.config, before.clone());
    assert!(scene.next().await.is_none());
    assert_eq!(scene.outcomes(), told(&[("a", "installed", true)]));

    // Nor may it push aside what is in force from the directory under the same name.
    std::fs::write(&outside, hostile::allow()).unwrap();
    scene.config.policies = Some(vec![named("a", outside.clone())]);
    let refused = scene.next_for(Why::default()).await;
    assert!(matches!(refused, Err(BuildError::Policies(_))));

    scene.config = same_name;
    let next = scene.next().await.unwrap();
    assert_eq!(next.policies.len(), 2);
    assert!(Arc::ptr_eq(&next.policies[1], &first.policies[0]));
    std::fs::write(&outside, hostile::denies("mine")).unwrap();
    assert!(
        scene.next().await.is_some(),
        "what it names is followed too"
    );
    scene.config = before;
    assert_eq!(scene.next().await.unwrap().policies.len(), 1);
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("mine", "removed", false)])
    );
}

#[tokio::test]
async fn a_file_that_goes_on_changing_is_pending_and_holds_up_nobody() {
    let scene = Scene::new();
    scene.start().await;
    let slow = scene.path("slow.wasm");
    let writer = tokio::spawn(async move {
        let whole = hostile::allow();
        for end in 0..whole.len() {
            std::fs::write(&slow, &whole[..end]).unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    scene.put("a.wasm", &hostile::allow());
    let next = scene.next().await.unwrap();
    assert_eq!(next.policies.len(), 1);
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("slow", "pending", false)])
    );
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    scene.put("slow.wasm", &hostile::allow());
    assert_eq!(scene.next().await.unwrap().policies.len(), 2);
    assert_eq!(
        scene.outcomes(),
        told(&[("a", "installed", true), ("slow", "installed", true)])
    );
}

/// Whoever mounts a directory swaps a link; no file of it changes.
#[tokio::test]
async fn a_directory_that_is_a_link_can_be_swapped() {
    let mut scene = Scene::new();
    let dir = scene._dir.path().to_owned();
    let at = |version: &str| dir.join(version);
    for (version, reason) in [("v1", "A"), ("v2", "B")] {
        std::fs::create_dir(at(version)).unwrap();
        std::fs::write(at(version).join("a.wasm"), hostile::denies(reason)).unwrap();
    }
    let point = |link: &Path, version: &str| {
        let draft = dir.join("link");
        std::os::unix::fs::symlink(version, &draft).unwrap();
        std::fs::rename(draft, link).unwrap();
    };
    scene.config.policy_dir.path = dir.join("current");
    point(&dir.join("current"), "v1");
    let first = scene.start().await;
    point(&dir.join("current"), "v2");
    let second = scene.next().await.unwrap();
    assert_ne!(first.policies[0].sha256(), second.policies[0].sha256());
    point(&dir.join("current"), "none");
    assert!(scene.next().await.is_none(), "what is gone stays in force");
    assert_eq!(scene.outcomes(), told(&[("a", "rejected", true)]));
}

/// The clock of a file system may stand still, and a file may be written to in its place.
#[tokio::test]
async fn content_decides_where_nothing_else_shows() {
    let scene = Scene::new();
    scene.put("a.wasm", &hostile::denies("A"));
    scene.start().await;
    scene
        .builder
        .state
        .lock()
        .await
        .shelf
        .pretend_unchanged(|| {
            std::fs::write(scene.path("a.wasm"), hostile::denies("B")).unwrap();
        });
    assert!(scene.next().await.is_none());
    let again = Why {
        again: true,
        forgotten: false,
    };
    assert!(
        scene
            .builder
            .next(&scene.config, again)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(scene.outcomes(), told(&[("a", "updated", true)]));
}

#[tokio::test]
async fn a_directory_that_cannot_be_listed_closes() {
    let mut scene = Scene::new();
    let directory = scene.config.policy_dir.path.clone();
    scene.put("a.wasm", &hostile::denies("A"));
    scene.start().await;
    std::fs::rename(&directory, directory.with_extension("old")).unwrap();
    std::fs::write(&directory, "no directory").unwrap();
    assert!(scene.next().await.is_none());
    assert_eq!(scene.outcomes(), told(&[("a", "rejected", true)]));
    scene = Scene {
        builder: Builder::new(engine(), in_memory(None), Vec::new()),
        ..scene
    };
    let started = scene.builder.build(&scene.config, Manner::Strict).await;
    assert!(matches!(started, Err(BuildError::Directory(_))));
}

/// A start must not wait for ever for what never comes to rest, nor take up a part of it.
#[tokio::test]
async fn a_file_that_goes_on_changing_does_not_hold_up_a_start() {
    use std::io::Write;
    use std::sync::atomic::{AtomicBool, Ordering};

    let scene = Scene::new();
    scene.put("a.wasm", &hostile::denies("A"));
    let mut file = std::fs::File::options()
        .append(true)
        .open(scene.path("a.wasm"))
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let writer = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::SeqCst) {
                file.write_all(b"x").unwrap();
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    });
    let started = scene.builder.build(&scene.config, Manner::Strict).await;
    stop.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let Err(error) = started else {
        panic!("it started with a file that is being written");
    };
    assert!(error.to_string().contains("still being written"), "{error}");
}
