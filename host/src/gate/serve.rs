//! Sessions whose clients come over HTTP.
//!
//! Knows which session a message belongs to and runs it; decides nothing. What HTTP is (headers, streams of events,
//! status codes) is `front`'s to know.

use std::sync::Arc;

use bytes::Bytes;

use crate::chain::convert::Caller;
use crate::gate::Host;
use crate::gate::session::io::SessionError;

/// All servers of the configuration, and the sessions with them.
pub struct Gateway {
    /// What all sessions share.
    pub host: Arc<Host>,
}

/// A session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No server has this name.
    #[error("no server is called `{0}`; the servers stand in the configuration, in [server.NAME]")]
    UnknownServer(String),
    /// Too many sessions are open.
    #[error("{open} sessions are open; raise `{key}` in [http]")]
    TooMany {
        /// How many are.
        open: usize,
        /// The setting.
        key: &'static str,
    },
    /// The server cannot be reached or started.
    #[error(transparent)]
    Session(#[from] SessionError),
}

/// A connection of one caller to one server: in revisions that begin with `initialize`, a session of MCP; in
/// 2026-07-28, all requests of a caller whose client has the same capabilities.
pub struct Session {
    caller: Caller,
}

/// What comes back to the client about one request.
#[derive(Debug)]
pub enum Said {
    /// The server answers with a stream: what it says will come one after the other.
    Streams,
    /// A message that is not the answer: a notification, or a request of the server's.
    Message(Bytes),
    /// The answer; nothing follows. `error` is the code, if it is an error.
    Answer {
        /// The whole message, without a line end.
        line: Bytes,
        /// The error's code.
        error: Option<i64>,
    },
}

/// One request under way. In 2026-07-28 dropping it before the answer cancels the request; otherwise the request goes on
/// without it.
pub struct Exchange {
    session: Arc<Session>,
}

/// What the server says to none of the client's requests in particular: a stream of its own.
pub struct Listening {
    session: Arc<Session>,
}

impl Gateway {
    /// Over the servers of the host's configuration.
    pub fn new(host: Arc<Host>) -> Arc<Self> {
        Arc::new(Self { host })
    }

    /// Whether the configuration in force has a server of this name that may be used over HTTP.
    pub fn knows(&self, server: &str) -> bool {
        self.host.config.load().servers.contains_key(server)
    }

    /// Opens a session, for a client that is about to say `initialize`.
    pub async fn open(
        self: &Arc<Self>,
        server: &str,
        caller: Caller,
    ) -> Result<Arc<Session>, OpenError> {
        let _ = (server, caller);
        todo!()
    }

    /// The session for a request of 2026-07-28: `line` is the whole message, well-formed, with `_meta`.
    pub async fn stateless(
        self: &Arc<Self>,
        server: &str,
        caller: Caller,
        line: &Bytes,
    ) -> Result<Arc<Session>, OpenError> {
        let _ = (server, caller, line);
        todo!()
    }

    /// Ends every session and every server's process; requests under way may be answered until then.
    pub async fn close(&self) {
        todo!()
    }
}

impl Session {
    /// Who it belongs to.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// Why it is over, if it is: the server is gone for good, or the session was closed.
    pub fn is_over(&self) -> Option<String> {
        todo!()
    }

    /// Begins a request: one message, not yet checked. `params` are the `Mcp-Param-*` headers that came with it (name
    /// after the prefix, raw value), in 2026-07-28 only.
    pub fn request(
        self: &Arc<Self>,
        line: Bytes,
        params: Option<Vec<(String, String)>>,
    ) -> Exchange {
        let _ = (line, params);
        Exchange {
            session: self.clone(),
        }
    }

    /// Takes a notification or an answer of the client's; what cannot be understood comes back as an error line.
    pub async fn tell(self: &Arc<Self>, line: Bytes) -> Option<Bytes> {
        let _ = line;
        todo!()
    }

    /// What belongs to no request. What was said while nobody listened comes first, as far as it was kept.
    pub fn listen(self: &Arc<Self>) -> Listening {
        Listening {
            session: self.clone(),
        }
    }

    /// Ends the session and its connection to the server.
    pub async fn close(&self) {
        todo!()
    }
}

impl Exchange {
    /// What comes next; none after the answer, or if the session ended without one. Work for the request is done while
    /// this is polled.
    pub async fn next(&mut self) -> Option<Said> {
        let _ = &self.session;
        todo!()
    }
}

impl Listening {
    /// What comes next; none when the session is over.
    pub async fn next(&mut self) -> Option<Bytes> {
        let _ = &self.session;
        todo!()
    }
}
