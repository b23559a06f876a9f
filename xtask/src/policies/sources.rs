//! The digest of everything a component is built from.
//!
//! That is: the crate's files, the SDK's, the profile, and the exact dependencies. Of the workspace's manifest and lock
//! file only what concerns the crate is taken, so that another crate's dependency does not make the component stale.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use super::Guest;

/// Folders, beside the guest's own, that every guest is built from.
const SHARED: [&str; 1] = ["policies/sdk"];

/// SHA-256, hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// The digest of what `guest` is built from.
pub(crate) fn digest(root: &Path, guest: &Guest) -> Result<String> {
    let mut hash = Sha256::new();
    let mut part = |name: &str, bytes: &[u8]| {
        hash.update(format!("{name}\n{}\n", bytes.len()));
        hash.update(bytes);
    };
    for folder in SHARED.iter().copied().chain([guest.folder]) {
        for file in files(&root.join(folder))? {
            let name = file
                .strip_prefix(root)?
                .to_string_lossy()
                .replace('\\', "/");
            let bytes = fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
            part(&name, &bytes);
        }
    }
    let packages = locked(&table(&root.join("Cargo.lock"))?, guest.package);
    let names: BTreeSet<_> = packages.iter().map(|package| package.0.as_str()).collect();
    for (name, version, checksum) in &packages {
        part("locked", format!("{name} {version} {checksum}").as_bytes());
    }
    let manifest = table(&root.join("Cargo.toml"))?;
    for (name, value) in concerning(&manifest, &names) {
        part(&name, value.as_bytes());
    }
    Ok(hex::encode(hash.finalize()))
}

/// A crate's files that matter to a build, in order: its manifest, and what is under `src` and `wit`.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![folder.join("Cargo.toml")];
    let mut folders = vec![folder.join("src"), folder.join("wit")];
    while let Some(next) = folders.pop() {
        if !next.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&next).with_context(|| format!("reading {}", next.display()))? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

fn table(file: &Path) -> Result<Table> {
    fs::read_to_string(file)
        .with_context(|| format!("reading {}", file.display()))?
        .parse()
        .with_context(|| format!("reading {}", file.display()))
}

/// Every locked package that `package` leads to, itself included: (name, version, checksum), in order.
fn locked(lock: &Table, package: &str) -> BTreeSet<(String, String, String)> {
    let text = |package: &Value, key: &str| {
        let value = package.get(key).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let packages = lock.get("package").and_then(Value::as_array);
    let packages: &[Value] = packages.map_or(&[], Vec::as_slice);
    let mut found = BTreeSet::new();
    let mut next = vec![package.to_owned()];
    while let Some(wanted) = next.pop() {
        // `name`, or `name version` where several versions are locked.
        let mut words = wanted.split(' ');
        let (name, version) = (words.next().unwrap_or_default(), words.next());
        let matching = packages.iter().filter(|package| {
            text(package, "name") == name
                && version.is_none_or(|version| text(package, "version") == version)
        });
        for package in matching {
            let one = (
                name.to_owned(),
                text(package, "version"),
                text(package, "checksum"),
            );
            if found.insert(one) {
                let dependencies = package.get("dependencies").and_then(Value::as_array);
                let dependencies = dependencies.map_or(&[] as &[Value], Vec::as_slice);
                next.extend(
                    dependencies
                        .iter()
                        .filter_map(Value::as_str)
                        .map(str::to_owned),
                );
            }
        }
    }
    found
}

/// What the workspace's manifest says about guests: the profile, the shared package fields, and the dependencies of
/// the given names.
fn concerning(manifest: &Table, names: &BTreeSet<&str>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut keep = |name: String, value: Option<&Value>| {
        if let Some(value) = value {
            found.insert(name, value.to_string());
        }
    };
    let workspace = manifest.get("workspace");
    keep(
        "profile.guest".to_owned(),
        manifest.get("profile").and_then(|all| all.get("guest")),
    );
    for field in ["version", "edition"] {
        let package = workspace.and_then(|table| table.get("package"));
        keep(
            format!("workspace.package.{field}"),
            package.and_then(|table| table.get(field)),
        );
    }
    let dependencies = workspace.and_then(|table| table.get("dependencies"));
    for name in names {
        keep(
            format!("workspace.dependencies.{name}"),
            dependencies.and_then(|table| table.get(name)),
        );
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
        [[package]]
        name = "guest"
        version = "1.0.0"
        dependencies = ["a", "b 2.0.0"]
        [[package]]
        name = "a"
        version = "1.0.0"
        checksum = "aa"
        [[package]]
        name = "b"
        version = "1.0.0"
        checksum = "b1"
        [[package]]
        name = "b"
        version = "2.0.0"
        checksum = "b2"
        dependencies = ["a"]
        [[package]]
        name = "host"
        version = "1.0.0"
        checksum = "cc"
    "#;

    #[test]
    fn only_what_a_guest_leads_to_counts() {
        let found = locked(&LOCK.parse().unwrap(), "guest");
        let found: Vec<_> = found.iter().map(|p| (p.0.as_str(), p.2.as_str())).collect();
        assert_eq!(found, [("a", "aa"), ("b", "b2"), ("guest", "")]);
    }

    #[test]
    fn the_manifest_counts_where_it_concerns_a_guest() {
        let manifest: Table = r#"
            [workspace.package]
            version = "1.0.0"
            description = "words"
            [workspace.dependencies]
            a = "1"
            host = "1"
            [profile.guest]
            lto = "fat"
            [profile.dev]
            debug = false
        "#
        .parse()
        .unwrap();
        let found = concerning(&manifest, &BTreeSet::from(["a", "b"]));
        let names: Vec<_> = found.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "profile.guest",
                "workspace.dependencies.a",
                "workspace.package.version"
            ]
        );
    }
}
