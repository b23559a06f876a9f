//! `delete-guard` of `examples/policies`, in every language that is built there.

use std::path::PathBuf;

use serde_json::json;

use crate::support::{Answer, Home, tool, until};
use crate::{built, checkout};

/// Every language with a way to build it, and its component.
fn languages() -> Vec<(String, PathBuf)> {
    let folder = checkout("examples/policies/build.d");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 3, "{names:?}");
    let built = |name: String| {
        let path = built(
            &format!("{name}.wasm"),
            &format!("examples/policies/build {name}"),
        );
        (name, path)
    };
    names.into_iter().map(built).collect()
}

#[test]
fn a_component_dropped_into_the_directory_is_in_force_while_the_gate_runs() {
    for (language, component) in languages() {
        let home = Home::new();
        let mut server = home.fixture("s");
        server.tools([
            tool("delete_repo", "Deletes a repository."),
            tool("read", "Reads a file."),
            tool("dump", "For INTERNAL use."),
        ]);
        home.policies();
        let client = home.gate("s", &server).open();
        assert_eq!(client.tools(), ["delete_repo", "read", "dump"]);
        client.call("delete_repo").ran();

        let folder = home.policies();
        let draft = folder.join("draft");
        std::fs::write(
            folder.join("10-guard.toml"),
            "[settings]\nhide = \"internal\"\n",
        )
        .unwrap();
        std::fs::copy(&component, &draft).unwrap();
        std::fs::rename(draft, folder.join("10-guard.wasm")).unwrap();
        until(&format!("{language} to be in force"), || {
            (client.call("delete_repo").code() == Some("confirm_required")).then_some(())
        });

        let refusal = client
            .call("delete_repo")
            .refused_as("DENIED", "confirm_required");
        assert_eq!(
            (&*refusal.reason, refusal.remedy.as_deref()),
            (
                "Deleting needs the argument `confirm` to be true",
                Some("Ask the person, then call again with `confirm` set to true")
            ),
            "{language}"
        );
        let call = |arguments| {
            client.request(
                "tools/call",
                &json!({"name": "delete_repo", "arguments": arguments}),
            )
        };
        assert!(
            matches!(call(json!({"confirm": true})), Answer::Ran(_)),
            "{language}"
        );
        assert!(
            matches!(call(json!({"confirm": "true"})), Answer::Refused(_)),
            "{language}"
        );
        client.call("read").ran();
        assert_eq!(client.tools(), ["delete_repo", "read"], "{language}");
        client.call("dump").refused_as("FILTERED", "filtered");
        assert!(
            !client.log().contains("kind="),
            "{language}: {}",
            client.log()
        );
        client.close_well();

        let confirmed = server
            .received_with("tools/call")
            .iter()
            .filter(|line| line.to_string().contains("confirm"))
            .count();
        assert_eq!(confirmed, 1, "{language}");
    }
}

#[test]
fn settings_with_an_unknown_key_keep_the_gate_from_starting_and_the_key_is_named() {
    for (language, component) in languages() {
        let home = Home::new();
        let server = home.fixture("s");
        let folder = home.policies();
        std::fs::copy(&component, folder.join("10-guard.wasm")).unwrap();
        std::fs::write(folder.join("10-guard.toml"), "[settings]\nhidden = \"x\"\n").unwrap();
        let output = home.gate("s", &server).refused();
        assert_ne!(output.code, Some(0), "{language}");
        output.says(&["10-guard", "hidden"]);
    }
}

#[test]
fn a_component_asks_for_nothing_but_the_contract() {
    for (language, component) in languages() {
        let home = Home::new();
        let inspected = home.run(&["policy", "inspect", component.to_str().unwrap()]);
        let inspected = inspected.done();
        assert!(
            !inspected.stdout.contains("wasi:"),
            "{language}: {}",
            inspected.stdout
        );
    }
}

#[test]
fn every_language_passes_the_same_cases() {
    let cases = checkout("examples/policies/cases");
    for (_, component) in languages() {
        let home = Home::new();
        let arguments = [
            "policy",
            "test",
            component.to_str().unwrap(),
            cases.to_str().unwrap(),
        ];
        home.run(&arguments).done();
    }
}
