//! `server/discover` of revision 2026-07-28: what a server says of itself, and the few edits that the gate makes to it.
//!
//! Knows the result's shape. Source: MCP 2026-07-28, server/discover; server/utilities/caching.

use super::ItemKind;
use super::initialize::{self, InitializeError};
use super::stateless::SERVER_INFO;
use crate::wire::reply;
use crate::wire::scan::{elements, members, string_text};

/// The longest time, milliseconds, for which a client may keep what was judged for it: an operator's decision must
/// not wait for longer.
pub const MAX_TTL_MS: u64 = 5_000;

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// The revisions it speaks.
    pub versions: Vec<String>,
    /// The kinds of items that it declares to have.
    pub kinds: Vec<ItemKind>,
    /// The definition of its self-description, in the form that `initialize` gives.
    pub definition: String,
}

/// Reads the result of `server/discover`, a raw value that the envelope has judged.
///
/// # Errors
/// If it does not say which revisions the server speaks, or a member has the wrong type or an ambiguous key.
pub fn parse(result: &str) -> Result<Discovered, InitializeError> {
    let kinds = initialize::declared_kinds(result)?;
    let all = members(result).unwrap_or_default();
    let versions = all
        .iter()
        .find(|member| member.is("supportedVersions"))
        .and_then(|member| elements(member.value).ok())
        .and_then(|each| {
            each.into_iter()
                .map(|raw| Some(string_text(raw)?.into_owned()))
                .collect::<Option<Vec<String>>>()
        });
    let Some(versions) = versions else {
        return Err(InitializeError::new(
            "`supportedVersions` is no list of strings",
        ));
    };
    Ok(Discovered {
        versions,
        kinds,
        definition: initialize::self_description(&with_server_info(result))?,
    })
}

/// The result with the server's name where `initialize` has it, to be read alike.
fn with_server_info(result: &str) -> String {
    let all = members(result).unwrap_or_default();
    let info = all
        .iter()
        .find(|member| member.is("_meta"))
        .and_then(|meta| members(meta.value).ok())
        .and_then(|meta| meta.into_iter().find(|member| member.is(SERVER_INFO)))
        .map(|member| member.value);
    match info {
        Some(info) if !all.iter().any(|member| member.is("serverInfo")) => {
            let open = result.find('{').map_or(0, |at| at + 1);
            let comma = if all.is_empty() { "" } else { "," };
            format!("{{\"serverInfo\":{info}{comma}{}", &result[open..])
        }
        _ => result.to_owned(),
    }
}

/// The result without anything the server could say in it.
///
/// # Errors
/// As [`parse`]; and if a revision is not of digits and `-`.
pub fn without_self_description(result: &str, host_name: &str) -> Result<String, InitializeError> {
    let said = parse(result)?;
    let is_date = |text: &String| {
        (1..=32).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit() || c == b'-')
    };
    let versions: Vec<String> = said
        .versions
        .iter()
        .filter(|version| is_date(version))
        .map(|version| reply::string(version))
        .collect();
    let capabilities = initialize::plain_capabilities(result)?;
    Ok(format!(
        "{{\"resultType\":\"complete\",\"supportedVersions\":[{}],\"capabilities\":{capabilities},\"ttlMs\":0,\
         \"cacheScope\":\"private\",\"_meta\":{{\"{SERVER_INFO}\":{{\"name\":{},\"version\":\"0\"}}}}}}",
        versions.join(","),
        reply::string(host_name)
    ))
}

/// A result that depends on who asks, as it may be cached: for its client alone, and not for long. None if it is so
/// already. With `nameless`, the server's name in `_meta` is left out too.
pub fn for_one_client(result: &str, nameless: bool) -> Option<String> {
    let all = members(result).ok()?;
    let mut edits: Vec<(std::ops::Range<usize>, String)> = Vec::new();
    for member in &all {
        let value = member.value_start..member.end;
        if member.is("cacheScope") && member.value != "\"private\"" {
            edits.push((value, "\"private\"".to_owned()));
        } else if member.is("ttlMs")
            && !member.value.parse().is_ok_and(|ttl: u64| ttl <= MAX_TTL_MS)
        {
            // A number that is none of ours to read is taken for a long time.
            edits.push((value, MAX_TTL_MS.to_string()));
        } else if nameless && member.is("_meta") {
            let Ok(meta) = members(member.value) else {
                continue;
            };
            let kept: Vec<&str> = meta
                .iter()
                .filter(|m| !m.is(SERVER_INFO) && !m.could_pass_for(SERVER_INFO))
                .map(|m| &member.value[m.start..m.end])
                .collect();
            if kept.len() != meta.len() {
                edits.push((value, format!("{{{}}}", kept.join(","))));
            }
        }
    }
    if edits.is_empty() {
        return None;
    }
    let mut edited = String::with_capacity(result.len() + 16);
    let mut at = 0;
    for (range, with) in edits {
        edited.push_str(&result[at..range.start]);
        edited.push_str(&with);
        at = range.end;
    }
    edited.push_str(&result[at..]);
    Some(edited)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const RESULT: &str = r#"{"resultType":"complete","supportedVersions":["2026-07-28","2025-11-25"],"capabilities":{"tools":{"x":1}},"instructions":"i","ttlMs":60000,"cacheScope":"public","_meta":{"a":1,"io.modelcontextprotocol/serverInfo":{"name":"n","version":"1"}}}"#;

    #[test]
    fn a_server_that_says_the_same_in_either_revision_has_one_definition() {
        let said = parse(RESULT).unwrap();
        assert_eq!(said.versions, ["2026-07-28", "2025-11-25"]);
        assert_eq!(said.kinds, [ItemKind::Tool]);
        let old = r#"{"protocolVersion":"2025-11-25","capabilities":{},"instructions":"i","serverInfo":{"name":"n","version":"2"}}"#;
        assert_eq!(said.definition, initialize::self_description(old).unwrap());
    }

    #[test]
    fn a_withheld_self_description_leaves_nothing_of_the_servers_words() {
        let plain = without_self_description(RESULT, "gate").unwrap();
        let value: serde_json::Value = serde_json::from_str(&plain).unwrap();
        assert_eq!(value["supportedVersions"][0], "2026-07-28");
        assert_eq!(value["_meta"][SERVER_INFO]["name"], "gate");
        assert_eq!(value.get("instructions"), None);
        assert_eq!(value["capabilities"], serde_json::json!({"tools": {}}));
    }

    #[test]
    fn what_is_judged_for_one_is_cached_by_one_and_not_for_long() {
        let edited = for_one_client(RESULT, true).unwrap();
        let value: serde_json::Value = serde_json::from_str(&edited).unwrap();
        assert_eq!(value["ttlMs"], MAX_TTL_MS);
        assert_eq!(value["cacheScope"], "private");
        assert_eq!(value["_meta"], serde_json::json!({"a": 1}));
        assert_eq!(for_one_client(&edited, true), None);
        assert_eq!(for_one_client(r#"{"ttlMs":0}"#, false), None);
        let odd = for_one_client(r#"{"ttlMs":1e99}"#, false).unwrap();
        assert_eq!(odd, r#"{"ttlMs":5000}"#);
    }

    #[test]
    fn a_result_that_says_no_revisions_is_none() {
        for result in [
            "{}",
            r#"{"supportedVersions":"2026-07-28"}"#,
            r#"{"supportedVersions":[1]}"#,
            "7",
        ] {
            assert!(parse(result).is_err(), "{result}");
        }
    }
}
