#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn read(line: &str) -> Result<Envelope<'_>, Malformed> {
    parse(line.as_bytes(), &WireLimits::default())
}

fn fault(line: &str) -> (i64, Option<String>, Option<String>) {
    let Err(malformed) = read(line) else {
        panic!("{line} was read");
    };
    assert!(!malformed.reason.is_empty(), "{line}");
    (
        malformed.code,
        malformed.id.map(|id| id.raw().to_owned()),
        malformed.method,
    )
}

fn code(line: &str) -> i64 {
    fault(line).0
}

#[test]
fn the_four_kinds_of_message_are_told_apart() {
    let message = |line| read(line).unwrap().message;
    assert_eq!(
        message(r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x"}}"#),
        Message::Request {
            id: Id::Number("7"),
            method: "tools/call".into(),
            params: Some(r#"{"name":"x"}"#)
        }
    );
    assert_eq!(
        message(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#),
        Message::Notification {
            method: "notifications/initialized".into(),
            params: None
        }
    );
    assert_eq!(
        message(r#" { "result" : {} , "id" : "a" , "jsonrpc" : "2.0" } "#),
        Message::Result {
            id: Id::String {
                raw: "\"a\"",
                text: "a".into()
            },
            result: "{}"
        }
    );
    let error = r#"{"code":-1,"message":"no"}"#;
    for id in ["", r#","id":null"#] {
        let line = format!(r#"{{"jsonrpc":"2.0"{id},"error":{error}}}"#);
        let envelope = read(&line).unwrap();
        assert_eq!(envelope.message, Message::Error { id: None, error });
        assert_eq!(envelope.id_span, None);
    }
}

#[test]
fn a_canonical_line_goes_on_as_it_is_unknown_members_and_odd_numbers_included() {
    for line in [
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"n":1.0e+2,"z":1,"a":9007199254740993}}"#,
        r#" {"x-vendor":{"b":1,"b":1}, "id":1,"jsonrpc":"2.0","result":{"big":123456789012345678901234567890}}	"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":null}"#,
    ] {
        let envelope = read(line).unwrap();
        assert!(envelope.canonical);
        assert!(matches!(envelope.forward(), Cow::Borrowed(bytes) if bytes == line.as_bytes()));
    }
}

#[test]
fn escapes_in_the_envelope_are_written_anew_and_the_rest_is_not_touched() {
    let line = r#"{"jsonrpc":"2.0","\u0069d": 4,"method":"tools\/c\u0061ll","v\u0031":[1, 2],"params":{"a" : "\u0061"}}"#;
    let envelope = read(line).unwrap();
    assert!(matches!(&envelope.message, Message::Request { method, .. } if method == "tools/call"));
    assert_eq!(
        String::from_utf8(envelope.forward().into_owned()).unwrap(),
        r#"{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"a" : "\u0061"},"v\u0031":[1, 2]}"#
    );
    assert_eq!(
        String::from_utf8(envelope.forward_with_id("\"g1\"")).unwrap(),
        r#"{"jsonrpc":"2.0","id":"g1","method":"tools/call","params":{"a" : "\u0061"},"v\u0031":[1, 2]}"#
    );
}

#[test]
fn an_id_is_replaced_in_place() {
    let envelope = read(r#"{"id" :  12 ,"jsonrpc":"2.0","result":{"id":12}}"#).unwrap();
    assert_eq!(envelope.id_span, Some(9..11));
    assert_eq!(
        envelope.forward_with_id("3"),
        br#"{"id" :  3 ,"jsonrpc":"2.0","result":{"id":12}}"#
    );
}

#[test]
fn what_is_no_message_is_refused_with_the_code_for_it() {
    for line in [
        "",
        "hello",
        "{",
        r#"{"jsonrpc":"2.0","id":1,"method":"a"}}"#,
        "\u{feff}{}",
        "{\"a\":\u{0}}",
        "[1,",
        "{]",
    ] {
        assert_eq!(fault(line), (PARSE_ERROR, None, None), "{line}");
    }
    assert_eq!(
        parse(b"{\"a\":\"\xff\"}", &WireLimits::default())
            .unwrap_err()
            .code,
        PARSE_ERROR
    );
    for line in [
        r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call"}]"#,
        "[]",
        "1",
        "\"x\"",
        "null",
        "{}",
        r#"{"id":1,"method":"a"}"#,
        r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#,
        r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#,
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":5}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a\ud800"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":null,"result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"a","error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"error":"no"}"#,
        r#"{"jsonrpc":"2.0","result":{}}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":{}}"#,
    ] {
        assert_eq!(code(line), INVALID_REQUEST, "{line}");
    }
}

#[test]
fn an_id_is_an_integer_or_a_string() {
    for id in [
        "null",
        "1.0",
        "1e0",
        "true",
        "{}",
        "[1]",
        "\"\\ud800\"",
        &format!("\"{}\"", "x".repeat(1023)),
    ] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
        assert_eq!(
            fault(&line),
            (INVALID_REQUEST, None, Some("a".into())),
            "{line}"
        );
    }
    for id in [
        "0",
        "-5",
        "123456789012345678901234567890",
        "\"\"",
        "\"\\u0061\"",
        "\"é\"",
    ] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"a"}}"#);
        let Message::Request { id: read, .. } = read(&line).unwrap().message else {
            panic!("{line}");
        };
        assert_eq!(read.raw(), id);
        assert_eq!(read.to_owned().raw(), id);
    }
}

