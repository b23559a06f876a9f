//! Names and URIs in one spelling, so that a list means an item however it is written.

use std::borrow::Cow;

use iri_string::types::UriStr;
use unicode_normalization::UnicodeNormalization as _;

/// A name in its normal form: Unicode NFKC, without format characters and control characters, trimmed, case folded.
pub(crate) fn folded(name: &str) -> Cow<'_, str> {
    if name
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
    {
        return Cow::Borrowed(name);
    }
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Owned(name.to_ascii_lowercase());
    }
    // Folding can leave what is not in NFKC, and NFKC what is not folded: until nothing changes.
    let mut form = cleaned(name).into_owned();
    loop {
        let folded: String = form
            .chars()
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase)
            .collect();
        let next = cleaned(&folded).into_owned();
        if next == form {
            return Cow::Owned(form);
        }
        form = next;
    }
}

/// The same without case folding.
pub(crate) fn cleaned(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Cow::Borrowed(name);
    }
    let mut form = name.to_owned();
    // Removing a character can join what NFKC then composes.
    loop {
        let visible: String = form.nfkc().filter(|&c| !is_invisible(c)).collect();
        let next = visible.trim();
        if next == form {
            return Cow::Owned(form);
        }
        form = next.to_owned();
    }
}

/// A URI in its RFC 3986 normal form, as the host writes those of items: characters beyond ASCII percent-encoded
/// (RFC 3987, section 3.1), then syntax-based normalization (RFC 3986, section 6.2.2). What is no URI stays as it is.
pub(crate) fn uri(text: &str) -> Cow<'_, str> {
    let mut ascii = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            ascii.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                ascii.push('%');
                ascii.extend([byte >> 4, byte & 15].map(|digit| HEX[usize::from(digit)]));
            }
        }
    }
    match UriStr::new(&ascii) {
        Ok(parsed) => Cow::Owned(parsed.normalize().to_string()),
        Err(_) => Cow::Borrowed(text),
    }
}

/// A URI as a server may read it that decodes every octet before it looks at slashes, as many map a URI to a file:
/// percent-encoding undone until none is left, runs of slashes in the path joined, dot segments removed.
pub(crate) fn decoded(uri_text: &str) -> String {
    let mut text = uri_text.to_owned();
    loop {
        let next = uri(&join_slashes(&undone(&text))).into_owned();
        // Normalizing encodes again what must be encoded; so compare what is left undone.
        if next == text || undone(&next) == undone(&text) {
            return next;
        }
        text = next;
    }
}

fn undone(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let octet = (byte == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        out.push(octet.unwrap_or(byte));
        at += if octet.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn join_slashes(text: &str) -> String {
    // The two slashes before an authority belong to the syntax (RFC 3986, section 3.2).
    let path = text.find("://").map_or(0, |scheme| scheme + 3);
    let (head, rest) = text.split_at(path);
    let mut out = head.to_owned();
    for c in rest.chars() {
        if c != '/' || out.len() == path || !out.ends_with('/') {
            out.push(c);
        }
    }
    // `file:////a`: the slash after an empty authority, and the path's own.
    if let Some(tail) = out.get(path..)
        && tail.starts_with("//")
    {
        out.remove(path);
    }
    out
}

const HEX: [char; 16] = [
    '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
];

/// Characters that show nothing of their own: control characters, general category `Cf`, and
/// `Default_Ignorable_Code_Point` (Unicode 16, DerivedCoreProperties.txt). White space is none of them.
fn is_invisible(c: char) -> bool {
    matches!(u32::from(c),
        0x00..=0x08 | 0x0E..=0x1F | 0x7F..=0x84 | 0x86..=0x9F
        | 0xAD | 0x34F | 0x600..=0x605 | 0x61C | 0x6DD | 0x70F | 0x890..=0x891 | 0x8E2
        | 0x115F..=0x1160 | 0x17B4..=0x17B5 | 0x180B..=0x180F
        | 0x200B..=0x200F | 0x202A..=0x202E | 0x2060..=0x206F
        | 0x3164 | 0xFE00..=0xFE0F | 0xFEFF | 0xFFA0 | 0xFFF0..=0xFFFB
        | 0x110BD | 0x110CD | 0x13430..=0x1343F | 0x1BCA0..=0x1BCA3 | 0x1D173..=0x1D17A
        | 0xE0000..=0xE0FFF)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_uri_is_decoded_as_far_as_any_server_would() {
        for (text, form) in [
            ("file:///secret%2Fkey", "file:///secret/key"),
            ("file:////secret//key", "file:///secret/key"),
            ("file:///public/..%2Fsecret%2Fkey", "file:///secret/key"),
            ("file:///%252e%252e%252fsecret/key", "file:///secret/key"),
            ("file:///a", "file:///a"),
            ("note://host//a", "note://host/a"),
            ("not a uri%2F", "not a uri/"),
        ] {
            assert_eq!(decoded(text), form, "{text}");
        }
    }

    proptest! {
        #[test]
        fn decoding_ends_and_is_done_once(text in "(file:///)?[a%2F./5]{0,40}") {
            let once = decoded(&text);
            prop_assert_eq!(undone(&decoded(&once)), undone(&once));
        }
    }

    #[test]
    fn spellings_of_one_name_have_one_form() {
        for name in [
            "delete_repo",
            "DELETE_REPO",
            " delete_repo",
            "delete_repo\t",
            "delete\u{200b}_repo",
            "\u{feff}delete_repo",
            "delete_\u{e0041}repo",
            "\u{ff44}elete_repo",
            "dele\u{ad}te_repo",
            "delete\u{7}_repo",
        ] {
            assert_eq!(folded(name), "delete_repo", "{name:?}");
        }
        assert_eq!(folded("STRASSE"), folded("straße"));
        assert_eq!(folded("ΣΊΣΥΦΟΣ"), folded("σίσυφος"));
        assert_eq!(folded("e\u{200d}\u{301}"), folded("É"));
    }

    #[test]
    fn different_names_stay_different() {
        for (one, other) in [
            ("a b", "ab"),
            ("a_b", "a-b"),
            ("résumé", "resume"),
            ("o", "0"),
        ] {
            assert_ne!(folded(one), folded(other));
        }
    }

    #[test]
    fn spellings_of_one_uri_have_one_form() {
        for text in ["file:///a", "FILE:///%61", "file:///b/../a", "file:///./a"] {
            assert_eq!(uri(text), "file:///a", "{text}");
        }
        assert_eq!(uri("file:///ä"), "file:///%C3%A4");
        assert_eq!(uri("no uri/../a"), "no uri/../a");
    }

    proptest! {
        #[test]
        fn a_form_is_its_own_form(name in any::<String>()) {
            let form = folded(&name).into_owned();
            prop_assert_eq!(folded(&form), form.as_str());
            let form = cleaned(&name).into_owned();
            prop_assert_eq!(cleaned(&form), form.as_str());
        }

        #[test]
        fn neither_case_nor_invisible_characters_matter(
            name in "[a-zäöüéα-ω_]{1,12}",
            at in any::<prop::sample::Index>(),
            invisible in prop::sample::select(vec!['\u{200b}', '\u{200d}', '\u{2060}', '\u{feff}', '\u{ad}']),
        ) {
            let chars: Vec<char> = name.chars().collect();
            let at = at.index(chars.len() + 1);
            let mut other: String = chars[..at].iter().collect();
            other.push(invisible);
            other.extend(&chars[at..]);
            prop_assert_eq!(folded(&other), folded(&name));
            let upper = name.to_uppercase();
            prop_assert_eq!(folded(&upper), folded(&name));
        }
    }
}
