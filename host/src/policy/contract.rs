//! The words of the contract as Rust types, generated from `wit/`.
//!
//! These are the newest released version's; a later version gets a module of its own beside this one, and the older
//! is converted.

mod bindings {
    #![allow(missing_docs, unreachable_pub, clippy::all)]
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "all",
        imports: {
            "witgate:policy/catalog.definition": async | trappable,
            default: trappable,
        },
        exports: { default: async },
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
    });
}

pub(super) use bindings::exports::witgate::policy as exports;
pub(super) use bindings::witgate::policy as imports;

pub use bindings::exports::witgate::policy::call_gate::{Hold, Verdict};
pub use bindings::exports::witgate::policy::client_request_gate::{Admission, ClientRequest};
pub use bindings::exports::witgate::policy::discovery_surface::{Locked, Withheld};
pub use bindings::exports::witgate::policy::inventory::Catalogue;
pub use bindings::exports::witgate::policy::result_gate::Ruling;
pub use bindings::exports::witgate::policy::review::{Action, Decided, Decision, Entry, Refusal};
pub use bindings::witgate::policy::types::{
    Call, Caller, Change, Context, Denial, Item, ItemKind, Server, Standing,
};
