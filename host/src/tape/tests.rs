//! A tape as it is written, and as it is read back.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};

use super::record::*;
use super::watch::{Read, Watching};
use super::{Evaluation, Line, Options, Reader, Recorder, Tape, files, lost};
use crate::ledger::{Namespace, PolicyOrigin, Snapshot};
use crate::mcp::Digest;
use crate::policy::Definitions;
use crate::policy::contract::{
    Call, Caller, Context, Denial, Item, ItemKind, Server, Standing, Verdict,
};

/// Every digest is defined by itself.
pub(crate) struct Echo;

impl Definitions for Echo {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        ready(Some(digest.to_string().into())).boxed()
    }
}

pub(crate) fn digest(n: u8) -> String {
    Digest::from_bytes([n; 32]).to_string()
}

fn item(n: u8) -> Item {
    Item {
        kind: ItemKind::Tool,
        name: format!("t{n}"),
        digest: digest(n),
        labels: Vec::new(),
    }
}

fn context() -> Context {
    Context {
        server: Server {
            name: "s".to_owned(),
            standing: Standing::Trusted,
            labels: Vec::new(),
        },
        caller: Caller {
            id: "local".to_owned(),
            roles: Vec::new(),
            labels: Vec::new(),
        },
        labels: Vec::new(),
    }
}

fn called(n: u8) -> What {
    What::Called(Called {
        context: context(),
        call: Call {
            method: "tools/call".to_owned(),
            item: item(n),
            target: None,
            arguments: Some("{\"a\": 1.0}\u{9b}".to_owned()),
            labels: Vec::new(),
        },
        listed: true,
        answers: vec![
            Answer {
                policy: 0,
                said: Some(Verdict::Deny(Denial {
                    code: "no".to_owned(),
                    reason: "No".to_owned(),
                    remedy: None,
                    labels: Vec::new(),
                })),
                failed: None,
            },
            Answer {
                policy: 1,
                said: None,
                failed: Some(Failed {
                    hook: "call-gate.check".to_owned(),
                    kind: "trap".to_owned(),
                    detail: "unreachable".to_owned(),
                }),
            },
        ],
        refused: Some(Refusal {
            decision: "DENIED".to_owned(),
            code: "no".to_owned(),
            reason: "No".to_owned(),
            remedy: None,
            by: Some("p".to_owned()),
        }),
    })
}

pub(crate) fn chain(id: u64, names: &[&str]) -> Generation {
    let policies = names.iter().map(|name| PolicyRecord {
        name: (*name).to_owned(),
        origin: "directory".to_owned(),
        file: format!("{name}.wasm"),
        sha256: "00".to_owned(),
        settings: None,
        mode: "enforce".to_owned(),
        grants: Vec::new(),
        reuse: 1,
        replayable: true,
    });
    Generation {
        id,
        policies: policies.collect(),
    }
}

/// A ledger in which the policy `p` keeps these.
pub(crate) fn snapshot(version: u64, keys: &[(&str, &str)]) -> Arc<Snapshot> {
    let mut snapshot = Snapshot::empty("l".into());
    snapshot.version = version;
    let namespace = Namespace::new(PolicyOrigin::Directory, "p");
    let keys = keys.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let keys = std::iter::once((namespace, keys.collect()));
    snapshot.facts = Arc::new(keys.collect());
    Arc::new(snapshot)
}

fn evaluation(n: u8, snapshot: &Arc<Snapshot>) -> Evaluation {
    Evaluation {
        number: 0,
        generation: Arc::new(chain(1, &["p"])),
        snapshot: snapshot.clone(),
        after: None,
        definitions: Arc::new(Echo),
        read: Read::new(),
        items: Some(Arc::new(vec![item(n)])),
        now_ms: 1_767_225_600_000,
        what: called(n),
    }
}

fn records(path: &Path) -> Vec<Record> {
    let reader = Reader::open(path).unwrap();
    reader.map(|line| line.unwrap().record).collect()
}

