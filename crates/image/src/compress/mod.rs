//! Compressed forms of layers: made once, remembered by the store, the same on every machine.

mod alongside;
mod blocks;
mod crew;
mod form;
mod gzip;
mod recipe;
mod stargz;
mod zstd;

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use acetate_oci::{Compression, Descriptor, Digest, MediaType};
use acetate_registry::{NoProgress, Progress};
use acetate_store::{BlobWriter, Expect, FactKey, Object, Store, StoreError};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::alongside::{Alongside, Permit};
pub use self::form::{FormOrigin, StoredForm};
pub use self::recipe::{LevelError, Recipe, TypesError};
pub use self::stargz::ANNOTATIONS as STARGZ_ANNOTATIONS;

use self::recipe::Shape;
use crate::ImageError;
use crate::layer::{ImageLayer, LayerReader};
use crate::pipe::pipe;
use crate::puller::Told;

/// The space of facts `(compressor, diff_id) -> blob`.
const FACTS: &str = "compressed-layer";
/// Layers up to this size are compressed on one thread each, several layers at a time.
const SMALL: u64 = 4 << 20;

/// Digests of the test sample, compressed; see the tests of the two compressors.
#[cfg(test)]
const GOLDEN_GZIP: &str = "929c83c5f340092f445f86645df7bc68b0ab008744561b2117e7daba78599f4d";
#[cfg(test)]
const GOLDEN_ZSTD: &str = "b38d778cce7773bf8f06a341fe1f32a7f0c1ae2a25c125deecf46315600ac5a4";

/// Those annotations of a layer that tell of its bytes, and so belong to it in every image.
pub(crate) fn blob_annotations(descriptor: &Descriptor) -> BTreeMap<String, String> {
    let mut annotations = descriptor.annotations.clone();
    annotations.retain(|key, _| STARGZ_ANNOTATIONS.contains(&key.as_str()));
    annotations
}

/// Which layers are compressed anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// Those that are not compressed at all; others, as of a base, keep their bytes.
    #[default]
    Plain,
    /// All that are compressed in another way.
    Other,
}

/// What is remembered of a compressed form.
#[derive(Clone, Serialize, Deserialize)]
struct Fact {
    digest: Digest,
    size: u64,
    /// What the table of an estargz brings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stargz: Option<stargz::Traits>,
}

/// Gives the form of a layer that a recipe asks for, making it when the store does not have it.
///
/// The bytes depend on the layer and the recipe only. Blocks on disk and CPU; it starts threads of
/// its own for a layer of more than a block, so call it from a blocking thread.
///
/// # Errors
/// `NotFound` when the layer's blob is gone, `Corrupt` when its bytes are not its own.
pub fn compress(
    store: &Store,
    layer: &ImageLayer,
    recipe: Recipe,
    force: Force,
) -> Result<ImageLayer, ImageError> {
    let how = How {
        recipe,
        force,
        progress: &NoProgress,
    };
    compress_on(store, layer, &how, n_threads())
}

/// How layers are compressed.
struct How<'a> {
    recipe: Recipe,
    force: Force,
    progress: &'a dyn Progress,
}

/// The same for the layers of an image, in their order: small ones side by side, large ones one
/// after the other on all cores. `progress` hears of the bytes of uncompressed layers.
///
/// # Errors
/// As [`compress`].
pub fn compress_all(
    store: &Store,
    layers: &[ImageLayer],
    recipe: Recipe,
    force: Force,
    progress: &dyn Progress,
) -> Result<Vec<ImageLayer>, ImageError> {
    let how = How {
        recipe,
        force,
        progress,
    };
    let is_small = |layer: &ImageLayer| layer.descriptor.size <= SMALL;
    let small: Vec<Result<Option<ImageLayer>, ImageError>> = layers
        .par_iter()
        .map(|layer| {
            let on_one = || compress_on(store, layer, &how, 0);
            is_small(layer).then(on_one).transpose()
        })
        .collect();
    // Of several faults the lowest layer's is told, whoever was faster.
    let small: Vec<Option<ImageLayer>> = small.into_iter().collect::<Result<_, ImageError>>()?;
    let all = layers.iter().zip(small);
    all.map(|(layer, done)| match done {
        Some(done) => Ok(done),
        None => compress_on(store, layer, &how, n_threads()),
    })
    .collect()
}

