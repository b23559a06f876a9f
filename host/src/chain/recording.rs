//! What a generation tells a recorder of its evaluations.
//!
//! Knows what must be noted while policies are asked. Costs nothing where nobody records: no note is taken, and the
//! view that hooks read is the one that was given.

use std::ops::Deref;
use std::sync::Arc;

use super::{Generation, Refused};
use crate::ledger::Snapshot;
use crate::policy::contract::Item;
use crate::policy::{Definitions, Evaluated, Failure, View};
use crate::tape::record::{self, Answer, Refusal, What};
use crate::tape::watch::Watching;
use crate::tape::{Evaluation, Mark, Recorder};

/// Who records, and the generation as it is recorded.
#[derive(Clone)]
pub struct Recording {
    recorder: Arc<dyn Recorder>,
    generation: Arc<record::Generation>,
}

/// Answers as they come, if they are recorded.
pub(super) struct Answers<T>(Option<Vec<Answer<T>>>);

/// The view that hooks read: as it was given, or one that notices what they ask for.
pub(super) enum Watched<'a> {
    Given(&'a View),
    Watching(View, Arc<Watching>),
}

/// What an evaluation is about, beside the view.
#[derive(Default)]
pub(super) struct About {
    /// The whole catalogue's items.
    pub(super) items: Option<Vec<Item>>,
    /// The ledger with what was changed.
    pub(super) after: Option<Arc<Snapshot>>,
}

impl Generation {
    /// This generation, telling `recorder` of everything it is asked.
    pub fn recorded_by(&self, recorder: Arc<dyn Recorder>) -> Self {
        Self {
            recording: Some(Recording {
                recorder,
                generation: Arc::new(record::Generation::of(self.id, &self.policies)),
            }),
            ..self.clone()
        }
    }

    /// Whether somebody records.
    pub(super) const fn is_recorded(&self) -> bool {
        self.recording.is_some()
    }

    /// Where the answers of one evaluation are noted.
    pub(super) fn answers<T>(&self) -> Answers<T> {
        Answers(self.is_recorded().then(Vec::new))
    }

    /// The view that hooks are given.
    pub(super) fn watched<'a>(&self, view: &'a View) -> Watched<'a> {
        if !self.is_recorded() {
            return Watched::Given(view);
        }
        let watching = Arc::new(Watching::new(view.definitions.clone()));
        let definitions: Arc<dyn Definitions> = watching.clone();
        let view = View {
            definitions,
            ..view.clone()
        };
        Watched::Watching(view, watching)
    }

    /// Tells of an evaluation, if somebody records.
    pub(super) fn record(
        &self,
        view: &Watched<'_>,
        about: About,
        what: impl FnOnce() -> What,
    ) -> Option<Mark> {
        let recording = self.recording.as_ref()?;
        let (definitions, read) = match view {
            Watched::Given(view) => (view.definitions.clone(), Default::default()),
            Watched::Watching(_, watching) => (watching.inner(), watching.read()),
        };
        let evaluation = Evaluation {
            number: 0,
            generation: recording.generation.clone(),
            snapshot: view.snapshot.clone(),
            after: about.after,
            definitions,
            read,
            items: about.items.map(Arc::new),
            now_ms: view.now_ms,
            what: what(),
        };
        Some(Mark::new(&recording.recorder, evaluation))
    }
}

impl<T> Answers<T> {
    /// Notes what the policy at `place` answered; `words` picks what of it is recorded.
    pub(super) fn note<U>(
        &mut self,
        place: usize,
        answer: &Result<Evaluated<U>, Failure>,
        words: impl FnOnce(&U) -> T,
    ) {
        if let Some(noted) = &mut self.0 {
            noted.push(Answer::of(place, answer, words));
        }
    }

    /// All that was noted.
    pub(super) fn all(self) -> Vec<Answer<T>> {
        self.0.unwrap_or_default()
    }
}

impl Deref for Watched<'_> {
    type Target = View;

    fn deref(&self) -> &View {
        match self {
            Self::Given(view) => view,
            Self::Watching(view, _) => view,
        }
    }
}

impl Refused {
    /// The refusal as it is recorded.
    pub(super) fn recorded(&self) -> Refusal {
        Refusal {
            decision: self.decision.word().to_owned(),
            code: self.code.clone(),
            reason: self.reason.clone(),
            remedy: self.remedy.clone(),
            by: self.decided_by.as_deref().map(str::to_owned),
        }
    }
}
