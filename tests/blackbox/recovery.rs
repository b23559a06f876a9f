//! Ends that nobody planned, beginnings at the same moment, and servers that get another name.

use rustix::process::Signal;

use crate::support::{Answer, Client, Home, tool, until};

#[test]
fn a_killed_gate_leaves_ledger_and_audit_whole() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    for round in 0..3 {
        let client = home.gate("s", &server).open();
        assert_eq!(client.tools(), ["a"]);
        client.call("a").ran();
        server.tools([tool("a", ""), tool(&format!("new{round}"), "")]);
        client.tools();
        client.signal(Signal::KILL);
        client.ended();
    }
    // What was judged before stays judged: nothing is a first sight again.
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a"]);
    client.call("new2").refused_as("LOCKED", "pending_approval");
    client.close_well();
    home.run(&["audit", "verify"]).done();
    assert_eq!(home.doctor()["ok"], true, "{:#}", home.doctor());
}

#[test]
fn a_killed_gate_does_not_leave_its_child_behind() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.signal(Signal::KILL);
    client.ended();
    // The pipe's end is the child's sign to go.
    until("the child to see the end", || {
        (server.ends() == 1).then_some(())
    });
}

#[test]
fn several_gates_that_start_at_once_share_one_ledger() {
    let home = Home::new();
    let mut servers: Vec<_> = (0..6).map(|n| home.fixture(&format!("s{n}"))).collect();
    for server in &mut servers {
        server.tools([tool("a", "")]);
    }
    let clients: Vec<Client> = servers
        .iter()
        .enumerate()
        .map(|(n, server)| home.gate(&format!("s{n}"), server).start())
        .collect();
    for client in &clients {
        client.handshake();
        assert_eq!(client.tools(), ["a"]);
        client.call("a").ran();
    }
    for n in 0..6 {
        assert_eq!(home.status(&format!("s{n}"), "a"), "approved");
    }
    for client in &clients {
        client.close_well();
    }
    home.run(&["audit", "verify"]).done();
}

#[test]
fn a_first_sight_by_two_at_once_is_one_baseline() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("b", "")]);
    let clients: Vec<Client> = (0..4).map(|_| home.gate("s", &server).start()).collect();
    for client in &clients {
        client.handshake();
    }
    for client in &clients {
        assert_eq!(client.tools(), ["a", "b"]);
    }
    server.tools([tool("a", ""), tool("b", ""), tool("c", "")]);
    for client in &clients {
        assert_eq!(client.tools(), ["a", "b"]);
    }
}

#[test]
fn a_renamed_server_keeps_what_was_decided() {
    let home = Home::new();
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("b", "")]);
    let client = home.gate("old", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    client.close_well();
    home.run(&["server", "rename", "old", "new"]).done();
    server.tools([tool("a", ""), tool("b", "changed"), tool("c", "")]);
    let client = home.gate("new", &server).open();
    assert_eq!(client.tools(), ["a"]);
    client.call("b").refused_as("LOCKED", "changed");
    client.call("c").refused_as("LOCKED", "pending_approval");
    let left = home.run(&["server", "list", "--json"]).done();
    assert!(!left.stdout.contains("\"old\""), "{}", left.stdout);
}

#[test]
fn an_edited_configuration_takes_effect_on_a_running_gate() {
    let home = Home::new();
    home.configure("version = 1\n");
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("b", "")]);
    let client = home.gate("s", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    let mark = client.mark();
    home.configure("version = 1\n[server.s]\ndeny = [\"b\"]\n");
    client.wait_method(mark, "notifications/tools/list_changed");
    client.call("b").refused_as("FILTERED", "filtered");
    assert_eq!(client.tools(), ["a"]);
    // N3: and so does switching the server off.
    home.configure("version = 1\n[server.s]\nenabled = false\n");
    until("calls to be refused", || {
        (!matches!(client.call("a"), Answer::Ran(_))).then_some(())
    });
}
