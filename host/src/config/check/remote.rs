//! `[server.NAME]` with a `url`.

use std::sync::Arc;

use super::super::reader::{Field, Section};
use super::super::remote::{OAuth, Remote, header_name};
use super::super::{ConfigError, Template};

/// Reads `url` and the keys that go with it; none if the section has none of them.
pub(super) fn remote(section: &Section<'_>) -> Result<Option<Arc<Remote>>, ConfigError> {
    let companions = ["headers", "oauth", "insecure"].map(|key| section.get(key));
    let Some(url) = section.get("url") else {
        return match companions.into_iter().flatten().next() {
            Some(field) => Err(field.error("stands without `url`; add it, or remove the key")),
            None => Ok(None),
        };
    };
    for key in ["command", "args", "env"] {
        if let Some(field) = section.get(key) {
            return Err(field.error(
                "stands beside `url`: a server is either started or reached; remove one of the two",
            ));
        }
    }
    let mut remote = Remote::new(template(&url)?);
    let [headers, oauth, insecure] = companions;
    if let Some(field) = headers {
        // Not by the usual error, which would show a secret written in the wrong place.
        let section = field
            .section()
            .map_err(|_| field.error("must be a table; write `headers = { NAME = \"VALUE\" }`"))?;
        for (name, field) in section.all() {
            let name = header_name(name).map_err(|detail| field.error(detail))?;
            if remote.headers.iter().any(|(other, _)| *other == name) {
                return Err(field.error("stands there twice, case aside; remove one"));
            }
            remote.headers.push((name, template(&field)?));
        }
    }
    if let Some(field) = insecure {
        remote.insecure = field.boolean()?;
    }
    if let Some(field) = oauth {
        if remote
            .headers
            .iter()
            .any(|(name, _)| name == http::header::AUTHORIZATION)
        {
            return Err(
                field.error("stands beside a header `Authorization`; remove one of the two")
            );
        }
        remote.oauth = Some(read_oauth(&field)?);
    }
    remote.check()?;
    Ok(Some(Arc::new(remote)))
}

fn read_oauth(field: &Field<'_>) -> Result<OAuth, ConfigError> {
    let section = field.section()?;
    let required = |key: &'static str| match section.get(key) {
        Some(field) if field.string()?.is_empty() => Err(field.error("is empty")),
        Some(field) => template(&field),
        None => Err(field.error(&format!("has no `{key}`; add it"))),
    };
    let oauth = OAuth {
        client_id: required("client_id")?,
        client_secret: required("client_secret")?,
        scopes: super::strings(&section, "scopes")?,
        token_url: section
            .get("token_url")
            .as_ref()
            .map(template)
            .transpose()?,
        resource: match section.get("resource") {
            Some(field) => Some(field.string()?.to_owned()),
            None => None,
        },
    };
    section.finish()?;
    Ok(oauth)
}

fn template(field: &Field<'_>) -> Result<Template, ConfigError> {
    let text = field.string()?;
    Template::parse(text, field.place())
}

#[cfg(test)]
#[path = "remote_tests.rs"]
mod tests;
