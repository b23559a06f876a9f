//! `trust-baseline`: what a trusted server shows first is approved; what appears or changes afterwards waits for a
//! person.
//!
//! Facts are stored, status is derived: see [`state`] for the rules, [`keys`] for what is stored where. Judging hooks
//! read facts only; what was seen is read by recording hooks and `entries`.
//!
//! Knows digests, never definitions, and quotes nothing a server wrote.

pub mod keys;
pub mod observe;
pub mod records;
pub mod review;
pub mod state;
pub mod view;

use witgate_policy::{
    Catalogue, Change, Context, Decided, Decision, Denial, Entry, Host, Item, ItemKind, Locked,
    Policy, Refusal, Server, Withheld, export,
};

use records::Stored;
use state::Status;

/// What the operator may set.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Whether resources are pinned as well. Servers list files and rows as resources, which come and go.
    pub resources: bool,
}

/// See the module.
#[derive(Debug)]
pub struct TrustBaseline {
    settings: Settings,
}

/// Names a command that exists.
const REMEDY: &str = "A person can read the difference and decide: `witgate review`";

impl Policy for TrustBaseline {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    fn observe(
        &self,
        host: &impl Host,
        server: &Server,
        catalogue: &Catalogue,
        now_ms: u64,
    ) -> Vec<Change> {
        observe::observe(host, &self.settings, server, catalogue, now_ms)
    }

    fn filter(&self, host: &impl Host, context: &Context, items: &[Item]) -> Vec<Option<Denial>> {
        let records = Records(host.scan(&keys::items(&context.server.name)));
        let mut last_kind: Option<(&ItemKind, OfKind<'_>)> = None;
        let mut verdicts = Vec::with_capacity(items.len());
        for item in items {
            if !self.settings.covers(item) {
                verdicts.push(None);
                continue;
            }
            // A catalogue's items come kind by kind.
            let part = match last_kind {
                Some((kind, part)) if *kind == item.kind => part,
                _ => records.of_kind(&context.server.name, &item.kind),
            };
            last_kind = Some((&item.kind, part));
            let status = match part.text(&item.name) {
                Some(text) => Stored::status_of_text(text, &item.digest),
                None => Status::Pending,
            };
            verdicts.push(denial(status));
        }
        verdicts
    }

    fn surface(
        &self,
        _host: &impl Host,
        _context: &Context,
        withheld: &[Withheld],
    ) -> Vec<Option<Locked>> {
        let judge = |withheld: &Withheld| {
            let status = match withheld.denial.code.as_str() {
                code @ ("pending_approval" | "changed" | "blocked") => code,
                // To an agent it is what it is to the person: something that must be approved.
                "record_corrupt" => "pending_approval",
                _ => return None,
            };
            Some(Locked::new(status, REMEDY))
        };
        withheld.iter().map(judge).collect()
    }

    fn entries(&self, host: &impl Host, server: Option<&str>) -> Vec<Entry> {
        review::entries(host, &self.settings, server)
    }

    fn decide(&self, host: &impl Host, decision: &Decision) -> Result<Decided, Refusal> {
        review::decide(host, &self.settings, decision)
    }
}

/// A server's records as they were scanned: in the order of keys.
struct Records(Vec<(String, String)>);

/// Those of one kind.
#[derive(Clone, Copy)]
struct OfKind<'a> {
    records: &'a [(String, String)],
    /// How long the part of their keys is that all of them share.
    shared: usize,
}

impl Records {
    fn of_kind(&self, server: &str, kind: &ItemKind) -> OfKind<'_> {
        let shared = keys::of_item(keys::ITEMS, server, kind.word(), "");
        let from = self.0.partition_point(|(key, _)| *key < shared);
        let rest = &self.0[from..];
        let count = rest.partition_point(|(key, _)| key.starts_with(&shared));
        OfKind {
            records: &rest[..count],
            shared: shared.len(),
        }
    }
}

impl<'a> OfKind<'a> {
    /// The text of an item's record.
    fn text(self, name: &str) -> Option<&'a str> {
        let name_in = |key: &'a str| key.get(self.shared..).unwrap_or_default();
        let found = self
            .records
            .binary_search_by(|(key, _)| name_in(key).cmp(name));
        found.ok().map(|at| self.records[at].1.as_str())
    }
}

impl Settings {
    /// Whether items of this kind are pinned.
    pub fn covers_kind(&self, kind: &ItemKind) -> bool {
        *kind != ItemKind::ResourceItem || self.resources
    }

    /// Whether this item is pinned. A URI that a result handed out has no definition, so nothing to pin.
    fn covers(&self, item: &Item) -> bool {
        self.covers_kind(&item.kind)
            && !(item.kind == ItemKind::ResourceItem && item.digest.is_empty())
    }
}

fn denial(status: Status) -> Option<Denial> {
    let (code, reason) = match status {
        Status::Approved => return None,
        Status::Pending => ("pending_approval", "This has not been approved yet"),
        Status::Changed => ("changed", "This is no longer what was approved"),
        Status::Blocked => ("blocked", "The operator blocked this"),
        Status::Corrupt => (
            "record_corrupt",
            "The record of its approval cannot be read",
        ),
    };
    Some(Denial::new(code, reason).remedy(REMEDY))
}

export!(TrustBaseline: settings, inventory, list_filter, discovery_surface, review);
