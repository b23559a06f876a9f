//! What an operator says about whole servers: trusted, quarantined, forgotten, renamed.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::decide::Ask;
use super::overlay::Overlay;
use super::{Decided, Operator, OperatorError, ReviewEntry, now_ms, waiting_digest};
use crate::config::{Config, ServerConfig, names};
use crate::ledger::health::{self, Health};
use crate::ledger::{Op, PolicyOrigin, Snapshot, Standing, StandingRecord, observers};
use crate::mcp::{Digest, escape};
use crate::policy::contract::{Action, Refusal};

/// Who said what a server's standing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StandingFrom {
    /// The configuration says it.
    File,
    /// An operator's command did.
    Operator,
    /// Nobody: a server typed at `wrap` is trusted, one that only stands in the file is quarantined.
    Default,
}

/// A server's standing, and who said so. `typed`: its command was typed at `wrap`.
pub fn standing(
    config: Option<&ServerConfig>,
    record: Option<&StandingRecord>,
    typed: bool,
) -> (Standing, StandingFrom) {
    if let Some(standing) = config.and_then(|config| config.standing) {
        return (standing, StandingFrom::File);
    }
    match record {
        Some(record) => (record.standing, StandingFrom::Operator),
        None if typed => (Standing::Trusted, StandingFrom::Default),
        None => (Standing::Quarantined, StandingFrom::Default),
    }
}

/// A server as operators see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    /// Its name.
    pub name: String,
    /// Its standing.
    pub standing: Standing,
    /// Who said so.
    pub standing_from: StandingFrom,
    /// Whether the configuration lets it be used.
    pub enabled: bool,
    /// What the name stands for: the words of the command, or the URL without its query. May hold anything: escape it before a terminal.
    pub command: Vec<String>,
    /// Items that observers show, each name once.
    pub items: usize,
    /// Everything the policies keep about it.
    pub entries: Vec<ReviewEntry>,
    /// Over what waits: see [`waiting_digest`].
    pub catalogue_digest: Digest,
    /// Processes connected to it now.
    pub processes: Vec<u32>,
    /// How processes that serve it over HTTP find it.
    pub health: Vec<Health>,
    /// Items that are withheld as malformed: kind's word and what is wrong, escaped.
    pub malformed: Vec<(String, String)>,
}

impl Server {
    /// How many entries wait for a person.
    pub fn waiting(&self) -> usize {
        self.entries
            .iter()
            .filter(|entry| entry.entry.waiting)
            .count()
    }
}

impl Operator {
    /// Every server that the configuration or the ledger knows, by name.
    pub async fn servers(&self, config: &Config) -> Result<Vec<Server>, OperatorError> {
        let now = self.ledger.confirm().await?;
        let mut entries = self.entries_at(&now, None).await?;
        let mut servers = Vec::new();
        for name in known(config, &now, &entries) {
            let (own, others) = entries.into_iter().partition(|e| e.entry.server == name);
            entries = others;
            servers.push(server(config, &now, name, own));
        }
        Ok(servers)
    }

    /// Trusts `server`, approves what waits there, and closes every kind's baseline, in one commit; if the catalogue
    /// digest of what waits begins with `digest` (8 digits or more).
    pub async fn trust(
        &self,
        config: &Config,
        server: &str,
        digest: &str,
    ) -> Result<Vec<Decided>, OperatorError> {
        standing_is_ours(config, server)?;
        self.commit(async |snapshot| {
            self.must_know(config, &snapshot, server).await?;
            let mut overlay = Overlay::new(Arc::clone(&snapshot));
            let decided = self
                .approve_waiting(&mut overlay, &snapshot, server, digest)
                .await?;
            self.about_server(&mut overlay, server, "close-baseline", Vec::new())
                .await?;
            overlay.ops.push(self.says(server, Standing::Trusted));
            Ok((overlay.ops, decided))
        })
        .await
    }

