//! A server's allow and deny lists, and those by role.
//!
//! Knows the keys. What lists mean is the policy `allow-deny`'s to say.

use std::collections::BTreeMap;

use super::super::reader::Section;
use super::super::{ConfigError, Lists};
use super::{optional_strings, strings};

/// The six lists that a section may have.
pub(super) fn lists(section: &Section<'_>) -> Result<Lists, ConfigError> {
    Ok(Lists {
        allow: optional_strings(section, "allow")?,
        deny: strings(section, "deny")?,
        allow_prompts: optional_strings(section, "allow_prompts")?,
        deny_prompts: strings(section, "deny_prompts")?,
        allow_resources: optional_strings(section, "allow_resources")?,
        deny_resources: strings(section, "deny_resources")?,
    })
}

/// `[server.NAME.roles.ROLE]`: lists by role.
pub(super) fn roles(section: &Section<'_>) -> Result<BTreeMap<String, Lists>, ConfigError> {
    let mut roles = BTreeMap::new();
    let Some(field) = section.get("roles") else {
        return Ok(roles);
    };
    for (role, field) in field.section()?.all() {
        if role.is_empty() {
            return Err(field.error("names no role; write one between the quotes"));
        }
        let section = field.section()?;
        roles.insert(role.to_owned(), lists(&section)?);
        section.finish()?;
    }
    Ok(roles)
}

/// `[server.NAME.no_role]`: lists for callers that have none of the roles.
pub(super) fn no_role(
    section: &Section<'_>,
    roles: &BTreeMap<String, Lists>,
) -> Result<Option<Lists>, ConfigError> {
    let Some(field) = section.get("no_role") else {
        return Ok(None);
    };
    if roles.is_empty() {
        return Err(field.error(
            "stands without `roles`, so that it would hold for everybody; name a role, or write its lists in the \
             server's own section",
        ));
    }
    let inner = field.section()?;
    let lists = lists(&inner)?;
    inner.finish()?;
    Ok(Some(lists))
}