fn judged(records: &[Record]) -> Vec<u64> {
    let numbers = records.iter().filter_map(|record| match record {
        Record::Judged(judged) => Some(judged.n),
        _ => None,
    });
    numbers.collect()
}

fn only(dir: &Path) -> PathBuf {
    let found = files(dir).unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    found[0].clone()
}

#[tokio::test]
async fn what_is_written_is_read_back_with_all_that_it_refers_to() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("tapes");
    let tape = Tape::open(&dir, Options::default()).unwrap();
    let before = snapshot(1, &[("a", "1"), ("b", "2")]);
    let after = snapshot(2, &[("a", "9"), ("c", "3")]);
    let first = tape.take(evaluation(1, &before));
    tape.take(evaluation(2, &after));
    tape.again(&first);
    tape.close().await;

    use std::os::unix::fs::PermissionsExt;
    let file = only(&dir);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&dir), mode(&file)), (0o700, 0o600));

    let records = records(&file);
    let [
        Record::Generation(generation),
        Record::Definition(one),
        Record::Items(items),
        Record::Store(base),
        Record::Judged(first),
        Record::Definition(_),
        Record::Items(_),
        Record::Store(delta),
        Record::Judged(second),
        Record::Again(again),
        Record::Closed(Closed { continued: false }),
    ] = records.as_slice()
    else {
        panic!("{records:#?}");
    };
    assert_eq!(*generation, chain(1, &["p"]));
    assert_eq!(one.text.as_deref(), Some(digest(1).as_str()));
    assert_eq!(items.items, [item(1)]);
    assert_eq!((base.state, base.from, base.version), (0, None, 1));
    assert_eq!((delta.state, delta.from, delta.version), (1, Some(0), 2));
    let changed = |key: &str| delta.changes["directory/p"].get(key).cloned();
    assert_eq!(changed("a"), Some(Some("9".to_owned())));
    assert_eq!(changed("b"), Some(None), "what is gone is told");
    assert_eq!(changed("c"), Some(Some("3".to_owned())));
    assert_eq!((first.n, first.state, first.items), (0, 0, Some(0)));
    assert_eq!((second.n, second.state, second.items), (1, 1, Some(1)));
    assert_eq!(first.what, called(1));
    assert_eq!(again.of, 0);
}

/// A tape of today must be readable tomorrow: another spelling is another format.
#[test]
fn the_spelling_of_format_1_stays() {
    let judged = Record::Judged(Judged {
        n: 3,
        generation: 1,
        state: 2,
        led: Some(Led {
            state: 4,
            version: 5,
        }),
        items: None,
        now_ms: 7,
        what: called(1),
    });
    let text = serde_json::to_string(&judged).unwrap();
    let item = format!(
        r#"{{"kind":"Tool","name":"t1","digest":"{}","labels":[]}}"#,
        digest(1)
    );
    let expected = format!(
        r#"{{"judged":{{"n":3,"generation":1,"state":2,"led":{{"state":4,"version":5}},"now_ms":7,"what":{{"called":{{"context":{{"server":{{"name":"s","standing":"Trusted","labels":[]}},"caller":{{"id":"local","roles":[],"labels":[]}},"labels":[]}},"call":{{"method":"tools/call","item":{item},"target":null,"arguments":"{{\"a\": 1.0}}{c1}","labels":[]}},"listed":true,"answers":[{{"policy":0,"said":{{"Deny":{{"code":"no","reason":"No","remedy":null,"labels":[]}}}}}},{{"policy":1,"failed":{{"hook":"call-gate.check","kind":"trap","detail":"unreachable"}}}}],"refused":{{"decision":"DENIED","code":"no","reason":"No","by":"p"}}}}}}}}}}"#,
        c1 = '\u{9b}'
    );
    assert_eq!(text, expected);
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), judged);
    let others = [
        r#"{"generation":{"id":1,"policies":[{"name":"p","origin":"directory","file":"p.wasm","sha256":"00","mode":"enforce","reuse":1,"replayable":true}]}}"#,
        r#"{"store":{"state":1,"version":2,"from":0,"changes":{"directory/p":{"a":"1","b":null}}}}"#,
        r#"{"definition":{"digest":"1:00","text":null}}"#,
        r#"{"items":{"list":0,"items":[]}}"#,
        r#"{"again":{"of":1,"now_ms":2}}"#,
        r#"{"lost":{"evaluations":3}}"#,
        r#"{"closed":{"continued":true}}"#,
    ];
    for text in others {
        let record: Record = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&record).unwrap(), text);
    }
}

