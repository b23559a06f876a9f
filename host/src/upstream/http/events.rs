//! The messages of one stream of events, across the connections that carry it.
//!
//! Knows how a stream of the revisions before 2026-07-28 is resumed: by GET with `Last-Event-ID`, after the time the server
//! asked for. Knows no message's meaning: that a stream is done with is for its reader to say.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use hyper::body::Incoming;

use super::body::one_line;
use super::link::Link;
use super::sse::{Event, Parser};
use super::{Connection, UpstreamError};

/// How long to wait before connecting again, unless the server says otherwise.
const RETRY: Duration = Duration::from_secs(1);

/// Never sooner than this, whatever the server says.
const MIN_RETRY: Duration = Duration::from_millis(50);

/// Never later than this, whatever the server says.
const MAX_RETRY: Duration = Duration::from_secs(600);

/// The longest pause between attempts that fail.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// How often in a row an answer's stream may fail to be resumed.
const MAX_FAILURES: u32 = 5;

/// What a stream is for, by which it goes on after its connection ends or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// It answers a request, in 2026-07-28: never resumed.
    Once,
    /// It answers a request: resumed if the server gave its events ids.
    Answer,
    /// It carries what belongs to no request: opened again as long as the session lives.
    Listening,
}

type Reconnecting =
    Pin<Box<dyn Future<Output = Result<Option<(Link, Incoming)>, UpstreamError>> + Send>>;

/// What one stream says, message by message. Dropping it closes its connection, which in 2026-07-28 cancels the request;
/// [`Events::done`] keeps the connection.
pub struct Events {
    connection: Connection,
    purpose: Purpose,
    /// What carries it now.
    carrier: Option<(Link, Incoming)>,
    reconnecting: Option<Reconnecting>,
    parser: Parser,
    /// The last event's id, over all connections.
    last: Option<Bytes>,
    failures: u32,
    /// Nothing was said over the last connection.
    fruitless: bool,
    over: bool,
}

impl Events {
    pub(super) fn new(
        connection: Connection,
        purpose: Purpose,
        link: Link,
        body: Incoming,
        last: Option<Bytes>,
    ) -> Self {
        Self {
            parser: Parser::new(connection.limit()),
            connection,
            purpose,
            carrier: Some((link, body)),
            reconnecting: None,
            last,
            failures: 0,
            fruitless: true,
            over: false,
        }
    }

    /// The next message: one line, not yet checked in any way. None when the stream is over, be the answer among what came
    /// or not. After an error the stream is over as well. May be dropped and called again without loss.
    pub async fn next(&mut self) -> Option<Result<Event, UpstreamError>> {
        while !self.over {
            match self.advance().await {
                Ok(None) => {}
                Ok(Some(mut event)) => {
                    event.data = one_line(event.data);
                    return Some(Ok(event));
                }
                Err(error) => {
                    self.over = true;
                    self.carrier = None;
                    return Some(Err(error));
                }
            }
        }
        None
    }

    /// Says that nothing more is expected: the answer came. Its connection is kept for the next request.
    pub fn done(mut self) {
        if let Some((link, body)) = self.carrier.take() {
            self.connection.pool().put(link, Some(body));
        }
    }

    /// An event, or one step towards one.
    async fn advance(&mut self) -> Result<Option<Event>, UpstreamError> {
        if let Some(event) = self.parser.read().map_err(|_| self.too_large())? {
            self.failures = 0;
            self.fruitless = false;
            return Ok(Some(event));
        }
        self.last = self.parser.id().or(self.last.as_ref()).cloned();
        let Some((link, body)) = &mut self.carrier else {
            return self.reconnect().await.map(|()| None);
        };
        match link.read(body).await {
            Some(Ok(chunk)) => self.parser.feed(chunk),
            None => {
                if let Some((link, _)) = self.carrier.take() {
                    self.connection.pool().put(link, None);
                }
                self.over = !self.goes_on();
                if std::mem::replace(&mut self.fruitless, true) && self.parser.retry().is_none() {
                    // A server that ends every such stream at once is not asked every second.
                    self.failures = self.failures.saturating_add(1);
                }
            }
            Some(Err(source)) => {
                self.carrier = None;
                if !self.goes_on() {
                    return Err(self.connection.broken(source));
                }
            }
        }
        Ok(None)
    }

    /// Whether the stream goes on over another connection.
    fn goes_on(&self) -> bool {
        match self.purpose {
            Purpose::Once => false,
            Purpose::Answer => self.last.is_some(),
            Purpose::Listening => true,
        }
    }

    /// Waits as long as the server asked for and connects again. Kept in `self`, so that a caller who stops waiting does
    /// not begin anew.
    async fn reconnect(&mut self) -> Result<(), UpstreamError> {
        let reconnecting = match &mut self.reconnecting {
            Some(reconnecting) => reconnecting,
            none => none.insert(reconnecting(
                self.connection.clone(),
                pause(self.parser.retry(), self.failures),
                self.last.clone(),
            )),
        };
        let connected = reconnecting.await;
        self.reconnecting = None;
        match connected {
            Ok(Some(carrier)) => {
                let retry = self.parser.retry();
                self.parser = Parser::new(self.connection.limit());
                self.parser.set_retry(retry);
                self.carrier = Some(carrier);
            }
            // The server offers no such stream (any more).
            Ok(None) => self.over = true,
            Err(error) => {
                self.failures += 1;
                let hopeless = matches!(
                    error,
                    UpstreamError::SessionGone { .. }
                        | UpstreamError::Unauthorized { .. }
                        | UpstreamError::NotMcp { .. }
                        | UpstreamError::TooLarge { .. }
                );
                if hopeless || (self.purpose == Purpose::Answer && self.failures >= MAX_FAILURES) {
                    return Err(error);
                }
                tracing::debug!("a stream is not resumed yet: {error}");
            }
        }
        Ok(())
    }

    fn too_large(&self) -> UpstreamError {
        self.connection.too_large()
    }
}

/// How long to wait before the next attempt: what the server asked for, doubled with every failure in a row.
fn pause(retry: Option<Duration>, failures: u32) -> Duration {
    let asked = retry.unwrap_or(RETRY).clamp(MIN_RETRY, MAX_RETRY);
    let doubled = asked.saturating_mul(1 << failures.min(10));
    doubled.min(MAX_BACKOFF.max(asked))
}

fn reconnecting(connection: Connection, pause: Duration, last: Option<Bytes>) -> Reconnecting {
    Box::pin(async move {
        tokio::time::sleep(pause).await;
        let last = last.and_then(|id| HeaderValue::from_maybe_shared(id).ok());
        connection.get(last).await
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_is_what_the_server_asks_for_and_grows_with_failures_within_bounds() {
        let ms = Duration::from_millis;
        for (retry, failures, expected) in [
            (None, 0, RETRY),
            (None, 2, RETRY * 4),
            (None, 40, MAX_BACKOFF),
            (Some(ms(500)), 0, ms(500)),
            (Some(ms(500)), 1, ms(1000)),
            (Some(ms(0)), 0, MIN_RETRY),
            (Some(ms(60_000)), 3, ms(60_000)),
            (Some(ms(u64::MAX)), 0, MAX_RETRY),
        ] {
            assert_eq!(pause(retry, failures), expected, "{retry:?} {failures}");
        }
    }
}
