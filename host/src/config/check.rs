//! From the file's tables to the checked configuration: every key there is, its type, its range, its default.
//!
//! Knows each key by name. Knows nothing of TOML's spelling, which is `reader`'s.

mod grants;
mod http;
mod lists;
mod remote;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::reader::{Field, File, Section};
use super::{
    AuditConfig, Config, ConfigError, Limits, Mode, PolicyConfig, PolicyDir, PolicySource,
    ServerConfig, json, names,
};
use crate::ledger::Standing;
use crate::mcp::client_request::Denied;

/// The policies that ship inside the binary.
pub(super) const BUILTIN: [&str; 3] = ["allow-deny", "quarantine", "trust-baseline"];

/// For how many messages one instance may serve at the most.
pub(crate) const MAX_REUSE: u64 = 1_000_000;

/// Checks the text of the file at `path` (absolute).
pub(super) fn check(path: &Path, text: &str) -> Result<Config, ConfigError> {
    let file = File { path, text };
    let table = toml::de::DeTable::parse(text).map_err(|e| {
        let at = e.span().map_or(0, |span| span.start);
        file.error(at, &format!("not TOML: {}", e.message().trim_end()))
    })?;
    let root = Section::root(file, table.get_ref());
    version(file, &root)?;
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut config = Config::in_dir(dir);
    config.file = Some(path.to_owned());
    if let Some(field) = root.get("notice") {
        config.notice = field.boolean()?;
    }
    if let Some(field) = root.get("state") {
        config.state = state(field.section()?, dir)?;
    }
    if let Some(field) = root.get("limits") {
        config.limits = limits(field.section()?)?;
    }
    if let Some(field) = root.get("policy") {
        config.policies = Some(policies(&field, dir)?);
    }
    if let Some(field) = root.get("policy_dir") {
        config.policy_dir = policy_dir(field.section()?, config.policy_dir, dir)?;
    }
    if let Some(field) = root.get("client_requests") {
        config.client_requests = client_requests(field.section()?)?;
    }
    if let Some(field) = root.get("audit") {
        config.audit = audit(field.section()?, dir)?;
    }
    if let Some(field) = root.get("server") {
        let judged = config.policies.as_deref().is_none_or(enforces_lists);
        for (name, field) in field.section()?.all() {
            names::check_server_name(name).map_err(|e| field.error(&format!("is wrong: {e}")))?;
            let server = server(field.section()?)?;
            let has_lists = !server.lists.is_empty() || !server.roles.is_empty();
            if has_lists && !judged {
                return Err(field.error(
                    "has allow or deny lists, which `builtin:allow-deny` enforces, and no [[policy]] names it; add \
                     one, or remove the lists",
                ));
            }
            config.servers.insert(name.to_owned(), server);
        }
    }
    if let Some(field) = root.get("http") {
        config.http = http::http(field.section()?, dir)?;
    }
    root.finish()?;
    Ok(config)
}

/// `version` is the integer 1 and nothing else: a file of a later version may mean something else by the same keys.
fn version(file: File<'_>, root: &Section<'_>) -> Result<(), ConfigError> {
    match root.get("version") {
        Some(field) if field.is_integer_one() => Ok(()),
        Some(field) => Err(field.error(&format!(
            "must be the integer 1, not {}: this witgate reads version 1 only",
            field.shown()
        ))),
        None => Err(file.error(
            0,
            "`version` is missing; write `version = 1` in the first line",
        )),
    }
}

fn not_yet(detail: &str) -> String {
    format!(
        "is not in this version of witgate ({}), which {detail}",
        env!("CARGO_PKG_VERSION")
    )
}

fn state(section: Section<'_>, dir: &Path) -> Result<Option<String>, ConfigError> {
    let url = match section.get("url") {
        Some(field) => {
            let path = state_path(field.string()?).map_err(|e| field.error(&e))?;
            Some(format!("sqlite:{}", resolve(&field, path, dir)?.display()))
        }
        None => None,
    };
    section.finish()?;
    Ok(url)
}

/// The path of a ledger's URL, or why it cannot be one.
pub(super) fn state_path(text: &str) -> Result<&str, String> {
    let path = match text.split_once(':') {
        Some(("sqlite", path)) => path,
        Some((scheme, _)) if scheme.starts_with("postgres") => {
            return Err(not_yet(
                "keeps its ledger in SQLite only; write `sqlite:PATH`",
            ));
        }
        Some((scheme, _)) if is_scheme(scheme) => {
            return Err("must be `sqlite:PATH` or a path".to_owned());
        }
        _ => text,
    };
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() {
        return Err("names no file; write `sqlite:PATH`".to_owned());
    }
    Ok(path)
}

/// More than one letter, so that a drive of Windows is no scheme.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

