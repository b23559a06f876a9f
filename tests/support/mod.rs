//! What the black-box tests stand on: a place of their own ([`Home`]), a scripted server ([`Fixture`]), a client that
//! knows nothing but lines ([`Client`]), and the operator's commands ([`Home::run`]).
//!
//! Knows the surface that users see: command line, JSON lines, files. Knows no type of the host, so that a test can
//! only see what a user can.

mod client;
mod fixture;
mod home;
mod http;
mod operator;
mod scene;
mod serve;
mod upstream;

/// Policies that misbehave.
pub(crate) mod hostile;

pub(crate) use client::{Answer, Client};
pub(crate) use fixture::{Fixture, prompt, resource, template, tool};
pub(crate) use home::{Home, example, golden};
pub(crate) use http::{Event, Events, Response, Socket, outcome};
pub(crate) use operator::{Output, rows};
pub(crate) use scene::Scene;
pub(crate) use serve::{Era, Mcp, Request, Serve, encoded};
pub(crate) use upstream::{Reply, Upstream};

use std::time::{Duration, Instant};

/// How long anything that should happen may take on a busy machine before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `ready` yields something; panics with `what` after [`PATIENCE`].
#[track_caller]
pub(crate) fn until<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    until_some(ready).unwrap_or_else(|| panic!("waited {PATIENCE:?} for: {what}"))
}

/// Waits until `ready` yields something, for [`PATIENCE`] at most.
pub(crate) fn until_some<T>(mut ready: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ready() {
            None if Instant::now() < end => std::thread::sleep(Duration::from_millis(10)),
            found => return found,
        }
    }
}

/// Makes two tests of each function named: one for each revision's way over HTTP.
macro_rules! in_both_revisions {
    ($($test:ident),* $(,)?) => {$(
        mod $test {
            use crate::support::Era;

            #[test]
            fn as_of_2025_11_25() {
                super::$test(Era::Legacy);
            }

            #[test]
            fn as_of_2026_07_28() {
                super::$test(Era::Modern);
            }
        }
    )*};
}
pub(crate) use in_both_revisions;
