//! Several processes on one ledger, and processes that are killed. A test runs its own executable again, told by a
//! variable to play another part.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

/// Names the folder, and so tells a process that it is a child.
const PLACE: &str = "WITGATE_TEST_LEDGER";

/// Runs the test `name` again, as a child.
fn child(name: &str, place: &Place) -> Child {
    let test = format!("ledger::sqlite::tests::processes::{name}");
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--nocapture", "--test-threads=1"])
        .env(PLACE, place.dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// In a child: the ledger of the test that started it.
async fn given() -> Option<Arc<dyn Ledger>> {
    let dir = PathBuf::from(std::env::var_os(PLACE)?);
    let url = format!("sqlite:{}", dir.join("state/ledger.db").display());
    let marker = dir.join("config/ledgers.json");
    let opened = open(&url, &marker, OpenMode::CreateIfFirst).await;
    Some(opened.unwrap().unwrap())
}

fn said(out: &mut impl std::io::Write, text: &str) {
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

/// One commit of many rows that must all bear the same number.
fn numbered(n: u64) -> Vec<Op> {
    let text = n.to_string();
    let mut ops = vec![note("n", Some(&text)), identity("s", &text, 0)];
    for row in 0..50 {
        ops.push(keep(&format!("item/{row}"), Some(&text)));
        ops.push(keep(&format!("sighting/{row}"), Some(&text)));
    }
    ops.push(Op::AuditHead(head("f", n)));
    ops
}

/// kill -9 at any moment: what was acknowledged is there, and nothing is half there.
#[tokio::test]
async fn a_process_killed_while_it_commits_leaves_no_half_commit() {
    if let Some(ledger) = given().await {
        let mut n = ledger
            .audit_heads()
            .await
            .unwrap()
            .first()
            .map_or(0, |h| h.seq);
        loop {
            n += 1;
            apply(&ledger, numbered(n)).await;
            said(&mut std::io::stdout(), &format!("done {n}"));
        }
    }
    let place = Place::new();
    let mut last = 0;
    for round in 0..12_u64 {
        let mut child = child(
            "a_process_killed_while_it_commits_leaves_no_half_commit",
            &place,
        );
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut acknowledged = None;
        // At another moment each round, from the first commit on.
        for _ in 0..=round * 3 {
            for line in lines.by_ref() {
                if let Some(n) = line.unwrap().strip_prefix("done ") {
                    acknowledged = Some(n.parse::<u64>().unwrap());
                    break;
                }
            }
        }
        std::thread::sleep(Duration::from_micros(round * 300));
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some(n) = line.strip_prefix("done ") {
                acknowledged = n.parse().ok().or(acknowledged);
            }
        }
        let acknowledged = acknowledged.unwrap();
        assert!(acknowledged > last);

        let ledger = place.open().await;
        let snapshot = ledger.snapshot();
        let n = ledger.audit_heads().await.unwrap()[0].seq;
        assert!(
            n == acknowledged || n == acknowledged + 1,
            "{n} {acknowledged}"
        );
        let text = n.to_string();
        assert_eq!(snapshot.notes["n"], text);
        assert_eq!(snapshot.servers["s"].identity.as_ref(), Some(&text));
        for part in [&snapshot.facts, &snapshot.sightings] {
            let values = &part[&policy()];
            assert_eq!(values.len(), 50);
            assert!(values.values().all(|value| *value == text));
        }
        assert_eq!((snapshot.version, snapshot.revision), (n, n));
        last = n;
    }
}

/// What a hook does: read, derive, commit if nothing has moved, else again.
async fn count_up(ledger: &Arc<dyn Ledger>) {
    let mut snapshot = ledger.snapshot();
    loop {
        let count = snapshot.value(&policy(), "count").unwrap_or("0");
        let next = (count.parse::<u64>().unwrap() + 1).to_string();
        let commit = Commit::based_on(&snapshot, vec![keep("count", Some(&next))]);
        match ledger.commit(commit).await {
            Ok(_) => return,
            Err(LedgerError::Conflict { now }) => snapshot = now,
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn of_several_processes_none_loses_an_update() {
    const PROCESSES: usize = 4;
    const EACH: usize = 40;
    if let Some(ledger) = given().await {
        for _ in 0..EACH {
            count_up(&ledger).await;
        }
        return;
    }
    let place = Place::new();
    let ledger = place.open().await;
    let children: Vec<Child> = (0..PROCESSES)
        .map(|_| child("of_several_processes_none_loses_an_update", &place))
        .collect();
    for _ in 0..EACH {
        count_up(&ledger).await;
    }
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let snapshot = ledger.confirm().await.unwrap();
    let expected = (PROCESSES + 1) * EACH;
    assert_eq!(
        snapshot.value(&policy(), "count"),
        Some(expected.to_string().as_str())
    );
    assert_eq!(snapshot.revision, expected as u64);
}
