//! Files of policies, as they are now.
//!
//! Knows which files of the policy directory count, and reads each with its sidecar whole or not at all. Knows nothing
//! of what was in force before.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::chain::ownership::{self, Untrusted};
use crate::config::names::check_policy_name;
use crate::policy::MAX_COMPONENT;

/// The largest sidecar that is read, bytes.
const MAX_SIDECAR: u64 = 1 << 20;

/// A component and the sidecar beside it, read together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The component.
    pub component: Bytes,
    /// The sidecar's text, if there is one.
    pub sidecar: Option<String>,
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
    /// It is a directory, a pipe or the like.
    #[error("{path} is no ordinary file; put a component there, or take it away")]
    NoFile {
        /// What is no file.
        path: PathBuf,
    },
    /// It is too large.
    #[error("{path} has {size} bytes, more than the {limit} it may have")]
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
    #[error("{path} is not UTF-8; save it as UTF-8")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Its name cannot be a policy's.
    #[error("{path}: {detail}; rename the file")]
    Name {
        /// The file.
        path: PathBuf,
        /// What is wrong with its name.
        detail: String,
    },
}

/// The name of the policy in a file, for messages even where it cannot be one.
pub(super) fn name_of(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    stem.to_string_lossy().into_owned()
}

/// Whether a policy can have the name of this file.
pub(super) fn check_name(file: &Path) -> Result<(), ReadError> {
    // A name that is not UTF-8 becomes one with a character that no name has.
    check_policy_name(&name_of(file)).map_err(|error| ReadError::Name {
        path: file.to_owned(),
        detail: error.to_string(),
    })
}

/// Every top-level `*.wasm`, in file-name order. A directory that does not exist holds nothing.
pub fn list(directory: &Path) -> Result<Vec<PathBuf>, ReadError> {
    let failed = |source| ReadError::Io {
        path: directory.to_owned(),
        source,
    };
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Editors and copying tools write hidden files beside the real one.
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|end| end == "wasm") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Reads a component and, with `beside`, its sidecar: both are after reading what they were before.
pub(super) fn read(file: &Path, beside: bool) -> Result<Pair, ReadError> {
    let before = Seen::of(file, beside);
    before.trusted.clone()?;
    let limit = u64::try_from(MAX_COMPONENT).unwrap_or(u64::MAX);
    let component = read_bounded(file, limit)?;
    let sidecar = match &before.sidecar {
        Some(_) => {
            let path = sidecar_of(file);
            let bytes = read_bounded(&path, MAX_SIDECAR)?;
            Some(String::from_utf8(bytes).map_err(|_| ReadError::NotText { path })?)
        }
        None => None,
    };
    if Seen::of(file, beside) != before {
        return Err(ReadError::Unsettled {
            path: file.to_owned(),
        });
    }
    Ok(Pair {
        component: component.into(),
        sidecar,
    })
}

/// Where the sidecar of a component is.
pub(super) fn sidecar_of(file: &Path) -> PathBuf {
    file.with_extension("toml")
}

/// Reads a file whole: it has the same size and times after reading as before, and is still the one of that name.
fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    let unsettled = || ReadError::Unsettled {
        path: path.to_owned(),
    };
    let mut file = open(path)?;
    let before = Stamp::of(&file.metadata().map_err(io)?);
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
    let after = Stamp::of(&file.metadata().map_err(io)?);
    let named = path.metadata().map(|data| Stamp::of(&data));
    if after != before || named.ok() != Some(before) || bytes.len() as u64 != before.size {
        return Err(unsettled());
    }
    Ok(bytes)
}

fn open(path: &Path) -> Result<File, ReadError> {
    let io = |source| ReadError::Io {
        path: path.to_owned(),
        source,
    };
    // A pipe that nobody writes to must not be waited for.
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nonblocking.cast_signed())
        .open(path)
        .map_err(io)?;
    if file.metadata().map_err(io)?.is_file() {
        Ok(file)
    } else {
        Err(ReadError::NoFile {
            path: path.to_owned(),
        })
    }
}

/// What tells two states of a file apart without reading it. The change time cannot be set by hand, so that an edit
/// that keeps size and modification time shows too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
    device: u64,
    /// Its owner and mode.
    rights: (u32, u32),
}

