//! What the operator wrote, checked.
//!
//! `reader` walks the file's tables and remembers which keys were asked for; `check` turns them into the types here,
//! once; nothing else sees raw values. Knows files, lines and keys. Knows nothing of what the settings lead to.

mod check;
pub mod grants;
mod http;
mod json;
pub mod names;
mod place;
mod reader;
pub mod remote;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::ledger::Standing;
use crate::mcp::client_request::Denied;

pub use grants::{Grants, HttpGrant, HttpHost};
pub use http::{
    AuthConfig, HttpConfig, HttpLimits, JwksSource, JwtAlgorithm, JwtConfig, TlsConfig,
};
pub use remote::Remote;
pub use template::Template;

/// The whole configuration, from `witgate.toml` or, where there is none, all defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The file it came from; none if no file stands where one would be looked for.
    pub file: Option<PathBuf>,
    /// The folder the file stands in or would stand in: the ledger's marker and the policy directory are beside it.
    pub dir: PathBuf,
    /// `[state]`: where the ledger is; none for the platform's state directory.
    pub state: Option<String>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[[policy]]` in order; none means the three shipped ones.
    pub policies: Option<Vec<PolicyConfig>>,
    /// `[policy_dir]`.
    pub policy_dir: PolicyDir,
    /// `[server.NAME]`.
    pub servers: BTreeMap<String, ServerConfig>,
    /// `[client_requests]`: what no server may ask of a client.
    pub client_requests: Denied,
    /// `[audit]`.
    pub audit: AuditConfig,
    /// `[http]`: what `witgate serve` does.
    pub http: HttpConfig,
    /// Whether the line that counts what waits is appended to `instructions`.
    pub notice: bool,
}

/// `[limits]`: what bounds a message, a server and a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// The longest line on stdio, bytes.
    pub max_message: usize,
    /// The deepest nesting of a message.
    pub max_depth: usize,
    /// The most items one server may offer, all kinds together.
    pub max_items: usize,
    /// The most pages one list may have.
    pub max_pages: usize,
    /// The most bytes of definitions one server may offer.
    pub max_catalogue_bytes: usize,
    /// How long a server may take for one page of a list.
    pub list_timeout: Duration,
    /// How long calls go on against the last reading after one failed.
    pub stale_catalogue: Duration,
    /// How long a judging hook may run, wall clock.
    pub hook_time: Duration,
    /// How long a recording hook may run, wall clock.
    pub record_time: Duration,
    /// The most memory one policy instance may have, bytes.
    pub policy_memory: usize,
    /// The most bytes a hook may answer with.
    pub policy_output: usize,
}

/// Where a policy of the chain comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource {
    /// One that ships inside the binary: `allow-deny`, `quarantine`, `trust-baseline`.
    Builtin(String),
    /// A component file.
    File(PathBuf),
}

/// Whether a policy's verdicts bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// They do.
    Enforce,
    /// They are recorded only.
    Monitor,
}

impl Mode {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Monitor => "monitor",
        }
    }
}

/// One `[[policy]]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyConfig {
    /// Its name, unique in the chain.
    pub name: String,
    /// Where it comes from.
    pub source: PolicySource,
    /// Whether it binds.
    pub mode: Mode,
    /// Its settings as JSON text, if it was given any.
    pub settings: Option<String>,
    /// Imports beyond the usual that the operator lets it have.
    pub grants: Grants,
    /// For how many messages one instance serves; 1 is an instance for each.
    pub reuse: u32,
}

/// `[policy_dir]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDir {
    /// The folder; `policies.d` beside the configuration unless said otherwise.
    pub path: PathBuf,
    /// Whether it is read again while running.
    pub watch: bool,
    /// Grants by policy name.
    pub grants: BTreeMap<String, Grants>,
}

/// One `[server.NAME]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// The command and its arguments as written; empty if the entry names none. Looked up like one typed in the
    /// client's folder, not beside the file: the two must be able to be the same.
    pub command: Vec<String>,
    /// Where it is reached, if it is not started: then there is no command.
    pub remote: Option<Arc<Remote>>,
    /// Environment added to the client's.
    pub env: BTreeMap<String, String>,
    /// What the file says of its standing, if anything.
    pub standing: Option<Standing>,
    /// Whether changed tools of this server approve themselves.
    pub auto_approve_tool_changes: bool,
    /// Whether it may be used at all.
    pub enabled: bool,
    /// Vendor methods that are let through.
    pub methods: Vec<String>,
    /// `[server.NAME.client_requests]`: what this server may not ask of a client, beyond `[client_requests]`.
    pub client_requests: Denied,
    /// Allow and deny lists of this server, as the shipped `allow-deny` reads them.
    pub lists: Lists,
    /// `[server.NAME.roles.ROLE]`: lists by role of the caller, beside those.
    pub roles: BTreeMap<String, Lists>,
    /// `[server.NAME.no_role]`: lists for callers that have none of these roles.
    pub no_role: Option<Lists>,
}

