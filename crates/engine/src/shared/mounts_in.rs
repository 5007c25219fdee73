//! Directories of cache mounts that begin with what caches have.

use super::mount_fact::MountFact;
use super::{SharedCaches, SharedHit};
use crate::Trust;
use crate::progress::Progress;
use crate::runner::StepRunner;
use acetate_cache::CacheKey;
use acetate_cache::remote::{LayerForm, Lost};
use acetate_oci::{Compression, Digest};
use acetate_snapshot::{LayerInput, SnapshotError, Snapshots, Top};
use acetate_store::{CacheMountName, CachePlace, Store, StoreError};
use std::sync::Arc;

/// Begins directories with what the caches of a build have for them.
#[derive(Debug, Clone)]
pub(crate) struct MountsIn {
    store: Arc<Store>,
    snapshots: Snapshots,
    caches: SharedCaches,
    progress: Progress,
}

/// What a directory can begin with that does not begin as its step says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vacancy {
    /// There is no directory yet, and caches may have one.
    Missing(CachePlace),
    /// What is there came from nobody whom this build trusts.
    Distrusted(CachePlace),
}

impl Vacancy {
    /// Where the new directory goes.
    pub(crate) fn place(self) -> CachePlace {
        match self {
            Self::Missing(place) | Self::Distrusted(place) => place,
        }
    }
}

/// Why a directory does not begin with what a cache has.
#[derive(Debug, thiserror::Error)]
enum NotTaken {
    #[error("the record is not one of a cache mount")]
    Shape,
    #[error("nobody signed it")]
    Unsigned,
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error("what came is gone")]
    Gone,
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("failed to {0}")]
    Store(#[from] StoreError),
}

impl MountsIn {
    /// What the caches of a build have.
    pub(crate) fn of(runner: &StepRunner) -> Self {
        Self {
            store: Arc::clone(&runner.store),
            snapshots: runner.snapshots.clone(),
            caches: runner.caches.clone(),
            progress: runner.progress.clone(),
        }
    }

    /// True when nothing that nobody signed may enter a step: who signs vouches for all of it.
    fn is_strict(&self) -> bool {
        let signs = self.caches.exports.iter().any(|it| it.spec.sign.is_some());
        let mut imports = self.caches.imports.iter();
        let requires = imports.all(|it| matches!(it.spec.trust, Trust::Require(_)));
        signs || (requires && !self.caches.imports.is_empty())
    }

    /// Whether a directory of this cache mount is to begin anew; reads two directories at most.
    pub(crate) fn vacancy(&self, identity: &Digest) -> Result<Option<Vacancy>, StoreError> {
        let mounts = self.store.cache_mounts();
        if !self.caches.imports.is_empty()
            && let Some(place) = mounts.first(identity)?
        {
            return Ok(Some(Vacancy::Missing(place)));
        }
        if self.is_strict() && mounts.is_unsigned(identity)? {
            let place = mounts.successor(identity)?;
            return Ok(Some(Vacancy::Distrusted(place)));
        }
        Ok(None)
    }

    /// Makes the directory of a vacancy, of the first cache that has it; returns the vacancy when
    /// none does. Others that want the same directory wait until this is dropped or done.
    pub(crate) async fn fill(
        &self,
        identity: &Digest,
        name: &CacheMountName,
    ) -> Result<Option<Vacancy>, StoreError> {
        let lock = format!("cache-mount-{}", identity.hex());
        let _alone = self.store.lock(&lock).await?;
        let look = {
            let (this, identity) = (self.clone(), *identity);
            acetate_stdx::blocking(move || this.vacancy(&identity)).await?
        };
        let Some(vacancy) = look else {
            // Somebody else has made it meanwhile.
            return Ok(None);
        };
        let hits = self.caches.lookup(&[CacheKey::mount(identity)]).await;
        for hit in hits.into_iter().flatten() {
            match self.take((identity, name), vacancy.place(), &hit).await {
                Ok(()) => return Ok(None),
                Err(error) => {
                    let cache = hit.cache.name();
                    tracing::debug!(%cache, %error, "a shared cache mount is not used");
                }
            }
        }
        Ok(Some(vacancy))
    }

    async fn take(
        &self,
        (identity, name): (&Digest, &CacheMountName),
        place: CachePlace,
        hit: &SharedHit,
    ) -> Result<(), NotTaken> {
        let [layer] = hit.hit.record.layers.as_slice() else {
            return Err(NotTaken::Shape);
        };
        if matches!(layer.form, LayerForm::Blob(_)) {
            return Err(NotTaken::Shape);
        }
        let is_unsigned = hit.hit.signer.is_none();
        if is_unsigned && self.is_strict() {
            return Err(NotTaken::Unsigned);
        }
        let blob = hit.cache.fetch(layer).await?;
        let this = self.clone();
        let (diff_id, identity, cache) = (layer.diff_id, *identity, hit.cache.name());
        let name = name.clone();
        acetate_stdx::blocking(move || {
            let reader = this.store.blobs().open(&blob.digest)?;
            let input = LayerInput {
                reader: reader.ok_or(NotTaken::Gone)?,
                compression: Compression::None,
                diff_id,
            };
            let new = this.store.cache_mounts().create(place)?;
            let path = new.path();
            let aside = path.with_file_name("aside");
            if this.snapshots.unpack(input, &path, &aside)? == Top::Untold {
                return Err(NotTaken::Shape);
            }
            new.describe(&name)?;
            if is_unsigned {
                new.mark_unsigned()?;
            }
            let survey = this.snapshots.survey(&path)?;
            let fact = MountFact::new(&survey, diff_id, this.progress.now());
            new.publish()?;
            fact.put(&this.store, &identity, &cache);
            // The directory is what is used from now on.
            this.store.blobs().remove(&blob.digest)?;
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
#[path = "mounts_in_tests.rs"]
mod tests;
