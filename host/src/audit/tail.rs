//! Reads the records of all files in the order of their times, and waits for more.
//!
//! There is a file for every run of a process, so that there may be thousands: one is opened when its time has come,
//! by its name, and is not held open at its end.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line::Link;
use super::{AuditError, Line, files};

/// How often new records are looked for.
const LOOK: Duration = Duration::from_millis(200);

/// See [`super::tail`].
pub(super) struct Tail {
    dir: PathBuf,
    follow: bool,
    known: BTreeSet<String>,
    /// Files whose time has not come.
    coming: VecDeque<String>,
    readers: Vec<Reader>,
    /// The readers that have a next record, by its time; an error has none, and comes first.
    ready: BinaryHeap<Reverse<(String, usize)>>,
}

/// One file, and its next record.
struct Reader {
    name: String,
    path: PathBuf,
    /// None at the end of what is there.
    lines: Option<BufReader<File>>,
    /// The bytes of the lines that were read.
    offset: u64,
    number: u64,
    next: Option<Result<Line, AuditError>>,
    /// Whether it could not be read: it is not tried again.
    failed: bool,
}

impl Tail {
    pub(super) fn new(dir: &Path, follow: bool) -> Result<Self, AuditError> {
        let mut tail = Self {
            dir: dir.to_owned(),
            follow,
            known: BTreeSet::new(),
            coming: VecDeque::new(),
            readers: Vec::new(),
            ready: BinaryHeap::new(),
        };
        tail.look()?;
        Ok(tail)
    }

    /// Finds the files that have come.
    fn look(&mut self) -> Result<(), AuditError> {
        for name in files(&self.dir)? {
            if self.known.insert(name.clone()) {
                self.coming.push_back(name);
            }
        }
        Ok(())
    }

    /// Opens the files that may hold something earlier than everything that is ready.
    fn open_due(&mut self) {
        while let Some(name) = self.coming.front() {
            let earliest = self.ready.peek();
            if earliest.is_some_and(|Reverse((time, _))| begins_after(name, time)) {
                return;
            }
            if let Some(name) = self.coming.pop_front() {
                self.readers.push(Reader {
                    path: self.dir.join(&name),
                    name,
                    lines: None,
                    offset: 0,
                    number: 0,
                    next: None,
                    failed: false,
                });
                self.advance(self.readers.len() - 1);
            }
        }
    }

    /// Has a reader read its next record.
    fn advance(&mut self, which: usize) {
        let reader = &mut self.readers[which];
        reader.next = reader.read();
        let time = match &reader.next {
            Some(Ok(line)) => line.time.clone(),
            Some(Err(_)) => String::new(),
            None => return,
        };
        self.ready.push(Reverse((time, which)));
    }
}

/// Whether a file was begun later than at `time`, by its name; not if its name is not one of ours.
fn begins_after(name: &str, time: &str) -> bool {
    let begun = name.get(..15).filter(|begun| begun.as_bytes()[8] == b'T');
    let second: String = time
        .chars()
        .filter(|c| !matches!(c, '-' | ':'))
        .take(15)
        .collect();
    begun.is_some_and(|begun| begun > second.as_str())
}

impl Reader {
    /// The next record, if it is there to its end.
    fn read(&mut self) -> Option<Result<Line, AuditError>> {
        if self.failed {
            return None;
        }
        match self.read_line() {
            Ok(None) => {
                self.lines = None;
                None
            }
            Ok(Some((line, link))) => Some(match String::from_utf8(line) {
                Ok(text) => Ok(Line {
                    file: self.name.clone(),
                    number: self.number,
                    time: link.time,
                    text,
                }),
                Err(error) => Err(self.wrong(&error.to_string())),
            }),
            Err(error) => Some(Err(error)),
        }
    }

    fn read_line(&mut self) -> Result<Option<(Vec<u8>, Link)>, AuditError> {
        loop {
            let mut line = Vec::new();
            let read = self.lines().and_then(|lines| match lines {
                Some(lines) => lines.read_until(b'\n', &mut line),
                None => Ok(0),
            });
            if let Err(error) = read {
                self.failed = true;
                return Err(AuditError::new(&self.path, error));
            }
            let length = line.len() as u64;
            // What has no end yet is being written, and read again later.
            if line.pop_if(|last| *last == b'\n').is_none() {
                return Ok(None);
            }
            self.offset += length;
            self.number += 1;
            let link = Link::read(&line).map_err(|detail| self.wrong(&detail))?;
            if !link.is_header() && !link.is_last() {
                return Ok(Some((line, link)));
            }
        }
    }

    /// The file from where it was left, if there is more in it.
    fn lines(&mut self) -> io::Result<Option<&mut BufReader<File>>> {
        if self.lines.is_none() {
            let length = match std::fs::metadata(&self.path) {
                // Deleted: `verify` says so.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                found => found?.len(),
            };
            if length <= self.offset {
                return Ok(None);
            }
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.offset))?;
            self.lines = Some(BufReader::new(file));
        }
        Ok(self.lines.as_mut())
    }

    fn wrong(&self, detail: &str) -> AuditError {
        let detail = format!("line {}: {detail}: see `witgate audit verify`", self.number);
        AuditError::new(&self.path, detail)
    }
}

impl Iterator for Tail {
    type Item = Result<Line, AuditError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.open_due();
            if let Some(Reverse((_, which))) = self.ready.pop() {
                let next = self.readers[which].next.take();
                self.advance(which);
                return next;
            }
            if !self.follow {
                return None;
            }
            std::thread::sleep(LOOK);
            if let Err(error) = self.look() {
                return Some(Err(error));
            }
            for which in 0..self.readers.len() {
                self.advance(which);
            }
        }
    }
}
