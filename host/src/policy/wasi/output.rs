//! Standard output and error: lines for the host's log.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::policy::contract::imports::log::Level;
use crate::policy::guest_log::{CHARS, GuestLog};

/// How much a guest may write at once, bytes.
const AT_ONCE: usize = 16 * 1024;

/// The longest line, bytes; a longer one is cut where it is this long. Characters have four bytes at the most.
const LINE: usize = 4 * CHARS;

/// One of the two. Every stream of it that the guest opens continues the same line.
#[derive(Clone)]
pub(super) struct Lines(Arc<Mutex<Line>>);

/// A line that has not ended; what is in it when the instance ends is still written.
struct Line {
    log: Arc<GuestLog>,
    bytes: Vec<u8>,
}

impl Lines {
    pub(super) fn new(log: &Arc<GuestLog>) -> Self {
        let line = Line {
            log: log.clone(),
            bytes: Vec::new(),
        };
        Self(Arc::new(Mutex::new(line)))
    }
}

impl Line {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' || self.bytes.len() >= LINE {
                self.end();
            }
            if *byte != b'\n' {
                self.bytes.push(*byte);
            }
        }
    }

    fn end(&mut self) {
        if !self.bytes.is_empty() {
            let text = String::from_utf8_lossy(&self.bytes);
            self.log.message(Level::Info, &text);
            self.bytes.clear();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.end();
    }
}

impl IsTerminal for Lines {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Lines {
    // Only WASI 0.2 is linked, which asks for the stream below.
    fn async_stream(&self) -> Box<dyn tokio::io::AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Lines {
    async fn ready(&mut self) {}
}

impl OutputStream for Lines {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(AT_ONCE)
    }
}
