//! What can go wrong at the boundary of the store.

use std::io;
use std::path::{Path, PathBuf};

use acetate_oci::Digest;
use rustix::io::Errno;

/// A failed operation of the store; absence is never an error, it is a value.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory was written by a newer program: upgrade, or choose another root.
    #[error(
        "use the store `{}`: it has format {found}, this program knows format {known}; \
         use a newer acetate or another root", root.display()
    )]
    NewerVersion {
        /// The root of the store.
        root: PathBuf,
        /// The format found there.
        found: u32,
        /// The format of this program.
        known: u32,
    },
    /// The directory holds something that is no store: choose another root.
    #[error("use `{}` as a store: {reason}", root.display())]
    NotAStore {
        /// The root that was asked for.
        root: PathBuf,
        /// What was found there.
        reason: String,
    },
    /// Somebody else could change what is in the store: choose a safe place.
    #[error("trust the store `{}`: {reason}", root.display())]
    Unsafe {
        /// The root that was asked for.
        root: PathBuf,
        /// Who could change it, and the fix.
        reason: String,
    },
    /// No space is left: free some, for example with `prune`, and try again.
    #[error("write `{}`: no space left on the device", path.display())]
    Full {
        /// The file or directory that could not be written.
        path: PathBuf,
    },
    /// The bytes are not those that were asked for; nothing was kept.
    #[error("accept a blob as `{expected}`: its bytes have the digest `{found}`")]
    WrongDigest {
        /// The digest asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The number of bytes is not the one that was asked for; nothing was kept.
    #[error("accept a blob of {found} bytes: {expected} were expected")]
    WrongSize {
        /// The size asked for, in bytes.
        expected: u64,
        /// The size of what came, at least.
        found: u64,
    },
    /// A stored blob no longer has the bytes of its name: remove it and fetch or make it again.
    #[error("read the blob `{digest}`: its bytes are damaged")]
    Damaged {
        /// The name of the blob.
        digest: Digest,
    },
    /// A short lock inside the store was not to be had; another process is stuck.
    #[error("lock `{}`: another process has held it for too long", path.display())]
    Busy {
        /// The locked file or directory.
        path: PathBuf,
    },
    /// The index failed; it can be rebuilt, and everything it said counts as forgotten.
    #[error("use the index of the store: {0}")]
    Index(#[source] rusqlite::Error),
    /// The operating system refused.
    #[error("{action} `{}`: {source}", path.display())]
    Io {
        /// The verb.
        action: &'static str,
        /// Its object.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// Wraps an error of the operating system; "no space" and "quota" become [`StoreError::Full`].
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let errno = source.raw_os_error().map(Errno::from_raw_os_error);
        if matches!(errno, Some(Errno::NOSPC | Errno::DQUOT)) {
            return Self::Full {
                path: path.to_owned(),
            };
        }
        // An error of ours may have travelled through `io::Read` or `io::Write`.
        match source.downcast::<Self>() {
            Ok(ours) => ours,
            Err(source) => Self::Io {
                action,
                path: path.to_owned(),
                source,
            },
        }
    }

    /// Tells whether freeing space is the way out.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// The same failure told to another caller.
    pub(crate) fn again(&self) -> Self {
        match self {
            Self::Full { path } => Self::Full { path: path.clone() },
            Self::Busy { path } => Self::Busy { path: path.clone() },
            other => Self::Io {
                action: "write",
                path: PathBuf::from("index.sqlite"),
                source: io::Error::other(other.to_string()),
            },
        }
    }

    pub(crate) fn index(error: rusqlite::Error, path: &Path) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full {
                path: path.to_owned(),
            },
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::Busy {
                path: path.to_owned(),
            },
            _ => Self::Index(error),
        }
    }
}

impl From<StoreError> for io::Error {
    fn from(error: StoreError) -> Self {
        let kind = match &error {
            StoreError::Damaged { .. }
            | StoreError::WrongDigest { .. }
            | StoreError::WrongSize { .. } => io::ErrorKind::InvalidData,
            StoreError::Full { .. } => io::ErrorKind::StorageFull,
            StoreError::Io { source, .. } => source.kind(),
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}

/// Adds the verb and the path to errors of the operating system.
pub(crate) trait IoContext<T> {
    /// Turns the error into a [`StoreError`].
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T, E: Into<io::Error>> IoContext<T> for Result<T, E> {
    fn context(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|error| StoreError::io(action, path, error.into()))
    }
}
