//! `witgate review show`: a definition, how it differs from the approved one, and the command that approves exactly it.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;

use super::list::EntryJson;
use crate::cli::output::Paint;
use crate::cli::{Context, Failed, render, time};
use crate::ledger::Standing;
use crate::mcp::escape;
use crate::operator::diff::{self, Change, Node};
use crate::operator::{Operator, OperatorError, ReviewEntry, printed_digest, waiting_digest};

/// One definition that observers show and nobody approved, against what was approved.
pub(super) struct Step {
    /// The digest shown.
    to: String,
    /// Its definition, if it is still kept.
    definition: Option<Node>,
    /// The approved digest it is compared with, and every difference; none if nothing comparable was approved.
    from: Option<(String, Vec<Change>)>,
}

/// An entry with its definitions.
pub(super) struct Looked {
    pub(super) review: ReviewEntry,
    definitions: BTreeMap<String, Arc<str>>,
    steps: Vec<Step>,
}

/// Shows one entry.
pub(super) async fn entry(context: &Context, id: &str) -> Result<(), Failed> {
    let setup = context.open(false).await?;
    let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
    let review = operator.entry(id).await?;
    let looked = look(&operator, review).await?;
    if context.out.is_json() {
        return context.out.value(&looked.json()?);
    }
    context.out.line(&one(context, &looked));
    Ok(())
}

/// One entry for people.
pub(super) fn one(context: &Context, looked: &Looked) -> String {
    let mut parts = vec![head(&looked.review, context.out.paint())];
    for step in &looked.steps {
        parts.push(body(step, context.out.paint()));
    }
    if looked.steps.is_empty() {
        parts.extend(approved(looked));
    }
    parts.extend(commands(context, looked));
    parts.join("\n\n")
}

/// Shows everything that waits at a server.
pub(super) async fn server(context: &Context, name: &str) -> Result<(), Failed> {
    let setup = context.open(false).await?;
    let operator = context.operator(&setup.generation.policies, setup.ledger.clone());
    let servers = operator.servers(&setup.config).await?;
    let known = servers.iter().map(|server| server.name.clone()).collect();
    let Some(server) = servers.into_iter().find(|server| server.name == name) else {
        let name = name.to_owned();
        return Err(OperatorError::UnknownServer { name, known }.into());
    };
    let standing = server.standing;
    let waiting = server.entries.into_iter().filter(|e| e.entry.waiting);
    let looked = look_all(&operator, waiting).await?;
    if context.out.is_json() {
        let waiting = looked.iter().map(Looked::json);
        return context.out.value(&ServerJson {
            server: name,
            standing,
            catalogue_digest: waiting_digest(looked.iter().map(|l| &l.review)).to_string(),
            waiting: waiting.collect::<Result<_, _>>()?,
        });
    }
    context.out.line(&all(context, name, standing, &looked));
    Ok(())
}

/// Everything that waits at a server, for machines.
#[derive(Serialize)]
struct ServerJson<'a> {
    server: &'a str,
    standing: Standing,
    catalogue_digest: String,
    waiting: Vec<LookedJson<'a>>,
}

/// Everything that waits at a server, for people, and the command that approves exactly that.
pub(super) fn all(context: &Context, name: &str, standing: Standing, looked: &[Looked]) -> String {
    let digest = waiting_digest(looked.iter().map(|l| &l.review)).to_string();
    let short = printed_digest(&digest);
    let mut text = if looked.is_empty() {
        format!("Nothing waits at {name}.")
    } else {
        together(looked, context.out.paint())
    };
    if standing == Standing::Quarantined {
        let trust = context.command(&["server", "trust", name, "--digest", short]);
        text.push_str(&format!(
            "\n\n{name} is quarantined. To trust it and approve what waits there, as shown here:\n  {trust}"
        ));
    } else if !looked.is_empty() {
        let approve = ["review", "approve", "--server", name, "--digest", short];
        text.push_str(&format!(
            "\n\nTo approve all of this, as shown here:\n  {}",
            context.command(&approve)
        ));
    }
    text
}

