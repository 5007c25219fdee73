use super::StorageError;
use super::unsynced::Unsynced;
use acetate_oci::{Digest, DigestHasher};
use acetate_stdx::atomic::Durability;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// An object that is being written below `tmp/`. Dropped before it is published, it is removed; what
/// a killed server left there is removed when the next one starts.
#[derive(Debug)]
pub struct Upload {
    path: PathBuf,
    file: File,
    hasher: DigestHasher,
    size: u64,
    published: bool,
}

/// An object whose bytes are all written and which nobody sees yet.
#[derive(Debug)]
pub struct Finished {
    upload: Upload,
    digest: Digest,
}

impl Upload {
    /// Makes an empty file in `dir`.
    pub(super) fn create(dir: &Path) -> Result<Self, StorageError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let n = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(n.to_string());
        let file = File::options().write(true).create_new(true).open(&path);
        let file = file.map_err(|error| StorageError::io("make", &path, error))?;
        Ok(Self {
            path,
            file,
            hasher: DigestHasher::new(),
            size: 0,
            published: false,
        })
    }

    /// Appends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        self.hasher.update(bytes);
        self.size += bytes.len() as u64;
        let written = self.file.write_all(bytes);
        written.map_err(|error| StorageError::io("write", &self.path, error))
    }

    /// How many bytes were written.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Another view of the file, to read what was written so far.
    pub(super) fn reader(&self) -> Result<File, StorageError> {
        File::open(&self.path).map_err(|error| StorageError::io("open", &self.path, error))
    }

    /// All bytes were written.
    pub fn finish(mut self) -> Finished {
        let digest = std::mem::take(&mut self.hasher).finish();
        Finished {
            upload: self,
            digest,
        }
    }

    /// All bytes were written.
    ///
    /// # Errors
    /// When they are not those of `expected`.
    pub fn finish_as(self, expected: &Digest) -> Result<Finished, StorageError> {
        let finished = self.finish();
        let found = finished.digest;
        if found == *expected {
            return Ok(finished);
        }
        let expected = *expected;
        Err(StorageError::WrongContent { expected, found })
    }
}

impl Finished {
    /// What the bytes are.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// How many there are.
    pub fn size(&self) -> u64 {
        self.upload.size
    }

    /// Makes the object visible at `target`, after its bytes reached the disk. That it has this name
    /// may be forgotten in a power cut as long as `unsynced` notes it.
    pub(super) fn publish(
        mut self,
        target: &Path,
        sync: Durability,
        unsynced: &Unsynced,
    ) -> Result<u64, StorageError> {
        let upload = &mut self.upload;
        let io = |error| StorageError::io("publish", target, error);
        if matches!(sync, Durability::Synced) {
            upload.file.sync_data().map_err(io)?;
        }
        fail_point("before-rename");
        let parent = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(io)?;
        match sync {
            Durability::Synced => unsynced.rename(&upload.path, target),
            Durability::Fast => std::fs::rename(&upload.path, target),
        }
        .map_err(io)?;
        upload.published = true;
        fail_point("after-rename");
        Ok(upload.size)
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if !self.published {
            // What cannot be removed now is removed at the next start.
            let _left = std::fs::remove_file(&self.path);
        }
    }
}

/// Ends the process at a named point, in builds that are tested for it.
pub(crate) fn fail_point(name: &str) {
    #[cfg(debug_assertions)]
    if crate::fail_point().is_some_and(|wanted| wanted.reached(name)) {
        std::process::abort();
    }
    #[cfg(not(debug_assertions))]
    let _unused = name;
}
