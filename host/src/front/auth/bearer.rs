//! The bearer token of a request (RFC 6750, section 2.1).
//!
//! Knows one header. A token in a body or a query string is none: it would stand in logs.

use http::HeaderMap;
use http::header::AUTHORIZATION;

/// What a request presents.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// Nothing, or credentials of another scheme.
    Nothing,
    /// A token, not yet looked at.
    Token(&'a str),
    /// Something that is no single bearer token: what is wrong.
    Malformed(&'static str),
}

/// What these headers present.
pub(super) fn of(headers: &HeaderMap) -> Presented<'_> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else {
        return Presented::Nothing;
    };
    if values.next().is_some() {
        return Presented::Malformed("there is more than one Authorization header");
    }
    let Ok(text) = value.to_str() else {
        return Presented::Malformed("the Authorization header is not ASCII");
    };
    let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Presented::Nothing;
    }
    let token = token.trim_matches(' ');
    if !is_b64token(token) {
        return Presented::Malformed("the Authorization header holds no bearer token");
    }
    Presented::Token(token)
}

/// RFC 6750's `b64token`: no white space, no comma, so that two tokens cannot pass as one.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let fits =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
    !body.is_empty() && body.bytes().all(fits)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
        }
        headers
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_other_schemes_are_nothing() {
        for good in ["Bearer abc", "bearer abc", "BEARER  abc "] {
            assert_eq!(of(&headers(&[good.as_bytes()])), Presented::Token("abc"));
        }
        for other in ["Basic YTpi", "Token abc", "abc", "Bearerabc"] {
            let headers = headers(&[other.as_bytes()]);
            assert_eq!(of(&headers), Presented::Nothing, "{other}");
        }
        assert_eq!(of(&HeaderMap::new()), Presented::Nothing);
    }

    /// A proxy or a log may read the first of two, the gate the last.
    #[test]
    fn two_tokens_are_never_one() {
        for several in [
            &[&b"Bearer a"[..], b"Bearer a"][..],
            &[b"Bearer a", b"Basic b"],
            &[b"Bearer a, Bearer b"],
            &[b"Bearer a b"],
            &[b"Bearer a,b"],
            &[b"Bearer "],
            &[b"Bearer"],
            &[b"Bearer =="],
            &[b"Bearer a\xff"],
            &[b"Bearer a\tb"],
            &[b"Bearer \"a\""],
        ] {
            let headers = headers(several);
            assert!(
                matches!(of(&headers), Presented::Malformed(_)),
                "{headers:?}"
            );
        }
    }
}
