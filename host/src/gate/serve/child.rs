//! The server as a process: its pipes.
//!
//! Knows how bytes go in and come out. What they mean is the core's.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::session::{Server, Session};
use crate::upstream::Child;
use crate::upstream::Outbox;
use crate::upstream::child::Remains;
use crate::upstream::pipe::{Sink, Source};
use crate::wire::LineReader;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// The most bytes that wait for the server before nothing more is read from it.
const MAX_QUEUED: usize = 64 << 20;

/// Runs the pipes of a server that was just started.
pub(super) fn run(session: &Arc<Session>, child: Child) {
    let (outbox, receiver) = mpsc::unbounded_channel();
    let (source, sink, remains) = child.split();
    let task = tokio::spawn(pump(session.clone(), source, sink, remains, receiver));
    session.lock().server = Server::Child { outbox, task };
}

async fn pump(
    session: Arc<Session>,
    mut source: Source,
    mut outbox: Outbox<Sink>,
    remains: Remains,
    mut receiver: mpsc::UnboundedReceiver<Bytes>,
) {
    let max = session.lock().core.wire_limits().max_message;
    let mut lines = LineReader::new(max);
    let mut buffer = BytesMut::with_capacity(CHUNK);
    let mut stop = session.stop.subscribe();
    let how = loop {
        buffer.reserve(CHUNK.max(buffer.len()));
        let waiting = outbox.queued() > 0;
        let stuffed = outbox.queued() > MAX_QUEUED;
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break None,
            line = receiver.recv() => match line {
                Some(line) => {
                    outbox.push(line);
                    outbox.push_slice(b"\n");
                    while let Ok(line) = receiver.try_recv() {
                        outbox.push(line);
                        outbox.push_slice(b"\n");
                    }
                    if let Some(Err(error)) = outbox.flush().now_or_never() {
                        break Some(error.to_string());
                    }
                }
                None => break None,
            },
            read = source.read_buf(&mut buffer), if !stuffed => match read {
                Ok(1..) => {
                    session.is_up();
                    while let Some(frame) = lines.next(&mut buffer) {
                        session.drive(None, |core| core.on_server(frame, None));
                    }
                }
                Ok(0) => break Some("it closed its output".to_owned()),
                Err(error) => break Some(error.to_string()),
            },
            written = outbox.flush(), if waiting => if let Err(error) = written {
                break Some(error.to_string());
            },
        }
    };
    let _ = outbox.flush().now_or_never();
    drop((outbox, source));
    if let Some(how) = &how {
        session.is_down(how);
        // A line that the server did not end is not known to be whole.
        if lines.end(&mut buffer).is_some() {
            tracing::warn!(server = %session.entry.name, "the server ended in the middle of a line, which is dropped");
        }
        session.lock().server = Server::Gone;
        session.drive(None, |core| core.on_server_gone(how));
    }
    if let Err(error) = remains.end().await {
        tracing::warn!("the server's process cannot be waited for: {error}");
    }
}
