//! Everything the store has about a server, read. For recording hooks and `entries`: judging hooks see no sightings.

use std::collections::{BTreeMap, BTreeSet};

use witgate_policy::Host;

use crate::keys;
use crate::records::{Ever, Reading, Stored};

/// An item within a server: its kind's word, and its name.
pub type ItemKey = (String, String);

/// What is stored about one server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// What was decided, by item; never [`Stored::Absent`].
    pub records: BTreeMap<ItemKey, Stored>,
    /// Which digests items ever showed.
    pub ever: BTreeMap<ItemKey, Ever>,
    /// What each observer saw last. A part of it that cannot be read shows nothing.
    pub now: BTreeMap<String, Reading>,
    /// The keys and texts `now` was read from, by observer.
    pub parts: BTreeMap<String, BTreeMap<String, String>>,
}

impl View {
    /// Reads one server's.
    pub fn of(host: &impl Host, server: &str) -> Self {
        let mut views = Self::read(host, |table| keys::of_server(table, server));
        views.remove(server).unwrap_or_default()
    }

    /// Reads every server's, by name.
    pub fn all(host: &impl Host) -> BTreeMap<String, Self> {
        Self::read(host, str::to_owned)
    }

    /// Reads the three tables; `prefix` narrows each.
    fn read(host: &impl Host, prefix: impl Fn(&str) -> String) -> BTreeMap<String, Self> {
        let mut views = BTreeMap::<String, Self>::new();
        each(host, keys::ITEMS, &prefix, |server, rest, value| {
            if let Some((kind, name)) = keys::split(rest) {
                let records = &mut views.entry(server).or_default().records;
                records.insert((kind, name.to_owned()), Stored::parse(Some(value)));
            }
        });
        each(host, keys::EVER, &prefix, |server, rest, value| {
            if let Some((kind, name)) = keys::split(rest) {
                let ever = &mut views.entry(server).or_default().ever;
                ever.insert((kind, name.to_owned()), Ever::parse(value));
            }
        });
        each(host, keys::NOW, &prefix, |server, rest, value| {
            let Some((observer, part)) = keys::split(rest) else {
                return;
            };
            let key = keys::now(&server, &observer, part);
            let view = views.entry(server).or_default();
            let reading = view.now.entry(observer.clone()).or_default();
            for (kind, names) in serde_json::from_str::<Reading>(value).unwrap_or_default() {
                reading.entry(kind).or_default().extend(names);
            }
            let parts = view.parts.entry(observer).or_default();
            parts.insert(key, value.to_owned());
        });
        views
    }

    /// What is decided about an item.
    pub fn stored(&self, item: &ItemKey) -> &Stored {
        self.records.get(item).unwrap_or(&Stored::Absent)
    }

    /// The digests that observers show now, each once, in order.
    pub fn shown(&self, item: &ItemKey) -> BTreeSet<&str> {
        shown_in(&self.now, item).collect()
    }

    /// Every item that anything is known of.
    pub fn items(&self) -> BTreeSet<ItemKey> {
        let shown =
            self.now.values().flatten().flat_map(|(kind, names)| {
                names.keys().map(move |name| (kind.clone(), name.clone()))
            });
        let stored = self.records.keys().chain(self.ever.keys()).cloned();
        stored.chain(shown).collect()
    }
}

/// What each observer shows of an item.
pub fn shown_in<'a>(
    now: &'a BTreeMap<String, Reading>,
    (kind, name): &ItemKey,
) -> impl Iterator<Item = &'a str> {
    now.values()
        .filter_map(move |reading| Some(reading.get(kind)?.get(name)?.as_str()))
}

/// Calls `entry` for every key of a table: the server, what follows it, the value. A key of another form is none of
/// ours and is left out.
fn each(
    host: &impl Host,
    table: &str,
    prefix: &impl Fn(&str) -> String,
    mut entry: impl FnMut(String, &str, &str),
) {
    for (key, value) in host.scan(&prefix(table)) {
        if let Some((server, rest)) = key.strip_prefix(table).and_then(keys::split) {
            entry(server, rest, &value);
        }
    }
}