fn limits(section: Section<'_>) -> Result<Limits, ConfigError> {
    const GIB: u64 = 1 << 30;
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;
    let mut limits = Limits::default();
    let size = |key, min, max, into: &mut usize| -> Result<(), ConfigError> {
        if let Some(field) = section.get(key) {
            let value = field.integer(min, max)?;
            *into = usize::try_from(value).map_err(|_| field.error("is too large here"))?;
        }
        Ok(())
    };
    size("max_message_bytes", 1024, GIB, &mut limits.max_message)?;
    size("max_depth", 8, 1024, &mut limits.max_depth)?;
    size("max_items", 1, 1_000_000, &mut limits.max_items)?;
    size("max_pages", 1, 1_000_000, &mut limits.max_pages)?;
    size(
        "max_catalogue_bytes",
        1024,
        4 * GIB,
        &mut limits.max_catalogue_bytes,
    )?;
    size(
        "policy_memory_bytes",
        1 << 20,
        4 * GIB,
        &mut limits.policy_memory,
    )?;
    size("policy_output_bytes", 1024, GIB, &mut limits.policy_output)?;
    let time = |key, max, into: &mut Duration| -> Result<(), ConfigError> {
        if let Some(field) = section.get(key) {
            *into = Duration::from_millis(field.integer(1, max)?);
        }
        Ok(())
    };
    time("list_timeout_ms", DAY_MS, &mut limits.list_timeout)?;
    time("stale_catalogue_ms", DAY_MS, &mut limits.stale_catalogue)?;
    time("hook_ms", 60_000, &mut limits.hook_time)?;
    time("record_ms", 60_000, &mut limits.record_time)?;
    section.finish()?;
    Ok(limits)
}

fn policies(field: &Field<'_>, dir: &Path) -> Result<Vec<PolicyConfig>, ConfigError> {
    let mut policies: Vec<PolicyConfig> = Vec::new();
    for (whole, section) in field.sections()? {
        let name_field = section
            .get("name")
            .ok_or_else(|| whole.error("has no `name`; add `name = \"…\"`"))?;
        let name = name_field.string()?;
        names::check_policy_name(name).map_err(|e| name_field.error(&format!("is wrong: {e}")))?;
        if policies.iter().any(|other| other.name == name) {
            return Err(name_field.error(&format!(
                "is {name:?} a second time; every policy needs a name of its own"
            )));
        }
        let source_field = section.get("source").ok_or_else(|| {
            whole.error(
                "has no `source`; add `source = \"builtin:NAME\"` or the path of a component",
            )
        })?;
        let source = policy_source(&source_field, dir)?;
        let settings = match section.get("settings") {
            Some(field) => {
                let value = json::object(field.table()?).map_err(|e| field.error(&e))?;
                Some(value.to_string())
            }
            None => None,
        };
        let mode = mode(&section)?;
        let grants = grants::of(&section)?;
        let reuse = match section.get("reuse") {
            Some(field) => u32::try_from(field.integer(1, MAX_REUSE)?).unwrap_or(1),
            None => 1,
        };
        section.finish()?;
        policies.push(PolicyConfig {
            name: name.to_owned(),
            source,
            mode,
            settings,
            grants,
            reuse,
        });
    }
    if policies.is_empty() {
        return Err(field.error(
            "is empty, so that nothing would be judged; remove it for the three policies that ship with witgate",
        ));
    }
    Ok(policies)
}

fn policy_source(field: &Field<'_>, dir: &Path) -> Result<PolicySource, ConfigError> {
    let text = field.string()?;
    match text.strip_prefix("builtin:") {
        Some(name) if BUILTIN.contains(&name) => Ok(PolicySource::Builtin(name.to_owned())),
        Some(_) => Err(field.error(&format!(
            "is {text:?}, which this witgate does not have; it has builtin:{}",
            BUILTIN.join(", builtin:")
        ))),
        None if text.is_empty() => Err(field.error("is empty; write `builtin:NAME` or a path")),
        None => Ok(PolicySource::File(resolve(field, text, dir)?)),
    }
}

fn mode(section: &Section<'_>) -> Result<Mode, ConfigError> {
    match section.get("mode") {
        None => Ok(Mode::Enforce),
        Some(field) => match field.string()? {
            "enforce" => Ok(Mode::Enforce),
            "monitor" => Ok(Mode::Monitor),
            _ => Err(field.error(&format!(
                "must be \"enforce\" or \"monitor\", not {}",
                field.shown()
            ))),
        },
    }
}

fn enforces_lists(policies: &[PolicyConfig]) -> bool {
    policies
        .iter()
        .any(|policy| policy.source == PolicySource::Builtin("allow-deny".to_owned()))
}

fn policy_dir(
    section: Section<'_>,
    mut policy_dir: PolicyDir,
    dir: &Path,
) -> Result<PolicyDir, ConfigError> {
    if let Some(field) = section.get("path") {
        policy_dir.path = resolve(&field, field.string()?, dir)?;
    }
    if let Some(field) = section.get("watch") {
        policy_dir.watch = field.boolean()?;
    }
    if let Some(field) = section.get("grants") {
        for (name, field) in field.section()?.all() {
            names::check_policy_name(name).map_err(|e| field.error(&format!("is wrong: {e}")))?;
            policy_dir
                .grants
                .insert(name.to_owned(), grants::read(&field)?);
        }
    }
    section.finish()?;
    Ok(policy_dir)
}

