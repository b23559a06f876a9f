//! What an operator does: sees what waits, decides about it, says which servers are trusted.
//!
//! Knows how a decision becomes one commit of the ledger, through the policies' own `review` hooks. Knows nothing of
//! what a policy keeps, of terminals, or of messages: nothing on the data plane comes here.

pub mod component;
mod decide;
pub mod diff;
pub mod doctor;
mod error;
mod ids;
mod overlay;
pub mod policies;
mod reviewer;
mod servers;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::ledger::{Commit, Ledger, LedgerError, Op, Snapshot};
use crate::mcp::{Digest, ItemKind};
use crate::policy::contract::{self, Entry};
use crate::policy::{Policy, View};

pub use decide::{Decided, Verb};
pub use error::OperatorError;
pub use ids::printed_digest;
pub use reviewer::{LedgerDefinitions, Reviewer};
pub use servers::{Server, StandingFrom, standing};

/// How often a decision is derived again because somebody else committed meanwhile.
const ATTEMPTS: usize = 32;

/// An operator at work: the policies that take decisions, the ledger, and who decides.
pub struct Operator {
    reviewers: Vec<Arc<dyn Reviewer>>,
    ledger: Arc<dyn Ledger>,
    actor: String,
}

/// Something a person can decide about, under the id people use for it.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewEntry {
    /// `POLICY:ENTRY`: what is typed to decide about it.
    pub id: String,
    /// The policy that keeps it.
    pub policy: Arc<str>,
    /// What the policy says of it. Its strings may hold what a server wrote: escape them before a terminal.
    pub entry: Entry,
}

impl ReviewEntry {
    /// The digests that observers show now and nobody has approved.
    pub fn unapproved(&self) -> impl Iterator<Item = &String> {
        let approved = &self.entry.approved_digests;
        self.entry
            .current_digests
            .iter()
            .filter(move |digest| !approved.contains(digest))
    }

    /// The kind's word: `tool`, `prompt`, …; or the policy's own.
    pub fn kind(&self) -> &str {
        kind_word(&self.entry.kind)
    }
}

/// The word for a kind, as everywhere in output.
pub fn kind_word(kind: &contract::ItemKind) -> &str {
    match kind {
        contract::ItemKind::Tool => ItemKind::Tool.word(),
        contract::ItemKind::Prompt => ItemKind::Prompt.word(),
        contract::ItemKind::ResourceItem => ItemKind::Resource.word(),
        contract::ItemKind::ResourceTemplate => ItemKind::ResourceTemplate.word(),
        contract::ItemKind::SelfDescription => ItemKind::SelfDescription.word(),
        contract::ItemKind::Other(word) => word,
    }
}

/// The catalogue digest of what waits among `entries`: over (kind, name, digest) of everything that observers show and
/// nobody approved. Entries of kinds or with digests this version does not know are left out, and are never approved
/// together with others.
pub fn waiting_digest<'a>(entries: impl IntoIterator<Item = &'a ReviewEntry>) -> Digest {
    let mut items: Vec<(ItemKind, &str, Digest)> = Vec::new();
    for entry in entries.into_iter().filter(|entry| entry.entry.waiting) {
        let Some(kind) = ItemKind::from_word(entry.kind()) else {
            continue;
        };
        for digest in entry.unapproved().filter_map(|digest| digest.parse().ok()) {
            items.push((kind, &entry.entry.name, digest));
        }
    }
    items.sort_unstable();
    items.dedup();
    crate::mcp::digest::catalogue_digest(&items)
}

impl Operator {
    /// An operator called `actor`, deciding through those of `policies` that have a `review` hook.
    pub fn new(policies: &[Arc<Policy>], ledger: Arc<dyn Ledger>, actor: String) -> Self {
        let reviewers = policies
            .iter()
            .filter(|policy| policy.hooks().review)
            .map(|policy| Arc::clone(policy) as Arc<dyn Reviewer>)
            .collect();
        Self::with_reviewers(reviewers, ledger, actor)
    }

    /// An operator whose decisions go to `reviewers`.
    pub fn with_reviewers(
        reviewers: Vec<Arc<dyn Reviewer>>,
        ledger: Arc<dyn Ledger>,
        actor: String,
    ) -> Self {
        Self {
            reviewers,
            ledger,
            actor,
        }
    }

    /// Everything the policies keep about `server`, or about all servers.
    pub async fn entries(&self, server: Option<&str>) -> Result<Vec<ReviewEntry>, OperatorError> {
        let now = self.ledger.confirm().await?;
        self.entries_at(&now, server).await
    }

    /// The text pinned under `digest`, if the digest is one and the text is still kept.
    pub async fn definition(&self, digest: &str) -> Result<Option<Arc<str>>, OperatorError> {
        match digest.parse() {
            Ok(digest) => Ok(self.ledger.definition(digest).await?),
            Err(_) => Ok(None),
        }
    }

    /// See [`Operator::entries`]; as of `snapshot`, in order of server, kind, name and id.
    async fn entries_at(
        &self,
        snapshot: &Arc<Snapshot>,
        server: Option<&str>,
    ) -> Result<Vec<ReviewEntry>, OperatorError> {
        let view = self.view(Arc::clone(snapshot));
        let mut all = Vec::new();
        for reviewer in &self.reviewers {
            let policy = reviewer.name();
            for entry in reviewer.entries(&view, server).await? {
                // A policy that answers for other servers than it was asked about is not believed about them.
                if server.is_none_or(|server| entry.server == server) {
                    all.push(ReviewEntry {
                        id: format!("{policy}:{}", entry.id),
                        policy: Arc::clone(&policy),
                        entry,
                    });
                }
            }
        }
        all.sort_by(|a, b| {
            let key = |e: &ReviewEntry| (ItemKind::from_word(e.kind()), e.kind().to_owned());
            (&a.entry.server, key(a), &a.entry.name, &a.id).cmp(&(
                &b.entry.server,
                key(b),
                &b.entry.name,
                &b.id,
            ))
        });
        Ok(all)
    }

    fn view(&self, snapshot: Arc<Snapshot>) -> View {
        View {
            snapshot,
            definitions: Arc::new(LedgerDefinitions(Arc::clone(&self.ledger))),
            now_ms: now_ms(),
        }
    }

    fn reviewer(&self, name: &str) -> Option<&Arc<dyn Reviewer>> {
        self.reviewers
            .iter()
            .find(|reviewer| *reviewer.name() == *name)
    }

    /// Derives changes from the latest snapshot and commits them whole; if somebody else committed meanwhile, derives
    /// them again from what is now.
    async fn commit<T>(
        &self,
        derive: impl AsyncFn(Arc<Snapshot>) -> Result<(Vec<Op>, T), OperatorError>,
    ) -> Result<T, OperatorError> {
        let mut now = self.ledger.confirm().await?;
        for _ in 0..ATTEMPTS {
            let (ops, answer) = derive(Arc::clone(&now)).await?;
            let commit = Commit {
                based_on: Some(now.version),
                ops,
            };
            match self.ledger.commit(commit).await {
                Ok(_) => return Ok(answer),
                Err(LedgerError::Conflict { now: newer }) => now = newer,
                Err(error) => return Err(error.into()),
            }
        }
        Err(OperatorError::Contended)
    }
}

/// Milliseconds since the Unix epoch; 0 before it.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_millis()).ok())
        .unwrap_or(0)
}
