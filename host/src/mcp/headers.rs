//! What a request says in its headers beside its body, since 2026-07-28 (SEP-2243): `Mcp-Name` and `Mcp-Param-*`.
//!
//! Knows which value of a message stands in which header, how it is written there, and when the two agree; on raw JSON
//! text, nothing is built of it. Knows nothing of requests and connections.
//!
//! Source: MCP 2026-07-28, basic/transports/streamable-http, "Request Metadata".

mod annotations;
mod number;

use std::borrow::Cow;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderName, HeaderValue};

pub use annotations::{AnnotationError, Annotations, Primitive, annotations};

use crate::wire::scan;

/// What an encoded value begins with.
const PREFIX: &str = "=?base64?";

/// What an encoded value ends with.
const SUFFIX: &str = "?=";

/// A header that does not agree with the body, or cannot be read: -32020 and 400 to whoever sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderMismatch {
    /// The body has a value that should stand in a header too.
    #[error("Header mismatch: the header {0} is missing, and the body has a value for it")]
    Missing(String),
    /// There is more than one header of the name.
    #[error("Header mismatch: the header {0} stands there more than once")]
    Twice(String),
    /// The header has a value and the body has none.
    #[error("Header mismatch: the header {0} has a value, and the body has none for it")]
    Unexpected(String),
    /// The two differ.
    #[error("Header mismatch: the value of the header {0} is not the one in the body")]
    Differs(String),
    /// The header's value has characters that no header has, or is no Base64 of UTF-8.
    #[error("Header mismatch: the value of the header {0} cannot be read")]
    Unreadable(String),
}

/// The code of [`HeaderMismatch`] in JSON-RPC.
pub const HEADER_MISMATCH: i64 = -32020;

/// Which member of `params` stands in `Mcp-Name` for a method; none if the method has no such header.
pub fn name_member(method: &str) -> Option<&'static str> {
    match method {
        "tools/call" | "prompts/get" => Some("name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Some("uri"),
        "tasks/get" | "tasks/update" | "tasks/cancel" => Some("taskId"),
        _ => None,
    }
}

/// What a request has to say in `Mcp-Name`, not yet encoded; none if it says nothing there. `params` is the raw object.
pub fn name_of<'a>(method: &str, params: Option<&'a str>) -> Option<Cow<'a, str>> {
    scan::string_text(member(params?, name_member(method)?)?)
}

/// The `Mcp-Param-*` headers of a `tools/call`: `definition` is the tool as the server lists it, `params` the call's. None
/// if the definition's annotations are invalid: a client must not list such a tool, and one that calls it all the same
/// has no headers that would be right.
pub fn for_call(definition: &str, params: Option<&str>) -> Vec<(HeaderName, HeaderValue)> {
    let Ok(annotations) = annotations(definition) else {
        return Vec::new();
    };
    if annotations.is_empty() {
        return Vec::new();
    }
    let arguments = params.and_then(|params| member(params, "arguments"));
    annotations
        .values(arguments)
        .filter_map(|(header, value)| {
            let name = HeaderName::from_bytes(format!("mcp-param-{header}").as_bytes()).ok()?;
            Some((name, encode(&value?)))
        })
        .collect()
}

/// Whether the `Mcp-Param-*` headers that came with a `tools/call` agree with its body. `received` are those headers, each
/// with its name after the prefix and its raw value; those that the definition does not know are passed over.
///
/// # Errors
/// The first that does not agree.
pub fn verify(
    definition: &str,
    params: Option<&str>,
    received: &[(String, String)],
) -> Result<(), HeaderMismatch> {
    let Ok(annotations) = annotations(definition) else {
        return Ok(());
    };
    if annotations.is_empty() {
        return Ok(());
    }
    let arguments = params.and_then(|params| member(params, "arguments"));
    for (header, expected) in annotations.values(arguments) {
        let shown = || format!("Mcp-Param-{header}");
        let mut same = received
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(header));
        let found = same.next();
        if same.next().is_some() {
            return Err(HeaderMismatch::Twice(shown()));
        }
        let (found, expected) = match (found, expected) {
            (None, None) => continue,
            (None, Some(_)) => return Err(HeaderMismatch::Missing(shown())),
            (Some(_), None) => return Err(HeaderMismatch::Unexpected(shown())),
            (Some((_, raw)), Some(expected)) => {
                let found = decode(raw).ok_or_else(|| HeaderMismatch::Unreadable(shown()))?;
                (found, expected)
            }
        };
        if *found != *expected
            && !(annotations.is_integer(header) && number::equal(&found, &expected))
        {
            return Err(HeaderMismatch::Differs(shown()));
        }
    }
    Ok(())
}

/// A value as a header has it: as it is where that is safe, else as Base64 between the two marks.
pub fn encode(text: &str) -> HeaderValue {
    let marked = text.starts_with(PREFIX) && text.ends_with(SUFFIX);
    let padded = text.starts_with(' ') || text.ends_with(' ');
    let visible = text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    let plain = visible && !padded && !marked;
    let plain = plain.then(|| HeaderValue::from_str(text).ok()).flatten();
    plain.unwrap_or_else(|| {
        let encoded = format!("{PREFIX}{}{SUFFIX}", BASE64_STANDARD.encode(text));
        // Base64 and the marks are all visible ASCII.
        HeaderValue::try_from(encoded).unwrap_or(HeaderValue::from_static(""))
    })
}

/// What a header's value says; none if it has characters that may not stand there, or stands between the marks and is no
/// Base64 of UTF-8.
pub fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let raw = raw.trim_matches([' ', '\t']);
    if !raw
        .bytes()
        .all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte))
    {
        return None;
    }
    let Some(inner) = raw
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX))
    else {
        return Some(Cow::Borrowed(raw));
    };
    let bytes = BASE64_STANDARD.decode(inner).ok()?;
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// The raw value of a member of a raw object.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let members = scan::members(object).ok()?;
    members
        .iter()
        .find(|member| member.is(name))
        .map(|member| member.value)
}

#[cfg(test)]
mod tests;
