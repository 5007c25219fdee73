//! The directories of cache mounts: they outlive builds, and are in no layer and no record.
//!
//! `cache-mounts/<identity>/<generation>.<slot>/fs` is one directory. Steps that share an identity use
//! the slots of its newest generation; what sharing means is which lock they take on the slot. A
//! directory is in use exactly as long as somebody holds a lock on it, so one that a killed process
//! used is free at once, with whatever was written into it. A file `unsigned` beside `fs` says that
//! it began with what came from a cache and what nobody had signed.
//!
//! Whoever looks at the locks of an identity's slots holds the lock of the identity's own directory:
//! trying a lock takes it for a moment, and a claim must not take that for a use.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use acetate_oci::Digest;
use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::error::IoContext;
use crate::root::{Root, lock_dir, make_dir};
use crate::temp::Temp;
use crate::usage::entries;
use crate::{StoreError, trash};

pub(crate) const CONTENT: &str = "fs";
const UNSIGNED: &str = "unsigned";

/// The cache mounts of a store.
#[derive(Debug)]
pub struct CacheMounts {
    pub(crate) root: Arc<Root>,
}

/// Beside whom a step uses a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CacheClaim {
    /// Beside all others that share.
    Shared,
    /// Beside nobody, in whatever directory is free.
    Private,
    /// Beside nobody, in the first directory.
    Locked,
}

/// What a claim found.
#[derive(Debug)]
pub enum CacheFound {
    /// A directory that is now in use.
    Held(CacheHold),
    /// There is none yet, but there is a place for one.
    Missing(CachePlace),
    /// The one directory that would do is in use.
    Busy,
}

/// A directory in use; dropping it lets others in.
#[derive(Debug)]
pub struct CacheHold {
    path: PathBuf,
    _lock: FileLock,
}

impl CacheHold {
    /// What is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Where a directory can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePlace {
    identity: Digest,
    slot: Slot,
}

/// The name of a directory; later generations replace earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot {
    pub(crate) generation: u64,
    pub(crate) number: u64,
}

/// What came of putting a directory in the place of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It is what the next claim finds, and what was there is gone.
    Done,
    /// Somebody uses a directory of this identity; all is as it was.
    InUse,
}

/// A directory being made, which nobody sees; dropping it removes it.
#[derive(Debug)]
pub struct NewCacheMount {
    root: Arc<Root>,
    place: CachePlace,
    temp: Temp,
}

