//! What reading costs: messages, calls, lists, digests, templates, beside `serde_json` on the same bytes.
//!
//! `cargo bench --bench wire`. Each figure is the best of several rounds; compare only those of one run.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // it is a program that prints figures, and runs by hand

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Instant;

use serde_json::value::RawValue;
use witgate::mcp::ItemKind;
use witgate::mcp::call::target;
use witgate::mcp::digest::digest;
use witgate::mcp::list::{Page, shape_of};
use witgate::mcp::method::CallKind;
use witgate::mcp::template::Template;
use witgate::wire::{Message, WireLimits, parse};

const CALL: &str = r#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"echo","arguments":{"message":"hello there, this is a call","n":5,"flags":{"a":true,"b":false}},"_meta":{"progressToken":17}}}"#;

/// Runs `work` on `bytes` bytes again and again, and prints what one run took.
fn time<T>(what: &str, bytes: usize, runs: u32, mut work: impl FnMut() -> T) {
    let best = (0..9)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..runs {
                black_box(work());
            }
            start.elapsed().as_secs_f64() / f64::from(runs)
        })
        .fold(f64::MAX, f64::min);
    let rate = bytes as f64 / best / 1e6;
    println!("{what:<44} {:>10.2} µs {rate:>8.0} MB/s", best * 1e6);
}

fn tool(number: usize) -> String {
    format!(
        r#"{{"name":"tool_{number}","description":"{}","inputSchema":{{"type":"object","properties":{{"path":{{"type":"string","description":"{}"}},"n":{{"type":"integer"}}}},"required":["path"]}}}}"#,
        "Reads a file. ".repeat(40),
        "The path of it. ".repeat(18)
    )
}

fn main() {
    let limits = WireLimits::default();
    let read = |line: &str| parse(black_box(line.as_bytes()), &limits).is_ok();
    time("a call's envelope", CALL.len(), 100_000, || read(CALL));
    let message = parse(CALL.as_bytes(), &limits).unwrap().message;
    let Message::Request { params, .. } = message else {
        return;
    };
    let length = params.map_or(0, str::len);
    time("what the call reaches", length, 100_000, || {
        target(CallKind::Tool, black_box(params)).is_ok()
    });

    let tools: Vec<_> = (0..1000).map(tool).collect();
    let result = format!(r#"{{"tools":[{}]}}"#, tools.join(","));
    let line = format!(r#"{{"jsonrpc":"2.0","id":3,"result":{result}}}"#);
    time(
        "the envelope of a list of 1,000 tools",
        line.len(),
        20,
        || read(&line),
    );
    time(
        "  serde_json, the same to raw values",
        line.len(),
        20,
        || serde_json::from_str::<BTreeMap<&str, &RawValue>>(black_box(&line)).is_ok(),
    );
    time("  its page", result.len(), 10, || {
        Page::parse(ItemKind::Tool, black_box(&result)).is_ok()
    });
    time("  its shape", result.len(), 20, || {
        shape_of(black_box(&result))
    });
    let page = Page::parse(ItemKind::Tool, &result).unwrap();
    time("  its digests", result.len(), 10, || {
        let digests = page
            .items
            .iter()
            .map(|entry| digest(ItemKind::Tool, &result[entry.range.clone()]));
        digests.filter(Result::is_ok).count()
    });
    time("  every other tool of it", result.len(), 20, || {
        page.splice(&result, |i| i % 2 == 0).len()
    });

    for (what, text) in [
        ("a text of 1 MB", "plain words, ".repeat(80_000)),
        (
            "a text of 1 MB, full of escapes",
            r#"\u0041\n\"words, "#.repeat(60_000),
        ),
    ] {
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":3,"result":{{"content":[{{"type":"text","text":"{text}"}}]}}}}"#
        );
        time(what, line.len(), 20, || read(&line));
    }
    let template = Template::parse("file:///{+path}{?a,b}").unwrap();
    let uri = "file:///srv/project/src/main.rs?a=1";
    time("a template", uri.len(), 20_000, || {
        template.matches(black_box(uri))
    });
}
