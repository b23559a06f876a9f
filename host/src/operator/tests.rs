//! Decisions, with a policy that pins digests in the plainest way: under `SERVER/NAME` the approved digest, under
//! `sighting/SERVER/NAME` the one that is shown.
#![allow(clippy::unwrap_used)]

mod shipped;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;

use super::{Operator, OperatorError, Reviewer, StandingFrom, Verb, printed_digest, standing};
use crate::config::{Config, ServerConfig};
use crate::ledger::{
    self, Commit, Ledger, Namespace, Observer, Op, PolicyOrigin, Standing, StandingRecord,
    observers,
};
use crate::policy::contract::{Action, Change, Decided, Decision, Entry, ItemKind, Refusal};
use crate::policy::{Failure, View};

/// A policy that pins, and that can let somebody else commit while it decides.
struct Pin {
    ledger: Arc<dyn Ledger>,
    /// How often a decision is overtaken.
    overtaken: AtomicUsize,
}

fn namespace() -> Namespace {
    Namespace::new(PolicyOrigin::Builtin, "pin")
}

fn change(key: &str, value: Option<&str>) -> Change {
    Change {
        key: key.to_owned(),
        value: value.map(str::to_owned),
        labels: Vec::new(),
    }
}

fn entry_of(view: &View, id: &str, shown: &str) -> Entry {
    let (server, name) = id.split_once('/').unwrap();
    let facts = view.snapshot.facts.get(&namespace());
    let approved: Vec<String> = facts
        .and_then(|facts| facts.get(id))
        .map(|digests| digests.split(' ').map(str::to_owned).collect())
        .unwrap_or_default();
    let waiting = !approved.iter().any(|a| a == shown);
    Entry {
        id: id.to_owned(),
        server: server.to_owned(),
        kind: ItemKind::Tool,
        name: name.to_owned(),
        status: if waiting { "pending" } else { "approved" }.to_owned(),
        waiting,
        by: String::new(),
        since_ms: 0,
        approved_digests: approved,
        current_digests: vec![shown.to_owned()],
        present: true,
        labels: Vec::new(),
    }
}

fn all(view: &View) -> Vec<Entry> {
    let sightings = view.snapshot.sightings.get(&namespace());
    sightings
        .into_iter()
        .flatten()
        .map(|(key, shown)| entry_of(view, key.strip_prefix("sighting/").unwrap(), shown))
        .collect()
}

impl Reviewer for Pin {
    fn name(&self) -> Arc<str> {
        "pin".into()
    }

    fn namespace(&self) -> Namespace {
        namespace()
    }

    fn entries<'a>(
        &'a self,
        view: &'a View,
        server: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Failure>> {
        Box::pin(async move {
            let mut entries = all(view);
            entries.retain(|entry| server.is_none_or(|server| entry.server == server));
            Ok(entries)
        })
    }

    fn decide<'a>(
        &'a self,
        view: &'a View,
        decision: &'a Decision,
    ) -> BoxFuture<'a, Result<Result<Decided, Refusal>, Failure>> {
        Box::pin(async move {
            if self
                .overtaken
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1))
                .is_ok()
            {
                let note = Op::Note {
                    key: format!("overtaken:{}", self.overtaken.load(Ordering::SeqCst)),
                    value: Some("x".to_owned()),
                };
                let commit = Commit {
                    based_on: None,
                    ops: vec![note],
                };
                self.ledger.commit(commit).await.unwrap();
            }
            let mut changes = Vec::new();
            match &decision.action {
                Action::Approve | Action::ApproveAlso => {
                    let entries = all(view);
                    let Some(entry) = entries.iter().find(|e| e.id == decision.entry) else {
                        return Ok(Err(Refusal::UnknownEntry));
                    };
                    if !entry.current_digests.contains(&decision.expected_digest) {
                        return Ok(Err(Refusal::MovedOn));
                    }
                    // Counted in the store, so that a decision that did not see the one before would show.
                    let facts = view.snapshot.facts.get(&namespace());
                    let count = facts
                        .and_then(|facts| facts.get("count")?.parse::<u32>().ok())
                        .unwrap_or(0);
                    changes.push(change("count", Some(&(count + 1).to_string())));
                    changes.push(change("by", Some(&decision.actor)));
                    changes.push(change(&decision.entry, Some(&decision.expected_digest)));
                }
                Action::Revoke => changes.push(change(&decision.entry, None)),
                Action::Block => return Ok(Err(Refusal::NotAllowed)),
                Action::Unblock => return Ok(Err(Refusal::Other("no\u{1b}[2J".to_owned()))),
                Action::Other(action) => {
                    let to = decision.labels.iter().map(|(k, v)| format!("{k}={v}"));
                    let value = format!("{action} {}", to.collect::<String>());
                    changes.push(change(&decision.entry, Some(&value)));
                }
            }
            let mut view = view.clone();
            let mut overlay = super::overlay::Overlay::new(view.snapshot);
            overlay.apply(&namespace(), changes.clone());
            view.snapshot = overlay.snapshot();
            let entry = all(&view).into_iter().find(|e| e.id == decision.entry);
            Ok(Ok(Decided {
                entry,
                changes,
                labels: Vec::new(),
            }))
        })
    }
}

