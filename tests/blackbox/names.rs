//! B17, N1 and N3: names that look alike, and what is switched off in the middle of a session.

use crate::support::{Home, tool};

#[test]
fn b17_tools_of_one_name_at_two_servers_are_judged_apart() {
    let home = Home::new();
    let (mut x, mut y) = (home.fixture("x"), home.fixture("y"));
    x.tools([tool("go", "of x")]);
    y.tools([
        tool("go", "of y"),
        tool("x:go", "named like another server's"),
    ]);
    let (at_x, at_y) = (home.gate("x", &x).open(), home.gate("y", &y).open());
    assert_eq!(
        (at_x.tools(), at_y.tools()),
        (vec!["go".to_owned()], vec!["go".into(), "x:go".into()])
    );
    x.tools([tool("go", "of x, changed")]).list_changed("tools");
    at_x.until_tools(&[]);
    at_x.call("go").refused_as("LOCKED", "changed");
    assert_eq!(at_y.tools(), ["go", "x:go"]);
    at_y.call("go").ran();
    assert_eq!(
        (home.status("x", "go"), home.status("y", "go")),
        ("changed".into(), "approved".into())
    );
}

#[test]
fn b17_two_tools_of_one_name_are_both_withheld_and_reported() {
    let home = Home::new();
    let mut server = home.fixture("twins");
    server.tools([tool("twin", "one"), tool("single", ""), tool("twin", "two")]);
    let client = home.gate("twins", &server).open();
    assert_eq!(client.tools(), ["single"]);
    client.call("twin").refused();
    assert!(server.received_with("tools/call").is_empty());
    let doctor = home.doctor();
    assert!(
        doctor["problems"].to_string().contains("twin"),
        "{doctor:#}"
    );
}

#[test]
fn b17_two_tools_of_one_name_on_two_pages_are_both_withheld() {
    let home = Home::new();
    let mut server = home.fixture("twins");
    server
        .tools([tool("twin", "one"), tool("single", ""), tool("twin", "one")])
        .set("page_size", "1");
    let client = home.gate("twins", &server).open();
    assert_eq!(client.tools(), ["single"]);
    client.call("twin").refused();
}

#[test]
fn n1_names_with_dots_slashes_and_spaces_are_reachable_and_not_confused() {
    let home = Home::new();
    let mut server = home.fixture("dots");
    let names = [
        "issue.get",
        "issue",
        "a/b",
        "a b",
        "ä-ö",
        "a\"b",
        "a\\b",
        "tools/call",
    ];
    server.tools(names.map(|name| tool(name, name)));
    let client = home.gate("api.v1", &server).open();
    assert_eq!(client.tools(), names);
    for name in names {
        let result = client.call(name).ran();
        assert_eq!(result["content"][0]["text"], format!("ran {name}"));
    }
}

#[test]
fn n3_a_tool_blocked_in_mid_session_is_gone_at_once() {
    let home = Home::new();
    let mut server = home.fixture("running");
    server.tools([tool("a", ""), tool("b", "")]);
    let client = home.gate("running", &server).open();
    assert_eq!(client.tools(), ["a", "b"]);
    client.call("a").ran();
    let mark = client.mark();
    let entry = home.entry("running", "tool", "a");
    home.run(&["review", "block", &entry.id]).done();
    client.wait_method(mark, "notifications/tools/list_changed");
    client.call("a").refused_as("LOCKED", "blocked");
    assert_eq!(client.tools(), ["b"]);
    let mark = client.mark();
    home.run(&["review", "unblock", &entry.id]).done();
    client.wait_method(mark, "notifications/tools/list_changed");
    client.call("a").ran();
}

#[test]
fn n3_a_server_quarantined_in_mid_session_falls_silent_at_once() {
    let home = Home::new();
    let mut server = home.fixture("running");
    server.tools([tool("a", "")]);
    let client = home.gate("running", &server).open();
    client.call("a").ran();
    let mark = client.mark();
    home.run(&["server", "quarantine", "running"]).done();
    client.wait_method(mark, "notifications/tools/list_changed");
    client.call("a").refused_as("LOCKED", "server_quarantined");
    assert_eq!(client.tools(), Vec::<String>::new());
    assert_eq!(server.received_with("tools/call").len(), 1);
}
