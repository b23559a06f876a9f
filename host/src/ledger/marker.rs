//! The marker: a file beside the configuration that remembers which ledgers were in use, by place and id, so that a
//! ledger that is gone is not taken for a first start.
//!
//! Knows its form and how it is replaced whole. Knows nothing of what a ledger holds.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{LedgerError, private};

/// What is remembered of one ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Remembered {
    /// The ledger's id.
    pub(super) id: String,
    /// When it was first in use, milliseconds since the Unix epoch.
    pub(super) since_ms: u64,
}

/// The marker's folder, locked: between processes that start at the same time, one looks and makes, then the other.
pub(super) struct Marker {
    path: PathBuf,
    /// Held for the lock alone; none where the folder does not exist and is not made.
    _lock: Option<File>,
}

impl Marker {
    /// Locks the marker's folder; with `make`, makes it if it is not there.
    pub(super) fn lock(path: &Path, make: bool) -> Result<Self, LedgerError> {
        let failed = |error: io::Error| error_of(path, &error.to_string());
        let folder = private::folder_of(path);
        if make {
            private::make_folder(folder).map_err(failed)?;
        }
        let lock = match File::open(folder) {
            Ok(folder) => {
                folder.lock().map_err(failed)?;
                Some(folder)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound && !make => None,
            Err(error) => return Err(failed(error)),
        };
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    fn read(&self) -> Result<BTreeMap<String, Remembered>, LedgerError> {
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(error_of(&self.path, &error.to_string())),
        };
        serde_json::from_slice(&text).map_err(|error| error_of(&self.path, &error.to_string()))
    }

    /// What is remembered of the ledger at `url`.
    pub(super) fn get(&self, url: &str) -> Result<Option<Remembered>, LedgerError> {
        Ok(self.read()?.remove(url))
    }

    /// Remembers the ledger at `url`.
    pub(super) fn put(&self, url: &str, remembered: Remembered) -> Result<(), LedgerError> {
        let mut all = self.read()?;
        all.insert(url.to_owned(), remembered);
        let written = || -> io::Result<()> {
            let mut text = serde_json::to_vec_pretty(&all)?;
            text.push(b'\n');
            private::replace(&self.path, &text)
        };
        written().map_err(|error| error_of(&self.path, &error.to_string()))
    }
}

fn error_of(path: &Path, detail: &str) -> LedgerError {
    LedgerError::Marker {
        marker: path.display().to_string(),
        detail: detail.to_owned(),
    }
}
