//! `manifest.json`: what components were built from, with what, and what came out.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// The file's name.
const FILE: &str = "manifest.json";

/// What stands beside components.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    /// What built them: see `Toolchain::name`.
    pub(crate) toolchain: String,
    /// By name, without `.wasm`.
    pub(crate) components: BTreeMap<String, Built>,
}

/// One component.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Built {
    /// SHA-256 over everything it was built from, hexadecimal: see `sources::digest`.
    pub(crate) sources: String,
    /// SHA-256 of the component, hexadecimal.
    pub(crate) sha256: String,
}

impl Manifest {
    /// Reads the manifest of a folder.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let file = folder.join(FILE);
        let text =
            fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
        serde_json::from_str(&text).with_context(|| format!("reading {}", file.display()))
    }

    /// Writes the manifest of a folder.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let file = folder.join(FILE);
        let text = serde_json::to_string_pretty(self)? + "\n";
        fs::write(&file, text).with_context(|| format!("writing {}", file.display()))
    }
}
