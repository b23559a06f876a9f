//! Calling hooks: one instance, one view of the ledger, one deadline for each call.

use std::time::{Duration, Instant};

use wasmtime::Store;

use super::answer::{self, MAX_CHANGES, MAX_ENTRIES};
use super::contract::{
    Admission, Call, Catalogue, Change, ClientRequest, Context, Decided, Decision, Denial, Entry,
    Item, Locked, Refusal, Ruling, Server, Verdict, Withheld,
};
use super::failure::classify;
use super::guest::Guest;
use super::pool::{Exports, Instance};
use super::ticker::Running;
use super::{Evaluated, Failure, FailureKind, Policy, View};

/// What the host sets aside, beyond the answer's text and the lists it must have, for labels and the like, bytes.
const LIST_SLACK: usize = 64 * 1024;

/// How a hook is called.
struct Manner {
    hook: &'static str,
    exported: bool,
    /// Whether it sees what was sighted: recording hooks and `entries` do.
    sightings: bool,
    time: Duration,
    /// The space that a right answer's longest list takes in the host, bytes.
    list: usize,
}

/// A hook that runs.
struct Run<'a> {
    policy: &'a Policy,
    hook: &'static str,
    instance: Instance,
    started: Instant,
    _running: Running,
}

impl Policy {
    /// `inventory.observe`. Sees sightings.
    pub async fn observe(
        &self,
        view: &View,
        server: &Server,
        catalogue: &Catalogue,
    ) -> Result<Evaluated<Vec<Change>>, Failure> {
        let manner = self.recording(
            "inventory.observe",
            self.hooks().inventory,
            MAX_CHANGES * size_of::<Change>(),
        );
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.inventory.as_ref())?;
        let answer = hook
            .call_observe(store, server, catalogue, view.now_ms)
            .await;
        run.finish(answer, |changes, limit| answer::changes(changes, limit))
    }

    /// `list-filter.filter`: as many answers as items.
    pub async fn filter(
        &self,
        view: &View,
        context: &Context,
        items: &[Item],
    ) -> Result<Evaluated<Vec<Option<Denial>>>, Failure> {
        let manner = self.judging(
            "list-filter.filter",
            self.hooks().list_filter,
            std::mem::size_of_val(items) + items.len() * size_of::<Option<Denial>>(),
        );
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.list_filter.as_ref())?;
        let answer = hook.call_filter(store, context, items).await;
        run.finish(answer, |answers, limit| {
            answer::filtered(answers, items.len(), limit)
        })
    }

    /// `call-gate.check`. An `other` verdict is a failure.
    pub async fn check(
        &self,
        view: &View,
        context: &Context,
        call: &Call,
    ) -> Result<Evaluated<Verdict>, Failure> {
        let manner = self.judging("call-gate.check", self.hooks().call_gate, 0);
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.call_gate.as_ref())?;
        let answer = hook.call_check(store, context, call).await;
        run.finish(answer, answer::verdict)
    }

    /// `result-gate.inspect`. An `other` ruling is a failure, and so is a replacement that is not JSON.
    pub async fn inspect(
        &self,
        view: &View,
        context: &Context,
        call: &Call,
        outcome: &str,
    ) -> Result<Evaluated<Ruling>, Failure> {
        let manner = self.judging("result-gate.inspect", self.hooks().result_gate, 0);
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.result_gate.as_ref())?;
        let answer = hook.call_inspect(store, context, call, outcome).await;
        run.finish(answer, answer::ruling)
    }

    /// `client-request-gate.admit`. An `other` admission is a failure.
    pub async fn admit(
        &self,
        view: &View,
        context: &Context,
        request: &ClientRequest,
    ) -> Result<Evaluated<Admission>, Failure> {
        let manner = self.judging(
            "client-request-gate.admit",
            self.hooks().client_request_gate,
            0,
        );
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.client_request_gate.as_ref())?;
        let answer = hook.call_admit(store, context, request).await;
        run.finish(answer, answer::admission)
    }

    /// `discovery-surface.surface`: as many answers as items.
    pub async fn surface(
        &self,
        view: &View,
        context: &Context,
        withheld: &[Withheld],
    ) -> Result<Evaluated<Vec<Option<Locked>>>, Failure> {
        let manner = self.judging(
            "discovery-surface.surface",
            self.hooks().discovery_surface,
            withheld.len() * size_of::<Option<Locked>>(),
        );
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.discovery_surface.as_ref())?;
        let answer = hook.call_surface(store, context, withheld).await;
        run.finish(answer, |answers, limit| {
            answer::surfaced(answers, withheld.len(), limit)
        })
    }

    /// `review.entries`. Sees sightings.
    pub async fn entries(
        &self,
        view: &View,
        server: Option<&str>,
    ) -> Result<Evaluated<Vec<Entry>>, Failure> {
        let manner = self.recording(
            "review.entries",
            self.hooks().review,
            MAX_ENTRIES * size_of::<Entry>(),
        );
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.review.as_ref())?;
        let answer = hook.call_entries(store, server).await;
        run.finish(answer, |entries, limit| answer::entries(entries, limit))
    }

    /// `review.decide`. Sees sightings.
    pub async fn decide(
        &self,
        view: &View,
        decision: &Decision,
    ) -> Result<Evaluated<Result<Decided, Refusal>>, Failure> {
        let manner = self.recording(
            "review.decide",
            self.hooks().review,
            MAX_CHANGES * size_of::<Change>(),
        );
        let mut run = self.begin(manner, view).await?;
        let (store, hook) = run.parts(|hooks| hooks.review.as_ref())?;
        let answer = hook.call_decide(store, decision).await;
        run.finish(answer, |answer, limit| answer::decided(answer, limit))
    }

    /// Instantiates and configures once, as for a message that finds no instance ready, and lets go of it: for
    /// measuring.
    pub async fn instantiate(&self) -> Result<(), Failure> {
        let made = self.pool.make_one().await;
        made.map_err(|why| self.failure("instantiate", why.kind(), &why.detail()))
    }

    fn judging(&self, hook: &'static str, exported: bool, list: usize) -> Manner {
        Manner {
            hook,
            exported,
            sightings: false,
            time: self.time(self.pool.maker.engine.options.limits.hook_time),
            list,
        }
    }

    fn recording(&self, hook: &'static str, exported: bool, list: usize) -> Manner {
        Manner {
            hook,
            exported,
            sightings: true,
            time: self.time(self.pool.maker.engine.options.limits.record_time),
            list,
        }
    }

    /// How long a hook may run: what a policy was granted has a time of its own, which comes on top.
    fn time(&self, own: Duration) -> Duration {
        let waiting = self.source.grants.http.as_ref().map(|grant| grant.timeout);
        own + waiting.unwrap_or_default()
    }

    /// Takes an instance and sets it up for one hook.
    async fn begin(&self, manner: Manner, view: &View) -> Result<Run<'_>, Failure> {
        self.counters.call();
        let hook = manner.hook;
        if !manner.exported {
            return Err(self.failure(hook, FailureKind::Host, "it does not export this hook"));
        }
        let started = Instant::now();
        let engine = &self.pool.maker.engine;
        let running = engine.ticker.running();
        let mut instance = match self.pool.take().await {
            Ok(instance) => instance,
            Err(why) => return Err(self.failure(hook, why.kind(), &why.detail())),
        };
        self.counters.instance();
        let store = &mut instance.store;
        // Now, not when the instance was made: a ready one would else have aged, and trap.
        let deadline = Instant::now() + manner.time;
        store
            .data_mut()
            .begin(view.clone(), manner.sightings, deadline);
        store.set_epoch_deadline(1);
        store.set_hostcall_fuel(
            engine
                .options
                .limits
                .output
                .saturating_add(manner.list)
                .saturating_add(LIST_SLACK),
        );
        Ok(Run {
            policy: self,
            hook,
            instance,
            started,
            _running: running,
        })
    }

    fn failure(&self, hook: &'static str, kind: FailureKind, detail: &str) -> Failure {
        let failure = Failure {
            policy: self.name.clone(),
            hook,
            kind,
            detail: detail.to_owned(),
        };
        self.counters.failure(&failure);
        failure
    }
}

