//! What only a ledger in a file must do: outlive a process, be shared, be found lost or broken.

#![allow(clippy::unwrap_used)]

mod damage;
mod equal;
mod golden;
mod processes;

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::*;
use crate::ledger::tests::*;
use crate::ledger::{Op, Standing};

/// Where a ledger and its marker are, in a folder that goes away.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("state/ledger.db")
    }

    fn marker(&self) -> PathBuf {
        self.dir.path().join("config/ledgers.json")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.file().display())
    }

    async fn try_open(&self, mode: OpenMode) -> Result<Option<Arc<dyn Ledger>>, LedgerError> {
        open(&self.url(), &self.marker(), mode).await
    }

    async fn open(&self) -> Arc<dyn Ledger> {
        self.try_open(OpenMode::CreateIfFirst)
            .await
            .unwrap()
            .unwrap()
    }

    async fn error(&self) -> LedgerError {
        self.try_open(OpenMode::CreateIfFirst).await.err().unwrap()
    }

    /// A connection beside the ledger's own.
    fn raw(&self) -> Connection {
        Connection::open(self.file()).unwrap()
    }
}

async fn apply(ledger: &Arc<dyn Ledger>, ops: Vec<Op>) -> Arc<Snapshot> {
    ledger.commit(Commit::unconditional(ops)).await.unwrap()
}

/// Waits until something holds that another thread brings about; gives up after ten seconds.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < give_up, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// For the suite: a new ledger each time, in a folder that is left to the system's temporary folder.
struct InFile(Place);

impl Opener for InFile {
    fn open(&self) -> Arc<dyn Ledger> {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let (url, marker) = (self.0.url(), self.0.marker());
        std::thread::spawn(move || {
            let opened = runtime
                .unwrap()
                .block_on(open(&url, &marker, OpenMode::CreateIfFirst));
            opened.unwrap().unwrap()
        })
        .join()
        .unwrap()
    }
}

suite::run_on!(in_file, InFile(Place::new()));

fn everything() -> Vec<Op> {
    vec![
        keep("item/a", Some("{\"approved\":[]}")),
        keep("item/\u{202e}\0 é", Some("")),
        keep("sighting/a", Some("1")),
        note("config", Some("/x")),
        define(1, "{\"n\":1.0}"),
        identity("s", "[\"c\"]", 5),
        standing("s", Some(Standing::Quarantined), 6),
        begins("o", "s"),
        observed("o", 9, vec![tool("t", 1)]),
        begins_dead("d", "s", Some(3)),
        Op::PolicyInForce(stored_policy("p", b"\0asm")),
        Op::AuditHead(head("f", 3)),
    ]
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let place = Place::new();
    let ledger = place.open().await;
    let before = contents(&apply(&ledger, everything()).await);
    let id = Arc::clone(&ledger.snapshot().ledger_id);
    drop(ledger);
    assert!(
        !super::file::wal(&place.file()).exists(),
        "the last to close leaves one file"
    );
    let ledger = place.open().await;
    assert_eq!(contents(&ledger.snapshot()), before);
    assert_eq!(ledger.snapshot().ledger_id, id);
    let definition = ledger.definition(digest(1)).await.unwrap();
    assert_eq!(definition.as_deref(), Some("{\"n\":1.0}"));
    let sighted = ledger.sighted("s".to_owned()).await.unwrap();
    assert_eq!(sighted, [(tool("t", 1), 9)]);
    assert_eq!(
        ledger.policies().await.unwrap(),
        [stored_policy("p", b"\0asm")]
    );
    assert_eq!(ledger.audit_heads().await.unwrap(), [head("f", 3)]);
}

#[tokio::test]
async fn what_it_makes_is_for_the_user_alone() {
    let place = Place::new();
    let ledger = place.open().await;
    apply(&ledger, everything()).await;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.file()), 0o600);
    assert_eq!(mode(&super::file::wal(&place.file())), 0o600);
    assert_eq!(mode(place.file().parent().unwrap()), 0o700);
    assert_eq!(mode(&place.marker()), 0o600);
    assert_eq!(mode(place.marker().parent().unwrap()), 0o700);
}

