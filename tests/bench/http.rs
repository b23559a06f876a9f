//! What the gate costs over HTTP, measured against a relay that forwards requests and does nothing else.
//!
//! `cargo bench -p witgate --bench http` runs it. This one program plays every part: `upstream` is a trivial MCP server
//! of both revisions, `relay PORT` a bare relay, and without such an argument it is the client that measures. The gate
//! is the built binary, with `auth = "token"` and the three shipped policies. All connections are open at once and their
//! rounds interleaved, so that a busy machine is busy for all alike; what counts are the medians of the rounds' ratios.
//! The targets printed beside them are those of the project's issue 3.
//!
//! A peer is measured beside them, in the revision that it speaks, if the environment variable `MCP_PROXY` names its
//! binary: `cargo install mcp-proxy --version 0.6.0 --root DIR`, then `MCP_PROXY=DIR/bin/mcp-proxy`.
//!
//! Arguments, after `--`: `--relay-only` leaves the gate out; `--long` instead makes a million calls and opens ten
//! thousand sessions through the gate and prints its memory meanwhile (`--calls N` and `--sessions N` for other numbers).
#![allow(clippy::unwrap_used)]

#[path = "http/client.rs"]
mod client;
#[path = "http/long.rs"]
mod long;
mod measure;
#[path = "http/parties.rs"]
mod parties;
#[path = "http/ways.rs"]
mod ways;

use std::time::Instant;

use client::{Ask, Connection, Era};
use measure::{Rounds, Target, median, micros, p50, percentile, print, resident};
use ways::{Home, Way};

/// Calls a round makes by each way, one after the other.
const CALLS: usize = 100;
/// Calls a round makes by each way over all [`CONNECTIONS`].
const CONCURRENT: usize = 1600;
/// Lists a round asks of each way.
const LISTS: usize = 20;
/// Rounds. Each yields one ratio, of figures taken within milliseconds of each other; the median counts.
const ROUNDS: usize = 40;
/// How often all processes are started anew: where the system happens to place them, which they then keep, matters.
const PLACEMENTS: usize = 5;
/// Connections in the measurement of throughput, each with a call under way and a session of its own.
const CONNECTIONS: usize = 16;
/// Starts measured.
const STARTS: usize = 12;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let number = |flag: &str, otherwise: usize| {
        let place = arguments.iter().position(|argument| argument == flag);
        place.map_or(otherwise, |place| arguments[place + 1].parse().unwrap())
    };
    match arguments.first().map(String::as_str) {
        Some("upstream") => parties::upstream(),
        Some("relay") => parties::relay(arguments[1].parse().unwrap()),
        _ if has("--long") => long::run(number("--calls", 1_000_000), number("--sessions", 10_000)),
        _ => measure(has("--relay-only")),
    }
}

/// The way that all others are compared with.
const RELAY: usize = 1;
/// The gate, where it takes part.
const GATE: usize = 2;

/// Everything that is measured of one revision, in rounds.
#[derive(Default)]
struct Figures {
    fresh: Rounds,
    tail: Rounds,
    repeated: Rounds,
    denied: Rounds,
    lists: Rounds,
    rates: Rounds,
    /// Of each way: processor time one after the other and all at once, µs for all calls.
    processor: Vec<Option<[f64; 2]>>,
    /// Of each way: KiB.
    resident: Vec<Option<u64>>,
}

impl Figures {
    /// One placement: all processes anew, then rounds.
    fn place(&mut self, ways: &[Way], era: Era) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut single: Vec<_> = ways.iter().map(|way| Connection::open(way, era)).collect();
        let mut many: Vec<Vec<_>> = ways
            .iter()
            .map(|way| {
                let open = || Connection::open(way, era);
                let connections: Vec<_> = (0..CONNECTIONS).map(|_| open()).collect();
                let _guard = runtime.enter();
                connections
                    .into_iter()
                    .map(Connection::beside_others)
                    .collect()
            })
            .collect();
        self.processor.resize(ways.len(), Some([0.0; 2]));
        self.resident.resize(ways.len(), None);
        let mut next = 0;
        for round in 0..=ROUNDS / PLACEMENTS {
            let (mut fresh, mut tail, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
            let (mut lists, mut rates) = (Vec::new(), Vec::new());
            for (way, connection) in single.iter_mut().enumerate() {
                let before = ways[way].processor_time();
                let mut took: Vec<f64> = (0..CALLS)
                    .map(|_| {
                        next += 1;
                        micros(connection.time(Ask::Call("run", next), "done"))
                    })
                    .collect();
                fresh.push(median(&mut took));
                tail.push(percentile(&mut took, 99));
                repeated.push(p50(CALLS, || connection.time(Ask::Call("run", 0), "done")));
                self.spent(way, 0, round, before, &ways[way]);
                lists.push(p50(LISTS, || connection.time(Ask::List, "tool_2")));
            }
            let denied = single
                .get_mut(GATE)
                .filter(|_| ways[GATE].name == "gate")
                .map(|gate| {
                    p50(CALLS, || {
                        next += 1;
                        gate.time(Ask::Call("denied", next), "FILTERED")
                    })
                });
            for (way, connections) in many.iter_mut().enumerate() {
                let before = ways[way].processor_time();
                let start = Instant::now();
                let calls = CONCURRENT / CONNECTIONS;
                runtime.block_on(async {
                    futures_util::future::join_all(connections.iter_mut().map(|connection| {
                        let first = next;
                        next += calls as u64;
                        connection.calls(calls, first)
                    }))
                    .await
                });
                rates.push(CONCURRENT as f64 / start.elapsed().as_secs_f64());
                self.spent(way, 1, round, before, &ways[way]);
            }
            // The first round warms up.
            if round > 0 {
                if let Some(denied) = denied {
                    self.denied.push([denied, fresh[RELAY]]);
                }
                self.fresh.push(fresh);
                self.tail.push(tail);
                self.repeated.push(repeated);
                self.lists.push(lists);
                self.rates.push(rates);
            }
        }
        for (way, most) in ways.iter().zip(&mut self.resident) {
            *most = (*most).max(resident(way.process()));
        }
    }

