//! The operator's commands against the shipped `trust-baseline`, as a gate would feed it.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::chain::Generation;
use crate::chain::build::builtin;
use crate::chain::convert::ServerView;
use crate::chain::observe::{Reading, observe};
use crate::config::{Config, Mode};
use crate::ledger::{
    self, Commit, Definition, Ledger, Observer, Op, PolicyOrigin, Standing, observers,
};
use crate::mcp::digest::digest;
use crate::mcp::{Item, ItemKey, ItemKind};
use crate::operator::{LedgerDefinitions, Operator, Verb, printed_digest};
use crate::policy::{Definitions, Engine, EngineOptions, PolicyLimits, Source};

struct House {
    ledger: Arc<dyn Ledger>,
    generation: Generation,
    operator: Operator,
    config: Config,
    now_ms: u64,
}

async fn house() -> House {
    let limits = PolicyLimits {
        hook_time: Duration::from_secs(20),
        record_time: Duration::from_secs(20),
        memory: 64 << 20,
        output: 32 << 20,
    };
    let engine = Engine::new(EngineOptions {
        cache_dir: None,
        limits,
        ready: 1,
    })
    .unwrap();
    let source = Source {
        name: "trust-baseline".to_owned(),
        origin: PolicyOrigin::Builtin,
        file: "builtin:trust-baseline".to_owned(),
        component: builtin::component("trust-baseline").unwrap(),
        settings: None,
        mode: Mode::Enforce,
        grants: crate::config::Grants::default(),
        reuse: 1,
    };
    let policy = engine.load(vec![source]).await.remove(0).unwrap();
    let ledger = ledger::in_memory(None);
    let policies = vec![policy];
    let operator = Operator::new(&policies, Arc::clone(&ledger), "ann".to_owned());
    let (pid, pid_start) = observers::this_process();
    let observer = Observer {
        id: "o1".to_owned(),
        server: "s".to_owned(),
        pid,
        pid_start,
        ended: false,
        observation: None,
    };
    let house = House {
        ledger,
        generation: Generation {
            id: 1,
            policies,
            problems: Vec::new(),
            recording: None,
        },
        operator,
        config: Config::in_dir(Path::new("/etc/witgate")),
        now_ms: 1_795_170_516_000,
    };
    let identity = Op::Identity {
        server: "s".to_owned(),
        identity: r#"["srv"]"#.to_owned(),
        at_ms: house.now_ms,
    };
    house
        .commit(vec![identity, Op::ObserverBegins(observer)])
        .await;
    house
}

