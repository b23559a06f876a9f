//! What the benchmarks share: rounds, medians, ratios, what a process costs, and the line that is printed of each figure.
//!
//! Knows nothing of MCP or of transports.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// One figure of each way in every round, in the order of the ways.
#[derive(Default)]
pub(crate) struct Rounds(Vec<Vec<f64>>);

impl Rounds {
    /// Adds a round.
    pub(crate) fn push(&mut self, figures: impl Into<Vec<f64>>) {
        self.0.push(figures.into());
    }

    /// The median of a way's figures.
    pub(crate) fn median(&self, way: usize) -> f64 {
        median(&mut self.0.iter().map(|round| round[way]).collect::<Vec<_>>())
    }

    /// The median of what one way is to another, each ratio taken within a round.
    pub(crate) fn ratio(&self, way: usize, to: usize) -> f64 {
        median(
            &mut self
                .0
                .iter()
                .map(|round| round[way] / round[to])
                .collect::<Vec<_>>(),
        )
    }
}

/// A target of the project's, and which side of it is good.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// The middle one of the values.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50)
}

/// The value below which `percent` of the values lie.
pub(crate) fn percentile(values: &mut [f64], percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() * percent / 100).min(values.len() - 1)]
}

/// Microseconds.
pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The median time of `times` goes, µs.
pub(crate) fn p50(times: usize, mut go: impl FnMut() -> Duration) -> f64 {
    median(&mut (0..times).map(|_| micros(go())).collect::<Vec<_>>())
}

/// Prints a figure and, where the project has a target for it, whether it is met.
#[allow(clippy::print_stdout)]
pub(crate) fn print(what: &str, figures: &str, got: Option<(f64, Target)>) {
    let verdict = got.map_or_else(String::new, |(got, target)| {
        let (sign, target, met) = match target {
            Target::AtMost(target) => ('≤', target, got <= target),
            Target::AtLeast(target) => ('≥', target, got >= target),
        };
        let met = if met { "met" } else { "MISSED" };
        format!("{got:8.2}  target {sign} {target:<6} {met}")
    });
    println!("{what:<38} {figures:<66} {verdict}");
}

/// A process's resident memory, KiB, where the system tells.
pub(crate) fn resident(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// `witgate` with a home of its own.
pub(crate) fn witgate(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_witgate"));
    command
        .env_remove("WITGATE_CONFIG")
        .env_remove("WITGATE_STATE")
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"));
    command
}

/// The raw value after a key in a JSON line, up to the next comma or brace: all that the trivial servers read.
pub(crate) fn member<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = &line[line.find(key)? + key.len()..];
    Some(&rest[..rest.find([',', '}'])?])
}
