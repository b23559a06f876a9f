//! Policies that misbehave, written as WebAssembly text and made into components here, so that no toolchain is needed.
//!
//! A plain module: tests of any crate include it by `#[path]`. It needs `wat`, `wit-component` and `wit-parser`.

// Every crate that includes it uses a part.
#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used)]

use std::fmt::Write as _;
use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

const TYPES: &str = include_str!("../../wit/types.wit");
const HOOKS: &str = include_str!("../../wit/hooks.wit");

/// What else a guest may name: interfaces that the host does not know or does not offer.
const OTHERS: &str = r"
package wasi:keyvalue@0.2.6 { interface store { now: func() -> u64; } }
package witgate:other@0.1.0 { interface thing { do-it: func(); } }
";

/// Where text for the guests below stands in their memory, and how long it is.
const TEXT_AT: u32 = 1024;
/// Where the answer is written.
const ANSWER_AT: u32 = 4096;
/// How much memory every guest has at the start, in pages of 64 KiB.
const PAGES: u32 = 32;

/// A core module with the canonical ABI's allocator, 2 MiB of memory, and `body`.
fn module(imports: &str, body: &str) -> String {
    format!(
        r#"(module
            {imports}
            (memory (export "memory") {PAGES})
            (global $next (mut i32) (i32.const 65536))
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $at i32)
                (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
                (global.set $next (i32.add (local.get $at) (local.get 3)))
                (block
                    (br_if 0 (i32.le_u (global.get $next) (i32.mul (memory.size) (i32.const 65536))))
                    (drop (memory.grow (i32.add (i32.const 1)
                        (i32.shr_u (i32.sub (global.get $next) (i32.mul (memory.size) (i32.const 65536))) (i32.const 16))))))
                (local.get $at))
            {body})"#
    )
}

/// A component whose world has `items` (WIT), made from a core module (WAT).
pub fn component(items: &str, core: &str) -> Vec<u8> {
    component_of("0.1.0", "", items, core)
}

/// The same, against version `version` of the contract, whose text got `extra` interfaces.
pub fn component_of(version: &str, extra: &str, items: &str, core: &str) -> Vec<u8> {
    component_from(&format!("{TYPES}\n{HOOKS}\n{extra}"), version, items, core)
}

/// The same, with `contract` instead of the contract's text.
pub fn component_from(contract: &str, version: &str, items: &str, core: &str) -> Vec<u8> {
    let contract: String = contract
        .lines()
        .filter(|line| !line.starts_with("package "))
        .map(|line| format!("{line}\n"))
        .collect();
    let source = format!(
        "package test:guest;\npackage witgate:policy@{version} {{\n{contract}\n}}\n{OTHERS}\nworld guest {{ {items} }}\n"
    );
    let mut resolve = Resolve::default();
    let package = resolve
        .push_source("guest.wit", &source)
        .unwrap_or_else(|error| panic!("{error:#}\n{source}"));
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    let mut module = wat::parse_str(core).unwrap_or_else(|error| panic!("{error}\n{core}"));
    wit_component::embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap();
    ComponentEncoder::default()
        .module(&module)
        .unwrap()
        .validate(true)
        .encode()
        .unwrap_or_else(|error| panic!("{error:#}\n{core}"))
}

/// A data segment of 32-bit words.
fn words(at: u32, words: &[u32]) -> String {
    let mut out = format!("(data (i32.const {at}) \"");
    for byte in words.iter().flat_map(|word| word.to_le_bytes()) {
        write!(out, "\\{byte:02x}").unwrap();
    }
    out.push_str("\")");
    out
}

/// A data segment of text at [`TEXT_AT`].
fn text(text: &[u8]) -> String {
    let mut out = format!("(data (i32.const {TEXT_AT}) \"");
    for byte in text {
        write!(out, "\\{byte:02x}").unwrap();
    }
    out.push_str("\")");
    out
}

