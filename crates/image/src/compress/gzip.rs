//! Gzip on all cores, with the same bytes on any number of them.
//!
//! The input is cut into blocks of a fixed size. Each is deflated alone, with the last 32 KiB of
//! the block before it as dictionary, and ends with a sync flush, so the pieces join to one
//! deflate stream and one gzip member (RFC 1952). Nothing depends on how many threads there are
//! or on how the input arrives.

use std::io::{self, Write};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};
use rayon::prelude::*;

/// Part of the output's identity: a change changes every compressed layer.
const BLOCK: usize = 256 << 10;
/// How far deflate looks back.
const WINDOW: usize = 32 << 10;
/// Blocks deflated at one time, which bounds memory; not part of the output's identity.
const BATCH: usize = 32;

/// Magic, deflate, no flags, no time, no extra flags, unknown system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// Compresses what is written to it; [`Self::finish`] must be called for a whole stream.
#[derive(Debug)]
pub(crate) struct GzipWriter<W> {
    inner: W,
    level: Compression,
    /// The dictionary of the first pending block, then the pending bytes.
    pending: Vec<u8>,
    /// How much of `pending` is dictionary.
    n_dictionary: usize,
    crc: Crc,
    started: bool,
}

impl<W: Write> GzipWriter<W> {
    /// Compresses into `inner` at a level from 0 to 9.
    pub(crate) fn new(inner: W, level: u32) -> Self {
        Self {
            inner,
            level: Compression::new(level.min(9)),
            pending: Vec::with_capacity(WINDOW + BLOCK * BATCH),
            n_dictionary: 0,
            crc: Crc::new(),
            started: false,
        }
    }

    /// Compresses what is left and gives back the writer below.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.deflate_pending(End::Last)?;
        self.inner.write_all(&self.crc.sum().to_le_bytes())?;
        // The format counts modulo 2^32.
        self.inner.write_all(&self.crc.amount().to_le_bytes())?;
        Ok(self.inner)
    }

    fn deflate_pending(&mut self, end: End) -> io::Result<()> {
        if !self.started {
            self.inner.write_all(&HEADER)?;
            self.started = true;
        }
        let fresh = &self.pending[self.n_dictionary..];
        self.crc.update(fresh);
        let n_blocks = fresh.len().div_ceil(BLOCK);
        // An empty input still has one, empty, last block.
        let n_pieces = if end == End::Last {
            n_blocks.max(1)
        } else {
            n_blocks
        };
        let pieces: Vec<Vec<u8>> = (0..n_pieces)
            .into_par_iter()
            .map(|n| {
                let start = self.n_dictionary + n * BLOCK;
                let stop = (start + BLOCK).min(self.pending.len());
                let dictionary = &self.pending[start.saturating_sub(WINDOW)..start];
                let last = end == End::Last && n + 1 == n_pieces;
                deflate(
                    &self.pending[start..stop],
                    dictionary,
                    self.level,
                    last.into(),
                )
            })
            .collect::<io::Result<_>>()?;
        for piece in pieces {
            self.inner.write_all(&piece)?;
        }
        let keep = self.pending.len().saturating_sub(WINDOW);
        self.pending.drain(..keep);
        self.n_dictionary = self.pending.len();
        Ok(())
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Full batches leave only when more follows: the last block must be known as such.
        if self.pending.len() - self.n_dictionary == BLOCK * BATCH && !bytes.is_empty() {
            self.deflate_pending(End::More)?;
        }
        let room = BLOCK * BATCH - (self.pending.len() - self.n_dictionary);
        let n = bytes.len().min(room);
        self.pending.extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    /// Does nothing: a flush would make the output depend on who calls it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a block is followed by another.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    More,
    Last,
}

impl From<bool> for End {
    fn from(last: bool) -> Self {
        if last { Self::Last } else { Self::More }
    }
}

fn deflate(block: &[u8], dictionary: &[u8], level: Compression, end: End) -> io::Result<Vec<u8>> {
    let mut state = Compress::new(level, false);
    if !dictionary.is_empty() {
        state.set_dictionary(dictionary).map_err(io::Error::other)?;
    }
    let flush = match end {
        End::More => FlushCompress::Sync,
        End::Last => FlushCompress::Finish,
    };
    let mut out = Vec::with_capacity(block.len() / 2 + 64);
    let mut rest = block;
    loop {
        let before = state.total_in();
        let status = state
            .compress_vec(rest, &mut out, flush)
            .map_err(io::Error::other)?;
        let n = usize::try_from(state.total_in() - before).map_err(io::Error::other)?;
        rest = &rest[n..];
        // A sync flush is whole once space is left over.
        let flushed = end == End::More && rest.is_empty() && out.len() < out.capacity();
        if status == Status::StreamEnd || flushed {
            return Ok(out);
        }
        out.reserve(out.capacity().max(64));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use acetate_oci::Digest;

    use super::*;
    use crate::testing::sample;

    fn gzip(input: &[u8], level: u32, piece: usize) -> Vec<u8> {
        let mut writer = GzipWriter::new(Vec::new(), level);
        for chunk in input.chunks(piece) {
            writer.write_all(chunk).unwrap();
        }
        writer.finish().unwrap()
    }

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        // Not the multi-member reader: there must be one member.
        let mut reader = flate2::bufread::GzDecoder::new(bytes);
        reader.read_to_end(&mut out).unwrap();
        assert!(reader.into_inner().is_empty(), "bytes after the member");
        out
    }

    #[test]
    fn all_sizes_round_trip() {
        let input = sample(BLOCK * 2 + 77);
        let sizes = [
            0,
            1,
            WINDOW,
            BLOCK - 1,
            BLOCK,
            BLOCK + 1,
            BLOCK * 2,
            input.len(),
        ];
        for size in sizes {
            for level in [0, 1, 6, 9] {
                let packed = gzip(&input[..size], level, 10_007);
                assert!(
                    gunzip(&packed) == input[..size],
                    "{size} bytes at level {level}"
                );
            }
        }
    }

    #[test]
    fn batches_are_invisible() {
        let input = sample(BLOCK * BATCH + BLOCK + 5);
        let whole = gzip(&input, 1, input.len());
        assert_eq!(whole, gzip(&input, 1, 4_099));
        assert!(gunzip(&whole) == input);
        let exact = &input[..BLOCK * BATCH];
        assert!(gunzip(&gzip(exact, 1, exact.len())) == exact);
    }

    #[test]
    fn the_system_gzip_agrees() {
        let input = sample(BLOCK * 3);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), gzip(&input, 6, 65_536)).unwrap();
        let mut command = std::process::Command::new("gzip");
        let Ok(out) = command.arg("-dc").stdin(file.reopen().unwrap()).output() else {
            println!("skipped: needs gzip");
            return;
        };
        assert!(out.status.success() && out.stdout == input);
    }

    #[test]
    fn output_is_the_same_on_1_2_and_4_threads_and_as_recorded() {
        let input = sample(BLOCK * 7 + 1234);
        for n_threads in [1, 2, 4] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(n_threads)
                .build()
                .unwrap();
            let digest = Digest::of(&pool.install(|| gzip(&input, 6, 65_536)));
            assert_eq!(
                digest.hex(),
                super::super::GOLDEN_GZIP,
                "{n_threads} threads"
            );
        }
    }
}
