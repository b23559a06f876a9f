//! Rows as the ledger's types, and back.
//!
//! A row that says what this version cannot understand is an error that names it: what a ledger holds is never
//! dropped for being odd.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rusqlite::{Connection, Row, types::Type};
use serde::{Deserialize, Serialize};

use super::error::Context;
use crate::ledger::apply::Unpruned;
use crate::ledger::{
    LedgerError, Namespace, Observation, Observer, ServerRecord, Snapshot, Standing, StandingRecord,
};
use crate::mcp::{Digest, Item, ItemKey, ItemKind};

/// SQLite's integers are signed: a number beyond them is kept as the largest.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column that cannot be negative.
pub(super) fn uint(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A column that holds text of some form.
fn parsed<T, E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    column: usize,
    result: Result<T, E>,
) -> rusqlite::Result<T> {
    result.map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, error.into())
    })
}

pub(super) fn kind(row: &Row<'_>, column: usize) -> rusqlite::Result<ItemKind> {
    let word: String = row.get(column)?;
    parsed(column, kind_of(&word))
}

fn kind_of(word: &str) -> Result<ItemKind, String> {
    ItemKind::from_word(word).ok_or_else(|| format!("`{word}` is no kind of item"))
}

pub(super) fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    Ok(Digest::from_bytes(row.get(column)?))
}

/// The one row of table `ledger`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) revision: u64,
    pub(super) facts_version: u64,
    pub(super) sightings_version: u64,
    pub(super) servers_version: u64,
    pub(super) observers_version: u64,
    pub(super) notes_version: u64,
    pub(super) unpruned: Unpruned,
}

impl Head {
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT id, version, revision, facts_version, sightings_version, servers_version, \
                   observers_version, notes_version, unpruned_count, unpruned_bytes FROM ledger";
        db.prepare_cached(sql)?.query_row([], |row| {
            Ok(Self {
                id: row.get(0)?,
                version: uint(row, 1)?,
                revision: uint(row, 2)?,
                facts_version: uint(row, 3)?,
                sightings_version: uint(row, 4)?,
                servers_version: uint(row, 5)?,
                observers_version: uint(row, 6)?,
                notes_version: uint(row, 7)?,
                unpruned: Unpruned {
                    count: uint(row, 8)?,
                    bytes: uint(row, 9)?,
                },
            })
        })
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let sql = "UPDATE ledger SET version = ?, revision = ?, facts_version = ?, sightings_version = ?, \
                   servers_version = ?, observers_version = ?, notes_version = ?, unpruned_count = ?, \
                   unpruned_bytes = ?";
        db.prepare_cached(sql)?.execute([
            int(self.version),
            int(self.revision),
            int(self.facts_version),
            int(self.sightings_version),
            int(self.servers_version),
            int(self.observers_version),
            int(self.notes_version),
            int(self.unpruned.count),
            int(self.unpruned.bytes),
        ])?;
        Ok(())
    }
}

/// The snapshot that the database holds, in a transaction that the caller has begun. What has not changed since
/// `known` is taken from there.
pub(super) fn snapshot(
    db: &Connection,
    head: &Head,
    known: Option<&Snapshot>,
    context: &Context,
) -> Result<Snapshot, LedgerError> {
    fn part<T>(
        changed: u64,
        known: Option<&Snapshot>,
        of: impl Fn(&Snapshot) -> &Arc<T>,
        name: &str,
        read: impl FnOnce() -> rusqlite::Result<T>,
        context: &Context,
    ) -> Result<Arc<T>, LedgerError> {
        match known {
            Some(known) if changed <= known.version => Ok(Arc::clone(of(known))),
            _ => read()
                .map(Arc::new)
                .map_err(|error| in_table(context, name, error)),
        }
    }
    Ok(Snapshot {
        ledger_id: head.id.as_str().into(),
        revision: head.revision,
        version: head.version,
        facts: part(
            head.facts_version,
            known,
            |s| &s.facts,
            "facts",
            || {
                values(
                    db,
                    "SELECT namespace, key, value FROM facts ORDER BY namespace, key",
                )
            },
            context,
        )?,
        sightings: part(
            head.sightings_version,
            known,
            |s| &s.sightings,
            "sightings",
            || {
                values(
                    db,
                    "SELECT namespace, key, value FROM sightings ORDER BY namespace, key",
                )
            },
            context,
        )?,
        servers: part(
            head.servers_version,
            known,
            |s| &s.servers,
            "servers",
            || servers(db),
            context,
        )?,
        observers: part(
            head.observers_version,
            known,
            |s| &s.observers,
            "observers",
            || observers(db, known),
            context,
        )?,
        notes: part(
            head.notes_version,
            known,
            |s| &s.notes,
            "notes",
            || {
                let mut statement = db.prepare_cached("SELECT key, value FROM notes")?;
                statement
                    .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            },
            context,
        )?,
    })
}

fn in_table(context: &Context, table: &str, error: rusqlite::Error) -> LedgerError {
    match context.error(error) {
        LedgerError::Corrupt { location, detail } => LedgerError::Corrupt {
            location,
            detail: format!("table `{table}`: {detail}"),
        },
        other => other,
    }
}

