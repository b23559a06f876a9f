//! Bytes: frames, the strict JSON-RPC envelope, limits.
//!
//! Knows JSON and JSON-RPC 2.0. Knows no MCP: no method has a meaning here.

pub mod envelope;
pub mod frame;
pub mod reply;
pub mod scan;

pub use envelope::{Envelope, Id, Malformed, Message, OwnedId, parse};
pub use frame::{Frame, LineReader};

/// What bounds one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireLimits {
    /// The longest line, bytes, its line break not counted.
    pub max_message: usize,
    /// The deepest nesting, the message's own object counted as the first level.
    pub max_depth: usize,
}

impl Default for WireLimits {
    /// 32 MiB; 128 levels, so that what stands inside a message can be read by parsers that give up beyond 127.
    fn default() -> Self {
        Self {
            max_message: 32 << 20,
            max_depth: 128,
        }
    }
}
