//! Policies swapped two hundred times under load: no call is lost, none is judged by half a generation, and nothing
//! grows.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Answer, Client, Era, Home, example, hostile, tool, until};

/// How often both policies are replaced together.
const SWAPS: usize = 200;

/// How many versions there are; the last of them allows.
const VERSIONS: usize = 8;

/// Swaps after which memory is looked at first: what is made once is made by then.
const WARM: usize = 50;

/// By how much a gate may grow afterwards, bytes.
const GROWTH: u64 = 24 << 20;

/// Calls at the same time, over each gate.
const CALLERS: usize = 3;

/// What a call comes to under a version: the code of its refusal, or nothing if it runs.
fn code(version: usize) -> Option<String> {
    (version + 1 < VERSIONS).then(|| format!("v{version}"))
}

fn put(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, bytes).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// Resident memory, bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

/// Calls through `wrap`, and sees that exactly one answer comes.
fn call(client: &Client) -> Answer {
    let mark = client.mark();
    let id = client.ask("tools/call", r#"{"name":"a","arguments":{}}"#);
    let line = client.wait(mark, &format!("the answer to {id}"), |message| {
        message["id"] == id && message.get("method").is_none()
    });
    Answer::read(&line)
}

/// Checks that an answer is one of some version.
fn check(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Ran(_) => None,
        Answer::Refused(refusal)
            if refusal.decision == "DENIED" && refusal.reason == refusal.code =>
        {
            Some(refusal.code.clone())
        }
        other => panic!("no version answers so: {other:?}"),
    }
}

fn report(what: &str, mut took: Vec<Duration>) {
    took.sort();
    let (half, most) = (took[took.len() / 2], took[took.len() - 1]);
    let mut err = std::io::stderr().lock();
    let _ = writeln!(
        err,
        "{what}: from write to effect p50 {half:?}, most {most:?}, of {} swaps",
        took.len()
    );
}

#[test]
fn two_hundred_swaps_under_load_lose_nothing_and_mix_nothing() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let args = format!("{:?}", server.dir().display().to_string());
    home.configure_http(&format!(
        "[server.web]\ncommand = {:?}\nargs = [{args}]\nstanding = \"trusted\"\n",
        example("fixture-server").display().to_string()
    ));
    let place = home.policies();
    // The first says what it would do, the second does it: a record of the audit has both words.
    std::fs::write(place.join("10-one.toml"), "mode = \"monitor\"\n").unwrap();
    let versions: Vec<_> = (0..VERSIONS)
        .map(|version| {
            let word = format!("v{version}");
            let one = hostile::denies_with(&word, &word);
            let two = code(version)
                .map_or_else(hostile::allow, |code| hostile::denies_with(&code, &code));
            (one, two)
        })
        .collect();
    let swap = |version: usize| {
        let (one, two) = &versions[version];
        put(&place.join("10-one.wasm"), one);
        put(&place.join("20-two.wasm"), two);
    };
    swap(VERSIONS - 1);
    let client = home.gate("s", &server).open();
    let token = home.token("alice");
    let serve = home.serve();
    let over_http: Vec<_> = (0..CALLERS)
        .map(|_| serve.client("web", &token, Era::Legacy))
        .collect();
    let probe = serve.client("web", &token, Era::Legacy);
    probe.call("a").ran();
    client.call("a").ran();

    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(2));
    let mut took = (Vec::new(), Vec::new());
    let mut warm = (0, 0);
    std::thread::scope(|scope| {
        let (stop, calls) = (&stop, &calls);
        let client = &client;
        for mcp in &over_http {
            scope.spawn(move || busy(stop, calls, || mcp.call("a")));
            scope.spawn(move || busy(stop, calls, || call(client)));
        }
        // Whatever fails here must not leave the callers calling.
        let stopping = Stop(stop);
        for number in 0..SWAPS {
            let version = number % VERSIONS;
            if number % 5 == 0 {
                // First what cannot be loaded: what was in force stays.
                put(
                    &place.join("20-two.wasm"),
                    format!("no component {number}").as_bytes(),
                );
                put(
                    &place.join("30-bad.wasm"),
                    format!("nor this {number}").as_bytes(),
                );
            }
            let from = Instant::now();
            swap(version);
            let in_effect = |answer: Answer| {
                calls.fetch_add(1, Ordering::SeqCst);
                (check(&answer) == code(version)).then(|| from.elapsed())
            };
            let (mut wrap, mut web) = (None, None);
            until("the swap to take effect", || {
                wrap = wrap.or_else(|| in_effect(call(client)));
                web = web.or_else(|| in_effect(probe.call("a")));
                wrap.zip(web)
            });
            took.0.extend(wrap);
            took.1.extend(web);
            if number + 1 == WARM {
                warm = (resident(client.pid()), resident(serve.id()));
            }
        }
        drop(stopping);
    });
    for (what, before, pid) in [
        ("wrap", warm.0, client.pid()),
        ("serve", warm.1, serve.id()),
    ] {
        let after = resident(pid);
        let _ = writeln!(
            std::io::stderr().lock(),
            "{what}: {} KiB after {WARM} swaps, {} KiB after {SWAPS}",
            before >> 10,
            after >> 10
        );
        assert!(
            after < before + GROWTH,
            "{what} grew from {before} to {after} bytes"
        );
    }
    report("wrap", took.0);
    report("serve", took.1);
    once_each(&client);
    let row = home.policy("30-bad").unwrap();
    assert_eq!(
        (&row["outcome"], &row["gates"]),
        (&Value::from("rejected"), &Value::from(2))
    );
    client.close_well();
    serve.stop();
    agree(&home, calls.load(Ordering::SeqCst));
}

/// Calls until it is told to stop.
fn busy(stop: &AtomicBool, calls: &AtomicU64, one: impl Fn() -> Answer) {
    while !stop.load(Ordering::SeqCst) {
        check(&one());
        calls.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Ends the callers, however the test ends.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Every request that was sent has one answer.
#[track_caller]
fn once_each(client: &Client) {
    let mut answered = std::collections::HashMap::new();
    for line in client.heard(0) {
        let message: Value = serde_json::from_str(&line).unwrap();
        if let (Some(id), None) = (message["id"].as_u64(), message.get("method")) {
            *answered.entry(id).or_insert(0) += 1;
        }
    }
    let sent = client.id();
    for id in 1..sent {
        assert_eq!(answered.get(&id), Some(&1), "the answer to {id}");
    }
}

/// On every record of a call, both policies are of one version.
#[track_caller]
fn agree(home: &Home, calls: u64) {
    let mut seen = 0;
    for record in home.audit() {
        if record["method"] != "tools/call" {
            continue;
        }
        seen += 1;
        let said = |policy: &str| {
            let codes = record["codes"].as_array().unwrap();
            let own = codes.iter().find(|code| code["policy"] == policy);
            own.map(|code| code["code"].as_str().unwrap().to_owned())
        };
        let one = said("10-one").unwrap();
        let version: usize = one.strip_prefix("would:v").unwrap().parse().unwrap();
        assert_eq!(said("20-two"), code(version), "{record:#}");
    }
    assert_eq!(seen, calls, "every call has its record");
}
