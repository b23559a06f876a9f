//! Crates to modules by cargo, modules to components by wit-component.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use wit_component::{ComponentEncoder, DecodedWasm};
use wit_parser::WorldKey;

use super::Guest;
use super::toolchain::{TARGET, Toolchain};

/// The cargo profile of guests.
const PROFILE: &str = "guest";

/// Builds every guest; the components by crate.
pub(crate) fn components(
    root: &Path,
    guests: &[Guest],
    toolchain: &Toolchain,
) -> Result<BTreeMap<&'static str, Vec<u8>>> {
    let target_dir = root.join("target/guests");
    let status = command(root, guests, toolchain, &target_dir)
        .status()
        .with_context(|| format!("running {}", toolchain.cargo.display()))?;
    if !status.success() {
        bail!("the guests do not build ({status})");
    }
    let mut components = BTreeMap::new();
    for guest in guests {
        let module = target_dir
            .join(TARGET)
            .join(PROFILE)
            .join(format!("{}.wasm", guest.package.replace('-', "_")));
        let module = fs::read(&module).with_context(|| format!("reading {}", module.display()))?;
        let component = ComponentEncoder::default()
            .validate(true)
            .module(&module)
            .and_then(|mut encoder| encoder.encode())
            .with_context(|| format!("making a component of {}", guest.package))?;
        components.insert(guest.package, component);
    }
    Ok(components)
}

/// What a component exports and imports, as its type says: for the person who builds it.
pub(crate) fn surface(component: &[u8]) -> Result<String> {
    let DecodedWasm::Component(resolve, world) = wit_component::decode(component)? else {
        bail!("not a component");
    };
    let names = |keys: Vec<&WorldKey>| -> String {
        let names: Vec<_> = keys
            .into_iter()
            .map(|key| resolve.name_world_key(key))
            .collect();
        if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        }
    };
    let world = &resolve.worlds[world];
    Ok(format!(
        "exports {}; imports {}",
        names(world.exports.keys().collect()),
        names(world.imports.keys().collect())
    ))
}

/// The cargo command that builds the modules, in an environment that says nothing else about the build.
fn command(root: &Path, guests: &[Guest], toolchain: &Toolchain, target_dir: &Path) -> Command {
    let mut command = Command::new(&toolchain.cargo);
    command.current_dir(root);
    for (name, _) in env::vars_os() {
        if steers_builds(&name) {
            command.env_remove(name);
        }
    }
    command
        .env("RUSTC", &toolchain.rustc)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            remaps(root, toolchain).join("\x1f"),
        )
        .args([
            "build",
            "--locked",
            "--profile",
            PROFILE,
            "--target",
            TARGET,
        ])
        .arg("--target-dir")
        .arg(target_dir);
    if toolchain.build_std {
        // Building the library is unstable; the switch lets a stable compiler do it.
        command
            .env("RUSTC_BOOTSTRAP", "1")
            .arg("-Zbuild-std=std,panic_abort");
    }
    if let Some(linker) = &toolchain.linker {
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
    }
    for guest in guests {
        command.args(["--package", guest.package]);
    }
    command
}

/// Whether an environment variable could change what cargo builds, or was set by the cargo that runs this program.
fn steers_builds(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let kept = ["CARGO_HOME", "CARGO_HTTP", "CARGO_NET", "CARGO_REGISTR"];
    name.starts_with("RUSTC")
        || name.starts_with("RUSTFLAGS")
        || name.starts_with("CARGO") && !kept.iter().any(|prefix| name.starts_with(prefix))
}

/// Flags that keep this machine's folders out of the bytes: file names in messages are the same everywhere.
fn remaps(root: &Path, toolchain: &Toolchain) -> Vec<String> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| {
        let user = env::var_os("HOME").or_else(|| env::var_os("USERPROFILE"))?;
        Some(PathBuf::from(user).join(".cargo"))
    });
    let mut pairs = vec![(root.to_owned(), "/witgate")];
    // The registry's folder is named after its address, which may be a mirror's.
    let registry = home.map(|home| home.join("registry/src"));
    for folder in registry.iter().flat_map(fs::read_dir).flatten().flatten() {
        pairs.push((folder.path(), "/registry"));
    }
    pairs.push((toolchain.sources.clone(), "/rustc"));
    if let Ok(sources) = toolchain.sources.canonicalize() {
        pairs.push((sources, "/rustc"));
    }
    pairs
        .iter()
        .map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display()))
        .collect()
}
