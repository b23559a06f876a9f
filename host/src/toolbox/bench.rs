//! What a policy costs: each hook on an instance that is ready and on one that must be made first.
//!
//! Knows how to measure. Figures are of this machine and this build of witgate: compare only those of one run.

mod inputs;

use std::time::{Duration, Instant};

use serde::Serialize;

use super::run::{Trouble, measured};
use super::{Case, Subject, world};
use crate::policy::{Policy, View};

pub use inputs::{usual, usual_of};

/// The most samples of one figure: more say nothing new and cost memory.
const MAX_SAMPLES: usize = 200_000;

/// The fewest samples of one figure, however slow the hook is.
const MIN_SAMPLES: usize = 10;

/// The part of the time that goes by before anything is counted.
const WARM_UP: u32 = 10;

/// What one hook costs on one input.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The hook.
    pub hook: &'static str,
    /// What it was given.
    pub input: String,
    /// On an instance that is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Figures>,
    /// With instantiating and configuring.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cold: Option<Figures>,
    /// Why it could not be measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// Times of many runs, microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Half of the runs were as fast.
    pub p50_us: f64,
    /// All but one in a hundred were as fast.
    pub p99_us: f64,
    /// How many runs there were.
    pub runs: usize,
}

/// Measures one hook on one input for about `time`.
pub async fn row(subject: &mut Subject, input: &str, case: &Case, time: Duration) -> Row {
    let mut row = Row {
        hook: case.input.hook().word(),
        input: input.to_owned(),
        ready: None,
        cold: None,
        failed: None,
    };
    let policy = match subject.policy(case).await {
        Ok(policy) => policy,
        Err(error) => {
            row.failed = Some(error.detail);
            return row;
        }
    };
    let view = world::view(case, policy.namespace());
    for ready in [true, false] {
        match sampled(&policy, case, &view, ready, time / 2).await {
            Ok(figures) if ready => row.ready = Some(figures),
            Ok(figures) => row.cold = Some(figures),
            Err(trouble) => {
                row.failed = Some(trouble.to_string());
                return row;
            }
        }
    }
    row
}

/// How many instances can be made and configured in a second, one after the other.
///
/// # Errors
/// If one cannot be made.
pub async fn instances_per_second(policy: &Policy, time: Duration) -> Result<f64, Trouble> {
    let started = Instant::now();
    let mut made = 0_u32;
    while started.elapsed() < time || made < 3 {
        policy.instantiate().await?;
        made += 1;
    }
    Ok(f64::from(made) / started.elapsed().as_secs_f64())
}

async fn sampled(
    policy: &Policy,
    case: &Case,
    view: &View,
    ready: bool,
    time: Duration,
) -> Result<Figures, Trouble> {
    // Instances that are ready by now are not cold.
    while !ready && policy.ready() > 0 {
        measured(policy, case, view).await?;
    }
    let started = Instant::now();
    let mut samples = Vec::new();
    loop {
        if ready {
            policy.refill().await;
        }
        let took = measured(policy, case, view).await?;
        let past = started.elapsed();
        if past >= time / WARM_UP || samples.is_empty() {
            samples.push(took);
        }
        if past >= time && samples.len() >= MIN_SAMPLES || samples.len() == MAX_SAMPLES {
            return Ok(Figures::of(samples));
        }
    }
}

impl Figures {
    /// Of at least one sample.
    fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |percent: usize| {
            let rank = (samples.len() * percent).div_ceil(100).max(1) - 1;
            let nanos = samples.get(rank).map_or(0, Duration::as_nanos);
            // Tenths of a microsecond: a clock tells no more.
            (nanos as f64 / 100.0).round() / 10.0
        };
        Self {
            p50_us: at(50),
            p99_us: at(99),
            runs: samples.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_samples() {
        let samples = (1..=200).rev().map(Duration::from_micros).collect();
        let figures = Figures::of(samples);
        assert_eq!(
            figures,
            Figures {
                p50_us: 100.0,
                p99_us: 198.0,
                runs: 200
            }
        );
        let one = Figures::of(vec![Duration::from_nanos(1_234)]);
        assert_eq!(
            one,
            Figures {
                p50_us: 1.2,
                p99_us: 1.2,
                runs: 1
            }
        );
    }
}
