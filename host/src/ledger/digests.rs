//! Finds the digests that a text mentions.
//!
//! Knows their written form, and nothing of what the text means: it is some policy's own.

use crate::mcp::Digest;

const DIGITS: usize = 64;

/// Every digest that `text` may mean: each run of 64 lower-case hexadecimal digits, with or without the `1:` before
/// it. Of a longer run every 64 digits count: what is found here is kept, so that too much is better than too little.
pub(super) fn digests_in(text: &str) -> Vec<Digest> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut start = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !matches!(byte, b'0'..=b'9' | b'a'..=b'f') {
            start = at + 1;
        } else if at + 1 - start >= DIGITS {
            let mut raw = [0; DIGITS / 2];
            if hex::decode_to_slice(&bytes[at + 1 - DIGITS..=at], &mut raw).is_ok() {
                found.push(Digest::from_bytes(raw));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_found_wherever_a_value_puts_them() {
        let one = Digest::from_bytes([0xa1; 32]);
        let two = Digest::from_bytes([0x0f; 32]);
        let bare = hex::encode([0x77; 32]);
        let text = format!("{{\"approved\":[\"{one}\"],\"seen\":\"{two},{bare}\",\"n\":12ab}}");
        assert_eq!(
            digests_in(&text),
            [one, two, Digest::from_bytes([0x77; 32])]
        );
    }

    #[test]
    fn a_longer_run_counts_at_every_place() {
        let one = Digest::from_bytes([0xa1; 32]);
        let text = format!("00{}", hex::encode([0xa1; 32]));
        assert_eq!(digests_in(&text).len(), 3);
        assert!(digests_in(&text).contains(&one));
        assert!(digests_in(&text[3..]).is_empty());
    }
}
