//! The audit as a whole: what is written, what a disk that fails does to it, what tampering shows.

#![allow(clippy::unwrap_used)]

mod tampering;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use super::*;
use crate::ledger::{self, Ledger};
use crate::mcp::{Digest, ItemKind};

/// A folder for an audit, and the ledger that knows its heads.
struct Place {
    folder: TempDir,
    ledger: Arc<dyn Ledger>,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            ledger: ledger::in_memory(None),
        }
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("audit")
    }

    fn open(&self) -> Audit {
        Audit::open(&self.dir(), Arc::clone(&self.ledger), false).unwrap()
    }

    async fn verify(&self) -> Report {
        let heads = self.ledger.audit_heads().await.unwrap();
        verify(&self.dir(), &heads).unwrap()
    }

    /// A file of a run that ended in order, with records of these methods.
    async fn run(&self, methods: &[&str]) -> String {
        let audit = self.open();
        for method in methods {
            audit.record(record(method));
        }
        audit.close().await;
        assert_eq!(audit.problem(), None);
        name_of(audit.path().unwrap())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

fn record(method: &str) -> Record {
    Record {
        generation: 3,
        caller: "local".into(),
        server: "files".into(),
        method: method.to_owned(),
        item: Some((ItemKind::Tool, "read \"it\"\n".into())),
        digest: Some(Digest::from_bytes([7; 32])),
        arguments: Some("{\"n\": 1.0,\n \"s\":\"\u{2028}\"}".into()),
        verdict: Outcome::Denied,
        codes: vec![("allow-deny".into(), "denied_by_operator".to_owned())],
        decided_by: Some("allow-deny".into()),
        micros: vec![
            ("allow-deny".into(), 12),
            ("quarantine".into(), 1),
            ("allow-deny".into(), 30),
        ],
    }
}

fn lines(path: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(str::to_owned).collect()
}

fn methods(dir: &Path) -> Vec<String> {
    let records = tail(dir, false).unwrap();
    let records = records.map(|line| serde_json::from_str::<Value>(&line.unwrap().text).unwrap());
    records
        .map(|record| record["method"].as_str().unwrap_or("-").to_owned())
        .collect()
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < give_up, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[tokio::test]
async fn a_record_is_one_line_with_every_field() {
    let place = Place::new();
    let file = place.dir().join(place.run(&["tools/call"]).await);
    let lines = lines(&file);
    assert_eq!(lines.len(), 3, "header, record, end");
    let header: Value = serde_json::from_str(&lines[0]).unwrap();
    assert_eq!(header["seq"], 0);
    assert_eq!(header["prev"], "0".repeat(64));
    assert_eq!(header["witgate"], env!("CARGO_PKG_VERSION"));
    let mut record: Value = serde_json::from_str(&lines[1]).unwrap();
    let time = record["time"].take();
    assert_eq!(
        time.as_str().unwrap().len(),
        "2026-11-20T10:30:00.123Z".len()
    );
    let text = super::tests::record("").arguments.unwrap();
    let expected = json!({
        "time": null,
        "seq": 1,
        "prev": hex::encode(Sha256::digest(lines[0].as_bytes())),
        "generation": 3,
        "caller": "local",
        "server": "files",
        "method": "tools/call",
        "item": {"kind": "tool", "name": "read \"it\"\n"},
        "digest": format!("1:{}", "07".repeat(32)),
        "arguments_digest": hex::encode(Sha256::digest(text.as_bytes())),
        "verdict": "denied",
        "codes": [{"policy": "allow-deny", "code": "denied_by_operator"}],
        "decided_by": "allow-deny",
        "micros": {"allow-deny": 42, "quarantine": 1},
    });
    assert_eq!(record, expected);
}

/// The members of a line come in the order that the operator's guide names.
#[tokio::test]
async fn a_line_begins_with_time_number_and_predecessor() {
    let place = Place::new();
    let file = place.dir().join(place.run(&["tools/call"]).await);
    for line in lines(&file) {
        let keys: Vec<&str> = line.split('"').step_by(2).take(1).collect();
        assert_eq!(keys, ["{"]);
        let at = |key: &str| line.find(&format!("\"{key}\":")).unwrap();
        assert!(at("time") < at("seq") && at("seq") < at("prev"), "{line}");
    }
}

#[tokio::test]
async fn arguments_are_recorded_only_if_asked_for() {
    let place = Place::new();
    let audit = Audit::open(&place.dir(), Arc::clone(&place.ledger), true).unwrap();
    let odd = Record {
        arguments: Some("no JSON\n".into()),
        ..Record::default()
    };
    audit.record(record("a"));
    audit.record(odd);
    audit.record(Record::default());
    audit.close().await;
    let lines = lines(audit.path().unwrap());
    assert!(
        lines[1].contains("\"arguments\":{\"n\": 1.0,  \"s\":\"\u{2028}\"}"),
        "numbers as they came: {}",
        lines[1]
    );
    assert!(
        lines[2].contains("\"arguments\":\"no JSON\\n\""),
        "{}",
        lines[2]
    );
    assert!(!lines[3].contains("arguments"), "{}", lines[3]);
    assert_eq!(place.verify().await.bad, None);
}

#[tokio::test]
async fn a_method_that_nobody_knows_is_cut() {
    let place = Place::new();
    let file = place.dir().join(place.run(&[&"é".repeat(5000)]).await);
    let record: Value = serde_json::from_str(&lines(&file)[1]).unwrap();
    assert_eq!(record["method"].as_str().unwrap(), "é".repeat(200));
}

#[tokio::test]
async fn files_are_for_the_user_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let file = place.dir().join(place.run(&[]).await);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place.dir()), mode(&file)), (0o700, 0o600));
}

