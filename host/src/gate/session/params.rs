//! The few parameters that the gate itself reads, beside those of calls.
//!
//! Each is read from the text of an object that the envelope found well-formed.

use std::borrow::Cow;

use crate::wire::envelope::{Id, OwnedId};
use crate::wire::scan::{self, members};

/// The raw value of a member.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object)
        .ok()?
        .into_iter()
        .find(|member| member.is(name))
        .map(|member| member.value)
}

fn string(raw: &str) -> Option<Cow<'_, str>> {
    Some(scan::unescape(raw.strip_prefix('"')?.strip_suffix('"')?))
}

/// The token under which progress of a request is to be told (MCP, basic/utilities/progress), raw.
pub(super) fn progress_token(params: &str) -> Option<Box<str>> {
    member(member(params, "_meta")?, "progressToken").map(Into::into)
}

/// The token of a `notifications/progress`, raw.
pub(super) fn told_token(params: &str) -> Option<&str> {
    member(params, "progressToken")
}

/// The request that a `notifications/cancelled` names.
pub(super) fn request_id(params: &str) -> Option<OwnedId> {
    Some(Id::read(member(params, "requestId")?).ok()?.to_owned())
}

/// The task that parameters, or a result, name.
pub(super) fn task_id(params: &str) -> Option<Cow<'_, str>> {
    string(member(params, "taskId")?)
}

/// The task that a result says was made.
pub(super) fn made_task(result: &str) -> Option<Cow<'_, str>> {
    task_id(member(result, "task")?)
}

/// The URI that parameters name.
pub(super) fn uri(params: &str) -> Option<Cow<'_, str>> {
    string(member(params, "uri")?)
}

/// An error's code.
pub(super) fn error_code(error: &str) -> Option<i64> {
    member(error, "code")?.parse().ok()
}
