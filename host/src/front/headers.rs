//! The headers of a request, as far as they are HTTP's: each at most once where two could be read differently, the
//! media types, the encodings.
//!
//! Knows HTTP's rules for the headers that are read here. Knows nothing of messages; what headers mirror of a message is
//! checked in `modern`.

use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::reply::Refusal;
use crate::wire::envelope::INVALID_REQUEST;

/// `MCP-Protocol-Version`.
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// `Mcp-Session-Id`.
pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
/// `Mcp-Method`.
pub(crate) const METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// `Mcp-Name`.
pub(crate) const NAME: HeaderName = HeaderName::from_static("mcp-name");
/// `Last-Event-ID`.
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How headers that mirror a tool's arguments begin.
pub(crate) const PARAM_PREFIX: &str = "mcp-param-";

/// Headers of which a second one could be read by another reader instead of the first.
const ONCE: [HeaderName; 9] = [
    HOST,
    ORIGIN,
    AUTHORIZATION,
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    PROTOCOL_VERSION,
    SESSION_ID,
    LAST_EVENT_ID,
];

/// Headers that mirror a message, of which the same is true; what is wrong with them is told as a JSON-RPC error once
/// the message is known to be of a revision that has them.
const MIRRORS: [HeaderName; 2] = [METHOD, NAME];

/// Why a header cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeaderError {
    /// It stands more than once.
    #[error("the header {0} stands more than once")]
    Twice(HeaderName),
    /// It holds something else than visible ASCII characters, spaces and tabs.
    #[error("the header {0} holds characters that no header may hold")]
    Characters(HeaderName),
}

/// The one value of `name`; none if there is no such header.
pub(crate) fn one<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a str>, HeaderError> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(HeaderError::Twice(name.clone()));
    }
    match value.to_str() {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(HeaderError::Characters(name.clone())),
    }
}

/// Refuses a request with two headers where one could be read by one reader and the other by another.
pub(crate) fn refuse_doubles(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.len() == headers.keys_len() {
        return Ok(());
    }
    match ONCE
        .iter()
        .find(|name| headers.get_all(*name).iter().nth(1).is_some())
    {
        None => Ok(()),
        Some(name) => Err(unusable(&HeaderError::Twice(name.clone()))),
    }
}

/// Refuses a body in a coding other than `chunked` alone: whoever undoes the others reads another body than this side
/// (RFC 9112, 6.1).
pub(crate) fn refuse_codings(headers: &HeaderMap) -> Result<(), Refusal> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => Ok(()),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => Ok(()),
        _ => Err(Refusal::rpc(
            StatusCode::NOT_IMPLEMENTED,
            None,
            INVALID_REQUEST,
            "the only Transfer-Encoding that is understood is `chunked`",
        )
        .closing()),
    }
}

/// A header that mirrors a message and stands twice, if there is one.
pub(crate) fn double_mirror(headers: &HeaderMap) -> Option<HeaderError> {
    if headers.len() == headers.keys_len() {
        return None;
    }
    let mirrors =
        |name: &&HeaderName| MIRRORS.contains(name) || name.as_str().starts_with(PARAM_PREFIX);
    headers
        .keys()
        .filter(mirrors)
        .find(|name| headers.get_all(*name).iter().nth(1).is_some())
        .map(|name| HeaderError::Twice(name.clone()))
}

/// `400` for a header that cannot be used.
pub(crate) fn unusable(error: &HeaderError) -> Refusal {
    Refusal::rpc(
        StatusCode::BAD_REQUEST,
        None,
        INVALID_REQUEST,
        error.to_string(),
    )
}

/// Refuses a body that is not said to be JSON in UTF-8, as it is: with another type, charset or encoding, what is judged
/// and what others read could differ.
pub(crate) fn body_is_json(headers: &HeaderMap) -> Result<(), Refusal> {
    let refused = |text: String| {
        Refusal::rpc(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            None,
            INVALID_REQUEST,
            text,
        )
        .closing()
    };
    match one(headers, &CONTENT_TYPE) {
        Ok(Some(value)) if is_json(value) => {}
        _ => {
            return Err(refused(
                "Content-Type must be application/json, in UTF-8".into(),
            ));
        }
    }
    match one(headers, &CONTENT_ENCODING) {
        Ok(None) => Ok(()),
        Ok(Some(value)) if value.eq_ignore_ascii_case("identity") => Ok(()),
        _ => Err(refused(
            "Content-Encoding is not supported: send the body as it is".into(),
        )),
    }
}

