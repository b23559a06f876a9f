//! The policy author's toolbox: `policy test`, `run`, `bench`, `check`, `inspect`, `new`, `schema`.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Home, Output, golden, hostile, rows};

const CASES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/cases");

/// A component in a home, and commands on it.
struct Author {
    home: Home,
    file: PathBuf,
}

impl Author {
    fn with(component: &[u8]) -> Self {
        let home = Home::new();
        let file = home.path("rule.wasm");
        std::fs::write(&file, component).unwrap();
        Self { home, file }
    }

    fn golden() -> Self {
        Self::with(golden())
    }

    fn put(&self, name: &str, content: &str) -> String {
        let path = self.home.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn policy(&self, command: &str, arguments: &[&str]) -> Output {
        let file = self.file.to_str().unwrap();
        let mut all = vec!["policy", command, file];
        all.extend(arguments);
        self.home.run(&all)
    }

    /// Of one call of a tool with this name.
    fn run_call(&self, name: &str, arguments: &[&str]) -> Output {
        let case = json!({"hook": "call-gate", "call": {"item": {"kind": "tool", "name": name}}});
        let input = self.put("input.json", &case.to_string());
        let mut all = vec!["--input", &input];
        all.extend(arguments);
        self.policy("run", &all)
    }
}

/// The text with the home's path left out, so that it is the same everywhere.
fn told(author: &Author, text: &str) -> String {
    text.replace(author.home.path("").to_str().unwrap(), "HOME/")
}

#[test]
fn cases_that_pass_are_a_line_each() {
    let author = Author::golden();
    let output = author.policy("test", &[CASES]).done();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(
        lines[0].starts_with("ok      ") && lines[0].contains("call-arguments.json  Arguments are"),
        "{lines:#?}"
    );
    assert_eq!(lines.len(), 21, "{lines:#?}");
    assert_eq!(lines[20], "19 passed, 0 failed");
    assert_eq!(output.stderr, "");
}

#[test]
fn a_case_that_fails_shows_what_differs_and_where() {
    let author = Author::golden();
    author.put(
        "cases/1-wrong-code.json",
        r#"{"about": "What is hidden.", "hook": "list-filter",
            "items": [{"kind": "tool", "name": "hide_a"}, {"kind": "tool", "name": "b"}],
            "expect": {"items": [{"deny": {"code": "other"}}, {"deny": {"code": "hidden"}}]}}"#,
    );
    author.put(
        "cases/2-trap.json",
        r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "trap"}}, "expect": {"verdict": "allow"}}"#,
    );
    author.put(
        "cases/3-store.json",
        r#"{"hook": "inventory", "store": {"a": "1"}, "expect": {"store": {"a": "1", "count/server": "2"}}}"#,
    );
    author.put(
        "cases/4-right.json",
        r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "log:seen"}}, "expect": {"verdict": "allow"}}"#,
    );
    let cases = author.home.path("cases");
    let cases = cases.to_str().unwrap();
    let output = author.policy("test", &[cases]).exits(1);
    let text = told(&author, &output.stdout);
    let expected = [
        "FAILED  HOME/cases/1-wrong-code.json  What is hidden.",
        "        items[0].deny.code",
        "          expected  \"other\"",
        "          found     \"hidden\"",
        "        items[1]",
        "          expected  {\"deny\":{\"code\":\"hidden\"}}",
        "          found     \"keep\"",
        "FAILED  HOME/cases/2-trap.json",
        "        verdict",
        "          expected  \"allow\"",
        "          found     {\"failure\":\"trap\"}",
    ];
    assert!(text.starts_with(&expected.join("\n")), "{text}");
    for part in [
        "        it failed: trap: ",
        "        store[\"count/server\"]\n          expected  \"2\"\n          found     \"1\"\n",
        "          expected  nothing\n          found     \"1:fcc068c25cbf6dd3",
        "ok      HOME/cases/4-right.json\n\n1 passed, 3 failed\n",
    ] {
        assert!(text.contains(part), "no {part:?} in\n{text}");
    }
    assert_eq!(output.stderr, "");
}

