//! `NAME.toml` beside `NAME.wasm`: what came with a policy of the directory.
//!
//! Knows its keys. Grants are no key of it: those stand only in the operator's own configuration.

use std::num::NonZeroU32;

use serde::Deserialize;

use crate::config::Mode;

/// A checked sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Settings as JSON text.
    pub settings: Option<String>,
    /// Whether verdicts bind.
    pub mode: Mode,
    /// What the component's SHA-256 must be.
    pub sha256: Option<String>,
    /// For how many messages one instance serves; 1 is an instance for each.
    pub reuse: u32,
}

impl Default for Sidecar {
    fn default() -> Self {
        Self {
            settings: None,
            mode: Mode::Enforce,
            sha256: None,
            reuse: 1,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    settings: Option<toml::Table>,
    #[serde(default)]
    mode: RawMode,
    sha256: Option<String>,
    #[serde(default = "once")]
    reuse: NonZeroU32,
}

fn once() -> NonZeroU32 {
    NonZeroU32::MIN
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "lowercase")]
enum RawMode {
    #[default]
    Enforce,
    Monitor,
}

/// A sidecar cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// It is no TOML, or has a key or a value that a sidecar cannot have.
    #[error("{0}")]
    Toml(#[from] Box<toml::de::Error>),
    /// Its settings cannot be written as JSON.
    #[error("its settings cannot be handed to a policy: {0}")]
    Settings(#[from] serde_json::Error),
}

impl Sidecar {
    /// Parses the text of a sidecar; an unknown key is an error that names the line.
    pub fn parse(text: &str) -> Result<Self, SidecarError> {
        let raw: Raw = toml::from_str(text).map_err(Box::new)?;
        Ok(Self {
            settings: raw
                .settings
                .map(|table| serde_json::to_string(&table))
                .transpose()?,
            mode: match raw.mode {
                RawMode::Enforce => Mode::Enforce,
                RawMode::Monitor => Mode::Monitor,
            },
            sha256: raw.sha256,
            reuse: raw.reuse.get(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn grants_in_a_sidecar_are_refused_since_they_came_with_the_policy() {
        let error = Sidecar::parse("grants = [\"wasi:http\"]")
            .unwrap_err()
            .to_string();
        assert!(error.contains("grants"), "{error}");
    }

    #[test]
    fn an_instance_serves_one_message_at_least() {
        assert_eq!(Sidecar::parse("reuse = 100").unwrap().reuse, 100);
        for text in ["reuse = 0", "reuse = -1", "reuse = \"1\""] {
            let error = Sidecar::parse(text).unwrap_err().to_string();
            assert!(error.contains("reuse"), "{error}");
        }
    }

    #[test]
    fn settings_become_json() {
        let sidecar = Sidecar::parse("mode = \"monitor\"\n[settings]\nwords = [\"a\"]").unwrap();
        assert_eq!((sidecar.mode, sidecar.reuse), (Mode::Monitor, 1));
        assert_eq!(sidecar.settings.unwrap(), r#"{"words":["a"]}"#);
    }
}
