//! The built binary against scripted clients, servers, policies and operators: what `docs/design.md` promises, seen
//! from outside. One executable, one module per family of cases; the letters and numbers (F1, B4, …) name the rows of
//! the project's table of cases.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
#[allow(dead_code, unused_imports)]
mod support;

mod fixtures;
