//! `subscriptions/listen` of revision 2026-07-28: one stream of what changes.
//!
//! Knows what a client wants to be told, that it may listen to a resource only if it may reach it, and that changes of
//! lists are told when what the client sees has changed, whoever caused it.

use std::sync::Arc;

use super::calls::Judged;
use super::{About, Ask, CallContext, Core, Event, Form, Open, Sent, without_end};
use crate::audit::Outcome;
use crate::chain::judge;
use crate::chain::permit::Bound;
use crate::chain::{Protocol, Refused};
use crate::mcp::ItemKind;
use crate::mcp::call::Target;
use crate::mcp::stateless::SUBSCRIPTION_ID;
use crate::mcp::uri::normal_form;
use crate::wire::envelope::INVALID_PARAMS;
use crate::wire::reply;
use crate::wire::scan::{elements, members, string_text};

/// What is told first of a subscription.
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";

/// The most resources that one request listens to.
const MAX_URIS: usize = 1000;

/// What a request listens to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    tools: bool,
    prompts: bool,
    resources: bool,
    /// Normal forms.
    uris: Vec<String>,
    /// The gate has acknowledged it itself: the server has no voice, and may get it while the client listens.
    acknowledged: bool,
}

impl Filter {
    /// Reads `params.notifications` (MCP 2026-07-28, schema, `SubscriptionFilter`).
    pub(super) fn read(params: Option<&str>) -> Result<Self, String> {
        let params = params.ok_or("`params` is missing")?;
        let all = members(params).map_err(|_| "`params` is not an object")?;
        let mut given = all.iter().filter(|member| member.is("notifications"));
        let raw = given.next().ok_or("`notifications` is missing")?.value;
        let all = members(raw).map_err(|_| "`notifications` is not an object")?;
        let mut filter = Self::default();
        for member in &all {
            let flag = || match member.value {
                "true" => Ok(true),
                "false" | "null" => Ok(false),
                _ => Err("a member of `notifications` is not a boolean".to_owned()),
            };
            if member.is("toolsListChanged") {
                filter.tools = flag()?;
            } else if member.is("promptsListChanged") {
                filter.prompts = flag()?;
            } else if member.is("resourcesListChanged") {
                filter.resources = flag()?;
            } else if member.is("resourceSubscriptions") {
                let bad = || "`resourceSubscriptions` is no list of strings".to_owned();
                for raw in elements(member.value).map_err(|_| bad())? {
                    let uri = string_text(raw).ok_or_else(bad)?;
                    filter.uris.push(normal_form(&uri).into_owned());
                }
            } else if [
                "toolsListChanged",
                "promptsListChanged",
                "resourcesListChanged",
                "resourceSubscriptions",
            ]
            .iter()
            .any(|name| member.could_pass_for(name))
            {
                return Err("`notifications` has an ambiguous key".to_owned());
            }
        }
        if filter.uris.len() > MAX_URIS {
            return Err(format!("more than {MAX_URIS} resources are listened to"));
        }
        Ok(filter)
    }

    /// Whether the server's acknowledgement is still to be told.
    pub(super) const fn is_acknowledged(&self) -> bool {
        self.acknowledged
    }

    /// What the client listens to, as it is acknowledged.
    fn text(&self) -> String {
        let mut parts: Vec<String> = [
            ("toolsListChanged", self.tools),
            ("promptsListChanged", self.prompts),
            ("resourcesListChanged", self.resources),
        ]
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(name, _)| format!("\"{name}\":true"))
        .collect();
        if !self.uris.is_empty() {
            let uris: Vec<String> = self.uris.iter().map(|uri| reply::string(uri)).collect();
            parts.push(format!("\"resourceSubscriptions\":[{}]", uris.join(",")));
        }
        format!("{{{}}}", parts.join(","))
    }

    fn wants(&self, kind: ItemKind) -> bool {
        match kind {
            ItemKind::Tool => self.tools,
            ItemKind::Prompt => self.prompts,
            ItemKind::Resource | ItemKind::ResourceTemplate => self.resources,
            ItemKind::SelfDescription => false,
        }
    }
}

impl Core {
    /// Judges every resource that a request listens to, and forwards it.
    pub(super) fn dispatch_listen(&mut self, ask: Ask) {
        let filter = match Filter::read(ask.params()) {
            Ok(filter) => filter,
            Err(reason) => {
                self.record_refused(&ask.name, &reason);
                self.fail(&ask.id, INVALID_PARAMS, &reason);
                return;
            }
        };
        if filter.uris.is_empty() {
            self.forward_listen(ask, filter);
            return;
        }
        let kinds = &[ItemKind::Resource, ItemKind::ResourceTemplate];
        if let Some(refused) = self.cannot_be_relied_on(kinds) {
            self.refuse(&ask, Form::Resource, "", &refused, None, &[]);
            return;
        }
        if self.must_wait(kinds) {
            self.park(ask);
            return;
        }
        let mut calls = Vec::new();
        for uri in &filter.uris {
            let target = Target {
                kind: ItemKind::Resource,
                name: uri.as_str().into(),
                uri: Some(uri.clone()),
                arguments: None,
                task: false,
                progress_token: None,
            };
            let Some(reached) = self.reach(&target) else {
                self.refuse(&ask, Form::Resource, uri, &Refused::filtered(), None, &[]);
                return;
            };
            calls.push(self.context_of(&ask, &target, reached));
        }
        self.judge_listen(ask, filter, calls);
    }

