//! Finds images and fetches their layers into the store.

mod documents;
mod layers;
mod whole;

pub(crate) use layers::Told;
pub use whole::{BlobOrigin, WholeImage};

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, Index, Platform, Reference};
use acetate_registry::{Name, Registries, Repository};
use acetate_stdx::{OnceMap, blocking};
use acetate_store::Store;

use crate::ImageError;
use crate::choice::{candidates, offered};
use crate::document::{Document, Purpose};
use crate::layout::{self, Layout};
use crate::resolved::{Loaded, Origin, ResolvedImage, parse_config};
use crate::source::{ImageSource, LayoutSource};

/// How deep indexes may lie within each other.
const DEPTH_LIMIT: usize = 4;
/// How many documents one resolution may read.
const DOCUMENT_LIMIT: usize = 64;

/// Resolves image sources and fetches layers; one per process, shared by all builds of it.
///
/// Nothing is read from the network, and no connection set up, for what the store has.
#[derive(Debug)]
pub struct Puller {
    store: Arc<Store>,
    registries: Arc<Registries>,
    fetches: OnceMap<Digest, ()>,
    layouts: OnceMap<PathBuf, Arc<Layout>>,
}

/// One step of the search: an entry, how deep it lies, and whether its platform is settled.
struct Step {
    entry: Descriptor,
    depth: usize,
    platform: PlatformCheck,
}

/// Whether the configuration decides if an entry fits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PlatformCheck {
    /// The index said so, or the user named this very manifest.
    Settled,
    /// The entry named no platform.
    ByConfig,
}

impl Puller {
    /// A puller that keeps what it reads in `store`.
    pub fn new(store: Arc<Store>, registries: Arc<Registries>) -> Self {
        Self {
            store,
            registries,
            fetches: OnceMap::new(),
            layouts: OnceMap::new(),
        }
    }

    /// Finds the image for a platform: through indexes to a manifest and its configuration.
    ///
    /// A source that names one manifest gives it whatever its platform. A registry reference with
    /// a digest is resolved without network when the store has its documents.
    ///
    /// # Errors
    /// [`ImageError`]; everything that does not match its digest or size is `Corrupt`.
    pub async fn resolve(
        &self,
        source: &ImageSource,
        wanted: &Platform,
    ) -> Result<ResolvedImage, ImageError> {
        match source {
            ImageSource::Registry(reference) => {
                let origin = Origin::Registry(reference.clone());
                let root = self.registry_root(reference, &origin, Purpose::Use).await?;
                self.descend(source, origin, root, wanted).await
            }
            ImageSource::Layout(place) => self.resolve_layout(source, place, wanted).await,
        }
    }

    /// Finds an image that the store holds with all its blobs. `root` is what its name led to, when
    /// that is not the manifest itself.
    ///
    /// # Errors
    /// [`ImageError`], when a document is gone or wrong.
    pub async fn resolve_stored(
        &self,
        source: &ImageSource,
        root: Option<Digest>,
        manifest: &Descriptor,
    ) -> Result<ResolvedImage, ImageError> {
        let (origin, size) = (Origin::Store, Some(manifest.size));
        let purpose = Purpose::Use;
        let loaded = self.load(&origin, manifest.digest, size, purpose).await?;
        let anything = Platform::host();
        let mut found = self.descend(source, origin, loaded, &anything).await?;
        found.root_digest = root.unwrap_or(found.root_digest);
        Ok(found)
    }

    async fn registry_root(
        &self,
        reference: &Reference,
        origin: &Origin,
        purpose: Purpose,
    ) -> Result<Loaded, ImageError> {
        if let Some(digest) = reference.digest() {
            return self.load(origin, digest, None, purpose).await;
        }
        let (repository, name) = (Repository::from(reference), Name::from(reference));
        let served = self.registries.manifest(&repository, &name).await?;
        self.keep(&served.bytes).await?;
        let document = purpose.parse(&served.bytes, &format!("`{reference}`"))?;
        Ok(Loaded {
            digest: served.digest,
            bytes: served.bytes,
            document,
        })
    }