/// Whether a `Content-Type` is `application/json`, with no parameter but `charset=utf-8`.
fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(|part| part.trim_matches([' ', '\t']));
    let media = parts.next().unwrap_or_default();
    let charset = |part: &str| {
        let Some((name, value)) = part.split_once('=') else {
            return false;
        };
        let bare = value
            .strip_prefix('"')
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        name.eq_ignore_ascii_case("charset") && bare.eq_ignore_ascii_case("utf-8")
    };
    media.eq_ignore_ascii_case("application/json")
        && match (parts.next(), parts.next()) {
            (None, _) => true,
            (Some(one), None) => charset(one),
            _ => false,
        }
}

/// Refuses a client that does not take every one of `types` (MCP, Streamable HTTP: a POST must list both JSON and a
/// stream of events, a GET the latter).
pub(crate) fn accepts(headers: &HeaderMap, types: &[&str]) -> Result<(), Refusal> {
    let taken = |wanted: &&str| {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|range| takes(range, wanted))
    };
    if types.iter().all(taken) {
        return Ok(());
    }
    Err(Refusal::rpc(
        StatusCode::NOT_ACCEPTABLE,
        None,
        INVALID_REQUEST,
        format!("Accept must list {}", types.join(" and ")),
    )
    .closing())
}

/// Whether a client that takes both would rather have events than JSON: the one with the greater weight, and of equal
/// weights the one it names first. A choice of ours: RFC 9110 (12.5.1) gives the order no meaning, but it is all that a
/// client says of its liking, and both types must be taken anyway.
pub(crate) fn prefers_events(headers: &HeaderMap) -> bool {
    let weight = |range: &str| {
        let q = range.split(';').skip(1).find_map(|part| {
            let (name, value) = part.trim_matches([' ', '\t']).split_once('=')?;
            name.eq_ignore_ascii_case("q").then(|| value.parse().ok())?
        });
        q.unwrap_or(1.0_f32)
    };
    let mut events: Option<f32> = None;
    let mut json: Option<f32> = None;
    let mut events_first = false;
    for range in headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
    {
        let media = range.split(';').next().unwrap_or_default();
        let media = media.trim_matches([' ', '\t']);
        if media.eq_ignore_ascii_case(super::sse::MEDIA_TYPE) {
            events_first |= json.is_none();
            events = events.or_else(|| Some(weight(range)));
        } else if media.eq_ignore_ascii_case("application/json") {
            json = json.or_else(|| Some(weight(range)));
        }
    }
    match (events, json) {
        (Some(events), Some(json)) => events > json || (events_first && events >= json),
        // With a range such as `*/*` nothing is preferred.
        _ => false,
    }
}

