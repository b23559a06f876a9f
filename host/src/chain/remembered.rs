//! Verdicts that need not be asked for again.
//!
//! Judging hooks are pure (design, invariant 7): the same call, judged by the same generation on the same ledger
//! revision, gets the same verdict. Not remembered is an evaluation that asked the clock, or one that failed.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use bytes::Bytes;

use crate::chain::judge::{Judgement, Refused};
use crate::chain::permit::{Bound, Permit};
use crate::policy::contract::Call;
use crate::tape::Mark;

/// The most verdicts that are remembered.
const MAX_VERDICTS: usize = 512;

/// The longest arguments that are remembered, bytes.
const MAX_ARGUMENTS: usize = 4096;

/// Verdicts on calls with one context.
#[derive(Default)]
pub struct Remembered {
    bound: Option<Bound>,
    verdicts: HashMap<u64, (Call, Kept)>,
    hasher: RandomState,
}

struct Kept {
    refused: Option<Box<Refused>>,
    codes: Vec<(std::sync::Arc<str>, String)>,
    mark: Option<Mark>,
}

impl Remembered {
    /// Forgets everything: the context is another.
    pub fn clear(&mut self) {
        self.verdicts.clear();
    }

    /// The verdict on a call that was judged before; a permit is made anew, for `frame`.
    pub fn recall(&mut self, bound: Bound, call: &Call, frame: &Bytes) -> Option<Judgement> {
        if self.bound != Some(bound) {
            self.clear();
            self.bound = Some(bound);
            return None;
        }
        let (judged, kept) = self.verdicts.get(&self.hash(call))?;
        if judged != call {
            return None;
        }
        let outcome = match &kept.refused {
            Some(refused) => Err(refused.clone()),
            None => Ok(Permit::judged(frame.clone(), bound)),
        };
        if let Some(mark) = &kept.mark {
            mark.again();
        }
        let codes = kept.codes.clone();
        Some(Judgement {
            outcome,
            codes,
            micros: Vec::new(),
            pure: true,
            mark: kept.mark.clone(),
        })
    }

    /// Remembers a verdict, if it is one that may be.
    pub fn remember(&mut self, bound: Bound, call: &Call, judgement: &Judgement) {
        let long = call
            .arguments
            .as_ref()
            .is_some_and(|text| text.len() > MAX_ARGUMENTS);
        if !judgement.pure || long || self.bound != Some(bound) {
            return;
        }
        if self.verdicts.len() >= MAX_VERDICTS {
            self.verdicts.clear();
        }
        let refused = judgement.outcome.as_ref().err().cloned();
        let kept = Kept {
            refused,
            codes: judgement.codes.clone(),
            mark: judgement.mark.clone(),
        };
        self.verdicts.insert(self.hash(call), (call.clone(), kept));
    }

    fn hash(&self, call: &Call) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        call.method.hash(&mut hasher);
        call.item.name.hash(&mut hasher);
        call.item.digest.hash(&mut hasher);
        call.target.hash(&mut hasher);
        call.arguments.hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::policy::contract::{Item, ItemKind};

    const BOUND: Bound = Bound {
        generation: 1,
        revision: 1,
    };

    fn call(arguments: &str) -> Call {
        let (name, digest, labels) = ("a".to_owned(), String::new(), Vec::new());
        Call {
            method: "tools/call".into(),
            item: Item {
                kind: ItemKind::Tool,
                name,
                digest,
                labels: Vec::new(),
            },
            target: None,
            arguments: Some(arguments.to_owned()),
            labels,
        }
    }

    fn allowed(pure: bool) -> Judgement {
        let outcome = Ok(Permit::judged(Bytes::new(), BOUND));
        Judgement {
            outcome,
            codes: Vec::new(),
            micros: Vec::new(),
            pure,
            mark: None,
        }
    }

    fn recalled(memory: &mut Remembered, bound: Bound, call: &Call) -> bool {
        memory
            .recall(bound, call, &Bytes::from_static(b"x"))
            .is_some()
    }

    #[test]
    fn a_verdict_is_recalled_for_the_same_call_on_the_same_ground_only() {
        let mut memory = Remembered::default();
        assert!(!recalled(&mut memory, BOUND, &call("{}")));
        memory.remember(BOUND, &call("{}"), &allowed(true));
        assert!(recalled(&mut memory, BOUND, &call("{}")));
        assert!(!recalled(&mut memory, BOUND, &call(r#"{"a":1}"#)));
        let moved = Bound {
            revision: 2,
            ..BOUND
        };
        assert!(!recalled(&mut memory, moved, &call("{}")));
        assert!(
            !recalled(&mut memory, BOUND, &call("{}")),
            "what was judged before the move is gone"
        );
    }

    #[test]
    fn what_asked_the_clock_or_failed_is_asked_again() {
        let mut memory = Remembered::default();
        assert!(!recalled(&mut memory, BOUND, &call("{}")));
        memory.remember(BOUND, &call("{}"), &allowed(false));
        assert!(!recalled(&mut memory, BOUND, &call("{}")));
    }

    #[test]
    fn a_permit_recalled_is_for_the_frame_at_hand() {
        let mut memory = Remembered::default();
        assert!(!recalled(&mut memory, BOUND, &call("{}")));
        memory.remember(BOUND, &call("{}"), &allowed(true));
        let frame = Bytes::from_static(b"this one");
        let permit = memory
            .recall(BOUND, &call("{}"), &frame)
            .unwrap()
            .outcome
            .unwrap();
        assert_eq!(permit.spend(1, 1).unwrap().into_bytes(), frame);
    }
}
