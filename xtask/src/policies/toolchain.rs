//! Finding a Rust toolchain that can build for `wasm32-unknown-unknown`.
//!
//! Two kinds serve: one that has the target's standard library (`rustup target add wasm32-unknown-unknown`), and one
//! that has the library's sources and builds it (Debian's `rustc-web` with `rust-web-src`, a rustup toolchain with
//! `rust-src`).

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The target of every guest.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// A toolchain that can build guests.
#[derive(Debug, Clone)]
pub(crate) struct Toolchain {
    /// What decides the bytes that come out: compiler, its LLVM, linker, and where the standard library is from. Equal
    /// names, equal components.
    pub(crate) name: String,
    /// The compiler.
    pub(crate) rustc: PathBuf,
    /// The cargo that belongs to it.
    pub(crate) cargo: PathBuf,
    /// The linker, if the compiler does not bring its own.
    pub(crate) linker: Option<PathBuf>,
    /// Whether the standard library is built from its sources.
    pub(crate) build_std: bool,
    /// Where those sources are.
    pub(crate) sources: PathBuf,
}

impl Toolchain {
    /// The toolchain called `wanted`, else the first that can build guests.
    pub(crate) fn find(wanted: Option<&str>) -> Result<Self> {
        let mut found = Vec::new();
        let mut why_not = Vec::new();
        for rustc in ["rustc", "/usr/bin/rustc"] {
            match Self::of(Path::new(rustc)) {
                Ok(toolchain) => found.push(toolchain),
                Err(error) => why_not.push(format!("{rustc}: {error:#}")),
            }
        }
        let wanted = wanted.and_then(|name| found.iter().position(|one| one.name == name));
        match found.into_iter().nth(wanted.unwrap_or(0)) {
            Some(toolchain) => Ok(toolchain),
            None => bail!(
                "no toolchain here builds for {TARGET}. Run `rustup target add {TARGET}`, or install Debian's \
                 rustc-web and rust-web-src.\n{}",
                why_not.join("\n")
            ),
        }
    }

    /// What one compiler offers.
    pub(crate) fn of(rustc: &Path) -> Result<Self> {
        let verbose = output(rustc, &["-vV"])?;
        let version = verbose.lines().next().unwrap_or_default();
        let llvm = verbose
            .lines()
            .find(|line| line.starts_with("LLVM"))
            .unwrap_or_default();
        let sysroot = PathBuf::from(output(rustc, &["--print", "sysroot"])?);
        let host = verbose
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .context("rustc -vV names no host")?;

        let sources = sysroot.join("lib/rustlib/src/rust");
        let has_std = sysroot
            .join("lib/rustlib")
            .join(TARGET)
            .join("lib")
            .is_dir();
        if !has_std && !sources.join("library/std/Cargo.toml").is_file() {
            bail!(
                "{version} has neither the standard library for {TARGET} nor its sources in {}. Run `rustup target \
                 add {TARGET}`",
                sources.display()
            );
        }
        let own_linker = sysroot.join("lib/rustlib").join(host).join("bin/rust-lld");
        let linker = if own_linker.is_file() {
            None
        } else {
            Some(find_linker(host).with_context(|| {
                format!("{version} brings no rust-lld, and none was found. Install lld")
            })?)
        };
        let lld = output(
            linker.as_deref().unwrap_or(&own_linker),
            &["-flavor", "wasm", "--version"],
        )?;
        // What follows in parentheses is where it was built.
        let lld = lld.split(" (").next().unwrap_or_default();
        let std = if has_std {
            "prebuilt std"
        } else {
            "std from sources"
        };
        Ok(Self {
            name: format!("{version}; {llvm}; {lld}; {std}"),
            rustc: rustc.to_owned(),
            cargo: cargo_of(rustc),
            linker,
            build_std: !has_std,
            sources,
        })
    }
}

/// The cargo beside a compiler that was given by its path, else the one on the path.
fn cargo_of(rustc: &Path) -> PathBuf {
    let beside = rustc.with_file_name("cargo");
    if rustc.is_absolute() && beside.is_file() {
        return beside;
    }
    PathBuf::from("cargo")
}

/// An lld that links Wasm: the one of the toolchain on the path, else one of the system.
fn find_linker(host: &str) -> Option<PathBuf> {
    let rustups = output(Path::new("rustc"), &["--print", "sysroot"]).ok();
    let rustups =
        rustups.map(|sysroot| PathBuf::from(sysroot).join(format!("lib/rustlib/{host}/bin")));
    let on_path = env::var_os("PATH").unwrap_or_default();
    rustups
        .into_iter()
        .chain(env::split_paths(&on_path))
        .flat_map(|folder| [folder.join("rust-lld"), folder.join("lld")])
        .find(|file| file.is_file())
}

/// What a program prints, trimmed.
fn output(program: &Path, args: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(args)
        .output()
        .with_context(|| format!("running {}", program.display()))?;
    if !output.status.success() {
        bail!(
            "{} {}: {}",
            program.display(),
            args.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