#[tokio::test]
async fn every_file_of_a_long_tape_stands_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        file_bytes: 4096,
        ..Options::default()
    };
    let tape = Tape::open(dir.path(), options).unwrap();
    let ledger = snapshot(1, &[("a", "1")]);
    let first = tape.take(evaluation(1, &ledger));
    for _ in 0..40 {
        tape.take(evaluation(2, &ledger));
    }
    tape.again(&first);
    tape.close().await;
    let mut found = files(dir.path()).unwrap();
    found.reverse();
    assert!(found.len() > 3, "{found:?}");
    let mut numbers = Vec::new();
    let mut before: Option<String> = None;
    for file in &found {
        assert!(file.metadata().unwrap().len() < 16_384, "{file:?}");
        let header = Reader::open(file).unwrap().header().clone();
        assert_eq!(header.continues, before);
        before = file
            .file_name()
            .map(|name| name.to_str().unwrap().to_owned());
        let records = records(file);
        let told = |wanted: fn(&Record) -> bool| records.iter().any(wanted);
        if !judged(&records).is_empty() {
            assert!(told(|record| matches!(record, Record::Generation(_))));
            assert!(told(|record| matches!(record, Record::Store(_))));
            assert!(told(|record| matches!(record, Record::Items(_))));
            assert!(told(|record| matches!(record, Record::Definition(_))));
        }
        numbers.extend(judged(&records));
    }
    // A verdict of the first file that is given again stands in the last one too.
    let expected: Vec<u64> = (0..41).chain([0]).collect();
    assert_eq!(numbers, expected);
}

#[tokio::test]
async fn what_finds_no_room_is_counted_and_never_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        waiting: 2,
        ..Options::default()
    };
    let tape = Tape::open(dir.path(), options).unwrap();
    let ledger = snapshot(1, &[]);
    // All at once: faster than a batch.
    for n in 0..50 {
        tape.take(evaluation(n, &ledger));
    }
    tape.close().await;
    let file = only(dir.path());
    let kept = judged(&records(&file)).len() as u64;
    let told = lost(&file).unwrap();
    assert!(told > 0, "50 found room for 2");
    assert_eq!(kept + told, 50);
    assert_eq!(tape.lost(), told);
}

/// A full disk, or a folder that somebody took away.
#[tokio::test]
async fn what_cannot_be_written_is_counted_and_the_next_file_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let tapes = dir.path().join("tapes");
    let tape = Tape::open(&tapes, Options::default()).unwrap();
    std::fs::remove_dir_all(&tapes).unwrap();
    std::fs::write(&tapes, "in the way").unwrap();
    let ledger = snapshot(1, &[]);
    tape.take(evaluation(1, &ledger));
    crate::tape::tests::until(|| tape.lost() == 1).await;
    std::fs::remove_file(&tapes).unwrap();
    tape.take(evaluation(2, &ledger));
    tape.close().await;
    let file = only(&tapes);
    assert_eq!(lost(&file).unwrap(), 1);
    assert_eq!(judged(&records(&file)), [1]);
}

#[tokio::test]
async fn a_file_that_is_deleted_while_it_is_written_is_followed_by_another() {
    let dir = tempfile::tempdir().unwrap();
    let tape = Tape::open(dir.path(), Options::default()).unwrap();
    let ledger = snapshot(1, &[]);
    std::fs::remove_file(only(dir.path())).unwrap();
    tape.take(evaluation(1, &ledger));
    tape.close().await;
    assert_eq!(judged(&records(&only(dir.path()))), [0]);
}

