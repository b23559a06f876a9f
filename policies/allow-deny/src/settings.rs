//! The settings' shape. What it means is [`lists`](crate::lists).

use std::collections::BTreeMap;

use serde::Deserialize;

/// Lists of one scope. Entries are names, or URIs for resources, exact or with `*` (any characters) and `?` (any one).
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Lists {
    /// Tools admitted; all if there is no list.
    pub allow: Option<Vec<String>>,
    /// Tools refused.
    pub deny: Vec<String>,
    /// Prompts admitted; all if there is no list.
    pub allow_prompts: Option<Vec<String>>,
    /// Prompts refused.
    pub deny_prompts: Vec<String>,
    /// Resources and templates admitted; all if there is no list.
    pub allow_resources: Option<Vec<String>>,
    /// Resources and templates refused.
    pub deny_resources: Vec<String>,
}

/// Lists of one role: for every server, and by server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleLists {
    /// See [`Lists::allow`]; for every server, like the five that follow.
    pub allow: Option<Vec<String>>,
    /// See [`Lists::deny`].
    pub deny: Vec<String>,
    /// See [`Lists::allow_prompts`].
    pub allow_prompts: Option<Vec<String>>,
    /// See [`Lists::deny_prompts`].
    pub deny_prompts: Vec<String>,
    /// See [`Lists::allow_resources`].
    pub allow_resources: Option<Vec<String>>,
    /// See [`Lists::deny_resources`].
    pub deny_resources: Vec<String>,
    /// Lists for one server, by its name.
    pub servers: BTreeMap<String, Lists>,
}

/// One source of lists, and the settings as a whole: lists for every server, lists by server, and further sources,
/// each of which must admit by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// See [`Lists::allow`]; for every server, like the five that follow.
    pub allow: Option<Vec<String>>,
    /// See [`Lists::deny`].
    pub deny: Vec<String>,
    /// See [`Lists::allow_prompts`].
    pub allow_prompts: Option<Vec<String>>,
    /// See [`Lists::deny_prompts`].
    pub deny_prompts: Vec<String>,
    /// See [`Lists::allow_resources`].
    pub allow_resources: Option<Vec<String>>,
    /// See [`Lists::deny_resources`].
    pub deny_resources: Vec<String>,
    /// Lists for one server, by its name.
    pub servers: BTreeMap<String, Lists>,
    /// Lists by role, beside those above: a caller that has some of these roles needs that none of them denies and one
    /// of them allows. No `allow` in a role allows all that the lists above admit.
    pub roles: BTreeMap<String, RoleLists>,
    /// Lists for callers that have none of `roles`; without it the lists above are all that concerns them.
    pub no_role: Option<RoleLists>,
    /// Further sources.
    pub sources: Vec<Source>,
}

/// The lists for every server of a type that repeats their fields: a flattened field would let unknown ones pass.
macro_rules! lists_for_every_server {
    ($($of:ty),+) => {$(
        impl $of {
            /// The lists for every server.
            pub(crate) fn lists(&self) -> Lists {
                Lists {
                    allow: self.allow.clone(),
                    deny: self.deny.clone(),
                    allow_prompts: self.allow_prompts.clone(),
                    deny_prompts: self.deny_prompts.clone(),
                    allow_resources: self.allow_resources.clone(),
                    deny_resources: self.deny_resources.clone(),
                }
            }
        }
    )+};
}

lists_for_every_server!(RoleLists, Source);