/// An operator's command in another process: a running gate notices by itself.
#[tokio::test]
async fn what_others_commit_is_noticed() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    let mut revisions = one.revisions();
    revisions.mark_unchanged();

    apply(&two, vec![keep("sighting/a", Some("1"))]).await;
    let seen = || one.snapshot().value(&policy(), "sighting/a") == Some("1");
    eventually("the sighting is seen", seen).await;
    assert!(!revisions.has_changed().unwrap());

    apply(&two, everything()).await;
    tokio::time::timeout(Duration::from_secs(10), revisions.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(contents(&one.snapshot()), contents(&two.snapshot()));

    apply(&one, vec![keep("item/a", None)]).await;
    let confirmed = two.confirm().await.unwrap();
    assert_eq!(confirmed.value(&policy(), "item/a"), None);
    assert_eq!(contents(&confirmed), contents(&one.snapshot()));
}

#[tokio::test]
async fn a_part_that_did_not_change_is_not_read_again() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    apply(&two, everything()).await;
    let before = one.confirm().await.unwrap();
    apply(&two, vec![note("n", Some("x"))]).await;
    let after = one.confirm().await.unwrap();
    assert!(Arc::ptr_eq(&before.facts, &after.facts));
    assert!(Arc::ptr_eq(&before.observers, &after.observers));
    assert!(!Arc::ptr_eq(&before.notes, &after.notes));
    apply(&two, vec![begins("o2", "s")]).await;
    let after = one.confirm().await.unwrap();
    let reading = |snapshot: &Snapshot| {
        let observer = snapshot.observers.iter().find(|o| o.id == "o");
        Arc::clone(observer.unwrap().observation.as_ref().unwrap())
    };
    assert!(Arc::ptr_eq(&reading(&before), &reading(&after)));
}

#[tokio::test]
async fn a_commit_based_on_what_another_process_changed_conflicts() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    let old = one.snapshot();
    apply(&two, vec![note("n", Some("x"))]).await;
    let late = Commit::based_on(&old, vec![keep("item/a", Some("1"))]);
    match one.commit(late).await {
        Err(LedgerError::Conflict { now }) => {
            assert_eq!(now.notes.get("n").map(String::as_str), Some("x"));
            assert_eq!(contents(&now), contents(&one.snapshot()));
        }
        other => panic!("{other:?}"),
    }
}

/// Another process that writes for long must not make this one's snapshot look stale.
#[tokio::test]
async fn a_commit_waits_for_a_writer_and_goes_on_confirming() {
    let place = Place::new();
    let ledger = place.open().await;
    let raw = place.raw();
    raw.execute_batch("BEGIN IMMEDIATE").unwrap();
    let waiting = {
        let ledger = Arc::clone(&ledger);
        tokio::spawn(async move { apply(&ledger, vec![keep("item/a", Some("1"))]).await })
    };
    for _ in 0..8 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(!waiting.is_finished());
    }
    let fresh = || ledger.age() < Duration::from_millis(700);
    eventually("it is confirmed while it waits", fresh).await;
    assert!(!waiting.is_finished());
    raw.execute_batch("ROLLBACK").unwrap();
    let snapshot = waiting.await.unwrap();
    assert_eq!(snapshot.value(&policy(), "item/a"), Some("1"));
}

#[tokio::test]
async fn of_many_first_starts_one_makes_the_ledger() {
    let place = Place::new();
    let opened = futures_util::future::join_all((0..8).map(|_| place.open())).await;
    let first = &opened[0].snapshot().ledger_id;
    assert!(opened.iter().all(|l| l.snapshot().ledger_id == *first));
}

#[tokio::test]
async fn for_reading_nothing_is_made_and_nothing_written() {
    let place = Place::new();
    let opened = place.try_open(OpenMode::ReadOnly).await.unwrap();
    assert!(opened.is_none());
    assert_eq!(std::fs::read_dir(place.dir.path()).unwrap().count(), 0);

    let writer = place.open().await;
    let before = contents(&apply(&writer, everything()).await);
    let reader = place.try_open(OpenMode::ReadOnly).await.unwrap().unwrap();
    assert_eq!(contents(&reader.snapshot()), before);
    let refused = reader.commit(Commit::unconditional(vec![note("n", Some("x"))]));
    let error = refused.await.err().unwrap();
    assert!(error.to_string().contains("reading only"), "{error}");
    apply(&writer, vec![note("n", Some("x"))]).await;
    assert_eq!(reader.confirm().await.unwrap().notes["n"], "x");

    drop((writer, reader));
    let bytes = std::fs::read(place.file()).unwrap();
    let reader = place.try_open(OpenMode::ReadOnly).await.unwrap().unwrap();
    assert_eq!(reader.snapshot().notes["n"], "x");
    drop(reader);
    assert_eq!(std::fs::read(place.file()).unwrap(), bytes);
    assert_eq!(
        std::fs::read_dir(place.file().parent().unwrap())
            .unwrap()
            .count(),
        1
    );
}

