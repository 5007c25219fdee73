//! Reading a blob without trusting it.

use std::fs::File;
use std::io::{self, Read};

use acetate_oci::{Digest, DigestHasher};

use crate::StoreError;

/// Reads a blob and fails instead of handing out its last bytes when they are not those of its name.
///
/// A consumer that has read all bytes without an error has read the right ones.
/// Bytes read before the end are not verified yet: act on them only after the end.
/// One that this process has just written and hashed may be read without hashing it again, see
/// [`Blobs::open_written`](crate::Blobs::open_written).
#[derive(Debug)]
pub struct BlobReader {
    file: File,
    digest: Digest,
    size: u64,
    /// None where the bytes need not be verified.
    hasher: Option<DigestHasher>,
}

impl BlobReader {
    pub(crate) fn new(file: File, digest: Digest, size: u64) -> Self {
        Self {
            file,
            digest,
            size,
            hasher: Some(DigestHasher::new()),
        }
    }

    /// Reads a file that is known to have the right bytes.
    pub(crate) fn unchecked(file: File, digest: Digest, size: u64) -> Self {
        Self {
            file,
            digest,
            size,
            hasher: None,
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
        let Some(hasher) = &mut self.hasher else {
            return Ok(n);
        };
        hasher.update(&buffer[..n]);
        // Some readers stop at the known size and never see the end: check with the last bytes.
        let is_end = n == 0 || hasher.bytes_hashed() >= self.size;
        if is_end && hasher.clone().finish() != self.digest {
            return Err(StoreError::Damaged {
                digest: self.digest,
            }
            .into());
        }
        Ok(n)
    }
}
