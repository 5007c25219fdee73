//! Results that are given to a layout: their blobs now, their records when the build ends.

use std::io::{self, Read};
use std::sync::Arc;

use acetate_image::{Force, ImageError, ImageLayer, pack};
use acetate_oci::{Descriptor, Digest};
use acetate_store::{Store, StoreError};

use super::cache::{Inner, LayoutCache, LayoutOptions, Loaded, MAX_LAYER};
use super::catalog::{Entry, Layer, MAX_LAYERS};
use super::listing::Listings;
use super::notes::cause;
use super::verified;
use crate::remote::{Cause, Existing, LayerSource, Publication, Published, Put, Skip};
use crate::{CacheKey, Fidelity};

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

impl LayoutCache {
    /// Writes what the directory lacks of the layers, and keeps the records in mind.
    pub(super) async fn give(&self, publication: &Publication) -> Published {
        let outcome = self.try_give(publication).await;
        let n_keys = publication.keys.len() as u64;
        self.0.notes.count(|stats| match &outcome {
            Ok(puts) => {
                let n_written = puts.iter().filter(|put| **put == Put::Written).count() as u64;
                stats.published += n_written;
                stats.kept += n_keys - n_written;
            }
            Err(_) => stats.skipped += n_keys,
        });
        match outcome {
            Ok(puts) => Published::Done(puts),
            Err(skip) => {
                tracing::debug!(?skip, "a result is not given to a layout");
                Published::Skipped(skip)
            }
        }
    }

    async fn try_give(&self, publication: &Publication) -> Result<Vec<Put>, Skip> {
        let Some(options) = self.0.options else {
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
        self.prepare(&loaded).await?;
        let puts = self.puts(publication, &loaded, options).await?;
        if puts.contains(&Put::Written) {
            for source in layers.iter().filter(|source| source.base.is_none()) {
                self.place(source, &loaded, options).await?;
            }
        }
        let listings = if puts.contains(&Put::Written) {
            self.place_listings(publication).await
        } else {
            Vec::new()
        };
        self.remember(publication, &loaded, &puts, listings);
        Ok(puts)
    }

    /// Makes the directory ready, once, and keeps others from removing blobs.
    async fn prepare(&self, loaded: &Loaded) -> Result<(), Skip> {
        if let Some(cause) = self.0.state().stopped {
            return Err(Skip::Cache(cause));
        }
        if loaded.is_newer {
            // It was warned of when it was found.
            return Err(Skip::Cache(Cause::Damaged));
        }
        let inner = Arc::clone(&self.0);
        acetate_stdx::blocking(move || {
            if inner.state().blobs.is_some() {
                return Ok(());
            }
            let prepared = inner.dir.prepare().and_then(|()| inner.dir.lock_blobs());
            let lock = prepared.map_err(|error| inner.stop(&error))?;
            inner.state().blobs.get_or_insert(lock);
            Ok(())
        })
        .await
    }

    /// For each key whether its record stays or is written.
    async fn puts(
        &self,
        publication: &Publication,
        loaded: &Loaded,
        options: LayoutOptions,
    ) -> Result<Vec<Put>, Skip> {
        let mut puts = Vec::with_capacity(publication.keys.len());
        for key in &publication.keys {
            let stays = publication.existing == Existing::Keep
                && self.is_whole(key, loaded, options).await?;
            puts.push(if stays { Put::Kept } else { Put::Written });
        }
        Ok(puts)
    }

    /// True when there is a record and, as far as can be told unread, all its layers are there.
    async fn is_whole(
        &self,
        key: &CacheKey,
        loaded: &Loaded,
        options: LayoutOptions,
    ) -> Result<bool, Skip> {
        let Some(layers) = loaded.catalog.layers_of(key) else {
            return Ok(false);
        };
        for layer in layers {
            let (diff_id, blob) = (layer.diff_id, loaded.catalog.blobs().get(&layer.diff_id));
            let Some(blob) = blob else {
                if layer.base.is_none() {
                    return Ok(false);
                }
                continue;
            };
            if self.0.placed.get(&diff_id).is_some() {
                continue;
            }
            let (inner, blob) = (Arc::clone(&self.0), blob.clone());
            let look = move || inner.is_good(&blob, options).then_some(blob);
            let Some(blob) = acetate_stdx::blocking(look).await else {
                return Ok(false);
            };
            let placed = async || blob;
            self.0.placed.get_or_init(&diff_id, placed).await;
        }
        Ok(true)
    }

    /// Makes sure that a layer is in the directory; for each tar that happens once.
    async fn place(
        &self,
        source: &LayerSource,
        loaded: &Loaded,
        options: LayoutOptions,
    ) -> Result<Descriptor, Skip> {
        let write = || {
            let (inner, source, loaded) = (Arc::clone(&self.0), source.clone(), loaded.clone());
            acetate_stdx::blocking(move || inner.write_layer(&source, &loaded, options))
        };
        self.0.placed.get_or_try_init(&source.diff_id, write).await
    }

    /// Keeps the records until the build ends.
    fn remember(
        &self,
        publication: &Publication,
        loaded: &Loaded,
        puts: &[Put],
        listings: Listings,
    ) {
        let layers: Vec<Layer> = publication.layers.iter().map(layer).collect();
        let of = Entry {
            chain: None,
            duration_ms: publication.duration_ms,
            fidelity: publication.fidelity.clone(),
            made_of: publication.made_of.clone(),
        };
        let with = |wanted: Put| {
            let keys = publication.keys.iter().zip(puts);
            keys.filter(move |(_, put)| **put == wanted)
                .map(|(key, _)| *key)
                .collect::<Vec<CacheKey>>()
        };
        let (written, kept) = (with(Put::Written), with(Put::Kept));
        let mut state = self.0.state();
        for layer in &layers {
            if let Some(blob) = self.0.placed.get(&layer.diff_id) {
                state.ours.put_blob(layer.diff_id, blob);
            }
        }
        state.ours.put_result(&written, &layers, &of);
        state.ours.put_listings(&layers, listings);
        let fresh = kept.iter().filter(|key| !state.ours.holds(key)).copied();
        let fresh: Vec<CacheKey> = fresh.collect();
        if !fresh.is_empty() {
            state.ours.adopt(&loaded.catalog, fresh.iter());
        }
        state.has_news |= !written.is_empty();
        // What was there was to be replaced, or is of no use. What was not there, and is when the
        // build ends, stays: all go on from the first result.
        let replaced = written
            .into_iter()
            .filter(|key| publication.existing == Existing::Replace || loaded.catalog.holds(key));
        state.replaces.extend(replaced);
    }
}

fn layer(source: &LayerSource) -> Layer {
    Layer {
        diff_id: source.diff_id,
        size: source.size,
        created: source.created,
        base: source.base.clone(),
    }
}

impl Inner {
    /// Writes nothing any more after a fault, which is warned of once.
    pub(super) fn stop(&self, error: &io::Error) -> Skip {
        let cause = cause(error);
        self.state().stopped = Some(cause);
        self.notes.warn(cause, || {
            let dir = self.dir.path().display();
            format!("results are not kept in the cache in `{dir}`: {error}")
        });
        Skip::Cache(cause)
    }

