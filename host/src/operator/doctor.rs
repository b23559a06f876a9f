//! What is wrong, where, and what mends it.
//!
//! Looks at everything there is, in the order in which it is opened, and goes on where something is broken: a doctor
//! that needs the patient well is none. Writes nothing. Knows nothing of terminals.

mod host;
mod http;
mod servers;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use serde::Serialize;

use super::Operator;
use crate::ledger;
use crate::setup;

/// What a doctor is told.
#[derive(Debug, Clone, Default)]
pub struct Visit {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state`.
    pub state: Option<String>,
}

/// What was found.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// Whether nothing is wrong; warnings leave it true.
    pub ok: bool,
    /// The configuration.
    pub config: ConfigReport,
    /// The ledger.
    pub ledger: LedgerReport,
    /// The policies in force, in order.
    pub policies: Vec<PolicyReport>,
    /// The audit.
    pub audit: AuditReport,
    /// The tapes.
    pub tape: TapeReport,
    /// The servers.
    pub servers: Vec<ServerReport>,
    /// Everything that is wrong, or may be.
    pub problems: Vec<Problem>,
}

/// Something wrong. Texts may quote what servers wrote: escape them before a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Whether it makes the report not ok.
    pub severity: Severity,
    /// What is wrong.
    pub what: String,
    /// A file, a policy, a server, an entry.
    #[serde(rename = "where")]
    pub place: String,
    /// The command or the edit that mends it.
    pub mend: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something is closed that should be open, or not guarded that should be.
    Error,
    /// Something the operator may have meant.
    Warning,
}

/// The configuration.
#[derive(Debug, Default, Serialize)]
pub struct ConfigReport {
    /// Where it is, or would be.
    pub path: String,
    /// Whether a file is there.
    pub present: bool,
    /// Whether it can be used.
    pub ok: bool,
}

/// The ledger.
#[derive(Debug, Default, Serialize)]
pub struct LedgerReport {
    /// Where it is, or will be.
    pub location: String,
    /// Whether there is one.
    pub present: bool,
    /// Whether it can be used.
    pub ok: bool,
    /// Its id.
    pub id: Option<String>,
    /// Its revision.
    pub revision: Option<u64>,
    /// Bytes on disk, the write-ahead log included.
    pub bytes: Option<u64>,
    /// How long ago it was last known to be the latest, milliseconds.
    pub age_ms: Option<u64>,
}

/// A policy in force.
#[derive(Debug, Serialize)]
pub struct PolicyReport {
    /// Its name.
    pub name: String,
    /// `builtin`, `configuration` or `directory`.
    pub origin: &'static str,
    /// Where it was loaded from.
    pub file: String,
    /// SHA-256 of the component.
    pub sha256: String,
    /// Whether its verdicts bind.
    pub enforced: bool,
    /// Whether older bytes are in force than its file should give.
    pub last_good: bool,
    /// What came of its latest change.
    pub outcome: &'static str,
    /// How many running gates have the same bytes in force.
    pub gates: usize,
}

/// The audit.
#[derive(Debug, Default, Serialize)]
pub struct AuditReport {
    /// Its folder.
    pub path: String,
    /// Whether decisions are recorded.
    pub enabled: bool,
    /// Files in the folder.
    pub files: u64,
    /// Records in them.
    pub records: u64,
    /// Whether every record is as it was written.
    pub ok: bool,
}

/// The tapes.
#[derive(Debug, Default, Serialize)]
pub struct TapeReport {
    /// Their folder.
    pub path: String,
    /// Whether new ones are written.
    pub enabled: bool,
    /// Files in the folder.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Messages that the latest of them say could not be recorded.
    pub lost: u64,
}

/// A server.
#[derive(Debug, Serialize)]
pub struct ServerReport {
    /// Its name.
    pub name: String,
    /// Its standing.
    pub standing: crate::ledger::Standing,
    /// Items shown now.
    pub items: usize,
    /// Entries that wait for a person.
    pub waiting: usize,
    /// Items whose definition keeps changing.
    pub varying: Vec<Varying>,
}

/// An item whose definition keeps changing.
#[derive(Debug, Serialize)]
pub struct Varying {
    /// The kind's word.
    pub kind: &'static str,
    /// The item's name, as the server wrote it.
    pub name: String,
    /// How many digests it showed.
    pub digests: usize,
    /// The JSON paths that differ between them.
    pub paths: Vec<String>,
}

impl Report {
    fn error(
        &mut self,
        what: impl Into<String>,
        place: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(Severity::Error, what.into(), place.into(), mend.into());
    }

    fn warn(&mut self, what: impl Into<String>, place: impl Into<String>, mend: impl Into<String>) {
        self.add(Severity::Warning, what.into(), place.into(), mend.into());
    }

    fn add(&mut self, severity: Severity, what: String, place: String, mend: String) {
        let problem = Problem {
            severity,
            what,
            place,
            mend,
        };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}

/// Looks at everything.
pub async fn examine(visit: &Visit) -> Report {
    let mut report = Report::default();
    let config = host::config(visit, &mut report);
    let places = setup::places(&config, visit.state.as_deref());
    let ledger = host::ledger(&config, &places, &mut report).await;
    // Building a chain keeps the bytes of new policies: not in the ledger that is only looked at.
    let scratch = ledger::in_memory_over(Arc::clone(&ledger));
    let policies = host::policies(&config, &places, &scratch, &mut report).await;
    host::audit(&config, &places, &*ledger, &mut report).await;
    host::tapes(&config, &places, &mut report);
    http::examine(&config, &*ledger, &mut report);
    let operator = Operator::new(&policies, Arc::clone(&ledger), String::new());
    servers::examine(&config, &operator, &ledger, &mut report).await;
    let wrong = |problem: &Problem| problem.severity == Severity::Error;
    report.ok = !report.problems.iter().any(wrong);
    report
}