fn digest(of: u8) -> String {
    format!("1:{}", hex::encode([of; 32]))
}

struct Desk {
    operator: Operator,
    ledger: Arc<dyn Ledger>,
    pin: Arc<Pin>,
    config: Config,
}

/// An operator, and a server `s` that shows `shown`.
async fn desk(shown: &[(&str, u8)]) -> Desk {
    let ledger = ledger::in_memory(None);
    let mut ops = vec![Op::Identity {
        server: "s".to_owned(),
        identity: r#"["npx","srv"]"#.to_owned(),
        at_ms: 1,
    }];
    for (name, of) in shown {
        ops.push(Op::Keep {
            namespace: namespace(),
            key: format!("sighting/s/{name}"),
            value: Some(digest(*of)),
        });
    }
    let based_on = None;
    ledger.commit(Commit { based_on, ops }).await.unwrap();
    let pin = Arc::new(Pin {
        ledger: Arc::clone(&ledger),
        overtaken: AtomicUsize::new(0),
    });
    let reviewers: Vec<Arc<dyn Reviewer>> = vec![Arc::clone(&pin) as _];
    Desk {
        operator: Operator::with_reviewers(reviewers, Arc::clone(&ledger), "ann".to_owned()),
        ledger,
        pin,
        config: Config::in_dir(Path::new("/etc/witgate")),
    }
}

impl Desk {
    fn fact(&self, key: &str) -> Option<String> {
        let snapshot = self.ledger.snapshot();
        snapshot.facts.get(&namespace())?.get(key).cloned()
    }

    async fn waiting(&self) -> String {
        let servers = self.operator.servers(&self.config).await.unwrap();
        printed_digest(&servers[0].catalogue_digest.to_string()).to_owned()
    }

    async fn connect(&self) {
        let (pid, pid_start) = observers::this_process();
        let observer = Observer {
            id: "o1".to_owned(),
            server: "s".to_owned(),
            pid,
            pid_start,
            ended: false,
            observation: None,
        };
        let commit = Commit {
            based_on: None,
            ops: vec![Op::ObserverBegins(observer)],
        };
        self.ledger.commit(commit).await.unwrap();
    }
}

#[tokio::test]
async fn an_approval_names_what_was_seen() {
    let desk = desk(&[("a", 1)]).await;
    let seen = printed_digest(&digest(1)).to_owned();
    let decided = desk
        .operator
        .decide("s/a", Some(&seen), Verb::Approve)
        .await
        .unwrap();
    assert_eq!(decided.before.id, "pin:s/a");
    assert_eq!(decided.digest, Some(digest(1)));
    assert_eq!(decided.after.unwrap().entry.status, "approved");
    assert_eq!(desk.fact("s/a"), Some(digest(1)));
    assert_eq!(desk.fact("by").as_deref(), Some("ann"));
}

/// B12: the item changed between the look and the word.
#[tokio::test]
async fn an_approval_of_what_is_shown_no_more_is_refused_and_changes_nothing() {
    let desk = desk(&[("a", 1)]).await;
    let before = desk.ledger.snapshot().version;
    let error = desk
        .operator
        .decide("pin:s/a", Some("02020202"), Verb::Approve)
        .await
        .unwrap_err();
    assert_eq!(error.code(), "moved_on");
    assert_eq!(
        error.to_string(),
        "refused, moved on: no observer shows pin:s/a with a definition whose digest begins with \"02020202\" any \
         more; shown now: 01010101010101010101010101010101. Look again: witgate review show pin:s/a"
    );
    assert_eq!(desk.ledger.snapshot().version, before);
}

