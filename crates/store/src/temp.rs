//! Unfinished files and directories, alive as long as their lock is held.

use std::io;
use std::path::{Path, PathBuf};

use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::StoreError;
use crate::error::IoContext;
use crate::layer_id::random_bytes;
use crate::root::{PATIENCE, Root, make_dir};
use acetate_stdx::remove_tree;

/// A file or directory below `tmp/`, held under its lock and removed on drop.
#[derive(Debug)]
pub(crate) struct Temp {
    lock: FileLock,
    kind: Kind,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Directory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unfinished,
    Published,
}

impl Temp {
    /// Makes an empty file.
    pub(crate) fn file(root: &Root) -> Result<Self, StoreError> {
        let path = fresh_path(root, "blob");
        Ok(Self {
            lock: lock(&path, Target::File)?,
            kind: Kind::File,
            state: State::Unfinished,
        })
    }

    /// Makes an empty directory whose name starts with `stem`.
    pub(crate) fn directory(root: &Root, stem: &str) -> Result<Self, StoreError> {
        let path = fresh_path(root, stem);
        loop {
            make_dir(&path)?;
            // A prune may find the directory before it is locked and take it for a dead one.
            match lock(&path, Target::Existing) {
                Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                lock => {
                    let (kind, state) = (Kind::Directory, State::Unfinished);
                    return Ok(Self {
                        lock: lock?,
                        kind,
                        state,
                    });
                }
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.lock.path()
    }

    pub(crate) fn file_ref(&self) -> &std::fs::File {
        self.lock.file()
    }

    /// Renames it to `target`, from where on it is no longer temporary.
    pub(crate) fn publish(&mut self, target: &Path) -> io::Result<()> {
        std::fs::rename(self.path(), target)?;
        self.state = State::Published;
        Ok(())
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        let outcome = match (self.state, self.kind) {
            (State::Published, _) => return,
            (_, Kind::File) => std::fs::remove_file(self.path()),
            (_, Kind::Directory) => remove_tree(self.path()),
        };
        if let Err(error) = outcome {
            // The next prune finds it without a lock and removes it.
            tracing::debug!(path = %self.path().display(), %error, "left a temporary object behind");
        }
    }
}

fn fresh_path(root: &Root, stem: &str) -> PathBuf {
    let number = u128::from_ne_bytes(random_bytes());
    root.tmp().join(format!("{stem}.{number:032x}"))
}

fn lock(path: &Path, target: Target) -> Result<FileLock, StoreError> {
    FileLock::acquire_within(path, target, Sharing::Exclusive, PATIENCE)
        .context("lock", path)?
        .ok_or_else(|| StoreError::Busy {
            path: path.to_owned(),
        })
}
