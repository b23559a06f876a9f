//! What a component is from the outside: its imports, its exports, and whether this host serves them.
//!
//! Knows names, versions and types. Runs nothing.

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use super::contract::exports;
use super::guest::Guest;
use super::wasi::{self, Import};
use super::{Hooks, Source};
use crate::config::grants::HTTP;
use crate::ledger::PolicyOrigin;
use crate::mcp::escape::visible_cut;

/// The package whose interfaces are hooks and imports.
const PACKAGE: &str = "witgate:policy";

/// The versions of it that this host serves, for messages. A later 0.1 adds interfaces and changes none; the linker
/// and the bindings find an interface under the name of any 0.1.
pub(super) const SERVED: &str = "0.1.0 and any later 0.1";

/// The imports this host offers.
const IMPORTS: [&str; 5] = ["store", "catalog", "clock", "log", "metrics"];

/// What is known of a component without running it.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) hooks: Hooks,
    /// The version of the contract that its exports name.
    pub(super) version: String,
}

/// The exported hooks, found once and looked up by index in every instance.
#[derive(Default)]
pub(super) struct Indices {
    pub(super) settings: Option<exports::settings::GuestIndices>,
    pub(super) inventory: Option<exports::inventory::GuestIndices>,
    pub(super) list_filter: Option<exports::list_filter::GuestIndices>,
    pub(super) call_gate: Option<exports::call_gate::GuestIndices>,
    pub(super) result_gate: Option<exports::result_gate::GuestIndices>,
    pub(super) client_request_gate: Option<exports::client_request_gate::GuestIndices>,
    pub(super) discovery_surface: Option<exports::discovery_surface::GuestIndices>,
    pub(super) review: Option<exports::review::GuestIndices>,
}

/// Says what is wrong with bytes that cannot be a component; the compiler's own errors say less.
pub(super) fn check_bytes(bytes: &[u8]) -> Result<(), String> {
    match bytes {
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => Ok(()),
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => Err(
            "it is a core WebAssembly module, not a component. Make one of it with `wasm-tools component new MODULE -o FILE`, or build it for a component target"
                .into(),
        ),
        [0, b'a', b's', b'm', ..] => Err(format!(
            "it is WebAssembly of a form this host does not know (version bytes {}). Build it again with current tools",
            hex::encode(&bytes[4..bytes.len().min(8)])
        )),
        [] => Err("the file is empty. Build the component again".into()),
        _ if bytes.trim_ascii_start().starts_with(b"(") => Err(
            "it is WebAssembly text, not a binary component. Translate it with `wasm-tools parse FILE -o OUT`".into(),
        ),
        _ => Err(
            "it is no WebAssembly component (those begin with the bytes 00 61 73 6d 0d 00 01 00). Give the file that your build wrote as the component".into(),
        ),
    }
}

/// Checks names and versions of everything it imports and exports, and that what it imports was granted.
pub(super) fn inspect(component: &Component, source: &Source) -> Result<Shape, String> {
    let engine = component.engine();
    let ty = component.component_type();
    let mut shape = Shape {
        hooks: Hooks::default(),
        version: String::new(),
    };
    for (name, export) in ty.exports(engine) {
        if !name.starts_with("witgate:") {
            continue;
        }
        let shown = visible_cut(name, 100);
        let Some((interface, version)) = parse(name)? else {
            return Err(format!(
                "it exports `{shown}`, which this host does not know; it knows the hooks of `{PACKAGE}`. Install a witgate that knows it, or build the policy without it"
            ));
        };
        if only_types(&export.ty, engine) {
            continue;
        }
        let hooks = &mut shape.hooks;
        *match interface {
            "settings" => &mut hooks.settings,
            "inventory" => &mut hooks.inventory,
            "list-filter" => &mut hooks.list_filter,
            "call-gate" => &mut hooks.call_gate,
            "result-gate" => &mut hooks.result_gate,
            "client-request-gate" => &mut hooks.client_request_gate,
            "discovery-surface" => &mut hooks.discovery_surface,
            "review" => &mut hooks.review,
            _ => {
                return Err(format!(
                    "it exports `{shown}`, a hook this host does not know; it calls settings, inventory, list-filter, call-gate, result-gate, client-request-gate, discovery-surface and review. Install a witgate that knows it, or build the policy without it"
                ));
            }
        } = true;
        if shape.version.is_empty() || newer(version, &shape.version) {
            shape.version = version.to_owned();
        }
    }
    let Hooks {
        settings: _,
        inventory,
        list_filter,
        call_gate,
        result_gate,
        client_request_gate,
        discovery_surface,
        review,
    } = shape.hooks;
    if !(inventory
        || list_filter
        || call_gate
        || result_gate
        || client_request_gate
        || discovery_surface
        || review)
    {
        return Err(format!(
            "it exports no hook of `{PACKAGE}`, so it would decide nothing. Export at least one of inventory, list-filter, call-gate, result-gate, client-request-gate, discovery-surface, review (versions served: {SERVED})"
        ));
    }
    for (name, import) in ty.imports(engine) {
        check_import(name, &import.ty, engine, source)?;
    }
    Ok(shape)
}

