#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::wire::scan::ScanErrorKind;

fn tool(definition: &str) -> Digest {
    digest(ItemKind::Tool, definition).unwrap()
}

fn sha256(bytes: &str) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

#[test]
fn the_form_is_what_the_design_says() {
    let definition = " { \"name\" : \"x\", \"a\\u0062\": [1.0, -0, 1e5, true, null, {}] , \"B\":\"\\/\\u00e9\\u001F\" } ";
    let expected = "{\"B\":\"/é\\u001f\",\"ab\":[1.0,-0,1e5,true,null,{}],\"name\":\"x\"}";
    assert_eq!(canonical(definition).unwrap(), expected);
    assert_eq!(
        tool(definition),
        sha256(&format!("witgate:item:1\ntool\n{expected}"))
    );
    assert_eq!(
        digest(ItemKind::ResourceTemplate, "{}").unwrap(),
        sha256("witgate:item:1\nresource-template\n{}")
    );
}

/// These must never change: ledgers hold such digests. They were computed by another program (Python's `json` and
/// `hashlib`).
#[test]
fn golden_digests() {
    let full = r#"{"name":"read_file","description":"Read a file.\nReturns text.","inputSchema":{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]},"annotations":{"readOnlyHint":true},"_meta":{"v":9007199254740993}}"#;
    for (kind, definition, expected) in GOLDEN {
        let definition = if definition == "full" {
            full
        } else {
            definition
        };
        assert_eq!(
            digest(kind, definition).unwrap().to_string(),
            expected,
            "{definition}"
        );
    }
    let items = [
        (ItemKind::Tool, "b", tool("{}")),
        (ItemKind::Prompt, "a b", tool("[]")),
    ];
    assert_eq!(catalogue_digest(&items).to_string(), GOLDEN_CATALOGUE);
    assert_eq!(catalogue_digest(&[]), sha256("witgate:catalogue:1\n"));
}

const GOLDEN: [(ItemKind, &str, &str); 4] = [
    (
        ItemKind::Tool,
        "{}",
        "1:cc66f6e983f521f9d83b6b2ad3c399e5f154d8cd60ec92c3aa6b7c7c57b57c87",
    ),
    (
        ItemKind::Prompt,
        "{}",
        "1:a53b9380aa99fdbb3d1f140a3a0a8a9ef0be45c129174be47ca4f6c9a1dd267e",
    ),
    (
        ItemKind::Tool,
        "full",
        "1:53a509c1a88eec06698270b8414788740a7f69d0840a0327a8e1eb9f355db10c",
    ),
    (
        ItemKind::SelfDescription,
        "{\"serverInfo\":{\"name\":\"é😀\"}}",
        "1:6a0cf703f1797b8e0e500c4ef1ffde6bdd8622556932e4b83311aad78c645174",
    ),
];
const GOLDEN_CATALOGUE: &str = "1:c2865f0ae7289fe5ff7a61769a032598be27124ec25acdd6be40ef440d41aa4b";

#[test]
fn keys_are_sorted_by_code_point_of_what_they_mean() {
    // UTF-16 order, as in RFC 8785, would put U+1F600 before U+FF5E.
    let text = "{\"\u{1f600}\":1,\"\\uff5e\":2,\"b\":3,\"\\u0061\":4,\"\":5,\"aa\":6}";
    let expected = "{\"\":5,\"a\":4,\"aa\":6,\"b\":3,\"\u{ff5e}\":2,\"\u{1f600}\":1}";
    assert_eq!(canonical(text).unwrap(), expected);
}

