//! Checksums of large blobs, which are ten times faster to check than their digests.

use std::sync::Arc;

use acetate_oci::Digest;
use twox_hash::XxHash3_128;

use crate::FactKey;
use crate::index::Index;

/// Smaller blobs are hashed as fast as a checksum is looked up.
const SMALLEST: u64 = 1 << 20;

/// Computes the checksum of bytes: XXH3 with 128 bits.
///
/// It is for bytes that were once seen to have their digest, and then lay in this store: it tells
/// of disks that fail and of writes that were lost, and says nothing of who could write to the store,
/// who could write other checksums, too.
#[derive(Clone)]
pub(crate) struct ChecksumHasher(XxHash3_128);

/// The checksums of the blobs of a store, as facts of its index.
#[derive(Debug)]
pub(crate) struct Checksums(Arc<Index>);

impl Default for ChecksumHasher {
    fn default() -> Self {
        Self(XxHash3_128::new())
    }
}

impl std::fmt::Debug for ChecksumHasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ChecksumHasher")
    }
}

impl ChecksumHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    pub(crate) fn finish(&self) -> u128 {
        self.0.finish_128()
    }
}

impl Checksums {
    pub(crate) fn new(index: Arc<Index>) -> Self {
        Self(index)
    }

    /// The checksum of a blob that was seen whole.
    pub(crate) fn of(&self, digest: &Digest, size: u64) -> Option<u128> {
        if size < SMALLEST {
            return None;
        }
        let found = self.0.facts(&[key(digest)]);
        let found = found.inspect_err(|error| {
            tracing::debug!(%error, "the checksum of a blob is not known");
        });
        let bytes = found.ok()?.pop()??;
        Some(u128::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Keeps the checksum of a blob whose bytes have just been seen to be those of its name.
    pub(crate) fn note(&self, digest: &Digest, size: u64, checksum: &ChecksumHasher) {
        if size >= SMALLEST {
            let fact = checksum.finish().to_le_bytes().to_vec();
            self.0.put_facts(vec![(key(digest), fact)]);
        }
    }
}

fn key(digest: &Digest) -> FactKey {
    FactKey::new("blob-xxh3-128", digest.as_bytes())
}
