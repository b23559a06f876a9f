//! What the server answers.
//!
//! Knows that an answer goes to who asked, once, and that a result is judged wherever it travels. A result that looks
//! like a list and answers something else is refused: nothing in it was judged.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::handshake::Hello;
use super::questions::{Judged, Question, asks, judge_questions};
use super::{CallContext, Core, Event, Form, Key, MAX_HANDED, Open, Own, Sent, params};
use crate::chain::Refused;
use crate::chain::judge::{self, Inspection};
use crate::mcp::discover;
use crate::mcp::list::shape_of;
use crate::mcp::uri::normal_form;
use crate::wire::envelope::{Envelope, INTERNAL_ERROR, Message};
use crate::wire::{reply, scan};

/// A result that was judged.
pub struct Inspected {
    id: Key,
    method: Arc<str>,
    context: Arc<CallContext>,
    line: Bytes,
    /// The code, if the line is an error.
    error: Option<i64>,
    /// Where the outcome stands in the line's result, if it is a part of it.
    within: Option<Range<usize>>,
    questions: Vec<Question>,
    /// What became of the questions, if policies judged them.
    judged: Option<Judged>,
    inspection: Inspection,
}

/// What is to be judged of an answer.
struct Answer {
    id: Key,
    method: Arc<str>,
    context: Arc<CallContext>,
    line: Bytes,
    /// The code, if the line is an error.
    error: Option<i64>,
    /// Where the outcome stands in the line's result, if it is a part of it.
    within: Option<Range<usize>>,
    /// What it asks of the client.
    questions: Vec<Question>,
    /// What the result-gates judge, if there is something.
    outcome: Option<String>,
}

impl Core {
    /// An answer of the server's, to a request of the host's or of the client's.
    pub(super) fn on_server_answer(
        &mut self,
        line: &Bytes,
        envelope: &Envelope<'_>,
        origin: Option<u64>,
    ) {
        let (id, result, error) = match &envelope.message {
            Message::Result { id, result } => (Some(id), Some(*result), None),
            Message::Error { id, error } => (id.as_ref(), None, Some(*error)),
            _ => return,
        };
        let (Some(id), Some(span)) = (id, envelope.id_span.clone()) else {
            tracing::debug!(server = %self.entry.name, "an answer without an id is dropped");
            return;
        };
        // What the host asked itself is not answered on a stream of the client's.
        if origin.is_none()
            && let crate::wire::envelope::Id::String { text, .. } = id
            && let Some(own) = self.own.remove(&**text)
        {
            self.on_own_answer(own, line, span, result, error);
            return;
        }
        let id = self.key_of(id.to_owned(), origin);
        match self.open.get(&id) {
            Some(Open::Forwarded(_)) => {
                let Some(Open::Forwarded(forwarded)) = self.close(&id) else {
                    return;
                };
                let whole = super::client::line_of(line, envelope);
                match forwarded.what {
                    Sent::Initialize => self.on_initialize_answer(id, line, result, error),
                    Sent::Plain => self.on_plain_answer(&id, whole, result, error),
                    Sent::Listen(_) => self.on_plain_answer(&id, whole, result, error),
                    Sent::Task(context) => {
                        self.on_task_answer(id, forwarded.name, context, whole, result, error);
                    }
                    Sent::TaskList => self.on_task_list(&id, whole, result, error),
                    Sent::Call(context) => {
                        self.on_call_answer(id, forwarded.name, context, whole, result, error);
                    }
                }
            }
            Some(Open::Cancelled) => {
                self.close(&id);
            }
            _ => {
                tracing::debug!(server = %self.entry.name, "an answer to nothing that was asked is dropped");
            }
        }
    }