/// An interface of our package and its version; none for another package of ours; an error for a version not served.
fn parse(name: &str) -> Result<Option<(&str, &str)>, String> {
    let Some(rest) = name
        .strip_prefix(PACKAGE)
        .and_then(|rest| rest.strip_prefix('/'))
    else {
        return Ok(None);
    };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let patch = version.strip_prefix("0.1.");
    if patch.is_some_and(|patch| !patch.is_empty() && patch.bytes().all(|b| b.is_ascii_digit())) {
        return Ok(Some((interface, version)));
    }
    let found = if version.is_empty() {
        "no version".to_owned()
    } else {
        format!("version {}", visible_cut(version, 40))
    };
    Err(format!(
        "`{}` names {found} of `{PACKAGE}`; this host serves {SERVED}. Build the policy against a version that is served, or install a witgate that serves its version",
        visible_cut(name, 100)
    ))
}

/// Whether version `a` of a served range is later than `b`.
fn newer(a: &str, b: &str) -> bool {
    let patch = |version: &str| -> u64 {
        version
            .rsplit('.')
            .next()
            .and_then(|patch| patch.parse().ok())
            .unwrap_or(u64::MAX)
    };
    patch(a) > patch(b)
}

fn check_import(
    name: &str,
    ty: &ComponentItem,
    engine: &wasmtime::Engine,
    source: &Source,
) -> Result<(), String> {
    let shown = visible_cut(name, 100);
    match wasi::import(name) {
        Some(Import::Virtual) => return Ok(()),
        Some(Import::Http) if source.grants.http.is_some() => return Ok(()),
        Some(Import::Http) => {
            return Err(format!(
                "it imports `{shown}`: it makes HTTP requests, which nobody granted. If it is to, write {} with `hosts = [\"…\"]` into witgate.toml and name each host there; else build the policy without it",
                grant(HTTP, source)
            ));
        }
        None => {}
    }
    if only_types(ty, engine) {
        return Ok(());
    }
    match parse(name)? {
        Some((interface, _)) if IMPORTS.contains(&interface) => Ok(()),
        _ => Err(format!(
            "it imports `{shown}`, which this host does not offer; a policy may import store, catalog, clock, log and metrics of `{PACKAGE}`, WASI 0.2 (virtual: no files, no network, the message's time), and with a grant in witgate.toml `{HTTP}` 0.2. Build the policy without it (for WASI: `--stub-wasi`, or a target without WASI)"
        )),
    }
}

/// The table of witgate.toml where a grant for this policy stands.
fn grant(import: &str, source: &Source) -> String {
    match source.origin {
        PolicyOrigin::Directory => format!(
            "`[policy_dir.grants.{}.\"{import}\"]`",
            toml_key(&source.name)
        ),
        PolicyOrigin::Configuration | PolicyOrigin::Builtin => format!(
            "`[policy.grants.\"{import}\"]` below its `[[policy]]` (name = {:?})",
            source.name
        ),
    }
}

/// A key as TOML spells it in a header.
fn toml_key(key: &str) -> String {
    let bare = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !key.is_empty() && key.bytes().all(bare) {
        key.to_owned()
    } else {
        format!("{key:?}")
    }
}

/// Whether an interface has no functions: importing or exporting one only gives its types a name.
fn only_types(ty: &ComponentItem, engine: &wasmtime::Engine) -> bool {
    match ty {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .all(|(_, item)| matches!(item.ty, ComponentItem::Type(_))),
        _ => false,
    }
}

impl Indices {
    /// Finds the functions of every hook that is exported.
    pub(super) fn new(pre: &InstancePre<Guest>, hooks: Hooks) -> wasmtime::Result<Self> {
        macro_rules! indices {
            ($($hook:ident),*) => {
                Self { $($hook: hooks.$hook.then(|| exports::$hook::GuestIndices::new(pre)).transpose()?,)* }
            };
        }
        Ok(indices!(
            settings,
            inventory,
            list_filter,
            call_gate,
            result_gate,
            client_request_gate,
            discovery_surface,
            review
        ))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Authors put the wrong file there; each mistake has its own mend.
    #[test]
    fn each_wrong_file_is_told_apart() {
        for (bytes, word) in [
            (&b"\0asm\x01\0\0\0rest"[..], "core WebAssembly module"),
            (b"\0asm\x0e\0\x01\0", "version bytes 0e000100"),
            (b"\0asm", "version bytes"),
            (b"", "empty"),
            (b"  (component)", "text"),
            (b"\x7fELF", "no WebAssembly component"),
        ] {
            let error = check_bytes(bytes).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        assert!(check_bytes(b"\0asm\x0d\0\x01\0").is_ok());
    }

    /// A pre-release or a next minor version may have changed any record.
    #[test]
    fn only_patches_of_the_served_version_are_served() {
        assert_eq!(
            parse("witgate:policy/call-gate@0.1.7"),
            Ok(Some(("call-gate", "0.1.7")))
        );
        assert_eq!(parse("witgate:other/call-gate@0.1.0"), Ok(None));
        assert_eq!(parse("wasi:cli/run@0.2.0"), Ok(None));
        for (name, found) in [
            ("witgate:policy/call-gate", "no version"),
            ("witgate:policy/call-gate@0.2.0", "version 0.2.0"),
            ("witgate:policy/call-gate@0.1.0-rc", "version 0.1.0-rc"),
            ("witgate:policy/call-gate@1.0.0", "version 1.0.0"),
        ] {
            let error = parse(name).unwrap_err();
            assert!(error.contains(found) && error.contains(SERVED), "{error}");
        }
    }

    #[test]
    fn the_latest_patch_is_the_version() {
        assert!(newer("0.1.10", "0.1.9"));
        assert!(!newer("0.1.0", "0.1.0"));
    }
}
