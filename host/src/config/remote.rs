//! What the operator says of a server behind a URL, in the file or by flags.
//!
//! Knows the rules of URLs and headers. Variables are looked up when the server is first needed, so that commands that
//! reach no server need no secrets.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderName, HeaderValue, Uri};

use super::{ConfigError, Template};
use crate::upstream::Endpoint;
use crate::upstream::endpoint::{OAuthConfig, parse_url};

/// A server behind a URL.
#[derive(Debug, Clone)]
pub struct Remote {
    /// Where it is.
    pub url: Template,
    /// Headers for every request, by name.
    pub headers: Vec<(HeaderName, Template)>,
    /// `[server.NAME.oauth]`.
    pub oauth: Option<OAuth>,
    /// Whether it may be reached without TLS though it is on another machine.
    pub insecure: bool,
    /// Made when it is first asked for, and shared by all sessions.
    made: OnceLock<Arc<Endpoint>>,
}

/// `[server.NAME.oauth]`: client credentials (RFC 6749, section 4.4) for an access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// The client's id at the authorization server.
    pub client_id: Template,
    /// Its secret.
    pub client_secret: Template,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Where tokens are given out; none to ask the server who its authorization server is (RFC 9728).
    pub token_url: Option<Template>,
    /// What the token is for (RFC 8707); none for the server's URL.
    pub resource: Option<String>,
}

impl PartialEq for Remote {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
            && self.headers == other.headers
            && self.oauth == other.oauth
            && self.insecure == other.insecure
    }
}

impl Remote {
    /// A server at a URL, with nothing else said.
    pub fn new(url: Template) -> Self {
        Self {
            url,
            headers: Vec::new(),
            oauth: None,
            insecure: false,
            made: OnceLock::new(),
        }
    }

    /// The same with these headers in place of its own of their names; not yet made.
    #[must_use]
    pub fn with_headers(&self, headers: Vec<(HeaderName, Template)>) -> Self {
        let mut remote = self.clone();
        remote.made = OnceLock::new();
        remote
            .headers
            .retain(|(name, _)| !headers.iter().any(|(other, _)| other == name));
        remote.headers.extend(headers);
        remote
    }

    /// The endpoint for it, under the server's name; the same one every time.
    ///
    /// # Errors
    /// If a variable is not set, or a text is not what it must be once its variables are in it.
    pub fn endpoint(&self, name: &str) -> Result<Arc<Endpoint>, ConfigError> {
        if let Some(made) = self.made.get() {
            return Ok(made.clone());
        }
        let url = self.read_url()?;
        let mut headers = HeaderMap::new();
        for (header, template) in &self.headers {
            headers.append(header.clone(), header_value(template)?);
        }
        let oauth = self
            .oauth
            .as_ref()
            .map(|oauth| oauth.read(&url, self.insecure));
        let endpoint = Endpoint::new(name, url, headers, oauth.transpose()?);
        Ok(self.made.get_or_init(|| endpoint).clone())
    }

    /// The URL for people: as it was written, without its query, which may hold a secret.
    pub fn shown(&self) -> String {
        let mut written = self.url.written();
        written.truncate(written.find('?').unwrap_or(written.len()));
        written
    }

    /// Checks what can be checked without the environment.
    ///
    /// # Errors
    /// As [`Self::endpoint`].
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.url.is_literal() {
            self.read_url()?;
        }
        for (_, template) in &self.headers {
            if template.is_literal() {
                header_value(template)?;
            }
        }
        match &self.oauth {
            Some(OAuth {
                token_url: Some(template),
                ..
            }) if template.is_literal() => read_url(template, self.insecure).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn read_url(&self) -> Result<Uri, ConfigError> {
        read_url(&self.url, self.insecure)
    }
}

impl OAuth {
    fn read(&self, url: &Uri, insecure: bool) -> Result<OAuthConfig, ConfigError> {
        let resource = match &self.resource {
            Some(resource) => resource.clone(),
            // The canonical form has no query (MCP 2025-11-25, basic/authorization).
            None => match url.query() {
                Some(_) => url
                    .to_string()
                    .split('?')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                None => url.to_string(),
            },
        };
        let token_url = match &self.token_url {
            Some(template) => Some(read_url(template, insecure)?.to_string()),
            None => None,
        };
        Ok(OAuthConfig {
            client_id: self.client_id.expand()?,
            client_secret: self.client_secret.expand()?,
            scopes: self.scopes.clone(),
            token_url,
            resource,
            insecure,
        })
    }
}

/// Reads a header as typed: `Name: value`.
///
/// # Errors
/// If it is none, or one that witgate makes itself.
pub fn read_header(text: &str) -> Result<(HeaderName, Template), ConfigError> {
    let (name, value) = text.split_once(':').ok_or_else(|| {
        // Not shown: it may be a secret.
        ConfigError("--header: there is no `:`; write --header 'NAME: VALUE'".to_owned())
    })?;
    let at = format!("--header {:?}", name.trim());
    let value = Template::parse(value.trim(), at)?;
    let name = header_name(name.trim()).map_err(|detail| value.error(detail))?;
    Ok((name, value))
}

/// Reads a header's name; in the error is what is wrong with it.
pub(super) fn header_name(text: &str) -> Result<HeaderName, &'static str> {
    let name = HeaderName::from_bytes(text.as_bytes())
        .map_err(|_| "is not the name of a header: it has letters, digits and `-`")?;
    if Endpoint::may_set(&name) {
        Ok(name)
    } else {
        Err("is a header that witgate makes itself; remove it")
    }
}

fn header_value(template: &Template) -> Result<HeaderValue, ConfigError> {
    let mut value = HeaderValue::from_str(template.expand()?.trim()).map_err(|_| {
        template
            .error("is not the value of a header: it may hold visible ASCII characters and spaces")
    })?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_url(template: &Template, insecure: bool) -> Result<Uri, ConfigError> {
    let url = parse_url(&template.expand()?).map_err(|error| template.error(&error.to_string()))?;
    if url.scheme_str() == Some("http") && !insecure && !Endpoint::is_loopback(&url) {
        return Err(template.error(
            "is on another machine and without TLS, so that anybody between could read and change everything; write \
             `https://`, or `insecure = true` beside `url` in the file",
        ));
    }
    Ok(url)
}
