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

/// The task that a message belongs to (MCP 2025-11-25, basic/utilities/tasks, "Related task metadata").
pub(super) fn related_task(params: &str) -> Option<Cow<'_, str>> {
    task_id(member(
        member(params, "_meta")?,
        "io.modelcontextprotocol/related-task",
    )?)
}

/// The task that a result says was made.
pub(super) fn made_task(result: &str) -> Option<Cow<'_, str>> {
    match member(result, "task") {
        Some(task) => task_id(task),
        // The extension to 2026-07-28: the task is the result.
        None if member(result, "resultType") == Some("\"task\"") => task_id(result),
        None => None,
    }
}

/// Whether capabilities name an extension.
pub(super) fn has_extension(capabilities: &str, name: &str) -> bool {
    member(capabilities, "extensions").is_some_and(|extensions| member(extensions, name).is_some())
}

/// The revisions that an error's data name as served.
pub(super) fn supported_versions(error: &str) -> Option<Vec<String>> {
    let supported = member(member(error, "data")?, "supported")?;
    let all = scan::elements(supported).ok()?;
    all.into_iter()
        .map(|raw| Some(string(raw)?.into_owned()))
        .collect()
}

/// The request that listens for a notification, raw.
pub(super) fn subscription_id(params: &str) -> Option<&str> {
    member(
        member(params, "_meta")?,
        crate::mcp::stateless::SUBSCRIPTION_ID,
    )
}

/// What a task's state says of its call's outcome: where its `result` stands.
pub(super) fn task_result(task: &str) -> Option<std::ops::Range<usize>> {
    let all = members(task).ok()?;
    let result = all.iter().find(|member| member.is("result"))?;
    Some(result.value_start..result.end)
}

/// The URI that parameters name.
pub(super) fn uri(params: &str) -> Option<Cow<'_, str>> {
    string(member(params, "uri")?)
}

/// An error's code.
pub(super) fn error_code(error: &str) -> Option<i64> {
    member(error, "code")?.parse().ok()
}