impl Stamp {
    fn of(data: &fs::Metadata) -> Self {
        Self {
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
            inode: data.ino(),
            device: data.dev(),
            rights: (data.uid(), data.mode()),
        }
    }

    /// How long ago it changed, as far as the system's clock can tell.
    fn age(&self) -> Duration {
        let (seconds, nanos) = self.modified.max(self.changed);
        let since = Duration::new(
            u64::try_from(seconds).unwrap_or(0),
            u32::try_from(nanos).unwrap_or(0),
        );
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        now.saturating_sub(since)
    }
}

/// What can be seen of a file without reading it.
pub(super) fn stamp(path: &Path) -> Option<Stamp> {
    path.metadata().ok().map(|data| Stamp::of(&data))
}

/// What can be seen of a component and its sidecar without reading them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    component: Option<Stamp>,
    /// The outer none: there is no sidecar; the inner one: it cannot be looked at.
    sidecar: Option<Option<Stamp>>,
    /// Whether only the user could have written them; also told by folders above, whose stamps nobody looks at.
    trusted: Result<(), Untrusted>,
}

impl Seen {
    /// What is seen now; `beside`: whether there may be a sidecar.
    pub(super) fn of(file: &Path, beside: bool) -> Self {
        let path = sidecar_of(file);
        let sidecar = (beside && path.symlink_metadata().is_ok()).then(|| stamp(&path));
        let mut trusted = ownership::check(file);
        if sidecar.is_some() {
            trusted = trusted.and_then(|()| ownership::check(&path));
        }
        Self {
            component: stamp(file),
            sidecar,
            trusted,
        }
    }

    /// That there is nothing any more.
    pub(super) const fn nothing() -> Self {
        Self {
            component: None,
            sidecar: None,
            trusted: Ok(()),
        }
    }

    /// How long ago any of it changed, as far as can be told.
    pub(super) fn age(&self) -> Duration {
        [self.component, self.sidecar.flatten()]
            .into_iter()
            .flatten()
            .map(|stamp| stamp.age())
            .min()
            .unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_components_count_and_a_missing_directory_holds_none() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.wasm", "a.wasm", ".c.wasm", "a.toml", "wasm", "d.wasm~"] {
            fs::write(dir.path().join(name), "x").unwrap();
        }
        let names: Vec<_> = list(dir.path())
            .unwrap()
            .iter()
            .map(|file| name_of(file))
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(list(&dir.path().join("none")).unwrap().is_empty());
        assert!(list(&dir.path().join("a.toml")).is_err(), "not a directory");
    }

    #[test]
    fn what_is_no_ordinary_file_is_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe.wasm");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(matches!(read(&pipe, true), Err(ReadError::NoFile { .. })));
        let folder = dir.path().join("folder.wasm");
        fs::create_dir(&folder).unwrap();
        assert!(matches!(read(&folder, true), Err(ReadError::NoFile { .. })));
    }

    #[test]
    fn a_pair_is_read_together() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        fs::write(&file, "component").unwrap();
        assert_eq!(read(&file, true).unwrap().sidecar, None);
        fs::write(dir.path().join("a.toml"), "mode = \"monitor\"").unwrap();
        let pair = read(&file, true).unwrap();
        assert_eq!(&*pair.component, b"component");
        assert_eq!(pair.sidecar.as_deref(), Some("mode = \"monitor\""));
        assert_eq!(read(&file, false).unwrap().sidecar, None);
        fs::write(dir.path().join("a.toml"), [0xff]).unwrap();
        assert!(matches!(read(&file, true), Err(ReadError::NotText { .. })));
        fs::remove_file(dir.path().join("a.toml")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("a.toml")).unwrap();
        assert!(read(&file, true).is_err(), "a sidecar that cannot be had");
    }

    #[test]
    fn a_name_that_no_policy_may_have_is_told() {
        use std::ffi::OsStr;
        use std::os::unix::ffi::OsStrExt;
        assert!(check_name(Path::new("/d/10-team.wasm")).is_ok());
        for name in ["a:b.wasm".as_bytes(), b"a b.wasm", b"\xff.wasm"] {
            let file = Path::new("/d").join(OsStr::from_bytes(name));
            assert!(matches!(check_name(&file), Err(ReadError::Name { .. })));
        }
    }
}
