//! What goes into the audit.
//!
//! Knows how a decision becomes a record; the writing is the audit's.

use std::sync::Arc;

use super::calls::outcome_of;
use super::{Ask, CallContext, Core};
use crate::audit::{Outcome, Record};
use crate::chain::Refused;
use crate::mcp::ItemKind;

/// The longest method that is recorded, characters.
const MAX_METHOD: usize = 200;

impl Core {
    pub(super) fn record(&self, method: &str, verdict: Outcome) -> Record {
        Record {
            generation: self.generation.id,
            caller: self.names.0.clone(),
            server: self.names.1.clone(),
            method: method.chars().take(MAX_METHOD).collect(),
            verdict,
            ..Record::default()
        }
    }

    /// A message that was not understood, or that nobody asked for.
    pub(super) fn record_refused(&self, method: &str, reason: &str) {
        let mut record = self.record(method, Outcome::Refused);
        record.codes.push(("witgate".into(), reason.to_owned()));
        self.host.audit.record(record);
    }

    /// A message of the protocol itself.
    pub(super) fn record_plain(&self, method: &str, verdict: Outcome) {
        self.host.audit.record(self.record(method, verdict));
    }

    /// A list of items of this kind. One that is answered says which policies would cut it.
    pub(super) fn record_list(&self, ask: &Ask, kind: ItemKind, verdict: Outcome) {
        let mut record = self.record(&ask.name, verdict);
        record.codes = self.would_withhold(kind, verdict);
        self.host.audit.record(record);
    }

    /// The server's self-description, if a policy would withhold it: `initialize` is no decision otherwise.
    pub(super) fn record_described(&self, method: &str) {
        let codes = self.would_withhold(ItemKind::SelfDescription, Outcome::Allowed);
        if !codes.is_empty() {
            let mut record = self.record(method, Outcome::Allowed);
            record.codes = codes;
            self.host.audit.record(record);
        }
    }

    fn would_withhold(&self, kind: ItemKind, verdict: Outcome) -> Vec<(Arc<str>, String)> {
        match &self.visibility {
            Some(visibility) if verdict == Outcome::Allowed => visibility.would_of(kind),
            _ => Vec::new(),
        }
    }

    /// A call that went on.
    pub(super) fn record_call(
        &self,
        ask: &Ask,
        context: &CallContext,
        codes: Vec<(Arc<str>, String)>,
        micros: Vec<(Arc<str>, u32)>,
    ) {
        let mut record = self.record_of(&ask.name, context, Outcome::Allowed);
        record.codes.clone_from(&context.would);
        record.codes.extend(codes);
        record.micros = micros;
        self.host.audit.record(record);
    }

    /// A call that was refused. One that reached no item is recorded under the name that was asked for.
    pub(super) fn record_refusal(
        &self,
        ask: &Ask,
        name: &str,
        refused: &Refused,
        context: Option<&CallContext>,
        micros: &[(Arc<str>, u32)],
    ) {
        let verdict = outcome_of(refused.decision);
        let mut record = match context {
            Some(context) => self.record_of(&ask.name, context, verdict),
            None => Record {
                item: ask.item_kind().map(|kind| (kind, name.into())),
                arguments: ask.arguments(),
                ..self.record(&ask.name, verdict)
            },
        };
        let would = context.map(|context| context.would.as_slice());
        record.codes = would.unwrap_or_default().to_vec();
        record.codes.extend_from_slice(&refused.codes);
        if refused.codes.is_empty() {
            record.codes.push(("witgate".into(), refused.code.clone()));
        }
        record.decided_by.clone_from(&refused.decided_by);
        record.micros = micros.to_vec();
        self.host.audit.record(record);
    }

    /// A result that a policy refused or replaced.
    pub(super) fn record_result(
        &self,
        method: &str,
        context: &CallContext,
        refused: Option<&Refused>,
        codes: Vec<(Arc<str>, String)>,
        micros: Vec<(Arc<str>, u32)>,
    ) {
        let verdict = refused.map_or(Outcome::Allowed, |refused| outcome_of(refused.decision));
        let mut record = self.record_of(method, context, verdict);
        record.codes = refused.map_or(codes, |refused| refused.codes.clone());
        record.decided_by = refused.and_then(|refused| refused.decided_by.clone());
        record.micros = micros;
        self.host.audit.record(record);
    }

    fn record_of(&self, method: &str, context: &CallContext, verdict: Outcome) -> Record {
        Record {
            generation: context.generation.id,
            item: context.item.clone(),
            digest: context.digest,
            arguments: context.call.arguments.as_deref().map(Into::into),
            ..self.record(method, verdict)
        }
    }
}
