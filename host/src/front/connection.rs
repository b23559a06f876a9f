//! One connection's bytes, and how long it may keep us waiting.
//!
//! Knows when a request's head must be there, how long a connection may do nothing, and how long a client may refuse to
//! read. Knows nothing of what the bytes say.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::{Read, ReadBufCursor, Write};

use super::deadline::Deadline;

/// How long a connection may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a request's head, from its first byte; and on a new connection for that byte.
    pub(crate) head: Duration,
    /// Between requests.
    pub(crate) idle: Duration,
    /// For the client to read anything of what is written to it.
    pub(crate) stalled: Duration,
}

/// A connection that gives up on clients which are too slow.
pub(crate) struct Guarded<T> {
    inner: T,
    patience: Patience,
    busy: Arc<AtomicBool>,
    /// Until when the next request's head must be there.
    reading: Deadline,
    /// Whether a part of it came.
    begun: bool,
    /// Until when something must have been written.
    writing: Deadline,
}

/// A request of this connection's that is being answered; dropped when it was.
#[derive(Debug)]
pub(crate) struct Busy(Arc<AtomicBool>);

impl<T> Guarded<T> {
    /// Over `inner`.
    pub(crate) fn new(inner: T, patience: Patience) -> Self {
        let mut reading = Deadline::default();
        reading.set(patience.head);
        Self {
            inner,
            patience,
            busy: Arc::default(),
            reading,
            begun: false,
            writing: Deadline::default(),
        }
    }

    /// A maker of guards for this connection's requests.
    pub(crate) fn guards(&self) -> impl Fn() -> Busy + use<T> {
        let busy = self.busy.clone();
        move || {
            busy.store(true, Ordering::Release);
            Busy(busy.clone())
        }
    }

    fn written<R>(
        &mut self,
        cx: &mut Context<'_>,
        done: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if done.is_ready() {
            self.writing.lift();
            return done;
        }
        if !self.writing.is_set() {
            self.writing.set(self.patience.stalled);
        }
        if self.writing.passed(cx) {
            return Poll::Ready(Err(late("the client reads nothing")));
        }
        Poll::Pending
    }
}

fn late(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

impl<T: Read + Unpin> Read for Guarded<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.inner).poll_read(cx, buffer);
        if this.busy.load(Ordering::Acquire) {
            this.reading.lift();
            this.begun = false;
            return read;
        }
        match read {
            Poll::Ready(Ok(())) => {
                if !this.begun {
                    this.begun = true;
                    this.reading.set(this.patience.head);
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                if !this.reading.is_set() {
                    this.reading.set(this.patience.idle);
                }
                if this.reading.passed(cx) {
                    return Poll::Ready(Err(late("no request came in time")));
                }
            }
        }
        read
    }
}

impl<T: Write + Unpin> Write for Guarded<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.written(cx, done)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.written(cx, done)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_flush(cx);
        self.written(cx, done)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.written(cx, done)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use std::time::Instant;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

    const SHORT: Duration = Duration::from_millis(60);
    const LONG: Duration = Duration::from_secs(60);

    fn pair(
        room: usize,
        patience: Patience,
    ) -> (DuplexStream, TokioIo<Guarded<TokioIo<DuplexStream>>>) {
        let (client, server) = tokio::io::duplex(room);
        (
            client,
            TokioIo::new(Guarded::new(TokioIo::new(server), patience)),
        )
    }

    fn patience(head: Duration, idle: Duration, stalled: Duration) -> Patience {
        Patience {
            head,
            idle,
            stalled,
        }
    }

    fn timed_out<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| error.kind() == io::ErrorKind::TimedOut)
    }

    #[tokio::test]
    async fn a_head_that_trickles_in_is_not_waited_for() {
        let (mut client, mut server) = pair(64, patience(SHORT, LONG, LONG));
        let mut buffer = [0; 64];
        let trickle = tokio::spawn(async move {
            // Every byte comes within every limit but the head's own.
            while client.write_all(b"x").await.is_ok() {
                tokio::time::sleep(SHORT / 10).await;
            }
        });
        let begun = Instant::now();
        let end = loop {
            match server.read(&mut buffer).await {
                Ok(_) => {}
                end => break end,
            }
        };
        assert!(timed_out(end));
        assert!(begun.elapsed() >= SHORT);
        drop(server);
        trickle.await.unwrap();
    }

    #[tokio::test]
    async fn a_connection_without_a_request_ends() {
        let (_client, mut server) = pair(64, patience(SHORT, LONG, LONG));
        assert!(timed_out(server.read(&mut [0; 8]).await));
    }

    #[tokio::test]
    async fn a_connection_that_is_answered_may_wait_and_an_idle_one_not_for_ever() {
        let (_client, mut server) = pair(64, patience(SHORT, SHORT * 2, LONG));
        let busy = server.inner().guards()();
        let mut buffer = [0; 8];
        let waits = tokio::time::timeout(SHORT * 4, server.read(&mut buffer));
        assert!(waits.await.is_err());
        drop(busy);
        let idle = Instant::now();
        assert!(timed_out(server.read(&mut buffer).await));
        assert!(idle.elapsed() >= SHORT * 2);
    }

    #[tokio::test]
    async fn a_client_that_reads_nothing_is_cut_off() {
        let (_client, mut server) = pair(8, patience(LONG, LONG, SHORT));
        server.write_all(&[0; 8]).await.unwrap();
        assert!(timed_out(server.write_all(&[0; 8]).await));
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_is_not_cut_off() {
        let stalled = Duration::from_millis(400);
        let (mut client, mut server) = pair(8, patience(LONG, LONG, stalled));
        let reader = tokio::spawn(async move {
            for _ in 0..8 {
                tokio::time::sleep(stalled / 5).await;
                client.read_exact(&mut [0; 8]).await.unwrap();
            }
        });
        let begun = Instant::now();
        server.write_all(&[0; 64]).await.unwrap();
        reader.await.unwrap();
        assert!(begun.elapsed() > stalled, "longer in all than it may stall");
    }
}
