//! A component that is compiled once and configured as often as its author's cases ask.
//!
//! Knows the way from bytes to compiled code, and what that took. A gate loads a policy in one step: see
//! [`Engine::load`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::Component;

use super::engine::{Engine, Shared};
use super::load::{Candidate, begin, compile_all};
use super::{LoadCause, LoadError, Policy, Source, Witness};

/// A compiled component.
pub struct Compiled {
    engine: Arc<Shared>,
    source: Source,
    sha256: String,
    component: Component,
    cached: bool,
    took: Duration,
}

impl Engine {
    /// Compiles a component or takes it from the cache. Nothing of it runs yet; its settings are left aside.
    ///
    /// # Errors
    /// If it cannot be compiled.
    pub async fn compile(&self, source: Source) -> Result<Compiled, LoadError> {
        let started = Instant::now();
        let (name, file) = (source.name.clone(), source.file.clone());
        let refused = |detail: String| LoadError {
            name,
            file,
            detail,
            cause: LoadCause::Component,
        };
        let shared = self.shared.clone();
        let done = tokio::task::spawn_blocking(move || compile_all(&shared, vec![source])).await;
        let candidate = match done.map(|mut candidates| candidates.pop()) {
            Ok(Some(candidate)) => candidate,
            Ok(None) => return Err(refused("the compiler gave no answer".into())),
            Err(error) => return Err(refused(format!("the compiler failed: {error}"))),
        };
        let Candidate {
            source,
            sha256,
            component,
            cached,
        } = candidate;
        Ok(Compiled {
            engine: self.shared.clone(),
            component: component.map_err(refused)?,
            source,
            sha256,
            cached,
            took: started.elapsed(),
        })
    }
}

impl Compiled {
    /// What it was compiled from.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Whether the compiled code was in the cache.
    pub fn is_cached(&self) -> bool {
        self.cached
    }

    /// How long it took to compile it, or to take it from the cache.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Checks exports and imports, instantiates the component and configures it with `settings` (JSON text). `witness`
    /// looks on while hooks run.
    ///
    /// # Errors
    /// As [`Engine::load`].
    pub async fn configure(
        &self,
        settings: Option<String>,
        witness: Option<Arc<Witness>>,
    ) -> Result<Arc<Policy>, LoadError> {
        let candidate = Candidate {
            source: Source {
                settings,
                ..self.source.clone()
            },
            sha256: self.sha256.clone(),
            component: Ok(self.component.clone()),
            cached: self.cached,
        };
        begin(self.engine.clone(), candidate, witness).await
    }
}

impl std::fmt::Debug for Compiled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Compiled")
            .field("name", &self.source.name)
            .field("file", &self.source.file)
            .field("sha256", &self.sha256)
            .field("cached", &self.cached)
            .finish_non_exhaustive()
    }
}
