//! Results that are given to a registry: their layers now, their records when the build ends.

use std::io::{self, Read};
use std::sync::Arc;

use acetate_image::{Force, ImageError};
use acetate_oci::{Descriptor, Digest};
use acetate_registry::{BlobSource, NoProgress, Progress, PushBlob, Pushed, RegistryError};
use acetate_store::Store;

use super::cache::{Inner, Loaded, Owner, RegistryCache, RegistryOptions};
use super::fault::{cause, words};
use crate::layout::MAX_LAYER;
use crate::layout::catalog::MAX_LAYERS;
use crate::layout::publish::form;
use crate::remote::{Cause, Existing, LayerSource, Publication, Published, Put, Skip};
use crate::{CacheKey, Fidelity};

impl RegistryCache {
    /// Sends what the repository lacks of the layers, and keeps the records in mind.
    pub(super) async fn give(&self, publication: &Publication) -> Published {
        let outcome = self.try_give(publication).await;
        self.0.notes.count_given(publication.keys.len(), &outcome);
        match outcome {
            Ok(puts) => Published::Done(puts),
            Err(skip) => {
                tracing::debug!(?skip, "a result is not given to a registry");
                Published::Skipped(skip)
            }
        }
    }

    async fn try_give(&self, publication: &Publication) -> Result<Vec<Put>, Skip> {
        let Some(options) = &self.0.options else {
            return Err(Skip::Cache(Cause::Forbidden));
        };
        if publication.fidelity != Fidelity::Full {
            return Err(Skip::Reduced);
        }
        let layers = &publication.layers;
        if layers.len() > MAX_LAYERS || layers.iter().any(|layer| layer.size > MAX_LAYER) {
            return Err(Skip::TooLarge);
        }
        let loaded = self.loaded().await;
        self.0.check_writable(&loaded)?;
        let mut puts = Vec::with_capacity(publication.keys.len());
        for key in &publication.keys {
            let stays = publication.existing == Existing::Keep
                && self.0.is_whole(key, &loaded, options).await?;
            puts.push(if stays { Put::Kept } else { Put::Written });
        }
        if puts.contains(&Put::Written) {
            for source in layers.iter().filter(|source| source.base.is_none()) {
                let send = || self.0.send(source, &loaded, options);
                self.0.placed.get_or_try_init(&source.diff_id, send).await?;
            }
        }
        let listings = if puts.contains(&Put::Written) {
            self.send_listings(publication).await
        } else {
            Vec::new()
        };
        let placed = |diff_id: &Digest| self.0.placed.get(diff_id);
        let mut state = self.0.state();
        let ledger = &mut state.ledger;
        ledger.remember(publication, &loaded.view.catalog, &puts, listings, placed);
        Ok(puts)
    }
}

impl Inner {
    /// Refuses where an earlier fault, or what the tag leads to, forbids to write.
    fn check_writable(&self, loaded: &Loaded) -> Result<(), Skip> {
        if let Some(cause) = self.state().stopped {
            return Err(Skip::Cache(cause));
        }
        match loaded.owner {
            Owner::Us => Ok(()),
            // It was warned of when it was found.
            Owner::Newer => Err(Skip::Cache(Cause::Damaged)),
            Owner::Image => {
                let reason = "there is an image, which is not written over; name another tag";
                Err(self.stop(Cause::Failing, reason))
            }
        }
    }

    /// Writes nothing any more after a fault, which is warned of once.
    pub(super) fn stop(&self, cause: Cause, reason: &str) -> Skip {
        self.state().stopped = Some(cause);
        self.notes.warn(cause, || {
            let name = self.shown();
            format!("results are not kept in the cache `{name}`: {reason}")
        });
        Skip::Cache(cause)
    }

