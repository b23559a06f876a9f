//! One connection to a ledger's file, used by one thread: reads what others wrote, applies commits, notices loss.
//!
//! Knows transactions and when a snapshot must be read again. Knows no rules of operations.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, TransactionBehavior};

use super::error::Context;
use super::file::{self, Identity};
use super::rows::{self, Head};
use super::schema::{self, Found};
use super::tables::SqlTables;
use super::{Shared, Steps};
use crate::ledger::apply::{self, Touched, World};
use crate::ledger::{AuditHead, Commit, LedgerError, Namespace, Snapshot, StoredPolicy};
use crate::mcp::{Digest, Item, ItemKey};

/// How long a commit waits for other processes' commits.
const COMMIT_PATIENCE: Duration = Duration::from_secs(10);
/// How long one attempt waits before the snapshot is confirmed again in between.
const ATTEMPT: Duration = Duration::from_millis(100);

/// Why a ledger cannot be used any more until the process starts again.
#[derive(Debug, Clone)]
enum Stuck {
    Lost(String),
    Newer { found: u32, known: u32 },
}

/// See the module.
pub(super) struct Store {
    db: Connection,
    path: PathBuf,
    /// The file that was opened, and the one beside it with the latest commits.
    identity: Identity,
    wal: Option<Identity>,
    context: Context,
    steps: Steps,
    read_only: bool,
    /// `PRAGMA data_version` as of the last reading; none if what was read since may not be the latest.
    data_version: Option<i64>,
    stuck: Option<Stuck>,
    snapshot: Arc<Snapshot>,
    /// Where the snapshot is published, once the ledger is open.
    shared: Option<Arc<Shared>>,
    world: fn() -> World,
}

/// What a [`Store`] is opened with.
pub(super) struct Opened {
    pub(super) db: Connection,
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) context: Context,
    pub(super) steps: Steps,
    pub(super) read_only: bool,
    pub(super) world: fn() -> World,
}

impl Store {
    /// Reads the first snapshot.
    pub(super) fn new(opened: Opened) -> Result<Self, LedgerError> {
        let mut store = Self {
            db: opened.db,
            path: opened.path,
            identity: opened.identity,
            wal: None,
            context: opened.context,
            steps: opened.steps,
            read_only: opened.read_only,
            data_version: None,
            stuck: None,
            snapshot: Arc::new(Snapshot::empty("".into())),
            shared: None,
            world: opened.world,
        };
        let data_version = store.read_data_version()?;
        store.snapshot = Arc::new(store.read_snapshot(None)?);
        store.data_version = Some(data_version);
        store.wal = file::identity(&file::wal(&store.path)).unwrap_or(None);
        Ok(store)
    }

