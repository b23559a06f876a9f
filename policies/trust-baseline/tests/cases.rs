//! The policy's cases, on the Rust type; the host's tests run them on the component.

use witgate_policy_cases::{Native, trust_baseline};
use witgate_trust_baseline::TrustBaseline;

#[test]
fn cases() {
    trust_baseline::all::<Native<TrustBaseline>>();
}
