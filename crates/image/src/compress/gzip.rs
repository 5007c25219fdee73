//! Gzip in members of a fixed size (RFC 1952, section 2.2), packed by libdeflate.
//!
//! Its compressor looks at no features of the processor, only its checksum does, so the bytes are
//! the same on every machine; the golden digest watches over that.

use std::io::{self, Write};

use libdeflater::{CompressionLvl, Compressor};

use super::blocks::{BlockWriter, Pack, Plan};

/// Input bytes of a member; part of the output's identity. Smaller ones lose more at each beginning,
/// where deflate has nothing to look back at; of 1 MiB that is a third of a percent.
const MEMBER: usize = 1 << 20;
/// More threads than this would only take memory: one thread cannot read and hash fast enough.
const MAX_THREADS: usize = 32;

/// Compresses into `inner` at a level from 0 to 9.
pub(super) fn writer<W: Write>(inner: W, level: i32, n_threads: usize) -> BlockWriter<W> {
    members(inner, level, n_threads, MEMBER)
}

/// The same with members of another size.
pub(super) fn members<W: Write>(
    inner: W,
    level: i32,
    n_threads: usize,
    block: usize,
) -> BlockWriter<W> {
    let plan = Plan {
        block,
        n_threads: n_threads.min(MAX_THREADS),
        packer,
        level,
    };
    BlockWriter::new(inner, plan)
}

struct Deflater {
    compressor: Compressor,
    /// As large as the largest member that a block can become.
    room: Vec<u8>,
}

fn packer(level: i32) -> io::Result<Box<dyn Pack>> {
    let level = CompressionLvl::new(level.clamp(0, 9));
    let level = level.map_err(|_| io::Error::other("the level is not one of libdeflate's"))?;
    Ok(Box::new(Deflater {
        compressor: Compressor::new(level),
        room: Vec::new(),
    }))
}

impl Pack for Deflater {
    fn pack(&mut self, block: &[u8]) -> io::Result<Vec<u8>> {
        let bound = self.compressor.gzip_compress_bound(block.len());
        if self.room.len() < bound {
            self.room.resize(bound, 0);
        }
        let packed = self.compressor.gzip_compress(block, &mut self.room);
        let n = packed.map_err(io::Error::other)?;
        Ok(self.room[..n].to_vec())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use acetate_oci::Digest;

    use super::*;
    use crate::testing::sample;

    fn gzip(input: &[u8], level: i32, piece: usize, n_threads: usize) -> Vec<u8> {
        let mut writer = writer(Vec::new(), level, n_threads);
        for chunk in input.chunks(piece) {
            writer.write_all(chunk).unwrap();
        }
        writer.finish().unwrap().0
    }

    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reader = flate2::bufread::MultiGzDecoder::new(bytes);
        reader.read_to_end(&mut out).unwrap();
        out
    }

    #[test]
    fn all_sizes_round_trip() {
        let input = sample(MEMBER * 2 + 77);
        for size in [
            0,
            1,
            MEMBER - 1,
            MEMBER,
            MEMBER + 1,
            MEMBER * 2,
            input.len(),
        ] {
            for level in [0, 1, 6, 9] {
                let packed = gzip(&input[..size], level, 10_007, 2);
                assert!(
                    gunzip(&packed) == input[..size],
                    "{size} bytes at level {level}"
                );
            }
        }
    }

    #[test]
    fn nothing_is_one_member() {
        let packed = gzip(b"", 6, 1, 2);
        assert_eq!(packed.len(), 10 + 5 + 8, "header, empty block and trailer");
        assert!(gunzip(&packed).is_empty());
    }

    #[test]
    fn the_header_tells_no_time_and_no_system() {
        assert_eq!(
            gzip(b"x", 6, 1, 0)[..10],
            [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]
        );
    }

    #[test]
    fn higher_levels_are_smaller() {
        let input = sample(MEMBER);
        let sizes: Vec<usize> = [0, 1, 6, 9]
            .map(|l| gzip(&input, l, MEMBER, 0).len())
            .to_vec();
        assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
    }

    #[test]
    fn the_system_gzip_agrees() {
        let input = sample(MEMBER * 3);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), gzip(&input, 6, 65_536, 2)).unwrap();
        let mut command = std::process::Command::new("gzip");
        let Ok(out) = command.arg("-dc").stdin(file.reopen().unwrap()).output() else {
            println!("skipped: needs gzip");
            return;
        };
        assert!(out.status.success() && out.stdout == input);
    }

    #[test]
    fn output_is_the_same_on_0_1_2_and_4_threads_and_as_recorded() {
        let input = sample(MEMBER * 7 + 1234);
        for n_threads in [0, 1, 2, 4] {
            let digest = Digest::of(&gzip(&input, 6, 65_536, n_threads));
            assert_eq!(
                digest.hex(),
                super::super::GOLDEN_GZIP,
                "{n_threads} threads"
            );
        }
        let other_pieces = Digest::of(&gzip(&input, 6, 4_099, 2));
        assert_eq!(
            other_pieces.hex(),
            super::super::GOLDEN_GZIP,
            "pieces of another size"
        );
    }
}
