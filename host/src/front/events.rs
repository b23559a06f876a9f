//! Streams of events to a client, and those that a client may come back to.
//!
//! Knows how events are kept, bounded, and given out again after a broken connection (2025-11-25, "Resumability and
//! Redelivery"). Knows nothing of what the messages say.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;

use super::deadline::Deadline;
use super::limits::Slot;
use super::sessions::InUse;
use super::sse::{self, EventId};

/// The most events that are kept of one stream beyond those nobody has read yet.
const MAX_EVENTS: usize = 256;

/// The most bytes, likewise.
const MAX_BYTES: usize = 256 << 10;

/// Messages, one after the other; it ends with the last.
pub(crate) type Source = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

/// Says whether a stream may stay open.
pub(crate) type Check = Box<dyn Fn() -> bool + Send>;

/// How often that is asked.
const CHECKED: Duration = Duration::from_secs(1);

/// A body that is a stream of events.
pub(crate) struct Events {
    from: From,
    /// What is to be written next.
    pieces: VecDeque<Bytes>,
    quiet: Deadline,
    keep_alive: Duration,
    /// Whether the caller may still be there, and when that is asked next.
    holds: Check,
    look: Deadline,
    /// Ends the stream when it is ready.
    stop: Option<BoxFuture<'static, ()>>,
    _open: Slot,
    /// Of a session, which it keeps open.
    _of: Option<InUse>,
}

enum From {
    /// A stream that goes with its connection: without ids.
    Once(Source),
    /// One that a client may come back to.
    Kept(Reader),
    /// Nothing more.
    Over,
}

/// A stream of a session that outlives its connection.
pub(crate) struct Kept {
    /// Its number within its session.
    pub(crate) number: u64,
    /// Whether it belongs to no request. What is said on it while nobody listens is kept by the session.
    pub(crate) standalone: bool,
    state: Mutex<State>,
}

struct State {
    /// Where messages come from, as long as more may come.
    source: Option<Source>,
    /// Who reads: whoever came last.
    reader: u64,
    /// Whether that is a connection.
    connected: bool,
    waker: Option<Waker>,
    /// Messages that may be asked for again.
    kept: VecDeque<Bytes>,
    /// The number of the first of them; the first of all is 1.
    first: u64,
    /// The number of the first that nobody was given yet.
    unread: u64,
    bytes: usize,
}

/// Reads a kept stream. There is one at a time: a newer one takes the stream away from it.
pub(crate) struct Reader {
    stream: Arc<Kept>,
    me: u64,
    next: u64,
}

impl Events {
    /// Events without ids, beginning with `first`, for as long as `holds` says so.
    pub(crate) fn once(
        first: Option<&Bytes>,
        source: Source,
        holds: Check,
        keep_alive: Duration,
        open: Slot,
    ) -> Self {
        let pieces = first.map_or_else(VecDeque::new, |first| sse::event(None, first).into());
        Self::new(From::Once(source), pieces, holds, keep_alive, open)
    }

    /// What `reader` is given, with ids. `primed`: begins with the event that lets a client come back at once.
    pub(crate) fn kept(
        reader: Reader,
        primed: bool,
        holds: Check,
        keep_alive: Duration,
        open: Slot,
    ) -> Self {
        let pieces = primed.then(|| sse::priming(reader.stream.number));
        Self::new(
            From::Kept(reader),
            pieces.into_iter().collect(),
            holds,
            keep_alive,
            open,
        )
    }

    fn new(
        from: From,
        pieces: VecDeque<Bytes>,
        holds: Check,
        keep_alive: Duration,
        open: Slot,
    ) -> Self {
        let (mut quiet, mut look) = (Deadline::default(), Deadline::default());
        quiet.set(keep_alive);
        look.set(CHECKED);
        Self {
            from,
            pieces,
            quiet,
            keep_alive,
            holds,
            look,
            stop: None,
            _open: open,
            _of: None,
        }
    }

    /// Ends when `stop` is ready, whatever may still come.
    pub(crate) fn until(mut self, stop: BoxFuture<'static, ()>) -> Self {
        self.stop = Some(stop);
        self
    }

    /// Keeps a session in use.
    pub(crate) fn of(mut self, session: InUse) -> Self {
        self._of = Some(session);
        self
    }

    fn is_to_end(&mut self, cx: &mut Context<'_>) -> bool {
        if self.look.passed(cx) {
            if !(self.holds)() {
                return true;
            }
            self.look.set(CHECKED);
            // Armed again, so that the next look wakes the stream.
            let _ = self.look.passed(cx);
        }
        self.stop
            .as_mut()
            .is_some_and(|stop| stop.as_mut().poll(cx).is_ready())
    }

