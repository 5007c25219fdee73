//! A layer of an image, and reading its tar whatever its compression.

use std::io::{self, BufReader, Read};

use acetate_oci::{Compression, Descriptor, Digest, DigestHasher};
use acetate_store::{Store, StoreError};

use crate::ImageError;

/// The largest window of a zstd frame that is accepted, as a power of two; the usual limit.
const ZSTD_WINDOW_LOG: u32 = 27;

/// A layer whose blob is in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageLayer {
    /// The blob, compressed or not.
    pub descriptor: Descriptor,
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
}

impl ImageLayer {
    /// How the blob is compressed.
    ///
    /// # Errors
    /// [`ImageError::Unsupported`] when its media type is no layer that can be read.
    pub fn compression(&self) -> Result<Compression, ImageError> {
        let kind = &self.descriptor.media_type;
        kind.compression().ok_or_else(|| {
            let what = format!("layer `{}`", self.descriptor.digest);
            ImageError::unsupported(what, format!("its type `{kind}` is unknown"))
        })
    }

    /// Opens the uncompressed tar; `None` when the store does not have the blob.
    ///
    /// # Errors
    /// As [`Self::compression`], and of the store.
    pub fn open(&self, store: &Store) -> Result<Option<LayerReader>, ImageError> {
        let compression = self.compression()?;
        let Some(blob) = store.blobs().open(&self.descriptor.digest)? else {
            return Ok(None);
        };
        if compression == Compression::None && self.descriptor.digest == self.diff_id {
            // The blob's own reader checks the same bytes for the same digest.
            return Ok(Some(LayerReader::checked(Box::new(blob), self.diff_id)));
        }
        let reader = unpacked(blob, compression).map_err(ImageError::io("zstd"))?;
        Ok(Some(LayerReader::new(reader, self.diff_id)))
    }
}

/// Reads the uncompressed bytes of a compressed layer.
///
/// # Errors
/// When the decompressor cannot be set up; what is wrong with the bytes is told by reading.
pub fn unpacked<'a>(
    blob: impl Read + Send + 'a,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let blob = BufReader::with_capacity(128 << 10, blob);
    Ok(match compression {
        Compression::None => Box::new(blob),
        // Several members in a row are one stream, as every reader of layers has it.
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(blob)),
        Compression::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(blob)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}

/// Reads an uncompressed layer and fails at its end when it does not have its `diff_id`.
///
/// A reader of tars may stop before the end: call [`Self::finish`] before trusting what was read.
pub struct LayerReader {
    reader: Box<dyn Read + Send>,
    /// None when the reader checks the digest itself.
    hasher: Option<DigestHasher>,
    n_read: u64,
    diff_id: Digest,
}

impl LayerReader {
    /// Reads the uncompressed tar that `reader` gives.
    pub(crate) fn new(reader: Box<dyn Read + Send>, diff_id: Digest) -> Self {
        Self {
            hasher: Some(DigestHasher::new()),
            ..Self::checked(reader, diff_id)
        }
    }

    /// The same with a reader that fails by itself when the bytes do not have this `diff_id`.
    fn checked(reader: Box<dyn Read + Send>, diff_id: Digest) -> Self {
        Self {
            reader,
            hasher: None,
            n_read: 0,
            diff_id,
        }
    }

    /// Reads what is left and checks the digest of all; gives the size in bytes.
    ///
    /// # Errors
    /// `InvalidData` when the bytes are not those of the layer.
    pub fn finish(mut self) -> io::Result<u64> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(self.n_read)
    }
}

impl Read for LayerReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.reader.read(buffer)?;
        self.n_read += n as u64;
        let Some(hasher) = &mut self.hasher else {
            return Ok(n);
        };
        hasher.update(&buffer[..n]);
        if n == 0 && hasher.clone().finish() != self.diff_id {
            return Err(StoreError::Damaged {
                digest: self.diff_id,
            }
            .into());
        }
        Ok(n)
    }
}

impl std::fmt::Debug for LayerReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LayerReader")
            .field("diff_id", &self.diff_id)
            .finish_non_exhaustive()
    }
}
