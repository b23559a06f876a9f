//! `witgate serve` from beginning to end: what must be opened, in which order, and left in order.
//!
//! Knows the order. What is served is `Front`'s to know.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;

use super::auth::Secret;
use super::auth::tokens::{self, TokenError};
use super::tls::install_provider;
use super::{Front, FrontError, admin, server};
use crate::audit::AuditError;
use crate::config::{AuthConfig, HttpConfig};
use crate::gate::Host;
use crate::gate::host::now_ms;
use crate::gate::serve::Gateway;
use crate::gate::watch::Watching;
use crate::gate::wrap::{Typed, open_audit, open_tape, resolve, stood_for_another};
use crate::setup::Setup;

/// Why clients over HTTP cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The listener or what belongs to it.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// The audit cannot be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No first token can be made.
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What is served, once it is.
#[derive(Debug)]
pub struct Serving {
    /// The address that is listened on.
    pub address: SocketAddr,
    /// The address where metrics and health are served besides.
    pub admin: Option<SocketAddr>,
    /// What clients type before `/mcp/NAME`, without a slash at its end.
    pub base: String,
    /// The names of the servers.
    pub servers: Vec<String>,
    /// The first token, if callers are known by tokens and there never was one. To be shown once.
    pub token: Option<Secret>,
}

/// Serves until `stop` returns; `ready` is told where. When it returns a second time, requests under way are not waited
/// for.
///
/// # Errors
/// If nothing can be served. Once something is, nothing that a client or a server does ends it.
pub async fn run(
    setup: Setup,
    http: HttpConfig,
    file: Option<PathBuf>,
    ready: impl FnOnce(&Serving),
    stop: impl AsyncFnMut(),
) -> Result<(), ServeError> {
    for problem in &setup.generation.problems {
        tracing::warn!("{}", problem.detail);
    }
    let snapshot = setup.ledger.snapshot();
    for name in setup.config.servers.keys() {
        if let Ok(entry) = resolve(&setup.config, name, Typed::Nothing)
            && let Some(message) = stood_for_another(&entry, &snapshot)
        {
            tracing::warn!("{message}");
        }
    }
    install_provider();
    let (listener, address) = bind(http.listen, "listen").await?;
    let admin = match http.admin {
        Some(address) => Some(bind(address, "admin").await?),
        None => None,
    };
    let audit = open_audit(&setup)?;
    let servers = setup
        .config
        .servers
        .iter()
        .filter(|(_, server)| server.enabled)
        .map(|(name, _)| name.clone())
        .collect();
    let mut serving = Serving {
        address,
        admin: admin.as_ref().map(|(_, address)| *address),
        base: http.base_url(address),
        servers,
        token: None,
    };
    let by_token = http.auth == AuthConfig::Token;
    let tape = open_tape(&setup);
    let host = Arc::new(Host::new(setup, audit).recording(tape));
    let gateway = Gateway::new(host.clone());
    let front = Front::new(gateway.clone(), http, address)?;
    if by_token {
        serving.token = tokens::first(&*host.ledger, now_ms()).await?;
    }
    let watching = Watching::start(host.clone(), file);
    ready(&serving);
    let administering =
        admin.map(|(listener, _)| tokio::spawn(admin::serve(front.clone(), listener)));
    server::serve(front, listener, stop).await;
    watching.end().await;
    if let Some(administering) = administering {
        administering.abort();
    }
    gateway.close().await;
    host.close_records().await;
    Ok(())
}

/// Listens, and says where; `key` is the setting that says so.
async fn bind(
    address: SocketAddr,
    key: &'static str,
) -> Result<(TcpListener, SocketAddr), FrontError> {
    let failed = |error| FrontError::Listen {
        address,
        key,
        error,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let local = listener.local_addr().map_err(failed)?;
    Ok((listener, local))
}
