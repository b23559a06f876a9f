//! What a person sees of the records, and what becomes of their word.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};
use witgate_policy::{Action, Change, Decided, Decision, Entry, Host, ItemKind, Refusal, label};

use crate::Settings;
use crate::keys;
use crate::records::Stored;
use crate::state::{self, Event, Refused, Status, Word};
use crate::view::{ItemKey, View};

/// What begins the id of a server, for what concerns it as a whole.
pub const SERVER_ENTRY: &str = "server:";

/// `review.entries`.
pub fn entries(host: &impl Host, settings: &Settings, server: Option<&str>) -> Vec<Entry> {
    let views = match server {
        Some(name) => BTreeMap::from([(name.to_owned(), View::of(host, name))]),
        None => View::all(host),
    };
    let of_view = |(server, view): (&String, &View)| -> Vec<Entry> {
        let items = view.items().into_iter();
        items
            .filter(|(kind, _)| settings.covers_kind(&ItemKind::from_word(kind)))
            .map(|item| entry(server, view, &item))
            .collect()
    };
    views.iter().flat_map(of_view).collect()
}

/// `review.decide`.
pub fn decide(
    host: &impl Host,
    settings: &Settings,
    decision: &Decision,
) -> Result<Decided, Refusal> {
    if let Some(server) = decision.entry.strip_prefix(SERVER_ENTRY) {
        return decide_server(host, server, decision);
    }
    let (server, mut view, item) = find(host, settings, &decision.entry)?;
    let shown: Vec<&str> = view.shown(&item).into_iter().collect();
    let event = Event::Decided {
        word: word(&decision.action)?,
        digest: &decision.expected_digest,
        actor: &decision.actor,
        shown: &shown,
    };
    let new = state::step(view.stored(&item), &event, decision.now_ms).map_err(refusal)?;
    let mut changes = Vec::new();
    if let Some(record) = new {
        let key = keys::of_item(keys::ITEMS, &server, &item.0, &item.1);
        match record.text() {
            Some(text) => {
                changes.push(Change::keep(key, text));
                view.records.insert(item.clone(), Stored::Record(record));
            }
            None => {
                changes.push(Change::delete(key));
                view.records.remove(&item);
            }
        }
    }
    Ok(Decided {
        entry: Some(entry(&server, &view, &item)),
        changes,
        labels: Vec::new(),
    })
}

/// The id of an item's entry: short enough to be typed, and the same on every machine.
pub fn id(server: &str, (kind, name): &ItemKey) -> String {
    let mut hash = Sha256::new();
    hash.update(server);
    hash.update([0]);
    hash.update(kind);
    hash.update([0]);
    hash.update(name);
    hex::encode(&hash.finalize()[..5])
}

/// The item an entry's id stands for.
fn find(
    host: &impl Host,
    settings: &Settings,
    wanted: &str,
) -> Result<(String, View, ItemKey), Refusal> {
    let mut found = None;
    for (server, view) in View::all(host) {
        for item in view.items() {
            let covered = settings.covers_kind(&ItemKind::from_word(&item.0));
            if !covered || id(&server, &item) != wanted {
                continue;
            }
            if found.is_some() {
                return Err(Refusal::Other(
                    "two items have this id: rename one of their servers".to_owned(),
                ));
            }
            found = Some((server.clone(), view.clone(), item));
        }
    }
    found.ok_or(Refusal::UnknownEntry)
}

fn word(action: &Action) -> Result<Word, Refusal> {
    match action {
        Action::Approve => Ok(Word::Approve),
        Action::ApproveAlso => Ok(Word::ApproveAlso),
        Action::Revoke => Ok(Word::Revoke),
        Action::Block => Ok(Word::Block),
        Action::Unblock => Ok(Word::Unblock),
        Action::Other(_) => Err(Refusal::NotAllowed),
    }
}

fn refusal(refused: Refused) -> Refusal {
    match refused {
        Refused::MovedOn => Refusal::MovedOn,
        Refused::NotNow(why) => Refusal::Other(why.to_owned()),
    }
}