    fn on_own_answer(
        &mut self,
        own: Own,
        line: &Bytes,
        id: Range<usize>,
        result: Option<&str>,
        error: Option<&str>,
    ) {
        match own {
            Own::Ignored => {}
            Own::Discover => match result {
                Some(result) => self.on_discovered(line.clone(), part_of(line, result)),
                None => self.on_not_discovered(error),
            },
            Own::Initialize => match result {
                Some(result) => {
                    let result = part_of(line, result);
                    self.on_hello(Hello {
                        asked: None,
                        line: line.clone(),
                        result,
                    });
                }
                None => {
                    self.out.end =
                        Some("the server refuses to be initialized after its restart".to_owned());
                }
            },
            // Whoever asks for a list is not asked anything (MCP 2026-07-28, basic/patterns/mrtr, "Supported Requests").
            Own::Page { kind, reading } if asks(result, error) => {
                let reason = "the page asks something of the client";
                self.on_page_malformed(kind, reading, reason.to_owned());
            }
            Own::Page { kind, reading } => match (result, error) {
                (Some(result), _) => {
                    let result = part_of(line, result);
                    self.on_page(kind, reading, line.clone(), id, result);
                }
                (None, error) => {
                    let code = error.and_then(params::error_code).unwrap_or(INTERNAL_ERROR);
                    self.on_page_error(kind, reading, line.clone(), id, code);
                }
            },
        }
    }

    fn on_initialize_answer(
        &mut self,
        asked: Key,
        line: &Bytes,
        result: Option<&str>,
        error: Option<&str>,
    ) {
        match result {
            Some(result) => {
                let result = part_of(line, result);
                self.put(asked.clone(), Open::Judging);
                self.on_hello(Hello {
                    asked: Some(asked),
                    line: line.clone(),
                    result,
                });
            }
            // The client may try again, with another protocol version. What the server says here is about the
            // protocol; a server that is quarantined is not heard even so.
            None => {
                self.phase = super::Phase::Fresh;
                self.replay.hello = None;
                if self.view.quarantined || !self.view.enabled || asks(None, error) {
                    let reason = "the server refuses to be initialized";
                    self.reply_error(&asked, INTERNAL_ERROR, reason, None);
                } else {
                    self.answer(&asked, code_of(error), line.clone());
                }
            }
        }
    }

    fn on_plain_answer(
        &mut self,
        id: &Key,
        line: Bytes,
        result: Option<&str>,
        error: Option<&str>,
    ) {
        if result.and_then(shape_of).is_some() {
            self.refuse_list_shape(id, "");
        } else if asks(result, error) {
            self.refuse_asking(id, "");
        } else {
            self.answer(id, code_of(error), line);
        }
    }

    /// An answer that asks something of the client, and answers what cannot be answered so (MCP 2026-07-28,
    /// basic/patterns/mrtr, "Supported Requests"): nothing of it was judged.
    fn refuse_asking(&mut self, id: &Key, method: &str) {
        let reason = "the server answered with a question to the client; it is withheld";
        self.record_refused(method, reason);
        self.reply_error(id, INTERNAL_ERROR, reason, None);
    }

    /// A list that answers something else: nothing of it was judged.
    fn refuse_list_shape(&mut self, id: &Key, method: &str) {
        let reason = "the server answered with a list that was not asked for; it is withheld";
        self.record_refused(method, reason);
        self.reply_error(id, INTERNAL_ERROR, reason, None);
    }

    /// `tasks/list`: only the tasks that calls of this session made.
    fn on_task_list(&mut self, id: &Key, line: Bytes, result: Option<&str>, error: Option<&str>) {
        if asks(result, error) {
            self.refuse_asking(id, "tasks/list");
            return;
        }
        let Some(result) = result else {
            self.answer(id, code_of(error), line);
            return;
        };
        if shape_of(result).is_some() {
            self.refuse_list_shape(id, "tasks/list");
            return;
        }
        let kept = scan::members(result).ok().and_then(|members| {
            let tasks = members.iter().find(|member| member.is("tasks"))?;
            let all = scan::elements(tasks.value).ok()?;
            let ours: Vec<&str> = all
                .iter()
                .filter(|task| params::task_id(task).is_some_and(|id| self.tasks.has(&id)))
                .copied()
                .collect();
            (ours.len() != all.len()).then(|| {
                let at = tasks.value_start;
                let (head, tail) = (&result[..at], &result[at + tasks.value.len()..]);
                format!("{head}[{}]{tail}", ours.join(","))
            })
        });
        match kept {
            Some(kept) => self.reply(id, reply::result(id.raw(), &kept)),
            None => self.answer(id, None, line),
        }
    }

