//! What a call reaches: the item it names, and what it hands over.
//!
//! Reads `params` strictly: a server may read a doubtful call in another way than the gate, so there must be no doubt.

use std::borrow::Cow;

use super::ItemKind;
use super::method::CallKind;
use super::uri::normal_form;
use crate::wire::scan::{Member, members, string_text};

/// What a call reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target<'a> {
    /// The kind of item. A completion's `ref/resource` is a template where its text has a `{`, which no URI can have,
    /// else a resource; servers list either.
    pub kind: ItemKind,
    /// The name or URI as it was sent, unescaped.
    pub name: Cow<'a, str>,
    /// For a resource, the URI's normal form.
    pub uri: Option<String>,
    /// What is handed over, as JSON text: `arguments` of a tool or a prompt, as it was written; of a completion, an
    /// object of its `argument` and its `context`, as those were written. None if absent or `null`.
    pub arguments: Option<Cow<'a, str>>,
    /// Whether the caller asks for a task (since 2025-11-25).
    pub task: bool,
    /// The token for progress notifications, as it was written.
    pub progress_token: Option<&'a str>,
}

impl Target<'_> {
    /// The name under which the item is observed: a resource's URI in its normal form, else the name as it was sent.
    pub fn key(&self) -> &str {
        self.uri.as_deref().unwrap_or(&self.name)
    }
}

/// `params` that a call cannot have; the JSON-RPC code for it is -32602.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{method}: {trouble}")]
pub struct BadParams {
    /// The method.
    pub method: &'static str,
    /// What is wrong, and what is expected.
    pub trouble: String,
}

/// Reads the `params` of a call, an object that the envelope found free of doubles.
///
/// # Errors
/// If what it reaches is missing, empty or of the wrong type; if a member has the wrong type; if a key is one of
/// those read here but for its case, which some servers would read in its place.
pub fn target(call: CallKind, params: Option<&str>) -> Result<Target<'_>, BadParams> {
    read(call, params).map_err(|trouble| BadParams {
        method: call.method(),
        trouble,
    })
}

fn read(call: CallKind, params: Option<&str>) -> Result<Target<'_>, String> {
    let params = Object::read("params", params.ok_or("`params` is missing")?)?;
    let meta = params.object("_meta")?;
    let progress_token = match &meta {
        None => None,
        Some(meta) => meta.progress_token()?,
    };
    let mut target = Target {
        kind: ItemKind::Tool,
        name: Cow::Borrowed(""),
        uri: None,
        arguments: None,
        task: params.object("task")?.is_some(),
        progress_token,
    };
    match call {
        CallKind::Tool => {
            target.name = params.text("name")?;
            target.arguments = params.object("arguments")?.map(|object| object.text.into());
        }
        CallKind::Prompt => {
            target.kind = ItemKind::Prompt;
            target.name = params.text("name")?;
            target.arguments = params.object("arguments")?.map(|object| object.text.into());
        }
        CallKind::Read | CallKind::Subscribe | CallKind::Unsubscribe => {
            target.kind = ItemKind::Resource;
            target.name = params.text("uri")?;
        }
        CallKind::Complete => {
            let reference = params.object("ref")?.ok_or("`ref` is missing")?;
            (target.kind, target.name) = match reference.text("type")?.as_ref() {
                "ref/prompt" => (ItemKind::Prompt, reference.text("name")?),
                "ref/resource" => {
                    let text = reference.text("uri")?;
                    let template = text.contains('{');
                    (
                        if template {
                            ItemKind::ResourceTemplate
                        } else {
                            ItemKind::Resource
                        },
                        text,
                    )
                }
                _ => return Err("`ref.type` is neither \"ref/prompt\" nor \"ref/resource\"".into()),
            };
            let argument = params.object("argument")?.ok_or("`argument` is missing")?;
            let context = match params.object("context")? {
                Some(context) => format!(",\"context\":{}", context.text),
                None => String::new(),
            };
            target.arguments = Some(format!("{{\"argument\":{}{context}}}", argument.text).into());
        }
    }
    if target.kind == ItemKind::Resource {
        target.uri = Some(normal_form(&target.name).into_owned());
    }
    Ok(target)
}

/// An object within a call.
struct Object<'a> {
    /// What it is called in errors.
    path: &'static str,
    text: &'a str,
    members: Vec<Member<'a>>,
}

impl<'a> Object<'a> {
    fn read(path: &'static str, text: &'a str) -> Result<Self, String> {
        let members = members(text).map_err(|_| format!("`{path}` is not an object"))?;
        Ok(Self {
            path,
            text,
            members,
        })
    }