impl CacheMounts {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self { root }
    }

    /// Takes a directory of `identity`, without waiting.
    pub fn claim(&self, identity: &Digest, claim: CacheClaim) -> Result<CacheFound, StoreError> {
        let dir = self.root.cache_mount(identity);
        let missing = |generation, number| {
            Ok(CacheFound::Missing(CachePlace {
                identity: *identity,
                slot: Slot { generation, number },
            }))
        };
        let Some(_looking) = lock_dir(&dir, Sharing::Exclusive)? else {
            return missing(0, 0);
        };
        let mut slots = slots(&dir)?;
        let newest = slots.last().map_or(0, |(slot, _)| slot.generation);
        slots.retain(|(slot, _)| slot.generation == newest);
        let sharing = match claim {
            CacheClaim::Shared => Sharing::Shared,
            CacheClaim::Private | CacheClaim::Locked => Sharing::Exclusive,
        };
        let mut number = 0;
        for (slot, path) in slots {
            // A prune may have taken the directories of the numbers in between.
            if slot.number > number {
                break;
            }
            let lock = FileLock::acquire_now(&path, Target::Existing, sharing);
            if let Some(lock) = lock.context("lock", &path)? {
                let path = path.join(CONTENT);
                return Ok(CacheFound::Held(CacheHold { path, _lock: lock }));
            }
            if claim == CacheClaim::Locked {
                return Ok(CacheFound::Busy);
            }
            number += 1;
        }
        missing(newest, number)
    }

    /// The place of the first directory of `identity`, unless it has one.
    pub fn first(&self, identity: &Digest) -> Result<Option<CachePlace>, StoreError> {
        let slots = slots(&self.root.cache_mount(identity))?;
        Ok(slots.is_empty().then_some(CachePlace {
            identity: *identity,
            slot: Slot::FIRST,
        }))
    }

    /// The directory that the next claim would find first, unless there is none or somebody has it
    /// alone. Nothing is held: who reads it looks afterwards whether it has changed.
    pub fn at_rest(&self, identity: &Digest) -> Result<Option<PathBuf>, StoreError> {
        let dir = self.root.cache_mount(identity);
        let Some(_looking) = lock_dir(&dir, Sharing::Exclusive)? else {
            return Ok(None);
        };
        let slots = slots(&dir)?;
        let newest = slots.last().map_or(0, |(slot, _)| slot.generation);
        let first = slots
            .into_iter()
            .find(|(slot, _)| slot.generation == newest);
        let Some((Slot { number: 0, .. }, path)) = first else {
            return Ok(None);
        };
        let lock = FileLock::acquire_now(&path, Target::Existing, Sharing::Shared);
        let is_free = lock.context("lock", &path)?.is_some();
        Ok(is_free.then(|| path.join(CONTENT)))
    }

    /// Takes the directory that the next claim would find first, beside all others that share, for
    /// somebody who reads it: who wants it alone waits meanwhile.
    pub fn hold(&self, identity: &Digest) -> Result<CacheFound, StoreError> {
        let dir = self.root.cache_mount(identity);
        let missing = || {
            Ok(CacheFound::Missing(CachePlace {
                identity: *identity,
                slot: Slot::FIRST,
            }))
        };
        let Some(_looking) = lock_dir(&dir, Sharing::Exclusive)? else {
            return missing();
        };
        let slots = slots(&dir)?;
        let newest = slots.last().map_or(0, |(slot, _)| slot.generation);
        let first = slots
            .into_iter()
            .find(|(slot, _)| slot.generation == newest);
        let Some((_, path)) = first else {
            return missing();
        };
        let lock = FileLock::acquire_now(&path, Target::Existing, Sharing::Shared);
        Ok(match lock.context("lock", &path)? {
            Some(lock) => CacheFound::Held(CacheHold {
                path: path.join(CONTENT),
                _lock: lock,
            }),
            None => CacheFound::Busy,
        })
    }

    /// True when a directory that is used now began with what nobody had signed.
    pub fn is_unsigned(&self, identity: &Digest) -> Result<bool, StoreError> {
        let slots = slots(&self.root.cache_mount(identity))?;
        let newest = slots.last().map_or(0, |(slot, _)| slot.generation);
        let mut current = slots.iter().filter(|(slot, _)| slot.generation == newest);
        Ok(current.any(|(_, path)| path.join(UNSIGNED).exists()))
    }

    /// The place of a directory that replaces all that `identity` has.
    pub fn successor(&self, identity: &Digest) -> Result<CachePlace, StoreError> {
        let slots = slots(&self.root.cache_mount(identity))?;
        Ok(CachePlace {
            identity: *identity,
            slot: Slot {
                generation: slots.last().map_or(0, |(slot, _)| slot.generation + 1),
                number: 0,
            },
        })
    }

    /// Starts a directory, empty and of mode 0755.
    pub fn create(&self, place: CachePlace) -> Result<NewCacheMount, StoreError> {
        let temp = Temp::directory(&self.root, "cache-mount")?;
        let fs = temp.path().join(CONTENT);
        make_dir(&fs)?;
        std::fs::set_permissions(&fs, std::fs::Permissions::from_mode(0o755))
            .context("set the mode of", &fs)?;
        Ok(NewCacheMount {
            root: Arc::clone(&self.root),
            place,
            temp,
        })
    }
}

impl NewCacheMount {
    /// What will be mounted, to be filled; it moves when it is published.
    pub fn path(&self) -> PathBuf {
        self.temp.path().join(CONTENT)
    }

    /// Notes that what it begins with was signed by nobody.
    pub fn mark_unsigned(&self) -> Result<(), StoreError> {
        let path = self.temp.path().join(UNSIGNED);
        std::fs::write(&path, "").context("write", &path)
    }

