//! Tapes: everything a chain was given, asked again. The same chain must say the same, another shows what it changes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::{Client, Era, Fixture, Home, Output, Upstream, golden, hostile, tool, until};

const FULL: &str = "version = 1\n[audit]\nrecord = \"full\"\n";

impl Home {
    /// The tapes, the oldest first.
    fn tapes(&self) -> Vec<PathBuf> {
        let Ok(folder) = std::fs::read_dir(self.state().join("tapes")) else {
            return Vec::new();
        };
        let mut files: Vec<_> = folder.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// The only tape.
    #[track_caller]
    fn tape(&self) -> PathBuf {
        let tapes = self.tapes();
        assert_eq!(tapes.len(), 1, "{tapes:?}");
        tapes[0].clone()
    }

    fn replay(&self, tape: &Path, more: &[&str]) -> Output {
        let mut arguments = vec!["replay", tape.to_str().unwrap()];
        arguments.extend(more);
        self.run(&arguments)
    }

    /// Replays on the chain as it is, which must be the tape's and say the same.
    #[track_caller]
    fn replays_the_same(&self, tape: &Path) -> Value {
        let report = self.replay(tape, &["--json", "--same-chain"]).done().json();
        assert_eq!(report["same"], true, "{report:#}");
        assert_eq!(report["chain"]["same"], true, "{report:#}");
        assert_eq!(report["differences"], json!([]), "{report:#}");
        report
    }
}

/// The records of a tape of one kind.
fn records(tape: &Path, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(tape).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|record| record.get(kind).cloned())
        .collect()
}

/// How many evaluations of one kind a tape has.
fn judged(tape: &Path, what: &str) -> usize {
    let judged = records(tape, "judged");
    judged.iter().filter(|j| !j["what"][what].is_null()).count()
}

/// What a difference says, in short.
fn short(difference: &Value) -> String {
    let text = |key: &str| difference[key].as_str().unwrap_or_default().to_owned();
    let verdict = |which: &str| {
        let verdict = &difference[which];
        let part = |key: &str| verdict[key].as_str().unwrap_or_default().to_owned();
        [part("verdict"), part("code"), part("by")]
            .join(" ")
            .trim_end()
            .to_owned()
    };
    format!(
        "{} {}: {} -> {}",
        text("message"),
        text("name"),
        verdict("old"),
        verdict("new")
    )
}

fn differences(report: &Value) -> Vec<String> {
    let differences = report["differences"].as_array().unwrap();
    differences.iter().map(short).collect()
}

fn fixture(home: &Home) -> Fixture {
    let mut server = home.fixture("s");
    server.tools([tool("a", "one"), tool("delete_repo", "")]);
    server
}

/// A session with everything in it that a chain decides on: a tool changes and is approved meanwhile.
fn session(home: &Home, server: &mut Fixture) {
    let client = home.gate("s", server).open();
    assert_eq!(client.tools(), ["a", "delete_repo"]);
    client.call("a").ran();
    client.call("a").ran();
    client.call("delete_repo").ran();
    server.tools([tool("a", "two"), tool("delete_repo", "")]);
    server.list_changed("tools");
    client.until_tools(&["delete_repo"]);
    client.call("a").refused_as("LOCKED", "changed");
    home.approve("s", "a");
    client.until_tools(&["a", "delete_repo"]);
    client.call("a").ran();
    client.close_well();
}

#[test]
fn nothing_is_taped_unless_it_is_asked_for() {
    let home = Home::new();
    let server = fixture(&home);
    for config in [
        "version = 1\n",
        "version = 1\n[audit]\nrecord = \"decisions\"\n",
    ] {
        home.configure(config);
        let client = home.gate("s", &server).open();
        client.call("a").ran();
        client.close_well();
    }
    assert_eq!(home.tapes(), Vec::<PathBuf>::new());
    assert!(!home.state().join("tapes").exists());
}

