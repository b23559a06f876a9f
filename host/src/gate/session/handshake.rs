//! `initialize`: asked for, judged, answered.
//!
//! Knows that a self-description is judged before the client sees it, and which edits the answer may have: withheld
//! words, `listChanged: true`, and the line that counts what waits.

use std::sync::Arc;

use bytes::Bytes;

use super::{Ask, Core, Forwarded, Key, On, Open, Own, Phase, Sent};
use crate::chain::{Permit, Protocol};
use crate::gate::catalogue::Catalogue;
use crate::gate::session::lane::Task;
use crate::gate::session::questions::asks;
use crate::mcp::digest::digest;
use crate::mcp::initialize::{self, InitializeError, ServerHello};
use crate::mcp::{Item, ItemKey, ItemKind};
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_PARAMS};

/// The server's answer to `initialize`, while it is judged.
pub(super) struct Hello {
    /// The client's request; none after a restart.
    pub(super) asked: Option<Key>,
    /// The whole line.
    pub(super) line: Bytes,
    /// Where its result stands.
    pub(super) result: std::ops::Range<usize>,
}

impl Hello {
    pub(super) fn result_text(&self) -> &str {
        std::str::from_utf8(&self.line[self.result.clone()]).unwrap_or_default()
    }
}

impl Core {
    /// The client's `initialize` goes to the server as it is, but for capabilities that the operator denies.
    pub(super) fn initialize(&mut self, mut ask: Ask) {
        if let Err(error) = self.narrow_initialize(&mut ask) {
            self.record_refused(&ask.name, &error.to_string());
            self.fail(&ask.id, INVALID_PARAMS, &error.to_string());
            return;
        }
        let Some(id) = id_place(&ask.line, ask.id.raw()) else {
            self.fail(
                &ask.id,
                INTERNAL_ERROR,
                "the request's id cannot be found again",
            );
            return;
        };
        self.phase = Phase::Asked;
        self.replay.hello = Some((ask.line.clone(), id));
        let forwarded = Forwarded {
            name: ask.name,
            what: Sent::Initialize,
            token: None,
        };
        let on = On::request(&ask.id);
        self.put(ask.id, Open::Forwarded(Box::new(forwarded)));
        self.forward(Permit::protocol(Protocol::Handshake, ask.line), on);
    }

    /// The server answered: its self-description is observed alone, before the client has its answer.
    pub(super) fn on_hello(&mut self, hello: Hello) {
        if asks(Some(hello.result_text()), None) {
            self.refuse_hello(&hello, "the server's answer asks something of the client");
            return;
        }
        let read = ServerHello::parse(hello.result_text())
            .and_then(|said| Ok((said, initialize::self_description(hello.result_text())?)));
        let (said, definition) = match read {
            Ok(read) => read,
            Err(error) => {
                self.refuse_hello(
                    &hello,
                    &format!("the server's answer is malformed: {error}"),
                );
                return;
            }
        };
        let capabilities = said.capabilities.unwrap_or_default().to_owned();
        let agreed = (said.protocol_version.to_string(), capabilities);
        if let Some(before) = &self.replay.agreed
            && *before != agreed
        {
            self.out.end = Some(
                "the server came back with another protocol version or other capabilities; start the session again"
                    .to_owned(),
            );
            return;
        }
        let own = match digest(ItemKind::SelfDescription, &definition) {
            Ok(digest) => {
                let key = ItemKey {
                    kind: ItemKind::SelfDescription,
                    name: "".into(),
                };
                (Item { key, digest }, Arc::from(definition))
            }
            Err(error) => {
                let reason = format!("the server's self-description is malformed: {error}");
                self.refuse_hello(&hello, &reason);
                return;
            }
        };
        self.declared = said.kinds.iter().copied().collect();
        self.replay.agreed = Some(agreed);
        if hello.asked.is_some() {
            self.phase = Phase::Describing;
        }
        let catalogue = Catalogue {
            own: Some(own),
            lists: self.catalogue.lists.clone(),
        };
        self.settle(Task::Describe {
            catalogue: Arc::new(catalogue),
            hello: Box::new(hello),
        });
    }

    fn refuse_hello(&mut self, hello: &Hello, reason: &str) {
        match &hello.asked {
            Some(id) => {
                let id = id.clone();
                self.fail(&id, INTERNAL_ERROR, reason);
            }
            None => tracing::warn!("{reason}"),
        }
        self.out.end = Some(reason.to_owned());
    }

    /// The self-description is judged: answers the client, or, after a restart, goes on where the session was.
    pub(super) fn on_described(&mut self, hello: Hello, waiting: usize) {
        if self.is_stateless() {
            self.on_stateless_described(hello, waiting);
            return;
        }
        self.on_session_described(&hello, waiting);
    }

