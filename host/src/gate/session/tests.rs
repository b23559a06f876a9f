//! Plays the session orders of events that pipes and clocks would rarely bring.

#![allow(clippy::unwrap_used)]

mod asking;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use arc_swap::ArcSwap;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::audit::Audit;
use crate::chain::Chain;
use crate::chain::build::Builder;
use crate::policy::Engine;
use crate::upstream::Launch;
use crate::wire::Frame;
use crate::{ledger, setup};

/// A session whose client, server and clock are the test's.
struct Play {
    core: Core,
    runtime: tokio::runtime::Runtime,
    now: Instant,
    /// What the server has been asked and not answered.
    asked: Vec<Value>,
    /// Every call that reached a server.
    called: Vec<String>,
    /// Answers by the client's request.
    answers: BTreeMap<u64, Vec<Value>>,
    sent: u64,
    /// What the client was told unasked.
    told: Vec<Value>,
    ended: bool,
}

impl Drop for Play {
    fn drop(&mut self) {
        // Only a session whose server never was ends by itself.
        assert!(self.core.gone.is_some() || !self.ended || std::thread::panicking());
    }
}

fn host() -> Arc<Host> {
    host_with(Vec::new())
}

/// A host whose chain is of these policies.
fn host_with(policies: Vec<Arc<crate::policy::Policy>>) -> Arc<Host> {
    let config = Config::in_dir(Path::new("/nowhere"));
    let places = setup::places(&config, None);
    let engine = Engine::new(setup::engine_options(&config, &places)).unwrap();
    let ledger = ledger::in_memory(None);
    let generation = Generation {
        id: 1,
        policies,
        problems: Vec::new(),
        recording: None,
    };
    Arc::new(Host {
        builder: Builder::new(engine, ledger.clone(), Vec::new()),
        config: ArcSwap::from_pointee(config),
        chain: Chain::new(Arc::new(generation)),
        audit: Audit::off(),
        tape: None,
        ledger,
        places,
    })
}

impl Play {
    fn new() -> Self {
        Self::on(host())
    }

    fn on(host: Arc<Host>) -> Self {
        let launch = Launch {
            command: vec!["x".into()],
            env: BTreeMap::new(),
            name: "s".into(),
        };
        let entry = ServerEntry {
            name: "s".into(),
            upstream: crate::upstream::Upstream::Child(launch),
            typed: true,
        };
        let observer = crate::gate::wrap::observer("s");
        let now = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let core = Core::new(Opening::local(host, Arc::new(entry), observer), now);
        let (asked, called, answers) = (Vec::new(), Vec::new(), BTreeMap::new());
        Self {
            core,
            runtime,
            now,
            asked,
            called,
            answers,
            sent: 0,
            told: Vec::new(),
            ended: false,
        }
    }

    fn client(&mut self, line: &str) {
        self.core.on_client(Frame::Line(line.to_owned().into()), 0);
        self.spread();
    }

    fn ask(&mut self, method: &str, params: &Value) -> u64 {
        self.sent += 1;
        let request =
            json!({"jsonrpc": "2.0", "id": self.sent, "method": method, "params": params});
        self.answers.entry(self.sent).or_default();
        self.client(&request.to_string());
        self.sent
    }

    fn call(&mut self, tool: &str) -> u64 {
        self.ask("tools/call", &json!({"name": tool, "arguments": {}}))
    }

    fn server(&mut self, line: &str) {
        self.core
            .on_server(Frame::Line(line.to_owned().into()), None);
        self.spread();
    }

