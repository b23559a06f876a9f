//! What a component imports and exports, read from its bytes without compiling or running it.
//!
//! Knows the binary's sections. Whether this host would load it is the engine's to say.

use serde::Serialize;
use wasmparser::{Encoding, KnownCustom, Parser, Payload, ProducersSectionReader};

/// The package whose interfaces are hooks.
const PACKAGE: &str = "witgate:policy/";

/// A component from the outside. Names are as the component spells them: escape them before a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// Everything it imports, in its order.
    pub imports: Vec<String>,
    /// Everything it exports, in its order.
    pub exports: Vec<String>,
    /// What it says it was made with, each once.
    pub producers: Vec<Producer>,
}

/// A language or a tool that a component says it was made with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Producer {
    /// What it was to it: `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Its name.
    pub name: String,
    /// Its version, which may be empty.
    pub version: String,
}

/// Bytes that are no component.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is no WebAssembly component: {0}")]
pub struct NoComponent(pub String);

impl Shape {
    /// Reads the outermost imports and exports of a component.
    pub fn read(bytes: &[u8]) -> Result<Self, NoComponent> {
        let mut shape = Self::default();
        // How many modules or components the parser is inside of.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(|e| NoComponent(e.message().to_owned()))? {
                Payload::Version { encoding, .. } if depth == 0 && encoding == Encoding::Module => {
                    return Err(NoComponent(
                        "it is a core module; make a component of it, as the policy author's guide says"
                            .to_owned(),
                    ));
                }
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        let import = import.map_err(|e| NoComponent(e.message().to_owned()))?;
                        shape.imports.push(import.name.name.to_owned());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 0 => {
                    for export in section {
                        let export = export.map_err(|e| NoComponent(e.message().to_owned()))?;
                        shape.exports.push(export.name.name.to_owned());
                    }
                }
                Payload::CustomSection(section) => {
                    if let KnownCustom::Producers(section) = section.as_known() {
                        shape.made_with(section);
                    }
                }
                _ => {}
            }
        }
        Ok(shape)
    }

    /// Takes in what one of its modules says. Nothing depends on it, so what is malformed is passed over.
    fn made_with(&mut self, section: ProducersSectionReader<'_>) {
        for field in section.into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                let producer = Producer {
                    field: field.name.to_owned(),
                    name: value.name.to_owned(),
                    version: value.version.to_owned(),
                };
                if !self.producers.contains(&producer) {
                    self.producers.push(producer);
                }
            }
        }
    }

    /// The hooks it exports, by interface.
    pub fn hooks(&self) -> Vec<&str> {
        self.ours().map(|(interface, _)| interface).collect()
    }

    /// The versions of `witgate:policy` that its exports name, each once.
    pub fn versions(&self) -> Vec<&str> {
        let mut versions: Vec<_> = self.ours().map(|(_, version)| version).collect();
        versions.sort_unstable();
        versions.dedup();
        versions
    }

    fn ours(&self) -> impl Iterator<Item = (&str, &str)> {
        self.exports
            .iter()
            .filter_map(|name| name.strip_prefix(PACKAGE)?.split_once('@'))
            .filter(|(interface, _)| *interface != "types")
    }
}

impl Producer {
    /// Name and version.
    pub fn words(&self) -> String {
        format!("{} {}", self.name, self.version)
            .trim_end()
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_component_is_read_from_the_outside() {
        let bytes = include_bytes!("../../../tests/golden/v0_1_0_rust.wasm");
        let shape = Shape::read(bytes).unwrap();
        let mut hooks = shape.hooks();
        hooks.sort_unstable();
        assert_eq!(
            hooks,
            [
                "call-gate",
                "discovery-surface",
                "inventory",
                "list-filter",
                "result-gate",
                "review",
                "settings"
            ]
        );
        assert_eq!(shape.versions(), ["0.1.0"]);
        let ours = |name: &String| name.starts_with("witgate:policy/");
        assert!(
            !shape.imports.is_empty() && shape.imports.iter().all(ours),
            "{shape:?}"
        );
    }

    #[test]
    fn what_it_was_made_with_is_read_from_the_modules_inside() {
        let module = "(core module (@producers (language \"Rust\" \"\") (processed-by \"rustc\" \"1.95.0\")))";
        let bytes = wat::parse_str(format!("(component {module} {module})")).unwrap();
        let made = Shape::read(&bytes).unwrap().producers;
        let made: Vec<_> = made.iter().map(|p| (&*p.field, p.words())).collect();
        assert_eq!(
            made,
            [
                ("language", "Rust".to_owned()),
                ("processed-by", "rustc 1.95.0".to_owned())
            ]
        );
    }

    #[test]
    fn what_is_no_component_is_told() {
        assert!(Shape::read(b"no wasm").is_err());
        let module = wat::parse_str("(module)").unwrap();
        let error = Shape::read(&module).unwrap_err().to_string();
        assert!(error.contains("core module"), "{error}");
        let nested = wat::parse_str("(component (component (import \"inner\" (func))))").unwrap();
        assert_eq!(Shape::read(&nested).unwrap(), Shape::default());
    }
}
