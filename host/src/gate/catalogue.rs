//! What a server offers, as last read: the raw pages with their items.
//!
//! Knows lists and pages. A page keeps the server's own bytes, so that a list can be answered with them.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::mcp::digest::digest;
use crate::mcp::escape::visible_cut;
use crate::mcp::list::Page as ListPage;
use crate::mcp::{Digest, Item, ItemKey, ItemKind};

/// What is shown of a malformed item's reason, characters.
const SHOWN: usize = 120;

/// One page of a list as the server sent it.
#[derive(Debug)]
pub struct Page {
    /// The whole line, without its end.
    pub line: Bytes,
    /// Where in it the response's id stands.
    pub id: Range<usize>,
    /// Where in it the result stands.
    pub result: Range<usize>,
    /// The page's items and cursor.
    pub list: ListPage,
    /// For each item its key and digest, or none if it is malformed.
    pub items: Vec<Option<Item>>,
    /// What is malformed, escaped.
    pub malformed: Vec<String>,
}

impl Page {
    /// Takes a page apart.
    pub fn new(
        kind: ItemKind,
        line: Bytes,
        id: Range<usize>,
        result: Range<usize>,
        list: ListPage,
    ) -> Self {
        let mut items = Vec::with_capacity(list.items.len());
        let mut malformed = Vec::new();
        let text = std::str::from_utf8(&line[result.clone()]).unwrap_or_default();
        for (index, entry) in list.items.iter().enumerate() {
            let read = match &entry.name {
                Err(reason) => Err(reason.to_string()),
                Ok(name) => digest(kind, &text[entry.range.clone()])
                    .map(|digest| Item {
                        key: ItemKey {
                            kind,
                            name: item_name(kind, name),
                        },
                        digest,
                    })
                    .map_err(|e| e.to_string()),
            };
            items.push(match read {
                Ok(item) => Some(item),
                Err(reason) => {
                    malformed.push(format!("item {index}: {}", visible_cut(&reason, SHOWN)));
                    None
                }
            });
        }
        Self {
            line,
            id,
            result,
            list,
            items,
            malformed,
        }
    }

    /// The result's JSON text.
    pub fn result_text(&self) -> &str {
        std::str::from_utf8(&self.line[self.result.clone()]).unwrap_or_default()
    }

    /// Whether `line` is this page again, with `id` in the place of the id it was answered under.
    pub fn is_again(&self, line: &[u8], id: &[u8]) -> bool {
        id.len() == self.id.len()
            && line.len() == self.line.len()
            && line[self.id.clone()] == *id
            && line[..self.id.start] == self.line[..self.id.start]
            && line[self.id.end..] == self.line[self.id.end..]
    }
}

/// How an item of this kind is named: a resource by its URI's normal form.
fn item_name(kind: ItemKind, name: &str) -> Arc<str> {
    match kind {
        ItemKind::Resource => crate::mcp::uri::normal_form(name).as_ref().into(),
        _ => name.into(),
    }
}

/// One kind's list, read to the end.
#[derive(Debug)]
pub struct KindList {
    /// The pages in their order; empty if the server answered with an error that means it has no such list.
    pub pages: Vec<Arc<Page>>,
    /// The line of that error, and where its id stands.
    pub absent: Option<(Bytes, Range<usize>)>,
    /// The items that count: malformed ones, and those that share a name, left out.
    pub items: Vec<Item>,
    /// What is malformed or doubled, escaped.
    pub malformed: Vec<String>,
}

