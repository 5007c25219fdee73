//! [`RootMount`]: how a step's root file system is put together.

use std::path::{Path, PathBuf};

/// What the executor mounts (or binds) as the root of one step, in the step's own mount namespace.
///
/// Nothing in this crate mounts it: a mount made here could outlive a killed build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RootMount {
    /// An overlay with a writable upper directory.
    Overlay {
        /// Lower directories, topmost first, never empty, at most
        /// [`MAX_LOWERS`](Self::MAX_LOWERS).
        lower: Vec<PathBuf>,
        /// Where the step's changes go. Its attributes are already those of the merged root.
        upper: PathBuf,
        /// The empty directory overlayfs needs, on the file system of `upper`.
        work: PathBuf,
    },
    /// A complete tree in one writable directory.
    Dir(PathBuf),
}

impl RootMount {
    /// The kernel refuses an overlay with more lower directories than this (`INVARIANTS` 13).
    pub const MAX_LOWERS: usize = 500;

    /// The mount options that every overlay of ours needs beside its directories.
    ///
    /// Kernel defaults are never used: they differ between distributions, and redirects or
    /// metadata-only copies inside a foreign layer would be followed.
    pub const OVERLAY_OPTIONS: [(&'static str, &'static str); 5] = [
        ("redirect_dir", "nofollow"),
        ("metacopy", "off"),
        ("index", "off"),
        ("xino", "off"),
        ("nfs_export", "off"),
    ];

    /// Returns the directory that receives the step's writes.
    pub fn writable(&self) -> &Path {
        match self {
            Self::Overlay { upper, .. } => upper,
            Self::Dir(dir) => dir,
        }
    }
}
