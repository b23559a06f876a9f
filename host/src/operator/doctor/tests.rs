//! What the doctor finds, each trouble by itself.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::{Report, Severity, Visit, host, servers};
use crate::config::{Config, Mode, PolicyConfig, PolicySource};
use crate::ledger::{
    self, Commit, Definition, Ledger, Namespace, Observation, Observer, Op, OpenMode, PolicyOrigin,
};
use crate::mcp::digest::digest;
use crate::mcp::{Item, ItemKey, ItemKind};
use crate::operator::{Operator, Reviewer};
use crate::policy::contract::{self, Decided, Decision, Entry, Refusal};
use crate::policy::{Failure, View};
use crate::setup::{self, Places};

/// A policy one of whose records cannot be read.
struct Corrupt;

impl Reviewer for Corrupt {
    fn name(&self) -> Arc<str> {
        "pin".into()
    }

    fn namespace(&self) -> Namespace {
        Namespace::new(PolicyOrigin::Builtin, "pin")
    }

    fn entries<'a>(
        &'a self,
        _view: &'a View,
        _server: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Vec<Entry>, Failure>> {
        let entry = Entry {
            id: "1a2b".to_owned(),
            server: "s".to_owned(),
            kind: contract::ItemKind::Tool,
            name: "a".to_owned(),
            status: "corrupt".to_owned(),
            waiting: true,
            by: String::new(),
            since_ms: 0,
            approved_digests: Vec::new(),
            current_digests: Vec::new(),
            present: true,
            labels: Vec::new(),
        };
        Box::pin(async move { Ok(vec![entry]) })
    }

    fn decide<'a>(
        &'a self,
        _view: &'a View,
        _decision: &'a Decision,
    ) -> BoxFuture<'a, Result<Result<Decided, Refusal>, Failure>> {
        Box::pin(async move { Ok(Err(Refusal::NotAllowed)) })
    }
}

fn whats(report: &Report) -> Vec<&str> {
    report.problems.iter().map(|p| p.what.as_str()).collect()
}

fn config_in(dir: &Path) -> Config {
    Config::in_dir(dir)
}

fn places_in(dir: &Path) -> Places {
    let state = format!("sqlite:{}", dir.join("ledger.db").display());
    setup::places(&config_in(dir), Some(&state))
}

async fn made(places: &Places) -> Arc<dyn Ledger> {
    ledger::open(&places.ledger_url, &places.marker, OpenMode::CreateIfFirst)
        .await
        .unwrap()
        .unwrap()
}

async fn commit(ledger: &dyn Ledger, ops: Vec<Op>) {
    let based_on = None;
    ledger.commit(Commit { based_on, ops }).await.unwrap();
}

#[test]
fn a_broken_configuration_is_told_with_its_line_and_the_rest_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("witgate.toml");
    std::fs::write(&path, "version = 1\nnotic = true\n").unwrap();
    let visit = Visit {
        config: Some(path),
        state: None,
    };
    let mut report = Report::default();
    let config = host::config(&visit, &mut report);
    assert_eq!(config, config_in(dir.path()));
    assert!(report.config.present && !report.config.ok);
    let what = whats(&report)[0];
    assert!(what.ends_with("witgate.toml:2: unknown key `notic`: did you mean `notice`?"));
}

/// O3: nothing opens because a file went missing, and the doctor says why nothing starts.
#[tokio::test]
async fn a_configuration_that_was_in_force_and_is_gone_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let places = places_in(dir.path());
    let ledger = made(&places).await;
    let note = Op::Note {
        key: setup::config_note(&dir.path().join("witgate.toml")),
        value: Some("in force".to_owned()),
    };
    commit(&*ledger, vec![note]).await;
    let mut report = Report::default();
    host::ledger(&config_in(dir.path()), &places, &mut report).await;
    assert!(report.ledger.ok && report.ledger.present);
    assert_eq!(
        whats(&report),
        ["the configuration was in force and is missing"]
    );
}

