//! Ledgers as earlier versions of witgate left them, one of each schema: every later version opens them.

use super::*;

fn golden(schema: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/golden")
        .join(format!("ledger-v{schema}.db"))
}

/// Run once for a new schema, by name with `--ignored`, before its first release; never for one that was released.
#[tokio::test]
#[ignore = "writes the golden ledger of the present schema"]
async fn write_the_golden_ledger() {
    let place = Place::new();
    let ledger = place.open().await;
    apply(&ledger, everything()).await;
    drop(ledger);
    let target = golden(u32::try_from(schema::STEPS.len()).unwrap());
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    assert!(!target.exists(), "a golden ledger is never written again");
    std::fs::copy(place.file(), target).unwrap();
}

#[tokio::test]
async fn the_ledger_of_schema_1_opens() {
    let place = Place::new();
    private::make_folder(place.file().parent().unwrap()).unwrap();
    std::fs::copy(golden(1), place.file()).unwrap();
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(place.file(), private).unwrap();

    let ledger = place.open().await;
    let snapshot = ledger.snapshot();
    assert_eq!((snapshot.version, snapshot.revision), (1, 1));
    let approved = snapshot.value(&policy(), "item/a");
    assert_eq!(approved, Some("{\"approved\":[]}"));
    assert_eq!(snapshot.value(&policy(), "item/\u{202e}\0 é"), Some(""));
    assert_eq!(snapshot.value(&policy(), "sighting/a"), Some("1"));
    assert_eq!(snapshot.notes["config"], "/x");
    let server = &snapshot.servers["s"];
    assert_eq!(server.identity.as_deref(), Some("[\"c\"]"));
    assert_eq!(server.first_seen_ms, 5);
    let standing = server.standing.as_ref().unwrap();
    assert_eq!(standing.standing, Standing::Quarantined);
    let ids: Vec<&str> = snapshot.observers.iter().map(|o| &*o.id).collect();
    assert_eq!(ids, ["o", "d"]);
    let reading = snapshot.observers[0].observation.as_deref();
    assert_eq!(reading, Some(&observation(9, vec![tool("t", 1)])));
    let definition = ledger.definition(digest(1)).await.unwrap();
    assert_eq!(definition.as_deref(), Some("{\"n\":1.0}"));
    let sighted = ledger.sighted("s".to_owned()).await.unwrap();
    assert_eq!(sighted, [(tool("t", 1), 9)]);
    let policies = ledger.policies().await.unwrap();
    assert_eq!(policies, [stored_policy("p", b"\0asm")]);
    assert_eq!(ledger.audit_heads().await.unwrap(), [head("f", 3)]);
    apply(&ledger, vec![note("n", Some("it can be written"))]).await;
}
