//! What the black-box tests stand on: a place of their own ([`Home`]), a scripted server ([`Fixture`]), a client that
//! knows nothing but lines ([`Client`]), and the operator's commands ([`Home::run`]).
//!
//! Knows the surface that users see: command line, JSON lines, files. Knows no type of the host, so that a test can
//! only see what a user can.

mod client;
mod fixture;
mod home;
mod operator;

/// Policies that misbehave.
pub(crate) mod hostile;

pub(crate) use client::{Answer, Client};
pub(crate) use fixture::{Fixture, prompt, resource, template, tool};
pub(crate) use home::{Home, example, golden};
pub(crate) use operator::{Output, rows};

use std::time::{Duration, Instant};

/// How long anything that should happen may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `ready` yields something; panics with `what` after [`PATIENCE`].
#[track_caller]
pub(crate) fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < end, "waited {PATIENCE:?} for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
