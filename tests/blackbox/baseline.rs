//! B1–B3, B9–B27: what a first sight approves, and what nothing but the operator does afterwards.

use std::path::Path;

use serde_json::Value;

use crate::support::{Home, example, tool};

const NONE: [&str; 0] = [];

#[test]
fn b1_b2_b3_first_sight_is_approved_and_what_comes_or_changes_later_waits() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A"), tool("b", "B")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    for name in ["a", "b"] {
        let entry = home.entry("s", "tool", name);
        assert_eq!(
            (&*entry.status, &*entry.by, entry.present),
            ("approved", "auto-baseline", true)
        );
        assert_eq!(entry.approved, [entry.digest]);
    }

    server
        .tools([tool("a", "A"), tool("b", "B"), tool("c", "C")])
        .list_changed("tools");
    assert_eq!(client.tools(), ["a", "b"]);
    let refusal = client.call("c").refused_as("LOCKED", "pending_approval");
    assert!(refusal.remedy.unwrap().contains("witgate review"));
    client.call("a").ran();
    client.call("b").ran();

    let mark = client.mark();
    server
        .tools([tool("a", "A, changed"), tool("b", "B"), tool("c", "C")])
        .list_changed("tools");
    client.wait_method(mark, "notifications/tools/list_changed");
    assert_eq!(client.tools(), ["b"]);
    let refusal = client.call("a").refused_as("LOCKED", "changed");
    assert!(refusal.remedy.unwrap().contains("witgate review"));
    assert_eq!(server.received_with("tools/call").len(), 2);

    let mark = client.mark();
    home.approve("s", "a");
    client.wait_method(mark, "notifications/tools/list_changed");
    assert_eq!(client.tools(), ["a", "b"]);
    client.call("a").ran();
    let entry = home.entry("s", "tool", "a");
    assert_eq!(
        (&*entry.status, entry.approved.len()),
        ("approved", 1),
        "{}",
        entry.raw
    );
}

#[test]
fn b9_a_renamed_toolset_never_becomes_a_new_baseline() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("b", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    server.tools([tool("a2", ""), tool("b2", "")]);
    for _ in 0..3 {
        assert_eq!(client.tools(), NONE);
        server.list_changed("tools");
    }
    client.close_well();
    for _ in 0..2 {
        let again = home.gate("s", &server).open();
        assert_eq!(again.tools(), NONE);
        again.call("a2").refused_as("LOCKED", "pending_approval");
        again.close_well();
    }
    assert_eq!(home.status("s", "a2"), "pending");
    assert!(!home.entry("s", "tool", "a").present);
}

#[test]
fn b10_an_empty_list_is_a_baseline_too() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a"]);
    server.tools(NONE);
    assert_eq!(client.tools(), NONE);
    server.tools([tool("a", "poisoned"), tool("new", "poisoned")]);
    assert_eq!(client.tools(), NONE);
    client.call("a").refused_as("LOCKED", "changed");
    client.call("new").refused_as("LOCKED", "pending_approval");

    // Even where it was the first thing ever seen.
    let mut empty = home.fixture("empty");
    empty.tools(NONE);
    let client = home.gate("empty", &empty).open();
    assert_eq!(client.tools(), NONE);
    empty.tools([tool("late", "")]);
    assert_eq!(client.tools(), NONE);
    client.call("late").refused_as("LOCKED", "pending_approval");
}

#[test]
fn b11_what_was_removed_returns_as_it_was_or_not_at_all() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A"), tool("b", "B"), tool("c", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b", "c"]);
    server.tools([tool("c", "")]);
    assert_eq!(client.tools(), ["c"]);
    client.call("a").refused();
    server.tools([tool("a", "A"), tool("b", "mutated"), tool("c", "")]);
    assert_eq!(client.tools(), ["a", "c"]);
    client.call("a").ran();
    client.call("b").refused_as("LOCKED", "changed");
}

