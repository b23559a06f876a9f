//! What the commands on one component's file share: its bytes, its settings, the engine with a gate's limits.

use std::path::Path;

use bytes::Bytes;

use super::{lines, read};
use crate::chain::build::sidecar::Sidecar;
use crate::cli::{Context, Failed};
use crate::config::{Config, Mode};
use crate::ledger::PolicyOrigin;
use crate::policy::{Engine, LoadError, PolicyLimits, Source};
use crate::setup;
use crate::toolbox::{FilesError, Subject};

/// A component's file, and what it needs to run as a gate would run it.
pub(super) struct Opened {
    pub(super) engine: Engine,
    pub(super) limits: PolicyLimits,
    pub(super) source: Source,
    /// Where its settings are from, for people; none if there are none.
    pub(super) settings_from: Option<String>,
}

/// Where settings come from if no case gives any.
pub(super) enum Settings<'a> {
    /// From this file, else from the sidecar.
    OrBeside(Option<&'a Path>),
    /// From this file, else there are none: cases must mean the same wherever the component lies.
    OrNone(Option<&'a Path>),
}

/// Opens a component's file. One instance serves one message, whatever the sidecar says.
pub(super) fn open(
    context: &Context,
    file: &Path,
    settings: &Settings<'_>,
) -> Result<Opened, Failed> {
    let component = Bytes::from(read(file)?);
    let stem = file.file_stem().unwrap_or(file.as_os_str());
    let name = stem.to_string_lossy().into_owned();
    let (settings, settings_from) = match settings {
        Settings::OrBeside(Some(settings)) | Settings::OrNone(Some(settings)) => (
            Some(settings_of(settings)?),
            Some(settings.display().to_string()),
        ),
        Settings::OrBeside(None) => {
            let settings = beside(file)?.settings;
            let sidecar = file.with_extension("toml").display().to_string();
            let from = settings.as_ref().map(|_| sidecar);
            (settings, from)
        }
        Settings::OrNone(None) => (None, None),
    };
    let config = Config::load(context.global.config.as_deref())?;
    let places = setup::places(&config, context.global.state.as_deref());
    let options = setup::engine_options(&config, &places);
    let limits = options.limits.clone();
    let engine = Engine::new(options).map_err(|e| Failed::new("engine", e.to_string()))?;
    let source = Source {
        grants: config
            .policy_dir
            .grants
            .get(&name)
            .cloned()
            .unwrap_or_default(),
        name,
        origin: PolicyOrigin::Directory,
        file: file.display().to_string(),
        component,
        settings,
        mode: Mode::Enforce,
        reuse: 1,
    };
    Ok(Opened {
        engine,
        limits,
        source,
        settings_from,
    })
}

impl Opened {
    /// Compiles the component.
    pub(super) async fn subject(&self) -> Result<Subject, Failed> {
        let subject = Subject::new(&self.engine, self.source.clone()).await;
        subject.map_err(|error| not_loaded(&error))
    }
}

/// A component that no gate would take.
pub(super) fn not_loaded(error: &LoadError) -> Failed {
    Failed::new("not_loaded", lines(&error.to_string()))
}

/// Cases that cannot be used are arguments that cannot.
impl From<FilesError> for Failed {
    fn from(error: FilesError) -> Self {
        Self::unusable("cases", lines(&error.to_string()))
    }
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