    fn on_call_answer(
        &mut self,
        id: Key,
        method: Arc<str>,
        context: Arc<CallContext>,
        line: Bytes,
        result: Option<&str>,
        error: Option<&str>,
    ) {
        if self.view.quarantined || !self.view.enabled {
            // The operator took its voice while it was at work.
            let refused = Refused::silenced();
            self.withhold(&id, &method, &context, &refused, Vec::new(), false);
            return;
        }
        if let Some(result) = result {
            if shape_of(result).is_some() {
                self.refuse_list_shape(&id, &method);
                return;
            }
            if let Some(task) = params::made_task(result) {
                self.tasks.insert(task.into_owned(), context.clone());
            }
        }
        let Some(questions) = self.questions_in(&id, &method, &context, result, error) else {
            return;
        };
        let inspects = context.generation.inspects_results();
        if questions.is_empty() && !inspects {
            if let Some(result) = result {
                self.remember_handed(result, &context);
            }
            let line = self.for_one_client(line);
            self.answer(&id, code_of(error), line);
            return;
        }
        let outcome = inspects.then(|| match (result, error) {
            (Some(result), _) => result.to_owned(),
            (None, error) => format!("{{\"error\":{}}}", error.unwrap_or("null")),
        });
        self.inspect(Answer {
            id,
            method,
            context,
            line,
            error: code_of(error),
            within: None,
            questions,
            outcome,
        });
    }

    /// What the answer to a call asks of the client and policies have to judge; none if it was refused.
    ///
    /// If one question is refused the whole answer is: the client could not tell the server, which waits for all of
    /// them together. The refusal is `DENIED` and not `WITHHELD`, since the call is not over: as far as the protocol
    /// knows it waits for input that it does not get.
    fn questions_in(
        &mut self,
        id: &Key,
        method: &str,
        context: &CallContext,
        result: Option<&str>,
        error: Option<&str>,
    ) -> Option<Vec<Question>> {
        let refused = match Question::in_answer(result, error, Some(&context.call)) {
            Ok(questions) => match self.refused_unjudged(&questions) {
                None => return Some(questions),
                Some(refused) => {
                    self.record_unjudged(&questions, Some(&refused), Some(context));
                    refused.1
                }
            },
            Err(error) => {
                self.record_unreadable(method, &error, Some(context));
                Refused::request_unreadable()
            }
        };
        self.withhold(id, method, context, &refused, Vec::new(), false);
        None
    }

    /// A result of 2026-07-28 as its client may have it: cached for it alone and not for long, and without the server's
    /// name if that is withheld.
    fn for_one_client(&self, line: Bytes) -> Bytes {
        let nameless = self.is_stateless() && self.is_nameless();
        let has = |what: &[u8]| memchr::memmem::find(&line, what).is_some();
        if !self.is_stateless() || !(nameless || has(b"ttlMs") || has(b"cacheScope")) {
            return line;
        }
        let Some(result) = result_of(&line) else {
            return line;
        };
        match discover::for_one_client(result, nameless) {
            Some(edited) => {
                let place = part_of(&line, result);
                let parts = [&line[..place.start], edited.as_bytes(), &line[place.end..]];
                parts.concat().into()
            }
            None => line,
        }
    }

