//! `witgate policy check`: whether a gate would take a component.

use std::path::Path;

use bytes::Bytes;

use super::inspect::show;
use super::{lines, read};
use crate::chain::build::sidecar::Sidecar;
use crate::cli::{Context, Failed};
use crate::config::{Config, Mode};
use crate::ledger::PolicyOrigin;
use crate::operator::component::Shape;
use crate::policy::{Engine, Source};
use crate::setup;

/// Loads a component as a gate would, and says whether it can be used.
pub(super) async fn check(
    context: &Context,
    file: &Path,
    settings: Option<&Path>,
) -> Result<(), Failed> {
    let bytes = read(file)?;
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    let name = stem.to_string_lossy().into_owned();
    let sidecar = beside(file)?;
    let settings = match settings {
        Some(settings) => Some(settings_of(settings)?),
        None => sidecar.settings.clone(),
    };
    let config = Config::load(context.global.config.as_deref())?;
    let places = setup::places(&config, context.global.state.as_deref());
    let engine = Engine::new(setup::engine_options(&config, &places))
        .map_err(|e| Failed::new("engine", e.to_string()))?;
    let source = Source {
        name: name.clone(),
        origin: PolicyOrigin::Directory,
        file: file.display().to_string(),
        component: Bytes::from(bytes.clone()),
        settings,
        mode: Mode::Enforce,
        grants: config
            .policy_dir
            .grants
            .get(&name)
            .cloned()
            .unwrap_or_default(),
        reuse: sidecar.reuse,
    };
    let tried = match engine.load(vec![source]).await.pop() {
        Some(Ok(_)) => Ok(()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("the engine gave no answer".to_owned()),
    };
    // What cannot even be read as a component has no shape to show; the engine says what it is instead.
    if let Ok(shape) = Shape::read(&bytes) {
        show(context, file, &bytes, &shape, Some(&tried))?;
        if context.out.is_json() && tried.is_err() {
            return Err(Failed::told("not_loaded"));
        }
    }
    tried.map_err(|problem| Failed::new("not_loaded", lines(&problem)))
}

/// Settings from a file of their own: JSON, or TOML by its ending.
pub(super) fn settings_of(file: &Path) -> Result<String, Failed> {
    let fails =
        |detail: String| Failed::unusable("settings", format!("{}: {detail}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|e| fails(e.to_string()))?;
    if file.extension().is_some_and(|ending| ending == "toml") {
        let table: toml::Table = toml::from_str(&text).map_err(|e| fails(e.to_string()))?;
        return serde_json::to_string(&table).map_err(|e| fails(e.to_string()));
    }
    let checked: serde_json::Value =
        serde_json::from_str(&text).map_err(|e| fails(format!("is no JSON: {e}")))?;
    match checked {
        serde_json::Value::Object(_) => Ok(text),
        _ => Err(fails("must hold a JSON object".to_owned())),
    }
}

/// The sidecar beside a component, as the policy directory would read it.
pub(super) fn beside(file: &Path) -> Result<Sidecar, Failed> {
    let sidecar = file.with_extension("toml");
    match std::fs::read_to_string(&sidecar) {
        Ok(text) => Sidecar::parse(&text)
            .map_err(|e| Failed::new("sidecar", format!("{}: {e}", sidecar.display()))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Sidecar::default()),
        Err(e) => Err(Failed::new(
            "sidecar",
            format!("{}: {e}", sidecar.display()),
        )),
    }
}