/// An item as it stands.
fn entry(server: &str, view: &View, item: &ItemKey) -> Entry {
    let stored = view.stored(item);
    let ever = view.ever.get(item);
    let shown = view.shown(item);
    let status = overall(stored, shown.iter().copied());
    let (first_ms, latest_ms) = ever.map_or((0, 0), |ever| (ever.first_ms, ever.latest_ms));
    let (by, since_ms) = match (status, stored) {
        (Status::Approved, Stored::Record(record)) => {
            let shown_one = record
                .approved
                .iter()
                .find(|one| shown.contains(one.digest.as_str()));
            let mark = shown_one.or(record.approved.last()).map(|one| &one.mark);
            mark.map_or_else(Default::default, |mark| (mark.by.clone(), mark.at_ms))
        }
        (Status::Blocked, Stored::Record(record)) => signed(record.blocked.as_ref(), 0),
        (Status::Pending, Stored::Record(record)) => signed(record.cleared.as_ref(), first_ms),
        (Status::Pending, _) => (String::new(), first_ms),
        _ => (String::new(), latest_ms),
    };
    let approved_digests = match stored {
        Stored::Record(record) => record
            .approved
            .iter()
            .map(|one| one.digest.clone())
            .collect(),
        Stored::Absent | Stored::Corrupt => Vec::new(),
    };
    let waits = matches!(status, Status::Pending | Status::Changed | Status::Corrupt);
    Entry {
        id: id(server, item),
        server: server.to_owned(),
        kind: ItemKind::from_word(&item.0),
        name: item.1.clone(),
        status: status.word().to_owned(),
        waiting: waits && !shown.is_empty(),
        by,
        since_ms,
        approved_digests,
        present: !shown.is_empty(),
        current_digests: shown.into_iter().map(str::to_owned).collect(),
        labels: Vec::new(),
    }
}

fn signed(mark: Option<&crate::records::Mark>, else_ms: u64) -> (String, u64) {
    mark.map_or_else(
        || (String::new(), else_ms),
        |mark| (mark.by.clone(), mark.at_ms),
    )
}

/// The worst of what observers show; of an item that is gone, what its record says.
fn overall<'a>(stored: &Stored, shown: impl Iterator<Item = &'a str>) -> Status {
    shown
        .map(|digest| stored.status(digest))
        .max()
        .unwrap_or_else(|| {
            let last_approved = match stored {
                Stored::Record(record) => record.approved.last().map(|one| one.digest.as_str()),
                Stored::Absent | Stored::Corrupt => None,
            };
            stored.status(last_approved.unwrap_or_default())
        })
}

impl Status {
    /// The word in an entry.
    pub fn word(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::Pending => "pending",
            Self::Changed => "changed",
            Self::Blocked => "blocked",
            Self::Corrupt => "corrupt",
        }
    }
}

/// What concerns a server as a whole. Its name may be one nothing is stored of: a baseline can be closed before there
/// is anything to approve.
fn decide_server(host: &impl Host, server: &str, decision: &Decision) -> Result<Decided, Refusal> {
    let Action::Other(action) = &decision.action else {
        return Err(Refusal::NotAllowed);
    };
    let close = |server: &str| {
        let key = keys::baselined(server, keys::EVERY_KIND);
        Change::keep(key, decision.now_ms.to_string())
    };
    let mut changes = Vec::new();
    match action.as_str() {
        "close-baseline" => changes.push(close(server)),
        // The baseline closes, so that the same command is no first sight.
        "forget-server" => {
            for table in [keys::ITEMS, keys::EVER, keys::NOW] {
                let found = host.scan(&keys::of_server(table, server));
                changes.extend(found.into_iter().map(|(key, _)| Change::delete(key)));
            }
            changes.push(close(server));
        }
        // The old name's baseline closes: it may come to stand for something else.
        "rename-server" => {
            let Some(to) = label(&decision.labels, "to") else {
                return Err(Refusal::Other("a rename needs the label `to`".to_owned()));
            };
            changes = renamed(host, server, to)?;
            changes.push(close(server));
        }
        _ => return Err(Refusal::NotAllowed),
    }
    Ok(Decided {
        entry: None,
        changes,
        labels: Vec::new(),
    })
}

/// Everything stored about a server, under another name.
fn renamed(host: &impl Host, from: &str, to: &str) -> Result<Vec<Change>, Refusal> {
    // A closed baseline alone takes no name: it is what a server that left the name leaves behind.
    let items = [keys::ITEMS, keys::EVER, keys::NOW];
    let taken = |table: &&str| !host.scan(&keys::of_server(table, to)).is_empty();
    if from == to || items.iter().any(taken) {
        return Err(Refusal::Other(
            "that name is taken: `witgate server list` shows the names".to_owned(),
        ));
    }
    let mut changes = Vec::new();
    for table in items.into_iter().chain([keys::BASELINED]) {
        let (old, new) = (keys::of_server(table, from), keys::of_server(table, to));
        for (key, value) in host.scan(&old) {
            if let Some(rest) = key.strip_prefix(&old) {
                changes.push(Change::keep(format!("{new}{rest}"), value));
            }
            changes.push(Change::delete(key));
        }
    }
    Ok(changes)
}