    /// True when a blob of the directory serves as it is, as far as can be told unread.
    fn is_good(&self, blob: &Descriptor, options: LayoutOptions) -> bool {
        let kind = blob.media_type.compression();
        let fits = options.force == Force::Plain || kind == Some(options.recipe.compression());
        fits && self.dir.has(blob) && !self.is_spoilt(&blob.digest)
    }

    pub(super) fn is_spoilt(&self, blob: &Digest) -> bool {
        let place = self.real_path();
        let known = verified::is_spoilt(&self.store, &place.to_string_lossy(), blob);
        known.unwrap_or_else(|error| {
            tracing::debug!(%error, "what is known of a blob in a layout cannot be asked");
            false
        })
    }

    fn write_layer(
        &self,
        source: &LayerSource,
        loaded: &Loaded,
        options: LayoutOptions,
    ) -> Result<Descriptor, Skip> {
        if let Some(blob) = loaded.catalog.blobs().get(&source.diff_id)
            && self.is_good(blob, options)
        {
            return Ok(blob.clone());
        }
        if let Some(cause) = self.state().stopped {
            return Err(Skip::Cache(cause));
        }
        let unusable = |error: ImageError| Skip::Source(error.to_string());
        for _ in 0..2 {
            let form = form(&self.store, source, options).map_err(unusable)?;
            let blob = form.descriptor;
            match self.copy(&blob) {
                Ok(true) => {
                    let place = self.real_path();
                    verified::note(&self.store, &blob.digest, &source.diff_id);
                    verified::forget_spoilt(&self.store, &place.to_string_lossy(), &blob.digest);
                    self.notes.count(|stats| stats.bytes_up += blob.size);
                    return Ok(blob);
                }
                // What the store remembered is gone or damaged; the second time it is made.
                Ok(false) => drop(self.store.blobs().remove(&blob.digest)),
                Err(error) => return Err(self.stop(&error)),
            }
        }
        Err(Skip::Source(format!(
            "the store does not keep the layer `{}`",
            source.diff_id
        )))
    }

    /// Copies a blob of the store into the directory; false when the store does not have it whole.
    fn copy(&self, blob: &Descriptor) -> io::Result<bool> {
        let Some(mut reader) = self.store.blobs().open(&blob.digest)? else {
            return Ok(false);
        };
        let written = self.dir.put_blob(&blob.digest, |file| {
            let mut piece = vec![0; PIECE];
            loop {
                match reader.read(&mut piece)? {
                    0 => return Ok(()),
                    n => file.write_all(&piece[..n])?,
                }
            }
        });
        match written {
            Ok(()) => Ok(true),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn is_damage(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(StoreError::Damaged { .. }))
}

/// The form of a layer in the store that the directory is given.
fn form(
    store: &Store,
    source: &LayerSource,
    options: LayoutOptions,
) -> Result<ImageLayer, ImageError> {
    if options.force == Force::Plain
        && let Some(descriptor) = verified::find(store, &source.diff_id)?
    {
        return Ok(ImageLayer {
            descriptor,
            diff_id: source.diff_id,
        });
    }
    pack(store, &source.diff_id, || (source.open)(), options.recipe)
}
