use std::path::Path;

use crate::StoreError;
use crate::root::Root;
use crate::temp::Temp;

/// A directory (0700) for as long as something runs, such as sockets of a step; dropping it removes
/// it, and a prune does when its process was killed.
#[derive(Debug)]
pub struct ScratchDir(Temp);

impl ScratchDir {
    pub(crate) fn new(root: &Root) -> Result<Self, StoreError> {
        Ok(Self(Temp::directory(root, "scratch")?))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
