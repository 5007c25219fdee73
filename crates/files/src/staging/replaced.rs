//! Directories that give way to something else, as only archives demand it.

use super::{Staging, dot};
use crate::FilesError;
use rustix::fs::{FileType, Mode};
use std::io;
use std::path::Path;

impl Staging<'_> {
    /// Gets the directory `path` out of the way, with all that is in it.
    ///
    /// What comes in its place hides the base's. Should that be a directory again, it holds a
    /// whiteout for every name that the base has there.
    pub(crate) fn remove_dir(&mut self, path: &Path) -> Result<(), FilesError> {
        match std::fs::remove_dir_all(self.root.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(FilesError::io("replace", path)(error));
            }
            _ => {}
        }
        self.dir_times.forget(path);
        self.hidden.insert(path.to_owned());
        Ok(())
    }

    /// True when the base's `path` is no longer seen.
    pub(super) fn is_hidden(&self, path: &Path) -> bool {
        !self.hidden.is_empty() && path.ancestors().any(|above| self.hidden.contains(above))
    }

    /// Keeps what the base has in a hidden directory from showing through a new one.
    pub(super) fn hide_children(&self, path: &Path) -> Result<(), FilesError> {
        if !self.base.lookup(path)?.is_some_and(|node| node.is_dir()) {
            return Ok(());
        }
        for child in self.base.read_dir(path)? {
            let place = dot(&child.path);
            rustix::fs::mknodat(&self.fd, place, FileType::CharacterDevice, Mode::empty(), 0)
                .map_err(FilesError::io("hide", place))?;
        }
        Ok(())
    }
}
