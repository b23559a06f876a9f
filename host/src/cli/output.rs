//! What goes to stdout and stderr, and how it looks there.
//!
//! Knows terminals, colour, tables and JSON's spelling. A closed stdout is no error: nobody listens any more.

use std::io::{IsTerminal, Write};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::Failed;
use crate::mcp::escape;

/// Where a command's output goes.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    json: bool,
    paint: Paint,
}

/// Colour, or none of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    colour: bool,
}

/// What is logged unless `WITGATE_LOG` says otherwise: what is wrong, and what becomes of policies while a gate runs.
const LOG: &str = "warn,witgate::chain::build::outcome=info";

/// Starts the log on stderr, as `WITGATE_LOG` filters it.
pub(super) fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WITGATE_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(LOG));
    let colour = Paint::of(&std::io::stderr()).colour;
    // A second start in one process keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init();
}

impl Output {
    /// Standard output; JSON if `json`, coloured if it is a terminal and `NO_COLOR` is not set.
    pub fn standard(json: bool) -> Self {
        Self {
            json,
            paint: Paint::of(&std::io::stdout()),
        }
    }

    /// Output without colour, whatever stdout is.
    pub fn plain(json: bool) -> Self {
        Self {
            json,
            paint: Paint::PLAIN,
        }
    }

    /// Whether machines read it.
    pub fn is_json(&self) -> bool {
        self.json
    }

    /// How it is coloured.
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Prints text and a line's end.
    pub fn line(&self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes());
        let _ = out.write_all(b"\n");
        let _ = out.flush();
    }

    /// Prints a value as JSON, indented.
    pub fn value(&self, value: &impl Serialize) -> Result<(), Failed> {
        self.line(&json(value)?);
        Ok(())
    }

    /// Tells people of something on stderr.
    pub fn warning(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "witgate: {text}");
    }

    /// Tells of a failure: people on stderr, machines also on stdout.
    pub fn failure(&self, failed: &Failed) {
        if failed.message.is_empty() {
            return;
        }
        self.warning(&failed.message);
        if self.json {
            #[derive(Serialize)]
            struct Error<'a> {
                code: &'a str,
                message: &'a str,
            }
            #[derive(Serialize)]
            struct Answer<'a> {
                error: Error<'a>,
            }
            let error = Error {
                code: failed.code,
                message: &failed.message,
            };
            let _ = self.value(&Answer { error });
        }
    }
}

impl Paint {
    /// No colour.
    pub const PLAIN: Self = Self { colour: false };

    fn of(stream: &impl IsTerminal) -> Self {
        let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: stream.is_terminal() && !asked_not_to && !dumb,
        }
    }

    /// Whether there is colour.
    pub fn is_coloured(self) -> bool {
        self.colour
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// What stands back.
    pub fn dim(self, text: &str) -> String {
        self.with("2", text)
    }

    /// What is new.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// What is gone from within a text: white space shows too.
    pub fn struck(self, text: &str) -> String {
        self.with("31;9", text)
    }

    /// What is new within a text: white space shows too.
    pub fn underlined(self, text: &str) -> String {
        self.with("32;4", text)
    }

    /// What is gone or wrong.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }
}

/// A value as indented JSON in ASCII.
pub(super) fn json(value: &impl Serialize) -> Result<String, Failed> {
    serde_json::to_string_pretty(value)
        .map(|text| ascii(&text))
        .map_err(|e| Failed::new("output", e.to_string()))
}

/// JSON text with every character beyond printable ASCII as an escape: what a server wrote may hold characters that a
/// terminal obeys. Such characters stand in strings only, so that the text means the same.
pub(super) fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for c in json.chars() {
        if matches!(c, ' '..='~' | '\n') {
            text.push(c);
        } else {
            for unit in c.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    text
}

/// A table with a header, columns two spaces apart. Every cell is escaped, and cut at 80 characters.
pub(super) fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header(header.iter().copied());
    for row in rows {
        table.add_row(row.iter().map(|cell| cell_text(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let lines: Vec<_> = table.lines().map(|l| l.trim_end().to_owned()).collect();
    lines.join("\n")
}

fn cell_text(text: &str) -> String {
    escape::visible_cut(text, 80).into_owned()
}

/// Words as a line for a POSIX shell, escaped for the terminal too.
pub(super) fn shell_line<S: AsRef<str>>(words: &[S]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| shell_word(word.as_ref())).collect();
    escape::visible(&quoted.join(" ")).into_owned()
}

fn shell_word(word: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"@%+=:,./_-".contains(&b);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A terminal obeys C1 controls and bidirectional marks, which JSON does not escape by itself.
    #[test]
    fn json_is_ascii_and_means_the_same() {
        let hostile = "a\u{9b}31m\u{202e}\u{200b}\u{1b}\u{7f}é😀\"\\\n";
        let text = json(&serde_json::json!({"name": hostile, "list": [], "n": 1.5})).unwrap();
        assert!(
            text.bytes().all(|b| matches!(b, b' '..=b'~' | b'\n')),
            "{text:?}"
        );
        let back: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(back["name"], hostile);
    }

    #[test]
    fn raw_json_is_ascii_too() {
        let raw = serde_json::value::RawValue::from_string("\"\u{9b}é\"".to_owned()).unwrap();
        assert_eq!(json(&raw).unwrap(), r#""\u009b\u00e9""#);
    }

    #[test]
    fn a_table_shows_what_a_server_wrote_and_obeys_none_of_it() {
        let rows = [vec!["a\u{1b}[2J".to_owned(), "b".to_owned()]];
        assert_eq!(
            table(&["ID", "NAME"], rows),
            "ID          NAME\na\\u{1b}[2J  b"
        );
    }

    #[test]
    fn a_printed_command_can_be_typed() {
        assert_eq!(
            shell_line(&["witgate", "--config", "/a b/it's.toml", "p:1", ""]),
            r"witgate --config '/a b/it'\''s.toml' p:1 ''"
        );
    }
}
