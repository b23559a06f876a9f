//! The listener: connections, their limits, and how they end.
//!
//! Knows sockets and HTTP/1.1. What a request means is `Front`'s to say.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::connection::{Guarded, Patience};
use super::{Front, listen};

/// How long nothing is accepted after the system refused to give a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// How long a connection may be open without a request.
const IDLE: Duration = Duration::from_secs(120);

/// How long a client may read nothing of what is written to it: what waits for it is not kept for ever.
const STALLED: Duration = Duration::from_secs(30);

/// How often idle sessions are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// Serves until `stop` returns: then no connection is accepted, streams that belong to no request end, and requests under
/// way have `shutdown_grace` to be answered, or until `stop` returns once more. Sessions are ended; the gateway is not.
pub(super) async fn serve(front: Arc<Front>, listener: TcpListener, mut stop: impl AsyncFnMut()) {
    let graceful = GracefulShutdown::new();
    let room = Arc::new(Semaphore::new(front.config.limits.max_connections));
    let sweeping = tokio::spawn(sweep(front.clone()));
    loop {
        let accepted = tokio::select! {
            () = stop() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("a connection cannot be accepted: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let (front, watcher) = (front.clone(), graceful.watcher());
        tokio::spawn(async move {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!("a connection: {error}");
            }
            secured(front, stream, watcher).await;
            drop(permit);
        });
    }
    drop(listener);
    sweeping.abort();
    front.stopping.send_replace(true);
    let grace = front.config.limits.shutdown_grace;
    let answered = tokio::select! {
        answered = tokio::time::timeout(grace, graceful.shutdown()) => answered.is_ok(),
        () = stop() => false,
    };
    if !answered {
        tracing::warn!("requests were under way when the time to stop had come");
    }
    for entry in front.sessions.take_all() {
        listen::close(entry);
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// Shakes hands first, where that is configured.
async fn secured(front: Arc<Front>, stream: TcpStream, watcher: Watcher) {
    let Some(tls) = &front.tls else {
        return connection(front, stream, watcher).await;
    };
    let limit = front.config.limits.header_timeout;
    match tokio::time::timeout(limit, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(front.clone(), stream, watcher).await,
        Ok(Err(error)) => tracing::debug!("a TLS handshake failed: {error}"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

/// Answers the requests of one connection, one after the other.
async fn connection<S>(front: Arc<Front>, stream: S, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let limits = &front.config.limits;
    let patience = Patience {
        head: limits.header_timeout,
        idle: IDLE,
        stalled: STALLED,
    };
    let io = Guarded::new(TokioIo::new(stream), patience);
    let begin = io.guards();
    let mut builder = http1::Builder::new();
    // The connection itself knows how long a head may take, without a timer for each.
    builder
        .header_read_timeout(None)
        .max_header_size(limits.max_header_bytes);
    let service = service_fn(|request| {
        let (front, busy) = (front.clone(), begin());
        async move {
            let response = front.answer(request).await;
            Ok::<_, Infallible>(response.map(|body| body.while_busy(busy)))
        }
    });
    let served = watcher.watch(builder.serve_connection(io, service)).await;
    if let Err(error) = served {
        tracing::debug!("a connection ended: {error}");
    }
}

/// Ends sessions that nobody uses.
async fn sweep(front: Arc<Front>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        for entry in front.sessions.take_ended() {
            listen::close(entry);
        }
        front.admission.tidy();
    }
}
