//! The audit as it lies on disk, and what shows when somebody touches it.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Home, tool};

/// A finished session with one call of each outcome.
fn session(home: &Home) {
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("hidden", "")]);
    let client = home
        .gate("s", &server)
        .with(&["--deny-tool", "hidden"])
        .open();
    client.tools();
    client
        .request(
            "tools/call",
            &json!({"name": "a", "arguments": {"token": "SECRET", "n": 1}}),
        )
        .ran();
    client.call("hidden").refused();
    client.call("absent").refused();
    server.tools([tool("a", "changed"), tool("hidden", "")]);
    client.tools();
    client.call("a").refused();
    client.request("no/such/method", &json!({})).failed();
    client.close_well();
}

fn file(home: &Home) -> PathBuf {
    let files = home.audit_files();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].clone()
}

#[test]
fn every_decision_has_its_record() {
    let home = Home::new();
    session(&home);
    let records = home.audit();
    let calls: Vec<&Value> = records
        .iter()
        .filter(|record| record["method"] == "tools/call")
        .collect();
    let verdicts: Vec<&str> = calls
        .iter()
        .map(|record| record["verdict"].as_str().unwrap())
        .collect();
    assert_eq!(
        verdicts,
        ["allowed", "filtered", "filtered", "locked"],
        "{calls:#?}"
    );
    for record in &calls {
        for field in [
            "time",
            "seq",
            "prev",
            "generation",
            "caller",
            "server",
            "arguments_digest",
        ] {
            assert!(!record[field].is_null(), "{field} in {record:#}");
        }
        assert_eq!(
            (&record["server"], &record["caller"]),
            (&json!("s"), &json!("local"))
        );
    }
    assert_eq!(calls[0]["item"]["name"], "a");
    assert!(calls[0]["digest"].as_str().unwrap().starts_with("1:"));
    // The true codes of the policies are here, though the agent was told one word for both.
    assert!(
        calls[1]["codes"].to_string().contains("denied_by_operator"),
        "{:#}",
        calls[1]
    );
    assert!(
        calls[3]["codes"].to_string().contains("changed"),
        "{:#}",
        calls[3]
    );
    assert!(
        records
            .iter()
            .any(|record| record["verdict"] == "refused" && record["method"] == "no/such/method")
    );
    // Arguments are digested, not kept.
    let text = std::fs::read_to_string(file(&home)).unwrap();
    assert!(!text.contains("SECRET"), "{text}");
    home.run(&["audit", "verify"]).done();
}

#[test]
fn arguments_are_kept_if_the_operator_asks() {
    let home = Home::new();
    home.configure("version = 1\n[audit]\narguments = true\n");
    session(&home);
    let text = std::fs::read_to_string(file(&home)).unwrap();
    assert!(text.contains("SECRET"), "{text}");
}

#[test]
fn a_digest_of_arguments_is_that_of_their_bytes() {
    use sha2::Digest;
    let home = Home::new();
    session(&home);
    let records = home.audit();
    let record = records
        .iter()
        .find(|record| record["method"] == "tools/call")
        .unwrap();
    let digest = hex::encode(sha2::Sha256::digest(r#"{"n":1,"token":"SECRET"}"#));
    let recorded = record["arguments_digest"].as_str().unwrap();
    assert!(
        recorded.ends_with(&digest),
        "{recorded} is not of the bytes sent ({digest})"
    );
}

#[test]
fn verify_finds_an_edit_a_deletion_and_a_truncation() {
    type Edit = fn(&str) -> String;
    let edits: [(&str, Edit); 5] = [
        ("an edited word", |text| {
            text.replacen("filtered", "allowed", 1)
        }),
        ("a deleted line", |text| {
            text.lines()
                .enumerate()
                .filter(|(n, _)| *n != 2)
                .map(|(_, line)| format!("{line}\n"))
                .collect()
        }),
        ("a swapped pair", |text| {
            let mut lines: Vec<&str> = text.lines().collect();
            lines.swap(1, 2);
            lines.join("\n") + "\n"
        }),
        ("a lost tail", |text| {
            let lines: Vec<&str> = text.lines().collect();
            lines[..lines.len() - 1].join("\n") + "\n"
        }),
        ("half a line", |text| text[..text.len() - 10].to_owned()),
    ];
    for (what, edit) in edits {
        let home = Home::new();
        session(&home);
        let file = file(&home);
        let text = std::fs::read_to_string(&file).unwrap();
        let edited = edit(&text);
        assert_ne!(edited, text, "{what}");
        std::fs::write(&file, edited).unwrap();
        let output = home.run(&["audit", "verify"]);
        assert_eq!(
            output.code,
            Some(1),
            "{what}: {}{}",
            output.stdout,
            output.stderr
        );
        output.says(&[file.file_name().unwrap().to_str().unwrap()]);
    }
}

#[test]
fn verify_finds_a_deleted_file() {
    let home = Home::new();
    session(&home);
    std::fs::remove_file(file(&home)).unwrap();
    home.run(&["audit", "verify"]).exits(1);
    assert_eq!(home.doctor()["ok"], false);
}

#[test]
fn tail_prints_what_happened() {
    let home = Home::new();
    session(&home);
    let output = home.run(&["audit", "tail"]).done();
    assert!(output.stdout.contains("tools/call"), "{}", output.stdout);
    assert!(output.stdout.contains("hidden"), "{}", output.stdout);
}

#[cfg(unix)]
#[test]
fn an_audit_that_cannot_be_written_refuses_calls_unless_told_otherwise() {
    for (required, runs) in [(true, false), (false, true)] {
        let home = Home::new();
        // A file where the folder should be: nothing can be written under it, not even by root.
        let blocked = home.path("blocked");
        std::fs::write(&blocked, "").unwrap();
        home.configure(&format!(
            "version = 1\n[audit]\npath = {:?}\nrequired = {required}\n",
            blocked.join("audit").to_str().unwrap()
        ));
        let mut server = home.fixture("s");
        server.tools([tool("a", "")]);
        let gate = home.gate("s", &server);
        if runs {
            gate.open().call("a").ran();
        } else {
            let client = gate.start();
            client.ask(
                "initialize",
                r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}"#,
            );
            client.initialized();
            client.ask("tools/call", r#"{"name":"a"}"#);
            client.close();
            assert!(server.received_with("tools/call").is_empty());
        }
    }
}
