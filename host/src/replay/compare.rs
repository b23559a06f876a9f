//! Two answers to one question: the same, not the same, or not to be compared.
//!
//! Knows what of an answer a client notices, and that what must be the same must be so in every policy. A failure is no
//! verdict, and neither is the word of a policy that need not repeat itself.

use super::report::{Effect, Found, Verdict};
use super::side::Heard;
use crate::chain::visibility::POLICY_ERROR;
use crate::policy::contract::{Call, Denial, Item, ItemKind};
use crate::tape::record::{
    Answer, Generation, Listed, Observed, PolicyRecord, Refusal, Returned, What,
};

/// The host's own word in refusals, where no policy was asked.
const HOST: &str = "witgate";

/// Who says something, and what.
pub(super) struct Saying<'a> {
    chain: &'a Generation,
    said: Result<&'a What, &'a str>,
    /// Where, for people: `on the tape`.
    place: &'static str,
    /// Whether it is asked now.
    now: bool,
}

/// Two that were asked the same.
pub(super) struct Pair<'a> {
    pub(super) old: Saying<'a>,
    pub(super) new: Saying<'a>,
    /// Places of the policies that must answer the same: there, and here.
    pub(super) same: Vec<(usize, usize)>,
}

/// What came of comparing.
pub(super) enum Compared {
    Same,
    Differs(Vec<Found>),
    Not(Unfit),
}

/// Why something is not comparable.
pub(super) struct Unfit {
    pub(super) why: String,
    /// Whether a policy failed that is asked now.
    pub(super) now: bool,
}

impl Unfit {
    fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            now: false,
        }
    }
}

impl<'a> Saying<'a> {
    pub(super) const fn on_tape(chain: &'a Generation, what: &'a What) -> Self {
        Self {
            chain,
            said: Ok(what),
            place: "on the tape",
            now: false,
        }
    }

    pub(super) fn heard(chain: &'a Generation, heard: &'a Heard, place: &'static str) -> Self {
        let said = match heard {
            Heard::Said(what) => Ok(&**what),
            Heard::Nothing(why) => Err(why.as_str()),
        };
        Self {
            chain,
            said,
            place,
            now: true,
        }
    }

    fn policy(&self, place: usize) -> Option<&PolicyRecord> {
        self.chain.policies.get(place)
    }

    /// Why an answer is no verdict, if a policy gave it that binds.
    fn unfit<T>(&self, answers: &[Answer<T>]) -> Option<Unfit> {
        answers.iter().find_map(|answer| {
            let Some(policy) = self.policy(answer.policy) else {
                return Some(Unfit::new(
                    "the record names a policy that the chain has not",
                ));
            };
            if !policy.enforces() {
                return None;
            }
            let name = &policy.name;
            if let Some(failed) = &answer.failed {
                return Some(self.failure(name, &format!(" ({})", failed.kind)));
            }
            if answer.said.is_none() {
                return Some(Unfit::new("the record has neither an answer nor a failure"));
            }
            (!policy.replayable).then(|| {
                Unfit::new(format!(
                    "`{name}` need not repeat itself: it is reused, or reaches outside"
                ))
            })
        })
    }

    fn failure(&self, policy: &str, how: &str) -> Unfit {
        Unfit {
            why: format!("`{policy}` failed {}{how}", self.place),
            now: self.now,
        }
    }

    fn refused_by_host(&self, refused: Option<&Refusal>) -> Option<Unfit> {
        let host = refused.is_some_and(|refusal| refusal.by.as_deref() == Some(HOST));
        host.then(|| Unfit::new("the host itself refused it: its server was disabled"))
    }

    fn failed(&self, refused: Option<&Refusal>) -> Option<Unfit> {
        let failed = refused.filter(|refusal| refusal.code == POLICY_ERROR)?;
        let by = failed.by.as_deref().unwrap_or("a policy");
        Some(self.failure(by, ""))
    }
}

