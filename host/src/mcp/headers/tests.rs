#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn tool(schema: &str) -> String {
    format!(r#"{{"name":"t","inputSchema":{schema}}}"#)
}

fn param(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn made(definition: &str, params: &str) -> Vec<(String, String)> {
    for_call(definition, Some(params))
        .into_iter()
        .map(|(name, value)| param(name.as_str(), value.to_str().unwrap()))
        .collect()
}

const THREE: &str = r#"{"type":"object","properties":{
    "region":{"type":"string","x-mcp-header":"Region"},
    "where":{"type":"object","properties":{"shard":{"x-mcp-header":"Shard","type":"integer"}}},
    "dry":{"type":"boolean","x-mcp-header":"Dry"},"query":{"type":"string"}}}"#;

#[test]
fn the_examples_of_the_specification_are_written_as_it_says() {
    for (value, header) in [
        ("us-west1", "us-west1"),
        ("Hello, 世界", "=?base64?SGVsbG8sIOS4lueVjA==?="),
        (" padded ", "=?base64?IHBhZGRlZCA=?="),
        ("line1\nline2", "=?base64?bGluZTEKbGluZTI=?="),
        ("=?base64?literal?=", "=?base64?PT9iYXNlNjQ/bGl0ZXJhbD89?="),
        ("", ""),
    ] {
        assert_eq!(encode(value), header, "{value:?}");
        assert_eq!(decode(header).unwrap(), value);
    }
}

#[test]
fn what_no_client_may_write_is_not_read() {
    for raw in [
        "é",
        "a\rb",
        "a\nb",
        "a\u{7f}",
        "=?base64?!!?=",
        "=?base64?/w==?=",
        "=?base64?YQ?=",
    ] {
        assert_eq!(decode(raw), None, "{raw:?}");
    }
    // The marks are case-sensitive, and must not overlap.
    assert_eq!(decode("=?BASE64?YQ==?=").unwrap(), "=?BASE64?YQ==?=");
    assert_eq!(decode("=?base64?=").unwrap(), "=?base64?=");
}

