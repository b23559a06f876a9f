//! What readings lead to.

use witgate_policy::testing::item;
use witgate_policy::{Action, ItemKind, Standing};

use super::world::{World, tools_of};
use crate::{Subject, digest};

/// Every case here.
pub(super) fn all<S: Subject>() {
    b1_b2_b3_first_sight_is_approved_and_later_ones_wait::<S>();
    b7_b6_only_the_exact_return_is_approved::<S>();
    b9_a_renamed_toolset_waits_however_often_it_is_listed::<S>();
    b10_an_empty_list_is_a_baseline_too::<S>();
    b11_what_was_gone_returns_as_what_it_is::<S>();
    b14_what_an_installation_left_pending_heals_if_it_never_changed::<S>();
    b15_what_changed_before_the_baseline_closed_stays_changed::<S>();
    b17_servers_share_no_records::<S>();
    b18_a_servers_own_approval_covers_trusted_servers_only::<S>();
    b21_a_reading_that_failed_opens_nothing::<S>();
    b25_readings_before_the_first_answer_are_one_baseline::<S>();
    b26_another_command_under_the_name_closes_the_baseline::<S>();
    b27_two_observers_are_each_judged_on_what_they_show::<S>();
    b30_sightings_stay_bounded::<S>();
    a_large_catalogue_is_judged_like_a_small_one::<S>();
    a_name_too_long_to_record_waits_alone::<S>();
    every_kind_is_covered_and_resources_when_asked::<S>();
}

fn b1_b2_b3_first_sight_is_approved_and_later_ones_wait<S: Subject>() {
    let mut world = World::<S>::new();
    world.reads(&[("a", "1"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "1"), ("b", "1")]), ["ok", "ok"]);
    let entry = world.entry("a");
    assert_eq!(
        (entry.status.as_str(), entry.by.as_str(), entry.waiting),
        ("approved", "auto-baseline", false)
    );
    world.answers();
    world.reads(&[("a", "1"), ("b", "1"), ("c", "1")]);
    assert_eq!(
        world.says(&[("a", "1"), ("b", "1"), ("c", "1")]),
        ["ok", "ok", "pending_approval"]
    );
    world.reads(&[("a", "2"), ("b", "1"), ("c", "1")]);
    assert_eq!(
        world.says(&[("a", "2"), ("b", "1"), ("c", "1")]),
        ["changed", "ok", "pending_approval"]
    );
    let entry = world.entry("a");
    assert_eq!(
        (entry.status.as_str(), entry.waiting, entry.present),
        ("changed", true, true)
    );
    assert_eq!(entry.approved_digests, [digest("1")]);
    assert_eq!(entry.current_digests, [digest("2")]);
    assert_eq!(entry.since_ms, world.now_ms);
}

fn b7_b6_only_the_exact_return_is_approved<S: Subject>() {
    let mut world = World::<S>::baselined();
    world.reads(&[("a", "2"), ("b", "1")]);
    world.reads(&[("a", "3"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "3")]), ["changed"]);
    world.reads(&[("a", "1"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "1")]), ["ok"]);
    assert_eq!(world.entry("a").status, "approved");
}

fn b9_a_renamed_toolset_waits_however_often_it_is_listed<S: Subject>() {
    let mut world = World::<S>::baselined();
    for observer in ["o1", "o1", "restarted"] {
        (world.observer, world.live) = (observer, vec![observer]);
        world.reads(&[("x", "1"), ("y", "1")]);
        assert_eq!(
            world.says(&[("x", "1"), ("y", "1")]),
            ["pending_approval"; 2]
        );
    }
    let entry = world.entry("a");
    assert_eq!(
        (entry.status.as_str(), entry.present, entry.waiting),
        ("approved", false, false)
    );
}

fn b10_an_empty_list_is_a_baseline_too<S: Subject>() {
    let mut world = World::<S>::new();
    world.reads(&[]);
    world.answers();
    world.reads(&[("poisoned", "1")]);
    assert_eq!(world.says(&[("poisoned", "1")]), ["pending_approval"]);
}

fn b11_what_was_gone_returns_as_what_it_is<S: Subject>() {
    let mut world = World::<S>::baselined();
    world.reads(&[("b", "1")]);
    assert!(!world.entry("a").present);
    world.reads(&[("a", "1"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "1")]), ["ok"]);
    world.reads(&[("b", "1")]);
    world.reads(&[("a", "2"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "2")]), ["changed"]);
}

