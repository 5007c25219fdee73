//! `acetate cache rm`.

use super::place::Site;
use super::{print, text};
use crate::failure::Failure;
use crate::flags::CacheRmFlags;
use acetate_engine::BuildError;
use acetate_engine::cache_tools::{CacheMountItem, CacheMountRemoval};
use anyhow::anyhow;
use std::process::ExitCode;

/// Removes what the flags name, all of which must be there.
pub(super) fn rm(site: Site<'_>, flags: &CacheRmFlags) -> Result<ExitCode, Failure> {
    match &flags.remote {
        Some(place) => remote(site, place, &flags.keys)?,
        None => local(site, flags)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn local(site: Site<'_>, flags: &CacheRmFlags) -> Result<(), Failure> {
    let engine = site.engine()?;
    let records = engine.find_records(&flags.keys)?;
    let mounts = flags.mount.iter().map(|name| engine.find_mount(name));
    let mounts: Vec<CacheMountItem> = mounts.collect::<Result<_, BuildError>>()?;
    engine.forget_records(&records)?;
    for record in &records {
        print::out(&format!("removed record {}\n", record.key.digest().hex()))?;
    }
    if !records.is_empty() {
        print::note("what only they needed is freed by `acetate cache prune`");
    }
    for mount in &mounts {
        let name = mount.name.as_ref().map(|name| text::plain(&name.id));
        let name = name.unwrap_or_else(|| mount.identity.hex());
        match engine.remove_mount(mount)? {
            CacheMountRemoval::Removed(tally) => {
                let size = text::size(tally.bytes, true);
                print::out(&format!("removed cache mount {name}: {size}\n"))?;
            }
            CacheMountRemoval::Absent => {
                print::out(&format!("cache mount {name} was gone already\n"))?;
            }
            CacheMountRemoval::InUse => {
                let error = anyhow!(
                    "the cache mount {name} is in use by a running step; nothing of it was \
                     removed, try again when the step has ended"
                );
                return Err(error.into());
            }
        }
    }
    Ok(())
}

fn remote(site: Site<'_>, place: &str, keys: &[String]) -> Result<(), Failure> {
    let import = site.import("--remote", place)?;
    let removed = site.ask(&import, async |server| {
        let mut records = Vec::new();
        for key in keys {
            records.push(server.find(key).await?);
        }
        let mut lines = String::new();
        for record in records {
            let key = record.key.hex();
            lines += &if server.remove(&record).await? {
                format!("removed record {key}\n")
            } else {
                format!("record {key} was gone already\n")
            };
        }
        Ok(lines)
    })?;
    Ok(print::out(&removed)?)
}
