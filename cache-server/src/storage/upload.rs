use super::StorageError;
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

    /// Makes the object visible at `target`, after its bytes reached the disk.
    ///
    /// # Errors
    /// When the bytes are not those of `expected`.
    pub(super) fn publish(
        mut self,
        target: &Path,
        expected: Option<&Digest>,
        sync: Durability,
    ) -> Result<u64, StorageError> {
        let found = std::mem::take(&mut self.hasher).finish();
        if let Some(expected) = expected
            && *expected != found
        {
            return Err(StorageError::WrongContent {
                expected: *expected,
                found,
            });
        }
        let io = |error| StorageError::io("publish", target, error);
        if matches!(sync, Durability::Synced) {
            self.file.sync_all().map_err(io)?;
        }
        fail_point("before-rename");
        let parent = target.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).map_err(io)?;
        std::fs::rename(&self.path, target).map_err(io)?;
        self.published = true;
        if matches!(sync, Durability::Synced) {
            let dir = std::fs::File::open(parent).map_err(io)?;
            dir.sync_all().map_err(io)?;
        }
        fail_point("after-rename");
        Ok(self.size)
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
