//! An MCP client that knows nothing but lines: it can say what no SDK would, and sees every byte of the answer.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::PATIENCE;

#[derive(Default)]
struct Heard {
    lines: Vec<String>,
    ended: bool,
}

/// A server's process and what it said. Killed when dropped.
pub(crate) struct Client {
    child: Mutex<Child>,
    input: Mutex<Option<ChildStdin>>,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    stderr: Arc<Mutex<String>>,
    next: AtomicU64,
}

/// What came of a call.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The server's own result.
    Ran(Value),
    /// The gate's refusal.
    Refused(Refusal),
    /// A JSON-RPC error: its code, and the whole error object for a failing test to show.
    Failed(i64, #[allow(dead_code)] Value),
}

/// A refusal of the gate's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) decision: String,
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) remedy: Option<String>,
}

impl Answer {
    /// Reads a response's line.
    pub(crate) fn read(line: &str) -> Self {
        let message: Value = serde_json::from_str(line).unwrap();
        if let Some(error) = message.get("error") {
            return match error.get("data").and_then(Refusal::read) {
                Some(refusal) => Self::Refused(refusal),
                None => Self::Failed(error["code"].as_i64().unwrap(), error.clone()),
            };
        }
        let result = &message["result"];
        let refusal = (result["isError"] == true)
            .then(|| result["content"][0]["text"].as_str())
            .flatten()
            .and_then(|text| serde_json::from_str::<Value>(text).ok())
            .and_then(|payload| Refusal::read(&payload));
        refusal.map_or_else(|| Self::Ran(result.clone()), Self::Refused)
    }

    /// The code of a refusal.
    pub(crate) fn code(&self) -> Option<&str> {
        match self {
            Self::Refused(refusal) => Some(&refusal.code),
            _ => None,
        }
    }

    /// The result of a call that ran.
    #[track_caller]
    pub(crate) fn ran(self) -> Value {
        match self {
            Self::Ran(result) => result,
            other => panic!("expected the call to run: {other:?}"),
        }
    }

    /// The refusal of a call that did not.
    #[track_caller]
    pub(crate) fn refused(self) -> Refusal {
        match self {
            Self::Refused(refusal) => refusal,
            other => panic!("expected a refusal: {other:?}"),
        }
    }

    /// Asserts a refusal with this decision and code.
    #[track_caller]
    pub(crate) fn refused_as(self, decision: &str, code: &str) -> Refusal {
        let refusal = self.refused();
        assert_eq!(
            (&*refusal.decision, &*refusal.code),
            (decision, code),
            "{refusal:?}"
        );
        refusal
    }

    /// The code of a JSON-RPC error.
    #[track_caller]
    pub(crate) fn failed(self) -> i64 {
        match self {
            Self::Failed(code, _) => code,
            other => panic!("expected a JSON-RPC error: {other:?}"),
        }
    }
}

impl Refusal {
    fn read(payload: &Value) -> Option<Self> {
        let text = |key: &str| payload.get(key)?.as_str().map(str::to_owned);
        Some(Self {
            decision: text("decision")?,
            code: text("code")?,
            reason: text("reason")?,
            remedy: text("remedy"),
        })
    }
}