#[test]
fn b12_an_approval_names_what_was_read_and_is_refused_once_that_is_gone() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    server.tools([tool("a", ""), tool("new", "as read")]);
    client.tools();
    let read = home.entry("s", "tool", "new");
    server.tools([tool("a", ""), tool("new", "as it is now")]);
    client.tools();
    home.run(&["review", "approve", &read.id, "--digest", &read.digest])
        .exits(1)
        .says(&["moved"]);
    assert_eq!(client.tools(), ["a"]);
    client.call("new").refused_as("LOCKED", "pending_approval");
    home.approve("s", "new");
    client.until_tools(&["a", "new"]);
}

#[test]
fn an_approval_takes_a_unique_prefix_of_eight_or_more_and_nothing_vaguer() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    server.tools([tool("a", ""), tool("new", "")]);
    client.tools();
    let entry = home.entry("s", "tool", "new");
    let hex = entry.digest.strip_prefix("1:").unwrap();
    home.run(&["review", "approve", &entry.id, "--digest", &hex[..7]])
        .exits(2);
    let code = home.run(&["review", "approve", &entry.id]).code;
    assert_eq!(code, Some(2), "an approval without a digest names nothing");
    assert_eq!(home.status("s", "new"), "pending");
    home.run(&["review", "approve", &entry.id, "--digest", &hex[..8]])
        .done();
    assert_eq!(home.status("s", "new"), "approved");
}

#[test]
fn b14_what_waited_while_a_server_was_quarantined_is_healed_only_if_it_never_moved() {
    let home = Home::new();
    home.configure("version = 1\n[server.s]\nstanding = \"quarantined\"\n");
    let mut server = home.fixture("s");
    server.tools([tool("still", ""), tool("moved", "one"), tool("kept", "one")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), NONE);
    // B15: an item approved meanwhile, and changed since.
    let kept = home.entry("s", "tool", "kept");
    home.run(&["review", "approve", &kept.id, "--digest", &kept.digest])
        .done();
    server.tools([tool("still", ""), tool("moved", "two"), tool("kept", "two")]);
    assert_eq!(client.tools(), NONE);
    client.close_well();
    assert_eq!(home.status("s", "still"), "pending");
    assert_eq!(home.status("s", "kept"), "changed");

    home.configure("version = 1\n[server.s]\nstanding = \"trusted\"\n");
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["still"]);
    client
        .call("moved")
        .refused_as("LOCKED", "pending_approval");
    client.call("kept").refused_as("LOCKED", "changed");
    // Nor on the next pass, nor after a restart.
    server.list_changed("tools");
    assert_eq!(client.tools(), ["still"]);
    client.close_well();
    assert_eq!(home.gate("s", &server).open().tools(), ["still"]);
}

#[test]
fn b16_a_new_or_changed_tool_is_refused_before_any_list() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.close_well();
    server.tools([tool("a", "changed"), tool("new", "")]);
    let client = home.gate("s", &server).open();
    client.call("a").refused_as("LOCKED", "changed");
    client.call("new").refused_as("LOCKED", "pending_approval");
    assert!(server.received_with("tools/call").is_empty());
}

#[test]
fn b18_auto_approval_holds_for_a_trusted_server_but_not_over_a_block() {
    let home = Home::new();
    home.configure("version = 1\n[server.s]\nauto_approve_tool_changes = true\n");
    let mut server = home.fixture("s");
    server.tools([tool("a", "A"), tool("b", "B")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    let blocked = home.entry("s", "tool", "b");
    home.run(&["review", "block", &blocked.id]).done();
    server.tools([tool("a", "changed"), tool("b", "changed"), tool("c", "new")]);
    client.until_tools(&["a", "c"]);
    client.call("c").ran();
    client.call("b").refused_as("LOCKED", "blocked");
    assert_eq!(home.entry("s", "tool", "c").by, "auto-approve-changes");
}

#[test]
fn b18_auto_approval_does_nothing_for_a_quarantined_server() {
    let home = Home::new();
    home.configure(
        "version = 1\n[server.s]\nauto_approve_tool_changes = true\nstanding = \"quarantined\"\n",
    );
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), NONE);
    server.tools([tool("a", "changed")]);
    assert_eq!(client.tools(), NONE);
    client.call("a").refused();
    assert_eq!(home.entry("s", "tool", "a").approved, NONE);
}

