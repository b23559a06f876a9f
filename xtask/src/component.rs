//! `cargo xtask component`: from modules to components, for the builds of guests in languages other than Rust.
//!
//! Takes the arguments that `wasm-tools component` takes, so that a build says `wasm-tools component …` wherever it runs, and
//! here nothing has to be installed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What to do with a module.
#[derive(Subcommand)]
pub(crate) enum Step {
    /// Puts the type of a world into a module whose compiler did not.
    Embed(Embed),
    /// Makes a component of a module that has its world's type.
    New(New),
}

/// Arguments of `component embed`.
#[derive(Args)]
pub(crate) struct Embed {
    /// The world, such as `local:policy/policy`; if there is but one, it is meant.
    #[arg(long)]
    world: Option<String>,
    /// The folder of the world's package.
    wit: PathBuf,
    /// The module, binary or text.
    module: PathBuf,
    /// The file to write.
    #[arg(short, long)]
    output: PathBuf,
}

/// Arguments of `component new`.
#[derive(Args)]
pub(crate) struct New {
    /// The module, binary or text.
    module: PathBuf,
    /// A module, binary or text, that answers the imports of this name: NAME=FILE.
    #[arg(long, value_parser = adapter)]
    adapt: Vec<(String, PathBuf)>,
    /// The file to write.
    #[arg(short, long)]
    output: PathBuf,
}

/// Does one step.
pub(crate) fn run(step: &Step) -> Result<()> {
    let (output, bytes) = match step {
        Step::Embed(args) => (&args.output, embed(args)?),
        Step::New(args) => (&args.output, new(args)?),
    };
    fs::write(output, bytes).with_context(|| format!("writing {}", output.display()))
}

fn embed(args: &Embed) -> Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(&args.wit)?;
    let world = resolve.select_world(&[package], args.world.as_deref())?;
    let mut module = module(&args.module)?;
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    Ok(module)
}

fn new(args: &New) -> Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default()
        .validate(true)
        .module(&module(&args.module)?)?;
    for (name, file) in &args.adapt {
        encoder = encoder.adapter(name, &module(file)?)?;
    }
    let made = encoder.encode();
    made.with_context(|| format!("making a component of {}", args.module.display()))
}

fn module(file: &Path) -> Result<Vec<u8>> {
    Ok(wat::parse_file(file)?)
}

fn adapter(argument: &str) -> Result<(String, PathBuf), String> {
    match argument.split_once('=') {
        Some((name, file)) => Ok((name.to_owned(), file.into())),
        None => Err("write NAME=FILE".to_owned()),
    }
}
