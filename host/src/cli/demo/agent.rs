//! The agent of the demonstration: the least an MCP client can be.

use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf, WriteHalf,
};

use crate::cli::Failed;

/// A client at one end of a pipe.
pub(super) struct Agent {
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    write: WriteHalf<DuplexStream>,
    next: u32,
    changed: bool,
}

impl Agent {
    pub(super) fn new(stream: DuplexStream) -> Self {
        let (read, write) = tokio::io::split(stream);
        Self {
            lines: BufReader::new(read).lines(),
            write,
            next: 0,
            changed: false,
        }
    }

    /// The handshake.
    pub(super) async fn initialize(&mut self) -> Result<(), Failed> {
        let params = r#"{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"demo","version":"1"}}"#;
        self.ask("initialize", params).await?;
        self.send(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
            .await
    }

    /// The names of the tools it sees.
    pub(super) async fn tools(&mut self) -> Result<Vec<String>, Failed> {
        let result = self.ask("tools/list", "{}").await?;
        let tools = result["tools"].as_array().cloned().unwrap_or_default();
        Ok(tools
            .iter()
            .filter_map(|tool| tool["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// The text that a call brings back.
    pub(super) async fn call(&mut self, tool: &str, arguments: &str) -> Result<String, Failed> {
        let params = format!(r#"{{"name":"{tool}","arguments":{arguments}}}"#);
        let result = self.ask("tools/call", &params).await?;
        Ok(result["content"][0]["text"]
            .as_str()
            .unwrap_or_default()
            .to_owned())
    }

    /// Waits until it is told that the tools changed.
    pub(super) async fn until_list_changes(&mut self) -> Result<(), Failed> {
        while !std::mem::take(&mut self.changed) {
            self.read().await?;
        }
        Ok(())
    }

    async fn ask(&mut self, method: &str, params: &str) -> Result<Value, Failed> {
        self.next += 1;
        let id = self.next;
        let request =
            format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.send(&request).await?;
        loop {
            let mut message = self.read().await?;
            if message["id"] == id {
                return Ok(message["result"].take());
            }
        }
    }

    async fn send(&mut self, line: &str) -> Result<(), Failed> {
        let line = format!("{line}\n");
        self.write
            .write_all(line.as_bytes())
            .await
            .map_err(|e| ended(&e.to_string()))
    }

    async fn read(&mut self) -> Result<Value, Failed> {
        let line = self
            .lines
            .next_line()
            .await
            .map_err(|e| ended(&e.to_string()))?;
        let line = line.ok_or_else(|| ended("it closed its end"))?;
        let message: Value = serde_json::from_str(&line).map_err(|e| ended(&e.to_string()))?;
        self.changed |= message["method"] == "notifications/tools/list_changed";
        Ok(message)
    }
}

fn ended(why: &str) -> Failed {
    Failed::new(
        "demo",
        format!("the session with the bundled server ended: {why}"),
    )
}
