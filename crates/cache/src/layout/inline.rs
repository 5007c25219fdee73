//! [`InlineCache`]: records in the config of an image.

use std::collections::BTreeMap;

use acetate_oci::{Descriptor, Digest, ImageConfig, Timestamp, canonical_json};
use acetate_store::BlobRef;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use serde_json::Value;

use super::catalog::{Catalog, Entry, Layer};
use super::document::{Detail, Document, write};
use super::notes::Notes;
use crate::remote::{Cause, Lost, Publication, Published, RemoteHit, RemoteLayer, Skip};
use crate::{CacheKey, CacheReport, Fidelity, KeyKind, SharedCache};

/// The field of an image's config that holds records.
pub const INLINE_FIELD: &str = "acetate.cache.v1";
/// What the field is called in all versions.
const ANY_FIELD: &str = "acetate.cache.";
/// A config is fetched whenever an image is looked at, so records may not make it large.
const MAX_INLINE: usize = 1 << 20;

/// The records that the config of an image holds.
///
/// Its layers are those of the image: [`SharedCache::fetch`] does not have them, whoever has the
/// image takes them from there.
#[derive(Debug)]
pub struct InlineCache {
    name: String,
    catalog: Catalog,
    notes: Notes,
}

impl InlineCache {
    /// What the config of an image is to hold under [`INLINE_FIELD`]: of these results the ones all
    /// of whose layers are in the image. None when there are no such results, or so many that the
    /// config would be too large.
    ///
    /// How long steps ran, when layers were made, what they were made of and their content keys are
    /// left out, so that two builds of the same give the same image, be it from a cache or not.
    pub fn encode<'p>(
        publications: impl IntoIterator<Item = &'p Publication>,
        diff_ids: &[Digest],
    ) -> Option<Value> {
        let mut places = BTreeMap::new();
        for (place, diff_id) in diff_ids.iter().enumerate() {
            places.entry(*diff_id).or_insert(place);
        }
        let mut catalog = Catalog::default();
        for publication in publications {
            let layers = &publication.layers;
            let is_in_image = layers
                .iter()
                .all(|layer| places.contains_key(&layer.diff_id));
            if !is_in_image || publication.fidelity != Fidelity::Full {
                continue;
            }
            let layers: Vec<Layer> = layers
                .iter()
                .map(|layer| Layer {
                    diff_id: layer.diff_id,
                    size: layer.size,
                    created: Timestamp::from_secs(0),
                    base: None,
                })
                .collect();
            let of = Entry {
                chain: None,
                duration_ms: 0,
                fidelity: Fidelity::Full,
                made_of: Vec::new(),
            };
            // A build that takes the results from a record does not know the other key.
            let keys = publication.keys.iter().copied();
            let keys: Vec<CacheKey> = keys.filter(|key| key.kind() != KeyKind::Content).collect();
            catalog.put_result(&keys, &layers, &of);
        }
        if catalog.len() == 0 {
            return None;
        }
        let bytes = canonical_json(&write(&catalog, &places, Detail::Reproducible));
        if bytes.len() > MAX_INLINE {
            tracing::debug!(
                size = bytes.len(),
                "too many records for the config of an image"
            );
            return None;
        }
        serde_json::from_slice(&bytes).ok()
    }

    /// The records of an image, called `name`; `layers` are those of its manifest.
    ///
    /// An image without records, or with some that cannot be understood, is an empty cache; the
    /// latter is warned of.
    pub fn read(name: &str, config: &ImageConfig, layers: &[Descriptor]) -> Self {
        let notes = Notes::default();
        let catalog = match understand(config, layers) {
            Ok(catalog) => catalog,
            Err(reason) => {
                notes.warn(Cause::Damaged, || {
                    format!("nothing comes from the records in the image `{name}`: {reason}")
                });
                Catalog::default()
            }
        };
        Self {
            name: name.to_owned(),
            catalog,
            notes,
        }
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.catalog.len()
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

fn understand(config: &ImageConfig, layers: &[Descriptor]) -> Result<Catalog, &'static str> {
    let Some(value) = config.extra.get(INLINE_FIELD) else {
        let mut fields = config.extra.keys();
        if fields.any(|field| field.starts_with(ANY_FIELD)) {
            return Err("a newer acetate wrote them; use a newer acetate");
        }
        return Ok(Catalog::default());
    };
    let diff_ids = &config.rootfs.diff_ids;
    let document: Document =
        serde_json::from_value(value.clone()).map_err(|_| "they cannot be understood")?;
    let is_of_image = |(diff_id, place): (&Digest, usize)| diff_ids.get(place) == Some(diff_id);
    if layers.len() != diff_ids.len() || !document.places().all(is_of_image) {
        return Err("they are those of other layers");
    }
    let created = created(config);
    let at = |place: usize| {
        created
            .get(place)
            .copied()
            .unwrap_or(Timestamp::from_secs(0))
    };
    document
        .read(layers, at)
        .ok_or("they name what is not there")
}

/// When the layers were made, as the history tells it.
fn created(config: &ImageConfig) -> Vec<Timestamp> {
    let filled = config.history.iter().filter(|entry| !entry.empty_layer);
    let otherwise = config.created.unwrap_or(Timestamp::from_secs(0));
    filled
        .map(|entry| entry.created.unwrap_or(otherwise))
        .collect()
}

impl SharedCache for InlineCache {
    fn name(&self) -> String {
        format!("image:{}", self.name)
    }

    fn lookup<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Vec<Option<RemoteHit>>> {
        let find = |key| {
            let hit = self.catalog.get(key).map(|record| RemoteHit {
                signer: None,
                envelope: None,
                record,
                namespace: None,
            });
            self.notes.count(|stats| match &hit {
                Some(_) => stats.hits += 1,
                None => stats.misses += 1,
            });
            hit
        };
        ready(keys.iter().map(find).collect()).boxed()
    }

    fn listing<'a>(&'a self, _layer: &'a RemoteLayer) -> BoxFuture<'a, Result<Vec<u8>, Lost>> {
        ready(Err(Lost::Elsewhere)).boxed()
    }

    fn fetch<'a>(&'a self, _layer: &'a RemoteLayer) -> BoxFuture<'a, Result<BlobRef, Lost>> {
        ready(Err(Lost::Elsewhere)).boxed()
    }

    /// Skips: an image never changes, see [`InlineCache::encode`].
    fn publish<'a>(&'a self, _publication: &'a Publication) -> BoxFuture<'a, Published> {
        ready(Published::Skipped(Skip::Cache(Cause::Forbidden))).boxed()
    }

    fn close(&self) -> BoxFuture<'_, CacheReport> {
        let (stats, warnings) = self.notes.take();
        ready(CacheReport { stats, warnings }).boxed()
    }
}
