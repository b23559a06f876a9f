//! Frames on their way out: written at once where the pipe takes them, queued where it does not.
//!
//! Knows bytes and a writer. Many small frames leave in one system call, and a large one is never copied.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

/// Frames up to this size are joined before they are queued: copying them is cheaper than one more slice to write.
const JOIN_BELOW: usize = 4096;

/// How many slices one system call takes.
const SLICES: usize = 32;

/// A queue of frames in front of a writer.
pub struct Outbox<W> {
    writer: W,
    queue: VecDeque<Bytes>,
    joined: BytesMut,
    queued: usize,
}

impl<W: AsyncWrite + Unpin> Outbox<W> {
    /// An empty queue in front of `writer`.
    pub fn new(writer: W) -> Self {
        Self {
            writer,
            queue: VecDeque::new(),
            joined: BytesMut::new(),
            queued: 0,
        }
    }

    /// Queues a frame, or a part of one.
    pub fn push(&mut self, frame: Bytes) {
        self.queued += frame.len();
        if frame.len() < JOIN_BELOW {
            self.joined.extend_from_slice(&frame);
        } else {
            self.seal();
            self.queue.push_back(frame);
        }
    }

    /// Queues a copy of a frame, or of a part of one.
    pub fn push_slice(&mut self, frame: &[u8]) {
        self.queued += frame.len();
        self.joined.extend_from_slice(frame);
    }

    /// Bytes that wait.
    pub const fn queued(&self) -> usize {
        self.queued
    }

    /// Writes everything that is queued. May be dropped and called again: what was written is not written twice.
    pub async fn flush(&mut self) -> io::Result<()> {
        std::future::poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// See [`Self::flush`].
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.seal();
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let mut used = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(frame);
                used += 1;
            }
            let written = std::task::ready!(
                Pin::new(&mut self.writer).poll_write_vectored(cx, &slices[..used])
            )?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(written);
        }
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn seal(&mut self) {
        if !self.joined.is_empty() {
            self.queue.push_back(self.joined.split().freeze());
        }
    }

    fn advance(&mut self, mut written: usize) {
        self.queued -= written;
        while let Some(front) = self.queue.front_mut() {
            if written < front.len() {
                front.advance(written);
                return;
            }
            written -= front.len();
            self.queue.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn frames_leave_in_order_whole_and_once_however_little_the_pipe_takes() {
        let (near, mut far) = tokio::io::duplex(7);
        let mut outbox = Outbox::new(near);
        let mut expected = Vec::new();
        for size in [3, 5000, 1, 4096, 4095, 9] {
            let frame = vec![u8::try_from(size % 251).unwrap(); size];
            expected.extend_from_slice(&frame);
            outbox.push(Bytes::from(frame));
        }
        assert_eq!(outbox.queued(), expected.len());
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            far.read_to_end(&mut all).await.unwrap();
            all
        });
        outbox.flush().await.unwrap();
        assert_eq!(outbox.queued(), 0);
        drop(outbox);
        assert_eq!(reader.await.unwrap(), expected);
    }
}
