//! `witgate policy inspect`: a component from the outside, without running it.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::figures::grouped;
use super::{lines, read};
use crate::cli::{Context, Failed};
use crate::operator::component::{Producer, Shape};

/// A component for machines.
#[derive(Debug, Serialize)]
pub(super) struct ComponentJson<'a> {
    file: String,
    bytes: usize,
    sha256: String,
    contract: Vec<&'a str>,
    hooks: Vec<&'a str>,
    imports: &'a [String],
    exports: &'a [String],
    /// What it says it was made with.
    producers: &'a [Producer],
}

/// Prints what a component imports and exports.
pub(super) fn inspect(context: &Context, file: &Path) -> Result<(), Failed> {
    let bytes = read(file)?;
    let shape = Shape::read(&bytes)
        .map_err(|e| Failed::new("no_component", format!("{} {e}", file.display())))?;
    let json = ComponentJson::new(file, &bytes, &shape);
    if context.out.is_json() {
        return context.out.value(&json);
    }
    let mut text = rows(&json);
    for export in json.exports {
        text.push(format!("export    {export}"));
    }
    context.out.line(&lines(&text.join("\n")));
    Ok(())
}

impl<'a> ComponentJson<'a> {
    pub(super) fn new(file: &Path, bytes: &[u8], shape: &'a Shape) -> Self {
        Self {
            file: file.display().to_string(),
            bytes: bytes.len(),
            sha256: hex::encode(Sha256::digest(bytes)),
            contract: shape.versions(),
            hooks: shape.hooks(),
            imports: &shape.imports,
            exports: &shape.exports,
            producers: &shape.producers,
        }
    }
}

/// A component for people, line by line.
pub(super) fn rows(json: &ComponentJson<'_>) -> Vec<String> {
    let or_none = |words: &[&str]| match words {
        [] => "none".to_owned(),
        words => words.join(", "),
    };
    let imports: Vec<_> = json.imports.iter().map(String::as_str).collect();
    let made: Vec<_> = json.producers.iter().map(Producer::words).collect();
    let made: Vec<_> = made.iter().map(String::as_str).collect();
    vec![
        format!("file      {}", json.file),
        format!("size      {} bytes", grouped(json.bytes)),
        format!("sha256    {}", json.sha256),
        format!("contract  witgate:policy {}", or_none(&json.contract)),
        format!("hooks     {}", or_none(&json.hooks)),
        format!("imports   {}", or_none(&imports)),
        format!("made with {}", or_none(&made)),
    ]
}
