//! Text that a component wrote, made fit for logs and messages.

/// `text` cut after `max` characters, with everything escaped that could do more to a terminal than show: what is not
/// printable ASCII, a letter or a digit.
pub(super) fn visible(text: &str, max: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == max {
            out.push('…');
            break;
        }
        if c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric()) {
            out.push(c);
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::visible;

    /// A guest's text goes to the operator's terminal: it must not be able to move the cursor or hide itself.
    #[test]
    fn shows_what_would_act_or_hide() {
        assert_eq!(visible("naïve 名", 9), "naïve 名");
        assert_eq!(
            visible("a\u{1b}[2J\n\u{200b}\u{202e}", 99),
            "a\\u{1b}[2J\\u{a}\\u{200b}\\u{202e}"
        );
        assert_eq!(visible("abcdef", 3), "abc…");
    }
}