    /// `tasks/get`: what it says of the call's result is judged like a result.
    fn on_task_answer(
        &mut self,
        id: Key,
        method: Arc<str>,
        context: Arc<CallContext>,
        line: Bytes,
        result: Option<&str>,
        error: Option<&str>,
    ) {
        if self.view.quarantined || !self.view.enabled {
            let refused = Refused::silenced();
            self.withhold(&id, &method, &context, &refused, Vec::new(), false);
            return;
        }
        if result.and_then(shape_of).is_some() {
            self.refuse_list_shape(&id, &method);
            return;
        }
        let Some(questions) = self.questions_in(&id, &method, &context, result, error) else {
            return;
        };
        let inner = result.and_then(|task| Some((task, params::task_result(task)?)));
        let inspects = context.generation.inspects_results();
        let outcome = match &inner {
            Some((task, within)) if inspects => Some(task[within.clone()].to_owned()),
            _ => None,
        };
        if questions.is_empty() && outcome.is_none() {
            if let Some((task, within)) = inner {
                self.remember_handed(&task[within], &context);
            }
            self.answer(&id, code_of(error), line);
            return;
        }
        self.inspect(Answer {
            id,
            method,
            context,
            line,
            error: code_of(error),
            within: inner.filter(|_| inspects).map(|(_, within)| within),
            questions,
            outcome,
        });
    }

    /// Has what an answer asks judged, and then its outcome by the result-gates.
    fn inspect(&mut self, answer: Answer) {
        let host = self.host.clone();
        let catalogue = self.catalogue.clone();
        let view = self.host.view(&catalogue);
        self.put(answer.id.clone(), Open::Judging);
        self.spent = true;
        let exchange = Some(answer.id.exchange);
        let inspecting = Box::pin(async move {
            let Answer {
                context, questions, ..
            } = &answer;
            let judged = if context.generation.hears_client_requests() && !questions.is_empty() {
                let generation = &context.generation;
                let context = &context.context;
                Some(judge_questions(&host, generation, &catalogue, context, questions).await)
            } else {
                None
            };
            let refused = judged.as_ref().and_then(Judged::refused);
            // A question that is refused refuses the whole answer, and not the outcome within it.
            let whole = refused.is_some();
            let inspection = match (refused, &answer.outcome) {
                (None, Some(outcome)) => {
                    judge::result(
                        &context.generation,
                        &view,
                        &context.context,
                        &context.call,
                        outcome,
                    )
                    .await
                }
                (refused, _) => Inspection {
                    outcome: match refused {
                        Some(refused) => Err(Box::new(refused.clone())),
                        None => Ok(None),
                    },
                    codes: Vec::new(),
                    micros: Vec::new(),
                },
            };
            Event::Inspected(Box::new(Inspected {
                id: answer.id,
                method: answer.method,
                context: answer.context,
                line: answer.line,
                error: answer.error,
                within: answer.within.filter(|_| !whole),
                questions: answer.questions,
                judged,
                inspection,
            }))
        });
        self.out.jobs.push((exchange, inspecting));
    }

    /// The result-gates are through with a result.
    pub(super) fn on_inspected(&mut self, inspected: Inspected) {
        let Inspected {
            id,
            method,
            context,
            line,
            error,
            within,
            questions,
            judged,
            inspection,
        } = inspected;
        let cancelled = matches!(self.close(&id), Some(Open::Cancelled));
        match judged {
            Some(judged) => self.record_judged(&questions, judged, Some(&context)),
            None => self.record_unjudged(&questions, None, Some(&context)),
        }
        match inspection.outcome {
            Err(refused) if within.is_some() => {
                let micros = inspection.micros;
                self.record_result(&method, &context, Some(&refused), Vec::new(), micros);
                if let Some(within) = within.filter(|_| !cancelled) {
                    self.withhold_within(&id, &line, within, &context.name, &refused);
                }
            }
            Err(refused) => {
                self.withhold(
                    &id,
                    &method,
                    &context,
                    &refused,
                    inspection.micros,
                    cancelled,
                );
            }
            Ok(replaced) => {
                if replaced.is_some() || !inspection.codes.is_empty() {
                    let codes = inspection.codes;
                    self.record_result(&method, &context, None, codes, inspection.micros);
                }
                if cancelled {
                    return;
                }
                match replaced {
                    None => {
                        self.remember_handed(result_of(&line).unwrap_or("{}"), &context);
                        let line = self.for_one_client(line);
                        self.answer(&id, error, line);
                    }
                    Some(text) => match within {
                        Some(within) => {
                            self.remember_handed(&text, &context);
                            self.reply_within(&id, &line, within, &text);
                        }
                        None => self.reply_replaced(&id, &text, &context),
                    },
                }
            }
        }
    }