/// Whether one media range of an `Accept` takes `wanted` (RFC 9110, 12.5.1).
fn takes(range: &str, wanted: &str) -> bool {
    let mut parts = range.split(';').map(|part| part.trim_matches([' ', '\t']));
    let media = parts.next().unwrap_or_default();
    let group = wanted.split_once('/').map_or(wanted, |(group, _)| group);
    let names = media.eq_ignore_ascii_case(wanted)
        || media == "*/*"
        || media
            .strip_suffix("/*")
            .is_some_and(|media| media.eq_ignore_ascii_case(group));
    let refused = |part: &str| {
        part.split_once('=').is_some_and(|(name, weight)| {
            name.eq_ignore_ascii_case("q") && weight.bytes().all(|b| matches!(b, b'0' | b'.'))
        })
    };
    names && !parts.any(refused)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn map(pairs: &[(&'static str, &[u8])]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn one_coding_and_nothing_else() {
        assert!(refuse_codings(&map(&[])).is_ok());
        for (good, value) in [
            (true, "chunked"),
            (true, "Chunked"),
            (false, "gzip, chunked"),
            (false, "identity"),
            (false, ""),
        ] {
            let headers = map(&[("transfer-encoding", value.as_bytes())]);
            assert_eq!(refuse_codings(&headers).is_ok(), good, "{value}");
        }
        let twice = map(&[
            ("transfer-encoding", b"chunked"),
            ("transfer-encoding", b"chunked"),
        ]);
        assert_eq!(refuse_codings(&twice).unwrap_err().status(), 501);
    }

    #[test]
    fn one_json_type_in_utf_8_and_nothing_else() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json-rpc",
            "application/jsonx",
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=utf-8; charset=utf-7",
            "application/json; boundary=x",
            "application/json;",
            "application/vnd.api+json",
            "text/plain; application/json",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn a_body_in_another_encoding_is_refused() {
        let json: (&str, &[u8]) = ("content-type", b"application/json");
        assert!(body_is_json(&map(&[json])).is_ok());
        assert!(body_is_json(&map(&[json, ("content-encoding", b"identity")])).is_ok());
        for encoding in ["gzip", "identity, gzip", "", "utf-16"] {
            let headers = map(&[json, ("content-encoding", encoding.as_bytes())]);
            let status = body_is_json(&headers).unwrap_err().status();
            assert_eq!(status, 415, "{encoding}");
        }
        let twice = map(&[json, ("content-type", b"text/plain")]);
        assert_eq!(body_is_json(&twice).unwrap_err().status(), 415);
        assert_eq!(body_is_json(&map(&[])).unwrap_err().status(), 415);
    }

    #[test]
    fn both_types_must_be_taken_by_name_or_by_range() {
        let both = ["application/json", "text/event-stream"];
        for good in [
            "application/json, text/event-stream",
            "text/event-stream,application/json;q=0.5",
            "*/*",
            "application/*, text/*",
        ] {
            let headers = map(&[("accept", good.as_bytes())]);
            assert!(accepts(&headers, &both).is_ok(), "{good}");
        }
        for bad in [
            "",
            "application/json",
            "text/event-stream",
            "application/json, text/event-stream;q=0",
            "application/jsonx, text/event-streams",
            "text/html, application/xhtml+xml",
        ] {
            let headers = map(&[("accept", bad.as_bytes())]);
            assert_eq!(accepts(&headers, &both).unwrap_err().status(), 406, "{bad}");
        }
        assert_eq!(accepts(&map(&[]), &both).unwrap_err().status(), 406);
        let two = map(&[
            ("accept", b"application/json"),
            ("accept", b"text/event-stream"),
        ]);
        assert!(accepts(&two, &both).is_ok());
    }

    #[test]
    fn a_client_says_what_it_would_rather_have_by_weight_then_by_order() {
        for (accept, events) in [
            ("application/json, text/event-stream", false),
            ("text/event-stream, application/json", true),
            ("Text/Event-Stream;q=0.5, application/json", false),
            ("application/json;q=0.5,text/event-stream ; q=0.9", true),
            ("text/event-stream;q=0.5, application/json; q=0.5", true),
            ("text/event-stream, */*", false),
            ("*/*", false),
            ("", false),
        ] {
            let headers = map(&[("accept", accept.as_bytes())]);
            assert_eq!(prefers_events(&headers), events, "{accept}");
        }
        let two = map(&[
            ("accept", b"text/event-stream"),
            ("accept", b"application/json"),
        ]);
        assert!(prefers_events(&two));
    }

    #[test]
    fn a_second_header_of_a_kind_is_found_and_others_may_repeat() {
        for name in ONCE {
            let mut headers = HeaderMap::new();
            headers.append(name.clone(), HeaderValue::from_static("1"));
            assert!(refuse_doubles(&headers).is_ok());
            headers.append(name.clone(), HeaderValue::from_static("1"));
            assert_eq!(
                refuse_doubles(&headers).unwrap_err().status(),
                400,
                "{name}"
            );
            assert_eq!(one(&headers, &name), Err(HeaderError::Twice(name)));
        }
        let harmless = map(&[
            ("accept", b"a"),
            ("accept", b"b"),
            ("x-a", b"1"),
            ("x-a", b"2"),
        ]);
        assert!(refuse_doubles(&harmless).is_ok());
        assert_eq!(double_mirror(&harmless), None);
        for name in ["mcp-method", "mcp-name", "mcp-param-region"] {
            let headers = map(&[(name, b"a"), (name, b"a")]);
            assert_eq!(
                double_mirror(&headers),
                Some(HeaderError::Twice(HeaderName::from_static(name)))
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_not_read() {
        let headers = map(&[("mcp-name", b"caf\xc3\xa9")]);
        assert_eq!(one(&headers, &NAME), Err(HeaderError::Characters(NAME)));
        assert_eq!(one(&headers, &METHOD), Ok(None));
    }
}
