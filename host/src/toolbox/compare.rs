//! Expected against found.
//!
//! Objects match as subsets: what is named must be equal, the rest may be anything. Lists match element by element. The
//! store matches whole, since a change that nobody expected is a fault.

use serde_json::{Map, Value};

use super::case::Expect;

/// One place where what was found is not what was expected.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Difference {
    /// Where, such as `items[1].deny.code`.
    pub path: String,
    /// What should be there; none if nothing should.
    pub expected: Option<Value>,
    /// What is there; none if nothing is.
    pub found: Option<Value>,
}

/// Keys of what was found that are trouble, unless they were expected.
const TROUBLE: [&str; 3] = ["settings_error", "refused", "unusable"];

/// Where `found` is not as expected, in the order of the expectation.
pub fn differences(expect: &Expect, found: &Map<String, Value>) -> Vec<Difference> {
    let mut all = Vec::new();
    for (key, expected) in &expect.0 {
        match (key.as_str(), found.get(key)) {
            ("settings_error", Some(Value::String(said)))
                if expected.as_str().is_some_and(|part| said.contains(part)) => {}
            ("settings_error", found) => all.push(different(key, Some(expected), found)),
            ("store", Some(found)) => whole(key, expected, found, &mut all),
            (_, Some(found)) => subset(key, expected, found, &mut all),
            (_, None) => all.push(different(key, Some(expected), None)),
        }
    }
    for (key, value) in found {
        let failed = key == "verdict" && value.get("failure").is_some();
        if (failed || TROUBLE.contains(&key.as_str())) && !expect.0.contains_key(key) {
            all.push(different(key, None, Some(value)));
        }
    }
    all
}

fn different(path: &str, expected: Option<&Value>, found: Option<&Value>) -> Difference {
    Difference {
        path: path.to_owned(),
        expected: expected.cloned(),
        found: found.cloned(),
    }
}

fn subset(path: &str, expected: &Value, found: &Value, all: &mut Vec<Difference>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(members)) => {
            // One verdict for another is one difference, not one for each of its fields.
            if expected.len() == 1 && expected.keys().all(|key| !members.contains_key(key)) {
                all.push(different(
                    path,
                    Some(&Value::Object(expected.clone())),
                    Some(found),
                ));
                return;
            }
            for (key, expected) in expected {
                let path = member(path, key);
                match members.get(key) {
                    Some(found) => subset(&path, expected, found, all),
                    None => all.push(different(&path, Some(expected), None)),
                }
            }
        }
        (Value::Array(expected), Value::Array(elements)) if expected.len() == elements.len() => {
            for (index, (expected, found)) in expected.iter().zip(elements).enumerate() {
                subset(&format!("{path}[{index}]"), expected, found, all);
            }
        }
        _ if expected == found => {}
        _ => all.push(different(path, Some(expected), Some(found))),
    }
}

/// Objects of texts that must have the same keys.
fn whole(path: &str, expected: &Value, found: &Value, all: &mut Vec<Difference>) {
    let (Value::Object(expected), Value::Object(found)) = (expected, found) else {
        all.push(different(path, Some(expected), Some(found)));
        return;
    };
    for (key, expected) in expected {
        if found.get(key) != Some(expected) {
            all.push(different(
                &member(path, key),
                Some(expected),
                found.get(key),
            ));
        }
    }
    for (key, found) in found {
        if !expected.contains_key(key) {
            all.push(different(&member(path, key), None, Some(found)));
        }
    }
}

fn member(path: &str, key: &str) -> String {
    let bare = !key.is_empty()
        && key
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if bare {
        format!("{path}.{key}")
    } else {
        format!("{path}[{key:?}]")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(expected: Value, found: Value) -> Vec<String> {
        let (Value::Object(expected), Value::Object(found)) = (expected, found) else {
            panic!("not objects");
        };
        let found = differences(&Expect(expected), &found);
        found
            .into_iter()
            .map(|difference| difference.path)
            .collect()
    }

    #[test]
    fn objects_match_as_subsets_and_lists_whole() {
        let found = json!({"items": ["keep", {"deny": {"code": "a", "reason": "b", "labels": {"x": "1"}}}]});
        for (expected, paths_of) in [
            (json!({"items": ["keep", {"deny": {"code": "a"}}]}), vec![]),
            (
                json!({"items": ["keep", {"deny": {"labels": {"x": "1"}}}]}),
                vec![],
            ),
            (
                json!({"items": ["keep", {"deny": {"code": "b", "reason": "c"}}]}),
                vec!["items[1].deny.code", "items[1].deny.reason"],
            ),
            (
                json!({"items": [{"deny": {"code": "a"}}, "keep"]}),
                vec!["items[0]", "items[1]"],
            ),
            (json!({"items": ["keep"]}), vec!["items"]),
            (
                json!({"items": ["keep", {"deny": {"labels": {"y": "1"}}}]}),
                vec!["items[1].deny.labels"],
            ),
        ] {
            assert_eq!(
                paths(expected.clone(), found.clone()),
                paths_of,
                "{expected}"
            );
        }
    }

    #[test]
    fn another_verdict_is_one_difference() {
        let found = json!({"verdict": {"hold": {"code": "ask"}}});
        assert_eq!(
            paths(json!({"verdict": {"deny": {"code": "ask"}}}), found.clone()),
            ["verdict"]
        );
        assert_eq!(paths(json!({"verdict": "allow"}), found), ["verdict"]);
    }

    /// A change that no one expected shows only if the whole store is compared.
    #[test]
    fn the_store_matches_whole() {
        let found = json!({"store": {"a": "1", "sighting/x y": "2"}});
        assert!(
            paths(
                json!({"store": {"a": "1", "sighting/x y": "2"}}),
                found.clone()
            )
            .is_empty()
        );
        assert_eq!(
            paths(json!({"store": {"a": "2", "b": "1"}}), found.clone()),
            ["store.a", "store.b", "store[\"sighting/x y\"]"]
        );
        assert!(paths(json!({}), found).is_empty());
    }

    #[test]
    fn trouble_that_was_not_expected_is_a_difference() {
        for found in [
            json!({"verdict": {"failure": "trap"}}),
            json!({"settings_error": "no"}),
            json!({"refused": "moved-on"}),
            json!({"unusable": "it does not export this hook"}),
        ] {
            assert_eq!(paths(json!({}), found.clone()).len(), 1, "{found}");
            assert_eq!(paths(found.clone(), found.clone()).len(), 0, "{found}");
        }
        assert!(
            paths(
                json!({"settings_error": "word"}),
                json!({"settings_error": "a word in it"})
            )
            .is_empty()
        );
        assert_eq!(
            paths(json!({"settings_error": "word"}), json!({})),
            ["settings_error"]
        );
        assert_eq!(
            paths(
                json!({"store": {}}),
                json!({"verdict": {"failure": "trap"}})
            ),
            ["store", "verdict"]
        );
    }
}
