//! Where cases are: a file, or a folder of them.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{Case, CaseError, Hook};

/// The largest case file that is read, bytes: a call's arguments and a result must fit.
const MAX_FILE: u64 = 64 << 20;

/// Cases cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is none.
    #[error(
        "{path} holds no case: put files that end in `.json` there (`witgate policy schema case` prints their format)"
    )]
    None {
        /// The folder.
        path: String,
    },
    /// It is no text.
    #[error("{path} is not UTF-8: write it again as UTF-8")]
    NotText {
        /// The file.
        path: String,
    },
    /// It is too large.
    #[error("{path} has more than {MAX_FILE} bytes, the most a case may have")]
    TooLarge {
        /// The file.
        path: String,
    },
    /// Files that are no cases: all of them, so that they can be mended at once.
    #[error("{}", lines(.0))]
    Cases(Vec<CaseError>),
}

fn lines(errors: &[CaseError]) -> String {
    let lines: Vec<_> = errors.iter().map(CaseError::to_string).collect();
    lines.join("\n")
}

/// Reads every case at these paths: files as they are, folders with everything in them that ends in `.json`, in the
/// order of paths.
///
/// # Errors
/// If one cannot be read, or is no case.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Case>, FilesError> {
    let mut files = Vec::new();
    for path in paths {
        let before = files.len();
        let found = fs::metadata(path).map_err(|source| io_error(path, source))?;
        if found.is_dir() {
            collect(path, &mut files)?;
            if files.len() == before {
                return Err(FilesError::None {
                    path: path.display().to_string(),
                });
            }
            files[before..].sort();
        } else {
            files.push(path.clone());
        }
    }
    let mut cases = Vec::with_capacity(files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = text_of(&file)?;
        match Case::parse(&file.display().to_string(), &text, None) {
            Ok(case) => cases.push(case),
            Err(error) => wrong.push(error),
        }
    }
    if wrong.is_empty() {
        Ok(cases)
    } else {
        Err(FilesError::Cases(wrong))
    }
}

/// Reads one case, from standard input if the path is `-`. `hook` is the hook that was named beside it.
///
/// # Errors
/// If it cannot be read, or is no case.
pub fn read_one(path: &Path, hook: Option<Hook>) -> Result<Case, FilesError> {
    let (name, text) = if path == Path::new("-") {
        let name = "standard input".to_owned();
        let text = bounded(io::stdin().lock(), &name)?;
        (name, text)
    } else {
        (path.display().to_string(), text_of(path)?)
    };
    Case::parse(&name, &text, hook).map_err(|error| FilesError::Cases(vec![error]))
}

/// A symbolic link to a folder is not followed: it could lead round in a circle.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    for entry in fs::read_dir(folder).map_err(|source| io_error(folder, source))? {
        let entry = entry.map_err(|source| io_error(folder, source))?;
        let path = entry.path();
        let kind = entry
            .file_type()
            .map_err(|source| io_error(&path, source))?;
        if kind.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "json") && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn text_of(path: &Path) -> Result<String, FilesError> {
    let file = fs::File::open(path).map_err(|source| io_error(path, source))?;
    bounded(file, &path.display().to_string())
}

fn bounded(from: impl Read, name: &str) -> Result<String, FilesError> {
    let mut bytes = Vec::new();
    let read = from.take(MAX_FILE + 1).read_to_end(&mut bytes);
    read.map_err(|source| FilesError::Io {
        path: name.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(FilesError::TooLarge {
            path: name.to_owned(),
        });
    }
    String::from_utf8(bytes).map_err(|_| FilesError::NotText {
        path: name.to_owned(),
    })
}

fn io_error(path: &Path, source: io::Error) -> FilesError {
    FilesError::Io {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_searched_in_the_order_of_paths() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "{\"hook\": \"settings\", \"expect\": {}}").unwrap();
        };
        for name in ["b.json", "a/2.json", "a/1.json", "c.txt"] {
            put(name);
        }
        std::os::unix::fs::symlink(dir.path(), dir.path().join("round")).unwrap();
        let cases = read(&[dir.path().to_owned()]).unwrap();
        let names: Vec<_> = cases
            .iter()
            .map(|case| {
                case.file
                    .strip_prefix(dir.path().to_str().unwrap())
                    .unwrap()
            })
            .collect();
        assert_eq!(names, ["/a/1.json", "/a/2.json", "/b.json"]);
    }

    #[test]
    fn every_file_that_is_no_case_is_named() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.json"), "{").unwrap();
        fs::write(dir.path().join("b.json"), "{\"hook\": 1}").unwrap();
        let error = read(&[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("a.json:1:1: not JSON"), "{error}");
        assert!(error.contains("b.json:1:10: `hook`"), "{error}");
        fs::write(dir.path().join("a.json"), b"\xff").unwrap();
        let error = read(&[dir.path().to_owned()]).unwrap_err().to_string();
        assert!(error.contains("a.json is not UTF-8"), "{error}");
    }

    #[test]
    fn a_folder_without_cases_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = read(&[dir.path().to_owned()]).unwrap_err();
        assert!(matches!(error, FilesError::None { .. }), "{error}");
        assert!(read(&[dir.path().join("absent")]).is_err());
    }
}
