//! Times for people and machines: RFC 3339 in UTC, to the second.

/// Milliseconds since the Unix epoch as `2026-11-20T10:28:36Z`; none for 0, which means that nobody knows.
pub(super) fn rfc3339(ms: u64) -> Option<String> {
    let exact = crate::audit::time::rfc3339(ms);
    let (seconds, _) = exact.split_once('.')?;
    (ms != 0).then(|| format!("{seconds}Z"))
}

#[cfg(test)]
mod tests {
    use super::rfc3339;

    #[test]
    fn times_are_to_the_second_and_no_time_is_none() {
        let text = rfc3339(1_795_170_516_789);
        assert_eq!(text.as_deref(), Some("2026-11-20T10:28:36Z"));
        assert_eq!(rfc3339(0), None);
    }
}