    /// Quarantines `server`: from now on it lists nothing and answers nothing. What is approved stays approved for the
    /// day it is trusted again.
    pub async fn quarantine(&self, config: &Config, server: &str) -> Result<(), OperatorError> {
        standing_is_ours(config, server)?;
        self.commit(async |snapshot| {
            self.must_know(config, &snapshot, server).await?;
            Ok((vec![self.says(server, Standing::Quarantined)], ()))
        })
        .await
    }

    /// Forgets what was kept about `server`, but for this: that its baseline is closed, so that the same name is no
    /// first sight. Refused while a process is connected to it.
    pub async fn forget(&self, config: &Config, server: &str) -> Result<(), OperatorError> {
        self.commit(async |snapshot| {
            self.must_know(config, &snapshot, server).await?;
            not_in_use(&snapshot, server)?;
            let mut overlay = Overlay::new(snapshot);
            self.about_server(&mut overlay, server, "forget-server", Vec::new())
                .await?;
            overlay.ops.push(Op::Forget {
                server: server.to_owned(),
            });
            Ok((overlay.ops, ()))
        })
        .await
    }

    /// Gives `from` the name `to`, with everything kept about it. Refused while a process is connected to it, if the
    /// name is taken, or if the configuration still uses the old one.
    pub async fn rename(&self, config: &Config, from: &str, to: &str) -> Result<(), OperatorError> {
        names::check_server_name(to)?;
        if config.servers.contains_key(from) {
            return Err(OperatorError::ServerInFile {
                server: from.to_owned(),
                file: file(config),
            });
        }
        self.commit(async |snapshot| {
            self.must_know(config, &snapshot, from).await?;
            not_in_use(&snapshot, from)?;
            let mut overlay = Overlay::new(snapshot);
            let labels = vec![("to".to_owned(), to.to_owned())];
            self.about_server(&mut overlay, from, "rename-server", labels)
                .await?;
            overlay.ops.push(Op::Rename {
                from: from.to_owned(),
                to: to.to_owned(),
            });
            Ok((overlay.ops, ()))
        })
        .await
    }

    /// Puts a decision about a whole server to every policy. One that keeps nothing about servers has no part in it;
    /// a shipped one must not refuse.
    async fn about_server(
        &self,
        overlay: &mut Overlay,
        server: &str,
        action: &str,
        labels: Vec<(String, String)>,
    ) -> Result<(), OperatorError> {
        let id = format!("server:{server}");
        for reviewer in &self.reviewers {
            let ask = Ask {
                reviewer: &**reviewer,
                entry: &id,
                digest: "",
                action: Action::Other(action.to_owned()),
                labels: labels.clone(),
            };
            let refused = |reason: &str| OperatorError::Refused {
                policy: reviewer.name().to_string(),
                action: action.to_owned(),
                id: id.clone(),
                reason: escape::visible_cut(reason, 400).to_string(),
            };
            let shipped = is_shipped(reviewer.namespace().as_str());
            match self.ask(overlay, ask).await? {
                Ok(_) | Err(Refusal::UnknownEntry) => {}
                Err(Refusal::NotAllowed | Refusal::Other(_)) if !shipped => {}
                Err(Refusal::NotAllowed) => return Err(refused("it is not allowed")),
                Err(Refusal::MovedOn) => return Err(refused("it has moved on")),
                Err(Refusal::Other(reason)) => return Err(refused(&reason)),
            }
        }
        Ok(())
    }

    fn says(&self, server: &str, standing: Standing) -> Op {
        Op::Standing {
            server: server.to_owned(),
            record: Some(StandingRecord {
                standing,
                actor: self.actor.clone(),
                at_ms: now_ms(),
            }),
        }
    }

