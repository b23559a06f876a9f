//! Tasks: what a call brings back later, wherever it is told.
//!
//! Knows that a task's result is judged like the call's own, in an answer to `tasks/get` and in a notification.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::results::{part_of, result_of};
use super::{About, CallContext, Core, Event, Key, params};
use crate::chain::Refused;
use crate::chain::judge::{self, Inspection};
use crate::wire::{reply, scan};

/// The most tasks that are remembered for one caller.
const MAX_TASKS: usize = 10_000;

/// The tasks that calls have made, with what their results must be judged with.
#[derive(Default)]
pub struct Tasks(Mutex<HashMap<String, Arc<CallContext>>>);

impl Tasks {
    pub(super) fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<CallContext>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, id: &str) -> Option<Arc<CallContext>> {
        self.all().get(id).cloned()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.all().contains_key(id)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.all().is_empty()
    }

    pub(super) fn insert(&self, id: String, context: Arc<CallContext>) {
        let mut all = self.all();
        if all.len() >= MAX_TASKS
            && let Some(some) = all.keys().next().cloned()
        {
            all.remove(&some);
        }
        all.insert(id, context);
    }

    pub(super) fn clear(&self) {
        self.all().clear();
    }
}

/// What a notification told of a task's result, judged.
pub struct Told {
    method: Arc<str>,
    context: Arc<CallContext>,
    line: Bytes,
    about: About,
    /// Where the result stands in the line.
    within: Range<usize>,
    inspection: Inspection,
}

impl Core {
    /// Has the result that a notification tells judged; false if it tells none, or nobody judges results.
    pub(super) fn on_task_told(
        &mut self,
        method: &str,
        given: Option<&str>,
        line: &Bytes,
        about: &About,
    ) -> bool {
        let Some(context) = given
            .and_then(params::task_id)
            .and_then(|id| self.tasks.get(&id))
        else {
            return false;
        };
        let Some(result) = params_of(line).and_then(|params| {
            let within = params::task_result(params)?;
            Some(&params[within])
        }) else {
            return false;
        };
        if !context.generation.inspects_results() {
            self.remember_handed(result, &context);
            return false;
        }
        let within = part_of(line, result);
        let outcome = result.to_owned();
        let (method, line, about) = (Arc::from(method), line.clone(), about.clone());
        let view = self.host.view(&self.catalogue);
        self.spent = true;
        let judging = Box::pin(async move {
            let inspection = judge::result(
                &context.generation,
                &view,
                &context.context,
                &context.call,
                &outcome,
            )
            .await;
            Event::Told(Box::new(Told {
                method,
                context,
                line,
                about,
                within,
                inspection,
            }))
        });
        self.out.jobs.push((None, judging));
        true
    }

    /// The result that a notification tells is judged.
    pub(super) fn on_told(&mut self, told: Told) {
        let Told {
            method,
            context,
            line,
            about,
            within,
            inspection,
        } = told;
        let replaced = match inspection.outcome {
            Ok(replaced) => {
                if replaced.is_some() || !inspection.codes.is_empty() {
                    let codes = inspection.codes;
                    self.record_result(&method, &context, None, codes, inspection.micros);
                }
                replaced
            }
            Err(refused) => {
                let micros = inspection.micros;
                self.record_result(&method, &context, Some(&refused), Vec::new(), micros);
                Some(self.refusal_result(&context.name, &refused))
            }
        };
        let line = match replaced {
            None => line,
            Some(text) => {
                let (head, tail) = (&line[..within.start], &line[within.end..]);
                [head, text.as_bytes(), tail].concat().into()
            }
        };
        if let Some(task) = params_of(&line)
            && let Some(within) = params::task_result(task)
        {
            self.remember_handed(&task[within], &context);
        }
        self.say(super::voice::Said::Notification(line, about));
    }

    /// The answer to `tasks/get` whose result is refused, or replaced.
    pub(super) fn reply_within(
        &mut self,
        id: &Key,
        line: &Bytes,
        within: Range<usize>,
        text: &str,
    ) {
        let task = result_of(line).unwrap_or("{}");
        let (head, tail) = (&task[..within.start], &task[within.end..]);
        let task = format!("{head}{text}{tail}");
        self.reply(id, reply::result(id.raw(), &task));
    }

    /// The answer to `tasks/get` whose result is refused: the task as it is, with the refusal in the result's place.
    pub(super) fn withhold_within(
        &mut self,
        id: &Key,
        line: &Bytes,
        within: Range<usize>,
        name: &str,
        refused: &Refused,
    ) {
        let text = self.refusal_result(name, refused);
        self.reply_within(id, line, within, &text);
    }
}

/// The `params` of a notification.
fn params_of(line: &Bytes) -> Option<&str> {
    let members = scan::members(std::str::from_utf8(line).ok()?).ok()?;
    members
        .into_iter()
        .find(|member| member.is("params"))
        .map(|member| member.value)
}