#[test]
fn machines_get_every_case_with_what_was_found() {
    let author = Author::golden();
    author.put(
        "cases/a.json",
        r#"{"about": "x", "hook": "call-gate", "call": {"item": {"kind": "tool", "name": "deny"}}, "expect": {"verdict": "allow"}}"#,
    );
    let cases = author.home.path("cases");
    let output = author
        .policy("test", &[cases.to_str().unwrap(), "--json"])
        .exits(1);
    let mut tested = output.json();
    assert_eq!(
        (&tested["passed"], &tested["failed"]),
        (&json!(0), &json!(1))
    );
    let case = tested["cases"][0].as_object_mut().unwrap();
    assert!(case.remove("micros").unwrap().as_f64().unwrap() > 0.0);
    let denial =
        json!({"deny": {"code": "denied", "reason": "Told to deny", "remedy": null, "labels": {}}});
    let file = cases.join("a.json");
    let expected = json!({
        "file": file.to_str().unwrap(), "about": "x", "hook": "call-gate", "ok": false,
        "found": {"verdict": denial},
        "differences": [{"path": "verdict", "expected": "allow", "found": denial}],
        "trouble": null, "log": [],
    });
    assert_eq!(Value::Object(case.clone()), expected);
}

#[test]
fn settings_and_filter_choose_what_is_run() {
    let author = Author::golden();
    let settings = author.put("given.toml", "suffix = \"!\"\n");
    // What lies beside the component has no part in it.
    author.put("rule.toml", "[settings]\nsuffix = \"?\"\n");
    let case = |suffix: &str| {
        format!(
            r#"{{"about": "with {suffix}", "hook": "call-gate", "call": {{"item": {{"kind": "tool", "name": "deny"}}}},
                "expect": {{"verdict": {{"deny": {{"reason": "Told to deny{suffix}"}}}}}}}}"#
        )
    };
    author.put("cases/bare.json", &case(""));
    author.put("cases/marked.json", &case("!"));
    let cases = author.home.path("cases");
    let cases = cases.to_str().unwrap();
    author
        .policy("test", &[cases])
        .exits(1)
        .says(&["1 passed, 1 failed"]);
    author
        .policy(
            "test",
            &[cases, "--settings", &settings, "--filter", "marked.json"],
        )
        .done()
        .says(&["1 passed, 0 failed"]);
    author
        .policy("test", &[cases, "--filter", "with !"])
        .exits(1)
        .says(&["0 passed, 1 failed"]);
    author
        .policy("test", &[cases, "--filter", "nothing"])
        .exits(2)
        .says(&["no case has \"nothing\"", "--filter"]);
}

