//! `policy new`: a project that builds, from a template that is inside the binary.
//!
//! Knows names, placeholders and where files go. What is in a project is the templates' affair.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use include_dir::{Dir, DirEntry, File, include_dir};

use crate::config::names::check_policy_name;

/// One folder for each language; other files are for who writes templates.
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates/policy");

/// The contract.
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../wit");

/// The file of a template that holds the commands to type next, and does not become part of the project.
const NEXT: &str = "NEXT.in";

/// Words that some language keeps for itself: a package or a module cannot be called so.
const KEPT: &str = "abstract and as assert async auto await become bool box break byte case catch chan char class const \
    continue core crate debugger def default defer del delete do double dyn elif else enum eval except export extends extern \
    fallthrough false final finally float fn for from func function gen global go goto if impl implements import in \
    inline instanceof int interface is lambda let long loop macro main map match mod module move mut new none nonlocal not \
    null or override package pass policy priv private protected pub public raise range ref register restrict return self \
    short signed sizeof static std struct super switch test this throw trait true try type typedef typeof union unsafe \
    unsized unsigned use var virtual void volatile where while with wit yield";

/// A project that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its folder.
    pub folder: PathBuf,
    /// Its files, in the order of paths, relative to the folder.
    pub files: Vec<PathBuf>,
    /// The commands to type next, in that folder.
    pub next: Vec<String>,
}

/// A project was not written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// The name cannot be a policy's, or not in every language.
    #[error("{0}")]
    Name(String),
    /// There is no such template.
    #[error("there is no template for {language:?}; there are: {}", .known.join(", "))]
    Language {
        /// What was asked for.
        language: String,
        /// What there is.
        known: Vec<&'static str>,
    },
    /// Something is where the project should go.
    #[error("{} is there and is not empty: choose another name, or another folder by --dir", .0.display())]
    Taken(PathBuf),
    /// The system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
}

/// The languages that there are templates for.
pub fn languages() -> Vec<&'static str> {
    languages_of(&TEMPLATES)
}

/// Writes a project called `name` into a folder of that name in `dir`.
///
/// # Errors
/// If the name is none, if the folder is there and not empty, or if the system refuses.
pub fn write(language: &str, name: &str, dir: &Path) -> Result<Written, ProjectError> {
    write_from(&TEMPLATES, language, name, dir)
}

fn languages_of<'t>(templates: &Dir<'t>) -> Vec<&'t str> {
    let folders = templates.dirs().map(Dir::path);
    folders.filter_map(|path| path.to_str()).collect()
}

fn write_from(
    templates: &Dir<'static>,
    language: &str,
    name: &str,
    dir: &Path,
) -> Result<Written, ProjectError> {
    check_name(name)?;
    let template = templates
        .get_dir(language)
        .ok_or_else(|| ProjectError::Language {
            language: language.to_owned(),
            known: languages_of(templates),
        })?;
    let folder = dir.join(name);
    free(&folder)?;
    let mut files = Vec::new();
    let mut next = Vec::new();
    for file in all(template) {
        let inner = relative(file.path(), template.path());
        let content = filled(file.contents(), name);
        if inner == Path::new(NEXT) {
            let text = String::from_utf8_lossy(&content).into_owned();
            next = text.lines().map(str::to_owned).collect();
            continue;
        }
        files.push((target(inner, name), content));
    }
    for file in WIT.files() {
        if file.path().extension().is_some_and(|end| end == "wit") {
            files.push((
                Path::new("wit").join(file.path()),
                file.contents().to_owned(),
            ));
        }
    }
    files.sort();
    for (path, content) in &files {
        put(&folder.join(path), content)?;
    }
    Ok(Written {
        folder,
        files: files.into_iter().map(|(path, _)| path).collect(),
        next,
    })
}

/// A policy's name that is also a package's name in every language.
fn check_name(name: &str) -> Result<(), ProjectError> {
    check_policy_name(name).map_err(|error| ProjectError::Name(error.to_string()))?;
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if !plain {
        return Err(ProjectError::Name(format!(
            "{name:?} cannot be a package's name in every language: use a-z, 0-9, `-` and `_`, beginning with a letter. \
             The component can get another name when it is copied into the policy directory, such as `10-team.wasm`"
        )));
    }
    let kept = KEPT.split_whitespace().any(|word| word == snake(name));
    if kept {
        return Err(ProjectError::Name(format!(
            "{name:?} is a word that a language or a tool keeps for itself: choose another, such as `{name}-rule`"
        )));
    }
    Ok(())
}

/// The name as languages have it in which `-` is an operator.
fn snake(name: &str) -> String {
    name.replace('-', "_")
}

/// That nothing is where the project should go, or an empty folder.
fn free(folder: &Path) -> Result<(), ProjectError> {
    match fs::read_dir(folder) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(ProjectError::Taken(folder.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(ProjectError::Taken(folder.to_owned()))
        }
        Err(source) => Err(failed(folder, source)),
    }
}

/// Every file of a template, however deep.
fn all<'t>(dir: &'t Dir<'static>) -> Vec<&'t File<'static>> {
    let inner = dir.entries().iter().map(|entry| match entry {
        DirEntry::File(file) => vec![file],
        DirEntry::Dir(dir) => all(dir),
    });
    inner.flatten().collect()
}

fn relative<'p>(path: &'p Path, above: &Path) -> &'p Path {
    path.strip_prefix(above).unwrap_or(path)
}

/// Where a template's file goes: placeholders are replaced, and the ending `.in`, which keeps tools from taking a
/// template for a project, goes.
fn target(path: &Path, name: &str) -> PathBuf {
    let text = replaced(&path.to_string_lossy(), name);
    PathBuf::from(text.strip_suffix(".in").unwrap_or(&text))
}

/// A file's content with its placeholders replaced; what is no text stays as it is.
fn filled(content: &[u8], name: &str) -> Vec<u8> {
    match str::from_utf8(content) {
        Ok(text) => replaced(text, name).into_bytes(),
        Err(_) => content.to_owned(),
    }
}

fn replaced(text: &str, name: &str) -> String {
    text.replace("{{name}}", name)
        .replace("{{name_snake}}", &snake(name))
}

fn put(path: &Path, content: &[u8]) -> Result<(), ProjectError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    }
    fs::write(path, content)
        .and_then(|()| runnable(path, content))
        .map_err(|source| failed(path, source))
}

/// A script can be run as it is.
#[cfg(unix)]
fn runnable(path: &Path, content: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if !content.starts_with(b"#!") {
        return Ok(());
    }
    // Whoever may read it may run it.
    let mode = fs::metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode | (mode & 0o444) >> 2))
}

#[cfg(not(unix))]
fn runnable(_: &Path, _: &[u8]) -> io::Result<()> {
    Ok(())
}

fn failed(path: &Path, source: io::Error) -> ProjectError {
    ProjectError::Io {
        path: path.display().to_string(),
        source,
    }
}

#[cfg(test)]
#[path = "project/tests.rs"]
mod tests;
