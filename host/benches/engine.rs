//! What a policy costs: microseconds for each hook, with an instance ready and without, and what loading takes.
//!
//! `cargo bench --bench engine`. Figures are medians; compare only those of one run. What names no policy uses the
//! golden one, which asks nothing of the store unless told to.
#![allow(clippy::print_stdout, clippy::unwrap_used)] // it is a program that prints figures, and runs by hand

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use witgate::config::Mode;
use witgate::ledger::{Namespace, PolicyOrigin, SIGHTING_PREFIX, Snapshot};
use witgate::mcp::Digest;
use witgate::policy::contract::{
    Call, Caller, Catalogue, Context, Item, ItemKind, Server, Standing,
};
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

const SHIPPED: [(&str, &[u8]); 3] = [
    (
        "allow-deny",
        include_bytes!("../../policies/dist/allow-deny.wasm"),
    ),
    (
        "quarantine",
        include_bytes!("../../policies/dist/quarantine.wasm"),
    ),
    (
        "trust-baseline",
        include_bytes!("../../policies/dist/trust-baseline.wasm"),
    ),
];

/// The three policies that ship, in their order.
fn shipped() -> Vec<Source> {
    SHIPPED
        .iter()
        .map(|(name, component)| Source {
            name: (*name).into(),
            origin: PolicyOrigin::Builtin,
            file: format!("builtin:{name}"),
            component: Bytes::from_static(component),
            settings: None,
            mode: Mode::Enforce,
            grants: witgate::config::Grants::default(),
            reuse: 1,
        })
        .collect()
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
                grants: witgate::config::Grants::default(),
                reuse: 1,
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

/// What a server of 1,000 tools costs the shipped policies: its first reading, and a list once that is recorded.
async fn chain(policies: &[Arc<Policy>]) {
    let items: Vec<_> = (0..1_000).map(|n| item(format!("tool_{n:04}"))).collect();
    let labels = [
        ("observer", "o1"),
        ("live-observers", "o1"),
        ("baselined", ""),
    ];
    let catalogue = Catalogue {
        digest: Digest::from_bytes([9; 32]).to_string(),
        complete: vec![ItemKind::Tool],
        items: items.clone(),
        labels: labels.map(|(key, value)| (key.into(), value.into())).into(),
    };
    let mut view = view(0);
    let (mut facts, mut sightings) = (HashMap::new(), HashMap::new());
    for policy in policies.iter().filter(|policy| policy.hooks().inventory) {
        let observed = policy.observe(&view, &context().server, &catalogue).await;
        let observed = observed.unwrap();
        figure(
            &format!("{} observes 1,000", policy.name()),
            f64::from(observed.micros),
            "µs",
        );
        let (sighted, kept): (Vec<_>, Vec<_>) = observed
            .value
            .into_iter()
            .filter_map(|change| Some((change.key, change.value?)))
            .partition(|(key, _)| key.starts_with(SIGHTING_PREFIX));
        facts.insert(policy.namespace().clone(), BTreeMap::from_iter(kept));
        sightings.insert(policy.namespace().clone(), BTreeMap::from_iter(sighted));
    }
    view.snapshot = Arc::new(Snapshot {
        facts: Arc::new(facts),
        sightings: Arc::new(sightings),
        ..(*view.snapshot).clone()
    });
    let context = context();
    for policy in policies {
        policy.refill().await;
        let filter = rounds(
            300,
            async || {
                let kept = policy.filter(&view, &context, &items).await.unwrap();
                assert!(kept.value.iter().all(Option::is_none));
            },
            async || policy.refill().await,
        )
        .await;
        figure(&format!("{} filters 1,000", policy.name()), filter, "µs");
    }
    let call = call("tool_0500");
    let check = rounds(
        5_000,
        async || {
            for policy in policies.iter().filter(|policy| policy.hooks().call_gate) {
                policy.check(&view, &context, &call).await.unwrap();
            }
        },
        async || {
            for policy in policies {
                policy.refill().await;
            }
        },
    )
    .await;
    figure("their call-gates check a call", check, "µs");
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

async fn load(engine: &Engine, sources: Vec<Source>) -> (Vec<Arc<Policy>>, Duration) {
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
    let engine = engine(Some(&cache));
    let (_, took) = load(&engine, shipped()).await;
    figure("the three shipped, compiled", millis(took), "ms");
    load(&engine, sources(3)).await;
    let measured = std::process::Command::new(std::env::current_exe().unwrap())
        .env(CACHE, &cache)
        .status()
        .unwrap();
    assert!(measured.success());
}

fn figure(what: &str, value: f64, unit: &str) {
    println!("{what:<36}{value:>10.2} {unit}");
}

fn text(what: &str, value: &str) {
    println!("{what:<36}{value:>13}");
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

async fn measure(cache: &Path) {
    let began = Instant::now();
    let engine = engine(Some(cache));
    figure("engine set up", millis(began.elapsed()), "ms");
    let (three, took) = load(&engine, shipped()).await;
    figure("the three shipped, from the cache", millis(took), "ms");
    text("resident with them", &status("VmRSS:"));
    chain(&three).await;
    text("resident after that", &status("VmRSS:"));
    let (policies, _) = load(&engine, sources(3)).await;

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
    for (count, pause) in [(300, 2), (20, 200)] {
        let idle = rounds(
            count,
            async || {
                for policy in &policies {
                    policy.check(&view, &context, &allowed).await.unwrap();
                }
            },
            async || {
                for policy in &policies {
                    policy.refill().await;
                }
                tokio::time::sleep(Duration::from_millis(pause)).await;
            },
        )
        .await;
        figure(&format!("the same after {pause} ms idle"), idle, "µs");
    }
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
    text("checks in one second, refilled", &checks.to_string());
    text("resident", &status("VmRSS:"));
    text("resident at the most", &status("VmHWM:"));
    text("address space", &status("VmSize:"));
}
