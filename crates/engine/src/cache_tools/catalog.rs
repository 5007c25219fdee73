//! The records of the local store, with their layers.

use crate::BuildError;
use crate::engine::Engine;
use acetate_cache::remote::action_key;
use acetate_cache::{CacheKey, Fidelity, HeldRecord, Inventory, Origin};
use acetate_oci::{Digest, Timestamp};
use acetate_store::{BlobRef, CacheMountItem, LayerId};
use std::collections::HashSet;

/// A record of the local store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedRecord {
    /// What it answers.
    pub key: CacheKey,
    /// The key that a shared cache has for it.
    pub shared_key: Digest,
    /// Its layers, bottom to top; none for hints.
    pub layers: Vec<CachedLayer>,
    /// How long the step ran, in milliseconds.
    pub duration_ms: u64,
    /// Where it came from.
    pub origin: Origin,
    /// What kind of sandbox made it.
    pub fidelity: Fidelity,
    /// When it was last used, to the hour.
    pub used: Timestamp,
}

/// A layer of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CachedLayer {
    /// Its name in the store.
    pub id: LayerId,
    /// When it was made.
    pub created: Timestamp,
    /// The digest of its tar; none while it is not sealed.
    pub diff_id: Option<Digest>,
    /// The size of its tar in bytes; 0, or an estimate, while it is not sealed.
    pub size: u64,
    /// Its blob, whether or not that is here.
    pub blob: Option<BlobRef>,
    /// Whether its directory is here.
    pub has_directory: bool,
    /// Whether its blob is here.
    pub has_blob: bool,
    /// Where it came from.
    pub origin: LayerOrigin,
}

/// Where a layer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerOrigin {
    /// A step made it here.
    Made,
    /// It lies below all recorded steps: a base image has it.
    Base,
    /// It came as a blob and is of no base image, as far as known.
    Pulled,
}

impl CachedRecord {
    /// The bytes of all its layers, as far as known.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// True when the size of every layer is known.
    pub fn is_sealed(&self) -> bool {
        self.layers.iter().all(|layer| layer.diff_id.is_some())
    }

    /// True when every layer is here in some form, so that a build can use it.
    pub fn is_usable(&self) -> bool {
        let mut layers = self.layers.iter();
        layers.all(|layer| layer.has_directory || layer.has_blob)
    }

    /// When its topmost layer was made.
    pub fn created(&self) -> Option<Timestamp> {
        self.layers.last().map(|layer| layer.created)
    }
}

impl Engine {
    /// All records of the store, by key. Looking counts as no use.
    pub fn cached_records(&self) -> Result<Vec<CachedRecord>, BuildError> {
        Ok(records(&self.cache().inventory()?))
    }

    /// All cache mounts of the store, by id and identity; reads every directory of them.
    pub fn cache_mounts(&self) -> Result<Vec<CacheMountItem>, BuildError> {
        let mut mounts = self.store.cache_mounts().list()?;
        let id = |item: &CacheMountItem| item.name.as_ref().map(|name| name.id.clone());
        mounts.sort_by_key(|item| (id(item).is_none(), id(item), item.identity));
        Ok(mounts)
    }
}

pub(super) fn records(inventory: &Inventory) -> Vec<CachedRecord> {
    let chain = |held: &HeldRecord| held.layers.iter().map(|(id, _)| *id).collect();
    let chains: HashSet<Vec<LayerId>> = inventory.records.iter().map(chain).collect();
    let records = inventory.records.iter();
    records
        .map(|held| record(held, inventory, &chains))
        .collect()
}

fn record(
    held: &HeldRecord,
    inventory: &Inventory,
    chains: &HashSet<Vec<LayerId>>,
) -> CachedRecord {
    let ids: Vec<LayerId> = held.layers.iter().map(|(id, _)| *id).collect();
    let n_base = n_base(&ids, chains);
    let layers = held.layers.iter().enumerate().map(|(n, (id, created))| {
        let origin = match id {
            LayerId::Local(_) => LayerOrigin::Made,
            LayerId::Chain(_) if n < n_base => LayerOrigin::Base,
            LayerId::Chain(_) => LayerOrigin::Pulled,
        };
        let stored = inventory.layers.get(id);
        CachedLayer {
            id: *id,
            created: *created,
            diff_id: stored.and_then(|stored| stored.row.diff_id),
            size: stored.map_or(0, |stored| stored.row.size),
            blob: stored.and_then(|stored| stored.row.blob.clone()),
            has_directory: stored.is_some_and(|stored| stored.has_directory),
            has_blob: stored.is_some_and(|stored| stored.has_blob),
            origin,
        }
    });
    CachedRecord {
        key: held.key,
        shared_key: action_key(&held.key),
        layers: layers.collect(),
        duration_ms: held.duration_ms,
        origin: held.origin.clone(),
        fidelity: held.fidelity.clone(),
        used: Timestamp::from_secs(held.used),
    }
}

/// How many layers of a chain are those of a base image. The store does not say; but a step adds one
/// layer at most, and the shortest part of the chain that is recorded by itself is the first step.
fn n_base(ids: &[LayerId], chains: &HashSet<Vec<LayerId>>) -> usize {
    let first = (1..=ids.len()).find(|n| chains.contains(&ids[..*n]));
    let below = first.map_or(0, |n| n - 1);
    let made = ids.iter().position(|id| matches!(id, LayerId::Local(_)));
    made.map_or(below, |made| below.min(made))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_below_the_first_recorded_step_is_the_base() {
        let chain = |n: u8| LayerId::Chain(Digest::of(&[n]));
        let local = |n: u8| LayerId::Local([n; 16]);
        let whole = vec![chain(1), chain(2), local(3), chain(4)];
        let chains = HashSet::from([whole[..3].to_vec(), whole.clone()]);
        assert_eq!(n_base(&whole, &chains), 2);
        assert_eq!(n_base(&whole[..3], &chains), 2);
        // What was imported step by step has no layer that was made here.
        let imported = vec![chain(1), chain(5), chain(6)];
        let chains = HashSet::from([imported[..2].to_vec(), imported.clone()]);
        assert_eq!(n_base(&imported, &chains), 1);
        // A step on scratch.
        assert_eq!(n_base(&[local(7)], &HashSet::from([vec![local(7)]])), 0);
        // Never more than up to what was made here.
        let alone = vec![local(1), chain(2)];
        assert_eq!(n_base(&alone, &HashSet::from([alone.clone()])), 0);
        assert_eq!(n_base(&[], &chains), 0);
    }
}
