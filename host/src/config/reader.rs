//! Reads tables of a TOML file, and remembers which keys were asked for: a key nobody asked for is an error.
//!
//! Knows lines, dotted keys and types, and how an error about them reads. Knows no key by name.

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// A file being read.
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

/// One table of it.
pub(super) struct Section<'a> {
    file: File<'a>,
    key: String,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
}

/// One value, with the dotted key it has.
pub(super) struct Field<'a> {
    file: File<'a>,
    pub(super) key: String,
    value: &'a DeValue<'a>,
    at: Range<usize>,
}

impl File<'_> {
    /// An error about the text at `at`: `FILE:LINE: detail`.
    pub(super) fn error(&self, at: usize, detail: &str) -> ConfigError {
        let line = 1 + self
            .text
            .bytes()
            .take(at)
            .filter(|byte| *byte == b'\n')
            .count();
        ConfigError(format!("{}:{line}: {detail}", self.path.display()))
    }
}

impl<'a> Section<'a> {
    /// The whole file's table.
    pub(super) fn root(file: File<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(file, String::new(), table)
    }

    fn new(file: File<'a>, key: String, table: &'a DeTable<'a>) -> Self {
        Self {
            file,
            key,
            table,
            asked: RefCell::default(),
        }
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Field<'a>> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        Some(Field {
            file: self.file,
            key: self.dotted(key),
            value: value.get_ref(),
            at: value.span(),
        })
    }

    /// Every value, whatever its key: for tables whose keys are names.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, Field<'a>)> + '_ {
        self.table.iter().map(|(key, value)| {
            let name: &'a str = key.get_ref();
            let field = Field {
                file: self.file,
                key: self.dotted(name),
                value: value.get_ref(),
                at: key.span(),
            };
            (name, field)
        })
    }

    /// An error if the table holds a key that was never asked for; names the first in the file, and a near one.
    pub(super) fn finish(self) -> Result<(), ConfigError> {
        let asked = self.asked.into_inner();
        let unknown = self
            .table
            .keys()
            .filter(|key| !asked.contains(&key.get_ref().as_ref()))
            .min_by_key(|key| key.span().start);
        let Some(key) = unknown else { return Ok(()) };
        let name = key.get_ref().as_ref();
        let near = asked
            .iter()
            .map(|known| (strsim::damerau_levenshtein(known, name), *known))
            .min()
            .filter(|(distance, known)| *distance <= 2.max(known.len() / 2));
        let mend = match near {
            Some((_, known)) => format!("did you mean `{known}`?"),
            None => format!("remove it; known here: {}", asked.join(", ")),
        };
        let dotted = dotted(&self.key, name);
        Err(self
            .file
            .error(key.span().start, &format!("unknown key `{dotted}`: {mend}")))
    }

    fn dotted(&self, key: &str) -> String {
        dotted(&self.key, key)
    }
}

impl<'a> Field<'a> {
    /// An error about this value: `FILE:LINE: KEY detail`.
    pub(super) fn error(&self, detail: &str) -> ConfigError {
        self.file
            .error(self.at.start, &format!("`{}` {detail}", self.key))
    }

    /// Where it stands: `FILE:LINE: KEY`.
    pub(super) fn place(&self) -> String {
        self.error("").0.trim_end().to_owned()
    }

    fn expected(&self, what: &str) -> ConfigError {
        self.error(&format!("must be {what}, not {}", self.shown()))
    }

    /// The value as the file has it, for errors: type and, where it is short, text.
    pub(super) fn shown(&self) -> String {
        match self.value {
            DeValue::String(text) if text.chars().count() <= 60 => format!("the string {text:?}"),
            DeValue::String(_) => "a string".to_owned(),
            DeValue::Integer(number) => format!("the integer {number}"),
            DeValue::Float(number) => format!("the float {number}"),
            DeValue::Boolean(value) => format!("the boolean {value}"),
            DeValue::Datetime(_) => "a date or time".to_owned(),
            DeValue::Array(_) => "an array".to_owned(),
            DeValue::Table(_) => "a table".to_owned(),
        }
    }

    /// A string.
    pub(super) fn string(&self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    /// An integer between `min` and `max`, both included.
    pub(super) fn integer(&self, min: u64, max: u64) -> Result<u64, ConfigError> {
        self.value
            .as_integer()
            .and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok())
            .filter(|number| (min..=max).contains(number))
            .ok_or_else(|| self.expected(&format!("an integer from {min} to {max}")))
    }

    /// Whether it is the integer 1 and nothing that only looks like it.
    pub(super) fn is_integer_one(&self) -> bool {
        self.value
            .as_integer()
            .is_some_and(|number| number.radix() == 10 && number.as_str() == "1")
    }

    /// An array of strings.
    pub(super) fn strings(&self) -> Result<Vec<String>, ConfigError> {
        let array = self
            .value
            .as_array()
            .ok_or_else(|| self.expected("an array of strings"))?;
        array
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let field = Field {
                    file: self.file,
                    key: format!("{}[{index}]", self.key),
                    value: value.get_ref(),
                    at: value.span(),
                };
                field.string().map(str::to_owned)
            })
            .collect()
    }

    /// A table.
    pub(super) fn section(&self) -> Result<Section<'a>, ConfigError> {
        let table = self
            .value
            .as_table()
            .ok_or_else(|| self.expected("a table"))?;
        Ok(Section::new(self.file, self.key.clone(), table))
    }

    /// A table whose keys are its own affair.
    pub(super) fn table(&self) -> Result<&'a DeTable<'a>, ConfigError> {
        self.value
            .as_table()
            .ok_or_else(|| self.expected("a table"))
    }

    /// An array of tables, each with a field for errors about the whole of it.
    pub(super) fn sections(&self) -> Result<Vec<(Self, Section<'a>)>, ConfigError> {
        let what = format!("an array of tables, each begun by `[[{}]]`", self.key);
        let array = self.value.as_array().ok_or_else(|| self.expected(&what))?;
        array
            .iter()
            .enumerate()
            .map(|(index, value)| {
                let field = Self {
                    file: self.file,
                    key: format!("{}[{index}]", self.key),
                    value: value.get_ref(),
                    at: value.span(),
                };
                let section = field.section()?;
                Ok((field, section))
            })
            .collect()
    }
}

fn dotted(section: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let key = if bare {
        key.to_owned()
    } else {
        format!("{key:?}")
    };
    if section.is_empty() {
        key
    } else {
        format!("{section}.{key}")
    }
}
