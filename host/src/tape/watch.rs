//! Noticing which definitions hooks ask for.
//!
//! Knows digests and what was answered. An evaluation can be repeated only with the same answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::mcp::Digest;
use crate::policy::Definitions;

/// What was answered, by digest.
pub type Read = BTreeMap<Digest, Option<Arc<str>>>;

/// Definitions that remember what they were asked.
pub struct Watching {
    inner: Arc<dyn Definitions>,
    read: Arc<Mutex<Read>>,
}

impl Watching {
    /// Over other definitions.
    pub fn new(inner: Arc<dyn Definitions>) -> Self {
        Self {
            inner,
            read: Arc::default(),
        }
    }

    /// The definitions beneath.
    pub fn inner(&self) -> Arc<dyn Definitions> {
        self.inner.clone()
    }

    /// What was asked so far, and answered.
    pub fn read(&self) -> Read {
        let read = self.read.lock();
        read.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Definitions for Watching {
    fn definition(&self, digest: Digest) -> BoxFuture<'static, Option<Arc<str>>> {
        let asked = self.inner.definition(digest);
        let read = self.read.clone();
        asked
            .map(move |text| {
                let mut read = read.lock().unwrap_or_else(PoisonError::into_inner);
                read.insert(digest, text.clone());
                text
            })
            .boxed()
    }
}
