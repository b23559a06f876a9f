//! What a server says of its own accord, and when it may.
//!
//! Until it is judged, a server has no voice (design, invariant 12). What it says between `initialized` and the end of
//! the first reading is held back, in order, for that moment: real servers ask for roots right away. What it says
//! before, or when it is quarantined, is refused.
//!
//! A message that asks something of the client waits until policies have judged it, and what the server says on the
//! same stream meanwhile waits behind it, answers included: nothing overtakes anything.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::questions::{Judged, Question, judge_questions};
use super::{About, CallContext, Core, Event, MAX_OPEN, On, Phase, without_end};
use crate::chain::{Permit, Protocol};
use crate::mcp::client_request::{self, AskError, AskKind};
use crate::mcp::method::{self, ServerRequest};
use crate::wire::Frame;
use crate::wire::envelope::{
    self, INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, Message, OwnedId,
};
use crate::wire::reply;

/// The most messages that are held back.
const MAX_HELD: usize = 256;

/// The most bytes that are held back.
const MAX_HELD_BYTES: usize = 4 << 20;

/// How long requests are held back: a server may wait for its answer before it lists anything.
const HOLD: Duration = Duration::from_secs(1);

/// The most messages, and bytes, that wait on one stream behind a question. A server that says more while one is
/// judged does not get it asked.
const MAX_BEHIND: (usize, usize) = (4096, 64 << 20);

/// What a server says.
pub(super) enum Said {
    /// It asks.
    Request(OwnedId, Bytes, About),
    /// It tells.
    Notification(Bytes, About),
}

/// What is held back.
#[derive(Default)]
pub(super) struct Held {
    said: VecDeque<Said>,
    bytes: usize,
    since: Option<Instant>,
    /// The server was judged since it started.
    judged: bool,
}

/// The streams of a server on which a question is judged; none is the one for everything.
#[derive(Default)]
pub(super) struct Stalled {
    streams: HashMap<Option<u64>, Stall>,
    next: u64,
}

/// A message whose questions are judged, and what waits behind it.
struct Stall {
    ticket: u64,
    said: Said,
    behind: VecDeque<Behind>,
    bytes: usize,
}

enum Behind {
    /// Not looked at yet.
    Frame(Frame),
    /// Was held back.
    Said(Said),
}

/// The questions of a message were judged.
pub struct Questioned {
    stream: Option<u64>,
    ticket: u64,
    questions: Vec<Question>,
    during: Option<std::sync::Arc<CallContext>>,
    judged: Judged,
}

impl Held {
    /// When the core must be woken for what is held back.
    pub(super) fn wake(&self) -> Option<Instant> {
        self.since.map(|since| since + HOLD)
    }

    /// The server is another process now.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

impl Said {
    const fn line(&self) -> &Bytes {
        match self {
            Self::Request(_, line, _) | Self::Notification(line, _) => line,
        }
    }

    const fn about(&self) -> &About {
        match self {
            Self::Request(_, _, about) | Self::Notification(_, about) => about,
        }
    }

    /// The stream it came on.
    const fn stream(&self) -> Option<u64> {
        match self.about() {
            About::During(exchange) => Some(*exchange),
            _ => None,
        }
    }
}

impl Stall {
    fn push(&mut self, behind: Behind) -> bool {
        self.bytes += match &behind {
            Behind::Frame(Frame::Line(line) | Frame::Partial(line)) => line.len(),
            Behind::Frame(Frame::TooLong { .. }) => 0,
            Behind::Said(said) => said.line().len(),
        };
        self.behind.push_back(behind);
        self.behind.len() <= MAX_BEHIND.0 && self.bytes <= MAX_BEHIND.1
    }
}

impl Core {
    /// Whether the server may be heard.
    pub(super) fn has_voice(&self) -> bool {
        self.held.judged && !self.view.quarantined && self.view.enabled && self.up
    }

    /// A request of the server's.
    pub(super) fn on_server_request(
        &mut self,
        id: OwnedId,
        method: &str,
        line: Bytes,
        about: About,
    ) {
        // Whether the other side lives is the host's to say as long as the server has no voice.
        if !self.has_voice() && method::server_request(method) == Some(ServerRequest::Ping) {
            let mut line = reply::result(id.raw(), "{}");
            line.pop();
            self.forward(Permit::protocol(Protocol::Answer, line.into()), On::Other);
            return;
        }
        if self.is_stateless() {
            self.record_refused(method, "this revision has no requests of servers");
            if !self.separate {
                self.answer_server(&id, METHOD_NOT_FOUND, "Method not found");
            }
            return;
        }
        if self.asked.contains(&id) {
            self.refuse_twice(&id, method);
            return;
        }
        self.say(Said::Request(id, line, about));
    }

    fn refuse_twice(&mut self, id: &OwnedId, method: &str) {
        self.record_refused(method, "the server used an id twice");
        let reason = "a request with this id is open already";
        self.answer_server(id, INVALID_REQUEST, reason);
    }

