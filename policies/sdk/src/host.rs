//! What a policy may read of its host.
//!
//! [`Host`] is generic on purpose: a hook that takes `&impl Host` is compiled for the one host there is in a
//! component, so that only the imports it calls remain.

pub use crate::bindings::imports::log::Level as LogLevel;

/// What the host answers a policy. Everything is of one moment: the same question has the same answer for the whole
/// message.
///
/// No method may be called while the policy is being configured.
pub trait Host {
    /// The value kept under `key` in the policy's own part of the store.
    ///
    /// Keys under [`SIGHTING_PREFIX`](crate::SIGHTING_PREFIX) exist only for recording hooks (`observe`, `decide`)
    /// and `entries`.
    fn get(&self, key: &str) -> Option<String>;

    /// Every (key, value) whose key begins with `prefix`, in the order of keys. One scan is much cheaper than many
    /// [`get`](Self::get)s.
    fn scan(&self, prefix: &str) -> Vec<(String, String)>;

    /// The JSON text of a definition, current or earlier, by its digest; none if the host does not know it.
    fn definition(&self, digest: &str) -> Option<String>;

    /// The message's time, milliseconds since the Unix epoch. A verdict that asked is never cached.
    fn now_ms(&self) -> u64;

    /// Writes to the host's log.
    fn log(&self, level: LogLevel, text: &str);

    /// Adds `by` to the policy's counter called `name` (lower-case letters, digits and `_`), which operators see in
    /// `/metrics` and `witgate policy list`. Evaluations are counted, not messages: a verdict the host gives again
    /// without asking is not counted again.
    fn count(&self, name: &str, by: u64);
}

/// The host around a component.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Imports;

impl Host for Imports {
    fn get(&self, key: &str) -> Option<String> {
        crate::bindings::imports::store::get(key)
    }

    fn scan(&self, prefix: &str) -> Vec<(String, String)> {
        crate::bindings::imports::store::scan(prefix)
    }

    fn definition(&self, digest: &str) -> Option<String> {
        crate::bindings::imports::catalog::definition(digest)
    }

    fn now_ms(&self) -> u64 {
        crate::bindings::imports::clock::now_ms()
    }

    fn log(&self, level: LogLevel, text: &str) {
        crate::bindings::imports::log::message(level, text);
    }

    fn count(&self, name: &str, by: u64) {
        crate::bindings::imports::metrics::add(name, by);
    }
}
