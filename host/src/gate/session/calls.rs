//! Calls: which item they reach, and whether they may.
//!
//! Knows that what is not listed is not called (design, invariant 1), and that a call is judged again if what it was
//! judged on moved before it was forwarded.

use std::sync::Arc;

use super::listen::Filter;
use super::{Ask, CallContext, Core, Event, Form, Forwarded, Key, On, Open, Sent, params};
use crate::audit::Outcome;
use crate::chain::judge::{self, Decision, Judgement};
use crate::chain::permit::Bound;
use crate::chain::visibility::Status;
use crate::chain::{Protocol, Refused, convert};
use crate::gate::host::{MAX_LEDGER_AGE, ledger_refusal};
use crate::mcp::call::Target;
use crate::mcp::headers::{self, HEADER_MISMATCH, HeaderMismatch};
use crate::mcp::method::{CallKind, ClientRequest, TaskKind};
use crate::mcp::refusal::Refusal;
use crate::mcp::stateless::{MISSING_CAPABILITY, Meta};
use crate::mcp::{Digest, ItemKey, ItemKind};
use crate::policy::contract;
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_PARAMS};
use crate::wire::reply;

/// What every result of 2026-07-28 says that is no question and no task.
pub(super) const COMPLETE: &str = "\"resultType\":\"complete\",";

/// A call that was judged.
pub struct Judged {
    ask: Ask,
    context: Arc<CallContext>,
    subscription: Option<Subscription>,
    judgement: Judgement,
    bound: Bound,
}

/// What a permitted call does to the subscriptions.
#[derive(Clone)]
struct Subscription {
    uri: String,
    params: String,
}

impl Judged {
    /// A call that changes no subscription of a session.
    pub(super) const fn new(
        ask: Ask,
        context: Arc<CallContext>,
        judgement: Judgement,
        bound: Bound,
    ) -> Self {
        Self {
            ask,
            context,
            subscription: None,
            judgement,
            bound,
        }
    }
}

/// The item that a call reaches.
pub(super) struct Reached {
    kind: ItemKind,
    name: Arc<str>,
    digest: Option<Digest>,
    status: Option<Status>,
    target: Option<String>,
    would: Vec<(Arc<str>, String)>,
}

impl Core {
    /// Judges a call, refuses it, or parks it until it can be judged.
    pub(super) fn dispatch_call(&mut self, ask: Ask, kind: CallKind) {
        let target = match crate::mcp::call::target(kind, ask.params()) {
            Ok(target) => target,
            Err(bad) => {
                let reason = bad.to_string();
                self.record_refused(&ask.name, &reason);
                self.fail(&ask.id, INVALID_PARAMS, &reason);
                return;
            }
        };
        self.begin_running();
        let kinds = kinds_of(&target);
        if let Some(refused) = self.cannot_be_relied_on(kinds) {
            self.refuse(
                &ask,
                Form::of(target.kind),
                &target.name,
                &refused,
                None,
                &[],
            );
            return;
        }
        if kind == CallKind::Unsubscribe
            && self.up
            && self.replay.subscriptions.remove(target.key()).is_some()
        {
            self.record_plain(&ask.name, Outcome::Allowed);
            self.send(ask, Protocol::Subscription, Sent::Plain);
            return;
        }
        if self.must_wait(kinds) {
            self.park(ask);
            return;
        }
        let trusted = !self.view.quarantined && self.view.enabled;
        if let Some(kind) = kinds
            .iter()
            .find(|kind| trusted && !self.answered.contains(*kind))
        {
            self.close_baseline(*kind);
            self.park(ask);
            return;
        }
        let reached = self.reach(&target);
        self.judge(&ask, kind, &target, reached);
    }

    /// Why no call of these kinds can be judged, if none can.
    pub(super) fn cannot_be_relied_on(&mut self, kinds: &[ItemKind]) -> Option<Refused> {
        if self.config.audit.required && self.host.audit.problem().is_some() {
            return Some(Refused::unavailable(
                "audit_unavailable",
                "The gate cannot write its audit",
            ));
        }
        if let Some(refused) = self.cannot_judge() {
            return Some(refused);
        }
        let limit = self.config.limits.stale_catalogue;
        let unavailable = kinds.iter().any(|kind| {
            self.reads.failure(*kind).is_some_and(|(_, since)| {
                let unread = !self.reads.was_read(*kind) && !self.reads.is_busy();
                unread || self.now.duration_since(*since) > limit
            })
        });
        unavailable.then(|| {
            Refused::unavailable("catalogue_unavailable", "The server's list cannot be read")
        })
    }

