//! Counts of what the local cache holds.

use super::catalog::{self, CachedRecord};
use crate::BuildError;
use crate::engine::Engine;
use acetate_cache::{KeyKind, Origin};
use acetate_store::{LayerId, Tally};
use std::collections::BTreeMap;

/// What the local cache holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalStats {
    /// Records of steps that ran here.
    pub made: u64,
    /// Records that were taken from caches, by the name of the cache.
    pub imported: BTreeMap<String, u64>,
    /// Records without layers, which say that a step was seen.
    pub hints: u64,
    /// Records, hints not counted, whose layers are not all here: misses.
    pub unusable: u64,
    /// Records of other versions, or damaged: misses.
    pub unreadable: u64,
    /// Milliseconds that the usable records save when each is used once.
    pub saved_ms: u64,
    /// Layers whose directory is here.
    pub directories: u64,
    /// Layers whose blob is here.
    pub blobs: u64,
    /// Layers of which both are here.
    pub both: u64,
    /// Layers of which neither is here.
    pub absent: u64,
    /// Bytes of the layers of all records, each time that a record names them.
    pub named_bytes: u64,
    /// Bytes of the same layers, each once.
    pub layer_bytes: u64,
    /// All blobs on the disk.
    pub disk_blobs: Tally,
    /// All layer directories on the disk.
    pub disk_directories: Tally,
    /// All directories of cache mounts on the disk.
    pub disk_mounts: Tally,
}

impl Engine {
    /// Counts what the local cache holds; reads every directory.
    pub fn cache_stats(&self) -> Result<LocalStats, BuildError> {
        let inventory = self.cache().inventory()?;
        let usage = self.usage()?;
        let mut stats = LocalStats {
            unreadable: inventory.n_unreadable,
            disk_blobs: usage.blobs,
            disk_directories: usage.layers,
            disk_mounts: usage.cache_mounts,
            ..LocalStats::default()
        };
        for layer in inventory.layers.values() {
            stats.directories += u64::from(layer.has_directory);
            stats.blobs += u64::from(layer.has_blob);
            stats.both += u64::from(layer.has_directory && layer.has_blob);
            stats.absent += u64::from(!layer.is_usable());
        }
        let mut sizes = BTreeMap::new();
        for record in catalog::records(&inventory) {
            stats.count(&record, &mut sizes);
        }
        stats.layer_bytes = sizes.values().sum();
        Ok(stats)
    }
}

impl LocalStats {
    fn count(&mut self, record: &CachedRecord, sizes: &mut BTreeMap<LayerId, u64>) {
        if record.key.kind() == KeyKind::Hint {
            self.hints += 1;
            return;
        }
        match &record.origin {
            Origin::Local => self.made += 1,
            Origin::Imported { from, .. } => *self.imported.entry(from.clone()).or_default() += 1,
        }
        if record.is_usable() {
            self.saved_ms += record.duration_ms;
        } else {
            self.unusable += 1;
        }
        self.named_bytes += record.size();
        sizes.extend(record.layers.iter().map(|layer| (layer.id, layer.size)));
    }
}
