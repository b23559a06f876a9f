//! The operator's listener: metrics and health, apart from where callers come in.
//!
//! Knows three paths. Nothing here changes anything, and nothing secret is told.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use super::Front;
use super::connection::{Guarded, Patience};
use super::metrics::{self, Levels, OfPolicy};
use super::reply::{self, Body, Refusal};
use super::route::{Route, route};

/// Connections at once.
const MAX_CONNECTIONS: usize = 32;

/// How long anything may take there.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until it is aborted.
pub(super) async fn serve(front: Arc<Front>, listener: TcpListener) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let permit = room.clone().acquire_owned().await;
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let front = front.clone();
        tokio::spawn(async move {
            let patience = Patience {
                head: PATIENCE,
                idle: PATIENCE,
                stalled: PATIENCE,
            };
            let io = Guarded::new(TokioIo::new(stream), patience);
            let begin = io.guards();
            let service = service_fn(|request: Request<Incoming>| {
                let busy = begin();
                let response = front
                    .administer(&request)
                    .unwrap_or_else(Refusal::into_response)
                    .map(|body| body.while_busy(busy));
                async move { Ok::<_, Infallible>(response) }
            });
            let mut builder = http1::Builder::new();
            builder.header_read_timeout(None);
            if let Err(error) = builder.serve_connection(io, service).await {
                tracing::debug!("an administrator's connection ended: {error}");
            }
            drop(permit);
        });
    }
}

impl Front {
    fn administer(&self, request: &Request<Incoming>) -> Result<Response<Body>, Refusal> {
        let path = request.uri().path();
        match route(path) {
            found @ (Route::Health | Route::Ready) => self.health(request.method(), found),
            _ if path == "/metrics" => {
                if request.method() != Method::GET {
                    return Err(Refusal::plain(
                        StatusCode::METHOD_NOT_ALLOWED,
                        "the method here is GET",
                    )
                    .allowing("GET"));
                }
                let levels = Levels {
                    sessions: self.sessions.count(),
                    streams: self.streams.open(),
                    waiting: self.admission.waiting(),
                    upstream: self.gateway.sessions(),
                };
                let generation = self.gateway.host.chain.current();
                let policies = OfPolicy::all(&generation.policies);
                let text = self
                    .metrics
                    .as_ref()
                    .and_then(|metrics| metrics.text(levels, &policies).ok())
                    .unwrap_or_default();
                Ok(reply::whole(StatusCode::OK, metrics::MEDIA_TYPE, text))
            }
            _ => Err(Refusal::plain(
                StatusCode::NOT_FOUND,
                "here are /metrics, /healthz and /readyz",
            )),
        }
    }
}
