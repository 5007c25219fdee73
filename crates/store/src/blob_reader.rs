//! Reading a blob without trusting it.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use acetate_oci::{Digest, DigestHasher};

use crate::StoreError;
use crate::checksum::{ChecksumHasher, Checksums};

/// Reads a blob and fails instead of handing out its last bytes when they are not those of its name.
///
/// A consumer that has read all bytes without an error has read the right ones.
/// Bytes read before the end are not verified yet: act on them only after the end.
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    digest: Digest,
    size: u64,
    n_read: u64,
    check: Check,
}

/// How the bytes are verified.
#[derive(Debug)]
pub(crate) enum Check {
    /// They are known to be right.
    None,
    /// By the digest; the checksum is noted where somebody wants that.
    Digest(DigestHasher, Option<Noted>),
    /// By the checksum that they had when they had their digest.
    Checksum(ChecksumHasher, u128),
}

/// Where the checksum of right bytes is noted.
#[derive(Debug)]
pub(crate) struct Noted(ChecksumHasher, Arc<Checksums>);

impl Check {
    /// By the digest.
    pub(crate) fn digest() -> Self {
        Self::Digest(DigestHasher::new(), None)
    }

    /// By the checksum where it is known, else by the digest, after which the checksum is known.
    pub(crate) fn fast(checksums: &Arc<Checksums>, digest: &Digest, size: u64) -> Self {
        let hasher = ChecksumHasher::default();
        match checksums.of(digest, size) {
            Some(checksum) => Self::Checksum(hasher, checksum),
            None => Self::Digest(
                DigestHasher::new(),
                Some(Noted(hasher, Arc::clone(checksums))),
            ),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Digest(hasher, noted) => {
                hasher.update(bytes);
                if let Some(Noted(hasher, _)) = noted {
                    hasher.update(bytes);
                }
            }
            Self::Checksum(hasher, _) => hasher.update(bytes),
        }
    }

    /// Whether all bytes are those of the blob.
    fn is_right(&self, digest: &Digest, size: u64) -> bool {
        match self {
            Self::None => true,
            Self::Digest(hasher, noted) => {
                let is_right = hasher.clone().finish() == *digest;
                if let (true, Some(Noted(hasher, checksums))) = (is_right, noted) {
                    checksums.note(digest, size, hasher);
                }
                is_right
            }
            Self::Checksum(hasher, checksum) => hasher.finish() == *checksum,
        }
    }
}

impl BlobReader {
    pub(crate) fn new(file: File, digest: Digest, size: u64, check: Check) -> Self {
        Self {
            file,
            digest,
            size,
            n_read: 0,
            check,
        }
    }

    /// The size of the stored file in bytes; it is part of what is verified.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The name of the blob.
    pub fn digest(&self) -> Digest {
        self.digest
    }
}

impl Read for BlobReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let n = self.file.read(buffer)?;
        self.check.update(&buffer[..n]);
        self.n_read += n as u64;
        // Some readers stop at the known size and never see the end: check with the last bytes.
        let is_end = n == 0 || self.n_read >= self.size;
        if is_end && !self.check.is_right(&self.digest, self.n_read) {
            return Err(StoreError::Damaged {
                digest: self.digest,
            }
            .into());
        }
        Ok(n)
    }
}