#[tokio::test]
async fn what_cannot_be_meant_is_told_apart() {
    let desk = desk(&[("a", 1)]).await;
    let decide = async |id: &str, digest: Option<&str>, verb| {
        let error = desk.operator.decide(id, digest, verb).await.unwrap_err();
        (error.code(), error.to_string())
    };
    assert_eq!(
        decide("s/b", Some("01010101"), Verb::Approve).await.0,
        "unknown_entry"
    );
    assert_eq!(
        decide("s/a", Some("0101"), Verb::Approve).await.0,
        "bad_digest"
    );
    assert_eq!(decide("s/a", None, Verb::Approve).await.0, "bad_digest");
    assert_eq!(
        decide("s/a", Some("01010101"), Verb::Revoke).await.0,
        "not_approved"
    );
    assert_eq!(
        decide("s/a", None, Verb::Block).await.1,
        "the policy pin does not take `block` for pin:s/a, whose status is pending"
    );
    let (code, text) = decide("s/a", None, Verb::Unblock).await;
    assert_eq!(code, "refused");
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[tokio::test]
async fn everything_that_waits_is_approved_in_one_commit_and_each_decision_sees_the_last() {
    let desk = desk(&[("a", 1), ("b", 2), ("c", 3)]).await;
    let before = desk.ledger.snapshot();
    let waiting = desk.waiting().await;
    let decided = desk.operator.approve_server("s", &waiting).await.unwrap();
    assert_eq!(decided.len(), 3);
    let after = desk.ledger.snapshot();
    assert_eq!(after.version, before.version + 1);
    assert_eq!(desk.fact("count").as_deref(), Some("3"));
    assert_eq!(desk.fact("s/c"), Some(digest(3)));
}

#[tokio::test]
async fn everything_that_waits_is_only_what_was_seen() {
    let seen = desk(&[("a", 1)]).await.waiting().await;
    let desk = desk(&[("a", 1), ("b", 2)]).await;
    let error = desk.operator.approve_server("s", &seen).await.unwrap_err();
    assert_eq!(error.code(), "moved_on");
    assert_eq!(desk.fact("s/a"), None);
    // Churn elsewhere does not move it: what is approved is not part of what waits.
    desk.operator
        .decide("s/b", Some(&digest(2)), Verb::Approve)
        .await
        .unwrap();
    assert_eq!(desk.waiting().await, seen);
    desk.operator.approve_server("s", &seen).await.unwrap();
    assert_eq!(desk.fact("s/a"), Some(digest(1)));
}

#[tokio::test]
async fn a_decision_that_was_overtaken_is_derived_again() {
    let desk = desk(&[("a", 1)]).await;
    desk.pin.overtaken.store(3, Ordering::SeqCst);
    desk.operator
        .decide("s/a", Some(&digest(1)), Verb::Approve)
        .await
        .unwrap();
    assert_eq!(desk.fact("count").as_deref(), Some("1"));
    desk.pin.overtaken.store(usize::MAX, Ordering::SeqCst);
    let error = desk
        .operator
        .decide("s/a", Some(&digest(1)), Verb::Revoke)
        .await
        .unwrap_err();
    assert!(matches!(error, OperatorError::Contended), "{error}");
}

/// B19: trusting is bound to what was shown.
#[tokio::test]
async fn trust_approves_what_waits_and_closes_the_baseline_or_does_nothing() {
    let desk = desk(&[("a", 1)]).await;
    let error = desk
        .operator
        .trust(&desk.config, "s", "ffffffff")
        .await
        .unwrap_err();
    assert_eq!(error.code(), "moved_on");
    assert_eq!(desk.ledger.snapshot().servers["s"].standing, None);

    let before = desk.ledger.snapshot().version;
    let waiting = desk.waiting().await;
    desk.operator
        .trust(&desk.config, "s", &waiting)
        .await
        .unwrap();
    let snapshot = desk.ledger.snapshot();
    assert_eq!(snapshot.version, before + 1);
    let record = snapshot.servers["s"].standing.clone().unwrap();
    assert_eq!(
        (record.standing, &*record.actor),
        (Standing::Trusted, "ann")
    );
    assert_eq!(desk.fact("s/a"), Some(digest(1)));
    assert_eq!(desk.fact("server:s").as_deref(), Some("close-baseline "));
}

#[tokio::test]
async fn what_the_file_says_of_a_standing_holds() {
    let mut desk = desk(&[]).await;
    desk.config.file = Some("/etc/witgate/witgate.toml".into());
    let server = ServerConfig {
        standing: Some(Standing::Quarantined),
        ..ServerConfig::default()
    };
    desk.config.servers.insert("s".to_owned(), server);
    let waiting = desk.waiting().await;
    let trust = desk.operator.trust(&desk.config, "s", &waiting).await;
    let quarantine = desk.operator.quarantine(&desk.config, "s").await;
    for error in [trust.unwrap_err(), quarantine.unwrap_err()] {
        assert_eq!(
            error.to_string(),
            "/etc/witgate/witgate.toml says `standing` in [server.s], and what the file says holds: edit the file, or \
             remove the key from it"
        );
    }
}

#[tokio::test]
async fn a_server_nobody_knows_is_named_beside_those_that_are_known() {
    let desk = desk(&[]).await;
    let error = desk.operator.quarantine(&desk.config, "z").await;
    assert_eq!(
        error.unwrap_err().to_string(),
        "no server is called \"z\"; known: s"
    );
    desk.operator.quarantine(&desk.config, "s").await.unwrap();
    let servers = desk.operator.servers(&desk.config).await.unwrap();
    assert_eq!(servers[0].standing, Standing::Quarantined);
    assert_eq!(servers[0].standing_from, StandingFrom::Operator);
    assert_eq!(servers[0].command, ["npx", "srv"]);
}

#[tokio::test]
async fn a_server_in_use_is_neither_forgotten_nor_renamed() {
    let desk = desk(&[]).await;
    desk.connect().await;
    let forget = desk.operator.forget(&desk.config, "s").await;
    assert_eq!(forget.unwrap_err().code(), "in_use");
    let rename = desk.operator.rename(&desk.config, "s", "t").await;
    assert_eq!(rename.unwrap_err().code(), "in_use");
    let ended = Commit {
        based_on: None,
        ops: vec![Op::ObserverEnds {
            id: "o1".to_owned(),
        }],
    };
    desk.ledger.commit(ended).await.unwrap();
    desk.operator.rename(&desk.config, "s", "t").await.unwrap();
    assert_eq!(desk.fact("server:s").as_deref(), Some("rename-server to=t"));
    assert!(desk.ledger.snapshot().servers.contains_key("t"));
    desk.operator.forget(&desk.config, "t").await.unwrap();
    assert_eq!(desk.fact("server:t").as_deref(), Some("forget-server "));
    assert!(!desk.ledger.snapshot().servers.contains_key("t"));
}

#[tokio::test]
async fn a_rename_needs_a_name_and_a_file_that_agrees() {
    let mut desk = desk(&[]).await;
    let error = desk.operator.rename(&desk.config, "s", "a/b").await;
    assert_eq!(error.unwrap_err().code(), "bad_name");
    desk.config
        .servers
        .insert("s".to_owned(), ServerConfig::default());
    let error = desk.operator.rename(&desk.config, "s", "t").await;
    assert_eq!(error.unwrap_err().code(), "edit_the_file");
}

#[test]
fn the_file_beats_the_operator_who_beats_the_default() {
    let record = StandingRecord {
        standing: Standing::Trusted,
        actor: "ann".to_owned(),
        at_ms: 0,
    };
    let file = ServerConfig {
        standing: Some(Standing::Quarantined),
        ..ServerConfig::default()
    };
    let silent = ServerConfig::default();
    for (config, record, typed, expected) in [
        (
            Some(&file),
            Some(&record),
            true,
            (Standing::Quarantined, StandingFrom::File),
        ),
        (
            Some(&silent),
            Some(&record),
            false,
            (Standing::Trusted, StandingFrom::Operator),
        ),
        (None, None, true, (Standing::Trusted, StandingFrom::Default)),
        (
            Some(&silent),
            None,
            false,
            (Standing::Quarantined, StandingFrom::Default),
        ),
    ] {
        assert_eq!(standing(config, record, typed), expected);
    }
}