    fn on_session_described(&mut self, hello: &Hello, waiting: usize) {
        let Some(id) = &hello.asked else {
            self.after_restart();
            return;
        };
        let line = match self.answer_to_initialize(hello, waiting) {
            Ok(line) => line,
            Err(error) => {
                self.refuse_hello(hello, &format!("the server's answer is malformed: {error}"));
                return;
            }
        };
        if !matches!(self.close(id), Some(Open::Cancelled)) {
            self.record_described("initialize");
            self.answer(id, None, line);
        }
        self.phase = Phase::Answered;
        if let Some(line) = self.early_initialized.take() {
            self.on_initialized(line);
        }
    }

    fn answer_to_initialize(
        &self,
        hello: &Hello,
        waiting: usize,
    ) -> Result<Bytes, InitializeError> {
        let own = self.catalogue.own.as_ref();
        let shown = own.is_some_and(|(item, _)| {
            self.visibility
                .as_ref()
                .is_some_and(|visibility| visibility.shows(&item.key))
        });
        let before = hello.result_text();
        let mut after = initialize::with_list_changed(before)?;
        if !shown {
            after = initialize::without_self_description(&after, &self.entry.name)?;
        }
        if waiting > 0 && self.config.notice {
            let notice = notice(waiting, &self.entry.name);
            after = initialize::with_notice(&after, &notice)?;
        }
        if after == before {
            return Ok(hello.line.clone());
        }
        let mut line = Vec::with_capacity(hello.line.len() + after.len());
        let head = &hello.line[..hello.result.start];
        let tail = &hello.line[hello.result.end..];
        line.extend_from_slice(head);
        line.extend_from_slice(after.as_bytes());
        line.extend_from_slice(tail);
        Ok(line.into())
    }

    /// The client is ready: the server may offer other items from now on, so the lists are read now.
    pub(super) fn on_initialized(&mut self, line: Bytes) {
        if matches!(self.phase, Phase::Asked | Phase::Describing) {
            self.early_initialized = Some(line);
            return;
        }
        let late = self.phase == Phase::Running && self.replay.initialized.is_none();
        if self.phase != Phase::Answered && !late {
            self.record_refused("notifications/initialized", "it is not due");
            return;
        }
        self.phase = Phase::Running;
        self.replay.initialized = Some(line.clone());
        self.forward(Permit::protocol(Protocol::Handshake, line), On::Other);
        self.read_declared();
    }

    /// After a restart: the handshake is replayed under an id of the host's own.
    pub(super) fn replay_hello(&mut self) {
        if self.is_stateless() {
            self.discover_again();
            return;
        }
        let Some((line, id)) = self.replay.hello.clone() else {
            return;
        };
        let own = self.own_id(Own::Initialize);
        let mut again = Vec::with_capacity(line.len() + own.len());
        again.extend_from_slice(&line[..id.start]);
        again.extend_from_slice(own.as_bytes());
        again.extend_from_slice(&line[id.end..]);
        self.forward(
            Permit::protocol(Protocol::Handshake, again.into()),
            On::Own(own),
        );
    }

    /// After the replayed handshake: the client's `initialized`, its log level and its subscriptions.
    fn after_restart(&mut self) {
        if let Some(line) = self.replay.initialized.clone() {
            self.forward(Permit::protocol(Protocol::Handshake, line), On::Other);
            if let Some(level) = self.replay.level.clone() {
                self.send_own(
                    Own::Ignored,
                    Protocol::LogLevel,
                    "logging/setLevel",
                    Some(&level),
                );
            }
            self.read_declared();
        }
    }

    /// The subscriptions that may still be had are made again, once the lists are read.
    pub(super) fn resubscribe(&mut self) {
        for (uri, params) in self.replay.subscriptions.clone() {
            if self.may_reach(&uri) {
                self.send_own(
                    Own::Ignored,
                    Protocol::Subscription,
                    "resources/subscribe",
                    Some(&params),
                );
            }
        }
    }
}

/// The line of ours that is appended to a server's instructions. A count only: nothing a server wrote.
pub(super) fn notice(waiting: usize, server: &str) -> String {
    let (items, wait) = if waiting == 1 {
        ("item", "waits")
    } else {
        ("items", "wait")
    };
    format!(
        "[witgate] {waiting} {items} of this server ({server}) {wait} for review. The person can run `witgate review`."
    )
}

/// Where the id stands in a request's line: the value of the only member called `id`.
fn id_place(line: &Bytes, raw: &str) -> Option<std::ops::Range<usize>> {
    let text = std::str::from_utf8(line).ok()?;
    let members = crate::wire::scan::members(text).ok()?;
    let member = members.iter().find(|member| member.is("id"))?;
    (member.value == raw).then(|| member.value_start..member.value_start + member.value.len())
}