#[test]
fn the_same_chain_says_the_same_with_all_that_was_approved_and_changed_meanwhile() {
    let home = Home::new();
    let mut server = fixture(&home);
    home.configure(FULL);
    session(&home, &mut server);
    let tape = home.tape();
    let report = home.replays_the_same(&tape);
    assert!(judged(&tape, "observed") >= 2, "{report:#}");
    assert!(judged(&tape, "listed") >= 2, "{report:#}");
    assert!(judged(&tape, "called") >= 4, "{report:#}");
    assert!(
        judged(&tape, "returned") >= 4,
        "no policy judges results; they are taped all the same"
    );
    let again = records(&tape, "again").len();
    assert!(again >= 2, "a call twice, and a list");
    let summary = &report["summary"];
    let messages = records(&tape, "judged").len() + again;
    assert_eq!(summary["messages"], messages, "{report:#}");
    assert_eq!(summary["same"], messages, "{report:#}");
    assert_eq!(summary["not_compared"], 0, "{report:#}");
    home.replay(&tape, &[]).done().says(&[
        "the tape's own: every verdict must be the same",
        "messages:",
    ]);
    // The approval came from another process, and so is no change of this one's own policies.
    let led: Vec<u64> = records(&tape, "judged")
        .iter()
        .filter_map(|judged| judged["led"]["state"].as_u64())
        .collect();
    let told: Vec<u64> = records(&tape, "store")
        .iter()
        .map(|store| store["state"].as_u64().unwrap())
        .collect();
    assert!(!led.is_empty() && told.len() >= 2, "{led:?} {told:?}");
}

#[test]
fn a_tape_is_for_its_owner_alone_and_holds_all_in_clear() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let mut server = fixture(&home);
    home.configure(FULL);
    session(&home, &mut server);
    let tape = home.tape();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&tape), 0o600);
    assert_eq!(mode(tape.parent().unwrap()), 0o700);
    let text = std::fs::read_to_string(&tape).unwrap();
    assert!(
        text.contains(r#"\"description\":\"two\""#),
        "definitions are in it"
    );
    let doctor = home.doctor();
    assert_eq!(doctor["tape"]["enabled"], true, "{doctor:#}");
    assert_eq!(doctor["tape"]["files"], 1, "{doctor:#}");
    assert_eq!(doctor["tape"]["lost"], 0, "{doctor:#}");
}

#[test]
fn another_chain_shows_what_it_would_have_decided() {
    let home = Home::new();
    let mut server = fixture(&home);
    home.configure(FULL);
    session(&home, &mut server);
    let tape = home.tape();
    // The operator's lists are settings of a policy, so that this is another chain.
    home.configure(&format!(
        "{FULL}[server.s]\nstanding = \"trusted\"\ndeny = [\"delete_*\"]\n"
    ));
    let report = home.replay(&tape, &["--json"]).exits(1).json();
    assert_eq!(report["same"], false);
    assert_eq!(
        report["chain"]["differences"],
        json!(["~ allow-deny: other settings"])
    );
    assert_eq!(
        differences(&report),
        [
            "list delete_repo: visible -> withheld denied_by_operator allow-deny",
            "tools/call delete_repo: allowed -> FILTERED filtered allow-deny",
        ],
        "{report:#}"
    );
    let why = &report["summary"]["why"];
    assert_eq!(
        why["the call that it answers would have been refused"], 1,
        "{report:#}"
    );
    home.replay(&tape, &[]).exits(1).says(&[
        "not the tape's own",
        "~ allow-deny: other settings",
        "tool \"delete_repo\"  allowed -> FILTERED filtered by allow-deny",
    ]);
    let refused = home.replay(&tape, &["--same-chain"]).exits(2);
    refused.says(&["the chain is not the tape's own", "allow-deny"]);
    // What the server's lists hid is shown by a chain without them.
    std::fs::remove_file(&tape).unwrap();
    let client = home.gate("s", &server).open();
    client
        .call("delete_repo")
        .refused_as("FILTERED", "filtered");
    client.close_well();
    home.configure(FULL);
    let report = home.replay(&home.tape(), &["--json"]).exits(1).json();
    assert_eq!(
        differences(&report),
        [
            "list delete_repo: withheld denied_by_operator allow-deny -> visible",
            "tools/call delete_repo: FILTERED filtered allow-deny -> allowed",
        ],
        "{report:#}"
    );
}

