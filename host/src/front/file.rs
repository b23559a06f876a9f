//! Files that may be replaced while the gate runs: certificates, keys.
//!
//! Knows when to look again. Knows nothing of what is in them.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a look is good for.
const EVERY: Duration = Duration::from_secs(1);

/// The longest file that is read: certificates and sets of keys are small.
const MAX_BYTES: u64 = 1 << 20;

/// Files that are read again now and then, all together, and compared by content: an edit may keep size and time.
#[derive(Debug)]
pub(super) struct Watched<const N: usize> {
    paths: [PathBuf; N],
    state: Mutex<State<N>>,
}

#[derive(Debug)]
struct State<const N: usize> {
    looked: Instant,
    /// As they were when they last could be read.
    seen: [Vec<u8>; N],
    /// Why they could not be read the last time, to be told once.
    trouble: Option<String>,
}

/// A file cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", path.display())]
pub struct Unreadable {
    /// The file.
    pub path: PathBuf,
    /// What is wrong.
    pub detail: String,
}

impl<const N: usize> Watched<N> {
    /// Reads the files for the first time.
    pub(super) fn open(paths: [&Path; N]) -> Result<(Self, [Vec<u8>; N]), Unreadable> {
        let paths = paths.map(Path::to_owned);
        let seen = read_all(&paths)?;
        let state = State {
            looked: Instant::now(),
            seen: seen.clone(),
            trouble: None,
        };
        let state = Mutex::new(state);
        Ok((Self { paths, state }, seen))
    }

    /// The files' content, if it is another than at the last look, which was a second ago at least. What cannot be read
    /// counts as unchanged, and is told to the log.
    pub(super) fn changed(&self, now: Instant) -> Option<[Vec<u8>; N]> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(state.looked) < EVERY {
            return None;
        }
        state.looked = now;
        match read_all(&self.paths) {
            Ok(found) if found == state.seen => {
                state.trouble = None;
                None
            }
            Ok(found) => {
                state.trouble = None;
                state.seen.clone_from(&found);
                Some(found)
            }
            Err(error) => {
                let trouble = error.to_string();
                if state.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!("{trouble}; what was read before stays in force");
                    state.trouble = Some(trouble);
                }
                None
            }
        }
    }
}

fn read_all<const N: usize>(paths: &[PathBuf; N]) -> Result<[Vec<u8>; N], Unreadable> {
    let mut all = [const { Vec::new() }; N];
    for (path, into) in paths.iter().zip(&mut all) {
        *into = read(path)?;
    }
    Ok(all)
}

/// A whole file, if it is one and not too long.
fn read(path: &Path) -> Result<Vec<u8>, Unreadable> {
    let fails = |detail: String| Unreadable {
        path: path.to_owned(),
        detail,
    };
    let metadata = std::fs::metadata(path).map_err(|e| fails(format!("cannot be read: {e}")))?;
    if !metadata.is_file() {
        return Err(fails("is no ordinary file".to_owned()));
    }
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(path);
    opened
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| fails(format!("cannot be read: {e}")))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(fails(format!(
            "has more than the {MAX_BYTES} bytes that are read of it"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// O4: an edit that keeps size and time is seen; what goes missing changes nothing.
    #[test]
    fn a_change_is_seen_by_content_and_what_is_missing_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&a, "1").unwrap();
        std::fs::write(&b, "2").unwrap();
        let (watched, first) = Watched::open([&a, &b]).unwrap();
        assert_eq!(first, [b"1".to_vec(), b"2".to_vec()]);
        let start = Instant::now();
        let modified = std::fs::metadata(&b).unwrap().modified().unwrap();
        std::fs::write(&b, "3").unwrap();
        let file = std::fs::File::options().write(true).open(&b).unwrap();
        file.set_modified(modified).unwrap();
        assert_eq!(watched.changed(start), None, "not again within a second");
        let later = start + Duration::from_secs(2);
        assert_eq!(watched.changed(later), Some([b"1".to_vec(), b"3".to_vec()]));
        std::fs::remove_file(&a).unwrap();
        assert_eq!(watched.changed(later + EVERY), None);
        std::fs::write(&a, "1").unwrap();
        assert_eq!(watched.changed(later + EVERY * 2), None, "as it was");
        std::fs::write(&a, vec![0; (1 << 20) + 1]).unwrap();
        assert_eq!(watched.changed(later + EVERY * 3), None, "too long");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named() {
        let error = Watched::open([Path::new("/nonexistent/cert.pem")]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.starts_with("/nonexistent/cert.pem: cannot be read: "),
            "{text}"
        );
        let error = Watched::open([Path::new("/dev/null")]).unwrap_err();
        assert_eq!(error.to_string(), "/dev/null: is no ordinary file");
    }
}
