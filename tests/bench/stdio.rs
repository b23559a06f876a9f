//! What the gate costs on stdio, measured against a relay that copies bytes and does nothing else.
//!
//! `cargo bench -p witgate --bench stdio` runs it. This one program plays every part: `serve N` is a trivial MCP server
//! with N tools of 1 KiB, `relay CMD…` a bare relay of two blocking threads, and without arguments it is the client that
//! measures. All sessions are open at once and their rounds interleaved, so that a busy machine is busy for all alike;
//! what counts are the medians of the rounds' ratios. The targets printed beside them are those of the project's issue 2.
#![allow(clippy::unwrap_used)]

mod measure;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use measure::{Rounds, Target, member, p50, print, resident};

/// Calls a round makes of each session, one after the other.
const CALLS: usize = 100;
/// Calls a round makes of each session, [`DEPTH`] at once.
const PIPELINED: usize = 800;
/// Lists a round asks of each session.
const LISTS: usize = 5;
/// Rounds. Each yields one ratio, of figures taken within milliseconds of each other; the median counts.
const ROUNDS: usize = 40;
/// How often the sessions whose calls are timed are opened anew: where the system happens to place processes on its
/// processors, which they then keep, makes a call between two of them take 3 µs or 40.
const PLACEMENTS: usize = 10;
/// Calls under way at once in the measurement of throughput.
const DEPTH: usize = 16;
/// Tools of the long list.
const TOOLS: usize = 1000;
/// Starts measured.
const STARTS: usize = 12;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => serve(arguments[1].parse().unwrap()),
        Some("relay") => relay(&arguments[1..]),
        _ => measure(),
    }
}

/// The trivial server: finds id and method by searching, answers from ready-made text.
fn serve(tools: usize) {
    let padding = "x".repeat(1024 - 100);
    let mut names: Vec<String> = (2..tools).map(|n| format!("tool_{n}")).collect();
    names.extend(["run".to_owned(), "denied".to_owned()]);
    let items: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                r#"{{"name":"{name}","description":"{padding}","inputSchema":{{"type":"object"}}}}"#
            )
        })
        .collect();
    let list = format!(r#"{{"tools":[{}]}}"#, items.join(","));
    let mut input = std::io::stdin().lock();
    let mut output = std::io::stdout().lock();
    let (mut line, mut answer) = (String::new(), String::new());
    loop {
        line.clear();
        if input.read_line(&mut line).unwrap() == 0 {
            return;
        }
        let Some(id) = member(&line, "\"id\":") else {
            continue;
        };
        let result = match member(&line, "\"method\":") {
            Some("\"tools/call\"") => r#"{"content":[{"type":"text","text":"done"}]}"#,
            Some("\"tools/list\"") => &list,
            Some("\"initialize\"") => {
                r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"trivial","version":"1"}}"#
            }
            _ => "{}",
        };
        answer.clear();
        answer.push_str(r#"{"jsonrpc":"2.0","id":"#);
        answer.push_str(id);
        answer.push_str(r#","result":"#);
        answer.push_str(result);
        answer.push_str("}\n");
        output.write_all(answer.as_bytes()).unwrap();
        output.flush().unwrap();
    }
}

/// The bare relay.
fn relay(command: &[String]) {
    fn copy(mut from: impl Read, mut to: impl Write) {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            if to.write_all(&chunk[..read]).is_err() {
                return;
            }
        }
    }
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    // As files: `Stdin` and `Stdout` would buffer and look for line ends.
    let from = File::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let to = File::from(std::io::stdout().as_fd().try_clone_to_owned().unwrap());
    let forth = std::thread::spawn(move || copy(from, input));
    copy(output, to);
    forth.join().unwrap();
    child.wait().unwrap();
}

/// A session with a server, directly or by way of something.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    line: String,
    next: u64,
}

