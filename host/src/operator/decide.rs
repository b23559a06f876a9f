//! Decisions about items: one, or everything that waits at a server.

use std::sync::Arc;

use super::ids::{self, Found};
use super::overlay::Overlay;
use super::reviewer::Reviewer;
use super::{Operator, OperatorError, ReviewEntry, now_ms, waiting_digest};
use crate::ledger::Snapshot;
use crate::mcp::{ItemKind, escape};
use crate::policy::contract::{Action, Decision, Entry, Refusal};

/// What an operator says about one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// The digest becomes the approved one.
    Approve,
    /// The digest is approved beside those that are.
    ApproveAlso,
    /// The digest is approved no longer.
    Revoke,
    /// The item is withheld whatever its digest.
    Block,
    /// It is judged by its digest again.
    Unblock,
}

/// What became of a decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The entry as it was.
    pub before: ReviewEntry,
    /// The digest that was decided about; none for actions that need none.
    pub digest: Option<String>,
    /// The entry as it is; none if it is gone.
    pub after: Option<ReviewEntry>,
}

impl Verb {
    /// The command's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::ApproveAlso => "approve --also",
            Self::Revoke => "revoke",
            Self::Block => "block",
            Self::Unblock => "unblock",
        }
    }

    const fn action(self) -> Action {
        match self {
            Self::Approve => Action::Approve,
            Self::ApproveAlso => Action::ApproveAlso,
            Self::Revoke => Action::Revoke,
            Self::Block => Action::Block,
            Self::Unblock => Action::Unblock,
        }
    }
}

/// One decision on its way to a policy.
pub(super) struct Ask<'a> {
    pub(super) reviewer: &'a dyn Reviewer,
    /// The policy's own id of the entry.
    pub(super) entry: &'a str,
    pub(super) digest: &'a str,
    pub(super) action: Action,
    pub(super) labels: Vec<(String, String)>,
}

impl Operator {
    /// The entry called `typed`, which may leave out the policy's name where that is clear.
    pub async fn entry(&self, typed: &str) -> Result<ReviewEntry, OperatorError> {
        let entries = self.entries(None).await?;
        ids::entry(&entries, typed).cloned()
    }

    /// Carries out `verb` on the entry called `typed`. `digest` is the digest looked at, or 8 or more of its digits;
    /// needed for `Approve`, `ApproveAlso` and `Revoke`.
    pub async fn decide(
        &self,
        typed: &str,
        digest: Option<&str>,
        verb: Verb,
    ) -> Result<Decided, OperatorError> {
        self.commit(async |snapshot| {
            let entries = self.entries_at(&snapshot, None).await?;
            let entry = ids::entry(&entries, typed)?;
            let digest = chosen(entry, digest.unwrap_or_default(), verb)?;
            let mut overlay = Overlay::new(snapshot);
            let after = self.ask_about(&mut overlay, entry, &digest, verb).await?;
            let decided = Decided {
                before: entry.clone(),
                digest: (!digest.is_empty()).then_some(digest),
                after,
            };
            Ok((overlay.ops, decided))
        })
        .await
    }

    /// Approves everything that waits at `server`, if the catalogue digest of what waits begins with `digest` (8 digits
    /// or more). All in one commit.
    pub async fn approve_server(
        &self,
        server: &str,
        digest: &str,
    ) -> Result<Vec<Decided>, OperatorError> {
        self.commit(async |snapshot| {
            let mut overlay = Overlay::new(Arc::clone(&snapshot));
            let decided = self
                .approve_waiting(&mut overlay, &snapshot, server, digest)
                .await?;
            Ok((overlay.ops, decided))
        })
        .await
    }

    /// See [`Operator::approve_server`]; onto `overlay`.
    pub(super) async fn approve_waiting(
        &self,
        overlay: &mut Overlay,
        snapshot: &Arc<Snapshot>,
        server: &str,
        typed: &str,
    ) -> Result<Vec<Decided>, OperatorError> {
        let entries = self.entries_at(snapshot, Some(server)).await?;
        let waiting: Vec<&ReviewEntry> = entries.iter().filter(|e| e.entry.waiting).collect();
        let now = waiting_digest(waiting.iter().copied()).to_string();
        match ids::digest([now.as_str()], typed) {
            Some(Found::One(_)) => {}
            Some(_) => {
                return Err(OperatorError::CatalogueMovedOn {
                    server: server.to_owned(),
                    text: typed.to_owned(),
                    now: ids::printed_digest(&now).to_owned(),
                });
            }
            None => {
                return Err(OperatorError::BadDigest {
                    text: typed.chars().take(80).collect(),
                    id: format!("--server {server}"),
                });
            }
        }
        let mut all = Vec::new();
        for entry in waiting {
            // What the digest does not cover was not agreed to.
            if ItemKind::from_word(entry.kind()).is_none() {
                continue;
            }
            // An approved definition that is still shown stays approved; of several new ones all were shown.
            let mut verb = if entry.unapproved().count() == entry.entry.current_digests.len() {
                Verb::Approve
            } else {
                Verb::ApproveAlso
            };
            for digest in entry.unapproved() {
                if digest.parse::<crate::mcp::Digest>().is_err() {
                    continue;
                }
                let after = self.ask_about(overlay, entry, digest, verb).await?;
                all.push(Decided {
                    before: entry.clone(),
                    digest: Some(digest.clone()),
                    after,
                });
                verb = Verb::ApproveAlso;
            }
        }
        Ok(all)
    }

