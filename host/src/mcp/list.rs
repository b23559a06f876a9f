//! One page of a list: the items in it, and the page without some of them.
//!
//! Knows where items are in a result and what they are named. What is kept is kept byte for byte; nothing is
//! written anew.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use super::ItemKind;
use super::digest::MAX_DEPTH;
use crate::wire::scan::{Member, element_ranges, members, string_text, unique_members};

/// The longest name, bytes: longer ones could not be kept as keys, and no person could tell them apart.
pub const MAX_NAME: usize = 4096;

/// One page of a list, told by ranges in the text of its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What it lists.
    pub kind: ItemKind,
    /// The items in their order, malformed ones included.
    pub items: Vec<Entry>,
    /// The cursor of the page that follows, unescaped; none on the last page.
    pub next_cursor: Option<String>,
    /// Where the array of items is, brackets included.
    array: Range<usize>,
}

/// One item of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where its definition is in the result's text.
    pub range: Range<usize>,
    /// Its name (a resource's URI and a template's text as the server spells them), or why it has none.
    pub name: Result<Arc<str>, Malformed>,
}

/// Why an item cannot be offered. Quotes what the server wrote: escape it before it is shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

/// Why a result is no page of a list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// It is not an object.
    #[error("the result is not an object")]
    NotAnObject,
    /// The list is missing, or is not an array.
    #[error("the result has no array `{0}`")]
    NoList(&'static str),
    /// A key stands for the one named, to readers blind to case.
    #[error("the result has a key that could be taken for `{0}`")]
    Ambiguous(&'static str),
    /// There is a list of another kind beside it, which would pass by the policies unseen.
    #[error("the result also lists `{0}`, which was not asked for")]
    Foreign(&'static str),
    /// The cursor is not a string.
    #[error("`nextCursor` is not a string")]
    Cursor,
    /// Nothing of this kind is listed.
    #[error("a {0} is not listed")]
    NotListed(ItemKind),
}

/// The member of a result that lists items of a kind, and the member of an item that names it.
const fn keys(kind: ItemKind) -> Option<(&'static str, &'static str)> {
    match kind {
        ItemKind::Tool => Some(("tools", "name")),
        ItemKind::Prompt => Some(("prompts", "name")),
        ItemKind::Resource => Some(("resources", "uri")),
        ItemKind::ResourceTemplate => Some(("resourceTemplates", "uriTemplate")),
        ItemKind::SelfDescription => None,
    }
}

/// The kinds that are listed.
const LISTED: [ItemKind; 4] = [
    ItemKind::Tool,
    ItemKind::Prompt,
    ItemKind::Resource,
    ItemKind::ResourceTemplate,
];

impl Page {
    /// Takes the result of a list request apart; `result` is a raw value that the envelope has judged.
    ///
    /// # Errors
    /// If it is no page of that list. A malformed item makes no error: it is told by its entry.
    pub fn parse(kind: ItemKind, result: &str) -> Result<Self, PageError> {
        let (list, name) = keys(kind).ok_or(PageError::NotListed(kind))?;
        let members = members(result).map_err(|_| PageError::NotAnObject)?;
        for key in [list, "nextCursor"] {
            if members.iter().any(|member| member.could_pass_for(key)) {
                return Err(PageError::Ambiguous(key));
            }
        }
        let lists = |member: &&Member<'_>| member.value.starts_with('[');
        for (foreign, _) in LISTED
            .into_iter()
            .filter_map(keys)
            .filter(|(key, _)| *key != list)
        {
            if members
                .iter()
                .filter(lists)
                .any(|m| m.is(foreign) || m.could_pass_for(foreign))
            {
                return Err(PageError::Foreign(foreign));
            }
        }
        let array = members
            .iter()
            .find(|m| m.is(list))
            .ok_or(PageError::NoList(list))?;
        let ranges = element_ranges(array.value).map_err(|_| PageError::NoList(list))?;
        let items = ranges
            .into_iter()
            .map(|range| Entry {
                name: name_of(&array.value[range.clone()], name),
                range: array.value_start + range.start..array.value_start + range.end,
            })
            .collect();
        let next_cursor = match members.iter().find(|m| m.is("nextCursor")).map(|m| m.value) {
            None | Some("null") => None,
            Some(raw) => Some(string_text(raw).ok_or(PageError::Cursor)?.into_owned()),
        };
        Ok(Self {
            kind,
            items,
            next_cursor,
            array: array.value_start..array.end,
        })
    }

    /// The result with only those items for whose index `keep` says so; everything else, the cursor included, is as
    /// it was. `result` is the text that was parsed.
    pub fn splice<'a>(&self, result: &'a str, keep: impl Fn(usize) -> bool) -> Cow<'a, str> {
        let kept: Vec<_> = (0..self.items.len()).filter(|i| keep(*i)).collect();
        if kept.len() == self.items.len() {
            return Cow::Borrowed(result);
        }
        let mut spliced = String::with_capacity(result.len());
        spliced.push_str(&result[..self.array.start]);
        spliced.push('[');
        for (at, index) in kept.into_iter().enumerate() {
            if at > 0 {
                spliced.push(',');
            }
            spliced.push_str(&result[self.items[index].range.clone()]);
        }
        spliced.push(']');
        spliced.push_str(&result[self.array.end..]);
        Cow::Owned(spliced)
    }
}

/// The name of an item, its member `key`.
fn name_of(item: &str, key: &'static str) -> Result<Arc<str>, Malformed> {
    let malformed = |trouble: String| Malformed(trouble);
    if !item.starts_with('{') {
        return Err(malformed("it is not an object".into()));
    }
    let members = unique_members(item, MAX_DEPTH).map_err(|error| malformed(error.to_string()))?;
    if members.iter().any(|member| member.could_pass_for(key)) {
        return Err(malformed(format!(
            "it has a key that could be taken for `{key}`"
        )));
    }
    let Some(member) = members.iter().find(|member| member.is(key)) else {
        return Err(malformed(format!("it has no `{key}`")));
    };
    match string_text(member.value) {
        Some(name) if name.len() > MAX_NAME => Err(malformed(format!(
            "its `{key}` is longer than {MAX_NAME} bytes"
        ))),
        Some(name) if !name.is_empty() => Ok(name.as_ref().into()),
        Some(_) => Err(malformed(format!("its `{key}` is empty"))),
        None => Err(malformed(format!("its `{key}` is not a string"))),
    }
}

/// The kind of list that a result looks like, whatever it answers: an object with an array under a list's key, or
/// under one that a reader blind to case takes for it. A list in the answer to something else would pass by the
/// policies unseen.
pub fn shape_of(result: &str) -> Option<ItemKind> {
    let members = members(result).ok()?;
    members
        .iter()
        .filter(|member| member.value.starts_with('['))
        .find_map(|member| {
            LISTED.into_iter().find(|kind| {
                keys(*kind).is_some_and(|(list, _)| member.is(list) || member.could_pass_for(list))
            })
        })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn page(result: &str) -> Page {
        Page::parse(ItemKind::Tool, result).unwrap()
    }

    /// F1 of the cases: malformed items among good ones.
    const MIXED: &str = r#"{ "_meta":{"x":1.0}, "tools" : [ {"name":"read_file","z":1} , {"name":"delete_repo"},{"description":"only"},
        "str", {"name":5},{"name":""},{"name":"a","name":"b"},{"name":"c","Name":"d"},{"name":"\ud800"},{"na\u006de":"wr\u0069te"}] ,"nextCursor":"a\u0062", "vendor":[1 ,2] }"#;

    #[test]
    fn items_are_found_and_malformed_ones_told() {
        let page = page(MIXED);
        let names: Vec<_> = page
            .items
            .iter()
            .map(|item| item.name.as_deref().ok())
            .collect();
        let mut expected = vec![Some("read_file"), Some("delete_repo")];
        expected.extend([None; 7]);
        expected.push(Some("write"));
        assert_eq!(names, expected);
        assert_eq!(
            &MIXED[page.items[0].range.clone()],
            r#"{"name":"read_file","z":1}"#
        );
        assert_eq!(page.next_cursor.as_deref(), Some("ab"));
        let why: Vec<_> = page
            .items
            .iter()
            .filter_map(|item| item.name.clone().err())
            .map(|e| e.0)
            .collect();
        assert_eq!(why[0], "it has no `name`");
        assert_eq!(why[1], "it is not an object");
        assert!(why[4].contains("second time"), "{why:?}");
    }

    #[test]
    fn a_page_that_keeps_all_is_the_same_and_others_lose_only_what_is_dropped() {
        let page = page(MIXED);
        assert!(matches!(page.splice(MIXED, |_| true), Cow::Borrowed(same) if same == MIXED));
        assert_eq!(
            page.splice(MIXED, |i| i == 0 || i == 9),
            r#"{ "_meta":{"x":1.0}, "tools" : [{"name":"read_file","z":1},{"na\u006de":"wr\u0069te"}] ,"nextCursor":"a\u0062", "vendor":[1 ,2] }"#
        );
        assert_eq!(
            page.splice(MIXED, |_| false),
            r#"{ "_meta":{"x":1.0}, "tools" : [] ,"nextCursor":"a\u0062", "vendor":[1 ,2] }"#
        );
    }

    #[test]
    fn every_kind_has_its_own_keys() {
        for (kind, result, name) in [
            (ItemKind::Prompt, r#"{"prompts":[{"name":"p"}]}"#, "p"),
            (
                ItemKind::Resource,
                r#"{"resources":[{"name":"n","uri":"file:///%61"}]}"#,
                "file:///%61",
            ),
            (
                ItemKind::ResourceTemplate,
                r#"{"resourceTemplates":[{"uriTemplate":"a:{b}"}]}"#,
                "a:{b}",
            ),
        ] {
            let page = Page::parse(kind, result).unwrap();
            assert_eq!(page.items[0].name.as_deref(), Ok(name));
            assert_eq!(page.next_cursor, None);
            assert_eq!(shape_of(result), Some(kind));
        }
    }

    #[test]
    fn what_is_no_page_is_an_error() {
        for (result, error) in [
            ("[]", PageError::NotAnObject),
            ("null", PageError::NotAnObject),
            ("{}", PageError::NoList("tools")),
            (r#"{"tools":{}}"#, PageError::NoList("tools")),
            (r#"{"tools":null}"#, PageError::NoList("tools")),
            (r#"{"tools":[],"Tools":[]}"#, PageError::Ambiguous("tools")),
            (
                r#"{"tools":[],"nextcursor":"x"}"#,
                PageError::Ambiguous("nextCursor"),
            ),
            (
                r#"{"prompts":[],"tools":[]}"#,
                PageError::Foreign("prompts"),
            ),
            (
                r#"{"tools":[],"RESOURCES":[5]}"#,
                PageError::Foreign("resources"),
            ),
            (r#"{"tools":[],"nextCursor":5}"#, PageError::Cursor),
        ] {
            assert_eq!(Page::parse(ItemKind::Tool, result), Err(error), "{result}");
        }
        let own = ItemKind::SelfDescription;
        assert_eq!(Page::parse(own, "{}"), Err(PageError::NotListed(own)));
        assert_eq!(page(r#"{"tools":[],"nextCursor":null}"#).next_cursor, None);
    }

    #[test]
    fn a_list_is_known_by_its_shape() {
        assert_eq!(
            shape_of(r#"{"content":[],"t\u006fols":[{"name":"x"}]}"#),
            Some(ItemKind::Tool)
        );
        assert_eq!(shape_of(r#"{"TOOLS":[]}"#), Some(ItemKind::Tool));
        for other in [
            r#"{"content":[{"tools":[]}]}"#,
            r#"{"tools":{}}"#,
            "[]",
            "5",
            "{}",
            r#"{"contents":[]}"#,
        ] {
            assert_eq!(shape_of(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn a_splice_keeps_exactly_what_is_asked(
            names in prop::collection::vec("[a-z\\[\\]{},\"]{1,6}", 0..8),
            keep in any::<u8>(),
            space in "[ \t]{0,2}",
        ) {
            let items: Vec<_> = names.iter().map(|name| format!("{space}{}{space}", serde_json::json!({"name": name, "n": 1}))).collect();
            let result = format!("{{\"a\":[1],{space}\"tools\":{space}[{}],\"b\":2}}", items.join(","));
            let page = page(&result);
            let spliced = page.splice(&result, |i| keep & (1 << i) != 0);
            let again = Page::parse(ItemKind::Tool, &spliced).unwrap();
            let found: Vec<_> = again.items.iter().map(|item| item.name.clone().unwrap().to_string()).collect();
            let expected: Vec<_> = names.iter().enumerate().filter(|(i, _)| keep & (1 << i) != 0).map(|(_, n)| n.clone()).collect();
            prop_assert_eq!(found, expected);
            let value: serde_json::Value = serde_json::from_str(&spliced).unwrap();
            prop_assert_eq!((&value["a"], &value["b"]), (&serde_json::json!([1]), &serde_json::json!(2)));
        }
    }
}