    /// Lets the server say something: now, later, or not at all.
    pub(super) fn say(&mut self, said: Said) {
        let stream = said.stream();
        if let Some(stall) = self.stalled.streams.get_mut(&stream) {
            if !stall.push(Behind::Said(said)) {
                self.give_up(stream);
            }
            return;
        }
        if self.has_voice() {
            self.hear(said);
            return;
        }
        let may_come = !self.view.quarantined && self.view.enabled && self.phase == Phase::Running;
        let size = said.line().len();
        let fits = self.held.said.len() < MAX_HELD && self.held.bytes + size <= MAX_HELD_BYTES;
        if may_come && !self.held.judged && fits {
            self.held.bytes += size;
            self.held.since.get_or_insert(self.now);
            self.held.said.push_back(said);
        } else {
            self.silence(said);
        }
    }

    /// Relays what the server says, once what it asks of the client is allowed.
    fn hear(&mut self, said: Said) {
        let (during, questions) = match self.questions_of(&said) {
            Ok(found) => found,
            Err((method, error)) => {
                self.record_unreadable(&method, &error, None);
                if let Said::Request(id, ..) = said {
                    self.answer_server(&id, INVALID_PARAMS, &error.to_string());
                }
                return;
            }
        };
        if let Some(refused) = self.refused_unjudged(&questions) {
            self.record_unjudged(&questions, Some(&refused), during.as_deref());
            self.refuse_said(said);
            return;
        }
        if questions.is_empty() || !self.host.chain.current().hears_client_requests() {
            self.record_unjudged(&questions, None, during.as_deref());
            self.pass(said);
            return;
        }
        let stream = said.stream();
        self.stalled.next += 1;
        let ticket = self.stalled.next;
        let stall = Stall {
            ticket,
            said,
            behind: VecDeque::new(),
            bytes: 0,
        };
        self.stalled.streams.insert(stream, stall);
        self.question(stream, ticket, questions, during);
    }

    /// Has questions judged by the chain that is in force now.
    fn question(
        &mut self,
        stream: Option<u64>,
        ticket: u64,
        questions: Vec<Question>,
        during: Option<std::sync::Arc<CallContext>>,
    ) {
        self.spent = true;
        let host = self.host.clone();
        let catalogue = self.catalogue.clone();
        let context = self.context.clone();
        let judging = Box::pin(async move {
            let generation = host.chain.current();
            let judged =
                judge_questions(&host, &generation, &catalogue, &context, &questions).await;
            Event::Questioned(Box::new(Questioned {
                stream,
                ticket,
                questions,
                during,
                judged,
            }))
        });
        // Of no exchange: a client that is gone must not hold up what waits behind.
        self.out.jobs.push((None, judging));
    }

    /// The questions of a message were judged: it goes on, or is refused, and then what waits behind it.
    pub(super) fn on_questioned(&mut self, questioned: Questioned) {
        let Questioned {
            stream,
            ticket,
            questions,
            during,
            judged,
        } = questioned;
        let stalled = self.stalled.streams.get(&stream);
        if stalled.is_none_or(|stall| stall.ticket != ticket) {
            return;
        }
        let current = judged.bound.generation == self.host.chain.current().id
            && judged.bound.revision == self.host.ledger.snapshot().revision;
        if !current && self.has_voice() {
            self.question(stream, ticket, questions, during);
            return;
        }
        let Some(stall) = self.stalled.streams.remove(&stream) else {
            return;
        };
        let refused = judged.refused().is_some();
        self.record_judged(&questions, judged, during.as_deref());
        if !self.has_voice() {
            self.silence(stall.said);
        } else if refused {
            self.refuse_said(stall.said);
        } else {
            self.pass(stall.said);
        }
        self.resume(stream, stall.behind);
    }

    /// Takes what came from the server, unless it has to wait behind a question.
    pub(super) fn after_questions(&mut self, frame: Frame, stream: Option<u64>) -> Option<Frame> {
        if let Some(stall) = self.stalled.streams.get_mut(&stream) {
            if !stall.push(Behind::Frame(frame)) {
                self.give_up(stream);
            }
            return None;
        }
        Some(frame)
    }

    /// Too much waits behind a question: it is refused.
    fn give_up(&mut self, stream: Option<u64>) {
        if let Some(stall) = self.stalled.streams.remove(&stream) {
            self.record_refused("", "too much came behind a question while it was judged");
            self.refuse_said(stall.said);
            self.resume(stream, stall.behind);
        }
    }

    /// Takes up what waited.
    fn resume(&mut self, stream: Option<u64>, mut behind: VecDeque<Behind>) {
        while let Some(next) = behind.pop_front() {
            match next {
                Behind::Frame(frame) => self.on_server(frame, stream),
                Behind::Said(said) => self.say(said),
            }
            if let Some(stall) = self.stalled.streams.get_mut(&stream) {
                for next in behind {
                    // It fitted before.
                    stall.push(next);
                }
                return;
            }
        }
    }

