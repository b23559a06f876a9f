//! What comes back to the client: about one request, or about none.
//!
//! Knows queues and their bounds. Knows nothing of how they are written to a connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;

use super::session::Session;
use super::spread::Work;

/// The most bytes that wait for one client to read them.
const MAX_QUEUED: usize = 64 << 20;

/// The most messages, and bytes, that are kept while nobody listens.
const MAX_STANDING: (usize, usize) = (256, 4 << 20);

/// What comes back to the client about one request.
#[derive(Debug)]
pub enum Said {
    /// The server answers with a stream: what it says will come one after the other.
    Streams,
    /// A message that is not the answer: a notification, or a request of the server's.
    Message(Bytes),
    /// The answer; nothing follows. `error` is the code, if it is an error.
    Answer {
        /// The whole message, without a line end.
        line: Bytes,
        /// The error's code.
        error: Option<i64>,
    },
}

impl Said {
    fn len(&self) -> usize {
        match self {
            Self::Streams => 0,
            Self::Message(line) | Self::Answer { line, .. } => line.len(),
        }
    }
}

/// The near end of an exchange.
pub(super) struct Feed {
    sender: mpsc::UnboundedSender<Said>,
    pub(super) queued: Arc<AtomicUsize>,
}

impl Feed {
    pub(super) fn new(sender: mpsc::UnboundedSender<Said>) -> Self {
        let queued = Arc::new(AtomicUsize::new(0));
        Self { sender, queued }
    }

    /// Waits until nobody waits for what is said.
    pub(super) fn gone(&self) -> impl Future<Output = ()> + Send + 'static {
        let sender = self.sender.clone();
        async move { sender.closed().await }
    }

    /// Says something; false if too much waits already.
    pub(super) fn say(&self, said: Said) -> bool {
        let length = said.len();
        let before = self.queued.fetch_add(length, Ordering::Relaxed);
        // One message may be as long as messages may be.
        if before > MAX_QUEUED {
            return false;
        }
        // Nobody waits for it any more: the request goes on without.
        let _ = self.sender.send(said);
        true
    }
}

/// One request under way. In 2026-07-28 dropping it before the answer cancels the request; otherwise the request goes
/// on without it.
pub struct Exchange {
    session: Arc<Session>,
    number: u64,
    receiver: mpsc::UnboundedReceiver<Said>,
    queued: Arc<AtomicUsize>,
    work: Option<BoxFuture<'static, ()>>,
    answered: bool,
}

impl Exchange {
    pub(super) fn new(
        session: Arc<Session>,
        number: u64,
        receiver: mpsc::UnboundedReceiver<Said>,
        queued: Arc<AtomicUsize>,
        work: Vec<Work>,
    ) -> Self {
        let work = (!work.is_empty()).then(|| session.clone().work(Some(number), work));
        Self {
            session,
            number,
            receiver,
            queued,
            work,
            answered: false,
        }
    }

    /// Which exchange of its session it is.
    pub(super) const fn number(&self) -> u64 {
        self.number
    }

    /// What comes next; none after the answer, or if there will be none: the
    /// session ended, or the client said that it wants none. Work for the request is done while
    /// this is polled. May be dropped and called again.
    pub async fn next(&mut self) -> Option<Said> {
        if self.answered {
            return None;
        }
        let said = loop {
            let Some(work) = &mut self.work else {
                break self.receiver.recv().await;
            };
            tokio::select! {
                biased;
                said = self.receiver.recv() => break said,
                () = work => self.work = None,
            }
        };
        let said = said?;
        self.queued.fetch_sub(said.len(), Ordering::Relaxed);
        self.answered = matches!(said, Said::Answer { .. });
        // What is left of the work is mostly nothing, and not worth a task of its own.
        if self.answered
            && let Some(work) = &mut self.work
            && work.now_or_never().is_some()
        {
            self.work = None;
        }
        Some(said)
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if self.session.stateless && !self.answered {
            // The stream upstream is closed with the work, which says the same to a server behind a URL.
            self.work = None;
            let number = self.number;
            self.session.forget(number);
            self.session
                .drive(None, |core| core.on_exchange_gone(number));
            return;
        }
        if let Some(work) = self.work.take() {
            self.session.begin(work);
        }
        self.session.quiet();
    }
}

