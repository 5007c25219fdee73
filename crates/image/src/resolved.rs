//! An image that was found: its documents are verified, its layers not fetched.

use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, ImageConfig, Manifest, Platform, Reference};

use crate::ImageError;
use crate::document::Document;
use crate::layout::Layout;
use crate::source::ImageSource;

/// An image at a source, pinned to one manifest; a cheap value, its layers may be anywhere.
#[derive(Clone, Debug)]
pub struct ResolvedImage {
    /// Where it was asked for.
    pub source: ImageSource,
    /// The digest that the source's name led to: of an index, or of the manifest itself.
    pub root_digest: Digest,
    /// The digest of the manifest for the platform.
    pub manifest_digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
    /// The manifest's bytes, which have that digest.
    pub manifest_bytes: Vec<u8>,
    /// The configuration's bytes.
    pub config_bytes: Vec<u8>,
    /// The configuration.
    pub config: ImageConfig,
    pub(crate) origin: Origin,
}

/// Where blobs come from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    Registry(Reference),
    Layout(Arc<Layout>),
    /// The store itself: what is not there is nowhere.
    Store,
}

impl ResolvedImage {
    /// The layers, bottom first, as the manifest describes them.
    pub fn layers(&self) -> &[Descriptor] {
        &self.manifest.layers
    }

    /// The digests of the uncompressed layers, bottom first; as many as there are layers.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.config.rootfs.diff_ids
    }

    /// The platform that the configuration names, which need not be the one asked for.
    pub fn platform(&self) -> Platform {
        self.config.platform().normalized()
    }

    /// The reference pinned to the index or manifest found, for registries.
    pub fn reference(&self) -> Option<Reference> {
        match &self.source {
            ImageSource::Registry(name) => Some(name.clone().with_digest(self.root_digest)),
            ImageSource::Layout(_) => None,
        }
    }
}

/// A verified manifest with its bytes, on the way to a [`ResolvedImage`].
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) digest: Digest,
    pub(crate) bytes: Vec<u8>,
    pub(crate) document: Document,
}

/// Parses a configuration and checks it against the manifest that names it.
pub(crate) fn parse_config(bytes: &[u8], manifest: &Manifest) -> Result<ImageConfig, ImageError> {
    let what = format!("the configuration `{}`", manifest.config.digest);
    let config: ImageConfig = serde_json::from_slice(bytes).map_err(|error| {
        let kind = &manifest.config.media_type;
        ImageError::unsupported(
            &what,
            format!("it is no image configuration (`{kind}`): {error}"),
        )
    })?;
    let (n_layers, n_diffs) = (manifest.layers.len(), config.rootfs.diff_ids.len());
    if n_layers != n_diffs {
        let reason = format!("it names {n_diffs} layers, the manifest {n_layers}");
        return Err(ImageError::corrupt(what, reason));
    }
    Ok(config)
}
