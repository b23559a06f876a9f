//! Writes a tape off the path of messages: evaluations are pushed under a lock, and one thread formats and writes them
//! in batches.
//!
//! Knows how writing fails: what cannot be kept is counted, and the next file, which begins with everything that it
//! needs, says so. Knows nothing of what an evaluation means.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::file::Out;
use super::record::{Closed, FORMAT, Header, Lost, Record};
use super::reel::{Reel, Unwritable, put};
use super::{Evaluation, TapeError};
use crate::audit::time::{compact, rfc3339};
use crate::config::Lists;
use crate::ledger::{now_ms, private};

/// How long evaluations gather before they are written.
const BATCH: Duration = Duration::from_millis(20);
/// How soon writing is tried again once it failed.
const RETRY: Duration = Duration::from_millis(500);
/// How often the log is told that too much comes.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How many bytes are formatted before they are written.
const FLUSH: usize = 1 << 20;

/// What bounds a tape.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lists of the command line, by server.
    pub flags: Vec<(String, Lists)>,
    /// The most evaluations that wait to be written.
    pub waiting: usize,
    /// The most bytes that wait to be written.
    pub waiting_bytes: usize,
    /// How big a file gets before the next is begun, bytes.
    pub file_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flags: Vec::new(),
            waiting: 32_768,
            waiting_bytes: 128 << 20,
            file_bytes: 64 << 20,
        }
    }
}

/// One process's tape; dropping it has the thread write what is left.
pub(super) struct Handle {
    shared: Arc<Shared>,
    number: AtomicU64,
}

struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    options: Options,
    /// Everything that was ever lost.
    lost: AtomicU64,
}

#[derive(Default)]
struct Waiting {
    queue: Vec<Queued>,
    bytes: usize,
    /// Evaluations that found no room since the thread last looked.
    lost: u64,
    closing: bool,
    closed: bool,
    closers: Vec<oneshot::Sender<()>>,
}

enum Queued {
    Judged(Arc<Evaluation>),
    Again(Arc<Evaluation>, u64),
}

/// A panic while the lock was held left nothing half done: it guards pushes and single assignments.
fn lock(shared: &Shared) -> MutexGuard<'_, Waiting> {
    let waiting = shared.waiting.lock();
    waiting.unwrap_or_else(PoisonError::into_inner)
}

impl Handle {
    pub(super) fn open(dir: &Path, options: Options) -> Result<Self, TapeError> {
        let failed = |error: io::Error| TapeError::new(dir, &error);
        private::make_folder(dir).map_err(failed)?;
        let shared = Arc::new(Shared {
            waiting: Mutex::default(),
            wake: Condvar::new(),
            options,
            lost: AtomicU64::new(0),
        });
        let (time, pid) = (compact(now_ms()), std::process::id());
        let mut writer = Writer {
            shared: Arc::clone(&shared),
            dir: dir.to_owned(),
            run: format!("{time}-{pid}-{:08x}", rand::random::<u32>()),
            parts: 0,
            out: None,
            reel: Reel::default(),
            before: None,
            untold: 0,
            telling: 0,
            failing: false,
            told_at: None,
        };
        writer.begin().map_err(failed)?;
        std::thread::Builder::new()
            .name("witgate-tape".to_owned())
            .spawn(move || writer.run())
            .map_err(failed)?;
        Ok(Self {
            shared,
            number: AtomicU64::new(0),
        })
    }

    pub(super) fn take(&self, mut evaluation: Evaluation) -> Arc<Evaluation> {
        evaluation.number = self.number.fetch_add(1, Ordering::Relaxed);
        let weight = evaluation.what.weight();
        let evaluation = Arc::new(evaluation);
        self.push(Queued::Judged(evaluation.clone()), weight);
        evaluation
    }

    pub(super) fn again(&self, evaluation: &Arc<Evaluation>) {
        self.push(Queued::Again(evaluation.clone(), now_ms()), 64);
    }