impl<'a> Run<'a> {
    /// The store to call into, and the hook.
    fn parts<G>(
        &mut self,
        pick: impl FnOnce(&Exports) -> Option<&G>,
    ) -> Result<(&mut Store<Guest>, &G), Failure> {
        let Instance { store, hooks, .. } = &mut self.instance;
        match pick(hooks) {
            Some(hook) => Ok((store, hook)),
            None => Err(self.policy.failure(
                self.hook,
                FailureKind::Host,
                "it does not export this hook",
            )),
        }
    }

    /// Judges the answer by `check`, or the failure.
    fn finish<T>(
        self,
        answer: wasmtime::Result<T>,
        check: impl FnOnce(&mut T, usize) -> Result<(), String>,
    ) -> Result<Evaluated<T>, Failure> {
        let Self {
            policy,
            hook,
            instance,
            started,
            _running,
        } = self;
        let guest = instance.store.data();
        guest.witnessed();
        let mut value = match answer {
            Ok(value) => value,
            Err(error) => {
                // A trapped instance is dead; it is dropped here.
                let (kind, detail) = classify(guest, &error);
                return Err(policy.failure(hook, kind, &detail));
            }
        };
        let pure = !guest.asked_clock && policy.replayable();
        policy.pool.retire(instance);
        let limit = policy.pool.maker.engine.options.limits.output;
        if let Err(wrong) = check(&mut value, limit) {
            return Err(policy.failure(hook, FailureKind::BadOutput, &wrong));
        }
        Ok(Evaluated {
            value,
            pure,
            micros: u32::try_from(started.elapsed().as_micros()).unwrap_or(u32::MAX),
        })
    }
}
