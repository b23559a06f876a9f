//! Refusals of messages, and the statuses of answers.
//!
//! Knows what a client is told; why is the log's and the audit's to know.

use http::StatusCode;

use crate::front::post::RETRY_S;
use crate::front::reply::Refusal;
use crate::gate::serve::{OpenError, Session};
use crate::mcp::headers::HEADER_MISMATCH;
use crate::mcp::stateless;
use crate::wire::Malformed;
use crate::wire::envelope::{
    INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, METHOD_NOT_FOUND, PARSE_ERROR,
};

/// `404` for a session that there is not, or not any more, or not for this caller: the same for all of these, so that
/// nobody learns of another's. The client begins anew (2025-11-25, "Session Management", 4).
pub(in crate::front) fn no_session() -> Refusal {
    Refusal::rpc(
        StatusCode::NOT_FOUND,
        None,
        INVALID_REQUEST,
        "there is no such session: begin a new one with `initialize`",
    )
}

/// `502` for a session that ended before its answer.
pub(super) fn ended(session: &Session, id: &str) -> Refusal {
    let why = session.is_over().unwrap_or_default();
    tracing::warn!(server = session.server(), "a session ended: {why}");
    Refusal::rpc(
        StatusCode::BAD_GATEWAY,
        Some(id),
        INTERNAL_ERROR,
        "the server's session ended before the answer came",
    )
}

/// The refusal of a message that was not understood.
pub(super) fn malformed(error: &Malformed) -> Refusal {
    Refusal::rpc(
        StatusCode::BAD_REQUEST,
        error.id.as_ref().map(|id| id.raw()),
        error.code,
        error.reason.clone(),
    )
}

/// What a client is told if its server cannot be reached; why is the operator's to know.
pub(super) fn cannot_open(error: &OpenError, id: &str) -> Refusal {
    let refused = |status, code, text: String| Refusal::rpc(status, Some(id), code, text);
    match error {
        OpenError::UnknownServer(_) => {
            refused(StatusCode::NOT_FOUND, INVALID_REQUEST, error.to_string())
        }
        OpenError::TooMany { .. } => refused(
            StatusCode::SERVICE_UNAVAILABLE,
            INTERNAL_ERROR,
            error.to_string(),
        )
        .retry_after(RETRY_S),
        OpenError::Meta(_) => refused(StatusCode::BAD_REQUEST, INVALID_PARAMS, error.to_string()),
        OpenError::Server(_) | OpenError::Launch(_) => {
            tracing::error!("{error}");
            refused(
                StatusCode::BAD_GATEWAY,
                INTERNAL_ERROR,
                "the server cannot be started; the gate's log says why".into(),
            )
        }
    }
}

/// The status of an answer of 2026-07-28 (Streamable HTTP, "Server Validation" and "Protocol Version Header"; Overview,
/// "Per-request protocol fields").
pub(super) fn status_of(error: Option<i64>) -> StatusCode {
    match error {
        Some(METHOD_NOT_FOUND) => StatusCode::NOT_FOUND,
        Some(
            HEADER_MISMATCH
            | stateless::MISSING_CAPABILITY
            | stateless::UNSUPPORTED_PROTOCOL_VERSION
            | PARSE_ERROR
            | INVALID_REQUEST,
        ) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_protocol_have_statuses_of_their_own_and_others_none() {
        for (error, status) in [
            (None, 200),
            (Some(-32601), 404),
            (Some(-32020), 400),
            (Some(-32021), 400),
            (Some(-32022), 400),
            (Some(-32700), 400),
            (Some(-32600), 400),
            (Some(-32602), 200),
            (Some(-32603), 200),
            (Some(1), 200),
        ] {
            assert_eq!(status_of(error), status, "{error:?}");
        }
    }
}
