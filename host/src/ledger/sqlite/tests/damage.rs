//! A ledger that is lost, broken, foreign or newer: refused with a clear error, and never replaced.

use super::*;

/// The files in the ledger's folder, with their bytes.
fn folder(place: &Place) -> Vec<(PathBuf, Vec<u8>)> {
    let all = std::fs::read_dir(place.file().parent().unwrap()).unwrap();
    let mut all: Vec<_> = all
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    all.sort();
    all
}

/// A ledger that was in use and is closed.
async fn used() -> Place {
    let place = Place::new();
    apply(&place.open().await, everything()).await;
    place
}

#[track_caller]
fn assert_lost(error: &LedgerError, place: &Place, what: &str) {
    let text = error.to_string();
    assert!(matches!(error, LedgerError::Lost { .. }), "{text}");
    assert!(text.contains(what), "{text}");
    assert!(
        text.contains(&place.marker().display().to_string()),
        "{text}"
    );
}

/// From now on every operation says that the ledger is lost, and the snapshot ages.
async fn assert_stays_lost(ledger: &Arc<dyn Ledger>, place: &Place, what: &str) {
    assert_lost(&ledger.confirm().await.err().unwrap(), place, what);
    let ops = vec![keep("item/b", Some("1"))];
    let commit = ledger.commit(Commit::unconditional(ops)).await;
    assert_lost(&commit.err().unwrap(), place, what);
    assert_lost(
        &ledger.definition(digest(1)).await.err().unwrap(),
        place,
        what,
    );
    assert_lost(&ledger.policies().await.err().unwrap(), place, what);
    assert_lost(&ledger.audit_heads().await.err().unwrap(), place, what);
    assert_lost(
        &ledger.sighted("s".into()).await.err().unwrap(),
        place,
        what,
    );
    let aged = || ledger.age() > Duration::from_millis(400);
    eventually("the snapshot ages", aged).await;
}

#[tokio::test]
async fn deleted_before_a_start_it_is_lost_and_no_first_start() {
    let place = used().await;
    std::fs::remove_file(place.file()).unwrap();
    assert_lost(&place.error().await, &place, "no such file");
    let reading = place.try_open(OpenMode::ReadOnly).await;
    assert_lost(&reading.err().unwrap(), &place, "no such file");
    assert!(folder(&place).is_empty());
    // The mend that the error names.
    std::fs::remove_file(place.marker()).unwrap();
    assert!(place.open().await.snapshot().facts.is_empty());
}

#[tokio::test]
async fn emptied_before_a_start_it_is_lost() {
    let place = used().await;
    std::fs::write(place.file(), b"").unwrap();
    assert_lost(&place.error().await, &place, "nothing is in it");
    assert_eq!(folder(&place), [(place.file(), vec![])]);
}

#[tokio::test]
async fn another_ledger_in_its_place_is_no_substitute() {
    let (place, other) = (used().await, used().await);
    std::fs::copy(other.file(), place.file()).unwrap();
    assert_lost(&place.error().await, &place, "id");
    let reading = place.try_open(OpenMode::ReadOnly).await;
    assert_lost(&reading.err().unwrap(), &place, "id");
}

/// A home directory that moved to a new machine without its configuration.
#[tokio::test]
async fn a_ledger_without_a_marker_is_accepted_and_remembered() {
    let place = used().await;
    std::fs::remove_file(place.marker()).unwrap();
    let reader = place.try_open(OpenMode::ReadOnly).await.unwrap().unwrap();
    assert_eq!(reader.snapshot().value(&policy(), "sighting/a"), Some("1"));
    drop(reader);
    assert!(!place.marker().exists(), "reading remembers nothing");
    drop(place.open().await);
    std::fs::remove_file(place.file()).unwrap();
    assert_lost(&place.error().await, &place, "no such file");
}

/// A process that was killed between making the file and writing its tables.
#[tokio::test]
async fn an_empty_file_that_nobody_used_is_a_first_start() {
    let place = Place::new();
    private::make_folder(place.file().parent().unwrap()).unwrap();
    drop(private::make_file(&place.file()).unwrap());
    assert!(place.try_open(OpenMode::ReadOnly).await.unwrap().is_none());
    apply(&place.open().await, everything()).await;
}

#[tokio::test]
async fn deleted_while_in_use_it_is_lost_for_good() {
    let place = Place::new();
    let ledger = place.open().await;
    let before = contents(&apply(&ledger, everything()).await);
    let bytes = std::fs::read(place.file()).unwrap();
    std::fs::remove_file(place.file()).unwrap();
    assert_stays_lost(&ledger, &place, "deleted").await;
    std::fs::write(place.file(), bytes).unwrap();
    assert_stays_lost(&ledger, &place, "deleted").await;
    assert_eq!(contents(&ledger.snapshot()), before);
}

