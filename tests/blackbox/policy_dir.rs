//! The policy directory: read again while running, never opened by what goes missing (invariant 10, O4).

use std::path::Path;

use crate::support::{Answer, Client, Fixture, Home, hostile, tool, until};

fn scene(home: &Home) -> Fixture {
    let mut server = home.fixture("s");
    server.tools([tool("a", "")]);
    home.policies();
    server
}

/// Puts a file in place whole, as an operator's `cp` or deployment should.
fn put(path: &Path, bytes: &[u8]) {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, bytes).unwrap();
    std::fs::rename(draft, path).unwrap();
}

#[track_caller]
fn until_denied(client: &Client) {
    until("calls to be denied", || {
        (client.call("a").code() == Some("no")).then_some(())
    });
}

#[track_caller]
fn until_allowed(client: &Client) {
    until("calls to run", || {
        matches!(client.call("a"), Answer::Ran(_)).then_some(())
    });
}

/// Whether `policy list --json` or `doctor --json` mention something.
fn told(home: &Home, words: &[&str]) -> bool {
    let text = home.run(&["policy", "list"]).stdout + &home.doctor().to_string();
    words.iter().all(|word| text.contains(word))
}

#[test]
fn a_policy_dropped_in_is_in_force_soon_and_one_deleted_stays_until_it_is_forgotten() {
    let home = Home::new();
    let server = scene(&home);
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    let file = home.policies().join("10-team.wasm");
    put(&file, &hostile::denies("The team says no."));
    until_denied(&client);

    std::fs::remove_file(&file).unwrap();
    until("the loss to be told", || {
        told(&home, &["10-team"]).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    client.call("a").refused_as("DENIED", "no");
    client.close_well();
    let client = home.gate("s", &server).open();
    client.call("a").refused_as("DENIED", "no");
    assert_eq!(home.doctor()["ok"], false);

    home.run(&["policy", "forget", "10-team"]).done();
    until_allowed(&client);
    assert_eq!(home.doctor()["ok"], true, "{:#}", home.doctor());
}

#[test]
fn a_policy_that_breaks_leaves_the_last_good_one_in_force() {
    let home = Home::new();
    let server = scene(&home);
    let file = home.policies().join("10-team.wasm");
    put(&file, &hostile::denies("No."));
    let client = home.gate("s", &server).open();
    client.call("a").refused_as("DENIED", "no");
    put(&file, b"no component at all");
    until("the break to be told", || {
        (home.doctor()["ok"] == false && told(&home, &["10-team.wasm"])).then_some(())
    });
    std::thread::sleep(std::time::Duration::from_secs(3));
    client.call("a").refused_as("DENIED", "no");
    client.close_well();
    let client = home.gate("s", &server).open();
    client.call("a").refused_as("DENIED", "no");
    put(&file, &hostile::allow());
    until_allowed(&client);
}

#[test]
fn a_policy_that_never_was_good_keeps_the_gate_from_starting() {
    let home = Home::new();
    let server = scene(&home);
    put(
        &home.policies().join("10-team.wasm"),
        b"no component at all",
    );
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&["10-team.wasm"]);
    assert!(server.received_with("tools/call").is_empty());
}

#[cfg(unix)]
#[test]
fn a_policy_that_others_can_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let server = scene(&home);
    let file = home.policies().join("10-team.wasm");
    put(&file, &hostile::allow());
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&["10-team.wasm", "chmod"]);
}

/// A gate that would write to the store, against a contract that has a function for it.
fn writer() -> Vec<u8> {
    let contract = format!(
        "{}\n{}",
        include_str!("../../wit/types.wit"),
        include_str!("../../wit/hooks.wit").replace(
            "interface store {",
            "interface store { put: func(key: string, value: string);"
        )
    );
    let core = r#"(module
        (import "witgate:policy/store@0.1.0" "put" (func $put (param i32 i32 i32 i32)))
        (memory (export "memory") 32)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 65536))
        (func (export "witgate:policy/call-gate@0.1.0#check") (param i32) (result i32)
            (call $put (i32.const 0) (i32.const 1) (i32.const 0) (i32.const 1))
            (i32.const 4096)))"#;
    hostile::component_from(
        &contract,
        "0.1.0",
        "import witgate:policy/store@0.1.0; export witgate:policy/call-gate@0.1.0;",
        core,
    )
}

