//! How somebody who may not come in is told (RFC 6750, section 3; RFC 9728, section 5.1; MCP, authorization).
//!
//! Knows status codes and `WWW-Authenticate`. Tells nobody more than that a token is not taken: unknown, revoked and
//! expired are the same bytes.

use std::fmt::Write as _;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};

/// Why a request was not let in, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge {
    status: StatusCode,
    /// A stable word: of RFC 6750 where that has one.
    code: &'static str,
    description: String,
    /// Whether `error` stands in the header: not if nothing was presented (RFC 6750, section 3.1).
    presented: bool,
    resource_metadata: Option<String>,
    scope: Option<String>,
}

impl Challenge {
    /// No credentials came.
    pub(super) fn missing() -> Self {
        Self {
            presented: false,
            ..Self::new(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "A bearer token is needed: send it as `Authorization: Bearer TOKEN`",
            )
        }
    }

    /// The token is unknown, revoked, expired, or not for this gate.
    pub(super) fn invalid_token() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "invalid_token",
            "The token is not valid here, or not any more",
        )
    }

    /// The request does not hold one bearer token.
    pub(super) fn malformed(what: &str) -> Self {
        let description = format!("Send one header `Authorization: Bearer TOKEN`: {what}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", &description)
    }

    /// The token is good, and not for this.
    pub(super) fn insufficient_scope() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "insufficient_scope",
            "The token lacks a scope that is needed here",
        )
    }

    /// Nobody can be known now.
    pub(super) fn unavailable(description: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "temporarily_unavailable",
            description,
        )
    }

    fn new(status: StatusCode, code: &'static str, description: &str) -> Self {
        Self {
            status,
            code,
            description: description.to_owned(),
            presented: true,
            resource_metadata: None,
            scope: None,
        }
    }

    /// With where the client learns who issues tokens, and for which scopes.
    pub(super) fn pointing_to(mut self, metadata: String, scopes: &[String]) -> Self {
        self.resource_metadata = Some(metadata);
        if !scopes.is_empty() {
            self.scope = Some(scopes.join(" "));
        }
        self
    }

    /// The response's status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// A stable word for what is wrong, for counting: `unauthorized`, `invalid_token`, `invalid_request`,
    /// `insufficient_scope`, `temporarily_unavailable`.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// The response, with a body `{"error": CODE, "error_description": TEXT}`.
    pub fn response(&self) -> Response<Bytes> {
        let body = serde_json::json!({
            "error": self.code,
            "error_description": self.description,
        });
        let mut response = Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
        } else if let Ok(value) = HeaderValue::from_str(&self.header()) {
            headers.insert(WWW_AUTHENTICATE, value);
        }
        response
    }

    /// `WWW-Authenticate`. What stands in it needs no quoting: our own words, scopes as the configuration checked them,
    /// and a URL.
    fn header(&self) -> String {
        let mut header = "Bearer realm=\"witgate\"".to_owned();
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = write!(header, ", {name}=\"{value}\"");
            }
        };
        add("error", self.presented.then_some(self.code));
        add("scope", self.scope.as_deref());
        add("resource_metadata", self.resource_metadata.as_deref());
        header
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn header(challenge: Challenge) -> String {
        let response = challenge.response();
        let value = response.headers().get(WWW_AUTHENTICATE).unwrap();
        value.to_str().unwrap().to_owned()
    }

    #[test]
    fn the_header_says_what_the_rfcs_ask_for() {
        assert_eq!(header(Challenge::missing()), "Bearer realm=\"witgate\"");
        let scopes = ["a".to_owned(), "b:c".to_owned()];
        let told = Challenge::insufficient_scope().pointing_to("https://g/m".into(), &scopes);
        assert_eq!(told.status(), StatusCode::FORBIDDEN);
        assert_eq!(
            header(told),
            "Bearer realm=\"witgate\", error=\"insufficient_scope\", scope=\"a b:c\", resource_metadata=\"https://g/m\""
        );
        let told = Challenge::invalid_token().pointing_to("https://g/m".into(), &[]);
        assert_eq!(
            header(told),
            "Bearer realm=\"witgate\", error=\"invalid_token\", resource_metadata=\"https://g/m\""
        );
    }

    #[test]
    fn what_may_pass_later_says_when_and_challenges_nobody() {
        let response = Challenge::unavailable("x").response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers().contains_key(RETRY_AFTER));
        assert!(!response.headers().contains_key(WWW_AUTHENTICATE));
    }
}
