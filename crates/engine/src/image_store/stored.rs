//! What is known of the images here.

use crate::names::{self, Named, NamedImage};
use crate::{BuildError, Engine};
use acetate_oci::{Digest, HistoryEntry, ImageConfig, Manifest, Platform, Reference, Timestamp};
use acetate_store::Store;
use serde_json::Value;

/// The largest document that is read.
const LIMIT: u64 = 8 << 20;

/// A name and what it leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// The name.
    pub name: Reference,
    /// What the name led to in its registry, or leads to here: a manifest or an index.
    pub digest: Digest,
    /// The images, one a platform.
    pub platforms: Vec<StoredPlatform>,
}

/// The image of one platform.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPlatform {
    /// The platform.
    pub platform: Platform,
    /// The digest of its configuration, which is its id.
    pub id: Digest,
    /// The digest of its manifest.
    pub manifest: Digest,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The configuration.
    pub config: ImageConfig,
    /// The configuration as it is written.
    pub config_json: Value,
    /// The layers, bottom first.
    pub layers: Vec<StoredLayer>,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The digest of the blob that the manifest names.
    pub blob: Digest,
    /// Its bytes.
    pub size: u64,
    /// What made it, where the history tells.
    pub created_by: Option<String>,
}

impl StoredImage {
    /// The image for this machine, else the first.
    pub fn main(&self) -> Option<&StoredPlatform> {
        let host = Platform::host();
        let fits = |image: &&StoredPlatform| image.platform.satisfies(&host);
        self.platforms
            .iter()
            .find(fits)
            .or_else(|| self.platforms.first())
    }
}

impl StoredPlatform {
    /// The bytes of all layers as the manifest has them.
    pub fn size(&self) -> u64 {
        self.layers.iter().map(|layer| layer.size).sum()
    }

    /// The history with the layer that each line made, the newest first.
    pub fn history(&self) -> Vec<(&HistoryEntry, Option<&StoredLayer>)> {
        let mut layers = self.layers.iter().rev();
        let lines = self.config.history.iter().rev();
        lines
            .map(|line| {
                if line.empty_layer {
                    (line, None)
                } else {
                    (line, layers.next())
                }
            })
            .collect()
    }
}

impl Engine {
    /// All images by name; a name whose documents are gone is left out, with a warning.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn stored_images(&self) -> Result<Vec<StoredImage>, BuildError> {
        let mut found = Vec::new();
        for named in names::all(&self.store)? {
            match describe(&self.store, &named) {
                Ok(image) => found.push(image),
                Err(error) => tracing::warn!(name = named.name, %error, "an image is damaged"),
            }
        }
        Ok(found)
    }

    /// One image, by name or by the beginning of its id.
    ///
    /// # Errors
    /// When there is none, or several; the error says what there is.
    pub fn stored_image(&self, text: &str) -> Result<StoredImage, BuildError> {
        describe(&self.store, &self.find_named(text)?)
    }
}

pub(super) fn describe(store: &Store, named: &Named) -> Result<StoredImage, BuildError> {
    let platforms = named.images.iter().map(|image| platform(store, image));
    let platforms = platforms.collect::<Result<Vec<_>, BuildError>>()?;
    let name = reference(named)?;
    let first = named.images.first().map(|image| image.manifest.digest);
    let root = named.root.as_ref().map(|root| root.digest);
    let digest = named.digest.or(root).or(first);
    Ok(StoredImage {
        digest: digest.ok_or_else(|| BuildError::request(format!("`{name}` leads to no image")))?,
        name,
        platforms,
    })
}

pub(super) fn reference(named: &Named) -> Result<Reference, BuildError> {
    let parsed = named.name.parse::<Reference>();
    parsed.map_err(|error| BuildError::request(error.to_string()))
}

fn platform(store: &Store, image: &NamedImage) -> Result<StoredPlatform, BuildError> {
    let manifest: Manifest = parsed(&document(store, &image.manifest.digest)?)?;
    let bytes = document(store, &image.config.digest)?;
    let (config, config_json): (ImageConfig, Value) = (parsed(&bytes)?, parsed(&bytes)?);
    let mut makers = config.history.iter().rev().filter(|line| !line.empty_layer);
    let pairs = manifest.layers.iter().zip(&config.rootfs.diff_ids);
    let mut layers: Vec<StoredLayer> = pairs
        .rev()
        .map(|(layer, diff_id)| StoredLayer {
            diff_id: *diff_id,
            blob: layer.digest,
            size: layer.size,
            created_by: makers.next().map(|line| line.created_by.clone()),
        })
        .collect();
    layers.reverse();
    Ok(StoredPlatform {
        platform: image.platform.clone(),
        id: image.config.digest,
        manifest: image.manifest.digest,
        created: config.created,
        config,
        config_json,
        layers,
    })
}

/// Reads a document of a named image.
pub(super) fn document(store: &Store, digest: &Digest) -> Result<Vec<u8>, BuildError> {
    store.blobs().read(digest, LIMIT)?.ok_or_else(|| {
        BuildError::request_with(
            format!("the document `{digest}` is gone from the store"),
            "build or pull the image again",
        )
    })
}

fn parsed<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, BuildError> {
    serde_json::from_slice(bytes)
        .map_err(|error| BuildError::request(format!("a document of the store: {error}")))
}
