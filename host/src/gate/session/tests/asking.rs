//! Questions of the server's that are being judged while something else happens.

use super::*;
use crate::config::Mode;
use crate::ledger::PolicyOrigin;
use crate::policy::{Policy, Source};

const GOLDEN: &[u8] = include_bytes!("../../../../../tests/golden/v0_1_1_rust.wasm");

/// A policy that denies these methods.
fn policy(denies: &str) -> Arc<Policy> {
    let config = Config::in_dir(Path::new("/nowhere"));
    let places = setup::places(&config, None);
    let engine = Engine::new(setup::engine_options(&config, &places)).unwrap();
    let source = Source {
        name: "golden".into(),
        origin: PolicyOrigin::Directory,
        file: "golden.wasm".into(),
        component: Bytes::from_static(GOLDEN),
        settings: Some(json!({"deny_requests": [denies]}).to_string()),
        mode: Mode::Enforce,
        grants: crate::config::Grants::default(),
        reuse: 1,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut loaded = runtime.block_on(engine.load(vec![source]));
    loaded.pop().unwrap().unwrap()
}

/// What came out since the last look.
struct Seen {
    client: Vec<Value>,
    server: Vec<Value>,
    jobs: Vec<Job>,
}

fn look(play: &mut Play) -> Seen {
    let out = play.core.take();
    let server = out.server.into_iter();
    Seen {
        client: out
            .client
            .iter()
            .map(|said| serde_json::from_slice(&said.line).unwrap())
            .collect(),
        server: server
            .map(|sent| serde_json::from_slice(&sent.cleared.into_bytes()).unwrap())
            .collect(),
        jobs: out.jobs.into_iter().map(|(_, job)| job).collect(),
    }
}

fn say(play: &mut Play, line: &Value) {
    let frame = Frame::Line(line.to_string().into());
    play.core.on_server(frame, None);
}

fn roots(id: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": "roots/list"})
}

fn note(n: usize) -> Value {
    json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": n}})
}

/// A session of a server that has asked for roots, which is being judged, and said something more.
fn asking(denies: &str) -> (Play, Job) {
    let mut play = Play::open_on(host_with(vec![policy(denies)]));
    say(&mut play, &roots("r1"));
    say(&mut play, &note(1));
    let mut seen = look(&mut play);
    assert_eq!((seen.client.len(), seen.server.len()), (0, 0));
    let job = seen.jobs.pop().unwrap();
    (play, job)
}

fn finish(play: &mut Play, job: Job) -> Seen {
    let event = play.runtime.block_on(job);
    play.core.on_event(event);
    look(play)
}

#[test]
fn what_comes_behind_a_question_waits_for_it() {
    let (mut play, job) = asking("sampling/createMessage");
    say(&mut play, &roots("r2"));
    say(&mut play, &note(2));
    assert!(look(&mut play).client.is_empty());
    let mut seen = finish(&mut play, job);
    assert_eq!(seen.client, [roots("r1"), note(1)]);
    let second = seen.jobs.pop().unwrap();
    let seen = finish(&mut play, second);
    assert_eq!(seen.client, [roots("r2"), note(2)]);
}

/// A server that ends asks nothing any more, but its answers count.
#[test]
fn answers_behind_a_question_are_not_lost_when_the_server_ends() {
    let mut play = Play::open_on(host_with(vec![policy("")]));
    let id = play.call("a");
    let request = play.asked.pop().unwrap();
    say(&mut play, &roots("r1"));
    say(
        &mut play,
        &json!({"jsonrpc": "2.0", "id": request["id"], "result": {"content": []}}),
    );
    say(&mut play, &roots("r2"));
    let job = look(&mut play).jobs.pop().unwrap();
    play.core.on_server_gone("killed by the test");
    let mut seen = look(&mut play);
    assert_eq!(
        seen.client,
        Vec::<Value>::new(),
        "the result is judged first"
    );
    let inspecting = seen.jobs.remove(0);
    let seen = finish(&mut play, inspecting);
    assert_eq!(seen.client.len(), 1);
    assert_eq!(seen.client[0]["id"], id);
    assert!(seen.client[0].get("result").is_some(), "{:?}", seen.client);
    let seen = finish(&mut play, job);
    assert_eq!((seen.client.len(), seen.server.len()), (0, 0));
}

/// More than may wait is not kept, and nothing of it is lost: the question is refused instead.
#[test]
fn a_server_that_goes_on_and_on_does_not_get_its_question_asked() {
    let (mut play, job) = asking("");
    for n in 2..=4097 {
        say(&mut play, &note(n));
    }
    let seen = look(&mut play);
    assert_eq!(seen.server.len(), 1);
    assert_eq!(seen.server[0]["id"], "r1");
    assert_eq!(seen.server[0]["error"]["code"], -32601);
    let expected: Vec<Value> = (1..=4097).map(note).collect();
    assert_eq!(seen.client, expected);
    let seen = finish(&mut play, job);
    assert!(seen.client.is_empty() && seen.server.is_empty());
    say(&mut play, &note(1));
    assert_eq!(look(&mut play).client.len(), 1);
}

#[test]
fn a_server_that_lost_its_voice_meanwhile_is_not_heard() {
    let (mut play, job) = asking("");
    play.core.view.quarantined = true;
    let seen = finish(&mut play, job);
    assert!(seen.client.is_empty(), "{:?}", seen.client);
    assert_eq!(seen.server[0]["id"], "r1");
    assert_eq!(seen.server[0]["error"]["code"], -32603);
}

#[test]
fn a_question_is_judged_again_if_the_chain_changed_meanwhile() {
    let (mut play, job) = asking("");
    let event = play.runtime.block_on(job);
    let next = Generation {
        id: 2,
        policies: vec![policy("roots/list")],
        problems: Vec::new(),
        recording: None,
    };
    play.core.host.chain.swap(Arc::new(next));
    play.core.on_event(event);
    let mut seen = look(&mut play);
    assert!(seen.client.is_empty() && seen.server.is_empty());
    let again = seen.jobs.pop().unwrap();
    let seen = finish(&mut play, again);
    assert_eq!(seen.client, [note(1)]);
    assert_eq!(seen.server[0]["error"]["code"], -32601);
}

/// A client that answers nothing must not let a server fill the gate's memory.
#[test]
fn open_questions_are_bounded() {
    let mut play = Play::open();
    for n in 0..=MAX_OPEN {
        say(&mut play, &roots(&format!("r{n}")));
    }
    let seen = look(&mut play);
    assert_eq!(seen.client.len(), MAX_OPEN);
    assert_eq!(seen.server.len(), 1);
    assert_eq!(seen.server[0]["id"], format!("r{MAX_OPEN}"));
    assert_eq!(seen.server[0]["error"]["code"], -32603);
    play.client(r#"{"jsonrpc":"2.0","id":"r7","result":{"roots":[]}}"#);
    say(&mut play, &roots("again"));
    assert_eq!(look(&mut play).client, [roots("again")]);
}
