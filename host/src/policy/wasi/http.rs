//! `wasi:http` to the hosts that the operator named.
//!
//! Knows a grant and the time a request may take. A request to any other place is refused before a connection is made;
//! redirects are the guest's to follow, and are requests like any other.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pooled;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::client_tls;
use crate::config::HttpGrant;

/// How long a connection waits for the next request.
const IDLE: Duration = Duration::from_secs(4);

type Https = Pooled<HttpsConnector<HttpConnector>, WasiBody>;

/// The connections that the policies of an engine share; made when the first is needed.
#[derive(Clone, Default)]
pub(in crate::policy) struct Client(Arc<OnceLock<Https>>);

/// The requests of one instance.
pub(super) struct Requests {
    grant: Option<Arc<HttpGrant>>,
    client: Client,
}

type Answer = Result<
    (
        Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

impl Client {
    fn get(&self) -> Result<&Https, rustls::Error> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let mut tls = (*client_tls::config()?).clone();
        // The connector sets it.
        tls.alpn_protocols.clear();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .build();
        let client = Pooled::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(self.0.get_or_init(|| client))
    }
}

impl Requests {
    pub(super) fn new(grant: Option<Arc<HttpGrant>>, client: &Client) -> Self {
        Self {
            grant,
            client: client.clone(),
        }
    }

    /// The time that the request may take, if it is one that was granted.
    fn granted(&self, request: &Request<WasiBody>) -> Result<Duration, Error> {
        let grant = self.grant.as_ref().ok_or(Error::HttpRequestDenied)?;
        let uri = request.uri();
        let authority = uri.authority().ok_or(Error::HttpRequestUriInvalid)?;
        let tls = uri.scheme() == Some(&Scheme::HTTPS);
        let port = match authority.port() {
            Some(port) => port.as_u16(),
            None if tls => 443,
            None => 80,
        };
        // A tunnel leads anywhere.
        if request.method() == Method::CONNECT
            || authority.as_str().contains('@')
            || !grant.allows(tls, authority.host(), port)
        {
            return Err(Error::HttpRequestDenied);
        }
        Ok(grant.timeout)
    }
}

impl WasiHttpHooks for Requests {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _errors: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Answer> + Send> {
        let granted = self.granted(&request);
        let client = self.client.clone();
        Box::new(async move { send(client, request, granted?, options.unwrap_or_default()).await })
    }
}

async fn send(
    client: Client,
    request: Request<WasiBody>,
    time: Duration,
    options: RequestOptions,
) -> Answer {
    let client = client
        .get()
        .map_err(|error| Error::Tls(io::Error::other(error)))?;
    let end = Instant::now() + time;
    // A guest may give up sooner than it has to.
    let first = [options.connect_timeout, options.first_byte_timeout]
        .into_iter()
        .flatten()
        .fold(time, Duration::min);
    let answer = tokio::time::timeout(first, client.request(request)).await;
    let answer = answer.map_err(|_| Error::HttpResponseTimeout)?;
    let answer = answer.map_err(|error| match error.is_connect() {
        true => Error::Connect(io::Error::other(error)),
        false => Error::ConnectionTerminated,
    })?;
    let answer = answer.map(|body| {
        Until {
            body,
            end: Box::pin(tokio::time::sleep_until(end)),
        }
        .boxed_unsync()
    });
    Ok((answer, Box::new(async { Ok(()) })))
}

/// A body that must have come whole by a time.
struct Until {
    body: Incoming,
    end: Pin<Box<Sleep>>,
}

impl Body for Until {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(Error::HttpResponseTimeout))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
