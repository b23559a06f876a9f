//! `witgate policy forget`: the last good bytes of a policy go.

use serde::Serialize;

use super::lines;
use crate::cli::{Context, Failed};
use crate::ledger::{self, Commit, Op};
use crate::setup;

/// Works without a chain, since a broken chain may be why it is called.
pub(super) async fn forget(context: &Context, name: &str) -> Result<(), Failed> {
    let (_, ledger) = context.ledger().await?;
    let stored = ledger.policies().await?;
    let called = |namespace: &str| namespace.split_once('/').map(|(_, name)| name.to_owned());
    let mut known = Vec::new();
    let mut ops = Vec::new();
    for policy in stored {
        let policy_name = called(policy.namespace.as_str()).unwrap_or_default();
        if policy_name == name {
            ops.push(Op::PolicyForgotten {
                namespace: policy.namespace,
            });
        } else {
            known.push(policy_name);
        }
    }
    if ops.is_empty() {
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => known.join(", "),
        };
        return Err(Failed::new(
            "unknown_policy",
            lines(&format!(
                "no bytes are kept of a policy called {name:?}; kept: {known}. A shipped policy cannot be forgotten: \
                 leave it out of [[policy]] instead"
            )),
        ));
    }
    ops.push(Op::Note {
        key: setup::POLICIES_NOTE.to_owned(),
        value: Some(ledger::now_ms().to_string()),
    });
    ledger.commit(Commit::unconditional(ops)).await?;
    if context.out.is_json() {
        #[derive(Serialize)]
        struct Done<'a> {
            done: &'a str,
            policy: &'a str,
        }
        return context.out.value(&Done {
            done: "forget",
            policy: name,
        });
    }
    context.out.line(&lines(&format!(
        "The bytes kept of {name} are forgotten. If its file is still there, it is taken up again."
    )));
    Ok(())
}
