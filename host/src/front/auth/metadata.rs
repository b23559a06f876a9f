//! What clients are told about where tokens come from (RFC 9728), when JWTs are asked for.
//!
//! Knows URLs of the gate's endpoints. Tells nothing of which servers there are: any name gets an answer.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HOST};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Response};

use super::Challenge;
use crate::config::{AuthConfig, HttpConfig, names};

/// Where metadata is (RFC 9728, section 3.1): the resource's path follows.
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The gate's endpoints, and what is told of them.
pub(super) struct Metadata {
    /// `public_url`.
    public: Option<String>,
    scheme: &'static str,
    local: SocketAddr,
    /// None if there is nothing to tell, since no authorization server issues what is asked for.
    told: Option<Told>,
}

struct Told {
    authorization_servers: Vec<String>,
    scopes: Vec<String>,
}

impl Metadata {
    pub(super) fn new(http: &HttpConfig, local: SocketAddr) -> Self {
        let told = match &http.auth {
            AuthConfig::Jwt(jwt) => Some(Told {
                authorization_servers: jwt.authorization_servers.clone(),
                scopes: jwt.scopes.clone(),
            }),
            AuthConfig::Token | AuthConfig::None => None,
        };
        Self {
            public: http.public_url.clone(),
            scheme: if http.tls.is_some() { "https" } else { "http" },
            local,
            told,
        }
    }

    /// A challenge that says where the metadata of `server` are.
    pub(super) fn complete(
        &self,
        challenge: Challenge,
        headers: &HeaderMap,
        server: &str,
    ) -> Challenge {
        let Some(told) = &self.told else {
            return challenge;
        };
        let (origin, base) = self.base(headers);
        let url = format!("{origin}{WELL_KNOWN}{base}/mcp/{server}");
        challenge.pointing_to(url, &told.scopes)
    }

    /// The document at a path, if there is one: for the gate as a whole, or for one server. Behind a proxy the path may
    /// still have what `public_url` has before `/mcp`, or have lost it.
    pub(super) fn answer(&self, path: &str, headers: &HeaderMap) -> Option<Response<Bytes>> {
        let told = self.told.as_ref()?;
        let (origin, base) = self.base(headers);
        let rest = path.strip_prefix(WELL_KNOWN)?;
        let rest = rest.strip_prefix(base.as_str()).unwrap_or(rest);
        let resource = match rest.strip_prefix("/mcp/") {
            Some(server) if names::check_server_name(server).is_ok() => {
                format!("{origin}{base}/mcp/{server}")
            }
            None if rest.is_empty() => format!("{origin}{base}"),
            _ => return None,
        };
        let mut document = serde_json::json!({
            "resource": resource,
            "authorization_servers": told.authorization_servers,
            "bearer_methods_supported": ["header"],
        });
        if !told.scopes.is_empty() {
            document["scopes_supported"] = told.scopes.clone().into();
        }
        let mut response = Response::new(Bytes::from(document.to_string()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Some(response)
    }

    /// Scheme and authority of the gate's URL, and the path before `/mcp`: as the operator says, else as a client on
    /// this machine calls it, since it compares.
    fn base(&self, headers: &HeaderMap) -> (String, String) {
        if let Some(public) = &self.public {
            let authority = public.find("://").map_or(0, |at| at + 3);
            let path = public[authority..]
                .find('/')
                .map_or(public.len(), |at| authority + at);
            return (public[..path].to_owned(), public[path..].to_owned());
        }
        let host = headers.get(HOST).and_then(|value| value.to_str().ok());
        let origin = match host.filter(|host| is_here(host)) {
            Some(host) => format!("{}://{host}", self.scheme),
            None => format!("{}://{}", self.scheme, self.local),
        };
        (origin, String::new())
    }
}

/// Whether a `Host` names this machine.
fn is_here(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    !host.contains('@')
        && (name.eq_ignore_ascii_case("localhost")
            || name
                .parse::<std::net::IpAddr>()
                .is_ok_and(|ip| ip.to_canonical().is_loopback()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::*;

    fn metadata(public: Option<&str>, scopes: &[&str]) -> Metadata {
        Metadata {
            public: public.map(str::to_owned),
            scheme: "http",
            local: "127.0.0.1:7777".parse().unwrap(),
            told: Some(Told {
                authorization_servers: vec!["https://i".to_owned()],
                scopes: scopes.iter().map(|s| (*s).to_owned()).collect(),
            }),
        }
    }

    fn host(host: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_str(host).unwrap());
        headers
    }

    fn document(metadata: &Metadata, path: &str, headers: &HeaderMap) -> Option<Value> {
        let response = metadata.answer(path, headers)?;
        Some(serde_json::from_slice(response.body()).unwrap())
    }

    #[test]
    fn the_resource_is_the_url_that_the_client_calls() {
        let here = metadata(None, &["a", "b"]);
        let path = "/.well-known/oauth-protected-resource/mcp/files";
        for (host_header, resource) in [
            ("localhost:7777", "http://localhost:7777/mcp/files"),
            ("[::1]:7777", "http://[::1]:7777/mcp/files"),
            ("evil.example:7777", "http://127.0.0.1:7777/mcp/files"),
            ("a@localhost", "http://127.0.0.1:7777/mcp/files"),
        ] {
            let found = document(&here, path, &host(host_header)).unwrap();
            let expected = json!({
                "resource": resource,
                "authorization_servers": ["https://i"],
                "bearer_methods_supported": ["header"],
                "scopes_supported": ["a", "b"],
            });
            assert_eq!(found, expected);
        }
        let whole = document(
            &here,
            "/.well-known/oauth-protected-resource",
            &HeaderMap::new(),
        );
        assert_eq!(whole.unwrap()["resource"], "http://127.0.0.1:7777");
        for nothing in ["/mcp", "/mcp/", "/mcp/a/b", "/mcp/a%2fb", "x", "/"] {
            let path = format!("/.well-known/oauth-protected-resource{nothing}");
            assert_eq!(document(&here, &path, &HeaderMap::new()), None, "{path}");
        }
        assert_eq!(
            document(
                &here,
                "/.well-known/openid-configuration",
                &HeaderMap::new()
            ),
            None
        );
    }

    /// RFC 9728, section 3.1: the well-known part stands between host and path.
    #[test]
    fn a_public_url_with_a_path_has_its_metadata_before_the_path() {
        let public = metadata(Some("https://gate.example.com/tools"), &[]);
        let told = public.complete(Challenge::missing(), &host("127.0.0.1:7777"), "files");
        let header = told.response().headers()["www-authenticate"].clone();
        let url = "https://gate.example.com/.well-known/oauth-protected-resource/tools/mcp/files";
        assert_eq!(
            header.to_str().unwrap(),
            format!("Bearer realm=\"witgate\", resource_metadata=\"{url}\"")
        );
        for path in ["/tools/mcp/files", "/mcp/files"] {
            let path = format!("/.well-known/oauth-protected-resource{path}");
            let found = document(&public, &path, &HeaderMap::new()).unwrap();
            assert_eq!(
                found["resource"],
                "https://gate.example.com/tools/mcp/files"
            );
            assert_eq!(found.get("scopes_supported"), None);
        }
    }
}
