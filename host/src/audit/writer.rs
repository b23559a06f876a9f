//! Writes records, off the hot path: they are pushed under a lock, and one thread formats, chains and writes them in
//! batches and binds the head into the ledger.
//!
//! Knows how writing fails and is taken up again. Knows nothing of what a record means.

pub(crate) mod block_on;
mod out;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::line::{Chain, Ended, Header};
use super::{AuditError, Record};
use block_on::block_on;
use out::Out;

use crate::ledger::{AuditHead, Commit, Ledger, Op, now_ms, private};

/// How long records gather before they are written.
const BATCH: Duration = Duration::from_millis(20);
/// How often the head is bound into the ledger while records come.
const BIND_EVERY: Duration = Duration::from_secs(3);
/// How soon a failed write is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// The most records that wait to be written.
pub(super) const MAX_WAITING: usize = 65_536;
/// The most bytes of arguments that wait to be written.
const MAX_WAITING_BYTES: usize = 128 << 20;
/// How many earlier files a header names.
const MAX_FOLLOWS: usize = 32;

/// One process's audit; dropping it has the thread write what is left.
pub(super) struct Handle {
    shared: Arc<Shared>,
    path: PathBuf,
}

struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Whether `problem` holds one: read for every message.
    failing: AtomicBool,
    problem: Mutex<Option<Arc<str>>>,
}

#[derive(Default)]
struct Waiting {
    records: Vec<(u64, Record)>,
    bytes: usize,
    /// Records that found no room.
    lost: u64,
    /// Whether what is here now is the last.
    closing: bool,
    /// Whether the thread has ended.
    closed: bool,
    /// Told when it has.
    closers: Vec<oneshot::Sender<()>>,
}

/// A panic while one of these locks was held left nothing half done: they guard single assignments and pushes.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn set_problem(&self, problem: &str) {
        let mut known = lock(&self.problem);
        if known.as_deref() != Some(problem) {
            tracing::error!("the audit cannot be written: {problem}");
            *known = Some(problem.into());
        }
        self.failing.store(true, Ordering::Release);
    }

    fn clear_problem(&self) {
        if self.failing.load(Ordering::Acquire) {
            tracing::info!("the audit is written again");
            *lock(&self.problem) = None;
            self.failing.store(false, Ordering::Release);
        }
    }
}

impl Handle {
    /// Makes the file and starts the thread, which writes the header first.
    pub(super) fn open(
        dir: &Path,
        ledger: Arc<dyn Ledger>,
        with_arguments: bool,
    ) -> Result<Self, AuditError> {
        private::make_folder(dir).map_err(|error| AuditError::new(dir, error))?;
        let out = Out::make(dir).map_err(|error| AuditError::new(dir, error))?;
        let path = out.path.clone();
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            failing: AtomicBool::new(false),
            problem: Mutex::default(),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            dir: dir.to_owned(),
            ledger,
            with_arguments,
            out: Some(out),
            before: None,
            pending: Vec::new(),
            lost: 0,
            bound: None,
            bind_at: Instant::now(),
        };
        std::thread::Builder::new()
            .name("witgate-audit".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| AuditError::new(dir, error))?;
        Ok(Self { shared, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn record(&self, record: Record) {
        let bytes = record.arguments.as_ref().map_or(0, |text| text.len());
        let mut waiting = lock(&self.shared.waiting);
        if waiting.closing {
            drop(waiting);
            self.shared
                .set_problem("a record came after the audit was closed: it was not kept");
            return;
        }
        if waiting.records.len() >= MAX_WAITING || waiting.bytes + bytes > MAX_WAITING_BYTES {
            waiting.lost += 1;
            drop(waiting);
            self.shared
                .set_problem("too many records wait to be written: the latest were not kept");
            return;
        }
        let first = waiting.records.is_empty();
        waiting.bytes += bytes;
        waiting.records.push((now_ms(), record));
        drop(waiting);
        if first {
            self.shared.wake.notify_one();
        }
    }

    pub(super) fn problem(&self) -> Option<Arc<str>> {
        if self.shared.failing.load(Ordering::Acquire) {
            lock(&self.shared.problem).clone()
        } else {
            None
        }
    }

    /// Returns once the thread has ended.
    pub(super) async fn close(&self) {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = lock(&self.shared.waiting);
            if waiting.closed {
                return;
            }
            waiting.closing = true;
            waiting.closers.push(tell);
        }
        self.shared.wake.notify_one();
        let _ = told.await;
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        lock(&self.shared.waiting).closing = true;
        self.shared.wake.notify_one();
    }
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    dir: PathBuf,
    ledger: Arc<dyn Ledger>,
    with_arguments: bool,
    /// None while another file must be begun.
    out: Option<Out>,
    /// The file that this process wrote before.
    before: Option<String>,
    /// Taken, but not written yet.
    pending: Vec<(u64, Record)>,
    lost: u64,
    /// The last head that the ledger holds.
    bound: Option<AuditHead>,
    /// When the head may be bound again.
    bind_at: Instant,
}

impl Writer {
    fn run(mut self) {
        let mut closing = false;
        loop {
            let retry_at = match self.write(closing) {
                Ok(()) => {
                    self.shared.clear_problem();
                    None
                }
                Err(error) => {
                    self.shared.set_problem(&error.to_string());
                    Some(Instant::now() + RETRY)
                }
            };
            if closing || Instant::now() >= self.bind_at {
                self.bind();
            }
            if closing {
                return self.end();
            }
            closing = self.wait(retry_at);
        }
    }

