//! `grants`: of a `[[policy]]`, and by policy name of `[policy_dir]`.

use std::time::Duration;

use super::super::ConfigError;
use super::super::grants::{Grants, HTTP, HTTP_TIMEOUT, HttpGrant, HttpHost};
use super::super::reader::{Field, Section};

/// The longest that one request of a policy may be given, milliseconds: a call waits for it.
const MAX_HTTP_MS: u64 = 60_000;

/// The grants in `section`, if it has any.
pub(super) fn of(section: &Section<'_>) -> Result<Grants, ConfigError> {
    section
        .get("grants")
        .map_or_else(|| Ok(Grants::default()), |field| read(&field))
}

/// One policy's grants: a table by import.
pub(super) fn read(field: &Field<'_>) -> Result<Grants, ConfigError> {
    let section = field.section()?;
    let http = section.get(HTTP).map(|field| http(&field)).transpose()?;
    section.finish()?;
    Ok(Grants { http })
}

fn http(field: &Field<'_>) -> Result<HttpGrant, ConfigError> {
    let section = field.section()?;
    let named = section.get("hosts").ok_or_else(|| {
        field.error("has no `hosts`; name each host that the policy may reach: `hosts = [\"api.example.com\"]`")
    })?;
    let hosts = named
        .strings()?
        .iter()
        .map(|text| {
            HttpHost::parse(text).map_err(|e| named.error(&format!("holds {text:?}, which {e}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    if hosts.is_empty() {
        return Err(
            named.error("is empty, so that nothing is granted; name a host, or remove the grant")
        );
    }
    let timeout = match section.get("timeout_ms") {
        Some(field) => Duration::from_millis(field.integer(1, MAX_HTTP_MS)?),
        None => HTTP_TIMEOUT,
    };
    section.finish()?;
    Ok(HttpGrant { hosts, timeout })
}
