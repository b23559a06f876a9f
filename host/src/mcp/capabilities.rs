//! What a client declares it can be asked, and the taking away of what the operator denies: a server that is not told
//! of a capability does not ask for it.
//!
//! Knows `ClientCapabilities` (2025-11-25, basic/lifecycle; 2026-07-28, basic/index). Cuts whole members out of the
//! text; every byte that stays is the client's.

use std::ops::Range;

use super::client_request::Denied;
use super::stateless::CLIENT_CAPABILITIES;
use crate::wire::scan::{Member, members};

/// Parameters whose capabilities cannot be told apart from what must be taken away; they must not be forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the client's capabilities: {0}")]
pub struct CapabilitiesError(String);

/// The `params` of `initialize` without what is denied; none if there was nothing to take away.
///
/// # Errors
/// If `params`, `capabilities` or a capability that must be looked into is not an object, or a key could be taken for
/// one that is denied.
pub fn strip_initialize(params: &str, denied: Denied) -> Result<Option<String>, CapabilitiesError> {
    strip_at(params, &["capabilities"], denied)
}

/// The `params` of any request of revision 2026-07-28 without what is denied in
/// `_meta["io.modelcontextprotocol/clientCapabilities"]`; none if there was nothing to take away.
///
/// # Errors
/// As [`strip_initialize`].
pub fn strip_meta(params: &str, denied: Denied) -> Result<Option<String>, CapabilitiesError> {
    strip_at(params, &["_meta", CLIENT_CAPABILITIES], denied)
}

fn strip_at(
    params: &str,
    path: &[&'static str],
    denied: Denied,
) -> Result<Option<String>, CapabilitiesError> {
    if denied.is_empty() {
        return Ok(None);
    }
    let mut object = Some(Object::read("params", params, 0)?);
    for name in path {
        object = match object {
            Some(object) => object.object(name)?,
            None => None,
        };
    }
    let Some(capabilities) = object else {
        return Ok(None);
    };
    let mut cuts = Vec::new();
    capabilities.strip(denied, &mut cuts)?;
    if cuts.is_empty() {
        return Ok(None);
    }
    cuts.sort_by_key(|cut| cut.start);
    let mut kept = String::with_capacity(params.len());
    let mut at = 0;
    for cut in cuts {
        // A cut inside of one that was made already adds nothing.
        kept.push_str(params.get(at..cut.start).unwrap_or_default());
        at = at.max(cut.end);
    }
    kept.push_str(&params[at..]);
    Ok(Some(kept))
}

/// An object within the parameters.
struct Object<'a> {
    members: Vec<Member<'a>>,
    /// Where its text begins in the parameters.
    base: usize,
}

impl<'a> Object<'a> {
    fn read(name: &str, text: &'a str, base: usize) -> Result<Self, CapabilitiesError> {
        let members =
            members(text).map_err(|_| CapabilitiesError(format!("`{name}` is not an object")))?;
        Ok(Self { members, base })
    }

    /// The index of a member.
    fn position(&self, name: &str) -> Result<Option<usize>, CapabilitiesError> {
        let mut found = None;
        for (index, member) in self.members.iter().enumerate() {
            if member.could_pass_for(name) || (member.is(name) && found.is_some()) {
                return Err(CapabilitiesError(format!(
                    "more than one key could be taken for `{name}`"
                )));
            }
            if member.is(name) {
                found = Some(index);
            }
        }
        Ok(found)
    }

    /// A member that is an object, if it is there and not `null`.
    fn object(&self, name: &str) -> Result<Option<Self>, CapabilitiesError> {
        let Some(member) = self.position(name)?.map(|at| self.members[at]) else {
            return Ok(None);
        };
        if member.value == "null" {
            return Ok(None);
        }
        Self::read(name, member.value, self.base + member.value_start).map(Some)
    }

    /// Cuts out whatever declares that the client can be asked what is denied.
    fn strip(&self, denied: Denied, cuts: &mut Vec<Range<usize>>) -> Result<(), CapabilitiesError> {
        let mut gone = Vec::new();
        if denied.sampling {
            gone.extend(self.position("sampling")?);
        }
        if denied.roots {
            gone.extend(self.position("roots")?);
        }
        if denied.elicitation {
            gone.extend(self.position("elicitation")?);
        } else if denied.elicitation_url
            && let Some(modes) = self.object("elicitation")?
            && let Some(url) = modes.position("url")?
        {
            // Nothing in it would mean forms, which this client did not declare.
            if modes.position("form")?.is_none() {
                gone.extend(self.position("elicitation")?);
            } else {
                modes.cut(&[url], cuts);
            }
        }
        self.cut(&gone, cuts);
        self.strip_tasks(denied, cuts)
    }