/// The clock of the test below, milliseconds.
static CLOCK: AtomicU64 = AtomicU64::new(0);

fn by_the_clock() -> World {
    World {
        now_ms: CLOCK.load(Ordering::SeqCst),
        alive: |_| true,
    }
}

/// A server whose descriptions carry the time: what nothing refers to any more goes, all else stays.
#[tokio::test]
async fn definitions_that_nothing_refers_to_go() {
    use crate::ledger::{PRUNE_AFTER, PRUNE_GRACE_MS, memory::Memory};
    let place = Place::new();
    let (url, marker) = (place.url(), place.marker());
    let mode = OpenMode::CreateIfFirst;
    let in_file = open_as(&url, &marker, mode, schema::STEPS, by_the_clock);
    let in_memory = Memory::new(Snapshot::empty("m".into()), by_the_clock, None);
    let both: [Arc<dyn Ledger>; 2] = [in_file.await.unwrap().unwrap(), Arc::new(in_memory)];
    for ledger in both {
        CLOCK.store(1_000_000, Ordering::SeqCst);
        let approved = format!("{{\"approved\":[\"{}\"]}}", digest(1));
        let lately = digest(2).to_string();
        let ops = vec![
            define(1, "approved"),
            define(2, "lately seen"),
            define(3, "nobody wants it"),
            define(4, "sighted once"),
            keep("item/a", Some(&approved)),
            keep("sighting/a", Some(&lately)),
            begins("o", "s"),
            observed("o", 1, vec![tool("first", 4)]),
        ];
        apply(&ledger, ops).await;
        for n in 100..100 + PRUNE_AFTER {
            CLOCK.fetch_add(1, Ordering::SeqCst);
            let shown = observed("o", n, vec![tool("clock", n)]);
            apply(&ledger, vec![define(n, "at some time"), shown]).await;
        }
        // All came within the grace: nothing has gone yet.
        let held = async |n: u64| ledger.definition(digest(n)).await.unwrap().is_some();
        assert!(held(3).await && held(102).await);
        CLOCK.fetch_add(PRUNE_GRACE_MS, Ordering::SeqCst);
        let again = 1000 + PRUNE_AFTER;
        for n in 1000..again {
            let shown = observed("o", n, vec![tool("clock", n)]);
            apply(&ledger, vec![define(n, "at some time"), shown]).await;
        }
        for wanted in [1, 2, 4, 100, again - 16, again - 1] {
            assert!(held(wanted).await, "{wanted}");
        }
        for gone in [3, 101, 99 + PRUNE_AFTER] {
            assert!(!held(gone).await, "{gone}");
        }
    }
}

/// A flood within the grace is bounded by its bytes.
#[tokio::test]
async fn of_a_flood_of_definitions_the_latest_stay() {
    use crate::ledger::{PRUNE_GRACE_BYTES, memory::Memory};
    let fixed = || World {
        now_ms: 1_000_000,
        alive: |_| true,
    };
    let place = Place::new();
    let (url, marker) = (place.url(), place.marker());
    let mode = OpenMode::CreateIfFirst;
    let in_file = open_as(&url, &marker, mode, schema::STEPS, fixed);
    let in_memory = Memory::new(Snapshot::empty("m".into()), fixed, None);
    let both: [Arc<dyn Ledger>; 2] = [in_file.await.unwrap().unwrap(), Arc::new(in_memory)];
    let text = "x".repeat(4 << 20);
    let within = PRUNE_GRACE_BYTES / text.len() as u64;
    for ledger in both {
        for n in 0..4 * within {
            apply(&ledger, vec![define(n, &text)]).await;
        }
        let mut held = 0;
        for n in 0..4 * within {
            held += u64::from(ledger.definition(digest(n)).await.unwrap().is_some());
        }
        assert!(held >= within && held < 2 * within, "{held}");
        let latest = ledger.definition(digest(4 * within - 1)).await.unwrap();
        assert!(latest.is_some());
    }
}