    /// The server ends: what it asks is not asked any more, but what it said behind that may be answers.
    pub(super) fn abandon_questions(&mut self) {
        while let Some(stream) = self.stalled.streams.keys().next().copied() {
            if let Some(stall) = self.stalled.streams.remove(&stream) {
                self.resume(stream, stall.behind);
            }
        }
    }

    /// What a message asks of the client, and the call it came with.
    #[allow(clippy::type_complexity)]
    fn questions_of(
        &self,
        said: &Said,
    ) -> Result<(Option<std::sync::Arc<CallContext>>, Vec<Question>), (String, AskError)> {
        let Ok(envelope) = envelope::parse(said.line(), &self.wire) else {
            return Ok((None, Vec::new()));
        };
        match envelope.message {
            Message::Request { method, params, .. } => {
                let kind = AskKind::of(&method, params).map_err(|e| (method.to_string(), e))?;
                let Some(kind) = kind else {
                    return Ok((None, Vec::new()));
                };
                let during = self.during(said.about(), params);
                let call = during.as_ref().map(|during| &during.call);
                let question = Question::asked(kind, params, call);
                Ok((during, vec![question]))
            }
            Message::Notification { method, params } => {
                let params = params.unwrap_or_default();
                let found = |call| {
                    Question::in_result(params, call).map_err(|error| (method.to_string(), error))
                };
                if found(None)?.is_empty() {
                    return Ok((None, Vec::new()));
                }
                let during = self.during(&About::Session, Some(params));
                let questions = found(during.as_ref().map(|during| &during.call))?;
                Ok((during, questions))
            }
            Message::Result { .. } | Message::Error { .. } => Ok((None, Vec::new())),
        }
    }

    /// Relays what the server says.
    fn pass(&mut self, said: Said) {
        match said {
            Said::Request(id, ..) if self.asked.len() >= MAX_OPEN => {
                let reason = "too many requests are open";
                self.record_refused("", reason);
                self.answer_server(&id, INTERNAL_ERROR, reason);
            }
            Said::Request(id, line, about) => {
                if self.asked.insert(id.clone()) {
                    self.tell(about, line);
                } else {
                    self.refuse_twice(&id, "");
                }
            }
            Said::Notification(line, about) => self.tell(about, line),
        }
    }

    /// The server is answered as a person would who says no; what it only tells is dropped.
    fn refuse_said(&mut self, said: Said) {
        let Said::Request(id, line, _) = said else {
            return;
        };
        let kind = match envelope::parse(&line, &self.wire).map(|envelope| envelope.message) {
            Ok(Message::Request { method, params, .. }) => {
                AskKind::of(&method, params).ok().flatten()
            }
            _ => None,
        };
        match kind {
            Some(kind) => {
                let line = without_end(client_request::refusal(kind, id.raw()));
                self.forward(Permit::protocol(Protocol::Answer, line), On::Other);
            }
            None => self.answer_server(&id, INTERNAL_ERROR, "not available"),
        }
    }

    /// The server gets an error for what it asks; what it tells is dropped.
    fn silence(&mut self, said: Said) {
        if let Said::Request(id, ..) = said {
            self.record_refused("", "a request of a server that has no voice");
            self.answer_server(&id, INTERNAL_ERROR, "not available");
        }
    }

    /// Answers the server in the client's place.
    pub(super) fn answer_server(&mut self, id: &OwnedId, code: i64, message: &str) {
        let mut line = reply::error(Some(id.raw()), code, message, None);
        line.pop();
        self.forward(Permit::protocol(Protocol::Answer, line.into()), On::Other);
    }

    /// After something was judged: what was held back is said, or silenced for good.
    pub(super) fn release_voice(&mut self) {
        let settled = self.phase == Phase::Running
            && !self.reads.is_busy()
            && self.visibility.is_some()
            && self
                .declared
                .iter()
                .all(|kind| self.reads.was_read(*kind) || self.reads.failure(*kind).is_some());
        if !settled && !self.view.quarantined && self.view.enabled {
            return;
        }
        self.held.judged |= settled;
        self.flush_held();
    }

    /// What is due for the sake of what is held back.
    pub(super) fn on_voice_time(&mut self) {
        if self.held.wake().is_some_and(|wake| wake <= self.now) {
            self.flush_held();
        }
    }

    fn flush_held(&mut self) {
        self.held.since = None;
        self.held.bytes = 0;
        for said in std::mem::take(&mut self.held.said) {
            if let Some(stall) = self.stalled.streams.get_mut(&said.stream()) {
                // What was held back is less than what may wait.
                stall.push(Behind::Said(said));
            } else if self.has_voice() {
                self.hear(said);
            } else {
                self.silence(said);
            }
        }
    }
}
