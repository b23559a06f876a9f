//! `allow-deny`: what the operator's lists admit, and nothing else.
//!
//! Lists come from several sources (the file, flags, a server's own section), and every list that concerns an item
//! must admit it: another source only narrows. Without an `allow` all is admitted, with an empty one nothing; `deny`
//! wins. Within a source there may be lists by role, which narrow what its other lists admit. The policy surfaces
//! nothing: what the operator hid does not exist.
//!
//! Knows names and URIs and how they are written, servers and roles by name. Reads nothing but its settings.

mod glob;
mod lists;
mod normal;
mod settings;

use witgate_policy::{Call, Context, Denial, Host, Item, ItemKind, Policy, Verdict, export};

use lists::Rules;
pub use settings::{Lists, RoleLists, Source};

/// The denial's code.
const CODE: &str = "denied_by_operator";

/// See the module.
#[derive(Debug)]
pub struct AllowDeny {
    rules: Rules,
}

impl Policy for AllowDeny {
    type Settings = Source;

    fn new(settings: Source) -> Result<Self, String> {
        Ok(Self {
            rules: Rules::new(&settings)?,
        })
    }

    fn filter(&self, _host: &impl Host, context: &Context, items: &[Item]) -> Vec<Option<Denial>> {
        let rules = self.rules.of(&context.server.name, &context.caller.roles);
        let verdict = |item: &Item| (!rules.admit(&item.kind, &item.name)).then(denial);
        items.iter().map(verdict).collect()
    }

    /// Judges the item again, and the URI that was asked for, which no list showed.
    fn check(&self, _host: &impl Host, context: &Context, call: &Call) -> Verdict {
        let rules = self.rules.of(&context.server.name, &context.caller.roles);
        let target = call.target.as_deref();
        let admitted = rules.admit(&call.item.kind, &call.item.name)
            && target.is_none_or(|uri| rules.admit(&ItemKind::ResourceItem, uri));
        if admitted {
            Verdict::Allow
        } else {
            Verdict::Deny(denial())
        }
    }
}

fn denial() -> Denial {
    Denial::new(CODE, "The operator's lists do not admit this")
}

export!(AllowDeny: settings, list_filter, call_gate);
