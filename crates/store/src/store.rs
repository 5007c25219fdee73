//! The store as a whole.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use acetate_stdx::clock::{Clock, SystemClock};
use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::blobs::Blobs;
use crate::cache_mounts::CacheMounts;
use crate::error::IoContext;
use crate::index::Index;
use crate::layers::Layers;
use crate::live::Live;
use crate::prune::{self, PruneOptions, PruneReport};
use crate::root::Root;
use crate::scratch::ScratchDir;
use crate::survey::{self, Survey};
use crate::usage::{self, Usage};
use crate::{BootId, Object, StoreError, sync};

/// A directory of blobs and layers with its index, shared by any number of processes.
///
/// Opening takes a few system calls and reads no directory; parts are opened when first needed.
/// Dropping the last handle writes what the index still holds in memory and ends all pins.
#[derive(Debug)]
pub struct Store {
    // Declared in the order of their end: the index writes its rest, then the pins end.
    index: Arc<Index>,
    syncing: Mutex<Option<JoinHandle<()>>>,
    blobs: Blobs,
    layers: Layers,
    cache_mounts: CacheMounts,
    live: Arc<Live>,
    root: Arc<Root>,
}

impl Store {
    /// Opens the store at `root`, making the directory when it is missing.
    ///
    /// Refuses, with words: a newer format, a directory that is no store, one of another user, and a
    /// parent in which others could replace it.
    pub fn open(root: &Path) -> Result<Arc<Self>, StoreError> {
        Self::open_in(root, BootId::current(), Arc::new(SystemClock))
    }

    /// Opens the store as it looks in the boot `boot`, at the time of `clock`; for tests.
    pub fn open_in(
        root: &Path,
        boot: BootId,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        let root = Arc::new(Root::open(root, boot, clock)?);
        let live = Arc::new(Live::new(Arc::clone(&root)));
        let index = Arc::new(Index::new(Arc::clone(&root)));
        let blobs = Blobs::new(Arc::clone(&root), Arc::clone(&live), Arc::clone(&index));
        let layers = Layers::new(Arc::clone(&root), Arc::clone(&live), Arc::clone(&index));
        let cache_mounts = CacheMounts::new(Arc::clone(&root));
        Ok(Arc::new(Self {
            index,
            syncing: Mutex::default(),
            blobs,
            layers,
            cache_mounts,
            live,
            root,
        }))
    }

    /// The blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }

    /// The layer directories.
    pub fn layers(&self) -> &Layers {
        &self.layers
    }

    /// The directories of cache mounts.
    pub fn cache_mounts(&self) -> &CacheMounts {
        &self.cache_mounts
    }

    /// Makes a directory that goes when the returned value does.
    pub fn scratch(&self) -> Result<ScratchDir, StoreError> {
        ScratchDir::new(&self.root)
    }

    /// The index.
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// The pins of this handle.
    pub fn live(&self) -> &Live {
        &self.live
    }

    /// The root directory, with links resolved.
    pub fn root(&self) -> &Path {
        &self.root.path
    }

    /// Where build logs go; made on first use by whoever writes one.
    pub fn logs(&self) -> PathBuf {
        self.root.path.join("logs")
    }

    /// The boot that this process runs in, for [`crate::Directory::written`].
    pub fn boot(&self) -> BootId {
        self.root.boot
    }

    /// Waits for the lock called `name`, shared with all processes on this store.
    ///
    /// Polls without blocking a thread; dropping the future gives up. Any text is a valid name.
    pub async fn lock(&self, name: &str) -> Result<StoreLock, StoreError> {
        let path = self.lock_path(name);
        let lock = FileLock::acquire(&path, Target::File, Sharing::Exclusive).await;
        Ok(StoreLock {
            lock: Some(lock.context("lock", &path)?),
        })
    }

    /// Takes the lock called `name` when it is free.
    pub fn try_lock(&self, name: &str) -> Result<Option<StoreLock>, StoreError> {
        let path = self.lock_path(name);
        let lock = FileLock::acquire_now(&path, Target::File, Sharing::Exclusive);
        Ok(lock
            .context("lock", &path)?
            .map(|lock| StoreLock { lock: Some(lock) }))
    }

    fn lock_path(&self, name: &str) -> PathBuf {
        self.root
            .locks()
            .join(acetate_oci::Digest::of(name.as_bytes()).hex())
    }

    /// Waits until everything put into the index is in the database.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.index.flush()
    }

    /// Starts to sync layers that have not been recorded as synced, when there are some old enough.
    ///
    /// Meant for the start of a build that will run something: by then the kernel has written nearly
    /// everything on its own, so the sync costs little and nobody waits for it.
    /// See [`Store::sync_now`] for the waiting form.
    pub fn sync_in_background(&self) {
        let mut syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        if syncing.is_some() {
            return;
        }
        let (root, index) = (Arc::clone(&self.root), Arc::downgrade(&self.index));
        *syncing = Some(std::thread::spawn(move || {
            if let Err(error) = sync::run(&root, &index, sync::Age::Settled) {
                tracing::warn!(%error, "layers were not synced");
            }
        }));
    }

    /// Syncs the file system of the store and records that all layers put so far are on the disk.
    ///
    /// Returns how many layers that concerned.
    pub fn sync_now(&self) -> Result<u64, StoreError> {
        self.index.flush()?;
        sync::run(&self.root, &Arc::downgrade(&self.index), sync::Age::Any)
    }

    /// Everything that the index says, and what of it is on the disk.
    pub fn survey(&self) -> Result<Survey, StoreError> {
        survey::survey(&self.root, &self.index)
    }

    /// Those of `objects` that a running process has pinned or holds, this one included.
    pub fn in_use(&self, objects: &[Object]) -> Result<BTreeSet<Object>, StoreError> {
        survey::in_use(&self.root, objects)
    }

    /// Measures everything on the disk; reads every directory.
    pub fn usage(&self) -> Result<Usage, StoreError> {
        usage::measure(&self.root, &self.index)
    }

    /// Removes what is neither pinned nor in use; see [`PruneOptions`].
    ///
    /// Safe beside builds and other prunes, in this process and in others, and on a full disk.
    pub fn prune(&self, options: &PruneOptions) -> Result<PruneReport, StoreError> {
        prune::run(&self.root, &self.index, options)
    }
}

/// A lock held on a name; dropping it lets the next one in.
#[derive(Debug)]
pub struct StoreLock {
    lock: Option<FileLock>,
}

impl Drop for StoreLock {
    fn drop(&mut self) {
        // Removed while held: waiters find that the path names another file and start over.
        if let Some(lock) = self.lock.take()
            && let Err(error) = lock.remove()
        {
            tracing::debug!(%error, "left a lock file behind");
        }
    }
}
