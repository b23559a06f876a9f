//! `witgate review list`, and an entry as JSON wherever one is printed.

use serde::Serialize;

use crate::cli::{Context, Failed, output, time};
use crate::operator::{OperatorError, ReviewEntry};

/// An entry for machines. Strings are as the server wrote them.
#[derive(Debug, Serialize)]
pub(crate) struct EntryJson<'a> {
    id: &'a str,
    policy: &'a str,
    server: &'a str,
    kind: &'a str,
    name: &'a str,
    status: &'a str,
    waiting: bool,
    by: &'a str,
    since: Option<String>,
    approved_digests: &'a [String],
    /// What observers show; the one that nobody approved, where they differ.
    current_digest: Option<&'a str>,
    current_digests: &'a [String],
    present: bool,
    labels: std::collections::BTreeMap<&'a str, &'a str>,
}

impl<'a> EntryJson<'a> {
    pub(crate) fn new(review: &'a ReviewEntry) -> Self {
        let entry = &review.entry;
        let current = review.unapproved().next().or(entry.current_digests.first());
        Self {
            id: &review.id,
            policy: &review.policy,
            server: &entry.server,
            kind: review.kind(),
            name: &entry.name,
            status: &entry.status,
            waiting: entry.waiting,
            by: &entry.by,
            since: time::rfc3339(entry.since_ms),
            approved_digests: &entry.approved_digests,
            current_digest: current.map(String::as_str),
            current_digests: &entry.current_digests,
            present: entry.present,
            labels: entry
                .labels
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
                .collect(),
        }
    }
}

/// Lists what waits, or everything.
pub(super) async fn run(context: &Context, all: bool, server: Option<&str>) -> Result<(), Failed> {
    let setup = context.open(false).await?;
    let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
    let mut entries = operator.entries(server).await?;
    // That nothing waits at a server nobody knows would be true, and taken for an answer.
    if let (Some(name), true) = (server, entries.is_empty()) {
        let servers = operator.servers(&setup.config).await?;
        if !servers.iter().any(|server| server.name == name) {
            let known = servers.into_iter().map(|server| server.name).collect();
            let name = name.to_owned();
            return Err(OperatorError::UnknownServer { name, known }.into());
        }
    }
    entries.retain(|review| all || review.entry.waiting);
    if context.out.is_json() {
        let entries: Vec<_> = entries.iter().map(EntryJson::new).collect();
        return context.out.value(&entries);
    }
    context.out.line(&for_people(context, &entries, all));
    Ok(())
}

/// Entries for people.
pub(super) fn for_people(context: &Context, entries: &[ReviewEntry], all: bool) -> String {
    if entries.is_empty() {
        let text = if all {
            "No policy keeps anything yet: nothing was observed."
        } else {
            "Nothing waits for you."
        };
        return text.to_owned();
    }
    let rows = entries.iter().map(|review| {
        let entry = &review.entry;
        vec![
            review.id.clone(),
            entry.server.clone(),
            review.kind().to_owned(),
            entry.name.clone(),
            entry.status.clone(),
            time::rfc3339(entry.since_ms).unwrap_or_default(),
            entry.by.clone(),
        ]
    });
    let header = ["ID", "SERVER", "KIND", "NAME", "STATUS", "SINCE", "BY"];
    let table = output::table(&header, rows);
    let mut text = table;
    if entries.iter().any(|review| review.entry.waiting) {
        let one = context.command(&["review", "show", "ID"]);
        let server = context.command(&["review", "show", "--server", "NAME"]);
        text.push_str(&format!(
            "\n\nLook at one:              {one}\nLook at all of a server:  {server}"
        ));
    }
    text
}