#[test]
fn what_cannot_be_loaded_is_refused_with_file_and_trouble() {
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    for (what, wasm, words) in [
        ("a write in a judging hook", writer(), &["put"][..]),
        (
            "an import while instantiating",
            hostile::import_in_start(),
            &[],
        ),
        (
            "an import while configured",
            hostile::import_in_configure(),
            &[],
        ),
        ("a spin while instantiating", hostile::spin_in_start(), &[]),
        ("a trap while configured", hostile::trap_in_configure(), &[]),
        (
            "settings that are refused",
            hostile::refuses_settings(),
            &["bad"],
        ),
        ("a core module", core_module, &["component"]),
        ("text", b"Hello.".to_vec(), &[]),
        ("nothing", Vec::new(), &[]),
    ] {
        let home = Home::new();
        let server = scene(&home);
        put(&home.policies().join("10-team.wasm"), &wasm);
        let output = home.gate("s", &server).refused();
        assert!(
            output.code.is_some_and(|code| code != 0),
            "{what}: {}",
            output.stderr
        );
        assert!(
            !output.stderr.contains("\u{1b}[2J"),
            "{what}: {:?}",
            output.stderr
        );
        output.says(&["10-team.wasm"]).says(words);
        assert!(server.received_with("tools/call").is_empty(), "{what}");
    }
}

#[test]
fn o4_an_edit_that_keeps_size_and_time_is_seen() {
    let home = Home::new();
    let server = scene(&home);
    let (file, sidecar) = (
        home.policies().join("10-team.wasm"),
        home.policies().join("10-team.toml"),
    );
    put(&sidecar, b"mode = \"monitor\"\n");
    put(&file, &hostile::denies("No."));
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    let time = std::fs::metadata(&sidecar).unwrap().modified().unwrap();
    std::fs::write(&sidecar, "mode = \"enforce\"\n").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&sidecar)
        .unwrap()
        .set_modified(time)
        .unwrap();
    until_denied(&client);
}

#[test]
fn a_lost_sidecar_leaves_component_and_settings_in_force_together() {
    let home = Home::new();
    let server = scene(&home);
    let (file, sidecar) = (
        home.policies().join("10-team.wasm"),
        home.policies().join("10-team.toml"),
    );
    put(&sidecar, b"mode = \"enforce\"\n");
    put(&file, &hostile::denies("No."));
    let client = home.gate("s", &server).open();
    client.call("a").refused_as("DENIED", "no");
    std::fs::remove_file(&sidecar).unwrap();
    until("the loss to be told", || {
        (home.doctor()["ok"] == false).then_some(())
    });
    client.call("a").refused_as("DENIED", "no");
}

#[test]
fn a_sidecar_that_pins_other_bytes_refuses_the_file() {
    let home = Home::new();
    let server = scene(&home);
    put(
        &home.policies().join("10-team.toml"),
        format!("sha256 = \"{}\"\n", "0".repeat(64)).as_bytes(),
    );
    put(&home.policies().join("10-team.wasm"), &hostile::allow());
    let output = home.gate("s", &server).refused();
    assert!(
        output.code.is_some_and(|code| code != 0),
        "{}",
        output.stderr
    );
    output.says(&["10-team", "sha256"]);
}

#[test]
fn a_monitored_policy_records_and_does_not_bind() {
    let home = Home::new();
    let server = scene(&home);
    put(
        &home.policies().join("10-team.toml"),
        b"mode = \"monitor\"\n",
    );
    put(
        &home.policies().join("10-team.wasm"),
        &hostile::denies("No."),
    );
    let client = home.gate("s", &server).open();
    client.call("a").ran();
    client.close_well();
    let recorded = home.audit().iter().any(|record| {
        record["codes"].to_string().contains("10-team") && record["verdict"] == "allowed"
    });
    assert!(recorded, "{:#?}", home.audit());
}
