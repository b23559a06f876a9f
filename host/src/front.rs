//! HTTP as clients meet it: the listener, who may come in, how messages and streams travel.
//!
//! Knows HTTP, callers and their credentials. Knows nothing of policies: what a message means and whether it may pass
//! is `gate`'s to say.
//!
//! A request is looked at in one order: its path, `Host`, `Origin`, who calls, its method, the types of its body and of
//! the answer, then the body. What comes first decides.

mod admin;
pub mod auth;
mod body;
mod connection;
mod deadline;
mod events;
mod file;
mod headers;
pub mod health;
mod limits;
mod listen;
mod metrics;
mod modern;
mod origin;
mod post;
mod reply;
mod route;
pub mod run;
mod server;
mod sessions;
mod sse;
pub mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_REQUEST_METHOD,
    HOST, ORIGIN,
};
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use crate::config::HttpConfig;
use crate::gate::serve::Gateway;
use auth::{AuthError, Authenticator, Pass};
use events::Check;
use limits::{Admission, Bound};
use metrics::{Metrics, Seen};
use origin::Names;
use reply::{Body, Refusal};
use route::{Route, route};
use sessions::Sessions;
use tls::{Tls, TlsError};

/// Everything that answers requests.
pub struct Front {
    gateway: Arc<Gateway>,
    config: HttpConfig,
    auth: Arc<Authenticator>,
    tls: Option<Tls>,
    names: Names,
    sessions: Arc<Sessions>,
    admission: Admission,
    /// Bodies that may be read at once.
    bodies: Semaphore,
    /// Streams of events that are open.
    streams: Bound,
    /// None if nobody reads them.
    metrics: Option<Arc<Metrics>>,
    stopping: watch::Sender<bool>,
}

/// Why clients cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}; name another by `{key}` in [http]")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The setting that names it.
        key: &'static str,
        /// Why.
        error: std::io::Error,
    },
    /// Callers cannot be known.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// TLS cannot be offered.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The methods of a server's endpoint.
const METHODS: &str = "POST, GET, DELETE";

impl Front {
    /// In front of the servers of `gateway`, listening at `address`.
    ///
    /// # Errors
    /// If callers cannot be known as configured, or TLS cannot be offered.
    pub fn new(
        gateway: Arc<Gateway>,
        config: HttpConfig,
        address: SocketAddr,
    ) -> Result<Arc<Self>, FrontError> {
        let limits = &config.limits;
        let auth = Authenticator::open(&config, address, gateway.host.ledger.clone())?;
        let tls = config.tls.as_ref().map(Tls::open).transpose()?;
        let metrics = config.admin.map(|_| Arc::new(Metrics::new()));
        if let Some(metrics) = metrics.clone() {
            let audit = &gateway.host.audit;
            audit.shown_to(move |record| metrics.decided(record));
        }
        Ok(Arc::new(Self {
            names: Names::new(
                address,
                config.tls.is_some(),
                &config.hosts,
                &config.origins,
            ),
            sessions: Sessions::new(
                limits.max_sessions,
                limits.max_sessions_per_caller,
                limits.session_idle,
            ),
            admission: Admission::new(
                limits.max_requests,
                limits.max_requests_per_caller,
                limits.max_queue,
                limits.queue_timeout,
            ),
            bodies: Semaphore::new(limits.max_requests),
            streams: Bound::new(limits.max_streams),
            stopping: watch::Sender::new(false),
            auth,
            tls,
            metrics,
            gateway,
            config,
        }))
    }

    /// Answers one request.
    pub(crate) async fn answer(self: &Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let begun = self.metrics.as_ref().map(|_| Instant::now());
        let mut seen = Seen::default();
        let (parts, body) = request.into_parts();
        let mut response = self
            .handle(&parts, body, &mut seen)
            .await
            .unwrap_or_else(Refusal::into_response);
        if let (Some(metrics), Some(begun)) = (&self.metrics, begun) {
            metrics.answered(&seen, response.status(), begun.elapsed());
        }
        if let Some(origin) = parts.headers.get(ORIGIN)
            && self.may_call(origin)
        {
            reply::readable_by(&mut response, origin);
        }
        response
    }