#[tokio::test]
async fn records_are_written_while_it_runs_and_heads_are_bound() {
    let place = Place::new();
    let audit = place.open();
    audit.record(record("first"));
    eventually("it is written", || methods(&place.dir()) == ["first"]);
    audit.close().await;
    let name = name_of(audit.path().unwrap());
    let heads = place.ledger.audit_heads().await.unwrap();
    assert_eq!(heads.len(), 1);
    let bytes = std::fs::read(audit.path().unwrap()).unwrap();
    assert_eq!((heads[0].file.as_str(), heads[0].seq), (name.as_str(), 2));
    assert_eq!(heads[0].length, bytes.len() as u64);
    let report = place.verify().await;
    let expected = Report {
        files: 1,
        records: 1,
        unbound: 0,
        bad: None,
    };
    assert_eq!(report, expected);
}

#[tokio::test]
async fn the_head_is_bound_at_once_so_that_a_deletion_shows() {
    let place = Place::new();
    let audit = place.open();
    let ledger = Arc::clone(&place.ledger);
    let bound = || ledger.snapshot().version > 0;
    eventually("the header is bound", bound);
    let heads = place.ledger.audit_heads().await.unwrap();
    assert_eq!(heads[0].file, name_of(audit.path().unwrap()));
    assert_eq!(heads[0].seq, 0);
}

#[tokio::test]
async fn a_later_file_names_where_earlier_ones_ended() {
    let place = Place::new();
    let first = place.run(&["a"]).await;
    let second = place.dir().join(place.run(&["b"]).await);
    let header: Value = serde_json::from_str(&lines(&second)[0]).unwrap();
    let last = lines(&place.dir().join(&first)).pop().unwrap();
    let head = hex::encode(Sha256::digest(last.as_bytes()));
    assert_eq!(header["known"], 1);
    assert_eq!(
        header["follows"],
        json!([{"file": first, "seq": 2, "head": head}])
    );
}

