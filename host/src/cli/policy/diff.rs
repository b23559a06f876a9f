//! `witgate policy diff`: two components on the messages of a tape.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::subject::{beside, settings_of};
use super::{lines, read};
use crate::chain::Generation;
use crate::cli::{Context, Failed, replay as told};
use crate::config::{Config, Mode};
use crate::ledger::PolicyOrigin;
use crate::policy::{Engine, Policy, Source};
use crate::replay;
use crate::setup;
use crate::tape::record::PolicyRecord;

/// Ask two components what a tape holds, and see what the second decides otherwise.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Each is asked alone, as if it were the whole chain. If the tape's chain has the old component, or a policy \
    of its name, both begin with what that had stored.\n\nExits 0 if everything is decided the same, 1 if something is not \
    or a policy fails, 2 if something cannot be used."
)]
pub(super) struct Args {
    /// The component as it is
    old: PathBuf,
    /// The component as it would be
    new: PathBuf,
    /// The tape: one file, written while `record = "full"` stands in [audit]
    #[arg(long, value_name = "FILE")]
    tape: PathBuf,
    /// The old one's settings, JSON or TOML [default: those of the NAME.toml beside it]
    #[arg(long, value_name = "FILE")]
    settings_old: Option<PathBuf>,
    /// The new one's settings, JSON or TOML [default: those of the NAME.toml beside it]
    #[arg(long, value_name = "FILE")]
    settings_new: Option<PathBuf>,
    /// Only the messages of one server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,
}

/// Whose store both read.
struct Place {
    origin: PolicyOrigin,
    name: String,
}

/// Runs the command. Here 1 says that something is decided otherwise: what cannot be asked is unusable.
pub(super) async fn diff(context: &Context, args: &Args) -> Result<(), Failed> {
    let unusable = |failed: Failed| Failed { exit: 2, ..failed };
    let old = read(&args.old).map_err(unusable)?;
    let new = read(&args.new).map_err(unusable)?;
    let place = place(args, &Bytes::from(old.clone()))?;
    let config = Config::load(context.global.config.as_deref())?;
    let places = setup::places(&config, context.global.state.as_deref());
    let engine = Engine::new(setup::engine_options(&config, &places))
        .map_err(|e| Failed::unusable("engine", e.to_string()))?;
    let source = |file: &Path, settings: &Option<PathBuf>, component| {
        let sidecar = beside(file)?;
        let settings = match settings {
            Some(settings) => Some(settings_of(settings)?),
            None => sidecar.settings,
        };
        Ok(Source {
            name: place.name.clone(),
            origin: place.origin,
            file: file.display().to_string(),
            component: Bytes::from(component),
            settings,
            mode: Mode::Enforce,
            grants: config
                .policy_dir
                .grants
                .get(&stem(file))
                .cloned()
                .unwrap_or_default(),
            reuse: sidecar.reuse,
        })
    };
    let old = source(&args.old, &args.settings_old, old).map_err(unusable)?;
    let new = source(&args.new, &args.settings_new, new).map_err(unusable)?;
    let (old, new) = (alone(&engine, old).await?, alone(&engine, new).await?);
    let report = replay::between(&args.tape, &old, &new, args.server.as_deref()).await?;
    told::tell(context, &report)
}

/// Whose store both read: of the policy on the tape that is the old component, else of one that is called as it is.
fn place(args: &Args, old: &Bytes) -> Result<Place, Failed> {
    let chains = replay::chains(&args.tape)?;
    let policies = || chains.iter().rev().flat_map(|chain| &chain.policies);
    let (digest, name) = (hex::encode(Sha256::digest(old)), stem(&args.old));
    let found = policies()
        .find(|policy| policy.sha256 == digest)
        .or_else(|| policies().find(|policy| policy.name == name));
    Ok(match found {
        Some(policy) => Place {
            origin: origin(policy),
            name: policy.name.clone(),
        },
        None => Place {
            origin: PolicyOrigin::Directory,
            name,
        },
    })
}

fn origin(policy: &PolicyRecord) -> PolicyOrigin {
    [PolicyOrigin::Builtin, PolicyOrigin::Configuration]
        .into_iter()
        .find(|origin| origin.word() == policy.origin)
        .unwrap_or(PolicyOrigin::Directory)
}

fn stem(file: &Path) -> String {
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    stem.to_string_lossy().into_owned()
}

/// A component as a whole chain.
async fn alone(engine: &Engine, source: Source) -> Result<Generation, Failed> {
    let loaded: Option<Result<Arc<Policy>, _>> = engine.load(vec![source]).await.pop();
    let policy = match loaded {
        Some(Ok(policy)) => policy,
        Some(Err(error)) => return Err(Failed::unusable("not_loaded", lines(&error.to_string()))),
        None => return Err(Failed::unusable("not_loaded", "the engine gave no answer")),
    };
    Ok(Generation {
        id: 1,
        policies: vec![policy],
        problems: Vec::new(),
        recording: None,
    })
}
