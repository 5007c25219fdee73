//! Freeing what the cache takes, and no image.

use crate::engine::Engine;
use crate::{BuildError, names};
use acetate_cache::story::LocalStories;
use acetate_store::{CacheMountRule, Object, PruneOptions, PruneReport, Scope};
use std::time::Duration;

/// What a prune of the cache removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CachePrune {
    /// Only what was not used for so long.
    pub unused_for: Option<Duration>,
    /// Whether cache mounts that no step uses go, too.
    pub mounts: bool,
}

impl Engine {
    /// Removes records, and the layers that neither a record that stays nor a named image needs.
    pub fn prune_cache(&self, prune: CachePrune) -> Result<PruneReport, BuildError> {
        let objects: Vec<Object> = names::objects(&self.store)?;
        self.store.live().pin(&objects)?;
        let scope = match prune.unused_for {
            None => Scope::All,
            Some(time) => Scope::Unused {
                secs: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            },
        };
        let cache_mounts = if prune.mounts {
            CacheMountRule::Remove
        } else {
            CacheMountRule::Keep
        };
        let mut report = self.store.prune(&PruneOptions {
            scope,
            cache_mounts,
            // Else nobody could say that something was here.
            spared: &LocalStories::KINDS,
        })?;
        if prune.unused_for.is_none() {
            // What is fetched of repositories is a copy of something that is elsewhere.
            report.temporary += acetate_remote::prune(&self.store)?;
        }
        Ok(report)
    }
}
