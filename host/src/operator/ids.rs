//! From what a person types to one entry and one digest.
//!
//! A digest may be shortened to 8 hexadecimal digits or more. Eight are quick to type and cheap to forge; commands
//! that witgate prints carry [`PRINTED`].

use super::{OperatorError, ReviewEntry};

/// Fewest digits that name a digest.
const FEWEST: usize = 8;

/// Digits of a digest in a command that is printed to be run: too many for a server to make another definition to.
const PRINTED: usize = 32;

/// The digits of a digest to print in a command.
pub fn printed_digest(digest: &str) -> &str {
    let digits = digest.strip_prefix("1:").unwrap_or(digest);
    digits.get(..PRINTED).unwrap_or(digits)
}

/// The entry called `typed`: its whole id, or the part after the policy's name if no other entry has the same.
pub(super) fn entry<'a>(
    entries: &'a [ReviewEntry],
    typed: &str,
) -> Result<&'a ReviewEntry, OperatorError> {
    if let Some(entry) = entries.iter().find(|entry| entry.id == typed) {
        return Ok(entry);
    }
    let mut found = entries.iter().filter(|entry| entry.entry.id == typed);
    match (found.next(), found.next()) {
        (Some(entry), None) => Ok(entry),
        (Some(first), Some(second)) => Err(OperatorError::AmbiguousEntry {
            id: typed.to_owned(),
            candidates: [first, second]
                .into_iter()
                .chain(found)
                .map(|entry| entry.id.clone())
                .collect(),
        }),
        (None, _) => Err(OperatorError::UnknownEntry {
            id: typed.chars().take(200).collect(),
        }),
    }
}

/// What a typed digest finds among digests.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    One(&'a str),
    None,
    Several,
}

/// Looks for the digest that begins as typed, with or without the `1:`. None if the text cannot name a digest.
pub(super) fn digest<'a>(
    among: impl IntoIterator<Item = &'a str>,
    typed: &str,
) -> Option<Found<'a>> {
    let digits = typed.strip_prefix("1:").unwrap_or(typed);
    let hex = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !hex || !(FEWEST..=64).contains(&digits.len()) {
        return None;
    }
    let mut found = Found::None;
    for digest in among {
        let begins = digest
            .strip_prefix("1:")
            .is_some_and(|whole| whole.starts_with(digits));
        found = match found {
            _ if !begins => found,
            Found::None => Found::One(digest),
            Found::One(first) if first == digest => Found::One(first),
            Found::One(_) | Found::Several => Found::Several,
        };
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_digest_is_found_by_eight_digits_or_more_and_no_fewer() {
        let a = format!("1:{}", "ab".repeat(32));
        let b = format!("1:abababab{}", "00".repeat(28));
        let both = [a.as_str(), b.as_str()];
        assert_eq!(digest(both, "abababa"), None);
        assert_eq!(digest(both, "abababab"), Some(Found::Several));
        assert_eq!(digest(both, "ababababa"), Some(Found::One(&a)));
        assert_eq!(digest(both, "1:abababab0"), Some(Found::One(&b)));
        assert_eq!(digest(both, &a), Some(Found::One(&a)));
        assert_eq!(digest(both, "ffffffff"), Some(Found::None));
        assert_eq!(digest(both, "ABABABABA"), None);
        assert_eq!(digest(both, "abababab-"), None);
        assert_eq!(digest([a.as_str(), &a], "abababab"), Some(Found::One(&a)));
        assert_eq!(printed_digest(&a), "ab".repeat(16));
    }
}
