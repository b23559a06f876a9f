//! What a server asks of the client: every policy must allow that it is asked.
//!
//! Knows one request at a time. Knows nothing of where it was found, of quarantine (a server without a voice is
//! silenced before anything is judged), nor of what the server is told.

use std::sync::Arc;

use super::{Codes, Decision, Micros, Refused};
use crate::chain::Generation;
use crate::chain::recording::{About, Answers};
use crate::chain::visibility::{POLICY_ERROR, failure_denial, report};
use crate::config::Mode;
use crate::mcp::client_request::AskKind;
use crate::policy::View;
use crate::policy::contract::{Admission, Call, ClientRequest, Context, Denial};
use crate::tape::record::{Asked, What};

/// What became of a request to the client.
#[derive(Debug)]
pub struct ClientJudgement {
    /// Leave to ask the client, or the refusal.
    pub outcome: Result<(), Box<Refused>>,
    /// Codes of policies whose answer does not bind, for the audit.
    pub codes: Codes,
    /// Microseconds by policy.
    pub micros: Micros,
    /// Whether the same request would be judged the same for as long as chain and ledger stay: no hook failed or
    /// asked the clock.
    pub pure: bool,
}

/// A request in the contract's words. `via` says what carried it: `request`, `result` or `error`.
pub fn request(
    kind: AskKind,
    params: Option<&str>,
    during: Option<&Call>,
    via: &str,
) -> ClientRequest {
    ClientRequest {
        method: kind.method().to_owned(),
        mode: kind.mode().map(str::to_owned),
        params: params.map(str::to_owned),
        during: during.cloned(),
        labels: vec![("via".to_owned(), via.to_owned())],
    }
}

/// Judges what a server asks of the client.
pub async fn client_request(
    generation: &Generation,
    view: &View,
    context: &Context,
    request: &ClientRequest,
) -> ClientJudgement {
    let mut answers = generation.answers();
    let view = generation.watched(view);
    let judgement = admissions(generation, &view, context, request, &mut answers).await;
    generation.record(&view, About::default(), || {
        let refused = judgement.outcome.as_ref().err();
        What::Asked(Asked {
            context: context.clone(),
            request: request.clone(),
            answers: answers.all(),
            refused: refused.map(|refused| refused.recorded()),
        })
    });
    judgement
}

async fn admissions(
    generation: &Generation,
    view: &View,
    context: &Context,
    request: &ClientRequest,
    answers: &mut Answers<Admission>,
) -> ClientJudgement {
    let mut judgement = ClientJudgement {
        outcome: Ok(()),
        codes: Vec::new(),
        micros: Vec::new(),
        pure: true,
    };
    for (place, policy) in generation.policies.iter().enumerate() {
        if !policy.hooks().client_request_gate {
            continue;
        }
        let admission = policy.admit(view, context, request).await;
        answers.note(place, &admission, Admission::clone);
        judgement.pure &= admission.as_ref().is_ok_and(|evaluated| evaluated.pure);
        if let Ok(evaluated) = &admission {
            let spent = (policy.name().clone(), evaluated.micros);
            judgement.micros.push(spent);
        }
        let denial = match admission {
            Ok(evaluated) => match evaluated.value {
                Admission::Allow => continue,
                Admission::Deny(denial) => denial,
                Admission::Other(_) => Denial {
                    code: POLICY_ERROR.to_owned(),
                    reason: format!("The policy `{}` gave no answer", policy.name()),
                    remedy: None,
                    labels: Vec::new(),
                },
            },
            Err(failure) => {
                report(&failure);
                failure_denial(&failure)
            }
        };
        if policy.source().mode == Mode::Monitor {
            let code = format!("would:{}", denial.code);
            judgement.codes.push((policy.name().clone(), code));
            continue;
        }
        let refused = Refused::by_gate(
            Decision::Denied,
            policy.name(),
            denial,
            judgement.codes.clone(),
        );
        judgement.outcome = Err(Box::new(refused));
        break;
    }
    judgement
}

impl Refused {
    /// The refusal of what the operator denies to servers by configuration.
    pub fn request_denied(kind: AskKind) -> Self {
        Self {
            decision: Decision::Denied,
            code: "client_request_denied".to_owned(),
            reason: format!(
                "The server asked for {}, which the operator does not let it ask of you",
                words(kind)
            ),
            remedy: None,
            codes: vec![(Arc::from("witgate"), "client_request_denied".to_owned())],
            decided_by: None,
        }
    }

    /// The same for what the gate cannot read.
    pub fn request_unreadable() -> Self {
        let code = "client_request_unreadable";
        Self {
            decision: Decision::Denied,
            code: code.to_owned(),
            reason: "The server asked something of you in a form that cannot be judged".to_owned(),
            remedy: None,
            codes: vec![(Arc::from("witgate"), code.to_owned())],
            decided_by: None,
        }
    }
}

const fn words(kind: AskKind) -> &'static str {
    match kind {
        AskKind::Sampling => "a completion by your model",
        AskKind::ElicitationForm => "input by the person",
        AskKind::ElicitationUrl => "the person to open a URL",
        AskKind::Roots => "your roots",
    }
}

#[cfg(test)]
mod tests;
