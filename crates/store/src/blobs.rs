//! Blobs: immutable bytes named by their digest.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use acetate_oci::Digest;
use acetate_stdx::lock::Sharing;
use rustix::fs::{AtFlags, Mode, OFlags, Timespec, Timestamps};
use rustix::io::Errno;

use crate::blob_reader::{BlobReader, Check};
use crate::blob_writer::{BlobWriter, Expect, Ingested};
use crate::checksum::Checksums;
use crate::error::IoContext;
use crate::index::Index;
use crate::live::Live;
use crate::root::{Root, lock_dir, relative_blob};
use crate::written::Written;
use crate::{StoreError, TOUCH_SECS};

/// The blobs of a store.
#[derive(Debug)]
pub struct Blobs {
    root: Arc<Root>,
    live: Arc<Live>,
    written: Arc<Written>,
    checksums: Arc<Checksums>,
}

impl Blobs {
    pub(crate) fn new(root: Arc<Root>, live: Arc<Live>, index: Arc<Index>) -> Self {
        Self {
            root,
            live,
            written: Arc::default(),
            checksums: Arc::new(Checksums::new(index)),
        }
    }

    /// Tells the size in bytes of a blob that is there.
    ///
    /// Says nothing about its bytes: only reading to the end does.
    pub fn has(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let name = relative_blob(digest);
        match rustix::fs::statat(&self.root.dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(u64::try_from(stat.st_size).unwrap_or(0))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(StoreError::io("look at", &self.path(digest), error.into())),
        }
    }

    /// Opens a blob for verified reading.
    pub fn open(&self, digest: &Digest) -> Result<Option<BlobReader>, StoreError> {
        let Some(file) = self.open_file(digest)? else {
            return Ok(None);
        };
        let path = self.path(digest);
        let metadata = file.metadata().context("look at", &path)?;
        self.touch(&file, metadata.mtime());
        let reader = BlobReader::new(file, *digest, metadata.len(), Check::digest());
        Ok(Some(reader))
    }

    /// Opens a blob for reading as fast as can be, where damage has to be noticed.
    ///
    /// One that this process wrote, and nobody has touched since, is not verified again. One whose
    /// bytes were seen to have their digest before is verified by a checksum, and every other one as
    /// by [`Blobs::open`].
    pub fn open_known(&self, digest: &Digest) -> Result<Option<BlobReader>, StoreError> {
        let Some(file) = self.open_file(digest)? else {
            return Ok(None);
        };
        let path = self.path(digest);
        let metadata = file.metadata().context("look at", &path)?;
        let size = metadata.len();
        if self.written.is(digest, &metadata) {
            return Ok(Some(BlobReader::new(file, *digest, size, Check::None)));
        }
        self.touch(&file, metadata.mtime());
        let check = Check::fast(&self.checksums, digest, size);
        Ok(Some(BlobReader::new(file, *digest, size, check)))
    }

    /// Opens a blob for somebody who compares what comes with a digest himself.
    ///
    /// Nothing that is read may be believed before that.
    pub fn open_unverified(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let Some(file) = self.open_file(digest)? else {
            return Ok(None);
        };
        let metadata = file.metadata().context("look at", &self.path(digest))?;
        self.touch(&file, metadata.mtime());
        Ok(Some(file))
    }

    /// Reads a whole small blob; one larger than `limit` bytes is [`StoreError::WrongSize`].
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(mut reader) = self.open(digest)? else {
            return Ok(None);
        };
        if reader.size() > limit {
            return Err(StoreError::WrongSize {
                expected: limit,
                found: reader.size(),
            });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(reader.size()).unwrap_or(0));
        reader
            .read_to_end(&mut bytes)
            .context("read", &self.path(digest))?;
        Ok(Some(bytes))
    }

    /// Where a blob lies or would lie; reading it by path is unverified.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.blob(digest)
    }

    /// Starts a new blob.
    pub fn writer(&self) -> Result<BlobWriter, StoreError> {
        let (root, live) = (Arc::clone(&self.root), Arc::clone(&self.live));
        let known = (Arc::clone(&self.written), Arc::clone(&self.checksums));
        BlobWriter::new(root, live, known)
    }

    /// Stores everything that `reader` gives; atomic, idempotent, safe for many writers at once.
    ///
    /// Stops as soon as more bytes come than expected. The blob is pinned.
    pub fn ingest(&self, reader: impl Read, expect: Expect) -> Result<Ingested, StoreError> {
        let mut writer = self.writer()?;
        // One byte more than expected is enough to know that there are too many.
        let limit = expect.size.map_or(u64::MAX, |size| size.saturating_add(1));
        io::copy(&mut reader.take(limit), &mut writer)
            .context("write a blob to", &self.root.path)?;
        writer.commit(expect)
    }

    /// Stores `bytes`.
    pub fn put(&self, bytes: &[u8]) -> Result<Ingested, StoreError> {
        self.ingest(bytes, Expect::ANY)
    }

    /// All blobs, by name.
    pub fn list(&self) -> Result<Vec<Digest>, StoreError> {
        let blobs = crate::usage::blobs(&self.root)?.into_iter();
        Ok(blobs.map(|(digest, _)| digest).collect())
    }

    /// Hashes a blob again and gives its size, `None` when it is gone. That counts as no use.
    ///
    /// Bytes that are not those of its name are [`StoreError::Damaged`].
    pub fn rehash(&self, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let Some(file) = self.open_file(digest)? else {
            return Ok(None);
        };
        let path = self.path(digest);
        let size = file.metadata().context("look at", &path)?.len();
        let mut reader = BlobReader::new(file, *digest, size, Check::digest());
        io::copy(&mut reader, &mut io::sink()).context("read", &path)?;
        Ok(Some(size))
    }

    /// Removes a blob, for example a damaged one; tells whether it was there.
    ///
    /// Open readers keep their bytes. Pins do not stop it: the caller knows that it is worthless.
    pub fn remove(&self, digest: &Digest) -> Result<bool, StoreError> {
        let Some(_lock) = lock_dir(&self.root.shard(digest), Sharing::Exclusive)? else {
            return Ok(false);
        };
        let path = self.path(digest);
        match std::fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("remove", &path, error)),
        }
    }

    fn open_file(&self, digest: &Digest) -> Result<Option<File>, StoreError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.root.dir, relative_blob(digest), flags, Mode::empty()) {
            Ok(file) => Ok(Some(File::from(file))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(StoreError::io("open", &self.path(digest), error.into())),
        }
    }

    /// Notes the use in the file's own time, coarsely, so that reading stays nearly write-free.
    fn touch(&self, file: &File, used: i64) {
        let now = self.root.now();
        if now.saturating_sub(used) < TOUCH_SECS {
            return;
        }
        let time = Timespec {
            tv_sec: now,
            tv_nsec: 0,
        };
        let times = Timestamps {
            last_access: time,
            last_modification: time,
        };
        if let Err(error) = rustix::fs::futimens(file, &times) {
            tracing::debug!(%error, "a blob's time of use could not be noted");
        }
    }
}
