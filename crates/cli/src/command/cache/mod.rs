//! `acetate cache`.

mod inspect;
mod keygen;
mod ls;
mod mount_tar;
mod place;
pub(super) mod print;
mod prune;
mod record_json;
mod rm;
mod stats;
pub(super) mod text;
mod transfer;
mod verify;

use crate::environment::Environment;
use crate::failure::Failure;
use crate::flags::CacheCommand;
use std::path::Path;
use std::process::ExitCode;

/// Does what the words behind `acetate cache` ask for.
pub(crate) fn run(
    root: &Path,
    command: &CacheCommand,
    env: &Environment,
) -> Result<ExitCode, Failure> {
    let site = place::Site { root, env };
    match command {
        CacheCommand::Ls(flags) => ls::ls(site, flags),
        CacheCommand::Inspect(flags) => inspect::inspect(site, flags),
        CacheCommand::Export(flags) => transfer::export(site, flags),
        CacheCommand::Import(flags) => transfer::import(site, flags),
        CacheCommand::Rm(flags) => rm::rm(site, flags),
        CacheCommand::Prune(flags) => prune::prune(site, flags),
        CacheCommand::Stats(flags) => stats::stats(site, flags),
        CacheCommand::Verify(flags) => verify::verify(site, flags),
        CacheCommand::Keygen(flags) => keygen::keygen(flags),
    }
}
