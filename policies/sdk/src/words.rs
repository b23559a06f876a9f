//! Small conveniences on the contract's words.

use crate::{Change, Denial, Hold, ItemKind, Locked};

/// Keys that begin so record what was seen: writing them does not move the ledger's revision, and judging hooks do not
/// see them.
pub const SIGHTING_PREFIX: &str = "sighting/";

/// The value of a label, if it is there.
pub fn label<'a>(labels: &'a [(String, String)], key: &str) -> Option<&'a str> {
    labels
        .iter()
        .find(|(found, _)| found == key)
        .map(|(_, value)| value.as_str())
}

impl Denial {
    /// A refusal with a stable `code` (lower-case letters, digits and `_`) and one sentence for people.
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
            remedy: None,
            labels: Vec::new(),
        }
    }

    /// The same, saying what a person can do about it.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

impl Hold {
    /// A hold with a stable `code` and one sentence for the person who will be asked.
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            reason: reason.into(),
            labels: Vec::new(),
        }
    }
}

impl Locked {
    /// Surfaces an item with a status of the contract, and a remedy that names a command that exists.
    pub fn new(status: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            status: status.into(),
            remedy: remedy.into(),
            labels: Vec::new(),
        }
    }
}

impl Change {
    /// `key` gets `value`.
    pub fn keep(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: Some(value.into()),
            labels: Vec::new(),
        }
    }

    /// `key` is deleted.
    pub fn delete(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: None,
            labels: Vec::new(),
        }
    }
}

impl ItemKind {
    /// The word for this kind in labels, keys and output: `tool`, `prompt`, `resource`, `resource-template`,
    /// `self-description`, or the unknown kind's own.
    pub fn word(&self) -> &str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::ResourceItem => "resource",
            Self::ResourceTemplate => "resource-template",
            Self::SelfDescription => "self-description",
            Self::Other(word) => word,
        }
    }

    /// The kind a word stands for.
    pub fn from_word(word: &str) -> Self {
        match word {
            "tool" => Self::Tool,
            "prompt" => Self::Prompt,
            "resource" => Self::ResourceItem,
            "resource-template" => Self::ResourceTemplate,
            "self-description" => Self::SelfDescription,
            other => Self::Other(other.to_owned()),
        }
    }
}
