//! What a policy costs: microseconds for each hook, with an instance ready and without, and what loading takes.
//!
//! `cargo bench --bench engine`. Figures are medians; compare only those of one run. Uses the golden policy, which
//! asks nothing of the store unless told to.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // it is a program that prints figures, and runs by hand

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use witgate::config::Mode;
use witgate::ledger::{Namespace, PolicyOrigin, Snapshot};
use witgate::mcp::Digest;
use witgate::policy::contract::{Call, Caller, Context, Item, ItemKind, Server, Standing};
use witgate::policy::{Definitions, Engine, EngineOptions, Policy, PolicyLimits, Source, View};

const GOLDEN: &[u8] = include_bytes!("../../tests/golden/v0_1_0_rust.wasm");

struct NoDefinitions;

impl Definitions for NoDefinitions {
    fn definition(&self, _: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        std::future::ready(None).boxed()
    }
}

fn engine(cache_dir: Option<&Path>) -> Engine {
    Engine::new(EngineOptions {
        cache_dir: cache_dir.map(Path::to_owned),
        limits: PolicyLimits {
            hook_time: Duration::from_secs(1),
            record_time: Duration::from_secs(5),
            memory: 64 << 20,
            output: 4 << 20,
        },
        ready: 16,
    })
    .unwrap()
}

/// `count` components of one content apart from a custom section, so that each is compiled for itself.
fn sources(count: u8) -> Vec<Source> {
    (0..count)
        .map(|n| {
            let mut component = GOLDEN.to_vec();
            component.extend([0, 3, 1, b'n', n]);
            Source {
                name: format!("policy-{n}"),
                origin: PolicyOrigin::Directory,
                file: format!("policy-{n}.wasm"),
                component: Bytes::from(component),
                settings: None,
                mode: Mode::Enforce,
                grants: Vec::new(),
            }
        })
        .collect()
}

fn view(records: u32) -> View {
    let facts = (0..records)
        .map(|n| {
            (
                format!("item/{n:08}"),
                format!("{{\"approved\":[\"1:{n:064x}\"]}}"),
            )
        })
        .collect::<BTreeMap<_, _>>();
    View {
        snapshot: Arc::new(Snapshot {
            ledger_id: "bench".into(),
            revision: 1,
            version: 1,
            facts: Arc::new(HashMap::from([(
                Namespace::new(PolicyOrigin::Directory, "policy-0"),
                facts,
            )])),
            sightings: Arc::default(),
            servers: Arc::default(),
            observers: Arc::default(),
            notes: Arc::default(),
        }),
        definitions: Arc::new(NoDefinitions),
        now_ms: 1_700_000_000_000,
    }
}

fn item(name: String) -> Item {
    Item {
        kind: ItemKind::Tool,
        name,
        digest: Digest::from_bytes([7; 32]).to_string(),
        labels: Vec::new(),
    }
}

fn context() -> Context {
    Context {
        server: Server {
            name: "files".into(),
            standing: Standing::Trusted,
            labels: Vec::new(),
        },
        caller: Caller {
            id: "local".into(),
            roles: Vec::new(),
            labels: Vec::new(),
        },
        labels: Vec::new(),
    }
}

fn call(name: &str) -> Call {
    Call {
        method: "tools/call".into(),
        item: item(name.into()),
        target: None,
        arguments: Some("{\"path\":\"/tmp/a\"}".into()),
        labels: Vec::new(),
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_nanos() as f64 / 1000.0
}

/// Times `count` rounds; `between` runs untimed after each.
async fn rounds<T>(
    count: usize,
    mut timed: impl AsyncFnMut() -> T,
    mut between: impl AsyncFnMut(),
) -> f64 {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let began = Instant::now();
        let answer = timed().await;
        times.push(began.elapsed());
        drop(answer);
        between().await;
    }
    median(times)
}

async fn load(engine: &Engine, count: u8) -> (Vec<Arc<Policy>>, Duration) {
    let sources = sources(count);
    let began = Instant::now();
    let loaded = engine.load(sources).await;
    let took = began.elapsed();
    (loaded.into_iter().map(Result::unwrap).collect(), took)
}