    /// True when there is a record and the repository has all its layers.
    async fn is_whole(
        &self,
        key: &CacheKey,
        loaded: &Loaded,
        options: &RegistryOptions,
    ) -> Result<bool, Skip> {
        let catalog = &loaded.view.catalog;
        let Some(layers) = catalog.layers_of(key) else {
            return Ok(false);
        };
        for layer in layers {
            let Some(blob) = catalog.blobs().get(&layer.diff_id) else {
                if layer.base.is_none() {
                    return Ok(false);
                }
                continue;
            };
            if self.placed.get(&layer.diff_id).is_some() {
                continue;
            }
            if !self.is_good(blob, options).await? {
                return Ok(false);
            }
            let placed = async || blob.clone();
            self.placed.get_or_init(&layer.diff_id, placed).await;
        }
        Ok(true)
    }

    /// True when a blob that a record names serves as it is; the registry is asked for it.
    async fn is_good(&self, blob: &Descriptor, options: &RegistryOptions) -> Result<bool, Skip> {
        let kind = blob.media_type.compression();
        if options.force == Force::Other && kind != Some(options.recipe.compression()) {
            return Ok(false);
        }
        self.has(blob).await.map_err(|error| self.failed(&error))
    }

    /// True when the repository has a blob.
    pub(super) async fn has(&self, blob: &Descriptor) -> Result<bool, RegistryError> {
        let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
        let size = registries.has_blob(repository, blob.digest).await?;
        // A size of zero is what registries say that do not know it.
        Ok(size.is_some_and(|size| size == blob.size || size == 0))
    }

    fn failed(&self, error: &RegistryError) -> Skip {
        self.stop(cause(error), &format!("failed to {}", words(error)))
    }

    /// Makes sure that a layer is in the repository; gives its form there.
    async fn send(
        &self,
        source: &LayerSource,
        loaded: &Loaded,
        options: &RegistryOptions,
    ) -> Result<Descriptor, Skip> {
        if let Some(blob) = loaded.view.catalog.blobs().get(&source.diff_id)
            && self.is_good(blob, options).await?
        {
            return Ok(blob.clone());
        }
        for _ in 0..2 {
            let blob = self.form(source, options).await?;
            let push = PushBlob {
                descriptor: blob.clone(),
                source: Arc::new(Stored {
                    store: Arc::clone(&self.store),
                    digest: blob.digest,
                }),
                mount_from: options.mount_from.clone(),
            };
            let silent: Arc<dyn Progress> = Arc::new(NoProgress);
            let (registries, repository) = (self.shelf.registries(), self.shelf.repository());
            match registries.push_blob(repository, &push, &silent).await {
                Ok(pushed) => {
                    if pushed == Pushed::Sent {
                        self.notes.count(|stats| stats.bytes_up += blob.size);
                    }
                    return Ok(blob);
                }
                // What the store remembered is gone or damaged; the second time it is made.
                Err(RegistryError::Source { .. }) => {
                    drop(self.store.blobs().remove(&blob.digest));
                }
                Err(error) => return Err(self.failed(&error)),
            }
        }
        let diff_id = source.diff_id;
        Err(Skip::Source(format!(
            "the store does not keep the layer `{diff_id}`"
        )))
    }

    /// Compresses a layer, unless the store has it in a form that serves.
    async fn form(
        &self,
        source: &LayerSource,
        options: &RegistryOptions,
    ) -> Result<Descriptor, Skip> {
        let _slot = self.slots.acquire().await;
        let (store, source) = (Arc::clone(&self.store), source.clone());
        let (recipe, force) = (options.recipe, options.force);
        let made = acetate_stdx::blocking(move || {
            let form = form(&store, &source, recipe, force)?;
            crate::layout::verified::note(&store, &form.descriptor.digest, &source.diff_id);
            Ok::<_, ImageError>(form.descriptor)
        });
        made.await.map_err(|error| Skip::Source(words(&error)))
    }
}

/// A blob of the store.
#[derive(Debug)]
struct Stored {
    store: Arc<Store>,
    digest: Digest,
}

impl BlobSource for Stored {
    fn open(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let blob = self.store.blobs().open(&self.digest)?;
        let mut blob = blob.ok_or_else(|| {
            let words = format!("the blob `{}` is gone", self.digest);
            io::Error::new(io::ErrorKind::NotFound, words)
        })?;
        // Read and not skipped: damage is found by reading all of it.
        io::copy(&mut (&mut blob).take(offset), &mut io::sink())?;
        Ok(Box::new(blob))
    }
}
