//! witgate: a policy host for the Model Context Protocol (MCP), pluggable by WebAssembly components.
//!
//! It stands between an MCP client and its servers and decides, by a chain of policies, what the client may see and
//! call. Arrows between the modules point one way: [`wire`] knows bytes and no MCP; [`mcp`] knows what messages mean
//! and nothing of policy; [`policy`] runs components; [`ledger`] keeps what must outlive a process; [`chain`] joins
//! policies to verdicts and knows no transport; only [`gate`] ties them together. [`operator`] is the other way in: what
//! a person decides.

pub mod audit;
pub mod chain;
pub mod cli;
mod client_tls;
pub mod config;
pub mod discovery;
pub mod front;
pub mod gate;

pub mod ledger;
pub mod mcp;
pub mod operator;
pub mod policy;
pub mod replay;
pub mod setup;
pub mod tape;
pub mod toolbox;
pub mod upstream;
pub mod wire;
