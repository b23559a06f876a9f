//! The policy directory while gates run: what is written to it, and what comes of it (invariant 10, O4).

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Answer, Client, Fixture, Home, golden, hostile, tool, until};

fn scene(home: &Home) -> Fixture {
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("deny_a", ""), tool("hide_a", "")]);
    server
}

/// Puts a file in place whole, as an operator's deployment should.
fn put(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, bytes).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// Points a link elsewhere in one step, as whoever mounts volumes does.
fn point(link: &Path, target: impl AsRef<Path>) {
    let draft = link.with_file_name("link.draft");
    std::os::unix::fs::symlink(target, &draft).unwrap();
    std::fs::rename(draft, link).unwrap();
}

#[track_caller]
fn until_reason(client: &Client, reason: &str) {
    until(&format!("calls to be denied: {reason}"), || {
        match client.call("a") {
            Answer::Refused(refusal) if refusal.reason == reason => Some(()),
            _ => None,
        }
    });
}

#[track_caller]
fn until_runs(client: &Client) {
    until("calls to run", || {
        matches!(client.call("a"), Answer::Ran(_)).then_some(())
    });
}

fn file(home: &Home, name: &str) -> PathBuf {
    home.policies().join(name)
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn a_file_that_is_replaced_is_in_force_whole_and_the_list_says_so() {
    let home = Home::new();
    let server = scene(&home);
    let ten = file(&home, "10-team.wasm");
    put(&ten, &hostile::denies("One."));
    let client = home.gate("s", &server).open();
    until_reason(&client, "One.");
    let before = home.until_policy("10-team", &json!({"outcome": "installed", "gates": 1}));
    assert_eq!(before["sha256"], *sha256(&hostile::denies("One.")));

    put(&ten, &hostile::denies("Two."));
    until_reason(&client, "Two.");
    let after = home.until_policy("10-team", &json!({"outcome": "updated", "in_force": true}));
    assert_eq!(after["sha256"], *sha256(&hostile::denies("Two.")));
    assert_eq!(
        (&after["order"], &after["mode"], &after["problem"]),
        (&json!(4), &json!("enforce"), &Value::Null)
    );
    assert!(after["since"].as_str() >= before["since"].as_str());

    put(&ten, &hostile::denies("Two."));
    home.until_policy("10-team", &json!({"outcome": "unchanged"}));
    client.close_well();
    let left = home.policy("10-team").unwrap();
    assert_eq!(left["gates"], 0, "nobody runs it: {left:#}");
}

/// A copy that takes its time: what was in force stays, what else changes goes ahead.
#[test]
fn a_file_that_is_still_being_written_is_pending() {
    let home = Home::new();
    let server = scene(&home);
    let ten = file(&home, "10-team.wasm");
    put(&ten, &hostile::denies("One."));
    let client = home.gate("s", &server).open();
    until_reason(&client, "One.");
    let next = hostile::denies("Two.");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (stop, ten) = (&stop, &ten);
        let half = &next[..next.len() / 2];
        scope.spawn(move || {
            let mut written = 0;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                written = (written + 1) % half.len();
                std::fs::write(ten, &half[..written]).unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        home.until_policy("10-team", &json!({"outcome": "pending", "last_good": true}));
        put(&file(&home, "05-first.wasm"), &hostile::denies("First."));
        until_reason(&client, "First.");
        home.until_policy("10-team", &json!({"outcome": "pending"}));
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
    });
    std::fs::write(&ten, &next).unwrap();
    home.until_policy(
        "10-team",
        &json!({"outcome": "updated", "sha256": sha256(&next)}),
    );
    std::fs::remove_file(file(&home, "05-first.wasm")).unwrap();
    home.run(&["policy", "forget", "05-first"]).done();
    until_reason(&client, "Two.");
    home.until_policy(
        "05-first",
        &json!({"outcome": "removed", "in_force": false}),
    );
}

#[test]
fn a_bad_file_beside_good_ones_is_rejected_alone() {
    let home = Home::new();
    let server = scene(&home);
    home.policies();
    let client = home.gate("s", &server).open();
    until_runs(&client);
    put(&file(&home, "10-bad.wasm"), b"no component");
    put(&file(&home, "20-good.wasm"), &hostile::denies("Good."));
    until_reason(&client, "Good.");
    let bad = home.until_policy("10-bad", &json!({"outcome": "rejected", "in_force": false}));
    assert!(
        bad["problem"].as_str().unwrap().contains("10-bad.wasm"),
        "{bad:#}"
    );
    home.run(&["policy", "list"])
        .done()
        .says(&["10-bad", "rejected", "not in force"]);
    let doctor = home.doctor();
    assert_eq!(doctor["ok"], false);
    assert!(
        doctor["problems"].to_string().contains("10-bad"),
        "{doctor:#}"
    );
    // An operator can go on working, too.
    home.run(&["review"]).done();
    put(&file(&home, "20-good.wasm"), &hostile::denies("Better."));
    until_reason(&client, "Better.");
    client.close_well();

    let refused = home.gate("s", &server).refused();
    assert_ne!(refused.code, Some(0), "what cannot be loaded denies");
    let bad = home.policy("10-bad").unwrap();
    assert_eq!(
        (&bad["outcome"], &bad["gates"]),
        (&json!("rejected"), &json!(0))
    );
    std::fs::remove_file(file(&home, "10-bad.wasm")).unwrap();
    let client = home.gate("s", &server).open();
    until_reason(&client, "Better.");
    assert!(home.policy("10-bad").is_none());
}

#[test]
fn a_directory_that_is_made_later_is_taken_up() {
    let home = Home::new();
    let server = scene(&home);
    let client = home.gate("s", &server).open();
    until_runs(&client);
    put(&file(&home, "10-team.wasm"), &hostile::denies("Late."));
    until_reason(&client, "Late.");
}

#[test]
fn links_to_files_and_to_directories_can_be_swapped() {
    let home = Home::new();
    let server = scene(&home);
    let place = home.path("config/versions");
    for (version, reason) in [("v1", "One."), ("v2", "Two."), ("v3", "Three.")] {
        std::fs::create_dir_all(place.join(version)).unwrap();
        std::fs::write(
            place.join(version).join("team.wasm"),
            hostile::denies(reason),
        )
        .unwrap();
    }
    // As a volume is mounted: each name is a link into a folder that is a link.
    let data = file(&home, "..data");
    point(&data, place.join("v1"));
    point(&file(&home, "10-team.wasm"), "..data/team.wasm");
    let client = home.gate("s", &server).open();
    until_reason(&client, "One.");
    point(&data, place.join("v2"));
    until_reason(&client, "Two.");
    point(&file(&home, "10-team.wasm"), place.join("v3/team.wasm"));
    until_reason(&client, "Three.");
    // The policy directory itself.
    let directory = home.policies();
    for (version, reason) in [("d1", "Four."), ("d2", "Five.")] {
        std::fs::create_dir_all(place.join(version)).unwrap();
        std::fs::write(
            place.join(version).join("10-team.wasm"),
            hostile::denies(reason),
        )
        .unwrap();
    }
    std::fs::rename(&directory, home.path("config/old")).unwrap();
    point(&directory, place.join("d1"));
    until_reason(&client, "Four.");
    point(&directory, place.join("d2"));
    until_reason(&client, "Five.");
    point(&directory, place.join("none"));
    home.until_policy(
        "10-team",
        &json!({"outcome": "rejected", "last_good": true}),
    );
    until_reason(&client, "Five.");
}

#[test]
fn what_others_can_write_is_rejected_and_the_last_good_one_stays() {
    use std::os::unix::fs::PermissionsExt;
    let chmod = |path: &Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let home = Home::new();
    let server = scene(&home);
    let ten = file(&home, "10-team.wasm");
    put(&ten, &hostile::denies("One."));
    let client = home.gate("s", &server).open();
    until_reason(&client, "One.");
    let rejected = json!({"outcome": "rejected", "last_good": true});
    chmod(&ten, 0o666);
    std::fs::write(&ten, hostile::allow()).unwrap();
    let row = home.until_policy("10-team", &rejected);
    assert!(
        row["problem"].as_str().unwrap().contains("chmod"),
        "{row:#}"
    );
    until_reason(&client, "One.");
    chmod(&ten, 0o644);
    until_runs(&client);
    // A folder above is as good as the file.
    chmod(&home.policies(), 0o777);
    put(&file(&home, "20-more.wasm"), &hostile::denies("More."));
    home.until_policy(
        "20-more",
        &json!({"outcome": "rejected", "in_force": false}),
    );
    home.until_policy("10-team", &rejected);
    until_runs(&client);
    chmod(&home.policies(), 0o755);
    until_reason(&client, "More.");
    home.until_policy("10-team", &json!({"outcome": "unchanged"}));
}

#[test]
fn two_gates_follow_one_directory() {
    let home = Home::new();
    let server = scene(&home);
    let ten = file(&home, "10-team.wasm");
    put(&ten, &hostile::denies("One."));
    let (one, other) = (
        home.gate("s", &server).open(),
        home.gate("t", &server).open(),
    );
    for client in [&one, &other] {
        until_reason(client, "One.");
    }
    home.until_policy("10-team", &json!({"gates": 2}));
    put(&ten, &hostile::denies("Two."));
    for client in [&one, &other] {
        until_reason(client, "Two.");
        client.call("a").refused();
    }
    until("what both did to be added up", || {
        let row = home.policy("10-team")?;
        (row["gates"] == 2 && row["calls"].as_u64() >= Some(2)).then_some(())
    });
    std::fs::remove_file(&ten).unwrap();
    home.until_policy("10-team", &json!({"outcome": "rejected", "gates": 2}));
    home.run(&["policy", "forget", "10-team"]).done();
    for client in [&one, &other] {
        until_runs(client);
    }
    other.close_well();
    home.until_policy("quarantine", &json!({"gates": 1}));
}

#[test]
fn clients_hear_of_a_change_only_if_what_they_see_changed() {
    let home = Home::new();
    let server = scene(&home);
    home.policies();
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "deny_a", "hide_a"]);
    let mark = client.mark();
    put(&file(&home, "10-gate.wasm"), &hostile::denies("No."));
    until_reason(&client, "No.");
    let changed = |message: &Value| message["method"] == "notifications/tools/list_changed";
    assert!(!client.hears_within(mark, Duration::from_secs(1), changed));
    put(&file(&home, "20-filter.wasm"), golden());
    client.wait_method(mark, "notifications/tools/list_changed");
    assert_eq!(client.tools(), ["a", "deny_a"]);
}

