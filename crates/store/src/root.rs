//! The root directory: safe to use, of a known version, with its fixed parts.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use acetate_oci::Digest;
use acetate_stdx::atomic::{self, Durability};
use acetate_stdx::clock::Clock;
use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::error::IoContext;
use crate::{BootId, LayerId, StoreError};

/// The format of the directory; a change that old programs would misread raises it.
pub(crate) const VERSION: u32 = 1;

/// How long a short internal lock may take before another process counts as stuck.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Made when a step first wants one.
const CACHE_MOUNTS: &str = "cache-mounts";
const N_RESERVE: u64 = 1 << 20;
const PARTS: [&str; 7] = [
    "blobs",
    "blobs/sha256",
    "layers",
    "tmp",
    "trash",
    "live",
    "locks",
];

/// The opened root directory and what every part of the store needs to know.
#[derive(Debug)]
pub(crate) struct Root {
    pub(crate) path: PathBuf,
    pub(crate) dir: OwnedFd,
    pub(crate) boot: BootId,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Root {
    /// Opens the directory, making it when it is missing.
    pub(crate) fn open(
        path: &Path,
        boot: BootId,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let path = locate(path)?;
        let dir = acetate_stdx::fs::open_dir(&path).context("open", &path)?;
        let root = Self {
            path,
            dir,
            boot,
            clock,
        };
        root.check_safety()?;
        match root.read_version()? {
            Some(VERSION) => Ok(root),
            Some(found) => Err(StoreError::NewerVersion {
                root: root.path,
                found,
                known: VERSION,
            }),
            None => root.initialise(),
        }
    }

    pub(crate) fn now(&self) -> i64 {
        self.clock.now().0
    }

    pub(crate) fn shard(&self, digest: &Digest) -> PathBuf {
        self.path.join("blobs/sha256").join(&digest.hex()[..2])
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        self.path.join(relative_blob(digest))
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.path.join("layers")
    }

    pub(crate) fn layer(&self, id: &LayerId) -> PathBuf {
        self.path.join(relative_layer(id))
    }

    pub(crate) fn cache_mounts(&self) -> PathBuf {
        self.path.join(CACHE_MOUNTS)
    }

    /// The directories of one cache mount.
    pub(crate) fn cache_mount(&self, identity: &Digest) -> PathBuf {
        self.cache_mounts().join(identity.hex())
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    pub(crate) fn trash(&self) -> PathBuf {
        self.path.join("trash")
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.path.join("live")
    }

    pub(crate) fn locks(&self) -> PathBuf {
        self.path.join("locks")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.path.join("index.sqlite")
    }

    pub(crate) fn reserve(&self) -> PathBuf {
        self.path.join("reserve")
    }

    /// Sets some space aside that a prune on a full disk can give to the index.
    ///
    /// Best effort: a store that is born on a full disk has none.
    pub(crate) fn make_reserve(&self) {
        let outcome = try_reserve(&self.reserve());
        if let Err(error) = outcome {
            tracing::debug!(%error, "no space could be reserved");
            drop(std::fs::remove_file(self.reserve()));
        }
    }

    /// Invariant 14: 0700, owned by the effective user, below a parent that others cannot change.
    fn check_safety(&self) -> Result<(), StoreError> {
        let metadata = std::fs::metadata(&self.path).context("look at", &self.path)?;
        let user = rustix::process::geteuid().as_raw();
        if metadata.uid() != user {
            return Err(self.refuse(format!(
                "it belongs to user {}, not to user {user}; choose another root",
                metadata.uid()
            )));
        }
        let parent = self.path.parent().unwrap_or(Path::new("/"));
        let mode = std::fs::metadata(parent).context("look at", parent)?.mode();
        if mode & 0o022 != 0 && mode & 0o1000 == 0 {
            return Err(self.refuse(format!(
                "others can replace it, because its parent `{}` has mode {:04o}; \
                 remove the write permission of group and others there or choose another root",
                parent.display(),
                mode & 0o7777
            )));
        }
        match metadata.mode() & 0o7777 {
            0o700 => Ok(()),
            mode if mode & 0o022 != 0 && self.path.join("version").exists() => {
                Err(self.refuse(format!(
                    "others could write to it, it has mode {mode:04o}; \
                     remove it or choose another root"
                )))
            }
            _ => std::fs::set_permissions(&self.path, std::fs::Permissions::from_mode(0o700))
                .context("restrict", &self.path),
        }
    }

    fn refuse(&self, reason: String) -> StoreError {
        StoreError::Unsafe {
            root: self.path.clone(),
            reason,
        }
    }

    fn read_version(&self) -> Result<Option<u32>, StoreError> {
        let path = self.path.join("version");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        match text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.trim().parse().ok())
        {
            Some(version) if version > 0 => Ok(Some(version)),
            // A power cut during the first open may leave the file empty.
            _ if text.is_empty() => Ok(None),
            _ => Err(self.not_a_store("its file `version` is not one of a store".to_owned())),
        }
    }

    fn not_a_store(&self, reason: String) -> StoreError {
        StoreError::NotAStore {
            root: self.path.clone(),
            reason,
        }
    }

    /// Makes the parts and then the version file, so that a store with a version is complete.
    ///
    /// Several processes may do so at once, and one may be at work already when another has not yet
    /// seen the version: every step is idempotent, and all names of a working store are known.
    fn initialise(self) -> Result<Self, StoreError> {
        for entry in std::fs::read_dir(&self.path).context("list", &self.path)? {
            let name = entry.context("list", &self.path)?.file_name();
            let name = name.to_string_lossy();
            if !is_ours(&name) {
                return Err(self.not_a_store(format!(
                    "it is not empty (it holds `{name}`) and has no file `version`"
                )));
            }
        }
        for part in PARTS {
            make_dir(&self.path.join(part))?;
        }
        self.make_reserve();
        let path = self.path.join("version");
        let text = format!("{HEADER}{VERSION}\n");
        atomic::publish(&path, text.as_bytes(), Durability::Synced).context("write", &path)?;
        Ok(self)
    }
}

const HEADER: &str = "acetate store ";

fn is_ours(name: &str) -> bool {
    let names = ["reserve", "logs", "lost+found", CACHE_MOUNTS];
    PARTS.contains(&name)
        || names.contains(&name)
        || name.starts_with("index.sqlite")
        || name.trim_start_matches('.').starts_with("version")
}

/// The path of a blob below the root.
pub(crate) fn relative_blob(digest: &Digest) -> String {
    let hex = digest.hex();
    format!("blobs/sha256/{}/{hex}", &hex[..2])
}

/// The path of a layer's directory below the root.
pub(crate) fn relative_layer(id: &LayerId) -> String {
    format!("layers/{id}")
}

/// Makes one directory of the store; one that exists is fine.
pub(crate) fn make_dir(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            Err(StoreError::io("make", path, error))
        }
        _ => Ok(()),
    }
}

/// Takes a short internal lock on a directory that must exist; `Ok(None)` when it does not.
pub(crate) fn lock_dir(path: &Path, sharing: Sharing) -> Result<Option<FileLock>, StoreError> {
    match FileLock::acquire_within(path, Target::Existing, sharing, PATIENCE) {
        Ok(Some(lock)) => Ok(Some(lock)),
        Ok(None) => Err(StoreError::Busy {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("lock", path, error)),
    }
}

/// Makes the directory when needed and resolves links, so that the checked path is the used one.
fn locate(path: &Path) -> Result<PathBuf, StoreError> {
    match path.canonicalize() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let mut builder = DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(path)
                .context("make", path)?;
            path.canonicalize().context("open", path)
        }
        outcome => outcome.context("open", path),
    }
}

fn try_reserve(path: &Path) -> io::Result<()> {
    let file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, N_RESERVE)?;
    Ok(())
}
