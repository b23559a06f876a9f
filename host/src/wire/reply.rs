//! Messages that the gate writes itself, each as one line with its line break.
//!
//! Knows the members of JSON-RPC 2.0 and their order. What is raw here is JSON text that the caller vouches for; what
//! is a plain string is escaped here.

use super::scan::write_string;

/// A result: `id` and `result` raw.
pub fn result(id: &str, result: &str) -> Vec<u8> {
    line(&[
        Part::Raw("{\"jsonrpc\":\"2.0\",\"id\":"),
        Part::Raw(id),
        Part::Raw(",\"result\":"),
        Part::Raw(result),
    ])
}

/// An error: `id` raw, `null` where none could be read; `data` raw.
pub fn error(id: Option<&str>, code: i64, message: &str, data: Option<&str>) -> Vec<u8> {
    let code = code.to_string();
    let (label, data) = data.map_or(("", ""), |data| (",\"data\":", data));
    line(&[
        Part::Raw("{\"jsonrpc\":\"2.0\",\"id\":"),
        Part::Raw(id.unwrap_or("null")),
        Part::Raw(",\"error\":{\"code\":"),
        Part::Raw(&code),
        Part::Raw(",\"message\":"),
        Part::Text(message),
        Part::Raw(label),
        Part::Raw(data),
        Part::Raw("}"),
    ])
}

/// A request: `id` and `params` raw.
pub fn request(id: &str, method: &str, params: Option<&str>) -> Vec<u8> {
    let (label, params) = params.map_or(("", ""), |params| (",\"params\":", params));
    line(&[
        Part::Raw("{\"jsonrpc\":\"2.0\",\"id\":"),
        Part::Raw(id),
        Part::Raw(",\"method\":"),
        Part::Text(method),
        Part::Raw(label),
        Part::Raw(params),
    ])
}

/// A notification: `params` raw.
pub fn notification(method: &str, params: Option<&str>) -> Vec<u8> {
    let (label, params) = params.map_or(("", ""), |params| (",\"params\":", params));
    line(&[
        Part::Raw("{\"jsonrpc\":\"2.0\",\"method\":"),
        Part::Text(method),
        Part::Raw(label),
        Part::Raw(params),
    ])
}

/// `text` as a JSON string, quotes included.
pub fn string(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    write_string(&mut out, text);
    // Only whole characters of `text` and ASCII were written.
    String::from_utf8(out).unwrap_or_default()
}

enum Part<'a> {
    Raw(&'a str),
    Text(&'a str),
}

/// The parts one after the other, then the end of the object and of the line.
fn line(parts: &[Part<'_>]) -> Vec<u8> {
    let length: usize = parts
        .iter()
        .map(|part| match part {
            Part::Raw(text) => text.len(),
            Part::Text(text) => text.len() + 2,
        })
        .sum();
    let mut out = Vec::with_capacity(length + 2);
    for part in parts {
        match part {
            Part::Raw(text) => out.extend_from_slice(text.as_bytes()),
            Part::Text(text) => write_string(&mut out, text),
        }
    }
    out.extend_from_slice(b"}\n");
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn every_builder_writes_one_line_of_json() {
        assert_eq!(
            text(result("7", "{\"a\":1}")),
            "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":{\"a\":1}}\n"
        );
        assert_eq!(
            text(error(None, -32700, "not \"JSON\"\nat all\u{1}", None)),
            "{\"jsonrpc\":\"2.0\",\"id\":null,\"error\":{\"code\":-32700,\"message\":\"not \\\"JSON\\\"\\nat all\\u0001\"}}\n"
        );
        assert_eq!(
            text(error(
                Some("\"x\""),
                -32602,
                "no",
                Some("{\"code\":\"filtered\"}")
            )),
            "{\"jsonrpc\":\"2.0\",\"id\":\"x\",\"error\":{\"code\":-32602,\"message\":\"no\",\"data\":{\"code\":\"filtered\"}}}\n"
        );
        assert_eq!(
            text(request("1", "ping", None)),
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\n"
        );
        assert_eq!(
            text(request("1", "tools/list", Some("{}"))),
            "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/list\",\"params\":{}}\n"
        );
        assert_eq!(
            text(notification("notifications/initialized", None)),
            "{\"jsonrpc\":\"2.0\",\"method\":\"notifications/initialized\"}\n"
        );
        assert_eq!(string("a\tb"), "\"a\\tb\"");
    }
}
