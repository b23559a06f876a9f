//! The tables of a ledger in SQLite, and how they came to be.
//!
//! A schema is the sum of the steps up to its number. Steps are never changed once released: a change is a new step,
//! additive where it can be, and `tests/golden` keeps a file of every schema to open.

use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::error::Context;
use crate::ledger::LedgerError;

/// What SQLite's header says of a file that is a ledger: `wgtl`. See `PRAGMA application_id`.
pub(super) const APPLICATION_ID: i32 = i32::from_be_bytes(*b"wgtl");

/// Step n leads from schema n to schema n + 1.
pub(super) const STEPS: &[&str] = &[STEP_1];

/// Numbers count up from 1, and only with the ledger's: `version` says up to which commit a row or a part is as it
/// was, so that readers fetch what is newer than what they have.
const STEP_1: &str = "
CREATE TABLE ledger (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id TEXT NOT NULL,
    made_ms INTEGER NOT NULL,
    version INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    facts_version INTEGER NOT NULL,
    sightings_version INTEGER NOT NULL,
    servers_version INTEGER NOT NULL,
    observers_version INTEGER NOT NULL,
    notes_version INTEGER NOT NULL,
    unpruned_count INTEGER NOT NULL,
    unpruned_bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE facts (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE sightings (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (namespace, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE servers (
    name TEXT NOT NULL PRIMARY KEY,
    first_seen_ms INTEGER NOT NULL,
    identity TEXT,
    standing TEXT CHECK (standing IN ('trusted', 'quarantined')),
    standing_actor TEXT,
    standing_at_ms INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE observers (
    place INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    server TEXT NOT NULL,
    pid INTEGER NOT NULL,
    pid_start INTEGER,
    ended INTEGER NOT NULL CHECK (ended IN (0, 1)),
    observation TEXT
) STRICT;
CREATE TABLE notes (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE definitions (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    kind TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    pinned_ms INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;
CREATE TABLE sighted (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    server TEXT NOT NULL,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    digest BLOB NOT NULL CHECK (length(digest) = 32),
    at_ms INTEGER NOT NULL,
    UNIQUE (server, kind, name, digest)
) STRICT;
CREATE INDEX sighted_by_server ON sighted (server, seq);
CREATE TABLE policies (
    namespace TEXT NOT NULL PRIMARY KEY,
    file TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    sidecar TEXT,
    component BLOB NOT NULL
) STRICT;
CREATE TABLE audit_heads (
    file TEXT NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    head TEXT NOT NULL,
    length INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing: no table, no version.
    Nothing,
    /// A ledger of this schema or an earlier one.
    Schema(u32),
}

/// Looks at what a database is; refuses another program's, and a later schema than `steps` lead to.
pub(super) fn look(
    db: &Connection,
    context: &Context,
    steps: &[&str],
) -> Result<Found, LedgerError> {
    let pragma = |name: &str| -> Result<i32, LedgerError> {
        db.pragma_query_value(None, name, |row| row.get(0))
            .map_err(|error| context.error(error))
    };
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| context.error(error))?;
    if application == 0 && version == 0 && tables == 0 {
        return Ok(Found::Nothing);
    }
    if application != APPLICATION_ID || version < 1 {
        return Err(context.corrupt("it is an SQLite database, but not a ledger of witgate"));
    }
    let found = u32::try_from(version).unwrap_or(0);
    let known = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(context.newer(found, known));
    }
    Ok(Found::Schema(found))
}

/// Brings a database to the last schema of `steps`, in one transaction; `first` writes the first rows of a new
/// ledger in it. Another process may do the same at the same time: one of them finds it done.
pub(super) fn migrate(
    db: &mut Connection,
    context: &Context,
    steps: &[&str],
    first: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
) -> Result<(), LedgerError> {
    let transaction = db
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(|error| context.error(error))?;
    let found = look(&transaction, context, steps)?;
    let done = match found {
        Found::Nothing => 0,
        Found::Schema(schema) => schema as usize,
    };
    let moved: rusqlite::Result<()> = (|| {
        for step in &steps[done..] {
            transaction.execute_batch(step)?;
        }
        if found == Found::Nothing {
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            first(&transaction)?;
        }
        if done < steps.len() {
            transaction.pragma_update(None, "user_version", steps.len() as i64)?;
        }
        transaction.commit()
    })();
    moved.map_err(|error| context.error(error))
}