/// A policy with a call-gate whose `check` is `code`, which leaves the verdict's address.
pub fn gate(code: &str, data: &str) -> Vec<u8> {
    component(
        "export witgate:policy/call-gate@0.1.0;",
        &module("", &format!("{}\n{data}", gate_func("0.1.0", code))),
    )
}

fn gate_func(version: &str, code: &str) -> String {
    format!(
        "(func (export \"witgate:policy/call-gate@{version}#check\") (param i32) (result i32) {code})"
    )
}

fn answer() -> String {
    format!("(i32.const {ANSWER_AT})")
}

/// A gate that answers with the words of a `verdict`.
fn gate_answering(verdict: &[u32], data: &str) -> Vec<u8> {
    gate(&answer(), &format!("{}\n{data}", words(ANSWER_AT, verdict)))
}

/// The words of `deny` with this code and reason, without remedy and labels.
fn deny(code: (u32, u32), reason: (u32, u32)) -> [u32; 10] {
    [1, code.0, code.1, reason.0, reason.1, 0, 0, 0, 0, 0]
}

/// Allows everything: the harmless one.
pub fn allow() -> Vec<u8> {
    gate_answering(&[0; 10], "")
}

/// Never ends.
pub fn spin() -> Vec<u8> {
    gate("(loop (br 0)) (unreachable)", "")
}

/// Takes memory until it gets no more, then goes on with an allowance.
pub fn allocate() -> Vec<u8> {
    gate(
        &format!(
            "(block (loop (br_if 1 (i32.eq (memory.grow (i32.const 16)) (i32.const -1))) (br 0))) {}",
            answer()
        ),
        "",
    )
}

/// Counts to 20 million, which takes some milliseconds, and allows.
pub fn works() -> Vec<u8> {
    gate(
        &format!(
            "(local $n i32) (loop (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 20000000)))) {}",
            answer()
        ),
        "",
    )
}

/// Never ends once it has answered.
pub fn spin_after_answer() -> Vec<u8> {
    gate(
        &answer(),
        r#"(func (export "cabi_post_witgate:policy/call-gate@0.1.0#check") (param i32) (loop (br 0)))"#,
    )
}

/// A gate whose allocator is `code`.
fn gate_allocating(code: &str) -> Vec<u8> {
    let core = module("", &gate_func("0.1.0", &answer()))
        .replace("(local $at i32)", &format!("(local $at i32) {code}"));
    component("export witgate:policy/call-gate@0.1.0;", &core)
}

/// Never ends when the host asks it for room for the arguments.
pub fn spin_in_allocator() -> Vec<u8> {
    gate_allocating("(loop (br 0))")
}

/// Gives the host room outside of its memory.
pub fn allocator_out_of_bounds() -> Vec<u8> {
    gate_allocating("(return (i32.const -8))")
}

/// Gives the host room that is not aligned.
pub fn allocator_unaligned() -> Vec<u8> {
    gate_allocating("(return (i32.const 65537))")
}

/// Executes `unreachable`.
pub fn trap() -> Vec<u8> {
    gate("(unreachable)", "")
}

/// Calls itself without end.
pub fn recurse() -> Vec<u8> {
    component(
        "export witgate:policy/call-gate@0.1.0;",
        &module(
            "",
            r#"(func $check (export "witgate:policy/call-gate@0.1.0#check") (param i32) (result i32)
                (i32.add (call $check (local.get 0)) (i32.const 1)))"#,
        ),
    )
}

/// Denies with a reason of two megabytes.
pub fn huge_output() -> Vec<u8> {
    gate_answering(&deny((TEXT_AT, 3), (0, PAGES * 65536)), &text(b"big"))
}

/// Answers with a verdict that does not exist.
pub fn bad_discriminant() -> Vec<u8> {
    gate_answering(&[9], "")
}

/// Points to text outside of its memory.
pub fn out_of_bounds() -> Vec<u8> {
    gate_answering(&deny((TEXT_AT, 3), (0xffff_0000, 16)), &text(b"out"))
}

/// Returns an answer outside of its memory.
pub fn answer_out_of_bounds() -> Vec<u8> {
    gate("(i32.const -4)", "")
}

