//! Revision 2026-07-28: requests that stand for themselves.
//!
//! Knows what such a request says of its client in `_meta`, and what a server says of itself in the result of
//! `server/discover`. Source: MCP 2026-07-28, basic, "Per-request protocol fields".

use std::borrow::Cow;

use crate::wire::reply;
use crate::wire::scan::{Member, members, string_text};

/// The revision.
pub const REVISION: &str = "2026-07-28";

/// `_meta`'s key for the revision of a request.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";

/// `_meta`'s key for the client's name and version.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";

/// `_meta`'s key for the client's capabilities.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";

/// `_meta`'s key for the request of `subscriptions/listen` that a notification belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";

/// `_meta`'s key for the server's name and version.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The server does not speak the revision of a request (MCP 2026-07-28, schema, `UnsupportedProtocolVersionError`).
pub const UNSUPPORTED_PROTOCOL_VERSION: i64 = -32022;

/// The client lacks a capability that the request needs (MCP 2026-07-28, schema,
/// `MissingRequiredClientCapabilityError`).
pub const MISSING_CAPABILITY: i64 = -32021;

/// The longest revision that is said again, characters.
const MAX_REQUESTED: usize = 64;

/// The data of the error to a request of a revision that is not served (`UnsupportedProtocolVersionError`).
pub fn unsupported<'a>(served: impl IntoIterator<Item = &'a str>, requested: &str) -> String {
    let served: Vec<String> = served.into_iter().map(reply::string).collect();
    let requested: String = requested.chars().take(MAX_REQUESTED).collect();
    format!(
        "{{\"supported\":[{}],\"requested\":{}}}",
        served.join(","),
        reply::string(&requested)
    )
}

/// What is wrong with a request's `_meta`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MetaError(String);

/// What a request says of its client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta<'a> {
    /// The revision it is of.
    pub version: Cow<'a, str>,
    /// The client's name and version, as it wrote them.
    pub client_info: Option<&'a str>,
    /// The client's capabilities, an object as it wrote it.
    pub capabilities: &'a str,
}

impl<'a> Meta<'a> {
    /// Reads it from a request's `params`.
    ///
    /// # Errors
    /// If a required field is missing, of the wrong type, or ambiguous.
    pub fn of_params(params: Option<&'a str>) -> Result<Self, MetaError> {
        let found = params
            .and_then(|params| meta(params).transpose())
            .transpose()?;
        let Some(meta) = found else {
            return missing(PROTOCOL_VERSION);
        };
        let version = match one(&meta, PROTOCOL_VERSION)? {
            None => return missing(PROTOCOL_VERSION),
            Some(raw) => string_text(raw).ok_or_else(|| {
                MetaError(format!("`_meta[\"{PROTOCOL_VERSION}\"]` is not a string"))
            })?,
        };
        let object = |key: &str| match one(&meta, key)? {
            Some(raw) if !raw.starts_with('{') => {
                Err(MetaError(format!("`_meta[\"{key}\"]` is not an object")))
            }
            raw => Ok(raw),
        };
        let Some(capabilities) = object(CLIENT_CAPABILITIES)? else {
            return missing(CLIENT_CAPABILITIES);
        };
        Ok(Self {
            version,
            client_info: object(CLIENT_INFO)?,
            capabilities,
        })
    }

    /// Reads it from a whole message.
    ///
    /// # Errors
    /// As [`Self::of_params`].
    pub fn of_line(line: &'a [u8]) -> Result<Self, MetaError> {
        Self::of_params(params_of(line))
    }

    /// The `params` of a request of the host's own for this client: `_meta`, and `rest`, members as JSON text.
    pub fn params(&self, rest: &str) -> String {
        let mut text = format!(
            "{{\"_meta\":{{\"{PROTOCOL_VERSION}\":{},\"{CLIENT_CAPABILITIES}\":{}",
            reply::string(&self.version),
            self.capabilities
        );
        if let Some(info) = self.client_info {
            text.push_str(&format!(",\"{CLIENT_INFO}\":{info}"));
        }
        text.push('}');
        if !rest.is_empty() {
            text.push(',');
            text.push_str(rest);
        }
        text.push('}');
        text
    }
}