fn status(key: &str) -> String {
    std::fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| line.strip_prefix(key))
        .map_or("unknown".into(), |value| value.trim().to_owned())
}

/// Names the directory of compiled components to the process that measures: a process that has compiled keeps the
/// compiler's memory, which one that starts with a warm cache never had.
const CACHE: &str = "WITGATE_BENCH_CACHE";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if let Some(cache) = std::env::var_os(CACHE) {
        measure(Path::new(&cache)).await;
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let (_, took) = load(&engine(Some(&cache)), 3).await;
    figure("three policies compiled", millis(took), "ms");
    let measured = std::process::Command::new(std::env::current_exe().unwrap())
        .env(CACHE, &cache)
        .status()
        .unwrap();
    assert!(measured.success());
}

fn figure(what: &str, value: f64, unit: &str) {
    println!("{what:<34}{value:>10.2} {unit}");
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn measure(cache: &Path) {
    let began = Instant::now();
    let engine = engine(Some(cache));
    figure("engine set up", millis(began.elapsed()), "ms");
    let (policies, took) = load(&engine, 3).await;
    figure("three policies from the cache", millis(took), "ms");
    println!(
        "{:<34}{:>10}",
        "resident with three loaded",
        status("VmRSS:")
    );

    let (view, context) = (view(1_000), context());
    let allowed = call("read");
    let policy = &policies[0];
    policy.refill().await;
    let ready = rounds(
        5_000,
        async || policy.check(&view, &context, &allowed).await.unwrap(),
        async || policy.refill().await,
    )
    .await;
    figure("check, instance ready", ready, "µs");
    let chain = rounds(
        5_000,
        async || {
            for policy in &policies {
                policy.check(&view, &context, &allowed).await.unwrap();
            }
        },
        async || {
            for policy in &policies {
                policy.refill().await;
            }
        },
    )
    .await;
    figure("check by three, instances ready", chain, "µs");
    let idle = rounds(
        300,
        async || {
            for policy in &policies {
                policy.check(&view, &context, &allowed).await.unwrap();
            }
        },
        async || {
            for policy in &policies {
                policy.refill().await;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        },
    )
    .await;
    figure("the same after 2 ms idle", idle, "µs");
    let long = rounds(
        20,
        async || {
            for policy in &policies {
                policy.check(&view, &context, &allowed).await.unwrap();
            }
        },
        async || {
            for policy in &policies {
                policy.refill().await;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        },
    )
    .await;
    figure("the same after 200 ms idle", long, "µs");
    // Drain what is ready, so that each makes its own.
    for _ in 0..32 {
        policy.check(&view, &context, &allowed).await.unwrap();
    }
    let inline = rounds(
        5_000,
        async || policy.check(&view, &context, &allowed).await.unwrap(),
        async || {},
    )
    .await;
    figure("check, instantiated inline", inline, "µs");

    let items: Vec<_> = (0..1_000).map(|n| item(format!("tool_{n:04}"))).collect();
    let filter = rounds(
        300,
        async || policy.filter(&view, &context, &items).await.unwrap(),
        async || policy.refill().await,
    )
    .await;
    figure("filter of 1,000", filter, "µs");
    let scan = call("scan:item/");
    let records = rounds(
        300,
        async || policy.check(&view, &context, &scan).await.unwrap(),
        async || policy.refill().await,
    )
    .await;
    figure("check that reads 1,000 records", records, "µs");

    let began = Instant::now();
    let mut checks = 0_u32;
    while began.elapsed() < Duration::from_secs(1) {
        policy.check(&view, &context, &allowed).await.unwrap();
        policy.refill().await;
        checks += 1;
    }
    println!("{:<34}{checks:>10}", "checks in one second, refilled");
    println!("{:<34}{:>10}", "resident", status("VmRSS:"));
    println!("{:<34}{:>10}", "resident at the most", status("VmHWM:"));
    println!("{:<34}{:>10}", "address space", status("VmSize:"));
}
