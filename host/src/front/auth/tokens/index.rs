//! Tokens by what they look like: the lookup of every request.
//!
//! Knows the snapshot's notes, and makes its index anew when they change. Decides by digest and time alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use subtle::ConstantTimeEq as _;

use super::{NOTE, Token, USE_STEP_MS, USED, listed, note};
use crate::chain::convert::Caller;
use crate::front::auth::token::digest_of;
use crate::ledger::{Commit, Ledger};

/// The tokens of a running gate.
pub(in crate::front::auth) struct Tokens {
    ledger: Arc<dyn Ledger>,
    index: ArcSwap<Index>,
}

/// What one state of the notes says.
struct Index {
    notes: Arc<BTreeMap<String, String>>,
    /// By the first bytes of the digest. How long a lookup takes tells at most something about the digest of what was
    /// sent, and who could make texts of a wanted digest could make tokens anyway; the rest is compared in constant
    /// time.
    by_start: HashMap<[u8; 8], Vec<Entry>>,
}

struct Entry {
    token: Token,
    /// As in the token, ahead of it while the ledger is being told.
    used_ms: AtomicU64,
}

impl Tokens {
    /// Over the tokens of a ledger.
    pub(in crate::front::auth) fn new(ledger: Arc<dyn Ledger>) -> Self {
        let index = Index::new(ledger.snapshot().notes.clone());
        Self {
            ledger,
            index: ArcSwap::from_pointee(index),
        }
    }

    /// Whose token a text is, and its digest; none if it is nobody's, or not any more.
    pub(in crate::front::auth) fn find(
        &self,
        text: &str,
        now_ms: u64,
    ) -> Option<(Caller, [u8; 32])> {
        let digest = digest_of(text)?;
        let index = self.index();
        let entry = index.find(&digest, now_ms)?;
        self.note_use(entry, now_ms);
        let caller = Caller {
            id: entry.token.name.clone(),
            roles: entry.token.roles.clone(),
        };
        Some((caller, digest))
    }

    /// Whether a token of this digest is still taken.
    pub(in crate::front::auth) fn holds(&self, digest: &[u8; 32], now_ms: u64) -> bool {
        self.index().find(digest, now_ms).is_some()
    }

    /// The index of the notes as they are.
    fn index(&self) -> Arc<Index> {
        let index = self.index.load_full();
        let notes = &self.ledger.snapshot().notes;
        if Arc::ptr_eq(&index.notes, notes) {
            return index;
        }
        let index = Arc::new(Index::new(notes.clone()));
        self.index.store(index.clone());
        index
    }

    /// Records the hour of use, once, beside the request.
    fn note_use(&self, entry: &Entry, now_ms: u64) {
        let hour = now_ms - now_ms % USE_STEP_MS;
        if entry.used_ms.fetch_max(hour, Ordering::Relaxed) >= hour {
            return;
        }
        let (ledger, token) = (self.ledger.clone(), entry.token.clone());
        tokio::spawn(async move {
            let snapshot = ledger.snapshot();
            let key = format!("{NOTE}{}", token.name);
            if !snapshot.notes.contains_key(&key) {
                return;
            }
            let op = note(&format!("{USED}{}", token.name), &hour.to_string());
            // Somebody else's commit may come between; the next gate or the next hour tells it.
            if let Err(error) = ledger.commit(Commit::based_on(&snapshot, vec![op])).await {
                tracing::debug!(token = token.name, %error, "the use of a token is not recorded");
            }
        });
    }
}

impl Index {
    fn new(notes: Arc<BTreeMap<String, String>>) -> Self {
        let mut by_start: HashMap<_, Vec<Entry>> = HashMap::new();
        for token in listed(&notes).tokens {
            let used_ms = AtomicU64::new(token.used_ms.unwrap_or(0));
            let start = start(&token.digest);
            by_start
                .entry(start)
                .or_default()
                .push(Entry { token, used_ms });
        }
        Self { notes, by_start }
    }

    fn find(&self, digest: &[u8; 32], now_ms: u64) -> Option<&Entry> {
        let entries = self.by_start.get(&start(digest))?;
        let entry = entries
            .iter()
            .find(|entry| bool::from(entry.token.digest.ct_eq(digest)))?;
        let expired = entry.token.expires_ms.is_some_and(|end| now_ms >= end);
        (!expired).then_some(entry)
    }
}

fn start(digest: &[u8; 32]) -> [u8; 8] {
    let mut start = [0; 8];
    start.copy_from_slice(&digest[..8]);
    start
}
