//! Configuration, ledger, policies, audit.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{AuditReport, ConfigReport, LedgerReport, PolicyReport, Report, TapeReport, Visit};
use crate::audit;
use crate::chain::build::outcome::{Outcome, Status};
use crate::chain::build::{Builder, Manner, directory};
use crate::chain::ownership;
use crate::config::{Config, Mode, PolicySource};
use crate::ledger::{self, Ledger, LedgerError, OpenMode, PolicyOrigin};
use crate::operator::policies::{PolicyView, of_gates};
use crate::policy::{Engine, Policy};
use crate::setup::{self, Places};
use crate::tape;

/// The configuration, or all defaults where it cannot be used, so that the rest can be looked at.
pub(super) fn config(visit: &Visit, report: &mut Report) -> Config {
    let path = match Config::location(visit.config.as_deref()) {
        Ok(path) => path,
        Err(error) => {
            report.error(
                error.to_string(),
                "the configuration",
                "name a file with --config",
            );
            return Config::in_dir(Path::new("/"));
        }
    };
    let shown = path.display().to_string();
    report.config = ConfigReport {
        path: shown.clone(),
        present: path.exists(),
        ok: true,
    };
    match Config::load(visit.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            report.config.ok = false;
            let mend = if report.config.present {
                "mend the file at that line; what was in force in a running gate stays in force until then"
            } else {
                "put the file back, or name another with --config"
            };
            report.error(error.to_string(), shown, mend);
            Config::in_dir(path.parent().unwrap_or(Path::new("/")))
        }
    }
}

/// The ledger, or an empty one in memory where it cannot be used.
pub(super) async fn ledger(
    config: &Config,
    places: &Places,
    report: &mut Report,
) -> Arc<dyn Ledger> {
    report.ledger = LedgerReport {
        location: places.ledger_url.clone(),
        ok: true,
        ..LedgerReport::default()
    };
    let found = ledger::open(&places.ledger_url, &places.marker, OpenMode::ReadOnly).await;
    let opened = match found {
        Ok(Some(ledger)) => match ledger.confirm().await {
            Ok(_) => Ok(Some(ledger)),
            Err(error) => Err(error),
        },
        Ok(None) => Ok(None),
        Err(error) => Err(error),
    };
    let ledger = match opened {
        Ok(Some(ledger)) => ledger,
        // None yet: the first start makes it.
        Ok(None) => return ledger::in_memory(None),
        Err(error) => {
            report.ledger.ok = false;
            report.ledger.present = file(&places.ledger_url).exists();
            let mend = mend(&error, places);
            report.error(error.to_string(), places.ledger_url.clone(), mend);
            return ledger::in_memory(None);
        }
    };
    let snapshot = ledger.snapshot();
    report.ledger.present = true;
    report.ledger.id = Some(snapshot.ledger_id.to_string());
    report.ledger.revision = Some(snapshot.revision);
    report.ledger.age_ms = u64::try_from(ledger.age().as_millis()).ok();
    report.ledger.bytes = Some(size(file(&places.ledger_url)));
    let expected = config.dir.join("witgate.toml");
    let noted = snapshot.notes.contains_key(&setup::config_note(&expected));
    if config.file.is_none() && noted && !expected.exists() {
        report.config.ok = false;
        report.error(
            "the configuration was in force and is missing",
            expected.display().to_string(),
            "put the file back, or write one that holds `version = 1`; nothing starts without it",
        );
    }
    ledger
}

/// The file that a ledger's URL names.
fn file(url: &str) -> &Path {
    let path = url.strip_prefix("sqlite:").unwrap_or(url);
    Path::new(path.strip_prefix("//").unwrap_or(path))
}

