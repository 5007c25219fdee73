//! The files of a layout directory.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use acetate_oci::{Descriptor, Digest};
use acetate_stdx::lock::{FileLock, Sharing, Target};

use super::load::MAX_MANIFEST;

/// What `oci-layout` says (image specification, image-layout.md).
const LAYOUT_FILE: &str = "{\"imageLayoutVersion\":\"1.0.0\"}";
/// The name of the lock that other programs use for the index as well.
const INDEX_LOCK: &str = "index.json.lock";
/// Where blobs are written until they are whole.
const INGEST: &str = "ingest";
/// How long another build may be writing the index.
const PATIENCE: Duration = Duration::from_secs(30);

/// A directory that is an OCI layout, or is to become one.
#[derive(Debug, Clone)]
pub(super) struct LayoutDir {
    root: PathBuf,
}

impl LayoutDir {
    /// The directory at a path, whether there is one or not.
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.root
    }

    /// True when something has this path.
    pub(super) fn exists(&self) -> bool {
        self.root.exists()
    }

    /// True when there is anything in it, or when that cannot be seen.
    pub(super) fn has_files(&self) -> bool {
        let entries = fs::read_dir(&self.root);
        entries.map_or(true, |mut entries| entries.next().is_some())
    }

    /// The bytes of the index; none when there is no index.
    pub(super) fn index(&self, limit: u64) -> io::Result<Option<Vec<u8>>> {
        read(&self.root.join("index.json"), limit)
    }

    /// Replaces the index; whoever does that holds [`Self::lock_index`].
    pub(super) fn put_index(&self, bytes: &[u8]) -> io::Result<()> {
        self.publish(&self.root.join("index.json"), |file| file.write_all(bytes))
    }

    /// The bytes of a small blob, not verified; none when it is not there.
    pub(super) fn small_blob(&self, digest: &Digest, limit: u64) -> io::Result<Option<Vec<u8>>> {
        read(&self.blob(digest), limit)
    }

    /// Opens a blob, not verified; none when it is not there, or is no file.
    pub(super) fn open_blob(&self, digest: &Digest) -> io::Result<Option<(File, u64)>> {
        let path = self.blob(digest);
        // A pipe would be opened for ever.
        let Some(data) = found(fs::metadata(&path))?.filter(fs::Metadata::is_file) else {
            return Ok(None);
        };
        Ok(found(File::open(&path))?.map(|file| (file, data.len())))
    }

    /// True when a blob of this size is there; only reading it tells whether it is the right one.
    pub(super) fn has(&self, blob: &Descriptor) -> bool {
        let data = fs::metadata(self.blob(&blob.digest));
        data.is_ok_and(|data| data.is_file() && data.len() == blob.size)
    }

    /// Writes a blob, whole or not at all; one that is there is replaced.
    pub(super) fn put_blob(
        &self,
        digest: &Digest,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        self.publish(&self.blob(digest), write)
    }

    /// Makes the directory an empty layout where it is none, so that it is one at any time.
    pub(super) fn prepare(&self) -> io::Result<()> {
        // First what nobody else's directory has: see [`Self::is_begun`].
        fs::create_dir_all(self.root.join(INGEST))?;
        fs::create_dir_all(self.blobs())?;
        let (marker, index) = (self.root.join("oci-layout"), self.root.join("index.json"));
        if marker.exists() && index.exists() {
            return Ok(());
        }
        let _lock = self.lock_index()?;
        match (marker.exists(), index.exists()) {
            (false, true) if !self.has_index()? => {
                let text = "it has an `index.json` and is no OCI layout; name another directory";
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
            // Written first: so garbage without it was never an index of ours.
            (false, _) => self.publish(&marker, |file| file.write_all(LAYOUT_FILE.as_bytes()))?,
            (true, _) => {}
        }
        if !index.exists() {
            let empty = acetate_oci::Index::oci(Vec::new());
            self.put_index(&acetate_oci::canonical_json(&empty))?;
        }
        Ok(())
    }

    /// True when the directory says that it is a layout, or holds what only layouts have.
    pub(super) fn is_layout(&self) -> io::Result<bool> {
        Ok(self.root.join("oci-layout").exists() || self.has_index()?)
    }

    /// True when there is nothing in it but what a cache begins with, in whatever order.
    pub(super) fn is_begun(&self) -> io::Result<bool> {
        let own = ["blobs", INGEST, INDEX_LOCK, "oci-layout", "index.json"];
        let mut is_ours = false;
        for entry in fs::read_dir(&self.root)? {
            let name = entry?.file_name();
            if !own.iter().any(|own| name == *own) {
                return Ok(false);
            }
            is_ours |= name == INGEST || name == INDEX_LOCK;
        }
        Ok(is_ours || !self.has_files())
    }

    fn has_index(&self) -> io::Result<bool> {
        let bytes = self.index(MAX_MANIFEST)?.unwrap_or_default();
        Ok(serde_json::from_slice::<acetate_oci::Index>(&bytes).is_ok())
    }

    /// Excludes all other builds from the index, also those of other programs.
    pub(super) fn lock_index(&self) -> io::Result<FileLock> {
        let path = self.root.join(INDEX_LOCK);
        let lock = FileLock::acquire_within(&path, Target::File, Sharing::Exclusive, PATIENCE)?;
        lock.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "another build holds its lock"))
    }

    /// Says that blobs are being written or relied on that no index names yet, which nobody may
    /// remove meanwhile.
    pub(super) fn lock_blobs(&self) -> io::Result<FileLock> {
        let path = self.blobs();
        let lock = FileLock::acquire_within(&path, Target::Existing, Sharing::Shared, PATIENCE)?;
        lock.ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "another build is cleaning up"))
    }

    /// Allows to remove blobs; none while another build writes.
    pub(super) fn lock_for_removal(&self) -> io::Result<Option<FileLock>> {
        FileLock::acquire_now(&self.blobs(), Target::Existing, Sharing::Exclusive)
    }

    /// Removes all blobs that are not among the ones to be kept.
    pub(super) fn sweep(&self, is_kept: impl Fn(&Digest) -> bool) -> io::Result<()> {
        for entry in fs::read_dir(self.blobs())? {
            let name = entry?.file_name();
            let digest = name.to_str().and_then(|hex| Digest::from_hex(hex).ok());
            // What has another name is not ours to judge.
            if let Some(digest) = digest.filter(|digest| !is_kept(digest)) {
                found(fs::remove_file(self.blob(&digest)))?;
            }
        }
        Ok(())
    }

    /// Removes what builds that died were writing.
    pub(super) fn clean_up(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root.join(INGEST))? {
            let path = entry?.path();
            let lock = FileLock::acquire_now(&path, Target::Existing, Sharing::Exclusive);
            if let Some(lock) = found(lock)?.flatten() {
                found(lock.remove())?;
            }
        }
        Ok(())
    }

    fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    fn publish(
        &self,
        target: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let (lock, file) = self.temporary()?;
        let outcome = (|| {
            let mut file = BufWriter::with_capacity(128 << 10, &file);
            write(&mut file)?;
            file.flush()?;
            drop(file);
            fs::rename(lock.path(), target)
        })();
        if outcome.is_err() {
            // The first error is the one to report; what is left is removed by the next build.
            drop(lock.remove());
        }
        outcome
    }

    /// A new file that nobody takes for one of a dead process.
    fn temporary(&self) -> io::Result<(FileLock, File)> {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let dir = self.root.join(INGEST);
        loop {
            let n = COUNTER.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{}-{n}", std::process::id()));
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(0o644);
            let file = match options.open(&path) {
                // Process ids repeat across containers and machines: the next number is free.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            let lock = FileLock::acquire_now(&path, Target::Existing, Sharing::Exclusive);
            // Between both calls somebody may have taken it for a dead one.
            if let Some(lock) = found(lock)?.flatten() {
                return Ok((lock, file));
            }
        }
    }
}

/// Reads a small file; too many bytes are an error, absence is a value.
fn read(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(data) = found(fs::metadata(path))? else {
        return Ok(None);
    };
    if !data.is_file() {
        let text = format!("`{}` is no regular file", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    let Some(file) = found(File::open(path))? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let text = format!("`{}` is larger than {limit} bytes", path.display());
        return Err(io::Error::new(io::ErrorKind::InvalidData, text));
    }
    Ok(Some(bytes))
}

/// Absence as a value.
fn found<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