fn compress_on(
    store: &Store,
    layer: &ImageLayer,
    how: &How<'_>,
    n_threads: usize,
) -> Result<ImageLayer, ImageError> {
    let How { recipe, force, .. } = *how;
    let current = layer.compression()?;
    let is_stargz = stargz::is_annotated(&layer.descriptor);
    let fits = current == recipe.compression() && is_stargz == (recipe.shape() == Shape::Stargz);
    if fits || (current != Compression::None && force == Force::Plain) {
        return Ok(layer.clone());
    }
    made_once(store, &layer.diff_id, recipe, || {
        make(store, layer, how, n_threads)
    })
}

/// Gives the form of a layer that a recipe asks for, where `open` gives its uncompressed tar; that
/// is called only when the store does not have the form.
///
/// The bytes are those of [`compress`], and so are its costs.
///
/// # Errors
/// `Corrupt` when the tar is not the one that `diff_id` names, and what `open` fails with.
pub fn pack(
    store: &Store,
    diff_id: &Digest,
    open: impl FnOnce() -> io::Result<Box<dyn Read + Send>>,
    recipe: Recipe,
) -> Result<ImageLayer, ImageError> {
    if recipe.compression() == Compression::None
        && store.live().pin(&[Object::Blob(*diff_id)])? == [true]
        && let Some(size) = store.blobs().has(diff_id)?
    {
        return Ok(described(diff_id, recipe, Fact::plain(*diff_id, size)));
    }
    made_once(store, diff_id, recipe, || {
        let what = format!("layer `{diff_id}`");
        let tar = open().map_err(ImageError::io(&what))?;
        let mut reader = LayerReader::new(tar, *diff_id);
        let blob = store.blobs().writer()?;
        write(blob, &mut reader, recipe, n_threads(), &what)
    })
}

/// Threads that compress one layer, as many as the machine runs at a time.
fn n_threads() -> usize {
    rayon::current_num_threads()
}

/// What is remembered of a form, else what `make` gives, which is remembered then.
fn made_once(
    store: &Store,
    diff_id: &Digest,
    recipe: Recipe,
    make: impl FnOnce() -> Result<Fact, ImageError>,
) -> Result<ImageLayer, ImageError> {
    let key = fact_key(diff_id, recipe);
    if let Some(fact) = remembered(store, &key)? {
        return Ok(described(diff_id, recipe, fact));
    }
    let fact = make()?;
    remember(store, diff_id, recipe, &fact);
    Ok(described(diff_id, recipe, fact))
}

/// Notes a form that was made here.
fn remember(store: &Store, diff_id: &Digest, recipe: Recipe, fact: &Fact) {
    tracing::debug!(layer = %diff_id, recipe = recipe.id(), "a layer is compressed");
    let fact = acetate_oci::canonical_json(fact);
    store
        .index()
        .put_facts(vec![(fact_key(diff_id, recipe), fact)]);
}

fn fact_key(diff_id: &Digest, recipe: Recipe) -> FactKey {
    FactKey::new(FACTS, format!("{} {diff_id}", recipe.id()).as_bytes())
}

/// A form made before whose blob is still there; it is pinned.
fn remembered(store: &Store, key: &FactKey) -> Result<Option<Fact>, StoreError> {
    let Some(fact) = noted(store, key)? else {
        return Ok(None);
    };
    let there = store.live().pin(&[Object::Blob(fact.digest)])?;
    let whole = there == [true] && store.blobs().has(&fact.digest)? == Some(fact.size);
    Ok(whole.then_some(fact))
}