impl Client {
    /// Starts a server.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let heard: Arc<(Mutex<Heard>, Condvar)> = Arc::default();
        let stderr: Arc<Mutex<String>> = Arc::default();
        let (ear, out) = (Arc::clone(&heard), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut out = BufReader::new(out);
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = out.read_until(b'\n', &mut line).unwrap_or(0);
                let mut heard = ear.0.lock().unwrap();
                if read == 0 {
                    heard.ended = true;
                } else {
                    let line = line.strip_suffix(b"\n").unwrap_or(&line);
                    heard.lines.push(String::from_utf8_lossy(line).into_owned());
                }
                ear.1.notify_all();
                if read == 0 {
                    return;
                }
            }
        });
        let (log, mut err) = (Arc::clone(&stderr), child.stderr.take().unwrap());
        std::thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(read @ 1..) = err.read(&mut chunk) {
                log.lock()
                    .unwrap()
                    .push_str(&String::from_utf8_lossy(&chunk[..read]));
            }
        });
        Self {
            input: Mutex::new(child.stdin.take()),
            child: Mutex::new(child),
            heard,
            stderr,
            next: AtomicU64::new(1),
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut input = self.input.lock().unwrap();
        let input = input.as_mut().expect("the input is open");
        // A gate that has ended shows in what is awaited next, with its log.
        let _ = input.write_all(bytes).and_then(|()| input.flush());
    }

    /// Writes one line.
    pub(crate) fn send(&self, line: &str) {
        self.write(format!("{line}\n").as_bytes());
    }

    /// How many lines were heard so far: a mark for [`Client::wait`].
    pub(crate) fn mark(&self) -> usize {
        self.heard.0.lock().unwrap().lines.len()
    }

    /// Everything heard from `mark` on.
    pub(crate) fn heard(&self, mark: usize) -> Vec<String> {
        self.heard.0.lock().unwrap().lines[mark..].to_vec()
    }

    /// The first line from `mark` on that `wanted` accepts, or none within `patience`, or once the output ended.
    fn find(
        &self,
        mark: usize,
        patience: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> Option<String> {
        let end = Instant::now() + patience;
        let mut next = mark;
        let mut heard = self.heard.0.lock().unwrap();
        loop {
            while next < heard.lines.len() {
                let line = &heard.lines[next];
                if serde_json::from_str(line).is_ok_and(|message| wanted(&message)) {
                    return Some(line.clone());
                }
                next += 1;
            }
            let left = end.saturating_duration_since(Instant::now());
            if heard.ended || left.is_zero() {
                return None;
            }
            heard = self.heard.1.wait_timeout(heard, left).unwrap().0;
        }
    }

    /// Waits for a line from `mark` on.
    #[track_caller]
    pub(crate) fn wait(&self, mark: usize, what: &str, wanted: impl Fn(&Value) -> bool) -> String {
        self.find(mark, PATIENCE, wanted).unwrap_or_else(|| {
            panic!(
                "waited for {what}\n--- heard\n{}\n--- log\n{}",
                self.heard(0)
                    .iter()
                    .map(|line| line.chars().take(400).collect::<String>())
                    .collect::<Vec<_>>()
                    .join("\n"),
                self.log()
            )
        })
    }

    /// Waits for a message with this method from `mark` on.
    #[track_caller]
    pub(crate) fn wait_method(&self, mark: usize, method: &str) -> Value {
        let line = self.wait(mark, method, |message| message["method"] == method);
        serde_json::from_str(&line).unwrap()
    }

    /// The messages with this method heard from `mark` on.
    pub(crate) fn heard_with(&self, mark: usize, method: &str) -> Vec<Value> {
        self.heard(mark)
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["method"] == method)
            .collect()
    }

    /// Whether a line that `unwanted` accepts comes from `mark` on within `time`.
    pub(crate) fn hears_within(
        &self,
        mark: usize,
        time: Duration,
        unwanted: impl Fn(&Value) -> bool,
    ) -> bool {
        self.find(mark, time, unwanted).is_some()
    }

    /// An id not used before.
    pub(crate) fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::SeqCst)
    }

    /// Sends a request with raw params (empty for none), not waiting for its answer.
    pub(crate) fn ask(&self, method: &str, params: &str) -> u64 {
        let id = self.id();
        let params = if params.is_empty() {
            String::new()
        } else {
            format!(r#","params":{params}"#)
        };
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"{params}}}"#
        ));
        id
    }

    /// Waits for the answer to a request.
    #[track_caller]
    pub(crate) fn answer_to(&self, id: impl Into<Value>) -> String {
        let id = id.into();
        self.wait(0, &format!("the answer to {id}"), |message| {
            message["id"] == id && message.get("method").is_none()
        })
    }

    /// Sends a request and waits for its answer: the whole line.
    #[track_caller]
    pub(crate) fn raw(&self, method: &str, params: &str) -> String {
        let id = self.ask(method, params);
        self.answer_to(id)
    }

    /// Sends a request and waits for what comes of it.
    #[track_caller]
    pub(crate) fn request(&self, method: &str, params: &Value) -> Answer {
        Answer::read(&self.raw(method, &params.to_string()))
    }

    /// Sends a line of the test's own making and waits for the answer to `id`.
    #[track_caller]
    pub(crate) fn exchange(&self, line: &str, id: impl Into<Value>) -> Answer {
        self.send(line);
        Answer::read(&self.answer_to(id))
    }

    /// Sends a request of the test's own making and waits for its answer: the whole line, heard after this moment.
    #[track_caller]
    pub(crate) fn exchange_raw(&self, request: &Value) -> String {
        let mark = self.mark();
        self.send(&request.to_string());
        self.wait(mark, "an answer", |message| message["id"] == request["id"])
    }

    /// Sends `initialize` with these capabilities and waits for its result.
    #[track_caller]
    pub(crate) fn initialize(&self, capabilities: &str) -> Value {
        let params = format!(
            r#"{{"protocolVersion":"2025-11-25","capabilities":{capabilities},"clientInfo":{{"name":"blackbox","version":"1"}}}}"#
        );
        Answer::read(&self.raw("initialize", &params)).ran()
    }

    /// Sends `notifications/initialized`.
    pub(crate) fn initialized(&self) {
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#);
    }

    /// The whole handshake, without capabilities.
    #[track_caller]
    pub(crate) fn handshake(&self) -> Value {
        let result = self.initialize("{}");
        self.initialized();
        result
    }

    /// A whole list, all pages: the items.
    #[track_caller]
    pub(crate) fn list(&self, method: &str) -> Vec<Value> {
        let member = match method {
            "resources/templates/list" => "resourceTemplates",
            _ => method.split('/').next().unwrap(),
        };
        let mut items = Vec::new();
        let mut params = json!({});
        loop {
            let result = self.request(method, &params).ran();
            items.extend(result[member].as_array().unwrap().iter().cloned());
            match result.get("nextCursor") {
                Some(cursor) => params = json!({"cursor": cursor}),
                None => return items,
            }
        }
    }

    /// The names of all listed tools.
    #[track_caller]
    pub(crate) fn tools(&self) -> Vec<String> {
        self.names("tools/list", "name")
    }

    /// One member of everything listed.
    #[track_caller]
    pub(crate) fn names(&self, method: &str, member: &str) -> Vec<String> {
        self.list(method)
            .iter()
            .map(|item| item[member].as_str().unwrap().to_owned())
            .collect()
    }

    /// Calls a tool without arguments.
    #[track_caller]
    pub(crate) fn call(&self, tool: &str) -> Answer {
        self.request("tools/call", &json!({"name": tool, "arguments": {}}))
    }

    /// Waits until the tools listed are these; meanwhile lists may fail.
    #[track_caller]
    pub(crate) fn until_tools(&self, names: &[&str]) {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.request("tools/list", &json!({}));
            if let Answer::Ran(result) = &answer {
                let tools = result["tools"].as_array().unwrap();
                let tools: Vec<&str> = tools
                    .iter()
                    .map(|tool| tool["name"].as_str().unwrap())
                    .collect();
                if tools == names {
                    return;
                }
            }
            assert!(
                Instant::now() < end,
                "waited for {names:?}, got {answer:?}\n{}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// What was written to stderr so far.
    pub(crate) fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }

    /// Closes the input and waits for the process to end.
    #[track_caller]
    pub(crate) fn close(&self) -> ExitStatus {
        self.input.lock().unwrap().take();
        self.ended()
    }

    /// Waits for the process to end.
    #[track_caller]
    pub(crate) fn ended(&self) -> ExitStatus {
        super::until("the process to end", || {
            self.child.lock().unwrap().try_wait().unwrap()
        })
    }

    /// Asserts that the process ended well when its input did.
    #[track_caller]
    pub(crate) fn close_well(&self) {
        let status = self.close();
        assert!(status.success(), "{status}\n{}", self.log());
    }

    /// Sends a signal.
    #[cfg(unix)]
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child.lock().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let mut child = self
            .child
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // With its input closed the gate ends its own child; killed at once, it would leave it behind.
        self.input
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
        let end = Instant::now() + Duration::from_secs(3);
        while Instant::now() < end {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let _ = child.kill();
        let _ = child.wait();
    }
}
