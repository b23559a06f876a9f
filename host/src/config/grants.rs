//! What the operator lets a policy import beyond the usual (design §3).
//!
//! Stands only in the operator's own configuration: a file that came with a policy cannot grant itself anything. Knows
//! names and limits; what they open is the engine's.

use std::fmt;
use std::time::Duration;

/// The import that lets a policy make HTTP requests.
pub const HTTP: &str = "wasi:http";

/// How long one request of a policy may take unless said otherwise.
pub const HTTP_TIMEOUT: Duration = Duration::from_secs(2);

/// The grants of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grants {
    /// `wasi:http`: requests to named hosts.
    pub http: Option<HttpGrant>,
}

/// Where a policy may make HTTP requests to, and how long one may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpGrant {
    /// The only hosts; never empty.
    pub hosts: Vec<HttpHost>,
    /// How long one request may take, from its first byte to its answer's last; also what a hook may take beyond its own
    /// limit.
    pub timeout: Duration,
}

/// One host that may be reached: scheme, name and port are compared whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpHost {
    /// Whether by TLS.
    pub tls: bool,
    /// The name or address as in a URL, lower-case; an IPv6 address in brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// A text that names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// It is no host.
    #[error(
        "names no host; write `api.example.com`, `api.example.com:8443`, or `http://127.0.0.1:8080` for one without TLS"
    )]
    Syntax,
    /// It says more than a host.
    #[error(
        "has a path, a query or user information; a grant is for a whole host, so write the host alone"
    )]
    More,
    /// It has no TLS and is on another machine.
    #[error(
        "is without TLS and not on this machine; only loopback addresses may be reached by `http://`"
    )]
    Plain,
}

impl Grants {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the same inputs may give another verdict: what was granted reaches outside of the host.
    pub const fn impure(&self) -> bool {
        self.http.is_some()
    }

    /// The words of what is granted, for people.
    pub fn words(&self) -> Vec<String> {
        let http = self.http.iter().map(|grant| {
            let hosts: Vec<_> = grant.hosts.iter().map(ToString::to_string).collect();
            format!("{HTTP} to {}", hosts.join(", "))
        });
        http.collect()
    }
}

impl HttpGrant {
    /// Whether a request to this place is granted. `host` as a URI has it, without port.
    pub fn allows(&self, tls: bool, host: &str, port: u16) -> bool {
        self.hosts
            .iter()
            .any(|one| one.tls == tls && one.port == port && one.host.eq_ignore_ascii_case(host))
    }
}

impl HttpHost {
    /// Reads `HOST`, `HOST:PORT`, or either behind `https://` or `http://`.
    ///
    /// # Errors
    /// If it names no host, more than a host, or one on another machine without TLS.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        let (tls, rest) = match text.split_once("://") {
            Some(("https", rest)) => (true, rest),
            Some(("http", rest)) => (false, rest),
            Some(_) => return Err(HostError::Syntax),
            None => (true, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) {
            return Err(HostError::More);
        }
        let authority: http::uri::Authority = rest.parse().map_err(|_| HostError::Syntax)?;
        let host = authority.host().to_ascii_lowercase();
        let named = host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
        if host.is_empty() || host == "[]" || !named {
            return Err(HostError::Syntax);
        }
        let has_port = rest.len() > authority.host().len();
        let port = match authority.port_u16() {
            Some(0) => return Err(HostError::Syntax),
            Some(port) => port,
            None if has_port => return Err(HostError::Syntax),
            None if tls => 443,
            None => 80,
        };
        if !tls && !loopback(&host) {
            return Err(HostError::Plain);
        }
        Ok(Self { tls, host, port })
    }
}

/// Whether a host of a URL is this machine whatever a name server says.
fn loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for HttpHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port != if self.tls { 443 } else { 80 } {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_read_with_its_scheme_and_port() {
        for (text, shown) in [
            ("api.example.com", "https://api.example.com"),
            ("API.example.com:8443", "https://api.example.com:8443"),
            ("https://a.b/", "https://a.b"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://localhost", "http://localhost"),
            ("http://[::1]:9", "http://[::1]:9"),
            ("[2001:db8::1]", "https://[2001:db8::1]"),
        ] {
            assert_eq!(HttpHost::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_more_or_less_than_a_host_is_refused() {
        for (text, error) in [
            ("", HostError::Syntax),
            ("*.example.com", HostError::Syntax),
            ("*", HostError::Syntax),
            ("ftp://a", HostError::Syntax),
            ("a:", HostError::Syntax),
            ("a:99999", HostError::Syntax),
            ("a:0", HostError::Syntax),
            ("a b", HostError::Syntax),
            ("a/path", HostError::More),
            ("user@a", HostError::More),
            ("https://a?b", HostError::More),
            ("http://example.com", HostError::Plain),
            ("http://127.0.0.1.example.com", HostError::Plain),
        ] {
            assert_eq!(HttpHost::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn scheme_host_and_port_must_all_be_those_that_were_granted() {
        let grant = HttpGrant {
            hosts: vec![HttpHost::parse("a.example.com").unwrap()],
            timeout: HTTP_TIMEOUT,
        };
        assert!(grant.allows(true, "A.example.com", 443));
        assert!(!grant.allows(false, "a.example.com", 443));
        assert!(!grant.allows(true, "a.example.com", 8443));
        assert!(!grant.allows(true, "b.a.example.com", 443));
        assert!(!grant.allows(true, "a.example.com.", 443));
    }
}
