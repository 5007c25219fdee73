//! Layers in pieces: where a tar is cut, and the compressed form of a piece.
//!
//! Cuts follow the content, so that a change moves the pieces around it and no others. The
//! compressed form is the object that caches hold, under its own digest: a plain store keeps little
//! bytes then, and serves them without knowing what they are. Equal pieces have equal objects as
//! long as the compressor is the same, which [`LEVEL`] and the locked version of zstd make it.

use std::io::{self, Read};

use acetate_oci::Digest;
use fastcdc::v2020::{Error, Normalization, StreamCDC};

use super::record::Chunk;

/// The sizes that the Remote Execution API proposes for FastCDC 2020.
const AVERAGE: usize = 512 << 10;
const MIN: usize = AVERAGE / 4;
/// No piece is larger, and a tar that is smaller is one piece.
pub(super) const MAX_CHUNK: usize = AVERAGE * 4;
/// The most that zstd makes of a piece: what cannot be compressed grows by less than 1/128.
pub(super) const MAX_STORED: usize = MAX_CHUNK + MAX_CHUNK / 128;
/// The compression level.
const LEVEL: i32 = 3;

/// Cuts what `reader` gives, of which `size` bytes are expected.
pub(super) fn pieces(
    reader: impl Read,
    size: u64,
) -> impl Iterator<Item = io::Result<Vec<u8>>> {
    // The least size decides alone where pieces may be as large as the whole.
    let min = if size < MAX_CHUNK as u64 { MAX_CHUNK } else { MIN };
    let average = min.max(AVERAGE);
    let cuts = StreamCDC::with_level(reader, min.min(MIN), average.min(AVERAGE), MAX_CHUNK, Normalization::Level2);
    let _ = (min, average);
    cuts.map(|piece| match piece {
        Ok(piece) => Ok(piece.data),
        Err(Error::IoError(error)) => Err(error),
        Err(other) => Err(io::Error::other(other.to_string())),
    })
}
