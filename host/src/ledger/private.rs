//! Files and folders that are for the user alone.
//!
//! Knows modes and how a file is replaced whole. Knows nothing of what is in them.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes a folder and those above it that do not exist, each with mode 0700.
pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes an empty file of mode 0600, to be appended to; an error if something stands there.
pub(crate) fn make_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    sync_folder(path)?;
    Ok(file)
}

/// Puts a file of mode 0600 in place of `path`, whole or not at all, also if the machine stops.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:016x}", rand::random::<u64>()));
    let beside = PathBuf::from(name);
    let mut file = make_file(&beside)?;
    let moved = (|| {
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        sync_folder(path)
    })();
    if moved.is_err() {
        let _ = fs::remove_file(&beside);
    }
    moved
}

/// Sees to it that the folder's entry for `path` outlives a stop of the machine.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder that a file stands in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
