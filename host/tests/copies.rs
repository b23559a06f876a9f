//! What is kept more than once for guests in other languages must be the same each time, and of the contract's version:
//! bindings are committed as their generators made them, and a project that `policy new` writes cannot refer to a file
//! elsewhere.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every file of a folder, however deep, that is text and was not built.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            if !path.ends_with("node_modules") && !path.ends_with("target") {
                found.extend(texts(&path));
            }
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
    found
}

#[test]
fn examples_and_templates_are_of_the_contract_as_it_is() {
    let types = fs::read_to_string(root().join("wit/types.wit")).unwrap();
    let version = types.strip_prefix("package witgate:policy@").unwrap();
    let version = version.split(';').next().unwrap();
    let mut named = 0;
    for folder in ["examples/policies", "host/templates/policy"] {
        for (path, text) in texts(&root().join(folder)) {
            for (at, _) in text.match_indices("witgate:policy/") {
                let line = text[at..].lines().next().unwrap();
                let Some((_, found)) = line.split_once('@') else {
                    continue;
                };
                let end = found
                    .find(|c: char| !c.is_ascii_digit() && c != '.')
                    .unwrap_or(found.len());
                let found = found[..end].trim_end_matches('.');
                assert_eq!(found, version, "{}: {line}", path.display());
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named}");
}

#[test]
fn copies_are_the_same() {
    let copies = [
        ("c/json.h", "c/json.h"),
        ("go/wasi.wat", "go/wasi.wat"),
        ("go/go.mod", "go/go.mod"),
        ("go/vendor", "go/vendor"),
    ];
    for (example, template) in copies {
        let example = root().join("examples/policies").join(example);
        let template = root().join("host/templates/policy").join(template);
        let of = |path: &Path| {
            if path.is_dir() {
                texts(path)
            } else {
                vec![(path.to_owned(), fs::read_to_string(path).unwrap())]
            }
        };
        let (mut one, mut other) = (of(&example), of(&template));
        one.sort();
        other.sort();
        assert_eq!(one.len(), other.len(), "{}", example.display());
        for ((one, text), (other, copy)) in one.iter().zip(&other) {
            assert_eq!(
                one.strip_prefix(&example).unwrap(),
                other.strip_prefix(&template).unwrap()
            );
            assert!(text == copy, "{} is not {}", other.display(), one.display());
        }
    }
}