    /// The next piece; none at the end.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.pieces.pop_front() {
                self.quiet.set(self.keep_alive);
                return Poll::Ready(Some(piece));
            }
            if self.is_to_end(cx) {
                self.stop = None;
                self.from = From::Over;
            }
            let said = match &mut self.from {
                From::Once(source) => source
                    .as_mut()
                    .poll_next(cx)
                    .map(|said| said.map(|message| (None, message))),
                From::Kept(reader) => reader
                    .poll(cx)
                    .map(|said| said.map(|(id, message)| (Some(id), message))),
                From::Over => Poll::Ready(None),
            };
            match said {
                Poll::Ready(Some((id, message))) => self.pieces = sse::event(id, &message).into(),
                Poll::Ready(None) => {
                    self.from = From::Over;
                    return Poll::Ready(None);
                }
                Poll::Pending if self.quiet.passed(cx) => self.pieces.push_back(sse::COMMENT),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl Kept {
    /// A stream that goes on with `source` after `first`.
    pub(crate) fn new(
        number: u64,
        standalone: bool,
        first: Option<Bytes>,
        source: Source,
    ) -> Arc<Self> {
        let mut state = State {
            source: Some(source),
            reader: 0,
            connected: false,
            waker: None,
            kept: VecDeque::new(),
            first: 1,
            unread: 1,
            bytes: 0,
        };
        if let Some(first) = first {
            state.keep(first);
        }
        Arc::new(Self {
            number,
            standalone,
            state: Mutex::new(state),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more will come.
    pub(crate) fn is_over(&self) -> bool {
        self.state().source.is_none()
    }

    /// How many bytes are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.state().bytes
    }

    /// Whether a connection reads it.
    pub(crate) fn is_connected(&self) -> bool {
        self.state().connected
    }

    /// Goes on with another source: a standalone stream whose client was away.
    pub(crate) fn goes_on_with(&self, source: Source) {
        self.state().source = Some(source);
    }

    /// Reads on after the event `after` (0 for the beginning). Whoever reads it now gets nothing more. None if what
    /// follows that event is not kept any more, or there was no such event.
    pub(crate) fn read(self: &Arc<Self>, after: u64) -> Option<Reader> {
        let mut state = self.state();
        let next = after.checked_add(1)?;
        if next < state.first || next > state.end() {
            return None;
        }
        state.reader += 1;
        state.connected = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
        Some(Reader {
            stream: self.clone(),
            me: state.reader,
            next,
        })
    }
}

impl State {
    /// The number of the next event.
    fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    fn keep(&mut self, message: Bytes) {
        self.bytes += message.len();
        self.kept.push_back(message);
        self.trim();
    }

    /// Forgets the oldest that were read, down to the bounds.
    fn trim(&mut self) {
        while (self.kept.len() > MAX_EVENTS || self.bytes > MAX_BYTES) && self.first < self.unread {
            let Some(oldest) = self.kept.pop_front() else {
                return;
            };
            self.bytes -= oldest.len();
            self.first += 1;
        }
    }

    /// Whether so much waits to be read that nothing more is taken.
    fn is_full(&self) -> bool {
        let unread = usize::try_from(self.end() - self.unread).unwrap_or(usize::MAX);
        let bytes: usize = self.kept.iter().rev().take(unread).map(Bytes::len).sum();
        unread >= MAX_EVENTS || bytes >= MAX_BYTES
    }

    /// Takes one more message from the source: whether there was one.
    fn take(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(source) = &mut self.source else {
            return Poll::Ready(false);
        };
        match source.as_mut().poll_next(cx) {
            Poll::Ready(Some(message)) => {
                self.keep(message);
                Poll::Ready(true)
            }
            Poll::Ready(None) => {
                self.source = None;
                Poll::Ready(false)
            }
            Poll::Pending => {
                self.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Reader {
    /// Whether the stream belongs to no request.
    pub(crate) fn is_standalone(&self) -> bool {
        self.stream.standalone
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<(EventId, Bytes)>> {
        let mut state = self.stream.state();
        if state.reader != self.me {
            return Poll::Ready(None);
        }
        if self.next >= state.end() {
            match state.take(cx) {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        let index = self.next.checked_sub(state.first);
        let Some(message) = index
            .and_then(|index| usize::try_from(index).ok())
            .and_then(|index| state.kept.get(index).cloned())
        else {
            return Poll::Ready(None);
        };
        let id = EventId {
            stream: self.stream.number,
            event: self.next,
        };
        self.next += 1;
        state.unread = state.unread.max(self.next);
        state.trim();
        Poll::Ready(Some((id, message)))
    }
}

impl Drop for Reader {
    /// The connection is gone. The request goes on (2025-11-25: a disconnection is no cancellation), and what is said
    /// is kept for when the client comes back.
    fn drop(&mut self) {
        let mut state = self.stream.state();
        if state.reader != self.me {
            return;
        }
        state.connected = false;
        if state.source.is_none() {
            return;
        }
        if self.stream.standalone {
            state.source = None;
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        state.reader += 1;
        let me = state.reader;
        drop(state);
        let stream = self.stream.clone();
        runtime.spawn(std::future::poll_fn(move |cx| {
            let mut state = stream.state();
            loop {
                if state.reader != me || state.is_full() {
                    return Poll::Ready(());
                }
                match state.take(cx) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }));
    }
}

#[cfg(test)]
mod tests;
