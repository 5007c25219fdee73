//! What can go wrong with layers, by what the caller can do about it.

use acetate_oci::Digest;
use std::io;
use std::path::{Path, PathBuf};

/// Why a layer's bytes were refused. Nothing of such a layer is left behind.
#[derive(Debug, thiserror::Error)]
pub enum BadLayer {
    /// The stream does not decompress, ends early or fails while being read.
    #[error("its bytes cannot be read: {0}")]
    Unreadable(#[source] io::Error),
    /// The uncompressed bytes are not those that were promised.
    #[error("its content has the diff id `{found}`, expected `{expected}`")]
    Mismatch {
        /// The diff id asked for.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// The tar breaks a rule; rejected rather than guessed.
    #[error("entry `{path}` {reason}")]
    Entry {
        /// The name as it stands in the tar, made printable.
        path: String,
        /// The rule, as the rest of a sentence.
        reason: String,
    },
    /// The tar format itself is broken.
    #[error("it is no valid tar: {0}")]
    Format(String),
    /// More than the limit would be written.
    #[error("it is larger than the limit of {limit} {unit}")]
    TooLarge {
        /// The limit.
        limit: u64,
        /// What is counted: `bytes` or `entries`.
        unit: &'static str,
    },
}

/// What went wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk or the kernel refused; nothing to do but report.
    #[error("failed to {action} `{}`: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The layer's bytes were refused: try another source of them, or fail the build.
    #[error("layer `{layer}` is refused: {source}")]
    Bad {
        /// The digest of the blob.
        layer: Digest,
        /// The rule it broke.
        #[source]
        source: BadLayer,
    },
    /// The store failed; see there.
    #[error("failed to {0}")]
    Store(#[from] acetate_store::StoreError),
    /// A layer is in the store in no form: produce or fetch it again.
    #[error("layer `{0}` is not in the store any more")]
    Lost(String),
    /// A tree holds something that no layer can express.
    #[error("`{}` {reason}", path.display())]
    Unstorable {
        /// The path inside the snapshot.
        path: PathBuf,
        /// Why, as the rest of a sentence.
        reason: &'static str,
    },
    /// A path inside the snapshot cannot be walked.
    #[error("`{}` {reason}", path.display())]
    Path {
        /// The path inside the snapshot.
        path: PathBuf,
        /// Why, as the rest of a sentence.
        reason: &'static str,
    },
}

impl SnapshotError {
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Like [`SnapshotError::io`], for errors that rustix returns.
    pub(crate) fn os(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(rustix::io::Errno) -> Self {
        let wrap = Self::io(action, path);
        move |errno| wrap(errno.into())
    }
}
