//! What a configuration may say, and how it is told what it may not.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::{Config, ConfigError, Mode, PolicySource};
use super::check;
use crate::ledger::Standing;

fn parse(text: &str) -> Result<Config, ConfigError> {
    check(Path::new("/etc/witgate/witgate.toml"), text)
}

/// The error's text without the file's folder.
fn refusal(text: &str) -> String {
    let error = parse(text).unwrap_err().to_string();
    error.replace("/etc/witgate/", "")
}

/// O1: a file of another version may mean something else by the same keys.
#[test]
fn a_version_that_is_not_the_integer_one_is_refused_by_key_and_line() {
    for (written, shown) in [
        ("2", "the integer 2"),
        ("\"1\"", "the string \"1\""),
        ("true", "the boolean true"),
        ("1.0", "the float 1.0"),
        ("0x1", "the integer 0x1"),
        ("[1]", "an array"),
    ] {
        assert_eq!(
            refusal(&format!(
                "# a comment\n\nversion = {written}\nnotice = false\n"
            )),
            format!(
                "witgate.toml:3: `version` must be the integer 1, not {shown}: this witgate reads version 1 only"
            )
        );
    }
    assert_eq!(
        refusal("notice = false\n"),
        "witgate.toml:1: `version` is missing; write `version = 1` in the first line"
    );
    assert_eq!(
        refusal("version = 1\nversion = 1\n"),
        "witgate.toml:2: not TOML: duplicate key"
    );
}

/// O2: a key that is not understood may have been meant to close something.
#[test]
fn an_unknown_key_is_refused_wherever_it_stands() {
    for (text, expected) in [
        (
            "version = 1\n\n[server.files]\ncommand = \"x\"\nenable = false\n",
            "witgate.toml:5: unknown key `server.files.enable`: did you mean `enabled`?",
        ),
        (
            "version = 1\n[limit]\n",
            "witgate.toml:2: unknown key `limit`: did you mean `limits`?",
        ),
        (
            "version = 1\n[limits]\nhook_sec = 1\n",
            "witgate.toml:3: unknown key `limits.hook_sec`: did you mean `hook_ms`?",
        ),
        (
            "version = 1\n[[policy]]\nname = \"a\"\nsource = \"a.wasm\"\n[[policy]]\nname = \"b\"\nsource = \"b.wasm\"\n\
             grant = []\n",
            "witgate.toml:8: unknown key `policy[1].grant`: did you mean `grants`?",
        ),
        (
            "version = 1\n[audit]\n\"odd key\" = 1\n",
            "witgate.toml:3: unknown key `audit.\"odd key\"`: remove it; known here: enabled, path, required, arguments, record",
        ),
        (
            "version = 1\n[audit]\nrecord = \"all\"\n",
            "witgate.toml:3: `audit.record` must be \"decisions\" or \"full\"",
        ),
        (
            "version = 1\n[audit]\nenabled = false\nrecord = \"full\"\n",
            "witgate.toml:4: `audit.record` is \"full\", and `enabled = false` keeps no record: write one or the other",
        ),
        (
            "version = 1\n[policy_dir]\ndir = \"x\"\n",
            "witgate.toml:3: unknown key `policy_dir.dir`: remove it; known here: path, watch, grants",
        ),
        (
            "version = 1\n[state]\npath = \"x\"\n",
            "witgate.toml:3: unknown key `state.path`: remove it; known here: url",
        ),
    ] {
        assert_eq!(refusal(text), expected);
    }
}

