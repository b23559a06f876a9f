//! `{{name}}`: no tool may be called whose name has a word that the operator denies.

pub mod rule;

// The names of a component's exports are none that a library of this machine could have.
#[cfg(target_arch = "wasm32")]
mod hooks;
