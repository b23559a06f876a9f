//! Answering lists from what was read.
//!
//! No list of the client's is forwarded. An answer is the server's own line with the client's id in it and the
//! withheld items cut out; everything else of it is the server's, byte for byte.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::calls::COMPLETE;
use super::{Ask, Core, Key};
use crate::audit::Outcome;
use crate::chain::Visibility;
use crate::gate::catalogue::Page;
use crate::gate::reading::ReadingError;
use crate::mcp::template::Template;
use crate::mcp::{ItemKey, ItemKind, discover};
use crate::wire::envelope::{INTERNAL_ERROR, INVALID_PARAMS};
use crate::wire::{reply, scan};

/// Answers that were made already, for as long as nothing they depend on changes.
#[derive(Default)]
pub(super) struct Answers {
    pages: HashMap<usize, Spliced>,
    templates: Option<Arc<[(ItemKey, Template)]>>,
}

// The key is the page's address, which is its alone: the catalogue keeps the page alive while it is in the map.
#[derive(Clone)]
struct Spliced {
    head: Bytes,
    tail: Bytes,
}

impl Answers {
    /// Something they depend on changed.
    pub(super) fn clear(&mut self) {
        self.pages.clear();
        self.templates = None;
    }
}

/// The cursor in a list's parameters; none if there is none, an error if it is no string.
pub(super) fn cursor(params: &str) -> Result<Option<String>, &'static str> {
    let members = scan::members(params).map_err(|_| "the parameters are malformed")?;
    match members.iter().find(|member| member.is("cursor")) {
        None => Ok(None),
        Some(member) if member.value == "null" => Ok(None),
        Some(member) => {
            let raw = member
                .value
                .strip_prefix('"')
                .and_then(|rest| rest.strip_suffix('"'));
            raw.map(|raw| Some(scan::unescape(raw).into_owned()))
                .ok_or("`cursor` is no string")
        }
    }
}

impl Core {
    /// Answers a list, or parks it until it can be answered.
    pub(super) fn dispatch_list(&mut self, ask: Ask, kind: ItemKind) {
        let cursor = match ask.params().map_or(Ok(None), cursor) {
            Ok(cursor) => cursor,
            Err(reason) => {
                self.record_refused(&ask.name, reason);
                self.fail(&ask.id, INVALID_PARAMS, reason);
                return;
            }
        };
        self.begin_running();
        if cursor.is_none() && self.reads.settled_number() <= ask.after {
            // Only a reading that began after the client asked shows what the client asked for.
            if self.reads.begun() <= ask.after {
                self.read_for_client(kind);
            }
            self.park(ask);
            return;
        }
        if let Some(refused) = self.cannot_judge() {
            self.record_list(&ask, kind, Outcome::Error);
            self.fail(&ask.id, INTERNAL_ERROR, &refused.reason);
            return;
        }
        if !self.is_current() {
            self.settle_soon();
            self.park(ask);
            return;
        }
        let withheld = self.view.quarantined || !self.view.enabled;
        if cursor.is_none()
            && let Some((error, _)) = self.reads.failure(kind)
        {
            let error = error.clone();
            self.fail_list(&ask, kind, &error, withheld);
            return;
        }
        if withheld {
            self.record_list(&ask, kind, Outcome::Allowed);
            self.close(&ask.id);
            let empty = if self.is_stateless() {
                let cached = "\"ttlMs\":0,\"cacheScope\":\"private\"";
                format!("{{{COMPLETE}\"{}\":[],{cached}}}", member_of(kind))
            } else {
                format!("{{\"{}\":[]}}", member_of(kind))
            };
            self.reply(&ask.id, reply::result(ask.id.raw(), &empty));
            return;
        }
        if !self.answered.contains(&kind) {
            self.close_baseline(kind);
            self.park(ask);
            return;
        }
        self.answer_list(&ask, kind, cursor.as_deref());
    }

    /// A client that lists or calls without having said `initialized` is served all the same.
    pub(super) fn begin_running(&mut self) {
        if self.phase == super::Phase::Answered {
            self.phase = super::Phase::Running;
            self.read_declared();
        }
    }

    fn fail_list(&mut self, ask: &Ask, kind: ItemKind, error: &ReadingError, withheld: bool) {
        self.record_list(ask, kind, Outcome::Error);
        match error {
            // The server's own error is the server's answer, where it has a voice.
            ReadingError::Server { line, id } if !withheld => {
                self.close(&ask.id);
                let (line, id) = (line.clone(), id.clone());
                self.answer_under(&ask.id, &line, &id);
            }
            ReadingError::Server { .. } => {
                self.fail(&ask.id, INTERNAL_ERROR, "the server could not list");
            }
            error => self.fail(&ask.id, INTERNAL_ERROR, &error.to_string()),
        }
    }

