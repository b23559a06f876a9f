#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn unique(text: &str) -> Result<(), ScanErrorKind> {
    validate(text.as_bytes(), 100, Strictness::Unique).map_err(|e| e.kind)
}

fn lax(text: &str) -> Result<(), ScanErrorKind> {
    validate(text.as_bytes(), 100, Strictness::Any).map_err(|e| e.kind)
}

#[test]
fn texts_that_are_json_pass_in_both_modes() {
    for text in [
        "null",
        " true ",
        "false",
        "0",
        "-0",
        "1.5e-7",
        "\"\"",
        "\"\\u00e9\\n\\/\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        "[1,2,[3,{}],{\"a\":[]}]",
        "{\"a\":1,\"b\":{\"a\":1}}",
        "\"\\ud83d\\ude00\"",
        "\t[\r\n1 , 2 ]\n",
        "123456789012345678901234567890",
        "1e308",
        "\"\u{7f}\u{2028}\"",
        "[[],[],{}]",
    ] {
        assert_eq!(unique(text), Ok(()), "{text}");
        assert_eq!(lax(text), Ok(()), "{text}");
    }
}

#[test]
fn texts_that_are_no_json_fail_in_both_modes() {
    for text in [
        "",
        " ",
        "nul",
        "nulll",
        "True",
        "01",
        "-",
        "+1",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "'a'",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u123\"",
        "\"a\nb\"",
        "\"\u{0}\"",
        "[",
        "]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{,}",
        "{a:1}",
        "{\"a\" 1}",
        "{\"a\":1]",
        "{1:2}",
        "1 2",
        "[] []",
        "\u{feff}{}",
        "{}\u{0}",
        "[1,,2]",
        "{\"a\":1,,\"b\":2}",
        "// c\n1",
        "\u{a0}1",
    ] {
        assert_eq!(unique(text), Err(ScanErrorKind::Syntax), "{text}");
        assert_eq!(lax(text), Err(ScanErrorKind::Syntax), "{text}");
    }
}

#[test]
fn bytes_that_are_no_utf8_are_named_with_their_place() {
    let error = validate(b"{\"a\":\"\xff\"}", 9, Strictness::Any).unwrap_err();
    assert_eq!((error.kind, error.offset), (ScanErrorKind::Utf8, 6));
    // An encoded surrogate and an overlong slash are no UTF-8 either.
    for bytes in [b"\"\xed\xa0\x80\"".as_slice(), b"\"\xc0\xaf\""] {
        let error = validate(bytes, 9, Strictness::Any).unwrap_err();
        assert_eq!(error.kind, ScanErrorKind::Utf8);
    }
}

#[test]
fn halves_of_surrogate_pairs_and_numbers_beyond_doubles_pass_only_as_any() {
    for text in [
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\ud800\\udc00\"",
        "\"\\ud800x\\udc00\"",
        "{\"\\ud800\":1}",
        "\"\\ud800\\n\"",
    ] {
        assert_eq!(unique(text), Err(ScanErrorKind::Surrogate), "{text}");
        assert_eq!(lax(text), Ok(()), "{text}");
    }
    let long = "9".repeat(310);
    for text in ["1e309", "-1E+999", long.as_str()] {
        assert_eq!(unique(text), Err(ScanErrorKind::Range), "{text}");
        assert_eq!(lax(text), Ok(()), "{text}");
    }
    assert_eq!(unique("0e999999"), Ok(()));
}

#[test]
fn depth_is_counted_in_containers_and_the_limit_is_allowed() {
    let nested = |n: usize| "[".repeat(n) + &"]".repeat(n);
    for n in [1, 63, 64, 65, 127, 128, 129, 1000] {
        assert_eq!(validate(nested(n).as_bytes(), n, Strictness::Any), Ok(()));
        let error = validate(nested(n).as_bytes(), n - 1, Strictness::Any).unwrap_err();
        assert_eq!((error.kind, error.offset), (ScanErrorKind::Depth, n - 1));
    }
}

#[test]
fn a_million_brackets_exhaust_nothing() {
    let open = "[".repeat(1 << 20);
    assert_eq!(unique(&open), Err(ScanErrorKind::Syntax));
    let closed = format!("{open}{}", "]".repeat(1 << 20));
    assert_eq!(unique(&closed), Err(ScanErrorKind::Depth));
}

#[test]
fn a_key_twice_is_found_at_any_depth_and_however_it_is_spelt() {
    for (text, offset) in [
        (r#"{"a":1,"a":2}"#, 7),
        (r#"{"a":1,"\u0061":2}"#, 7),
        (r#"[{"x":[{"k":1,"b":2,"k":3}]}]"#, 20),
        (r#"{"\/":1,"/":2}"#, 8),
        (r#"{"":1,"":2}"#, 6),
        (r#"{"a":{"b":1},"b":2,"a":3}"#, 19),
        (r#"{"😀":1,"\ud83d\ude00":2}"#, 10),
    ] {
        let error = validate(text.as_bytes(), 9, Strictness::Unique).unwrap_err();
        assert!(
            matches!(error.kind, ScanErrorKind::DuplicateKey { .. }),
            "{text}"
        );
        assert_eq!(error.offset, offset, "{text}");
        assert_eq!(lax(text), Ok(()));
    }
    // The same key in different objects is no double.
    assert_eq!(
        unique(r#"{"a":{"a":[{"a":1},{"a":1}]},"b":{"a":1}}"#),
        Ok(())
    );
}

#[test]
fn a_key_twice_among_many_is_found() {
    let many = |last: &str| {
        let keys: Vec<_> = (0..1000)
            .map(|i| format!("\"k{i}\":{{\"k1\":1}}"))
            .collect();
        format!("{{{},\"{last}\":0}}", keys.join(","))
    };
    assert_eq!(unique(&many("k1000")), Ok(()));
    let twice = ScanErrorKind::DuplicateKey { key: "k500".into() };
    assert_eq!(unique(&many("k500")), Err(twice.clone()));
    assert_eq!(unique(&many("\\u006b500")), Err(twice));
}

#[test]
fn members_give_keys_values_and_offsets() {
    let text = r#" {"a" : 1 , "\u0062":[2, {"c":3}],"a":"x" } "#;
    let found = members(text).unwrap();
    let keys: Vec<_> = found
        .iter()
        .map(|m| (m.key, m.key_is_plain, m.value))
        .collect();
    assert_eq!(
        keys,
        [
            ("a", true, "1"),
            ("\\u0062", false, "[2, {\"c\":3}]"),
            ("a", true, "\"x\"")
        ]
    );
    for member in &found {
        assert_eq!(&text[member.value_start..member.end], member.value);
        assert_eq!(&text[member.start..=member.start], "\"");
    }
    assert!(found[1].is("b") && !found[1].is("a"));
    assert!(members("[]").is_err() && members("{} x").is_err());
    assert_eq!(members("{}").unwrap(), []);
}

#[test]
fn elements_give_the_raw_texts() {
    assert_eq!(
        elements(" [ 1 ,[2],\"]\" ] ").unwrap(),
        ["1", "[2]", "\"]\""]
    );
    assert_eq!(elements("[]").unwrap(), [""; 0]);
    assert!(elements("{}").is_err() && elements("[1,]").is_err());
}

#[test]
fn a_key_that_a_case_blind_reader_takes_for_another_is_told() {
    let passes =
        |key: &str, name| members(&format!("{{\"{key}\":0}}")).unwrap()[0].could_pass_for(name);
    assert!(passes("Name", "name") && passes("NAME", "name") && passes("\\u004eame", "name"));
    assert!(passes("param\u{17f}", "params") && passes("tas\u{212a}", "task"));
    assert!(!passes("name", "name") && !passes("n\\u0061me", "name"));
    assert!(!passes("names", "name") && !passes("nam", "name") && !passes("näme", "name"));
}

#[test]
fn unescape_reads_every_escape() {
    assert_eq!(unescape("plain"), "plain");
    assert_eq!(
        unescape(r#"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00!"#),
        "\"\\/\u{8}\u{c}\n\r\tAé😀!"
    );
    assert_eq!(unescape(r"\ud800"), "\u{fffd}");
    assert_eq!(unescape(r"\ud800\u0041"), "\u{fffd}A");
    assert_eq!(unescape(r"\ud800\ud83d\ude00"), "\u{fffd}😀");
    assert_ne!(meaning(r"\ud800"), meaning("\u{fffd}"));
}

/// Texts near JSON: valid ones, and valid ones with a byte changed.
fn near_json() -> impl Strategy<Value = Vec<u8>> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        " ",
        "\"a\"",
        "\"b\"",
        "\"\\u0061\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\\"",
        "\"",
        "1",
        "-1",
        "0",
        "01",
        "1.5",
        "1e5",
        "1e400",
        "-",
        "true",
        "false",
        "null",
        "tru",
        "\n",
        "\"é\"",
        "\u{0}",
        "\\",
        "e",
        ".",
    ]);
    prop_oneof![
        prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes()),
        (any_json(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(text, index, byte)| {
            let mut bytes = text.into_bytes();
            let at = index.index(bytes.len());
            bytes[at] = byte;
            bytes
        }),
        any_json().prop_map(String::into_bytes),
    ]
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("finite", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        any::<String>().prop_map(|s| serde_json::to_string(&s).unwrap()),
        "\"(\\\\u[0-9a-fA-F]{4}|\\\\[\"\\\\/bfnrt]|[a-z]){0,4}\"",
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|v| format!("[ {}]", v.join(" ,"))),
            prop::collection::vec(("[a-c]|\\\\u006[1-3]", inner), 0..5).prop_map(|v| {
                let members: Vec<_> = v.iter().map(|(k, v)| format!("\"{k}\" :{v}")).collect();
                format!("{{{}}}", members.join(", "))
            }),
        ]
    })
}

/// A reader that knows only whether some object has a key twice; the rest is `serde_json`'s.
struct KeysUnique(bool);

impl<'de> serde::Deserialize<'de> for KeysUnique {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = KeysUnique;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_bool<E>(self, _: bool) -> Result<KeysUnique, E> {
                Ok(KeysUnique(true))
            }
            fn visit_i64<E>(self, _: i64) -> Result<KeysUnique, E> {
                Ok(KeysUnique(true))
            }
            fn visit_u64<E>(self, _: u64) -> Result<KeysUnique, E> {
                Ok(KeysUnique(true))
            }
            fn visit_f64<E>(self, _: f64) -> Result<KeysUnique, E> {
                Ok(KeysUnique(true))
            }
            fn visit_str<E>(self, _: &str) -> Result<KeysUnique, E> {
                Ok(KeysUnique(true))
            }
            fn visit_unit<E>(self) -> Result<KeysUnique, E> {
                Ok(KeysUnique(true))
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(
                self,
                mut seq: A,
            ) -> Result<KeysUnique, A::Error> {
                let mut unique = true;
                while let Some(KeysUnique(inner)) = seq.next_element()? {
                    unique &= inner;
                }
                Ok(KeysUnique(unique))
            }
            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<KeysUnique, A::Error> {
                let mut unique = true;
                let mut keys = std::collections::HashSet::new();
                while let Some((key, KeysUnique(inner))) = map.next_entry::<String, _>()? {
                    unique &= inner & keys.insert(key);
                }
                Ok(KeysUnique(unique))
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn unique_accepts_what_serde_json_reads_as_a_value_with_unique_keys(text in near_json()) {
        let ours = validate(&text, 100, Strictness::Unique);
        let theirs = serde_json::from_slice::<serde_json::Value>(&text).is_ok();
        let unique = serde_json::from_slice::<KeysUnique>(&text).is_ok_and(|k| k.0);
        prop_assert_eq!(ours.is_ok(), theirs && unique, "{:?} {:?}", ours, String::from_utf8_lossy(&text));
        if theirs && !unique {
            let double = matches!(ours.unwrap_err().kind, ScanErrorKind::DuplicateKey { .. });
            prop_assert!(double);
        }
    }

    #[test]
    fn members_are_judged_as_the_whole_is(text in near_json()) {
        let Ok(text) = str::from_utf8(&text) else { return Ok(()) };
        let judged = unique_members(text, 100);
        let whole = validate(text.as_bytes(), 100, Strictness::Unique);
        if text.trim_ascii_start().starts_with('{') {
            prop_assert_eq!(judged.as_ref().err().map(|e| &e.kind), whole.as_ref().err().map(|e| &e.kind), "{}", text);
        } else {
            prop_assert!(judged.is_err());
        }
        if let Ok(judged) = judged {
            prop_assert_eq!(Ok(judged), members(text));
        }
    }

    #[test]
    fn any_accepts_what_serde_json_reads_as_raw(text in near_json()) {
        let ours = validate(&text, 100, Strictness::Any).is_ok();
        let theirs = serde_json::from_slice::<&serde_json::value::RawValue>(&text).is_ok();
        prop_assert_eq!(ours, theirs, "{:?}", String::from_utf8_lossy(&text));
    }

    #[test]
    fn strings_mean_what_serde_json_says_and_survive_writing(text in any::<String>()) {
        let theirs = serde_json::to_string(&text).unwrap();
        prop_assert_eq!(&*unescape(&theirs[1..theirs.len() - 1]), &text);
        let mut ours = Vec::new();
        write_string(&mut ours, &text);
        prop_assert_eq!(serde_json::from_slice::<String>(&ours).unwrap(), text);
        prop_assert!(ours.len() <= theirs.len());
    }
}
