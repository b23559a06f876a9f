//! The contract's released versions: what stands in one stays as it is in every later one, or components built against
//! it would break.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wit_component::WitPrinter;
use wit_parser::Resolve;

/// A version's interfaces without their comments, by name, and the names of its worlds.
fn contract(folder: &Path) -> (BTreeMap<String, String>, Vec<String>) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).unwrap();
    let package = &resolve.packages[package];
    let version = format!("@{}", package.name.version.as_ref().unwrap());
    let interfaces = package.interfaces.iter().map(|(name, id)| {
        let mut printer = WitPrinter::default();
        printer.emit_docs(false);
        printer.print_interface(&resolve, *id).unwrap();
        let text = printer.output.to_string().replace(&version, "");
        (name.clone(), text)
    });
    (
        interfaces.collect(),
        package.worlds.keys().cloned().collect(),
    )
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The released versions, the oldest first.
fn released() -> Vec<PathBuf> {
    let folder = root().join("tests/golden/wit");
    let mut versions: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    versions.sort();
    versions
}

#[test]
fn a_released_interface_never_changes() {
    let (now, worlds_now) = contract(&root().join("wit"));
    assert!(released().len() >= 3);
    for version in released() {
        let (interfaces, worlds) = contract(&version);
        assert!(interfaces.len() >= 12, "{version:?}");
        for (name, text) in interfaces {
            assert_eq!(
                now.get(&name),
                Some(&text),
                "interface `{name}` is not what {} has: a hook that must change becomes an interface of another name \
                 beside it",
                version.display()
            );
        }
        for world in worlds {
            assert!(
                worlds_now.contains(&world),
                "{world} of {version:?} is gone"
            );
        }
    }
}

/// Else a change to what is not yet kept would go unseen.
#[test]
fn the_newest_version_is_among_those_that_are_kept() {
    let newest = released().pop().unwrap();
    let first = |folder: &Path| fs::read_to_string(folder.join("types.wit")).unwrap();
    let line = |text: &str| text.lines().next().unwrap().to_owned();
    assert_eq!(line(&first(&newest)), line(&first(&root().join("wit"))));
}

/// The comparison itself must see each kind of change.
#[test]
fn a_changed_interface_is_seen() {
    let text = fs::read_to_string(root().join("wit/types.wit")).unwrap();
    for (from, to) in [
        (
            "enum standing {\n    trusted,",
            "enum standing {\n    known,\n    trusted,",
        ),
        ("remedy: option<string>,", "remedy: string,"),
        ("other(string),", "other(string),\n    one-more,"),
        ("roles: list<string>,", ""),
    ] {
        assert!(text.contains(from), "{from}");
        let folder = tempfile::tempdir().unwrap();
        for name in ["hooks.wit", "worlds.wit"] {
            fs::copy(root().join("wit").join(name), folder.path().join(name)).unwrap();
        }
        fs::write(folder.path().join("types.wit"), text.replacen(from, to, 1)).unwrap();
        let (changed, _) = contract(folder.path());
        let (now, _) = contract(&root().join("wit"));
        assert_ne!(changed["types"], now["types"], "{to}");
    }
}
