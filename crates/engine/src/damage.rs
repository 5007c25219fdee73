//! Damage in the store: bytes that rotted or were changed behind its back. They are thrown away and
//! made or fetched again; a build only fails when that does not help.

use crate::BuildError;
use crate::blobs::FetchError;
use crate::steps::StepError;
use acetate_files::FilesError;
use acetate_image::{ExportError, ImageError};
use acetate_oci::Digest;
use acetate_snapshot::SnapshotError;
use acetate_store::{Store, StoreError};
use std::collections::BTreeSet;

/// How often one piece of work is tried again before its damage counts as an error.
pub(crate) const MAX_REPAIRS: usize = 3;

/// True when an error says that stored bytes are not what they were.
pub(crate) trait Damage {
    /// See the trait.
    fn is_damage(&self) -> bool;
}

impl Damage for StoreError {
    fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }
}

impl Damage for ImageError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Corrupt { .. } | Self::NotFound { .. } => true,
            Self::Store(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl Damage for SnapshotError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Bad { .. } => true,
            Self::Store(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl Damage for FilesError {
    fn is_damage(&self) -> bool {
        matches!(self, Self::Snapshot(error) if error.is_damage())
    }
}

impl Damage for BuildError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Image(error) | Self::Export(ExportError::Image(error)) => error.is_damage(),
            Self::Snapshot(error) => error.is_damage(),
            Self::Store(error) => error.is_damage(),
            Self::Files(error) => error.is_damage(),
            _ => false,
        }
    }
}

impl Damage for StepError {
    fn is_damage(&self) -> bool {
        match self {
            Self::Files(error) => error.is_damage(),
            Self::Snapshot(error) | Self::Fetch(FetchError::Snapshot(error)) => error.is_damage(),
            Self::Store(error) => error.is_damage(),
            _ => false,
        }
    }
}

/// The blob that an error names as damaged: a compressed form, perhaps, that no layer knows of.
pub(crate) fn damaged_blob(error: &BuildError) -> Option<Digest> {
    match error {
        BuildError::Image(ImageError::Store(StoreError::Damaged { digest }))
        | BuildError::Export(ExportError::Image(ImageError::Store(StoreError::Damaged {
            digest,
        })))
        | BuildError::Snapshot(SnapshotError::Store(StoreError::Damaged { digest }))
        | BuildError::Store(StoreError::Damaged { digest }) => Some(*digest),
        _ => None,
    }
}

/// Reads blobs and removes those whose bytes are damaged.
pub(crate) fn remove_damaged(store: &Store, suspects: &BTreeSet<Digest>) -> Result<(), StoreError> {
    for digest in suspects {
        let Some(mut blob) = store.blobs().open(digest)? else {
            continue;
        };
        if let Err(error) = std::io::copy(&mut blob, &mut std::io::sink()) {
            tracing::warn!(%error, "a damaged blob is thrown away");
            store.blobs().remove(digest)?;
        }
    }
    Ok(())
}