    async fn ask_about(
        &self,
        overlay: &mut Overlay,
        entry: &ReviewEntry,
        digest: &str,
        verb: Verb,
    ) -> Result<Option<ReviewEntry>, OperatorError> {
        let unknown = || OperatorError::UnknownEntry {
            id: entry.id.clone(),
        };
        let reviewer = self.reviewer(&entry.policy).ok_or_else(unknown)?;
        let ask = Ask {
            reviewer: &**reviewer,
            entry: &entry.entry.id,
            digest,
            action: verb.action(),
            labels: Vec::new(),
        };
        match self.ask(overlay, ask).await? {
            Ok(after) => Ok(after.map(|after| ReviewEntry {
                id: entry.id.clone(),
                policy: Arc::clone(&entry.policy),
                entry: after,
            })),
            Err(Refusal::MovedOn) => Err(moved_on(entry, digest)),
            Err(Refusal::UnknownEntry) => Err(unknown()),
            Err(Refusal::NotAllowed) => Err(OperatorError::NotAllowed {
                policy: entry.policy.to_string(),
                action: verb.word().to_owned(),
                id: entry.id.clone(),
                status: escape::visible_cut(&entry.entry.status, 40).to_string(),
            }),
            Err(Refusal::Other(reason)) => Err(OperatorError::Refused {
                policy: entry.policy.to_string(),
                action: verb.word().to_owned(),
                id: entry.id.clone(),
                reason: escape::visible_cut(&reason, 400).to_string(),
            }),
        }
    }

    /// Puts one decision to a policy, and its changes onto `overlay`.
    pub(super) async fn ask(
        &self,
        overlay: &mut Overlay,
        ask: Ask<'_>,
    ) -> Result<Result<Option<Entry>, Refusal>, OperatorError> {
        let view = self.view(overlay.snapshot());
        let decision = Decision {
            entry: ask.entry.to_owned(),
            expected_digest: ask.digest.to_owned(),
            action: ask.action,
            actor: self.actor.clone(),
            proof: None,
            now_ms: now_ms(),
            labels: ask.labels,
        };
        match ask.reviewer.decide(&view, &decision).await? {
            Ok(decided) => {
                overlay.apply(&ask.reviewer.namespace(), decided.changes);
                Ok(Ok(decided.entry))
            }
            Err(refusal) => Ok(Err(refusal)),
        }
    }
}

/// The digest that `typed` names for `verb`; empty for verbs that need none.
fn chosen(entry: &ReviewEntry, typed: &str, verb: Verb) -> Result<String, OperatorError> {
    let digests = match verb {
        Verb::Approve | Verb::ApproveAlso => &entry.entry.current_digests,
        Verb::Revoke => &entry.entry.approved_digests,
        Verb::Block | Verb::Unblock => return Ok(String::new()),
    };
    match ids::digest(digests.iter().map(String::as_str), typed) {
        Some(Found::One(digest)) => Ok(digest.to_owned()),
        Some(Found::Several) => Err(OperatorError::AmbiguousDigest {
            text: typed.to_owned(),
            id: entry.id.clone(),
        }),
        Some(Found::None) if verb == Verb::Revoke => Err(OperatorError::NotApproved {
            id: entry.id.clone(),
            text: typed.to_owned(),
            approved: in_words(digests),
        }),
        Some(Found::None) => Err(moved_on(entry, typed)),
        None => Err(OperatorError::BadDigest {
            text: typed.chars().take(80).collect(),
            id: entry.id.clone(),
        }),
    }
}

fn moved_on(entry: &ReviewEntry, typed: &str) -> OperatorError {
    let shown = if entry.entry.current_digests.is_empty() {
        "nobody shows it now".to_owned()
    } else {
        format!("shown now: {}", in_words(&entry.entry.current_digests))
    };
    OperatorError::MovedOn {
        id: entry.id.clone(),
        text: typed.to_owned(),
        shown,
    }
}

fn in_words(digests: &[String]) -> String {
    if digests.is_empty() {
        return "none".to_owned();
    }
    let all: Vec<_> = digests
        .iter()
        .map(|digest| escape::visible_cut(ids::printed_digest(digest), 64).to_string())
        .collect();
    all.join(", ")
}