    fn withhold(
        &mut self,
        id: &Key,
        method: &str,
        context: &CallContext,
        refused: &Refused,
        micros: Vec<(Arc<str>, u32)>,
        cancelled: bool,
    ) {
        self.record_result(method, context, Some(refused), Vec::new(), micros);
        if !cancelled {
            // What tells of a task is no tool's result, whatever made the task.
            let form = match context.form {
                Form::Tool if method == "tasks/get" => Form::Other,
                form => form,
            };
            self.reply_refusal(id, form, &context.name, refused);
        }
    }

    /// A replacement stands for a result, or, in the shape `{"error": …}`, for an error.
    fn reply_replaced(&mut self, id: &Key, text: &str, context: &CallContext) {
        let members = scan::members(text).unwrap_or_default();
        match members.as_slice() {
            [only] if only.is("error") => {
                let mut line =
                    format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":", id.raw()).into_bytes();
                line.extend_from_slice(only.value.as_bytes());
                line.push(b'}');
                self.answer(id, code_of(Some(only.value)), line.into());
            }
            _ if shape_of(text).is_some() => self.refuse_list_shape(id, ""),
            _ => {
                self.remember_handed(text, context);
                self.reply(id, reply::result(id.raw(), text));
            }
        }
    }

    /// Remembers the URIs that a result hands out: those may be read, although no list holds them. The URI that was
    /// asked for is not one of them: a read that a template allowed must not outlive the template.
    pub(super) fn remember_handed(&mut self, result: &str, context: &CallContext) {
        if memchr::memmem::find(result.as_bytes(), b"uri").is_none() {
            return;
        }
        let mut found = Vec::new();
        collect_uris(result, &mut found);
        for uri in found {
            if self.handed.len() >= MAX_HANDED {
                tracing::warn!(
                    "results handed out more than {MAX_HANDED} URIs; no more are remembered"
                );
                return;
            }
            let uri = normal_form(&uri);
            if context.call.target.as_deref() != Some(&*uri) {
                self.handed.insert(uri.into_owned());
            }
        }
    }
}

/// Every string that is the member `uri` of some object. Depth is bounded by the envelope's limit.
fn collect_uris(value: &str, found: &mut Vec<String>) {
    match value.as_bytes().first() {
        Some(b'{') => {
            for member in scan::members(value).unwrap_or_default() {
                if member.is("uri")
                    && let Some(raw) = member
                        .value
                        .strip_prefix('"')
                        .and_then(|rest| rest.strip_suffix('"'))
                {
                    found.push(scan::unescape(raw).into_owned());
                } else {
                    collect_uris(member.value, found);
                }
            }
        }
        Some(b'[') => {
            for element in scan::elements(value).unwrap_or_default() {
                collect_uris(element, found);
            }
        }
        _ => {}
    }
}

/// An error's code; one without a code is the server's own trouble.
fn code_of(error: Option<&str>) -> Option<i64> {
    error.map(|error| params::error_code(error).unwrap_or(INTERNAL_ERROR))
}

/// The error within a response's line.
pub(super) fn error_in(line: &Bytes) -> Option<&str> {
    let members = scan::members(std::str::from_utf8(line).ok()?).ok()?;
    members
        .into_iter()
        .find(|member| member.is("error"))
        .map(|member| member.value)
}

/// The result within a response's line.
pub(super) fn result_of(line: &Bytes) -> Option<&str> {
    let members = scan::members(std::str::from_utf8(line).ok()?).ok()?;
    members
        .into_iter()
        .find(|member| member.is("result"))
        .map(|member| member.value)
}

/// Where `part` stands in the line it was read from.
pub(super) fn part_of(line: &Bytes, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize);
    start..(start + part.len()).min(line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_found_at_any_depth_and_only_as_strings() {
        let mut found = Vec::new();
        let result = r#"{"content":[{"type":"resource_link","uri":"a:1"},{"resource":{"uri":"a:\u0032"}}],"uri":7}"#;
        collect_uris(result, &mut found);
        assert_eq!(found, ["a:1", "a:2"]);
    }
}
