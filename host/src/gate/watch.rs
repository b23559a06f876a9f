//! Noticing that the configuration or the policy directory changed, or that an operator had a policy forgotten, and
//! putting the change in force.
//!
//! Knows when to look again. What is broken leaves what was in force as it is; `witgate doctor` tells of it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::chain::build::directory::{Stamp, stamps};
use crate::config::Config;
use crate::gate::Host;
use crate::setup::POLICIES_NOTE;

/// How often it is looked; a change counts once it stood for as long.
const LOOK: Duration = Duration::from_millis(500);

/// How often everything is read again whether or not it seems to have changed.
const READ_AGAIN: Duration = Duration::from_secs(60);

type Stamps = std::collections::BTreeMap<PathBuf, Stamp>;

/// Looks for as long as the process runs.
pub async fn watch(host: Arc<Host>, file: Option<PathBuf>) {
    let look = || {
        let config = host.config.load();
        stamps(
            file.as_deref().or(config.file.as_deref()),
            &config.policy_dir.path,
        )
    };
    let forgotten = || host.ledger.snapshot().notes.get(POLICIES_NOTE).cloned();
    let mut in_force: Stamps = look();
    let mut last = in_force.clone();
    let mut told = forgotten();
    let mut unread = Duration::ZERO;
    loop {
        tokio::time::sleep(LOOK).await;
        unread += LOOK;
        let now = look();
        let settled = now == last;
        last = now;
        let tells = forgotten();
        if settled && (last != in_force || told != tells || unread >= READ_AGAIN) {
            unread = Duration::ZERO;
            told = tells;
            in_force.clone_from(&last);
            reload(&host, file.as_deref()).await;
        }
    }
}

async fn reload(host: &Host, file: Option<&std::path::Path>) {
    let before = host.config.load_full();
    let named = file.or(before.file.as_deref());
    let config = match Config::load(named) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!("the configuration in force stays: {error}");
            return;
        }
    };
    if !config.policy_dir.watch && config == *before {
        return;
    }
    let next = match host.builder.build(&config).await {
        Ok(next) => next,
        Err(error) => {
            tracing::error!("the chain in force stays: {error}");
            return;
        }
    };
    for problem in &next.problems {
        tracing::warn!("{}", problem.detail);
    }
    let changed = config != *before;
    if changed {
        host.config.store(Arc::new(config));
    }
    if changed || !same(&host.chain.current(), &next) {
        tracing::info!(generation = next.id, "a new chain is in force");
        host.chain.swap(next);
    }
}

/// Whether both generations hold the same bytes with the same settings.
fn same(one: &crate::chain::Generation, other: &crate::chain::Generation) -> bool {
    one.policies.len() == other.policies.len()
        && one.policies.iter().zip(&other.policies).all(|(a, b)| {
            let (a, b) = (a.source(), b.source());
            a.name == b.name
                && a.component == b.component
                && a.settings == b.settings
                && a.mode == b.mode
        })
}
