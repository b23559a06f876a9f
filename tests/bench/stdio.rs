//! What the gate costs on stdio, measured against a relay that copies bytes and does nothing else.
//!
//! `cargo bench -p witgate --bench stdio` runs it. This one program plays every part: `serve N` is a trivial MCP server
//! with N tools of 1 KiB, `relay CMD…` a bare relay of two blocking threads, and without arguments it is the client that
//! measures. All sessions are open at once and their rounds interleaved, so that a busy machine is busy for all alike;
//! what counts are the ratios. The targets printed beside them are those of the project's issue 2.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

/// Calls a round makes of each session, one after the other.
const CALLS: usize = 400;
/// Rounds.
const ROUNDS: usize = 12;
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

/// The raw value after a key, up to the next comma or brace.
fn member<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let rest = &line[line.find(key)? + key.len()..];
    Some(&rest[..rest.find([',', '}'])?])
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

    fn call(&mut self, tool: &str, expected: &str) -> Duration {
        let start = Instant::now();
        self.ask(&format!(r#""method":"tools/call","params":{{"name":"{tool}","arguments":{{"path":"/tmp/x","n":1}}}}"#));
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
        let call =
            r#""method":"tools/call","params":{"name":"run","arguments":{"path":"/tmp/x","n":1}}"#;
        let start = Instant::now();
        for _ in 0..DEPTH {
            self.ask(call);
        }
        for done in 0..calls {
            assert!(self.hear().contains("done"));
            if done + DEPTH < calls {
                self.ask(call);
            }
        }
        calls as f64 / start.elapsed().as_secs_f64()
    }

    /// Resident kibibytes, where the system tells.
    fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
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

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// The three ways to the same server.
fn ways(home: &Path, name: &str, tools: usize) -> [Command; 3] {
    let me = std::env::current_exe().unwrap();
    let tools = tools.to_string();
    let mut direct = Command::new(&me);
    direct.args(["serve", &tools]);
    let mut relay = Command::new(&me);
    relay.arg("relay").arg(&me).args(["serve", &tools]);
    let mut gate = Command::new(env!("CARGO_BIN_EXE_witgate"));
    gate.env_remove("WITGATE_CONFIG")
        .env_remove("WITGATE_STATE")
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home.join("config"))
        .env("XDG_STATE_HOME", home.join("state"))
        .env("XDG_CACHE_HOME", home.join("cache"))
        .args(["wrap", "--name", name, "--deny-tool", "denied", "--"])
        .arg(&me)
        .args(["serve", &tools]);
    [direct, relay, gate]
}

fn print(what: &str, figures: &str, ratio: Option<(f64, f64, bool)>) {
    let verdict = ratio.map_or_else(String::new, |(got, target, at_most)| {
        let met = if at_most {
            got <= target
        } else {
            got >= target
        };
        format!(
            "{got:8.2}  target {} {target:<6} {}",
            if at_most { "≤" } else { "≥" },
            if met { "met" } else { "MISSED" }
        )
    });
    println!("{what:<34} {figures:<58} {verdict}");
}

fn measure() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    // The compile cache is warm from here on.
    let [_, _, mut gate] = ways(home, "small", 10);
    Session::open(&mut gate).list(1);

    let mut sessions = ways(home, "small", 10).map(|mut command| Session::open(&mut command));
    for session in &mut sessions {
        session.list(1);
    }
    let mut calls: [Vec<f64>; 3] = Default::default();
    let mut rates: [Vec<f64>; 3] = Default::default();
    let mut denied = Vec::new();
    for round in 0..=ROUNDS {
        for (n, session) in sessions.iter_mut().enumerate() {
            let took: Vec<f64> = (0..CALLS)
                .map(|_| micros(session.call("run", "done")))
                .collect();
            let rate = session.pipelined(CALLS * 4);
            // The first round warms up.
            if round > 0 {
                calls[n].extend(took);
                rates[n].push(rate);
            }
        }
        let refused = (0..CALLS).map(|_| micros(sessions[2].call("denied", "FILTERED")));
        denied.extend(refused);
    }
    let [direct, relay, gate] = calls.each_mut().map(|values| median(values));
    print(
        "one call after the other, p50",
        &format!("direct {direct:.1} µs, relay {relay:.1} µs, gate {gate:.1} µs"),
        Some((gate / relay, 1.5, true)),
    );
    let denied = median(&mut denied);
    print(
        "a denied call, p50",
        &format!("gate {denied:.1} µs (relay allows in {relay:.1} µs)"),
        Some((denied / relay, 1.0, true)),
    );
    let [direct, relay, gate] = rates.each_mut().map(|values| median(values));
    print(
        "16 calls at once, calls/s",
        &format!("direct {direct:.0}, relay {relay:.0}, gate {gate:.0}"),
        Some((gate / relay, 0.6, false)),
    );
    let small = sessions[2].resident();
    drop(sessions);

    let mut sessions = ways(home, "large", TOOLS).map(|mut command| Session::open(&mut command));
    let mut lists: [Vec<f64>; 3] = Default::default();
    for round in 0..=ROUNDS {
        for (n, session) in sessions.iter_mut().enumerate() {
            let took: Vec<f64> = (0..10).map(|_| micros(session.list(TOOLS * 900))).collect();
            if round > 0 {
                lists[n].extend(took);
            }
        }
    }
    let [direct, relay, gate] = lists.each_mut().map(|values| median(values));
    print(
        "tools/list, 1,000 of 1 KiB, p50",
        &format!("direct {direct:.0} µs, relay {relay:.0} µs, gate {gate:.0} µs"),
        Some((gate / relay, 2.0, true)),
    );
    let large = sessions[2].resident();
    drop(sessions);

    let mut starts: [Vec<f64>; 3] = Default::default();
    for _ in 0..STARTS {
        for (n, mut command) in ways(home, "small", 10).into_iter().enumerate() {
            let start = Instant::now();
            let mut session = Session::open(&mut command);
            session.list(1);
            starts[n].push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [direct, relay, gate] = starts.each_mut().map(|values| median(values));
    print(
        "start to first list, ms",
        &format!("direct {direct:.1}, relay {relay:.1}, gate {gate:.1}"),
        Some((gate, 40.0, true)),
    );
    for (what, resident) in [
        ("resident, 10 tools, MiB", small),
        ("resident, 1,000 tools, MiB", large),
    ] {
        if let Some(kibibytes) = resident {
            print(what, "", Some((kibibytes as f64 / 1024.0, 40.0, true)));
        }
    }
}