    /// Waits for records, for the time to try again or to bind, or for the end; takes what has come, unless what was
    /// taken before is not written yet. True if it is the end.
    fn wait(&mut self, retry_at: Option<Instant>) -> bool {
        let shared = Arc::clone(&self.shared);
        let mut waiting = lock(&shared.waiting);
        // A retry has a time of its own, whatever comes.
        let until = retry_at.or_else(|| self.unbound().then_some(self.bind_at));
        while !waiting.closing && (retry_at.is_some() || waiting.records.is_empty()) {
            let Some(until) = until else {
                waiting = shared
                    .wake
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (waiting, _) = shared
                .wake
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if !waiting.closing && !waiting.records.is_empty() && retry_at.is_none() {
            (waiting, _) = shared
                .wake
                .wait_timeout_while(waiting, BATCH, |waiting| !waiting.closing)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if self.pending.is_empty() || waiting.closing {
            self.pending.append(&mut waiting.records);
            waiting.bytes = 0;
            self.lost += std::mem::take(&mut waiting.lost);
        }
        waiting.closing
    }

    fn unbound(&self) -> bool {
        let head = self.out.as_ref().and_then(Out::head);
        head.is_some() && head != self.bound
    }

    /// Writes everything that is pending, and with `closing` the last line; begins a file where there is none, or
    /// where it is not in its place.
    fn write(&mut self, closing: bool) -> io::Result<()> {
        if let Some(out) = self.out.take_if(|out| !out.in_place()) {
            tracing::error!(
                "the audit's file {} was deleted or replaced while it was written: another is begun",
                out.path.display()
            );
            // What it held must not be forgotten with it.
            self.bind_head(out.head());
            self.before = Some(out.name);
        }
        let mut out = match self.out.take() {
            Some(out) => out,
            None => {
                private::make_folder(&self.dir)?;
                Out::make(&self.dir)?
            }
        };
        let mut chain = out.chain;
        let mut lines = Vec::new();
        let formatted = self.format(closing, &mut chain, &mut lines);
        let written = match formatted {
            Ok(()) if lines.is_empty() => Ok(()),
            Ok(()) => out.write(&lines, chain),
            Err(error) => Err(error.into()),
        };
        self.out = Some(out);
        written?;
        self.pending = Vec::new();
        self.lost = 0;
        Ok(())
    }

    fn format(
        &self,
        closing: bool,
        chain: &mut Chain,
        lines: &mut Vec<u8>,
    ) -> serde_json::Result<()> {
        if chain.last.is_none() {
            chain.header(lines, now_ms(), &self.header())?;
        }
        for (at_ms, record) in &self.pending {
            chain.record(lines, *at_ms, record, self.with_arguments)?;
        }
        if self.lost > 0 {
            chain.lost(lines, now_ms(), self.lost)?;
        }
        if closing {
            chain.closed(lines, now_ms())?;
        }
        Ok(())
    }

    fn header(&self) -> Header {
        let heads = block_on(self.ledger.audit_heads());
        if let Err(error) = &heads {
            tracing::warn!("the audit begins without the heads of earlier files: {error}");
        }
        let known = heads.as_ref().ok().map(|heads| heads.len() as u64);
        let mut heads = heads.unwrap_or_default();
        heads.sort_by(|a, b| b.file.cmp(&a.file));
        heads.truncate(MAX_FOLLOWS);
        Header {
            witgate: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            continues: self.before.clone(),
            known,
            follows: heads
                .into_iter()
                .map(|head| Ended {
                    file: head.file,
                    seq: head.seq,
                    head: head.head,
                })
                .collect(),
        }
    }

    /// Binds the head into the ledger, if it moved: what is bound is on the disk.
    fn bind(&mut self) {
        if !self.unbound() {
            return;
        }
        self.bind_at = Instant::now() + BIND_EVERY;
        let Some(out) = &self.out else { return };
        match out.sync() {
            Ok(()) => self.bind_head(out.head()),
            Err(error) => self.shared.set_problem(&error.to_string()),
        }
    }

    fn bind_head(&mut self, head: Option<AuditHead>) {
        let Some(head) = head else { return };
        let commit = Commit::unconditional(vec![Op::AuditHead(head.clone())]);
        match block_on(self.ledger.commit(commit)) {
            Ok(_) => self.bound = Some(head),
            Err(error) => tracing::warn!("the audit's head was not bound into the ledger: {error}"),
        }
    }

    /// Tells those who wait for the end. What comes from now on has nowhere to go.
    fn end(self) {
        let mut waiting = lock(&self.shared.waiting);
        waiting.closed = true;
        for closer in waiting.closers.drain(..) {
            let _ = closer.send(());
        }
    }
}
