//! A shipped component with a ledger in memory, as a subject of the cases.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::runtime::Runtime;
use witgate::config::Mode;
use witgate::ledger::{self, Commit, Ledger, Op, PolicyOrigin};
use witgate::mcp::Digest;
use witgate::policy::contract as host;
use witgate::policy::{Definitions, Engine, EngineOptions, Policy, PolicyLimits, Source, View};
use witgate_policy as sdk;
use witgate_policy_cases::Subject;

use crate::words::{from_host, to_host};

/// A component that ships.
pub(crate) trait Shipped {
    /// Its name, and its bytes.
    const SHIPPED: (&'static str, &'static [u8]);
}

macro_rules! shipped {
    ($type:ident, $name:literal) => {
        #[doc = "A shipped component."]
        pub(crate) struct $type;

        impl Shipped for $type {
            const SHIPPED: (&'static str, &'static [u8]) = (
                $name,
                include_bytes!(concat!("../../../policies/dist/", $name, ".wasm")),
            );
        }
    };
}

shipped!(AllowDeny, "allow-deny");
shipped!(Quarantine, "quarantine");
shipped!(TrustBaseline, "trust-baseline");

/// See the module.
pub(crate) struct Component<S> {
    policy: Arc<Policy>,
    ledger: Arc<dyn Ledger>,
    of: PhantomData<S>,
}

/// The shipped policies ask for no definition.
struct NoDefinitions;

impl Definitions for NoDefinitions {
    fn definition(&self, _: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        std::future::ready(None).boxed()
    }
}

/// One engine for all cases: compiling is the dear part, and it keeps what it compiled.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<(Engine, tempfile::TempDir)> = OnceLock::new();
    let (engine, _) = ENGINE.get_or_init(|| {
        let cache = tempfile::tempdir().unwrap();
        // The configuration's limits, but for time: machines that run tests are slow.
        let limits = PolicyLimits {
            hook_time: Duration::from_secs(20),
            record_time: Duration::from_secs(20),
            memory: 64 << 20,
            output: 32 << 20,
        };
        let options = EngineOptions {
            cache_dir: Some(cache.path().join("cache")),
            limits,
            ready: 1,
        };
        (Engine::new(options).unwrap(), cache)
    });
    engine
}

fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

impl<S> Component<S> {
    fn view(&self, now_ms: u64) -> View {
        View {
            snapshot: self.ledger.snapshot(),
            definitions: Arc::new(NoDefinitions),
            now_ms,
        }
    }

    fn keep(&self, changes: impl IntoIterator<Item = (String, Option<String>)>) {
        let keep = |(key, value)| Op::Keep {
            namespace: self.policy.namespace().clone(),
            key,
            value,
        };
        let commit = Commit {
            based_on: None,
            ops: changes.into_iter().map(keep).collect(),
        };
        runtime().block_on(self.ledger.commit(commit)).unwrap();
    }

    fn apply(&self, changes: Vec<host::Change>) {
        self.keep(changes.into_iter().map(|change| (change.key, change.value)));
    }
}

impl<S: Shipped> Subject for Component<S> {
    fn new(settings_json: &str) -> Result<Self, String> {
        let (name, bytes) = S::SHIPPED;
        let source = Source {
            name: name.to_owned(),
            origin: PolicyOrigin::Builtin,
            file: format!("builtin:{name}"),
            component: Bytes::from_static(bytes),
            // A policy without settings is not given any.
            settings: (!settings_json.is_empty()).then(|| settings_json.to_owned()),
            mode: Mode::Enforce,
            grants: witgate::config::Grants::default(),
            reuse: 1,
        };
        let loaded = runtime()
            .block_on(engine().load(vec![source]))
            .pop()
            .unwrap();
        Ok(Self {
            policy: loaded.map_err(|error| error.to_string())?,
            ledger: ledger::in_memory(None),
            of: PhantomData,
        })
    }

    fn put(&mut self, key: &str, value: &str) {
        self.keep([(key.to_owned(), Some(value.to_owned()))]);
    }

    fn observe(&mut self, server: &sdk::Server, catalogue: &sdk::Catalogue, now_ms: u64) {
        let view = self.view(now_ms);
        let (server, catalogue) = (to_host::server(server), to_host::catalogue(catalogue));
        let changes = runtime().block_on(self.policy.observe(&view, &server, &catalogue));
        self.apply(changes.unwrap().value);
    }

    fn filter(&self, context: &sdk::Context, items: &[sdk::Item]) -> Vec<Option<sdk::Denial>> {
        let items: Vec<_> = items.iter().map(to_host::item).collect();
        let (view, context) = (self.view(0), to_host::context(context));
        let verdicts = runtime()
            .block_on(self.policy.filter(&view, &context, &items))
            .unwrap();
        assert!(verdicts.pure);
        verdicts
            .value
            .into_iter()
            .map(|denial| denial.map(from_host::denial))
            .collect()
    }

    fn check(&self, context: &sdk::Context, call: &sdk::Call) -> sdk::Verdict {
        let (context, call) = (to_host::context(context), to_host::call(call));
        let view = self.view(0);
        let verdict = runtime()
            .block_on(self.policy.check(&view, &context, &call))
            .unwrap();
        assert!(verdict.pure);
        match verdict.value {
            host::Verdict::Allow => sdk::Verdict::Allow,
            host::Verdict::Deny(denial) => sdk::Verdict::Deny(from_host::denial(denial)),
            other => panic!("no shipped policy answers {other:?}"),
        }
    }

    fn surface(
        &self,
        context: &sdk::Context,
        withheld: &[sdk::Withheld],
    ) -> Vec<Option<sdk::Locked>> {
        let withheld: Vec<_> = withheld.iter().map(to_host::withheld).collect();
        let (view, context) = (self.view(0), to_host::context(context));
        let surfaced = runtime().block_on(self.policy.surface(&view, &context, &withheld));
        let surfaced = surfaced.unwrap().value.into_iter();
        surfaced
            .map(|locked| locked.map(from_host::locked))
            .collect()
    }

    fn entries(&self, server: Option<&str>) -> Vec<sdk::Entry> {
        let entries = runtime()
            .block_on(self.policy.entries(&self.view(0), server))
            .unwrap();
        entries.value.into_iter().map(from_host::entry).collect()
    }

    fn decide(&mut self, decision: &sdk::Decision) -> Result<Option<sdk::Entry>, sdk::Refusal> {
        let (view, decision) = (self.view(decision.now_ms), to_host::decision(decision));
        let decided = runtime()
            .block_on(self.policy.decide(&view, &decision))
            .unwrap()
            .value;
        let decided = decided.map_err(from_host::refusal)?;
        self.apply(decided.changes);
        Ok(decided.entry.map(from_host::entry))
    }
}
