//! The files that policies are read from, followed over time.
//!
//! Knows which of them changed since they were last taken up, and which have settled. Knows nothing of policies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::directory::{self, Pair, ReadError, Seen, Stamp};
use super::settle::{Due, Gathered, Settling};

/// Where policies are read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Places {
    /// The configuration, where there is one.
    pub(super) config: Option<PathBuf>,
    /// Components that the configuration names.
    pub(super) named: BTreeSet<PathBuf>,
    /// The policy directory.
    pub(super) directory: PathBuf,
}

/// Everything that policies are read from, as it was last seen and read.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    places: Places,
    config: Option<Settling<Option<Stamp>>>,
    files: BTreeMap<PathBuf, Kept>,
    /// Why the directory cannot be listed.
    unlisted: Option<ReadError>,
}

#[derive(Debug)]
struct Kept {
    settling: Settling<Seen>,
    /// Whether it is one of the directory's, and so may have a sidecar.
    listed: bool,
    /// What was read when it had last settled.
    read: Option<Result<Pair, ReadError>>,
}

/// A file as it is to be taken up.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) file: &'a Path,
    /// Whether it is one of the directory's.
    pub(super) listed: bool,
    /// What it holds, or why that cannot be had; none while it is still being written.
    pub(super) content: Option<&'a Result<Pair, ReadError>>,
    /// Whether it changed since it was last taken up.
    pub(super) fresh: bool,
}

impl Shelf {
    /// Looks at everything, and reads nothing.
    pub(super) fn look(&mut self, places: &Places, now: Instant) -> Due {
        // What stands in a directory that was not looked at before may have stood there for long.
        let strange = self.places.directory != places.directory;
        if self.places != *places {
            self.places.clone_from(places);
        }
        self.look_at_config(now);
        let listed: BTreeSet<PathBuf> = match directory::list(&self.places.directory) {
            Ok(files) => {
                self.unlisted = None;
                files.into_iter().collect()
            }
            // What cannot be listed may all be there still.
            Err(error) => {
                if self.unlisted.is_none() {
                    tracing::warn!("the policy directory cannot be listed: {error}");
                }
                self.unlisted = Some(error);
                let known = self.files.iter().filter(|(_, kept)| kept.listed);
                known.map(|(file, _)| file.clone()).collect()
            }
        };
        let there: BTreeSet<&PathBuf> = listed.iter().chain(&self.places.named).collect();
        for file in &there {
            let listed = listed.contains(*file);
            let seen = Seen::of(file, listed);
            if let Some(kept) = self.files.get_mut(*file) {
                kept.listed = listed;
                kept.settling.look(seen, now);
                continue;
            }
            let since = if strange {
                now.checked_sub(seen.age()).unwrap_or(now)
            } else {
                now
            };
            let kept = Kept {
                settling: Settling::new(seen, since),
                listed,
                read: None,
            };
            self.files.insert((*file).clone(), kept);
        }
        for (file, kept) in &mut self.files {
            if !there.contains(file) {
                kept.settling.look(Seen::nothing(), now);
            }
        }
        self.due(now)
    }

    fn look_at_config(&mut self, now: Instant) {
        let stamp = self.places.config.as_deref().map(directory::stamp);
        match (&mut self.config, stamp) {
            (Some(config), Some(stamp)) => config.look(stamp, now),
            (config, stamp) => {
                // It was read just now, else nobody knew where it is.
                *config = stamp.map(|stamp| {
                    let mut read = Settling::new(stamp, now);
                    read.adopt();
                    read
                });
            }
        }
    }

    fn due(&self, now: Instant) -> Due {
        let mut gathered = Gathered::new(now);
        if let Some(config) = &self.config {
            gathered.add(config);
        }
        for kept in self.files.values() {
            gathered.add(&kept.settling);
        }
        gathered.due()
    }

    /// Whether the configuration changed and has settled.
    pub(super) fn has_new_config(&self, now: Instant) -> bool {
        self.config
            .as_ref()
            .is_some_and(|config| config.is_fresh() && config.is_settled(now))
    }

    /// The configuration was read.
    pub(super) const fn heed_config(&mut self) {
        if let Some(config) = &mut self.config {
            config.adopt();
        }
    }

    /// Reads what has settled and was not read since. With `again`, also what seems not to have changed: content
    /// decides.
    pub(super) fn read(&mut self, again: bool, now: Instant) {
        for (file, kept) in &mut self.files {
            let settled = kept.settling.is_settled(now);
            let fresh = kept.settling.is_fresh();
            if !settled || !(fresh || again || kept.read.is_none()) {
                continue;
            }
            if *kept.settling.seen() == Seen::nothing() {
                kept.read = None;
                continue;
            }
            let named = if kept.listed {
                directory::check_name(file)
            } else {
                Ok(())
            };
            let read = named.and_then(|()| directory::read(file, kept.listed));
            match (&kept.read, read) {
                (_, Err(ReadError::Unsettled { .. })) => kept.settling.stir(now),
                // Equal bytes stay the very same, so that they are there once.
                (Some(Ok(before)), Ok(now)) if *before == now => {}
                (before, read) => {
                    let same = match (before, &read) {
                        (Some(Err(before)), Err(now)) => before.to_string() == now.to_string(),
                        _ => false,
                    };
                    if !fresh && !same {
                        kept.settling.differs();
                    }
                    kept.read = Some(read);
                }
            }
        }
    }

    /// The files that are there, in the order of their paths.
    pub(super) fn candidates(&self, now: Instant) -> impl Iterator<Item = Candidate<'_>> {
        self.files.iter().filter_map(move |(file, kept)| {
            let settled = kept.settling.is_settled(now);
            if settled && *kept.settling.seen() == Seen::nothing() {
                return None;
            }
            Some(Candidate {
                file,
                listed: kept.listed,
                content: kept.read.as_ref().filter(|_| settled),
                fresh: kept.settling.is_fresh(),
            })
        })
    }

    /// Why the directory cannot be listed, if it cannot.
    pub(super) const fn unlisted(&self) -> Option<&ReadError> {
        self.unlisted.as_ref()
    }

    /// Everything that has settled was taken up, and what has not was told.
    pub(super) fn taken(&mut self, now: Instant) {
        if let Some(config) = &mut self.config {
            config.taken(now);
        }
        self.files.retain(|_, kept| {
            kept.settling.taken(now);
            kept.settling.is_fresh() || *kept.settling.seen() != Seen::nothing()
        });
    }

    /// What happens in `change` shows in nothing but content.
    #[cfg(test)]
    pub(super) fn pretend_unchanged(&mut self, change: impl FnOnce()) {
        change();
        let long_ago = Instant::now() - super::settle::SETTLE;
        for (file, kept) in &mut self.files {
            kept.settling = Settling::new(Seen::of(file, kept.listed), long_ago);
            kept.settling.adopt();
        }
    }
}
