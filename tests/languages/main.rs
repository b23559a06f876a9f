//! Policies written in other languages, built by their own tools, before the built binary: the example rule, which is
//! the same in every language, and guests that misbehave as only such languages can.
//!
//! Not run by `cargo test`, since it needs what `examples/policies/build` and `tests/hostile/build` make: those first,
//! and `cargo build -p witgate --examples`, then `cargo test -p witgate --test languages`. `.ci/run languages` does all.
#![allow(clippy::unwrap_used)]

// It serves the black-box tests, and these use a part.
#[allow(dead_code, unused_imports, unused_macros)]
#[path = "../support/mod.rs"]
mod support;

mod hostile;
mod rule;
mod templates;

use std::path::{Path, PathBuf};

use support::Home;

/// A path of this checkout.
fn checkout(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(relative)
}

/// A component of `target/policies`, compiled once for all tests: that takes Python's longer than a client would wait.
fn built(relative: &str, build: &str) -> PathBuf {
    let path = checkout("target/policies").join(relative);
    assert!(
        path.exists(),
        "{} is missing: run `{build}`",
        path.display()
    );
    let home = Home::new();
    home.run(&["policy", "check", path.to_str().unwrap()])
        .done();
    path
}