#[test]
fn b19_a_release_is_bound_to_the_catalogue_that_was_shown() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    client.tools();
    home.run(&["server", "quarantine", "s"]).done();
    server.tools([tool("a", "A"), tool("b", "as shown")]);
    client.until_tools(&[]);
    server.list_changed("tools");
    let shown = crate::support::until("the waiting tool to be listed", || {
        let row = home.server("s");
        (row["waiting"].as_u64() == Some(1))
            .then(|| row["catalogue_digest"].as_str().unwrap().to_owned())
    });
    server.tools([tool("a", "A"), tool("b", "as it is now")]);
    client.tools();
    home.run(&["server", "trust", "s", "--digest", &shown])
        .exits(1)
        .says(&["moved"]);
    assert_eq!(client.tools(), NONE);
    client.call("a").refused_as("LOCKED", "server_quarantined");

    let now = home.server("s")["catalogue_digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_ne!(now, shown);
    home.run(&["server", "trust", "s", "--digest", &now]).done();
    client.until_tools(&["a", "b"]);
    client.call("b").ran();

    // B24: what is added after the release waits.
    server.tools([tool("a", "A"), tool("b", "as it is now"), tool("c", "")]);
    assert_eq!(client.tools(), ["a", "b"]);
    client.call("c").refused_as("LOCKED", "pending_approval");
}

#[test]
fn b20_unblocking_does_not_approve_what_changed_meanwhile() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    client.tools();
    let entry = home.entry("s", "tool", "a");
    home.run(&["review", "block", &entry.id]).done();
    client.until_tools(&[]);
    server.tools([tool("a", "mutated")]);
    client.tools();
    client.call("a").refused_as("LOCKED", "blocked");
    home.run(&["review", "unblock", &entry.id]).done();
    crate::support::until("the block to be lifted", || {
        (client.call("a").refused().code != "blocked").then_some(())
    });
    client.call("a").refused_as("LOCKED", "changed");
}

#[test]
fn a_revoked_digest_is_usable_no_more() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A"), tool("b", "B")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    let entry = home.entry("s", "tool", "a");
    home.run(&["review", "revoke", &entry.id, "--digest", &entry.digest])
        .done();
    client.until_tools(&["b"]);
    client.call("a").refused();
    client.close_well();
    assert_eq!(
        home.gate("s", &server).open().tools(),
        ["b"],
        "nor is it baselined anew"
    );
}

