//! What the operator's commands print, and the review as a test needs it.

use serde_json::Value;

use super::Home;

/// A finished command.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    what: String,
}

impl Output {
    pub(crate) fn new(arguments: &[&str], output: &std::process::Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout.clone()).unwrap(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            what: arguments.join(" "),
        }
    }

    /// Asserts the exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "witgate {}\n--- stdout\n{}\n--- stderr\n{}",
            self.what,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Asserts that the command did what it was asked.
    #[track_caller]
    pub(crate) fn done(self) -> Self {
        self.exits(0)
    }

    /// Asserts that the operator reads each of these words somewhere.
    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        let text = format!("{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(
                text.contains(word),
                "witgate {}: no `{word}` in\n{text}",
                self.what
            );
        }
        self
    }

    /// The JSON on stdout, and nothing else there.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!(
                "witgate {}: {error}\n--- stdout\n{}\n--- stderr\n{}",
                self.what, self.stdout, self.stderr
            )
        })
    }
}

/// One line of `review list --all`.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) by: String,
    pub(crate) digest: String,
    pub(crate) approved: Vec<String>,
    pub(crate) present: bool,
    pub(crate) raw: Value,
}

/// The array that a command's JSON is, or holds as its only array.
pub(crate) fn rows(value: Value) -> Vec<Value> {
    match value {
        Value::Array(rows) => rows,
        Value::Object(members) => members
            .into_iter()
            .find_map(|(_, value)| match value {
                Value::Array(rows) => Some(rows),
                _ => None,
            })
            .unwrap_or_default(),
        other => panic!("neither array nor object: {other}"),
    }
}

impl Home {
    /// Everything `review list --all` knows of one server.
    #[track_caller]
    pub(crate) fn entries(&self, server: &str) -> Vec<Value> {
        let output = self.run(&["review", "list", "--all", "--json"]).done();
        rows(output.json())
            .into_iter()
            .filter(|row| row["server"] == server)
            .collect()
    }

    /// The entry of one item, by kind and name.
    #[track_caller]
    pub(crate) fn entry(&self, server: &str, kind: &str, name: &str) -> Entry {
        let entries = self.entries(server);
        let raw = entries
            .iter()
            .find(|row| row["kind"] == kind && row["name"] == name)
            .unwrap_or_else(|| panic!("no {kind} `{name}` of {server} in {entries:#?}"))
            .clone();
        let text = |key: &str| raw[key].as_str().unwrap_or_default().to_owned();
        Entry {
            id: text("id"),
            status: text("status"),
            by: text("by"),
            digest: text("current_digest"),
            approved: raw["approved_digests"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|digest| digest.as_str().map(str::to_owned))
                .collect(),
            present: raw["present"].as_bool().unwrap_or_default(),
            raw,
        }
    }

    /// The rows of `policy list`.
    #[track_caller]
    pub(crate) fn policy_list(&self) -> Vec<Value> {
        rows(self.run(&["policy", "list", "--json"]).done().json())
    }

    /// The row of a policy in `policy list`.
    #[track_caller]
    pub(crate) fn policy(&self, name: &str) -> Option<Value> {
        let mut rows = self.policy_list().into_iter();
        rows.find(|row| row["name"] == name)
    }

    /// Waits until the row of a policy in `policy list` has these members.
    #[track_caller]
    pub(crate) fn until_policy(&self, name: &str, members: &Value) -> Value {
        let mut last = Value::Null;
        let found = super::until_some(|| {
            last = self.policy(name)?;
            let wanted = members.as_object().unwrap();
            let has = wanted.iter().all(|(key, value)| last[key] == *value);
            has.then(|| last.clone())
        });
        found.unwrap_or_else(|| panic!("waited for {name} with {members}, got {last:#}"))
    }

    /// The status of a tool.
    #[track_caller]
    pub(crate) fn status(&self, server: &str, tool: &str) -> String {
        self.entry(server, "tool", tool).status
    }

    /// The row of a server in `server list`.
    #[track_caller]
    pub(crate) fn server(&self, name: &str) -> Value {
        let output = self.run(&["server", "list", "--json"]).done();
        rows(output.json())
            .into_iter()
            .find(|row| row["name"] == name)
            .unwrap_or_else(|| panic!("no server {name}: {}", output.stdout))
    }

    /// Approves what a tool is now.
    #[track_caller]
    pub(crate) fn approve(&self, server: &str, tool: &str) -> Output {
        let entry = self.entry(server, "tool", tool);
        self.run(&["review", "approve", &entry.id, "--digest", &entry.digest])
            .done()
    }

    /// What `doctor --json` finds.
    #[track_caller]
    pub(crate) fn doctor(&self) -> Value {
        self.run(&["doctor", "--json"]).json()
    }

    /// Every audit record on disk, in the order of files' names and lines, headers included.
    pub(crate) fn audit(&self) -> Vec<Value> {
        let mut files: Vec<_> = self.audit_files();
        files.sort();
        files
            .iter()
            .flat_map(|file| {
                let text = std::fs::read_to_string(file).unwrap();
                text.lines()
                    .map(|line| serde_json::from_str(line).unwrap())
                    .collect::<Vec<Value>>()
            })
            .collect()
    }

    /// The audit's files.
    pub(crate) fn audit_files(&self) -> Vec<std::path::PathBuf> {
        let Ok(folder) = std::fs::read_dir(self.state().join("audit")) else {
            return Vec::new();
        };
        folder
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
            .collect()
    }
}