/// B28: lost is not first.
#[tokio::test]
async fn a_lost_ledger_is_told_from_one_that_never_was() {
    let dir = tempfile::tempdir().unwrap();
    let places = places_in(dir.path());
    let mut report = Report::default();
    host::ledger(&config_in(dir.path()), &places, &mut report).await;
    assert!(report.ledger.ok && !report.ledger.present);
    assert!(report.problems.is_empty());

    drop(made(&places).await);
    for end in ["", "-wal", "-shm"] {
        // The log files are there only while a connection is.
        let _ = std::fs::remove_file(dir.path().join(format!("ledger.db{end}")));
    }
    host::ledger(&config_in(dir.path()), &places, &mut report).await;
    assert!(!report.ledger.ok);
    assert!(whats(&report)[0].contains("is lost"), "{report:?}");
    assert!(report.problems[0].mend.contains("delete "), "{report:?}");
}

#[test]
fn a_chain_without_a_shipped_policy_is_a_warning() {
    let mut config = config_in(Path::new("/etc/witgate"));
    let mut report = Report::default();
    host::shipped(&config, &mut report);
    assert!(report.problems.is_empty());
    let policy = |name: &str, mode| PolicyConfig {
        name: name.to_owned(),
        source: PolicySource::Builtin(name.to_owned()),
        mode,
        settings: None,
        grants: crate::config::Grants::default(),
        reuse: 1,
    };
    config.policies = Some(vec![
        policy("trust-baseline", Mode::Monitor),
        policy("allow-deny", Mode::Enforce),
    ]);
    host::shipped(&config, &mut report);
    assert_eq!(
        whats(&report),
        [
            "the shipped policy quarantine is not in the chain: a quarantined server is not silenced by any policy",
            "the shipped policy trust-baseline only monitors: nothing notices that a definition changed"
        ]
    );
    let warning = |p: &super::Problem| p.severity == Severity::Warning;
    assert!(report.problems.iter().all(warning));
}

/// B27: a definition that keeps changing is named, with the path that varies and the cure; nothing is masked.
#[tokio::test]
async fn items_that_keep_changing_and_records_that_cannot_be_read_are_told() {
    let ledger = ledger::in_memory(None);
    let (pid, pid_start) = ledger::observers::this_process();
    let observer = Observer {
        id: "o1".to_owned(),
        server: "s".to_owned(),
        pid,
        pid_start,
        ended: false,
        observation: None,
    };
    commit(&*ledger, vec![Op::ObserverBegins(observer)]).await;
    for zone in ["UTC", "CET", "PST"] {
        let text = format!(
            r#"{{"name":"now","inputSchema":{{"properties":{{"zone":{{"default":"{zone}"}}}}}}}}"#
        );
        let kind = ItemKind::Tool;
        let digest = digest(kind, &text).unwrap();
        let key = ItemKey {
            kind,
            name: "now".into(),
        };
        let text = text.into();
        commit(
            &*ledger,
            vec![
                Op::Define(Definition { digest, kind, text }),
                Op::Observed {
                    id: "o1".to_owned(),
                    observation: Observation {
                        at_ms: 1,
                        complete: vec![kind],
                        items: vec![Item { key, digest }],
                        malformed: vec![(kind, "it has no name".to_owned())],
                    },
                },
            ],
        )
        .await;
    }
    let reviewers: Vec<Arc<dyn Reviewer>> = vec![Arc::new(Corrupt)];
    let operator = Operator::with_reviewers(reviewers, Arc::clone(&ledger), "ann".to_owned());
    let config = config_in(Path::new("/etc/witgate"));
    let mut report = Report::default();
    servers::examine(&config, &operator, &ledger, &mut report).await;
    assert_eq!(
        whats(&report),
        [
            "the tool \"now\" showed 3 definitions, at inputSchema.properties.zone.default",
            "the record pin:1a2b cannot be read; its item is withheld",
            "a tool is withheld: it has no name",
        ]
    );
    let severities: Vec<_> = report.problems.iter().map(|p| p.severity).collect();
    assert_eq!(
        severities,
        [Severity::Warning, Severity::Error, Severity::Warning]
    );
    assert_eq!(report.servers[0].varying[0].digests, 3);
    assert_eq!(report.servers[0].waiting, 1);
}
