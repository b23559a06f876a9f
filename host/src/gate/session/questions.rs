//! What a server asks of the client: judged and recorded, whatever message carries it.
//!
//! Knows that the operator's configuration is asked first and policies after, that the first refusal ends it, and how
//! a client's capabilities are narrowed so that a server does not ask. Where the message goes then is `voice`'s and
//! `results`' to know.

use std::sync::Arc;

use super::calls::outcome_of;
use super::{About, Ask, CallContext, Core, Open, Sent, params};
use crate::audit::{Outcome, Record};
use crate::chain::judge::{self, ClientJudgement};
use crate::chain::permit::Bound;
use crate::chain::{Generation, Refused};
use crate::gate::Host;
use crate::gate::catalogue::Catalogue;
use crate::gate::host::{MAX_LEDGER_AGE, ledger_refusal};
use crate::mcp::capabilities::{self, CapabilitiesError};
use crate::mcp::client_request::{AskError, AskKind, Denied};
use crate::mcp::input_required::{ClientRequestText, requests_in, requests_in_error};
use crate::policy::contract::{Call, ClientRequest, Context};

/// One question to the client.
pub(super) struct Question {
    pub(super) kind: AskKind,
    request: ClientRequest,
}

/// The questions of one message, judged in their order as far as the first that is refused.
pub(super) struct Judged {
    /// What they were judged on.
    pub(super) bound: Bound,
    judgements: Vec<ClientJudgement>,
}

impl Question {
    /// A question that a request of the server's is.
    pub(super) fn asked(kind: AskKind, params: Option<&str>, during: Option<&Call>) -> Self {
        let request = judge::to_client(kind, params, during, "request");
        Self { kind, request }
    }

    fn found(found: ClientRequestText<'_>, during: Option<&Call>, via: &str) -> Self {
        let mut request = judge::to_client(found.kind, found.params, during, via);
        if !found.key.is_empty() {
            let key = found.key.into_owned();
            request.labels.push(("key".to_owned(), key));
        }
        Self {
            kind: found.kind,
            request,
        }
    }

    /// The questions inside a result, or inside what a notification tells of a task.
    pub(super) fn in_result(result: &str, during: Option<&Call>) -> Result<Vec<Self>, AskError> {
        let found = requests_in(result)?.into_iter();
        Ok(found
            .map(|found| Self::found(found, during, "result"))
            .collect())
    }

    /// The questions inside an answer.
    pub(super) fn in_answer(
        result: Option<&str>,
        error: Option<&str>,
        during: Option<&Call>,
    ) -> Result<Vec<Self>, AskError> {
        match (result, error) {
            (Some(result), _) => Self::in_result(result, during),
            (None, Some(error)) => {
                let found = requests_in_error(error)?.into_iter();
                Ok(found
                    .map(|found| Self::found(found, during, "error"))
                    .collect())
            }
            (None, None) => Ok(Vec::new()),
        }
    }
}

impl Judged {
    /// The refusal, if one of them is refused.
    pub(super) fn refused(&self) -> Option<&Refused> {
        let last = self.judgements.last()?;
        last.outcome.as_ref().err().map(|refused| &**refused)
    }
}

/// Whether an answer that cannot hold questions holds some, or what could be taken for one.
pub(super) fn asks(result: Option<&str>, error: Option<&str>) -> bool {
    !matches!(Question::in_answer(result, error, None), Ok(none) if none.is_empty())
}

/// Has questions judged by every policy that judges them, on a ledger that is fresh.
pub(super) async fn judge_questions(
    host: &Host,
    generation: &Generation,
    catalogue: &Arc<Catalogue>,
    context: &Context,
    questions: &[Question],
) -> Judged {
    // What is only recorded needs no ledger that can be relied on.
    let stale = match generation.judges_client_requests() {
        true => confirmed(host).await.err(),
        false => None,
    };
    let view = host.view(catalogue);
    let bound = Bound {
        generation: generation.id,
        revision: view.snapshot.revision,
    };
    let mut judgements = Vec::new();
    if let Some(refused) = stale {
        judgements.push(ClientJudgement {
            outcome: Err(Box::new(refused)),
            codes: Vec::new(),
            micros: Vec::new(),
            pure: false,
        });
        return Judged { bound, judgements };
    }
    for question in questions {
        let judgement = judge::client_request(generation, &view, context, &question.request).await;
        let refused = judgement.outcome.is_err();
        judgements.push(judgement);
        if refused {
            break;
        }
    }
    Judged { bound, judgements }
}

async fn confirmed(host: &Host) -> Result<(), Refused> {
    if host.ledger.age() <= MAX_LEDGER_AGE {
        return Ok(());
    }
    match host.ledger.confirm().await {
        Ok(_) if host.ledger.age() <= MAX_LEDGER_AGE => Ok(()),
        Ok(_) => Err(Refused::unavailable(
            "ledger_stale",
            "The gate's ledger is stale",
        )),
        Err(error) => Err(ledger_refusal(&error)),
    }
}

impl Core {
    /// What the operator denies this server, as of now.
    fn denied(&self) -> Denied {
        let config = self.host.config.load();
        config.denied_requests(&self.entry.name)
    }

