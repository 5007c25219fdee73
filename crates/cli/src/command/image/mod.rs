//! `acetate image`.

mod about;
mod archive;
mod local;
mod ls;
mod registry;

use super::cache::{print, text};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::{ImageCommand, ShownFlags};
use crate::progress::Mode;
use acetate_engine::{BuildError, Engine, EventSink, ImageOptions, Recipe};
use acetate_oci::{Compression, Platform, Reference};
use anyhow::{Context, Result, bail};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

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

    /// The same, shown while it goes on; `what` says in a word what does.
    fn watch<T>(
        self,
        (mode, what): (Mode, &'static str),
        work: impl AsyncFnOnce(&Engine, &Arc<dyn EventSink>) -> Result<T, BuildError>,
    ) -> Result<T, Failure> {
        let view = mode.view_of(what);
        let sink = view.sink();
        let answer = self.ask(async |engine| work(engine, &sink).await);
        // What is printed next comes below the last drawing.
        view.finish();
        answer
    }

    /// How work is shown: as the flags say, else as the environment does; `unseen` is for logs.
    fn mode(self, flags: &ShownFlags, is_quiet: bool, unseen: Mode) -> Result<Mode> {
        if is_quiet {
            return Ok(Mode::Quiet);
        }
        let text = flags.progress.as_ref().or(self.env.progress.as_ref());
        let text = text.map_or("auto", String::as_str);
        Mode::choose_for_images(text, std::io::stderr().is_terminal(), unseen)
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
