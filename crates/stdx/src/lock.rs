//! Advisory locks between processes, on files and directories, by flock(2).
//!
//! A lock file may be unlinked by its holder. Whoever opened it before then owns a lock on an inode
//! that no longer has the name, beside somebody who made the name anew. So every acquisition checks
//! that the path still names the locked inode, and starts over when it does not.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;

const FIRST_PAUSE: Duration = Duration::from_micros(500);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// Who may hold the lock beside us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Other shared holders.
    Shared,
    /// Nobody.
    Exclusive,
}

/// What the lock is placed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A file, created with mode 0600 when it is missing; its directory must exist.
    File,
    /// A file or directory that must exist (`NotFound` otherwise).
    Existing,
}

/// A held lock; dropping it releases the lock, and so does the death of the process.
///
/// The descriptor is close-on-exec, so no child inherits the lock.
#[derive(Debug)]
pub struct FileLock {
    file: File,
    path: PathBuf,
}

impl FileLock {
    /// Takes the lock when it is free; `Ok(None)` when another holder excludes us.
    pub fn acquire_now(path: &Path, target: Target, sharing: Sharing) -> io::Result<Option<Self>> {
        loop {
            let file = open(path, target)?;
            match rustix::fs::flock(&file, operation(sharing)) {
                Ok(()) => {}
                Err(Errno::WOULDBLOCK) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            }
            if names(path, &file)? {
                return Ok(Some(Self {
                    file: File::from(file),
                    path: path.to_owned(),
                }));
            }
        }
    }

    /// Takes the lock, asking again with growing pauses; ends only with the lock or an error.
    ///
    /// Dropping the future gives up; no thread is blocked meanwhile.
    pub async fn acquire(path: &Path, target: Target, sharing: Sharing) -> io::Result<Self> {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = Self::acquire_now(path, target, sharing)? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Takes the lock on a thread that may wait; `Ok(None)` when `patience` is over.
    pub fn acquire_within(
        path: &Path,
        target: Target,
        sharing: Sharing,
        patience: Duration,
    ) -> io::Result<Option<Self>> {
        let start = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = Self::acquire_now(path, target, sharing)? {
                return Ok(Some(lock));
            }
            if start.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// The locked file, for reading and writing where it was opened as [`Target::File`].
    pub fn file(&self) -> &File {
        &self.file
    }

    /// The path that named the file when the lock was taken.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Unlinks the locked file and releases the lock; call it on an exclusive lock only.
    ///
    /// Safe against waiters: they find that the path no longer names what they locked.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // A child between fork and exec may hold a copy of the descriptor for a moment: closing ours
        // would not release the lock then, an explicit unlock does. It cannot fail on an open file.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

fn open(path: &Path, target: Target) -> io::Result<OwnedFd> {
    let common = OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let flags = match target {
        Target::File => common | OFlags::RDWR | OFlags::CREATE,
        Target::Existing => common | OFlags::RDONLY | OFlags::NONBLOCK,
    };
    Ok(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR)?)
}

fn operation(sharing: Sharing) -> FlockOperation {
    match sharing {
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
        Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
    }
}

/// Tells whether `path` still names the inode behind `file`.
fn names(path: &Path, file: impl AsFd) -> io::Result<bool> {
    let held = rustix::fs::fstat(file)?;
    match rustix::fs::lstat(path) {
        Ok(named) => Ok(named.st_ino == held.st_ino && named.st_dev == held.st_dev),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn exclusive(path: &Path) -> Option<FileLock> {
        FileLock::acquire_now(path, Target::File, Sharing::Exclusive).unwrap()
    }

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let held = exclusive(&path).unwrap();
        assert_eq!(held.path(), path);
        assert!(exclusive(&path).is_none());
        drop(held);
        let shared = || FileLock::acquire_now(&path, Target::Existing, Sharing::Shared).unwrap();
        let (one, two) = (shared().unwrap(), shared().unwrap());
        assert!(exclusive(&path).is_none());
        drop((one, two));
        assert!(exclusive(&path).is_some());
    }

    #[test]
    fn directories_can_be_locked_and_must_exist() {
        let temp = tempfile::tempdir().unwrap();
        let lock = FileLock::acquire_now(temp.path(), Target::Existing, Sharing::Exclusive);
        assert!(lock.unwrap().is_some());
        let missing = temp.path().join("missing");
        let error = FileLock::acquire_now(&missing, Target::Existing, Sharing::Shared).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn patience_ends() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let _held = exclusive(&path).unwrap();
        let brief = Duration::from_millis(3);
        let second = FileLock::acquire_within(&path, Target::File, Sharing::Exclusive, brief);
        assert!(second.unwrap().is_none());
    }

    /// Holders unlink the file while others wait for it: two must never be inside at once.
    #[test]
    fn removal_by_the_holder_never_lets_two_in() {
        let temp = tempfile::tempdir().unwrap();
        let path = Arc::new(temp.path().join("lock"));
        let inside = Arc::new(AtomicUsize::new(0));
        let worker = |path: Arc<PathBuf>, inside: Arc<AtomicUsize>| {
            for _ in 0..300 {
                let patience = Duration::from_secs(30);
                let lock =
                    FileLock::acquire_within(&path, Target::File, Sharing::Exclusive, patience);
                let lock = lock.unwrap().expect("patience suffices");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                inside.fetch_sub(1, Ordering::SeqCst);
                lock.remove().unwrap();
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| worker(Arc::clone(&path), Arc::clone(&inside)));
            }
        });
    }

    #[tokio::test]
    async fn waiting_does_not_block_the_runtime() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("lock");
        let held = exclusive(&path).unwrap();
        let waiting = tokio::spawn(async move {
            FileLock::acquire(&path, Target::File, Sharing::Exclusive)
                .await
                .map(drop)
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(held);
        waiting.await.unwrap().unwrap();
    }
}
