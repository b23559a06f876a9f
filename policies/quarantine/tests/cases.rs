//! The policy's cases, on the Rust type; the host's tests run them on the component.

use witgate_policy_cases::{Native, quarantine};
use witgate_quarantine::Quarantine;

#[test]
fn cases() {
    quarantine::all::<Native<Quarantine>>();
}
