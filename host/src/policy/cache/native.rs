//! The host's one `unsafe`: taking native code from a file.
//!
//! wasmtime checks that a file was written by this version of itself for this processor and these settings, but not
//! that the code in it does what the component says: whoever can write the file can run code as this user. That is
//! why [`super::Cache`] is the only caller, and calls it only for
//!
//! - a regular file, no symbolic link,
//! - that belongs to the effective user and that nobody else can write,
//! - in a directory of which the same holds, so that nobody else can put another file in its place between the check
//!   and the load.
//!
//! What is left are processes of the same user, which could as well replace the binary. Files are only ever made
//! under another name and renamed, never written in place, so a mapped one does not change.

use std::path::Path;

use wasmtime::component::Component;

/// Loads a compiled component that [`super::Cache`] found to be this user's own.
#[allow(unsafe_code)]
pub(super) fn load(engine: &wasmtime::Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file was made by `Component::serialize` and never written in place; see above for why nobody else
    // can have put it there.
    unsafe { Component::deserialize_file(engine, path) }
}
