//! The contract's words as the SDK has them and as the host has them: one shape, generated twice.

/// From the SDK's to the host's.
pub(crate) mod to_host {
    use witgate::policy::contract as host;
    use witgate_policy as sdk;

    pub(crate) fn kind(kind: &sdk::ItemKind) -> host::ItemKind {
        match kind {
            sdk::ItemKind::Tool => host::ItemKind::Tool,
            sdk::ItemKind::Prompt => host::ItemKind::Prompt,
            sdk::ItemKind::ResourceItem => host::ItemKind::ResourceItem,
            sdk::ItemKind::ResourceTemplate => host::ItemKind::ResourceTemplate,
            sdk::ItemKind::SelfDescription => host::ItemKind::SelfDescription,
            sdk::ItemKind::Other(word) => host::ItemKind::Other(word.clone()),
        }
    }

    pub(crate) fn item(item: &sdk::Item) -> host::Item {
        host::Item {
            kind: kind(&item.kind),
            name: item.name.clone(),
            digest: item.digest.clone(),
            labels: item.labels.clone(),
        }
    }

    pub(crate) fn server(server: &sdk::Server) -> host::Server {
        host::Server {
            name: server.name.clone(),
            standing: match server.standing {
                sdk::Standing::Trusted => host::Standing::Trusted,
                sdk::Standing::Quarantined => host::Standing::Quarantined,
            },
            labels: server.labels.clone(),
        }
    }

    pub(crate) fn context(context: &sdk::Context) -> host::Context {
        host::Context {
            server: server(&context.server),
            caller: host::Caller {
                id: context.caller.id.clone(),
                roles: context.caller.roles.clone(),
                labels: context.caller.labels.clone(),
            },
            labels: context.labels.clone(),
        }
    }

    pub(crate) fn catalogue(catalogue: &sdk::Catalogue) -> host::Catalogue {
        host::Catalogue {
            digest: catalogue.digest.clone(),
            complete: catalogue.complete.iter().map(kind).collect(),
            items: catalogue.items.iter().map(item).collect(),
            labels: catalogue.labels.clone(),
        }
    }

    pub(crate) fn call(call: &sdk::Call) -> host::Call {
        host::Call {
            method: call.method.clone(),
            item: item(&call.item),
            target: call.target.clone(),
            arguments: call.arguments.clone(),
            labels: call.labels.clone(),
        }
    }

    pub(crate) fn withheld(withheld: &sdk::Withheld) -> host::Withheld {
        let denial = &withheld.denial;
        host::Withheld {
            item: item(&withheld.item),
            denial: host::Denial {
                code: denial.code.clone(),
                reason: denial.reason.clone(),
                remedy: denial.remedy.clone(),
                labels: denial.labels.clone(),
            },
            labels: withheld.labels.clone(),
        }
    }

    pub(crate) fn decision(decision: &sdk::Decision) -> host::Decision {
        host::Decision {
            entry: decision.entry.clone(),
            expected_digest: decision.expected_digest.clone(),
            action: match &decision.action {
                sdk::Action::Approve => host::Action::Approve,
                sdk::Action::ApproveAlso => host::Action::ApproveAlso,
                sdk::Action::Revoke => host::Action::Revoke,
                sdk::Action::Block => host::Action::Block,
                sdk::Action::Unblock => host::Action::Unblock,
                sdk::Action::Other(name) => host::Action::Other(name.clone()),
            },
            actor: decision.actor.clone(),
            proof: decision.proof.clone(),
            now_ms: decision.now_ms,
            labels: decision.labels.clone(),
        }
    }
}

/// From the host's to the SDK's.
pub(crate) mod from_host {
    use witgate::policy::contract as host;
    use witgate_policy as sdk;

    pub(crate) fn denial(denial: host::Denial) -> sdk::Denial {
        sdk::Denial {
            code: denial.code,
            reason: denial.reason,
            remedy: denial.remedy,
            labels: denial.labels,
        }
    }

    pub(crate) fn locked(locked: host::Locked) -> sdk::Locked {
        sdk::Locked {
            status: locked.status,
            remedy: locked.remedy,
            labels: locked.labels,
        }
    }

    pub(crate) fn entry(entry: host::Entry) -> sdk::Entry {
        sdk::Entry {
            id: entry.id,
            server: entry.server,
            kind: match entry.kind {
                host::ItemKind::Tool => sdk::ItemKind::Tool,
                host::ItemKind::Prompt => sdk::ItemKind::Prompt,
                host::ItemKind::ResourceItem => sdk::ItemKind::ResourceItem,
                host::ItemKind::ResourceTemplate => sdk::ItemKind::ResourceTemplate,
                host::ItemKind::SelfDescription => sdk::ItemKind::SelfDescription,
                host::ItemKind::Other(word) => sdk::ItemKind::Other(word),
            },
            name: entry.name,
            status: entry.status,
            waiting: entry.waiting,
            by: entry.by,
            since_ms: entry.since_ms,
            approved_digests: entry.approved_digests,
            current_digests: entry.current_digests,
            present: entry.present,
            labels: entry.labels,
        }
    }

    pub(crate) fn refusal(refusal: host::Refusal) -> sdk::Refusal {
        match refusal {
            host::Refusal::MovedOn => sdk::Refusal::MovedOn,
            host::Refusal::UnknownEntry => sdk::Refusal::UnknownEntry,
            host::Refusal::NotAllowed => sdk::Refusal::NotAllowed,
            host::Refusal::Other(why) => sdk::Refusal::Other(why),
        }
    }
}