#[test]
fn ids_are_equal_by_meaning() {
    let id = |raw| Id::read(raw).unwrap().to_owned();
    assert_eq!(id("\"a\""), id("\"\\u0061\""));
    assert_eq!(id("\"\\n/\""), id("\"\\u000a\\/\""));
    assert_eq!(id("-0"), id("0"));
    assert_ne!(id("1"), id("\"1\""));
    assert_ne!(id("\"a\""), id("\"A\""));
    assert_eq!(OwnedId::number(7), id("7"));
}

#[test]
fn a_key_twice_is_refused_wherever_it_could_be_read_differently() {
    for (line, expected) in [
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#,
            (INVALID_REQUEST, Some("1"), None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","\u006dethod":"b"}"#,
            (INVALID_REQUEST, Some("1"), None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#,
            (INVALID_REQUEST, None, Some("a")),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","x":1,"x":2}"#,
            (INVALID_REQUEST, Some("1"), Some("a")),
        ),
        (
            r#"{"jsonrpc":"2.0","method":"a","params":{"n":1,"n":2},"id":1}"#,
            (INVALID_PARAMS, Some("1"), Some("a")),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"a","params":{"v":[{"a":1,"\u0061":2}]}}"#,
            (INVALID_PARAMS, Some("1"), Some("a")),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[],"tools":[]}}"#,
            (INVALID_REQUEST, Some("1"), None),
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"code":2}}"#,
            (INVALID_REQUEST, Some("1"), None),
        ),
    ] {
        let (code, id, method) = fault(line);
        assert_eq!((code, id.as_deref(), method.as_deref()), expected, "{line}");
    }
    // Deeper inside a result it goes through: a server's answer is not ours to judge.
    assert!(read(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"a":1,"a":2}]}}"#).is_ok());
    assert!(read(r#"{"jsonrpc":"2.0","id":1,"result":{"text":"cut \ud83d"}}"#).is_ok());
}

#[test]
fn a_member_that_a_case_blind_reader_takes_for_another_is_refused() {
    for extra in [
        r#""Method":"tools/call""#,
        r#""PARAMS":{}"#,
        r#""Id":2"#,
        r#""paramſ":{}"#,
        r#""\u0052esult":{}"#,
    ] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping",{extra}}}"#);
        assert_eq!(
            fault(&line),
            (INVALID_REQUEST, Some("1".into()), Some("ping".into())),
            "{line}"
        );
    }
}

#[test]
fn a_line_break_inside_a_message_is_refused() {
    // A reader of text streams would take the middle for a message of its own.
    let line = "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\",\"x\":\r{\"jsonrpc\":\"2.0\",\"id\":2,\"method\":\"tools/call\"}\r}";
    assert_eq!(code(line), INVALID_REQUEST);
    assert_eq!(code(&line.replace('\r', "\n")), INVALID_REQUEST);
}