    /// `tasks.requests` names what the client can be asked as a task (2025-11-25, basic/utilities/tasks).
    fn strip_tasks(
        &self,
        denied: Denied,
        cuts: &mut Vec<Range<usize>>,
    ) -> Result<(), CapabilitiesError> {
        if !denied.sampling && !denied.elicitation {
            return Ok(());
        }
        let requests = match self.object("tasks")? {
            Some(tasks) => tasks.object("requests")?,
            None => None,
        };
        let Some(requests) = requests else {
            return Ok(());
        };
        let mut gone = Vec::new();
        if denied.sampling {
            gone.extend(requests.position("sampling")?);
        }
        if denied.elicitation {
            gone.extend(requests.position("elicitation")?);
        }
        requests.cut(&gone, cuts);
        Ok(())
    }

    /// Cuts the members at these indices out, each with one comma beside it, so that what stays is an object.
    fn cut(&self, gone: &[usize], cuts: &mut Vec<Range<usize>>) {
        let first_kept = (0..self.members.len()).find(|index| !gone.contains(index));
        for index in gone {
            let member = self.members[*index];
            let cut = match first_kept {
                // One that stays is before it: from the end of the member before.
                Some(kept) if kept < *index => self.members[*index - 1].end..member.end,
                // One that stays is behind it: up to the beginning of the member behind.
                Some(_) => member.start..self.members[*index + 1].start,
                None => {
                    let behind = self.members.get(*index + 1);
                    member.start..behind.map_or(member.end, |next| next.start)
                }
            };
            cuts.push(self.base + cut.start..self.base + cut.end);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: Denied = Denied {
        sampling: true,
        elicitation: true,
        elicitation_url: true,
        roots: true,
    };
    const URL: Denied = Denied {
        sampling: false,
        elicitation: false,
        elicitation_url: true,
        roots: false,
    };

    fn initialize(capabilities: &str) -> String {
        format!(
            r#"{{ "protocolVersion":"2025-11-25","capabilities": {capabilities} ,"clientInfo":{{"name":"c","version":"1.0"}}}}"#
        )
    }

    fn stripped(capabilities: &str, denied: Denied) -> String {
        let params = initialize(capabilities);
        strip_initialize(&params, denied).unwrap().unwrap_or(params)
    }

    #[test]
    fn what_stays_is_the_clients_byte_for_byte() {
        let cases = [
            (r#"{"sampling":{}}"#, ALL, "{}"),
            (r#"{ "sampling":{} , "x" : 1.0 }"#, ALL, r#"{ "x" : 1.0 }"#),
            (
                r#"{"x":1e2, "roots":{"listChanged":true}}"#,
                ALL,
                r#"{"x":1e2}"#,
            ),
            (
                r#"{"roots":{},"a":1,"sampling":{"tools":{}} ,"b":2 , "elicitation":{}}"#,
                ALL,
                r#"{"a":1 ,"b":2}"#,
            ),
            (r#"{"roots":{},"sampling":{},"elicitation":{}}"#, ALL, "{}"),
            (r#"{"s\u0061mpling":null,"a":1}"#, ALL, r#"{"a":1}"#),
            (
                r#"{"elicitation":{"form":{},"url":{}},"sampling":{}}"#,
                URL,
                r#"{"elicitation":{"form":{}},"sampling":{}}"#,
            ),
            (
                r#"{"elicitation":{"url":{}, "form":{}}}"#,
                URL,
                r#"{"elicitation":{"form":{}}}"#,
            ),
            (
                r#"{"tasks":{"list":{},"requests":{"sampling":{"createMessage":{}},"elicitation":{"create":{}}}},"sampling":{}}"#,
                Denied {
                    sampling: true,
                    ..Denied::default()
                },
                r#"{"tasks":{"list":{},"requests":{"elicitation":{"create":{}}}}}"#,
            ),
        ];
        for (before, denied, after) in cases {
            assert_eq!(stripped(before, denied), initialize(after), "{before}");
        }
    }

    /// An empty `elicitation` declares forms: taking the URL mode away must not declare what the client did not.
    #[test]
    fn a_client_of_urls_alone_loses_elicitation() {
        assert_eq!(
            stripped(r#"{"elicitation":{"url":{}}}"#, URL),
            initialize("{}")
        );
        let forms = r#"{"elicitation":{}}"#;
        assert_eq!(stripped(forms, URL), initialize(forms));
    }

    #[test]
    fn nothing_is_touched_where_nothing_is_denied_or_declared() {
        for (capabilities, denied) in [
            (r#"{"sampling":{},"Sampling":1}"#, Denied::default()),
            (r#"{"experimental":{"sampling":{}}}"#, ALL),
            (r#"{"extensions":{"roots":{}}}"#, ALL),
            ("null", ALL),
        ] {
            let params = initialize(capabilities);
            assert_eq!(strip_initialize(&params, denied), Ok(None), "{params}");
        }
        assert_eq!(strip_initialize("{}", ALL), Ok(None));
        assert_eq!(strip_meta("{}", ALL), Ok(None));
        assert_eq!(
            strip_meta(r#"{"_meta":{"progressToken":1}}"#, ALL),
            Ok(None)
        );
    }

    #[test]
    fn the_stateless_revision_declares_in_every_request() {
        let params = |capabilities: &str| {
            format!(
                r#"{{"name":"t","_meta":{{"progressToken":1,"io.modelcontextprotocol/clientCapabilities":{capabilities}}},"arguments":{{"sampling":{{}}}}}}"#
            )
        };
        let before = params(r#"{"sampling":{},"elicitation":{"url":{},"form":{}}}"#);
        assert_eq!(strip_meta(&before, ALL).unwrap(), Some(params("{}")));
        assert_eq!(
            strip_meta(&before, URL).unwrap(),
            Some(params(r#"{"sampling":{},"elicitation":{"form":{}}}"#))
        );
    }

    /// A server that reads keys without regard to case would still find what was to be taken away.
    #[test]
    fn shapes_that_are_not_known_are_refused() {
        for capabilities in [
            r#"{"sampling":{},"Sampling":{}}"#,
            r#"{"SAMPLING":{}}"#,
            "{\"root\u{17f}\":{}}",
            r#"{"roots":{},"roots":{}}"#,
            r#"{"tasks":{"requests":5}}"#,
            "[]",
            "5",
        ] {
            let params = initialize(capabilities);
            assert!(strip_initialize(&params, ALL).is_err(), "{params}");
        }
        for capabilities in [
            r#"{"elicitation":5}"#,
            r#"{"elicitation":{"url":{},"URL":{}}}"#,
        ] {
            let params = initialize(capabilities);
            assert!(strip_initialize(&params, URL).is_err(), "{params}");
        }
        assert!(strip_initialize("[]", ALL).is_err());
        assert!(strip_meta(r#"{"_meta":5}"#, ALL).is_err());
    }

    proptest! {
        /// Whatever order the members stand in, what is left is what a reader of JSON would leave.
        #[test]
        fn cutting_is_removing(
            order in Just(vec!["sampling", "roots", "elicitation", "a", "b", "c"]).prop_shuffle(),
            taken in 0..=6_usize,
            sampling: bool,
            roots: bool,
            elicitation: bool,
        ) {
            let denied = Denied { sampling, roots, elicitation, elicitation_url: false };
            let body: Vec<_> = order[..taken]
                .iter()
                .enumerate()
                .map(|(n, key)| format!("\"{key}\" : {{\"n\":{n}}}"))
                .collect();
            let params = initialize(&format!("{{ {} }}", body.join(" , ")));
            let mut expected: serde_json::Value = serde_json::from_str(&params).unwrap();
            let map = expected["capabilities"].as_object_mut().unwrap();
            for (key, gone) in [("sampling", sampling), ("roots", roots), ("elicitation", elicitation)] {
                if gone {
                    map.remove(key);
                }
            }
            let after = strip_initialize(&params, denied).unwrap().unwrap_or(params);
            let after: serde_json::Value = serde_json::from_str(&after).unwrap();
            prop_assert_eq!(after, expected);
        }
    }
}
