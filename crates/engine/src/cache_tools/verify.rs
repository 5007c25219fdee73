//! Whether what the local cache keeps is what it should be.

use crate::BuildError;
use crate::engine::Engine;
use acetate_cache::CacheKey;
use acetate_oci::Digest;
use acetate_store::{StoreError, StoredLayer};
use rayon::prelude::*;
use std::collections::BTreeSet;

/// What was found in the local cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LocalCheck {
    /// Blobs whose bytes were hashed and are right.
    pub sound: u64,
    /// How many bytes those have.
    pub sound_bytes: u64,
    /// Blobs whose bytes were not those of their name; they were removed.
    pub damaged: Vec<Digest>,
    /// Records that were looked at.
    pub records: u64,
    /// Records with a layer that was here and is lost or damaged; they were removed.
    pub lost: Vec<CacheKey>,
    /// Records with a layer that is not here: never fetched, pruned, or not known to have reached the
    /// disk before a restart of the machine. They are misses.
    pub unusable: u64,
    /// Records that cannot be read, or are of another version: misses.
    pub unreadable: u64,
}

impl LocalCheck {
    /// True when nothing was wrong.
    pub fn is_sound(&self) -> bool {
        self.damaged.is_empty() && self.lost.is_empty()
    }
}

impl Engine {
    /// Hashes all blobs again and looks for the layers of all records. What is damaged is removed, as
    /// a build would do that came across it.
    pub fn verify_cache(&self) -> Result<LocalCheck, BuildError> {
        let mut check = LocalCheck::default();
        let blobs = self.store.blobs().list()?;
        let verdicts: Vec<_> = blobs
            .par_iter()
            .map(|digest| self.store.blobs().rehash(digest))
            .collect();
        for (digest, verdict) in blobs.iter().zip(verdicts) {
            match verdict {
                Ok(Some(size)) => {
                    check.sound += 1;
                    check.sound_bytes += size;
                }
                // A prune was faster.
                Ok(None) => {}
                Err(StoreError::Damaged { .. }) => {
                    self.store.blobs().remove(digest)?;
                    check.damaged.push(*digest);
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.look_for_layers(&mut check)?;
        Ok(check)
    }

    fn look_for_layers(&self, check: &mut LocalCheck) -> Result<(), BuildError> {
        let damaged: BTreeSet<Digest> = check.damaged.iter().copied().collect();
        let is_lost = |layer: &StoredLayer| {
            let blob = layer.row.blob.as_ref();
            let was_here = layer.row.directory.is_trusted(self.store.boot())
                || blob.is_some_and(|blob| damaged.contains(&blob.digest));
            was_here && !layer.is_usable()
        };
        let inventory = self.cache().inventory()?;
        check.records = inventory.records.len() as u64;
        check.unreadable = inventory.n_unreadable;
        for record in &inventory.records {
            let layers = record.layers.iter().map(|(id, _)| inventory.layers.get(id));
            let mut missing = layers.filter(|layer| !layer.is_some_and(StoredLayer::is_usable));
            if missing.clone().flatten().any(is_lost) {
                check.lost.push(record.key);
            } else if missing.next().is_some() {
                check.unusable += 1;
            }
        }
        Ok(self.cache().forget(&check.lost)?)
    }
}
