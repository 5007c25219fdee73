//! Layers in pieces: where a tar is cut, and the compressed form of a piece.
//!
//! Cuts follow the content, so that a change moves the pieces around it and no others. The
//! compressed form is the object that caches hold, under its own digest: a plain store keeps fewer
//! bytes then, and serves them without knowing what they are. Equal pieces have equal objects as
//! long as the compressor is the same, which [`LEVEL`] and the locked version of zstd make it.

use std::io::{self, Read};

use acetate_oci::Digest;
use fastcdc::v2020::{Error, Normalization, StreamCDC};

use super::record::Chunk;

/// The sizes that the Remote Execution API proposes for FastCDC 2020.
const AVERAGE: usize = 512 << 10;
const MIN: usize = AVERAGE / 4;
/// No piece is larger, and a smaller tar is one piece.
pub(super) const MAX_CHUNK: usize = AVERAGE * 4;
/// The most that zstd makes of a piece: what cannot be compressed grows by less than 1/128.
pub(super) const MAX_STORED: usize = MAX_CHUNK + MAX_CHUNK / 128;
/// The compression level.
const LEVEL: i32 = 3;

/// Cuts what `reader` gives, which is said to be `size` bytes.
pub(super) fn pieces<'a>(
    reader: impl Read + 'a,
    size: u64,
) -> Box<dyn Iterator<Item = io::Result<Vec<u8>>> + 'a> {
    if size < MAX_CHUNK as u64 {
        return Box::new(std::iter::once_with(move || {
            let mut whole = Vec::new();
            // One byte more shows that the size is not true.
            reader.take(size + 1).read_to_end(&mut whole)?;
            Ok(whole)
        }));
    }
    let cuts = StreamCDC::with_level(reader, MIN, AVERAGE, MAX_CHUNK, Normalization::Level2);
    Box::new(cuts.map(|piece| match piece {
        Ok(piece) => Ok(piece.data),
        Err(Error::IoError(error)) => Err(error),
        Err(other) => Err(io::Error::other(other.to_string())),
    }))
}

/// Makes the object that caches hold of a piece. Computes for milliseconds.
pub(super) fn compress(raw: &[u8]) -> io::Result<(Chunk, Vec<u8>)> {
    let stored = zstd::bulk::compress(raw, LEVEL)?;
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let chunk = Chunk {
        raw: Digest::of(raw),
        raw_size: size(raw)?,
        stored: Digest::of(&stored),
        stored_size: size(&stored)?,
    };
    Ok((chunk, stored))
}

/// Makes a piece of an object that came from a cache, or nothing when the object is another one or
/// no piece of that size. No more memory is used than the piece needs. Computes for milliseconds.
///
/// That it is the piece which the record means is seen when the whole tar is hashed.
pub(super) fn expand(chunk: &Chunk, stored: &[u8]) -> Option<Vec<u8>> {
    if stored.len() != chunk.stored_size as usize || Digest::of(stored) != chunk.stored {
        return None;
    }
    if chunk.is_plain() {
        return (stored.len() == chunk.raw_size as usize).then(|| stored.to_vec());
    }
    let raw = zstd::bulk::decompress(stored, chunk.raw_size as usize).ok()?;
    (raw.len() == chunk.raw_size as usize).then_some(raw)
}

/// True when the bytes are those of the piece.
pub(super) fn is_piece(chunk: &Chunk, raw: &[u8]) -> bool {
    raw.len() == chunk.raw_size as usize && Digest::of(raw) == chunk.raw
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that look random and are the same everywhere (xorshift, Marsaglia 2003).
    fn noise(n: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.flatten().take(n).collect()
    }

    fn sizes(bytes: &[u8]) -> Vec<usize> {
        let pieces = pieces(bytes, bytes.len() as u64);
        pieces.map(|piece| piece.unwrap().len()).collect()
    }

    /// Whoever moves a cut makes every shared layer travel again.
    #[test]
    fn cuts_are_fixed() {
        let bytes = noise(8 << 20);
        assert_eq!(
            sizes(&bytes),
            [
                532_150, 618_582, 592_791, 671_048, 540_917, 599_071, 719_667, 313_117, 824_540,
                585_072, 625_525, 553_714, 602_928, 599_406, 10_080
            ]
        );
        assert_eq!(sizes(&bytes[..MAX_CHUNK - 1]), [MAX_CHUNK - 1]);
        assert_eq!(sizes(&vec![0; 3 * MAX_CHUNK]), [MAX_CHUNK; 3]);
        assert_eq!(sizes(b""), [0]);
    }

    #[test]
    fn a_reader_that_gives_little_at_a_time_is_cut_the_same() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = buffer.len().min(1000);
                self.0.read(&mut buffer[..n])
            }
        }
        let bytes = noise(5 << 20);
        let slow = pieces(Slow(&bytes), bytes.len() as u64);
        let slow: Vec<usize> = slow.map(|piece| piece.unwrap().len()).collect();
        assert_eq!(slow, sizes(&bytes));
    }

    #[test]
    fn objects_are_fixed_and_checked() {
        let raw = b"a piece of a layer ".repeat(1000);
        let (chunk, stored) = compress(&raw).unwrap();
        assert_eq!(compress(&raw).unwrap(), (chunk, stored.clone()));
        assert_eq!(expand(&chunk, &stored), Some(raw.clone()));
        let mut flipped = stored.clone();
        flipped[7] ^= 1;
        assert_eq!(expand(&chunk, &flipped), None);
        assert_eq!(expand(&chunk, &stored[..stored.len() - 1]), None);
        // An object that is what it is called, but not the piece that the record says.
        let (_, other) = compress(b"something else").unwrap();
        let lying = Chunk {
            stored: Digest::of(&other),
            stored_size: u32::try_from(other.len()).unwrap(),
            ..chunk
        };
        assert_eq!(expand(&lying, &other), None);
        // A bomb: more bytes than the record says.
        let (_, bomb) = compress(&vec![0; MAX_CHUNK]).unwrap();
        let bomb_chunk = Chunk {
            raw_size: 10,
            stored: Digest::of(&bomb),
            stored_size: u32::try_from(bomb.len()).unwrap(),
            ..chunk
        };
        assert_eq!(expand(&bomb_chunk, &bomb), None);
    }

    #[test]
    fn what_cannot_be_compressed_fits() {
        let (chunk, stored) = compress(&noise(MAX_CHUNK)).unwrap();
        assert!(chunk.raw_size as usize <= MAX_CHUNK && stored.len() <= MAX_STORED);
    }
}
