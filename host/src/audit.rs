//! The audit: one JSON line per decision, each with the SHA-256 of the one before it.
//!
//! Knows how records are written off the hot path, chained and verified. Knows nothing of how a decision is made.

mod line;
mod tail;
pub(crate) mod time;
mod verify;
pub(crate) mod writer;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use crate::ledger::AuditHead;
use writer::Handle;

/// What was decided about one message. The writer adds `time`, `seq` and `prev`.
#[derive(Debug, Clone, Default)]
pub struct Record {
    /// The chain's generation.
    pub generation: u64,
    /// Who sent the message.
    pub caller: Arc<str>,
    /// The server it was for.
    pub server: Arc<str>,
    /// The method; cut at 200 characters if nobody knows it.
    pub method: String,
    /// The item's kind and name, where the message reaches one.
    pub item: Option<(crate::mcp::ItemKind, Arc<str>)>,
    /// The item's digest, where it was observed.
    pub digest: Option<crate::mcp::Digest>,
    /// The arguments' raw JSON text: its SHA-256 is recorded, and the text itself if so configured.
    pub arguments: Option<Box<str>>,
    /// What came of it.
    pub verdict: Outcome,
    /// Every policy's code, in chain order: (policy, code).
    pub codes: Vec<(Arc<str>, String)>,
    /// The policy that decided, if one did.
    pub decided_by: Option<Arc<str>>,
    /// Microseconds each policy's hook took: (policy, µs).
    pub micros: Vec<(Arc<str>, u32)>,
}

/// What came of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Outcome {
    /// It went on.
    #[default]
    Allowed,
    /// The item is withheld and is not named.
    Filtered,
    /// The item is withheld and may be named.
    Locked,
    /// A policy refused the call.
    Denied,
    /// The call ran; its result was refused.
    Withheld,
    /// A policy failed.
    Error,
    /// The message itself was not understood, or is not let through.
    Refused,
}

impl Outcome {
    /// The word for it in records.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Filtered => "filtered",
            Self::Locked => "locked",
            Self::Denied => "denied",
            Self::Withheld => "withheld",
            Self::Error => "error",
            Self::Refused => "refused",
        }
    }
}

/// Writes the audit of one process. Cheap to clone; recording never waits for the disk.
#[derive(Clone)]
pub struct Audit {
    /// None keeps nothing.
    writing: Option<Arc<Handle>>,
    /// See every record.
    seen_by: Arc<RwLock<Vec<Witness>>>,
}

/// Sees records as they are taken.
type Witness = Box<dyn Fn(&Record) + Send + Sync>;

/// The audit cannot be written or read.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the audit {path}: {detail}")]
pub struct AuditError {
    /// The file or folder.
    pub path: String,
    /// What is wrong, and the mend.
    pub detail: String,
}

impl AuditError {
    fn new(path: &Path, detail: impl std::fmt::Display) -> Self {
        Self {
            path: path.display().to_string(),
            detail: detail.to_string(),
        }
    }
}

impl Audit {
    /// Opens a new file in `dir` for this process; heads are bound into `ledger`. With `with_arguments`, arguments
    /// are recorded and not only their digest.
    pub fn open(
        dir: &Path,
        ledger: Arc<dyn crate::ledger::Ledger>,
        with_arguments: bool,
    ) -> Result<Self, AuditError> {
        let handle = Handle::open(dir, ledger, with_arguments)?;
        Ok(Self {
            writing: Some(Arc::new(handle)),
            seen_by: Arc::default(),
        })
    }

    /// An audit that keeps nothing.
    pub fn off() -> Self {
        Self {
            writing: None,
            seen_by: Arc::default(),
        }
    }

    /// Has `witness` see every record from now on, also where none is kept.
    pub fn shown_to(&self, witness: impl Fn(&Record) + Send + Sync + 'static) {
        let mut all = self.seen_by.write().unwrap_or_else(PoisonError::into_inner);
        all.push(Box::new(witness));
    }

    /// Takes a record; it is written soon, in batches.
    pub fn record(&self, record: Record) {
        for witness in &*self.seen_by.read().unwrap_or_else(PoisonError::into_inner) {
            witness(&record);
        }
        if let Some(handle) = &self.writing {
            handle.record(record);
        }
    }

    /// Why records cannot be written, if they cannot. Those that were taken are kept, as far as there is room, until
    /// they can.
    pub fn problem(&self) -> Option<Arc<str>> {
        self.writing.as_ref()?.problem()
    }

    /// The file of this process, if there is one. Should it be deleted or replaced, records go on in another, whose
    /// header names this one.
    pub fn path(&self) -> Option<&Path> {
        self.writing.as_deref().map(Handle::path)
    }

    /// Writes what is left, binds the last head. Records that come later are not taken.
    pub async fn close(&self) {
        if let Some(handle) = &self.writing {
            handle.close().await;
        }
    }
}

/// What [`verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Report {
    /// How many files there are.
    pub files: u64,
    /// How many records they hold, headers left out.
    pub records: u64,
    /// Records at the ends of files that no head in the ledger covers yet: they are chained, but the very last could
    /// have been edited. A running process binds its last records within seconds; one that was killed never does.
    pub unbound: u64,
    /// The first bad line, if there is one.
    pub bad: Option<Bad>,
}

/// Where the audit is not what was written.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Bad {
    /// The file's name within the audit's folder.
    pub file: String,
    /// The line, from 1; 0 if the file is gone.
    pub line: u64,
    /// What is wrong.
    pub detail: String,
}

/// Checks every file in `dir` against its own chain, against the headers of later files, and against the heads that
/// the ledger holds: finds lines that were edited, deleted, inserted or moved, and files that were cut or are gone.
pub fn verify(dir: &Path, heads: &[AuditHead]) -> Result<Report, AuditError> {
    verify::verify(dir, heads)
}

/// One record, as [`tail`] gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The file's name within the audit's folder.
    pub file: String,
    /// The line, from 1.
    pub number: u64,
    /// When, RFC 3339 in UTC with milliseconds.
    pub time: String,
    /// The record: one JSON object, without the line's end.
    pub text: String,
}

/// The records of all files in `dir` in the order of their times, headers left out. A line that is no record is an
/// error in its place. With `follow` it never ends: it waits for new records, in files that come later too.
pub fn tail(
    dir: &Path,
    follow: bool,
) -> Result<impl Iterator<Item = Result<Line, AuditError>>, AuditError> {
    tail::Tail::new(dir, follow)
}

/// The files of an audit, by name, which is by time. A folder that is not there holds none.
fn files(dir: &Path) -> Result<Vec<String>, AuditError> {
    let failed = |error: std::io::Error| AuditError::new(dir, error);
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        if let Some(name) = name.to_str().filter(|name| name.ends_with(".jsonl")) {
            names.push(name.to_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests;
