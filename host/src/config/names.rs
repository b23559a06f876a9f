//! Which names servers and policies may have.
//!
//! Names appear in ledger keys, in entry ids before a `:`, in URLs and on the command line; so the characters are few
//! and never need quoting.

use super::ConfigError;

/// The longest name, characters.
pub const MAX_NAME: usize = 64;

/// Checks a server's name: 1 to 64 of `A-Z a-z 0-9 . _ -`, the first a letter or digit.
pub fn check_server_name(name: &str) -> Result<(), ConfigError> {
    check("server", name)
}

/// Checks a policy's name, by the rule of servers' names.
pub fn check_policy_name(name: &str) -> Result<(), ConfigError> {
    check("policy", name)
}

/// Checks a token's name, by the rule of servers' names.
pub fn check_token_name(name: &str) -> Result<(), ConfigError> {
    check("token", name)
}

fn check(what: &str, name: &str) -> Result<(), ConfigError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphanumeric());
    if first && name.len() <= MAX_NAME && name.bytes().all(inner) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    Err(ConfigError(format!(
        "{shown:?} cannot be a {what} name: use 1 to {MAX_NAME} of A-Z, a-z, 0-9, `.`, `_` and `-`, beginning with a \
         letter or digit"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quoting_anywhere() {
        for good in ["a", "api.v1", "my_server-2", "0", &"x".repeat(64)] {
            assert_eq!(check_server_name(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            ".hidden",
            "-rf",
            "a/b",
            "a:b",
            "a b",
            "é",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(check_server_name(bad).is_err(), "{bad:?}");
            assert!(check_policy_name(bad).is_err(), "{bad:?}");
        }
    }
}
