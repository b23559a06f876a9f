//! The ledger's file: where it is, whose it is, and whether it is still the same.
//!
//! Never opens the file while a connection has it open: closing it again would drop the locks that SQLite holds on it
//! in this process (POSIX advisory locks belong to the process, not to the descriptor).

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The path in a ledger's URL: `sqlite:PATH`, `sqlite:///PATH` or a bare path.
pub(super) fn path_of(url: &str) -> Result<PathBuf, String> {
    let path = match url.strip_prefix("sqlite:") {
        Some(path) if path.starts_with("///") => &path[2..],
        Some(path) => path,
        None => url,
    };
    if path.is_empty() {
        return Err("it names no file: write `sqlite:PATH`".to_owned());
    }
    if path.contains("://") || path.starts_with("//") {
        return Err(
            "this version of witgate keeps ledgers in SQLite only: write `sqlite:PATH`".to_owned(),
        );
    }
    absolute(Path::new(path)).map_err(|error| format!("its path cannot be made absolute: {error}"))
}

/// The absolute path, symbolic links in its folder followed as far as the folder exists: one ledger has one name.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
    Ok(match (folder, path.file_name()) {
        (Some(folder), Some(name)) => folder.join(name),
        _ => path,
    })
}

/// What tells one file from another at the same path: device and inode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity(u64, u64);

/// What stands at a path, if anything does.
pub(super) fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some(Identity(found.dev(), found.ino()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The file that SQLite keeps beside a database in WAL mode, with the latest commits.
pub(super) fn wal(path: &Path) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}

/// Refuses a file that someone else could have written: whoever can write the ledger can approve.
pub(super) fn check_private(path: &Path) -> Result<(), String> {
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is not a file".to_owned());
    }
    let (owner, user) = (found.uid(), rustix::process::geteuid().as_raw());
    if owner != user && owner != 0 {
        return Err(format!(
            "it belongs to user {owner}, not to you: whoever can write it can approve. Use another, or \
             `sudo chown {user} {}`",
            path.display()
        ));
    }
    if found.mode() & 0o022 != 0 {
        return Err(format!(
            "others can write it, and so approve: `chmod go-rwx {}`",
            path.display()
        ));
    }
    Ok(())
}
