//! What can go wrong between the gate and a server behind a URL.
//!
//! Nothing that the server wrote is quoted: these texts may reach an agent.

use std::io;
use std::time::Duration;

use http::StatusCode;

/// A message could not be brought to the server, or its answer not back. `server` is the server's name, `at` its URL
/// without a query, which may hold a secret.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// No connection comes about: no such host, nobody listens, no route.
    #[error(
        "server `{server}`: {at} cannot be reached: {source}. Check that it runs, and `url` in [server.{server}]"
    )]
    Unreachable {
        /// The server.
        server: String,
        /// Its URL.
        at: String,
        /// What the system said.
        source: io::Error,
    },
    /// The connection comes about too slowly, TLS included.
    #[error(
        "server `{server}`: {at} took no connection within {after:?}. Check that it runs, and `url` in [server.{server}]"
    )]
    ConnectTimeout {
        /// The server.
        server: String,
        /// Its URL.
        at: String,
        /// How long it had.
        after: Duration,
    },
    /// TLS cannot be agreed on, or the certificate is not trusted.
    #[error(
        "server `{server}`: {at}: TLS: {source}. Check `url` in [server.{server}]; a certificate of your own authority is \
         trusted once the authority stands in the system's store, or in the file that SSL_CERT_FILE names"
    )]
    Tls {
        /// The server.
        server: String,
        /// Its URL.
        at: String,
        /// What rustls said.
        source: io::Error,
    },
    /// The connection ended, or what came over it was no HTTP, before the answer was whole. Whether the server acted on
    /// the message is not known.
    #[error("server `{server}`: the connection broke before the answer was whole: {source}")]
    Broken {
        /// The server.
        server: String,
        /// What hyper said.
        source: hyper::Error,
    },
    /// A status that is no success, without a JSON-RPC error in its body.
    #[error("server `{server}` answered with HTTP status {status}; {}", mend(*status))]
    Status {
        /// The server.
        server: String,
        /// The status.
        status: StatusCode,
    },
    /// A success that is neither JSON nor a stream of events, or one that is encoded though nobody asked for it.
    #[error(
        "server `{server}` answered with something that is not MCP; check `url` in [server.{server}]"
    )]
    NotMcp {
        /// The server.
        server: String,
        /// Its `Content-Type`, escaped and cut, for the log.
        content_type: String,
    },
    /// One message is longer than the limit.
    #[error(
        "server `{server}` sent a message of more than {limit} bytes; raise `max_message` in [limits]"
    )]
    TooLarge {
        /// The server.
        server: String,
        /// The limit, bytes.
        limit: usize,
    },
    /// The server has ended the session (404 to its id): only a new `initialize` goes on.
    #[error("server `{server}` has ended the session")]
    SessionGone {
        /// The server.
        server: String,
    },
    /// The server asks for credentials (401) that it was not given, or does not accept them.
    #[error(
        "server `{server}` does not accept the credentials (HTTP status 401); set `headers` or `oauth` in [server.{server}]"
    )]
    Unauthorized {
        /// The server.
        server: String,
    },
    /// No access token comes from the authorization server.
    #[error("server `{server}`: no access token: {detail}; check [server.{server}.oauth]")]
    Credentials {
        /// The server.
        server: String,
        /// Why; nothing secret.
        detail: String,
    },
}

fn mend(status: StatusCode) -> &'static str {
    if status.is_redirection() {
        "redirects are not followed: write the final address as `url`"
    } else if status == StatusCode::NOT_FOUND || status == StatusCode::METHOD_NOT_ALLOWED {
        "check that `url` is the server's MCP endpoint"
    } else if status == StatusCode::FORBIDDEN {
        "check the credentials in `headers` or `oauth`"
    } else {
        "see the server's own log"
    }
}
