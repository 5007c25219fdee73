//! Caches that machines share: ours beside those of `BuildKit`, in a registry and in a directory.
//!
//! A fresh machine is a store that does not exist yet; for `BuildKit` it is a new daemon, whose start
//! is not counted. The two sides take turns, each with a cache of its own that is empty at the
//! beginning of a round, so that what else the machine does falls upon both.

mod delta;
mod fleet;
mod input;
mod place;
mod relay;
mod rounds;
mod side;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::Options;
use super::report::Section;
use crate::project::Project;
use crate::{bases, peers, process};
use delta::Delta;
use place::Kind;
use rounds::Round;
use side::{Ours, Side, Theirs};
use table::Table;

pub(crate) const NAME: &str = "shared";

/// Measures all of it below `folder`.
pub(super) fn run(project: &Project, folder: &Path, options: &Options) -> Result<Section> {
    let sides = sides(project, options)?;
    let contexts = folder.join("contexts");
    let (image, layer) = (contexts.join("image"), contexts.join("layer"));
    fs::create_dir_all(folder)?;
    input::image(&image)?;
    input::layer(&layer)?;
    let mut table = Table::new();
    for kind in [Kind::Server, Kind::Directory] {
        images(&sides, kind, &image, folder, options.runs, &mut table);
    }
    layers(&sides, &layer, folder, options.runs, &mut table);
    if options.acetate {
        let server = project.build_both(options.profile)?.1;
        let folder = folder.join("fleet");
        let runs = options.runs;
        let done = fleet::run(project, options.profile, &server, &folder, runs, &mut table);
        if let Err(error) = done {
            table.failed(fleet::NAME, table::US, &error);
        }
    }
    table.section(NAME)
}

fn sides(project: &Project, options: &Options) -> Result<Vec<Box<dyn Side>>> {
    let busybox = bases::make_all(project)?.busybox;
    let mut sides: Vec<Box<dyn Side>> = Vec::new();
    if options.acetate {
        let (binary, server) = project.build_both(options.profile)?;
        sides.push(Box::new(Ours {
            binary,
            server,
            busybox: busybox.clone(),
        }));
    }
    if options.peers {
        peers::peers(project)?;
        let registry = process::found("docker-registry");
        sides.push(Box::new(Theirs {
            bin: peers::bin(project),
            registry: registry.context("`docker-registry` is not here")?,
            busybox,
        }));
    }
    Ok(sides)
}

/// All rounds with one kind of cache; a side that fails once is left out of the rest.
fn images(
    sides: &[Box<dyn Side>],
    kind: Kind,
    context: &Path,
    folder: &Path,
    runs: usize,
    table: &mut Table,
) {
    let mut sides: Vec<&dyn Side> = sides.iter().map(Box::as_ref).collect();
    for n in 0..runs {
        sides.retain(|side| {
            let round = Round {
                side: *side,
                kind,
                n,
                context,
                folder: &below(folder, *side),
            };
            let done = round.run(table);
            done.map_err(|error| table.failed(kind.name(), side.name(), &error))
                .is_ok()
        });
    }
}

/// The versions of the large layer, likewise.
fn layers(sides: &[Box<dyn Side>], context: &Path, folder: &Path, runs: usize, table: &mut Table) {
    for side in sides {
        let side = side.as_ref();
        let mut all = || {
            let delta = Delta::start(side, context, &below(folder, side))?;
            (1..=runs).try_for_each(|n| delta.round(n, table))
        };
        if let Err(error) = all() {
            table.failed(delta::NAME, side.name(), &error);
        }
    }
}

fn below(folder: &Path, side: &dyn Side) -> PathBuf {
    folder.join(side.name())
}
