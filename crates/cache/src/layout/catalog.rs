//! Records in memory, whose chains share what is equal in them.

use std::collections::{BTreeMap, HashMap};

use acetate_oci::{Descriptor, Digest, Timestamp};

use super::listing::named;
use crate::remote::{Chunk, LayerForm, RemoteLayer, RemoteRecord};
use crate::{CacheKey, Fidelity, KeyKind};

/// More layers than any image has.
pub(crate) const MAX_LAYERS: usize = 1000;

/// Records, their layers, and where the bytes of those are.
///
/// Most records of a build are one layer longer than another, so a chain is its last layer and the
/// chain below: memory and files grow with the number of steps, not with its square.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog {
    layers: Interned<Layer>,
    links: Interned<Link>,
    /// How many layers the chain that ends with a link has.
    depths: Vec<usize>,
    records: BTreeMap<CacheKey, Entry>,
    /// Blobs that lie beside the records, by the digest of the tar in them.
    blobs: BTreeMap<Digest, Descriptor>,
    /// The listings of layers, by the link: what a layer holds is listed as it is on those below.
    listings: BTreeMap<usize, Vec<Chunk>>,
}

/// A layer as a record knows it; the same tar may have been made at two times.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Layer {
    /// The digest of the tar.
    pub(crate) diff_id: Digest,
    /// The size of the tar in bytes.
    pub(crate) size: u64,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// The blob of a base image, which lies where that image is.
    pub(crate) base: Option<Descriptor>,
}

/// A chain: the last layer, and the chain below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Link {
    /// The layer.
    pub(crate) layer: usize,
    /// The chain below; it always has a smaller number.
    pub(crate) below: Option<usize>,
}

/// A record, its chain being a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The chain; none for scratch and for hints.
    pub(crate) chain: Option<usize>,
    /// How long the step ran, in milliseconds.
    pub(crate) duration_ms: u64,
    /// What kind of sandbox made it.
    pub(crate) fidelity: Fidelity,
    /// The results that it was made of.
    pub(crate) made_of: Vec<Digest>,
}

/// Values with numbers, each value once.
#[derive(Debug, Clone)]
struct Interned<T> {
    values: Vec<T>,
    numbers: HashMap<T, usize>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            numbers: HashMap::new(),
        }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn number(&mut self, value: T) -> usize {
        let Self { values, numbers } = self;
        *numbers.entry(value).or_insert_with_key(|value| {
            values.push(value.clone());
            values.len() - 1
        })
    }
}

impl Catalog {
    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The keys, in order.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &CacheKey> {
        self.records.keys()
    }

