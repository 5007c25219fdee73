//! What differs between two builds of one image, by path.

mod json;
mod layer;

use std::path::Path;

use acetate_oci::{Descriptor, Digest, ImageConfig, Manifest, Platform};

use crate::ImageError;
use crate::document::{self, Document};
use crate::layout::Layout;

pub use self::layer::{Change, EntryChange};

/// The largest configuration that is read.
const CONFIG_LIMIT: u64 = document::MANIFEST_LIMIT;

/// What differs between two images of one platform.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The platform.
    pub platform: Platform,
    /// The manifests.
    pub manifests: (Digest, Digest),
    /// Fields of the configuration, each as `path: was A, is B`. Those that follow from layers are
    /// left out.
    pub config: Vec<String>,
    /// Layers, bottom first.
    pub layers: Vec<LayerComparison>,
}

/// What differs in one layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerComparison {
    /// Its place from the bottom, from 0.
    pub index: usize,
    /// The instruction that made it.
    pub created_by: String,
    /// What differs, sorted by path; empty when the same entries are written in another way.
    pub changes: Vec<EntryChange>,
}

impl Comparison {
    /// True when nothing differs.
    pub fn is_equal(&self) -> bool {
        self.manifests.0 == self.manifests.1
    }

    /// True when nothing but times differs.
    pub fn is_time_only(&self) -> bool {
        let times = |change: &EntryChange| change.change == Change::Time;
        let in_config = |line: &String| line.contains("created");
        self.config.iter().all(in_config)
            && self
                .layers
                .iter()
                .all(|layer| layer.changes.iter().all(times))
    }
}

/// Compares two layout directories whose layers are plain tars, platform by platform.
///
/// # Errors
/// When one of them is not whole, or they are not of the same platforms.
pub fn compare_layouts(first: &Path, second: &Path) -> Result<Vec<Comparison>, ImageError> {
    let (first, second) = (Side::open(first)?, Side::open(second)?);
    let (before, after) = (first.images()?, second.images()?);
    if before.len() != after.len() {
        return Err(ImageError::unsupported(
            "two builds of one image",
            "they are not of the same platforms",
        ));
    }
    let pairs = before.iter().zip(&after);
    pairs
        .map(|(before, after)| compare((&first, before), (&second, after)))
        .collect()
}

/// A layout that is compared.
struct Side {
    layout: Layout,
}

/// An image of it.
struct Found {
    digest: Digest,
    manifest: Manifest,
    config: ImageConfig,
    config_bytes: Vec<u8>,
}

impl Side {
    fn open(path: &Path) -> Result<Self, ImageError> {
        Ok(Self {
            layout: Layout::open(path)?,
        })
    }

    fn images(&self) -> Result<Vec<Found>, ImageError> {
        let mut found = Vec::new();
        for entry in self.layout.index()?.manifests {
            self.collect(&entry, &mut found)?;
        }
        found.sort_by_key(|image| image.config.platform().to_string());
        Ok(found)
    }

    fn collect(&self, entry: &Descriptor, found: &mut Vec<Found>) -> Result<(), ImageError> {
        let bytes = self.read(entry)?;
        match document::parse(&bytes, &format!("`{}`", entry.digest))? {
            Document::Index(index) => {
                // Statements about images stand beside them and are no images.
                let images = index
                    .manifests
                    .iter()
                    .filter(|inner| !inner.annotations.contains_key("vnd.docker.reference.type"));
                images
                    .into_iter()
                    .try_for_each(|inner| self.collect(inner, found))
            }
            Document::Manifest(manifest) => {
                let config_bytes = self.read(&manifest.config)?;
                let config = crate::resolved::parse_config(&config_bytes, &manifest)?;
                found.push(Found {
                    digest: entry.digest,
                    manifest: *manifest,
                    config,
                    config_bytes,
                });
                Ok(())
            }
        }
    }

    fn read(&self, blob: &Descriptor) -> Result<Vec<u8>, ImageError> {
        let what = format!("the document `{}`", blob.digest);
        if blob.size > CONFIG_LIMIT {
            return Err(ImageError::corrupt(what, "it is larger than it can be"));
        }
        let found = self.layout.blob(&blob.digest)?;
        let mut found = found.ok_or_else(|| ImageError::NotFound { what: what.clone() })?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut found.reader, &mut bytes).map_err(ImageError::io(&what))?;
        if Digest::of(&bytes) != blob.digest {
            return Err(ImageError::corrupt(what, "its bytes have another digest"));
        }
        Ok(bytes)
    }
}

fn compare(
    (first, before): (&Side, &Found),
    (second, after): (&Side, &Found),
) -> Result<Comparison, ImageError> {
    let mut comparison = Comparison {
        platform: before.config.platform(),
        manifests: (before.digest, after.digest),
        config: json::differences(&before.config_bytes, &after.config_bytes),
        layers: Vec::new(),
    };
    let lines: Vec<&str> = before
        .config
        .history
        .iter()
        .filter(|line| !line.empty_layer)
        .map(|line| line.created_by.as_str())
        .collect();
    let (old, new) = (&before.manifest.layers, &after.manifest.layers);
    if old.len() != new.len() {
        let words = format!("layers: were {}, are {}", old.len(), new.len());
        comparison.config.push(words);
    }
    for (index, (old, new)) in old.iter().zip(new).enumerate() {
        if old.digest == new.digest {
            continue;
        }
        let (old, new) = (
            layer::read(&first.layout, old)?,
            layer::read(&second.layout, new)?,
        );
        comparison.layers.push(LayerComparison {
            index,
            created_by: lines.get(index).copied().unwrap_or_default().to_owned(),
            changes: layer::changes(&old, &new),
        });
    }
    Ok(comparison)
}

#[cfg(test)]
mod tests;