#[test]
fn a_folder_of_policies_is_tried_on_a_tape_without_touching_anything() {
    let home = Home::new();
    let mut server = fixture(&home);
    home.configure(FULL);
    session(&home, &mut server);
    let tape = home.tape();
    let trial = home.path("trial");
    std::fs::create_dir_all(&trial).unwrap();
    std::fs::write(trial.join("10-new.wasm"), hostile::denies("No.")).unwrap();
    let trial = trial.to_str().unwrap();
    let before = std::fs::read(home.state().join("ledger.db")).unwrap();
    let report = home
        .replay(&tape, &["--policy-dir", trial, "--json"])
        .exits(1)
        .json();
    let found = differences(&report);
    assert_eq!(
        found,
        [
            "tools/call a: allowed -> DENIED no 10-new",
            "tools/call delete_repo: allowed -> DENIED no 10-new",
        ],
        "{report:#}"
    );
    assert_eq!(
        report["differences"][0]["times"], 2,
        "after the approval again"
    );
    let summary = &report["summary"];
    assert_eq!(
        summary["refused"], 4,
        "the call that was answered from memory too: {report:#}"
    );
    assert_eq!(
        std::fs::read(home.state().join("ledger.db")).unwrap(),
        before
    );
    let policies = home.run(&["policy", "list"]).done().stdout;
    assert!(!policies.contains("10-new"), "{policies}");
    // Only one server's messages, and the tape has none of this one.
    let report = home
        .replay(
            &tape,
            &["--policy-dir", trial, "--server", "other", "--json"],
        )
        .done()
        .json();
    assert_eq!(report["summary"]["messages"], 0);
    home.replay(&tape, &["--policy-dir", "/no/such/folder"])
        .exits(2)
        .says(&["/no/such/folder"]);
}

/// The golden policy in the directory, and a gate of its own command before the server.
fn with_golden(home: &Home, tools: &[&str]) -> Fixture {
    let mut server = home.fixture("s");
    server.tools(tools.iter().map(|name| tool(name, "")));
    home.configure(FULL);
    let file = home.policies().join("10-golden.wasm");
    std::fs::write(&file, golden()).unwrap();
    server
}

fn settle(home: &Home, suffix: &str) {
    let sidecar = home.policies().join("10-golden.toml");
    std::fs::write(sidecar, format!("[settings]\nsuffix = {suffix:?}\n")).unwrap();
}

#[test]
fn a_failure_is_no_verdict_and_is_not_compared() {
    let home = Home::new();
    let server = with_golden(&home, &["trap_x", "deny_x", "hide_x", "clock"]);
    let client = home.gate("s", &server).open();
    client.call("trap_x").refused_as("ERROR", "policy_error");
    client.call("deny_x").refused_as("DENIED", "denied");
    client
        .call("hide_x")
        .refused_as("LOCKED", "pending_approval");
    client.call("clock").refused_as("DENIED", "echo");
    client.close_well();
    let tape = home.tape();
    let report = home.replays_the_same(&tape);
    assert_eq!(report["summary"]["not_compared"], 1, "{report:#}");
    assert_eq!(
        report["summary"]["why"],
        json!({"`10-golden` failed on the tape (trap)": 1})
    );
    // A policy that fails only now decides nothing either, but whoever tries it must hear of it.
    let trial = home.path("trial");
    std::fs::create_dir_all(&trial).unwrap();
    std::fs::write(trial.join("05-bad.wasm"), hostile::trap()).unwrap();
    std::fs::write(trial.join("10-golden.wasm"), golden()).unwrap();
    let report = home
        .replay(&tape, &["--policy-dir", trial.to_str().unwrap(), "--json"])
        .exits(1)
        .json();
    assert_eq!(report["same"], false, "{report:#}");
    assert_eq!(report["differences"], json!([]), "{report:#}");
    assert_eq!(report["summary"]["failed_now"], 2, "{report:#}");
    assert_eq!(
        report["summary"]["why"],
        json!({
            "`10-golden` failed on the tape (trap)": 1,
            "`05-bad` failed in the replay (trap)": 2,
        })
    );
}

