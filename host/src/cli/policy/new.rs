//! `witgate policy new`: a project to begin with.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use serde::Serialize;

use super::lines;
use crate::cli::{Context, Failed, output};
use crate::toolbox::project::{self, ProjectError};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The policy's name
    name: String,
    /// The language to write it in
    #[arg(long, value_parser = PossibleValuesParser::new(project::languages()))]
    lang: String,
    /// The folder in which the project's folder is made [default: this one]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What was written, for machines.
#[derive(Debug, Serialize)]
struct WrittenJson<'a> {
    folder: String,
    files: Vec<String>,
    next: &'a [String],
}

/// Writes a project.
pub(super) fn new(context: &Context, args: &Args) -> Result<(), Failed> {
    let dir = args.dir.clone().unwrap_or_default();
    let written = project::write(&args.lang, &args.name, &dir)?;
    let folder = written.folder.display().to_string();
    if context.out.is_json() {
        return context.out.value(&WrittenJson {
            folder,
            files: written
                .files
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
            next: &written.next,
        });
    }
    let enter = output::shell_line(&["cd", &folder]);
    let next: Vec<_> = std::iter::once(&enter)
        .chain(&written.next)
        .map(|line| format!("\n    {line}"))
        .collect();
    context.out.line(&lines(&format!(
        "Wrote {folder}: {} files. Next:\n{}",
        written.files.len(),
        next.concat()
    )));
    Ok(())
}

impl From<ProjectError> for Failed {
    fn from(error: ProjectError) -> Self {
        let text = lines(&error.to_string());
        match error {
            ProjectError::Name(_) => Self::unusable("name", text),
            ProjectError::Language { .. } => Self::unusable("language", text),
            ProjectError::Taken(_) => Self::new("taken", text),
            ProjectError::Io { .. } => Self::new("unwritable", text),
        }
    }
}
