//! Looking at a server as an agent would see it through the gate.
//!
//! Runs a whole session with a client of its own, so that what it reports is what a session does.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};

use crate::chain::convert::ServerView;
use crate::chain::visibility::Status;
use crate::gate::reading::list_method;
use crate::gate::serve::stdio;
use crate::gate::session::Core;
use crate::gate::session::io::{Ended, SessionError, run_on};
use crate::gate::{Host, ServerEntry};
use crate::ledger::Observer;
use crate::mcp::{Digest, Item, ItemKind};
use crate::upstream::Upstream;
use crate::wire::scan;

/// How much the pipes between the probe and the session hold.
const PIPE: usize = 1 << 20;

/// The revision that the probe asks for.
const REVISION: &str = "2025-11-25";

/// What an agent would see of a server.
#[derive(Debug)]
pub struct Seen {
    /// The server, and its standing.
    pub server: ServerView,
    /// Every item with its status, by kind and in the server's order.
    pub items: Vec<(Item, Status)>,
    /// The texts of the definitions.
    pub definitions: HashMap<Digest, Arc<str>>,
    /// What is malformed or doubled, escaped.
    pub malformed: Vec<(ItemKind, String)>,
    /// Why lists could not be read.
    pub failed: Vec<(ItemKind, String)>,
}

/// A server cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The session cannot be run.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The server ended, or does not speak MCP.
    #[error("{0}")]
    Ended(String),
}

/// Runs a session and reports what it saw.
pub async fn probe(
    host: Arc<Host>,
    entry: ServerEntry,
    observer: Observer,
) -> Result<Seen, ProbeError> {
    let (near, far) = tokio::io::duplex(PIPE);
    let (source, sink) = tokio::io::split(far);
    let client = tokio::spawn(ask(near));
    let (ended, seen) = match &entry.upstream {
        Upstream::Child(launch) => {
            let launch = launch.clone();
            let (ended, core) = run_on(host, entry, launch, observer, source, sink).await?;
            (ended, Some(core.seen()))
        }
        Upstream::Http(_) => {
            let (ended, session) = stdio::run_on(host, entry, source, sink).await?;
            (ended, session.map(|session| session.with_core(Core::seen)))
        }
    };
    // The client ends when the session does: either it has asked everything, or nobody answers it any more.
    let asked = client.await.unwrap_or(Ok(()));
    match (ended, asked, seen) {
        (Ended::Because(reason), _, _) | (_, Err(reason), _) => Err(ProbeError::Ended(reason)),
        (_, _, Some(seen)) => Ok(seen),
        (_, _, None) => Err(ProbeError::Ended("the session never began".to_owned())),
    }
}

/// The client: says what every client says, and asks for every list.
async fn ask(stream: DuplexStream) -> Result<(), String> {
    let (read, mut write) = tokio::io::split(stream);
    let mut lines = BufReader::new(read).lines();
    let initialize = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":0,\"method\":\"initialize\",\"params\":{{\"protocolVersion\":\"{REVISION}\",\
         \"capabilities\":{{}},\"clientInfo\":{{\"name\":\"witgate-try\",\"version\":\"{}\"}}}}}}\n",
        env!("CARGO_PKG_VERSION")
    );
    send(&mut write, &initialize).await?;
    await_answer(&mut lines, 0).await?;
    let initialized = "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n";
    send(&mut write, initialized).await?;
    for (kind, id) in ItemKind::ALL.into_iter().skip(1).zip(1..) {
        let method = list_method(kind);
        let list = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":\"{method}\"}}\n");
        send(&mut write, &list).await?;
        // An error is an answer too: many servers have no list of some kind.
        let _ = await_answer(&mut lines, id).await;
    }
    Ok(())
}

async fn send(write: &mut tokio::io::WriteHalf<DuplexStream>, line: &str) -> Result<(), String> {
    write
        .write_all(line.as_bytes())
        .await
        .map_err(|_| "the session ended".to_owned())
}

async fn await_answer(
    lines: &mut tokio::io::Lines<BufReader<tokio::io::ReadHalf<DuplexStream>>>,
    id: u32,
) -> Result<(), String> {
    let wanted = id.to_string();
    loop {
        let line = lines.next_line().await.map_err(|e| e.to_string())?;
        let Some(line) = line else {
            return Err("the session ended".to_owned());
        };
        let members = scan::members(&line).unwrap_or_default();
        if members
            .iter()
            .any(|member| member.is("id") && member.value == wanted)
            && !members.iter().any(|member| member.is("method"))
        {
            return match members.iter().find(|member| member.is("error")) {
                Some(error) => Err(format!(
                    "the server answered with the error {}",
                    error.value
                )),
                None => Ok(()),
            };
        }
    }
}

impl Core {
    /// What this session saw of its server.
    fn seen(&self) -> Seen {
        let (server, catalogue, visibility) = self.state();
        let mut items = Vec::new();
        for item in catalogue.items() {
            if let Some((item, status)) = visibility.as_ref().and_then(|v| v.get(&item.key)) {
                items.push((item.clone(), status.clone()));
            }
        }
        let failed = ItemKind::ALL
            .into_iter()
            .filter_map(|kind| Some((kind, self.failure(kind)?.to_string())))
            .collect();
        let definitions = catalogue.definitions(&ItemKind::ALL, |_| false);
        let definitions = definitions
            .into_iter()
            .map(|d| (d.digest, d.text))
            .collect();
        let malformed = catalogue.malformed();
        Seen {
            server: server.clone(),
            items,
            definitions,
            malformed,
            failed,
        }
    }
}
