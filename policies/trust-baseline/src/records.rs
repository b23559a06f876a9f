//! What is stored, and its text.
//!
//! Texts are lines of words, quick to read: a filter reads a server's every record. What cannot be read, an unknown
//! word included, is [`Stored::Corrupt`]: it never approves.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::state::Status;

/// A digest that was approved, by whom and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The digest.
    pub digest: String,
    /// Who, and when.
    pub mark: Mark,
}

/// Who did something, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// An operator's name, `auto-baseline` or `auto-approve-changes`.
    pub by: String,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// What was decided about an item. As text, one line each:
///
/// ```text
/// approved DIGEST MS BY
/// cleared MS BY
/// blocked MS BY
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Record {
    /// Usable digests, usually one.
    pub approved: Vec<Approval>,
    /// Nothing is approved since a person said so. Without this, an item nobody approved would have no record, and a
    /// baseline would take it for one nobody decided about.
    pub cleared: Option<Mark>,
    /// The item is unusable whatever it shows.
    pub blocked: Option<Mark>,
}

/// What the store has for an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// Nothing: nobody and no baseline decided.
    Absent,
    /// Something that cannot be read.
    Corrupt,
    /// A record.
    Record(Record),
}

/// Which digests an item ever showed. As text: `FIRST FIRST-MS LATEST-MS one|several`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ever {
    /// The first; empty if that is not known any more.
    pub first: String,
    /// When it was first seen, milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// When a digest appeared that no observer showed just before.
    pub latest_ms: u64,
    /// Whether it ever showed another.
    pub several: bool,
}

/// What one observer saw last: digests by kind's word and name. As text, JSON, in [`parts`].
pub type Reading = BTreeMap<String, BTreeMap<String, String>>;

/// About how many bytes of names and digests one part of a reading holds. Escaped as JSON they are six times as many
/// at the most, and the host takes values of a mebibyte.
const PART: usize = 64 * 1024;