#[test]
fn a_component_edited_in_place_is_seen_though_size_and_time_stay() {
    let home = Home::new();
    let server = scene(&home);
    let ten = file(&home, "10-team.wasm");
    put(&ten, &hostile::denies("One."));
    let client = home.gate("s", &server).open();
    until_reason(&client, "One.");
    let time = std::fs::metadata(&ten).unwrap().modified().unwrap();
    let next = hostile::denies("Two.");
    assert_eq!(next.len() as u64, std::fs::metadata(&ten).unwrap().len());
    std::fs::write(&ten, &next).unwrap();
    let opened = std::fs::File::options().write(true).open(&ten).unwrap();
    opened.set_modified(time).unwrap();
    until_reason(&client, "Two.");
}

#[test]
fn a_sidecar_alone_changes_settings_and_mode() {
    let home = Home::new();
    let server = scene(&home);
    let sidecar = file(&home, "10-team.toml");
    put(&sidecar, b"[settings]\nsuffix = \" (one)\"\n");
    put(&file(&home, "10-team.wasm"), golden());
    let client = home.gate("s", &server).open();
    let until_says = |reason: &str| {
        until(reason, || match client.call("deny_a") {
            Answer::Refused(refusal) if refusal.reason == reason => Some(()),
            _ => None,
        });
    };
    until_says("Told to deny (one)");
    put(&sidecar, b"[settings]\nsuffix = \" (two)\"\n");
    until_says("Told to deny (two)");
    put(&sidecar, b"[settings]\nsufix = \" (three)\"\n");
    let row = home.until_policy(
        "10-team",
        &json!({"outcome": "rejected", "last_good": true}),
    );
    assert!(
        row["problem"].as_str().unwrap().contains("sufix"),
        "{row:#}"
    );
    until_says("Told to deny (two)");
    put(&sidecar, b"mode = \"monitor\"\n");
    until("calls to run", || {
        matches!(client.call("deny_a"), Answer::Ran(_)).then_some(())
    });
    home.until_policy("10-team", &json!({"outcome": "updated", "mode": "monitor"}));
}

