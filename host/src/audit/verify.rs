//! Checks an audit: each file against its own chain and against the head that the ledger holds, then against what
//! the headers of other files say of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use super::line::{Ended, Hash, Header, Link};
use super::{AuditError, Bad, Report, files};
use crate::ledger::AuditHead;

pub(super) fn verify(dir: &Path, heads: &[AuditHead]) -> Result<Report, AuditError> {
    let names = files(dir)?;
    let mut report = Report::default();
    let mut said = BTreeMap::new();
    for name in &names {
        said.insert(name.as_str(), header_of(dir, name)?);
    }
    // The hashes that headers speak of, by file and line.
    let mut wanted: BTreeMap<&str, BTreeSet<u64>> = BTreeMap::new();
    for ended in said.values().flatten() {
        wanted.entry(&ended.file).or_default().insert(ended.seq);
    }
    let nothing = BTreeSet::new();
    let mut found: BTreeMap<&str, BTreeMap<u64, Hash>> = BTreeMap::new();
    let mut bad: Vec<Bad> = Vec::new();
    for name in &names {
        let head = heads.iter().find(|head| head.file == *name);
        let wanted = wanted.get(name.as_str()).unwrap_or(&nothing);
        let checked = check(dir, name, head, wanted)?;
        report.files += 1;
        report.records += checked.records;
        report.unbound += checked.unbound;
        bad.extend(checked.bad);
        found.insert(name, checked.hashes);
    }
    let gone = |file: &str| !names.iter().any(|name| name == file);
    for head in heads.iter().filter(|head| gone(&head.file)) {
        bad.push(Bad {
            file: head.file.clone(),
            line: 0,
            detail: format!(
                "the file is gone: it had {} lines or more, by the ledger",
                head.seq + 1
            ),
        });
    }
    if bad.is_empty() {
        // Every file is what it was when its head was bound, so that its header can be believed.
        for (by, ended) in &said {
            bad.extend(
                ended
                    .iter()
                    .filter_map(|ended| contradiction(by, ended, &found)),
            );
        }
    }
    bad.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    report.bad = bad.into_iter().next();
    Ok(report)
}

/// What is wrong with a file by the header of another.
fn contradiction(
    by: &str,
    ended: &Ended,
    found: &BTreeMap<&str, BTreeMap<u64, Hash>>,
) -> Option<Bad> {
    let (line, detail) = match found.get(ended.file.as_str()) {
        None => (0, "the file is gone"),
        Some(hashes) => match hashes.get(&ended.seq) {
            None => (ended.seq + 1, "the file was cut: it had this line"),
            Some(hash) if hash.to_string() != ended.head => {
                (ended.seq + 1, "this line or one before it was edited")
            }
            Some(_) => return None,
        },
    };
    Some(Bad {
        file: ended.file.clone(),
        line,
        detail: format!("{detail}, by the header of {by}"),
    })
}

fn open(dir: &Path, name: &str) -> Result<BufReader<File>, AuditError> {
    let path = dir.join(name);
    let file = File::open(&path).map_err(|error| AuditError::new(&path, error))?;
    Ok(BufReader::with_capacity(1 << 16, file))
}

/// What a file's first line says of other files; nothing if it is no header, which its own check reports.
fn header_of(dir: &Path, name: &str) -> Result<Vec<Ended>, AuditError> {
    let mut line = Vec::new();
    open(dir, name)?
        .read_until(b'\n', &mut line)
        .map_err(|error| AuditError::new(&dir.join(name), error))?;
    let header: Option<Header> = serde_json::from_slice(&line).ok();
    Ok(header.map(|header| header.follows).unwrap_or_default())
}

/// What came of the check of one file.
struct Checked {
    records: u64,
    unbound: u64,
    bad: Option<Bad>,
    hashes: BTreeMap<u64, Hash>,
}