    /// The records, in the order of their keys.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&CacheKey, &Entry)> {
        self.records.iter()
    }

    /// True when there is a record of the key.
    pub(crate) fn holds(&self, key: &CacheKey) -> bool {
        self.records.contains_key(key)
    }

    /// The layer of a number that a link gave.
    pub(crate) fn layer(&self, number: usize) -> &Layer {
        &self.layers.values[number]
    }

    /// The numbers of the links of a chain, bottom to top.
    pub(crate) fn chain(&self, last: Option<usize>) -> Vec<usize> {
        let above = |number: &usize| self.links.values[*number].below;
        let mut numbers: Vec<usize> = std::iter::successors(last, above).collect();
        numbers.reverse();
        numbers
    }

    /// The link of a number.
    pub(crate) fn link(&self, number: usize) -> Link {
        self.links.values[number]
    }

    /// The blobs that lie beside the records.
    pub(crate) fn blobs(&self) -> &BTreeMap<Digest, Descriptor> {
        &self.blobs
    }

    /// True for a blob that lies beside the records.
    pub(crate) fn owns(&self, blob: &Digest) -> bool {
        self.blobs.values().any(|own| own.digest == *blob)
    }

    /// The layers of a record, bottom to top.
    pub(crate) fn layers_of(&self, key: &CacheKey) -> Option<Vec<&Layer>> {
        let chain = self.records.get(key)?.chain;
        let numbers = self.chain(chain).into_iter();
        Some(
            numbers
                .map(|number| self.layer(self.link(number).layer))
                .collect(),
        )
    }

    /// The record of a key; none also where the bytes of a layer are nowhere.
    pub(crate) fn get(&self, key: &CacheKey) -> Option<RemoteRecord> {
        let entry = self.records.get(key)?;
        let links = self.chain(entry.chain).into_iter();
        let layers = links.map(|number| {
            let layer = self.layer(self.link(number).layer);
            let blob = self.blobs.get(&layer.diff_id).or(layer.base.as_ref())?;
            Some(RemoteLayer {
                diff_id: layer.diff_id,
                size: layer.size,
                created: layer.created,
                form: LayerForm::Blob(blob.clone()),
                listing: self.listing(number).to_vec(),
            })
        });
        Some(RemoteRecord {
            layers: layers.collect::<Option<_>>()?,
            duration_ms: entry.duration_ms,
            fidelity: entry.fidelity.clone(),
            made_of: entry.made_of.clone(),
        })
    }

    /// Adds a link; none when the chain would be too long or names what is not there.
    pub(crate) fn add_link(&mut self, layer: Layer, below: Option<usize>) -> Option<usize> {
        let depth = match below {
            Some(below) => *self.depths.get(below)? + 1,
            None => 1,
        };
        if depth > MAX_LAYERS {
            return None;
        }
        let layer = self.layers.number(layer);
        let number = self.links.number(Link { layer, below });
        if number == self.depths.len() {
            self.depths.push(depth);
        }
        Some(number)
    }

    /// The pieces of the listing of the layer that a link ends with; none where there is none.
    pub(super) fn listing(&self, link: usize) -> &[Chunk] {
        self.listings.get(&link).map_or(&[], Vec::as_slice)
    }

    /// Says what the layer lists that a link ends with.
    pub(super) fn put_listing(&mut self, link: usize, listing: Vec<Chunk>) {
        if !listing.is_empty() {
            self.listings.insert(link, listing);
        }
    }

    /// The pieces of all listings.
    pub(crate) fn listed(&self) -> impl Iterator<Item = &Chunk> {
        self.listings.values().flatten()
    }

    /// Forgets what layers list.
    pub(super) fn drop_listings(&mut self) {
        self.listings.clear();
    }

    /// Says what the layers of a chain list, bottom to top.
    pub(super) fn put_listings(&mut self, layers: &[Layer], listings: Vec<Vec<Chunk>>) {
        let mut chain = None;
        for (layer, listing) in layers.iter().zip(listings) {
            chain = self.add_link(layer.clone(), chain);
            let Some(link) = chain else {
                return;
            };
            self.put_listing(link, listing);
        }
    }

    /// Says where the bytes of a tar are.
    pub(crate) fn put_blob(&mut self, diff_id: Digest, blob: Descriptor) {
        self.blobs.insert(diff_id, blob);
    }

    /// Puts a record whose chain was added before; one of the same key is replaced.
    pub(crate) fn put(&mut self, key: CacheKey, entry: Entry) {
        self.records.insert(key, entry);
    }

    /// Puts a result under its keys; a hint has no layers.
    ///
    /// Gives false, and puts nothing, when there are too many layers.
    pub(crate) fn put_result(&mut self, keys: &[CacheKey], layers: &[Layer], of: &Entry) -> bool {
        let mut chain = None;
        for layer in layers {
            chain = self.add_link(layer.clone(), chain);
            if chain.is_none() {
                return false;
            }
        }
        for key in keys {
            let entry = match key.kind() {
                KeyKind::Hint => Entry {
                    chain: None,
                    made_of: Vec::new(),
                    ..of.clone()
                },
                _ => Entry {
                    chain,
                    ..of.clone()
                },
            };
            self.put(*key, entry);
        }
        true
    }

    /// Takes records of another catalog, and the places of their layers' bytes that are not known.
    pub(crate) fn adopt<'k>(&mut self, other: &Self, keys: impl Iterator<Item = &'k CacheKey>) {
        // A chain below always has the smaller number, so one walk finds all of them translated.
        let mut numbers: Vec<usize> = Vec::with_capacity(other.links.values.len());
        for link in &other.links.values {
            let below = link.below.map(|below| numbers[below]);
            let number = self.add_link(other.layer(link.layer).clone(), below);
            numbers.push(number.expect("a chain is as long here as it is there"));
        }
        for (link, listing) in &other.listings {
            let known = self.listings.entry(numbers[*link]);
            known.or_insert_with(|| listing.clone());
        }
        for key in keys {
            let Some(entry) = other.records.get(key) else {
                continue;
            };
            for layer in other.layers_of(key).into_iter().flatten() {
                if let Some(blob) = other.blobs.get(&layer.diff_id) {
                    let known = self.blobs.entry(layer.diff_id);
                    known.or_insert_with(|| blob.clone());
                }
            }
            let chain = entry.chain.map(|chain| numbers[chain]);
            let entry = entry.clone();
            self.put(*key, Entry { chain, ..entry });
        }
    }

    /// Drops blobs that are gone, then records of which a layer is nowhere; gives how many records
    /// that were.
    pub(crate) fn drop_lost(&mut self, is_there: impl Fn(&Descriptor) -> bool) -> usize {
        self.blobs.retain(|_, blob| is_there(blob));
        self.listings
            .retain(|_, listing| listing.iter().all(|piece| is_there(&named(piece))));
        let mut whole: Vec<bool> = Vec::with_capacity(self.links.values.len());
        for link in &self.links.values {
            let layer = &self.layers.values[link.layer];
            let has_bytes = layer.base.is_some() || self.blobs.contains_key(&layer.diff_id);
            whole.push(has_bytes && link.below.is_none_or(|below| whole[below]));
        }
        let before = self.records.len();
        self.records
            .retain(|_, entry| entry.chain.is_none_or(|chain| whole[chain]));
        before - self.records.len()
    }
}

#[cfg(test)]
#[path = "catalog_tests.rs"]
mod tests;