fn b14_what_an_installation_left_pending_heals_if_it_never_changed<S: Subject>() {
    let mut world = World::<S>::new();
    world.server.standing = Standing::Quarantined;
    world.reads(&[("steady", "1"), ("moved", "1")]);
    world.reads(&[("steady", "1"), ("moved", "2")]);
    world.server.standing = Standing::Trusted;
    world.reads(&[("steady", "1"), ("moved", "2")]);
    assert_eq!(
        world.says(&[("steady", "1"), ("moved", "2")]),
        ["ok", "pending_approval"]
    );
    world.reads(&[("steady", "1"), ("moved", "1")]);
    assert_eq!(world.says(&[("moved", "1")]), ["pending_approval"]);
}

fn b15_what_changed_before_the_baseline_closed_stays_changed<S: Subject>() {
    let mut world = World::<S>::new();
    world.reads(&[("a", "1")]);
    world.reads(&[("a", "2")]);
    world.reads(&[("a", "2")]);
    assert_eq!(world.says(&[("a", "2")]), ["changed"]);
}

fn b17_servers_share_no_records<S: Subject>() {
    let mut world = World::<S>::new();
    world.server.name = "x".to_owned();
    world.reads(&[("go", "1")]);
    world.server.name = "y".to_owned();
    assert_eq!(world.says(&[("go", "1")]), ["pending_approval"]);
    world.reads(&[("go", "2")]);
    assert_eq!(world.says(&[("go", "2")]), ["ok"]);
    world.server.name = "x".to_owned();
    assert_eq!(world.says(&[("go", "1"), ("go", "2")]), ["ok", "changed"]);
    // A slash in a server's name makes it no other server's.
    world.server.name = "x/tool".to_owned();
    assert_eq!(world.says(&[("go", "1")]), ["pending_approval"]);
}

fn b18_a_servers_own_approval_covers_trusted_servers_only<S: Subject>() {
    let mut world = World::<S>::baselined();
    let label = ("auto-approve-tool-changes".to_owned(), "true".to_owned());
    world.server.labels.push(label);
    world.decide("b", Action::Block, "").expect("it is blocked");
    world.reads(&[("a", "2"), ("b", "2"), ("c", "1")]);
    assert_eq!(
        world.says(&[("a", "2"), ("b", "2"), ("c", "1")]),
        ["ok", "blocked", "ok"]
    );
    assert_eq!(world.entry("a").by, "auto-approve-changes");
    assert_eq!(world.entry("a").approved_digests, [digest("2")]);
    world.server.standing = Standing::Quarantined;
    world.reads(&[("a", "3"), ("b", "2"), ("c", "1"), ("d", "1")]);
    assert_eq!(
        world.says(&[("a", "3"), ("d", "1")]),
        ["changed", "pending_approval"]
    );
}

fn b21_a_reading_that_failed_opens_nothing<S: Subject>() {
    let mut world = World::<S>::baselined();
    // The tools were not read to the end: what is told of them is what was last read, or nothing.
    world.reads_kinds(&[ItemKind::Prompt], &[]);
    assert_eq!(
        world.says(&[("a", "1"), ("c", "1")]),
        ["ok", "pending_approval"]
    );
    assert!(world.entry("a").present);
    let mut fresh = World::<S>::new();
    fresh.reads_kinds(&[], &tools_of(&[("a", "1")]));
    assert_eq!(fresh.says(&[("a", "1")]), ["pending_approval"]);
    assert_eq!(fresh.subject.entries(None), []);
}

fn b25_readings_before_the_first_answer_are_one_baseline<S: Subject>() {
    let mut world = World::<S>::new();
    world.reads(&[("a", "1")]);
    world.reads(&[("a", "1"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "1"), ("b", "1")]), ["ok", "ok"]);
    world.answers();
    world.reads(&[("a", "1"), ("b", "1"), ("c", "1")]);
    assert_eq!(world.says(&[("c", "1")]), ["pending_approval"]);
    // The host need say so only once.
    world.baselined.clear();
    world.reads(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1")]);
    assert_eq!(
        world.says(&[("c", "1"), ("d", "1")]),
        ["pending_approval"; 2]
    );
}

fn b26_another_command_under_the_name_closes_the_baseline<S: Subject>() {
    let mut world = World::<S>::new();
    world.reads(&[("a", "1"), ("b", "1")]);
    world.baselined = vec!["tool", "prompt", "self-description"];
    world.reads(&[("a", "1"), ("b", "2"), ("c", "1")]);
    assert_eq!(
        world.says(&[("a", "1"), ("b", "2"), ("c", "1")]),
        ["ok", "changed", "pending_approval"]
    );
}

