//! The one escaper for text that a server, a client or a file wrote, before it reaches a terminal or a message of ours.
//!
//! Knows which characters show nothing, move the cursor, or turn the text round. Knows no context: every place that
//! prints foreign text calls it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Ranges of characters that are not shown as themselves, sorted: white space other than the space and the
/// ideographic space, controls, format characters (general category Cf), fillers, variation selectors, and code
/// points that fonts leave blank by default (Unicode 16, Default_Ignorable_Code_Point).
const HIDDEN: &[(char, char)] = &[
    ('\u{0}', '\u{1f}'),
    ('\u{7f}', '\u{a0}'),
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{600}', '\u{605}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{6dd}', '\u{6dd}'),
    ('\u{70f}', '\u{70f}'),
    ('\u{890}', '\u{891}'),
    ('\u{8e2}', '\u{8e2}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{1680}', '\u{1680}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{2000}', '\u{200f}'),
    ('\u{2028}', '\u{202f}'),
    ('\u{205f}', '\u{206f}'),
    ('\u{2800}', '\u{2800}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{110bd}', '\u{110bd}'),
    ('\u{110cd}', '\u{110cd}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Whether a character is shown by its number.
pub fn is_hidden(c: char) -> bool {
    if (' '..='~').contains(&c) {
        return false;
    }
    let after = HIDDEN.partition_point(|(first, _)| *first <= c);
    after > 0 && c <= HIDDEN[after - 1].1
}

/// `text` with every hidden character written as `\u{…}`, its number in hexadecimal. A `\u{` that was there before
/// becomes `\u{5c}u{`, so that what is shown stands for one text only.
///
/// Line breaks and tabs are hidden characters too: text that may have several lines is split first.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains("\\u{") && !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        push(&mut shown, c, &text[at..]);
    }
    Cow::Owned(shown)
}

/// As [`visible`], and at most `max_chars` characters of it; `…` stands for the rest, if there is one. No escape is
/// cut in two.
pub fn visible_cut(text: &str, max_chars: usize) -> Cow<'_, str> {
    if text.len() <= max_chars {
        let shown = visible(text);
        if shown.len() <= max_chars {
            return shown;
        }
    }
    let mut shown = String::new();
    let mut chars = 0;
    // Where to cut if the rest does not fit beside the mark.
    let mut fits = 0;
    for (at, c) in text.char_indices() {
        let before = shown.len();
        push(&mut shown, c, &text[at..]);
        chars += shown[before..].chars().count();
        if chars > max_chars {
            shown.truncate(fits);
            if max_chars > 0 {
                shown.push('…');
            }
            return Cow::Owned(shown);
        }
        if chars < max_chars {
            fits = shown.len();
        }
    }
    Cow::Owned(shown)
}

/// Appends `c`, with which `rest` begins.
fn push(shown: &mut String, c: char, rest: &str) {
    if is_hidden(c) || (c == '\\' && rest.starts_with("\\u{")) {
        // Writing to a string does not fail.
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
    } else {
        shown.push(c);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_fool_a_reader_is_shown_by_number() {
        for (text, shown) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\nb\tc\r", "a\\u{a}b\\u{9}c\\u{d}"),
            ("\u{9b}31m\u{85}\u{7f}", "\\u{9b}31m\\u{85}\\u{7f}"),
            ("safe\u{202e}elif\u{2066}", "safe\\u{202e}elif\\u{2066}"),
            (
                "re\u{200b}ad\u{200d}\u{feff}\u{2060}",
                "re\\u{200b}ad\\u{200d}\\u{feff}\\u{2060}",
            ),
            (
                "x\u{e0041}\u{e01ef}\u{fe0f}",
                "x\\u{e0041}\\u{e01ef}\\u{fe0f}",
            ),
            (
                "\u{ad}\u{61c}\u{180e}\u{3164}\u{115f}",
                "\\u{ad}\\u{61c}\\u{180e}\\u{3164}\\u{115f}",
            ),
            ("a\u{a0}b\u{2028}", "a\\u{a0}b\\u{2028}"),
            ("\\u{1b}", "\\u{5c}u{1b}"),
        ] {
            assert_eq!(visible(text), shown);
        }
        for plain in [
            "",
            "plain ASCII ~ \\n \\u1234",
            "Grüße, 日本語　テスト, عربي, 😀",
        ] {
            assert!(matches!(visible(plain), Cow::Borrowed(same) if same == plain));
        }
    }

    #[test]
    fn the_ranges_are_sorted_and_apart() {
        assert!(HIDDEN.iter().all(|(first, last)| first <= last));
        assert!(HIDDEN.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn a_cut_counts_what_is_shown_and_cuts_no_escape() {
        assert_eq!(visible_cut("abcdef", 6), "abcdef");
        assert_eq!(visible_cut("abcdef", 5), "abcd…");
        assert_eq!(visible_cut("ab\ncd", 8), "ab\\u{a}…");
        assert_eq!(visible_cut("ab\ncd", 6), "ab…");
        assert_eq!(visible_cut("ab\ncd", 9), "ab\\u{a}cd");
        assert_eq!(visible_cut("ééééé", 5), "ééééé");
        assert_eq!(visible_cut("éééééé", 5), "éééé…");
        assert_eq!(visible_cut("abc", 1), "…");
        assert_eq!(visible_cut("abc", 0), "");
    }

    proptest! {
        #[test]
        fn nothing_hidden_is_left_and_nothing_is_lost(text in any::<String>(), max in 0..40_usize) {
            let shown = visible(&text);
            prop_assert!(!shown.chars().any(is_hidden));
            let mut back = String::new();
            let mut rest = shown.as_ref();
            while let Some((before, after)) = rest.split_once("\\u{") {
                let (number, after) = after.split_once('}').unwrap_or_default();
                back.push_str(before);
                back.extend(u32::from_str_radix(number, 16).ok().and_then(char::from_u32));
                rest = after;
            }
            back.push_str(rest);
            prop_assert_eq!(&back, &text);
            let cut = visible_cut(&text, max);
            prop_assert!(cut.chars().count() <= max);
            prop_assert!(!cut.chars().any(is_hidden));
            if shown.chars().count() <= max {
                prop_assert_eq!(cut, shown);
            }
        }
    }
}
