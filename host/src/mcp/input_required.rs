//! Requests to the client that travel inside something else: an answer that says more input is required, a task that
//! waits for input, an error that asks the person to open a URL.
//!
//! Knows the shapes and reads them strictly: what a client might take for a request and the gate cannot read is an
//! error, since nothing of it would be judged. Whether a request is allowed is decided elsewhere.
//!
//! | where | since | shape |
//! |---|---|---|
//! | the result of a call | 2026-07-28, basic/patterns/mrtr | `inputRequests`: key → `{method, params}` |
//! | `tasks/get`, `notifications/tasks` | SEP-2663, extension `io.modelcontextprotocol/tasks` | the same, beside the task's fields; a finished task's `result` or `error` inside |
//! | an error of code -32042 | 2025-11-25, client/elicitation | `data.elicitations`: the `params` of elicitations in URL mode |
//!
//! `inputRequests` counts wherever it stands, whatever `resultType` or `status` beside it say: a client may look at
//! the one and not at the other.

use std::borrow::Cow;

use super::client_request::{AskError, AskKind};
use crate::wire::scan::{Member, Strictness, elements, members, string_text, validate};

/// The most requests in one message that are judged.
pub const MAX_REQUESTS: usize = 64;

/// The JSON-RPC code of an error that asks the person to open a URL (MCP 2025-11-25, client/elicitation).
const URL_ELICITATION_REQUIRED: f64 = -32042.0;

/// The member that holds requests.
const INPUT_REQUESTS: &str = "inputRequests";

/// Members of a result in which another result may stand: a task's own, and a task as older revisions wrap it.
const NESTED: [&str; 2] = ["result", "task"];

/// Nesting that is looked at; the message was held to the configured limit already.
const DEPTH: usize = 1024;

/// A request to the client, found in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientRequestText<'a> {
    /// What the server calls it; empty where there is no name for it.
    pub key: Cow<'a, str>,
    /// What it asks.
    pub kind: AskKind,
    /// Its `params`, as the server wrote them.
    pub params: Option<&'a str>,
}

/// The requests inside a result, or inside the `params` of a notification about a task, all raw. Empty for nearly
/// every message.
///
/// # Errors
/// If there is one that cannot be read in exactly one way, or there are more than [`MAX_REQUESTS`].
pub fn requests_in(result: &str) -> Result<Vec<ClientRequestText<'_>>, AskError> {
    let mut found = Vec::new();
    if could_hold_requests(result) {
        in_result(result, true, &mut found)?;
    }
    Ok(found)
}

/// The requests inside an `error`, raw.
///
/// # Errors
/// As [`requests_in`].
pub fn requests_in_error(error: &str) -> Result<Vec<ClientRequestText<'_>>, AskError> {
    let mut found = Vec::new();
    in_error(error, &mut found)?;
    Ok(found)
}

/// Whether the text can have a key that a reader takes for `inputRequests` or `elicitations`. Says no to nearly
/// everything, at the speed of a search for one letter: results can be large, and scanning one once more would cost
/// what the rest of the gate does.
///
/// A letter of a key is written as it is, in either case, or as `\u…`; there is no third way. The parts looked for
/// have no letter that a reader would also take another character for.
fn could_hold_requests(text: &str) -> bool {
    let bytes = text.as_bytes();
    let stands = |at: usize, before: &[u8]| {
        at.checked_sub(before.len())
            .and_then(|from| bytes.get(from..at))
            .is_some_and(|found| found.eq_ignore_ascii_case(before))
    };
    memchr::memmem::find(bytes, b"\\u").is_some()
        || memchr::memchr2_iter(b'q', b'Q', bytes).any(|at| stands(at, b"inputre"))
        || memchr::memchr2_iter(b'c', b'C', bytes).any(|at| stands(at, b"eli"))
}

fn in_result<'a>(
    result: &'a str,
    outermost: bool,
    found: &mut Vec<ClientRequestText<'a>>,
) -> Result<(), AskError> {
    let Ok(members) = members(result) else {
        // Not an object: nothing is in it.
        return Ok(());
    };
    if let Some(requests) = only(&members, INPUT_REQUESTS)?
        && requests.value != "null"
    {
        in_map(requests.value, found)?;
    }
    for member in members
        .iter()
        .filter(|member| member.value.starts_with('{'))
    {
        let named = |name: &str| member.is(name) || member.could_pass_for(name);
        if outermost && NESTED.into_iter().any(named) {
            in_result(member.value, false, found)?;
        }
        if named("error") {
            in_error(member.value, found)?;
        }
    }
    Ok(())
}

