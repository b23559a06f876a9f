//! `[http]`: where clients over HTTP are met, who they may be, and what bounds them.
//!
//! Knows the checked values. Knows nothing of how they are spelled in the file (`check/http.rs`) nor of connections.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use super::ConfigError;

/// The port that is listened on unless another is named.
const PORT: u16 = 7777;

/// `[http]`, or its defaults where the file has none.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpConfig {
    /// `listen`: where clients connect. Port 0 lets the system choose one.
    pub listen: SocketAddr,
    /// `auth` and `[http.jwt]`: how a caller is known.
    pub auth: AuthConfig,
    /// `hosts`: values of `Host` that are taken beside those of a loopback address, lower case, `HOST` (any port) or
    /// `HOST:PORT`. The host of `public_url` is among them.
    pub hosts: Vec<String>,
    /// `origins`: values of `Origin` that are taken, in the form in which browsers send them.
    pub origins: Vec<String>,
    /// `public_url`: what clients type before `/mcp/SERVER`, without a slash at its end; none for the address that is
    /// listened on.
    pub public_url: Option<String>,
    /// `admin`: where metrics and health are served besides; none if they are not.
    pub admin: Option<SocketAddr>,
    /// `[http.tls]`; none for plain HTTP.
    pub tls: Option<TlsConfig>,
    /// `[http.limits]`.
    pub limits: HttpLimits,
}

/// How a caller is known.
#[derive(Debug, Clone, PartialEq)]
pub enum AuthConfig {
    /// By a token made with `witgate token new`.
    Token,
    /// By a JWT of an issuer the operator names.
    Jwt(Box<JwtConfig>),
    /// Not at all: everybody who reaches the port is the caller `anonymous`.
    None,
}

/// `[http.jwt]`: which JWTs are believed, and what they say of their bearer.
#[derive(Debug, Clone, PartialEq)]
pub struct JwtConfig {
    /// `issuer`: what `iss` must be, exactly.
    pub issuer: String,
    /// `audience`: `aud` must hold one of these. Never empty.
    pub audience: Vec<String>,
    /// `jwks_file` or `jwks_url`: where the issuer's public keys are.
    pub keys: JwksSource,
    /// `roles_claim`: the steps that lead to the claim that lists the caller's roles; none if no claim does.
    pub roles_claim: Option<Vec<String>>,
    /// `caller_claim`: the steps to the claim that names the caller; `sub` unless said otherwise.
    pub caller_claim: Vec<String>,
    /// `algorithms`: signatures that are taken. Never empty, and only such as need no shared secret.
    pub algorithms: Vec<JwtAlgorithm>,
    /// `leeway_s`: by how much clocks may differ where `exp` and `nbf` are checked.
    pub leeway: Duration,
    /// `scopes`: scopes a token must all have; announced in the metadata. Often empty.
    pub scopes: Vec<String>,
    /// `authorization_servers`: where clients get tokens, for the metadata; the issuer unless said otherwise.
    pub authorization_servers: Vec<String>,
}

/// Where an issuer's public keys (RFC 7517) are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// A file, read again when it changes.
    File(PathBuf),
    /// A URL: `https`, or `http` on a loopback address.
    Url(String),
}

/// A signature that a JWT may have (RFC 7518, RFC 8037): public keys only, since whoever can verify a shared secret can
/// also sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are the RFCs' own")]
pub enum JwtAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

/// `[http.tls]`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsConfig {
    /// `cert`: the certificate, and those that lead from it to a root.
    pub cert: PathBuf,
    /// `key`: its private key.
    pub key: PathBuf,
}

