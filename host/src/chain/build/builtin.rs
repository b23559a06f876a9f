//! The three policies that ship inside the binary, and the settings the host makes for one of them.
//!
//! Knows the names and the bytes. Knows nothing of what they decide.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::config::{Lists, ServerConfig};

/// The one that reads the operator's lists.
pub const ALLOW_DENY: &str = "allow-deny";

/// The shipped policies in the order in which they stand in a chain that nobody configured.
pub const NAMES: [&str; 3] = [ALLOW_DENY, "quarantine", "trust-baseline"];

/// A shipped component.
pub fn component(name: &str) -> Option<Bytes> {
    let bytes: &'static [u8] = match name {
        ALLOW_DENY => include_bytes!("../../../../policies/dist/allow-deny.wasm"),
        "quarantine" => include_bytes!("../../../../policies/dist/quarantine.wasm"),
        "trust-baseline" => include_bytes!("../../../../policies/dist/trust-baseline.wasm"),
        _ => return None,
    };
    Some(Bytes::from_static(bytes))
}

/// The settings of `allow-deny`: what the operator gave it, and beside that one source for the lists of the
/// `[server.NAME]` sections, one for each of them that has lists by role, and one for those of the command line. Every
/// source must admit. None if nobody said anything.
pub fn allow_deny_settings(
    own: Option<&str>,
    servers: &BTreeMap<String, ServerConfig>,
    flags: &[(String, Lists)],
) -> Result<Option<String>, serde_json::Error> {
    let mut settings: Map<String, Value> = match own {
        Some(text) => serde_json::from_str(text)?,
        None => Map::new(),
    };
    let mut sources = match settings.remove("sources") {
        Some(Value::Array(sources)) => sources,
        None => Vec::new(),
        // Left as it is: the policy refuses it in its own words.
        Some(other) => {
            settings.insert("sources".to_owned(), other);
            return serde_json::to_string(&settings).map(Some);
        }
    };
    let in_file = servers
        .iter()
        .filter(|(_, server)| server.lists != Lists::default())
        .map(|(name, server)| (name, &server.lists));
    let by_flag = flags
        .iter()
        .filter(|(_, l)| *l != Lists::default())
        .map(|(name, l)| (name, l));
    for source in [in_file.collect::<Vec<_>>(), by_flag.collect()] {
        if !source.is_empty() {
            let servers: Map<_, _> = source
                .into_iter()
                .map(|(name, lists)| Ok((name.clone(), serde_json::to_value(lists)?)))
                .collect::<Result<_, serde_json::Error>>()?;
            sources.push(json!({ "servers": servers }));
        }
    }
    for (name, server) in servers {
        if let Some(source) = by_role(name, server)? {
            sources.push(source);
        }
    }
    if !sources.is_empty() {
        settings.insert("sources".to_owned(), Value::Array(sources));
    }
    if settings.is_empty() && own.is_none() {
        return Ok(None);
    }
    serde_json::to_string(&settings).map(Some)
}

/// A server's lists by role, as a source of their own: in one with another server's, a role that is named there alone
/// would allow all here, and take away what this server's roles narrow.
fn by_role(name: &str, server: &ServerConfig) -> Result<Option<Value>, serde_json::Error> {
    if server.roles.is_empty() {
        return Ok(None);
    }
    let here = |lists: &Lists| {
        let lists = serde_json::to_value(lists)?;
        Ok::<_, serde_json::Error>(json!({ "servers": { name: lists } }))
    };
    let roles: Map<_, _> = server
        .roles
        .iter()
        .map(|(role, lists)| Ok((role.clone(), here(lists)?)))
        .collect::<Result<_, serde_json::Error>>()?;
    let mut source = json!({ "roles": roles });
    if let Some(lists) = &server.no_role {
        source["no_role"] = here(lists)?;
    }
    Ok(Some(source))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn file_and_flags_are_sources_of_their_own_so_that_both_must_admit() {
        let server = ServerConfig {
            lists: Lists {
                allow: Some(vec!["a".into()]),
                ..Lists::default()
            },
            ..ServerConfig::default()
        };
        let servers = BTreeMap::from([("s".to_owned(), server)]);
        let flags = [(
            "s".to_owned(),
            Lists {
                deny: vec!["b".into()],
                ..Lists::default()
            },
        )];
        let made = allow_deny_settings(Some(r#"{"deny":["c"]}"#), &servers, &flags).unwrap();
        let value: Value = serde_json::from_str(&made.unwrap()).unwrap();
        assert_eq!(
            value,
            json!({
                "deny": ["c"],
                "sources": [
                    {"servers": {"s": {"allow": ["a"]}}},
                    {"servers": {"s": {"deny": ["b"]}}},
                ]
            })
        );
    }

    /// A caller with a role of another server must not get past this one's.
    #[test]
    fn each_servers_roles_are_a_source_of_their_own() {
        let only = |tool: &str| Lists {
            allow: Some(vec![tool.into()]),
            ..Lists::default()
        };
        let server = |roles: &[(&str, &str)], no_role| ServerConfig {
            roles: roles
                .iter()
                .map(|(role, tool)| ((*role).to_owned(), only(tool)))
                .collect(),
            no_role,
            ..ServerConfig::default()
        };
        let servers = BTreeMap::from([
            ("a".to_owned(), server(&[("dev", "x"), ("ops", "y")], None)),
            ("b".to_owned(), server(&[("ops", "z")], Some(only("w")))),
        ]);
        let made = allow_deny_settings(None, &servers, &[]).unwrap();
        let value: Value = serde_json::from_str(&made.unwrap()).unwrap();
        assert_eq!(
            value,
            json!({"sources": [
                {"roles": {
                    "dev": {"servers": {"a": {"allow": ["x"]}}},
                    "ops": {"servers": {"a": {"allow": ["y"]}}},
                }},
                {
                    "roles": {"ops": {"servers": {"b": {"allow": ["z"]}}}},
                    "no_role": {"servers": {"b": {"allow": ["w"]}}},
                },
            ]})
        );
    }

    #[test]
    fn an_empty_allow_list_is_handed_on_since_it_allows_nothing() {
        let lists = Lists {
            allow: Some(Vec::new()),
            ..Lists::default()
        };
        let made = allow_deny_settings(None, &BTreeMap::new(), &[("s".to_owned(), lists)]).unwrap();
        assert_eq!(
            made.unwrap(),
            r#"{"sources":[{"servers":{"s":{"allow":[]}}}]}"#
        );
    }

    #[test]
    fn with_nothing_said_there_are_no_settings() {
        assert_eq!(
            allow_deny_settings(None, &BTreeMap::new(), &[]).unwrap(),
            None
        );
    }
}