fn in_map<'a>(map: &'a str, found: &mut Vec<ClientRequestText<'a>>) -> Result<(), AskError> {
    let entries =
        members(map).map_err(|_| AskError::Type(INPUT_REQUESTS, "an object of requests"))?;
    validate(map.as_bytes(), DEPTH, Strictness::Unique)
        .map_err(|error| AskError::Text(INPUT_REQUESTS, error))?;
    for entry in &entries {
        let request = members(entry.value)
            .map_err(|_| AskError::Type("a member of `inputRequests`", "a request"))?;
        let method = only(&request, "method")?
            .and_then(|method| string_text(method.value))
            .ok_or(AskError::Type("method", "a string"))?;
        let params = only(&request, "params")?
            .map(|params| params.value)
            .filter(|params| *params != "null");
        if params.is_some_and(|params| !params.starts_with('{')) {
            return Err(AskError::Type("params", "an object"));
        }
        let kind = AskKind::of(&method, params)?
            .ok_or_else(|| AskError::Method(method.chars().take(100).collect()))?;
        let key = crate::wire::scan::unescape(entry.key);
        push(found, ClientRequestText { key, kind, params })?;
    }
    Ok(())
}

fn in_error<'a>(error: &'a str, found: &mut Vec<ClientRequestText<'a>>) -> Result<(), AskError> {
    let Ok(error) = members(error) else {
        return Ok(());
    };
    let asks = error.iter().any(|member| {
        (member.is("code") || member.could_pass_for("code"))
            && member.value.parse() == Ok(URL_ELICITATION_REQUIRED)
    });
    if !asks {
        return Ok(());
    }
    let Some(data) = only(&error, "data")?.filter(|data| data.value.starts_with('{')) else {
        return Ok(());
    };
    let data = members(data.value).map_err(|_| AskError::Type("data", "an object"))?;
    let Some(list) = only(&data, "elicitations")?.filter(|list| list.value != "null") else {
        return Ok(());
    };
    let all = elements(list.value).map_err(|_| AskError::Type("elicitations", "an array"))?;
    validate(list.value.as_bytes(), DEPTH, Strictness::Unique)
        .map_err(|error| AskError::Text("elicitations", error))?;
    for params in all {
        if AskKind::of("elicitation/create", Some(params))? != Some(AskKind::ElicitationUrl) {
            return Err(AskError::NotUrl);
        }
        push(
            found,
            ClientRequestText {
                key: Cow::Borrowed(""),
                kind: AskKind::ElicitationUrl,
                params: Some(params),
            },
        )?;
    }
    Ok(())
}

fn push<'a>(
    found: &mut Vec<ClientRequestText<'a>>,
    request: ClientRequestText<'a>,
) -> Result<(), AskError> {
    if found.len() == MAX_REQUESTS {
        return Err(AskError::TooMany(MAX_REQUESTS));
    }
    found.push(request);
    Ok(())
}

