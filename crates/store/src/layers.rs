//! Layer directories: made under a temporary name, published whole, then never changed.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acetate_oci::Digest;
use acetate_stdx::lock::{FileLock, Sharing, Target};
use rustix::fs::AtFlags;

use crate::error::IoContext;
use crate::index::{Index, LayerRow};
use crate::live::Live;
use crate::root::{Root, lock_dir, make_dir, relative_blob, relative_layer};
use crate::temp::Temp;
use crate::trash;
use crate::{LayerId, Object, StoreError};

/// The layer directories of a store.
///
/// A directory is trusted in the boot that wrote it or after a recorded sync (invariant 16); one that
/// is not counts as absent here and is replaced when it is made again.
#[derive(Debug)]
pub struct Layers {
    root: Arc<Root>,
    live: Arc<Live>,
    index: Arc<Index>,
}

impl Layers {
    pub(crate) fn new(root: Arc<Root>, live: Arc<Live>, index: Arc<Index>) -> Self {
        Self { root, live, index }
    }

    /// Starts a layer under a new random name.
    pub fn new_layer(&self) -> Result<ActiveLayer, StoreError> {
        self.start(LayerId::random())
    }

    /// Starts the directory form of the layer with the `ChainID` `chain`.
    pub fn new_chain_layer(&self, chain: &Digest) -> Result<ActiveLayer, StoreError> {
        self.start(LayerId::Chain(*chain))
    }

    fn start(&self, id: LayerId) -> Result<ActiveLayer, StoreError> {
        let temp = Temp::directory(&self.root, &id.to_string())?;
        let fs = temp.path().join(CONTENT);
        make_dir(&fs)?;
        // It becomes the root directory of a step, whatever the umask is.
        std::fs::set_permissions(&fs, std::fs::Permissions::from_mode(0o755))
            .context("set the mode of", &fs)?;
        Ok(ActiveLayer {
            id,
            temp,
            root: Arc::clone(&self.root),
            live: Arc::clone(&self.live),
        })
    }

    /// The content of a layer whose directory is there and trusted.
    pub fn dir(&self, id: &LayerId) -> Result<Option<PathBuf>, StoreError> {
        Ok(self.dirs(&[*id])?.pop().flatten())
    }

    /// The content directories of many layers, in one question to the index.
    pub fn dirs(&self, ids: &[LayerId]) -> Result<Vec<Option<PathBuf>>, StoreError> {
        let rows = self.index.layers(ids)?;
        let dirs = rows.into_iter().map(|row| {
            let row = row.filter(|row| self.has_dir(row))?;
            Some(self.root.layer(&row.id).join(CONTENT))
        });
        Ok(dirs.collect())
    }

    /// The rows of those layers that can still be used, be it as a trusted directory or as a blob.
    ///
    /// One question to the index and one look at the disk per layer.
    pub fn available(&self, ids: &[LayerId]) -> Result<Vec<Option<LayerRow>>, StoreError> {
        let rows = self.index.layers(ids)?;
        Ok(rows
            .into_iter()
            .map(|row| row.filter(|row| self.is_available(row)))
            .collect())
    }

    /// Keeps a layer's directory from being removed while the returned value lives.
    ///
    /// `Ok(None)` when there is no such directory. A pin does the same without a descriptor.
    pub fn hold(&self, id: &LayerId) -> Result<Option<LayerHold>, StoreError> {
        let lock = lock_dir(&self.root.layer(id), Sharing::Shared)?;
        Ok(lock.map(|lock| LayerHold {
            path: lock.path().join(CONTENT),
            _lock: lock,
        }))
    }

    fn is_available(&self, row: &LayerRow) -> bool {
        self.has_dir(row)
            || row
                .blob
                .as_ref()
                .is_some_and(|blob| self.exists(&relative_blob(&blob.digest)))
    }

    fn has_dir(&self, row: &LayerRow) -> bool {
        row.directory.is_trusted(self.root.boot) && self.exists(&relative_layer(&row.id))
    }

    fn exists(&self, name: &str) -> bool {
        rustix::fs::statat(&self.root.dir, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }
}

const CONTENT: &str = "fs";
const WORK: &str = "work";
const BOOT: &str = "boot";

/// The directory of a layer in use.
#[derive(Debug)]
pub struct LayerHold {
    path: PathBuf,
    _lock: FileLock,
}

impl LayerHold {
    /// The content directory.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A layer being made; dropping it removes everything.
#[derive(Debug)]
pub struct ActiveLayer {
    id: LayerId,
    temp: Temp,
    root: Arc<Root>,
    live: Arc<Live>,
}

impl ActiveLayer {
    /// The name that the layer will have.
    pub fn id(&self) -> LayerId {
        self.id
    }

    /// The content directory, to be filled; it moves when the layer is published.
    pub fn fs_path(&self) -> PathBuf {
        self.temp.path().join(CONTENT)
    }

    /// An empty directory beside the content for the overlay driver, made by the first call.
    pub fn work_path(&self) -> Result<PathBuf, StoreError> {
        let path = self.temp.path().join(WORK);
        make_dir(&path)?;
        Ok(path)
    }

    /// Gives the layer its name, at once and whole, and pins it.
    ///
    /// Nothing may be mounted on it any more. When a trusted directory of the same `ChainID` is there
    /// already, that one is the result and this one is removed.
    /// Its row in the index is the caller's to put, with [`crate::Directory::written`].
    pub fn publish(mut self) -> Result<PublishedLayer, StoreError> {
        self.remove_work()?;
        if matches!(self.id, LayerId::Chain(_)) {
            let path = self.temp.path().join(BOOT);
            std::fs::write(&path, self.root.boot.to_string()).context("write", &path)?;
        }
        let layers = self.root.layers();
        let target = self.root.layer(&self.id);
        let lock = lock_dir(&layers, Sharing::Shared)?;
        self.live.write(&[Object::Layer(self.id)])?;
        loop {
            match self.temp.publish(&target) {
                Ok(()) => break,
                Err(error) if is_taken(&error) => {
                    if self.keeps_existing(&target)? {
                        break;
                    }
                }
                Err(error) => return Err(StoreError::io("publish", &target, error)),
            }
        }
        drop(lock);
        Ok(PublishedLayer {
            id: self.id,
            path: target.join(CONTENT),
        })
    }

    fn remove_work(&self) -> Result<(), StoreError> {
        let work = self.temp.path().join(WORK);
        // The overlay driver leaves one empty directory; asking for exactly that is the fast way.
        drop(std::fs::remove_dir(work.join(WORK)));
        match std::fs::remove_dir(&work) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                std::fs::remove_dir_all(&work).context("remove", &work)
            }
            _ => Ok(()),
        }
    }

    /// Decides about a directory that has the name already; moves it away when it is worthless.
    fn keeps_existing(&self, existing: &Path) -> Result<bool, StoreError> {
        let boot = std::fs::read_to_string(existing.join(BOOT));
        if boot.is_ok_and(|boot| boot == self.root.boot.to_string()) {
            return Ok(true);
        }
        match FileLock::acquire_now(existing, Target::Existing, Sharing::Exclusive) {
            Ok(Some(_unused)) => {
                trash::discard(&self.root, existing)?;
                Ok(false)
            }
            // Somebody works on it, so somebody knows that it was synced.
            Ok(None) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("lock", existing, error)),
        }
    }
}

/// A layer that is complete and immutable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedLayer {
    /// Its name.
    pub id: LayerId,
    /// Its content directory.
    pub path: PathBuf,
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}
