//! A gate between a client over HTTP and a server behind a URL, which is where attacks are played.

use super::{Era, Home, Mcp, Response, Serve, Upstream, tool};

/// The gate, the server behind it under the name `s`, and a client called `alice`. Messages that must not reach the
/// server carry the word `MARK`, or the name of the tool `hidden`.
pub(crate) struct Scene {
    pub(crate) mcp: Mcp,
    pub(crate) serve: Serve,
    pub(crate) upstream: Upstream,
    pub(crate) home: Home,
    pub(crate) era: Era,
}

impl Scene {
    /// With the tools `a` and `hidden`, the second of which is denied.
    #[track_caller]
    pub(crate) fn new(era: Era) -> Self {
        let upstream = Upstream::new([tool("a", "A."), tool("hidden", "HIDDEN.")]);
        Self::with(era, upstream, "deny = [\"hidden\"]\n", "")
    }

    /// With this server, more keys in its section, and more in `[http]` or in sections of their own.
    #[track_caller]
    pub(crate) fn with(era: Era, upstream: Upstream, server: &str, http: &str) -> Self {
        let home = Home::new();
        home.configure_http(&format!(
            "{http}\n[server.s]\nurl = \"{}\"\nstanding = \"trusted\"\n{server}",
            upstream.url()
        ));
        let token = home.token("alice");
        let serve = home.serve();
        let mcp = serve.client("s", &token, era);
        mcp.tools();
        Self {
            mcp,
            serve,
            upstream,
            home,
            era,
        }
    }

    /// Asserts that a call still runs, and that nothing that must not reach the server did.
    #[track_caller]
    pub(crate) fn nothing_upstream(&self, what: &str) {
        self.mcp.call("a").ran();
        for word in ["MARK", "hidden"] {
            assert_eq!(
                self.upstream.mentions(word),
                0,
                "{what}\nreached the server: {:#?}",
                self.upstream.received()
            );
        }
    }

    /// Asserts a status and, for JSON-RPC errors, one of these codes; and that nothing reached the server.
    #[track_caller]
    pub(crate) fn refused(&self, response: &Response, status: u16, codes: &[i64], what: &str) {
        assert_eq!(response.status, status, "{what}\n→ {response:?}");
        if !codes.is_empty() {
            assert!(codes.contains(&response.code()), "{what}\n→ {response:?}");
        }
        self.nothing_upstream(what);
    }

    /// The call of `a` that must not reach the server, as a message with id `x`.
    pub(crate) fn marked(&self) -> String {
        self.mcp
            .message("x", "tools/call", r#"{"name":"a","arguments":{"MARK":1}}"#)
    }
}
