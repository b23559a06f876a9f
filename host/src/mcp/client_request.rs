//! What a server asks of a client: to sample its model, to ask the person, to name its roots.
//!
//! Knows the four kinds, how the person's "no" is written for each, and what the operator denies of them. Where such
//! requests hide is `input_required`'s; whether one is allowed is decided elsewhere.

use crate::wire::reply;
use crate::wire::scan::{ScanError, members, string_text};

/// The JSON-RPC code for a sampling request that the person rejected (MCP 2025-11-25, client/sampling, error
/// handling).
pub const USER_REJECTED: i64 = -1;

/// The JSON-RPC code of clients that have no roots (MCP 2025-11-25, client/roots, error handling).
const METHOD_NOT_FOUND: i64 = -32601;

/// What a server asks of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AskKind {
    /// `sampling/createMessage`: a completion by the client's model.
    Sampling,
    /// `elicitation/create` in form mode: the person fills in a form.
    ElicitationForm,
    /// `elicitation/create` in URL mode: the person opens a URL.
    ElicitationUrl,
    /// `roots/list`: the folders the client works in.
    Roots,
}

/// A request to a client that is not understood; nothing of it may reach the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// A method that is none of those a server may ask with.
    #[error("`{0}` is nothing that a server may ask of a client")]
    Method(String),
    /// An elicitation in a mode that this gate does not know.
    #[error("an elicitation whose `mode` is neither \"form\" nor \"url\"")]
    Mode,
    /// An elicitation of another mode than the one that may stand there.
    #[error("an elicitation that is not in URL mode, where only those may stand")]
    NotUrl,
    /// Something has not the type that MCP gives it.
    #[error("`{0}` is not {1}")]
    Type(&'static str, &'static str),
    /// A key that readers may take for another, or that stands there twice.
    #[error("more than one key that could be taken for `{0}`")]
    Ambiguous(&'static str),
    /// Text that readers may understand differently.
    #[error("`{0}` can be read in more than one way: {1}")]
    Text(&'static str, ScanError),
    /// More requests at once than are judged.
    #[error("more than {0} requests at once")]
    TooMany(usize),
}

/// What the operator denies of what servers ask: `[client_requests]`, of all servers or of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Denied {
    /// Sampling.
    pub sampling: bool,
    /// Elicitation in every mode.
    pub elicitation: bool,
    /// Elicitation in URL mode.
    pub elicitation_url: bool,
    /// Roots.
    pub roots: bool,
}

impl AskKind {
    /// The kind of a request with this method and these raw `params`; none if the method is none of these.
    ///
    /// # Errors
    /// If the mode of an elicitation cannot be told, or is not known.
    pub fn of(method: &str, params: Option<&str>) -> Result<Option<Self>, AskError> {
        match method {
            "sampling/createMessage" => Ok(Some(Self::Sampling)),
            "roots/list" => Ok(Some(Self::Roots)),
            "elicitation/create" => elicitation(params).map(Some),
            _ => Ok(None),
        }
    }

    /// The method.
    pub const fn method(self) -> &'static str {
        match self {
            Self::Sampling => "sampling/createMessage",
            Self::ElicitationForm | Self::ElicitationUrl => "elicitation/create",
            Self::Roots => "roots/list",
        }
    }

    /// The mode of an elicitation.
    pub const fn mode(self) -> Option<&'static str> {
        match self {
            Self::ElicitationForm => Some("form"),
            Self::ElicitationUrl => Some("url"),
            Self::Sampling | Self::Roots => None,
        }
    }

    /// The key of `[client_requests]` that speaks of this kind first.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::ElicitationForm => "elicitation",
            Self::ElicitationUrl => "elicitation_url",
            Self::Roots => "roots",
        }
    }
}

/// Without a `mode`, an elicitation is a form (MCP 2025-11-25, client/elicitation).
fn elicitation(params: Option<&str>) -> Result<AskKind, AskError> {
    let Some(params) = params else {
        return Ok(AskKind::ElicitationForm);
    };
    let members = members(params).map_err(|_| AskError::Type("params", "an object"))?;
    if members.iter().any(|member| member.could_pass_for("mode")) {
        return Err(AskError::Ambiguous("mode"));
    }
    let mut modes = members.iter().filter(|member| member.is("mode"));
    let Some(mode) = modes.next() else {
        return Ok(AskKind::ElicitationForm);
    };
    if modes.next().is_some() {
        return Err(AskError::Ambiguous("mode"));
    }
    match string_text(mode.value).as_deref() {
        Some("form") => Ok(AskKind::ElicitationForm),
        Some("url") => Ok(AskKind::ElicitationUrl),
        _ => Err(AskError::Mode),
    }
}