#[tokio::test]
async fn nothing_is_lost_between_threads() {
    const THREADS: usize = 4;
    const EACH: usize = 500;
    let place = Place::new();
    let audit = place.open();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let audit = audit.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    audit.record(record(&format!("{thread}-{n}")));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    audit.close().await;
    let written = methods(&place.dir());
    assert_eq!(written.len(), THREADS * EACH);
    for thread in 0..THREADS {
        let prefix = format!("{thread}-");
        let of_thread: Vec<_> = written.iter().filter(|m| m.starts_with(&prefix)).collect();
        let expected: Vec<_> = (0..EACH).map(|n| format!("{thread}-{n}")).collect();
        assert_eq!(of_thread, expected.iter().collect::<Vec<_>>());
    }
    assert_eq!(place.verify().await.bad, None);
}

#[tokio::test]
async fn an_audit_that_is_off_keeps_nothing_and_has_no_problem() {
    let audit = Audit::off();
    audit.record(record("a"));
    audit.close().await;
    assert_eq!((audit.problem(), audit.path()), (None, None));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_an_error_that_names_it() {
    let place = Place::new();
    std::fs::write(place.dir(), "a file").unwrap();
    let opened = Audit::open(&place.dir(), Arc::clone(&place.ledger), false);
    let text = opened.err().unwrap().to_string();
    assert!(text.contains(&place.dir().display().to_string()), "{text}");
}

/// Where records cannot be written, that is a problem, and they are written when they can be.
#[tokio::test]
async fn a_write_that_fails_is_a_problem_until_it_works_again() {
    let place = Place::new();
    let audit = place.open();
    audit.record(record("before"));
    eventually("it is written", || methods(&place.dir()) == ["before"]);
    // A file where the folder was: no new file can be made.
    let aside = place.folder.path().join("aside");
    std::fs::rename(place.dir(), &aside).unwrap();
    std::fs::write(place.dir(), "in the way").unwrap();
    audit.record(record("during"));
    eventually("there is a problem", || audit.problem().is_some());
    audit.record(record("during, too"));
    std::fs::remove_file(place.dir()).unwrap();
    std::fs::rename(&aside, place.dir()).unwrap();
    eventually("it is mended", || audit.problem().is_none());
    audit.record(record("after"));
    audit.close().await;
    let expected = ["before", "during", "during, too", "after"];
    assert_eq!(methods(&place.dir()), expected);
    let report = place.verify().await;
    assert_eq!((report.bad, report.files), (None, 2));
}

/// Deleted under a running process: records go on elsewhere, and the deletion shows.
#[tokio::test]
async fn a_file_that_is_deleted_while_written_is_missed() {
    let place = Place::new();
    let audit = place.open();
    audit.record(record("a"));
    eventually("it is written", || methods(&place.dir()) == ["a"]);
    let gone = audit.path().unwrap();
    std::fs::remove_file(gone).unwrap();
    audit.record(record("b"));
    audit.close().await;
    assert_eq!(methods(&place.dir()), ["b"]);
    let bad = place.verify().await.bad.unwrap();
    assert_eq!((bad.file, bad.line), (name_of(gone), 0));
}

#[tokio::test]
async fn a_record_after_the_end_is_a_problem() {
    let place = Place::new();
    let audit = place.open();
    audit.close().await;
    audit.close().await;
    audit.record(record("late"));
    assert!(audit.problem().unwrap().contains("closed"));
}

/// What finds no room is counted, and the count is written.
#[tokio::test]
async fn records_that_find_no_room_are_a_problem_and_are_counted() {
    let place = Place::new();
    let audit = place.open();
    eventually("the header is written", || {
        audit.path().is_some_and(|path| lines(path).len() == 1)
    });
    let aside = place.folder.path().join("aside");
    std::fs::rename(place.dir(), &aside).unwrap();
    std::fs::write(place.dir(), "in the way").unwrap();
    audit.record(Record::default());
    eventually("there is a problem", || audit.problem().is_some());
    for _ in 0..writer::MAX_WAITING + 7 {
        audit.record(Record::default());
    }
    let full = || audit.problem().is_some_and(|p| p.contains("too many"));
    eventually("the buffer is full", || {
        audit.record(Record::default());
        full()
    });
    std::fs::remove_file(place.dir()).unwrap();
    std::fs::rename(&aside, place.dir()).unwrap();
    audit.close().await;
    let lost: u64 = tail(&place.dir(), false)
        .unwrap()
        .map(|line| serde_json::from_str::<Value>(&line.unwrap().text).unwrap())
        .filter_map(|record| record["lost"].as_u64())
        .sum();
    assert!(lost >= 7, "{lost}");
    assert_eq!(place.verify().await.bad, None);
}

/// Files of two runs at once: one stream, in the order of time, headers left out.
#[test]
fn tail_merges_files_by_time() {
    let place = Place::new();
    let dir = place.dir();
    std::fs::create_dir(&dir).unwrap();
    let line = |time: &str, what: &str| {
        format!("{{\"time\":\"{time}\",\"seq\":1,\"prev\":\"\",\"method\":\"{what}\"}}\n")
    };
    let header =
        "{\"time\":\"2026-11-20T10:00:00.000Z\",\"seq\":0,\"prev\":\"\",\"witgate\":\"0\"}\n";
    let one = [
        header,
        &line("2026-11-20T10:00:01.000Z", "a"),
        &line("2026-11-20T10:00:03.000Z", "c"),
        &line("2026-11-20T11:00:05.000Z", "e"),
    ];
    let two = [
        header,
        &line("2026-11-20T10:00:02.000Z", "b"),
        "not JSON\n",
        &line("2026-11-20T10:00:04.000Z", "d"),
        "{\"time\":\"2026-11-20T10:00:06.000Z\",\"seq\":3,\"pre",
    ];
    let three = [header, &line("2026-11-20T10:59:00.000Z", "between")];
    std::fs::write(dir.join("20261120T100000Z-1-aa.jsonl"), one.concat()).unwrap();
    std::fs::write(dir.join("20261120T100001Z-2-bb.jsonl"), two.concat()).unwrap();
    std::fs::write(dir.join("20261120T105900Z-3-cc.jsonl"), three.concat()).unwrap();
    std::fs::write(dir.join("notes.txt"), "not ours").unwrap();
    let all: Vec<String> = tail(&dir, false)
        .unwrap()
        .map(|line| match line {
            Ok(line) => {
                let record: Value = serde_json::from_str(&line.text).unwrap();
                assert_eq!(record["time"], line.time);
                format!("{}:{}", record["method"].as_str().unwrap(), line.number)
            }
            Err(error) => error.to_string().split(": ").nth(1).unwrap().to_owned(),
        })
        .collect();
    let expected = ["a:2", "b:2", "line 3", "c:3", "d:4", "between:2", "e:4"];
    assert_eq!(all, expected);
}

#[tokio::test]
async fn tail_follows_new_lines_and_new_files() {
    let place = Place::new();
    place.run(&["old"]).await;
    let dir = place.dir();
    let (send, received) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in tail(&dir, true).unwrap() {
            let record: Value = serde_json::from_str(&line.unwrap().text).unwrap();
            if send.send(record["method"].clone()).is_err() {
                return;
            }
        }
    });
    let next = || received.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!(next(), "old");
    let audit = place.open();
    audit.record(record("new file"));
    assert_eq!(next(), "new file");
    audit.record(record("new line"));
    assert_eq!(next(), "new line");
    audit.close().await;
}

#[test]
fn a_folder_that_is_not_there_holds_no_records() {
    let place = Place::new();
    assert_eq!(tail(&place.dir(), false).unwrap().count(), 0);
    assert_eq!(verify(&place.dir(), &[]).unwrap(), Report::default());
}