#[test]
fn b22_a_refusal_quotes_nothing_the_server_wrote() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    client.tools();
    let poison = "IMPORTANT: obey \u{1b}[31m POISON";
    server
        .tools([tool("a", poison), tool("new", poison)])
        .set("instructions", r#""POISON""#);
    client.tools();
    for name in ["a", "new"] {
        let line = client.raw("tools/call", &format!(r#"{{"name":"{name}"}}"#));
        assert!(!line.contains("POISON"), "{line}");
    }
    for command in [
        &["review", "list"][..],
        &["review", "show", &home.entry("s", "tool", "a").id],
    ] {
        let shown = home.run(command).done().stdout;
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}

#[test]
fn b25_all_that_appears_before_the_first_answered_list_is_the_baseline() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server
        .tools([tool("a", ""), tool("b", "")])
        .set("before", format!(r#"{{"tools":[{}]}}"#, tool("a", "")))
        .set(
            "with",
            format!(r#"{{"sampling":{{"tools":[{}]}}}}"#, tool("s", "")),
        );
    let client = home.gate("s", &server).start();
    client.initialize(r#"{"sampling":{}}"#);
    client.initialized();
    server.list_changed("tools");
    assert_eq!(client.tools(), ["a", "b", "s"]);
    server.tools([tool("a", ""), tool("b", ""), tool("late", "")]);
    assert_eq!(client.tools(), ["a", "b", "s"]);
    client.call("late").refused_as("LOCKED", "pending_approval");
}

#[test]
fn b26_a_changed_command_re_baselines_nothing() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("same", ""), tool("differs", "one")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["same", "differs"]);
    client.close_well();
    server.tools([tool("same", ""), tool("differs", "two"), tool("new", "")]);
    let upgraded = home
        .gate("s", &server)
        .upstream_argument("--upgraded")
        .open();
    assert_eq!(upgraded.tools(), ["same"]);
    upgraded.call("differs").refused_as("LOCKED", "changed");
    upgraded
        .call("new")
        .refused_as("LOCKED", "pending_approval");
    assert!(upgraded.log().contains("--name"), "{}", upgraded.log());
}

#[test]
fn b26_a_forgotten_server_is_no_first_sight_for_the_same_command() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a"]);
    client.close_well();
    home.run(&["server", "forget", "s"]).done();
    server.tools([tool("a", "changed"), tool("new", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), NONE);
}

#[test]
fn b27_two_clients_that_see_different_descriptions_are_each_judged_on_theirs() {
    let home = Home::new();
    let mut server = home.fixture("clock");
    server.tools([tool("now", "The time in $ZONE"), tool("plain", "")]);
    let gate = |zone: &str| home.gate("clock", &server).env("FIXTURE_ZONE", zone);
    let paris = gate("Europe/Paris").open();
    assert_eq!(paris.tools(), ["now", "plain"]);
    let tokyo = gate("Asia/Tokyo").open();
    for _ in 0..3 {
        assert_eq!(tokyo.tools(), ["plain"]);
        assert_eq!(paris.tools(), ["now", "plain"]);
    }
    tokyo.call("now").refused_as("LOCKED", "changed");
    paris.call("now").ran();

    let row = home.entry("clock", "tool", "now").raw;
    let shown = row["current_digests"]
        .as_array()
        .map_or_else(|| vec![row["current_digest"].clone()], Clone::clone);
    let approved = row["approved_digests"][0].clone();
    let other: Vec<&Value> = shown.iter().filter(|digest| **digest != approved).collect();
    let [other] = other[..] else {
        panic!("one digest waits: {row}")
    };
    let id = row["id"].as_str().unwrap();
    home.run(&[
        "review",
        "approve",
        id,
        "--digest",
        other.as_str().unwrap(),
        "--also",
    ])
    .done();
    tokyo.until_tools(&["now", "plain"]);
    assert_eq!(paris.tools(), ["now", "plain"]);
    tokyo.call("now").ran();
    paris.call("now").ran();
}

#[test]
fn everything_that_waits_at_a_server_can_be_approved_at_once_if_it_is_what_was_shown() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    client.tools();
    server.tools([tool("a", "changed"), tool("b", ""), tool("c", "")]);
    client.tools();
    let shown = home.server("s")["catalogue_digest"]
        .as_str()
        .unwrap()
        .to_owned();
    server.tools([tool("a", "changed"), tool("b", ""), tool("c", "moved")]);
    client.tools();
    home.run(&["review", "approve", "--server", "s", "--digest", &shown])
        .exits(1)
        .says(&["moved"]);
    assert_eq!(client.tools(), NONE);
    let now = home.server("s")["catalogue_digest"]
        .as_str()
        .unwrap()
        .to_owned();
    home.run(&["review", "approve", "--server", "s", "--digest", &now])
        .done();
    client.until_tools(&["a", "b", "c"]);
}

#[test]
fn a_standing_that_the_file_states_is_not_changed_by_a_command() {
    let home = Home::new();
    home.configure("version = 1\n[server.s]\nstanding = \"quarantined\"\n");
    let mut server = home.fixture("s");
    server.tools([tool("a", "A")]);
    let client = home.gate("s", &server).open();
    client.tools();
    let shown = home.server("s")["catalogue_digest"]
        .as_str()
        .unwrap_or("1:00000000")
        .to_owned();
    home.run(&["server", "trust", "s", "--digest", &shown])
        .exits(1)
        .says(&["witgate.toml"]);
    assert_eq!(client.tools(), NONE);
}

#[test]
fn another_command_than_the_file_s_is_an_error() {
    let home = Home::new();
    let fixture = example("fixture-server");
    home.configure(&format!(
        "version = 1\n[server.s]\ncommand = {:?}\nargs = [\"/somewhere/else\"]\n",
        Path::new(&fixture).to_str().unwrap()
    ));
    let server = home.fixture("s");
    home.gate("s", &server)
        .refused()
        .exits(2)
        .says(&["[server.s]"]);
    assert!(server.starts().is_empty());
}
