//! The components in `policies/dist`, run through the cases that the Rust types they were built from must meet.
#![allow(clippy::unwrap_used)]

mod component;
mod words;

use component::{AllowDeny, Component, Quarantine, TrustBaseline};
use witgate_policy_cases::{allow_deny, quarantine, trust_baseline};

#[test]
fn allow_deny_meets_its_cases() {
    allow_deny::all::<Component<AllowDeny>>();
}

#[test]
fn quarantine_meets_its_cases() {
    quarantine::all::<Component<Quarantine>>();
}

#[test]
fn trust_baseline_meets_its_cases() {
    trust_baseline::all::<Component<TrustBaseline>>();
}
