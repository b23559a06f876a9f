//! `initialize`: what either side says of itself, and the few edits that the gate makes to a server's answer.
//!
//! Knows the result's shape. Every edit replaces or inserts a few bytes; the rest stays as the server wrote it.

use std::borrow::Cow;
use std::ops::Range;

use super::ItemKind;
use crate::wire::reply;
use crate::wire::scan::{Member, members, string_text};

/// Why `params` or a result of `initialize` cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`initialize`: {0}")]
pub struct InitializeError(String);

impl InitializeError {
    /// With what is wrong.
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

fn trouble<T>(what: impl Into<String>) -> Result<T, InitializeError> {
    Err(InitializeError(what.into()))
}

/// What a client says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The revision of MCP that it asks for.
    pub protocol_version: Cow<'a, str>,
    /// Its capabilities, as it wrote them; none if it wrote none.
    pub capabilities: Option<&'a str>,
    /// The name it gives itself.
    pub client_name: Option<Cow<'a, str>>,
}

impl<'a> ClientHello<'a> {
    /// Reads the `params` of a client's `initialize`.
    ///
    /// # Errors
    /// If there is no `protocolVersion`, or a member has the wrong type or an ambiguous key.
    pub fn parse(params: Option<&'a str>) -> Result<Self, InitializeError> {
        let Some(params) = params else {
            return trouble("`params` is missing");
        };
        let params = Object::read(
            "params",
            params,
            &["protocolVersion", "capabilities", "clientInfo"],
        )?;
        let client_name = match params.object("clientInfo", &["name"])? {
            Some(info) => info.text("name")?,
            None => None,
        };
        let Some(protocol_version) = params.text("protocolVersion")? else {
            return trouble("`protocolVersion` is missing");
        };
        Ok(Self {
            protocol_version,
            capabilities: params.object("capabilities", &[])?.map(|object| object.raw),
            client_name,
        })
    }
}

/// What a server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerHello<'a> {
    /// The revision of MCP that it speaks.
    pub protocol_version: Cow<'a, str>,
    /// Its capabilities, as it wrote them; none if it wrote none.
    pub capabilities: Option<&'a str>,
    /// The kinds of items that it declares to have. Resources and templates are declared together.
    pub kinds: Vec<ItemKind>,
    /// Its `serverInfo`, as it wrote it.
    pub server_info: Option<&'a str>,
    /// Its instructions, unescaped.
    pub instructions: Option<Cow<'a, str>>,
}

/// The members of a result that are read.
const RESULT: [&str; 4] = [
    "protocolVersion",
    "capabilities",
    "serverInfo",
    "instructions",
];
/// The capabilities whose lists can change, and what they declare.
const LISTS: [(&str, &[ItemKind]); 3] = [
    ("tools", &[ItemKind::Tool]),
    ("prompts", &[ItemKind::Prompt]),
    (
        "resources",
        &[ItemKind::Resource, ItemKind::ResourceTemplate],
    ),
];

impl<'a> ServerHello<'a> {
    /// Reads the result of a server's `initialize`, a raw value that the envelope has judged.
    ///
    /// # Errors
    /// If it has no `protocolVersion`, or a member has the wrong type or an ambiguous key.
    pub fn parse(result: &'a str) -> Result<Self, InitializeError> {
        let result = read_result(result)?;
        let Some(protocol_version) = result.text("protocolVersion")? else {
            return trouble("`protocolVersion` is missing");
        };
        let capabilities = result.object("capabilities", &CAPABILITIES)?;
        Ok(Self {
            protocol_version,
            kinds: kinds_of(capabilities.as_ref())?,
            capabilities: capabilities.map(|object| object.raw),
            server_info: result
                .object("serverInfo", &["name", "version"])?
                .map(|object| object.raw),
            instructions: result.text("instructions")?,
        })
    }
}

/// The kinds of items that a result's `capabilities` declare.
///
/// # Errors
/// If a member has the wrong type or an ambiguous key.
pub(super) fn declared_kinds(result: &str) -> Result<Vec<ItemKind>, InitializeError> {
    let result = read_result(result)?;
    kinds_of(result.object("capabilities", &CAPABILITIES)?.as_ref())
}

fn kinds_of(capabilities: Option<&Object<'_>>) -> Result<Vec<ItemKind>, InitializeError> {
    let mut kinds = Vec::new();
    if let Some(capabilities) = capabilities {
        for (capability, declared) in LISTS {
            if capabilities.object(capability, &[])?.is_some() {
                kinds.extend_from_slice(declared);
            }
        }
    }
    Ok(kinds)
}

