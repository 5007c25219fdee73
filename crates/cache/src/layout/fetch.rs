//! Layers that come out of a layout.

use std::io;
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest};
use acetate_store::BlobRef;

use super::cache::{Inner, LayoutCache, MAX_LAYER};
use super::intake::{self, Known, Refused, local};
use super::verified;
use crate::remote::{Cause, LayerForm, Lost, RemoteLayer};

impl LayoutCache {
    /// Brings the blob of a layer into the store, as it is compressed here.
    pub(super) async fn fetch_into_store(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let fetched = self.try_fetch(layer).await;
        self.0.notes.count(|stats| match &fetched {
            Ok(_) => {}
            Err(_) => stats.layers_lost += 1,
        });
        fetched.inspect_err(|lost| {
            tracing::debug!(layer = %layer.diff_id, %lost, "a layer of a layout did not come");
        })
    }

    async fn try_fetch(&self, layer: &RemoteLayer) -> Result<BlobRef, Lost> {
        let LayerForm::Blob(blob) = &layer.form else {
            return Err(Lost::Elsewhere);
        };
        if layer.size > MAX_LAYER || blob.size > MAX_LAYER {
            return Err(Lost::TooLarge);
        }
        if !self.0.owns(&self.loaded().await.catalog, &blob.digest) {
            return Err(Lost::Elsewhere);
        }
        // Another step, or another build, may be fetching it: the second one finds it here.
        let name = format!("fetch-{}", blob.digest.hex());
        let _lock = self.0.store.lock(&name).await.map_err(local)?;
        let _slot = self.0.slots.acquire().await;
        let (inner, layer, blob) = (Arc::clone(&self.0), layer.clone(), blob.clone());
        acetate_stdx::blocking(move || inner.bring(&layer, &blob)).await
    }
}

impl Inner {
    fn owns(&self, loaded: &super::catalog::Catalog, blob: &Digest) -> bool {
        loaded.owns(blob) || self.state().ledger.ours.owns(blob)
    }

    fn bring(&self, layer: &RemoteLayer, blob: &Descriptor) -> Result<BlobRef, Lost> {
        let known = intake::known(&self.store, layer, blob)?;
        if known == Known::Here {
            return Ok(intake::blob_ref(blob));
        }
        let opened = self.dir.open_blob(&blob.digest);
        let opened = opened.map_err(|error| self.unreadable(&error))?;
        let Some((file, size)) = opened else {
            return Err(Lost::Missing(blob.digest));
        };
        let is_plain = blob.digest == layer.diff_id;
        if size != blob.size || (is_plain && size != layer.size) {
            return Err(self.damaged(&blob.digest));
        }
        match intake::take_in(&self.store, layer, blob, known, file) {
            Ok(()) => {}
            Err(Refused::Wrong) => return Err(self.damaged(&blob.digest)),
            Err(Refused::Reader(error)) => return Err(self.unreadable(&error)),
            Err(Refused::Store(error)) => return Err(Lost::Local(error)),
        }
        self.notes.count(|stats| stats.bytes_down += blob.size);
        Ok(intake::blob_ref(blob))
    }

    /// Remembers that a blob is of no use, and warns once.
    fn damaged(&self, blob: &Digest) -> Lost {
        let place = self.real_path();
        verified::note_spoilt(&self.store, &place.to_string_lossy(), blob);
        self.notes.warn(Cause::Damaged, || {
            let dir = self.dir.path().display();
            format!("the cache in `{dir}` holds a damaged layer, which is made again")
        });
        Lost::Damaged(*blob)
    }

    fn unreadable(&self, error: &io::Error) -> Lost {
        let cause = super::notes::cause(error);
        self.notes.warn(cause, || {
            let dir = self.dir.path().display();
            format!("a layer in the cache in `{dir}` cannot be read: {error}")
        });
        Lost::Cache(cause)
    }
}
