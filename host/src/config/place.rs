//! Where the configuration file is, and whether it may be believed.
//!
//! Knows the platform's folders and the file's owner and mode. Knows nothing of what is in the file.

use std::path::{Path, PathBuf};

use super::ConfigError;

/// The file's name in the platform's configuration folder.
const FILE: &str = "witgate.toml";

/// A configuration is written by hand: a longer file is something else.
const MAX_BYTES: u64 = 4 << 20;

/// See [`super::Config::location`].
pub(super) fn location(file: Option<&Path>) -> Result<PathBuf, ConfigError> {
    let path = match file {
        Some(file) => file.to_owned(),
        None => directories::ProjectDirs::from("", "", "witgate")
            .ok_or_else(|| {
                ConfigError(
                    "there is no home folder to look for a configuration in; name a file with --config"
                        .to_owned(),
                )
            })?
            .config_dir()
            .join(FILE),
    };
    std::path::absolute(&path).map_err(|e| ConfigError(format!("{}: {e}", path.display())))
}

/// The file's text; none if there is no file.
pub(super) fn read(path: &Path) -> Result<Option<String>, ConfigError> {
    let fails = |detail: String| ConfigError(format!("{}: {detail}", path.display()));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(fails(format!("the configuration cannot be opened: {e}"))),
    };
    let metadata = file
        .metadata()
        .map_err(|e| fails(format!("the configuration cannot be read: {e}")))?;
    if !metadata.is_file() {
        return Err(fails(
            "is no ordinary file; name a file with --config".to_owned(),
        ));
    }
    if metadata.len() > MAX_BYTES {
        return Err(fails(format!(
            "has {} bytes, more than the {MAX_BYTES} a configuration may have",
            metadata.len()
        )));
    }
    trusted(path, &metadata)?;
    let text = std::io::read_to_string(file).map_err(|e| match e.kind() {
        std::io::ErrorKind::InvalidData => fails("is not UTF-8 text; save it as UTF-8".to_owned()),
        _ => fails(format!("the configuration cannot be read: {e}")),
    })?;
    Ok(Some(text))
}

/// Who can write the configuration decides what the agent may do, so nobody but the user and root may.
#[cfg(unix)]
fn trusted(path: &Path, metadata: &std::fs::Metadata) -> Result<(), ConfigError> {
    use std::os::unix::fs::MetadataExt;
    let shown = path.display();
    let user = rustix::process::geteuid().as_raw();
    if metadata.uid() != user && metadata.uid() != 0 {
        return Err(ConfigError(format!(
            "{shown}: belongs to user {}, not to you (user {user}) or root, so it is not believed; read it, then run \
             `chown {user} {shown}`",
            metadata.uid()
        )));
    }
    if metadata.mode() & 0o022 != 0 {
        return Err(ConfigError(format!(
            "{shown}: may be written by others (mode {:04o}), so it is not believed; read it, then run `chmod go-w \
             {shown}`",
            metadata.mode() & 0o7777
        )));
    }
    Ok(())
}

#[cfg(not(unix))]
fn trusted(_path: &Path, _metadata: &std::fs::Metadata) -> Result<(), ConfigError> {
    Ok(())
}
