use super::StorageError;
use super::upload::fail_point;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

/// Directories in which content appeared that a power cut might take away again.
///
/// That is no loss as long as no record names it, so that all of them are synced together, and only
/// before the next record appears.
#[derive(Debug, Default)]
pub(super) struct Unsynced {
    dirs: Mutex<BTreeSet<PathBuf>>,
    /// Shared by those that make something visible: what can be seen is noted.
    gate: RwLock<()>,
    /// Held while directories are synced: whoever finds none here waits for those that are on the way.
    syncing: Mutex<()>,
}

impl Unsynced {
    /// Makes a file visible, and notes that in the same step as far as [`Self::settle`] can see.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _open = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        std::fs::rename(from, to)?;
        let dir = to.parent().unwrap_or(Path::new("."));
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if !dirs.contains(dir) {
            dirs.insert(dir.to_owned());
        }
        Ok(())
    }

    /// How many directories wait.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.dirs.lock().unwrap().len()
    }

    /// Waits until all that was visible before this call is on the disk.
    ///
    /// # Errors
    /// When it is not: then it is noted still.
    pub(super) fn settle(&self) -> Result<(), StorageError> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let dirs = {
            let _closed = self.gate.write().unwrap_or_else(PoisonError::into_inner);
            let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *dirs)
        };
        let mut left = dirs.iter();
        while let Some(dir) = left.next() {
            fail_point("before-settled");
            if let Err(error) = File::open(dir).and_then(|dir| dir.sync_all()) {
                let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
                dirs.insert(dir.clone());
                dirs.extend(left.cloned());
                return Err(StorageError::io("sync", dir, error));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{Condition, Disk, Put};
    use acetate_cache_api::{Kind, Route};
    use acetate_oci::Digest;
    use acetate_stdx::clock::SystemClock;
    use std::sync::Arc;

    #[test]
    fn directories_are_synced_once_and_kept_when_that_fails() {
        let dir = tempfile::tempdir().unwrap();
        let unsynced = Unsynced::default();
        for name in ["ab", "cd", "ef"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
            for n in ["1", "2"] {
                let from = dir.path().join("new");
                std::fs::write(&from, "").unwrap();
                unsynced
                    .rename(&from, &dir.path().join(name).join(n))
                    .unwrap();
            }
        }
        assert_eq!(unsynced.len(), 3);
        let moved = dir.path().join("moved");
        std::fs::rename(dir.path().join("cd"), &moved).unwrap();
        assert!(unsynced.settle().is_err());
        assert_eq!(unsynced.len(), 2);
        std::fs::rename(&moved, dir.path().join("cd")).unwrap();
        unsynced.settle().unwrap();
        assert_eq!(unsynced.len(), 0);
    }

    #[test]
    fn content_waits_for_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path(), None, Arc::new(SystemClock)).unwrap();
        let disk = Arc::new(disk);
        let give = |n: u32| {
            let mut upload = disk.upload().unwrap();
            upload.write(&n.to_le_bytes()).unwrap();
            disk.publish(upload.finish()).unwrap();
        };
        (0..20).for_each(give);
        assert!(disk.unsynced.len() > 10);
        let route = Route {
            namespace: "org".parse().unwrap(),
            kind: Kind::Action,
            key: Digest::of(b"key"),
        };
        let put = disk.put_record(&route, b"record", 0, &[], &Condition::Any);
        assert_eq!(put.unwrap(), Put::Written);
        assert_eq!(disk.unsynced.len(), 0);
        give(20);
        disk.close().unwrap();
        assert_eq!(disk.unsynced.len(), 0);
    }
}
