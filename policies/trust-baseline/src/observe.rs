//! What a reading of a server's catalogue changes in the store.

use std::collections::{BTreeMap, BTreeSet};

use witgate_policy::{Catalogue, Change, Host, Server, Standing, label};

use crate::Settings;
use crate::keys;
use crate::records::{self, Ever, Reading, Stored};
use crate::state::{self, Admission, Event};
use crate::view::{ItemKey, View, shown_in};

/// The most items a server can show before its baseline closes by itself; also the most records that readings make for
/// one server. Beyond that, a server that shows ever new names waits for a person, and the store stops growing.
pub const MOST_ITEMS: usize = 20_000;

/// The longest name that is recorded, bytes: the host bounds keys, and one name must not spoil the rest. An item with a
/// longer one waits for ever.
pub const LONGEST_NAME: usize = 8 * 1024;

/// `inventory.observe`.
pub fn observe(
    host: &impl Host,
    settings: &Settings,
    server: &Server,
    catalogue: &Catalogue,
    now_ms: u64,
) -> Vec<Change> {
    let mut pass = Pass {
        server,
        now_ms,
        closed: closed_kinds(host, &server.name),
        view: View::of(host, &server.name),
        changes: Vec::new(),
    };
    for kind in label(&catalogue.labels, "baselined")
        .unwrap_or_default()
        .split_whitespace()
    {
        pass.close(kind);
    }
    let shown = complete_items(settings, catalogue);
    let shown_before = pass.view.now.clone();
    pass.keep_reading(settings, catalogue, &shown);
    let showing = shown.values().map(BTreeMap::len).sum();
    if pass
        .view
        .records
        .len()
        .max(pass.view.ever.len())
        .max(showing)
        > MOST_ITEMS
    {
        pass.close(keys::EVERY_KIND);
    }
    for (kind, names) in &shown {
        for (name, digest) in names {
            pass.judge((kind.clone(), name.clone()), digest, &shown_before);
        }
    }
    pass.prune();
    pass.changes
}

/// One reading, while it is judged.
struct Pass<'a> {
    server: &'a Server,
    now_ms: u64,
    /// Kinds whose baseline is closed, by word.
    closed: BTreeSet<String>,
    view: View,
    changes: Vec<Change>,
}

