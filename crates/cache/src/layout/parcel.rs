//! The documents in which layouts and registries keep records: a manifest, its config, and parts.

use std::collections::BTreeMap;

use acetate_oci::canonical_json;
use acetate_oci::{Compression, Descriptor, Digest, Index, Manifest, MediaType, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::catalog::Catalog;
use super::document::{Detail, Document, MAX_DOCUMENT, write};
use super::listing::named;
use super::load::{Absent, MAX_MANIFEST};
use crate::remote::Chunk;

/// The type of the config whose manifest holds our records.
pub(super) const CONFIG_TYPE: &str = "application/vnd.acetate.cache.config.v1+json";
/// The type of a config that only names the records, which are in parts.
const PARTS_TYPE: &str = "application/vnd.acetate.cache.config.v1.parts+json";
/// The type of a part.
const PART_TYPE: &str = "application/vnd.acetate.cache.records.v1.part";
/// The type of a piece of a listing.
pub(super) const LISTING_TYPE: &str = "application/vnd.acetate.cache.listing.v1.piece";
/// What all versions of our configs begin with.
const ANY_CONFIG: &str = "application/vnd.acetate.cache.config.";
/// Annotation of a manifest: digests of other manifests all of whose records are in it.
const MERGED: &str = "acetate.cache.merged";
/// Annotations of layers, by the names that BuildKit gave them.
const UNCOMPRESSED: &str = "containerd.io/uncompressed";
const CREATED: &str = "buildkit/createdat";
/// A config of more bytes is split where the form has parts.
const PART: usize = 1 << 20;
/// More parts than the largest document has.
const MAX_PARTS: usize = 32;

/// How records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Form {
    /// An OCI image manifest, whose config are the records.
    #[default]
    Manifest,
    /// An OCI image index that names the layers and the records.
    Index,
    /// The same as a Docker manifest list, with the layer types of Docker.
    DockerList,
}

/// Where records may be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Split {
    Never,
    /// When they are large: registries and proxies are not made for large configs.
    Large,
}

/// Records ready to be written: small blobs, and the document that names them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Parcel {
    pub(crate) config: (Descriptor, Vec<u8>),
    pub(crate) parts: Vec<(Descriptor, Vec<u8>)>,
    /// The manifest or index.
    pub(crate) root: Vec<u8>,
    pub(crate) root_type: MediaType,
}

/// There are more records than fit.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// What a config of [`PARTS_TYPE`] says.
#[derive(Serialize, Deserialize)]
struct Whole {
    digest: Digest,
    size: u64,
}

/// Packs records; `merged` are manifests whose records are among them.
pub(crate) fn pack(
    records: &Catalog,
    form: Form,
    split: Split,
    merged: &[Digest],
) -> Result<Parcel, TooMany> {
    // Only what the records need.
    let mut needed = Catalog::default();
    needed.adopt(records, records.keys());
    pack_all(&needed, form, split, merged).or_else(|TooMany| {
        // Records are worth more than listings, which only save that layers are fetched.
        needed.drop_listings();
        pack_all(&needed, form, split, merged)
    })
}

fn pack_all(
    needed: &Catalog,
    form: Form,
    split: Split,
    merged: &[Digest],
) -> Result<Parcel, TooMany> {
    let blobs = needed.blobs();
    let places = blobs.keys().enumerate().map(|(n, diff_id)| (*diff_id, n));
    let places: BTreeMap<Digest, usize> = places.collect();
    let document = write(needed, &places, Detail::All);
    let listings = listings(&document);
    let document = document.to_bytes().ok_or(TooMany)?;
    let (config, parts) = split_up(document, split);
    let mut layers = layers(needed, form);
    layers.extend(listings);
    layers.extend(parts.iter().map(|(part, _)| part.clone()));
    let mut notes = BTreeMap::new();
    if !merged.is_empty() {
        let list: Vec<String> = merged.iter().map(ToString::to_string).collect();
        notes.insert(MERGED.to_owned(), list.join(" "));
    }
    let (root, root_type) = root(form, config.0.clone(), layers, notes);
    if root.len() as u64 > MAX_MANIFEST {
        return Err(TooMany);
    }
    Ok(Parcel {
        config,
        parts,
        root,
        root_type,
    })
}

type Blob = (Descriptor, Vec<u8>);

fn split_up(document: Vec<u8>, split: Split) -> (Blob, Vec<Blob>) {
    let blob = |kind: &str, bytes: Vec<u8>| (Descriptor::of(MediaType::new(kind), &bytes), bytes);
    if split == Split::Never || document.len() < PART {
        return (blob(CONFIG_TYPE, document), Vec::new());
    }
    let whole = Whole {
        digest: Digest::of(&document),
        size: document.len() as u64,
    };
    let pieces = document.chunks(PART - 1);
    let parts = pieces.map(|piece| blob(PART_TYPE, piece.to_vec()));
    (blob(PARTS_TYPE, canonical_json(&whole)), parts.collect())
}

fn root(
    form: Form,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
) -> (Vec<u8>, MediaType) {
    if form == Form::Manifest {
        let mut manifest = Manifest::oci(config, layers);
        manifest.annotations = annotations;
        return (canonical_json(&manifest), MediaType::OCI_MANIFEST);
    }
    let mut entries = layers;
    entries.push(config);
    let mut index = Index::oci(entries);
    index.annotations = annotations;
    if form == Form::DockerList {
        index.media_type = Some(MediaType::DOCKER_LIST);
        return (canonical_json(&index), MediaType::DOCKER_LIST);
    }
    (canonical_json(&index), MediaType::OCI_INDEX)
}

