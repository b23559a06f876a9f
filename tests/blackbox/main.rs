//! The built binary against scripted clients, servers, policies and operators: what `docs/design.md` promises, seen
//! from outside. One executable, one module per family of cases; the letters and numbers (F1, B4, …) name the rows of
//! the project's table of cases.
#![allow(clippy::unwrap_used)]

#[path = "../support/mod.rs"]
mod support;

mod asking;
mod audit;
mod baseline;
mod clients;
mod definitions;
mod discovery;
mod envelope;
mod filtering;
mod fixtures;
mod hostile_policies;
mod hostile_servers;
mod http_attacks;
mod http_attacks_callers;
mod http_attacks_servers;
mod http_auth;
mod http_filtering;
mod http_front;
mod http_lifecycle;
mod invariants;
mod ledger;
mod lifecycle;
mod names;
mod operator;
mod policy_dir;
mod policy_live;
mod policy_monitor;
mod prompts;
mod recovery;
mod remote;
mod resources;
mod silence;
mod swaps;
mod tape;
mod tasks;
mod tokens;
mod toolbox;
mod transparency;