/// A result's `capabilities` as far as MCP names them.
///
/// # Errors
/// If the result is not an object, or has an ambiguous key.
pub(super) fn plain_capabilities(result: &str) -> Result<String, InitializeError> {
    let whole = read_result(result)?;
    Ok(whole
        .member("capabilities")
        .and_then(|member| capability(member.value))
        .unwrap_or_else(|| "{}".to_owned()))
}

const CAPABILITIES: [&str; 3] = ["tools", "prompts", "resources"];

/// The definition of a server's self-description: an object of its `instructions` and its `serverInfo` without the
/// `version`, which changes with every release. Both are as the server wrote them, and left out where it wrote none.
///
/// # Errors
/// As [`ServerHello::parse`].
pub fn self_description(result: &str) -> Result<String, InitializeError> {
    let result = read_result(result)?;
    let mut definition = String::from("{");
    if let Some(instructions) = result.member("instructions") {
        result.text("instructions")?;
        definition.push_str("\"instructions\":");
        definition.push_str(instructions.value);
    }
    if let Some(info) = result.object("serverInfo", &["name", "version"])? {
        if definition.len() > 1 {
            definition.push(',');
        }
        definition.push_str("\"serverInfo\":{");
        let kept = info.members.iter().filter(|member| !member.is("version"));
        for (at, member) in kept.enumerate() {
            if at > 0 {
                definition.push(',');
            }
            definition.push_str(&info.raw[member.start..member.end]);
        }
        definition.push('}');
    }
    definition.push('}');
    Ok(definition)
}

/// The result with `listChanged: true` in every capability that has a list: the gate can change what a client sees
/// even if the server's lists never do.
///
/// # Errors
/// As [`ServerHello::parse`].
pub fn with_list_changed(result: &str) -> Result<String, InitializeError> {
    let whole = read_result(result)?;
    let mut edits = Edits::default();
    if let Some(capabilities) = whole.object("capabilities", &CAPABILITIES)? {
        for (capability, _) in LISTS {
            let Some(object) = capabilities.object(capability, &["listChanged"])? else {
                continue;
            };
            let base = whole.offset_of(object.raw);
            match object.member("listChanged") {
                Some(member) if member.value == "true" => {}
                Some(member) => edits.push(base + member.value_start..base + member.end, "true"),
                None => edits.insert_member(base, &object, "\"listChanged\":true"),
            }
        }
    }
    Ok(edits.apply(result))
}

/// The result with `line` as the last line of its instructions.
///
/// # Errors
/// As [`ServerHello::parse`].
pub fn with_notice(result: &str, line: &str) -> Result<String, InitializeError> {
    let whole = read_result(result)?;
    let mut edits = Edits::default();
    let notice = reply::string(line);
    match whole.member("instructions") {
        None => edits.insert_member(0, &whole, &format!("\"instructions\":{notice}")),
        Some(member) if matches!(member.value, "null" | "\"\"") => {
            edits.push(member.value_start..member.end, &notice);
        }
        Some(member) => {
            whole.text("instructions")?;
            let inner = &notice[1..notice.len() - 1];
            edits.push(member.end - 1..member.end - 1, &format!("\\n{inner}"));
        }
    }
    Ok(edits.apply(result))
}

/// What capabilities may say where the server's own words are withheld: MCP's own members, and nothing in them but
/// each other and booleans (schema, `ServerCapabilities`).
const CAPABILITY_WORDS: [&str; 12] = [
    "logging",
    "completions",
    "prompts",
    "resources",
    "tools",
    "tasks",
    "listChanged",
    "subscribe",
    "list",
    "cancel",
    "requests",
    "call",
];

/// The result without anything the server could say in it: its protocol version, its capabilities as far as MCP names
/// them, and a `serverInfo` of `host_name` and the version, which is kept if it is of 1 to 64 of the characters
/// `0-9 A-Z a-z . + -` and else replaced by `0`. Instructions, `_meta` and whatever MCP does not know are left out.
///
/// # Errors
/// As [`ServerHello::parse`]; and if the protocol version is not of digits and `-`.
pub fn without_self_description(result: &str, host_name: &str) -> Result<String, InitializeError> {
    let whole = read_result(result)?;
    let revision = whole.text("protocolVersion")?.unwrap_or_default();
    let is_date = |text: &str| text.bytes().all(|c| c.is_ascii_digit() || c == b'-');
    if revision.is_empty() || revision.len() > 32 || !is_date(&revision) {
        return Err(InitializeError("`protocolVersion` is not a date".into()));
    }
    let version = match whole.object("serverInfo", &["name", "version"])? {
        Some(info) => info
            .member("version")
            .and_then(|member| string_text(member.value)),
        None => None,
    };
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'-');
    let version = version
        .filter(|version| (1..=64).contains(&version.len()) && version.bytes().all(plain))
        .unwrap_or(Cow::Borrowed("0"));
    let capabilities = plain_capabilities(result)?;
    Ok(format!(
        "{{\"protocolVersion\":\"{revision}\",\"capabilities\":{capabilities},\"serverInfo\":{{\"name\":{},\
         \"version\":\"{version}\"}}}}",
        reply::string(host_name)
    ))
}