    async fn handle(
        self: &Arc<Self>,
        parts: &Parts,
        body: Incoming,
        seen: &mut Seen,
    ) -> Result<Response<Body>, Refusal> {
        let route = route(parts.uri.path());
        match route {
            Route::Health | Route::Ready => return self.health(&parts.method, route),
            Route::Unknown => {
                return Err(Refusal::plain(
                    StatusCode::NOT_FOUND,
                    "nothing is here; servers are at /mcp/NAME",
                ));
            }
            _ => {}
        }
        self.is_for_us(parts)?;
        let server = match route {
            Route::Server(server) => server,
            Route::All => {
                return Err(Refusal::plain(
                    StatusCode::NOT_FOUND,
                    "all servers under one endpoint are not offered; each is at /mcp/NAME",
                ));
            }
            _ => {
                let path = parts.uri.path();
                let metadata = self.auth.metadata(path, &parts.headers);
                return Err(metadata.map_or_else(
                    || Refusal::plain(StatusCode::NOT_FOUND, "nothing is here"),
                    Refusal::made,
                ));
            }
        };
        if parts.method == Method::OPTIONS {
            return self.preflight(parts);
        }
        let admission = self
            .auth
            .authenticate(&parts.headers, server)
            .await
            .map_err(|challenge| Refusal::made(challenge.response()))?;
        if !self.gateway.knows(server) {
            return Err(Refusal::plain(
                StatusCode::NOT_FOUND,
                format!("no server is called {server}; servers stand in the gate's configuration"),
            ));
        }
        if self.metrics.is_some() {
            seen.server = Some(server.into());
        }
        if *self.stopping.borrow() {
            return Err(
                Refusal::plain(StatusCode::SERVICE_UNAVAILABLE, "the gate is stopping").closing(),
            );
        }
        match parts.method {
            Method::POST => self.post(server, admission, parts, body, seen).await,
            Method::GET => self.listen(server, &admission, parts),
            Method::DELETE => self.delete(server, &admission.caller, parts),
            _ => Err(Refusal::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "the methods here are POST, GET and DELETE",
            )
            .allowing(METHODS)),
        }
    }

    /// Whether the request means us, and comes from where it may.
    fn is_for_us(&self, parts: &Parts) -> Result<(), Refusal> {
        if parts.uri.authority().is_some() {
            return Err(Refusal::plain(
                StatusCode::BAD_REQUEST,
                "the gate is no proxy: name the path alone",
            ));
        }
        headers::refuse_doubles(&parts.headers)?;
        headers::refuse_codings(&parts.headers)?;
        let host =
            headers::one(&parts.headers, &HOST).map_err(|error| headers::unusable(&error))?;
        let Some(host) = host else {
            return Err(Refusal::plain(
                StatusCode::BAD_REQUEST,
                "the header Host is missing",
            ));
        };
        if !self.names.is_ours(host, self.config.tls.is_some()) {
            return Err(Refusal::plain(
                StatusCode::FORBIDDEN,
                "the header Host names another host; names that are ours stand in `hosts` in [http]",
            ));
        }
        match parts.headers.get(ORIGIN) {
            Some(origin) if !self.may_call(origin) => Err(Refusal::plain(
                StatusCode::FORBIDDEN,
                "pages of this Origin may not call; those that may stand in `origins` in [http]",
            )),
            _ => Ok(()),
        }
    }

    fn may_call(&self, origin: &HeaderValue) -> bool {
        origin
            .to_str()
            .is_ok_and(|origin| self.names.may_call(origin))
    }

    /// Tells a browser what a page of an origin that may call can send (WHATWG Fetch, CORS-preflight). It asks without
    /// credentials.
    fn preflight(&self, parts: &Parts) -> Result<Response<Body>, Refusal> {
        if !parts.headers.contains_key(ORIGIN)
            || !parts.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        {
            return Err(Refusal::plain(
                StatusCode::METHOD_NOT_ALLOWED,
                "the methods here are POST, GET and DELETE",
            )
            .allowing(METHODS));
        }
        let mut response = Response::new(Body::whole(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(METHODS),
        );
        // A browser asks for the names it wants; they are not secret, and what they say is judged when they come.
        let wanted = parts
            .headers
            .get(http::header::ACCESS_CONTROL_REQUEST_HEADERS)
            .cloned()
            .unwrap_or_else(|| HeaderValue::from_static("Authorization, Content-Type"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        Ok(response)
    }

    /// Says whether a caller may still be there, for as long as a stream is open.
    fn holds(&self, pass: Pass) -> Check {
        let auth = self.auth.clone();
        Box::new(move || auth.holds(&pass))
    }

    /// Ready when the process stops.
    fn stops(&self) -> BoxFuture<'static, ()> {
        let mut stopping = self.stopping.subscribe();
        async move { stopping.wait_for(|stopping| *stopping).map(|_| ()).await }.boxed()
    }
}