/// What a policy that is not the tape's own reads has grown from the tape's by what it returned itself.
#[test]
fn another_version_of_a_policy_keeps_a_store_of_its_own() {
    let home = Home::new();
    let mut server = with_golden(&home, &["scan:count/", "a"]);
    settle(&home, "");
    let client = home.gate("s", &server).open();
    let echo = |client: &Client| {
        client
            .call("scan:count/")
            .refused_as("DENIED", "echo")
            .reason
    };
    let first = echo(&client);
    server.tools([tool("scan:count/", ""), tool("b", "")]);
    server.list_changed("tools");
    until("the policy to be told", || {
        (echo(&client) != first).then_some(())
    });
    client.close_well();
    let tape = home.tape();
    let taped = home.replays_the_same(&tape);
    assert!(judged(&tape, "observed") >= 2, "{taped:#}");

    settle(&home, "!");
    let report = home.replay(&tape, &["--json"]).exits(1).json();
    assert_eq!(
        report["chain"]["differences"],
        json!(["~ 10-golden: other settings"])
    );
    let differences = report["differences"].as_array().unwrap();
    assert!(differences.len() >= 2, "{report:#}");
    for difference in differences {
        let reason = |which: &str| difference[which]["reason"].as_str().unwrap().to_owned();
        assert!(reason("old").contains("count/s"), "{report:#}");
        assert_eq!(reason("new"), reason("old") + "!", "{report:#}");
        assert_eq!(difference["effect"], "otherwise");
    }
    home.replay(&tape, &[])
        .exits(1)
        .says(&["count/s", "decided otherwise"]);
}

/// A server that is a process, and one behind a URL in both revisions: two callers' calls, each judged once.
#[test]
fn a_gate_over_http_is_taped_and_replayed_too() {
    let home = Home::new();
    let server = fixture(&home);
    let command = crate::support::example("fixture-server");
    let section = format!(
        "command = {:?}\nargs = [{:?}]\n",
        command.to_str().unwrap(),
        server.dir().to_str().unwrap()
    );
    over_http(&home, Era::Legacy, &section);
    for era in [Era::Legacy, Era::Modern] {
        let upstream = Upstream::new([tool("a", "one")]);
        let section = format!("url = {:?}\n", upstream.url());
        over_http(&Home::new(), era, &section);
    }
}

fn over_http(home: &Home, era: Era, section: &str) {
    home.configure_http(&format!(
        "[audit]\nrecord = \"full\"\n[server.s]\nstanding = \"trusted\"\n{section}"
    ));
    let (alice, bob) = (home.token("alice"), home.token("bob"));
    let serve = home.serve();
    for token in [&alice, &bob] {
        let client = serve.client("s", token, era);
        client.call("a").ran();
        client.call("a").ran();
    }
    serve.stop();
    let tape = home.tape();
    let report = home.replays_the_same(&tape);
    assert_eq!(report["tape"]["servers"], json!(["s"]));
    assert_eq!(report["tape"]["closed"], true);
    assert!(judged(&tape, "called") >= 2, "{report:#}");
    let text = std::fs::read_to_string(&tape).unwrap();
    assert!(text.contains("alice") && text.contains("bob"));
    assert!(!text.contains(&alice), "no token is on a tape");
    let trial = home.path("trial");
    std::fs::create_dir_all(&trial).unwrap();
    std::fs::write(trial.join("10-new.wasm"), hostile::denies("No.")).unwrap();
    let trial = trial.to_str().unwrap();
    let report = home
        .replay(&tape, &["--policy-dir", trial, "--json"])
        .exits(1)
        .json();
    let callers: Vec<_> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["caller"].as_str().unwrap())
        .collect();
    assert_eq!(callers, ["alice", "bob"], "{report:#}");
}

