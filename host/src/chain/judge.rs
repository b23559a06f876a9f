//! One call, and what it brought back.
//!
//! Knows how verdicts of several policies become one, and that only an allowance of all makes a [`Permit`]. Knows
//! nothing of how a refusal is written to the client.

mod client_request;

use std::sync::Arc;

use bytes::Bytes;

use crate::chain::Generation;
use crate::chain::permit::{Bound, Permit};
use crate::chain::recording::{About, Answers};
use crate::chain::visibility::{POLICY_ERROR, Status, Withheld, failure_denial, report};
use crate::config::Mode;
use crate::policy::View;
use crate::policy::contract::{Call, Context, Denial, Ruling, Verdict};
use crate::tape::Mark;
use crate::tape::record::{Called, Returned, What};

pub use client_request::{ClientJudgement, client_request, request as to_client};

/// What a refusal is, in the words an agent reads (design §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Withheld and not to be named, or no such name.
    Filtered,
    /// Withheld, and may be named.
    Locked,
    /// Visible, refused by a call-gate.
    Denied,
    /// Ran; its result is refused.
    Withheld,
    /// A policy, or what the gate depends on, failed.
    Error,
}

impl Decision {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Filtered => "FILTERED",
            Self::Locked => "LOCKED",
            Self::Denied => "DENIED",
            Self::Withheld => "WITHHELD",
            Self::Error => "ERROR",
        }
    }
}

/// A refusal: what the agent may learn, and beside it what only the audit does.
#[derive(Debug, Clone, PartialEq)]
pub struct Refused {
    /// What kind of refusal.
    pub decision: Decision,
    /// The code the agent gets.
    pub code: String,
    /// The reason the agent gets.
    pub reason: String,
    /// The remedy the agent gets.
    pub remedy: Option<String>,
    /// The true codes of all policies, for the audit.
    pub codes: Vec<(Arc<str>, String)>,
    /// The policy that decided.
    pub decided_by: Option<Arc<str>>,
}

impl Refused {
    /// The refusal of a name that is filtered, or does not exist: the same for both.
    pub fn filtered() -> Self {
        Self {
            decision: Decision::Filtered,
            code: "filtered".to_owned(),
            reason: "Tool filtered by operator policy".to_owned(),
            remedy: None,
            codes: Vec::new(),
            decided_by: None,
        }
    }

    /// The refusal of a result whose server the operator has silenced meanwhile.
    pub fn silenced() -> Self {
        Self {
            decision: Decision::Withheld,
            code: "server_quarantined".to_owned(),
            reason: "The call ran; its result is withheld. Do not repeat it. The operator has silenced this server"
                .to_owned(),
            remedy: None,
            codes: Vec::new(),
            decided_by: None,
        }
    }

    /// A refusal because something the gate depends on fails.
    pub fn unavailable(code: &str, reason: &str) -> Self {
        Self {
            decision: Decision::Error,
            code: code.to_owned(),
            reason: reason.to_owned(),
            remedy: Some("The person can run `witgate doctor`".to_owned()),
            codes: Vec::new(),
            decided_by: None,
        }
    }

    /// The refusal of an item that is withheld.
    pub fn withheld(withheld: &Withheld) -> Self {
        let codes = withheld
            .denials
            .iter()
            .map(|(policy, d)| (policy.clone(), d.code.clone()))
            .collect();
        let decided_by = withheld.denials.first().map(|(policy, _)| policy.clone());
        if let Some(policy) = withheld.failed() {
            let denial = withheld.denials.iter().find(|(by, _)| by == policy);
            let (reason, remedy) = denial
                .map(|(_, d)| (d.reason.clone(), d.remedy.clone()))
                .unwrap_or_default();
            return Self {
                decision: Decision::Error,
                code: POLICY_ERROR.to_owned(),
                reason,
                remedy,
                codes,
                decided_by: Some(policy.clone()),
            };
        }
        let Some(locked) = &withheld.locked else {
            return Self {
                codes,
                decided_by,
                ..Self::filtered()
            };
        };
        let reason = withheld
            .denials
            .first()
            .map(|(_, d)| d.reason.clone())
            .unwrap_or_default();
        Self {
            decision: Decision::Locked,
            code: locked.status.clone(),
            reason,
            remedy: Some(locked.remedy.clone()),
            codes,
            decided_by,
        }
    }