async fn until(done: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !done() {
        assert!(std::time::Instant::now() < end, "it never came");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A repetition needs the answers to what hooks asked for, also those about nothing.
#[tokio::test]
async fn definitions_that_hooks_asked_for_are_told_even_if_there_were_none() {
    struct None_;
    impl Definitions for None_ {
        fn definition(&self, _: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
            ready(None).boxed()
        }
    }
    let watching = Watching::new(Arc::new(None_));
    let asked = Digest::from_bytes([9; 32]);
    assert_eq!(watching.definition(asked).await, None);
    assert_eq!(watching.read(), Read::from([(asked, None)]));

    let dir = tempfile::tempdir().unwrap();
    let tape = Tape::open(dir.path(), Options::default()).unwrap();
    let mut evaluation = evaluation(1, &snapshot(1, &[]));
    evaluation.read = watching.read();
    tape.take(evaluation);
    tape.close().await;
    let records = records(&only(dir.path()));
    assert!(
        records.contains(&Record::Definition(Definition {
            digest: asked.to_string(),
            text: None,
        })),
        "{records:#?}"
    );
}

const HEADER: &str = r#"{"tape":{"format":1,"witgate":"0.1.0","time":"t","pid":1}}"#;

fn refused(text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    std::fs::write(&path, text).unwrap();
    let read =
        |path: &Path| -> Result<Vec<Line>, super::TapeError> { Reader::open(path)?.collect() };
    let error = read(&path).unwrap_err().to_string();
    error.replace(&dir.path().display().to_string(), "DIR")
}

#[test]
fn a_tape_that_is_damaged_is_refused_with_its_place() {
    for (text, expected) in [
        (String::new(), "the tape DIR/t.jsonl: is empty"),
        (
            "{".to_owned(),
            "the tape DIR/t.jsonl: ends within its first line",
        ),
        ("{}\n".to_owned(), "the tape DIR/t.jsonl: is no tape"),
        (
            "\u{0}\u{1}\n".to_owned(),
            "the tape DIR/t.jsonl: is no tape",
        ),
        (
            "{\"tape\":{\"format\":2,\"more\":[]}}\n".to_owned(),
            "the tape DIR/t.jsonl: has format 2; this witgate reads format 1",
        ),
        (
            format!("{HEADER}\nnonsense\n"),
            "the tape DIR/t.jsonl:2: is no JSON",
        ),
        (
            format!("{HEADER}\n\n"),
            "the tape DIR/t.jsonl:2: is no JSON",
        ),
        (
            format!("{HEADER}\n{{\"new\":{{}}}}\n"),
            "the tape DIR/t.jsonl:2: is no record of a tape: unknown variant `new`",
        ),
        (
            format!("{HEADER}\n{{\"again\":{{\"of\":-1,\"now_ms\":0}}}}\n"),
            "the tape DIR/t.jsonl:2: is no record of a tape: invalid value",
        ),
        (
            format!("{HEADER}\n{HEADER}\n"),
            "the tape DIR/t.jsonl:2: a second header",
        ),
        (
            format!(
                "{HEADER}\n{{\"closed\":{{\"continued\":false}}}}\n{{\"lost\":{{\"evaluations\":1}}}}\n"
            ),
            "the tape DIR/t.jsonl:3: something stands after the record that ends the tape",
        ),
        (
            format!("{HEADER}\n{}\n", "[".repeat(100_000)),
            "the tape DIR/t.jsonl:2: is no JSON: ",
        ),
    ] {
        let error = refused(&text);
        assert!(error.starts_with(expected), "{error}\nexpected {expected}");
    }
}

/// Its process was killed.
#[test]
fn a_last_line_without_its_end_is_not_there_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.jsonl");
    let whole = "{\"lost\":{\"evaluations\":1}}";
    std::fs::write(&path, format!("{HEADER}\n{whole}\n{whole}")).unwrap();
    let mut reader = Reader::open(&path).unwrap();
    let read: Vec<_> = reader.by_ref().map(|line| line.unwrap().number).collect();
    assert_eq!(read, [2]);
    assert!(reader.truncated() && !reader.closed());
    assert_eq!(lost(&path).unwrap(), 1);
}
