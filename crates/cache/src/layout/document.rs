//! Records as the JSON that a layout or an image carries.

use std::collections::{BTreeMap, HashMap};

use acetate_oci::{Descriptor, Digest, Timestamp, canonical_json};
use serde::{Deserialize, Serialize};

use super::catalog::{Catalog, Entry, Layer};
use crate::remote::{Chunk, is_possible};
use crate::{CacheKey, Fidelity, KeyKind};

/// A document of more bytes is refused, and not written either.
pub(crate) const MAX_DOCUMENT: u64 = 16 << 20;

/// The document: layers, chains of them, and records that name chains, by numbers.
///
/// Equal records give equal bytes, in whatever order they came together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Document {
    layers: Vec<LayerPart>,
    chains: Vec<LinkPart>,
    records: Vec<RecordPart>,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerPart {
    diff_id: Digest,
    size: u64,
    /// Absent in an image, whose history says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created: Option<Timestamp>,
    /// Its place among the layers of the manifest that the document belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<usize>,
    /// Its blob in a base image, which lies elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    base: Option<Descriptor>,
}

#[derive(Debug, Serialize, Deserialize)]
struct LinkPart {
    layer: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    below: Option<usize>,
    /// What the layer lists on the chain below, in pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    listing: Vec<PiecePart>,
}

/// A piece of a listing, and the blob that it is in.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PiecePart {
    digest: Digest,
    size: u32,
    raw_digest: Digest,
    raw_size: u32,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordPart {
    kind: Kind,
    key: Digest,
    output: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<usize>,
    #[serde(default, skip_serializing_if = "is_zero")]
    duration_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reduced: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    made_of: Vec<Digest>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Definition,
    Content,
    Hint,
    Mount,
    Story,
    Form,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// What of a record is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// All.
    All,
    /// Not what differs between two builds of the same: how long steps ran, and when.
    Reproducible,
}

/// Writes the records of a catalog; `places` tells where among the layers of the manifest the tar
/// of a digest is.
pub(crate) fn write(
    catalog: &Catalog,
    places: &BTreeMap<Digest, usize>,
    detail: Detail,
) -> Document {
    let mut numbers = HashMap::new();
    let mut links = Vec::new();
    let mut records = Vec::with_capacity(catalog.len());
    for (key, entry) in catalog.entries() {
        for link in catalog.chain(entry.chain) {
            numbers.entry(link).or_insert_with(|| {
                links.push((link, catalog.link(link)));
                links.len() - 1
            });
        }
        records.push(record_part(key, entry, &numbers, detail));
    }
    let part = |number: usize| layer_part(catalog.layer(number), places, detail);
    let mut layers: Vec<LayerPart> = links.iter().map(|(_, link)| part(link.layer)).collect();
    layers.sort_unstable();
    layers.dedup();
    let find = |number| {
        layers
            .binary_search(&part(number))
            .expect("all parts are in the list")
    };
    let chains = links.iter().map(|(number, link)| LinkPart {
        layer: find(link.layer),
        below: link.below.map(|below| numbers[&below]),
        listing: match detail {
            Detail::All => catalog.listing(*number).iter().map(piece_part).collect(),
            Detail::Reproducible => Vec::new(),
        },
    });
    let chains = chains.collect();
    Document {
        layers,
        chains,
        records,
    }
}

fn record_part(
    key: &CacheKey,
    entry: &Entry,
    numbers: &HashMap<usize, usize>,
    detail: Detail,
) -> RecordPart {
    RecordPart {
        kind: match key.kind() {
            KeyKind::Definition => Kind::Definition,
            KeyKind::Content => Kind::Content,
            KeyKind::Hint => Kind::Hint,
            KeyKind::Mount => Kind::Mount,
            KeyKind::Story => Kind::Story,
            KeyKind::Form => Kind::Form,
        },
        key: *key.digest(),
        output: key.output(),
        chain: entry.chain.map(|chain| numbers[&chain]),
        duration_ms: match detail {
            Detail::All => entry.duration_ms,
            Detail::Reproducible => 0,
        },
        reduced: match &entry.fidelity {
            Fidelity::Full => None,
            Fidelity::Reduced { reason } => Some(reason.clone()),
        },
        made_of: entry.made_of.clone(),
    }
}

