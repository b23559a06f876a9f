//! What wit-bindgen generates from the contract: the shared words once, the imports, and one module for each hook.
//!
//! One world for each hook, since a component must export the hooks it has and no other: [`crate::export!`] joins the
//! worlds it is told of.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::unwrap_used
)]

/// The words every hook shares.
mod words {
    wit_bindgen::generate!({
        inline: "
            package witgate:sdk;
            world words { import witgate:policy/types@0.1.2; }
        ",
        path: "wit",
        generate_unused_types: true,
        generate_all,
        additional_derives: [PartialEq],
    });
}

pub use words::witgate::policy::types;

/// `store`, `catalog`, `clock`, `log` and `metrics`. Those a policy does not call leave no import in its component.
pub mod imports {
    wit_bindgen::generate!({
        path: "wit",
        world: "imports",
        generate_all,
    });

    pub use witgate::policy::{catalog, clock, log, metrics, store};
}

/// The module of one hook: its types, its `Guest` trait and the macro that exports it.
macro_rules! hook {
    ($module:ident, $world:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "wit",
                world: $world,
                with: { "witgate:policy/types@0.1.2": crate::bindings::types },
                pub_export_macro: true,
                default_bindings_module: $world,
                additional_derives: [PartialEq],
            });
        }
    };
}

/// `settings`, which shares no word with the others.
pub mod settings {
    wit_bindgen::generate!({
        path: "wit",
        world: "configurable",
        pub_export_macro: true,
        default_bindings_module: "configurable",
    });
}

hook!(inventory, "recorder");
hook!(list_filter, "filter");
hook!(call_gate, "gatekeeper");
hook!(result_gate, "inspector");
hook!(client_request_gate, "client-gatekeeper");
hook!(discovery_surface, "surfacer");
hook!(review, "reviewer");

/// The types that only hooks use.
pub mod exports {
    pub use super::call_gate::exports::witgate::policy::call_gate::{Hold, Verdict};
    pub use super::client_request_gate::exports::witgate::policy::client_request_gate::{
        Admission, ClientRequest,
    };
    pub use super::discovery_surface::exports::witgate::policy::discovery_surface::{
        Locked, Withheld,
    };
    pub use super::inventory::exports::witgate::policy::inventory::Catalogue;
    pub use super::result_gate::exports::witgate::policy::result_gate::Ruling;
    pub use super::review::exports::witgate::policy::review::{
        Action, Decided, Decision, Entry, Refusal,
    };
}
