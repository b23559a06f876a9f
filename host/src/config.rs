//! What the operator wrote, checked.
//!
//! `raw` mirrors the file; `check` turns it into the types here, once; nothing else sees raw values. Knows files,
//! lines and keys. Knows nothing of what the settings lead to.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::ledger::Standing;

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
    /// `[audit]`.
    pub audit: AuditConfig,
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
    pub grants: Vec<String>,
}

/// `[policy_dir]`.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicyDir {
    /// The folder; `policies.d` beside the configuration unless said otherwise.
    pub path: PathBuf,
    /// Whether it is read again while running.
    pub watch: bool,
    /// Grants by policy name.
    pub grants: BTreeMap<String, Vec<String>>,
}

/// One `[server.NAME]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ServerConfig {
    /// The command and its arguments; empty if the entry names none.
    pub command: Vec<String>,
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
    /// Allow and deny lists of this server, as the shipped `allow-deny` reads them.
    pub lists: Lists,
}

/// One source's lists for one server: every source must admit. None means all, an empty list none.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
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
}

/// Why a configuration cannot be used: names the file, the line, the key and the mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);

impl Config {
    /// Reads `file`, or, if none is named, the platform's configuration file where there is one, else all defaults.
    pub fn load(_file: Option<&std::path::Path>) -> Result<Self, ConfigError> {
        todo!()
    }
}
