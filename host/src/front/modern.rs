//! Requests of the revision 2026-07-28: what they say of themselves in `_meta`, and whether the headers agree.
//!
//! Knows the rules of "Server Validation" and "Request Metadata" (2026-07-28, Streamable HTTP) and of "Per-request
//! protocol fields" (2026-07-28, Overview). The body decides; headers are only compared with it.

use http::{HeaderMap, StatusCode};

use super::headers::{self, METHOD, NAME, PARAM_PREFIX, PROTOCOL_VERSION};
use super::reply::Refusal;
use crate::mcp::headers::{HEADER_MISMATCH, decode, name_of};
use crate::mcp::method::REVISIONS;
use crate::mcp::stateless::{self, Meta, REVISION, UNSUPPORTED_PROTOCOL_VERSION};
use crate::wire::envelope::INVALID_PARAMS;

/// Checks a request against its headers. `id` is raw.
///
/// # Errors
/// `400`, with the code that the revision asks for.
pub(crate) fn check(
    headers: &HeaderMap,
    id: &str,
    method: &str,
    params: Option<&str>,
) -> Result<(), Refusal> {
    let refused =
        |code, text: String| Err(Refusal::rpc(StatusCode::BAD_REQUEST, Some(id), code, text));
    let mismatch = |text: String| refused(HEADER_MISMATCH, format!("Header mismatch: {text}"));
    let meta = match Meta::of_params(params) {
        Ok(meta) => meta,
        Err(error) => return refused(INVALID_PARAMS, error.to_string()),
    };
    if let Some(error) = headers::double_mirror(headers) {
        return mismatch(error.to_string());
    }
    match headers::one(headers, &PROTOCOL_VERSION) {
        Ok(Some(value)) if value == meta.version => {}
        Ok(Some(_)) => {
            return mismatch("MCP-Protocol-Version does not say what params._meta says".into());
        }
        Ok(None) => return mismatch("MCP-Protocol-Version is missing".into()),
        Err(error) => return mismatch(error.to_string()),
    }
    if meta.version != REVISION {
        return Err(unsupported(id, &meta.version));
    }
    match headers::one(headers, &METHOD) {
        Ok(Some(value)) if value == method => {}
        Ok(Some(_)) => return mismatch("Mcp-Method is not the message's method".into()),
        Ok(None) => return mismatch("Mcp-Method is missing".into()),
        Err(error) => return mismatch(error.to_string()),
    }
    let name = match headers::one(headers, &NAME) {
        Ok(name) => name,
        Err(error) => return mismatch(error.to_string()),
    };
    // A message without a name, or with one that is no string, is refused where it is judged.
    let Some(body) = name_of(method, params) else {
        return Ok(());
    };
    match name.map(decode) {
        Some(Some(name)) if name == body => Ok(()),
        Some(Some(_)) => mismatch("Mcp-Name is not the name in params".into()),
        Some(None) => mismatch("Mcp-Name is not what its encoding promises".into()),
        None => mismatch("Mcp-Name is missing".into()),
    }
}

/// The refusal of a revision that nobody here speaks.
pub(crate) fn unsupported(id: &str, requested: &str) -> Refusal {
    Refusal::rpc(
        StatusCode::BAD_REQUEST,
        Some(id),
        UNSUPPORTED_PROTOCOL_VERSION,
        "Unsupported protocol version",
    )
    .with_data(stateless::unsupported(
        std::iter::once(REVISION).chain(REVISIONS.into_iter().rev()),
        requested,
    ))
}