    pub(super) fn first_snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot)
    }

    /// From now on every snapshot goes there.
    pub(super) fn publish_to(&mut self, shared: Arc<Shared>) {
        self.shared = Some(shared);
    }

    fn failed(&self, error: rusqlite::Error) -> LedgerError {
        self.context.error(error)
    }

    fn stuck_error(&self, stuck: &Stuck) -> LedgerError {
        match stuck {
            Stuck::Lost(detail) => self.context.lost(detail),
            Stuck::Newer { found, known } => self.context.newer(*found, *known),
        }
    }

    /// For good: what was approved there is not what stands here now.
    fn lose(&mut self, detail: &str) -> LedgerError {
        self.stuck = Some(Stuck::Lost(detail.to_owned()));
        self.context.lost(detail)
    }

    /// Whether the file is still the one that was opened.
    fn check_file(&mut self) -> Result<(), LedgerError> {
        if let Some(stuck) = &self.stuck {
            return Err(self.stuck_error(stuck));
        }
        let look = |path: &Path| {
            file::identity(path).map_err(|error| self.context.unavailable(&error.to_string()))
        };
        let found = look(&self.path)?;
        if found.is_none() {
            return Err(self.lose("its file was deleted or moved away while in use"));
        }
        if found != Some(self.identity) {
            return Err(self.lose("another file was put in its place while in use"));
        }
        let wal = look(&file::wal(&self.path))?;
        if self.wal.is_some() && wal != self.wal {
            return Err(self.lose(
                "the `-wal` file beside it, which holds its latest commits, was deleted or replaced while in use",
            ));
        }
        Ok(())
    }

    fn read_data_version(&self) -> Result<i64, LedgerError> {
        let read = || {
            self.db
                .prepare_cached("PRAGMA data_version")?
                .query_row([], |row| row.get(0))
        };
        read().map_err(|error| self.failed(error))
    }

    /// Whether another process has brought the ledger to a schema that this one does not know.
    fn check_schema(&self, db: &Connection) -> Result<(), LedgerError> {
        match schema::look(db, &self.context, self.steps)? {
            Found::Schema(_) => Ok(()),
            Found::Nothing => Err(self.context.corrupt("it is empty")),
        }
    }

    fn read_snapshot(&self, known: Option<&Snapshot>) -> Result<Snapshot, LedgerError> {
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Deferred)
            .map_err(|error| self.failed(error))?;
        self.check_schema(&transaction)?;
        let head = Head::read(&transaction).map_err(|error| self.failed(error))?;
        rows::snapshot(&transaction, &head, known, &self.context)
    }

    /// Remembers what cannot pass.
    fn note(&mut self, error: LedgerError) -> LedgerError {
        if let LedgerError::Newer { found, known, .. } = error {
            self.stuck = Some(Stuck::Newer { found, known });
        }
        error
    }

    /// Takes over what the database holds, unless it is another ledger or an older copy.
    fn accept(&mut self, snapshot: Arc<Snapshot>) -> Result<(), LedgerError> {
        if snapshot.ledger_id != self.snapshot.ledger_id {
            return Err(self.lose("it has another id: it was overwritten with another ledger"));
        }
        if snapshot.version < self.snapshot.version {
            let detail = format!(
                "it went back from version {} to {}: it was overwritten with an older copy. Restart witgate if that was \
                 meant",
                self.snapshot.version, snapshot.version
            );
            return Err(self.lose(&detail));
        }
        self.snapshot = Arc::clone(&snapshot);
        if let Some(shared) = &self.shared {
            shared.publish(snapshot);
        }
        Ok(())
    }

    /// Finds out whether the snapshot is the latest, and reads what is.
    pub(super) fn poll(&mut self) -> Result<(), LedgerError> {
        let asked = Instant::now();
        self.check_file()?;
        let data_version = self.read_data_version()?;
        if self.data_version != Some(data_version) {
            self.data_version = None;
            let known = Arc::clone(&self.snapshot);
            let snapshot = self
                .read_snapshot(Some(&known))
                .map_err(|error| self.note(error))?;
            self.accept(Arc::new(snapshot))?;
            self.data_version = Some(data_version);
        }
        self.confirmed(asked);
        Ok(())
    }

    fn confirmed(&self, at: Instant) {
        if let Some(shared) = &self.shared {
            shared.confirmed(at);
        }
    }

    pub(super) fn confirm(&mut self) -> Result<Arc<Snapshot>, LedgerError> {
        self.poll()?;
        Ok(Arc::clone(&self.snapshot))
    }

    /// Applies a commit in one transaction. While another process writes, waits for it, and goes on confirming the
    /// snapshot meanwhile.
    pub(super) fn commit(&mut self, commit: &Commit) -> Result<Arc<Snapshot>, LedgerError> {
        if self.read_only {
            return Err(LedgerError::Refused(format!(
                "the ledger {} is open for reading only",
                self.context.location()
            )));
        }
        let patience = Instant::now() + COMMIT_PATIENCE;
        loop {
            self.check_file()?;
            match self.try_commit(commit) {
                Ok(snapshot) => return snapshot,
                Err(error) if is_busy(&error) && Instant::now() < patience => self.poll()?,
                Err(error) => return Err(self.failed(error)),
            }
        }
    }

    /// The outer error is that the transaction did not begin.
    fn try_commit(
        &mut self,
        commit: &Commit,
    ) -> rusqlite::Result<Result<Arc<Snapshot>, LedgerError>> {
        let transaction = Transaction::new_unchecked(&self.db, TransactionBehavior::Immediate)?;
        let began = Instant::now();
        let done = self.within(&transaction, commit);
        let (now, next) = match done {
            Ok(done) => done,
            Err(error) => {
                drop(transaction);
                return Ok(Err(self.note(error)));
            }
        };
        let conflict = commit.based_on.is_some_and(|based| based != now.version);
        let (latest, ended) = match next {
            Some(next) => (Arc::new(next), transaction.commit()),
            None => (now, transaction.rollback()),
        };
        if let Err(error) = ended {
            // It may have been written all the same: read again before anything else is said.
            self.data_version = None;
            return Ok(Err(self.failed(error)));
        }
        if let Err(error) = self.accept(Arc::clone(&latest)) {
            return Ok(Err(error));
        }
        self.confirmed(began);
        Ok(if conflict {
            Err(LedgerError::Conflict { now: latest })
        } else {
            Ok(latest)
        })
    }

    /// What the ledger holds, and what it will hold if the commit is to be written and changes anything.
    fn within(
        &self,
        transaction: &Transaction<'_>,
        commit: &Commit,
    ) -> Result<(Arc<Snapshot>, Option<Snapshot>), LedgerError> {
        self.check_schema(transaction)?;
        let mut head = Head::read(transaction).map_err(|error| self.failed(error))?;
        let now = if *head.id == *self.snapshot.ledger_id && head.version == self.snapshot.version {
            Arc::clone(&self.snapshot)
        } else {
            let known = Some(&*self.snapshot).filter(|known| *head.id == *known.ledger_id);
            Arc::new(rows::snapshot(transaction, &head, known, &self.context)?)
        };
        // A ledger that is not this one any more is not written to: `accept` will say so.
        let same = now.ledger_id == self.snapshot.ledger_id && now.version >= self.snapshot.version;
        if !same || commit.based_on.is_some_and(|based| based != now.version) {
            return Ok((now, None));
        }
        let mut next = Snapshot::clone(&now);
        let mut tables = SqlTables {
            db: transaction,
            context: &self.context,
            version: head.version + 1,
            unpruned: head.unpruned,
        };
        let touched = apply::apply(&commit.ops, &mut next, &mut tables, (self.world)())?;
        if !touched.anything {
            return Ok((now, None));
        }
        head.unpruned = tables.unpruned;
        advance(&mut head, &next, touched);
        head.write(transaction)
            .map_err(|error| self.failed(error))?;
        Ok((now, Some(next)))
    }

    fn query<T>(
        &mut self,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        self.check_file()?;
        read(&self.db).map_err(|error| self.failed(error))
    }

    pub(super) fn definition(&mut self, digest: &Digest) -> Result<Option<Arc<str>>, LedgerError> {
        self.query(|db| {
            db.prepare_cached("SELECT text FROM definitions WHERE digest = ?")?
                .query_row([digest.as_bytes()], |row| row.get(0))
                .optional()
        })
    }

    pub(super) fn sighted(&mut self, server: &str) -> Result<Vec<(Item, u64)>, LedgerError> {
        self.query(|db| {
            let sql = "SELECT kind, name, digest, at_ms FROM sighted WHERE server = ? ORDER BY seq";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([server], |row| {
                let key = ItemKey {
                    kind: rows::kind(row, 0)?,
                    name: row.get(1)?,
                };
                let digest = rows::digest(row, 2)?;
                Ok((Item { key, digest }, rows::uint(row, 3)?))
            })?;
            rows.collect()
        })
    }

    pub(super) fn policies(&mut self) -> Result<Vec<StoredPolicy>, LedgerError> {
        self.query(|db| {
            let sql = "SELECT namespace, file, sha256, sidecar, component FROM policies ORDER BY namespace";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                let namespace: String = row.get(0)?;
                Ok(StoredPolicy {
                    namespace: Namespace::from_stored(&namespace),
                    file: row.get(1)?,
                    sha256: row.get(2)?,
                    sidecar: row.get(3)?,
                    component: row.get::<_, Vec<u8>>(4)?.into(),
                })
            })?;
            rows.collect()
        })
    }

    pub(super) fn audit_heads(&mut self) -> Result<Vec<AuditHead>, LedgerError> {
        self.query(|db| {
            let sql = "SELECT file, seq, head, length FROM audit_heads ORDER BY file";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([], |row| {
                Ok(AuditHead {
                    file: row.get(0)?,
                    seq: rows::uint(row, 1)?,
                    head: row.get(2)?,
                    length: rows::uint(row, 3)?,
                })
            })?;
            rows.collect()
        })
    }
}

/// The ledger's one row as it will be when `next` is written.
fn advance(head: &mut Head, next: &Snapshot, touched: Touched) {
    head.version = next.version;
    head.revision = next.revision;
    for (touched, version) in [
        (touched.facts, &mut head.facts_version),
        (touched.sightings, &mut head.sightings_version),
        (touched.servers, &mut head.servers_version),
        (touched.observers, &mut head.observers_version),
        (touched.notes, &mut head.notes_version),
    ] {
        if touched {
            *version = next.version;
        }
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// Settings of a connection that is open and checked.
pub(super) fn running(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(ATTEMPT)
}