/// A capability's value with what MCP does not name left out; none if it is neither an object nor a boolean.
fn capability(value: &str) -> Option<String> {
    if matches!(value, "true" | "false") {
        return Some(value.to_owned());
    }
    if !value.starts_with('{') {
        return None;
    }
    let kept: Vec<String> = members(value)
        .ok()?
        .iter()
        .filter_map(|member| {
            let word = CAPABILITY_WORDS.into_iter().find(|word| member.is(word))?;
            Some(format!("\"{word}\":{}", capability(member.value)?))
        })
        .collect();
    Some(format!("{{{}}}", kept.join(",")))
}

fn read_result(result: &str) -> Result<Object<'_>, InitializeError> {
    Object::read("the result", result, &RESULT)
}

/// An object and its members.
struct Object<'a> {
    raw: &'a str,
    members: Vec<Member<'a>>,
}

impl<'a> Object<'a> {
    /// Reads the object `raw`, in which no key may be one of `names` but for its case, or one of them twice.
    fn read(what: &str, raw: &'a str, names: &[&str]) -> Result<Self, InitializeError> {
        let Ok(members) = members(raw) else {
            return trouble(format!("`{what}` is not an object"));
        };
        for name in names {
            if members.iter().any(|member| member.could_pass_for(name))
                || members.iter().filter(|member| member.is(name)).count() > 1
            {
                return trouble(format!(
                    "`{what}` has more than one key that could be taken for `{name}`"
                ));
            }
        }
        Ok(Self { raw, members })
    }

    fn member(&self, name: &str) -> Option<&Member<'a>> {
        self.members.iter().find(|member| member.is(name))
    }

    /// A member that is an object, if it is there and not `null`.
    fn object(&self, name: &str, names: &[&str]) -> Result<Option<Object<'a>>, InitializeError> {
        match self.member(name) {
            None => Ok(None),
            Some(member) if member.value == "null" => Ok(None),
            Some(member) => Object::read(name, member.value, names).map(Some),
        }
    }

    /// A member that is a string, if it is there and not `null`.
    fn text(&self, name: &str) -> Result<Option<Cow<'a, str>>, InitializeError> {
        match self.member(name) {
            None => Ok(None),
            Some(member) if member.value == "null" => Ok(None),
            Some(member) => match string_text(member.value) {
                Some(text) => Ok(Some(text)),
                None => trouble(format!("`{name}` is not a string")),
            },
        }
    }

    /// Where `part`, a slice of this object's text, is in it.
    fn offset_of(&self, part: &str) -> usize {
        part.as_ptr() as usize - self.raw.as_ptr() as usize
    }
}

/// Replacements of ranges of a text, none of which overlap.
#[derive(Default)]
struct Edits(Vec<(Range<usize>, String)>);

impl Edits {
    fn push(&mut self, range: Range<usize>, text: &str) {
        self.0.push((range, text.to_owned()));
    }

    /// Inserts a member behind the last one of `object`, whose text begins at `base`.
    fn insert_member(&mut self, base: usize, object: &Object<'_>, member: &str) {
        match object.members.last() {
            Some(last) => self.push(base + last.end..base + last.end, &format!(",{member}")),
            None => {
                let inside = base + object.raw.find('{').map_or(0, |at| at + 1);
                self.push(inside..inside, member);
            }
        }
    }

    fn apply(mut self, text: &str) -> String {
        self.0.sort_by_key(|(range, _)| (range.start, range.end));
        let mut edited = String::with_capacity(text.len() + 128);
        let mut at = 0;
        for (range, with) in self.0 {
            edited.push_str(&text[at..range.start]);
            edited.push_str(&with);
            at = range.end;
        }
        edited.push_str(&text[at..]);
        edited
    }
}

#[cfg(test)]
mod tests;
