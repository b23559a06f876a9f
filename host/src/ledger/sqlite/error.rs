//! What SQLite's errors mean for a ledger.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::ledger::LedgerError;

/// What errors name: where the ledger is, and what remembers it.
#[derive(Debug, Clone)]
pub(super) struct Context {
    location: String,
    marker: PathBuf,
}

impl Context {
    pub(super) fn new(path: &Path, marker: &Path) -> Self {
        Self {
            location: path.display().to_string(),
            marker: marker.to_owned(),
        }
    }

    pub(super) fn location(&self) -> &str {
        &self.location
    }

    /// A row or page that cannot be read is corruption; anything else may pass.
    pub(super) fn error(&self, error: rusqlite::Error) -> LedgerError {
        use rusqlite::Error as E;
        let corrupt = match &error {
            // `SQLITE_ERROR` is a statement that does not fit the tables: they are not those of this schema.
            E::SqliteFailure(failure, _) => {
                matches!(
                    failure.code,
                    ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase
                ) || failure.extended_code == rusqlite::ffi::SQLITE_ERROR
            }
            E::SqlInputError { .. }
            | E::FromSqlConversionFailure(..)
            | E::IntegralValueOutOfRange(..)
            | E::Utf8Error(..)
            | E::InvalidColumnType(..)
            | E::QueryReturnedNoRows => true,
            _ => false,
        };
        if corrupt {
            self.corrupt(&error.to_string())
        } else {
            self.unavailable(&error.to_string())
        }
    }

    pub(super) fn corrupt(&self, detail: &str) -> LedgerError {
        LedgerError::Corrupt {
            location: self.location.clone(),
            detail: detail.to_owned(),
        }
    }

    pub(super) fn unavailable(&self, detail: &str) -> LedgerError {
        LedgerError::Unavailable {
            location: self.location.clone(),
            detail: detail.to_owned(),
        }
    }

    pub(super) fn lost(&self, detail: &str) -> LedgerError {
        LedgerError::Lost {
            location: self.location.clone(),
            detail: detail.to_owned(),
            marker: self.marker.display().to_string(),
        }
    }

    pub(super) fn newer(&self, found: u32, known: u32) -> LedgerError {
        LedgerError::Newer {
            location: self.location.clone(),
            found,
            known,
        }
    }
}
