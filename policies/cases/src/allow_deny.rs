//! Cases of `allow-deny`.

use witgate_policy::testing::{context, item, tool_call};
use witgate_policy::{Call, ItemKind, Verdict};

use crate::{Subject, digest};

/// Every case.
pub fn all<S: Subject>() {
    without_lists_all_is_admitted::<S>();
    f1_an_exact_denial_hides_that_name_only::<S>();
    f2_a_call_in_other_case_is_refused::<S>();
    f3_deny_wins_over_allow::<S>();
    f4_a_glob_hides_all_it_matches::<S>();
    f9_a_denied_resource_is_refused_by_every_method::<S>();
    f10_other_spellings_of_a_denied_name_are_caught::<S>();
    f14_every_source_must_admit::<S>();
    f17_what_a_template_reaches_is_judged_by_its_uri::<S>();
    an_allow_list_admits_no_lookalikes::<S>();
    an_allowed_uri_is_that_spelling_only::<S>();
    a_uri_is_judged_as_every_server_may_read_it::<S>();
    kinds_have_lists_of_their_own::<S>();
    lists_by_server_concern_that_server::<S>();
    a_role_narrows_what_the_plain_lists_admit::<S>();
    several_roles_allow_together_and_deny_alone::<S>();
    a_role_without_an_allow_list_allows_all::<S>();
    lists_by_server_and_role_concern_both::<S>();
    callers_without_a_named_role_get_what_is_said_of_them::<S>();
    roles_of_one_source_do_not_widen_another::<S>();
    roles_are_compared_exactly::<S>();
    calls_are_judged_by_role_too::<S>();
    the_self_description_is_nobodys_list::<S>();
    wrong_settings_are_refused::<S>();
}

const TOOLS: [&str; 4] = ["read_file", "delete_repo", "Delete_Repo2", "write"];

fn policy<S: Subject>(settings: &str) -> S {
    S::new(settings).expect("the settings are right")
}

/// Which of the names of a kind are kept at a server.
fn kept<'a, S: Subject>(
    policy: &S,
    server: &str,
    kind: &ItemKind,
    names: &[&'a str],
) -> Vec<&'a str> {
    let items: Vec<_> = names
        .iter()
        .map(|name| item(kind.clone(), name, &digest(name)))
        .collect();
    let verdicts = policy.filter(&context(server), &items);
    assert_eq!(verdicts.len(), names.len());
    for denial in verdicts.iter().flatten() {
        assert_eq!(denial.code, "denied_by_operator");
        assert_eq!(denial.remedy, None);
    }
    let kept = names
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| verdict.is_none());
    kept.map(|(name, _)| *name).collect()
}

fn tools<'a, S: Subject>(settings: &str, names: &[&'a str]) -> Vec<&'a str> {
    kept(&policy::<S>(settings), "s", &ItemKind::Tool, names)
}

fn resources<'a, S: Subject>(settings: &str, names: &[&'a str]) -> Vec<&'a str> {
    kept(&policy::<S>(settings), "s", &ItemKind::ResourceItem, names)
}

/// Whether a call is allowed.
fn allowed<S: Subject>(settings: &str, call: &Call) -> bool {
    match policy::<S>(settings).check(&context("s"), call) {
        Verdict::Allow => true,
        Verdict::Deny(denial) => {
            assert_eq!(denial.code, "denied_by_operator");
            false
        }
        other => panic!("{other:?}"),
    }
}

fn without_lists_all_is_admitted<S: Subject>() {
    for settings in ["", "null", "{}"] {
        assert_eq!(tools::<S>(settings, &TOOLS), TOOLS);
    }
    assert!(allowed::<S>("{}", &tool_call("write", "{}")));
}

