//! Of which era a message is: of revisions with sessions, or of 2026-07-28.
//!
//! Knows how a server that speaks both tells them apart ("Backward Compatibility with Initialization-Based Versions",
//! 2026-07-28, Versioning). Checks nothing else.

use http::request::Parts;

use crate::front::headers::{self, PROTOCOL_VERSION, SESSION_ID};
use crate::front::listen;
use crate::front::reply::Refusal;
use crate::mcp::method::REVISIONS;
use crate::mcp::stateless;
use crate::wire::Message;

/// Which kind of revision a message is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Era {
    /// 2025-11-25 and earlier: it belongs to a session.
    Legacy,
    /// 2026-07-28: it stands for itself.
    Modern,
}

/// Of which era a message is. An `initialize` opens a session, unless body and header both say that it is of 2026-07-28,
/// which has no such method; otherwise the body's word counts, then the header's. Without either it is of a session.
pub(super) fn era(parts: &Parts, message: &Message<'_>) -> Result<Era, Refusal> {
    let (method, params) = match message {
        Message::Request { method, params, .. } | Message::Notification { method, params } => {
            (&**method, *params)
        }
        Message::Result { .. } | Message::Error { .. } => ("", None),
    };
    let discovers = method == "server/discover" && !parts.headers.contains_key(SESSION_ID);
    if method != "initialize" && (discovers || stateless::names_revision(params)) {
        return Ok(Era::Modern);
    }
    let version = headers::one(&parts.headers, &PROTOCOL_VERSION)
        .map_err(|error| headers::unusable(&error))?;
    match version {
        None => Ok(Era::Legacy),
        Some(version) if REVISIONS.contains(&version) => Ok(Era::Legacy),
        Some(stateless::REVISION) if stateless::names_revision(params) => Ok(Era::Modern),
        Some(version) if method == "initialize" => listen::known(version).map(|()| Era::Legacy),
        Some(_) => Ok(Era::Modern),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::wire::{WireLimits, parse};
    use http::Request;

    const META: &str =
        r#""params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#;

    fn era_of(headers: &[(&str, &str)], line: &str) -> Option<Era> {
        let mut request = Request::post("/mcp/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let envelope = parse(line.as_bytes(), &WireLimits::default()).unwrap();
        era(&parts, &envelope.message).ok()
    }

    #[test]
    fn the_era_is_the_bodys_word_then_the_headers() {
        let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let modern = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/list",{META}}}"#);
        let version = |value| [("mcp-protocol-version", value)];
        assert_eq!(era_of(&[], call), Some(Era::Legacy));
        assert_eq!(era_of(&version("2025-03-26"), call), Some(Era::Legacy));
        assert_eq!(era_of(&version("2026-07-28"), call), Some(Era::Modern));
        assert_eq!(era_of(&version("9999-01-01"), call), Some(Era::Modern));
        assert_eq!(era_of(&[], &modern), Some(Era::Modern));
        assert_eq!(era_of(&version("2025-11-25"), &modern), Some(Era::Modern));
        assert_eq!(
            era_of(&[("mcp-session-id", "x")], &modern),
            Some(Era::Modern),
            "a session id says nothing in this revision"
        );
    }

    #[test]
    fn initialize_opens_a_session_and_discover_never_needs_one() {
        let initialize = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"initialize",{META}}}"#);
        assert_eq!(era_of(&[], &initialize), Some(Era::Legacy));
        let modern = [("mcp-protocol-version", "2026-07-28")];
        assert_eq!(era_of(&modern, &initialize), Some(Era::Modern));
        let plain = r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#;
        assert_eq!(era_of(&modern, plain), None);
        let discover = r#"{"jsonrpc":"2.0","id":1,"method":"server/discover"}"#;
        assert_eq!(era_of(&[], discover), Some(Era::Modern));
        assert_eq!(
            era_of(&[("mcp-session-id", "x")], discover),
            Some(Era::Legacy)
        );
        let answer = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
        assert_eq!(era_of(&[], answer), Some(Era::Legacy));
    }
}