/// A reading's text, in parts that the host takes; none if it shows nothing of any kind.
pub fn parts(reading: &Reading) -> Vec<String> {
    let mut parts = Vec::new();
    let mut part = BTreeMap::<&str, BTreeMap<&str, &str>>::new();
    let mut size = 0;
    for (kind, names) in reading {
        part.entry(kind).or_default();
        for (name, digest) in names {
            if size > PART {
                parts.push(std::mem::take(&mut part));
                size = 0;
            }
            size += name.len() + digest.len();
            part.entry(kind).or_default().insert(name, digest);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    // Maps of texts always have a JSON form.
    parts
        .iter()
        .map(|part| serde_json::to_string(part).unwrap_or_default())
        .collect()
}

impl Stored {
    /// Reads what the store has.
    pub fn parse(text: Option<&str>) -> Self {
        match text.map(Record::parse) {
            None => Self::Absent,
            Some(None) => Self::Corrupt,
            Some(Some(record)) => Self::Record(record),
        }
    }

    /// The status of `digest` by a record's text, without keeping what is read.
    pub fn status_of_text(text: &str, digest: &str) -> Status {
        let mut status = Status::Pending;
        let mut blocked = false;
        for line in text.split('\n') {
            match Line::parse(line) {
                Some(Line::Approved(approved, ..)) if approved == digest => {
                    status = Status::Approved;
                }
                Some(Line::Approved(..)) if status == Status::Pending => status = Status::Changed,
                Some(Line::Blocked(..)) => blocked = true,
                Some(_) => {}
                None => return Status::Corrupt,
            }
        }
        if blocked { Status::Blocked } else { status }
    }
}

/// A line of a record's text: words, and who.
enum Line<'a> {
    Approved(&'a str, u64, &'a str),
    Cleared(u64, &'a str),
    Blocked(u64, &'a str),
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let (word, rest) = line.split_once(' ')?;
        let mark = |rest: &'a str| {
            let (at_ms, by) = rest.split_once(' ')?;
            Some((at_ms.parse().ok()?, by))
        };
        match word {
            "approved" => {
                let (digest, rest) = rest.split_once(' ')?;
                let (at_ms, by) = mark(rest)?;
                (!digest.is_empty()).then_some(Self::Approved(digest, at_ms, by))
            }
            "cleared" => mark(rest).map(|(at_ms, by)| Self::Cleared(at_ms, by)),
            "blocked" => mark(rest).map(|(at_ms, by)| Self::Blocked(at_ms, by)),
            _ => None,
        }
    }
}

impl Record {
    /// Reads a record; none if anything of it cannot be read.
    pub fn parse(text: &str) -> Option<Self> {
        let mut record = Self::default();
        for line in text.split('\n') {
            match Line::parse(line)? {
                Line::Approved(digest, at_ms, by) => record.approved.push(Approval {
                    digest: digest.to_owned(),
                    mark: Mark::new(by, at_ms),
                }),
                Line::Cleared(at_ms, by) => record.cleared = Some(Mark::new(by, at_ms)),
                Line::Blocked(at_ms, by) => record.blocked = Some(Mark::new(by, at_ms)),
            }
        }
        Some(record)
    }

    /// The record's text. A record that says nothing has none: the store has no key for it.
    pub fn text(&self) -> Option<String> {
        let mut lines = Vec::new();
        for Approval { digest, mark } in &self.approved {
            lines.push(format!("approved {digest} {} {}", mark.at_ms, mark.by));
        }
        let marks = [("cleared", &self.cleared), ("blocked", &self.blocked)];
        for (word, mark) in marks {
            if let Some(mark) = mark {
                lines.push(format!("{word} {} {}", mark.at_ms, mark.by));
            }
        }
        (!lines.is_empty()).then(|| lines.join("\n"))
    }

    /// Whether `digest` is among the approved.
    pub fn approves(&self, digest: &str) -> bool {
        self.approved
            .iter()
            .any(|approval| approval.digest == digest)
    }
}

impl Mark {
    /// Who and when. Characters that would break a line of the record become spaces.
    pub fn new(by: &str, at_ms: u64) -> Self {
        Self {
            by: by.replace(char::is_control, " "),
            at_ms,
        }
    }
}

impl Ever {
    /// Reads what was ever seen. What cannot be read counts as several digests, which no baseline approves.
    pub fn parse(text: &str) -> Self {
        Self::parse_exactly(text).unwrap_or(Self {
            first: String::new(),
            first_ms: 0,
            latest_ms: 0,
            several: true,
        })
    }

    fn parse_exactly(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let first = words.next()?.to_owned();
        let first_ms = words.next()?.parse().ok()?;
        let latest_ms = words.next()?.parse().ok()?;
        let several = match words.next()? {
            "one" => false,
            "several" => true,
            _ => return None,
        };
        words.next().is_none().then_some(Self {
            first,
            first_ms,
            latest_ms,
            several,
        })
    }

    /// Its text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let count = if self.several { "several" } else { "one" };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "{} {} {} {count}",
            self.first, self.first_ms, self.latest_ms
        );
        text
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark() -> impl Strategy<Value = Mark> {
        ("[a-z \n\u{7}é-]{0,6}", any::<u64>()).prop_map(|(by, at_ms)| Mark::new(&by, at_ms))
    }

    fn record() -> impl Strategy<Value = Record> {
        let approvals = proptest::collection::vec(("[a-f0-9:]{1,4}", mark()), 0..3);
        (
            approvals,
            proptest::option::of(mark()),
            proptest::option::of(mark()),
        )
            .prop_map(|(approved, cleared, blocked)| Record {
                approved: approved
                    .into_iter()
                    .map(|(digest, mark)| Approval { digest, mark })
                    .collect(),
                cleared,
                blocked,
            })
    }

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written(record in record()) {
            if let Some(text) = record.text() {
                prop_assert_eq!(Record::parse(&text), Some(record));
            }
        }

        #[test]
        fn the_quick_look_sees_what_the_record_says(record in record(), digest in "[a-f0-9:]{1,2}") {
            if let Some(text) = record.text() {
                let stored = Stored::Record(record);
                prop_assert_eq!(Stored::status_of_text(&text, &digest), stored.status(&digest));
            }
        }

        #[test]
        fn what_cannot_be_read_approves_nothing(text in "(approved|allowed|blocked)?[ a:1-9\n]{0,12}") {
            if Record::parse(&text).is_none() {
                prop_assert_eq!(Stored::status_of_text(&text, "a"), Status::Corrupt);
            }
        }
    }

    #[test]
    fn a_long_reading_is_read_back_from_its_parts() {
        let names = (0..5000)
            .map(|n| (format!("\u{1}{n}"), "1:aa".repeat(16)))
            .collect();
        let reading = Reading::from([
            ("prompt".to_owned(), BTreeMap::new()),
            ("tool".to_owned(), names),
        ]);
        let parts = parts(&reading);
        assert!(parts.len() > 4);
        assert!(parts.iter().all(|part| part.len() < 1 << 19));
        let mut back = Reading::new();
        for part in &parts {
            for (kind, names) in serde_json::from_str::<Reading>(part).unwrap() {
                back.entry(kind).or_default().extend(names);
            }
        }
        assert_eq!(back, reading);
    }

    #[test]
    fn texts_that_are_no_record() {
        for text in [
            "",
            "approved",
            "approved 1:aa",
            "approved 1:aa x by",
            "approved  1 by",
            "trusted 1:aa 1 by",
            "approved 1:aa 1 by\n",
            "{\"approved\":[]}",
        ] {
            assert_eq!(Stored::parse(Some(text)), Stored::Corrupt, "{text:?}");
        }
    }

    #[test]
    fn sightings_that_cannot_be_read_count_as_several_digests() {
        let ever = Ever {
            first: "1:aa".to_owned(),
            first_ms: 1,
            latest_ms: 2,
            several: false,
        };
        assert_eq!(Ever::parse(&ever.text()), ever);
        for text in ["", "1:aa", "1:aa 1 2 few", "1:aa 1 2 one more"] {
            assert!(Ever::parse(text).several, "{text:?}");
        }
    }
}
