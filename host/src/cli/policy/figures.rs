//! Numbers for people.

use std::time::Duration;

use serde::Serialize;

use crate::policy::PolicyLimits;

/// The limits in force, for machines.
#[derive(Debug, Serialize)]
pub(super) struct LimitsJson {
    hook_ms: u128,
    record_ms: u128,
    policy_memory_bytes: usize,
    policy_output_bytes: usize,
}

impl LimitsJson {
    pub(super) fn new(limits: &PolicyLimits) -> Self {
        Self {
            hook_ms: limits.hook_time.as_millis(),
            record_ms: limits.record_time.as_millis(),
            policy_memory_bytes: limits.memory,
            policy_output_bytes: limits.output,
        }
    }

    /// In one line, by the names they have in `[limits]`.
    pub(super) fn line(&self) -> String {
        format!(
            "hook_ms {}, record_ms {}, policy_memory_bytes {}, policy_output_bytes {}",
            self.hook_ms,
            self.record_ms,
            grouped(self.policy_memory_bytes),
            grouped(self.policy_output_bytes)
        )
    }
}

/// A whole number with its thousands apart.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A duration in the unit that leaves a handful of digits.
pub(super) fn time(time: Duration) -> String {
    micros(time.as_secs_f64() * 1e6)
}

/// Microseconds in the unit that leaves a handful of digits.
pub(super) fn micros(micros: f64) -> String {
    if micros < 100.0 {
        format!("{micros:.1} µs")
    } else if micros < 1_000.0 {
        format!("{micros:.0} µs")
    } else if micros < 100_000.0 {
        format!("{:.1} ms", micros / 1e3)
    } else if micros < 10_000_000.0 {
        format!("{:.0} ms", micros / 1e3)
    } else {
        format!("{:.0} s", micros / 1e6)
    }
}

/// Microseconds for machines, to a tenth.
pub(super) fn tenths(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e7).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_at_a_glance() {
        let numbers = [0, 12, 123, 1_234, 67_108_864].map(grouped);
        assert_eq!(numbers, ["0", "12", "123", "1,234", "67,108,864"]);
        let times = [1.64, 99.96, 412.3, 4_545.0, 500_000.0, 12_300_000.0].map(micros);
        assert_eq!(
            times,
            ["1.6 µs", "100.0 µs", "412 µs", "4.5 ms", "500 ms", "12 s"]
        );
    }
}