#[tokio::test]
async fn replaced_while_in_use_it_is_lost() {
    let place = Place::new();
    let ledger = place.open().await;
    apply(&ledger, everything()).await;
    let other = used().await;
    std::fs::rename(other.file(), place.file()).unwrap();
    assert_stays_lost(&ledger, &place, "another file").await;
}

#[tokio::test]
async fn robbed_of_its_latest_commits_it_is_lost() {
    let place = Place::new();
    let ledger = place.open().await;
    apply(&ledger, everything()).await;
    std::fs::remove_file(super::super::file::wal(&place.file())).unwrap();
    assert_stays_lost(&ledger, &place, "-wal").await;
}

#[tokio::test]
async fn set_back_while_in_use_it_is_lost() {
    let place = Place::new();
    let ledger = place.open().await;
    apply(&ledger, everything()).await;
    apply(&ledger, vec![keep("item/a", None)]).await;
    place
        .raw()
        .execute_batch("UPDATE ledger SET version = 1")
        .unwrap();
    let ops = vec![keep("item/b", Some("1"))];
    let commit = ledger.commit(Commit::unconditional(ops)).await;
    assert_lost(&commit.err().unwrap(), &place, "older copy");
    assert_stays_lost(&ledger, &place, "older copy").await;
    let head = "SELECT version FROM ledger";
    let version: i64 = place.raw().query_row(head, [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1, "nothing was written to it");
}

async fn assert_corrupt(place: &Place, what: &str) {
    let before = folder(place);
    for mode in [OpenMode::CreateIfFirst, OpenMode::ReadOnly] {
        let error = place.try_open(mode).await.err().unwrap();
        let text = error.to_string();
        assert!(matches!(error, LedgerError::Corrupt { .. }), "{text}");
        assert!(text.contains(what), "{text}");
        assert!(text.contains(&place.file().display().to_string()), "{text}");
    }
    assert_eq!(folder(place), before, "left as it is");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left() {
    let place = used().await;
    std::fs::write(
        place.file(),
        b"my shopping list, of more than one hundred bytes: ".repeat(9),
    )
    .unwrap();
    assert_corrupt(&place, "not a database").await;
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left() {
    let place = Place::new();
    private::make_folder(place.file().parent().unwrap()).unwrap();
    place.raw().execute_batch("CREATE TABLE mine (x)").unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(place.file(), private).unwrap();
    assert_corrupt(&place, "not a ledger of witgate").await;
}

#[tokio::test]
async fn a_cut_or_scribbled_file_is_refused_and_left() {
    let place = used().await;
    let bytes = std::fs::read(place.file()).unwrap();
    std::fs::write(place.file(), &bytes[..bytes.len() / 2]).unwrap();
    assert_corrupt(&place, "").await;
    let mut scribbled = bytes.clone();
    for byte in &mut scribbled[8192..12288] {
        *byte = 0xa5;
    }
    std::fs::write(place.file(), scribbled).unwrap();
    assert_corrupt(&place, "").await;
}

/// B23: a row that this version does not understand is not passed over.
#[tokio::test]
async fn a_row_that_cannot_be_understood_is_refused_and_left() {
    for (table, damage) in [
        ("facts", "UPDATE facts SET value = CAST(x'ff' AS TEXT)"),
        ("observers", "UPDATE observers SET observation = '{}'"),
        (
            "observers",
            "UPDATE observers SET observation = replace(observation, 'tool', 'spell')",
        ),
        ("servers", "UPDATE servers SET first_seen_ms = -1"),
        (
            "servers",
            "PRAGMA ignore_check_constraints = 1; UPDATE servers SET standing = 'beloved'",
        ),
    ] {
        let place = used().await;
        place.raw().execute_batch(damage).unwrap();
        assert_corrupt(&place, table).await;
    }
    let place = used().await;
    place.raw().execute_batch("DROP TABLE notes").unwrap();
    assert_corrupt(&place, "notes").await;
}

/// The same under a running gate: the last good snapshot stays, and ages.
#[tokio::test]
async fn a_row_that_goes_bad_while_in_use_closes_until_it_is_mended() {
    let place = Place::new();
    let ledger = place.open().await;
    let before = contents(&apply(&ledger, everything()).await);
    let set = |standing: &str| {
        place
            .raw()
            .execute_batch(&format!(
                "PRAGMA ignore_check_constraints = 1; UPDATE servers SET standing = '{standing}'; \
                 UPDATE ledger SET version = version + 1, servers_version = version + 1"
            ))
            .unwrap();
    };
    set("beloved");
    let error = ledger.confirm().await.err().unwrap();
    assert!(matches!(error, LedgerError::Corrupt { .. }), "{error}");
    let aged = || ledger.age() > Duration::from_millis(400);
    eventually("the snapshot ages", aged).await;
    assert_eq!(contents(&ledger.snapshot()), before);
    set("trusted");
    let mended = ledger.confirm().await.unwrap();
    let standing = mended.servers["s"].standing.as_ref().unwrap();
    assert_eq!(standing.standing, Standing::Trusted);
}

const TWO_STEPS: Steps = &[
    schema::STEPS[0],
    "ALTER TABLE notes ADD COLUMN since_ms INTEGER NOT NULL DEFAULT 0;",
];

async fn open_newer(place: &Place, mode: OpenMode) -> Result<Option<Arc<dyn Ledger>>, LedgerError> {
    open_as(&place.url(), &place.marker(), mode, TWO_STEPS, World::now).await
}

#[tokio::test]
async fn an_earlier_schema_is_brought_up_to_date() {
    let place = used().await;
    let before = contents(&place.open().await.snapshot());
    let reading = open_newer(&place, OpenMode::ReadOnly).await.err().unwrap();
    assert!(reading.to_string().contains("schema 1"), "{reading}");
    let ledger = open_newer(&place, OpenMode::CreateIfFirst).await;
    let ledger = ledger.unwrap().unwrap();
    assert_eq!(contents(&ledger.snapshot()), before);
    apply(&ledger, vec![note("n", Some("x"))]).await;
    let since: i64 = place
        .raw()
        .query_row("SELECT since_ms FROM notes WHERE key = 'n'", [], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(since, 0);
}

#[track_caller]
fn assert_newer(error: &LedgerError) {
    let text = error.to_string();
    assert!(
        matches!(
            error,
            LedgerError::Newer {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{text}"
    );
}

#[tokio::test]
async fn a_newer_schema_is_refused_at_the_start_and_left() {
    let place = used().await;
    drop(open_newer(&place, OpenMode::CreateIfFirst).await.unwrap());
    let before = folder(&place);
    assert_newer(&place.error().await);
    let reading = place.try_open(OpenMode::ReadOnly).await;
    assert_newer(&reading.err().unwrap());
    assert_eq!(folder(&place), before);
}

#[tokio::test]
async fn a_newer_schema_met_while_running_closes() {
    let place = Place::new();
    let ledger = place.open().await;
    apply(&ledger, everything()).await;
    drop(open_newer(&place, OpenMode::CreateIfFirst).await.unwrap());
    let ops = vec![keep("item/b", Some("1"))];
    let commit = ledger.commit(Commit::unconditional(ops)).await;
    assert_newer(&commit.err().unwrap());
    assert_newer(&ledger.confirm().await.err().unwrap());
    assert_newer(&ledger.definition(digest(1)).await.err().unwrap());
    let aged = || ledger.age() > Duration::from_millis(400);
    eventually("the snapshot ages", aged).await;
}

#[tokio::test]
async fn a_broken_marker_is_an_error_that_names_it() {
    let place = used().await;
    for broken in ["", "{", "[]", "{\"sqlite:/x\": {\"id\": 1}}"] {
        std::fs::write(place.marker(), broken).unwrap();
        let text = place.error().await.to_string();
        assert!(
            text.contains(&place.marker().display().to_string()),
            "{text}"
        );
        assert_eq!(std::fs::read_to_string(place.marker()).unwrap(), broken);
    }
}

#[tokio::test]
async fn a_marker_remembers_every_ledger() {
    let (place, mut other) = (used().await, Place::new());
    // Another ledger under the same configuration.
    let url = other.url();
    let opened = open(&url, &place.marker(), OpenMode::CreateIfFirst).await;
    drop(opened.unwrap());
    drop(place.open().await);
    std::fs::remove_file(other.file()).unwrap();
    let opened = open(&url, &place.marker(), OpenMode::CreateIfFirst).await;
    assert_lost(&opened.err().unwrap(), &place, "no such file");
    other = used().await;
    drop(other.open().await);
}

#[tokio::test]
async fn a_ledger_that_others_can_write_is_refused() {
    let place = used().await;
    let open_to_all = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(place.file(), open_to_all).unwrap();
    let text = place.error().await.to_string();
    assert!(text.contains("chmod go-rwx"), "{text}");
}

#[tokio::test]
async fn a_url_of_another_kind_is_refused() {
    let place = Place::new();
    for url in ["postgres://localhost/witgate", "", "sqlite:", "sqlite://x"] {
        let opened = open(url, &place.marker(), OpenMode::CreateIfFirst).await;
        let text = opened.err().unwrap().to_string();
        assert!(text.contains("sqlite:PATH"), "{text}");
    }
    assert!(!place.marker().exists());
}
