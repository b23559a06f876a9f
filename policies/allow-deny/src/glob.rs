//! Patterns with `*` (any characters, none included) and `?` (any one character).

/// Whether a text has wildcards.
pub(crate) fn is_glob(pattern: &str) -> bool {
    pattern.contains(['*', '?'])
}

/// Whether the whole of `text` is what `pattern` describes. At most as many steps as the product of their lengths.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // What remained of both after the last `*`, so that it can take one character more.
    let mut last_star = None;
    loop {
        let mut next_pattern = pattern.clone();
        let mut next_text = text.clone();
        let fits = match (next_pattern.next(), next_text.next()) {
            (Some('*'), _) => {
                last_star = Some((next_pattern.clone(), text.clone()));
                pattern = next_pattern;
                continue;
            }
            (None, None) => return true,
            (Some(wanted), Some(found)) => wanted == '?' || wanted == found,
            (None, Some(_)) => false,
            (Some(_), None) => return false,
        };
        if fits {
            (pattern, text) = (next_pattern, next_text);
            continue;
        }
        let Some((after_star, mut taken)) = last_star.take() else {
            return false;
        };
        if taken.next().is_none() {
            return false;
        }
        (pattern, text) = (after_star.clone(), taken.clone());
        last_star = Some((after_star, taken));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "abc"),
            ("delete_*", "delete_repo"),
            ("*repo*", "delete_repo2"),
            ("a?c", "abc"),
            ("a?c", "aéc"),
            ("*a*b", "xaxbxb"),
            ("**", "x"),
            ("", ""),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("?", ""),
            ("a", "ab"),
            ("delete_*", "Delete_repo"),
            ("a?c", "abbc"),
            ("*a*b", "xaxbx"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    /// The same by trying everything.
    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.first(), text.first()) {
            (None, None) => true,
            (Some('*'), _) => (0..=text.len()).any(|taken| slowly(&pattern[1..], &text[taken..])),
            (Some(wanted), Some(found)) => {
                (*wanted == '?' || wanted == found) && slowly(&pattern[1..], &text[1..])
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn the_same_as_trying_everything(pattern in "[ab*?]{0,8}", text in "[abc]{0,10}") {
            let (p, t): (Vec<_>, Vec<_>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), slowly(&p, &t));
        }
    }
}