/// What belongs to no request.
#[derive(Default)]
pub(super) struct Standing {
    /// Who listens, and how many bytes wait for it.
    listener: Option<(mpsc::UnboundedSender<Bytes>, Arc<AtomicUsize>)>,
    kept: VecDeque<Bytes>,
    bytes: usize,
    closed: bool,
}

impl Standing {
    /// Whether somebody listens.
    pub(super) fn is_heard(&self) -> bool {
        self.listener
            .as_ref()
            .is_some_and(|(listener, _)| !listener.is_closed())
    }

    /// Says something to who listens, or keeps it, the oldest giving way. Who does not read is listened for no more.
    pub(super) fn say(&mut self, line: Bytes) {
        let length = line.len();
        let line = match &self.listener {
            Some((_, queued)) if queued.load(Ordering::Relaxed) > MAX_QUEUED => {
                tracing::warn!("a client does not read what it listens to: it is cut off");
                self.listener = None;
                line
            }
            Some((listener, queued)) => {
                queued.fetch_add(length, Ordering::Relaxed);
                match listener.send(line) {
                    Ok(()) => return,
                    Err(unsent) => unsent.0,
                }
            }
            None => line,
        };
        self.bytes += length;
        self.kept.push_back(line);
        while self.kept.len() > MAX_STANDING.0 || self.bytes > MAX_STANDING.1 {
            let Some(oldest) = self.kept.pop_front() else {
                return;
            };
            self.bytes -= oldest.len();
        }
    }

    /// What was kept, what comes, and how many bytes of both wait.
    pub(super) fn listen(&mut self) -> (mpsc::UnboundedReceiver<Bytes>, Arc<AtomicUsize>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let queued = Arc::new(AtomicUsize::new(self.bytes));
        self.bytes = 0;
        for line in self.kept.drain(..) {
            let _ = sender.send(line);
        }
        self.listener = (!self.closed).then(|| (sender, queued.clone()));
        (receiver, queued)
    }

    /// Takes back what one who listened has not read: it is for who listens now, or next.
    fn take_back(&mut self, unread: Vec<Bytes>) {
        if self.is_heard() {
            for line in unread {
                self.say(line);
            }
            return;
        }
        for line in unread.into_iter().rev() {
            self.bytes += line.len();
            self.kept.push_front(line);
        }
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.listener = None;
    }
}

/// What the server says to none of the client's requests in particular: a stream of its own.
pub struct Listening {
    session: Arc<Session>,
    receiver: mpsc::UnboundedReceiver<Bytes>,
    queued: Arc<AtomicUsize>,
}

impl Listening {
    pub(super) fn new(
        session: Arc<Session>,
        (receiver, queued): (mpsc::UnboundedReceiver<Bytes>, Arc<AtomicUsize>),
    ) -> Self {
        Self {
            session,
            receiver,
            queued,
        }
    }

    /// What comes next; none when the session is over, or somebody else listens.
    pub async fn next(&mut self) -> Option<Bytes> {
        let line = self.receiver.recv().await?;
        self.queued.fetch_sub(line.len(), Ordering::Relaxed);
        Some(line)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.receiver.close();
        let mut unread = Vec::new();
        while let Ok(line) = self.receiver.try_recv() {
            unread.push(line);
        }
        if !unread.is_empty() {
            self.session.lock().standing.take_back(unread);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_one_listener_did_not_read_is_for_the_next() {
        let mut standing = Standing::default();
        let (mut first, _) = standing.listen();
        for line in ["a", "b"] {
            standing.say(Bytes::from_static(line.as_bytes()));
        }
        assert_eq!(first.try_recv().unwrap(), "a");
        first.close();
        standing.say(Bytes::from_static(b"c"));
        standing.take_back(vec![first.try_recv().unwrap()]);
        let (mut second, queued) = standing.listen();
        assert_eq!(queued.load(Ordering::Relaxed), 2);
        assert_eq!(second.try_recv().unwrap(), "b");
        assert_eq!(second.try_recv().unwrap(), "c");
        standing.take_back(vec![Bytes::from_static(b"d")]);
        assert_eq!(second.try_recv().unwrap(), "d");
    }
}
