//! What lists mean: which items every one of them admits.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use witgate_policy::ItemKind;

use crate::glob;
use crate::normal;
use crate::settings::{Lists, Source};

/// Everything the operator said, checked once.
#[derive(Debug)]
pub(crate) struct Rules {
    /// Every one must admit.
    sources: Vec<SourceRules>,
}

/// One source, checked.
#[derive(Debug)]
struct SourceRules {
    plain: Scopes,
    roles: BTreeMap<String, Scopes>,
    /// For callers that have none of the roles.
    no_role: Option<Scopes>,
}

/// Lists for every server, and for those that are named.
#[derive(Debug)]
struct Scopes {
    all: Scope,
    servers: BTreeMap<String, Scope>,
}

/// The rules that concern one caller at one server.
#[derive(Debug)]
pub(crate) struct CallerRules<'a> {
    /// Every one must admit.
    every: Vec<&'a Scope>,
    /// For each source that names roles of this caller, those roles: none may deny, and one must allow.
    by_role: Vec<Vec<Role<'a>>>,
}

/// What one role says about one server: lists for every server, and for this one.
#[derive(Debug)]
struct Role<'a>(Vec<&'a Scope>);

/// One `Lists`, checked.
#[derive(Debug)]
struct Scope {
    tools: Pair,
    prompts: Pair,
    resources: Pair,
}

/// What is admitted and what refused, of one kind, by one scope.
#[derive(Debug)]
struct Pair {
    allow: Option<Patterns>,
    deny: Patterns,
}

/// Entries in the form names are compared in.
#[derive(Debug, Default)]
struct Patterns {
    exact: BTreeSet<String>,
    globs: Vec<String>,
}

/// What a list's entries are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entries {
    Names,
    Uris,
}

impl Rules {
    /// Checks settings; an error names the list and the entry.
    pub(crate) fn new(settings: &Source) -> Result<Self, String> {
        let mut rules = Self {
            sources: Vec::new(),
        };
        rules.add(settings, "")?;
        Ok(rules)
    }

    /// Adds a source and the sources in it. `path` says where it stands in the settings.
    fn add(&mut self, source: &Source, path: &str) -> Result<(), String> {
        let roles = source.roles.iter().map(|(role, lists)| {
            let scopes = Scopes::new(
                &lists.lists(),
                &lists.servers,
                &format!("{path}roles.{role}."),
            )?;
            Ok::<_, String>((role.clone(), scopes))
        });
        let roles: BTreeMap<_, _> = roles.collect::<Result<_, _>>()?;
        if source.no_role.is_some() && roles.is_empty() {
            return Err(format!(
                "{path}no_role stands without {path}roles, so that it would hold for everybody: name a role, or \
                 write its lists beside it"
            ));
        }
        let no_role = source.no_role.as_ref().map(|lists| {
            let path = format!("{path}no_role.");
            Scopes::new(&lists.lists(), &lists.servers, &path)
        });
        self.sources.push(SourceRules {
            plain: Scopes::new(&source.lists(), &source.servers, path)?,
            roles,
            no_role: no_role.transpose()?,
        });
        for (n, inner) in source.sources.iter().enumerate() {
            self.add(inner, &format!("{path}sources[{n}]."))?;
        }
        Ok(())
    }

    /// The rules that concern a caller with these roles at one server.
    pub(crate) fn of(&self, server: &str, roles: &[String]) -> CallerRules<'_> {
        let mut rules = CallerRules {
            every: Vec::new(),
            by_role: Vec::new(),
        };
        for source in &self.sources {
            rules.every.extend(source.plain.of(server));
            let named = roles.iter().filter_map(|role| source.roles.get(role));
            let named: Vec<_> = named.map(|s| Role(s.of(server).collect())).collect();
            match &source.no_role {
                Some(scopes) if named.is_empty() => rules.every.extend(scopes.of(server)),
                _ if named.is_empty() => {}
                _ => rules.by_role.push(named),
            }
        }
        rules
    }
}

impl CallerRules<'_> {
    /// Whether every list admits the item. The self-description has no name to be listed by, so no list concerns it.
    pub(crate) fn admit(&self, kind: &ItemKind, name: &str) -> bool {
        let pair: fn(&Scope) -> &Pair = match kind {
            ItemKind::Tool => |scope| &scope.tools,
            ItemKind::Prompt => |scope| &scope.prompts,
            ItemKind::ResourceItem | ItemKind::ResourceTemplate => |scope| &scope.resources,
            ItemKind::SelfDescription | ItemKind::Other(_) => return true,
        };
        let entries = match kind {
            ItemKind::ResourceItem | ItemKind::ResourceTemplate => Entries::Uris,
            _ => Entries::Names,
        };
        let mut forms = Forms::new(name, entries);
        let mut admits = |scope: &Scope| {
            let pair = pair(scope);
            !pair.denies(&mut forms) && pair.allows(&mut forms)
        };
        if !self.every.iter().all(|scope| admits(scope)) {
            return false;
        }
        self.by_role.iter().all(|roles| {
            let mut scopes = roles.iter().flat_map(|role| &role.0);
            !scopes.any(|scope| pair(scope).denies(&mut forms))
                && roles
                    .iter()
                    .any(|Role(scopes)| scopes.iter().all(|scope| pair(scope).allows(&mut forms)))
        })
    }
}

