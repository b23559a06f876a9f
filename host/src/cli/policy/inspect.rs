//! `witgate policy inspect`: a component from the outside, without running it.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{lines, read};
use crate::cli::{Context, Failed};
use crate::operator::component::Shape;

/// A component for machines.
#[derive(Debug, Serialize)]
struct ComponentJson<'a> {
    file: String,
    bytes: usize,
    sha256: String,
    contract: Vec<&'a str>,
    hooks: Vec<&'a str>,
    imports: &'a [String],
    exports: &'a [String],
    /// Whether it can be used; none if nobody tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// Prints what a component imports and exports.
pub(super) fn inspect(context: &Context, file: &Path) -> Result<(), Failed> {
    let bytes = read(file)?;
    let shape = shape(file, &bytes)?;
    show(context, file, &bytes, &shape, None)
}

fn shape(file: &Path, bytes: &[u8]) -> Result<Shape, Failed> {
    Shape::read(bytes).map_err(|e| Failed::new("no_component", format!("{} {e}", file.display())))
}

/// Prints a component; `tried`: what came of loading it, if that was asked.
pub(super) fn show(
    context: &Context,
    file: &Path,
    bytes: &[u8],
    shape: &Shape,
    tried: Option<&Result<(), String>>,
) -> Result<(), Failed> {
    let json = ComponentJson {
        file: file.display().to_string(),
        bytes: bytes.len(),
        sha256: hex::encode(Sha256::digest(bytes)),
        contract: shape.versions(),
        hooks: shape.hooks(),
        imports: &shape.imports,
        exports: &shape.exports,
        ok: tried.map(Result::is_ok),
        problem: tried.and_then(|tried| tried.as_ref().err().cloned()),
    };
    if context.out.is_json() {
        return context.out.value(&json);
    }
    let or_none = |words: &[&str]| match words {
        [] => "none".to_owned(),
        words => words.join(", "),
    };
    let imports: Vec<_> = shape.imports.iter().map(String::as_str).collect();
    let text = [
        format!("file      {}", json.file),
        format!("size      {} bytes", json.bytes),
        format!("sha256    {}", json.sha256),
        format!("contract  witgate:policy {}", or_none(&json.contract)),
        format!("hooks     {}", or_none(&json.hooks)),
        format!("imports   {}", or_none(&imports)),
    ];
    context.out.line(&lines(&text.join("\n")));
    if tried.is_some_and(Result::is_ok) {
        context.out.line("It loads, and takes its settings.");
    }
    Ok(())
}
