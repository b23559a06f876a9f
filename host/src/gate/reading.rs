//! Reading a server's lists, all pages: a state machine without clocks or pipes.
//!
//! Knows which request follows which page, and the bounds that keep a hostile server from going on for ever.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::config::Limits;
use crate::gate::catalogue::{Catalogue, KindList, Page};
use crate::mcp::ItemKind;
use crate::mcp::list::{Page as ListPage, PageError};
use crate::wire::reply;

/// The JSON-RPC error code for a method that a server does not have (JSON-RPC 2.0, section 5.1).
pub const METHOD_NOT_FOUND: i64 = -32601;

/// The method that lists a kind.
pub const fn list_method(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool => "tools/list",
        ItemKind::Prompt => "prompts/list",
        ItemKind::Resource => "resources/list",
        ItemKind::ResourceTemplate => "resources/templates/list",
        ItemKind::SelfDescription => "initialize",
    }
}

/// Why a list could not be read to the end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadingError {
    /// The server answered with an error.
    #[error("the server answered with an error")]
    Server {
        /// The error's line, and where its id stands.
        line: Bytes,
        /// See `line`.
        id: Range<usize>,
    },
    /// The answer is no list.
    #[error("the server's list is malformed: {0}")]
    Malformed(String),
    /// It goes on and on.
    #[error(
        "the server's list has more than {limit} {what}; raise `{key}` in [limits] if that is right"
    )]
    TooMuch {
        /// Pages, items or bytes.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// Its name in the configuration.
        key: &'static str,
    },
    /// A cursor came twice.
    #[error("the server's list comes back to a page it had before")]
    Circle,
    /// No answer in time.
    #[error("the server did not answer in time")]
    Timeout,
    /// The server could not be reached.
    #[error("{0}")]
    Unreached(String),
    /// The server ended.
    #[error("the server ended")]
    Gone,
}

impl From<PageError> for ReadingError {
    fn from(error: PageError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A page was taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// There is a next page: its cursor as raw JSON text.
    Next(String),
    /// The kind is read to the end.
    Done,
}

/// How far one kind is.
#[derive(Debug, Default)]
struct Progress {
    pages: Vec<Arc<Page>>,
    absent: Option<(Bytes, Range<usize>)>,
    cursors: HashSet<String>,
    outcome: Option<Result<(), ReadingError>>,
}

/// A reading under way.
#[derive(Debug)]
pub struct Reading {
    kinds: BTreeMap<ItemKind, Progress>,
    items: usize,
    bytes: usize,
    limits: Limits,
}

impl Reading {
    /// Begins a reading of these kinds.
    pub fn new(kinds: impl IntoIterator<Item = ItemKind>, limits: &Limits) -> Self {
        Self {
            kinds: kinds
                .into_iter()
                .map(|kind| (kind, Progress::default()))
                .collect(),
            items: 0,
            bytes: 0,
            limits: limits.clone(),
        }
    }

    /// The kinds it reads.
    pub fn kinds(&self) -> impl Iterator<Item = ItemKind> {
        self.kinds.keys().copied()
    }

    /// How many pages of a kind it has.
    pub fn pages(&self, kind: ItemKind) -> usize {
        self.kinds
            .get(&kind)
            .map_or(0, |progress| progress.pages.len())
    }

    /// Whether every kind came to an end, good or bad.
    pub fn is_over(&self) -> bool {
        self.kinds
            .values()
            .all(|progress| progress.outcome.is_some())
    }

    /// Takes a page that came as a line with its id and its result at these places.
    pub fn page(
        &mut self,
        kind: ItemKind,
        line: Bytes,
        id: Range<usize>,
        result: Range<usize>,
    ) -> Step {
        let text = std::str::from_utf8(&line[result.clone()]).unwrap_or_default();
        match ListPage::parse(kind, text) {
            Ok(list) => self.take(kind, Arc::new(Page::new(kind, line, id, result, list))),
            Err(error) => self.fail(kind, error.into()),
        }
    }

