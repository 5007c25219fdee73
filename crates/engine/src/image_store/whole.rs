//! What a name of this machine leads to, ready to go elsewhere.

use super::stored::document;
use crate::names::{Named, NamedImage};
use crate::{BuildError, Engine, ImageOptions, export};
use acetate_image::{BlobOrigin, Bundle, Image, ImageLayer, WholeImage};
use acetate_oci::{Compression, Descriptor, Manifest};
use acetate_registry::Progress;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is done to layers that are not compressed.
pub(super) enum Pack<'a> {
    /// They go as they are.
    Never,
    /// They are compressed, as a push does, and this hears of it.
    Plain(&'a ImageOptions, &'a Arc<dyn Progress>),
}

impl Engine {
    /// All documents and blobs behind a name. An image that came from elsewhere goes byte for byte as
    /// it came, unless layers of it are to be compressed.
    pub(super) async fn whole_of(
        &self,
        named: &Named,
        pack: Pack<'_>,
    ) -> Result<(WholeImage, BlobOrigin), BuildError> {
        self.store
            .live()
            .pin(&crate::names::objects_of(&self.store, named)?)?;
        let is_packed = match pack {
            Pack::Never => true,
            Pack::Plain(..) => self.is_packed(named)?,
        };
        if let Some(root) = named.root.as_ref().filter(|_| is_packed) {
            return Ok(self.puller.whole_stored(root).await?);
        }
        let mut images = Vec::with_capacity(named.images.len());
        for image in &named.images {
            images.push(self.image_of(named, image).await?);
        }
        if let Pack::Plain(options, progress) = pack {
            let (store, options) = (Arc::clone(&self.store), options.clone());
            let (progress, known) = (Arc::clone(progress), BTreeMap::new());
            let packed = move || export::packed(&images, &store, &options, &known, &*progress);
            images = acetate_stdx::blocking(packed).await?;
        }
        let bundle = Bundle::new(&images, &[], &acetate_image::Annotations::default());
        for (_, bytes) in &bundle.documents {
            self.store.blobs().put(bytes)?;
        }
        for bytes in bundle.blobs.values() {
            self.store.blobs().put(bytes)?;
        }
        Ok(self.puller.whole_stored(&bundle.root).await?)
    }

    /// True when no layer would be compressed.
    fn is_packed(&self, named: &Named) -> Result<bool, BuildError> {
        for image in &named.images {
            let manifest = self.manifest_of(image)?;
            let plain =
                |layer: &Descriptor| layer.media_type.compression() == Some(Compression::None);
            if manifest.layers.iter().any(plain) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn manifest_of(&self, image: &NamedImage) -> Result<Manifest, BuildError> {
        let bytes = document(&self.store, &image.manifest.digest)?;
        serde_json::from_slice(&bytes)
            .map_err(|error| BuildError::request(format!("`{}`: {error}", image.manifest.digest)))
    }

    /// One image with the blobs of all its layers, which are made where there are directories only.
    pub(crate) async fn image_of(
        &self,
        named: &Named,
        image: &NamedImage,
    ) -> Result<Image, BuildError> {
        let gone = || {
            BuildError::request_with(
                format!("layers of image `{}` are gone", named.name),
                "build or pull it again",
            )
        };
        let manifest = self.manifest_of(image)?;
        let config_bytes = document(&self.store, &image.config.digest)?;
        let config: acetate_oci::ImageConfig = serde_json::from_slice(&config_bytes)
            .map_err(|error| BuildError::request(format!("`{}`: {error}", image.config.digest)))?;
        let snapshot = self
            .snapshots
            .from_layers(&image.layers)?
            .ok_or_else(gone)?;
        let snapshots = self.snapshots.clone();
        let store = Arc::clone(&self.store);
        let seal = move || {
            let mut layers = Vec::new();
            let diff_ids = &config.rootfs.diff_ids;
            let own = snapshot.layers().iter().zip(&manifest.layers).zip(diff_ids);
            for ((layer, named), diff_id) in own {
                let there = store.blobs().has(&named.digest)?.is_some();
                let descriptor = if there {
                    named.clone()
                } else {
                    let sealed = snapshots.seal(layer)?;
                    if store.blobs().has(&sealed.blob.digest)?.is_none() {
                        return Err(gone_layer(named));
                    }
                    sealed.blob.clone()
                };
                layers.push(ImageLayer {
                    descriptor,
                    diff_id: *diff_id,
                });
            }
            Ok(layers)
        };
        let layers = acetate_stdx::blocking(seal).await?;
        let style = if image.manifest.media_type == acetate_oci::MediaType::DOCKER_MANIFEST {
            acetate_image::Style::Docker
        } else {
            acetate_image::Style::Oci
        };
        Ok(Image::of_config(config_bytes, layers, style)?)
    }
}

fn gone_layer(layer: &Descriptor) -> BuildError {
    BuildError::request_with(
        format!("the layer `{}` is gone from the store", layer.digest),
        "build or pull the image again",
    )
}
