//! Layers in pieces: where a tar is cut, and the compressed form of a piece.
//!
//! Cuts follow the content, so that a change moves the pieces around it and no others. The
//! compressed form is the object that caches hold, under its own digest: a plain store keeps fewer
//! bytes then, and serves them without knowing what they are. Equal pieces have equal objects as
//! long as the compressor is the same, which [`LEVEL`] and the locked version of zstd make it.

use std::io::{self, Read};
use std::ops::{Deref, Range};
use std::sync::Arc;

use acetate_oci::{Digest, DigestHasher};
use fastcdc::v2020::{FastCDC, Normalization};

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
/// Bytes that are read and cut together: a multiple of the largest piece.
const WINDOW: usize = MAX_CHUNK * 2;

/// A part of a tar, in the memory of all pieces that were read with it.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    window: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Deref for Piece {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.window[self.range.clone()]
    }
}

/// Cuts a tar while it is read, and hashes the whole of it: the only pass over it that is no pass over
/// a piece.
pub(super) struct Cutter<R> {
    reader: R,
    /// The size that the tar is said to have.
    size: u64,
    hasher: DigestHasher,
    /// What was read and belongs to the next piece.
    rest: Vec<u8>,
    is_done: bool,
}

impl<R: Read> Cutter<R> {
    /// Cuts what `reader` gives, which is said to be `size` bytes.
    pub(super) fn new(reader: R, size: u64) -> Self {
        Self {
            reader,
            size,
            hasher: DigestHasher::new(),
            rest: Vec::new(),
            is_done: false,
        }
    }

    /// The next pieces; none at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Vec<Piece>>> {
        if self.is_done {
            return Ok(None);
        }
        let is_small = self.size < MAX_CHUNK as u64;
        let window = self.fill()?;
        let cuts = if is_small {
            // A tar that is larger than it is said to be is found out by its digest.
            self.is_done = true;
            std::iter::once(0..window.len()).collect()
        } else {
            self.cuts(&window)
        };
        let end = cuts.last().map_or(0, |cut| cut.end);
        self.rest = window[end..].to_vec();
        let window = Arc::new(window);
        let piece = |range| Piece {
            window: Arc::clone(&window),
            range,
        };
        Ok(Some(cuts.into_iter().map(piece).collect()))
    }

    /// The size and the digest of all that was read.
    pub(super) fn finish(self) -> (u64, Digest) {
        (self.hasher.bytes_hashed(), self.hasher.finish())
    }

    /// Reads on until the window is full or there is no more.
    fn fill(&mut self) -> io::Result<Vec<u8>> {
        let mut window = std::mem::take(&mut self.rest);
        let n_rest = window.len();
        let most = WINDOW - n_rest;
        window.reserve_exact(most);
        let n = (&mut self.reader)
            .take(most as u64)
            .read_to_end(&mut window)?;
        self.is_done = n < most;
        self.hasher.update(&window[n_rest..]);
        Ok(window)
    }

    /// Where to cut a window: all of it at the end, before that as far as a piece cannot reach beyond.
    fn cuts(&self, window: &[u8]) -> Vec<Range<usize>> {
        let cutter = FastCDC::with_level(window, MIN, AVERAGE, MAX_CHUNK, Normalization::Level2);
        let (mut cuts, mut start) = (Vec::new(), 0);
        loop {
            let left = window.len() - start;
            if left == 0 || (left < MAX_CHUNK && !self.is_done) {
                return cuts;
            }
            let (_, end) = cutter.cut(start, left);
            cuts.push(start..end);
            start = end;
        }
    }
}

/// Makes the object that caches hold of a piece. Computes for milliseconds.
pub(super) fn compress(raw: &[u8], digest: Digest) -> io::Result<(Chunk, Vec<u8>)> {
    let stored = zstd::bulk::compress(raw, LEVEL)?;
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    let chunk = Chunk {
        raw: digest,
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

    fn pieces(reader: impl Read, size: usize) -> Vec<Vec<u8>> {
        let mut cutter = Cutter::new(reader, size as u64);
        let mut pieces = Vec::new();
        while let Some(cut) = cutter.next().unwrap() {
            pieces.extend(cut.iter().map(|piece| piece.to_vec()));
        }
        let whole = pieces.concat();
        assert_eq!(cutter.finish(), (whole.len() as u64, Digest::of(&whole)));
        pieces
    }

    fn sizes(bytes: &[u8]) -> Vec<usize> {
        let pieces = pieces(bytes, bytes.len());
        assert_eq!(pieces.concat(), bytes);
        pieces.iter().map(Vec::len).collect()
    }

    fn compressed(raw: &[u8]) -> (Chunk, Vec<u8>) {
        compress(raw, Digest::of(raw)).unwrap()
    }

    /// A window shows no less than the cutter of streams sees.
    #[test]
    fn cuts_are_those_of_the_stream() {
        let mut bytes = noise(11 << 20);
        bytes[3 << 20..7 << 20].fill(0);
        let stream = fastcdc::v2020::StreamCDC::with_level(
            &bytes[..],
            MIN,
            AVERAGE,
            MAX_CHUNK,
            Normalization::Level2,
        );
        let stream: Vec<usize> = stream.map(|piece| piece.unwrap().length).collect();
        assert_eq!(sizes(&bytes), stream);
        // At the very end of a window, too.
        for n in [WINDOW - 1, WINDOW, WINDOW + 1, 2 * WINDOW] {
            sizes(&bytes[..n]);
        }
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
        let slow = pieces(Slow(&bytes), bytes.len());
        let slow: Vec<usize> = slow.iter().map(Vec::len).collect();
        assert_eq!(slow, sizes(&bytes));
    }

    #[test]
    fn objects_are_fixed_and_checked() {
        let raw = b"a piece of a layer ".repeat(1000);
        let (chunk, stored) = compressed(&raw);
        assert_eq!(compressed(&raw), (chunk, stored.clone()));
        assert_eq!(expand(&chunk, &stored), Some(raw.clone()));
        let mut flipped = stored.clone();
        flipped[7] ^= 1;
        assert_eq!(expand(&chunk, &flipped), None);
        assert_eq!(expand(&chunk, &stored[..stored.len() - 1]), None);
        // An object that is what it is called, but not the piece that the record says.
        let (_, other) = compressed(b"something else");
        let lying = Chunk {
            stored: Digest::of(&other),
            stored_size: u32::try_from(other.len()).unwrap(),
            ..chunk
        };
        assert_eq!(expand(&lying, &other), None);
        // A bomb: more bytes than the record says.
        let (_, bomb) = compressed(&vec![0; MAX_CHUNK]);
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
        let (chunk, stored) = compressed(&noise(MAX_CHUNK));
        assert!(chunk.raw_size as usize <= MAX_CHUNK && stored.len() <= MAX_STORED);
    }
}
