//! What the core gives out goes to where it belongs.
//!
//! Knows that work for a request is done by whoever waits for it, so that its answer needs no hop between tasks, and
//! that all other work runs by itself, so that a client that does not read holds up nobody else.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::exchange::Feed;
use super::session::{Server, Session, State};
use super::{Said, remote};
use crate::gate::session::{About, Event, Job, On, Out, ToClient, ToServer};

/// Work that must be done.
pub(super) enum Work {
    /// A job of the core's.
    Job(Job),
    /// A request for a server behind a URL.
    Post(ToServer),
}

impl Session {
    /// Hands on what the core gave out. Work of the exchange `own` is put into `work`, other work is begun.
    pub(super) fn spread(
        self: &Arc<Self>,
        state: &mut State,
        own: Option<u64>,
        work: &mut Vec<Work>,
    ) {
        let Out {
            client,
            given_up,
            server,
            jobs,
            end,
        } = state.core.take();
        for said in client {
            state.hand(said);
        }
        for exchange in given_up {
            state.feeds.remove(&exchange);
            state.names.remove(&exchange);
        }
        for message in server {
            match &state.server {
                Server::Child { outbox, .. } => {
                    // A child that is gone is told of by its own task.
                    let _ = outbox.send(message.cleared.into_bytes());
                }
                Server::Remote(remote) => {
                    let of = match &message.on {
                        On::Request { key, .. } => Some(key.exchange),
                        On::Own(_) => None,
                        On::Other => {
                            remote.tell(message);
                            continue;
                        }
                    };
                    if of.is_some() && of == own {
                        work.push(Work::Post(message));
                    } else {
                        self.begin_work(state, of, Work::Post(message));
                    }
                }
                Server::Gone => {}
            }
        }
        for (of, job) in jobs {
            if of.is_some() && of == own {
                work.push(Work::Job(job));
            } else {
                self.begin_work(state, of, Work::Job(job));
            }
        }
        self.arm(state);
        if let Some(reason) = end {
            tracing::warn!(server = %self.entry.name, "a session ends: {}", crate::mcp::escape::visible(&reason));
            let session = self.clone();
            // Not under this lock.
            tokio::spawn(async move { session.end(&reason) });
        }
    }

    /// Does work that came up while something else was done than what an exchange waits for. In 2026-07-28 work for an
    /// exchange is given up, and its stream upstream closed, as soon as nobody waits for it any more.
    fn begin_work(self: &Arc<Self>, state: &State, of: Option<u64>, work: Work) {
        let feed = of.and_then(|number| state.feeds.get(&number));
        let gone = feed.filter(|_| self.stateless).map(Feed::gone);
        let work = self.clone().work(of, vec![work]);
        match gone {
            None => self.begin(work),
            Some(gone) => self.begin(async move {
                tokio::select! {
                    () = work => {}
                    () = gone => {}
                }
            }),
        }
    }

    /// Does work, and what comes of it for the same exchange, to the end.
    pub(super) fn work(
        self: Arc<Self>,
        own: Option<u64>,
        work: Vec<Work>,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut rest = work;
            while !rest.is_empty() {
                let mut next = Vec::new();
                for step in rest {
                    match step {
                        Work::Post(message) => remote::post(&self, own, message).await,
                        Work::Job(job) => {
                            let event: Event = job.await;
                            next.extend(self.drive(own, |core| core.on_event(event)));
                        }
                    }
                }
                rest = next;
            }
        })
    }
}

impl State {
    /// Hands a line to the exchange it belongs to, or to who listens.
    fn hand(&mut self, said: ToClient) {
        let ToClient { about, line } = said;
        match about {
            About::Answer(key, error) => {
                self.names.remove(&key.exchange);
                if let Some(feed) = self.feeds.remove(&key.exchange) {
                    feed.say(Said::Answer { line, error });
                }
            }
            About::During(exchange) if self.feeds.contains_key(&exchange) => {
                self.message(exchange, line);
            }
            About::During(_) => self.standing.say(line),
            // A server on one stream does not say what caused it: most likely the latest request did.
            About::Session => match self.latest() {
                Some(exchange) if !self.standing.is_heard() || self.feeds.len() == 1 => {
                    self.message(exchange, line);
                }
                _ => self.standing.say(line),
            },
            About::Standing => self.standing.say(line),
        }
    }

    fn message(&mut self, exchange: u64, line: Bytes) {
        if let Some(feed) = self.feeds.get(&exchange)
            && !feed.say(Said::Message(line))
        {
            tracing::warn!("a client does not read: its request is cut off");
            self.feeds.remove(&exchange);
        }
    }

    fn latest(&self) -> Option<u64> {
        matches!(self.server, Server::Child { .. })
            .then(|| self.feeds.keys().copied().max())
            .flatten()
    }
}