    /// Whether something a judgement needs is still to come; if so, it is on its way.
    pub(super) fn must_wait(&mut self, kinds: &[ItemKind]) -> bool {
        if self.host.ledger.age() > MAX_LEDGER_AGE {
            self.confirm_ledger();
            return true;
        }
        let unread = kinds
            .iter()
            .any(|kind| self.declared.contains(kind) && !self.reads.was_read(*kind));
        if !self.up || unread {
            return true;
        }
        if !self.is_current() {
            self.settle_soon();
            return true;
        }
        false
    }

    fn confirm_ledger(&mut self) {
        if std::mem::replace(&mut self.confirming, true) {
            return;
        }
        let ledger = self.host.ledger.clone();
        let confirming = Box::pin(async move {
            let refused = match ledger.confirm().await {
                // A ledger that answers and still is not fresh is not to be waited for.
                Ok(_) if ledger.age() > MAX_LEDGER_AGE => Some(Refused::unavailable(
                    "ledger_stale",
                    "The gate's ledger is stale",
                )),
                Ok(_) => None,
                Err(error) => Some(ledger_refusal(&error)),
            };
            Event::Confirmed(refused.map(Box::new))
        });
        self.out.jobs.push((None, confirming));
    }

    /// The ledger answered: what was parked goes on, or is refused.
    pub(super) fn on_confirmed(&mut self, refused: Option<Refused>) {
        self.confirming = false;
        let Some(refused) = refused else {
            self.dispatch_parked();
            return;
        };
        for ask in std::mem::take(&mut self.parked) {
            let Some(ClientRequest::Call(kind)) = ask.method else {
                self.parked.push(ask);
                continue;
            };
            let name = match crate::mcp::call::target(kind, ask.params()) {
                Ok(target) => target.name.into_owned(),
                Err(_) => String::new(),
            };
            let form = ask.item_kind().map_or(Form::Other, Form::of);
            self.refuse(&ask, form, &name, &refused, None, &[]);
        }
    }

    /// The item that a call names: what is listed by that name, else, for a URI, a visible template that matches it,
    /// or a result that handed it out. None for everything else, hidden or not there alike.
    pub(super) fn reach(&mut self, target: &Target<'_>) -> Option<Reached> {
        let visibility = self.visibility.clone()?;
        let key = ItemKey {
            kind: target.kind,
            name: target.key().into(),
        };
        if let Some((item, status)) = visibility.get(&key) {
            return Some(Reached {
                kind: target.kind,
                name: item.key.name.clone(),
                digest: Some(item.digest),
                status: Some(status.clone()),
                target: target.uri.clone(),
                would: visibility.would(&key).to_vec(),
            });
        }
        if target.kind != ItemKind::Resource {
            return None;
        }
        let templates = self.visible_templates();
        if let Some((key, _)) = templates.iter().find(|(_, t)| t.matches(target.key())) {
            let digest = visibility.get(key).map(|(item, _)| item.digest);
            return Some(Reached {
                kind: key.kind,
                name: key.name.clone(),
                digest,
                status: Some(Status::Visible),
                target: Some(target.key().to_owned()),
                would: visibility.would(key).to_vec(),
            });
        }
        // No policy has seen what only a result handed out, so standing is judged here.
        let trusted = !self.view.quarantined && self.view.enabled;
        (trusted && self.handed.contains(target.key())).then(|| Reached {
            kind: ItemKind::Resource,
            name: target.key().into(),
            digest: None,
            status: None,
            target: Some(target.key().to_owned()),
            would: Vec::new(),
        })
    }

    /// Whether the headers that came with a call of a tool mirror its arguments as the tool's definition says. What is
    /// withheld tells nothing of its definition.
    fn agrees(&self, ask: &Ask, tool: bool, reached: &Reached) -> Result<(), HeaderMismatch> {
        let Some(mirrored) = ask.mirrored.as_deref().filter(|_| tool) else {
            return Ok(());
        };
        if !matches!(reached.status, Some(Status::Visible)) {
            return Ok(());
        }
        let definition = reached
            .digest
            .and_then(|digest| self.catalogue.definition(&digest));
        definition.map_or(Ok(()), |definition| {
            headers::verify(&definition, ask.params(), mirrored)
        })
    }

    /// What a call is judged with, and the status of the item it reaches.
    pub(super) fn context_of(
        &self,
        ask: &Ask,
        target: &Target<'_>,
        reached: Reached,
    ) -> (Arc<CallContext>, Option<Status>) {
        let item = contract::Item {
            kind: convert::kind(reached.kind),
            name: reached.name.to_string(),
            digest: reached
                .digest
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
            labels: Vec::new(),
        };
        let call = contract::Call {
            method: ask.name.to_string(),
            item,
            target: reached.target.clone(),
            arguments: target.arguments.as_deref().map(str::to_owned),
            labels: Vec::new(),
        };
        let context = Arc::new(CallContext {
            generation: self.generation.clone(),
            context: self.context.clone(),
            call,
            form: Form::of(target.kind),
            name: target.name.to_string(),
            item: Some((reached.kind, reached.name)),
            digest: reached.digest,
            would: reached.would,
        });
        (context, reached.status)
    }