    async fn resolve_layout(
        &self,
        source: &ImageSource,
        place: &LayoutSource,
        wanted: &Platform,
    ) -> Result<ResolvedImage, ImageError> {
        let (origin, root) = self.layout_root(place, Purpose::Use).await?;
        self.descend(source, origin, root, wanted).await
    }

    async fn layout_root(
        &self,
        place: &LayoutSource,
        purpose: Purpose,
    ) -> Result<(Origin, Loaded), ImageError> {
        let (layout, index) = self.open_layout(&place.path).await?;
        let origin = Origin::Layout(layout);
        let root = match layout::entry(&index, place)? {
            layout::Entry::Digest(digest) => self.load(&origin, digest, None, purpose).await?,
            layout::Entry::One(entry) => {
                self.load(&origin, entry.digest, Some(entry.size), purpose)
                    .await?
            }
            layout::Entry::Platforms => {
                // The layout's own index is the document; it has no name but its digest.
                let bytes = acetate_oci::canonical_json(&index);
                Loaded {
                    digest: Digest::of(&bytes),
                    bytes,
                    document: Document::Index(index),
                }
            }
        };
        Ok((origin, root))
    }

    async fn open_layout(&self, path: &Path) -> Result<(Arc<Layout>, Index), ImageError> {
        let own = path.to_owned();
        let open = || async { blocking(move || Layout::open(&own).map(Arc::new)).await };
        let layout = self.layouts.get_or_try_init(&path.to_owned(), open).await?;
        let reader = Arc::clone(&layout);
        let index = blocking(move || reader.index()).await?;
        Ok((layout, index))
    }

    /// Searches indexes depth first for the best manifest.
    async fn descend(
        &self,
        source: &ImageSource,
        origin: Origin,
        root: Loaded,
        wanted: &Platform,
    ) -> Result<ResolvedImage, ImageError> {
        let root_digest = root.digest;
        let mut seen = BTreeSet::from([root_digest]);
        let mut offers = Vec::new();
        let mut pending = Vec::new();
        let mut current = Some((root, 0, PlatformCheck::Settled));
        while let Some((loaded, depth, check)) = current.take() {
            match loaded.document {
                Document::Index(index) => {
                    offers.extend(offered(&index.manifests));
                    // The best goes on top of the stack.
                    pending.extend(steps(&index.manifests, wanted, depth + 1).into_iter().rev());
                }
                Document::Manifest(manifest) => {
                    let config = self.load_config(&origin, &manifest).await?;
                    let image = ResolvedImage {
                        source: source.clone(),
                        root_digest,
                        manifest_digest: loaded.digest,
                        config: parse_config(&config, &manifest)?,
                        config_bytes: config,
                        manifest: *manifest,
                        manifest_bytes: loaded.bytes,
                        origin: origin.clone(),
                    };
                    if check == PlatformCheck::Settled || image.platform().satisfies(wanted) {
                        return Ok(image);
                    }
                    offers.push(image.platform().to_string());
                }
            }
            while let Some(step) = pending.pop() {
                if step.depth > DEPTH_LIMIT || seen.len() > DOCUMENT_LIMIT {
                    return Err(ImageError::corrupt(
                        format!("`{source}`"),
                        "its indexes lie too deep within each other or are too many",
                    ));
                }
                if seen.insert(step.entry.digest) {
                    let Step {
                        entry,
                        depth,
                        platform,
                    } = step;
                    let size = Some(entry.size);
                    let loaded = self.load(&origin, entry.digest, size, Purpose::Use).await?;
                    current = Some((loaded, depth, platform));
                    break;
                }
            }
        }
        offers.sort();
        offers.dedup();
        Err(ImageError::NoPlatform {
            image: source.to_string(),
            wanted: wanted.to_string(),
            offered: offers,
        })
    }
}

fn steps(entries: &[Descriptor], wanted: &Platform, depth: usize) -> Vec<Step> {
    let found = candidates(entries, wanted).into_iter();
    found
        .map(|entry| Step {
            entry: entry.clone(),
            depth,
            platform: match entry.platform {
                Some(_) => PlatformCheck::Settled,
                None => PlatformCheck::ByConfig,
            },
        })
        .collect()
}

#[cfg(test)]
mod tests;