    /// Lets others see the directory; where somebody else was faster, theirs stays and this one goes.
    /// Earlier generations that nobody uses are removed.
    pub fn publish(mut self) -> Result<(), StoreError> {
        let dir = self.root.cache_mount(&self.place.identity);
        let target = dir.join(self.place.slot.name());
        loop {
            make_dir(&self.root.cache_mounts())?;
            make_dir(&dir)?;
            match self.temp.publish(&target) {
                Ok(()) => break,
                // A prune removes directories that have become empty.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if is_taken(&error) => return Ok(()),
                Err(error) => return Err(StoreError::io("publish", &target, error)),
            }
        }
        if self.place.slot.number == 0 && self.place.slot.generation > 0 {
            self.remove_earlier(&dir)?;
        }
        Ok(())
    }

    /// Puts the directory in the place of all that its identity has, unless one of them is in use.
    /// No claim comes between the look and the change, so nothing that a step writes is lost.
    pub fn replace(mut self) -> Result<Replaced, StoreError> {
        let dir = self.root.cache_mount(&self.place.identity);
        let looking = loop {
            make_dir(&self.root.cache_mounts())?;
            make_dir(&dir)?;
            // A prune removes directories that have become empty.
            if let Some(looking) = lock_dir(&dir, Sharing::Exclusive)? {
                break looking;
            }
        };
        let there = slots(&dir)?;
        let mut locks = Vec::with_capacity(there.len());
        for (_, path) in &there {
            let lock = FileLock::acquire_now(path, Target::Existing, Sharing::Exclusive);
            match lock.context("lock", path)? {
                Some(lock) => locks.push(lock),
                None => return Ok(Replaced::InUse),
            }
        }
        let slot = Slot {
            generation: there.last().map_or(0, |(slot, _)| slot.generation + 1),
            number: 0,
        };
        let target = dir.join(slot.name());
        let published = self.temp.publish(&target);
        published.map_err(|error| StoreError::io("publish", &target, error))?;
        // The new one counts from here on, so what fails now is only left over.
        let hidden = there.iter().map(|(_, path)| trash::hide(&self.root, path));
        let hidden: Vec<_> = hidden.collect();
        drop((looking, locks));
        for path in hidden {
            if let Err(error) = path.and_then(|path| trash::remove(&path)) {
                tracing::debug!(%error, "left an old cache mount behind");
            }
        }
        Ok(Replaced::Done)
    }

    fn remove_earlier(&self, dir: &Path) -> Result<(), StoreError> {
        let Some(looking) = lock_dir(dir, Sharing::Exclusive)? else {
            return Ok(());
        };
        let mut hidden = Vec::new();
        for (slot, path) in slots(dir)? {
            if slot.generation < self.place.slot.generation
                && let Taken::Away(path) = take_away(&self.root, &path)?
            {
                hidden.push(path);
            }
        }
        drop(looking);
        for path in hidden {
            if let Err(error) = trash::remove(&path) {
                tracing::debug!(%error, "left an old cache mount in the trash");
            }
        }
        Ok(())
    }
}

impl Slot {
    const FIRST: Self = Self {
        generation: 0,
        number: 0,
    };

    fn name(self) -> String {
        format!("{}.{}", self.generation, self.number)
    }

    fn parse(name: &str) -> Option<Self> {
        let (generation, number) = name.split_once('.')?;
        Some(Self {
            generation: generation.parse().ok()?,
            number: number.parse().ok()?,
        })
    }
}

/// What became of a directory that was to go.
#[derive(Debug)]
pub(crate) enum Taken {
    /// It is out of sight, here.
    Away(PathBuf),
    /// Somebody uses it.
    InUse,
}

/// Moves a directory that nobody uses out of sight; the caller holds the lock of its identity.
pub(crate) fn take_away(root: &Root, path: &Path) -> Result<Taken, StoreError> {
    let unused = FileLock::acquire_now(path, Target::Existing, Sharing::Exclusive);
    match unused.context("lock", path)? {
        Some(_unused) => Ok(Taken::Away(trash::hide(root, path)?)),
        None => Ok(Taken::InUse),
    }
}

/// The directories of one identity, oldest generation first.
pub(crate) fn slots(dir: &Path) -> Result<Vec<(Slot, PathBuf)>, StoreError> {
    let mut slots: Vec<_> = entries(dir)?
        .into_iter()
        .filter_map(|(name, path)| Some((Slot::parse(&name)?, path)))
        .collect();
    slots.sort_unstable();
    Ok(slots)
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::DirectoryNotEmpty
    )
}
