//! Requests and sessions between their beginning and what comes of it: what happens to them if the client leaves.
//!
//! Knows who lets go of what. Knows nothing of what is said.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;

use crate::front::events::Source;
use crate::front::limits::Admitted;
use crate::gate::serve::{Exchange, Said, Session};
use crate::wire::envelope::INTERNAL_ERROR;
use crate::wire::reply as lines;

/// The messages of an exchange, the answer last. Should none come because the session ended, an error takes its place.
/// `held` is kept until then.
pub(super) fn said<T: Send + 'static>(
    session: Arc<Session>,
    exchange: Exchange,
    held: T,
    id: &str,
) -> Source {
    let id: Box<str> = id.into();
    Box::pin(stream::unfold(
        Some((session, exchange, held, id)),
        |state| async move {
            let (session, mut exchange, held, id) = state?;
            loop {
                return match exchange.next().await {
                    Some(Said::Streams) => continue,
                    Some(Said::Message(line)) => Some((line, Some((session, exchange, held, id)))),
                    Some(Said::Answer { line, .. }) => Some((line, None)),
                    // The client cancelled it.
                    None if session.is_over().is_none() => None,
                    None => {
                        let error = lines::error(
                            Some(&id),
                            INTERNAL_ERROR,
                            "the session ended before the answer came",
                            None,
                        );
                        Some((error.into(), None))
                    }
                };
            }
        },
    ))
}

/// A request of a session, before its answer has begun. It goes on when its client leaves, and so it counts as under way:
/// until it is answered, or for as long as the answer to a client that stays may take.
pub(super) struct Going {
    /// The request; none once its answer has begun.
    pub(super) exchange: Option<Exchange>,
    /// What counts it.
    pub(super) admitted: Option<Admitted>,
    /// How long it counts at the most.
    pub(super) limit: Duration,
}

impl Drop for Going {
    fn drop(&mut self) {
        let (Some(mut exchange), Ok(runtime)) =
            (self.exchange.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        let (admitted, limit) = (self.admitted.take(), self.limit);
        runtime.spawn(async move {
            let answered = async {
                while let Some(said) = exchange.next().await {
                    if matches!(said, Said::Answer { .. }) {
                        return;
                    }
                }
            };
            let _ = tokio::time::timeout(limit, answered).await;
            drop(admitted);
        });
    }
}

/// A session that no client knows of yet: closed when dropped.
pub(super) struct Unclaimed(pub(super) Option<Arc<Session>>);

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let (Some(session), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move { session.close().await });
        }
    }
}