/// Whether a request's `params` name a revision in `_meta`, by which it is one that stands for itself.
pub fn names_revision(params: Option<&str>) -> bool {
    params
        .and_then(|params| meta(params).ok().flatten())
        .is_some_and(|meta| meta.iter().any(|member| member.is(PROTOCOL_VERSION)))
}

/// By what a server that answers all requests on one stream tells a request from others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// The id, raw.
    id: Option<Box<str>>,
    /// The progress token, raw.
    token: Option<Box<str>>,
}

impl Names {
    /// Whether two requests could be taken for each other.
    pub fn clash(&self, other: &Self) -> bool {
        (self.id.is_some() && self.id == other.id)
            || (self.token.is_some() && self.token == other.token)
    }
}

/// The names of a request, a whole message.
pub fn names(line: &[u8]) -> Names {
    let raw = |found: Option<&str>| found.map(Into::into);
    let text = std::str::from_utf8(line).unwrap_or_default();
    let all = members(text).unwrap_or_default();
    let id = all.iter().find(|member| member.is("id")).map(|m| m.value);
    let token = params_of(line)
        .and_then(|params| meta(params).ok().flatten())
        .and_then(|meta| meta.into_iter().find(|member| member.is("progressToken")))
        .map(|member| member.value);
    Names {
        id: raw(id),
        token: raw(token),
    }
}

fn missing<T>(key: &str) -> Result<T, MetaError> {
    Err(MetaError(format!("`_meta[\"{key}\"]` is missing")))
}

fn params_of(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line).ok()?;
    members(text)
        .ok()?
        .into_iter()
        .find(|member| member.is("params"))
        .map(|member| member.value)
}

/// The members of `_meta`.
fn meta(params: &str) -> Result<Option<Vec<Member<'_>>>, MetaError> {
    let Ok(all) = members(params) else {
        return Ok(None);
    };
    let Some(raw) = one(&all, "_meta")? else {
        return Ok(None);
    };
    match members(raw) {
        Ok(found) => Ok(Some(found)),
        Err(_) => Err(MetaError("`_meta` is not an object".to_owned())),
    }
}

/// A member's raw value, if nothing else could be taken for it.
fn one<'a>(all: &[Member<'a>], key: &str) -> Result<Option<&'a str>, MetaError> {
    let mut found = all.iter().filter(|member| member.is(key));
    let first = found.next();
    if found.next().is_some() || all.iter().any(|member| member.could_pass_for(key)) {
        return Err(MetaError(format!(
            "more than one key could be taken for `{key}`"
        )));
    }
    Ok(first.map(|member| member.value))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"progressToken":"p"}}}"#;

    #[test]
    fn a_request_says_what_it_is_and_what_its_client_can() {
        let meta = Meta::of_line(LINE.as_bytes()).unwrap();
        assert_eq!(meta.version, REVISION);
        assert_eq!(meta.capabilities, r#"{"roots":{}}"#);
        assert_eq!(meta.client_info, None);
        let again = meta.params("\"cursor\":\"x\"");
        assert_eq!(Meta::of_params(Some(&again)).unwrap(), meta);
    }

    #[test]
    fn what_is_missing_or_ambiguous_is_told() {
        for (params, what) in [
            ("{}", "is missing"),
            (r#"{"_meta":7}"#, "not an object"),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
                "clientCapabilities\"]` is missing",
            ),
            (
                r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":7}}"#,
                "not a string",
            ),
            (r#"{"_meta":{},"_META":{}}"#, "could be taken for"),
        ] {
            let error = Meta::of_params(Some(params)).unwrap_err();
            assert!(error.0.contains(what), "{params}: {error}");
        }
    }

    #[test]
    fn requests_of_one_id_or_one_token_can_be_taken_for_each_other() {
        let of = |id: &str, token: &str| {
            let params = format!(r#"{{"_meta":{{"progressToken":{token}}}}}"#);
            names(format!(r#"{{"id":{id},"params":{params}}}"#).as_bytes())
        };
        assert!(of("1", "2").clash(&of("1", "3")));
        assert!(of("1", "2").clash(&of("3", "2")));
        assert!(!of("1", "2").clash(&of("2", "1")));
        assert!(!names(b"{}").clash(&names(b"{}")));
    }
}
