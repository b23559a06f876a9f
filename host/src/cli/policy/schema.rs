//! `witgate policy schema`: what case files and sidecars may hold, for editors and for machines.

use clap::ValueEnum;

use crate::cli::{Context, Failed};
use crate::toolbox::schema;

/// What a schema is of.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Of {
    /// A case of `witgate policy test`
    Case,
    /// A sidecar, `NAME.toml` beside `NAME.wasm`
    Sidecar,
}

/// Prints a JSON Schema, with `--json` and without.
pub(super) fn print(context: &Context, of: Of) -> Result<(), Failed> {
    let text = match of {
        Of::Case => schema::CASE,
        Of::Sidecar => schema::SIDECAR,
    };
    context.out.line(text.trim_end());
    Ok(())
}