/// The blobs that listings are in, in the order of their digests; behind the layers, whose places count.
///
/// Registries remove what no manifest names, and other programs copy what one names.
fn listings(document: &Document) -> impl Iterator<Item = Descriptor> {
    let pieces = document.listings().map(|piece| (piece.stored, piece));
    let pieces: BTreeMap<Digest, Chunk> = pieces.collect();
    pieces.into_values().map(|piece| named(&piece))
}

/// The layers of the manifest, in the order of the digests of their tars.
fn layers(catalog: &Catalog, form: Form) -> Vec<Descriptor> {
    let mut created = BTreeMap::new();
    for key in catalog.keys() {
        for layer in catalog.layers_of(key).into_iter().flatten() {
            let first = created.entry(layer.diff_id).or_insert(layer.created);
            *first = (*first).min(layer.created);
        }
    }
    let layers = catalog.blobs().iter().map(|(diff_id, blob)| {
        let mut layer = blob.clone();
        layer.media_type = layer_type(&blob.media_type, form);
        let notes = &mut layer.annotations;
        notes.insert(UNCOMPRESSED.to_owned(), diff_id.to_string());
        if let Some(created) = created.get(diff_id) {
            notes.insert(CREATED.to_owned(), created.to_string());
        }
        layer
    });
    layers.collect()
}

/// The type of a layer as a form has it: what others wrote may be of the other kind.
fn layer_type(found: &MediaType, form: Form) -> MediaType {
    match (form, found.compression()) {
        (Form::DockerList, Some(Compression::Gzip)) => MediaType::DOCKER_LAYER_GZIP,
        (Form::DockerList, Some(Compression::None)) => MediaType::DOCKER_LAYER,
        (Form::DockerList, _) | (_, None) => found.clone(),
        (_, Some(how)) => MediaType::oci_layer(how),
    }
}

/// The root of records that were found: what else has to be read.
#[derive(Debug)]
pub(crate) struct Found {
    /// The blob that is read first.
    pub(crate) config: Descriptor,
    /// The blobs that are read then, in this order.
    pub(crate) parts: Vec<Descriptor>,
    layers: Vec<Descriptor>,
    /// Manifests all of whose records are in this one.
    pub(crate) merged: Vec<Digest>,
}

/// What the root of a cache has of a manifest and of an index.
#[derive(Deserialize)]
struct Root {
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// Understands a manifest or an index, called `name`.
pub(crate) fn find(bytes: &[u8], name: &str) -> Result<Found, Absent> {
    let root: Root = parse(bytes, name)?;
    let foreign = || Absent::Foreign(name.to_owned());
    let is_ours = |entry: &Descriptor| entry.media_type.as_str().starts_with(ANY_CONFIG);
    let (config, mut layers) = match (root.config, root.layers, root.manifests) {
        (Some(config), Some(layers), _) if is_ours(&config) => (config, layers),
        (_, _, Some(mut entries)) => {
            let place = entries.iter().position(is_ours).ok_or_else(foreign)?;
            (entries.remove(place), entries)
        }
        _ => return Err(foreign()),
    };
    let is_split = config.media_type.as_str() == PARTS_TYPE;
    if !is_split && config.media_type.as_str() != CONFIG_TYPE {
        return Err(Absent::Newer(config.media_type.to_string()));
    }
    let is_part = |entry: &Descriptor| entry.media_type.as_str() == PART_TYPE;
    let n_layers = layers.iter().position(is_part).unwrap_or(layers.len());
    let parts = layers.split_off(n_layers);
    let sizes = parts
        .iter()
        .try_fold(0u64, |sum, part| sum.checked_add(part.size));
    let is_sane = parts.len() <= MAX_PARTS && sizes.is_some_and(|sum| sum <= MAX_DOCUMENT);
    if !is_sane || parts.is_empty() == is_split || !parts.iter().all(is_part) {
        return Err(Absent::Damaged(format!(
            "{name} names parts that cannot be"
        )));
    }
    let merged = root.annotations.get(MERGED).map_or("", String::as_str);
    Ok(Found {
        config,
        parts,
        layers,
        merged: merged
            .split(' ')
            .filter_map(|text| text.parse().ok())
            .collect(),
    })
}

impl Found {
    /// Understands the records, whose blobs were read and compared with their digests.
    pub(crate) fn open(&self, config: Vec<u8>, parts: Vec<Vec<u8>>) -> Result<Catalog, Absent> {
        let name = "the config that holds the records";
        let document = if parts.is_empty() {
            config
        } else {
            let whole: Whole = parse(&config, name)?;
            let document = parts.concat();
            if document.len() as u64 != whole.size || Digest::of(&document) != whole.digest {
                let reason = "the parts of the records do not belong together";
                return Err(Absent::Damaged(reason.to_owned()));
            }
            document
        };
        let document: Document = parse(&document, name)?;
        // Our caches always say when a layer was made.
        let catalog = document.read(&self.layers, |_| Timestamp::from_secs(0));
        catalog.ok_or_else(|| Absent::Damaged(format!("{name} names what is not there")))
    }
}

/// Understands JSON, called `name`.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T, Absent> {
    // Nesting is limited by the parser.
    let parsed = serde_json::from_slice(bytes);
    parsed.map_err(|error| Absent::Damaged(format!("{name} cannot be understood ({error})")))
}

#[cfg(test)]
#[path = "parcel_tests.rs"]
mod tests;
