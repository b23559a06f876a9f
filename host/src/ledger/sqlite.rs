//! The ledger in SQLite: one file, in WAL mode, shared by every witgate process of the user.
//!
//! One thread owns the connection: it answers commands and asks the database a few times a second whether another
//! process has committed. Readers of the snapshot touch neither. Knows how a file is opened, made and found to be
//! lost; knows no rules of operations.

mod error;
mod file;
mod rows;
mod schema;
mod store;
mod tables;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::{oneshot, watch};

use super::apply::World;
use super::marker::{Marker, Remembered};
use super::{AuditHead, Commit, Ledger, LedgerError, OpenMode, Snapshot, StoredPolicy, private};
use crate::mcp::{Digest, Item};
use error::Context;
use store::{Opened, Store};

/// How often the database is asked whether another process has committed.
const POLL: Duration = Duration::from_millis(150);
/// How long opening waits for other processes that open or recover the same file.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

/// The steps that lead to the latest schema.
type Steps = &'static [&'static str];

/// What the thread tells everybody else.
struct Shared {
    snapshot: ArcSwap<Snapshot>,
    revisions: watch::Sender<u64>,
    beginning: Instant,
    /// When the snapshot was last known to be the latest: microseconds since `beginning`.
    confirmed: AtomicU64,
}

impl Shared {
    fn publish(&self, snapshot: Arc<Snapshot>) {
        let revision = snapshot.revision;
        self.snapshot.store(snapshot);
        self.revisions.send_if_modified(|known| {
            let moved = *known != revision;
            *known = revision;
            moved
        });
    }

    fn confirmed(&self, at: Instant) {
        let since = at.saturating_duration_since(self.beginning).as_micros();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.confirmed.store(since, Ordering::Release);
    }
}

/// A command to the thread.
type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// See the module.
struct Sqlite {
    /// None once the ledger is being dropped.
    jobs: Option<mpsc::Sender<Job>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    shared: Arc<Shared>,
    location: String,
}

/// Opens the ledger at `url`: see [`super::open`].
pub(super) async fn open(
    url: &str,
    marker: &Path,
    mode: OpenMode,
) -> Result<Option<Arc<dyn Ledger>>, LedgerError> {
    open_as(url, marker, mode, schema::STEPS, World::now).await
}

/// As [`open`], of another schema or in another world.
async fn open_as(
    url: &str,
    marker: &Path,
    mode: OpenMode,
    steps: Steps,
    world: fn() -> World,
) -> Result<Option<Arc<dyn Ledger>>, LedgerError> {
    let unavailable = |detail: String| LedgerError::Unavailable {
        location: url.to_owned(),
        detail,
    };
    let path = file::path_of(url).map_err(unavailable)?;
    let location = path.display().to_string();
    let marker = marker.to_owned();
    let (jobs, commands) = mpsc::channel::<Job>();
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new()
        .name("witgate-ledger".to_owned())
        .spawn(move || {
            let opened = open_store(path, &marker, mode, steps, world);
            match opened {
                Ok(Some(mut store)) => {
                    let snapshot = store.first_snapshot();
                    let shared = Arc::new(Shared {
                        revisions: watch::Sender::new(snapshot.revision),
                        snapshot: ArcSwap::new(snapshot),
                        beginning: Instant::now(),
                        confirmed: AtomicU64::new(0),
                    });
                    store.publish_to(Arc::clone(&shared));
                    if tell.send(Ok(Some(shared))).is_ok() {
                        serve(&mut store, &commands);
                    }
                }
                Ok(None) => drop(tell.send(Ok(None))),
                Err(error) => drop(tell.send(Err(error))),
            }
        })
        .map_err(|error| unavailable(error.to_string()))?;
    let shared = told
        .await
        .map_err(|_| unavailable("its thread stopped while it was opened".to_owned()))??;
    Ok(shared.map(|shared| -> Arc<dyn Ledger> {
        Arc::new(Sqlite {
            jobs: Some(jobs),
            thread: Mutex::new(Some(thread)),
            shared,
            location,
        })
    }))
}

/// The thread: commands as they come, a poll in between.
fn serve(store: &mut Store, commands: &mpsc::Receiver<Job>) {
    let mut next = Instant::now() + POLL;
    let mut failing = false;
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        match commands.recv_timeout(wait) {
            Ok(job) => job(store),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        if Instant::now() >= next {
            let polled = store.poll();
            if let (Err(error), false) = (&polled, failing) {
                tracing::error!("{error}");
            }
            failing = polled.is_err();
            next = Instant::now() + POLL;
        }
    }
}