    async fn must_know(
        &self,
        config: &Config,
        snapshot: &Arc<Snapshot>,
        name: &str,
    ) -> Result<(), OperatorError> {
        if config.servers.contains_key(name) || snapshot.servers.contains_key(name) {
            return Ok(());
        }
        let entries = self.entries_at(snapshot, None).await?;
        let known = known(config, snapshot, &entries);
        if known.contains(name) {
            return Ok(());
        }
        Err(OperatorError::UnknownServer {
            name: name.chars().take(names::MAX_NAME).collect(),
            known: known.into_iter().collect(),
        })
    }
}

fn is_shipped(namespace: &str) -> bool {
    namespace
        .split_once('/')
        .is_some_and(|(origin, _)| origin == PolicyOrigin::Builtin.word())
}

fn known(config: &Config, snapshot: &Snapshot, entries: &[ReviewEntry]) -> BTreeSet<String> {
    let file = config.servers.keys().cloned();
    let ledger = snapshot.servers.keys().cloned();
    let observed = snapshot.observers.iter().map(|o| o.server.clone());
    // A server that was forgotten may still have entries that say its baseline is closed.
    let kept = entries.iter().map(|e| e.entry.server.clone());
    file.chain(ledger).chain(observed).chain(kept).collect()
}

fn server(config: &Config, snapshot: &Snapshot, name: String, entries: Vec<ReviewEntry>) -> Server {
    let configured = config.servers.get(&name);
    let record = snapshot.servers.get(&name);
    let typed =
        configured.is_none_or(|server| server.command.is_empty() && server.remote.is_none());
    let (standing, standing_from) =
        standing(configured, record.and_then(|r| r.standing.as_ref()), typed);
    let command = configured
        .map(|server| match &server.remote {
            Some(remote) => vec![remote.shown()],
            None => server.command.clone(),
        })
        .filter(|command| !command.is_empty())
        .or_else(|| record?.identity.as_deref().map(words))
        .unwrap_or_default();
    let shown: Vec<_> = snapshot
        .observers
        .iter()
        .filter(|observer| observer.server == name)
        .collect();
    let observations = || shown.iter().filter_map(|o| o.observation.as_deref());
    let items: BTreeSet<_> = observations()
        .flat_map(|o| o.items.iter().map(|item| &item.key))
        .collect();
    let malformed: BTreeSet<_> = observations()
        .flat_map(|o| &o.malformed)
        .map(|(kind, what)| (kind.word().to_owned(), what.clone()))
        .collect();
    Server {
        standing,
        standing_from,
        enabled: configured.is_none_or(|server| server.enabled),
        command,
        items: items.len(),
        catalogue_digest: waiting_digest(&entries),
        health: health::of_server(snapshot, &name),
        processes: shown
            .iter()
            .filter(|o| !o.ended && observers::alive(o))
            .map(|o| o.pid)
            .collect(),
        malformed: malformed.into_iter().collect(),
        entries,
        name,
    }
}

/// The words of an identity: a command's JSON array, or a URL as the only word.
fn words(identity: &str) -> Vec<String> {
    serde_json::from_str(identity).unwrap_or_else(|_| vec![identity.to_owned()])
}

fn standing_is_ours(config: &Config, server: &str) -> Result<(), OperatorError> {
    match config.servers.get(server).and_then(|s| s.standing) {
        Some(_) => Err(OperatorError::StandingInFile {
            server: server.to_owned(),
            file: file(config),
        }),
        None => Ok(()),
    }
}

fn file(config: &Config) -> String {
    config.file.as_ref().map_or_else(
        || "the configuration".to_owned(),
        |f| f.display().to_string(),
    )
}

fn not_in_use(snapshot: &Snapshot, server: &str) -> Result<(), OperatorError> {
    let using = snapshot
        .observers
        .iter()
        .find(|o| o.server == server && !o.ended && observers::alive(o));
    match using {
        Some(observer) => Err(OperatorError::InUse {
            server: server.to_owned(),
            pid: observer.pid,
        }),
        None => Ok(()),
    }
}