    /// Adds the processor time that a way used since `before`.
    fn spent(&mut self, way: usize, phase: usize, round: usize, before: Option<f64>, of: &Way) {
        if round == 0 {
            return;
        }
        match (before, of.processor_time(), &mut self.processor[way]) {
            (Some(before), Some(after), Some(sum)) => sum[phase] += after - before,
            (_, _, sum) => *sum = None,
        }
    }

    fn print(&self, names: &[&str], era: Era) {
        let what = |text: &str| format!("{} {text}", era.version());
        let all = |figure: &dyn Fn(usize) -> String| {
            let figures: Vec<String> = names
                .iter()
                .enumerate()
                .map(|(way, name)| format!("{name} {}", figure(way)))
                .collect();
            figures.join(", ")
        };
        let gate = names.contains(&"gate");
        let times = |text: &str, rounds: &Rounds, target: Option<Target>| {
            print(
                &what(text),
                &format!("{} µs", all(&|way| format!("{:.0}", rounds.median(way)))),
                target
                    .filter(|_| gate)
                    .map(|target| (rounds.ratio(GATE, RELAY), target)),
            );
        };
        times(
            "call, new arguments, p50",
            &self.fresh,
            Some(Target::AtMost(1.4)),
        );
        times("call, new arguments, p99", &self.tail, None);
        times("call, same arguments, p50", &self.repeated, None);
        if gate {
            print(
                &what("denied call, p50"),
                &format!(
                    "gate {:.0} (relay allows in {:.0}) µs",
                    self.denied.median(0),
                    self.denied.median(1)
                ),
                Some((self.denied.ratio(0, 1), Target::AtMost(1.0))),
            );
        }
        times(
            "tools/list of 20, p50",
            &self.lists,
            Some(Target::AtMost(1.0)),
        );
        print(
            &what("16 connections, calls/s"),
            &all(&|way| format!("{:.0}", self.rates.median(way))),
            gate.then(|| (self.rates.ratio(GATE, RELAY), Target::AtLeast(0.6))),
        );
        let rounds = (ROUNDS / PLACEMENTS * PLACEMENTS) as f64;
        let peer = names.iter().position(|name| *name == "mcp-proxy");
        for (phase, text, calls) in [
            (0, "CPU of a call, one by one", rounds * 2.0 * CALLS as f64),
            (1, "CPU of a call, 16 at once", rounds * CONCURRENT as f64),
        ] {
            let cost = |way: usize| self.processor[way].map(|sum| sum[phase] / calls);
            let ratio = peer
                .filter(|_| gate)
                .and_then(|peer| Some(cost(GATE)? / cost(peer)?));
            print(
                &what(text),
                &format!(
                    "{} µs",
                    all(&|way| cost(way).map_or("?".to_owned(), |cost| format!("{cost:.1}")))
                ),
                ratio.map(|ratio| (ratio, Target::AtMost(0.5))),
            );
        }
        let mebibytes = |way: usize| self.resident[way].map(|kib| kib as f64 / 1024.0);
        print(
            &what("resident, MiB"),
            &all(&|way| mebibytes(way).map_or("?".to_owned(), |mib| format!("{mib:.1}"))),
            gate.then(|| mebibytes(GATE))
                .flatten()
                .map(|mib| (mib, Target::AtMost(40.0))),
        );
    }
}

fn measure(without_gate: bool) {
    let home = Home::new(without_gate);
    for era in [Era::Legacy, Era::Modern] {
        let mut figures = Figures::default();
        let mut names = Vec::new();
        for _ in 0..PLACEMENTS {
            let ways = home.ways(era, without_gate);
            names = ways.iter().map(|way| way.name).collect();
            figures.place(&ways, era);
        }
        figures.print(&names, era);
    }
    if !without_gate {
        let mut starts: Vec<f64> = (0..STARTS).map(|_| home.start()).collect();
        let start = median(&mut starts);
        print(
            "start to ready, ms",
            &format!("gate {start:.1}"),
            Some((start, Target::AtMost(40.0))),
        );
    }
}
