//! The JSON Schemas of what authors and operators write, as they ship.

/// A case of `policy test`.
pub const CASE: &str = include_str!("../../../schemas/policy-case.schema.json");

/// A sidecar, `NAME.toml` beside `NAME.wasm`.
pub const SIDECAR: &str = include_str!("../../../schemas/policy-sidecar.schema.json");

#[cfg(test)]
#[path = "schema/tests.rs"]
mod tests;
