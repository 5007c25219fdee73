//! `acetate cache prune`.

use super::place::Site;
use super::{print, text};
use crate::command::state;
use crate::duration;
use crate::failure::Failure;
use crate::flags::CachePruneFlags;
use acetate_engine::cache_tools::CachePrune;
use anyhow::anyhow;
use std::process::ExitCode;

/// Frees what the cache takes; no named image goes.
pub(super) fn prune(site: Site<'_>, flags: &CachePruneFlags) -> Result<ExitCode, Failure> {
    if let Some(place) = &flags.remote {
        return remote(site, place);
    }
    let unused_for = flags.unused_for.as_deref().map(|text| {
        let found = duration::parse(text);
        found.ok_or_else(|| anyhow!("--unused-for {text}: expected a duration such as 12h"))
    });
    let prune = CachePrune {
        unused_for: unused_for.transpose()?,
        mounts: flags.mounts,
    };
    if !flags.force && !state::confirmed(&question(prune))? {
        print::out("nothing was removed\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let report = site.engine()?.prune_cache(prune)?;
    print::out(&state::prune_text(&report))?;
    Ok(ExitCode::SUCCESS)
}

fn question(prune: CachePrune) -> String {
    let what = if prune.mounts {
        "cached results and cache mounts"
    } else {
        "cached results"
    };
    match prune.unused_for {
        None => format!("all {what} that no image needs and"),
        Some(_) if prune.mounts => {
            "old cached results, all cache mounts, and what no image needs of them".to_owned()
        }
        Some(_) => format!("{what} that were not used for that long, that no image needs and"),
    }
}

/// Nothing that is wanted goes: the server decides what it can do without.
fn remote(site: Site<'_>, place: &str) -> Result<ExitCode, Failure> {
    let import = site.import("--remote", place)?;
    let removed = site.ask(&import, async |server| server.collect().await)?;
    print::out(&format!(
        "removed {} records and {} pieces of content: {}\n",
        removed.records,
        removed.contents,
        text::size(removed.bytes, true)
    ))?;
    Ok(ExitCode::SUCCESS)
}
