//! Compiled components on disk, in a private directory.
//!
//! Knows files and their owners. What it hands out is native code, so it takes nothing from a directory or a file
//! that anybody else could have written. Knows nothing of what components mean.

mod native;

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// After how long a file is deleted when another is kept: what another version of witgate or of a policy left behind
/// would else stay for ever. What is in use is compiled anew then.
const AGE: Duration = Duration::from_secs(60 * 24 * 3600);

/// A private directory of compiled components.
pub(super) struct Cache {
    dir: PathBuf,
    /// The engine's compatibility hash: code compiled under other settings, for another processor, or by another
    /// wasmtime has another name.
    engine: String,
}

/// Why a directory or file is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum CacheError {
    #[error("{path}: {error}")]
    Io {
        path: String,
        #[source]
        error: io::Error,
    },
    #[error(
        "{path} belongs to user {owner}, not to user {me}: name another cache directory or remove it"
    )]
    Owner { path: String, owner: u32, me: u32 },
    #[error("{path} can be written by others (mode {mode:04o}): `chmod go-w {path}`")]
    Writable { path: String, mode: u32 },
    #[error("{path} is not a {wanted}: remove it")]
    Kind { path: String, wanted: &'static str },
}

impl Cache {
    /// Makes the directory if it is missing, and sees that nobody else can write to it.
    pub(super) fn open(dir: &Path, engine: &wasmtime::Engine) -> Result<Self, CacheError> {
        let io = |error| CacheError::Io {
            path: dir.display().to_string(),
            error,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)
            .map_err(io)?;
        let found = fs::symlink_metadata(dir).map_err(io)?;
        if !found.is_dir() {
            return Err(CacheError::Kind {
                path: dir.display().to_string(),
                wanted: "directory",
            });
        }
        own(dir, &found)?;
        // Who can write to a folder above it can put another in its place; where the sticky bit is set, only its owner.
        for above in fs::canonicalize(dir).map_err(io)?.ancestors().skip(1) {
            let found = fs::symlink_metadata(above).map_err(io)?;
            if found.uid() != 0 {
                owned(above, &found)?;
            }
            if found.mode() & 0o1000 == 0 {
                closed(above, &found)?;
            }
        }
        if found.mode() & 0o077 != 0 {
            // Nobody could write to it, but reading is nobody's business either.
            fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(io)?;
        }
        let mut hasher = ShaHasher(Sha256::new());
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Ok(Self {
            dir: dir.to_owned(),
            engine: hex::encode(&hasher.0.finalize()[..8]),
        })
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.dir.join(format!("{sha256}-{}.cwasm", self.engine))
    }

    /// The compiled form of the component with this hash, if it is here and sound. A file that is not is deleted.
    pub(super) fn load(&self, sha256: &str, engine: &wasmtime::Engine) -> Option<Component> {
        let path = self.path(sha256);
        let found = fs::symlink_metadata(&path).ok()?;
        let sound = if found.is_file() {
            own(&path, &found)
        } else {
            Err(CacheError::Kind {
                path: path.display().to_string(),
                wanted: "file",
            })
        };
        let loaded = match sound {
            Ok(()) => native::load(engine, &path).map_err(|error| format!("{error:#}")),
            Err(error) => Err(error.to_string()),
        };
        match loaded {
            Ok(component) => Some(component),
            Err(why) => {
                tracing::warn!("a compiled policy in the cache is not used, and deleted: {why}");
                if let Err(error) = fs::remove_file(&path) {
                    tracing::warn!("{}: {error}", path.display());
                }
                None
            }
        }
    }

    /// Keeps a compiled component, whole or not at all.
    pub(super) fn keep(&self, sha256: &str, component: &Component) -> Result<(), CacheError> {
        let path = self.path(sha256);
        let new = self
            .dir
            .join(format!(".{}-{:016x}", sha256, rand::random::<u64>()));
        let io = |error| CacheError::Io {
            path: path.display().to_string(),
            error,
        };
        let bytes = component
            .serialize()
            .map_err(|error| io(io::Error::other(format!("{error:#}"))))?;
        let written = write(&new, &bytes).and_then(|()| fs::rename(&new, &path));
        if written.is_err() {
            // Best effort: the name is random, so a file left behind is never read.
            let _ = fs::remove_file(&new);
        }
        self.prune();
        written.map_err(io)
    }

    /// Deletes what is older than [`AGE`]. Best effort: what cannot be read or deleted stays until the next time.
    fn prune(&self) {
        let Some(oldest) = SystemTime::now().checked_sub(AGE) else {
            return;
        };
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let old = entry
                .metadata()
                .and_then(|found| found.modified())
                .is_ok_and(|modified| modified < oldest);
            if old && let Err(error) = fs::remove_file(entry.path()) {
                tracing::debug!("{}: {error}", entry.path().display());
            }
        }
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    // The name must not reach the disk before the bytes do.
    file.sync_data()
}

/// Whether only this user (or root, who needs no permission) can have written here.
fn own(path: &Path, found: &fs::Metadata) -> Result<(), CacheError> {
    owned(path, found)?;
    closed(path, found)
}

fn owned(path: &Path, found: &fs::Metadata) -> Result<(), CacheError> {
    let me = rustix::process::geteuid().as_raw();
    if found.uid() == me {
        return Ok(());
    }
    Err(CacheError::Owner {
        path: path.display().to_string(),
        owner: found.uid(),
        me,
    })
}

fn closed(path: &Path, found: &fs::Metadata) -> Result<(), CacheError> {
    if found.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(CacheError::Writable {
        path: path.display().to_string(),
        mode: found.mode() & 0o7777,
    })
}

/// A hasher whose answer is the same in every process.
struct ShaHasher(Sha256);

impl Hasher for ShaHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        u64::from_be_bytes(first)
    }
}

#[cfg(test)]
#[path = "cache/tests.rs"]
mod tests;