/// Denies with a reason that is not UTF-8.
pub fn bad_text() -> Vec<u8> {
    gate_answering(&deny((TEXT_AT, 3), (TEXT_AT + 3, 2)), &text(b"bad\xc3\x28"))
}

/// Denies with a code that is no code.
pub fn bad_code() -> Vec<u8> {
    gate_answering(
        &deny((TEXT_AT, 4), (TEXT_AT, 4)),
        &text("\u{1b}[2".as_bytes()),
    )
}

/// Answers with the verdict `other`.
pub fn unknown_verdict() -> Vec<u8> {
    gate_answering(&[3, TEXT_AT, 3], &text(b"new"))
}

/// Denies with code `no` and `reason`.
pub fn denies(reason: &str) -> Vec<u8> {
    denies_with("no", reason)
}

/// Denies with `code` and `reason`.
pub fn denies_with(code: &str, reason: &str) -> Vec<u8> {
    let length = |text: &str| u32::try_from(text.len()).unwrap();
    gate_answering(
        &deny(
            (TEXT_AT, length(code)),
            (TEXT_AT + length(code), length(reason)),
        ),
        &text(format!("{code}{reason}").as_bytes()),
    )
}

/// Counts the instances' uses in a global, and denies from the second call on: a host that reuses instances, or lets
/// memory survive, shows.
pub fn remembers() -> Vec<u8> {
    gate(
        &format!(
            "(block (br_if 0 (i32.eqz (i32.load8_u (i32.const 3000)))) (unreachable)) (i32.store8 (i32.const 3000) (i32.const 1)) {}",
            answer()
        ),
        "",
    )
}

/// Asks the clock, and allows.
pub fn asks_clock() -> Vec<u8> {
    importing(
        "clock",
        r#"(import "witgate:policy/clock@0.1.0" "now-ms" (func $now (result i64)))"#,
        &gate_func("0.1.0", &format!("(drop (call $now)) {}", answer())),
    )
}

/// Counts one under `seen`, and allows.
pub fn counts() -> Vec<u8> {
    component_of(
        "0.1.2",
        "",
        "import witgate:policy/metrics@0.1.2; export witgate:policy/call-gate@0.1.2;",
        &module(
            r#"(import "witgate:policy/metrics@0.1.2" "add" (func $add (param i32 i32 i64)))"#,
            &format!(
                "{} {}",
                gate_func(
                    "0.1.2",
                    &format!(
                        "(call $add (i32.const {TEXT_AT}) (i32.const 4) (i64.const 1)) {}",
                        answer()
                    )
                ),
                text(b"seen")
            ),
        ),
    )
}

/// Asks for the definition whose digest is all zeroes, and allows.
pub fn asks_definition() -> Vec<u8> {
    importing_definition(&format!("1:{}", "00".repeat(32)))
}

/// Asks for the definition whose digest is 07 all over, and allows.
pub fn asks_seven() -> Vec<u8> {
    importing_definition(&format!("1:{}", "07".repeat(32)))
}

fn importing_definition(digest: &str) -> Vec<u8> {
    importing(
        "catalog",
        r#"(import "witgate:policy/catalog@0.1.0" "definition" (func $definition (param i32 i32 i32)))"#,
        &format!(
            "{} {}",
            gate_func(
                "0.1.0",
                &format!(
                    "(call $definition (i32.const {TEXT_AT}) (i32.const {}) (i32.const 3000)) {}",
                    digest.len(),
                    answer()
                )
            ),
            text(digest.as_bytes())
        ),
    )
}

/// Writes 100 lines to the log, and allows.
pub fn logs() -> Vec<u8> {
    importing(
        "log",
        r#"(import "witgate:policy/log@0.1.0" "message" (func $message (param i32 i32 i32)))"#,
        &format!(
            "{} {}",
            gate_func(
                "0.1.0",
                &format!(
                    "(local $n i32) (loop (call $message (i32.const 1) (i32.const {TEXT_AT}) (i32.const 7)) (br_if 0 (i32.lt_u (local.tee $n (i32.add (local.get $n) (i32.const 1))) (i32.const 100)))) {}",
                    answer()
                )
            ),
            text(b"hi\x1b[2Jx")
        ),
    )
}