/// Bytes of the database and its write-ahead log.
fn size(path: &Path) -> u64 {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    [path, Path::new(&log)]
        .iter()
        .filter_map(|path| path.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

fn mend(error: &LedgerError, places: &Places) -> String {
    match error {
        LedgerError::Lost { .. } => format!(
            "restore it from a backup; or, to start again, when what a trusted server shows next is approved, delete {}",
            places.marker.display()
        ),
        LedgerError::Newer { .. } => "install the witgate that wrote it, or a later one".to_owned(),
        LedgerError::Corrupt { .. } => {
            "restore it from a backup; it is never replaced by itself".to_owned()
        }
        _ => "make the file readable and writable for you, and its folder too".to_owned(),
    }
}

/// The chain as a gate would build it.
pub(super) async fn policies(
    config: &Config,
    places: &Places,
    ledger: &Arc<dyn Ledger>,
    report: &mut Report,
) -> Vec<Arc<Policy>> {
    policy_dir(config, report);
    shipped(config, report);
    let engine = match Engine::new(setup::engine_options(config, places)) {
        Ok(engine) => engine,
        Err(error) => {
            report.error(error.to_string(), "the policy engine", "see the message");
            return Vec::new();
        }
    };
    let builder = Builder::new(engine, Arc::clone(ledger), Vec::new());
    let generation = match builder.build(config, Manner::Tolerant).await {
        Ok(generation) => generation,
        Err(error) => {
            report.error(
                error.to_string(),
                places.ledger_url.clone(),
                "mend the ledger first",
            );
            return Vec::new();
        }
    };
    let running = of_gates(config, &ledger.snapshot());
    for status in &*builder.statuses() {
        tell(status, report);
        let Some(policy) = &status.policy else {
            continue;
        };
        report.policies.push(PolicyReport {
            name: status.name.clone(),
            origin: status.origin.word(),
            file: status.file.clone(),
            sha256: policy.sha256().to_owned(),
            enforced: policy.source().mode == Mode::Enforce,
            last_good: status.last_good(),
            outcome: status.outcome.word(),
            gates: running
                .iter()
                .flat_map(|running| &running.all)
                .filter(|view| is_same(view, status.origin, policy))
                .map(|view| view.gates)
                .sum(),
        });
    }
    for view in running.iter().flat_map(|running| &running.all) {
        failing(view, report);
    }
    generation.policies.clone()
}

/// Tells of a policy that is not in force as it should be.
fn tell(status: &Status, report: &mut Report) {
    let Some(problem) = &status.problem else {
        return;
    };
    let pending = status.outcome == Outcome::Pending;
    let mend = match (status.last_good(), pending) {
        (true, true) => "wait until it is whole; until then its last good bytes stay in force".to_owned(),
        (true, false) => format!(
            "mend the file, or run `witgate policy forget {}`; until then its last good bytes stay in force",
            status.name
        ),
        (false, _) => {
            "mend or remove the file; a running gate goes on without it, and no gate starts until then".to_owned()
        }
    };
    if pending && status.last_good() {
        report.warn(problem.clone(), status.name.clone(), mend);
    } else {
        report.error(problem.clone(), status.name.clone(), mend);
    }
}

/// Whether a running gate has the same bytes in force under the same name.
fn is_same(view: &PolicyView, origin: PolicyOrigin, policy: &Policy) -> bool {
    let sha256 = view.told.in_force.as_ref().map(|one| &*one.sha256);
    view.told.origin == origin.word()
        && view.told.name == **policy.name()
        && sha256 == Some(policy.sha256())
}

/// Warns of a policy that failed in a gate that runs.
fn failing(view: &PolicyView, report: &mut Report) {
    let Some(one) = &view.told.in_force else {
        return;
    };
    if one.did.failures.is_empty() {
        return;
    }
    let failures = one.did.failures.iter();
    let counts: Vec<_> = failures
        .map(|(how, count)| format!("{how} {count}"))
        .collect();
    let last = one.did.last_failure.as_ref();
    let last = last.map_or_else(String::new, |last| format!("; the latest in {}", last.what));
    let denies = if one.mode == Mode::Monitor.word() {
        "which changes nothing, since it only monitors"
    } else {
        "which denied what it was asked about"
    };
    report.warn(
        format!("it failed in running gates ({}), {denies}{last}", counts.join(", ")),
        view.told.name.clone(),
        "correct the policy; raise `hook_ms` or `policy_memory_bytes` under [limits] if it is merely slow or large",
    );
}

/// Whoever can write to the directory decides for the agent.
fn policy_dir(config: &Config, report: &mut Report) {
    let path = &config.policy_dir.path;
    if !path.exists() {
        return;
    }
    if let Err(error) = ownership::check(path) {
        let mend = "see the message; no file of it is taken up until then";
        report.error(error.to_string(), path.display().to_string(), mend);
    }
    match directory::list(path) {
        Ok(files) => alone(path, &files, report),
        Err(error) => {
            let mend = "make it readable for you; no gate starts until then";
            report.error(error.to_string(), path.display().to_string(), mend);
        }
    }
}

/// Warns of sidecars beside which no component stands.
fn alone(path: &Path, files: &[PathBuf], report: &mut Report) {
    for entry in path.read_dir().into_iter().flatten().flatten() {
        let sidecar = entry.path();
        let is_sidecar = sidecar.extension().is_some_and(|end| end == "toml");
        if is_sidecar && !files.contains(&sidecar.with_extension("wasm")) {
            report.warn(
                "no component of its name stands beside it",
                sidecar.display().to_string(),
                "put the component there, or remove the file",
            );
        }
    }
}

/// Warns of each shipped policy that is not in the chain, or does not bind.
pub(super) fn shipped(config: &Config, report: &mut Report) {
    let Some(policies) = &config.policies else {
        return;
    };
    let place = report.config.path.clone();
    for (name, without) in [
        ("allow-deny", "no allow or deny list is enforced"),
        (
            "quarantine",
            "a quarantined server is not silenced by any policy",
        ),
        (
            "trust-baseline",
            "nothing notices that a definition changed",
        ),
    ] {
        let source = PolicySource::Builtin(name.to_owned());
        match policies.iter().find(|policy| policy.source == source) {
            None => report.warn(
                format!("the shipped policy {name} is not in the chain: {without}"),
                place.clone(),
                format!(
                    "add [[policy]] with `name = \"{name}\"` and `source = \"builtin:{name}\"`"
                ),
            ),
            Some(policy) if policy.mode == Mode::Monitor => report.warn(
                format!("the shipped policy {name} only monitors: {without}"),
                place.clone(),
                format!(
                    "remove `mode = \"monitor\"` from the [[policy]] {:?}",
                    policy.name
                ),
            ),
            Some(_) => {}
        }
    }
}

/// How many tapes, the latest ones, are asked for gaps.
const TAPES: usize = 8;

/// The tapes: whether there is one, and whether the latest have gaps.
pub(super) fn tapes(config: &Config, places: &Places, report: &mut Report) {
    let path = places.tape_dir.display().to_string();
    report.tape = TapeReport {
        path: path.clone(),
        enabled: config.audit.tape,
        ..TapeReport::default()
    };
    let files = match tape::files(&places.tape_dir) {
        Ok(files) => files,
        Err(error) => {
            let mend =
                "make the folder readable and writable for you; nothing is recorded until then";
            report.warn(error.to_string(), path, mend);
            return;
        }
    };
    report.tape.files = files.len();
    let sizes = files.iter().filter_map(|file| file.metadata().ok());
    report.tape.bytes = sizes.map(|found| found.len()).sum();
    for file in files.iter().take(TAPES) {
        let place = file.display().to_string();
        match tape::lost(file) {
            Ok(0) => {}
            Ok(lost) => {
                report.tape.lost += lost;
                report.warn(
                    format!("the tape has a gap: {lost} messages could not be recorded"),
                    place,
                    "if the disk was full, free it; a replay of this tape may differ because of the gap",
                );
            }
            Err(error) => report.warn(error.to_string(), place, "make the file readable for you"),
        }
    }
}

/// The record of decisions, checked against the heads that the ledger holds.
pub(super) async fn audit(
    config: &Config,
    places: &Places,
    ledger: &dyn Ledger,
    report: &mut Report,
) {
    let path = places.audit_dir.display().to_string();
    report.audit = AuditReport {
        path: path.clone(),
        enabled: config.audit.enabled,
        ok: true,
        ..AuditReport::default()
    };
    // Without the ledger, nobody knows how many files there should be; each is still checked against itself.
    let heads = ledger.audit_heads().await.unwrap_or_default();
    match audit::verify(&places.audit_dir, &heads) {
        Ok(found) => {
            report.audit.files = found.files;
            report.audit.records = found.records;
            if let Some(bad) = found.bad {
                report.audit.ok = false;
                report.error(
                    format!("the audit is not as it was written: {}", bad.detail),
                    format!("{path}/{}:{}", bad.file, bad.line),
                    "find out who can write there; restore the file from a backup, or move it away and keep it as \
                     evidence",
                );
            }
        }
        Err(error) => {
            report.audit.ok = false;
            let mend = "make the folder readable and writable for you";
            report.error(error.to_string(), path, mend);
        }
    }
}
