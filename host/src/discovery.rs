//! Searching a server's tools, as an agent with a search tool would.
//!
//! Knows what may be told of an item that policies withhold: its name, a status and a remedy, never its definition.
//! What may be told at all the policies have said already.

use serde_json::{Value, json};

use crate::chain::visibility::Status;
use crate::mcp::escape::visible_cut;
use crate::mcp::{Digest, Item, ItemKind};

/// The most withheld tools that one search names.
pub const MAX_LOCKED: usize = 10;

/// The longest name that is told, characters.
const SHOWN: usize = 200;

/// A withheld tool that may be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockedEntry {
    /// Its name, escaped.
    pub name: String,
    /// Why it cannot be called.
    pub status: String,
    /// What a person can do.
    pub remedy: String,
}

/// What a search found. Withheld tools come first, so that hits cannot push them out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// Withheld tools that match by name.
    pub locked: Vec<LockedEntry>,
    /// Tools that can be called and match by name or definition.
    pub hits: Vec<String>,
    /// Whether there were withheld tools that match, named here or not.
    pub hidden_matches: bool,
}

impl Found {
    /// For machines: an entry has a name, the server and a status; a withheld one an empty description, no schema.
    pub fn to_json(&self, server: &str) -> Value {
        let locked = self.locked.iter().map(|entry| {
            json!({
                "name": entry.name,
                "server": server,
                "status": entry.status,
                "description": "",
                "remedy": entry.remedy,
            })
        });
        let hits = self
            .hits
            .iter()
            .map(|name| json!({"name": name, "server": server, "status": "callable"}));
        json!({ "results": locked.chain(hits).collect::<Vec<_>>() })
    }
}

/// Searches the tools among `items`. Words of two characters and more count, and any of them may be anywhere in what
/// is searched: a callable tool's name and definition, a withheld tool's name only.
pub fn search<'a>(
    items: impl IntoIterator<Item = (&'a Item, &'a Status)>,
    definition: impl Fn(&Digest) -> Option<&'a str>,
    query: &str,
) -> Found {
    let words: Vec<String> = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| word.chars().count() >= 2)
        .map(str::to_lowercase)
        .collect();
    let matches = |text: &str| {
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(word))
    };
    let mut found = Found::default();
    for (item, status) in items {
        if item.key.kind != ItemKind::Tool {
            continue;
        }
        match status {
            Status::Visible => {
                if matches(&item.key.name) || definition(&item.digest).is_some_and(&matches) {
                    found.hits.push(item.key.name.to_string());
                }
            }
            Status::Withheld(withheld) => {
                let Some(locked) = withheld.locked.as_ref().filter(|_| matches(&item.key.name))
                else {
                    continue;
                };
                found.hidden_matches = true;
                if found.locked.len() < MAX_LOCKED {
                    found.locked.push(LockedEntry {
                        name: visible_cut(&item.key.name, SHOWN).into_owned(),
                        status: locked.status.clone(),
                        remedy: locked.remedy.clone(),
                    });
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::chain::visibility::Withheld;
    use crate::mcp::ItemKey;
    use crate::policy::contract::Locked;

    fn tool(name: &str) -> Item {
        let key = ItemKey {
            kind: ItemKind::Tool,
            name: name.into(),
        };
        Item {
            key,
            digest: Digest::from_bytes([u8::try_from(name.len()).unwrap_or(0); 32]),
        }
    }

    fn withheld(surfaced: bool) -> Status {
        let locked = surfaced.then(|| Locked {
            status: "pending_approval".into(),
            remedy: "The person can run `witgate review`".into(),
            labels: Vec::new(),
        });
        Status::Withheld(Arc::new(Withheld {
            denials: Vec::new(),
            locked,
        }))
    }

    #[test]
    fn a_withheld_tool_is_found_by_its_name_only_and_only_if_it_may_be_named() {
        let items = [
            (tool("delete_repo"), withheld(true)),
            (tool("delete_all"), withheld(false)),
        ];
        let look = |query: &str| {
            let told = items.iter().map(|(item, status)| (item, status));
            search(told, |_| Some("secret description"), query)
        };
        let found = look("delete repositories");
        assert_eq!(found.locked.len(), 1);
        assert_eq!(found.locked[0].name, "delete_repo");
        assert_eq!(look("secret"), Found::default());
        assert_eq!(look("d"), Found::default(), "one letter is no word");
    }

    #[test]
    fn withheld_tools_are_capped_and_stand_before_hits() {
        let mut items: Vec<_> = (0..20)
            .map(|n| (tool(&format!("op_{n}")), withheld(true)))
            .collect();
        items.push((tool("op_open"), Status::Visible));
        let found = search(items.iter().map(|(i, s)| (i, s)), |_| None, "op");
        assert_eq!(found.locked.len(), MAX_LOCKED);
        assert_eq!(found.hits, ["op_open"]);
        let json = found.to_json("s");
        assert_eq!(json["results"][0]["status"], "pending_approval");
        assert_eq!(json["results"][0]["description"], "");
    }
}
