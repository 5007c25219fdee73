//! Layers of the store as caches read them.

use acetate_cache::remote::{LayerSource, ListingSource, TarOpener};
use acetate_image::{ImageError, ImageLayer};
use acetate_oci::{Descriptor, Digest, Timestamp};
use acetate_snapshot::{Layer, Sealed, SnapshotError, Snapshots};
use acetate_store::Store;
use std::io::{self, Read};
use std::sync::Arc;

/// Why a layer cannot be given to a cache.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("failed to {0}")]
    Image(#[from] ImageError),
    #[error("failed to read a layer")]
    Read(#[source] io::Error),
    #[error("the blob `{0}` is gone")]
    Gone(Digest),
}

/// A sealed layer to be published; `base` is its blob in a base image, which need not travel.
pub(crate) fn layer_source(
    store: &Arc<Store>,
    sealed: &Sealed,
    created: Timestamp,
    base: Option<Descriptor>,
) -> Result<LayerSource, SourceError> {
    let layer = ImageLayer {
        descriptor: sealed.blob.clone(),
        diff_id: sealed.diff_id,
    };
    Ok(LayerSource {
        diff_id: sealed.diff_id,
        size: match base {
            Some(_) => sealed.blob.size,
            None => tar_size(store, &layer)?,
        },
        created,
        base,
        listing: None,
        open: opener(store, layer),
    })
}

/// The listing of a layer, where it is known with the digests of all files.
pub(crate) fn listing_source(
    snapshots: &Snapshots,
    layer: &Layer,
) -> Result<Option<ListingSource>, SnapshotError> {
    let known = snapshots.known_listing(layer)?;
    let Some(listing) = known.filter(|listing| listing.is_digested()) else {
        return Ok(None);
    };
    let bytes = listing.encode();
    let (snapshots, layer) = (snapshots.clone(), layer.clone());
    let open = move || {
        let known = snapshots.known_listing(&layer).map_err(io::Error::other)?;
        let known = known.ok_or(io::ErrorKind::NotFound)?;
        Ok(known.encode())
    };
    Ok(Some(ListingSource {
        digest: Digest::of(&bytes),
        size: bytes.len() as u64,
        open: Arc::new(open),
    }))
}

/// The size of a tar: that of its blob, or counted where the blob is compressed.
fn tar_size(store: &Store, layer: &ImageLayer) -> Result<u64, SourceError> {
    if layer.descriptor.digest == layer.diff_id {
        return Ok(layer.descriptor.size);
    }
    let mut tar = open(store, layer)?;
    io::copy(&mut tar, &mut io::sink()).map_err(SourceError::Read)
}

/// Gives the bytes as they are: whoever they are for hashes them in any case.
fn opener(store: &Arc<Store>, layer: ImageLayer) -> TarOpener {
    let store = Arc::clone(store);
    Arc::new(move || {
        if layer.descriptor.digest != layer.diff_id {
            return open(&store, &layer).map_err(io::Error::other);
        }
        match store.blobs().open_unverified(&layer.diff_id) {
            Ok(Some(file)) => Ok(Box::new(file)),
            Ok(None) => Err(io::Error::other(SourceError::Gone(layer.diff_id))),
            Err(error) => Err(io::Error::other(error)),
        }
    })
}

fn open(store: &Store, layer: &ImageLayer) -> Result<Box<dyn Read + Send>, SourceError> {
    match layer.open(store)? {
        Some(reader) => Ok(Box::new(reader)),
        None => Err(SourceError::Gone(layer.descriptor.digest)),
    }
}
