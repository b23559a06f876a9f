//! Which paths there are.
//!
//! Knows the paths of the data listener, exactly as they are spelled: nothing is decoded or normalised, so that what a
//! proxy before the gate saw is what the gate sees.

/// What a path stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// `/mcp/{server}`: one server's endpoint.
    Server(&'a str),
    /// `/mcp`: all servers under one endpoint, which is not offered.
    All,
    /// `/healthz`: whether the process lives.
    Health,
    /// `/readyz`: whether calls can pass.
    Ready,
    /// `/.well-known/…`: metadata about authorization (RFC 9728).
    Metadata,
    /// Nothing.
    Unknown,
}

/// What `path` stands for.
pub(crate) fn route(path: &str) -> Route<'_> {
    match path {
        "/mcp" | "/mcp/" => Route::All,
        "/healthz" => Route::Health,
        "/readyz" => Route::Ready,
        _ if path.starts_with("/.well-known/") => Route::Metadata,
        _ => match path.strip_prefix("/mcp/") {
            Some(server) if crate::config::names::check_server_name(server).is_ok() => {
                Route::Server(server)
            }
            _ => Route::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_taken_as_they_are_spelled() {
        assert_eq!(route("/mcp/files"), Route::Server("files"));
        assert_eq!(route("/mcp/api.v1_x-y"), Route::Server("api.v1_x-y"));
        assert_eq!(route("/mcp"), Route::All);
        assert_eq!(route("/healthz"), Route::Health);
        assert_eq!(route("/readyz"), Route::Ready);
        assert_eq!(
            route("/.well-known/oauth-protected-resource/mcp/files"),
            Route::Metadata
        );
        for path in [
            "/",
            "",
            "/MCP/files",
            "/mcp/files/",
            "/mcp//files",
            "/mcp/a/b",
            "/mcp/%66iles",
            "/mcp/../healthz",
            "/healthz/",
            "//mcp/files",
            "*",
        ] {
            assert_eq!(route(path), Route::Unknown, "{path}");
        }
    }
}
