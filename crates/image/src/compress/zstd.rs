//! Zstandard in frames of a fixed size (RFC 8878, section 3), each with its checksum.
//!
//! The library's own threads give the same bytes for any number of them, too, but their jobs grow
//! with the level: to 512 MiB each at level 22. Frames need no more than the frame, and no reader
//! needs a larger window than that.

use std::io::{self, Write};

use zstd::bulk::Compressor;
use zstd::zstd_safe::CParameter;

use super::blocks::{BlockWriter, Pack, Plan};

/// Input bytes of a frame; part of the output's identity. The largest window that RFC 8878 asks
/// every reader to support.
const FRAME: usize = 8 << 20;
/// Bounds memory: a thread has a frame and its packed form, and tables.
const MAX_THREADS: usize = 6;
/// From this level on the tables of a thread take tens of mebibytes.
const DEEP: i32 = 13;
const MAX_DEEP_THREADS: usize = 2;

/// Compresses into `inner` at a level from 1 to 22, 0 being the library's default.
pub(super) fn writer<W: Write>(inner: W, level: i32, n_threads: usize) -> BlockWriter<W> {
    let limit = if level < DEEP {
        MAX_THREADS
    } else {
        MAX_DEEP_THREADS
    };
    let plan = Plan {
        block: FRAME,
        n_threads: n_threads.min(limit),
        packer,
        level,
    };
    BlockWriter::new(inner, plan)
}

struct Framer(Compressor<'static>);

fn packer(level: i32) -> io::Result<Box<dyn Pack>> {
    let mut compressor = Compressor::new(level.clamp(0, 22))?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    Ok(Box::new(Framer(compressor)))
}

impl Pack for Framer {
    fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let mut packed = self.0.compress(block)?;
        packed.shrink_to_fit();
        Ok(packed)
    }
}

#[cfg(test)]
mod tests {
    use acetate_oci::Digest;

    use super::*;
    use crate::testing::sample;

    fn pack(input: &[u8], level: i32, piece: usize, n_threads: usize) -> Vec<u8> {
        let mut writer = writer(Vec::new(), level, n_threads);
        for chunk in input.chunks(piece) {
            writer.write_all(chunk).unwrap();
        }
        writer.finish().unwrap().0
    }

    #[test]
    fn output_is_the_same_for_0_1_2_and_4_threads_and_as_recorded() {
        let input = sample(3 * FRAME + 1234);
        for n_threads in [0, 1, 2, 4] {
            let digest = Digest::of(&pack(&input, 3, 131_072, n_threads));
            assert_eq!(
                digest.hex(),
                super::super::GOLDEN_ZSTD,
                "{n_threads} threads"
            );
        }
        let other_pieces = Digest::of(&pack(&input, 3, 10_007, 2));
        assert_eq!(
            other_pieces.hex(),
            super::super::GOLDEN_ZSTD,
            "pieces of another size"
        );
    }

    #[test]
    fn round_trips() {
        for (size, level) in [(0, 3), (1, 1), (100_000, 22), (FRAME + 1, 0)] {
            let input = sample(size);
            let packed = pack(&input, level, 777, 2);
            assert!(zstd::decode_all(packed.as_slice()).unwrap() == input);
        }
    }

    #[test]
    fn a_flipped_bit_is_noticed() {
        let mut packed = pack(&sample(100_000), 3, 100_000, 0);
        let last = packed.len() - 1;
        packed[last] ^= 1;
        assert!(zstd::decode_all(packed.as_slice()).is_err());
    }
}
