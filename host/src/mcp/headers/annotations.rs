//! `x-mcp-header` in a tool's `inputSchema`: which arguments stand in headers too.
//!
//! An annotation counts only on a property that is reached by `properties` alone, of a primitive type, under a name that a
//! header can have and that no other annotation has. Anything else makes the whole definition invalid.

use std::borrow::Cow;

use super::{member, number};
use crate::wire::scan::{self, Member};

const KEY: &str = "x-mcp-header";

/// The annotations of one definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations(Vec<Annotation>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Annotation {
    /// The keys that lead to the value in `arguments`.
    path: Vec<String>,
    /// The header's name after `Mcp-Param-`.
    header: String,
    primitive: Primitive,
}

/// The types that a value in a header may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Primitive {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
}

/// Why a definition's annotations are invalid. `at` is the property, its steps joined by `.`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnnotationError {
    /// It stands on something that is not reached by `properties` alone.
    #[error(
        "x-mcp-header stands where it may not: only properties reached by `properties` alone may have it"
    )]
    Misplaced,
    /// It is no string, or not the name of a header.
    #[error("property `{at}`: x-mcp-header is not the name of a header")]
    Name {
        /// The property.
        at: String,
    },
    /// Two properties have the same, case aside.
    #[error("property `{at}`: x-mcp-header is the same as another's")]
    Twice {
        /// The property.
        at: String,
    },
    /// The property is of a type that no header has.
    #[error("property `{at}`: x-mcp-header needs the type string, integer or boolean")]
    Type {
        /// The property.
        at: String,
    },
    /// The schema is no JSON that can be read.
    #[error("the schema cannot be read")]
    Unreadable,
}

/// The annotations of a tool's definition, as the server wrote it.
///
/// # Errors
/// If any of them is invalid, by which the definition is.
pub fn annotations(definition: &str) -> Result<Annotations, AnnotationError> {
    if !may_have(definition) {
        return Ok(Annotations::default());
    }
    let Some(schema) = member(definition, "inputSchema") else {
        return Ok(Annotations::default());
    };
    let mut found = Vec::new();
    for part in members(schema)? {
        if part.is(KEY) {
            return Err(AnnotationError::Misplaced);
        } else if part.is("properties") {
            properties(part.value, &mut Vec::new(), &mut found)?;
        } else {
            nothing_in(&part)?;
        }
    }
    Ok(Annotations(found))
}

impl Annotations {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each header's name after the prefix, and the value it has for these arguments (a raw object), not yet encoded; none
    /// where the arguments have no value for it.
    pub(super) fn values<'a>(
        &'a self,
        arguments: Option<&'a str>,
    ) -> impl Iterator<Item = (&'a str, Option<Cow<'a, str>>)> {
        self.0
            .iter()
            .map(move |annotation| {
                let raw = annotation
                    .path
                    .iter()
                    .try_fold(arguments?, |object, step| member(object, step));
                Some((annotation, raw))
            })
            .zip(&self.0)
            .map(|(found, annotation)| {
                let value = found.and_then(|(annotation, raw)| annotation.text(raw?));
                (annotation.header.as_str(), value)
            })
    }

    /// Whether a header is of an integer.
    pub(super) fn is_integer(&self, header: &str) -> bool {
        self.0
            .iter()
            .any(|a| a.header == header && a.primitive == Primitive::Integer)
    }
}

impl Annotation {
    /// A raw value as text. What is no primitive has none; a primitive of another type is the server's to refuse.
    fn text<'a>(&self, raw: &'a str) -> Option<Cow<'a, str>> {
        match raw.as_bytes().first()? {
            b'"' => scan::string_text(raw),
            b't' | b'f' => Some(Cow::Borrowed(raw)),
            b'-' | b'0'..=b'9' => Some(match (self.primitive, number::as_integer(raw)) {
                (Primitive::Integer, Some(integer)) => Cow::Owned(integer),
                _ => Cow::Borrowed(raw),
            }),
            _ => None,
        }
    }
}

