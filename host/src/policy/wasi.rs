//! WASI 0.2 for components that import it: virtual, and the same every time (design §3).
//!
//! Clocks stand at the message's time, randomness begins with the same seed in every instance, and there are no
//! environment, no arguments, no files and no network; what is written to standard output and error goes to the log. So
//! the same inputs give the same verdict. `wasi:http` alone reaches outside, where the operator granted it.
//!
//! Knows wasmtime's implementation of WASI, and what is taken away from it. Knows nothing of hooks.

mod clock;
mod http;
mod output;

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::guest::Guest;
use super::guest_log::GuestLog;
use crate::config::HttpGrant;

pub(super) use http::Client;

/// The packages of WASI that every component may import.
const VIRTUAL: [&str; 6] = [
    "wasi:cli/",
    "wasi:clocks/",
    "wasi:filesystem/",
    "wasi:io/",
    "wasi:random/",
    "wasi:sockets/",
];

/// What `wasi:http` is imported by: a policy asks, and is not asked.
const HTTP: [&str; 2] = ["wasi:http/types", "wasi:http/outgoing-handler"];

/// What every instance's randomness begins with. Nobody is to be surprised by it: it only must not differ.
const SEED: u64 = 0x7769_7467_6174_6521;

/// The most random bytes asked for at once.
const MAX_RANDOM: u64 = 1 << 20;

/// The most handles (streams, pollables, …) one instance may have.
const MAX_HANDLES: usize = 4096;

/// What an import that names WASI is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Import {
    /// Virtual: every component may have it.
    Virtual,
    /// It needs the grant `wasi:http`.
    Http,
}

/// What one instance has of WASI.
pub(super) struct Virtual {
    ctx: WasiCtx,
    table: ResourceTable,
    http: WasiHttpCtx,
    requests: http::Requests,
}

/// What an import named `name` is; none if this host does not offer it.
pub(super) fn import(name: &str) -> Option<Import> {
    let (interface, version) = name.split_once('@')?;
    if !version.starts_with("0.2.") {
        return None;
    }
    if HTTP.contains(&interface) {
        return Some(Import::Http);
    }
    VIRTUAL
        .iter()
        .any(|package| interface.starts_with(package))
        .then_some(Import::Virtual)
}

/// Adds all of it to the linker; which of it a component may import is decided when it is loaded.
pub(super) fn add_to_linker(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    linker.allow_shadowing(true);
    clock::add_to_linker(linker)?;
    linker.allow_shadowing(false);
    Ok(())
}

impl Virtual {
    pub(super) fn new(log: &Arc<GuestLog>, grant: Option<Arc<HttpGrant>>, client: &Client) -> Self {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let ctx = WasiCtx::builder()
            .secure_random(StdRng::seed_from_u64(SEED))
            .insecure_random(StdRng::seed_from_u64(SEED))
            .insecure_random_seed(u128::from(SEED))
            .max_random_size(MAX_RANDOM)
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .stdout(output::Lines::new(log))
            .stderr(output::Lines::new(log))
            .build();
        Self {
            ctx,
            table,
            http: WasiHttpCtx::new(),
            requests: http::Requests::new(grant, client),
        }
    }
}

impl WasiView for Guest {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Virtual { ctx, table, .. } = self.wasi();
        WasiCtxView { ctx, table }
    }
}

impl WasiHttpView for Guest {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let Virtual {
            table,
            http,
            requests,
            ..
        } = self.wasi();
        WasiHttpCtxView {
            hooks: requests,
            table,
            ctx: http,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_outside_is_told_from_what_is_virtual() {
        for (name, what) in [
            ("wasi:clocks/wall-clock@0.2.0", Some(Import::Virtual)),
            ("wasi:io/poll@0.2.6", Some(Import::Virtual)),
            ("wasi:sockets/tcp@0.2.3", Some(Import::Virtual)),
            ("wasi:http/outgoing-handler@0.2.4", Some(Import::Http)),
            ("wasi:http/types@0.2.0", Some(Import::Http)),
            ("wasi:http/incoming-handler@0.2.0", None),
            ("wasi:http/types@0.3.0", None),
            ("wasi:clocks/wall-clock@0.3.0", None),
            ("wasi:clocks/wall-clock", None),
            ("wasi:keyvalue/store@0.2.0", None),
            ("wasi:clipboard/x@0.2.0", None),
            ("other:io/poll@0.2.0", None),
        ] {
            assert_eq!(import(name), what, "{name}");
        }
    }
}