/// Looks at entries; see [`look`].
pub(super) async fn look_all(
    operator: &Operator,
    entries: impl IntoIterator<Item = ReviewEntry>,
) -> Result<Vec<Looked>, Failed> {
    let mut all = Vec::new();
    for review in entries {
        all.push(look(operator, review).await?);
    }
    Ok(all)
}

/// Fetches an entry's definitions and compares what is shown with what was approved.
pub(super) async fn look(operator: &Operator, review: ReviewEntry) -> Result<Looked, Failed> {
    let mut definitions = BTreeMap::new();
    let entry = &review.entry;
    for digest in entry.approved_digests.iter().chain(&entry.current_digests) {
        if let Some(text) = operator.definition(digest).await? {
            definitions.insert(digest.clone(), text);
        }
    }
    let node = |digest: &String| definitions.get(digest).map(|text| Node::parse(text));
    let approved: Vec<_> = entry
        .approved_digests
        .iter()
        .filter_map(|digest| Some((digest.clone(), node(digest)?)))
        .collect();
    let steps = review
        .unapproved()
        .map(|to| {
            let definition = node(to);
            // Of several approved definitions the nearest tells most.
            let from = definition.as_ref().and_then(|now| {
                approved
                    .iter()
                    .map(|(digest, was)| (digest.clone(), diff::changes(was, now)))
                    .min_by_key(|(_, changes)| changes.len())
            });
            Step {
                to: to.clone(),
                definition,
                from,
            }
        })
        .collect();
    Ok(Looked {
        review,
        definitions,
        steps,
    })
}

/// Everything that waits at a server; equal differences are shown once, with the names of all they are the same for.
pub(super) fn together(looked: &[Looked], paint: Paint) -> String {
    let mut groups: Vec<(Vec<String>, String)> = Vec::new();
    for one in looked {
        let bodies: Vec<_> = one
            .steps
            .iter()
            .map(|step| difference(step, paint))
            .collect();
        let body = if bodies.is_empty() {
            "  Nobody shows it now.".to_owned()
        } else {
            bodies.join("\n\n")
        };
        let title = title(&one.review);
        let digests = one
            .steps
            .iter()
            .map(|step| printed_digest(&step.to).to_owned());
        let line = format!(
            "{}  {title}, {}  {}",
            paint.bold(&escape::visible(&one.review.id)),
            escape::visible(&one.review.entry.status),
            paint.dim(&escape::visible(&digests.collect::<Vec<_>>().join(" "))),
        );
        match groups.iter_mut().find(|(_, other)| *other == body) {
            Some((lines, _)) => lines.push(line),
            None => groups.push((vec![line], body)),
        }
    }
    let groups: Vec<_> = groups
        .iter()
        .map(|(lines, body)| {
            let same = match lines.len() {
                1 => String::new(),
                n => format!("\n  The same for these {n}:"),
            };
            format!("{}{same}\n{body}", lines.join("\n"))
        })
        .collect();
    groups.join("\n\n")
}

/// `tool "read_file" of files`.
pub(super) fn title(review: &ReviewEntry) -> String {
    let kind = escape::visible(review.kind());
    let server = escape::visible(&review.entry.server);
    if review.entry.name.is_empty() {
        format!("{kind} of {server}")
    } else {
        let name = escape::visible_cut(&review.entry.name, 120);
        format!("{kind} \"{name}\" of {server}")
    }
}

fn head(review: &ReviewEntry, paint: Paint) -> String {
    let entry = &review.entry;
    let mut status = escape::visible(&entry.status).into_owned();
    if let Some(since) = time::rfc3339(entry.since_ms) {
        status.push_str(&format!(", since {since}"));
    }
    if !entry.by.is_empty() {
        status.push_str(&format!(", by {}", escape::visible(&entry.by)));
    }
    let shown = |digests: &[String], none: &str| match digests {
        [] => none.to_owned(),
        digests => {
            let digests: Vec<_> = digests.iter().map(|d| printed_digest(d)).collect();
            escape::visible(&digests.join(", ")).into_owned()
        }
    };
    format!(
        "{}  {}\n  status    {status}\n  approved  {}\n  shown     {}",
        paint.bold(&escape::visible(&review.id)),
        title(review),
        shown(&entry.approved_digests, "none"),
        shown(&entry.current_digests, "by nobody now"),
    )
}

