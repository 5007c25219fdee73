//! Zstandard on all cores, with the same bytes on any number of them.
//!
//! The library cuts its jobs by level and window, not by the number of workers, as long as there
//! is at least one and input goes through the streaming interface.

use std::io::{self, Write};

use zstd::stream::write::Encoder;

/// Compresses into `inner` at a level from 1 to 22, 0 being the library's default.
pub(crate) fn writer<W: Write>(
    inner: W,
    level: i32,
    n_workers: u32,
) -> io::Result<Encoder<'static, W>> {
    let mut encoder = Encoder::new(inner, level.clamp(0, 22))?;
    // Zero workers would compress in another way, with other bytes.
    encoder.multithread(n_workers.max(1))?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

#[cfg(test)]
mod tests {
    use acetate_oci::Digest;

    use super::*;
    use crate::testing::sample;

    fn pack(input: &[u8], piece: usize, n_workers: u32) -> Vec<u8> {
        let mut encoder = writer(Vec::new(), 3, n_workers).unwrap();
        for chunk in input.chunks(piece) {
            encoder.write_all(chunk).unwrap();
        }
        encoder.finish().unwrap()
    }

    #[test]
    fn output_is_the_same_for_0_1_2_and_4_workers_and_as_recorded() {
        // Larger than several jobs, so that there is something to share out.
        let input = sample(24 << 20);
        for n_workers in [0, 1, 2, 4] {
            let digest = Digest::of(&pack(&input, 131_072, n_workers));
            assert_eq!(
                digest.hex(),
                super::super::GOLDEN_ZSTD,
                "{n_workers} workers"
            );
        }
        let other_pieces = Digest::of(&pack(&input, 10_007, 2));
        assert_eq!(
            other_pieces.hex(),
            super::super::GOLDEN_ZSTD,
            "pieces of another size"
        );
    }

    #[test]
    fn round_trips() {
        for size in [0, 1, 100_000] {
            let input = sample(size);
            let packed = pack(&input, 777, 2);
            assert!(zstd::decode_all(packed.as_slice()).unwrap() == input);
        }
    }
}
