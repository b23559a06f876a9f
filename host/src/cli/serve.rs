//! `witgate serve`: a gate in front of the configured servers, over HTTP.

use std::net::SocketAddr;

use serde::Serialize;

use super::{Context, Failed, token};
use crate::front::FrontError;
use crate::front::auth::Secret;
use crate::front::run::{ServeError, Serving, run as serve};
use crate::setup;

/// Put the gate in front of the servers of the configuration, over HTTP
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each server of the configuration is at /mcp/NAME. [http] of the configuration says who may call and \
    what bounds them.\n\nExample: witgate serve --listen 127.0.0.1:7777"
)]
pub(super) struct Args {
    /// The address to listen on, port 0 for any [default: `listen` in [http], else 127.0.0.1:7777]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// What machines are told once it is served.
#[derive(Serialize)]
struct Ready<'a> {
    listen: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    admin: Option<String>,
    servers: Vec<Endpoint<'a>>,
    /// The first token: shown this once.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

#[derive(Serialize)]
struct Endpoint<'a> {
    name: &'a str,
    url: String,
}

impl From<ServeError> for Failed {
    fn from(error: ServeError) -> Self {
        let message = error.to_string();
        match error {
            ServeError::Front(FrontError::Listen { .. }) => Self::new("listen", message),
            ServeError::Front(_) => Self::unusable("http", message),
            ServeError::Audit(_) => Self::new("audit", message),
            ServeError::Token(_) => Self::new("token", message),
        }
    }
}

/// Serves until it is told to stop.
pub(super) async fn run(context: &Context, args: Args) -> Result<(), Failed> {
    let options = context.options(true);
    let setup = setup::open(&options).await?;
    let http = match args.listen {
        Some(address) => setup.config.http.clone().listening_at(address)?,
        None => setup.config.http.clone(),
    };
    let stop = stops()?;
    let ready = |serving: &Serving| tell(context, serving);
    serve(setup, http, options.config, ready, stop).await?;
    Ok(())
}

/// Says where it listens: machines in one line on stdout, people on stderr.
fn tell(context: &Context, serving: &Serving) {
    let servers: Vec<_> = serving
        .servers
        .iter()
        .map(|name| Endpoint {
            name,
            url: format!("{}/mcp/{name}", serving.base),
        })
        .collect();
    if context.out.is_json() {
        let ready = Ready {
            listen: serving.address.to_string(),
            admin: serving.admin.map(|address| address.to_string()),
            servers,
            token: serving.token.as_ref().map(Secret::text),
        };
        if let Ok(line) = serde_json::to_string(&ready) {
            context.out.line(&line);
        }
        return;
    }
    context
        .out
        .warning(&format!("listening on {}", serving.address));
    if let Some(admin) = serving.admin {
        context.out.warning(&format!(
            "metrics and health: http://{admin}/metrics, /healthz, /readyz"
        ));
    }
    if servers.is_empty() {
        context
            .out
            .warning("no server is configured: name one in [server.NAME] of the configuration");
    }
    for Endpoint { name, url } in &servers {
        context.out.warning(&format!("server {name}: {url}"));
    }
    if let Some(secret) = &serving.token {
        let names: Vec<_> = servers.iter().map(|server| server.name).collect();
        context
            .out
            .warning(&token::first_text(&serving.base, &names, secret));
    }
}

/// Returns whenever the process is told to stop.
#[cfg(unix)]
fn stops() -> Result<impl AsyncFnMut(), Failed> {
    use tokio::signal::unix::{SignalKind, signal};

    let failed = |error: std::io::Error| Failed::new("signals", error.to_string());
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    Ok(async move || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Returns whenever the process is told to stop.
#[cfg(not(unix))]
fn stops() -> Result<impl AsyncFnMut(), Failed> {
    Ok(async || {
        // Without a way to be told, it is stopped from outside.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}
