//! `acetate image`.

mod about;
mod archive;
mod local;
mod ls;
mod registry;

use super::cache::{print, text};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::ImageCommand;
use acetate_engine::{BuildError, Engine, ImageOptions, Recipe};
use acetate_oci::{Compression, Platform, Reference};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::ExitCode;

/// What the commands work on.
#[derive(Clone, Copy)]
struct Site<'a> {
    root: &'a Path,
    env: &'a Environment,
}

impl Site<'_> {
    fn engine(self) -> Result<Engine, BuildError> {
        let engine = Engine::open(self.root, &self.env.search_path)?;
        engine.with_registries(&self.env.for_registries())
    }

    /// Runs async work on the engine; an interrupt ends it.
    fn ask<T>(
        self,
        work: impl AsyncFnOnce(&Engine) -> Result<T, BuildError>,
    ) -> Result<T, Failure> {
        let engine = self.engine()?;
        let answer = super::runtime::block_on(|cancel| async move {
            tokio::select! {
                answer = work(&engine) => answer,
                () = cancel.cancelled() => Err(BuildError::Cancelled),
            }
        })?;
        Ok(answer?)
    }
}

/// Does what the words behind `acetate image` ask for.
pub(crate) fn run(
    root: &Path,
    command: &ImageCommand,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let site = Site { root, env };
    match command {
        ImageCommand::Ls(flags) => ls::ls(site, flags)?,
        ImageCommand::Pull(flags) => registry::pull(site, flags)?,
        ImageCommand::Push(flags) => registry::push(site, flags)?,
        ImageCommand::Cp(flags) => registry::cp(site, flags)?,
        ImageCommand::Mirror(flags) => registry::mirror(site, flags)?,
        ImageCommand::Tag(flags) => local::tag(site, flags)?,
        ImageCommand::Rm(flags) => local::rm(site, flags)?,
        ImageCommand::Save(flags) => archive::save(site, flags)?,
        ImageCommand::Load(flags) => archive::load(site, flags)?,
        ImageCommand::Inspect(flags) => about::inspect(site, flags)?,
        ImageCommand::History(flags) => about::history(site, flags)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn reference(text: &str) -> Result<Reference> {
    Ok(text.parse::<Reference>()?)
}

fn platform(text: &str) -> Result<Platform> {
    text.parse().context("--platform")
}

fn options(compression: &str) -> Result<ImageOptions> {
    let kind = match compression {
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        "uncompressed" => Compression::None,
        other => bail!("--compression {other}: expected gzip, zstd or uncompressed"),
    };
    Ok(ImageOptions {
        recipe: Recipe::new(kind),
        ..ImageOptions::default()
    })
}
