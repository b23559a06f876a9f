//! A server behind a URL: what the operator said of it, and the connections to it that all its sessions share.

use std::fmt;
use std::sync::Arc;

use http::header::{self, HeaderName};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Uri};
use sha2::{Digest, Sha256};

use super::http::{Pool, Tokens};

/// A server behind a URL. Sessions share it through an `Arc`, and with it the connections that wait.
pub struct Endpoint {
    /// Where it is: `http` or `https`, with a host, without user information.
    pub url: Uri,
    /// Headers that go with every request, none of those that [`Endpoint::may_set`] refuses. Marked as sensitive.
    pub headers: HeaderMap,
    /// The server's name, for errors and the log.
    pub name: String,
    /// `url` as a request line has it: path and query.
    pub(super) target: Uri,
    /// What every request has: `headers`, and those that never change.
    pub(super) base: HeaderMap,
    pub(super) pool: Arc<Pool>,
    /// Where access tokens come from, if the server asks for them.
    pub(super) tokens: Option<Tokens>,
}

/// Client credentials (RFC 6749, section 4.4): what gets an access token for a server.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuthConfig {
    /// The client's id.
    pub client_id: String,
    /// The client's secret.
    pub client_secret: String,
    /// The scopes to ask for.
    pub scopes: Vec<String>,
    /// Where tokens are given out; none to ask the server who its authorization server is.
    pub token_url: Option<String>,
    /// What the token is for.
    pub resource: String,
    /// Whether the secret may travel to another machine without TLS.
    pub insecure: bool,
}

/// A URL that cannot be a server's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It is no URL.
    #[error("is no URL; write `https://HOST/PATH`")]
    Syntax,
    /// It has no `http` or `https` before it.
    #[error("must begin with `https://` or `http://`")]
    Scheme,
    /// It names no host.
    #[error("names no host; write `https://HOST/PATH`")]
    Host,
    /// It has a user or a password in it, which end up in logs.
    #[error("has user information before the host; put credentials into `headers`")]
    User,
}

/// Reads a server's URL.
///
/// # Errors
/// If it is none that a server can have.
pub fn parse_url(text: &str) -> Result<Uri, UrlError> {
    let url: Uri = text.trim().parse().map_err(|_| UrlError::Syntax)?;
    match url.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => {}
        _ => return Err(UrlError::Scheme),
    }
    let authority = url.authority().ok_or(UrlError::Host)?;
    if authority.as_str().contains('@') {
        return Err(UrlError::User);
    }
    if authority.host().is_empty() || authority.host() == "[]" {
        return Err(UrlError::Host);
    }
    Ok(url)
}

impl Endpoint {
    /// The server `name` at `url`, which [`parse_url`] gave. Headers that the gate makes itself are dropped: the
    /// configuration refuses them by [`Endpoint::may_set`].
    pub fn new(
        name: &str,
        url: Uri,
        mut headers: HeaderMap,
        oauth: Option<OAuthConfig>,
    ) -> Arc<Self> {
        let made_here: Vec<HeaderName> = headers
            .keys()
            .filter(|name| !Self::may_set(name))
            .cloned()
            .collect();
        for name in made_here {
            headers.remove(name);
        }
        for value in headers.values_mut() {
            value.set_sensitive(true);
        }
        let mut base = headers.clone();
        let host = url.authority().map_or("", |authority| authority.as_str());
        let host = match url.scheme_str() {
            Some("http") => host.strip_suffix(":80").unwrap_or(host),
            _ => host.strip_suffix(":443").unwrap_or(host),
        };
        if let Ok(host) = HeaderValue::from_str(host) {
            base.insert(header::HOST, host);
        }
        base.entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "witgate/",
                env!("CARGO_PKG_VERSION")
            )));
        let target = url
            .path_and_query()
            .and_then(|path| path.as_str().parse().ok())
            .unwrap_or_else(|| Uri::from_static("/"));
        Arc::new(Self {
            url,
            headers,
            name: name.to_owned(),
            target,
            base,
            pool: Arc::default(),
            tokens: oauth.map(|config| Tokens::new(name, config)),
        })
    }

    /// Whether an operator may set this header: not those that HTTP or MCP give a meaning to for this exchange.
    pub fn may_set(name: &HeaderName) -> bool {
        const MADE_HERE: [HeaderName; 12] = [
            header::HOST,
            header::CONNECTION,
            header::TRANSFER_ENCODING,
            header::TE,
            header::TRAILER,
            header::UPGRADE,
            header::EXPECT,
            header::ACCEPT,
            header::ACCEPT_ENCODING,
            header::PROXY_AUTHORIZATION,
            HeaderName::from_static("keep-alive"),
            HeaderName::from_static("last-event-id"),
        ];
        let text = name.as_str();
        !MADE_HERE.contains(name) && !text.starts_with("mcp-") && !text.starts_with("content-")
    }

    /// The URL without its query, which may hold a secret.
    pub fn shown(&self) -> String {
        let text = self.url.to_string();
        match text.split_once('?') {
            Some((before, _)) => before.to_owned(),
            None => text,
        }
    }

    /// What the server's name stands for in the ledger: the URL, its query told by a digest.
    pub fn identity(&self) -> String {
        match self.url.query() {
            None => self.shown(),
            Some(query) => {
                let digest = hex::encode(Sha256::digest(query.as_bytes()));
                format!("{}?sha256={}", self.shown(), &digest[..16])
            }
        }
    }

    /// How access tokens are got, if the server asks for them.
    pub fn oauth(&self) -> Option<&OAuthConfig> {
        self.tokens.as_ref().map(Tokens::config)
    }

    /// The host, without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.url.host().unwrap_or_default();
        host.strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(host)
    }

    /// The port.
    pub fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        self.url.port_u16().unwrap_or(default)
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether it is on this machine: `localhost`, `127.0.0.0/8` or `::1`.
    pub fn is_loopback(url: &Uri) -> bool {
        let host = url.host().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        host.eq_ignore_ascii_case("localhost")
            || bare
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }
}

impl fmt::Debug for OAuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthConfig")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("token_url", &self.token_url)
            .field("resource", &self.resource)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.identity())
            .field("headers", &self.headers.keys())
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl PartialEq for Endpoint {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
            && self.headers == other.headers
            && self.name == other.name
            && self.oauth() == other.oauth()
    }
}

impl Eq for Endpoint {}