/// The `Mcp-Param-*` headers: what follows the prefix, and the raw value. An error names one whose bytes are no text.
pub(crate) fn params_of(
    headers: &HeaderMap,
) -> Result<Vec<(String, String)>, headers::HeaderError> {
    let mut found = Vec::new();
    for (name, value) in headers {
        if let Some(rest) = name.as_str().strip_prefix(PARAM_PREFIX) {
            let value = value
                .to_str()
                .map_err(|_| headers::HeaderError::Characters(name.clone()))?;
            found.push((rest.to_owned(), value.to_owned()));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};
    use http_body_util::BodyExt as _;

    const META: &str = r#"{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;

    /// Status and code of the refusal, or none.
    fn judged(
        headers: &[(&'static str, &str)],
        method: &str,
        params: &str,
    ) -> Option<(u16, i64, serde_json::Value)> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_static(name),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        let refusal = check(&map, "7", method, Some(params)).err()?;
        let response = refusal.into_response();
        let status = response.status().as_u16();
        let body = futures_util::FutureExt::now_or_never(response.into_body().collect())
            .unwrap()
            .unwrap()
            .to_bytes();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["id"], 7);
        Some((
            status,
            body["error"]["code"].as_i64().unwrap(),
            body["error"]["data"].clone(),
        ))
    }

    fn code(headers: &[(&'static str, &str)], method: &str, params: &str) -> Option<i64> {
        judged(headers, method, params).map(|(status, code, _)| {
            assert_eq!(status, 400);
            code
        })
    }

    const VERSION: (&str, &str) = ("mcp-protocol-version", "2026-07-28");

    #[test]
    fn headers_that_agree_pass() {
        let call = format!(r#"{{"name":"add","arguments":{{}},"_meta":{META}}}"#);
        let method = ("mcp-method", "tools/call");
        assert_eq!(
            code(&[VERSION, method, ("mcp-name", "add")], "tools/call", &call),
            None
        );
        assert_eq!(
            code(
                &[VERSION, method, ("mcp-name", "=?base64?YWRk?=")],
                "tools/call",
                &call
            ),
            None
        );
        let list = format!(r#"{{"_meta":{META}}}"#);
        assert_eq!(
            code(
                &[VERSION, ("mcp-method", "tools/list")],
                "tools/list",
                &list
            ),
            None
        );
        let spelt = format!(r#"{{"n\u0061me":"\u0061dd","_meta":{META}}}"#);
        assert_eq!(
            code(
                &[VERSION, method, ("mcp-name", "add")],
                "tools/call",
                &spelt
            ),
            None
        );
    }

    #[test]
    fn headers_that_are_missing_double_or_say_otherwise_are_a_mismatch() {
        let call = format!(r#"{{"name":"add","_meta":{META}}}"#);
        let method = ("mcp-method", "tools/call");
        let name = ("mcp-name", "add");
        let bad: [&[(&str, &str)]; 12] = [
            &[method, name],
            &[VERSION, name],
            &[VERSION, method],
            &[("mcp-protocol-version", "2025-11-25"), method, name],
            &[VERSION, ("mcp-method", "tools/list"), name],
            &[VERSION, ("mcp-method", "TOOLS/CALL"), name],
            &[VERSION, method, ("mcp-name", "Add")],
            &[VERSION, method, ("mcp-name", "=?base64?YWRkZA==?=")],
            &[VERSION, method, ("mcp-name", "=?base64?%%?=")],
            &[VERSION, method, name, name],
            &[VERSION, method, method, name],
            &[
                VERSION,
                method,
                name,
                ("mcp-param-a", "1"),
                ("mcp-param-a", "1"),
            ],
        ];
        for headers in bad {
            assert_eq!(
                code(headers, "tools/call", &call),
                Some(-32020),
                "{headers:?}"
            );
        }
    }

    #[test]
    fn a_request_without_its_required_meta_is_malformed() {
        let headers = [VERSION, ("mcp-method", "tools/list")];
        for params in [
            "{}",
            r#"{"_meta":{}}"#,
            r#"{"_meta":[]}"#,
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":20260728}}"#,
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}"#,
            r#"{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":[]}}"#,
        ] {
            assert_eq!(
                code(&headers, "tools/list", params),
                Some(-32602),
                "{params}"
            );
        }
    }

    #[test]
    fn an_unknown_revision_is_told_which_are_served() {
        let meta = META.replace("2026-07-28", "2099-01-01\\n");
        let params = format!(r#"{{"_meta":{meta}}}"#);
        assert_eq!(
            code(&[("mcp-protocol-version", "2099-01-01")], "ping", &params),
            Some(-32020)
        );
        let params = params.replace("\\n", "");
        let (status, code, data) =
            judged(&[("mcp-protocol-version", "2099-01-01")], "ping", &params).unwrap();
        assert_eq!((status, code), (400, -32022));
        assert_eq!(data["requested"], "2099-01-01");
        assert_eq!(data["supported"][0], "2026-07-28");
        assert_eq!(data["supported"][1], "2025-11-25");
        assert_eq!(data["supported"].as_array().unwrap().len(), 5);
    }

    #[test]
    fn mirrored_arguments_are_collected_raw() {
        let mut map = HeaderMap::new();
        map.insert(
            "mcp-param-region",
            HeaderValue::from_static("=?base64?eA==?="),
        );
        map.insert("x-other", HeaderValue::from_static("1"));
        assert_eq!(
            params_of(&map),
            Ok(vec![("region".into(), "=?base64?eA==?=".into())])
        );
        map.insert("mcp-param-b", HeaderValue::from_bytes(b"\xff").unwrap());
        assert!(params_of(&map).is_err());
    }
}
