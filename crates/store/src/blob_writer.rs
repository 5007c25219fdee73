//! Writing a blob under no name until its digest is known.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use acetate_oci::{Descriptor, Digest, DigestHasher};
use acetate_stdx::lock::Sharing;

use crate::checksum::{ChecksumHasher, Checksums};
use crate::error::IoContext;
use crate::live::Live;
use crate::root::{Root, lock_dir, make_dir};
use crate::temp::Temp;
use crate::written::Written;
use crate::{Object, StoreError};

/// What is known about a blob before its bytes come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expect {
    /// The digest it must have.
    pub digest: Option<Digest>,
    /// The size it must have, in bytes.
    pub size: Option<u64>,
}

impl Expect {
    /// Nothing is known: the bytes are our own.
    pub const ANY: Self = Self {
        digest: None,
        size: None,
    };

    /// The digest is known.
    pub fn digest(digest: Digest) -> Self {
        Self {
            digest: Some(digest),
            size: None,
        }
    }

    /// Digest and size are those of `descriptor`.
    pub fn descriptor(descriptor: &Descriptor) -> Self {
        Self {
            digest: Some(descriptor.digest),
            size: Some(descriptor.size),
        }
    }
}

/// What a finished blob turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ingested {
    /// Its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// Takes the bytes of one blob; dropped without [`BlobWriter::commit`] it leaves nothing.
///
/// Writes are buffered and hashed on the way.
#[derive(Debug)]
pub struct BlobWriter {
    out: BufWriter<HashingFile>,
    temp: Temp,
    root: Arc<Root>,
    live: Arc<Live>,
    written: Arc<Written>,
    checksums: Arc<Checksums>,
}

#[derive(Debug)]
struct HashingFile {
    file: File,
    hasher: DigestHasher,
    checksum: ChecksumHasher,
}

const N_BUFFER: usize = 128 << 10;

impl BlobWriter {
    pub(crate) fn new(
        root: Arc<Root>,
        live: Arc<Live>,
        (written, checksums): (Arc<Written>, Arc<Checksums>),
    ) -> Result<Self, StoreError> {
        let temp = Temp::file(&root)?;
        let file = temp.file_ref().try_clone().context("write", temp.path())?;
        let sink = HashingFile {
            file,
            hasher: DigestHasher::new(),
            checksum: ChecksumHasher::default(),
        };
        let out = BufWriter::with_capacity(N_BUFFER, sink);
        Ok(Self {
            out,
            temp,
            root,
            live,
            written,
            checksums,
        })
    }

    /// Checks the bytes and gives them their name, at once and whole; pins the blob.
    ///
    /// A blob of that name is replaced: that one exists does not prove that it is intact.
    pub fn commit(mut self, expect: Expect) -> Result<Ingested, StoreError> {
        self.out.flush().context("write", self.temp.path())?;
        let hasher = self.out.get_ref().hasher.clone();
        let size = hasher.bytes_hashed();
        let digest = hasher.finish();
        if let Some(expected) = expect.size.filter(|expected| *expected != size) {
            return Err(StoreError::WrongSize {
                expected,
                found: size,
            });
        }
        if let Some(expected) = expect.digest.filter(|expected| *expected != digest) {
            return Err(StoreError::WrongDigest {
                expected,
                found: digest,
            });
        }
        self.publish(&digest)?;
        self.checksums
            .note(&digest, size, &self.out.get_ref().checksum);
        Ok(Ingested { digest, size })
    }

    fn publish(&mut self, digest: &Digest) -> Result<(), StoreError> {
        let shard = self.root.shard(digest);
        let target = self.root.blob(digest);
        loop {
            // A prune removes shards that it has emptied, under the exclusive lock.
            let Some(_lock) = lock_dir(&shard, Sharing::Shared)? else {
                make_dir(&shard)?;
                continue;
            };
            self.live.write(&[Object::Blob(*digest)])?;
            self.temp.publish(&target).context("write", &target)?;
            // The handle is that of the file, whatever bears its name by now.
            let file = self.temp.file_ref().metadata();
            self.written
                .note(*digest, &file.context("look at", &target)?);
            return Ok(());
        }
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Write for HashingFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.checksum.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