    /// The first of these questions that may not be asked whatever policies say, and why.
    pub(super) fn refused_unjudged(&self, questions: &[Question]) -> Option<(usize, Refused)> {
        if questions.is_empty() {
            return None;
        }
        if self.config.audit.required && self.host.audit.problem().is_some() {
            let reason = "The gate cannot write its audit";
            return Some((0, Refused::unavailable("audit_unavailable", reason)));
        }
        let denied = self.denied();
        let at = questions
            .iter()
            .position(|question| denied.denies(question.kind))?;
        Some((at, Refused::request_denied(questions[at].kind)))
    }

    /// The call that a message of the server's came with, if that is known: the one whose stream it came on, or the
    /// one that made the task it names.
    pub(super) fn during(&self, about: &About, given: Option<&str>) -> Option<Arc<CallContext>> {
        if let About::During(exchange) = about {
            let on = |(key, open): (&super::Key, &Open)| match open {
                Open::Forwarded(forwarded) if key.exchange == *exchange => match &forwarded.what {
                    Sent::Call(context) | Sent::Task(context) => Some(context.clone()),
                    _ => None,
                },
                _ => None,
            };
            if let Some(context) = self.open.iter().find_map(on) {
                return Some(context);
            }
        }
        let given = given?;
        let task = params::related_task(given).or_else(|| params::task_id(given))?;
        self.tasks.get(&task)
    }

    /// Records what became of questions.
    pub(super) fn record_judged(
        &self,
        questions: &[Question],
        judged: Judged,
        during: Option<&CallContext>,
    ) {
        for (question, judgement) in questions.iter().zip(judged.judgements) {
            let refused = judgement.outcome.err();
            let mut record = self.question_record(question, refused.as_deref(), during);
            if refused.is_none() {
                record.codes = judgement.codes;
            }
            record.generation = judged.bound.generation;
            record.micros = judgement.micros;
            self.host.audit.record(record);
        }
    }

    /// Records questions that nobody judged: all of them allowed, or the one that is refused.
    pub(super) fn record_unjudged(
        &self,
        questions: &[Question],
        refused: Option<&(usize, Refused)>,
        during: Option<&CallContext>,
    ) {
        for (at, question) in questions.iter().enumerate() {
            let refused = match refused {
                Some((of, refused)) if *of == at => Some(refused),
                Some(_) => continue,
                None => None,
            };
            let record = self.question_record(question, refused, during);
            self.host.audit.record(record);
        }
    }

    fn question_record(
        &self,
        question: &Question,
        refused: Option<&Refused>,
        during: Option<&CallContext>,
    ) -> Record {
        let verdict = refused.map_or(Outcome::Allowed, |refused| outcome_of(refused.decision));
        let mut record = self.record(question.kind.method(), verdict);
        record.item = during.and_then(|during| during.item.clone());
        record.digest = during.and_then(|during| during.digest);
        record.arguments = question.request.params.as_deref().map(Into::into);
        if let Some(refused) = refused {
            record.codes.clone_from(&refused.codes);
            if record.codes.is_empty() {
                record.codes.push(("witgate".into(), refused.code.clone()));
            }
            record.decided_by.clone_from(&refused.decided_by);
        }
        record
    }

    /// A question that cannot be read in one way only.
    pub(super) fn record_unreadable(
        &self,
        method: &str,
        error: &AskError,
        during: Option<&CallContext>,
    ) {
        let mut record = self.record(method, Outcome::Refused);
        record.item = during.and_then(|during| during.item.clone());
        record.digest = during.and_then(|during| during.digest);
        record.codes = vec![
            ("witgate".into(), "client_request_unreadable".to_owned()),
            ("witgate".into(), error.to_string()),
        ];
        self.host.audit.record(record);
    }

    /// Takes what the operator denies out of the capabilities that a request declares.
    pub(super) fn narrow(
        &self,
        ask: &mut Ask,
        strip: fn(&str, Denied) -> Result<Option<String>, CapabilitiesError>,
    ) -> Result<(), CapabilitiesError> {
        let denied = self.denied();
        let (Some(range), false) = (ask.params.clone(), denied.is_empty()) else {
            return Ok(());
        };
        let Some(narrowed) = strip(ask.params().unwrap_or_default(), denied)? else {
            return Ok(());
        };
        let parts = [
            &ask.line[..range.start],
            narrowed.as_bytes(),
            &ask.line[range.end..],
        ];
        ask.line = parts.concat().into();
        ask.params = Some(range.start..range.start + narrowed.len());
        Ok(())
    }

    /// The client's `initialize`, without the capabilities that the operator denies.
    pub(super) fn narrow_initialize(&self, ask: &mut Ask) -> Result<(), CapabilitiesError> {
        self.narrow(ask, capabilities::strip_initialize)
    }

    /// The same for a request of 2026-07-28.
    pub(super) fn narrow_stateless(&self, ask: &mut Ask) -> Result<(), CapabilitiesError> {
        self.narrow(ask, capabilities::strip_meta)
    }

    /// Whether the server is not told of roots.
    pub(super) fn denies_roots(&self) -> bool {
        self.denied().roots
    }
}