/// Finds out what stands at `path` and what is remembered of it, and opens or makes it accordingly.
fn open_store(
    path: PathBuf,
    marker_path: &Path,
    mode: OpenMode,
    steps: Steps,
    world: fn() -> World,
) -> Result<Option<Store>, LedgerError> {
    let create = mode == OpenMode::CreateIfFirst;
    let context = Context::new(&path, marker_path);
    let unavailable = |error: std::io::Error| context.unavailable(&error.to_string());
    let url = format!("sqlite:{}", path.display());
    // Held until the ledger is open, so that of two first starts the second finds what the first made.
    let marker = Marker::lock(marker_path, create)?;
    let remembered = marker.get(&url)?;

    let found = file::identity(&path).map_err(unavailable)?;
    match (found, &remembered) {
        (None, Some(_)) => return Err(context.lost("there is no such file")),
        (None, None) if !create => return Ok(None),
        (None, None) => {
            private::make_folder(private::folder_of(&path)).map_err(unavailable)?;
            match private::make_file(&path) {
                Ok(file) => drop(file),
                // Another process with another marker was faster.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        (Some(_), _) => file::check_private(&path).map_err(|what| context.unavailable(&what))?,
    }
    let identity = file::identity(&path).map_err(unavailable)?;
    let mut db = connect(&path).map_err(|error| context.error(error))?;
    let Some(identity) = identity.filter(|_| file::identity(&path).is_ok_and(|i| i == identity))
    else {
        return Err(context.unavailable("its file was replaced while it was opened: try again"));
    };

    match schema::look(&db, &context, steps)? {
        schema::Found::Nothing if remembered.is_some() => {
            return Err(context.lost("the file is there, but nothing is in it"));
        }
        schema::Found::Nothing if !create => return Ok(None),
        schema::Found::Schema(schema) if !create && (schema as usize) < steps.len() => {
            return Err(context.unavailable(&format!(
                "it has schema {schema}, of an earlier witgate, and is open for reading only: `witgate server list` \
                 brings it up to date",
            )));
        }
        _ => {}
    }
    if create {
        make_ready(&mut db, &context, steps)?;
    } else {
        db.pragma_update(None, "query_only", true)
            .map_err(|error| context.error(error))?;
    }
    quick_check(&db, &context)?;
    store::running(&db).map_err(|error| context.error(error))?;

    let store = Store::new(Opened {
        db,
        path,
        identity,
        context,
        steps,
        read_only: !create,
        world,
    })?;
    let id = store.first_snapshot().ledger_id.to_string();
    match remembered {
        Some(remembered) if remembered.id == id => {}
        Some(_) => {
            let context = Context::new(Path::new(&url["sqlite:".len()..]), marker_path);
            return Err(
                context.lost("another ledger stands there: its id is not the one remembered")
            );
        }
        None if create => {
            if found.is_some() {
                tracing::warn!(
                    "the ledger {} was not in use with this configuration before: it is from now on",
                    &url["sqlite:".len()..]
                );
            }
            let since_ms = super::now_ms();
            marker.put(&url, Remembered { id, since_ms })?;
        }
        None => {}
    }
    Ok(Some(store))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(OPEN_PATIENCE)?;
    db.set_prepared_statement_cache_capacity(64);
    // What is in the file is not trusted to call functions, and pages are checked as they are read.
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(db)
}

/// WAL mode and the latest schema.
fn make_ready(db: &mut Connection, context: &Context, steps: Steps) -> Result<(), LedgerError> {
    let mode: String = db
        .pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))
        .map_err(|error| context.error(error))?;
    if !mode.eq_ignore_ascii_case("wal") {
        return Err(context.unavailable(
            "SQLite cannot keep it in WAL mode there: put it on a local disk with `--state`",
        ));
    }
    db.pragma_update(None, "journal_size_limit", 8 << 20)
        .map_err(|error| context.error(error))?;
    let latest = u32::try_from(steps.len()).unwrap_or(u32::MAX);
    if schema::look(db, context, steps)? == schema::Found::Schema(latest) {
        return Ok(());
    }
    schema::migrate(db, context, steps, |transaction| {
        let id = hex::encode(rand::random::<[u8; 16]>());
        transaction.execute(
            "INSERT INTO ledger VALUES (1, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
            rusqlite::params![id, rows::int(super::now_ms())],
        )?;
        Ok(())
    })
}

fn quick_check(db: &Connection, context: &Context) -> Result<(), LedgerError> {
    let found: String = db
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| context.error(error))?;
    if found == "ok" {
        Ok(())
    } else {
        Err(context.corrupt(&found))
    }
}

impl Sqlite {
    /// Has the thread do something with the store.
    fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<T, LedgerError> + Send + 'static,
    ) -> BoxFuture<'_, Result<T, LedgerError>> {
        let (tell, told) = oneshot::channel();
        let job: Job = Box::new(move |store| drop(tell.send(job(store))));
        let sent = self.jobs.as_ref().map(|jobs| jobs.send(job));
        async move {
            let stopped = || LedgerError::Unavailable {
                location: self.location.clone(),
                detail: "its thread has stopped: restart witgate".to_owned(),
            };
            match sent {
                Some(Ok(())) => told.await.map_err(|_| stopped())?,
                _ => Err(stopped()),
            }
        }
        .boxed()
    }
}

impl Ledger for Sqlite {
    fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot.load_full()
    }

    fn age(&self) -> Duration {
        let confirmed = Duration::from_micros(self.shared.confirmed.load(Ordering::Acquire));
        self.shared.beginning.elapsed().saturating_sub(confirmed)
    }

    fn confirm(&self) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>> {
        self.ask(Store::confirm)
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Arc<Snapshot>, LedgerError>> {
        self.ask(move |store| store.commit(&commit))
    }

    fn definition(&self, digest: Digest) -> BoxFuture<'_, Result<Option<Arc<str>>, LedgerError>> {
        self.ask(move |store| store.definition(&digest))
    }

    fn sighted(&self, server: String) -> BoxFuture<'_, Result<Vec<(Item, u64)>, LedgerError>> {
        self.ask(move |store| store.sighted(&server))
    }

    fn policies(&self) -> BoxFuture<'_, Result<Vec<StoredPolicy>, LedgerError>> {
        self.ask(Store::policies)
    }

    fn audit_heads(&self) -> BoxFuture<'_, Result<Vec<AuditHead>, LedgerError>> {
        self.ask(Store::audit_heads)
    }

    fn revisions(&self) -> watch::Receiver<u64> {
        self.shared.revisions.subscribe()
    }

    fn location(&self) -> String {
        self.location.clone()
    }
}

/// Waits for the connection to close: the last one to close writes the `-wal` file back into the ledger, so that a
/// copy of the one file is whole.
impl Drop for Sqlite {
    fn drop(&mut self) {
        self.jobs = None;
        let thread = self
            .thread
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