#[test]
fn a_wrong_type_or_value_names_key_line_and_what_would_do() {
    for (text, expected) in [
        (
            "version = 1\nnotice = \"no\"",
            "2: `notice` must be true or false, not the string \"no\"",
        ),
        (
            "version = 1\n[limits]\nhook_ms = 0",
            "3: `limits.hook_ms` must be an integer from 1 to 60000, not the integer 0",
        ),
        (
            "version = 1\n[limits]\nhook_ms = \"50ms\"",
            "3: `limits.hook_ms` must be an integer from 1 to 60000, not the string \"50ms\"",
        ),
        (
            "version = 1\n[limits]\nmax_items = -1",
            "3: `limits.max_items` must be an integer from 1 to 1000000, not the integer -1",
        ),
        (
            "version = 1\n[server.a]\nstanding = \"friend\"",
            "3: `server.a.standing` must be \"trusted\" or \"quarantined\", not the string \"friend\"",
        ),
        (
            "version = 1\n[server.a]\nallow = [\"x\", 3]",
            "3: `server.a.allow[1]` must be a string, not the integer 3",
        ),
        (
            "version = 1\n[server.a]\nargs = [\"x\"]",
            "3: `server.a.args` stands without `command`; add it, or remove the arguments",
        ),
        (
            "version = 1\n[server.\"a/b\"]\ncommand = \"x\"",
            "2: `server.\"a/b\"` is wrong: \"a/b\" cannot be a server name: use 1 to 64 of A-Z, a-z, 0-9, `.`, `_` \
             and `-`, beginning with a letter or digit",
        ),
        (
            "version = 1\n[[policy]]\nname = \"a\"\nsource = \"builtin:alow-deny\"",
            "4: `policy[0].source` is \"builtin:alow-deny\", which this witgate does not have; it has \
             builtin:allow-deny, builtin:quarantine, builtin:trust-baseline",
        ),
        (
            "version = 1\n[[policy]]\nname = \"a\"\nsource = \"a.wasm\"\n[[policy]]\nname = \"a\"\nsource = \"b.wasm\"",
            "6: `policy[1].name` is \"a\" a second time; every policy needs a name of its own",
        ),
        (
            "version = 1\n[policy]\nname = \"a\"",
            "2: `policy` must be an array of tables, each begun by `[[policy]]`, not a table",
        ),
        (
            "version = 1\npolicy = []",
            "2: `policy` is empty, so that nothing would be judged; remove it for the three policies that ship with \
             witgate",
        ),
        (
            "version = 1\n[[policy]]\nname = \"a\"\nsource = \"a.wasm\"\nsettings = { x = nan }",
            "5: `policy[0].settings` JSON has no number nan",
        ),
    ] {
        assert_eq!(refusal(text), format!("witgate.toml:{expected}"));
    }
}

#[test]
fn what_a_later_version_has_is_refused_by_name() {
    let refusal = refusal("version = 1\n[state]\nurl = \"postgres://db\"");
    assert!(
        refusal.starts_with("witgate.toml:3: `state.url` is not in this version of witgate"),
        "{refusal}"
    );
}

/// A list that nothing enforces would look like a closed door.
#[test]
fn lists_without_the_policy_that_enforces_them_are_refused() {
    let text = "version = 1\n[[policy]]\nname = \"q\"\nsource = \"builtin:quarantine\"\n[server.a]\ndeny = [\"x\"]\n";
    assert_eq!(
        refusal(text),
        "witgate.toml:5: `server.a` has allow or deny lists, which `builtin:allow-deny` enforces, and no [[policy]] \
         names it; add one, or remove the lists"
    );
    let with = format!("{text}[[policy]]\nname = \"l\"\nsource = \"builtin:allow-deny\"\n");
    assert!(parse(&with).is_ok());
}

#[test]
fn text_that_is_no_toml_names_the_line() {
    let refusal = refusal("version = 1\n[server.a\ncommand = 1\n");
    assert!(
        refusal.starts_with("witgate.toml:2: not TOML: "),
        "{refusal}"
    );
}

#[test]
fn an_almost_empty_file_means_all_defaults() {
    let mut expected = Config::in_dir(Path::new("/etc/witgate"));
    expected.file = Some(PathBuf::from("/etc/witgate/witgate.toml"));
    assert_eq!(parse("version = 1\n").unwrap(), expected);
    assert_eq!(
        expected.policy_dir.path,
        Path::new("/etc/witgate/policies.d")
    );
    assert!(expected.audit.enabled && expected.audit.required && !expected.audit.arguments);
    assert!(!expected.audit.tape);
}

