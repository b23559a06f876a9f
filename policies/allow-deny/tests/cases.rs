//! The policy's cases, on the Rust type; the host's tests run them on the component.

use witgate_allow_deny::AllowDeny;
use witgate_policy_cases::{Native, allow_deny};

#[test]
fn cases() {
    allow_deny::all::<Native<AllowDeny>>();
}
