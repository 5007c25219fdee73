//! Removing the directories of cache mounts.

use acetate_stdx::lock::Sharing;

use super::{CacheMountRule, Ctx};
use crate::cache_mounts::{Taken, slots, take_away};
use crate::root::lock_dir;
use crate::{StoreError, usage};

impl Ctx<'_> {
    /// Removes what `rule` says and nobody uses. What a later generation has replaced always goes.
    pub(super) fn remove_cache_mounts(&mut self, rule: CacheMountRule) -> Result<(), StoreError> {
        for (_, dir) in usage::entries(&self.root.cache_mounts())? {
            let Some(looking) = lock_dir(&dir, Sharing::Exclusive)? else {
                continue;
            };
            let mut hidden = Vec::new();
            let slots = slots(&dir)?;
            let newest = slots.last().map_or(0, |(slot, _)| slot.generation);
            for (slot, path) in slots {
                if rule == CacheMountRule::Keep && slot.generation == newest {
                    continue;
                }
                match take_away(self.root, &path) {
                    Ok(Taken::Away(path)) => hidden.push(path),
                    Ok(Taken::InUse) => self.report.cache_mounts_in_use += 1,
                    Err(error) => self.fail(&path, &error),
                }
            }
            // One that is not empty stays.
            drop(std::fs::remove_dir(&dir));
            drop(looking);
            for path in hidden {
                let tally = self.remove(&path);
                self.report.cache_mounts += tally;
            }
        }
        Ok(())
    }
}