/// One source's lists for one server: every source must admit. None means all, an empty list none.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Lists {
    /// Tools admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow: Option<Vec<String>>,
    /// Tools refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// Prompts admitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_prompts: Option<Vec<String>>,
    /// Prompts refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny_prompts: Vec<String>,
    /// Resources admitted, by URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_resources: Option<Vec<String>>,
    /// Resources refused, by URI.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny_resources: Vec<String>,
}

/// `[audit]`.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditConfig {
    /// Whether decisions are recorded.
    pub enabled: bool,
    /// The folder; none for `audit` under the state directory.
    pub path: Option<PathBuf>,
    /// Whether a call is refused when its record cannot be written.
    pub required: bool,
    /// Whether the arguments themselves are recorded, not only their digest.
    pub arguments: bool,
    /// Whether a tape is written beside: everything the chain is given, to be replayed.
    pub tape: bool,
}

/// Why a configuration cannot be used: names the file, the line, the key and the mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_message: 32 << 20,
            max_depth: 128,
            max_items: 10_000,
            max_pages: 1_000,
            max_catalogue_bytes: 64 << 20,
            list_timeout: Duration::from_secs(30),
            stale_catalogue: Duration::from_secs(60),
            hook_time: Duration::from_millis(500),
            record_time: Duration::from_secs(5),
            policy_memory: 64 << 20,
            policy_output: 32 << 20,
        }
    }
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            command: Vec::new(),
            remote: None,
            env: BTreeMap::new(),
            standing: None,
            auto_approve_tool_changes: false,
            enabled: true,
            methods: Vec::new(),
            client_requests: Denied::default(),
            lists: Lists::default(),
            roles: BTreeMap::new(),
            no_role: None,
        }
    }
}

impl Default for AuditConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            path: None,
            required: true,
            arguments: false,
            tape: false,
        }
    }
}

impl Lists {
    /// Whether they say nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Config {
    /// All defaults, as if an empty file stood in `dir`.
    pub fn in_dir(dir: &Path) -> Self {
        Self {
            file: None,
            dir: dir.to_owned(),
            state: None,
            limits: Limits::default(),
            policies: None,
            policy_dir: PolicyDir {
                path: dir.join("policies.d"),
                watch: true,
                grants: BTreeMap::new(),
            },
            servers: BTreeMap::new(),
            client_requests: Denied::default(),
            audit: AuditConfig::default(),
            http: HttpConfig::default(),
            notice: true,
        }
    }

    /// The file it came from, or where one would be looked for.
    pub fn expected_file(&self) -> PathBuf {
        let expected = || self.dir.join("witgate.toml");
        self.file.clone().unwrap_or_else(expected)
    }

    /// What the server `name` may not ask of a client: what is denied to all, and what to it.
    pub fn denied_requests(&self, name: &str) -> Denied {
        let own = self.servers.get(name).map(|server| server.client_requests);
        self.client_requests.or(own.unwrap_or_default())
    }

    /// Where the configuration is looked for: `file` if one is named, else the platform's. Absolute. An error if the
    /// platform tells no such folder.
    pub fn location(file: Option<&Path>) -> Result<PathBuf, ConfigError> {
        place::location(file)
    }

    /// Checks a ledger's URL as typed: `sqlite:PATH` or a path.
    pub fn check_state(url: &str) -> Result<(), ConfigError> {
        check::state_path(url)
            .map(|_| ())
            .map_err(|detail| ConfigError(format!("--state {url:?} {detail}")))
    }

    /// Reads `file`, or, if none is named, the platform's configuration file where there is one, else all defaults.
    ///
    /// An error if a named file is missing, if the file belongs to another user or others may write it, and for every
    /// key, value or version that is not understood.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = Self::location(file)?;
        match place::read(&path)? {
            Some(text) => check::check(&path, &text),
            None if file.is_some() => Err(ConfigError(format!(
                "{}: the configuration file is missing; name another with --config, or make it with the line \
                 `version = 1`",
                path.display()
            ))),
            None => Ok(Self::in_dir(path.parent().unwrap_or(Path::new("/")))),
        }
    }
}
