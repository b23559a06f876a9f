//! What is counted, and how Prometheus reads it.
//!
//! Knows numbers. No label has a value that a caller chose: servers are the configuration's, methods the protocol's, and
//! whatever else came is `other`.

mod of_policies;

use std::time::Duration;

use http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::audit::Record;
use crate::mcp::method;

pub(crate) use of_policies::OfPolicy;

/// The media type of [`Metrics::text`].
pub(crate) const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What stands for a server or a method that there is not.
const OTHER: &str = "other";

/// Bounds of the buckets for requests, seconds.
const SECONDS: [f64; 12] = [
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 300.0,
];

/// Bounds of the buckets for policies, seconds.
const POLICY_SECONDS: [f64; 9] = [
    0.000_002, 0.000_005, 0.000_01, 0.000_025, 0.000_1, 0.000_5, 0.005, 0.05, 0.5,
];

/// All that is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Which, Histogram, fn() -> Histogram>,
    decisions: Family<Decision, Counter>,
    policies: Family<Policy, Histogram, fn() -> Histogram>,
    limits: Family<Limit, Counter>,
    sessions: Gauge,
    streams: Gauge,
    waiting: Gauge,
    upstream: Gauge,
}

/// What a request was, as far as it was found out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// The server, if there is one of that name.
    pub(crate) server: Option<Box<str>>,
    /// The method, if it is one of the protocol's.
    pub(crate) method: Option<&'static str>,
    /// Whether the answer is a JSON-RPC error.
    pub(crate) error: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    server: String,
    method: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Which {
    server: String,
    method: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Decision {
    server: String,
    decision: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Policy {
    policy: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Limit {
    status: u16,
}

/// How much of something there is at the moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Levels {
    /// Sessions that began with `initialize`.
    pub(crate) sessions: usize,
    /// Streams of events that are open.
    pub(crate) streams: usize,
    /// Requests that wait to be let in.
    pub(crate) waiting: usize,
    /// Connections to servers, of sessions of both eras.
    pub(crate) upstream: usize,
}

impl Metrics {
    /// All at nothing.
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("witgate");
        let seconds: Family<Which, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(SECONDS));
        let policies: Family<Policy, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(POLICY_SECONDS));
        let (requests, decisions, limits) =
            (Family::default(), Family::default(), Family::default());
        let (sessions, streams, waiting, upstream) = (
            Gauge::default(),
            Gauge::default(),
            Gauge::default(),
            Gauge::default(),
        );
        registry.register(
            "http_requests",
            "Requests answered, by server, method and outcome",
            Family::clone(&requests),
        );
        registry.register(
            "http_first_byte_seconds",
            "From a request's head to the head of its answer",
            seconds.clone(),
        );
        registry.register(
            "decisions",
            "Messages decided, by server and decision",
            Family::clone(&decisions),
        );
        registry.register(
            "policy_seconds",
            "What each policy took for one message",
            policies.clone(),
        );
        registry.register(
            "http_limited",
            "Requests turned away by a limit, by status",
            Family::clone(&limits),
        );
        for (name, help, gauge) in [
            ("sessions", "Sessions that are open", &sessions),
            ("streams", "Streams of events that are open", &streams),
            (
                "requests_waiting",
                "Requests that wait to be let in",
                &waiting,
            ),
            (
                "connections_to_servers",
                "Connections to servers",
                &upstream,
            ),
        ] {
            registry.register(name, help, Gauge::clone(gauge));
        }
        Self {
            registry,
            requests,
            seconds,
            decisions,
            policies,
            limits,
            sessions,
            streams,
            waiting,
            upstream,
        }
    }

    /// Counts a request that was answered with `status` after `took`.
    pub(crate) fn answered(&self, seen: &Seen, status: StatusCode, took: Duration) {
        let server = seen.server.as_deref().unwrap_or(OTHER);
        let method = seen.method.unwrap_or(OTHER);
        let labels = Request {
            server: server.to_owned(),
            method,
            outcome: outcome(seen.error, status),
        };
        self.requests.get_or_create(&labels).inc();
        let which = Which {
            server: labels.server,
            method,
        };
        self.seconds
            .get_or_create(&which)
            .observe(took.as_secs_f64());
        if is_limit(status) {
            let limit = Limit {
                status: status.as_u16(),
            };
            self.limits.get_or_create(&limit).inc();
        }
    }

    /// Counts what was decided about a message.
    pub(crate) fn decided(&self, record: &Record) {
        let labels = Decision {
            server: record.server.as_ref().to_owned(),
            decision: record.verdict.word(),
        };
        self.decisions.get_or_create(&labels).inc();
        for (policy, micros) in &record.micros {
            let labels = Policy {
                policy: policy.as_ref().to_owned(),
            };
            self.policies
                .get_or_create(&labels)
                .observe(f64::from(*micros) / 1e6);
        }
    }

    /// All of it as text, in the OpenMetrics format.
    ///
    /// # Errors
    /// None but the formatter's own.
    pub(crate) fn text(
        &self,
        levels: Levels,
        policies: &[OfPolicy],
    ) -> Result<String, std::fmt::Error> {
        let set = |gauge: &Gauge, level: usize| {
            gauge.set(i64::try_from(level).unwrap_or(i64::MAX));
        };
        set(&self.sessions, levels.sessions);
        set(&self.streams, levels.streams);
        set(&self.waiting, levels.waiting);
        set(&self.upstream, levels.upstream);
        let mut out = String::new();
        text::encode_registry(&mut out, &self.registry)?;
        of_policies::encode(&mut out, policies)?;
        text::encode_eof(&mut out)?;
        Ok(out)
    }
}

