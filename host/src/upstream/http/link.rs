//! One connection to the server: TCP, TLS where the URL asks for it, HTTP/1.1.
//!
//! Knows one exchange at a time. There is no task for a connection: whoever waits for an answer drives it, so that a call
//! costs no hop between tasks, and nothing is read that nobody waits for.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::UpstreamError;
use crate::upstream::Endpoint;

/// How long a connection may take to come about, name lookup and TLS included.
const CONNECT: Duration = Duration::from_secs(10);

/// How long one address has before the next is tried beside it (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);

/// How long a connection may be silent before the system asks whether the other side is there, how often it asks, and
/// how many times without an answer.
#[cfg(target_os = "linux")]
const PROBE_AFTER: Duration = Duration::from_secs(30);
#[cfg(target_os = "linux")]
const PROBE_EVERY: Duration = Duration::from_secs(10);
#[cfg(target_os = "linux")]
const PROBES: u32 = 3;

/// How much is read into one buffer at most, and how long the head of an answer may be, bytes.
const BUFFER: usize = 256 << 10;

/// How many header fields an answer may have.
const MAX_HEADERS: usize = 100;

/// Bytes to and from the server.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A connection, and what is under way on it.
pub(super) struct Link {
    sender: http1::SendRequest<Full<Bytes>>,
    /// None once the connection is closed.
    driver: Option<Driver>,
}

/// Boxed, since it is large and passed around.
type Driver = Box<http1::Connection<TokioIo<Stream>, Full<Bytes>>>;

/// A request did not get its answer.
pub(super) enum SendError {
    /// Nothing of it was written: it may be sent again.
    Unsent(Box<Request<Full<Bytes>>>, hyper::Error),
    /// The server may have it.
    Broken(hyper::Error),
}

impl Link {
    /// Connects.
    pub(super) async fn open(endpoint: &Endpoint) -> Result<Self, UpstreamError> {
        let stream = match tokio::time::timeout(CONNECT, connect(endpoint)).await {
            Ok(stream) => stream?,
            Err(_) => {
                return Err(UpstreamError::ConnectTimeout {
                    server: endpoint.name.clone(),
                    at: endpoint.shown(),
                    after: CONNECT,
                });
            }
        };
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .max_headers(MAX_HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|source| UpstreamError::Broken {
                server: endpoint.name.clone(),
                source,
            })?;
        Ok(Self {
            sender,
            driver: Some(Box::new(driver)),
        })
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, SendError> {
        let mut answer = std::pin::pin!(self.sender.try_send_request(request));
        let driver = &mut self.driver;
        let answered = std::future::poll_fn(|cx| {
            drive(driver, cx);
            answer.as_mut().poll(cx)
        });
        answered
            .await
            .map_err(|mut error| match error.take_message() {
                Some(request) => SendError::Unsent(Box::new(request), error.into_error()),
                None => SendError::Broken(error.into_error()),
            })
    }

    /// The next bytes of an answer's body; none at its end.
    pub(super) async fn read(
        &mut self,
        body: &mut Incoming,
    ) -> Option<Result<Bytes, hyper::Error>> {
        std::future::poll_fn(|cx| self.poll_read(body, cx)).await
    }

    /// See [`Self::read`].
    pub(super) fn poll_read(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, hyper::Error>>> {
        loop {
            // What was read already comes first: driving would make hyper read on.
            if let Poll::Ready(frame) = poll_data(body, cx) {
                return Poll::Ready(frame);
            }
            let open = self.driver.is_some();
            drive(&mut self.driver, cx);
            if let Poll::Ready(frame) = poll_data(body, cx) {
                return Poll::Ready(frame);
            }
            if !open || self.driver.is_some() {
                return Poll::Pending;
            }
        }
    }

    /// Whether another request may be sent now. The answer to the last one must have been read.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        drive(&mut self.driver, cx);
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// Lets the connection do what it can. Its errors come to whoever waits for an answer or a body as well.
fn drive(driver: &mut Option<Driver>, cx: &mut Context<'_>) {
    if let Some(connection) = driver
        && let Poll::Ready(ended) = Pin::new(connection).poll(cx)
    {
        if let Err(error) = ended {
            tracing::trace!("a connection ended: {error}");
        }
        *driver = None;
    }
}

/// The next data of a body, trailers passed over.
fn poll_data(
    body: &mut Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<Result<Bytes, hyper::Error>>> {
    loop {
        match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Err(error)) => return Poll::Ready(Some(Err(error))),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Poll::Ready(Some(Ok(data)));
                }
            }
        }
    }
}