#[test]
fn two_components_are_compared_on_a_tape() {
    let home = Home::new();
    let server = with_golden(&home, &["deny_x", "a", "hide_x"]);
    let client = home.gate("s", &server).open();
    client.call("deny_x").refused_as("DENIED", "denied");
    client.call("a").ran();
    client.close_well();
    let tape = home.tape();
    let tape = tape.to_str().unwrap();
    let place = |name: &str, bytes: &[u8]| {
        let path = home.path(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let old = place("old.wasm", golden());
    let diff = |new: &str, more: &[&str]| {
        let mut arguments = vec!["policy", "diff", &old, new, "--tape", tape];
        arguments.extend(more);
        home.run(&arguments)
    };
    diff(&old, &[]).done().says(&["the same"]);
    let new = place("new.wasm", &hostile::denies("No."));
    let report = diff(&new, &["--json"]).exits(1).json();
    assert_eq!(
        differences(&report),
        [
            "list hide_x: locked hidden 10-golden -> visible",
            "tools/call deny_x: DENIED denied 10-golden -> DENIED no 10-golden",
            "tools/call a: allowed -> DENIED no 10-golden",
        ],
        "{report:#}"
    );
    let settings = place("settings.toml", b"suffix = \"!\"\n");
    let report = diff(&old, &["--settings-new", &settings, "--json"])
        .exits(1)
        .json();
    assert_eq!(differences(&report).len(), 1, "{report:#}");
    assert_eq!(report["differences"][0]["new"]["reason"], "Told to deny!");
    // The settings of a sidecar are the component's.
    place("old.toml", b"[settings]\nsuffix = \"?\"\n");
    let same = place("same.wasm", golden());
    let report = diff(&same, &["--json"]).exits(1).json();
    assert_eq!(report["differences"][0]["old"]["reason"], "Told to deny?");
    let nothing = home.path("nothing.wasm");
    diff(nothing.to_str().unwrap(), &[])
        .exits(2)
        .says(&["nothing.wasm"]);
    let broken = place("broken.wasm", b"no component");
    diff(&broken, &[]).exits(2).says(&["broken.wasm"]);
}

#[test]
fn a_tape_that_is_damaged_is_refused_and_one_that_was_cut_off_is_played() {
    let home = Home::new();
    let mut server = fixture(&home);
    home.configure(FULL);
    session(&home, &mut server);
    let text = std::fs::read_to_string(home.tape()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let place = |name: &str, text: &str| {
        let path = home.path(name);
        std::fs::write(&path, text).unwrap();
        path
    };

    let cut = place(
        "cut.jsonl",
        &text[..text.len() - lines[lines.len() - 1].len() - 20],
    );
    let report = home.replay(&cut, &["--json"]).done().json();
    assert_eq!(report["tape"]["truncated"], true);
    assert_eq!(report["same"], true);
    home.replay(&cut, &[])
        .done()
        .says(&["was killed, or still writes"]);

    let gap = [
        lines[0],
        r#"{"lost":{"evaluations":3}}"#,
        &lines[1..].join("\n"),
        "",
    ]
    .join("\n");
    let gap = place("gap.jsonl", &gap);
    let report = home.replay(&gap, &["--json"]).done().json();
    assert_eq!(report["tape"]["lost"], 3);
    home.replay(&gap, &[])
        .done()
        .says(&["3 messages could not be recorded"]);

    let corrupt = [
        &lines[..2].join("\n"),
        "{\"judged\":",
        &lines[2..].join("\n"),
        "",
    ]
    .join("\n");
    let corrupt = place("corrupt.jsonl", &corrupt);
    home.replay(&corrupt, &[])
        .exits(2)
        .says(&["corrupt.jsonl:3", "no JSON"]);
    let without = lines.iter().filter(|line| !line.starts_with("{\"store\":"));
    let without = without.copied().collect::<Vec<_>>().join("\n") + "\n";
    let without = place("without.jsonl", &without);
    home.replay(&without, &[])
        .exits(2)
        .says(&["without.jsonl:", "refers to state 0, which is not told"]);
    let newer = place(
        "newer.jsonl",
        &text.replacen("\"format\":1", "\"format\":9", 1),
    );
    let output = home.replay(&newer, &["--json"]).exits(2);
    assert_eq!(output.json()["error"]["code"], "tape");
    output.says(&["newer.jsonl", "format 9", "format 1"]);
    home.replay(&home.config_file(), &[])
        .exits(2)
        .says(&["is no tape"]);
    home.replay(&home.path("nothing"), &[])
        .exits(2)
        .says(&["nothing"]);
}

/// A killed gate leaves a tape that can be played; a folder that cannot be written leaves a gate that works.
#[test]
fn a_gate_that_is_killed_or_cannot_write_is_none_the_worse() {
    let home = Home::new();
    let server = fixture(&home);
    home.configure(FULL);
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    until("the call to be on the tape", || {
        (judged(&home.tape(), "returned") == 1).then_some(())
    });
    client.signal(rustix::process::Signal::KILL);
    client.ended();
    let report = home.replays_the_same(&home.tape());
    assert_eq!(report["tape"]["closed"], false);

    std::fs::remove_dir_all(home.state().join("tapes")).unwrap();
    std::fs::write(home.state().join("tapes"), "in the way").unwrap();
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    client.close_well();
    assert!(
        client.log().contains("nothing is recorded to be replayed"),
        "{}",
        client.log()
    );
    let doctor = home.doctor();
    assert_eq!(doctor["ok"], true, "{doctor:#}");
    assert!(
        doctor["problems"].to_string().contains("tapes"),
        "{doctor:#}"
    );
}

#[test]
fn a_tape_on_which_the_chain_changed_is_compared_chain_by_chain() {
    let home = Home::new();
    let server = fixture(&home);
    home.configure(FULL);
    home.policies();
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    let file = home.policies().join("10-team.wasm");
    let draft = home.path("draft");
    std::fs::write(&draft, hostile::denies("No.")).unwrap();
    std::fs::rename(&draft, &file).unwrap();
    until("calls to be denied", || {
        (client.call("a").code() == Some("no")).then_some(())
    });
    client.close_well();
    let tape = home.tape();
    assert_eq!(records(&tape, "generation").len(), 2);
    let report = home.replay(&tape, &["--json"]).exits(1).json();
    assert_eq!(report["chain"]["same"], false);
    assert_eq!(report["chain"]["of_tape"], 2);
    assert_eq!(report["chain"]["same_as"], 1);
    assert_eq!(report["chain"]["differences"], json!([]));
    // What was called before the policy came would be denied; what came after it was, and is.
    let found = differences(&report);
    assert_eq!(
        found,
        ["tools/call a: allowed -> DENIED no 10-team"],
        "{report:#}"
    );
    home.replay(&tape, &[])
        .exits(1)
        .says(&["the last of the 2 that were in force on the tape"]);
}

#[test]
fn a_policy_that_need_not_repeat_itself_is_not_compared() {
    let home = Home::new();
    let server = with_golden(&home, &["deny_x"]);
    let sidecar = home.policies().join("10-golden.toml");
    std::fs::write(sidecar, "reuse = 5\n").unwrap();
    let client = home.gate("s", &server).open();
    client.call("deny_x").refused_as("DENIED", "denied");
    client.close_well();
    let report = home.replays_the_same(&home.tape());
    let why = &report["summary"]["why"];
    let reused = "`10-golden` need not repeat itself: it is reused, or reaches outside";
    assert!(why[reused].as_u64() > Some(1), "{report:#}");
}
