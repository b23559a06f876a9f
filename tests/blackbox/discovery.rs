//! D1–D4 and D6 as `try --search` shows them: what a searching agent is told of what it may not use.

use serde_json::{Value, json};

use crate::support::{Fixture, Home, example, tool};

/// What an agent that searches would find.
#[track_caller]
fn search(home: &Home, server: &Fixture, words: &str, flags: &[&str]) -> Vec<Value> {
    let program = example("fixture-server");
    let mut arguments = vec!["try", "--json", "--name", "s", "--search", words];
    arguments.extend(flags);
    arguments.extend([
        "--",
        program.to_str().unwrap(),
        server.dir().to_str().unwrap(),
    ]);
    let output = home.run(&arguments).done().json();
    // The search's part of the output, wherever it stands.
    find(&output).unwrap_or_else(|| panic!("no results in {output:#}"))
}

fn find(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Object(members) => match members.get("results") {
            Some(Value::Array(results)) => Some(results.clone()),
            _ => members.values().find_map(find),
        },
        _ => None,
    }
}

fn known(home: &Home) -> Fixture {
    let mut server = home.fixture("s");
    server.tools([
        tool("read_file", "Reads a file."),
        tool("delete_repo", "Deletes."),
    ]);
    let client = home.gate("s", &server).open();
    client.tools();
    client.close_well();
    server
}

#[test]
fn d1_a_pending_tool_is_found_by_its_name_with_status_and_nothing_of_its_definition() {
    let home = Home::new();
    let mut server = known(&home);
    server.tools([
        tool("read_file", "Reads a file."),
        tool("delete_repo", "Deletes."),
        tool("read_mail", "POISON"),
    ]);
    let found = search(&home, &server, "read", &[]);
    let locked: Vec<&Value> = found
        .iter()
        .filter(|entry| entry["name"] == "read_mail")
        .collect();
    assert_eq!(locked.len(), 1, "{found:#?}");
    assert_eq!(
        (
            &locked[0]["status"],
            &locked[0]["server"],
            &locked[0]["description"]
        ),
        (&json!("pending_approval"), &json!("s"), &json!(""))
    );
    assert!(
        locked[0]["remedy"]
            .as_str()
            .unwrap()
            .contains("witgate review")
    );
    assert_eq!(
        found[0]["name"], "read_mail",
        "what is locked comes first: {found:#?}"
    );
    assert!(
        found.iter().any(|entry| entry["name"] == "read_file"),
        "{found:#?}"
    );
    assert!(!json!(found).to_string().contains("POISON"), "{found:#?}");
}

#[test]
fn d3_the_description_of_a_locked_tool_is_not_searched() {
    let home = Home::new();
    let mut server = known(&home);
    server.tools([
        tool("read_file", "Reads a file."),
        tool("other", "about zebras"),
    ]);
    assert_eq!(search(&home, &server, "zebras", &[]), Vec::<Value>::new());
    // Words of one letter are none.
    let found = search(&home, &server, "o", &[]);
    assert!(
        !found.iter().any(|entry| entry["name"] == "other"),
        "{found:#?}"
    );
}

#[test]
fn d4_what_the_operator_denied_is_never_surfaced() {
    let home = Home::new();
    let mut server = known(&home);
    server.tools([
        tool("read_file", "Reads a file."),
        tool("delete_all", "new"),
        tool("delete_repo", "Deletes."),
    ]);
    let found = search(&home, &server, "delete", &["--deny-tool", "delete*"]);
    assert_eq!(found, Vec::<Value>::new());
}

#[test]
fn d2_a_quarantined_server_s_tools_have_its_status() {
    let home = Home::new();
    let server = known(&home);
    home.run(&["server", "quarantine", "s"]).done();
    let found = search(&home, &server, "read", &[]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0]["status"], "server_quarantined");
    assert!(
        !json!(found).to_string().contains("Reads a file"),
        "{found:#?}"
    );
}

#[test]
fn d6_locked_tools_are_capped_and_do_not_push_out_the_rest() {
    let home = Home::new();
    let mut server = known(&home);
    let many = (0..30).map(|n| tool(&format!("read_{n}"), ""));
    server.tools(many.chain([tool("read_file", "Reads a file.")]));
    let found = search(&home, &server, "read", &[]);
    let locked = found
        .iter()
        .filter(|entry| entry["status"] == "pending_approval")
        .count();
    assert_eq!(locked, 10, "{found:#?}");
    assert!(
        found.iter().any(|entry| entry["name"] == "read_file"),
        "{found:#?}"
    );
}
