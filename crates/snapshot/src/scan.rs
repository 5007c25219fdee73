//! Reading a layer's blob in one pass: what it holds, and whether it is what was promised.

use crate::error::BadLayer;
use crate::layer_tar::{TarKind, TarReader, TarRules};
use crate::listing::{INLINE_FILES, Listing, MAX_INLINE};
use crate::merged::Merged;
use crate::tree::{Built, Content, LayerTree};
use acetate_oci::{Compression, Digest, HashingReader};
use std::io::{self, BufReader, Read};
use std::path::Path;

/// What a foreign layer may hold at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes of the tar.
    pub bytes: u64,
    /// Entries of the tar.
    pub entries: u64,
}

impl Default for Limits {
    /// Far above real layers: the limits stop bombs, not builds.
    fn default() -> Self {
        Self {
            bytes: 256 << 30,
            entries: 10_000_000,
        }
    }
}

/// The bytes of a layer and what is promised about them.
#[derive(Debug)]
pub struct LayerInput<R> {
    /// The blob.
    pub reader: R,
    /// How it is compressed.
    pub compression: Compression,
    /// The digest of the uncompressed bytes.
    pub diff_id: Digest,
}

/// Takes the content of regular files while a layer is read.
pub(crate) trait ContentSink {
    /// Reads one content to its end; returns its digest and a number to find it again.
    fn store(&mut self, content: &mut dyn Read, size: u64) -> io::Result<(Digest, usize)>;

    /// Returns the bytes of a stored content when that is cheap.
    fn bytes(&self, _number: usize) -> Option<&[u8]> {
        None
    }
}

/// Scans a layer without unpacking it: the listing with all content digests, in normal form on a
/// chain whose listings are `below`, bottom first.
///
/// Fails when the bytes are not those of `diff_id`, or break a rule.
pub fn scan(
    input: LayerInput<impl Read>,
    below: &[std::sync::Arc<Listing>],
    limits: Limits,
) -> Result<Listing, BadLayer> {
    let base = Merged::new(below.to_vec());
    let built = read_layer(input, &base, limits, &mut Digests::default())?;
    Ok(built.listing)
}

/// Reads a blob to its end and returns the digest of its uncompressed bytes, and how many those are.
///
/// Fails when it does not decompress or is larger than the limit; what the bytes mean is not looked
/// at.
pub fn diff_id(
    reader: impl Read,
    compression: Compression,
    limits: Limits,
) -> Result<(Digest, u64), BadLayer> {
    let decoder = decoder(reader, compression).map_err(BadLayer::Unreadable)?;
    let mut hashed = HashingReader::new(decoder.take(limits.bytes.saturating_add(1)));
    io::copy(&mut hashed, &mut io::sink()).map_err(BadLayer::Unreadable)?;
    let (_, found, n_bytes) = hashed.finish();
    if n_bytes > limits.bytes {
        return Err(BadLayer::TooLarge {
            limit: limits.bytes,
            unit: "bytes",
        });
    }
    Ok((found, n_bytes))
}

/// Reads a whole layer, giving the contents to `sink`; verifies the diff id at the end.
pub(crate) fn read_layer(
    input: LayerInput<impl Read>,
    base: &Merged,
    limits: Limits,
    sink: &mut dyn ContentSink,
) -> Result<Built, BadLayer> {
    let decoder = decoder(input.reader, input.compression).map_err(BadLayer::Unreadable)?;
    // One byte above the limit is allowed, so that reaching it can be told from ending there.
    let counted = HashingReader::new(decoder.take(limits.bytes.saturating_add(1)));
    let mut tar = TarReader::new(
        BufReader::with_capacity(256 * 1024, counted),
        TarRules::Layer,
    );
    let outcome = read_entries(&mut tar, base, limits, sink);
    let (_, found, n_bytes) = tar.into_inner().into_inner().finish();
    if n_bytes > limits.bytes {
        return Err(BadLayer::TooLarge {
            limit: limits.bytes,
            unit: "bytes",
        });
    }
    let tree = outcome?;
    if found != input.diff_id {
        return Err(BadLayer::Mismatch {
            expected: input.diff_id,
            found,
        });
    }
    let broken = |error: crate::listing::InvalidListing| BadLayer::Format(error.to_string());
    let mut built = tree.finish().map_err(broken)?;
    keep_inline(&mut built, sink);
    Ok(built)
}

