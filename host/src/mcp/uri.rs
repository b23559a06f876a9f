//! URIs in one spelling, so that a resource is the same however a caller writes it.
//!
//! Knows RFC 3986 sections 5.2.4 and 6.2.2 and RFC 3987 section 3.1. Knows no scheme's own rules: that port 80 may be
//! left out of `http`, or that two slashes in a file's path are one, is not applied.

use std::borrow::Cow;
use std::fmt::Write as _;

use iri_string::types::UriStr;

/// The normal form of a URI: scheme and host in lower case, hexadecimal digits in upper case, what need not be
/// percent-encoded decoded, dot segments removed; characters beyond ASCII are percent-encoded first. So
/// `FILE:///%61/../b` is `file:///b`. A text that is no URI, a relative reference included, stays as it is.
///
/// The form is its own normal form.
pub fn normal_form(text: &str) -> Cow<'_, str> {
    let ascii = to_ascii(text);
    let Ok(uri) = UriStr::new(&ascii) else {
        return Cow::Borrowed(text);
    };
    // Where RFC 3986 leaves no serialization (a path that would begin with two slashes and no authority before it),
    // the crate writes the WHATWG's, which keeps such URIs apart.
    let normal = uri.normalize().to_string();
    if normal == text {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(normal)
    }
}

/// The text with its characters beyond ASCII percent-encoded (RFC 3987, section 3.1, step 2).
fn to_ascii(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut ascii = String::with_capacity(text.len() * 2);
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
            continue;
        }
        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
            // Writing to a string does not fail.
            let _ = write!(ascii, "%{byte:02X}");
        }
    }
    Cow::Owned(ascii)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_uri_have_one_form() {
        for (text, form) in [
            ("file:///a", "file:///a"),
            ("file:///%61", "file:///a"),
            ("FILE:///a", "file:///a"),
            ("file:///b/../a", "file:///a"),
            ("file:///b/%2e%2E/a", "file:///a"),
            ("file:///./a", "file:///a"),
            ("file:///../../a", "file:///a"),
            ("file:///%e4", "file:///%E4"),
            ("file:///ä", "file:///%C3%A4"),
            ("file:///%2F%7e%5f", "file:///%2F~_"),
            (
                "HTTP://User@EXAMPLE.com:80/A?Q=%7E#F",
                "http://User@example.com:80/A?Q=~#F",
            ),
            ("http://ex%41mple.com/", "http://example.com/"),
            ("urn:ISBN:%30", "urn:ISBN:0"),
            ("test://static/resource/1", "test://static/resource/1"),
            ("memo://a//b", "memo://a//b"),
        ] {
            assert_eq!(normal_form(text), form, "{text}");
        }
    }

    #[test]
    fn what_is_no_uri_stays_as_it_is() {
        for text in [
            "",
            "a",
            "/a/../b",
            "a b:c",
            "file:///{x}",
            "file:///%6",
            "file:///%zz",
            "1a:b",
            "file:///a\u{0}",
            "ä",
        ] {
            assert!(
                matches!(normal_form(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn the_form_is_its_own_form(text in "[a-zA-Z]{1,3}:[a-zA-Z0-9%/.?#@:é_~-]{0,16}") {
            let form = normal_form(&text).into_owned();
            prop_assert_eq!(normal_form(&form), form.as_str());
        }

        #[test]
        fn encoding_what_need_not_be_does_not_matter(path in "[a-zA-Z0-9._~-]{1,8}", which in any::<prop::sample::Index>(), lower in any::<bool>()) {
            let at = which.index(path.len());
            let byte = path.as_bytes()[at];
            let code = if lower { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
            let encoded = format!("file:///{}{code}{}", &path[..at], &path[at + 1..]);
            let plain = format!("file:///{path}");
            prop_assert_eq!(normal_form(&encoded), normal_form(&plain));
        }
    }
}
