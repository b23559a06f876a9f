//! Servers: what waits, what is corrupt, what keeps changing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Report, ServerReport, Varying};
use crate::config::{Config, PolicySource};
use crate::ledger::{Ledger, LedgerError, Standing};
use crate::mcp::{Digest, ItemKey};
use crate::operator::diff::{self, Node};
use crate::operator::{Operator, Server};

/// From this many digests on, a definition keeps changing.
const VARYING: usize = 3;

/// The most definitions of one item that are compared.
const COMPARED: usize = 8;

/// The most paths named for one item.
const PATHS: usize = 8;

/// Looks at every server.
pub(super) async fn examine(
    config: &Config,
    operator: &Operator,
    ledger: &Arc<dyn Ledger>,
    report: &mut Report,
) {
    let servers = match operator.servers(config).await {
        Ok(servers) => servers,
        Err(error) => {
            let mend = "run `witgate policy list`, and mend what it names";
            report.error(error.to_string(), "the policies' review hooks", mend);
            return;
        }
    };
    for server in &servers {
        let varying = match varying(&**ledger, &server.name).await {
            Ok(varying) => varying,
            Err(error) => {
                report.error(
                    error.to_string(),
                    ledger.location(),
                    "mend the ledger first",
                );
                Vec::new()
            }
        };
        for item in &varying {
            tell_varying(server, item, report);
        }
        corrupt(server, report);
        malformed(server, report);
        silent(config, server, report);
        report.servers.push(ServerReport {
            name: server.name.clone(),
            standing: server.standing,
            items: server.items,
            waiting: server.waiting(),
            varying,
        });
    }
}

/// Items of a server that showed three digests or more, and where those differ.
async fn varying(ledger: &dyn Ledger, server: &str) -> Result<Vec<Varying>, LedgerError> {
    let mut shown: BTreeMap<ItemKey, Vec<Digest>> = BTreeMap::new();
    for (item, _) in ledger.sighted(server.to_owned()).await? {
        let digests = shown.entry(item.key).or_default();
        if !digests.contains(&item.digest) {
            digests.push(item.digest);
        }
    }
    let mut all = Vec::new();
    for (key, digests) in shown {
        if digests.len() < VARYING {
            continue;
        }
        let mut definitions = Vec::new();
        for digest in digests.iter().rev().take(COMPARED) {
            if let Some(text) = ledger.definition(*digest).await? {
                definitions.push(Node::parse(&text));
            }
        }
        let pairs = definitions.windows(2).flat_map(|pair| match pair {
            [a, b] => diff::changes(a, b),
            _ => Vec::new(),
        });
        let paths: BTreeSet<_> = pairs.map(|change| change.path).collect();
        all.push(Varying {
            kind: key.kind.word(),
            name: key.name.to_string(),
            digests: digests.len(),
            paths: paths.into_iter().take(PATHS).collect(),
        });
    }
    Ok(all)
}

fn tell_varying(server: &Server, item: &Varying, report: &mut Report) {
    let at = if item.paths.is_empty() {
        String::new()
    } else {
        format!(", at {}", item.paths.join(", "))
    };
    let name = &item.name;
    report.warn(
        format!("the {} \"{name}\" showed {} definitions{at}", item.kind, item.digests),
        server.name.clone(),
        "pin what makes it vary (a time zone or a folder goes into the server's arguments), or give each client's server \
         a name of its own with --name",
    );
}

/// A record that cannot be read closes its item; only a person can say what it should hold.
fn corrupt(server: &Server, report: &mut Report) {
    for review in server
        .entries
        .iter()
        .filter(|e| e.entry.status == "corrupt")
    {
        let id = &review.id;
        report.error(
            format!("the record {id} cannot be read; its item is withheld"),
            server.name.clone(),
            format!("look at it with `witgate review show {id}`, and approve what you have read"),
        );
    }
}

fn malformed(server: &Server, report: &mut Report) {
    for (kind, what) in &server.malformed {
        report.warn(
            format!("a {kind} is withheld: {what}"),
            server.name.clone(),
            "tell the server's author; a malformed item cannot be pinned",
        );
    }
}

/// Quarantine is a policy's work: without it the word is only a word.
fn silent(config: &Config, server: &Server, report: &mut Report) {
    let Some(policies) = &config.policies else {
        return;
    };
    let source = PolicySource::Builtin("quarantine".to_owned());
    let enforced = policies
        .iter()
        .any(|p| p.source == source && p.mode == crate::config::Mode::Enforce);
    if server.standing == Standing::Quarantined && !enforced {
        report.error(
            "it is quarantined, and no policy enforces that",
            server.name.clone(),
            "add [[policy]] with `name = \"quarantine\"` and `source = \"builtin:quarantine\"`",
        );
    }
}
