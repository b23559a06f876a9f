//! The system's word that something changed in a folder.
//!
//! Knows folders and names. An event is a reason to look, nothing more; where there are none, whoever asks is told so
//! and looks by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

use super::around::{self, Names};
use crate::config::Config;

/// Events of the folders around a configuration.
pub(super) struct Events {
    watcher: Option<RecommendedWatcher>,
    /// The folders that are watched, each once however many paths lead to it: device and inode, and the path.
    watched: BTreeMap<(u64, u64), PathBuf>,
    shared: Arc<Shared>,
    /// Why not all folders are watched, if not.
    trouble: Option<String>,
}

#[derive(Default)]
struct Shared {
    woken: Notify,
    names: Mutex<BTreeMap<PathBuf, Names>>,
    /// Watched folders that went away. Another may have come in its place, even with its inode.
    gone: Mutex<BTreeSet<PathBuf>>,
}

impl Events {
    /// None yet.
    pub(super) fn start() -> Self {
        let shared: Arc<Shared> = Arc::default();
        let hears = shared.clone();
        let watcher = notify::recommended_watcher(move |event| hears.hear(event));
        let mut events = Self {
            watcher: None,
            watched: BTreeMap::new(),
            shared,
            trouble: None,
        };
        match watcher {
            Ok(watcher) => events.watcher = Some(watcher),
            Err(error) => events.tell(Some(error.to_string())),
        }
        events
    }

    /// Whether everything is watched.
    pub(super) const fn work(&self) -> bool {
        self.trouble.is_none()
    }

    /// Waits for one.
    pub(super) async fn some(&self) {
        self.shared.woken.notified().await;
    }

    /// Watches what is around a configuration now.
    pub(super) async fn around(mut self, config: Arc<Config>) -> Self {
        let followed = tokio::task::spawn_blocking(move || {
            self.follow(around::of(&config));
            self
        });
        match followed
            .await
            .map_err(tokio::task::JoinError::try_into_panic)
        {
            Ok(events) => events,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime ends, and with it whoever waits here.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Watches these folders and no others. One that was replaced is watched anew.
    fn follow(&mut self, folders: BTreeMap<PathBuf, Names>) {
        let Some(watcher) = &mut self.watcher else {
            return;
        };
        let mut found: BTreeMap<(u64, u64), (PathBuf, Names)> = BTreeMap::new();
        for (folder, names) in folders {
            let Ok(data) = folder.metadata() else {
                continue;
            };
            let known = found.entry((data.dev(), data.ino()));
            let (_, all) = known.or_insert_with(|| (folder, Some(Default::default())));
            match (all.as_mut(), names) {
                (Some(all), Some(names)) => all.extend(names),
                (_, None) => *all = None,
                (None, Some(_)) => {}
            }
        }
        let mut trouble = None;
        let gone = std::mem::take(&mut *lock(&self.shared.gone));
        let stale = |id: &(u64, u64), folder: &mut PathBuf| {
            gone.contains(folder) || found.get(id).is_none_or(|(path, _)| path != folder)
        };
        for (_, folder) in self.watched.extract_if(.., stale) {
            // A folder that is gone is watched no longer anyway.
            let _ = watcher.unwatch(&folder);
        }
        let names = found.values().cloned().collect();
        *lock(&self.shared.names) = names;
        for (id, (folder, _)) in found {
            if self.watched.contains_key(&id) {
                continue;
            }
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(id, folder);
                    // What came between looking and watching is looked at now.
                    self.shared.woken.notify_one();
                }
                Err(error) => trouble = Some(error.to_string()),
            }
        }
        self.tell(trouble);
    }

    /// Tells once that there are no events, or that there are again.
    fn tell(&mut self, trouble: Option<String>) {
        match (&self.trouble, &trouble) {
            (None, Some(trouble)) => tracing::warn!(
                "the system does not tell of changes ({trouble}); the policy directory is looked at more often instead"
            ),
            (Some(_), None) => tracing::info!("the system tells of changes again"),
            _ => {}
        }
        self.trouble = trouble;
    }
}

impl Shared {
    fn hear(&self, event: notify::Result<Event>) {
        // What cannot be told may be anything.
        let matters = event.map_or(true, |event| self.matters(&event));
        if matters {
            self.woken.notify_one();
        }
    }

    fn matters(&self, event: &Event) -> bool {
        if event.need_rescan() {
            return true;
        }
        let kind = match event.kind {
            // The reading that follows an event would be the next.
            EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
            _ => true,
        };
        let names = lock(&self.names);
        if matches!(
            event.kind,
            EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_))
        ) {
            let folders = event.paths.iter().filter(|path| names.contains_key(*path));
            lock(&self.gone).extend(folders.cloned());
        }
        kind && event.paths.iter().any(|path| is_named(&names, path))
    }
}

fn is_named(names: &BTreeMap<PathBuf, Names>, path: &Path) -> bool {
    if names.contains_key(path) {
        return true;
    }
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return true;
    };
    match names.get(folder) {
        Some(Some(names)) => names.contains(name),
        Some(None) => true,
        None => false,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    async fn hears(events: &Events) -> bool {
        tokio::time::timeout(Duration::from_secs(10), events.some())
            .await
            .is_ok()
    }

    /// Hears everything that is still to come.
    async fn drain(events: &Events) {
        while tokio::time::timeout(Duration::from_millis(200), events.some())
            .await
            .is_ok()
        {}
    }

    #[tokio::test]
    async fn what_is_named_wakes_and_nothing_else_does() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let names = Some(BTreeSet::from(["witgate.toml".into()]));
        let mut events = Events::start();
        events.follow(BTreeMap::from([(path.clone(), names)]));
        assert!(events.work());
        drain(&events).await;
        fs::write(path.join("ledger.db"), "x").unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(300), events.some()).await;
        assert!(quiet.is_err());
        fs::write(path.join("witgate.toml"), "x").unwrap();
        assert!(hears(&events).await);
    }

    /// A mounted volume, and what an unpacked archive does.
    #[tokio::test]
    async fn a_folder_that_was_replaced_is_watched_anew() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("policies.d");
        fs::create_dir(&folder).unwrap();
        let parent = Some(BTreeSet::from(["policies.d".into()]));
        let around = BTreeMap::from([(dir.path().to_owned(), parent), (folder.clone(), None)]);
        let mut events = Events::start();
        events.follow(around.clone());
        drain(&events).await;
        fs::remove_dir(&folder).unwrap();
        // Perhaps with the same inode.
        fs::create_dir(&folder).unwrap();
        assert!(hears(&events).await);
        events.follow(around);
        drain(&events).await;
        fs::write(folder.join("a.wasm"), "x").unwrap();
        assert!(hears(&events).await);
    }
}
