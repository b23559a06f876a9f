//! What the policies in force have done, and what they count themselves.
//!
//! Knows the counters of loaded policies, which begin anew when a policy is loaded anew.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::policy::{Policy, Stats};

/// One policy's numbers at the moment.
#[derive(Debug, Clone)]
pub(crate) struct OfPolicy {
    name: String,
    stats: Stats,
    counted: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Name {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    policy: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Counted {
    policy: String,
    name: String,
}

impl OfPolicy {
    /// As they are.
    pub(crate) fn of(policy: &Policy) -> Self {
        Self {
            name: policy.name().to_string(),
            stats: policy.stats(),
            counted: policy.counted(),
        }
    }

    /// As they are, of each.
    pub(crate) fn all(policies: &[Arc<Policy>]) -> Vec<Self> {
        policies.iter().map(|policy| Self::of(policy)).collect()
    }
}

/// Writes them behind the other metrics.
pub(super) fn encode(out: &mut String, policies: &[OfPolicy]) -> Result<(), fmt::Error> {
    let mut registry = Registry::with_prefix("witgate");
    let calls = Family::<Name, Counter>::default();
    let failures = Family::<Failure, Counter>::default();
    let counted = Family::<Counted, Counter>::default();
    for OfPolicy {
        name,
        stats,
        counted: own,
    } in policies
    {
        let policy = name.clone();
        calls.get_or_create(&Name { policy }).inc_by(stats.calls);
        for (kind, count) in [
            ("trap", stats.traps),
            ("timeout", stats.timeouts),
            ("out_of_memory", stats.out_of_memory),
            ("bad_output", stats.bad_output),
            ("host", stats.host),
        ] {
            let policy = name.clone();
            failures
                .get_or_create(&Failure { policy, kind })
                .inc_by(count);
        }
        for (own, count) in own {
            let labels = Counted {
                policy: name.clone(),
                name: own.clone(),
            };
            counted.get_or_create(&labels).inc_by(*count);
        }
    }
    registry.register("policy_calls", "Hooks called, by policy", calls);
    registry.register(
        "policy_failures",
        "Hooks that failed, by policy and kind",
        failures,
    );
    registry.register(
        "policy_counter",
        "What policies count themselves, by policy and name",
        counted,
    );
    text::encode_registry(out, &registry)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn each_number_stands_under_its_policys_name() {
        let policies = [OfPolicy {
            name: "team".into(),
            stats: Stats {
                calls: 5,
                timeouts: 2,
                ..Stats::default()
            },
            counted: BTreeMap::from([("seen".to_owned(), 9)]),
        }];
        let mut text = String::new();
        encode(&mut text, &policies).unwrap();
        for line in [
            r#"witgate_policy_calls_total{policy="team"} 5"#,
            r#"witgate_policy_failures_total{policy="team",kind="timeout"} 2"#,
            r#"witgate_policy_failures_total{policy="team",kind="trap"} 0"#,
            r#"witgate_policy_counter_total{policy="team",name="seen"} 9"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
