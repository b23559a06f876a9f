//! The policy directory, as it is now.
//!
//! Knows which files of it count, and reads each whole or not at all. Knows nothing of what was in force before.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::chain::ownership::{self, Untrusted};

/// The largest component that is read, bytes: Python's are the largest, at about 40 MiB.
pub const MAX_COMPONENT: u64 = 128 << 20;

/// The largest sidecar that is read, bytes.
const MAX_SIDECAR: u64 = 1 << 20;

/// A `*.wasm` of the directory.
#[derive(Debug)]
pub struct Candidate {
    /// The file's name without its ending.
    pub name: String,
    /// Its path.
    pub file: PathBuf,
    /// The component and the sidecar's text, or why they cannot be had.
    pub content: Result<(Bytes, Option<String>), ReadError>,
}

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Others can write it.
    #[error(transparent)]
    Untrusted(#[from] Untrusted),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is too large.
    #[error("{path} has {size} bytes, more than the {limit} a policy may have")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// It was written while it was read.
    #[error("{path} changes while it is read; it is read again shortly")]
    Unsettled {
        /// The file.
        path: PathBuf,
    },
    /// Its text is not UTF-8.
    #[error("{path} is not UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// Every top-level `*.wasm`, in file-name order. A directory that does not exist holds nothing.
pub fn read(directory: &Path) -> Vec<Candidate> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "wasm"))
        .collect();
    files.sort();
    files
        .into_iter()
        .filter_map(|file| {
            let name = file.file_stem()?.to_str()?.to_owned();
            // Editors and copying tools write such files beside the real one.
            if name.starts_with('.') {
                return None;
            }
            let content = read_pair(&file);
            Some(Candidate {
                name,
                file,
                content,
            })
        })
        .collect()
}

fn read_pair(file: &Path) -> Result<(Bytes, Option<String>), ReadError> {
    ownership::check(file)?;
    let component = read_whole(file)?;
    let beside = file.with_extension("toml");
    let sidecar = if beside.symlink_metadata().is_ok() {
        ownership::check(&beside)?;
        let bytes = read_bounded(&beside, MAX_SIDECAR)?;
        Some(String::from_utf8(bytes).map_err(|_| ReadError::NotText { path: beside })?)
    } else {
        None
    };
    Ok((component, sidecar))
}

/// Reads a component whole: its size and times are the same after reading as before.
pub fn read_whole(file: &Path) -> Result<Bytes, ReadError> {
    read_bounded(file, MAX_COMPONENT).map(Bytes::from)
}

fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(io)?;
    let before = stamp(&file.metadata().map_err(io)?);
    if before.size > limit {
        return Err(ReadError::TooLarge {
            path: path.to_owned(),
            size: before.size,
            limit,
        });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(before.size).unwrap_or(0));
    file.by_ref()
        .take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if stamp(&file.metadata().map_err(io)?) != before || bytes.len() as u64 != before.size {
        return Err(ReadError::Unsettled {
            path: path.to_owned(),
        });
    }
    Ok(bytes)
}

/// What tells two states of a file apart without reading it. The change time cannot be set by hand, so that an edit
/// that keeps size and modification time shows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    device: u64,
}

/// The stamp of a file.
pub fn stamp(data: &fs::Metadata) -> Stamp {
    Stamp {
        size: data.size(),
        modified: (data.mtime(), data.mtime_nsec()),
        changed: (data.ctime(), data.ctime_nsec()),
        inode: data.ino(),
        device: data.dev(),
    }
}

/// The stamps of everything a chain is read from: the configuration, and the directory's components and sidecars.
pub fn stamps(config: Option<&Path>, directory: &Path) -> BTreeMap<PathBuf, Stamp> {
    let mut all = BTreeMap::new();
    let mut add = |path: &Path| {
        if let Ok(data) = path.metadata() {
            all.insert(path.to_owned(), stamp(&data));
        }
    };
    if let Some(config) = config {
        add(config);
    }
    if let Ok(entries) = fs::read_dir(directory) {
        for path in entries.filter_map(|entry| entry.ok().map(|e| e.path())) {
            if path.extension().is_some_and(|e| e == "wasm" || e == "toml") {
                add(&path);
            }
        }
    }
    all
}

/// SHA-256, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