    fn answer_list(&mut self, ask: &Ask, kind: ItemKind, cursor: Option<&str>) {
        let (Some(list), Some(visibility)) = (
            self.catalogue.lists.get(&kind).cloned(),
            self.visibility.clone(),
        ) else {
            self.fail(&ask.id, INTERNAL_ERROR, "the list was not read");
            return;
        };
        let page = match cursor {
            Some(cursor) => list.page_at(cursor),
            None => list.pages.first(),
        };
        if cursor.is_none()
            && let Some((line, id)) = &list.absent
        {
            self.record_list(ask, kind, Outcome::Allowed);
            self.close(&ask.id);
            self.answer_under(&ask.id, line, id);
            return;
        }
        let Some(page) = page else {
            let reason = "this cursor was not issued, or the list was read again since";
            self.record_refused(&ask.name, reason);
            self.fail(&ask.id, INVALID_PARAMS, reason);
            return;
        };
        self.record_list(ask, kind, Outcome::Allowed);
        visibility.given();
        let form = self.is_stateless().then(|| self.is_nameless());
        let spliced = self
            .answers
            .pages
            .entry(Arc::as_ptr(page).addr())
            .or_insert_with(|| splice(page, &visibility, form))
            .clone();
        self.close(&ask.id);
        let parts = [&spliced.head, ask.id.raw().as_bytes(), &spliced.tail];
        self.answer(&ask.id, None, parts.concat().into());
    }

    /// Whether what the server says of itself is withheld, its name in results included.
    pub(super) fn is_nameless(&self) -> bool {
        let own = self.catalogue.own.as_ref();
        !own.is_some_and(|(item, _)| {
            self.visibility
                .as_ref()
                .is_some_and(|visibility| visibility.shows(&item.key))
        })
    }

    /// Answers with an error of the server's under the client's id.
    fn answer_under(&mut self, key: &Key, line: &Bytes, id: &Range<usize>) {
        let code = super::results::error_in(line).and_then(super::params::error_code);
        let parts = [&line[..id.start], key.raw().as_bytes(), &line[id.end..]];
        self.answer(key, code.or(Some(INTERNAL_ERROR)), parts.concat().into());
    }

    /// The templates that the client may see.
    pub(super) fn visible_templates(&mut self) -> Arc<[(ItemKey, Template)]> {
        if let Some(templates) = &self.answers.templates {
            return templates.clone();
        }
        let mut found = Vec::new();
        if let (Some(list), Some(visibility)) = (
            self.catalogue.lists.get(&ItemKind::ResourceTemplate),
            &self.visibility,
        ) {
            for item in list.items.iter().filter(|item| visibility.shows(&item.key)) {
                match Template::parse(&item.key.name) {
                    Ok(template) => found.push((item.key.clone(), template)),
                    Err(error) => tracing::debug!("a template that matches nothing: {error}"),
                }
            }
        }
        let found: Arc<[_]> = found.into();
        self.answers.templates = Some(found.clone());
        found
    }
}

/// The member of a result that holds the list of a kind.
const fn member_of(kind: ItemKind) -> &'static str {
    match kind {
        ItemKind::Tool => "tools",
        ItemKind::Prompt => "prompts",
        ItemKind::Resource => "resources",
        ItemKind::ResourceTemplate => "resourceTemplates",
        ItemKind::SelfDescription => "serverInfo",
    }
}

/// A page without what is withheld. In 2026-07-28 it is for its client alone, and says the server's name only if that
/// is not withheld: `form` is whether it is.
fn splice(page: &Page, visibility: &Visibility, form: Option<bool>) -> Spliced {
    let keep = |index: usize| {
        page.items
            .get(index)
            .and_then(Option::as_ref)
            .is_some_and(|item| visibility.shows(&item.key))
    };
    let before = page.result_text();
    let mut after = page.list.splice(before, keep);
    if let Some(nameless) = form
        && let Some(edited) = discover::for_one_client(&after, nameless)
    {
        after = edited.into();
    }
    if after == before {
        return Spliced {
            head: page.line.slice(..page.id.start),
            tail: page.line.slice(page.id.end..),
        };
    }
    let result = page.result.clone();
    let mut line = Vec::with_capacity(page.line.len());
    line.extend_from_slice(&page.line[..result.start]);
    line.extend_from_slice(after.as_bytes());
    line.extend_from_slice(&page.line[result.end..]);
    let id = if page.id.start > result.start {
        let moved = |at: usize| at - before.len() + after.len();
        moved(page.id.start)..moved(page.id.end)
    } else {
        page.id.clone()
    };
    let line = Bytes::from(line);
    Spliced {
        head: line.slice(..id.start),
        tail: line.slice(id.end..),
    }
}