fn body(step: &Step, paint: Paint) -> String {
    let to = escape::visible(printed_digest(&step.to)).into_owned();
    let head = match &step.from {
        Some((from, _)) => format!(
            "From the approved {} to {to}:",
            escape::visible(printed_digest(from))
        ),
        None => format!("The definition {to}, whole, since nothing comparable is approved:"),
    };
    format!("{head}\n\n{}", difference(step, paint))
}

fn difference(step: &Step, paint: Paint) -> String {
    match (&step.from, &step.definition) {
        (Some((_, changes)), _) if changes.is_empty() => {
            "  No difference that JSON can tell; the digests differ all the same.".to_owned()
        }
        (Some((_, changes)), _) => render::changes(changes, paint),
        (None, Some(definition)) => render::definition(definition),
        (None, None) => "  The ledger no longer keeps this definition.".to_owned(),
    }
}

/// The approved definitions of an entry at which nothing is new.
fn approved(looked: &Looked) -> Vec<String> {
    let digests = &looked.review.entry.approved_digests;
    let shown = digests.iter().map(|digest| {
        let short = escape::visible(printed_digest(digest)).into_owned();
        match looked.definitions.get(digest) {
            Some(text) => {
                let definition = render::definition(&Node::parse(text));
                format!("The approved definition {short}:\n\n{definition}")
            }
            None => format!("The ledger no longer keeps the approved definition {short}."),
        }
    });
    shown.collect()
}

/// The commands that can follow, with what was shown bound into them.
fn commands(context: &Context, looked: &Looked) -> Option<String> {
    let review = &looked.review;
    let id = review.id.as_str();
    let mut lines = Vec::new();
    for step in &looked.steps {
        let short = printed_digest(&step.to);
        let approve = ["review", "approve", id, "--digest", short];
        lines.push("To approve what is shown here:".to_owned());
        lines.push(format!("  {}", context.command(&approve)));
        if !review.entry.approved_digests.is_empty() {
            lines.push("To approve it beside what is approved:".to_owned());
            let also = ["review", "approve", id, "--digest", short, "--also"];
            lines.push(format!("  {}", context.command(&also)));
        }
    }
    if review.entry.waiting {
        lines.push("To withhold it whatever it becomes:".to_owned());
        lines.push(format!("  {}", context.command(&["review", "block", id])));
    }
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// What `show --json` prints of an entry.
#[derive(Serialize)]
pub(super) struct LookedJson<'a> {
    #[serde(flatten)]
    entry: EntryJson<'a>,
    /// Every definition that is kept, by digest, as the server wrote it.
    definitions: BTreeMap<&'a str, &'a str>,
    changes: Vec<StepJson<'a>>,
}

#[derive(Serialize)]
struct StepJson<'a> {
    from: Option<&'a str>,
    to: &'a str,
    changes: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    path: &'a str,
    /// JSON text, so that numbers keep their spelling.
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
}

impl Looked {
    fn json(&self) -> Result<LookedJson<'_>, Failed> {
        let steps = self.steps.iter().map(StepJson::new);
        let definitions = self.definitions.iter();
        Ok(LookedJson {
            entry: EntryJson::new(&self.review),
            definitions: definitions
                .map(|(digest, text)| (digest.as_str(), &**text))
                .collect(),
            changes: steps.collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> StepJson<'a> {
    fn new(step: &'a Step) -> Result<Self, Failed> {
        let changes = step.from.iter().flat_map(|(_, changes)| changes);
        Ok(Self {
            from: step.from.as_ref().map(|(from, _)| from.as_str()),
            to: &step.to,
            changes: changes.map(ChangeJson::new).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> ChangeJson<'a> {
    fn new(change: &'a Change) -> Result<Self, Failed> {
        Ok(Self {
            path: &change.path,
            before: change.before.as_ref().map(raw).transpose()?,
            after: change.after.as_ref().map(raw).transpose()?,
        })
    }
}

fn raw(node: &Node) -> Result<Box<RawValue>, Failed> {
    RawValue::from_string(node.to_json()).map_err(|e| Failed::new("output", e.to_string()))
}