fn b27_two_observers_are_each_judged_on_what_they_show<S: Subject>() {
    let mut world = World::<S>::baselined();
    (world.observer, world.live) = ("o2", vec!["o1", "o2"]);
    world.reads(&[("a", "2"), ("b", "1")]);
    assert_eq!(world.says(&[("a", "1"), ("a", "2")]), ["ok", "changed"]);
    let entry = world.entry("a");
    assert_eq!(entry.current_digests, [digest("1"), digest("2")]);
    assert_eq!((entry.status.as_str(), entry.waiting), ("changed", true));
    world
        .decide("a", Action::ApproveAlso, "2")
        .expect("an observer shows it");
    assert_eq!(
        world.says(&[("a", "1"), ("a", "2"), ("a", "3")]),
        ["ok", "ok", "changed"]
    );
    assert_eq!(world.entry("a").status, "approved");
    // Two observers of a server whose changes approve themselves do not undo each other's.
    let mut world = World::<S>::baselined();
    world
        .server
        .labels
        .push(("auto-approve-tool-changes".to_owned(), "true".to_owned()));
    world.live = vec!["o1", "o2"];
    for (observer, text) in [("o2", "2"), ("o1", "1"), ("o2", "2")] {
        world.observer = observer;
        world.reads(&[("a", text), ("b", "1")]);
        assert_eq!(world.says(&[("a", text)]), ["ok"]);
    }
    assert_eq!(
        world.entry("a").approved_digests,
        [digest("1"), digest("2")]
    );
}

fn b30_sightings_stay_bounded<S: Subject>() {
    let mut world = World::<S>::baselined();
    for n in 0..40 {
        let name = format!("new{n}");
        world.reads(&[("a", "1"), ("b", "1"), (&name, "1")]);
        let entries = world.subject.entries(Some("s"));
        assert_eq!(
            entries.len(),
            3,
            "what came and went unapproved is forgotten"
        );
    }
}

fn a_large_catalogue_is_judged_like_a_small_one<S: Subject>() {
    let mut items: Vec<_> = (0..10_000)
        .map(|n| {
            item(
                ItemKind::Tool,
                &format!("tool with a name of some length {n}"),
                &digest("1"),
            )
        })
        .collect();
    let mut world = World::<S>::new();
    world.reads_kinds(&[ItemKind::Tool], &items);
    world.answers();
    items[5000].digest = digest("2");
    items[7000].name = "new".to_owned();
    world.reads_kinds(&[ItemKind::Tool], &items);
    let says = world.says_of(&items);
    assert_eq!(
        (says[5000].as_str(), says[7000].as_str()),
        ("changed", "pending_approval")
    );
    assert_eq!(says.iter().filter(|says| *says == "ok").count(), 9_998);
    let entries = world.subject.entries(Some("s"));
    assert_eq!(entries.len(), 10_001);
    assert_eq!(entries.iter().filter(|entry| entry.waiting).count(), 2);
}

fn a_name_too_long_to_record_waits_alone<S: Subject>() {
    let mut world = World::<S>::new();
    let long = "x".repeat(100_000);
    world.reads(&[("a", "1"), (&long, "1")]);
    assert_eq!(
        world.says(&[("a", "1"), (&long, "1")]),
        ["ok", "pending_approval"]
    );
}

fn every_kind_is_covered_and_resources_when_asked<S: Subject>() {
    let kinds = [
        (ItemKind::Tool, "tool"),
        (ItemKind::Prompt, "prompt"),
        (ItemKind::ResourceTemplate, "resource-template"),
        (ItemKind::SelfDescription, "self-description"),
        (ItemKind::ResourceItem, "resource"),
    ];
    for settings in ["", r#"{"resources":false}"#, r#"{"resources":true}"#] {
        for (kind, word) in &kinds {
            let mut world = World::<S>::with(settings);
            let one = |text: &str| [item(kind.clone(), "x", &digest(text))];
            world.reads_kinds(std::slice::from_ref(kind), &one("1"));
            world.baselined = vec![word];
            world.reads_kinds(std::slice::from_ref(kind), &one("2"));
            let covered = *word != "resource" || settings.contains("true");
            let (status, entries) = if covered { ("changed", 1) } else { ("ok", 0) };
            assert_eq!(world.says_of(&one("2")), [status], "{settings} {word}");
            assert_eq!(
                world.subject.entries(None).len(),
                entries,
                "{settings} {word}"
            );
        }
    }
    let handed_out = [item(ItemKind::ResourceItem, "file:///x", "")];
    assert_eq!(
        World::<S>::with(r#"{"resources":true}"#).says_of(&handed_out),
        ["ok"]
    );
    let unknown = [item(ItemKind::Other("skill".to_owned()), "x", &digest("1"))];
    assert_eq!(World::<S>::new().says_of(&unknown), ["pending_approval"]);
}