/// A form made before, wherever its blob is by now.
fn noted(store: &Store, key: &FactKey) -> Result<Option<Fact>, StoreError> {
    let found = store.index().facts(std::slice::from_ref(key))?;
    let Some(bytes) = found.into_iter().next().flatten() else {
        return Ok(None);
    };
    let fact = serde_json::from_slice::<Fact>(&bytes);
    Ok(fact
        .inspect_err(|error| {
            tracing::debug!(%error, "a fact about a compressed layer cannot be read");
        })
        .ok())
}

fn make(
    store: &Store,
    layer: &ImageLayer,
    how: &How<'_>,
    n_threads: usize,
) -> Result<Fact, ImageError> {
    let what = format!("layer `{}`", layer.descriptor.digest);
    let Some(mut reader) = layer.open(store)? else {
        return Err(ImageError::NotFound { what });
    };
    let blob = store.blobs().writer()?;
    let (shown, recipe) = (&layer.descriptor, how.recipe);
    if shown.digest != layer.diff_id {
        // How long what it is expanded to will be is not known.
        return write(blob, &mut reader, recipe, n_threads, &what);
    }
    let mut told = Told::new(reader, shown, how.progress);
    write(blob, &mut told, recipe, n_threads, &what)
}

/// Compresses a whole tar into a new blob.
fn write(
    blob: BlobWriter,
    reader: &mut (impl Read + Send),
    recipe: Recipe,
    n_threads: usize,
    what: &str,
) -> Result<Fact, ImageError> {
    let fill = |out: &mut dyn Write| pipe(reader, out).map(drop);
    write_with(blob, recipe, n_threads, what, fill)
}

/// Compresses the tar that `fill` writes into a new blob.
fn write_with(
    mut blob: BlobWriter,
    recipe: Recipe,
    n_threads: usize,
    what: &str,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<Fact, ImageError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            ImageError::corrupt(what, error)
        }
        io::ErrorKind::Unsupported => ImageError::unsupported(what, error),
        _ => StoreError::io("compress", what.as_ref(), error).into(),
    };
    let level = recipe.level();
    let mut traits = None;
    let blob = match (recipe.shape(), recipe.compression()) {
        (Shape::Stargz, _) => {
            let mut writer = stargz::StargzWriter::new(blob, level, n_threads);
            fill(&mut writer).map_err(failed)?;
            let (blob, made) = writer.finish().map_err(failed)?;
            traits = Some(made);
            blob
        }
        (Shape::Stream, Compression::None) => {
            fill(&mut blob).map_err(failed)?;
            blob
        }
        (Shape::Stream, Compression::Gzip) => {
            let mut writer = gzip::writer(blob, level, n_threads);
            fill(&mut writer).map_err(failed)?;
            writer.finish().map_err(failed)?.0
        }
        (Shape::Stream, Compression::Zstd) => {
            let mut writer = zstd::writer(blob, level, n_threads);
            fill(&mut writer).map_err(failed)?;
            writer.finish().map_err(failed)?.0
        }
    };
    let made = blob.commit(Expect::ANY)?;
    Ok(Fact {
        stargz: traits,
        ..Fact::plain(made.digest, made.size)
    })
}

impl Fact {
    fn plain(digest: Digest, size: u64) -> Self {
        Self {
            digest,
            size,
            stargz: None,
        }
    }
}

fn described(diff_id: &Digest, recipe: Recipe, fact: Fact) -> ImageLayer {
    let kind = MediaType::oci_layer(recipe.compression());
    let mut descriptor = Descriptor::new(kind, fact.digest, fact.size);
    let mut diff_id = *diff_id;
    if let Some(traits) = fact.stargz {
        diff_id = traits.diff_id;
        descriptor.annotations = traits.annotations();
    }
    ImageLayer {
        descriptor,
        diff_id,
    }
}

#[cfg(test)]
mod tests;