/// Asks the store with a key outside of its memory.
pub fn bad_key() -> Vec<u8> {
    importing(
        "store",
        r#"(import "witgate:policy/store@0.1.0" "get" (func $get (param i32 i32 i32)))"#,
        &gate_func(
            "0.1.0",
            &format!(
                "(call $get (i32.const -65536) (i32.const 64) (i32.const 3000)) {}",
                answer()
            ),
        ),
    )
}

/// Asks the clock while it is instantiated.
pub fn import_in_start() -> Vec<u8> {
    importing(
        "clock",
        r#"(import "witgate:policy/clock@0.1.0" "now-ms" (func $now (result i64)))"#,
        &format!(
            "(func $start (drop (call $now))) (start $start) {}",
            gate_func("0.1.0", &answer())
        ),
    )
}

/// Spins while it is instantiated.
pub fn spin_in_start() -> Vec<u8> {
    component(
        "export witgate:policy/call-gate@0.1.0;",
        &module(
            "",
            &format!(
                "(func $start (loop (br 0))) (start $start) {}",
                gate_func("0.1.0", &answer())
            ),
        ),
    )
}

fn importing(interface: &str, import: &str, body: &str) -> Vec<u8> {
    component(
        &format!("import witgate:policy/{interface}@0.1.0; export witgate:policy/call-gate@0.1.0;"),
        &module(import, body),
    )
}

/// A gate that takes settings: `configure` is `code`, which leaves the address of a `result<_, string>`.
pub fn configured(code: &str, data: &str) -> Vec<u8> {
    component(
        "import witgate:policy/clock@0.1.0; export witgate:policy/settings@0.1.0; export witgate:policy/call-gate@0.1.0;",
        &module(
            r#"(import "witgate:policy/clock@0.1.0" "now-ms" (func $now (result i64)))"#,
            &format!(
                r#"(func (export "witgate:policy/settings@0.1.0#configure") (param i32 i32) (result i32) {code})
                {} {data}"#,
                gate_func("0.1.0", &answer())
            ),
        ),
    )
}

/// Takes any settings.
pub fn configure_ok() -> Vec<u8> {
    configured(&answer(), "")
}

/// Asks the clock in `configure`.
pub fn import_in_configure() -> Vec<u8> {
    configured(&format!("(drop (call $now)) {}", answer()), "")
}

/// Refuses its settings.
pub fn refuses_settings() -> Vec<u8> {
    configured(
        "(i32.const 3000)",
        &format!("{} {}", words(3000, &[1, TEXT_AT, 8]), text(b"bad \x1b[2J")),
    )
}

/// Traps in `configure`.
pub fn trap_in_configure() -> Vec<u8> {
    configured("(unreachable)", "")
}

/// Spins in `configure`.
pub fn spin_in_configure() -> Vec<u8> {
    configured("(loop (br 0)) (unreachable)", "")
}

/// Refuses its settings unless they are exactly `{}`.
pub fn wants_empty_settings() -> Vec<u8> {
    configured(
        &format!(
            "(block (br_if 0 (i32.ne (local.get 1) (i32.const 2))) (br_if 0 (i32.ne (i32.load16_u (local.get 0)) (i32.const 0x7d7b))) (return {})) (i32.const 3000)",
            answer()
        ),
        &format!("{} {}", words(3000, &[1, TEXT_AT, 5]), text(b"other")),
    )
}

/// A filter whose answer is a list at this address and of this length, over zeroed memory: all kept.
pub fn filter(address: u32, length: u32) -> Vec<u8> {
    let params = "i32 ".repeat(15);
    component(
        "export witgate:policy/list-filter@0.1.0;",
        &module(
            "",
            &format!(
                "(func (export \"witgate:policy/list-filter@0.1.0#filter\") (param {params}) (result i32) {}) {}",
                answer(),
                words(ANSWER_AT, &[address, length])
            ),
        ),
    )
}