impl KindList {
    /// Joins pages to a list.
    pub fn new(pages: Vec<Arc<Page>>, absent: Option<(Bytes, Range<usize>)>) -> Self {
        let mut counts: HashMap<&ItemKey, u32> = HashMap::new();
        for item in pages.iter().flat_map(|page| page.items.iter().flatten()) {
            *counts.entry(&item.key).or_default() += 1;
        }
        let mut malformed: Vec<String> = pages
            .iter()
            .flat_map(|page| page.malformed.iter().cloned())
            .collect();
        let mut doubled: Vec<_> = counts
            .iter()
            .filter(|(_, count)| **count > 1)
            .map(|(key, count)| {
                format!(
                    "{count} items are named `{}`",
                    visible_cut(&key.name, SHOWN)
                )
            })
            .collect();
        doubled.sort();
        malformed.extend(doubled);
        let items = pages
            .iter()
            .flat_map(|page| page.items.iter().flatten())
            .filter(|item| counts.get(&item.key) == Some(&1))
            .cloned()
            .collect();
        Self {
            pages,
            absent,
            items,
            malformed,
        }
    }

    /// Whether it is made of these very pages.
    pub fn is_made_of(&self, pages: &[Arc<Page>], absent: bool) -> bool {
        self.pages.len() == pages.len()
            && self.pages.iter().zip(pages).all(|(a, b)| Arc::ptr_eq(a, b))
            && self.absent.is_some() == absent
    }

    /// The page that a cursor of this list leads to.
    pub fn page_at(&self, cursor: &str) -> Option<&Arc<Page>> {
        let at = self.pages.iter().position(|page| {
            page.list
                .next_cursor
                .as_deref()
                .is_some_and(|next| next == cursor)
        })?;
        self.pages.get(at + 1)
    }
}

/// A server's items as last observed.
#[derive(Debug, Clone, Default)]
pub struct Catalogue {
    /// The self-description: the item and its definition's text.
    pub own: Option<(Item, Arc<str>)>,
    /// The lists that were read to the end.
    pub lists: BTreeMap<ItemKind, Arc<KindList>>,
}

impl Catalogue {
    /// Every item that counts.
    pub fn items(&self) -> Vec<Item> {
        let own = self.own.iter().map(|(item, _)| item);
        own.chain(self.lists.values().flat_map(|list| &list.items))
            .cloned()
            .collect()
    }

    /// What is malformed, by kind.
    pub fn malformed(&self) -> Vec<(ItemKind, String)> {
        self.lists
            .iter()
            .flat_map(|(kind, list)| list.malformed.iter().map(|what| (*kind, what.clone())))
            .collect()
    }

    /// The definitions of the kinds named that `known` does not hold yet: digest, kind, text.
    pub fn definitions(
        &self,
        kinds: &[ItemKind],
        known: impl Fn(&Digest) -> bool,
    ) -> Vec<crate::ledger::Definition> {
        let mut found = Vec::new();
        for kind in kinds {
            if *kind == ItemKind::SelfDescription
                && let Some((item, text)) = &self.own
                && !known(&item.digest)
            {
                found.push(crate::ledger::Definition {
                    digest: item.digest,
                    kind: *kind,
                    text: text.clone(),
                });
            }
            let Some(list) = self.lists.get(kind) else {
                continue;
            };
            for page in &list.pages {
                let text = page.result_text();
                for (entry, item) in page.list.items.iter().zip(&page.items) {
                    if let Some(item) = item
                        && !known(&item.digest)
                    {
                        found.push(crate::ledger::Definition {
                            digest: item.digest,
                            kind: *kind,
                            text: text[entry.range.clone()].into(),
                        });
                    }
                }
            }
        }
        found
    }

    /// The text of a definition that is current.
    pub fn definition(&self, wanted: &Digest) -> Option<Arc<str>> {
        if let Some((item, text)) = &self.own
            && item.digest == *wanted
        {
            return Some(text.clone());
        }
        self.lists
            .values()
            .flat_map(|list| &list.pages)
            .find_map(|page| {
                let at = page
                    .items
                    .iter()
                    .position(|i| i.as_ref().is_some_and(|i| i.digest == *wanted))?;
                Some(page.result_text()[page.list.items[at].range.clone()].into())
            })
    }
}