    /// Takes a page: one just parsed, or one of an earlier reading that came again byte for byte.
    pub fn take(&mut self, kind: ItemKind, page: Arc<Page>) -> Step {
        self.items += page.items.len();
        self.bytes += page.result.len();
        let Some(progress) = self.kinds.get_mut(&kind) else {
            return Step::Done;
        };
        let cursor = page.list.next_cursor.clone();
        progress.pages.push(page);
        let pages = progress.pages.len();
        let limits = &self.limits;
        let over = [
            (self.items, limits.max_items, "items", "max_items"),
            (
                self.bytes,
                limits.max_catalogue_bytes,
                "bytes",
                "max_catalogue_bytes",
            ),
            (pages, limits.max_pages, "pages", "max_pages"),
        ];
        if let Some((_, limit, what, key)) = over.into_iter().find(|(has, limit, ..)| has > limit) {
            return self.fail(kind, ReadingError::TooMuch { what, limit, key });
        }
        match cursor {
            None => {
                progress.outcome = Some(Ok(()));
                Step::Done
            }
            Some(next) if progress.cursors.insert(next.clone()) => Step::Next(reply::string(&next)),
            Some(_) => self.fail(kind, ReadingError::Circle),
        }
    }

    /// Takes an error that came instead of a page. A server that has no such method has no such items.
    pub fn error(&mut self, kind: ItemKind, line: Bytes, id: Range<usize>, code: i64) -> Step {
        let Some(progress) = self.kinds.get_mut(&kind) else {
            return Step::Done;
        };
        if code == METHOD_NOT_FOUND && progress.pages.is_empty() {
            progress.absent = Some((line, id));
            progress.outcome = Some(Ok(()));
            return Step::Done;
        }
        self.fail(kind, ReadingError::Server { line, id })
    }

    /// Ends a kind badly.
    pub fn fail(&mut self, kind: ItemKind, error: ReadingError) -> Step {
        if let Some(progress) = self.kinds.get_mut(&kind)
            && progress.outcome.is_none()
        {
            progress.outcome = Some(Err(error));
        }
        Step::Done
    }

    /// Ends every kind that is still under way badly.
    pub fn fail_all(&mut self, error: &ReadingError) {
        for progress in self.kinds.values_mut() {
            progress.outcome.get_or_insert_with(|| Err(error.clone()));
        }
    }

    /// What came of it: the catalogue with the kinds that were read, those kinds, and the errors of the others.
    pub fn finish(self, before: &Catalogue) -> Outcome {
        let mut catalogue = before.clone();
        let mut complete = Vec::new();
        let mut failed = BTreeMap::new();
        let mut changed = false;
        for (kind, progress) in self.kinds {
            match progress.outcome.unwrap_or(Err(ReadingError::Gone)) {
                Err(error) => {
                    failed.insert(kind, error);
                }
                Ok(()) => {
                    complete.push(kind);
                    let last = catalogue.lists.get(&kind);
                    if !last
                        .is_some_and(|l| l.is_made_of(&progress.pages, progress.absent.is_some()))
                    {
                        changed = true;
                        let list = KindList::new(progress.pages, progress.absent);
                        catalogue.lists.insert(kind, Arc::new(list));
                    }
                }
            }
        }
        Outcome {
            catalogue: Arc::new(catalogue),
            complete,
            failed,
            changed,
        }
    }
}

/// What came of a reading.
#[derive(Debug)]
pub struct Outcome {
    /// The catalogue with what was read.
    pub catalogue: Arc<Catalogue>,
    /// The kinds that were read to the end.
    pub complete: Vec<ItemKind>,
    /// The kinds that were not.
    pub failed: BTreeMap<ItemKind, ReadingError>,
    /// Whether anything differs from before.
    pub changed: bool,
}

#[cfg(test)]
mod tests;
