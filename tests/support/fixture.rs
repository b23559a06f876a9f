//! The scripted server: its folder, its script, and what it was sent.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::until;

/// A tool's definition with an empty object as input schema.
pub(crate) fn tool(name: &str, description: &str) -> String {
    format!(
        r#"{{"name":{},"description":{},"inputSchema":{{"type":"object"}}}}"#,
        Value::from(name),
        Value::from(description)
    )
}

/// A prompt's definition.
pub(crate) fn prompt(name: &str, description: &str) -> String {
    format!(
        r#"{{"name":{},"description":{}}}"#,
        Value::from(name),
        Value::from(description)
    )
}

/// A resource's definition.
pub(crate) fn resource(uri: &str, name: &str) -> String {
    format!(
        r#"{{"uri":{},"name":{}}}"#,
        Value::from(uri),
        Value::from(name)
    )
}

/// A resource template's definition.
pub(crate) fn template(uri_template: &str, name: &str) -> String {
    format!(
        r#"{{"uriTemplate":{},"name":{}}}"#,
        Value::from(uri_template),
        Value::from(name)
    )
}

/// A scripted server and what it offers. Changes take effect with the next message it gets.
pub(crate) struct Fixture {
    dir: PathBuf,
    members: Vec<(String, String)>,
}

impl Fixture {
    /// A server in `dir` that offers nothing yet.
    pub(crate) fn new(dir: PathBuf) -> Self {
        std::fs::create_dir_all(&dir).unwrap();
        let fixture = Self {
            dir,
            members: Vec::new(),
        };
        fixture.write();
        fixture
    }

    /// The argument that makes `fixture-server` this server.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sets a member of the script to raw JSON text.
    pub(crate) fn set(&mut self, member: &str, raw: impl Into<String>) -> &mut Self {
        self.members.retain(|(key, _)| key != member);
        self.members.push((member.to_owned(), raw.into()));
        self.write();
        self
    }

    /// Offers these lists: pairs of `tools`, `prompts`, `resources` or `templates` and raw definitions.
    pub(crate) fn offer(&mut self, lists: &[(&str, Vec<String>)]) -> &mut Self {
        self.set("catalogue", lists_text(lists))
    }

    /// Offers these tools, given raw, and nothing else.
    pub(crate) fn tools<T: AsRef<str>>(&mut self, tools: impl IntoIterator<Item = T>) -> &mut Self {
        let tools = tools
            .into_iter()
            .map(|tool| tool.as_ref().to_owned())
            .collect();
        self.offer(&[("tools", tools)])
    }

    /// The special answers, given as raw rules.
    pub(crate) fn rules<T: AsRef<str>>(&mut self, rules: impl IntoIterator<Item = T>) -> &mut Self {
        let rules: Vec<String> = rules
            .into_iter()
            .map(|rule| rule.as_ref().to_owned())
            .collect();
        self.set("rules", format!("[{}]", rules.join(",")))
    }

    fn write(&self) {
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(key, raw)| format!(r#""{key}":{raw}"#))
            .collect();
        let draft = self.dir.join("script.draft");
        std::fs::write(&draft, format!("{{{}}}", members.join(",\n"))).unwrap();
        std::fs::rename(draft, self.dir.join("script.json")).unwrap();
    }

    /// Has the running server obey a command, raw; see `tests/fixtures/server/control.rs`.
    pub(crate) fn command(&self, raw: &str) {
        let port: u16 = until("the fixture's port", || {
            std::fs::read_to_string(self.dir.join("port"))
                .ok()?
                .parse()
                .ok()
        });
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the fixture listens");
        stream.write_all(format!("{raw}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        // A process told to exit answers nothing.
        if stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
            assert_eq!(answer.trim(), "ok", "the fixture refused {raw}");
        }
    }

    /// Has the running server send a line.
    pub(crate) fn send(&self, line: &str) {
        self.command(&serde_json::json!({"send": [line]}).to_string());
    }

    /// Has the running server say that a list changed: `tools`, `prompts` or `resources`.
    pub(crate) fn list_changed(&self, kind: &str) {
        self.send(&format!(
            r#"{{"jsonrpc":"2.0","method":"notifications/{kind}/list_changed"}}"#
        ));
    }

    /// Ends the running server without another word.
    pub(crate) fn crash(&self) {
        let port = self.dir.join("port");
        self.command(r#"{"exit":11}"#);
        // So that the next command waits for the next process.
        let _ = std::fs::remove_file(port);
    }

    fn log(&self, name: &str) -> String {
        let bytes = std::fs::read(self.dir.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Every line the server was sent, over all its runs.
    pub(crate) fn received(&self) -> Vec<String> {
        self.log("received.log")
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The messages with this method that the server was sent.
    pub(crate) fn received_with(&self, method: &str) -> Vec<Value> {
        self.received()
            .iter()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|message| message["method"] == method)
            .collect()
    }

    /// How often an item was asked for by `params.name` or `params.uri`, in any spelling of the line.
    pub(crate) fn mentions(&self, text: &str) -> usize {
        self.received()
            .iter()
            .filter(|line| line.contains(text))
            .count()
    }

    /// How often the server was started.
    pub(crate) fn starts(&self) -> Vec<u32> {
        self.log("starts.log")
            .lines()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }

    /// How often its input ended.
    pub(crate) fn ends(&self) -> usize {
        self.log("ends.log").lines().count()
    }

    /// Its environment, one `KEY=VALUE` a line.
    pub(crate) fn environment(&self) -> String {
        self.log("environment.log")
    }
}

/// The raw text of lists as a script has them.
pub(crate) fn lists_text(lists: &[(&str, Vec<String>)]) -> String {
    let lists: Vec<String> = lists
        .iter()
        .map(|(kind, items)| format!(r#""{kind}":[{}]"#, items.join(",")))
        .collect();
    format!("{{{}}}", lists.join(","))
}
