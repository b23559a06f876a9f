//! Whether an instance that has served answers as a new one does: what a policy promises whose sidecar says `reuse`.

use serde_json::{Map, Value};

use super::{Case, Subject};

/// How often the inputs are gone through: what one leaves behind must not show in another.
const ROUNDS: usize = 2;

/// An input on which an instance that had served answered otherwise.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Otherwise {
    /// What it was given.
    pub input: String,
    /// What a new instance answers.
    pub fresh: Map<String, Value>,
    /// What the one answered that had served.
    pub reused: Map<String, Value>,
}

/// Runs inputs on new instances and, one after the other, on one that is used again.
pub async fn compare(
    fresh: &mut Subject,
    reused: &mut Subject,
    inputs: &[(String, Case)],
) -> Vec<Otherwise> {
    let mut otherwise: Vec<Otherwise> = Vec::new();
    for (name, case) in std::iter::repeat_n(inputs, ROUNDS).flatten() {
        let first = fresh.run(case).await.found;
        let again = reused.run(case).await.found;
        if first != again && otherwise.iter().all(|known| known.input != *name) {
            otherwise.push(Otherwise {
                input: name.clone(),
                fresh: first,
                reused: again,
            });
        }
    }
    otherwise
}
