//! Compressed forms of layers: made once, remembered by the store, the same on every machine.

mod form;
mod gzip;
mod zstd;

use std::io::{self, Read, Write};

use acetate_oci::{Compression, Descriptor, Digest, MediaType};
use acetate_store::{BlobWriter, Expect, FactKey, Ingested, Object, Store, StoreError};
use serde::{Deserialize, Serialize};

pub use self::form::{FormOrigin, StoredForm};
use self::gzip::GzipWriter;
use crate::ImageError;
use crate::layer::{ImageLayer, LayerReader};

/// The space of facts `(compressor, diff_id) -> blob`.
const FACTS: &str = "compressed-layer";
/// Names the exact output of the gzip compressor: our blocks, and zlib-rs as pinned by the golden
/// digest below. It moves whenever that digest does.
const GZIP_ID: &str = "acetate-gzip-1";
/// The same for zstd, beside the version that the library tells.
const ZSTD_ID: &str = "acetate-zstd-1";

/// Digests of the test sample, compressed; see the tests of the two compressors.
#[cfg(test)]
const GOLDEN_GZIP: &str = "de36e48f236c19ae0fb2535bea5163bd0e41542a3fe855b3b2e0584487a10b2f";
#[cfg(test)]
const GOLDEN_ZSTD: &str = "86047d210dbb32ec6dc5326398983a48f0ff7730a4a888dc81f7153344a2fb7e";

/// Bytes read at a time.
const PIECE: usize = 1 << 20;

/// How a layer is to be compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Recipe {
    kind: Compression,
    level: i32,
}

/// A level outside the range of its compression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use compression level {level}: {kind} has levels from {lowest} to {highest}")]
pub struct LevelError {
    kind: &'static str,
    level: i32,
    lowest: i32,
    highest: i32,
}

impl Recipe {
    /// A compression at its default level.
    pub const fn new(kind: Compression) -> Self {
        let level = match kind {
            Compression::None => 0,
            Compression::Gzip => 6,
            Compression::Zstd => 3,
        };
        Self { kind, level }
    }

    /// The same compression at a level: gzip 0 to 9, zstd 0 (the default) to 22, none 0.
    ///
    /// # Errors
    /// [`LevelError`] when the level does not exist.
    pub fn at_level(self, level: i32) -> Result<Self, LevelError> {
        let (kind, highest) = match self.kind {
            Compression::None => ("no compression", 0),
            Compression::Gzip => ("gzip", 9),
            Compression::Zstd => ("zstd", 22),
        };
        if !(0..=highest).contains(&level) {
            return Err(LevelError {
                kind,
                level,
                lowest: 0,
                highest,
            });
        }
        Ok(Self { level, ..self })
    }

    /// The compression.
    pub fn compression(self) -> Compression {
        self.kind
    }

    /// Names compressor, version and level: equal ids make equal bytes.
    pub fn id(self) -> String {
        match self.kind {
            Compression::None => "tar".to_owned(),
            Compression::Gzip => format!("{GZIP_ID}-l{}", self.level),
            Compression::Zstd => {
                let version = ::zstd::zstd_safe::version_string();
                format!("{ZSTD_ID}-{version}-l{}", self.level)
            }
        }
    }
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
#[derive(Serialize, Deserialize)]
struct Fact {
    digest: Digest,
    size: u64,
}

/// Gives the form of a layer that a recipe asks for, making it when the store does not have it.
///
/// The bytes depend on the layer and the recipe only. Blocks on disk and CPU; work is shared out
/// over the rayon pool, so call it from a blocking thread.
///
/// # Errors
/// `NotFound` when the layer's blob is gone, `Corrupt` when its bytes are not its own.
pub fn compress(
    store: &Store,
    layer: &ImageLayer,
    recipe: Recipe,
    force: Force,
) -> Result<ImageLayer, ImageError> {
    let current = layer.compression()?;
    if current == recipe.kind || (current != Compression::None && force == Force::Plain) {
        return Ok(layer.clone());
    }
    made_once(store, &layer.diff_id, recipe, || make(store, layer, recipe))
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
    if recipe.kind == Compression::None
        && store.live().pin(&[Object::Blob(*diff_id)])? == [true]
        && let Some(size) = store.blobs().has(diff_id)?
    {
        return Ok(described(diff_id, recipe, *diff_id, size));
    }
    made_once(store, diff_id, recipe, || {
        let what = format!("layer `{diff_id}`");
        let tar = open().map_err(ImageError::io(&what))?;
        let mut reader = LayerReader::new(tar, *diff_id);
        write(store.blobs().writer()?, &mut reader, recipe, &what)
    })
}

/// What is remembered of a form, else what `make` gives, which is remembered then.
fn made_once(
    store: &Store,
    diff_id: &Digest,
    recipe: Recipe,
    make: impl FnOnce() -> Result<Ingested, ImageError>,
) -> Result<ImageLayer, ImageError> {
    let key = fact_key(diff_id, recipe);
    if let Some(fact) = remembered(store, &key)? {
        return Ok(described(diff_id, recipe, fact.digest, fact.size));
    }
    tracing::debug!(layer = %diff_id, recipe = recipe.id(), "a layer is compressed");
    let made = make()?;
    let fact = Fact {
        digest: made.digest,
        size: made.size,
    };
    store
        .index()
        .put_facts(vec![(key, acetate_oci::canonical_json(&fact))]);
    Ok(described(diff_id, recipe, made.digest, made.size))
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

fn make(store: &Store, layer: &ImageLayer, recipe: Recipe) -> Result<Ingested, ImageError> {
    let what = format!("layer `{}`", layer.descriptor.digest);
    let Some(mut reader) = layer.open(store)? else {
        return Err(ImageError::NotFound { what });
    };
    write(store.blobs().writer()?, &mut reader, recipe, &what)
}

/// Compresses a whole tar into a new blob.
fn write(
    blob: BlobWriter,
    mut reader: &mut LayerReader,
    recipe: Recipe,
    what: &str,
) -> Result<Ingested, ImageError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            ImageError::corrupt(what, error)
        }
        _ => StoreError::io("compress", what.as_ref(), error).into(),
    };
    let blob = match recipe.kind {
        Compression::None => copy(&mut reader, blob).map_err(failed)?,
        Compression::Gzip => {
            let level = u32::try_from(recipe.level).unwrap_or_default();
            let writer = copy(&mut reader, GzipWriter::new(blob, level)).map_err(failed)?;
            writer.finish().map_err(failed)?
        }
        Compression::Zstd => {
            let n_workers = u32::try_from(rayon::current_num_threads()).unwrap_or(1);
            let writer = zstd::writer(blob, recipe.level, n_workers).map_err(failed)?;
            copy(&mut reader, writer)
                .map_err(failed)?
                .finish()
                .map_err(failed)?
        }
    };
    Ok(blob.commit(Expect::ANY)?)
}

/// Copies in pieces large enough that a writer's buffering does not matter.
fn copy<W: Write>(reader: &mut impl Read, mut writer: W) -> io::Result<W> {
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(writer),
            n => writer.write_all(&piece[..n])?,
        }
    }
}

fn described(diff_id: &Digest, recipe: Recipe, digest: Digest, size: u64) -> ImageLayer {
    ImageLayer {
        descriptor: Descriptor::new(MediaType::oci_layer(recipe.kind), digest, size),
        diff_id: *diff_id,
    }
}

#[cfg(test)]
mod tests;