/// Whether the text could have the key at all: most definitions have none, and every call asks.
fn may_have(definition: &str) -> bool {
    let bytes = definition.as_bytes();
    if memchr::memmem::find(bytes, KEY.as_bytes()).is_some() {
        return true;
    }
    // Or spelt with escapes of ASCII characters, which nobody writes without need.
    memchr::memmem::find_iter(bytes, b"\\u00")
        .any(|at| matches!(bytes.get(at + 4), Some(b'2'..=b'7')))
}

/// The properties of an object that is reached by `properties` alone.
fn properties(
    object: &str,
    path: &mut Vec<String>,
    found: &mut Vec<Annotation>,
) -> Result<(), AnnotationError> {
    if !object.starts_with('{') {
        return Ok(());
    }
    for property in members(object)? {
        if !property.value.starts_with('{') {
            continue;
        }
        path.push(scan::unescape(property.key).into_owned());
        let parts = members(property.value)?;
        for part in &parts {
            if part.is(KEY) {
                found.push(annotation(part.value, &parts, path, found)?);
            } else if part.is("properties") {
                properties(part.value, path, found)?;
            } else {
                nothing_in(part)?;
            }
        }
        path.pop();
    }
    Ok(())
}

fn annotation(
    raw: &str,
    parts: &[Member<'_>],
    path: &[String],
    found: &[Annotation],
) -> Result<Annotation, AnnotationError> {
    let at = || path.join(".");
    let header = scan::string_text(raw)
        .filter(|name| !name.is_empty() && name.bytes().all(is_token))
        .ok_or_else(|| AnnotationError::Name { at: at() })?;
    if found
        .iter()
        .any(|other| other.header.eq_ignore_ascii_case(&header))
    {
        return Err(AnnotationError::Twice { at: at() });
    }
    let kind = parts.iter().find(|part| part.is("type"));
    let primitive = match kind
        .and_then(|part| scan::string_text(part.value))
        .as_deref()
    {
        Some("string") => Primitive::String,
        Some("integer") => Primitive::Integer,
        Some("boolean") => Primitive::Boolean,
        _ => return Err(AnnotationError::Type { at: at() }),
    };
    Ok(Annotation {
        path: path.to_vec(),
        header: header.into_owned(),
        primitive,
    })
}

/// That no schema within this keyword's value is annotated. What an instance may look like (`default`, `enum`, …) is no
/// schema.
fn nothing_in(part: &Member<'_>) -> Result<(), AnnotationError> {
    const INSTANCES: [&str; 4] = ["default", "const", "enum", "examples"];
    const BY_NAME: [&str; 5] = [
        "properties",
        "$defs",
        "definitions",
        "dependentSchemas",
        "patternProperties",
    ];
    if INSTANCES.iter().any(|name| part.is(name)) || !may_have(part.value) {
        return Ok(());
    }
    if BY_NAME.iter().any(|name| part.is(name)) && part.value.starts_with('{') {
        return members(part.value)?
            .iter()
            .try_for_each(|named| no_schema(named.value));
    }
    no_schema(part.value)
}

fn no_schema(value: &str) -> Result<(), AnnotationError> {
    match value.as_bytes().first() {
        Some(b'{') => members(value)?.iter().try_for_each(|part| {
            if part.is(KEY) {
                Err(AnnotationError::Misplaced)
            } else {
                nothing_in(part)
            }
        }),
        Some(b'[') => scan::elements(value)
            .map_err(|_| AnnotationError::Unreadable)?
            .into_iter()
            .try_for_each(no_schema),
        _ => Ok(()),
    }
}

fn members(object: &str) -> Result<Vec<Member<'_>>, AnnotationError> {
    scan::members(object).map_err(|_| AnnotationError::Unreadable)
}

/// A character of a header's name (RFC 9110, section 5.6.2).
const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}