fn tool(name: &str, description: &str) -> (String, String) {
    let definition = format!(r#"{{"name":"{name}","description":"{description}"}}"#);
    (name.to_owned(), definition)
}

impl House {
    async fn commit(&self, ops: Vec<Op>) {
        let based_on = None;
        let commit = Commit { based_on, ops };
        self.ledger.commit(commit).await.unwrap();
    }

    /// The server shows these tools; `closing`: the host has answered that list.
    async fn shows(
        &self,
        name: &str,
        standing: Standing,
        tools: &[(String, String)],
        closing: bool,
    ) {
        let server = ServerView {
            name: name.to_owned(),
            quarantined: standing == Standing::Quarantined,
            auto_approve: false,
            enabled: true,
        };
        let mut reading = Reading {
            observer: Some("o1".to_owned()),
            complete: vec![ItemKind::Tool],
            closing: if closing {
                vec![ItemKind::Tool]
            } else {
                Vec::new()
            },
            ..Reading::default()
        };
        for (name, text) in tools {
            let digest = digest(ItemKind::Tool, text).unwrap();
            let key = ItemKey {
                kind: ItemKind::Tool,
                name: name.as_str().into(),
            };
            reading.items.push(Item { key, digest });
            reading.definitions.push(Definition {
                digest,
                kind: ItemKind::Tool,
                text: text.as_str().into(),
            });
        }
        let definitions: Arc<dyn Definitions> =
            Arc::new(LedgerDefinitions(Arc::clone(&self.ledger)));
        let observed = observe(
            &*self.ledger,
            &self.generation,
            &definitions,
            &server,
            &reading,
            self.now_ms,
        )
        .await
        .unwrap();
        assert!(observed.broken.is_empty(), "{:?}", observed.broken);
    }

    /// (name, status, waiting) of every entry at a server.
    async fn status(&self, server: &str) -> Vec<(String, String, bool)> {
        let entries = self.operator.entries(Some(server)).await.unwrap();
        entries
            .into_iter()
            .map(|e| (e.entry.name, e.entry.status, e.entry.waiting))
            .collect()
    }

    async fn waiting(&self) -> String {
        let servers = self.operator.servers(&self.config).await.unwrap();
        printed_digest(&servers[0].catalogue_digest.to_string()).to_owned()
    }
}

fn is(name: &str, status: &str, waiting: bool) -> (String, String, bool) {
    (name.to_owned(), status.to_owned(), waiting)
}

/// B1, B3, B12: what was baselined is approved, a change waits, and the word counts for what was read only.
#[tokio::test]
async fn a_change_waits_until_it_is_approved_as_read() {
    let house = house().await;
    let (first, second, third) = (tool("a", "one"), tool("a", "two"), tool("a", "three"));
    house.shows("s", Standing::Trusted, &[first], false).await;
    assert_eq!(house.status("s").await, [is("a", "approved", false)]);
    house
        .shows("s", Standing::Trusted, std::slice::from_ref(&second), true)
        .await;
    assert_eq!(house.status("s").await, [is("a", "changed", true)]);
    let entry = &house.operator.entries(None).await.unwrap()[0];
    let read = printed_digest(&entry.entry.current_digests[0]).to_owned();
    let id = entry.entry.id.clone();

    house.shows("s", Standing::Trusted, &[third], true).await;
    let refused = house.operator.decide(&id, Some(&read), Verb::Approve).await;
    assert_eq!(refused.unwrap_err().code(), "moved_on");

    house.shows("s", Standing::Trusted, &[second], true).await;
    let decided = house
        .operator
        .decide(&id, Some(&read), Verb::Approve)
        .await
        .unwrap();
    assert_eq!(decided.after.unwrap().entry.by, "ann");
    assert_eq!(house.status("s").await, [is("a", "approved", false)]);
    house
        .operator
        .decide(&id, Some(&read), Verb::Revoke)
        .await
        .unwrap();
    assert_eq!(house.status("s").await, [is("a", "pending", true)]);
}

/// B19, B24: a quarantined server is trusted as it was seen, and what comes later waits.
#[tokio::test]
async fn a_server_is_trusted_as_it_was_seen() {
    let house = house().await;
    let (a, b) = (tool("a", "one"), tool("b", "two"));
    house
        .shows("s", Standing::Quarantined, std::slice::from_ref(&a), false)
        .await;
    assert_eq!(house.status("s").await, [is("a", "pending", true)]);
    let seen = house.waiting().await;
    let both = [a.clone(), b.clone()];
    house.shows("s", Standing::Quarantined, &both, false).await;
    let refused = house.operator.trust(&house.config, "s", &seen).await;
    assert_eq!(refused.unwrap_err().code(), "moved_on");

    let seen = house.waiting().await;
    house
        .operator
        .trust(&house.config, "s", &seen)
        .await
        .unwrap();
    let approved = [is("a", "approved", false), is("b", "approved", false)];
    assert_eq!(house.status("s").await, approved);
    let later = [a, b, tool("c", "three")];
    house.shows("s", Standing::Trusted, &later, false).await;
    assert_eq!(house.status("s").await[2], is("c", "pending", true));
}

#[tokio::test]
async fn block_and_unblock_change_nothing_but_that() {
    let house = house().await;
    let a = tool("a", "one");
    house
        .shows("s", Standing::Trusted, std::slice::from_ref(&a), false)
        .await;
    let id = house.operator.entries(None).await.unwrap()[0].id.clone();
    house.operator.decide(&id, None, Verb::Block).await.unwrap();
    assert_eq!(house.status("s").await[0].1, "blocked");
    // B20: what changed while it was blocked is changed afterwards.
    house
        .shows("s", Standing::Trusted, &[tool("a", "two")], true)
        .await;
    house
        .operator
        .decide(&id, None, Verb::Unblock)
        .await
        .unwrap();
    assert_eq!(house.status("s").await, [is("a", "changed", true)]);
}

#[tokio::test]
async fn a_renamed_server_keeps_what_is_approved_and_a_forgotten_one_is_no_first_sight() {
    let house = house().await;
    let a = tool("a", "one");
    house
        .shows("s", Standing::Trusted, std::slice::from_ref(&a), false)
        .await;
    house
        .commit(vec![Op::ObserverEnds {
            id: "o1".to_owned(),
        }])
        .await;
    house
        .operator
        .rename(&house.config, "s", "t")
        .await
        .unwrap();
    assert_eq!(house.status("s").await, []);
    assert_eq!(house.status("t").await[0].1, "approved");

    house.operator.forget(&house.config, "t").await.unwrap();
    assert_eq!(house.status("t").await, []);
    let (pid, pid_start) = observers::this_process();
    let observer = Observer {
        id: "o1".to_owned(),
        server: "t".to_owned(),
        pid,
        pid_start,
        ended: false,
        observation: None,
    };
    house.commit(vec![Op::ObserverBegins(observer)]).await;
    house.shows("t", Standing::Trusted, &[a], false).await;
    assert_eq!(house.status("t").await, [is("a", "pending", true)]);
}