fn layer_part(layer: &Layer, places: &BTreeMap<Digest, usize>, detail: Detail) -> LayerPart {
    let blob = places.get(&layer.diff_id).copied();
    LayerPart {
        diff_id: layer.diff_id,
        size: layer.size,
        created: (detail == Detail::All).then_some(layer.created),
        blob,
        base: layer.base.clone().filter(|_| blob.is_none()),
    }
}

fn piece_part(piece: &Chunk) -> PiecePart {
    PiecePart {
        digest: piece.stored,
        size: piece.stored_size,
        raw_digest: piece.raw,
        raw_size: piece.raw_size,
    }
}

fn chunk(part: &PiecePart) -> Chunk {
    Chunk {
        raw: part.raw_digest,
        raw_size: part.raw_size,
        stored: part.digest,
        stored_size: part.size,
    }
}

impl Document {
    /// The bytes, as canonical JSON; none when there are too many of them.
    pub(crate) fn to_bytes(&self) -> Option<Vec<u8>> {
        let bytes = canonical_json(self);
        (bytes.len() as u64 <= MAX_DOCUMENT).then_some(bytes)
    }

    /// The layers whose blobs are in the manifest, and their places in it.
    pub(crate) fn places(&self) -> impl Iterator<Item = (&Digest, usize)> {
        let layers = self.layers.iter();
        layers.filter_map(|layer| Some((&layer.diff_id, layer.blob?)))
    }

    /// The pieces of all listings.
    pub(crate) fn listings(&self) -> impl Iterator<Item = Chunk> {
        let links = self.chains.iter();
        links.flat_map(|link| link.listing.iter().map(chunk))
    }

    /// Understands the records; `blobs` are the layers of the manifest, and `created` says when the
    /// layer of a place was made where the document does not.
    ///
    /// `None` when a number names nothing.
    pub(crate) fn read(
        self,
        blobs: &[Descriptor],
        created: impl Fn(usize) -> Timestamp,
    ) -> Option<Catalog> {
        let mut catalog = Catalog::default();
        let mut layers = Vec::with_capacity(self.layers.len());
        for part in self.layers {
            let own = match part.blob {
                Some(place) => Some((place, blobs.get(place)?)),
                None => None,
            };
            if own.is_some_and(|(_, blob)| !blob.media_type.is_layer()) {
                return None;
            }
            if let Some((_, blob)) = own {
                catalog.put_blob(part.diff_id, plain(blob));
            }
            let made = part.created.or_else(|| Some(created(own?.0)));
            layers.push(Layer {
                diff_id: part.diff_id,
                size: part.size,
                created: made?,
                base: part.base,
            });
        }
        let mut links = Vec::with_capacity(self.chains.len());
        for part in self.chains {
            let below = match part.below {
                Some(below) => Some(*links.get(below)?),
                None => None,
            };
            let link = catalog.add_link(layers.get(part.layer)?.clone(), below)?;
            let listing: Vec<Chunk> = part.listing.iter().map(chunk).collect();
            if is_possible(&listing) {
                catalog.put_listing(link, listing);
            }
            links.push(link);
        }
        for part in self.records {
            let chain = match part.chain {
                Some(chain) => Some(*links.get(chain)?),
                None => None,
            };
            let kind = match part.kind {
                Kind::Definition => KeyKind::Definition,
                Kind::Content => KeyKind::Content,
                Kind::Hint => KeyKind::Hint,
                Kind::Mount => KeyKind::Mount,
                Kind::Story => KeyKind::Story,
                Kind::Form => KeyKind::Form,
            };
            let entry = Entry {
                chain,
                duration_ms: part.duration_ms,
                fidelity: part
                    .reduced
                    .map_or(Fidelity::Full, |reason| Fidelity::Reduced { reason }),
                made_of: part.made_of,
            };
            catalog.put(CacheKey::from_parts(kind, part.key, part.output), entry);
        }
        Some(catalog)
    }
}

/// A descriptor without what a manifest says about it besides.
fn plain(blob: &Descriptor) -> Descriptor {
    Descriptor::new(blob.media_type.clone(), blob.digest, blob.size)
}

#[cfg(test)]
#[path = "document_tests.rs"]
mod tests;
