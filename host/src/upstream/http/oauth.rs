//! Access tokens for a server, by client credentials.
//!
//! Knows when a token is needed, and asks for one through rmcp, which finds the authorization server (RFC 9728, RFC 8414)
//! and speaks to it. One is asked for at a time; a failure is remembered for a moment, so that a flood of calls is no
//! flood of requests for tokens.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use http::HeaderValue;
use rmcp::transport::auth::{
    AuthError, AuthorizationManager, AuthorizationMetadata, ClientCredentialsConfig,
};
use tokio::sync::Mutex;

use super::UpstreamError;
use crate::front::tls::install_provider;
use crate::mcp::escape::visible_cut;
use crate::upstream::endpoint::{Endpoint, OAuthConfig, parse_url};

/// How long before its end a token is not used any more.
const MARGIN: Duration = Duration::from_secs(30);

/// How long a token is used of which nobody said how long it is good.
const UNKNOWN: Duration = Duration::from_secs(3600);

/// How long after a failure nothing is asked for again.
const PAUSE: Duration = Duration::from_secs(5);

/// How long asking may take, discovery included.
const TIMEOUT: Duration = Duration::from_secs(30);

/// The tokens of one endpoint.
pub(in crate::upstream) struct Tokens {
    server: String,
    config: OAuthConfig,
    current: ArcSwapOption<Token>,
    /// Held while one is asked for; the last failure.
    asking: Mutex<Option<(Instant, String)>>,
}

struct Token {
    /// `Bearer …`, sensitive.
    header: HeaderValue,
    good_until: Instant,
}

/// Why there is no token; nothing that the authorization server wrote is in it.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("the server names no authorization server, and `token_url` is not set")]
    NoAuthorizationServer,
    #[error("its authorization server's endpoint is no https URL")]
    Insecure,
    #[error("the authorization server cannot be reached")]
    Unreachable,
    #[error("the authorization server gives none: see the log")]
    Refuses,
    #[error("the token cannot stand in a header")]
    BadToken,
    #[error("nothing came within {TIMEOUT:?}")]
    Timeout,
}

impl Tokens {
    pub(in crate::upstream) fn new(server: &str, config: OAuthConfig) -> Self {
        Self {
            server: server.to_owned(),
            config,
            current: ArcSwapOption::empty(),
            asking: Mutex::default(),
        }
    }

    pub(in crate::upstream) fn config(&self) -> &OAuthConfig {
        &self.config
    }

    /// What stands in `Authorization` now; asks for a token if there is none that is good.
    pub(super) async fn get(&self) -> Result<HeaderValue, UpstreamError> {
        if let Some(header) = self.good() {
            return Ok(header);
        }
        let mut failure = self.asking.lock().await;
        if let Some(header) = self.good() {
            return Ok(header);
        }
        if let Some((when, detail)) = &*failure
            && when.elapsed() < PAUSE
        {
            return Err(self.error(detail.clone()));
        }
        let asked = tokio::time::timeout(TIMEOUT, self.ask()).await;
        match asked.unwrap_or(Err(Refused::Timeout)) {
            Ok(token) => {
                *failure = None;
                let header = token.header.clone();
                self.current.store(Some(Arc::new(token)));
                Ok(header)
            }
            Err(refused) => {
                let detail = refused.to_string();
                *failure = Some((Instant::now(), detail.clone()));
                Err(self.error(detail))
            }
        }
    }

    /// The server does not take this one any more.
    pub(super) fn reject(&self, header: &HeaderValue) {
        let current = self.current.load_full();
        if current.is_some_and(|token| token.header == *header) {
            self.current.store(None);
        }
    }

    fn good(&self) -> Option<HeaderValue> {
        let token = self.current.load();
        let token = token.as_ref()?;
        (Instant::now() < token.good_until).then(|| token.header.clone())
    }

    async fn ask(&self) -> Result<Token, Refused> {
        install_provider();
        let config = &self.config;
        let failed = |error: AuthError| self.refused(&error);
        let mut manager =
            AuthorizationManager::new_allowing_private_addresses(config.resource.as_str())
                .await
                .map_err(failed)?;
        let metadata = match &config.token_url {
            Some(url) => {
                let mut metadata = AuthorizationMetadata::default();
                metadata.token_endpoint.clone_from(url);
                // Never used with these credentials, but it must be a URL.
                metadata.authorization_endpoint.clone_from(url);
                metadata
            }
            None => {
                let found = manager.resolve_metadata().await.map_err(failed)?;
                if !found.source.is_discovered() {
                    return Err(Refused::NoAuthorizationServer);
                }
                found.metadata
            }
        };
        if !config.insecure && !is_safe(&metadata.token_endpoint) {
            return Err(Refused::Insecure);
        }
        manager.set_metadata(metadata);
        let credentials = ClientCredentialsConfig::ClientSecret {
            client_id: config.client_id.clone(),
            client_secret: config.client_secret.clone(),
            scopes: config.scopes.clone(),
            resource: Some(config.resource.clone()),
        };
        manager
            .validate_client_credentials_metadata(&credentials)
            .and_then(|()| manager.configure_client_credentials(&credentials))
            .map_err(failed)?;
        let asked = Instant::now();
        let answer = manager
            .exchange_client_credentials(&credentials)
            .await
            .map_err(failed)?;
        // As it came: the type's own accessors belong to a crate that is rmcp's affair.
        let answer = serde_json::to_value(&answer)
            .and_then(serde_json::from_value)
            .map_err(|_| Refused::BadToken)?;
        token(&answer, asked).ok_or(Refused::BadToken)
    }

    /// What an error of rmcp means; its text, which the other side may have written, goes to the log only.
    fn refused(&self, error: &AuthError) -> Refused {
        let text = error.to_string();
        tracing::warn!(server = %self.server, "no access token: {}", visible_cut(&text, 300));
        match error {
            AuthError::NoAuthorizationSupport | AuthError::MetadataError(_) => {
                Refused::NoAuthorizationServer
            }
            AuthError::HttpError(_) => Refused::Unreachable,
            _ => Refused::Refuses,
        }
    }

    fn error(&self, detail: String) -> UpstreamError {
        UpstreamError::Credentials {
            server: self.server.clone(),
            detail,
        }
    }
}

/// A token endpoint's answer (RFC 6749, section 5.1).
#[derive(serde::Deserialize)]
struct Answer {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
}

fn token(answer: &Answer, asked: Instant) -> Option<Token> {
    if !answer.token_type.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let mut header = HeaderValue::from_str(&format!("Bearer {}", answer.access_token)).ok()?;
    header.set_sensitive(true);
    let lasts = answer.expires_in.map_or(UNKNOWN, Duration::from_secs);
    // A token that lasts less than the margin is used for half its time.
    let used = lasts.saturating_sub(MARGIN).max(lasts / 2);
    Some(Token {
        header,
        good_until: asked + used.min(Duration::from_secs(24 * 3600)),
    })
}

/// Whether a secret may be sent there: TLS, or this machine.
fn is_safe(url: &str) -> bool {
    parse_url(url).is_ok_and(|url| url.scheme_str() == Some("https") || Endpoint::is_loopback(&url))
}