#[test]
fn a_name_that_no_policy_may_have_is_refused() {
    let home = Home::new();
    let server = scene(&home);
    put(&file(&home, "ten:team.wasm"), &hostile::denies("No."));
    let refused = home.gate("s", &server).refused();
    assert_ne!(refused.code, Some(0));
    refused.says(&["ten:team.wasm", "rename"]);
}

/// A broken configuration leaves the last one in force, not everything as it is.
#[test]
fn a_broken_configuration_does_not_hold_up_the_directory() {
    let home = Home::new();
    home.configure("version = 1\n");
    let server = scene(&home);
    home.policies();
    let client = home.gate("s", &server).open();
    until_runs(&client);
    home.configure("version = 1\nnotic = true\n");
    put(&file(&home, "10-team.wasm"), &hostile::denies("No."));
    until_reason(&client, "No.");
    assert!(client.log().contains("notic"), "{}", client.log());
    let path = file(&home, "10-team.wasm").with_extension("gone");
    home.configure(&format!(
        "version = 1\n[[policy]]\nname = \"mine\"\nsource = {:?}\n",
        path.display().to_string()
    ));
    until("the refusal to be logged", || {
        client.log().contains("mine").then_some(())
    });
    put(&file(&home, "10-team.wasm"), &hostile::denies("Still."));
    until_reason(&client, "Still.");
    // Once what it names is there, the configuration is in force, whichever file was mended.
    put(&path, &hostile::denies("Mine."));
    until_reason(&client, "Mine.");
}

