//! B23, B28 and invariant 10: a ledger that is lost, corrupt or newer closes; it is never replaced.

use std::path::PathBuf;

use crate::support::{Home, tool, until};

fn ledger(home: &Home) -> PathBuf {
    let files: Vec<PathBuf> = std::fs::read_dir(home.state())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|end| end == "db" || end == "sqlite")
        })
        .collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files.into_iter().next().unwrap()
}

fn delete(home: &Home) {
    let file = ledger(home);
    for suffix in ["", "-wal", "-shm"] {
        let mut name = file.clone().into_os_string();
        name.push(suffix);
        let _ = std::fs::remove_file(name);
    }
}

#[test]
fn b28_a_ledger_deleted_under_a_running_gate_closes_it() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    delete(&home);
    until("calls to be refused", || {
        matches!(
            client.call("a").code(),
            Some("ledger_lost" | "ledger_stale")
        )
        .then_some(())
    });
    server.tools([tool("a", "changed")]);
    let line = client.raw("tools/list", "");
    assert!(!line.contains("changed"), "{line}");
    let doctor = home.doctor();
    assert_eq!(doctor["ok"], false);
    assert!(doctor.to_string().contains("lost"), "{doctor:#}");
}

#[test]
fn b28_a_ledger_deleted_before_a_start_is_lost_not_first() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.close_well();
    delete(&home);
    server.tools([tool("a", "poisoned")]);
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&["lost"]);
    assert!(home.run(&["doctor"]).exits(1).stdout.contains("lost"));
}

#[test]
fn a_ledger_that_is_no_ledger_is_refused_and_kept() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.close_well();
    let file = ledger(&home);
    delete(&home);
    std::fs::write(&file, "this is no database").unwrap();
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&[file.to_str().unwrap()]);
    assert_eq!(
        std::fs::read_to_string(&file).unwrap(),
        "this is no database"
    );
    assert_eq!(home.doctor()["ok"], false);
}

#[test]
fn a_newer_ledger_is_refused_at_the_start_and_met_while_running() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    let database = rusqlite::Connection::open(ledger(&home)).unwrap();
    database.pragma_update(None, "user_version", 999).unwrap();
    until("calls to be refused", || {
        (client.call("a").code() == Some("ledger_newer")).then_some(())
    });
    client.close();
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&["999"]);
}

#[test]
fn b23_a_corrupt_record_withholds_its_tool_and_doctor_says_so() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("b", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    client.close_well();
    let database = rusqlite::Connection::open(ledger(&home)).unwrap();
    let key: String = database
        .query_row(
            "SELECT key FROM facts WHERE key LIKE 'item/%tool%' ORDER BY key LIMIT 1",
            [],
            |row| row.get(0),
        )
        .unwrap();
    for nonsense in ["{", "{\"status\":\"wonderful\"}", ""] {
        let changed = database
            .execute(
                "UPDATE facts SET value = ?1 WHERE key = ?2",
                [nonsense, &key],
            )
            .unwrap();
        assert_eq!(changed, 1);
        let client = home.gate("s", &server).open();
        assert_eq!(client.tools(), ["b"], "{nonsense}");
        client.call("a").refused();
        client.close_well();
        let doctor = home.doctor();
        assert_eq!(doctor["ok"], false, "{nonsense}: {doctor:#}");
        assert!(
            doctor["problems"].to_string().contains("cannot be read"),
            "{nonsense}: {doctor:#}"
        );
    }
    drop(database);
    // Approving what it shows mends it.
    let entry = home.entry("s", "tool", "a");
    assert_eq!(entry.status, "corrupt");
    home.run(&["review", "approve", &entry.id, "--digest", &entry.digest])
        .done();
    assert_eq!(home.gate("s", &server).open().tools(), ["a", "b"]);
}

#[test]
fn a_marker_that_cannot_be_read_is_named() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.close_well();
    let markers: Vec<PathBuf> = std::fs::read_dir(home.path("config/witgate"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    let [marker] = &markers[..] else {
        panic!("one marker: {markers:?}")
    };
    std::fs::write(marker, "{").unwrap();
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&[marker.file_name().unwrap().to_str().unwrap()]);
}
