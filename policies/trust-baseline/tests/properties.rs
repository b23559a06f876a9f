//! What must hold whatever servers show, in whatever order: random histories of readings and decisions.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use witgate_policy::testing::{context, item, server};
use witgate_policy::{Action, Catalogue, Decision, Entry, ItemKind, Refusal, Standing};
use witgate_policy_cases::{Native, Subject, digest};
use witgate_trust_baseline::TrustBaseline;

const NAMES: [&str; 3] = ["a", "b", "c"];
const DIGESTS: [&str; 3] = ["1", "2", "3"];
const OBSERVERS: [&str; 3] = ["o1", "o2", "o3"];

/// A reading of the tools by one observer.
#[derive(Debug, Clone)]
struct Reading {
    observer: usize,
    live: [bool; 3],
    /// For each name, which digest it shows, if it is there.
    shows: [Option<usize>; 3],
    complete: bool,
    trusted: bool,
    auto_approve: bool,
    /// Whether the host says the tools' baseline is closed.
    closes: bool,
}

/// Anything that happens to a server.
#[derive(Debug, Clone)]
enum Step {
    Read(Reading),
    Decide(usize, Action, usize),
    ServerWide(&'static str),
}

fn reading() -> impl Strategy<Value = Reading> {
    let shows = proptest::array::uniform3(proptest::option::weighted(0.8, 0..3_usize));
    let flags = (
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.1),
    );
    (
        0..3_usize,
        any::<[bool; 3]>(),
        shows,
        prop::bool::weighted(0.8),
        flags,
    )
        .prop_map(
            |(observer, live, shows, complete, (trusted, auto_approve, closes))| Reading {
                observer,
                live,
                shows,
                complete,
                trusted,
                auto_approve,
                closes,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    let action = prop::sample::select(vec![
        Action::Approve,
        Action::ApproveAlso,
        Action::Revoke,
        Action::Block,
        Action::Unblock,
    ]);
    let wide = prop::sample::select(vec!["close-baseline", "forget-server", "rename-server"]);
    prop_oneof![
        8 => reading().prop_map(Step::Read),
        4 => (0..3_usize, action, 0..3_usize).prop_map(|(name, action, text)| Step::Decide(name, action, text)),
        1 => wide.prop_map(Step::ServerWide),
    ]
}

/// A policy with a store, and the time.
struct World {
    policy: Native<TrustBaseline>,
    now_ms: u64,
}

impl World {
    fn new() -> Self {
        let policy = Native::new("").expect("no settings are needed");
        Self { policy, now_ms: 0 }
    }

    fn run(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                Step::Read(reading) => self.read(reading),
                Step::Decide(name, action, text) => {
                    // Refused words are part of the histories.
                    let _ = self.decide(NAMES[*name], action.clone(), DIGESTS[*text]);
                }
                Step::ServerWide(action) => self.server_wide(action),
            }
        }
    }

    fn read(&mut self, reading: &Reading) {
        let shown = NAMES.iter().zip(reading.shows);
        let items: Vec<_> = shown
            .filter_map(|(name, shows)| Some((*name, DIGESTS[shows?])))
            .collect();
        self.read_items(reading, &items);
    }

    fn read_items(&mut self, reading: &Reading, items: &[(&str, &str)]) {
        self.now_ms += 1;
        let standing = if reading.trusted {
            Standing::Trusted
        } else {
            Standing::Quarantined
        };
        let mut server = server("s", standing);
        if reading.auto_approve {
            server
                .labels
                .push(("auto-approve-tool-changes".to_owned(), "true".to_owned()));
        }
        let live = OBSERVERS.iter().zip(reading.live).filter(|(_, live)| *live);
        let live: Vec<_> = live.map(|(observer, _)| *observer).collect();
        let closed = if reading.closes { "tool" } else { "" };
        let catalogue = Catalogue {
            digest: String::new(),
            complete: if reading.complete {
                vec![ItemKind::Tool]
            } else {
                Vec::new()
            },
            items: items
                .iter()
                .map(|(name, text)| item(ItemKind::Tool, name, &digest(text)))
                .collect(),
            labels: vec![
                (
                    "observer".to_owned(),
                    OBSERVERS[reading.observer].to_owned(),
                ),
                ("live-observers".to_owned(), live.join(" ")),
                ("baselined".to_owned(), closed.to_owned()),
            ],
        };
        self.policy.observe(&server, &catalogue, self.now_ms);
    }

    fn entry(&self, name: &str) -> Option<Entry> {
        self.policy
            .entries(Some("s"))
            .into_iter()
            .find(|entry| entry.name == name)
    }

    fn decide(&mut self, name: &str, action: Action, text: &str) -> Result<(), Refusal> {
        let id = self.entry(name).map_or("none".to_owned(), |entry| entry.id);
        self.decide_id(id, action, digest(text), Vec::new())
    }

    /// Renames to another name and back, so that what follows is about the same server.
    fn server_wide(&mut self, action: &str) {
        let word = || Action::Other(action.to_owned());
        let to = |name: &str| vec![("to".to_owned(), name.to_owned())];
        let _ = self.decide_id("server:s".to_owned(), word(), String::new(), to("t"));
        if action == "rename-server" {
            let _ = self.decide_id("server:t".to_owned(), word(), String::new(), to("s"));
        }
    }

    fn decide_id(
        &mut self,
        entry: String,
        action: Action,
        expected_digest: String,
        labels: Vec<(String, String)>,
    ) -> Result<(), Refusal> {
        self.now_ms += 1;
        let decision = Decision {
            entry,
            expected_digest,
            action,
            actor: "alice".to_owned(),
            proof: None,
            now_ms: self.now_ms,
            labels,
        };
        self.policy.decide(&decision).map(|_| ())
    }

