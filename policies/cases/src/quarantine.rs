//! Cases of `quarantine`.

use witgate_policy::testing::{context, item};
use witgate_policy::{Denial, Item, ItemKind, Standing, Withheld};

use crate::{Subject, digest};

/// Every case.
pub fn all<S: Subject>() {
    a_quarantined_server_lists_nothing::<S>();
    its_names_may_be_told::<S>();
}

fn items() -> Vec<Item> {
    vec![
        item(ItemKind::Tool, "t", &digest("t")),
        item(ItemKind::SelfDescription, "", &digest("self")),
        item(ItemKind::ResourceItem, "file:///handed-out", ""),
    ]
}

fn a_quarantined_server_lists_nothing<S: Subject>() {
    let policy = S::new("").expect("no settings are needed");
    let mut context = context("s");
    assert_eq!(policy.filter(&context, &items()), vec![None; 3]);
    context.server.standing = Standing::Quarantined;
    let verdicts = policy.filter(&context, &items());
    let codes: Vec<_> = verdicts
        .iter()
        .flatten()
        .map(|denial| denial.code.as_str())
        .collect();
    assert_eq!(codes, ["server_quarantined"; 3]);
}

fn its_names_may_be_told<S: Subject>() {
    let policy = S::new("").expect("no settings are needed");
    let withheld = Withheld {
        item: item(ItemKind::Tool, "t", &digest("t")),
        denial: Denial::new("server_quarantined", ""),
        labels: Vec::new(),
    };
    let surfaced = policy.surface(&context("s"), &[withheld]);
    let locked = surfaced[0].as_ref().expect("it is surfaced");
    assert_eq!(locked.status, "server_quarantined");
    assert!(locked.remedy.contains("witgate server trust"));
}
