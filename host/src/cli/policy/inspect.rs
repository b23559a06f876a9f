//! `witgate policy inspect`: a component from the outside, without running it.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
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

/// A component and what lies beside it, for machines.
#[derive(Debug, Serialize)]
struct InspectedJson<'a> {
    #[serde(flatten)]
    component: ComponentJson<'a>,
    /// The JSON Schema of its settings, `NAME.schema.json` beside it.
    settings_schema: Option<Value>,
}

/// Prints what a component imports and exports.
pub(super) fn inspect(context: &Context, file: &Path) -> Result<(), Failed> {
    let bytes = read(file)?;
    let shape = Shape::read(&bytes)
        .map_err(|e| Failed::new("no_component", format!("{} {e}", file.display())))?;
    let json = InspectedJson {
        component: ComponentJson::new(file, &bytes, &shape),
        settings_schema: schema_beside(file)?,
    };
    if context.out.is_json() {
        return context.out.value(&json);
    }
    let mut text = rows(&json.component);
    for export in json.component.exports {
        text.push(format!("export    {export}"));
    }
    if let Some(schema) = &json.settings_schema {
        text.extend(settings(schema));
    }
    context.out.line(&lines(&text.join("\n")));
    Ok(())
}

/// The schema that its author put beside a component.
fn schema_beside(file: &Path) -> Result<Option<Value>, Failed> {
    let schema = file.with_extension("schema.json");
    let fails = |detail: String| Failed::new("schema", format!("{}: {detail}", schema.display()));
    match std::fs::read_to_string(&schema) {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(schema @ Value::Object(_)) => Ok(Some(schema)),
            Ok(_) => Err(fails("is no JSON Schema: it must be an object".to_owned())),
            Err(e) => Err(fails(format!("is no JSON: {e}"))),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(fails(e.to_string())),
    }
}

/// The keys that a schema describes, one a line.
fn settings(schema: &Value) -> Vec<String> {
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let required = schema["required"].as_array();
    let keys = properties.iter().map(|(key, of)| {
        let kind = match &of["type"] {
            Value::String(kind) => kind.clone(),
            _ => "any".to_owned(),
        };
        let needed = required.is_some_and(|required| required.contains(&key.as_str().into()));
        let needed = if needed { ", required" } else { "" };
        let about = of["description"].as_str().unwrap_or_default();
        format!("setting   {key} ({kind}{needed})  {about}")
            .trim_end()
            .to_owned()
    });
    keys.collect()
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