impl Pair<'_> {
    pub(super) fn compare(&self, items: &[Item]) -> Compared {
        let (old, new) = match (self.old.said, self.new.said) {
            (Ok(old), Ok(new)) => (old, new),
            (Err(why), _) | (_, Err(why)) => return Compared::Not(Unfit::new(why)),
        };
        match (old, new) {
            (What::Observed(old), What::Observed(new)) => self.observed(old, new),
            (What::Listed(old), What::Listed(new)) => self.listed(old, new, items),
            (What::Called(old), What::Called(new)) => {
                let not = [(&self.old, &old.refused), (&self.new, &new.refused)]
                    .into_iter()
                    .find_map(|(side, refused)| {
                        let refused = refused.as_ref();
                        side.refused_by_host(refused)
                            .or_else(|| side.failed(refused))
                    });
                let about = About::call(&old.call);
                let verdicts = (
                    Verdict::of_refusal(old.refused.as_ref(), "allowed"),
                    Verdict::of_refusal(new.refused.as_ref(), "allowed"),
                );
                self.judged(not, about, verdicts, &old.answers, &new.answers)
            }
            (What::Returned(old), What::Returned(new)) => {
                let about = About {
                    message: format!("result of {}", old.call.method),
                    ..About::call(&old.call)
                };
                let verdicts = (outcome(old), outcome(new));
                self.judged(None, about, verdicts, &old.answers, &new.answers)
            }
            (What::Asked(old), What::Asked(new)) => {
                let about = About {
                    message: asked_word(&old.request.method, old.request.mode.as_deref()),
                    item: None,
                };
                let verdicts = (
                    Verdict::of_refusal(old.refused.as_ref(), "allowed"),
                    Verdict::of_refusal(new.refused.as_ref(), "allowed"),
                );
                self.judged(None, about, verdicts, &old.answers, &new.answers)
            }
            _ => Compared::Not(Unfit::new("the chain answered something else")),
        }
    }

    /// One verdict each, of several policies.
    fn judged<T: PartialEq + serde::Serialize>(
        &self,
        not: Option<Unfit>,
        about: About,
        (old, new): (Verdict, Verdict),
        before: &[Answer<T>],
        after: &[Answer<T>],
    ) -> Compared {
        let unfit = self.old.unfit(before).or_else(|| self.new.unfit(after));
        if let Some(why) = unfit.or(not) {
            return Compared::Not(why);
        }
        if old != new {
            return Compared::Differs(vec![about.found(old, new, None)]);
        }
        let mut found = Vec::new();
        for (there, here) in &self.same {
            let (Some(old), Some(new)) = (said(before, *there), said(after, *here)) else {
                continue;
            };
            if old != new {
                let (old, new) = (Verdict::raw(old), Verdict::raw(new));
                found.push(about.found(old, new, self.new.policy(*here)));
            }
        }
        differs(found)
    }

    fn observed(&self, old: &Observed, new: &Observed) -> Compared {
        let mut found = Vec::new();
        let mut not = None;
        for (there, here) in &self.same {
            let Some(policy) = self.new.policy(*here) else {
                continue;
            };
            let answers = |of: &Observed, place: usize| -> Vec<Answer<_>> {
                let answers = of.answers.iter().filter(|answer| answer.policy == place);
                answers.cloned().collect()
            };
            let (before, after) = (answers(old, *there), answers(new, *here));
            let why = self.old.unfit(&before).or_else(|| self.new.unfit(&after));
            if let Some(why) = why {
                not = Some(why);
                continue;
            }
            let (old, new) = (said(&before, *there), said(&after, *here));
            if old != new {
                let about = About {
                    message: "observe".to_owned(),
                    item: None,
                };
                found.push(about.found(Verdict::raw(&old), Verdict::raw(&new), Some(policy)));
            }
        }
        match (found.is_empty(), not) {
            (true, Some(why)) => Compared::Not(why),
            _ => differs(found),
        }
    }

    fn listed(&self, old: &Listed, new: &Listed, items: &[Item]) -> Compared {
        let unfit = self
            .old
            .unfit(&old.answers)
            .or_else(|| self.new.unfit(&new.answers));
        if let Some(why) = unfit {
            return Compared::Not(why);
        }
        let mut found = Vec::new();
        for (place, item) in items.iter().enumerate() {
            let about = About {
                message: "list".to_owned(),
                item: Some(item),
            };
            let before = shown(&self.old, old, place);
            let after = shown(&self.new, new, place);
            if before != after {
                found.push(about.found(before, after, None));
                continue;
            }
            for (there, here) in &self.same {
                let old = denied(&old.answers, *there, place);
                let new = denied(&new.answers, *here, place);
                if old != new {
                    let (old, new) = (Verdict::raw(&old), Verdict::raw(&new));
                    found.push(about.found(old, new, self.new.policy(*here)));
                }
            }
        }
        differs(found)
    }
}