#[test]
fn what_a_reader_could_take_for_the_same_is_told_apart() {
    for (a, b) in [
        ("9007199254740992", "9007199254740993"),
        ("1", "1.0"),
        ("1", "1e0"),
        ("0", "-0"),
        ("1e5", "1E5"),
        ("\"é\"", "\"e\\u0301\""),
        ("\"1\"", "1"),
        ("null", "\"null\""),
        ("[]", "{}"),
        ("[1,2]", "[2,1]"),
        ("\"a\"", "\"a \""),
        ("\"\\u200b\"", "\"\""),
        ("{\"a\":null}", "{}"),
    ] {
        let definition = |value| format!("{{\"v\":{value}}}");
        assert_ne!(tool(&definition(a)), tool(&definition(b)), "{a} {b}");
    }
    assert_ne!(tool("{}"), digest(ItemKind::Prompt, "{}").unwrap());
}

#[test]
fn a_malformed_definition_has_no_digest() {
    let kind = |text: &str| digest(ItemKind::Tool, text).unwrap_err().kind;
    assert!(
        matches!(kind(r#"{"a":[{"b":1,"\u0062":2}]}"#), ScanErrorKind::DuplicateKey { key } if key == "b")
    );
    assert_eq!(kind("{\"a\":\"\\ud800\"}"), ScanErrorKind::Surrogate);
    assert_eq!(kind("{\"a\":1e999}"), ScanErrorKind::Range);
    assert_eq!(kind("{"), ScanErrorKind::Syntax);
    assert_eq!(
        kind(&("[".repeat(128) + &"]".repeat(128))),
        ScanErrorKind::Depth
    );
    assert!(digest(ItemKind::Tool, &("[".repeat(127) + &"]".repeat(127))).is_ok());
}

#[test]
fn a_catalogue_digest_is_about_the_set() {
    let (x, y) = (tool("1"), tool("2"));
    let of = |items: &[(ItemKind, &str, Digest)]| catalogue_digest(items);
    use ItemKind::{Prompt, Tool};
    assert_eq!(
        of(&[(Tool, "a", x), (Tool, "b", y)]),
        of(&[(Tool, "b", y), (Tool, "a", x)])
    );
    let different = [
        of(&[]),
        of(&[(Tool, "a", x)]),
        of(&[(Tool, "a", y)]),
        of(&[(Prompt, "a", x)]),
        of(&[(Tool, "a", x), (Tool, "b", y)]),
        of(&[(Tool, "a", y), (Tool, "b", x)]),
        of(&[(Tool, &format!("a {x}\ntool 1 b"), y)]),
        of(&[(Tool, "", x)]),
    ];
    for (i, a) in different.iter().enumerate() {
        assert!(different[..i].iter().all(|b| a != b), "{i}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// `value` written another way: keys turned round, white space, every character escaped.
fn otherwise(value: &Value, out: &mut String) {
    let string = |text: &str, out: &mut String| {
        out.push('"');
        for unit in text.encode_utf16() {
            out.push_str(&format!("\\u{unit:04X}"));
        }
        out.push('"');
    };
    match value {
        Value::Object(members) => {
            out.push_str("{ ");
            for (i, (key, value)) in members.iter().rev().enumerate() {
                out.push_str(if i > 0 { "\t, " } else { "" });
                string(key, out);
                out.push_str(" : ");
                otherwise(value, out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (i, value) in elements.iter().enumerate() {
                out.push_str(if i > 0 { " ,\r\n" } else { "" });
                otherwise(value, out);
            }
            out.push_str(" ]");
        }
        Value::String(text) => string(text, out),
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #[test]
    fn key_order_spacing_and_spelling_do_not_matter(value in any_value()) {
        let mut text = String::new();
        otherwise(&value, &mut text);
        prop_assert_eq!(canonical(&text).unwrap(), canonical(&value.to_string()).unwrap());
    }

    #[test]
    fn the_canonical_form_says_the_same_and_is_its_own(value in any_value()) {
        let form = canonical(&value.to_string()).unwrap();
        prop_assert_eq!(serde_json::from_str::<Value>(&form).unwrap(), value);
        prop_assert_eq!(&canonical(&form).unwrap(), &form);
    }

    #[test]
    fn any_other_change_matters(a in any_value(), b in any_value()) {
        prop_assert_eq!(a == b, tool(&a.to_string()) == tool(&b.to_string()));
    }
}