#[test]
fn params_are_an_object() {
    for params in ["[]", "[1]", "5", "\"x\"", "true"] {
        let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","params":{params}}}"#);
        assert_eq!(code(&line), INVALID_PARAMS);
    }
}

#[test]
fn depth_over_the_limit_is_refused_and_the_id_is_still_read() {
    let limits = WireLimits {
        max_depth: 4,
        ..WireLimits::default()
    };
    let line = |key: &str, n: usize| {
        let value = format!("{{\"a\":{}{}}}", "[".repeat(n), "]".repeat(n));
        format!(r#"{{"jsonrpc":"2.0",{key}:{value},"id":1}}"#)
    };
    for (key, code) in [
        ("\"method\":\"a\",\"params\"", INVALID_PARAMS),
        ("\"result\"", INVALID_REQUEST),
        ("\"method\":\"a\",\"x\"", INVALID_REQUEST),
    ] {
        assert!(parse(line(key, 2).as_bytes(), &limits).is_ok(), "{key}");
        let malformed = parse(line(key, 3).as_bytes(), &limits).unwrap_err();
        assert_eq!(
            (malformed.code, malformed.id),
            (code, Some(OwnedId::number(1))),
            "{key}"
        );
    }
}

#[test]
fn a_flood_of_unknown_members_is_refused() {
    let line = |n: usize| {
        let members: String = (0..n).map(|i| format!(",\"x{i}\":0")).collect();
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a"{members}}}"#)
    };
    assert!(read(&line(32)).is_ok());
    assert_eq!(code(&line(33)), INVALID_REQUEST);
    assert_eq!(code(&line(50_000)), INVALID_REQUEST);
}

#[test]
fn a_reason_quotes_little_and_nothing_raw() {
    let key = format!("\u{1b}[2J{}", "k".repeat(500)).replace('\u{1b}', "\\u001b");
    let line = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"a","{key}":1,"{key}":2}}"#);
    let reason = read(&line).unwrap_err().reason;
    assert!(reason.len() < 160 && !reason.contains('\u{1b}'), "{reason}");
}

proptest! {
    #[test]
    fn what_is_forwarded_means_what_was_read(
        id in prop_oneof![any::<i64>().prop_map(|n| n.to_string()), any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap())],
        method in any::<String>(),
        text in any::<String>(),
        escape in any::<bool>(),
        order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(),
    ) {
        let key = |name: &str| if escape { format!("\"\\u{:04x}{}\"", name.as_bytes()[0], &name[1..]) } else { format!("\"{name}\"") };
        let string = |s: &str| serde_json::to_string(s).unwrap();
        let all = [
            format!("{}:\"2.0\"", key("jsonrpc")),
            format!("{}: {id}", key("id")),
            format!("{}:{}", key("method"), string(&method)),
            format!("{}:{{{}:1}}", key("params"), string(&text)),
            "\"vendor\":[1.50]".to_owned(),
        ];
        let members: Vec<_> = order.iter().map(|&i| all[i].clone()).collect();
        let line = format!("{{{}}}", members.join(","));
        prop_assume!(id.len() <= 1024);
        let envelope = read(&line).unwrap();
        let forwarded = envelope.forward();
        let before: serde_json::Value = serde_json::from_str(&line).unwrap();
        let after: serde_json::Value = serde_json::from_slice(&forwarded).unwrap();
        prop_assert_eq!(&before, &after);
        prop_assert!(parse(&forwarded, &WireLimits::default()).unwrap().canonical || method.contains(['"', '\\']) || method.chars().any(char::is_control));
        let mut expected = before;
        expected["id"] = 5.into();
        let renamed: serde_json::Value = serde_json::from_slice(&envelope.forward_with_id("5")).unwrap();
        prop_assert_eq!(renamed, expected);
    }

    #[test]
    fn no_bytes_make_it_panic(line in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse(&line, &WireLimits::default());
        let mut inside = br#"{"jsonrpc":"2.0","id":1,"method":"a","params":"#.to_vec();
        inside.extend_from_slice(&line);
        inside.push(b'}');
        if let Ok(envelope) = parse(&inside, &WireLimits::default()) {
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&envelope.forward()).is_ok());
        }
    }
}
