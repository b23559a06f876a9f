//! What a server offers by name, and the digest that pins its definition.
//!
//! Knows the kinds of items and the written form of a digest; how a digest is computed is `mcp::digest`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// What an item is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ItemKind {
    /// A tool, from `tools/list`.
    Tool,
    /// A prompt, from `prompts/list`.
    Prompt,
    /// A resource, from `resources/list`; named by its URI.
    Resource,
    /// A resource template, from `resources/templates/list`; named by its text.
    ResourceTemplate,
    /// A server's `instructions` with its `serverInfo`, version left out; its name is empty.
    SelfDescription,
}

impl ItemKind {
    /// Every kind, in the order in which they are read and shown.
    pub const ALL: [Self; 5] = [
        Self::SelfDescription,
        Self::Tool,
        Self::Prompt,
        Self::Resource,
        Self::ResourceTemplate,
    ];

    /// The word for this kind: in digests, in the ledger, in output for machines.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Prompt => "prompt",
            Self::Resource => "resource",
            Self::ResourceTemplate => "resource-template",
            Self::SelfDescription => "self-description",
        }
    }

    /// The kind that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl fmt::Display for ItemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The digest of a definition: SHA-256 in form 1, written `1:` and 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

/// A text that is no digest this version knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no digest: expected `1:` and 64 hexadecimal digits")]
pub struct DigestError(pub String);

impl Digest {
    /// The digest whose SHA-256 is `bytes`.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The SHA-256 itself.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1:{}", hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let wrong = || DigestError(text.chars().take(80).collect());
        let digits = text.strip_prefix("1:").ok_or_else(wrong)?;
        if digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong())?;
        Ok(Self(bytes))
    }
}

/// What identifies an item within one server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ItemKey {
    /// What it is.
    pub kind: ItemKind,
    /// Its name as the server spells it; a resource's URI in RFC 3986 normal form; empty for the self-description.
    pub name: Arc<str>,
}

/// An item as it was observed: its key and the digest of its definition.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Item {
    /// What identifies it.
    pub key: ItemKey,
    /// The digest of its whole definition.
    pub digest: Digest,
}