    /// Every (name, digest) that would be listed.
    fn usable(&self) -> BTreeSet<(&'static str, &'static str)> {
        let all = NAMES
            .iter()
            .flat_map(|name| DIGESTS.iter().map(move |text| (*name, *text)));
        all.filter(|(name, text)| self.keeps(name, text)).collect()
    }

    fn keeps(&self, name: &str, text: &str) -> bool {
        let items = [item(ItemKind::Tool, name, &digest(text))];
        self.policy.filter(&context("s"), &items) == [None]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Once the kind is baselined, readings alone change nothing of what is usable.
    #[test]
    fn observations_alone_approve_nothing_once_baselined(
        before in vec(step(), 0..10),
        closing in reading(),
        after in vec(reading(), 1..10),
    ) {
        let mut world = World::new();
        world.run(&before);
        let usable = world.usable();
        let closing = Reading { closes: true, ..closing };
        for reading in std::iter::once(closing).chain(after) {
            world.read(&Reading { auto_approve: false, ..reading });
            prop_assert_eq!(world.usable(), usable.clone());
        }
    }

    /// A quarantined server's readings approve nothing, whatever is set for it.
    #[test]
    fn a_quarantined_server_approves_nothing(
        before in vec(step(), 0..10),
        after in vec(reading(), 1..6),
    ) {
        let mut world = World::new();
        world.run(&before);
        let usable = world.usable();
        for reading in after {
            world.read(&Reading { trusted: false, ..reading });
            prop_assert_eq!(world.usable(), usable.clone());
        }
    }

    /// Nothing that happens after a baseline has closed makes a first sight again: decisions, forgetting and renaming
    /// included.
    #[test]
    fn nothing_baselines_again(
        before in vec(step(), 0..8),
        closing in reading(),
        after in vec(step(), 0..12),
        last in reading(),
    ) {
        let mut world = World::new();
        world.run(&before);
        world.read(&Reading { closes: true, ..closing });
        world.run(&after);
        let last = Reading { trusted: true, complete: true, auto_approve: false, closes: false, ..last };
        world.read_items(&last, &[("never-seen", "1")]);
        prop_assert!(!world.keeps("never-seen", "1"));
    }

    /// An item is listed exactly where its entry says that the digest is approved, and not blocked.
    #[test]
    fn listed_is_approved(steps in vec(step(), 0..16)) {
        let mut world = World::new();
        for step in steps {
            world.run(&[step]);
            for name in NAMES {
                let entry = world.entry(name);
                for text in DIGESTS {
                    let approved = entry.as_ref().is_some_and(|entry| {
                        entry.status != "blocked" && entry.approved_digests.contains(&digest(text))
                    });
                    prop_assert_eq!(world.keeps(name, text), approved, "{} {}: {:?}", name, text, entry);
                }
            }
        }
    }

    /// A person approves only what an observer shows, and what they approve is usable.
    #[test]
    fn an_approval_names_what_is_shown(
        steps in vec(step(), 0..10), name in 0..3_usize, text in 0..3_usize,
    ) {
        let (name, text) = (NAMES[name], DIGESTS[text]);
        let mut world = World::new();
        world.run(&steps);
        let before = world.entry(name);
        let shown = before.as_ref().is_some_and(|entry| entry.current_digests.contains(&digest(text)));
        let usable = world.usable();
        let answer = world.decide(name, Action::Approve, text);
        match &answer {
            Ok(()) => prop_assert!(shown && world.keeps(name, text)),
            Err(Refusal::MovedOn | Refusal::UnknownEntry) => prop_assert!(!shown),
            Err(_) => prop_assert_eq!(before.map(|entry| entry.status), Some("blocked".to_owned())),
        }
        if answer.is_err() {
            prop_assert_eq!(world.usable(), usable);
        }
    }

    /// An entry waits exactly if an observer shows what is not usable, and the person has not blocked it.
    #[test]
    fn what_is_shown_and_not_usable_waits(steps in vec(step(), 0..16)) {
        let mut world = World::new();
        world.run(&steps);
        for entry in world.policy.entries(Some("s")) {
            let name = entry.name.as_str();
            let kept = |shown: &&String| {
                let items = [item(ItemKind::Tool, name, shown)];
                world.policy.filter(&context("s"), &items) == [None]
            };
            let withheld = !entry.current_digests.iter().all(|shown| kept(&shown));
            prop_assert_eq!(entry.waiting, withheld && entry.status != "blocked", "{:?}", entry);
            prop_assert_eq!(entry.present, !entry.current_digests.is_empty());
        }
    }

    /// Damage opens nothing: a store with any text in it lists nothing that it did not list before, unless the text is
    /// a whole record.
    #[test]
    fn damage_opens_nothing(
        steps in vec(step(), 0..10),
        place in prop::sample::select(vec![
            "item/s/tool/a", "sighting/ever/s/tool/a", "sighting/now/s/o1/0", "baselined/s/tool",
        ]),
        damage in "[ -~\n]{0,20}",
        after in vec(reading(), 0..4),
        close in any::<bool>(),
    ) {
        prop_assume!(!damage.starts_with("approved "));
        let mut world = World::new();
        world.run(&steps);
        if close {
            world.server_wide("close-baseline");
        }
        let usable = world.usable();
        world.policy.put(place, &damage);
        prop_assert!(world.usable().is_subset(&usable));
        if close {
            for reading in after {
                world.read(&Reading { auto_approve: false, ..reading });
                prop_assert!(world.usable().is_subset(&usable));
            }
        }
    }
}