/// The member of this name; an error if a reader could take more than one for it, or another.
fn only<'m, 'a>(
    members: &'m [Member<'a>],
    name: &'static str,
) -> Result<Option<&'m Member<'a>>, AskError> {
    let mut found = members.iter().filter(|member| member.is(name));
    let first = found.next();
    if found.next().is_some() || members.iter().any(|member| member.could_pass_for(name)) {
        return Err(AskError::Ambiguous(name));
    }
    Ok(first)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(text: &str) -> Vec<(String, AskKind, Option<&str>)> {
        let found = requests_in(text).unwrap();
        found
            .into_iter()
            .map(|request| (request.key.into_owned(), request.kind, request.params))
            .collect()
    }

    /// The example of the specification, shortened.
    #[test]
    fn an_answer_that_wants_more_input_is_read() {
        let text = r#"{"resultType":"input_required","inputRequests":{
            "login":{"method":"elicitation/create","params":{"mode":"form","message":"Name?"}},
            "capit\u0061l" : {"params":{"maxTokens":100.0},"method":"sampling/createMessage"},
            "open":{"method":"elicitation/create","params":{"mode":"url","url":"https://example.com"}},
            "where":{"method":"roots/list"}},"requestState":"opaque"}"#;
        assert_eq!(
            told(text),
            [
                (
                    "login".into(),
                    AskKind::ElicitationForm,
                    Some("{\"mode\":\"form\",\"message\":\"Name?\"}")
                ),
                (
                    "capital".into(),
                    AskKind::Sampling,
                    Some("{\"maxTokens\":100.0}")
                ),
                (
                    "open".into(),
                    AskKind::ElicitationUrl,
                    Some("{\"mode\":\"url\",\"url\":\"https://example.com\"}")
                ),
                ("where".into(), AskKind::Roots, None),
            ]
        );
    }

    /// A client may look at `inputRequests` alone, or at the task's result alone.
    #[test]
    fn requests_are_found_wherever_a_client_may_look() {
        let map = r#"{"a":{"method":"roots/list"}}"#;
        for text in [
            format!(r#"{{"inputRequests":{map}}}"#),
            format!(r#"{{"resultType":"complete","content":[],"inputRequests":{map}}}"#),
            format!(r#"{{"taskId":"t","status":"input_required","inputRequests":{map}}}"#),
            format!(r#"{{"taskId":"t","status":"working","input\u0052equests":{map}}}"#),
            format!(r#"{{"taskId":"t","status":"completed","result":{{"inputRequests":{map}}}}}"#),
            format!(r#"{{"task":{{"taskId":"t","inputRequests":{map}}}}}"#),
        ] {
            let expected = ("a".to_owned(), AskKind::Roots, None);
            assert_eq!(told(&text), [expected], "{text}");
        }
    }

    #[test]
    fn other_results_hold_none() {
        for text in [
            "{}",
            "[]",
            "null",
            "\"inputRequests\"",
            r#"{"content":[{"type":"text","text":"{\"inputRequests\":{}}"}]}"#,
            r#"{"structuredContent":{"inputRequests":{"a":1}}}"#,
            r#"{"inputRequests":null}"#,
            r#"{"inputRequests":{},"requestState":"only the state"}"#,
            r#"{"content":[{"type":"text","text":"\ud800 é \u00e9"}]}"#,
        ] {
            assert_eq!(told(text), [], "{text}");
        }
    }

    /// What the gate cannot read in one way only, a client may read in another.
    #[test]
    fn what_cannot_be_told_is_refused() {
        let one = r#""a":{"method":"roots/list"}"#;
        for text in [
            r#"{"inputRequests":[]}"#.to_owned(),
            r#"{"inputRequests":"x"}"#.to_owned(),
            r#"{"inputRequests":{"a":null}}"#.to_owned(),
            r#"{"inputRequests":{"a":{}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":5}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":"tools/call"}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":"ping"}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":"roots/list","params":[1]}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":"roots/list","Method":"ping"}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":"roots/list","method":"ping"}}}"#.to_owned(),
            r#"{"inputRequests":{"a":{"method":"elicitation/create","params":{"mode":"new"}}}}"#
                .to_owned(),
            r#"{"inputRequests":{"a":{"method":"elicitation/create","params":{"m":{"k":1,"k":2}}}}}"#
                .to_owned(),
            format!(r#"{{"inputRequests":{{{one},{one}}}}}"#),
            format!(r#"{{"inputRequests":{{}},"inputRequests":{{{one}}}}}"#),
            format!(r#"{{"InputRequests":{{{one}}}}}"#),
            format!("{{\"inputReque\u{17f}ts\":{{{one}}}}}"),
            format!(r#"{{"taskId":"t","Result":{{"inputrequests":{{{one}}}}}}}"#),
        ] {
            assert!(requests_in(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn requests_are_bounded() {
        let map = |n: usize| {
            let all: Vec<_> = (0..n)
                .map(|n| format!("\"{n}\":{{\"method\":\"roots/list\"}}"))
                .collect();
            format!("{{\"inputRequests\":{{{}}}}}", all.join(","))
        };
        assert_eq!(requests_in(&map(64)).unwrap().len(), 64);
        assert_eq!(requests_in(&map(65)), Err(AskError::TooMany(64)));
    }

    /// The example of the specification, shortened: the client is asked by an error.
    #[test]
    fn errors_that_ask_the_person_to_open_a_url_are_read() {
        let error = |code: &str, list: &str| {
            format!(r#"{{"code":{code},"message":"m","data":{{"elicitations":{list}}}}}"#)
        };
        let url = r#"{"mode":"url","elicitationId":"5","url":"https://example.com"}"#;
        for code in ["-32042", "-32042.0", "-3.2042e4"] {
            let text = error(code, &format!("[{url}, {url}]"));
            let found = requests_in_error(&text).unwrap();
            assert_eq!(found.len(), 2, "{text}");
            assert_eq!(found[0].kind, AskKind::ElicitationUrl);
            assert_eq!(found[1].params, Some(url));
            // A failed task carries the error inside its answer.
            let task = format!(r#"{{"taskId":"t","status":"failed","error":{text}}}"#);
            assert_eq!(requests_in(&task).unwrap().len(), 2, "{task}");
        }
        for (code, list) in [
            ("-32042", "{}"),
            ("-32042", "[5]"),
            ("-32042", "[{\"url\":\"https://example.com\"}]"),
            ("-32042", "[{\"mode\":\"form\"}]"),
            ("-32042", "[{\"mode\":\"url\",\"url\":\"a\",\"url\":\"b\"}]"),
        ] {
            let text = error(code, list);
            assert!(requests_in_error(&text).is_err(), "{text}");
        }
        let folded = error("-3.2042e4", &format!("[{url}]")).replace("eli", "Eli");
        assert!(requests_in(&format!("{{\"error\":{folded}}}")).is_err());
        for text in [
            error("-32602", &format!("[{url}]")),
            "{\"code\":-32042}".to_owned(),
            "null".to_owned(),
        ] {
            assert_eq!(requests_in_error(&text).unwrap(), [], "{text}");
        }
    }
}
