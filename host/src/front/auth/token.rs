//! A token's text: how it is made, recognised and compared.
//!
//! `wg_`, then 43 characters for 256 random bits, then 4 for a check: all `A-Z a-z 0-9 - _`. The prefix lets scanners
//! for leaked secrets find one; the check tells a mistyped one without a look at the ledger. What is stored is the
//! SHA-256 of the text: nobody can search 2^256 texts, so nothing slower is needed, as it would be for passwords.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What every token begins with.
const PREFIX: &str = "wg_";

/// Bytes of the text: prefix, secret, check.
const LENGTH: usize = PREFIX.len() + 43 + 4;

/// A token, to be shown once to the person who asked for it. Not to be printed otherwise: `{:?}` hides it.
pub struct Secret(String);

impl Secret {
    /// A new one, from the system's source of randomness.
    pub(super) fn random() -> Self {
        let mut text = PREFIX.to_owned();
        URL_SAFE_NO_PAD.encode_string(rand::random::<[u8; 32]>(), &mut text);
        let check = check(&text);
        text.push_str(&check);
        Self(text)
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The digest of a text that may be a token; none if it cannot be one.
pub(super) fn digest_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != LENGTH || !text.is_ascii() || !text.starts_with(PREFIX) {
        return None;
    }
    let (body, found) = text.split_at(LENGTH - 4);
    (check(body) == found).then(|| Sha256::digest(text.as_bytes()).into())
}

/// Four characters that follow from the others. No secret: who knows the rest can work them out.
fn check(body: &str) -> String {
    let mut hasher = Sha256::new();
    hasher.update(b"witgate token\n");
    hasher.update(body.as_bytes());
    URL_SAFE_NO_PAD.encode(&hasher.finalize()[..3])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn tokens_are_long_and_differ_and_are_recognised() {
        let (one, two) = (Secret::random(), Secret::random());
        assert_eq!(one.text().len(), LENGTH);
        assert!(one.text().starts_with("wg_"));
        assert_ne!(one.text(), two.text());
        assert_eq!(digest_of(one.text()), Some(one.digest()));
        let secret = URL_SAFE_NO_PAD.decode(&one.text()[3..46]).unwrap();
        assert_eq!(secret.len() * 8, 256);
        assert_eq!(format!("{one:?}"), "Secret(…)");
    }

    #[test]
    fn a_mistyped_token_is_none() {
        let good = Secret::random().text().to_owned();
        let flipped = if good.ends_with('A') { "B" } else { "A" };
        for bad in [
            String::new(),
            good[..LENGTH - 1].to_owned(),
            format!("{good}A"),
            format!("{}{flipped}", &good[..LENGTH - 1]),
            good.replacen("wg_", "wh_", 1),
            format!("wg_{}", "é".repeat(23)) + "A",
            good.to_uppercase().replacen("WG_", "wg_", 1),
        ] {
            assert_eq!(digest_of(&bad), None, "{bad}");
        }
    }
}
