//! Which names a client may call us by, and which web pages may call at all: what stops a page that rebinds its own
//! name to this machine (DNS rebinding) from reaching servers through the user's browser.
//!
//! Knows the values of `Host` and `Origin`. Knows nothing of who calls.

use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;

/// What is compared with `Host` and `Origin`.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// Names we are called by, lower case; with a port, or with any.
    hosts: Vec<(String, Option<u16>)>,
    /// Those of them with a port, as they are written.
    plain: Vec<String>,
    /// Origins that are taken, as browsers spell them.
    origins: Vec<String>,
}

/// Names of this machine that only its own users reach.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Names {
    /// For a listener at `address`: its own address; the names of the loopback interface, if that is where it listens;
    /// and what the operator added. `hosts` are lower case, `HOST` or `HOST:PORT`; `tls` says which scheme pages of our
    /// own would have.
    pub(crate) fn new(
        address: SocketAddr,
        tls: bool,
        hosts: &[String],
        origins: &[String],
    ) -> Self {
        let port = address.port();
        let ip = address.ip().to_canonical();
        let own = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let mut names = Vec::new();
        let mut taken = origins.to_vec();
        if ip.is_loopback() {
            let scheme = if tls { "https" } else { "http" };
            for name in LOOPBACK {
                names.push((name.to_owned(), Some(port)));
                taken.push(format!("{scheme}://{name}:{port}"));
            }
            taken.push(format!("{scheme}://{own}:{port}"));
        }
        if !ip.is_unspecified() {
            names.push((own, Some(port)));
        }
        for host in hosts {
            let parsed = host.parse::<Authority>().ok();
            names.push(parsed.map_or_else(
                || (host.clone(), None),
                |authority| (authority.host().to_owned(), authority.port_u16()),
            ));
        }
        let plain = names
            .iter()
            .filter_map(|(name, port)| port.map(|port| format!("{name}:{port}")))
            .collect();
        Self {
            plain,
            hosts: names,
            origins: taken,
        }
    }

    /// Whether `host`, the value of a `Host` header, names us. Without a port it means the scheme's own.
    pub(crate) fn is_ours(&self, host: &str, tls: bool) -> bool {
        // As nearly every client writes it, and cheaper than reading it.
        if self.plain.iter().any(|plain| plain == host) {
            return true;
        }
        let Ok(authority) = host.parse::<Authority>() else {
            return false;
        };
        // `user@host` names no host that a client would send, and readers disagree about it; so do `host:` and
        // `host:99999`.
        if host.contains('@')
            || (authority.port_u16().is_none() && host.len() != authority.host().len())
        {
            return false;
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        self.hosts.iter().any(|(name, taken)| {
            taken.is_none_or(|taken| taken == port) && name.eq_ignore_ascii_case(authority.host())
        })
    }

    /// Whether pages of `origin`, the value of an `Origin` header, may call.
    pub(crate) fn may_call(&self, origin: &str) -> bool {
        self.origins
            .iter()
            .any(|taken| taken.eq_ignore_ascii_case(origin))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn loopback() -> Names {
        Names::new("127.0.0.1:7777".parse().unwrap(), false, &[], &[])
    }

    #[test]
    fn on_loopback_only_its_names_with_our_port_are_ours() {
        let names = loopback();
        for host in [
            "127.0.0.1:7777",
            "localhost:7777",
            "LocalHost:7777",
            "[::1]:7777",
        ] {
            assert!(names.is_ours(host, false), "{host}");
        }
        for host in [
            "",
            "localhost",
            "127.0.0.1",
            "localhost:7778",
            "localhost:",
            "evil.example:7777",
            "localhost.evil.example:7777",
            "evil.example@localhost:7777",
            "localhost:7777@evil.example",
            "127.0.0.1.nip.io:7777",
            "127.1:7777",
            "0.0.0.0:7777",
            "localhost:7777, evil.example",
            "localhost:7777/x",
            "localhost:77770",
            "localhost.:7777",
        ] {
            assert!(!names.is_ours(host, false), "{host}");
        }
    }

    #[test]
    fn elsewhere_only_what_the_operator_named_and_the_address_itself_are_ours() {
        let names = Names::new(
            "192.0.2.7:443".parse().unwrap(),
            true,
            &["gate.example".into(), "other.example:8443".into()],
            &[],
        );
        for host in [
            "192.0.2.7",
            "192.0.2.7:443",
            "gate.example",
            "GATE.example:9",
            "other.example:8443",
        ] {
            assert!(names.is_ours(host, true), "{host}");
        }
        for host in [
            "localhost:443",
            "127.0.0.1",
            "other.example",
            "192.0.2.7:80",
        ] {
            assert!(!names.is_ours(host, true), "{host}");
        }
        let any = Names::new("0.0.0.0:7777".parse().unwrap(), true, &[], &[]);
        assert!(!any.is_ours("0.0.0.0:7777", true));
    }

    #[test]
    fn pages_of_other_origins_may_not_call() {
        let names = loopback();
        for origin in [
            "http://localhost:7777",
            "http://127.0.0.1:7777",
            "http://[::1]:7777",
        ] {
            assert!(names.may_call(origin), "{origin}");
        }
        for origin in [
            "",
            "null",
            "http://localhost",
            "http://localhost:3000",
            "https://localhost:7777",
            "http://evil.example",
            "http://localhost:7777.evil.example",
            "http://localhost:7777/",
        ] {
            assert!(!names.may_call(origin), "{origin}");
        }
        let named = Names::new(
            "192.0.2.7:443".parse().unwrap(),
            true,
            &[],
            &["https://app.example".into()],
        );
        assert!(named.may_call("https://app.example"));
        assert!(!named.may_call("https://localhost:443"));
        assert!(!named.may_call("http://app.example"));
    }
}