    fn by_gate(decision: Decision, policy: &Arc<str>, denial: Denial, mut codes: Codes) -> Self {
        codes.push((policy.clone(), denial.code.clone()));
        let failed = denial.code == POLICY_ERROR;
        Self {
            decision: if failed { Decision::Error } else { decision },
            code: denial.code,
            reason: denial.reason,
            remedy: denial.remedy,
            codes,
            decided_by: Some(policy.clone()),
        }
    }
}

type Codes = Vec<(Arc<str>, String)>;
type Micros = Vec<(Arc<str>, u32)>;

/// What became of a call.
#[derive(Debug)]
pub struct Judgement {
    /// Leave to forward it, or the refusal.
    pub outcome: Result<Permit, Box<Refused>>,
    /// Codes of policies whose verdict does not bind or did not decide, for the audit.
    pub codes: Codes,
    /// Microseconds by policy.
    pub micros: Micros,
    /// Whether the same call would be judged the same for as long as chain and ledger stay: no hook failed or asked
    /// the clock.
    pub pure: bool,
    /// The record of it, if it was recorded.
    pub mark: Option<Mark>,
}

/// Judges a call of an item with this status. `status` is none for a URI that a visible template matched or a result
/// handed out: such a call is for the call-gates alone.
pub async fn call(
    generation: &Generation,
    view: &View,
    context: &Context,
    status: Option<&Status>,
    call: &Call,
    frame: Bytes,
) -> Judgement {
    let mut answers = generation.answers();
    let view = generation.watched(view);
    let mut judgement = gates(
        generation,
        &view,
        context,
        status,
        call,
        frame,
        &mut answers,
    )
    .await;
    judgement.mark = generation.record(&view, About::default(), || {
        let refused = judgement.outcome.as_ref().err();
        What::Called(Called {
            context: context.clone(),
            call: call.clone(),
            listed: status.is_some(),
            answers: answers.all(),
            refused: refused.map(|refused| refused.recorded()),
        })
    });
    judgement
}

async fn gates(
    generation: &Generation,
    view: &View,
    context: &Context,
    status: Option<&Status>,
    call: &Call,
    frame: Bytes,
    answers: &mut Answers<Verdict>,
) -> Judgement {
    let mut codes = Vec::new();
    let mut micros = Vec::new();
    let mut pure = true;
    let mark = None;
    if let Some(Status::Withheld(withheld)) = status {
        return Judgement {
            outcome: Err(Box::new(Refused::withheld(withheld))),
            codes,
            micros,
            pure,
            mark,
        };
    }
    let mut held: Option<(Arc<str>, Denial)> = None;
    for (place, policy) in generation.policies.iter().enumerate() {
        if !policy.hooks().call_gate {
            continue;
        }
        let verdict = policy.check(view, context, call).await;
        answers.note(place, &verdict, Verdict::clone);
        pure &= verdict.as_ref().is_ok_and(|evaluated| evaluated.pure);
        if let Ok(evaluated) = &verdict {
            micros.push((policy.name().clone(), evaluated.micros));
        }
        let verdict = match verdict {
            Ok(evaluated) => match evaluated.value {
                Verdict::Allow => continue,
                Verdict::Deny(denial) => Err(denial),
                Verdict::Hold(hold) => Ok(hold),
                Verdict::Other(_) => Err(Denial {
                    code: POLICY_ERROR.to_owned(),
                    reason: format!("The policy `{}` gave no verdict", policy.name()),
                    remedy: None,
                    labels: Vec::new(),
                }),
            },
            Err(failure) => {
                report(&failure);
                Err(failure_denial(&failure))
            }
        };
        if policy.source().mode == Mode::Monitor {
            let code = match verdict {
                Ok(hold) => hold.code,
                Err(denial) => denial.code,
            };
            codes.push((policy.name().clone(), format!("would:{code}")));
            continue;
        }
        match verdict {
            Err(denial) => {
                let refused =
                    Refused::by_gate(Decision::Denied, policy.name(), denial, codes.clone());
                return Judgement {
                    outcome: Err(Box::new(refused)),
                    codes,
                    micros,
                    pure,
                    mark,
                };
            }
            // A hold does not end the chain: a later denial beats it.
            Ok(hold) => {
                codes.push((policy.name().clone(), hold.code));
                held.get_or_insert_with(|| (policy.name().clone(), approval_required(hold.reason)));
            }
        }
    }
    let outcome = match held {
        Some((policy, denial)) => Err(Box::new(Refused::by_gate(
            Decision::Denied,
            &policy,
            denial,
            codes.clone(),
        ))),
        None => Ok(Permit::judged(
            frame,
            Bound {
                generation: generation.id,
                revision: view.snapshot.revision,
            },
        )),
    };
    Judgement {
        outcome,
        codes,
        micros,
        pure,
        mark,
    }
}