async fn connect(endpoint: &Endpoint) -> Result<Stream, UpstreamError> {
    let unreachable = |source| UpstreamError::Unreachable {
        server: endpoint.name.clone(),
        at: endpoint.shown(),
        source,
    };
    let tls = |source| UpstreamError::Tls {
        server: endpoint.name.clone(),
        at: endpoint.shown(),
        source,
    };
    let host = endpoint.host();
    let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, endpoint.port()))
        .await
        .map_err(unreachable)?
        .collect();
    let tcp = first_of(interleaved(addresses))
        .await
        .map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    keep_alive(&tcp).map_err(unreachable)?;
    if !endpoint.is_https() {
        return Ok(Stream::Plain(tcp));
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|error| tls(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
    let config = crate::client_tls::config().map_err(|error| tls(io::Error::other(error)))?;
    match TlsConnector::from(config).connect(name, tcp).await {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(source) if is_tls(&source) => Err(tls(source)),
        Err(source) => Err(unreachable(source)),
    }
}

fn is_tls(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<rustls::Error>())
}

/// Has the system find out that the other side is gone though it never said so: whoever waits for an answer sends nothing
/// that would.
fn keep_alive(tcp: &TcpStream) -> io::Result<()> {
    use rustix::net::sockopt;
    sockopt::set_socket_keepalive(tcp, true)?;
    #[cfg(target_os = "linux")]
    {
        sockopt::set_tcp_keepidle(tcp, PROBE_AFTER)?;
        sockopt::set_tcp_keepintvl(tcp, PROBE_EVERY)?;
        sockopt::set_tcp_keepcnt(tcp, PROBES)?;
    }
    Ok(())
}

/// Addresses of both families in turn, beginning with the family that the system put first (RFC 8305, section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|a| a.is_ipv6() == first);
    let mut all = Vec::with_capacity(one.len() + other.len());
    one.reverse();
    other.reverse();
    while let Some(address) = one.pop() {
        all.push(address);
        all.extend(other.pop());
    }
    all.extend(other.into_iter().rev());
    all
}

/// The first address that takes a connection: each is given a head start, then the next is tried beside it.
async fn first_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut rest = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(address) = rest.next() {
            under_way.push(TcpStream::connect(address));
        } else if under_way.is_empty() {
            return Err(failure);
        }
        let connected = if rest.len() == 0 {
            under_way.next().await
        } else {
            tokio::time::timeout(STAGGER, under_way.next())
                .await
                .unwrap_or(None)
        };
        match connected {
            Some(Ok(stream)) => return Ok(stream),
            Some(Err(error)) => failure = error,
            None => {}
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(inner) => Pin::new(inner).poll_read(cx, buf),
            Self::Tls(inner) => Pin::new(inner).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(inner) => Pin::new(inner).poll_write(cx, buf),
            Self::Tls(inner) => Pin::new(inner).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
            Self::Tls(inner) => Pin::new(inner).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(inner) => inner.is_write_vectored(),
            Self::Tls(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(inner) => Pin::new(inner).poll_flush(cx),
            Self::Tls(inner) => Pin::new(inner).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(inner) => Pin::new(inner).poll_shutdown(cx),
            Self::Tls(inner) => Pin::new(inner).poll_shutdown(cx),
        }
    }
}