    fn judge(&mut self, ask: &Ask, kind: CallKind, target: &Target<'_>, reached: Option<Reached>) {
        let tool = target.kind == ItemKind::Tool;
        let Some(reached) = reached else {
            let form = Form::of(target.kind);
            self.refuse(ask, form, &target.name, &Refused::filtered(), None, &[]);
            return;
        };
        if let Err(mismatch) = self.agrees(ask, tool, &reached) {
            let reason = mismatch.to_string();
            self.record_refused(&ask.name, &reason);
            self.fail(&ask.id, HEADER_MISMATCH, &reason);
            return;
        }
        let (context, status) = self.context_of(ask, target, reached);
        let subscription = (kind == CallKind::Subscribe).then(|| Subscription {
            uri: target.key().to_owned(),
            params: ask.params().unwrap_or("{}").to_owned(),
        });
        let view = self.host.view(&self.catalogue);
        let bound = Bound {
            generation: context.generation.id,
            revision: view.snapshot.revision,
        };
        self.put(ask.id.clone(), Open::Judging);
        let ask = ask.clone();
        if let Some(judgement) = self.remembered.recall(bound, &context.call, &ask.line) {
            self.on_judged(Judged {
                ask,
                context,
                subscription,
                judgement,
                bound,
            });
            return;
        }
        self.spent = true;
        let exchange = Some(ask.id.exchange);
        let judging = Box::pin(async move {
            let judgement = judge::call(
                &context.generation,
                &view,
                &context.context,
                status.as_ref(),
                &context.call,
                ask.line.clone(),
            )
            .await;
            Event::Judged(Box::new(Judged {
                ask,
                context,
                subscription,
                judgement,
                bound,
            }))
        });
        self.out.jobs.push((exchange, judging));
    }

    /// A job has judged a call: the verdict is remembered, and followed.
    pub(super) fn on_judged_anew(&mut self, judged: Judged) {
        self.remembered
            .remember(judged.bound, &judged.context.call, &judged.judgement);
        self.on_judged(judged);
    }

    /// The resources that a request listens to were judged.
    pub(super) fn on_listens(&mut self, judged: Option<Box<(Judged, Filter)>>) {
        if let Some(judged) = judged {
            let (judged, filter) = *judged;
            self.follow(judged, |_| Sent::Listen(filter));
        }
    }

    /// Forwards a call that was permitted; refuses it otherwise.
    fn on_judged(&mut self, judged: Judged) {
        self.follow(judged, Sent::Call);
    }

    fn follow(&mut self, judged: Judged, sent: impl FnOnce(Arc<CallContext>) -> Sent) {
        let Judged {
            ask,
            context,
            subscription,
            judgement,
            ..
        } = judged;
        if matches!(self.open.get(&ask.id), Some(Open::Cancelled)) {
            self.close(&ask.id);
            return;
        }
        let permit = match judgement.outcome {
            Ok(permit) => permit,
            Err(refused) => {
                self.refuse(
                    &ask,
                    context.form,
                    &context.name,
                    &refused,
                    Some(&context),
                    &judgement.micros,
                );
                return;
            }
        };
        let on = On::Request {
            key: ask.id.clone(),
            definition: context
                .digest
                .filter(|_| context.form == Form::Tool)
                .and_then(|digest| self.catalogue.definition(&digest)),
        };
        if !self.up || !self.forward(permit, on) {
            self.dispatch(ask);
            return;
        }
        self.record_call(&ask, &context, judgement.codes, judgement.micros);
        if let Some(subscription) = subscription {
            self.replay
                .subscriptions
                .insert(subscription.uri, subscription.params);
        }
        let token = ask.params().and_then(params::progress_token);
        let forwarded = Forwarded {
            name: ask.name,
            what: sent(context),
            token,
        };
        self.put(ask.id, Open::Forwarded(Box::new(forwarded)));
    }

    /// Refuses a call: a tool's in the form of a tool's result, others as an error.
    pub(super) fn refuse(
        &mut self,
        ask: &Ask,
        form: Form,
        name: &str,
        refused: &Refused,
        context: Option<&CallContext>,
        micros: &[(Arc<str>, u32)],
    ) {
        self.record_refusal(ask, name, refused, context, micros);
        self.close(&ask.id);
        self.reply_refusal(&ask.id, form, name, refused);
    }

