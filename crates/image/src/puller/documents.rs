//! Loads manifests, indexes and configurations: from the store, else from the source.

use std::io::Read;
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, Manifest};
use acetate_registry::{Name, Repository};
use acetate_stdx::blocking;
use acetate_store::{Store, StoreError};

use super::Puller;
use crate::ImageError;
use crate::document::{self, CONFIG_LIMIT, MANIFEST_LIMIT, Purpose};
use crate::layout::Layout;
use crate::resolved::{Loaded, Origin};

impl Puller {
    /// Loads a manifest or index; `size` is checked when it is known.
    pub(super) async fn load(
        &self,
        origin: &Origin,
        digest: Digest,
        size: Option<u64>,
        purpose: Purpose,
    ) -> Result<Loaded, ImageError> {
        let bytes = self.load_bytes(origin, digest, size).await?;
        let document = purpose.parse(&bytes, &format!("`{digest}`"))?;
        Ok(Loaded {
            digest,
            bytes,
            document,
        })
    }

    /// Loads the bytes of a manifest or index, which have their digest; `size` is checked when it is
    /// known.
    async fn load_bytes(
        &self,
        origin: &Origin,
        digest: Digest,
        size: Option<u64>,
    ) -> Result<Vec<u8>, ImageError> {
        check_limit(digest, size, MANIFEST_LIMIT)?;
        let bytes = if let Some(bytes) = self.stored(digest, MANIFEST_LIMIT).await? {
            bytes
        } else {
            let bytes = match origin {
                Origin::Registry(image) => {
                    let (repository, name) = (Repository::from(image), Name::Digest(digest));
                    self.registries.manifest(&repository, &name).await?.bytes
                }
                Origin::Layout(layout) => {
                    read_from(Arc::clone(layout), digest, MANIFEST_LIMIT).await?
                }
                Origin::Store => return Err(gone(digest)),
            };
            document::check_digest(&bytes, digest)?;
            self.keep(&bytes).await?;
            bytes
        };
        if let Some(size) = size {
            check_size(&bytes, digest, size)?;
        }
        Ok(bytes)
    }

    /// Loads the configuration that a manifest names.
    pub(super) async fn load_config(
        &self,
        origin: &Origin,
        manifest: &Manifest,
    ) -> Result<Vec<u8>, ImageError> {
        let Descriptor { digest, size, .. } = manifest.config;
        check_limit(digest, Some(size), CONFIG_LIMIT)?;
        if let Some(bytes) = self.stored(digest, CONFIG_LIMIT).await? {
            check_size(&bytes, digest, size)?;
            return Ok(bytes);
        }
        let bytes = match origin {
            Origin::Registry(image) => {
                let repository = Repository::from(image);
                let registries = &self.registries;
                registries
                    .small_blob(&repository, &manifest.config, CONFIG_LIMIT)
                    .await?
            }
            Origin::Layout(layout) => read_from(Arc::clone(layout), digest, CONFIG_LIMIT).await?,
            Origin::Store => return Err(gone(digest)),
        };
        document::check_bytes(&bytes, &manifest.config)?;
        self.keep(&bytes).await?;
        Ok(bytes)
    }

    /// Keeps a verified document in the store.
    pub(super) async fn keep(&self, bytes: &[u8]) -> Result<(), ImageError> {
        let (store, bytes) = (Arc::clone(&self.store), bytes.to_vec());
        blocking(move || store.blobs().put(&bytes)).await?;
        Ok(())
    }

    async fn stored(&self, digest: Digest, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
        let store = Arc::clone(&self.store);
        blocking(move || read_stored(&store, digest, limit)).await
    }
}

/// Reads and pins a document; a damaged one counts as absent and is removed.
fn read_stored(store: &Store, digest: Digest, limit: u64) -> Result<Option<Vec<u8>>, ImageError> {
    if !super::layers::pin(store, digest)? {
        return Ok(None);
    }
    match store.blobs().read(&digest, limit) {
        Err(StoreError::Damaged { .. }) => {
            tracing::warn!(%digest, "a damaged blob was removed from the store");
            store.blobs().remove(&digest)?;
            Ok(None)
        }
        outcome => Ok(outcome?),
    }
}

async fn read_from(layout: Arc<Layout>, digest: Digest, limit: u64) -> Result<Vec<u8>, ImageError> {
    blocking(move || {
        let Some(blob) = layout.blob(&digest)? else {
            return Err(ImageError::NotFound {
                what: format!("the blob `{digest}` in the layout"),
            });
        };
        check_limit(digest, Some(blob.size), limit)?;
        let mut bytes = Vec::new();
        let read = blob.reader.take(limit).read_to_end(&mut bytes);
        read.map_err(ImageError::io(digest.to_string()))?;
        Ok(bytes)
    })
    .await
}

/// What a name in the store leads to is not there.
pub(super) fn gone(digest: Digest) -> ImageError {
    ImageError::NotFound {
        what: format!("the blob `{digest}` in the store"),
    }
}

fn check_limit(digest: Digest, size: Option<u64>, limit: u64) -> Result<(), ImageError> {
    match size {
        Some(size) if size > limit => Err(ImageError::corrupt(
            format!("the document `{digest}`"),
            format!("it has {size} bytes, more than the limit of {limit}"),
        )),
        _ => Ok(()),
    }
}

fn check_size(bytes: &[u8], digest: Digest, size: u64) -> Result<(), ImageError> {
    if bytes.len() as u64 == size {
        return Ok(());
    }
    Err(ImageError::corrupt(
        format!("the document `{digest}`"),
        format!("it has {} bytes instead of {size}", bytes.len()),
    ))
}