    fn push(&self, queued: Queued, weight: usize) {
        let options = &self.shared.options;
        let mut waiting = lock(&self.shared);
        let room = waiting.queue.len() < options.waiting
            && waiting.bytes.saturating_add(weight) <= options.waiting_bytes;
        if !room || waiting.closing {
            waiting.lost += 1;
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let first = waiting.queue.is_empty();
        waiting.bytes += weight;
        waiting.queue.push(queued);
        drop(waiting);
        if first {
            self.shared.wake.notify_one();
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Returns once the thread has ended.
    pub(super) async fn close(&self) {
        let (tell, told) = oneshot::channel();
        {
            let mut waiting = lock(&self.shared);
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
        lock(&self.shared).closing = true;
        self.shared.wake.notify_one();
    }
}

/// The thread.
struct Writer {
    shared: Arc<Shared>,
    dir: PathBuf,
    /// What the names of all files of this process begin with.
    run: String,
    parts: u32,
    /// None while another file must be begun.
    out: Option<Out>,
    reel: Reel,
    /// The file that was written before.
    before: Option<String>,
    /// Evaluations that are lost, and of which no record tells yet.
    untold: u64,
    /// Of those, what a record tells that is not on the disk yet.
    telling: u64,
    /// Whether writing failed when it was last tried.
    failing: bool,
    /// When the log was last told that too much came.
    told_at: Option<Instant>,
}

impl Writer {
    fn run(mut self) {
        loop {
            let (batch, closing) = self.wait();
            let mut left = batch.len() as u64;
            match self.write(batch, &mut left) {
                Ok(()) if self.failing => {
                    tracing::info!("the tape is written again");
                    self.failing = false;
                }
                Ok(()) => {}
                Err(error) => self.lose(left, &error),
            }
            if closing {
                return self.end();
            }
        }
    }

    /// Waits for evaluations or for the end, and takes what has come. True if it is the end.
    fn wait(&mut self) -> (Vec<Queued>, bool) {
        let shared = Arc::clone(&self.shared);
        let mut waiting = lock(&shared);
        let pause = if self.failing { RETRY } else { BATCH };
        while waiting.queue.is_empty() && waiting.lost == 0 && !waiting.closing {
            waiting = shared
                .wake
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        // More come soon; and while nothing can be written, there is no hurry to find out that it still cannot.
        let until = Instant::now() + pause;
        while !waiting.closing {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            (waiting, _) = shared
                .wake
                .wait_timeout(waiting, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        waiting.bytes = 0;
        let lost = std::mem::take(&mut waiting.lost);
        let taken = (std::mem::take(&mut waiting.queue), waiting.closing);
        drop(waiting);
        self.untold += lost;
        let silent = self.told_at.is_none_or(|at| at.elapsed() > TELL_EVERY);
        if lost > 0 && silent && !self.failing {
            self.told_at = Some(Instant::now());
            tracing::error!(
                "the tape has a gap: {lost} evaluations came faster than they could be written"
            );
        }
        taken
    }

    /// Writes a batch. `left` counts down what is not on the disk yet.
    fn write(&mut self, batch: Vec<Queued>, left: &mut u64) -> io::Result<()> {
        if let Some(out) = self.out.take_if(|out| !out.in_place()) {
            tracing::error!(
                "the tape's file {} was deleted or replaced while it was written: another is begun",
                out.name
            );
            self.before = Some(out.name);
        }
        let mut lines = Vec::new();
        let mut formatted = 0;
        for queued in batch {
            if self.out.is_none() {
                self.begin()?;
            }
            self.tell_lost(&mut lines)?;
            let begun = lines.len();
            let done = match &queued {
                Queued::Judged(evaluation) => self.reel.judged(&mut lines, evaluation),
                Queued::Again(evaluation, at_ms) => self.reel.again(&mut lines, evaluation, *at_ms),
            };
            formatted += 1;
            if let Err(error) = done {
                // What it refers to may be half told, so that this file is over.
                lines.truncate(begun);
                self.put(&mut lines, left, &mut formatted)?;
                self.lost(1, &error.to_string());
                self.leave(true)?;
                continue;
            }
            if lines.len() >= FLUSH || self.is_full(lines.len()) {
                self.put(&mut lines, left, &mut formatted)?;
            }
            if self.is_full(0) {
                self.leave(true)?;
            }
        }
        if self.untold > self.telling && self.out.is_none() {
            self.begin()?;
        }
        self.tell_lost(&mut lines)?;
        self.put(&mut lines, left, &mut formatted)
    }

    fn is_full(&self, more: usize) -> bool {
        let limit = self.shared.options.file_bytes;
        let full = |out: &Out| out.length + more as u64 >= limit;
        self.out.as_ref().is_some_and(full)
    }

    /// Writes what is formatted.
    fn put(&mut self, lines: &mut Vec<u8>, left: &mut u64, formatted: &mut u64) -> io::Result<()> {
        if let Some(out) = &mut self.out {
            out.write(lines)?;
        }
        lines.clear();
        *left -= std::mem::take(formatted);
        self.untold -= std::mem::take(&mut self.telling);
        Ok(())
    }

    fn tell_lost(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        let evaluations = self.untold - self.telling;
        if evaluations > 0 {
            put(lines, &Record::<()>::Lost(Lost { evaluations })).map_err(to_io)?;
            self.telling = self.untold;
        }
        Ok(())
    }

    /// Begins a file with its header.
    fn begin(&mut self) -> io::Result<()> {
        private::make_folder(&self.dir)?;
        let name = format!("{}-{:04}.jsonl", self.run, self.parts);
        let mut out = Out::make(&self.dir, name)?;
        self.parts += 1;
        let header = Header {
            format: FORMAT,
            witgate: env!("CARGO_PKG_VERSION").to_owned(),
            time: rfc3339(now_ms()),
            pid: std::process::id(),
            continues: self.before.clone(),
            flags: self.shared.options.flags.clone(),
        };
        let mut line = Vec::new();
        put(&mut line, &Record::<()>::Tape(header)).map_err(to_io)?;
        out.write(&line)?;
        self.reel = Reel::default();
        self.before = Some(out.name.clone());
        self.out = Some(out);
        Ok(())
    }

    /// Writes the last line of a file.
    fn leave(&mut self, continued: bool) -> io::Result<()> {
        let Some(mut out) = self.out.take() else {
            return Ok(());
        };
        let mut line = Vec::new();
        put(&mut line, &Record::<()>::Closed(Closed { continued })).map_err(to_io)?;
        out.write(&line)
    }

    /// Writing failed: what was not written is lost, and the next file begins anew.
    fn lose(&mut self, evaluations: u64, error: &io::Error) {
        self.out = None;
        self.telling = 0;
        self.lost(evaluations, &error.to_string());
        self.failing = true;
    }

    fn lost(&mut self, evaluations: u64, why: &str) {
        self.untold += evaluations;
        self.shared.lost.fetch_add(evaluations, Ordering::Relaxed);
        if !self.failing {
            tracing::error!(
                "the tape has a gap: {evaluations} evaluations cannot be written: {why}"
            );
        }
    }

    fn end(mut self) {
        if let Err(error) = self.leave(false) {
            tracing::error!("the end of the tape cannot be written: {error}");
        }
        let mut waiting = lock(&self.shared);
        waiting.closed = true;
        for closer in waiting.closers.drain(..) {
            let _ = closer.send(());
        }
    }
}

fn to_io(error: Unwritable) -> io::Error {
    match error {
        Unwritable::Json(error) => error.into(),
        error @ Unwritable::TooLong => io::Error::other(error),
    }
}