    /// A refusal as the result of a tool.
    pub(super) fn refusal_result(&self, name: &str, refused: &Refused) -> String {
        self.as_result(&refusal_of(name, refused))
    }

    fn as_result(&self, refusal: &Refusal<'_>) -> String {
        let mut result = refusal.tool_result();
        if self.is_stateless() {
            // MCP 2026-07-28, basic, "ResultType".
            result.insert_str(1, COMPLETE);
        }
        result
    }

    /// Tells the client that a call is refused.
    pub(super) fn reply_refusal(&mut self, key: &Key, form: Form, name: &str, refused: &Refused) {
        let refusal = refusal_of(name, refused);
        if form == Form::Tool {
            let result = self.as_result(&refusal);
            self.reply(key, reply::result(key.raw(), &result));
        } else {
            let reason = refusal.reason();
            let data = if form == Form::Resource {
                refusal.data_with_uri()
            } else {
                refusal.data()
            };
            self.reply_error(key, INVALID_PARAMS, &reason, Some(&data));
        }
    }

    /// Requests about tasks: only those that calls of this session made.
    pub(super) fn dispatch_task(&mut self, ask: Ask, kind: TaskKind) {
        if !self.up {
            self.park(ask);
            return;
        }
        if self.view.quarantined || !self.view.enabled {
            self.record_refused(&ask.name, "the server is withheld");
            self.fail(
                &ask.id,
                INTERNAL_ERROR,
                "the server is withheld by operator policy",
            );
            return;
        }
        if kind == TaskKind::List {
            self.record_plain(&ask.name, Outcome::Allowed);
            self.send(ask, Protocol::Task, Sent::TaskList);
            return;
        }
        if self.is_stateless() && !may_have_tasks(&ask) {
            let reason = "the client does not declare tasks";
            self.record_refused(&ask.name, reason);
            self.close(&ask.id);
            let message = "Missing required client capability";
            self.reply_error(&ask.id, MISSING_CAPABILITY, message, Some(TASKS_REQUIRED));
            return;
        }
        let id = ask.params().and_then(params::task_id);
        let Some(context) = id.and_then(|id| self.tasks.get(&id)) else {
            let reason = "no call of this session made this task";
            self.record_refused(&ask.name, reason);
            self.fail(&ask.id, INVALID_PARAMS, reason);
            return;
        };
        self.record_plain(&ask.name, Outcome::Allowed);
        let what = match kind {
            TaskKind::Result => Sent::Call(context),
            TaskKind::Get => Sent::Task(context),
            TaskKind::List | TaskKind::Cancel | TaskKind::Update => Sent::Plain,
        };
        self.send(ask, Protocol::Task, what);
    }

    /// Whether a URI may be reached now: for what is pushed about it, and for subscriptions made again.
    pub(super) fn may_reach(&mut self, uri: &str) -> bool {
        let target = Target {
            kind: ItemKind::Resource,
            name: uri.into(),
            uri: Some(uri.to_owned()),
            arguments: None,
            task: false,
            progress_token: None,
        };
        self.reach(&target)
            .is_some_and(|reached| !matches!(reached.status, Some(Status::Withheld(_))))
    }
}

/// What a client that asks about tasks must declare (the extension `io.modelcontextprotocol/tasks`).
const TASKS_REQUIRED: &str =
    "{\"requiredCapabilities\":{\"extensions\":{\"io.modelcontextprotocol/tasks\":{}}}}";

/// Whether a request of 2026-07-28 says that its client knows tasks.
fn may_have_tasks(ask: &Ask) -> bool {
    Meta::of_params(ask.params())
        .is_ok_and(|meta| params::has_extension(meta.capabilities, "io.modelcontextprotocol/tasks"))
}

fn refusal_of<'a>(name: &'a str, refused: &'a Refused) -> Refusal<'a> {
    Refusal {
        decision: refused.decision.word(),
        code: &refused.code,
        reason: &refused.reason,
        remedy: refused.remedy.as_deref(),
        tool: name,
    }
}

/// What a refusal is in the audit.
pub(super) const fn outcome_of(decision: Decision) -> Outcome {
    match decision {
        Decision::Filtered => Outcome::Filtered,
        Decision::Locked => Outcome::Locked,
        Decision::Denied => Outcome::Denied,
        Decision::Withheld => Outcome::Withheld,
        Decision::Error => Outcome::Error,
    }
}

/// The kinds whose lists decide about a call.
fn kinds_of(target: &Target<'_>) -> &'static [ItemKind] {
    match target.kind {
        ItemKind::Tool => &[ItemKind::Tool],
        ItemKind::Prompt => &[ItemKind::Prompt],
        _ => &[ItemKind::Resource, ItemKind::ResourceTemplate],
    }
}
