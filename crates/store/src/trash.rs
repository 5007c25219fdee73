//! Removal in two steps: out of sight by one rename, then piece by piece.

use std::io;
use std::path::{Path, PathBuf};

use crate::StoreError;
use crate::error::IoContext;
use crate::layer_id::random_bytes;
use crate::root::Root;
use acetate_stdx::remove_tree;

/// Moves an object into the trash and returns its new path.
pub(crate) fn hide(root: &Root, path: &Path) -> Result<PathBuf, StoreError> {
    let number = u128::from_ne_bytes(random_bytes());
    let target = root.trash().join(format!("{number:032x}"));
    std::fs::rename(path, &target).context("move to the trash", path)?;
    Ok(target)
}

/// Moves an object into the trash and removes it; what cannot be removed waits for a prune.
pub(crate) fn discard(root: &Root, path: &Path) -> Result<(), StoreError> {
    let hidden = hide(root, path)?;
    if let Err(error) = remove(&hidden) {
        tracing::debug!(%error, "left an object in the trash");
    }
    Ok(())
}

/// Removes a file or a whole tree; one that is gone is fine, since prunes run side by side.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    let outcome = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => remove_tree(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match outcome {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        outcome => outcome.context("remove", path),
    }
}