fn f1_an_exact_denial_hides_that_name_only<S: Subject>() {
    let kept = tools::<S>(r#"{"deny":["delete_repo"]}"#, &TOOLS);
    assert_eq!(kept, ["read_file", "Delete_Repo2", "write"]);
}

fn f2_a_call_in_other_case_is_refused<S: Subject>() {
    let settings = r#"{"deny":["delete_repo"]}"#;
    assert!(!allowed::<S>(settings, &tool_call("DELETE_REPO", "{}")));
    assert!(allowed::<S>(settings, &tool_call("delete_repo2", "{}")));
}

fn f3_deny_wins_over_allow<S: Subject>() {
    let settings = r#"{"allow":["delete_repo2","read_file"],"deny":["READ_FILE"]}"#;
    assert_eq!(tools::<S>(settings, &TOOLS), ["Delete_Repo2"]);
}

fn f4_a_glob_hides_all_it_matches<S: Subject>() {
    assert_eq!(
        tools::<S>(r#"{"deny":["delete_*"]}"#, &TOOLS),
        ["read_file", "write"]
    );
    assert_eq!(
        tools::<S>(r#"{"deny":["?rite","*FILE"]}"#, &TOOLS),
        ["delete_repo", "Delete_Repo2"]
    );
    assert_eq!(tools::<S>(r#"{"deny":["*"]}"#, &TOOLS), [""; 0]);
}

fn f9_a_denied_resource_is_refused_by_every_method<S: Subject>() {
    for method in [
        "resources/read",
        "resources/subscribe",
        "completion/complete",
    ] {
        let call = |name: &str| Call {
            method: method.to_owned(),
            item: item(ItemKind::ResourceItem, name, ""),
            target: None,
            arguments: None,
            labels: Vec::new(),
        };
        let settings = r#"{"deny_resources":["file:///a"]}"#;
        assert!(!allowed::<S>(settings, &call("file:///a")), "{method}");
        assert!(allowed::<S>(settings, &call("file:///b")), "{method}");
    }
}

fn f10_other_spellings_of_a_denied_name_are_caught<S: Subject>() {
    let spellings = [
        " delete_repo",
        "delete_repo\u{a0}",
        "DELETE_REPO",
        "delete\u{200b}_repo",
        "\u{202e}delete_repo",
        "\u{ff24}\u{ff25}lete_repo",
        "delete_rep\u{ff4f}",
        "dele\u{ad}te_repo",
    ];
    for entry in ["delete_repo", "Delete_Repo", " delete_repo ", "delete_*"] {
        let settings = format!(r#"{{"deny":["{entry}"]}}"#);
        assert_eq!(tools::<S>(&settings, &spellings), [""; 0], "{entry}");
    }
    for spelling in spellings {
        assert!(!allowed::<S>(
            r#"{"deny":["delete_repo"]}"#,
            &tool_call(spelling, "{}")
        ));
    }
}

fn f14_every_source_must_admit<S: Subject>() {
    let names = ["a", "b", "c"];
    let both = r#"{"allow":["a","b"],"sources":[{"allow":["b","c"]}]}"#;
    assert_eq!(tools::<S>(both, &names), ["b"]);
    assert_eq!(tools::<S>(r#"{"allow":[]}"#, &names), [""; 0]);
    assert_eq!(
        tools::<S>(r#"{"allow":[],"sources":[{"allow":["a"]}]}"#, &names),
        [""; 0]
    );
    assert_eq!(
        tools::<S>(r#"{"allow":["a"],"sources":[{"allow":[]}]}"#, &names),
        [""; 0]
    );
    let third = r#"{"sources":[{},{"servers":{"s":{"deny":["a"]}}},{"deny":["b"]}]}"#;
    assert_eq!(tools::<S>(third, &names), ["c"]);
}

fn f17_what_a_template_reaches_is_judged_by_its_uri<S: Subject>() {
    let call = |uri: &str| Call {
        method: "resources/read".to_owned(),
        item: item(
            ItemKind::ResourceTemplate,
            "file:///{path}",
            &digest("template"),
        ),
        target: Some(uri.to_owned()),
        arguments: None,
        labels: Vec::new(),
    };
    for entry in [
        "file:///a",
        "file:///%61",
        "FILE:///b/../a",
        "file:///?",
        "*/a",
    ] {
        let settings = format!(r#"{{"deny_resources":["{entry}"]}}"#);
        assert!(!allowed::<S>(&settings, &call("file:///a")), "{entry}");
        assert!(allowed::<S>(&settings, &call("file:///b/c")), "{entry}");
    }
    let allow = r#"{"allow_resources":["file:///pub/*"]}"#;
    let template = [("file:///{path}"), ("file:///pub/{name}")];
    let kept = kept(
        &policy::<S>(allow),
        "s",
        &ItemKind::ResourceTemplate,
        &template,
    );
    assert_eq!(kept, ["file:///pub/{name}"]);
    let call = |uri: &str| Call {
        item: item(
            ItemKind::ResourceTemplate,
            "file:///pub/{name}",
            &digest("template"),
        ),
        ..call(uri)
    };
    assert!(allowed::<S>(allow, &call("file:///pub/x")));
    assert!(!allowed::<S>(allow, &call("file:///secret")));
}

fn an_allow_list_admits_no_lookalikes<S: Subject>() {
    let names = [
        "read",
        "READ",
        " read",
        "re\u{200b}ad",
        "\u{ff52}ead",
        "read ",
    ];
    assert_eq!(
        tools::<S>(r#"{"allow":["read"]}"#, &names),
        ["read", "READ"]
    );
    assert_eq!(tools::<S>(r#"{"allow":["*"]}"#, &names), ["read", "READ"]);
    // Without an allow list nobody said which names are meant, so an odd one is no lookalike.
    assert_eq!(tools::<S>(r#"{"deny":["write"]}"#, &names), names);
}

fn an_allowed_uri_is_that_spelling_only<S: Subject>() {
    let uris = ["file:///a", "file:///A"];
    assert_eq!(
        resources::<S>(r#"{"allow_resources":["file:///a"]}"#, &uris),
        ["file:///a"]
    );
    assert_eq!(
        resources::<S>(r#"{"allow_resources":["FILE:///%61"]}"#, &uris),
        ["file:///a"]
    );
    assert_eq!(
        resources::<S>(r#"{"deny_resources":["file:///a"]}"#, &uris),
        [""; 0]
    );
    let encoded = ["file:///%C3%A4"];
    assert_eq!(
        resources::<S>(r#"{"allow_resources":["file:///ä"]}"#, &encoded),
        encoded
    );
}

/// A server that decodes a slash before it splits the path reads these as what is denied, or as outside of what is
/// allowed.
fn a_uri_is_judged_as_every_server_may_read_it<S: Subject>() {
    let uris = [
        "file:///secret%2Fkey",
        "file:////secret/key",
        "file:///public/..%2Fsecret%2Fkey",
        "file:///public/a",
    ];
    assert_eq!(
        resources::<S>(r#"{"deny_resources":["file:///secret/*"]}"#, &uris),
        ["file:///public/a"]
    );
    assert_eq!(
        resources::<S>(r#"{"allow_resources":["file:///public/*"]}"#, &uris),
        ["file:///public/a"]
    );
}

fn kinds_have_lists_of_their_own<S: Subject>() {
    let settings = r#"{"allow":[],"deny_prompts":["p"],"allow_resources":["file:///a"]}"#;
    let policy = policy::<S>(settings);
    assert_eq!(kept(&policy, "s", &ItemKind::Tool, &["p"]), [""; 0]);
    assert_eq!(kept(&policy, "s", &ItemKind::Prompt, &["p", "q"]), ["q"]);
    assert_eq!(
        kept(&policy, "s", &ItemKind::ResourceItem, &["file:///a", "p"]),
        ["file:///a"]
    );
}

fn lists_by_server_concern_that_server<S: Subject>() {
    let policy = policy::<S>(r#"{"deny":["x"],"servers":{"one":{"allow":["a","x"]}}}"#);
    let names = ["a", "b", "x"];
    assert_eq!(kept(&policy, "one", &ItemKind::Tool, &names), ["a"]);
    assert_eq!(kept(&policy, "two", &ItemKind::Tool, &names), ["a", "b"]);
}

/// The tools that a caller with these roles sees at a server.
fn tools_of<'a, S: Subject>(
    policy: &S,
    server: &str,
    roles: &[&str],
    names: &[&'a str],
) -> Vec<&'a str> {
    let mut context = context(server);
    context.caller.roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let items: Vec<_> = names
        .iter()
        .map(|name| item(ItemKind::Tool, name, &digest(name)))
        .collect();
    let verdicts = policy.filter(&context, &items);
    let kept = names.iter().zip(verdicts).filter(|(_, v)| v.is_none());
    kept.map(|(name, _)| *name).collect()
}

fn a_role_narrows_what_the_plain_lists_admit<S: Subject>() {
    let policy = policy::<S>(
        r#"{"allow":["a","b","c"],"deny":["c"],"roles":{"dev":{"allow":["b","c","d"]},"ops":{"deny":["a"]}}}"#,
    );
    let names = ["a", "b", "c", "d"];
    assert_eq!(tools_of(&policy, "s", &[], &names), ["a", "b"]);
    assert_eq!(tools_of(&policy, "s", &["other"], &names), ["a", "b"]);
    assert_eq!(tools_of(&policy, "s", &["dev"], &names), ["b"]);
    assert_eq!(tools_of(&policy, "s", &["ops"], &names), ["b"]);
    assert_eq!(tools_of(&policy, "s", &["dev", "other"], &names), ["b"]);
}

fn several_roles_allow_together_and_deny_alone<S: Subject>() {
    let policy = policy::<S>(
        r#"{"roles":{"r":{"allow":["read*"]},"w":{"allow":["write*"],"deny":["*_all"]},"none":{"allow":[]}}}"#,
    );
    let names = ["read", "read_all", "write", "write_all", "other"];
    let seen = |roles: &[&str]| tools_of(&policy, "s", roles, &names);
    assert_eq!(seen(&["r"]), ["read", "read_all"]);
    assert_eq!(seen(&["w"]), ["write"]);
    assert_eq!(seen(&["r", "w"]), ["read", "write"]);
    assert_eq!(seen(&["none"]), [""; 0]);
    assert_eq!(seen(&["none", "r"]), ["read", "read_all"]);
}

fn a_role_without_an_allow_list_allows_all<S: Subject>() {
    let policy = policy::<S>(r#"{"deny":["x"],"roles":{"dev":{"allow":["a"]},"admin":{}}}"#);
    let names = ["a", "b", "x"];
    assert_eq!(tools_of(&policy, "s", &["dev"], &names), ["a"]);
    assert_eq!(tools_of(&policy, "s", &["admin"], &names), ["a", "b"]);
    assert_eq!(
        tools_of(&policy, "s", &["dev", "admin"], &names),
        ["a", "b"]
    );
}

fn lists_by_server_and_role_concern_both<S: Subject>() {
    let policy = policy::<S>(
        r#"{"roles":{"dev":{"deny":["x"],"servers":{"one":{"allow":["a","x"]}}},"ops":{"allow":["b"]}}}"#,
    );
    let names = ["a", "b", "x"];
    assert_eq!(tools_of(&policy, "one", &["dev"], &names), ["a"]);
    assert_eq!(tools_of(&policy, "two", &["dev"], &names), ["a", "b"]);
    assert_eq!(
        tools_of(&policy, "one", &["dev", "ops"], &names),
        ["a", "b"]
    );
    assert_eq!(tools_of(&policy, "one", &[], &names), names);
}

fn callers_without_a_named_role_get_what_is_said_of_them<S: Subject>() {
    let policy = policy::<S>(
        r#"{"deny":["x"],"roles":{"dev":{}},"no_role":{"allow":["a","x"],"servers":{"shut":{"allow":[]}}}}"#,
    );
    let names = ["a", "b", "x"];
    for roles in [&[][..], &["other"], &["dev2"]] {
        assert_eq!(tools_of(&policy, "s", roles, &names), ["a"]);
        assert_eq!(tools_of(&policy, "shut", roles, &names), [""; 0]);
    }
    for roles in [&["dev"][..], &["other", "dev"]] {
        assert_eq!(tools_of(&policy, "shut", roles, &names), ["a", "b"]);
    }
}

fn roles_of_one_source_do_not_widen_another<S: Subject>() {
    let policy = policy::<S>(
        r#"{"allow":["a"],"roles":{"dev":{}},"sources":[{"roles":{"dev":{"allow":["a","b"]},"ops":{"allow":["b"]}}}]}"#,
    );
    let names = ["a", "b", "c"];
    assert_eq!(tools_of(&policy, "s", &["dev"], &names), ["a"]);
    assert_eq!(tools_of(&policy, "s", &["ops"], &names), [""; 0]);
    assert_eq!(tools_of(&policy, "s", &[], &names), ["a"]);
}

/// Who gives roles spells them as he means them; a lookalike is another role.
fn roles_are_compared_exactly<S: Subject>() {
    let policy = policy::<S>(r#"{"roles":{"dev":{}},"no_role":{"allow":[]}}"#);
    for other in ["Dev", "dev ", "\u{200b}dev", "de*", ""] {
        assert_eq!(tools_of(&policy, "s", &[other], &["a"]), [""; 0], "{other}");
    }
    assert_eq!(tools_of(&policy, "s", &["dev"], &["a"]), ["a"]);
}

/// A URI that a template reaches was in no list, so the call is where a role's lists meet it.
fn calls_are_judged_by_role_too<S: Subject>() {
    let policy =
        policy::<S>(r#"{"roles":{"dev":{"allow_resources":["file:///pub/*","file:///{path}"]}}}"#);
    let allowed = |roles: &[&str], uri: &str| {
        let mut context = context("s");
        context.caller.roles = roles.iter().map(|role| (*role).to_owned()).collect();
        let call = Call {
            method: "resources/read".to_owned(),
            item: item(ItemKind::ResourceTemplate, "file:///{path}", &digest("t")),
            target: Some(uri.to_owned()),
            arguments: None,
            labels: Vec::new(),
        };
        policy.check(&context, &call) == Verdict::Allow
    };
    assert!(allowed(&["dev"], "file:///pub/a"));
    assert!(!allowed(&["dev"], "file:///secret"));
    assert!(allowed(&[], "file:///secret"));
}

fn the_self_description_is_nobodys_list<S: Subject>() {
    let settings = r#"{"allow":[],"allow_prompts":[],"allow_resources":[],"deny":["*"]}"#;
    assert_eq!(
        kept(
            &policy::<S>(settings),
            "s",
            &ItemKind::SelfDescription,
            &[""]
        ),
        [""]
    );
}

fn wrong_settings_are_refused<S: Subject>() {
    for (settings, named) in [
        (r#"{"alow":["a"]}"#, "alow"),
        (r#"{"allow":"a"}"#, "allow"),
        (r#"{"servers":{"s":{"denny":[]}}}"#, "denny"),
        (
            r#"{"sources":[{"deny":["a","\u200b"]}]}"#,
            "sources[0].deny[1]",
        ),
        (r#"{"servers":{"s":{"allow":[""]}}}"#, "servers.s.allow[0]"),
        (r#"{"roles":{"dev":{"alow":["a"]}}}"#, "alow"),
        (
            r#"{"roles":{"dev":{"deny":["a",""]}}}"#,
            "roles.dev.deny[1]",
        ),
        (
            r#"{"sources":[{"roles":{"d":{"servers":{"s":{"allow":[" "]}}}}}]}"#,
            "sources[0].roles.d.servers.s.allow[0]",
        ),
        (r#"{"no_role":{"allow":[]}}"#, "no_role"),
        (
            r#"{"roles":{"d":{}},"no_role":{"allow":[""]}}"#,
            "no_role.allow[0]",
        ),
        ("[1,2", "settings"),
    ] {
        let error = S::new(settings).err().expect("it is refused");
        assert!(error.contains(named), "{settings}: {error}");
    }
}