/// A method's own name, if it is one that clients send.
pub(crate) fn known(method: &str) -> Option<&'static str> {
    method::client_method(method)
}

/// What came of a request, in a word.
fn outcome(error: bool, status: StatusCode) -> &'static str {
    match status.as_u16() {
        _ if is_limit(status) => "limited",
        200..=299 if error => "error",
        200..=299 => "ok",
        401 | 403 => "unauthorized",
        400..=499 => "refused",
        _ => "failed",
    }
}

/// Whether a status says that a limit was reached.
fn is_limit(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 413 | 429 | 431 | 503 | 504)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::Outcome;

    fn text(metrics: &Metrics) -> String {
        metrics.text(Levels::default(), &[]).unwrap()
    }

    #[test]
    fn requests_are_counted_by_server_method_and_outcome() {
        let metrics = Metrics::new();
        let seen = Seen {
            server: Some("files".into()),
            method: known("tools/call"),
            error: false,
        };
        let soon = Duration::from_micros(300);
        metrics.answered(&seen, StatusCode::OK, soon);
        metrics.answered(&seen, StatusCode::OK, soon);
        let failed = Seen {
            error: true,
            ..seen
        };
        metrics.answered(&failed, StatusCode::OK, soon);
        metrics.answered(&failed, StatusCode::TOO_MANY_REQUESTS, soon);
        let text = text(&metrics);
        for line in [
            r#"witgate_http_requests_total{server="files",method="tools/call",outcome="ok"} 2"#,
            r#"witgate_http_requests_total{server="files",method="tools/call",outcome="error"} 1"#,
            r#"witgate_http_limited_total{status="429"} 1"#,
            r#"witgate_http_first_byte_seconds_count{server="files",method="tools/call"} 4"#,
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn what_a_caller_made_up_becomes_no_label() {
        assert_eq!(known("tools/call"), Some("tools/call"));
        assert_eq!(
            known("notifications/initialized"),
            Some("notifications/initialized")
        );
        assert_eq!(known("tools/Call"), None);
        assert_eq!(known("x\",y=\""), None);
        let metrics = Metrics::new();
        metrics.answered(&Seen::default(), StatusCode::NOT_FOUND, Duration::ZERO);
        assert!(text(&metrics).contains(r#"{server="other",method="other",outcome="refused"} 1"#));
    }

    #[test]
    fn decisions_and_policies_are_counted_from_the_records() {
        let metrics = Metrics::new();
        metrics.decided(&Record {
            server: "files".into(),
            verdict: Outcome::Denied,
            micros: vec![("team".into(), 7)],
            ..Record::default()
        });
        let text = text(&metrics);
        assert!(text.contains(r#"witgate_decisions_total{server="files",decision="denied"} 1"#));
        assert!(
            text.contains(r#"witgate_policy_seconds_bucket{le="0.00001",policy="team"} 1"#),
            "{text}"
        );
    }

    #[test]
    fn levels_are_as_they_are_at_the_moment() {
        let metrics = Metrics::new();
        let levels = Levels {
            sessions: 3,
            streams: 2,
            waiting: 1,
            upstream: 4,
        };
        let text = metrics.text(levels, &[]).unwrap();
        for line in [
            "witgate_sessions 3",
            "witgate_streams 2",
            "witgate_requests_waiting 1",
            "witgate_connections_to_servers 4",
        ] {
            assert!(text.contains(line), "{line}");
        }
    }
}