#[test]
fn every_key_is_read() {
    let config = parse(
        r#"
version = 1
notice = false
[state]
url = "sqlite:state/l.db"
[limits]
max_message_bytes = 2048
max_depth = 9
max_items = 3
max_pages = 4
max_catalogue_bytes = 5000
list_timeout_ms = 6
stale_catalogue_ms = 7
hook_ms = 8
record_ms = 9
policy_memory_bytes = 1048576
policy_output_bytes = 1100
[[policy]]
name = "lists"
source = "builtin:allow-deny"
settings = { deny = ["x"], deep = { n = 1, f = 1.5, on = true } }
[[policy]]
name = "mine"
source = "../mine.wasm"
mode = "monitor"
reuse = 50
[policy.grants."wasi:http"]
hosts = ["api.example.com", "http://127.0.0.1:8080"]
timeout_ms = 700
[policy_dir]
path = "/opt/p"
watch = false
[policy_dir.grants.mine."wasi:http"]
hosts = ["a.example.com"]
[audit]
enabled = true
path = "log"
required = false
arguments = true
record = "full"
[server."api.v1"]
command = "npx"
args = ["-y", "srv"]
env = { TOKEN = "t" }
standing = "quarantined"
auto_approve_tool_changes = true
enabled = false
methods = ["acme/thing"]
allow = []
deny = ["a"]
allow_prompts = ["b"]
deny_prompts = ["c"]
allow_resources = ["d"]
deny_resources = ["e"]
[server.bare]
"#,
    )
    .unwrap();
    assert!(!config.notice);
    assert_eq!(
        config.state.as_deref(),
        Some("sqlite:/etc/witgate/state/l.db")
    );
    assert_eq!(config.limits.max_message, 2048);
    assert_eq!(config.limits.max_depth, 9);
    assert_eq!(config.limits.max_items, 3);
    assert_eq!(config.limits.max_pages, 4);
    assert_eq!(config.limits.max_catalogue_bytes, 5000);
    assert_eq!(config.limits.list_timeout, Duration::from_millis(6));
    assert_eq!(config.limits.stale_catalogue, Duration::from_millis(7));
    assert_eq!(config.limits.hook_time, Duration::from_millis(8));
    assert_eq!(config.limits.record_time, Duration::from_millis(9));
    assert_eq!(config.limits.policy_memory, 1 << 20);
    assert_eq!(config.limits.policy_output, 1100);

    let policies = config.policies.unwrap();
    assert_eq!(
        policies[0].source,
        PolicySource::Builtin("allow-deny".to_owned())
    );
    assert_eq!(policies[0].mode, Mode::Enforce);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(policies[0].settings.as_deref().unwrap())
            .unwrap(),
        serde_json::json!({"deny": ["x"], "deep": {"n": 1, "f": 1.5, "on": true}})
    );
    assert_eq!(
        policies[1].source,
        PolicySource::File("/etc/witgate/../mine.wasm".into())
    );
    assert_eq!(policies[1].mode, Mode::Monitor);
    assert_eq!(policies[1].settings, None);
    let granted = policies[1].grants.http.as_ref().unwrap();
    assert_eq!(granted.timeout, Duration::from_millis(700));
    assert_eq!(
        policies[1].grants.words(),
        ["wasi:http to https://api.example.com, http://127.0.0.1:8080"]
    );
    assert_eq!((policies[0].reuse, policies[1].reuse), (1, 50));
    assert!(policies[0].grants.is_empty());

    assert_eq!(config.policy_dir.path, Path::new("/opt/p"));
    assert!(!config.policy_dir.watch);
    assert_eq!(
        config.policy_dir.grants["mine"].words(),
        ["wasi:http to https://a.example.com"]
    );
    assert_eq!(
        config.audit.path.as_deref(),
        Some(Path::new("/etc/witgate/log"))
    );
    assert!(!config.audit.required && config.audit.arguments && config.audit.tape);

    let server = &config.servers["api.v1"];
    assert_eq!(server.command, ["npx", "-y", "srv"]);
    assert_eq!(server.env["TOKEN"], "t");
    assert_eq!(server.standing, Some(Standing::Quarantined));
    assert!(server.auto_approve_tool_changes && !server.enabled);
    assert_eq!(server.methods, ["acme/thing"]);
    assert_eq!(server.lists.allow.as_deref(), Some(&[][..]));
    assert_eq!(server.lists.deny, ["a"]);
    assert_eq!(server.lists.allow_prompts.as_deref().unwrap(), ["b"]);
    assert_eq!(server.lists.deny_prompts, ["c"]);
    assert_eq!(server.lists.allow_resources.as_deref().unwrap(), ["d"]);
    assert_eq!(server.lists.deny_resources, ["e"]);
    assert!(config.servers["bare"].enabled);
}