    /// The raw value of a member; none if it is absent.
    fn member(&self, name: &'static str) -> Result<Option<&'a str>, String> {
        if self
            .members
            .iter()
            .any(|member| member.could_pass_for(name))
        {
            return Err(format!(
                "`{}` has a key that could be taken for `{name}`",
                self.path
            ));
        }
        Ok(self
            .members
            .iter()
            .find(|member| member.is(name))
            .map(|member| member.value))
    }

    /// A member that must be a string, and not empty.
    fn text(&self, name: &'static str) -> Result<Cow<'a, str>, String> {
        let raw = self
            .member(name)?
            .ok_or_else(|| format!("`{name}` is missing"))?;
        match string_text(raw) {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => Err(format!("`{name}` is empty")),
            None => Err(format!("`{name}` is not a string")),
        }
    }

    /// A member that must be an object, if it is there; `null` is as if it were not.
    fn object(&self, name: &'static str) -> Result<Option<Object<'a>>, String> {
        match self.member(name)? {
            None | Some("null") => Ok(None),
            Some(text) => Object::read(name, text).map(Some),
        }
    }

    /// `progressToken`: a string or a number.
    fn progress_token(&self) -> Result<Option<&'a str>, String> {
        match self.member("progressToken")? {
            None | Some("null") => Ok(None),
            Some(raw) if raw.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) => {
                Ok(Some(raw))
            }
            Some(_) => Err("`_meta.progressToken` is neither a string nor a number".into()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(call: CallKind, params: &str) -> Target<'_> {
        target(call, Some(params)).unwrap()
    }

    #[test]
    fn a_tool_call_is_read() {
        let call = read(
            CallKind::Tool,
            r#"{"n\u0061me":"re\u0061d","arguments":{"a": 1.0},"task":{"ttl":5},"_meta":{"progressToken":7,"x":1},"vendor":2}"#,
        );
        assert_eq!(
            (call.kind, call.name.as_ref(), call.uri.as_deref()),
            (ItemKind::Tool, "read", None)
        );
        assert_eq!(call.arguments.as_deref(), Some("{\"a\": 1.0}"));
        assert!(call.task);
        assert_eq!(call.progress_token, Some("7"));
        assert_eq!(call.key(), "read");
        for params in [
            r#"{"name":"x"}"#,
            r#"{"name":"x","arguments":null,"task":null,"_meta":null}"#,
        ] {
            let call = read(CallKind::Tool, params);
            assert_eq!(
                (call.arguments, call.task, call.progress_token),
                (None, false, None)
            );
        }
    }

    #[test]
    fn resources_are_known_by_their_normal_form() {
        for call in [CallKind::Read, CallKind::Subscribe, CallKind::Unsubscribe] {
            let target = read(call, r#"{"uri":"file:\/\/\/%61"}"#);
            assert_eq!(target.kind, ItemKind::Resource);
            assert_eq!(
                (target.name.as_ref(), target.key()),
                ("file:///%61", "file:///a")
            );
        }
    }

    #[test]
    fn a_completion_reaches_what_it_refers_to() {
        let prompt = read(
            CallKind::Complete,
            r#"{"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a","value":"v"},"context":{"arguments":{}}}"#,
        );
        assert_eq!((prompt.kind, prompt.key()), (ItemKind::Prompt, "p"));
        assert_eq!(
            prompt.arguments.as_deref(),
            Some(r#"{"argument":{"name":"a","value":"v"},"context":{"arguments":{}}}"#)
        );
        let kind_of = |uri: &str| {
            let params =
                format!(r#"{{"ref":{{"type":"ref/resource","uri":"{uri}"}},"argument":{{}}}}"#);
            let target = read(CallKind::Complete, &params);
            (target.kind, target.key().to_owned())
        };
        assert_eq!(
            kind_of("file:///%61"),
            (ItemKind::Resource, "file:///a".into())
        );
        assert_eq!(
            kind_of("file:///{x}"),
            (ItemKind::ResourceTemplate, "file:///{x}".into())
        );
    }

    #[test]
    fn doubtful_calls_are_refused() {
        for (call, params) in [
            (CallKind::Tool, "{}"),
            (CallKind::Tool, r#"{"name":5}"#),
            (CallKind::Tool, r#"{"name":null}"#),
            (CallKind::Tool, r#"{"name":""}"#),
            (CallKind::Tool, r#"{"name":["x"]}"#),
            (CallKind::Tool, r#"{"name":"x","arguments":[1]}"#),
            (CallKind::Tool, r#"{"name":"x","arguments":"{}"}"#),
            (CallKind::Tool, r#"{"name":"x","Name":"y"}"#),
            (CallKind::Tool, r#"{"name":"x","ARGUMENTS":{}}"#),
            (CallKind::Tool, r#"{"name":"x","task":true}"#),
            (CallKind::Tool, r#"{"name":"x","_meta":1}"#),
            (
                CallKind::Tool,
                r#"{"name":"x","_meta":{"progressToken":{}}}"#,
            ),
            (CallKind::Prompt, r#"{"name":"x","arguments":1}"#),
            (CallKind::Read, r#"{"name":"x"}"#),
            (CallKind::Read, r#"{"uri":"a:b","URI":"c:d"}"#),
            (CallKind::Subscribe, r#"{"uri":""}"#),
            (CallKind::Complete, r#"{"argument":{}}"#),
            (
                CallKind::Complete,
                r#"{"ref":{"type":"ref/tool","name":"x"},"argument":{}}"#,
            ),
            (
                CallKind::Complete,
                r#"{"ref":{"type":"ref/prompt","name":"x","Name":"y"},"argument":{}}"#,
            ),
            (
                CallKind::Complete,
                r#"{"ref":{"type":"ref/prompt","name":"x"}}"#,
            ),
        ] {
            let error = target(call, Some(params)).unwrap_err();
            assert!(error.to_string().starts_with(call.method()), "{error}");
        }
        assert!(target(CallKind::Tool, None).is_err());
    }
}