    fn forward_listen(&mut self, ask: Ask, mut filter: Filter) {
        if !self.up {
            self.park(ask);
            return;
        }
        self.record_plain(&ask.name, Outcome::Allowed);
        if self.view.quarantined || !self.view.enabled {
            filter.acknowledged = true;
            let params = format!(
                "{{\"_meta\":{{\"{SUBSCRIPTION_ID}\":{}}},\"notifications\":{}}}",
                ask.id.raw(),
                filter.text()
            );
            let line = reply::notification(ACKNOWLEDGED, Some(&params));
            self.tell(About::During(ask.id.exchange), without_end(line));
        }
        self.send(ask, Protocol::Subscription, Sent::Listen(filter));
    }

    fn judge_listen(
        &mut self,
        ask: Ask,
        filter: Filter,
        calls: Vec<(Arc<CallContext>, Option<crate::chain::visibility::Status>)>,
    ) {
        let view = self.host.view(&self.catalogue);
        let bound = Bound {
            generation: self.generation.id,
            revision: view.snapshot.revision,
        };
        self.put(ask.id.clone(), Open::Judging);
        self.spent = true;
        let exchange = Some(ask.id.exchange);
        let judging = Box::pin(async move {
            let mut last = None;
            for (context, status) in calls {
                let judgement = judge::call(
                    &context.generation,
                    &view,
                    &context.context,
                    status.as_ref(),
                    &context.call,
                    ask.line.clone(),
                )
                .await;
                let refused = judgement.outcome.is_err();
                last = Some((context, judgement));
                if refused {
                    break;
                }
            }
            Event::Listens(last.map(|(context, judgement)| {
                Box::new((Judged::new(ask, context, judgement, bound), filter))
            }))
        });
        self.out.jobs.push((exchange, judging));
    }

    /// The open requests that listen to changes of a kind's list are told of one; true if this is the revision for it.
    pub(super) fn tell_listeners(&mut self, kind: ItemKind, method: &str) {
        let mut lines = Vec::new();
        for (key, open) in &self.open {
            if let Open::Forwarded(forwarded) = open
                && let Sent::Listen(filter) = &forwarded.what
                && filter.wants(kind)
            {
                let params = format!("{{\"_meta\":{{\"{SUBSCRIPTION_ID}\":{}}}}}", key.raw());
                let line = reply::notification(method, Some(&params));
                lines.push((About::During(key.exchange), without_end(line)));
            }
        }
        for (about, line) in lines {
            self.tell(about, line);
        }
    }

    /// Tells a request that it is listened for, in the words of the host: the server has no voice yet. What changes in the
    /// lists is the host's to tell anyway; resources of a server without voice cannot be listened to.
    pub(super) fn acknowledge(&mut self, exchange: u64) {
        let listener = self.open.iter().find_map(|(key, open)| match open {
            Open::Forwarded(forwarded) if key.exchange == exchange => match &forwarded.what {
                Sent::Listen(filter) => Some((key, filter)),
                _ => None,
            },
            _ => None,
        });
        let Some((key, filter)) = listener else {
            return;
        };
        let agreed: Vec<String> = [
            ("toolsListChanged", filter.tools),
            ("promptsListChanged", filter.prompts),
            ("resourcesListChanged", filter.resources),
        ]
        .into_iter()
        .filter(|(_, wanted)| *wanted)
        .map(|(name, _)| format!("\"{name}\":true"))
        .collect();
        let params = format!(
            "{{\"_meta\":{{\"{SUBSCRIPTION_ID}\":{}}},\"notifications\":{{{}}}}}",
            key.raw(),
            agreed.join(",")
        );
        let line = reply::notification("notifications/subscriptions/acknowledged", Some(&params));
        self.tell(About::During(exchange), without_end(line));
    }

    /// The request that a notification's `_meta` names as the one that listens for it.
    pub(super) fn listener_of(
        &self,
        params: Option<&str>,
        about: &About,
    ) -> Option<(u64, &Filter)> {
        let raw = super::params::subscription_id(params?)?;
        let id = crate::wire::envelope::Id::read(raw).ok()?.to_owned();
        let origin = match about {
            About::During(exchange) => Some(*exchange),
            _ => None,
        };
        let key = self.key_of(id, origin);
        match self.open.get(&key) {
            Some(Open::Forwarded(forwarded)) => match &forwarded.what {
                Sent::Listen(filter) => Some((key.exchange, filter)),
                _ => None,
            },
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_read_strictly() {
        let read = |inner: &str| Filter::read(Some(&format!("{{\"notifications\":{inner}}}")));
        let filter =
            read(r#"{"toolsListChanged":true,"resourceSubscriptions":["file:///%61"]}"#).unwrap();
        assert!(filter.wants(ItemKind::Tool) && !filter.wants(ItemKind::Prompt));
        assert_eq!(filter.uris, ["file:///a"]);
        for bad in [
            "[]",
            r#"{"toolsListChanged":1}"#,
            r#"{"resourceSubscriptions":[1]}"#,
            r#"{"ToolsListChanged":true}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(Filter::read(Some("{}")).is_err());
    }
}