impl Session {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take(),
            output: BufReader::with_capacity(1 << 20, child.stdout.take().unwrap()),
            child,
            line: String::new(),
            next: 1,
        }
    }

    fn open(command: &mut Command) -> Self {
        let mut session = Self::start(command);
        session.ask(r#""method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}"#);
        session.hear();
        let input = session.input.as_mut().unwrap();
        input
            .write_all(b"{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n")
            .unwrap();
        session
    }

    fn ask(&mut self, rest: &str) {
        let line = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},{rest}}}\n", self.next);
        self.next += 1;
        self.input
            .as_mut()
            .unwrap()
            .write_all(line.as_bytes())
            .unwrap();
    }

    /// The next answer; notifications are passed over.
    fn hear(&mut self) -> &str {
        loop {
            self.line.clear();
            assert_ne!(
                self.output.read_line(&mut self.line).unwrap(),
                0,
                "the session ended"
            );
            if self.line.contains("\"id\":") {
                return &self.line;
            }
        }
    }

    /// Asks for a call; no two have the same arguments, so that nothing can be remembered of one for the next.
    fn ask_call(&mut self, tool: &str) {
        let rest = format!(
            r#""method":"tools/call","params":{{"name":"{tool}","arguments":{{"path":"/tmp/x","n":{}}}}}"#,
            self.next
        );
        self.ask(&rest);
    }

    fn call(&mut self, tool: &str, expected: &str) -> Duration {
        let start = Instant::now();
        self.ask_call(tool);
        let answer = self.hear();
        let took = start.elapsed();
        assert!(answer.contains(expected), "{answer}");
        took
    }

    fn list(&mut self, at_least: usize) -> Duration {
        let start = Instant::now();
        self.ask(r#""method":"tools/list""#);
        let bytes = self.hear().len();
        let took = start.elapsed();
        assert!(bytes > at_least, "{bytes} bytes");
        took
    }

    /// Calls per second with [`DEPTH`] under way.
    fn pipelined(&mut self, calls: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..DEPTH {
            self.ask_call("run");
        }
        for done in 0..calls {
            assert!(self.hear().contains("done"));
            if done + DEPTH < calls {
                self.ask_call("run");
            }
        }
        calls as f64 / start.elapsed().as_secs_f64()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.input.take();
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The three ways to the same server.
fn ways(home: &Path, name: &str, tools: usize) -> [Command; 3] {
    let me = std::env::current_exe().unwrap();
    let tools = tools.to_string();
    let mut direct = Command::new(&me);
    direct.args(["serve", &tools]);
    let mut relay = Command::new(&me);
    relay.arg("relay").arg(&me).args(["serve", &tools]);
    let mut gate = measure::witgate(home);
    gate.args(["wrap", "--name", name, "--deny-tool", "denied", "--"])
        .arg(&me)
        .args(["serve", &tools]);
    [direct, relay, gate]
}

fn measure_calls(home: &Path) -> Option<u64> {
    let (mut calls, mut rates, mut denied) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    let mut most = None;
    for _ in 0..PLACEMENTS {
        let mut sessions = ways(home, "small", 10).map(|mut command| Session::open(&mut command));
        for session in &mut sessions {
            session.list(1);
        }
        for round in 0..=ROUNDS / PLACEMENTS {
            let took = sessions
                .each_mut()
                .map(|session| p50(CALLS, || session.call("run", "done")));
            let refused = p50(CALLS, || sessions[2].call("denied", "FILTERED"));
            let rate = sessions
                .each_mut()
                .map(|session| session.pipelined(PIPELINED));
            // The first round warms up.
            if round > 0 {
                calls.push(took);
                denied.push([took[0], took[1], refused]);
                rates.push(rate);
            }
        }
        most = most.max(resident(sessions[2].child.id()));
    }
    let [direct, relay, gate] = [0, 1, 2].map(|way| calls.median(way));
    print(
        "one call after the other, p50",
        &format!("direct {direct:.1} µs, relay {relay:.1} µs, gate {gate:.1} µs"),
        Some((calls.ratio(2, 1), Target::AtMost(1.5))),
    );
    let [relay, gate] = [1, 2].map(|way| denied.median(way));
    print(
        "a denied call, p50",
        &format!("gate {gate:.1} µs (relay allows in {relay:.1} µs)"),
        Some((denied.ratio(2, 1), Target::AtMost(1.0))),
    );
    let [direct, relay, gate] = [0, 1, 2].map(|way| rates.median(way));
    print(
        "16 calls at once, calls/s",
        &format!("direct {direct:.0}, relay {relay:.0}, gate {gate:.0}"),
        Some((rates.ratio(2, 1), Target::AtLeast(0.6))),
    );
    most
}

fn measure_lists(home: &Path) -> Option<u64> {
    let mut sessions = ways(home, "large", TOOLS).map(|mut command| Session::open(&mut command));
    let mut lists = Rounds::default();
    for round in 0..=ROUNDS {
        let took = sessions
            .each_mut()
            .map(|session| p50(LISTS, || session.list(TOOLS * 900)));
        if round > 0 {
            lists.push(took);
        }
    }
    let [direct, relay, gate] = [0, 1, 2].map(|way| lists.median(way));
    print(
        "tools/list, 1,000 of 1 KiB, p50",
        &format!("direct {direct:.0} µs, relay {relay:.0} µs, gate {gate:.0} µs"),
        Some((lists.ratio(2, 1), Target::AtMost(2.0))),
    );
    resident(sessions[2].child.id())
}

fn measure_starts(home: &Path) {
    let mut starts = Rounds::default();
    for _ in 0..STARTS {
        starts.push(ways(home, "small", 10).map(|mut command| {
            let start = Instant::now();
            let mut session = Session::open(&mut command);
            session.list(1);
            start.elapsed().as_secs_f64() * 1e3
        }));
    }
    let [direct, relay, gate] = [0, 1, 2].map(|way| starts.median(way));
    print(
        "start to first list, ms",
        &format!("direct {direct:.1}, relay {relay:.1}, gate {gate:.1}"),
        Some((gate, Target::AtMost(40.0))),
    );
}

fn measure() {
    let home = tempfile::tempdir().unwrap();
    // The compile cache is warm from here on.
    let [_, _, mut gate] = ways(home.path(), "small", 10);
    Session::open(&mut gate).list(1);

    let small = measure_calls(home.path());
    let large = measure_lists(home.path());
    measure_starts(home.path());
    for (what, resident) in [
        ("resident, 10 tools, MiB", small),
        ("resident, 1,000 tools, MiB", large),
    ] {
        if let Some(kibibytes) = resident {
            print(
                what,
                "",
                Some((kibibytes as f64 / 1024.0, Target::AtMost(40.0))),
            );
        }
    }
}
