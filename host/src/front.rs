//! HTTP as clients meet it: the listener, who may come in, how messages and streams travel.
//!
//! Knows HTTP, callers and their credentials. Knows nothing of policies: what a message means and whether it may pass
//! is `gate`'s to say.

pub mod auth;
mod file;
pub mod tls;
