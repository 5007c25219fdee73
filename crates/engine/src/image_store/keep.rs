//! Keeps under names what came from elsewhere, as it came.

use super::stored::document;
use crate::names::{self, Named, NamedImage};
use crate::{BuildError, Engine};
use acetate_image::{ImageLayer, WholeImage};
use acetate_oci::{Descriptor, Digest, ImageConfig, Manifest, Reference};
use acetate_snapshot::{BlobLayer, Layer};
use std::sync::Arc;

/// An image whose documents were read, and its layers.
pub(super) struct Whole {
    pub(super) images: Vec<NamedImage>,
    /// All of their layers, with what they hold.
    pub(super) layers: Vec<ImageLayer>,
}

impl Engine {
    /// Reads the images of documents whose blobs are all in the store.
    pub(super) fn images_in(&self, whole: &WholeImage) -> Result<Whole, BuildError> {
        let mut found = Whole {
            images: Vec::new(),
            layers: Vec::new(),
        };
        for (entry, bytes) in &whole.documents {
            let Some((manifest, config)) = self.image(entry, bytes)? else {
                continue;
            };
            let pairs = manifest.layers.iter().zip(&config.rootfs.diff_ids);
            let layers: Vec<BlobLayer> = pairs
                .map(|(blob, diff_id)| BlobLayer {
                    diff_id: *diff_id,
                    blob: blob.clone(),
                })
                .collect();
            let snapshot = self.snapshots.from_blobs(&layers)?;
            let platform = config.platform().normalized();
            let mut descriptor = entry.clone();
            descriptor.annotations.clear();
            descriptor.platform = Some(platform.clone());
            found.images.push(NamedImage {
                platform,
                manifest: descriptor,
                config: manifest.config.clone(),
                layers: snapshot.layers().iter().map(Layer::id).collect(),
            });
            found
                .layers
                .extend(layers.into_iter().map(|layer| ImageLayer {
                    descriptor: layer.blob,
                    diff_id: layer.diff_id,
                }));
        }
        Ok(found)
    }

    /// The image that a document is the manifest of, if it is one and no statement about another.
    fn image(
        &self,
        entry: &Descriptor,
        bytes: &[u8],
    ) -> Result<Option<(Manifest, ImageConfig)>, BuildError> {
        let is_artifact = entry.platform.as_ref().is_some_and(|it| it.os == "unknown");
        let manifest = serde_json::from_slice::<Manifest>(bytes).ok();
        let fits = |manifest: &Manifest| {
            manifest.artifact_type.is_none()
                && manifest
                    .layers
                    .iter()
                    .all(|layer| layer.media_type.is_layer())
        };
        let Some(manifest) = manifest.filter(|it| !is_artifact && fits(it)) else {
            return Ok(None);
        };
        let bytes = document(&self.store, &manifest.config.digest)?;
        let Ok(config) = serde_json::from_slice::<ImageConfig>(&bytes) else {
            return Ok(None);
        };
        let (n_layers, n_diffs) = (manifest.layers.len(), config.rootfs.diff_ids.len());
        if n_layers != n_diffs {
            return Err(BuildError::request(format!(
                "the configuration `{}` names {n_diffs} layers, its manifest {n_layers}",
                manifest.config.digest
            )));
        }
        Ok(Some((manifest, config)))
    }

    /// Gives names to an image of which everything is in the store.
    pub(super) fn keep_whole(
        &self,
        names: &[Reference],
        whole: &WholeImage,
        images: Vec<NamedImage>,
        digest: Option<Digest>,
    ) -> Result<(), BuildError> {
        if images.is_empty() {
            return Err(BuildError::request_with(
                format!("`{}` holds no image", whole.root.digest),
                "other artifacts are copied by `acetate image cp` from registry to registry",
            ));
        }
        for (_, bytes) in &whole.documents {
            self.store.blobs().put(bytes)?;
        }
        let documents = whole.documents.iter().map(|(entry, _)| entry.clone());
        let named = Named {
            name: String::new(),
            images,
            root: Some(whole.root.clone()),
            digest,
            kept: documents.chain(whole.blobs.values().cloned()).collect(),
        };
        names::keep(&self.store, names, named)
    }

    /// Reads every layer to its end: what it holds is what its image says.
    pub(super) async fn check_layers(&self, layers: Vec<ImageLayer>) -> Result<(), BuildError> {
        let store = Arc::clone(&self.store);
        let check = move || {
            for layer in layers {
                let digest = layer.descriptor.digest;
                let reader = layer.open(&store)?;
                let reader = reader.ok_or_else(|| {
                    BuildError::request(format!("the layer `{digest}` is gone from the store"))
                })?;
                reader.finish().map_err(|error| {
                    BuildError::request(format!(
                        "failed to trust the layer `{digest}`: it is not what its image says: {error}"
                    ))
                })?;
            }
            Ok(())
        };
        acetate_stdx::blocking(check).await
    }
}