#[test]
fn lists_by_role_are_read_and_need_a_role() {
    let config = parse(
        "version = 1\n[server.a.roles.dev]\nallow = [\"x\"]\n[server.a.roles.\"o p\"]\n[server.a.no_role]\nallow = []\n",
    )
    .unwrap();
    let server = &config.servers["a"];
    assert_eq!(server.roles["dev"].allow.as_deref().unwrap(), ["x"]);
    assert!(server.roles["o p"].is_empty());
    assert_eq!(server.no_role.as_ref().unwrap().allow, Some(Vec::new()));
    for (text, expected) in [
        (
            "[server.a.roles.dev]\nalow = []",
            "3: unknown key `server.a.roles.dev.alow`: did you mean `allow`?",
        ),
        (
            "[server.a.roles.\"\"]",
            "2: `server.a.roles.\"\"` names no role; write one between the quotes",
        ),
        (
            "[server.a.no_role]\nallow = []",
            "2: `server.a.no_role` stands without `roles`, so that it would hold for everybody; name a role, or write \
             its lists in the server's own section",
        ),
        (
            "[[policy]]\nname = \"q\"\nsource = \"builtin:quarantine\"\n[server.a.roles.dev]\n",
            "5: `server.a` has allow or deny lists, which `builtin:allow-deny` enforces, and no [[policy]] names it; \
             add one, or remove the lists",
        ),
    ] {
        let refusal = refusal(&format!("version = 1\n{text}"));
        assert_eq!(refusal, format!("witgate.toml:{expected}"));
    }
}

#[test]
fn a_named_file_that_is_missing_is_an_error_and_an_unnamed_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("witgate.toml");
    let error = Config::load(Some(&missing)).unwrap_err().to_string();
    assert!(
        error.contains(
            "witgate.toml: the configuration file is missing; name another with --config"
        )
    );
}

/// Whoever can write the configuration decides for the agent.
#[cfg(unix)]
#[test]
fn a_file_that_others_may_write_is_not_believed() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("witgate.toml");
    std::fs::write(&path, "version = 1\n").unwrap();
    let set = |mode| std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
    set(0o644);
    assert!(Config::load(Some(&path)).is_ok());
    for mode in [0o664, 0o646] {
        set(mode);
        let error = Config::load(Some(&path)).unwrap_err().to_string();
        let shown = path.display();
        assert_eq!(
            error,
            format!(
                "{shown}: may be written by others (mode {mode:04o}), so it is not believed; read it, then run `chmod \
                 go-w {shown}`"
            )
        );
    }
}

/// A server's own section only narrows.
#[test]
fn what_servers_may_ask_of_a_client_is_denied_to_all_or_to_one() {
    let config = parse(
        "version = 1\n[client_requests]\nsampling = \"deny\"\nroots = \"allow\"\n\
         [server.a.client_requests]\nsampling = \"allow\"\nelicitation_url = \"deny\"\n\
         [server.b]\nclient_requests = { elicitation = \"deny\", roots = \"deny\" }\n",
    )
    .unwrap();
    let told = |name| {
        let denied = config.denied_requests(name);
        [
            denied.sampling,
            denied.elicitation,
            denied.elicitation_url,
            denied.roots,
        ]
    };
    assert_eq!(told("a"), [true, false, true, false]);
    assert_eq!(told("b"), [true, true, false, true]);
    assert_eq!(told("unnamed"), [true, false, false, false]);
    assert!(parse("version = 1\n").unwrap().client_requests.is_empty());
    assert_eq!(
        refusal("version = 1\n[client_requests]\nroots = \"Deny\"\n"),
        "witgate.toml:3: `client_requests.roots` must be \"allow\" or \"deny\", not the string \"Deny\""
    );
    assert_eq!(
        refusal("version = 1\n[server.a.client_requests]\nelicitation_urls = \"deny\"\n"),
        "witgate.toml:3: unknown key `server.a.client_requests.elicitation_urls`: did you mean `elicitation_url`?"
    );
    assert_eq!(
        refusal("version = 1\n[client_requests]\nsampling = false\n"),
        "witgate.toml:3: `client_requests.sampling` must be a string, not the boolean false"
    );
}
