use acetate_oci::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with an object.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// The bytes are not those that the name says.
    #[error("content of `{expected}` has the digest `{found}`")]
    WrongContent {
        /// The name.
        expected: Digest,
        /// What the bytes are.
        found: Digest,
    },
    /// There is no room.
    #[error("there is no room for {0} bytes")]
    Full(u64),
    /// Another server works on the directory.
    #[error("`{0}` is in use by another server")]
    Busy(PathBuf),
    /// A file could not be read or written.
    #[error("failed to {action} `{path}`: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// The index could not be used.
    #[error("the index failed: {0}")]
    Index(#[from] rusqlite::Error),
    /// The index was written by another version.
    #[error("the index has version {0}")]
    IndexVersion(i64),
    /// What holds the objects gave no answer, or none that says what is there.
    #[error("objects cannot be reached just now: {0}")]
    Unavailable(String),
    /// The bucket or the server above cannot be used as it was given.
    #[error("{0}")]
    Setup(String),
}

impl StorageError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// True when the disk has no room, by our own count or by the kernel's.
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full(_) => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            _ => false,
        }
    }
}