impl Denied {
    /// Whether nothing is denied.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether requests of this kind are.
    pub const fn denies(&self, kind: AskKind) -> bool {
        match kind {
            AskKind::Sampling => self.sampling,
            AskKind::ElicitationForm => self.elicitation,
            AskKind::ElicitationUrl => self.elicitation || self.elicitation_url,
            AskKind::Roots => self.roots,
        }
    }

    /// What either denies: who speaks later can only narrow.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            sampling: self.sampling || other.sampling,
            elicitation: self.elicitation || other.elicitation,
            elicitation_url: self.elicitation_url || other.elicitation_url,
            roots: self.roots || other.roots,
        }
    }
}

/// The answer to a server whose request, of id `id` (raw), is refused: what a client would send whose person said no,
/// so that every server knows what to do with it. It does not say who refused, nor why. One line with its break.
pub fn refusal(kind: AskKind, id: &str) -> Vec<u8> {
    match kind {
        AskKind::Sampling => reply::error(
            Some(id),
            USER_REJECTED,
            "User rejected sampling request",
            None,
        ),
        AskKind::ElicitationForm | AskKind::ElicitationUrl => {
            reply::result(id, "{\"action\":\"decline\"}")
        }
        AskKind::Roots => reply::error(Some(id), METHOD_NOT_FOUND, "Roots not supported", None),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_method_and_mode() {
        let of = |method, params| AskKind::of(method, params);
        for (method, params, kind) in [
            ("sampling/createMessage", None, AskKind::Sampling),
            ("roots/list", Some("{}"), AskKind::Roots),
            ("elicitation/create", None, AskKind::ElicitationForm),
            (
                "elicitation/create",
                Some("{\"message\":\"mode\"}"),
                AskKind::ElicitationForm,
            ),
            (
                "elicitation/create",
                Some("{\"mode\":\"form\"}"),
                AskKind::ElicitationForm,
            ),
            (
                "elicitation/create",
                Some("{\"m\\u006fde\":\"u\\u0072l\"}"),
                AskKind::ElicitationUrl,
            ),
        ] {
            assert_eq!(of(method, params), Ok(Some(kind)), "{method} {params:?}");
            assert_eq!(kind.method(), method);
        }
        assert_eq!(of("ping", None), Ok(None));
        assert_eq!(of("elicitation/Create", None), Ok(None));
    }

    /// A client that reads another mode than the gate would open a URL that was judged as a form.
    #[test]
    fn a_mode_that_can_be_read_in_two_ways_is_refused() {
        for (params, error) in [
            ("{\"mode\":\"URL\"}", AskError::Mode),
            ("{\"mode\":null}", AskError::Mode),
            ("{\"mode\":[\"url\"]}", AskError::Mode),
            (
                "{\"mode\":\"form\",\"mode\":\"url\"}",
                AskError::Ambiguous("mode"),
            ),
            (
                "{\"mode\":\"form\",\"Mode\":\"url\"}",
                AskError::Ambiguous("mode"),
            ),
            ("{\"MODE\":\"url\"}", AskError::Ambiguous("mode")),
            ("[\"url\"]", AskError::Type("params", "an object")),
        ] {
            let told = AskKind::of("elicitation/create", Some(params));
            assert_eq!(told, Err(error), "{params}");
        }
    }

    #[test]
    fn denying_elicitation_denies_every_mode() {
        let denied = Denied {
            elicitation: true,
            ..Denied::default()
        };
        assert!(denied.denies(AskKind::ElicitationUrl) && denied.denies(AskKind::ElicitationForm));
        let url = Denied {
            elicitation_url: true,
            ..Denied::default()
        };
        assert!(url.denies(AskKind::ElicitationUrl) && !url.denies(AskKind::ElicitationForm));
        assert!(Denied::default().is_empty() && !url.is_empty());
        let both = denied.or(url).or(Denied::default());
        assert!(both.elicitation && both.elicitation_url && !both.sampling && !both.roots);
    }

    #[test]
    fn a_refusal_is_what_a_person_who_declines_causes() {
        let text = |kind| String::from_utf8(refusal(kind, "\"a\"")).unwrap();
        assert_eq!(
            text(AskKind::Sampling),
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-1,\"message\":\"User rejected sampling request\"}}\n"
        );
        assert_eq!(
            text(AskKind::ElicitationUrl),
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"result\":{\"action\":\"decline\"}}\n"
        );
        assert_eq!(
            text(AskKind::Roots),
            "{\"jsonrpc\":\"2.0\",\"id\":\"a\",\"error\":{\"code\":-32601,\"message\":\"Roots not supported\"}}\n"
        );
    }
}
