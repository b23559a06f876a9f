//! Which folders tell of changes of the configuration and of what policies are read from.
//!
//! Knows paths and links. A folder that is not listed here costs time and no change: all is looked at again anyway.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{Config, PolicySource};

/// The most links that are followed from one path.
const MAX_LINKS: usize = 8;

/// The most folders that are watched.
const MAX_FOLDERS: usize = 64;

/// The names within a folder that matter; none: all do.
pub(super) type Names = Option<BTreeSet<OsString>>;

/// The folders to be watched, and which names in each.
pub(super) fn of(config: &Config) -> BTreeMap<PathBuf, Names> {
    let mut around = Around::default();
    around.path(&config.expected_file());
    for policy in config.policies.iter().flatten() {
        if let PolicySource::File(path) = &policy.source {
            around.path(path);
        }
    }
    if config.policy_dir.watch {
        let directory = &config.policy_dir.path;
        around.path(directory);
        if directory.is_dir() {
            around.0.insert(directory.clone(), None);
            around.links_in(directory);
        }
    }
    around.0
}

#[derive(Default)]
struct Around(BTreeMap<PathBuf, Names>);

impl Around {
    /// What stands at a path, wherever links lead, now or once it is made.
    fn path(&mut self, path: &Path) {
        let mut path = path.to_owned();
        for _ in 0..=MAX_LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return;
            };
            if !parent.is_dir() {
                // It begins with the first folder that is missing.
                path = parent.to_owned();
                continue;
            }
            self.name(parent, name.to_owned());
            match path.read_link() {
                Ok(target) => path = parent.join(target),
                Err(_) => return,
            }
        }
    }

    fn name(&mut self, folder: &Path, name: OsString) {
        if !self.0.contains_key(folder) && self.0.len() >= MAX_FOLDERS {
            return;
        }
        let names = self.0.entry(folder.to_owned());
        if let Some(names) = names.or_insert_with(|| Some(BTreeSet::new())) {
            names.insert(name);
        }
    }

    /// The files of a folder that are links.
    fn links_in(&mut self, folder: &Path) {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
        for link in links {
            self.path(&link.path());
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn watched(config: &Config) -> Vec<(String, Option<Vec<String>>)> {
        let all = of(config).into_iter().map(|(folder, names)| {
            let below = folder.strip_prefix(&config.dir).unwrap_or(&folder);
            let names = names.map(|names| {
                let names = names.iter().map(|name| name.to_string_lossy().into_owned());
                names.collect()
            });
            (below.display().to_string(), names)
        });
        all.collect()
    }

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn a_directory_that_is_not_there_yet_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::in_dir(dir.path());
        assert_eq!(
            watched(&config),
            [(String::new(), names(&["policies.d", "witgate.toml"]))]
        );
        config.policy_dir.path = dir.path().join("a/b/policies.d");
        assert_eq!(
            watched(&config),
            [(String::new(), names(&["a", "witgate.toml"]))]
        );
    }

    /// As a volume is mounted: names are links into a folder that is itself a link, swapped whole.
    #[test]
    fn links_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["one", "policies.d", "policies.d/..v1"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("one/real.toml"), "version = 1").unwrap();
        std::fs::write(dir.path().join("policies.d/..v1/a.wasm"), "x").unwrap();
        symlink("one/real.toml", dir.path().join("witgate.toml")).unwrap();
        symlink("..v1", dir.path().join("policies.d/..data")).unwrap();
        symlink("..data/a.wasm", dir.path().join("policies.d/a.wasm")).unwrap();
        let config = Config::in_dir(dir.path());
        assert_eq!(
            watched(&config),
            [
                (String::new(), names(&["policies.d", "witgate.toml"])),
                ("one".to_owned(), names(&["real.toml"])),
                ("policies.d".to_owned(), None),
                ("policies.d/..data".to_owned(), names(&["a.wasm"])),
            ]
        );
    }
}