#[test]
fn a_file_that_is_no_case_is_told_before_anything_runs() {
    let author = Author::golden();
    author.put("cases/good.json", r#"{"hook": "settings", "expect": {}}"#);
    author.put(
        "cases/key.json",
        "{\n  \"hook\": \"call-gate\",\n  \"expct\": {}\n}",
    );
    author.put("cases/syntax.json", "{\n  \"hook\": \n}");
    let cases = author.home.path("cases");
    let output = author.policy("test", &[cases.to_str().unwrap()]).exits(2);
    assert_eq!(output.stdout, "");
    let output = output.says(&[
        "key.json:1:1: the case needs `call`",
        "syntax.json:3:1: not JSON: expected value",
    ]);
    assert!(!output.stderr.contains("good.json"), "{}", output.stderr);

    let silent = author.put("silent.json", r#"{"hook": "settings"}"#);
    author
        .policy("test", &[&silent])
        .exits(2)
        .says(&["silent.json:1:1", "needs `expect`"]);
    let empty = author.home.path("none");
    std::fs::create_dir(&empty).unwrap();
    let empty = empty.to_str().unwrap();
    author
        .policy("test", &[empty])
        .exits(2)
        .says(&["holds no case", "schema case"]);
    author
        .policy("test", &["/absent/cases"])
        .exits(2)
        .says(&["/absent/cases"]);
    let told = author.policy("test", &[empty, "--json"]).exits(2).json();
    assert_eq!(told["error"]["code"], "cases");
}

#[test]
fn a_component_that_no_gate_would_take_is_told() {
    for (component, word) in [
        (b"text".to_vec(), "no WebAssembly component"),
        (b"\0asm\x01\0\0\0".to_vec(), "core WebAssembly module"),
    ] {
        let author = Author::with(&component);
        author
            .policy("test", &[CASES])
            .exits(1)
            .says(&["rule.wasm", word]);
        author
            .run_call("read", &[])
            .exits(1)
            .says(&["rule.wasm", word]);
        author
            .policy("bench", &[])
            .exits(1)
            .says(&["rule.wasm", word]);
        author
            .policy("check", &[])
            .exits(1)
            .says(&["rule.wasm", word]);
    }
}

#[test]
fn a_run_shows_all_that_can_be_seen() {
    let author = Author::golden();
    author
        .home
        .configure("version = 1\n[limits]\nhook_ms = 4000\n");
    let output = author.run_call("deny", &[]).done();
    let keys: Vec<_> = output
        .stdout
        .lines()
        .filter(|line| !line.starts_with(' '))
        .map(|line| line.split("  ").next().unwrap())
        .collect();
    assert_eq!(keys, ["hook", "verdict", "time", "memory", "kept", "log"]);
    output.says(&[
        "hook       call-gate\nverdict    {\n             \"deny\": {\n",
        "\"reason\": \"Told to deny\"",
        " of 4000 ms (hook_ms)",
        " of 67,108,864 (policy_memory_bytes)",
        "kept       yes",
        "log        nothing",
    ]);
    author
        .run_call("clock", &[])
        .done()
        .says(&["kept       no: it asked the clock"]);
    author
        .run_call("log:one", &[])
        .done()
        .says(&["log        info: one"]);
}

#[test]
fn a_run_shows_changes_and_takes_its_input_from_a_pipe() {
    let author = Author::golden();
    let mut child = author
        .home
        .command()
        .args(["policy", "run", author.file.to_str().unwrap()])
        .args(["--hook", "inventory", "--input", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input
        .write_all(br#"{"store": {"count/server": "4"}}"#)
        .unwrap();
    drop(input);
    let output = Output::new(&["policy", "run"], &child.wait_with_output().unwrap()).done();
    output.says(&[
        "changes    2\n           \"count/server\" = \"5\"\n",
        "(record_ms)",
    ]);
}

#[test]
fn machines_get_a_run_with_its_limits() {
    let author = Author::golden();
    let ran = author.run_call("log:one", &["--json"]).done().json();
    assert_eq!(ran["found"], json!({"verdict": "allow"}));
    assert_eq!(
        (&ran["hook"], &ran["cacheable"]),
        (&json!("call-gate"), &json!(true))
    );
    assert_eq!(ran["log"], json!([{"level": "info", "text": "one"}]));
    assert_eq!(
        (&ran["trouble"], &ran["changes"]),
        (&Value::Null, &Value::Null)
    );
    assert!(ran["memory"].as_u64().unwrap() >= 65_536);
    assert!(ran["micros"].as_f64().unwrap() > 0.0);
    assert_eq!(ran["limits"]["policy_memory_bytes"], 67_108_864);
}

/// A hook that fails denies; its author must see in which way, and that the command knows.
#[test]
fn a_run_that_fails_says_how() {
    for (component, how) in [
        (hostile::spin(), "timeout"),
        (hostile::allocate(), "out-of-memory"),
        (hostile::trap(), "trap"),
        (hostile::bad_code(), "bad-output"),
    ] {
        let author = Author::with(&component);
        author
            .home
            .configure("version = 1\n[limits]\nhook_ms = 100\n");
        let ran = author.run_call("read", &["--json"]).exits(1).json();
        assert_eq!(
            ran["found"],
            json!({"verdict": {"failure": how}}),
            "{ran:#}"
        );
        assert_eq!(ran["cacheable"], Value::Null);
        let failed = format!("failed     {how}: ");
        author.run_call("read", &[]).exits(1).says(&[&failed]);
        // A case can expect it.
        let case = json!({"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "read"}},
            "expect": {"verdict": {"failure": how}}});
        let case = author.put("case.json", &case.to_string());
        author.policy("test", &[&case]).done();
    }
}

/// What a policy writes must not reach the terminal as it is.
#[test]
fn a_hostile_log_is_escaped_and_bounded() {
    let author = Author::with(&hostile::logs());
    let output = author.run_call("read", &[]).done();
    assert!(!output.stdout.contains('\u{1b}'), "{:?}", output.stdout);
    output.says(&["log        info: hi\\u{1b}[2Jx\n", "68 more were dropped"]);
    let author = Author::with(&hostile::denies("\u{1b}[2J\u{202e}"));
    let output = author.run_call("read", &[]).done();
    assert!(
        !output.stdout.contains(['\u{1b}', '\u{202e}']),
        "{:?}",
        output.stdout
    );
}

#[test]
fn wrong_inputs_of_a_run_are_unusable_arguments() {
    let author = Author::golden();
    let input = author.put(
        "input.json",
        r#"{"call": {"item": {"kind": "tool", "name": "a"}}}"#,
    );
    author
        .policy("run", &["--input", &input])
        .exits(2)
        .says(&["input.json:1:1", "needs `hook`"]);
    author
        .policy("run", &["--input", &input, "--hook", "call-gate"])
        .done();
    author
        .policy("run", &["--input", &input, "--hook", "call"])
        .exits(2)
        .says(&["call-gate"]);
    author
        .policy("run", &["--input", "/absent.json"])
        .exits(2)
        .says(&["/absent.json"]);
    author.policy("run", &[]).exits(2).says(&["--input"]);
    let filter = Author::with(&hostile::filter(8192, 0));
    filter
        .run_call("a", &[])
        .exits(1)
        .says(&["does not export the hook"]);
}

#[test]
fn a_bench_has_figures_of_every_hook() {
    let author = Author::golden();
    let bench = author
        .policy("bench", &["--seconds", "1", "--json"])
        .done()
        .json();
    let found: Vec<_> = bench["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            (
                row["hook"].as_str().unwrap(),
                row["input"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("inventory", "100 tools"),
            ("list-filter", "10 tools"),
            ("list-filter", "100 tools"),
            ("list-filter", "1000 tools"),
            ("call-gate", "a call"),
            ("result-gate", "a result of 2 KB"),
            ("client-request-gate", "an elicitation"),
            ("discovery-surface", "10 withheld"),
            ("review-entries", "an empty store"),
            ("review-decide", "an unknown entry"),
        ]
    );
    for row in rows(bench["rows"].clone()) {
        for kind in ["ready", "cold"] {
            let figure = |key: &str| row[kind][key].as_f64().unwrap();
            assert!(
                figure("p50_us") > 0.0 && figure("p99_us") >= figure("p50_us"),
                "{row:#}"
            );
            assert!(figure("runs") >= 10.0, "{row:#}");
        }
    }
    assert!(bench["instances_per_second"].as_f64().unwrap() > 0.0);
    assert!(["debug", "release"].contains(&bench["build"].as_str().unwrap()));
    assert_eq!(bench["limits"]["hook_ms"], 500);
}

#[test]
fn a_bench_can_be_of_one_hook_or_of_cases() {
    let author = Author::golden();
    let output = author
        .policy("bench", &["--seconds", "1", "--hook", "call-gate"])
        .done();
    let lines: Vec<_> = output.stdout.lines().collect();
    assert!(
        lines[3].starts_with("HOOK ") && lines[3].ends_with("P99"),
        "{lines:#?}"
    );
    assert!(lines[4].starts_with("call-gate  a call"), "{lines:#?}");
    assert!(lines[5].is_empty(), "{lines:#?}");
    output.says(&["instances a second", "hook_ms 500"]);
    let list = format!("{CASES}/list.json");
    author
        .policy("bench", &["--seconds", "1", "--cases", &list])
        .done()
        .says(&["list-filter", "list.json"]);
    author
        .policy(
            "bench",
            &["--seconds", "1", "--cases", &list, "--hook", "call-gate"],
        )
        .exits(2)
        .says(&["no hook that this asks for"]);
    author
        .policy("bench", &["--seconds", "0"])
        .exits(2)
        .says(&["--seconds"]);
    let spins = Author::with(&hostile::spin());
    spins
        .home
        .configure("version = 1\n[limits]\nhook_ms = 50\n");
    spins
        .policy("bench", &["--seconds", "1"])
        .exits(1)
        .says(&["failed: timeout"]);
}

#[test]
fn a_check_says_what_it_costs_and_runs_cases() {
    let author = Author::golden();
    author.put("rule.toml", "[settings]\nsuffix = \"!\"\n");
    let first = author.policy("check", &[]).done();
    first.says(&[
        "contract  witgate:policy 0.1.",
        "made with wit-component ",
        "rule.toml\n",
        "limits    hook_ms 500, record_ms 5000, policy_memory_bytes 67,108,864",
        "compiled  ",
        " bytes once configured\nIt loads, and takes its settings.\n",
    ]);
    let check = author
        .policy("check", &["--cases", CASES, "--json"])
        .done()
        .json();
    assert_eq!(
        (&check["ok"], &check["cases"]["passed"]),
        (&json!(true), &json!(19))
    );
    assert_eq!(check["loaded"]["cached"], true);
    assert!(check["loaded"]["memory"].as_u64().unwrap() >= 65_536);
    let wrong = author.put(
        "wrong.json",
        r#"{"hook": "call-gate", "call": {"item": {"kind": "tool", "name": "a"}}, "expect": {"verdict": {"hold": {}}}}"#,
    );
    author
        .policy("check", &["--cases", &wrong])
        .exits(1)
        .says(&["It loads", "0 passed, 1 failed"]);
    author.put("rule.toml", "[settings]\nrefuse = \"so\"\n");
    let refused = author.policy("check", &["--json"]).exits(1).json();
    assert_eq!(refused["ok"], false);
    assert!(
        refused["problem"]
            .as_str()
            .unwrap()
            .contains("told to refuse: so")
    );
}

/// `reuse` is for guests that keep nothing; one that does must be found out before it is in force.
#[test]
fn a_check_compares_instances_that_serve_again_with_new_ones() {
    let author = Author::golden();
    author.put("rule.toml", "reuse = 8\n");
    author.policy("check", &[]).done().says(&[
        "reuse     8 messages an instance; on 10 inputs it answers as a new one does\nIt loads",
    ]);
    let author = Author::with(&hostile::remembers());
    author.policy("check", &[]).done();
    author.put("rule.toml", "reuse = 8\n");
    author.policy("check", &[]).exits(1).says(&[
        "it does not answer as a new one does",
        "on call-gate of a call\n            new   {\"verdict\":\"allow\"}\n            used  {\"verdict\":{\"failure\":\"trap\"}}",
    ]);
    let check = author.policy("check", &["--json"]).exits(1).json();
    assert_eq!(
        (&check["ok"], &check["reuse"]["messages"]),
        (&json!(false), &json!(8))
    );
    assert_eq!(
        check["reuse"]["otherwise"][0]["input"],
        "call-gate of a call"
    );
}

#[test]
fn an_inspection_runs_nothing() {
    let author = Author::with(&hostile::spin_in_start());
    let output = author.policy("inspect", &[]).done();
    output.says(&[
        "hooks     call-gate\n",
        "imports   witgate:policy/types@0.1.0\n",
        "export    witgate:policy/call-gate@0.1.0\n",
    ]);
    let author = Author::golden();
    let inspected = author.policy("inspect", &["--json"]).done().json();
    let made = rows(inspected["producers"].clone());
    assert!(
        made.iter()
            .any(|made| made["field"] == "processed-by" && made["name"] == "wit-component"),
        "{made:?}"
    );
}

#[test]
fn an_inspection_shows_the_settings_that_the_author_described() {
    let author = Author::golden();
    let inspected = author.policy("inspect", &["--json"]).done().json();
    assert_eq!(inspected["settings_schema"], Value::Null);
    let schema = json!({
        "properties": {
            "folder": {"type": "string", "description": "The only folder"},
            "also\u{1b}[2J": {"enum": [1]},
        },
        "required": ["folder"],
    });
    author.put("rule.schema.json", &schema.to_string());
    let output = author.policy("inspect", &[]).done();
    assert!(!output.stdout.contains('\u{1b}'), "{:?}", output.stdout);
    output.says(&[
        "setting   folder (string, required)  The only folder\n",
        "[2J (any)\n",
    ]);
    let inspected = author.policy("inspect", &["--json"]).done().json();
    assert_eq!(inspected["settings_schema"], schema);
    for wrong in ["[]", "{"] {
        author.put("rule.schema.json", wrong);
        author
            .policy("inspect", &[])
            .exits(1)
            .says(&["rule.schema.json"]);
    }
}

#[test]
fn schemas_are_printed() {
    let home = Home::new();
    for (of, key) in [("case", "hook"), ("sidecar", "mode")] {
        for extra in [&[][..], &["--json"]] {
            let mut arguments = vec!["policy", "schema", of];
            arguments.extend(extra);
            let schema = home.run(&arguments).done().json();
            assert_eq!(
                schema["$schema"],
                "https://json-schema.org/draft/2020-12/schema"
            );
            assert!(schema["properties"][key].is_object());
        }
    }
    home.run(&["policy", "schema", "other"])
        .exits(2)
        .says(&["case", "sidecar"]);
}

#[test]
fn a_project_is_made_for_every_language_that_help_names() {
    let home = Home::new();
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates/policy");
    let dir = home.path("projects");
    let mut languages = Vec::new();
    for entry in std::fs::read_dir(templates).unwrap() {
        let entry = entry.unwrap();
        if entry.path().is_dir() {
            languages.push(entry.file_name().into_string().unwrap());
        }
    }
    for language in &languages {
        let name = format!("rule-{language}");
        let arguments = [
            "policy",
            "new",
            &name,
            "--lang",
            language,
            "--dir",
            dir.to_str().unwrap(),
        ];
        home.run(&arguments).done().says(&["Next:", &name]);
        assert!(dir.join(&name).join("wit/types.wit").exists());
        home.run(&arguments).exits(1).says(&["is not empty"]);
        let bad = ["policy", "new", "10-team", "--lang", language];
        home.run(&bad).exits(2).says(&["beginning with a letter"]);
    }
    let output = home
        .run(&["policy", "new", "rule", "--lang", "cobol"])
        .exits(2);
    for language in &languages {
        assert!(
            output.stderr.contains(language.as_str()),
            "{}",
            output.stderr
        );
    }
}
