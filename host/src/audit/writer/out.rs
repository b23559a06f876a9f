//! One file of the audit, as it is written: whole lines or nothing, and only while it is in its place.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::audit::line::Chain;
use crate::audit::time::compact;
use crate::ledger::{AuditHead, now_ms, private};

/// A file that is being written.
pub(super) struct Out {
    file: File,
    pub(super) path: PathBuf,
    pub(super) name: String,
    /// Device and inode: the file at `path` must stay this one.
    identity: (u64, u64),
    /// As far as it is written whole.
    pub(super) chain: Chain,
    /// Whether something may stand beyond that, from a write that failed.
    ragged: bool,
}

impl Out {
    pub(super) fn make(dir: &Path) -> io::Result<Self> {
        let (time, pid) = (compact(now_ms()), std::process::id());
        let name = format!("{time}-{pid}-{:08x}.jsonl", rand::random::<u32>());
        let path = dir.join(&name);
        let file = private::make_file(&path)?;
        let found = file.metadata()?;
        Ok(Self {
            identity: (found.dev(), found.ino()),
            file,
            path,
            name,
            chain: Chain::EMPTY,
            ragged: false,
        })
    }

    /// Whether the file still stands where it was made.
    pub(super) fn in_place(&self) -> bool {
        let found = std::fs::metadata(&self.path);
        found.is_ok_and(|found| (found.dev(), found.ino()) == self.identity)
    }

    /// Appends lines, whole or not at all.
    pub(super) fn write(&mut self, lines: &[u8], chain: Chain) -> io::Result<()> {
        if self.ragged {
            self.file.set_len(self.chain.length)?;
            self.ragged = false;
        }
        if let Err(error) = self.file.write_all(lines) {
            self.ragged = self.file.set_len(self.chain.length).is_err();
            return Err(error);
        }
        self.chain = chain;
        Ok(())
    }

    /// Where it ended with its last whole line.
    pub(super) fn head(&self) -> Option<AuditHead> {
        Some(AuditHead {
            file: self.name.clone(),
            seq: self.chain.last?,
            head: self.chain.head.to_string(),
            length: self.chain.length,
        })
    }

    /// Returns once what was written is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}