/// What reaches outside, or remembers, is not what a tape can tell again: an operator sees which policies those are.
#[test]
fn what_is_not_replayable_is_marked() {
    let home = Home::new();
    let server = scene(&home);
    home.configure(
        "version = 1\n[policy_dir.grants.30-asks.\"wasi:http\"]\nhosts = [\"http://127.0.0.1:9\"]\n",
    );
    put(&file(&home, "20-again.toml"), b"reuse = 50\n");
    put(&file(&home, "20-again.wasm"), &hostile::allow());
    put(&file(&home, "30-asks.wasm"), REQUESTS);
    let _client = home.gate("s", &server).open();
    home.until_policy("20-again", &json!({"not_replayable": ["reuse = 50"]}));
    home.until_policy(
        "30-asks",
        &json!({"not_replayable": ["wasi:http to http://127.0.0.1:9"]}),
    );
    home.until_policy("trust-baseline", &json!({"not_replayable": []}));
    home.run(&["policy", "list"])
        .done()
        .says(&["30-asks is not replayable (wasi:http to http://127.0.0.1:9)"]);
}

/// A grant stands in the operator's configuration, and the error says where.
#[test]
fn what_needs_a_grant_keeps_a_gate_from_starting_without_one() {
    let home = Home::new();
    let server = scene(&home);
    put(&file(&home, "30-asks.wasm"), REQUESTS);
    home.gate("s", &server)
        .refused()
        .says(&["30-asks.wasm", "[policy_dir.grants.30-asks.\"wasi:http\"]"]);
}

/// A policy that makes requests over HTTP.
const REQUESTS: &[u8] = include_bytes!("../golden/wasi/wasi_http.wasm");