#[test]
fn a_name_is_taken_from_the_member_that_the_method_has_it_in() {
    let params = Some(r#"{"name":"n\u0061me","uri":"file:///a","taskId":"7"}"#);
    assert_eq!(name_of("tools/call", params).unwrap(), "name");
    assert_eq!(name_of("prompts/get", params).unwrap(), "name");
    assert_eq!(name_of("resources/read", params).unwrap(), "file:///a");
    assert_eq!(name_of("tasks/get", params).unwrap(), "7");
    assert_eq!(name_of("tools/list", params), None);
    assert_eq!(name_of("tools/call", Some(r#"{"name":7}"#)), None);
    assert_eq!(name_of("tools/call", None), None);
}

#[test]
fn arguments_that_are_annotated_stand_in_headers() {
    let definition = tool(THREE);
    let params =
        r#"{"name":"t","arguments":{"region":"é","where":{"shard":42.0},"dry":true,"query":"q"}}"#;
    assert_eq!(
        made(&definition, params),
        [
            param("mcp-param-region", "=?base64?w6k=?="),
            param("mcp-param-shard", "42"),
            param("mcp-param-dry", "true"),
        ]
    );
    // Absent, null, of no primitive type, behind something that is no object: no header.
    let params = r#"{"name":"t","arguments":{"region":null,"where":[{"shard":1}],"dry":{}}}"#;
    assert_eq!(made(&definition, params), []);
    assert_eq!(made(&definition, r#"{"name":"t"}"#), []);
    assert_eq!(
        made(r#"{"name":"t","inputSchema":{"type":"object"}}"#, params),
        []
    );
}

#[test]
fn a_key_spelt_with_escapes_is_the_same_key() {
    let definition = tool(r#"{"properties":{"r":{"type":"string","x-\u006dcp-header":"R"}}}"#);
    assert_eq!(
        made(&definition, r#"{"arguments":{"r":"v"}}"#),
        [param("mcp-param-r", "v")]
    );
}

#[test]
fn a_definition_is_invalid_for_each_reason_the_specification_has() {
    let on =
        |annotation: &str| format!(r#"{{"properties":{{"p":{{"type":"string",{annotation}}}}}}}"#);
    let name = AnnotationError::Name { at: "p".to_owned() };
    for (schema, expected) in [
        (on(r#""x-mcp-header":"""#), name.clone()),
        (on(r#""x-mcp-header":"a b""#), name.clone()),
        (on(r#""x-mcp-header":"a\r\nb""#), name.clone()),
        (on(r#""x-mcp-header":"a:b""#), name.clone()),
        (on(r#""x-mcp-header":7"#), name),
        (
            r#"{"properties":{"p":{"type":"number","x-mcp-header":"P"}}}"#.to_owned(),
            AnnotationError::Type { at: "p".to_owned() },
        ),
        (
            r#"{"properties":{"p":{"x-mcp-header":"P"}}}"#.to_owned(),
            AnnotationError::Type { at: "p".to_owned() },
        ),
        (
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"P"},"b":{"properties":{"c":{"type":"string","x-mcp-header":"p"}}}}}"#.to_owned(),
            AnnotationError::Twice { at: "b.c".to_owned() },
        ),
    ] {
        assert_eq!(annotations(&tool(&schema)), Err(expected), "{schema}");
    }
    for misplaced in [
        r#"{"x-mcp-header":"P"}"#,
        r#"{"properties":{"p":{"type":"array","items":{"type":"string","x-mcp-header":"P"}}}}"#,
        r#"{"properties":{"p":{"oneOf":[{"type":"string","x-mcp-header":"P"}]}}}"#,
        r#"{"$defs":{"d":{"properties":{"p":{"type":"string","x-mcp-header":"P"}}}}}"#,
        r#"{"if":{"properties":{"p":{"type":"string","x-mcp-header":"P"}}}}"#,
        r#"{"not":{"x-mcp-header":"P"}}"#,
    ] {
        assert_eq!(
            annotations(&tool(misplaced)),
            Err(AnnotationError::Misplaced),
            "{misplaced}"
        );
    }
    // Instances, and properties that merely have the name, are no annotations.
    for fine in [
        r#"{"properties":{"p":{"type":"object","default":{"x-mcp-header":"P"}}}}"#,
        r#"{"properties":{"x-mcp-header":{"type":"string"}}}"#,
    ] {
        assert!(annotations(&tool(fine)).unwrap().is_empty(), "{fine}");
    }
}

#[test]
fn headers_that_say_something_else_than_the_body_are_found() {
    let definition = tool(THREE);
    let params = Some(r#"{"arguments":{"region":"us","where":{"shard":42}}}"#);
    let right = [
        param("region", "us"),
        param("SHARD", "42.0"),
        param("other", "x"),
    ];
    assert_eq!(verify(&definition, params, &right), Ok(()));
    let encoded = [param("Region", "=?base64?dXM=?="), param("Shard", "4.2e1")];
    assert_eq!(verify(&definition, params, &encoded), Ok(()));
    let said = |headers: &[(String, String)]| verify(&definition, params, headers).unwrap_err();
    let shard = param("shard", "42");
    let region = || "Mcp-Param-Region".to_owned();
    assert_eq!(
        said(std::slice::from_ref(&shard)),
        HeaderMismatch::Missing(region())
    );
    assert_eq!(
        said(&[param("region", "eu"), shard.clone()]),
        HeaderMismatch::Differs(region())
    );
    assert_eq!(
        said(&[param("region", "us"), param("Region", "us"), shard.clone()]),
        HeaderMismatch::Twice(region())
    );
    assert_eq!(
        said(&[param("region", "ü"), shard.clone()]),
        HeaderMismatch::Unreadable(region())
    );
    assert_eq!(
        said(&[param("region", "us"), shard, param("dry", "false")]),
        HeaderMismatch::Unexpected("Mcp-Param-Dry".to_owned())
    );
    assert_eq!(
        said(&[param("region", "us"), param("shard", "43")]),
        HeaderMismatch::Differs("Mcp-Param-Shard".to_owned())
    );
}

#[test]
fn integers_are_compared_as_numbers_and_never_rounded() {
    for (one, other) in [
        ("42", "42.0"),
        ("42", "4.20e1"),
        ("-0", "0"),
        ("0", "0.00e9"),
        ("100", "1E+2"),
    ] {
        assert!(number::equal(one, other), "{one} {other}");
    }
    for (one, other) in [
        ("9007199254740993", "9007199254740992"),
        ("1", "-1"),
        ("1", "1.0000000000000000001"),
        ("1", ""),
        ("1", "1e99999999999"),
        ("x", "x"),
        ("0x1", "1"),
    ] {
        assert!(!number::equal(one, other), "{one} {other}");
    }
    assert_eq!(number::as_integer("-42.0").unwrap(), "-42");
    assert_eq!(number::as_integer("1.5"), None);
    assert_eq!(
        number::as_integer("1e400"),
        Some(format!("1{}", "0".repeat(400)))
    );
    assert_eq!(number::as_integer("1e401"), None);
}

proptest! {
    #[test]
    fn every_text_comes_back(text in any::<String>()) {
        let header = encode(&text);
        let raw = header.to_str().unwrap();
        prop_assert_eq!(decode(raw).unwrap(), text.as_str());
        prop_assert!(!raw.starts_with(' ') && !raw.ends_with(' '));
    }

    #[test]
    fn texts_near_the_marks_come_back(text in "(=\\?base64\\?)?[=?a ]{0,4}(\\?=)?") {
        let header = encode(&text);
        prop_assert_eq!(decode(header.to_str().unwrap()).unwrap(), text.as_str());
    }

    #[test]
    fn what_is_made_is_what_is_verified(region in any::<String>(), shard in any::<i64>(), dry in any::<bool>()) {
        let definition = tool(THREE);
        let region = serde_json::Value::from(region);
        let params = format!(r#"{{"arguments":{{"region":{region},"where":{{"shard":{shard}}},"dry":{dry}}}}}"#);
        let received: Vec<_> = made(&definition, &params)
            .into_iter()
            .map(|(name, value)| (name["mcp-param-".len()..].to_owned(), value))
            .collect();
        prop_assert_eq!(received.len(), 3);
        prop_assert_eq!(verify(&definition, Some(&params), &received), Ok(()));
    }
}
