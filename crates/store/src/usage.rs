//! What the store takes on the disk.

use std::io;
use std::ops::AddAssign;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use acetate_oci::Digest;
use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::cache_mounts::slots;
use crate::error::IoContext;
use crate::index::Index;
use crate::live;
use crate::root::{Root, lock_dir};
use crate::tree::size_of;
use crate::{LayerId, Object, StoreError};

/// A number of objects and the space that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub n: u64,
    /// Allocated bytes, directories included, hard links counted once per object.
    pub bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, bytes: u64) {
        self.n += 1;
        self.bytes += bytes;
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.n += other.n;
        self.bytes += other.bytes;
    }
}

/// One object in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageItem {
    /// What it is.
    pub object: Object,
    /// Allocated bytes.
    pub bytes: u64,
    /// Pinned or locked by a running process.
    pub in_use: bool,
}

/// The disk usage of a store at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Blobs.
    pub blobs: Tally,
    /// Layer directories.
    pub layers: Tally,
    /// Directories of cache mounts.
    pub cache_mounts: Tally,
    /// Unfinished objects, of running and of dead processes.
    pub temporary: Tally,
    /// Objects whose removal was interrupted.
    pub trash: Tally,
    /// Bytes of the index and its log.
    pub index_bytes: u64,
    /// Records in the index.
    pub records: u64,
    /// Facts in the index.
    pub facts: u64,
    /// Bytes of blobs, layers and cache mounts that a `prune --all` would free now.
    pub reclaimable: u64,
    /// All blobs and layers, blobs first, by name.
    pub items: Vec<UsageItem>,
}

impl Usage {
    /// Everything together, in bytes.
    pub fn bytes(&self) -> u64 {
        let parts = [self.blobs, self.layers, self.cache_mounts];
        let left_over = [self.temporary, self.trash];
        parts
            .iter()
            .chain(&left_over)
            .map(|tally| tally.bytes)
            .sum::<u64>()
            + self.index_bytes
    }
}

impl Usage {
    fn add_cache_mounts(&mut self, root: &Root) -> Result<(), StoreError> {
        for (_, dir) in entries(&root.cache_mounts())? {
            let Some(looking) = lock_dir(&dir, Sharing::Exclusive)? else {
                continue;
            };
            let locked = |(_, path): (_, PathBuf)| Ok((is_locked(&path)?, path));
            let slots = slots(&dir)?.into_iter().map(locked);
            let slots: Vec<(bool, PathBuf)> = slots.collect::<Result<_, StoreError>>()?;
            // Measuring takes long, and steps wait for this lock.
            drop(looking);
            for (is_locked, path) in slots {
                let bytes = size_of(&path).context("measure", &path)?;
                self.cache_mounts.add(bytes);
                if !is_locked {
                    self.reclaimable += bytes;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn measure(root: &Root, index: &Index) -> Result<Usage, StoreError> {
    let pins = live::pins(root)?;
    let mut usage = Usage::default();
    for (digest, path) in blobs(root)? {
        let object = Object::Blob(digest);
        let in_use = pins.contains(&object);
        let bytes = size_of(&path).context("measure", &path)?;
        usage.blobs.add(bytes);
        usage.items.push(UsageItem {
            object,
            bytes,
            in_use,
        });
    }
    for (id, path) in layers(root)? {
        let object = Object::Layer(id);
        let in_use = pins.contains(&object) || is_locked(&path)?;
        let bytes = size_of(&path).context("measure", &path)?;
        usage.layers.add(bytes);
        usage.items.push(UsageItem {
            object,
            bytes,
            in_use,
        });
    }
    usage.reclaimable = usage
        .items
        .iter()
        .filter(|item| !item.in_use)
        .map(|item| item.bytes)
        .sum();
    usage.add_cache_mounts(root)?;
    usage.temporary = tally(&root.tmp())?;
    usage.trash = tally(&root.trash())?;
    usage.index_bytes = index_bytes(root);
    [usage.records, usage.facts] = index.counts()?;
    Ok(usage)
}

/// All blobs, by name.
pub(crate) fn blobs(root: &Root) -> Result<Vec<(Digest, PathBuf)>, StoreError> {
    let mut blobs = Vec::new();
    for (_, shard) in entries(&root.path.join("blobs/sha256"))? {
        let names = entries(&shard)?.into_iter();
        blobs.extend(names.filter_map(|(name, path)| Some((Digest::from_hex(&name).ok()?, path))));
    }
    Ok(blobs)
}

/// All layer directories, by name.
pub(crate) fn layers(root: &Root) -> Result<Vec<(LayerId, PathBuf)>, StoreError> {
    let names = entries(&root.layers())?.into_iter();
    Ok(names
        .filter_map(|(name, path)| Some((name.parse().ok()?, path)))
        .collect())
}

/// The sorted entries of a directory; one that is gone has none.
pub(crate) fn entries(dir: &Path) -> Result<Vec<(String, PathBuf)>, StoreError> {
    let listing = match std::fs::read_dir(dir) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("list", dir, error)),
    };
    let mut entries = Vec::new();
    for entry in listing {
        let entry = entry.context("list", dir)?;
        entries.push((
            entry.file_name().to_string_lossy().into_owned(),
            entry.path(),
        ));
    }
    entries.sort_unstable();
    Ok(entries)
}

fn tally(dir: &Path) -> Result<Tally, StoreError> {
    let mut tally = Tally::default();
    for (_, path) in entries(dir)? {
        tally.add(size_of(&path).context("measure", &path)?);
    }
    Ok(tally)
}

pub(crate) fn is_locked(path: &Path) -> Result<bool, StoreError> {
    match FileLock::acquire_now(path, Target::Existing, Sharing::Exclusive) {
        Ok(lock) => Ok(lock.is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(StoreError::io("lock", path, error)),
    }
}

pub(crate) fn index_bytes(root: &Root) -> u64 {
    let sizes = ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"].map(|name| {
        let metadata = std::fs::symlink_metadata(root.path.join(name));
        metadata.map_or(0, |metadata| metadata.blocks() * 512)
    });
    sizes.iter().sum()
}
