//! Reads the files of tapes, line by line.
//!
//! Knows that a process may be killed while it writes: a last line without its end is not there. Everything else that
//! is not as it was written is an error with its place.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::record::{FORMAT, Header, Record};
use super::reel::MAX_LINE;

/// A tape cannot be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tape {place}: {detail}")]
pub struct TapeError {
    /// The file, and the line if it is one's.
    pub place: String,
    /// What is wrong, and the mend.
    pub detail: String,
}

impl TapeError {
    pub(super) fn new(path: &Path, detail: &dyn std::fmt::Display) -> Self {
        Self {
            place: path.display().to_string(),
            detail: detail.to_string(),
        }
    }
}

/// The tapes in a folder, the latest first; none if there is no folder. Their names sort by the time at which their
/// processes began.
///
/// # Errors
/// If the folder cannot be read.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, TapeError> {
    let failed = |error: io::Error| TapeError::new(dir, &error);
    let entries = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|ending| ending == "jsonl") {
            files.push(path);
        }
    }
    files.sort_by(|a, b| b.cmp(a));
    Ok(files)
}

/// How many evaluations a tape says could not be kept. Looks at nothing else, and so is quick.
///
/// # Errors
/// If the file cannot be read.
pub fn lost(tape: &Path) -> Result<u64, TapeError> {
    let failed = |error: io::Error| TapeError::new(tape, &error);
    let mut input = BufReader::new(File::open(tape).map_err(failed)?);
    let mut lost = 0_u64;
    while let Raw::Line(line) = line(&mut input).map_err(failed)? {
        if line.starts_with(LOST)
            && let Ok(Record::Lost(told)) = serde_json::from_slice::<Record>(&line)
        {
            lost = lost.saturating_add(told.evaluations);
        }
    }
    Ok(lost)
}

/// What a record of lost evaluations begins with.
const LOST: &[u8] = b"{\"lost\":";

/// A record and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// From 1.
    pub number: u64,
    /// The record.
    pub record: Record,
}

/// A file that is read; gives the records after the header.
pub struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    header: Header,
    /// The last line that was read.
    number: u64,
    closed: bool,
    truncated: bool,
    over: bool,
}

/// As much of a first line as tells what it is.
#[derive(Deserialize)]
struct First {
    tape: Format,
}

#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// One line, or none where there is no more.
enum Raw {
    Line(Vec<u8>),
    /// What stands after the last line's end.
    Rest(Vec<u8>),
    End,
}

impl Reader {
    /// Opens a file and reads its header.
    ///
    /// # Errors
    /// If it is no tape, or one in a format that this version does not know.
    pub fn open(path: &Path) -> Result<Self, TapeError> {
        let failed = |error: io::Error| TapeError::new(path, &error);
        let file = File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.is_dir() {
            let detail = "is a folder; name one file of it";
            return Err(TapeError::new(path, &detail));
        }
        let mut input = BufReader::new(file);
        let line = match line(&mut input).map_err(failed)? {
            Raw::Line(line) => line,
            Raw::Rest(rest) if rest.len() <= MAX_LINE => {
                return Err(TapeError::new(path, &"ends within its first line"));
            }
            Raw::Rest(_) => return Err(no_tape(path)),
            Raw::End => return Err(TapeError::new(path, &"is empty")),
        };
        let Ok(First { tape }) = serde_json::from_slice::<First>(&line) else {
            return Err(no_tape(path));
        };
        if tape.format != FORMAT {
            let detail = format!(
                "has format {}; this witgate reads format {FORMAT}. Use the witgate that wrote it, or a later one",
                tape.format
            );
            return Err(TapeError::new(path, &detail));
        }
        let Ok(Record::Tape(header)) = serde_json::from_slice::<Record>(&line) else {
            return Err(no_tape(path));
        };
        Ok(Self {
            path: path.to_owned(),
            input,
            header,
            number: 1,
            closed: false,
            truncated: false,
            over: false,
        })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Whether the last line that was there had no end: whoever wrote it was killed. Known once all is read.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// Whether the file ended in order. Known once all is read.
    pub fn closed(&self) -> bool {
        self.closed
    }

    /// An error at the line that was read last.
    pub fn error(&self, detail: &dyn std::fmt::Display) -> TapeError {
        self.error_at(self.number, detail)
    }

    /// An error at a line.
    pub fn error_at(&self, line: u64, detail: &dyn std::fmt::Display) -> TapeError {
        TapeError {
            place: format!("{}:{line}", self.path.display()),
            detail: detail.to_string(),
        }
    }

    fn read(&mut self) -> Result<Option<Line>, TapeError> {
        let raw = line(&mut self.input).map_err(|error| TapeError::new(&self.path, &error))?;
        let line = match raw {
            Raw::End => return Ok(None),
            Raw::Rest(rest) if rest.len() <= MAX_LINE => {
                self.truncated = true;
                return Ok(None);
            }
            Raw::Rest(_) => {
                let detail = format!("the line is longer than {MAX_LINE} bytes");
                return Err(self.error_at(self.number + 1, &detail));
            }
            Raw::Line(line) => line,
        };
        self.number += 1;
        if self.closed {
            return Err(self.error(&"something stands after the record that ends the tape"));
        }
        let record = serde_json::from_slice(&line).map_err(|error| {
            let known = serde_json::from_slice::<IgnoredAny>(&line).is_ok();
            let what = if known {
                "no record of a tape"
            } else {
                "no JSON"
            };
            // The line is this file's; the record's own is always its first.
            let error = error
                .to_string()
                .replace(" at line 1 column ", " at column ");
            self.error(&format!("is {what}: {error}"))
        })?;
        match record {
            Record::Tape(_) => Err(self.error(&"a second header: two tapes were put together")),
            Record::Closed(_) => {
                self.closed = true;
                Ok(Some(self.line(record)))
            }
            record => Ok(Some(self.line(record))),
        }
    }

    const fn line(&self, record: Record) -> Line {
        Line {
            number: self.number,
            record,
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Line, TapeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let read = self.read().transpose();
        self.over = !matches!(read, Some(Ok(_)));
        read
    }
}

fn no_tape(path: &Path) -> TapeError {
    let detail = "is no tape: its first line does not say so. Tapes are in `tapes` under the state \
                  folder, written while `record = \"full\"` stands in [audit]";
    TapeError::new(path, &detail)
}

fn line(input: &mut BufReader<File>) -> io::Result<Raw> {
    let mut line = Vec::new();
    let most = u64::try_from(MAX_LINE).unwrap_or(u64::MAX);
    input
        .by_ref()
        .take(most.saturating_add(1))
        .read_until(b'\n', &mut line)?;
    Ok(match line.pop() {
        None => Raw::End,
        Some(b'\n') => Raw::Line(line),
        Some(last) => {
            line.push(last);
            Raw::Rest(line)
        }
    })
}
