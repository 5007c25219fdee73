//! The blobs that this process has written and hashed itself.

use std::collections::HashMap;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use acetate_oci::Digest;

/// More blobs than a build writes; when there are more, all are forgotten, which costs hashing.
const MAX_KNOWN: usize = 100_000;

/// Which file a blob was when this process gave it its name.
///
/// A file that was written to, replaced or touched since is another one.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<HashMap<Digest, Identity>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl Written {
    /// Notes that the file has the bytes of its name.
    pub(crate) fn note(&self, digest: Digest, file: &Metadata) {
        let mut known = self.known();
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(digest, Identity::of(file));
    }

    /// True for the very file that was noted, unchanged.
    pub(crate) fn is(&self, digest: &Digest, file: &Metadata) -> bool {
        self.known().get(digest) == Some(&Identity::of(file))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Digest, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            size: file.size(),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}