fn audit(section: Section<'_>, dir: &Path) -> Result<AuditConfig, ConfigError> {
    let mut audit = AuditConfig::default();
    if let Some(field) = section.get("enabled") {
        audit.enabled = field.boolean()?;
    }
    if let Some(field) = section.get("path") {
        audit.path = Some(resolve(&field, field.string()?, dir)?);
    }
    if let Some(field) = section.get("required") {
        audit.required = field.boolean()?;
    }
    if let Some(field) = section.get("arguments") {
        audit.arguments = field.boolean()?;
    }
    if let Some(field) = section.get("record") {
        audit.tape = match field.string()? {
            "decisions" => false,
            "full" if !audit.enabled => {
                return Err(field.error(
                    "is \"full\", and `enabled = false` keeps no record: write one or the other",
                ));
            }
            "full" => true,
            _ => return Err(field.error("must be \"decisions\" or \"full\"")),
        };
    }
    section.finish()?;
    Ok(audit)
}

fn server(section: Section<'_>) -> Result<ServerConfig, ConfigError> {
    let mut server = ServerConfig {
        remote: remote::remote(&section)?,
        ..ServerConfig::default()
    };
    let args = section.get("args");
    match section.get("command") {
        Some(field) => {
            let command = field.string()?;
            if command.is_empty() {
                return Err(field.error("is empty; name the program to run"));
            }
            server.command.push(command.to_owned());
            if let Some(args) = args {
                server.command.extend(args.strings()?);
            }
        }
        None => {
            if let Some(args) = args {
                return Err(args.error("stands without `command`; add it, or remove the arguments"));
            }
        }
    }
    if let Some(field) = section.get("env") {
        server.env = env(&field)?;
    }
    if let Some(field) = section.get("standing") {
        server.standing = Some(match field.string()? {
            "trusted" => Standing::Trusted,
            "quarantined" => Standing::Quarantined,
            _ => {
                return Err(field.error(&format!(
                    "must be \"trusted\" or \"quarantined\", not {}",
                    field.shown()
                )));
            }
        });
    }
    if let Some(field) = section.get("auto_approve_tool_changes") {
        server.auto_approve_tool_changes = field.boolean()?;
    }
    if let Some(field) = section.get("enabled") {
        server.enabled = field.boolean()?;
    }
    server.methods = strings(&section, "methods")?;
    if let Some(field) = section.get("client_requests") {
        server.client_requests = client_requests(field.section()?)?;
    }
    server.lists = lists::lists(&section)?;
    server.roles = lists::roles(&section)?;
    server.no_role = lists::no_role(&section, &server.roles)?;
    section.finish()?;
    Ok(server)
}

/// What servers may ask of a client: each kind `"allow"` or `"deny"`.
fn client_requests(section: Section<'_>) -> Result<Denied, ConfigError> {
    let denied = |key| match section.get(key) {
        None => Ok(false),
        Some(field) => match field.string()? {
            "allow" => Ok(false),
            "deny" => Ok(true),
            _ => Err(field.error(&format!(
                "must be \"allow\" or \"deny\", not {}",
                field.shown()
            ))),
        },
    };
    let denied = Denied {
        sampling: denied("sampling")?,
        elicitation: denied("elicitation")?,
        elicitation_url: denied("elicitation_url")?,
        roots: denied("roots")?,
    };
    section.finish()?;
    Ok(denied)
}

fn env(field: &Field<'_>) -> Result<BTreeMap<String, String>, ConfigError> {
    let mut env = BTreeMap::new();
    for (name, field) in field.section()?.all() {
        let value = field.string()?;
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(field.error(
                "cannot stand in an environment: a name has no `=`, and neither has a NUL",
            ));
        }
        env.insert(name.to_owned(), value.to_owned());
    }
    Ok(env)
}

fn optional_strings(
    section: &Section<'_>,
    key: &'static str,
) -> Result<Option<Vec<String>>, ConfigError> {
    section.get(key).map(|field| field.strings()).transpose()
}

fn strings(section: &Section<'_>, key: &'static str) -> Result<Vec<String>, ConfigError> {
    Ok(optional_strings(section, key)?.unwrap_or_default())
}

/// A path of the file: relative to the file's folder, `~/` to the user's.
fn resolve(field: &Field<'_>, text: &str, dir: &Path) -> Result<PathBuf, ConfigError> {
    if text.is_empty() {
        return Err(field.error("is empty; write a path"));
    }
    match text.strip_prefix("~/") {
        Some(rest) => {
            let dirs = directories::BaseDirs::new()
                .ok_or_else(|| field.error("begins with `~`, and there is no home folder"))?;
            Ok(dirs.home_dir().join(rest))
        }
        None => Ok(dir.join(text)),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
