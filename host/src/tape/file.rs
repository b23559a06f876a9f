//! One file of a tape, as it is written: whole batches of lines or nothing, and only while it is in its place.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::ledger::private;

/// A file that is being written.
pub(super) struct Out {
    file: File,
    path: PathBuf,
    pub(super) name: String,
    /// Device and inode: the file at `path` must stay this one.
    identity: (u64, u64),
    /// As far as it is written whole.
    pub(super) length: u64,
}

impl Out {
    pub(super) fn make(dir: &Path, name: String) -> io::Result<Self> {
        let path = dir.join(&name);
        let file = private::make_file(&path)?;
        let found = file.metadata()?;
        Ok(Self {
            identity: (found.dev(), found.ino()),
            file,
            path,
            name,
            length: 0,
        })
    }

    /// Whether the file still stands where it was made.
    pub(super) fn in_place(&self) -> bool {
        let found = std::fs::metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    /// Appends lines. After an error the file ends where it did before, as far as the system lets it, and is not gone
    /// on with.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(lines) {
            // A rest that cannot be cut off is a line without its end: readers stop there.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += lines.len() as u64;
        Ok(())
    }
}
