//! Policies that only monitor: judged on live traffic, recorded, never binding.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Answer, Client, Fixture, Home, golden, hostile, tool, until};

fn scene(home: &Home, name: &str, component: &[u8], sidecar: &str) -> (Fixture, Client) {
    let mut server = home.fixture("s");
    server.tools([tool("a", ""), tool("deny_a", ""), tool("hide_a", "")]);
    let place = home.policies();
    std::fs::write(place.join(format!("{name}.toml")), sidecar).unwrap();
    std::fs::write(place.join(format!("{name}.wasm")), component).unwrap();
    let client = home.gate("s", &server).open();
    (server, client)
}

fn put(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, bytes).unwrap();
    std::fs::rename(draft, path).unwrap();
}

/// The codes of a policy on the records of a method.
fn codes(home: &Home, policy: &str, method: &str) -> Vec<Vec<String>> {
    let records = home.audit();
    let of_method = records.iter().filter(|record| record["method"] == method);
    let codes = of_method.map(|record| {
        let all = record["codes"].as_array().into_iter().flatten();
        let own = all.filter(|code| code["policy"] == policy);
        own.map(|code| code["code"].as_str().unwrap().to_owned())
            .collect()
    });
    codes.collect()
}

#[test]
fn would_be_verdicts_are_counted_by_code_and_bind_nobody() {
    let home = Home::new();
    let (_server, client) = scene(&home, "10-team", golden(), "mode = \"monitor\"\n");
    assert_eq!(client.tools(), ["a", "deny_a", "hide_a"]);
    for name in ["a", "deny_a", "deny_a", "hide_a"] {
        client.call(name).ran();
    }
    let row = until("the counts", || {
        let row = home.policy("10-team")?;
        (row["would"] == json!({"denied": 2, "hidden": 2})).then_some(row)
    });
    assert_eq!(
        (&row["mode"], &row["gates"]),
        (&json!("monitor"), &json!(1))
    );
    home.run(&["policy", "list"])
        .done()
        .says(&["denied 2", "hidden 2", "monitor"]);
    client.close_well();
    assert_eq!(codes(&home, "10-team", "tools/list"), [["would:hidden"]]);
    assert_eq!(
        codes(&home, "10-team", "tools/call"),
        [
            vec![],
            vec!["would:denied"],
            vec!["would:denied"],
            vec!["would:hidden"]
        ]
    );
    assert_eq!(home.run(&["audit", "verify"]).code, Some(0));
}

#[test]
fn counts_begin_anew_when_the_policy_does() {
    let home = Home::new();
    let (_server, client) = scene(
        &home,
        "10-team",
        &hostile::denies("No."),
        "mode = \"monitor\"\n",
    );
    client.call("a").ran();
    home.until_policy("10-team", &json!({"would": {"no": 1}}));
    put(
        &home.policies().join("10-team.wasm"),
        &hostile::denies_with("later", "No."),
    );
    home.until_policy("10-team", &json!({"outcome": "updated", "would": {}}));
    client.call("a").ran();
    home.until_policy("10-team", &json!({"would": {"later": 1}}));
    put(
        &home.policies().join("10-team.toml"),
        b"mode = \"enforce\"\n",
    );
    until("calls to be denied", || {
        (client.call("a").code() == Some("later")).then_some(())
    });
}

/// What fails denies, except where it has no say.
#[test]
fn a_failure_of_a_policy_that_only_monitors_is_harmless_and_told() {
    for (what, component, method) in [
        ("a trap", hostile::trap(), "tools/call"),
        ("too few answers", hostile::wrong_count(), "tools/list"),
        ("a key too long", hostile::huge_value(), "tools/call"),
    ] {
        let home = Home::new();
        let (_server, client) = scene(&home, "10-team", &component, "mode = \"monitor\"\n");
        assert_eq!(client.tools(), ["a", "deny_a", "hide_a"], "{what}");
        client.call("a").ran();
        assert_eq!(client.tools(), ["a", "deny_a", "hide_a"], "{what}");
        let row = until("the failure to be told", || {
            let row = home.policy("10-team")?;
            row["last_failure"]["what"].is_string().then_some(row)
        });
        let failures = row["failures"].as_object().unwrap();
        assert!(
            failures.values().all(|count| count.as_u64() >= Some(1)),
            "{what}: {row:#}"
        );
        let doctor = home.doctor();
        assert_eq!(doctor["ok"], true, "{what}: {doctor:#}");
        assert!(
            doctor["problems"].to_string().contains("10-team"),
            "{what}: {doctor:#}"
        );
        client.close_well();
        if what != "a key too long" {
            let codes = codes(&home, "10-team", method);
            assert!(
                codes.concat().contains(&"would:policy_error".to_owned()),
                "{what}: {codes:?}"
            );
        }
    }
}

/// It surfaces nothing either: what others hide stays hidden.
#[test]
fn a_policy_that_only_monitors_does_not_speak_for_others() {
    let home = Home::new();
    home.configure("version = 1\n[server.s]\ndeny = [\"hide_a\"]\n");
    let (_server, client) = scene(&home, "10-team", golden(), "mode = \"monitor\"\n");
    assert_eq!(client.tools(), ["a", "deny_a"]);
    client.call("hide_a").refused_as("FILTERED", "filtered");
    let Answer::Ran(_) = client.call("deny_a") else {
        panic!("it only monitors");
    };
    client.close_well();
    let lists = codes(&home, "10-team", "tools/list");
    assert!(
        lists.concat().is_empty(),
        "it would change nothing: {lists:?}"
    );
}

#[test]
fn what_a_policy_counts_shows() {
    let home = Home::new();
    let (_server, client) = scene(&home, "10-team", &hostile::counts(), "");
    client.call("a").ran();
    let row = until("the count", || {
        let row = home.policy("10-team")?;
        (row["counters"] != Value::Object(serde_json::Map::new())).then_some(row)
    });
    assert_eq!(row["counters"], json!({"seen": 1}), "{row:#}");
}