/// Answers with one answer fewer than it should, whatever that is: none.
pub fn wrong_count() -> Vec<u8> {
    filter(8192, 0)
}

/// Answers with more answers than a host should set aside memory for.
pub fn endless_list() -> Vec<u8> {
    filter(8192, 50_000)
}

/// A result-gate that replaces every result by `replacement`.
pub fn replaces(replacement: &str) -> Vec<u8> {
    let length = u32::try_from(replacement.len()).unwrap();
    component(
        "export witgate:policy/result-gate@0.1.0;",
        &module(
            "",
            &format!(
                "(func (export \"witgate:policy/result-gate@0.1.0#inspect\") (param i32) (result i32) {}) {} {}",
                answer(),
                words(ANSWER_AT, &[1, TEXT_AT, length]),
                text(replacement.as_bytes())
            ),
        ),
    )
}

/// Replaces every result by what is no JSON.
pub fn garbage_json() -> Vec<u8> {
    replaces("{\"content\":[")
}

/// A recorder whose `observe` returns one change: `key`, and the address and length of its value.
fn observe(key: &str, value: (u32, u32)) -> Vec<u8> {
    let length = u32::try_from(key.len()).unwrap();
    let params = "i32 ".repeat(13);
    component(
        "export witgate:policy/inventory@0.1.0;",
        &module(
            "",
            &format!(
                "(func (export \"witgate:policy/inventory@0.1.0#observe\") (param {params} i64) (result i32) {}) {} {} {}",
                answer(),
                words(ANSWER_AT, &[3000, 1]),
                words(3000, &[TEXT_AT, length, 1, value.0, value.1, 0, 0]),
                text(key.as_bytes())
            ),
        ),
    )
}

/// Records a value that is too long for the store.
pub fn huge_value() -> Vec<u8> {
    observe("item/x", (1 << 17, (1 << 20) + 1))
}

/// Records under an empty key.
pub fn empty_key() -> Vec<u8> {
    observe("", (0, 1))
}

/// Imports from the store a function that would write.
pub fn writes_in_judging_hook() -> Vec<u8> {
    let contract = format!("{TYPES}\n{HOOKS}").replace(
        "get: func(key: string) -> option<string>;",
        "put: func(key: string, value: string);",
    );
    component_from(
        &contract,
        "0.1.0",
        "import witgate:policy/store@0.1.0; export witgate:policy/call-gate@0.1.0;",
        &module(
            r#"(import "witgate:policy/store@0.1.0" "put" (func $put (param i32 i32 i32 i32)))"#,
            &gate_func(
                "0.1.0",
                &format!(
                    "(call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1)) {}",
                    answer()
                ),
            ),
        ),
    )
}

/// Imports an interface of WASI that no policy gets.
pub fn imports_unknown() -> Vec<u8> {
    component(
        "import wasi:keyvalue/store@0.2.6; export witgate:policy/call-gate@0.1.0;",
        &module(
            r#"(import "wasi:keyvalue/store@0.2.6" "now" (func $now (result i64)))"#,
            &gate_func("0.1.0", &format!("(drop (call $now)) {}", answer())),
        ),
    )
}

/// Built against a version of the contract.
pub fn built_against(version: &str) -> Vec<u8> {
    component_of(
        version,
        "",
        &format!("export witgate:policy/call-gate@{version};"),
        &module("", &gate_func(version, &answer())),
    )
}

/// Exports no hook.
pub fn no_hook() -> Vec<u8> {
    component("", &module("", ""))
}

/// Exports a hook of a later patch of the contract that this host does not know.
pub fn unknown_hook() -> Vec<u8> {
    component_of(
        "0.1.9",
        "interface mood-gate { mood: func(); }",
        "export witgate:policy/call-gate@0.1.9; export witgate:policy/mood-gate@0.1.9;",
        &module(
            "",
            &format!(
                "{} (func (export \"witgate:policy/mood-gate@0.1.9#mood\"))",
                gate_func("0.1.9", &answer())
            ),
        ),
    )
}