fn values(
    db: &Connection,
    sql: &str,
) -> rusqlite::Result<HashMap<Namespace, BTreeMap<String, String>>> {
    let mut all: HashMap<Namespace, BTreeMap<String, String>> = HashMap::new();
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query([])?;
    // Rows come one namespace after the other.
    let mut current: Option<(Namespace, BTreeMap<String, String>)> = None;
    while let Some(row) = rows.next()? {
        let namespace = parsed(0, row.get_ref(0)?.as_str())?;
        match &mut current {
            Some((known, keys)) if known.as_str() == namespace => {
                keys.insert(row.get(1)?, row.get(2)?);
            }
            _ => {
                let keys = BTreeMap::from([(row.get(1)?, row.get(2)?)]);
                let before = current.replace((Namespace::from_stored(namespace), keys));
                all.extend(before);
            }
        }
    }
    all.extend(current);
    Ok(all)
}

fn servers(db: &Connection) -> rusqlite::Result<BTreeMap<String, ServerRecord>> {
    let mut statement = db.prepare_cached(
        "SELECT name, first_seen_ms, identity, standing, standing_actor, standing_at_ms FROM servers",
    )?;
    let rows = statement.query_map([], |row| {
        let standing: Option<String> = row.get(3)?;
        let standing = match standing.as_deref() {
            None => None,
            Some(word) => Some(StandingRecord {
                standing: parsed(3, standing_of(word))?,
                actor: row.get(4)?,
                at_ms: uint(row, 5)?,
            }),
        };
        let record = ServerRecord {
            standing,
            identity: row.get(2)?,
            first_seen_ms: uint(row, 1)?,
        };
        Ok((row.get(0)?, record))
    })?;
    rows.collect()
}

/// The word of a standing in the ledger.
pub(super) fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Trusted => "trusted",
        Standing::Quarantined => "quarantined",
    }
}

fn standing_of(word: &str) -> Result<Standing, String> {
    match word {
        "trusted" => Ok(Standing::Trusted),
        "quarantined" => Ok(Standing::Quarantined),
        _ => Err(format!("`{word}` is no standing")),
    }
}

fn observers(db: &Connection, known: Option<&Snapshot>) -> rusqlite::Result<Vec<Observer>> {
    let mut statement = db.prepare_cached(
        "SELECT id, version, server, pid, pid_start, ended, observation FROM observers ORDER BY place",
    )?;
    let rows = statement.query_map([], |row| {
        let id: String = row.get(0)?;
        let version = uint(row, 1)?;
        // A row that has not changed since `known` holds the reading that is parsed there already.
        let parsed_before = known
            .filter(|known| version <= known.version)
            .and_then(|known| known.observers.iter().find(|o| o.id == id));
        let observation = match (parsed_before, row.get_ref(6)?.as_str_or_null()) {
            (Some(before), _) => before.observation.clone(),
            (None, text) => match parsed(6, text)? {
                None => None,
                Some(text) => Some(Arc::new(parsed(6, observation_from(text))?)),
            },
        };
        let pid_start: Option<i64> = row.get(4)?;
        Ok(Observer {
            server: row.get(2)?,
            pid: row.get(3)?,
            pid_start: match pid_start {
                None => None,
                Some(_) => Some(uint(row, 4)?),
            },
            ended: row.get(5)?,
            observation,
            id,
        })
    })?;
    rows.collect()
}

/// A reading as it is written: one JSON object.
#[derive(Serialize, Deserialize)]
struct StoredObservation {
    at_ms: u64,
    complete: Vec<String>,
    items: Vec<(String, String, String)>,
    malformed: Vec<(String, String)>,
}

pub(super) fn observation_text(observation: &Observation) -> serde_json::Result<String> {
    let complete = observation.complete.iter();
    let items = observation.items.iter();
    let malformed = observation.malformed.iter();
    serde_json::to_string(&StoredObservation {
        at_ms: observation.at_ms,
        complete: complete.map(|kind| kind.word().to_owned()).collect(),
        items: items
            .map(|item| {
                (
                    item.key.kind.word().to_owned(),
                    item.key.name.to_string(),
                    item.digest.to_string(),
                )
            })
            .collect(),
        malformed: malformed
            .map(|(kind, what)| (kind.word().to_owned(), what.clone()))
            .collect(),
    })
}

fn observation_from(text: &str) -> Result<Observation, String> {
    let stored: StoredObservation =
        serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(Observation {
        at_ms: stored.at_ms,
        complete: stored
            .complete
            .iter()
            .map(|word| kind_of(word))
            .collect::<Result<_, _>>()?,
        items: stored
            .items
            .iter()
            .map(|(kind, name, digest)| {
                Ok(Item {
                    key: ItemKey {
                        kind: kind_of(kind)?,
                        name: name.as_str().into(),
                    },
                    digest: digest
                        .parse()
                        .map_err(|error: crate::mcp::DigestError| error.to_string())?,
                })
            })
            .collect::<Result<_, String>>()?,
        malformed: stored
            .malformed
            .into_iter()
            .map(|(kind, what)| Ok((kind_of(&kind)?, what)))
            .collect::<Result<_, String>>()?,
    })
}
