use crate::RemoteError;
use crate::git::DIR;
use acetate_stdx::lock::{FileLock, Sharing, Target};
use acetate_store::{Store, Tally};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Removes the mirrors of repositories that nobody uses now, and tells what that freed.
pub fn prune(store: &Store) -> Result<Tally, RemoteError> {
    let dir = store.root().join(DIR);
    let mut tally = Tally::default();
    let entries = match std::fs::read_dir(&dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(tally),
        entries => entries.map_err(RemoteError::io("list", &dir))?,
    };
    for entry in entries {
        let path = entry.map_err(RemoteError::io("list", &dir))?.path();
        // One that is half made ends with `.new` and has the lock of what it becomes.
        let is_mirror = path.extension().is_none_or(|end| end == "new");
        if !is_mirror || !path.is_dir() || path.ends_with("home") {
            continue;
        }
        let lock = path.with_extension("lock");
        let lock = FileLock::acquire_now(&lock, Target::File, Sharing::Exclusive);
        let Some(lock) = lock.map_err(RemoteError::io("lock", &path))? else {
            continue;
        };
        let bytes = size_of(&path).unwrap_or(0);
        std::fs::remove_dir_all(&path).map_err(RemoteError::io("remove", &path))?;
        tally += Tally { n: 1, bytes };
        drop(lock.remove());
    }
    Ok(tally)
}

fn size_of(path: &Path) -> io::Result<u64> {
    let metadata = path.symlink_metadata()?;
    let mut bytes = metadata.blocks() * 512;
    if metadata.is_dir() {
        for entry in std::fs::read_dir(path)? {
            bytes += size_of(&entry?.path())?;
        }
    }
    Ok(bytes)
}