/// Exports an interface of a `witgate:` package that is not the contract.
pub fn unknown_package() -> Vec<u8> {
    component(
        "export witgate:policy/call-gate@0.1.0; export witgate:other/thing@0.1.0;",
        &module(
            "",
            &format!(
                "{} (func (export \"witgate:other/thing@0.1.0#do-it\"))",
                gate_func("0.1.0", &answer())
            ),
        ),
    )
}

/// Exports a call-gate whose `check` takes something else.
pub fn wrong_types() -> Vec<u8> {
    let contract = format!("{TYPES}\n{HOOKS}").replace(
        "check: func(context: context, call: call) -> verdict;",
        "check: func(call: string) -> verdict;",
    );
    component_from(
        &contract,
        "0.1.0",
        "export witgate:policy/call-gate@0.1.0;",
        &module(
            "",
            &format!(
                "(func (export \"witgate:policy/call-gate@0.1.0#check\") (param i32 i32) (result i32) {})",
                answer()
            ),
        ),
    )
}

/// Has more memory at the start than fits into `bytes`.
pub fn big_at_start(bytes: u32) -> Vec<u8> {
    let pages = bytes / 65536 + 1;
    let core = module("", &gate_func("0.1.0", &answer())).replace(
        &format!("(memory (export \"memory\") {PAGES})"),
        &format!("(memory (export \"memory\") {pages})"),
    );
    component("export witgate:policy/call-gate@0.1.0;", &core)
}

/// Those that load and then misbehave in `check`, by name.
pub fn misbehaving() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("spin", spin()),
        ("allocate", allocate()),
        ("spin-after-answer", spin_after_answer()),
        ("spin-in-allocator", spin_in_allocator()),
        ("allocator-out-of-bounds", allocator_out_of_bounds()),
        ("allocator-unaligned", allocator_unaligned()),
        ("trap", trap()),
        ("recurse", recurse()),
        ("huge-output", huge_output()),
        ("bad-discriminant", bad_discriminant()),
        ("out-of-bounds", out_of_bounds()),
        ("answer-out-of-bounds", answer_out_of_bounds()),
        ("bad-text", bad_text()),
        ("bad-code", bad_code()),
        ("unknown-verdict", unknown_verdict()),
        ("bad-key", bad_key()),
    ]
}

/// Those that load and then misbehave in another hook than `check`, by name: a result-gate, a filter, recorders.
pub fn misbehaving_elsewhere() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("garbage-json", garbage_json()),
        ("wrong-count", wrong_count()),
        ("endless-list", endless_list()),
        ("huge-value", huge_value()),
        ("empty-key", empty_key()),
    ]
}

/// Those that must not load, by name.
pub fn unloadable() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("import-in-start", import_in_start()),
        ("import-in-configure", import_in_configure()),
        ("spin-in-start", spin_in_start()),
        ("spin-in-configure", spin_in_configure()),
        ("trap-in-configure", trap_in_configure()),
        ("refuses-settings", refuses_settings()),
        ("writes-in-judging-hook", writes_in_judging_hook()),
        ("imports-unknown", imports_unknown()),
        ("version-0.2.0", built_against("0.2.0")),
        ("no-hook", no_hook()),
        ("unknown-hook", unknown_hook()),
        ("unknown-package", unknown_package()),
        ("wrong-types", wrong_types()),
    ]
}

/// Writes each of [`misbehaving`], [`misbehaving_elsewhere`] and [`unloadable`] to `NAME.wasm` in `dir`.
pub fn write_all(dir: &Path) -> std::io::Result<()> {
    let all = misbehaving()
        .into_iter()
        .chain(misbehaving_elsewhere())
        .chain(unloadable());
    for (name, bytes) in all {
        std::fs::write(dir.join(format!("{name}.wasm")), bytes)?;
    }
    Ok(())
}
