//! Bytes: frames, the strict JSON-RPC envelope, limits.
//!
//! Knows JSON and JSON-RPC 2.0. Knows no MCP: no method has a meaning here.
