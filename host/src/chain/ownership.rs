//! Whether only the user could have written a file.
//!
//! Knows owners and modes of files and of the folders above them (design §9). Knows nothing of what the file holds.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Somebody else could have written the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Untrusted {
    /// It belongs to another user.
    #[error(
        "{path} belongs to user {owner}, neither you nor root; `chown` it or move it where only you can write"
    )]
    Owner {
        /// The file or a folder above it.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may write to it.
    #[error("{path} is writable by others (mode {mode:o}); run `chmod go-w {path}`", mode = .mode & 0o7777)]
    Writable {
        /// The file or a folder above it.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It cannot be looked at.
    #[error("{path}: {detail}")]
    Unreadable {
        /// The file or a folder above it.
        path: PathBuf,
        /// What the system said.
        detail: String,
    },
}

/// Checks the file and every folder above it, links followed: each belongs to the user or root, and none is writable
/// by others. A folder with the sticky bit may be: there nobody can replace what is not theirs.
pub fn check(path: &Path) -> Result<(), Untrusted> {
    let resolved = path.canonicalize().map_err(|e| Untrusted::Unreadable {
        path: path.to_owned(),
        detail: e.to_string(),
    })?;
    let user = rustix::process::geteuid().as_raw();
    for place in resolved.ancestors() {
        let data = place.metadata().map_err(|e| Untrusted::Unreadable {
            path: place.to_owned(),
            detail: e.to_string(),
        })?;
        let sticky = data.is_dir() && data.mode() & 0o1000 != 0;
        if data.uid() != user && data.uid() != 0 {
            return Err(Untrusted::Owner {
                path: place.to_owned(),
                owner: data.uid(),
            });
        }
        // A group of one's own name is common, and its write bit set by the usual umask of such systems; the group
        // may still hold others, so it counts as others.
        if data.mode() & 0o022 != 0 && !sticky {
            return Err(Untrusted::Writable {
                path: place.to_owned(),
                mode: data.mode(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_that_others_can_write_is_refused_and_the_mend_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.wasm");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(check(&file), Ok(()));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        let error = check(&file).unwrap_err().to_string();
        assert!(error.contains("chmod go-w"), "{error}");
    }

    #[test]
    fn a_folder_above_that_others_can_write_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("inner");
        fs::create_dir(&inner).unwrap();
        let file = inner.join("a.wasm");
        fs::write(&file, "x").unwrap();
        fs::set_permissions(&inner, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(check(&file), Err(Untrusted::Writable { .. })));
    }
}