impl Scopes {
    fn new(all: &Lists, servers: &BTreeMap<String, Lists>, path: &str) -> Result<Self, String> {
        let servers = servers.iter().map(|(server, lists)| {
            let scope = Scope::new(lists, &format!("{path}servers.{server}."))?;
            Ok::<_, String>((server.clone(), scope))
        });
        Ok(Self {
            all: Scope::new(all, path)?,
            servers: servers.collect::<Result<_, _>>()?,
        })
    }

    /// Those that concern one server.
    fn of(&self, server: &str) -> impl Iterator<Item = &Scope> {
        std::iter::once(&self.all).chain(self.servers.get(server))
    }
}

impl Scope {
    fn new(lists: &Lists, path: &str) -> Result<Self, String> {
        let pair = |allow: &Option<Vec<String>>, deny: &[String], suffix: &str, entries| {
            let allow_path = format!("{path}allow{suffix}");
            let allow = allow
                .as_deref()
                .map(|list| Patterns::new(list, &allow_path, |entry| allow_form(entry, entries)));
            let deny_path = format!("{path}deny{suffix}");
            Ok::<_, String>(Pair {
                allow: allow.transpose()?,
                deny: Patterns::new(deny, &deny_path, |entry| deny_form(entry, entries))?,
            })
        };
        Ok(Self {
            tools: pair(&lists.allow, &lists.deny, "", Entries::Names)?,
            prompts: pair(
                &lists.allow_prompts,
                &lists.deny_prompts,
                "_prompts",
                Entries::Names,
            )?,
            resources: pair(
                &lists.allow_resources,
                &lists.deny_resources,
                "_resources",
                Entries::Uris,
            )?,
        })
    }
}

impl Pair {
    fn denies(&self, forms: &mut Forms<'_>) -> bool {
        self.deny.match_any(forms.for_deny())
            || forms
                .decoded()
                .is_some_and(|form| self.deny.match_any(&normal::folded(form)))
    }

    /// Whether the allow list, if there is one, has it.
    fn allows(&self, forms: &mut Forms<'_>) -> bool {
        match &self.allow {
            None => true,
            // What a server may take for another resource must be admitted as that one too.
            Some(allow) => {
                forms.for_allow().is_some_and(|form| allow.match_any(form))
                    && forms.decoded().is_none_or(|form| allow.match_any(form))
            }
        }
    }
}

impl Patterns {
    fn new(entries: &[String], path: &str, form: impl Fn(&str) -> String) -> Result<Self, String> {
        let mut patterns = Self::default();
        for (n, entry) in entries.iter().enumerate() {
            let form = form(entry);
            if form.is_empty() {
                return Err(format!(
                    "{path}[{n}] has no visible character: write a name, or `*` for all"
                ));
            }
            if glob::is_glob(&form) {
                patterns.globs.push(form);
            } else {
                patterns.exact.insert(form);
            }
        }
        Ok(patterns)
    }

    fn match_any(&self, form: &str) -> bool {
        self.exact.contains(form) || self.globs.iter().any(|glob| glob::matches(glob, form))
    }
}

/// The form a `deny` entry is compared in: as wide as can be.
fn deny_form(entry: &str, entries: Entries) -> String {
    match entries {
        Entries::Names => normal::folded(entry).into_owned(),
        Entries::Uris => normal::folded(&uri_entry(entry)).into_owned(),
    }
}

/// The form an `allow` entry is compared in. Names may differ in case; URIs may not, since to a server `/A` and `/a`
/// can be two files.
fn allow_form(entry: &str, entries: Entries) -> String {
    match entries {
        Entries::Names => normal::folded(entry).into_owned(),
        Entries::Uris => uri_entry(normal::cleaned(entry).as_ref()).into_owned(),
    }
}

/// A URI from the settings in the spelling the host gives those of items. An entry with `*` stays as it was typed:
/// normalizing it could take a wildcard for a path segment. (`?` begins a URI's query, so it does not count here.)
fn uri_entry(entry: &str) -> Cow<'_, str> {
    if entry.contains('*') {
        Cow::Borrowed(entry)
    } else {
        normal::uri(entry)
    }
}

/// A name in the forms it is compared in, made when they are first wanted.
struct Forms<'a> {
    name: &'a str,
    entries: Entries,
    folded: Option<Cow<'a, str>>,
    /// Inner none: no allow list admits this spelling.
    allowed: Option<Option<Cow<'a, str>>>,
    /// Inner none: it is the same, or no URI.
    decoded: Option<Option<String>>,
}

impl<'a> Forms<'a> {
    fn new(name: &'a str, entries: Entries) -> Self {
        Self {
            name,
            entries,
            folded: None,
            allowed: None,
            decoded: None,
        }
    }

    /// A URI as a server that decodes more of it than RFC 3986 does would read it; none if that is the same.
    fn decoded(&mut self) -> Option<&str> {
        let (name, entries) = (self.name, self.entries);
        let form = self.decoded.get_or_insert_with(|| match entries {
            Entries::Names => None,
            Entries::Uris => Some(normal::decoded(name)).filter(|form| form != name),
        });
        form.as_deref()
    }

    fn for_deny(&mut self) -> &str {
        self.folded.get_or_insert_with(|| normal::folded(self.name))
    }

    /// None if normalization alters the name beyond case: what only looks like an admitted name is not admitted.
    fn for_allow(&mut self) -> Option<&str> {
        let (name, entries) = (self.name, self.entries);
        let form = self.allowed.get_or_insert_with(|| {
            if normal::cleaned(name) != name {
                return None;
            }
            Some(match entries {
                Entries::Names => normal::folded(name),
                Entries::Uris => Cow::Borrowed(name),
            })
        });
        form.as_deref()
    }
}