/// Until calls can be held, a hold is a denial.
fn approval_required(reason: String) -> Denial {
    Denial {
        code: "approval_required".to_owned(),
        reason,
        remedy: None,
        labels: Vec::new(),
    }
}

/// What the result-gates left of an outcome.
#[derive(Debug)]
pub struct Inspection {
    /// The outcome to send, unchanged if none, or the refusal.
    pub outcome: Result<Option<String>, Box<Refused>>,
    /// Codes of policies whose ruling does not bind, for the audit.
    pub codes: Codes,
    /// Microseconds by policy.
    pub micros: Micros,
}

/// Judges what a call brought back: each policy sees the output of the one before.
pub async fn result(
    generation: &Generation,
    view: &View,
    context: &Context,
    call: &Call,
    outcome: &str,
) -> Inspection {
    let mut answers = generation.answers();
    let view = generation.watched(view);
    let inspection = inspect(generation, &view, context, call, outcome, &mut answers).await;
    generation.record(&view, About::default(), || {
        let refused = inspection.outcome.as_ref().err();
        What::Returned(Returned {
            context: context.clone(),
            call: call.clone(),
            outcome: outcome.to_owned(),
            answers: answers.all(),
            replaced: inspection.outcome.as_ref().ok().cloned().flatten(),
            refused: refused.map(|refused| refused.recorded()),
        })
    });
    inspection
}

async fn inspect(
    generation: &Generation,
    view: &View,
    context: &Context,
    call: &Call,
    outcome: &str,
    answers: &mut Answers<Ruling>,
) -> Inspection {
    let mut codes = Vec::new();
    let mut micros = Vec::new();
    let mut replaced: Option<String> = None;
    for (place, policy) in generation.policies.iter().enumerate() {
        if !policy.hooks().result_gate {
            continue;
        }
        let seen = replaced.as_deref().unwrap_or(outcome);
        let ruling = policy.inspect(view, context, call, seen).await;
        answers.note(place, &ruling, Ruling::clone);
        if let Ok(evaluated) = &ruling {
            micros.push((policy.name().clone(), evaluated.micros));
        }
        let monitored = policy.source().mode == Mode::Monitor;
        let denial = match ruling {
            Ok(evaluated) => match evaluated.value {
                Ruling::Pass => continue,
                Ruling::Replace(text) if monitored => {
                    drop(text);
                    codes.push((policy.name().clone(), "would:replace".to_owned()));
                    continue;
                }
                Ruling::Replace(text) => {
                    codes.push((policy.name().clone(), "replaced".to_owned()));
                    replaced = Some(text);
                    continue;
                }
                Ruling::Deny(denial) => denial,
                Ruling::Other(_) => Denial {
                    code: POLICY_ERROR.to_owned(),
                    reason: format!("The policy `{}` gave no ruling", policy.name()),
                    remedy: None,
                    labels: Vec::new(),
                },
            },
            Err(failure) => {
                report(&failure);
                failure_denial(&failure)
            }
        };
        if monitored {
            codes.push((policy.name().clone(), format!("would:{}", denial.code)));
            continue;
        }
        let mut refused =
            Refused::by_gate(Decision::Withheld, policy.name(), denial, codes.clone());
        // The call ran, whatever failed afterwards: an agent that repeats it runs it twice.
        refused.decision = Decision::Withheld;
        refused.reason = format!(
            "The call ran; its result is withheld. Do not repeat it. {}",
            refused.reason
        );
        return Inspection {
            outcome: Err(Box::new(refused)),
            codes,
            micros,
        };
    }
    Inspection {
        outcome: Ok(replaced),
        codes,
        micros,
    }
}