impl Pass<'_> {
    fn is_closed(&self, kind: &str) -> bool {
        self.closed.contains(kind) || self.closed.contains(keys::EVERY_KIND)
    }

    /// Closes the baseline of a kind, for good.
    fn close(&mut self, kind: &str) {
        if !self.is_closed(kind) {
            let key = keys::baselined(&self.server.name, kind);
            self.changes
                .push(Change::keep(key, self.now_ms.to_string()));
            self.closed.insert(kind.to_owned());
        }
    }

    /// Keeps what this observer sees, and forgets the readings of observers that are gone.
    fn keep_reading(&mut self, settings: &Settings, catalogue: &Catalogue, shown: &Reading) {
        let observer = label(&catalogue.labels, "observer").unwrap_or_default();
        let mut new = self.view.now.remove(observer).unwrap_or_default();
        new.extend(shown.clone());
        if !settings.resources {
            new.remove("resource");
        }
        let mut old_parts = self.view.parts.remove(observer).unwrap_or_default();
        for (n, text) in records::parts(&new).into_iter().enumerate() {
            let key = keys::now(&self.server.name, observer, &n.to_string());
            if old_parts.remove(&key).as_ref() != Some(&text) {
                self.changes.push(Change::keep(key, text));
            }
        }
        self.changes
            .extend(old_parts.into_keys().map(Change::delete));
        self.view.now.insert(observer.to_owned(), new);

        let Some(live) = label(&catalogue.labels, "live-observers") else {
            return;
        };
        let live: BTreeSet<&str> = live.split_whitespace().chain([observer]).collect();
        self.view
            .now
            .retain(|known, _| live.contains(known.as_str()));
        for (known, parts) in &self.view.parts {
            if !live.contains(known.as_str()) {
                self.changes.extend(parts.keys().map(Change::delete));
            }
        }
    }

    /// Judges one item of a complete kind. `shown_before` is what observers saw before this reading.
    fn judge(&mut self, item: ItemKey, digest: &str, shown_before: &BTreeMap<String, Reading>) {
        let (kind, name) = &item;
        let ever = self.view.ever.get(&item).cloned();
        let others: Vec<&str> = shown_in(&self.view.now, &item)
            .filter(|other| *other != digest)
            .collect();
        let event = Event::Shown {
            digest,
            admission: self.admission(&item),
            ever: ever.as_ref(),
            elsewhere: &others,
        };
        // A reading is never refused.
        if let Ok(Some(record)) = state::step(self.view.stored(&item), &event, self.now_ms) {
            let key = keys::of_item(keys::ITEMS, &self.server.name, kind, name);
            self.changes
                .extend(record.text().map(|text| Change::keep(key, text)));
            self.view
                .records
                .insert(item.clone(), Stored::Record(record));
        }

        let is_new = !shown_in(shown_before, &item).any(|shown| shown == digest);
        let sighted = match &ever {
            None => Ever {
                first: digest.to_owned(),
                first_ms: self.now_ms,
                latest_ms: self.now_ms,
                several: false,
            },
            Some(ever) => Ever {
                several: ever.several || ever.first != digest,
                latest_ms: if is_new { self.now_ms } else { ever.latest_ms },
                ..ever.clone()
            },
        };
        if ever.as_ref() != Some(&sighted) {
            let key = keys::of_item(keys::EVER, &self.server.name, kind, name);
            self.changes.push(Change::keep(key, sighted.text()));
            self.view.ever.insert(item, sighted);
        }
    }

    /// How far this reading approves an item by itself.
    fn admission(&self, item: &ItemKey) -> Admission {
        let full = self.view.records.len() >= MOST_ITEMS && !self.view.records.contains_key(item);
        if self.server.standing == Standing::Quarantined || full {
            Admission::Nothing
        } else if label(&self.server.labels, "auto-approve-tool-changes") == Some("true") {
            Admission::Changes
        } else if !self.is_closed(&item.0) {
            Admission::Baseline
        } else {
            Admission::Nothing
        }
    }

    /// Forgets the sightings of items that are gone and that nobody decided about, where the baseline is closed: no
    /// rule asks for them any more. While it is open they tell an item that changed from one that did not.
    fn prune(&mut self) {
        for item in self.view.ever.keys() {
            let (kind, name) = item;
            let wanted = !self.is_closed(kind)
                || self.view.records.contains_key(item)
                || shown_in(&self.view.now, item).next().is_some();
            if !wanted {
                let key = keys::of_item(keys::EVER, &self.server.name, kind, name);
                self.changes.push(Change::delete(key));
            }
        }
    }
}

/// The kinds of a server whose baseline is closed, by word. What such a key holds does not matter, so that a damaged
/// one opens nothing.
fn closed_kinds(host: &impl Host, server: &str) -> BTreeSet<String> {
    let prefix = keys::of_server(keys::BASELINED, server);
    let keys = host.scan(&prefix);
    keys.iter()
        .filter_map(|(key, _)| key.strip_prefix(&prefix))
        .map(keys::unescaped)
        .collect()
}

/// What the catalogue shows of the kinds that are pinned and were read to the end. The host withholds items that share
/// a name; if it did not, neither is shown.
fn complete_items(settings: &Settings, catalogue: &Catalogue) -> Reading {
    let mut doubles = BTreeSet::new();
    let mut shown = Reading::new();
    for kind in &catalogue.complete {
        if !settings.covers_kind(kind) {
            continue;
        }
        let mut names = BTreeMap::new();
        for item in catalogue.items.iter().filter(|item| item.kind == *kind) {
            if names
                .insert(item.name.clone(), item.digest.clone())
                .is_some()
            {
                doubles.insert(item.name.clone());
            }
        }
        names.retain(|name, _| !doubles.contains(name) && name.len() <= LONGEST_NAME);
        doubles.clear();
        shown.insert(kind.word().to_owned(), names);
    }
    shown
}