/// Lists a layer without any digest, neither of its files nor of the whole.
pub(crate) fn outline(
    input: LayerInput<impl Read>,
    base: &Merged,
    limits: Limits,
) -> Result<Listing, BadLayer> {
    let decoder = decoder(input.reader, input.compression).map_err(BadLayer::Unreadable)?;
    let mut tar = TarReader::new(
        BufReader::with_capacity(256 * 1024, decoder.take(limits.bytes)),
        TarRules::Layer,
    );
    let mut sink = Unhashed(Digests::default());
    let tree = read_entries(&mut tar, base, limits, &mut sink)?;
    let broken = |error: crate::listing::InvalidListing| BadLayer::Format(error.to_string());
    let mut built = tree.finish().map_err(broken)?;
    keep_inline(&mut built, &sink);
    Ok(built.listing)
}

fn read_entries<'a, R: Read>(
    tar: &mut TarReader<R>,
    base: &'a Merged,
    limits: Limits,
    sink: &mut dyn ContentSink,
) -> Result<LayerTree<'a>, BadLayer> {
    let mut tree = LayerTree::new(base);
    let mut n_entries = 0;
    while let Some(entry) = tar.next_entry()? {
        n_entries += 1;
        if n_entries > limits.entries {
            return Err(BadLayer::TooLarge {
                limit: limits.entries,
                unit: "entries",
            });
        }
        let file = match entry.kind {
            TarKind::File { size } => {
                let stored = sink.store(tar, size);
                Some(stored.map_err(|error| tar.error(error))?)
            }
            _ => None,
        };
        tree.add(entry, file)?;
    }
    Ok(tree)
}

pub(crate) fn decoder<'a, R: Read + 'a>(
    reader: R,
    compression: Compression,
) -> io::Result<Box<dyn Read + 'a>> {
    const MAX_WINDOW_LOG: u32 = 27;
    Ok(match compression {
        Compression::None => Box::new(reader),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::with_capacity(
            128 * 1024,
            reader,
        ))),
        Compression::Zstd => {
            let mut decoder = zstd::Decoder::new(reader)?;
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Keeps the bytes of the files in which owner names are looked up.
fn keep_inline(built: &mut Built, sink: &dyn ContentSink) {
    for name in INLINE_FILES {
        let path = Path::new(name);
        let listing = &built.listing;
        let file = listing.get(path).and_then(|entry| listing.file_of(entry));
        let Some(Content::Own(number)) = file.and_then(|file| built.contents.get(&file.path))
        else {
            continue;
        };
        if let Some(bytes) = sink.bytes(*number) {
            let bytes = bytes.to_vec();
            built.listing.set_inline(path.to_owned(), bytes);
        }
    }
}

/// A sink that keeps digests, and the bytes of small files only as long as they may be inline.
#[derive(Debug, Default)]
pub(crate) struct Digests {
    small: Vec<Option<Vec<u8>>>,
    kept: u64,
}

/// Passwd and group are among the first small files of any base; beyond this, none is kept.
const MAX_KEPT: u64 = 64 << 20;

impl Digests {
    fn keeps(&self, size: u64) -> bool {
        size <= MAX_INLINE && self.kept + size <= MAX_KEPT
    }
}

impl ContentSink for Digests {
    fn store(&mut self, content: &mut dyn Read, size: u64) -> io::Result<(Digest, usize)> {
        let keep = self.keeps(size);
        let mut bytes = Vec::new();
        let mut reader = HashingReader::new(content);
        if keep {
            reader.read_to_end(&mut bytes)?;
            self.kept += size;
        } else {
            io::copy(&mut reader, &mut io::sink())?;
        }
        self.small.push(keep.then_some(bytes));
        Ok((reader.finish().1, self.small.len() - 1))
    }

    fn bytes(&self, number: usize) -> Option<&[u8]> {
        self.small.get(number)?.as_deref()
    }
}

/// The same without digests: they are all those of nothing.
struct Unhashed(Digests);

impl ContentSink for Unhashed {
    fn store(&mut self, content: &mut dyn Read, size: u64) -> io::Result<(Digest, usize)> {
        let keep = self.0.keeps(size);
        let mut bytes = Vec::new();
        if keep {
            content.read_to_end(&mut bytes)?;
            self.0.kept += size;
        } else {
            io::copy(content, &mut io::sink())?;
        }
        self.0.small.push(keep.then_some(bytes));
        Ok((Digest::of(b""), self.0.small.len() - 1))
    }

    fn bytes(&self, number: usize) -> Option<&[u8]> {
        self.0.bytes(number)
    }
}