fn check(
    dir: &Path,
    name: &str,
    head: Option<&AuditHead>,
    wanted: &BTreeSet<u64>,
) -> Result<Checked, AuditError> {
    let mut reader = open(dir, name)?;
    let mut walk = Walk {
        head,
        last: None,
        suspect: None,
        ended: false,
        length: 0,
    };
    let mut checked = Checked {
        records: 0,
        unbound: 0,
        bad: None,
        hashes: BTreeMap::new(),
    };
    let mut line = Vec::new();
    let fault = loop {
        line.clear();
        let read = reader
            .read_until(b'\n', &mut line)
            .map_err(|error| AuditError::new(&dir.join(name), error))?;
        // A last line without an end is being written; if the ledger knows of it, it was cut, which the end reports.
        if read == 0 || line.pop() != Some(b'\n') {
            break walk.end();
        }
        let hash = Hash::of(&line);
        if let Some(fault) = walk.step(&line, hash) {
            break Some(fault);
        }
        let (seq, _) = walk.last.unwrap_or((0, Hash::NONE));
        if seq > 0 && !walk.ended {
            checked.records += 1;
            checked.unbound += u64::from(head.is_none_or(|head| seq > head.seq));
        }
        if wanted.contains(&seq) {
            checked.hashes.insert(seq, hash);
        }
    };
    checked.bad = fault.map(|(line, detail)| Bad {
        file: name.to_owned(),
        line,
        detail,
    });
    Ok(checked)
}

/// A line, from 1, and what is wrong with it.
type Fault = (u64, String);

/// One way through a file, line by line.
struct Walk<'a> {
    head: Option<&'a AuditHead>,
    /// The number of the last line and its hash.
    last: Option<(u64, Hash)>,
    /// Set if the last line does not name the line before it: one of the two was edited. Which, the next line tells.
    suspect: Option<u64>,
    /// Whether the last line said that nothing follows.
    ended: bool,
    length: u64,
}

impl Walk<'_> {
    fn step(&mut self, line: &[u8], hash: Hash) -> Option<Fault> {
        let expected = self.last.map_or(0, |(seq, _)| seq + 1);
        let number = expected + 1;
        let before = self.last.map_or(Hash::NONE, |(_, hash)| hash);
        let link = match Link::read(line) {
            Ok(link) => link,
            Err(detail) => return Some((self.suspect.unwrap_or(number), detail)),
        };
        if let Some(suspect) = self.suspect {
            let vouched = link.prev == before.to_string();
            return Some(edited(suspect, vouched));
        }
        if self.ended {
            let detail = "the file had ended before it, in order: it was added".to_owned();
            return Some((number, detail));
        }
        if link.seq != expected {
            let detail = format!(
                "its number is {}, and should be {expected}: lines were deleted, inserted, moved or edited",
                link.seq
            );
            return Some((number, detail));
        }
        if link.is_header() != (expected == 0) {
            return Some((number, "a file has one header, its first line".to_owned()));
        }
        self.length += line.len() as u64 + 1;
        self.last = Some((expected, hash));
        self.ended = link.is_last();
        if link.prev != before.to_string() {
            if expected == 0 {
                return Some((
                    number,
                    "nothing stands before it, but it names a line".to_owned(),
                ));
            }
            self.suspect = Some(number);
        }
        let head = self.head.filter(|head| head.seq == expected)?;
        let known = head.head == hash.to_string();
        if let Some(suspect) = self.suspect {
            return Some(edited(suspect, known));
        }
        let intact = known && head.length == self.length;
        (!intact).then(|| {
            (
                number,
                "it is not the line that the ledger knows".to_owned(),
            )
        })
    }

    fn end(&self) -> Option<Fault> {
        if let Some(suspect) = self.suspect {
            return Some(edited(suspect, true));
        }
        let head = self.head?;
        let lines = self.last.map_or(0, |(seq, _)| seq + 1);
        (lines <= head.seq).then(|| {
            let had = head.seq + 1;
            let detail = format!("the file was cut: it had {had} lines or more, by the ledger");
            (lines + 1, detail)
        })
    }
}

/// Line `suspect` does not name the line before it. If something vouches for it, that other line was edited.
fn edited(suspect: u64, vouched: bool) -> Fault {
    let line = if vouched { suspect - 1 } else { suspect };
    (
        line,
        "it is not what was written: the next line names another".to_owned(),
    )
}