/// `[http.limits]`: what clients over HTTP may use. The keys bear the names of the fields, times with their unit: `_ms`
/// or `_s`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpLimits {
    /// The longest request body, bytes.
    pub max_body_bytes: usize,
    /// The longest request head, bytes.
    pub max_header_bytes: usize,
    /// Requests under way, of all callers.
    pub max_requests: usize,
    /// Requests under way, of one caller.
    pub max_requests_per_caller: usize,
    /// Requests that wait for one of `max_requests`.
    pub max_queue: usize,
    /// `queue_timeout_ms`: how long they wait.
    pub queue_timeout: Duration,
    /// Streams of events open at once.
    pub max_streams: usize,
    /// Sessions open at once.
    pub max_sessions: usize,
    /// Sessions open at once, of one caller.
    pub max_sessions_per_caller: usize,
    /// `session_idle_s`: how long a session that nobody uses stays open.
    pub session_idle: Duration,
    /// `first_byte_timeout_s`: how long a server may take before the first byte of an answer.
    pub first_byte_timeout: Duration,
    /// `body_timeout_ms`: how long a client may take to send a body.
    pub body_timeout: Duration,
    /// `header_timeout_ms`: how long a client may take to send a head, or for the TLS handshake.
    pub header_timeout: Duration,
    /// `keep_alive_s`: how often a stream on which nothing happens gets a comment.
    pub keep_alive: Duration,
    /// `shutdown_grace_s`: how long requests under way may take when the gate is told to stop.
    pub shutdown_grace: Duration,
    /// Connections open at once.
    pub max_connections: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], PORT)),
            auth: AuthConfig::Token,
            hosts: Vec::new(),
            origins: Vec::new(),
            public_url: None,
            admin: None,
            tls: None,
            limits: HttpLimits::default(),
        }
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_body_bytes: 4 << 20,
            max_header_bytes: 32 << 10,
            max_requests: 1024,
            max_requests_per_caller: 256,
            max_queue: 1024,
            queue_timeout: Duration::from_secs(5),
            max_streams: 1024,
            max_sessions: 1000,
            max_sessions_per_caller: 100,
            session_idle: Duration::from_secs(30 * 60),
            first_byte_timeout: Duration::from_secs(300),
            body_timeout: Duration::from_secs(30),
            header_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(15),
            shutdown_grace: Duration::from_secs(10),
            max_connections: 4096,
        }
    }
}

impl HttpConfig {
    /// The URL under which clients reach the gate, before `/mcp/NAME`: as the operator says, else the address it listens
    /// on.
    pub fn base_url(&self, listen: SocketAddr) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        match listen.ip() {
            // All addresses are none to call.
            IpAddr::V4(ip) if ip.is_unspecified() => {
                format!("{scheme}://127.0.0.1:{}", listen.port())
            }
            IpAddr::V6(ip) if ip.is_unspecified() => format!("{scheme}://[::1]:{}", listen.port()),
            _ => format!("{scheme}://{listen}"),
        }
    }

    /// The same, listening at `listen` instead, as `witgate serve --listen` says. An error if that address would be
    /// open to others without authentication and TLS.
    pub fn listening_at(mut self, listen: SocketAddr) -> Result<Self, ConfigError> {
        self.listen = listen;
        match self.exposed() {
            None => Ok(self),
            Some(detail) => Err(ConfigError(format!("--listen {listen} {detail}"))),
        }
    }

    /// What is wrong with the address, if it is one that others than this machine's users reach: a token that travels
    /// in clear is anybody's, and without authentication everybody may call.
    pub(super) fn exposed(&self) -> Option<&'static str> {
        if is_loopback(self.listen) {
            return None;
        }
        match (&self.auth, &self.tls) {
            (AuthConfig::None, _) => Some(
                "can be reached from other machines, and `http.auth` is \"none\"; write `auth = \"token\"` and an \
                 [http.tls] section with `cert` and `key`, or listen on 127.0.0.1",
            ),
            (_, None) => Some(
                "can be reached from other machines, and tokens would travel in clear; add an [http.tls] section with \
                 `cert` and `key`, or listen on 127.0.0.1 behind a proxy that speaks TLS",
            ),
            (_, Some(_)) => match self.auth {
                // Clients are told by what URL the gate is known, and `0.0.0.0` is none.
                AuthConfig::Jwt(_) if self.public_url.is_none() => Some(
                    "can be reached from other machines, and the metadata that `auth = \"jwt\"` publishes needs the \
                     name by which they know it; add `public_url = \"https://…\"` to [http]",
                ),
                _ => None,
            },
        }
    }
}

/// Whether only this machine reaches an address.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

impl JwtAlgorithm {
    /// All there are.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];

    /// The name in a JWT's `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
        }
    }

    /// The algorithm of that name.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }
}
