//! `cargo xtask policies`: components from the guest crates, and the check that the committed ones are what the sources
//! give.
//!
//! Knows the guest crates (one table) and the order of work. How sources are digested, toolchains are found and
//! components are made is in the modules below.

mod build;
mod manifest;
mod sources;
mod toolchain;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use manifest::{Built, Manifest};
use toolchain::Toolchain;

/// A crate that is built to a component.
pub(crate) struct Guest {
    /// The crate.
    pub(crate) package: &'static str,
    /// Its folder.
    pub(crate) folder: &'static str,
    /// The component's folder, which has the manifest.
    dist: &'static str,
    /// The component's name, without `.wasm`.
    component: &'static str,
}

/// Every guest crate of the workspace.
///
/// A golden component of a version that is released leaves this table: it must stay as it was released.
const GUESTS: [Guest; 4] = [
    Guest {
        package: "witgate-allow-deny",
        folder: "policies/allow-deny",
        dist: "policies/dist",
        component: "allow-deny",
    },
    Guest {
        package: "witgate-quarantine",
        folder: "policies/quarantine",
        dist: "policies/dist",
        component: "quarantine",
    },
    Guest {
        package: "witgate-trust-baseline",
        folder: "policies/trust-baseline",
        dist: "policies/dist",
        component: "trust-baseline",
    },
    Guest {
        package: "witgate-golden",
        folder: "tests/golden/rust",
        dist: "tests/golden",
        component: "v0_1_2_rust",
    },
];

/// The contract's files, copied beside the SDK so that it can be used outside this repository.
const CONTRACT: [&str; 3] = ["types.wit", "hooks.wit", "worlds.wit"];

/// Arguments of `cargo xtask policies`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Writes nothing: checks that the committed components are what the sources give. With the manifest's toolchain
    /// they are built and compared bit for bit; with another, or none, only the digests of sources and components are.
    #[arg(long)]
    check: bool,
    /// The rustc to build with, instead of one that is found.
    #[arg(long, env = "WITGATE_GUEST_RUSTC")]
    rustc: Option<PathBuf>,
}

/// Builds, or checks.
pub(crate) fn run(args: &Args) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask has no parent folder")?;
    if args.check {
        check(root, args)
    } else {
        build(root, args)
    }
}

fn build(root: &Path, args: &Args) -> Result<()> {
    for name in CONTRACT {
        copy_if_other(
            &root.join("wit").join(name),
            &root.join("policies/sdk/wit").join(name),
        )?;
    }
    let toolchain = match &args.rustc {
        Some(rustc) => Toolchain::of(rustc)?,
        None => Toolchain::find(None)?,
    };
    say(&format!("building with {}", toolchain.name));
    let components = build::components(root, &GUESTS, &toolchain)?;
    for (dist, guests) in by_dist() {
        let folder = root.join(dist);
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let mut manifest = Manifest {
            toolchain: toolchain.name.clone(),
            components: BTreeMap::new(),
        };
        for guest in guests {
            let bytes = &components[guest.package];
            let file = folder.join(format!("{}.wasm", guest.component));
            fs::write(&file, bytes).with_context(|| format!("writing {}", file.display()))?;
            say(&format!(
                "{dist}/{}.wasm: {} bytes; {}",
                guest.component,
                bytes.len(),
                build::surface(bytes)?
            ));
            let built = Built {
                sources: sources::digest(root, guest)?,
                sha256: sources::sha256(bytes),
            };
            manifest
                .components
                .insert(guest.component.to_owned(), built);
        }
        manifest.write(&folder)?;
    }
    Ok(())
}

fn check(root: &Path, args: &Args) -> Result<()> {
    let mut wrong = Vec::new();
    for name in CONTRACT {
        if fs::read(root.join("wit").join(name))?
            != fs::read(root.join("policies/sdk/wit").join(name)).unwrap_or_default()
        {
            wrong.push(format!("policies/sdk/wit/{name} is not wit/{name}"));
        }
    }
    let mut made_with = None;
    for (dist, guests) in by_dist() {
        let folder = root.join(dist);
        let manifest = Manifest::read(&folder)?;
        for guest in guests {
            check_committed(root, &folder, &manifest, guest, &mut wrong)?;
        }
        let same = made_with.get_or_insert_with(|| manifest.toolchain.clone());
        if *same != manifest.toolchain {
            wrong.push(format!("{dist} was not built together with the others"));
        }
    }
    fail_if(&wrong)?;

    let made_with = made_with.unwrap_or_default();
    let toolchain = match &args.rustc {
        Some(rustc) => Toolchain::of(rustc).ok(),
        None => Toolchain::find(Some(&made_with)).ok(),
    };
    let Some(toolchain) = toolchain.filter(|found| found.name == made_with) else {
        say(&format!(
            "sources and components are those of the manifests; bytes were not compared with a build, for want of \
             the toolchain they were built with ({made_with}). `cargo test` runs the components through the \
             policies' cases."
        ));
        return Ok(());
    };
    let components = build::components(root, &GUESTS, &toolchain)?;
    for guest in &GUESTS {
        let file = root
            .join(guest.dist)
            .join(format!("{}.wasm", guest.component));
        if fs::read(&file)? != components[guest.package] {
            wrong.push(format!(
                "{} is not what its sources give",
                file.strip_prefix(root)?.display()
            ));
        }
    }
    fail_if(&wrong)?;
    say(&format!(
        "every component is, bit for bit, what {made_with} makes of its sources"
    ));
    Ok(())
}

/// Compares one committed component with what its manifest says of it and of its sources.
fn check_committed(
    root: &Path,
    folder: &Path,
    manifest: &Manifest,
    guest: &Guest,
    wrong: &mut Vec<String>,
) -> Result<()> {
    let name = format!("{}/{}.wasm", guest.dist, guest.component);
    let Some(built) = manifest.components.get(guest.component) else {
        wrong.push(format!("{name} is not in its manifest"));
        return Ok(());
    };
    let bytes = fs::read(folder.join(format!("{}.wasm", guest.component)))
        .with_context(|| format!("reading {name}"))?;
    if sources::sha256(&bytes) != built.sha256 {
        wrong.push(format!("{name} has not the manifest's sha256"));
    }
    if sources::digest(root, guest)? != built.sources {
        wrong.push(format!("{name} was built from other sources"));
    }
    Ok(())
}

fn fail_if(wrong: &[String]) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!(
        "{}\nRun `cargo xtask policies` and commit what it writes.",
        wrong.join("\n")
    )
}

/// The guests by the folder of their components.
fn by_dist() -> BTreeMap<&'static str, Vec<&'static Guest>> {
    let mut folders = BTreeMap::<_, Vec<_>>::new();
    for guest in &GUESTS {
        folders.entry(guest.dist).or_default().push(guest);
    }
    folders
}

/// Copies a file unless the copy is the same: a new time on it would build everything again.
fn copy_if_other(from: &Path, to: &Path) -> Result<()> {
    let bytes = fs::read(from).with_context(|| format!("reading {}", from.display()))?;
    if fs::read(to).is_ok_and(|old| old == bytes) {
        return Ok(());
    }
    fs::write(to, bytes).with_context(|| format!("writing {}", to.display()))
}

/// One line for the person at the terminal.
#[allow(clippy::print_stderr, reason = "xtask is a command")]
fn say(line: &str) {
    eprintln!("{line}");
}