/// What a question is about.
struct About<'a> {
    message: String,
    item: Option<&'a Item>,
}

impl<'a> About<'a> {
    fn call(call: &'a Call) -> Self {
        Self {
            message: call.method.clone(),
            item: Some(&call.item),
        }
    }

    fn found(&self, old: Verdict, new: Verdict, policy: Option<&PolicyRecord>) -> Found {
        Found {
            effect: match policy {
                Some(_) => Effect::Otherwise,
                None => Effect::of(&old, &new),
            },
            message: self.message.clone(),
            item: self
                .item
                .map(|item| (kind_word(&item.kind), item.name.clone())),
            old,
            new,
            policy: policy.map(|policy| policy.name.clone()),
        }
    }
}

fn differs(found: Vec<Found>) -> Compared {
    if found.is_empty() {
        Compared::Same
    } else {
        Compared::Differs(found)
    }
}

fn said<T>(answers: &[Answer<T>], place: usize) -> Option<&T> {
    let mut answers = answers.iter();
    answers
        .find(|answer| answer.policy == place)
        .and_then(|answer| answer.said.as_ref())
}

fn denied(answers: &[Answer<Vec<(usize, Denial)>>], policy: usize, item: usize) -> Option<&Denial> {
    let mut denials = said(answers, policy)?.iter();
    denials
        .find(|(at, _)| *at == item)
        .map(|(_, denial)| denial)
}

/// Whether an item is shown, as whoever lists notices it: the first policy that withholds it decides.
fn shown(side: &Saying<'_>, listed: &Listed, item: usize) -> Verdict {
    let decided = side
        .chain
        .policies
        .iter()
        .enumerate()
        .find_map(|(place, policy)| {
            let denial = denied(&listed.answers, place, item).filter(|_| policy.enforces())?;
            Some((policy, denial))
        });
    let Some((policy, denial)) = decided else {
        return Verdict::good("visible");
    };
    let locked = listed.locked.iter().find(|(at, _)| *at == item);
    Verdict {
        verdict: if locked.is_some() {
            "locked"
        } else {
            "withheld"
        }
        .to_owned(),
        refused: true,
        code: Some(denial.code.clone()),
        by: Some(policy.name.clone()),
        reason: Some(denial.reason.clone()),
        remedy: match locked {
            Some((_, locked)) => Some(locked.remedy.clone()),
            None => denial.remedy.clone(),
        },
    }
}

fn outcome(returned: &Returned) -> Verdict {
    match &returned.replaced {
        Some(text) => Verdict {
            reason: Some(text.clone()),
            ..Verdict::good("replaced")
        },
        None => Verdict::of_refusal(returned.refused.as_ref(), "passed"),
    }
}

/// What is asked of the client, with its mode where it has one.
fn asked_word(method: &str, mode: Option<&str>) -> String {
    match mode {
        Some(mode) => format!("{method} ({mode})"),
        None => method.to_owned(),
    }
}

fn kind_word(kind: &ItemKind) -> String {
    match kind {
        ItemKind::Tool => "tool",
        ItemKind::Prompt => "prompt",
        ItemKind::ResourceItem => "resource",
        ItemKind::ResourceTemplate => "resource-template",
        ItemKind::SelfDescription => "self-description",
        ItemKind::Other(word) => word,
    }
    .to_owned()
}