    /// Answers what the server was asked, as an honest server would.
    fn answer(&mut self, index: usize) {
        if self.asked.is_empty() || !self.core.up {
            return;
        }
        let request = self.asked.remove(index % self.asked.len());
        let result = match request["method"].as_str().unwrap() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25",
                "capabilities": {"tools": {"listChanged": true}},
                "serverInfo": {"name": "x", "version": "1"},
            }),
            "tools/list" => json!({"tools": [{"name": "a"}, {"name": "b"}, {"name": "b"}]}),
            _ => json!({"content": []}),
        };
        let line = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        self.server(&line.to_string());
    }

    /// Does everything that needs no one else.
    fn spread(&mut self) {
        loop {
            let out = self.core.take();
            for sent in out.server {
                let message: Value = serde_json::from_slice(&sent.cleared.into_bytes()).unwrap();
                if message["method"] == "tools/call" {
                    self.called
                        .push(message["params"]["name"].as_str().unwrap().to_owned());
                }
                if message.get("id").is_some() && message.get("method").is_some() {
                    self.asked.push(message);
                }
            }
            for said in out.client {
                let message: Value = serde_json::from_slice(&said.line).unwrap();
                if message.get("method").is_some() {
                    self.told.push(message);
                } else {
                    let id = message["id"].as_u64().unwrap();
                    self.answers.entry(id).or_default().push(message);
                }
            }
            self.ended |= out.end.is_some();
            if out.jobs.is_empty() {
                return;
            }
            for (_, job) in out.jobs {
                let event = self.runtime.block_on(job);
                self.core.on_event(event);
            }
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now += time;
        self.core.at(self.now);
        self.core.on_time();
        if self.core.take_restart() {
            self.core.on_server_back();
        }
        self.spread();
    }

    fn die(&mut self) {
        self.asked.clear();
        self.core.on_server_gone("killed by the test");
        self.spread();
    }

    fn open() -> Self {
        Self::open_on(host())
    }

    fn open_on(host: Arc<Host>) -> Self {
        let mut play = Self::on(host);
        play.ask(
            "initialize",
            &json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
        );
        play.answer(0);
        play.client(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
        play.answer(0);
        play
    }

    /// Lets everything that is under way come to its end.
    fn finish(&mut self) {
        for _ in 0..200 {
            while !self.asked.is_empty() && self.core.up {
                self.answer(0);
            }
            if self.core.is_idle() && self.core.up {
                return;
            }
            self.wait(Duration::from_millis(500));
        }
        panic!("{} requests are still parked", self.core.parked.len());
    }
}

#[test]
fn what_a_client_sends_too_early_waits_and_none_of_it_reaches_the_server_before_its_time() {
    let mut play = Play::new();
    play.ask(
        "initialize",
        &json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
    );
    play.client(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    let call = play.call("a");
    assert_eq!(play.asked.len(), 1, "the server has the handshake only");
    play.finish();
    assert!(
        play.answers[&call][0]["result"]["content"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(play.called, ["a"]);
}

#[test]
fn a_call_that_is_cancelled_while_it_waits_never_reaches_the_server_and_gets_no_answer() {
    let mut play = Play::new();
    play.ask(
        "initialize",
        &json!({"protocolVersion": "2025-11-25", "capabilities": {}}),
    );
    let call = play.call("a");
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": call}});
    play.client(&cancelled.to_string());
    play.client(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    play.finish();
    assert!(play.called.is_empty() && play.answers[&call].is_empty());
}

#[test]
fn a_server_that_came_back_is_read_again_before_it_is_called() {
    let mut play = Play::open();
    play.die();
    let call = play.call("a");
    assert!(play.called.is_empty());
    play.wait(Duration::from_secs(1));
    assert_eq!(play.asked.len(), 1, "the handshake first");
    play.answer(0);
    assert!(play.called.is_empty(), "the list is not read yet");
    play.finish();
    assert_eq!((play.called.len(), play.answers[&call].len()), (1, 1));
}

#[test]
fn an_answer_under_the_id_of_nothing_that_was_asked_is_dropped() {
    let mut play = Play::open();
    let before: usize = play.answers.values().map(Vec::len).sum();
    play.server(r#"{"jsonrpc":"2.0","id":77,"result":{"tools":[{"name":"evil"}]}}"#);
    play.server(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":"x"}}"#);
    assert_eq!(play.answers.values().map(Vec::len).sum::<usize>(), before);
}

/// What may happen, in any order.
#[derive(Debug, Clone)]
enum Happening {
    Call(&'static str),
    List,
    Answer(usize),
    Change,
    Die,
    Wait(u64),
    Moved,
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "ghost"]).prop_map(Happening::Call),
        2 => Just(Happening::List),
        6 => (0..8_usize).prop_map(Happening::Answer),
        1 => Just(Happening::Change),
        1 => Just(Happening::Die),
        2 => (1..1500_u64).prop_map(Happening::Wait),
        1 => Just(Happening::Moved),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens in whatever order: each request is answered once; what is not listed, or doubled, is never
    /// called; and a list shows what may be called, no more.
    #[test]
    fn each_request_is_answered_once_and_only_what_is_listed_is_called(
        happenings in prop::collection::vec(happening(), 0..60)
    ) {
        let mut play = Play::open();
        let mut lists = Vec::new();
        for happening in happenings {
            match happening {
                Happening::Call(tool) => { play.call(tool); }
                Happening::List => lists.push(play.ask("tools/list", &json!({}))),
                Happening::Answer(index) => play.answer(index),
                Happening::Change => play.server(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#),
                // More deaths in a row than this end the session.
                Happening::Die => if play.core.up { play.finish(); play.wait(Duration::from_secs(31)); play.die() },
                Happening::Wait(ms) => play.wait(Duration::from_millis(ms)),
                Happening::Moved => { play.core.on_moved(); play.spread(); }
            }
        }
        play.finish();
        prop_assert!(play.called.iter().all(|tool| tool == "a"), "{:?}", play.called);
        for (id, answers) in &play.answers {
            prop_assert_eq!(answers.len(), 1, "request {} got {:?}", id, answers);
        }
        for id in lists {
            let answer = &play.answers[&id][0];
            if let Some(tools) = answer["result"]["tools"].as_array() {
                prop_assert_eq!(tools, &vec![json!({"name": "a"})]);
            }
        }
    }
}

/// A request of 2026-07-28.
fn stands(id: u64, method: &str, mut params: Value) -> String {
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Answers what the server was asked, in 2026-07-28.
fn answer_standing(play: &mut Play, tools: &[&str]) {
    while let Some(request) = play.asked.pop() {
        let meta = &request["params"]["_meta"];
        assert_eq!(
            meta["io.modelcontextprotocol/protocolVersion"],
            "2026-07-28"
        );
        let result = match request["method"].as_str().unwrap() {
            "server/discover" => json!({
                "resultType": "complete", "supportedVersions": ["2026-07-28"],
                "capabilities": {"tools": {}}, "ttlMs": 60_000, "cacheScope": "public",
            }),
            "tools/list" => {
                let tools: Vec<Value> = tools.iter().map(|t| json!({"name": t})).collect();
                json!({"resultType": "complete", "tools": tools, "ttlMs": 60_000, "cacheScope": "public"})
            }
            "tools/call" => json!({"resultType": "complete", "content": []}),
            method => panic!("{method}"),
        };
        let answer = json!({"jsonrpc": "2.0", "id": request["id"], "result": result});
        play.server(&answer.to_string());
    }
}

fn answer_to(play: &Play, id: u64) -> &Value {
    let answers = &play.answers[&id];
    assert_eq!(answers.len(), 1, "{answers:?}");
    &answers[0]
}

#[test]
fn a_request_that_stands_for_itself_is_judged_by_what_the_gate_read() {
    let mut play = Play::new();
    play.client(&stands(1, "tools/call", json!({"name": "a"})));
    assert_eq!(
        play.asked[0]["method"], "server/discover",
        "first what it is"
    );
    assert!(play.called.is_empty());
    answer_standing(&mut play, &["a"]);
    assert_eq!(play.called, ["a"]);
    assert_eq!(answer_to(&play, 1)["result"]["resultType"], "complete");
    play.client(&stands(2, "tools/call", json!({"name": "b"})));
    let refused = &answer_to(&play, 2)["result"];
    assert_eq!(refused["resultType"], "complete");
    assert_eq!(refused["isError"], true);
    assert_eq!(play.called, ["a"]);
}

#[test]
fn what_is_told_of_lists_is_for_one_client_and_not_for_long() {
    let mut play = Play::new();
    play.client(&stands(1, "tools/list", json!({})));
    answer_standing(&mut play, &["a"]);
    play.client(&stands(2, "server/discover", json!({})));
    answer_standing(&mut play, &["a"]);
    for id in [1, 2] {
        let result = &answer_to(&play, id)["result"];
        assert_eq!(result["cacheScope"], "private");
        assert_eq!(result["ttlMs"], 5000);
    }
    assert_eq!(
        answer_to(&play, 2)["result"]["capabilities"]["tools"]["listChanged"],
        true
    );
}

#[test]
fn revisions_are_not_mixed() {
    let mut play = Play::new();
    play.client(&stands(1, "tools/list", json!({})));
    answer_standing(&mut play, &["a"]);
    let initialize = json!({"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    play.client(&initialize.to_string());
    assert_eq!(
        answer_to(&play, 2)["error"]["code"],
        -32602,
        "no revision in `_meta`"
    );
    play.client(&stands(3, "logging/setLevel", json!({"level": "info"})));
    assert_eq!(answer_to(&play, 3)["error"]["code"], -32601);
    let mut other: Value = serde_json::from_str(&stands(4, "tools/list", json!({}))).unwrap();
    other["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2099-01-01");
    play.client(&other.to_string());
    assert_eq!(answer_to(&play, 4)["error"]["code"], -32022);
    assert_eq!(
        answer_to(&play, 4)["error"]["data"]["supported"],
        json!(["2026-07-28"])
    );
    assert!(play.asked.is_empty(), "nothing of it reached the server");
}

#[test]
fn a_client_falls_back_where_the_server_begins_with_initialize() {
    let mut play = Play::new();
    play.client(&stands(1, "server/discover", json!({})));
    let request = play.asked.pop().unwrap();
    let error = json!({"code": -32601, "message": "what?"});
    play.server(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string());
    assert_eq!(answer_to(&play, 1)["error"]["code"], -32601);
    play.client(&stands(2, "tools/list", json!({})));
    assert_eq!(play.asked.pop().unwrap()["method"], "server/discover");
    play.wait(Duration::from_secs(6));
    assert_eq!(answer_to(&play, 2)["error"]["code"], -32600);
    let initialize = json!({"jsonrpc": "2.0", "id": 3, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"}}});
    play.client(&initialize.to_string());
    assert_eq!(play.asked.pop().unwrap()["method"], "initialize");
}

#[test]
fn a_server_that_refuses_the_revision_it_speaks_is_asked_once_more() {
    let mut play = Play::new();
    play.client(&stands(1, "tools/list", json!({})));
    for again in [true, false] {
        let request = play.asked.pop().unwrap();
        assert_eq!(request["method"], "server/discover");
        let data = json!({"supported": ["2026-07-28"], "requested": "2026-07-28"});
        let error = json!({"code": -32022, "message": "no", "data": data});
        play.server(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error}).to_string());
        assert_eq!(play.asked.is_empty(), !again);
    }
    assert_eq!(answer_to(&play, 1)["error"]["code"], -32600);
}

#[test]
fn who_asks_a_server_that_ended_at_once_is_told() {
    let mut play = Play::new();
    play.core.on_server_gone("it closed its output");
    play.spread();
    play.client(r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#);
    assert_eq!(answer_to(&play, 1)["error"]["code"], -32603);
}

#[test]
fn who_listens_is_told_when_what_it_sees_has_changed() {
    let mut play = Play::new();
    play.client(&stands(1, "tools/list", json!({})));
    answer_standing(&mut play, &["a"]);
    play.client(&stands(
        2,
        "subscriptions/listen",
        json!({"notifications": {"toolsListChanged": true}}),
    ));
    let listen = play.asked.pop().unwrap();
    assert_eq!(listen["id"], 2, "it is forwarded as it is");
    let told = json!({"jsonrpc": "2.0", "method": "notifications/tools/list_changed",
        "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": 2}}});
    play.server(&told.to_string());
    play.wait(Duration::from_secs(1));
    answer_standing(&mut play, &["a"]);
    assert!(play.told.is_empty(), "nothing changed: {:?}", play.told);
    play.server(&told.to_string());
    play.wait(Duration::from_secs(1));
    answer_standing(&mut play, &["a", "b"]);
    assert_eq!(play.told, [told]);
}
