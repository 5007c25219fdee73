//! Pins: what a running process needs, written where a prune reads it.
//!
//! A pin is a line in the process's own file below `live/`, which it holds under an exclusive lock.
//! A file whose lock is free belongs to a dead process and counts for nothing (process ids would mean
//! nothing across containers). Pinning holds the lock of the object's directory shared while it
//! writes the line and looks at the object; a prune holds that lock exclusively while it reads all
//! lines and renames the object away. So either the prune sees the pin, or the pin sees the loss.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::error::IoContext;
use crate::layer_id::random_bytes;
use crate::root::{PATIENCE, Root, lock_dir};
use crate::{Object, StoreError};

/// The pins of this handle; they end when the store is dropped or its process dies.
#[derive(Debug)]
pub struct Live {
    root: Arc<Root>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<FileLock>,
    pinned: HashSet<Object>,
}

impl Live {
    pub(crate) fn new(root: Arc<Root>) -> Self {
        Self {
            root,
            state: Mutex::default(),
        }
    }

    /// Pins objects and tells which of them are there; those stay until this store is dropped.
    ///
    /// An absent object is pinned too, which does no harm.
    pub fn pin(&self, objects: &[Object]) -> Result<Vec<bool>, StoreError> {
        let mut by_dir: BTreeMap<PathBuf, Vec<Object>> = BTreeMap::new();
        for object in self.unpinned(objects) {
            by_dir.entry(self.dir_of(&object)).or_default().push(object);
        }
        for (dir, objects) in by_dir {
            // Without the directory there is no object to protect.
            if let Some(_lock) = lock_dir(&dir, Sharing::Shared)? {
                self.write(&objects)?;
            }
        }
        // Looked at after pinning: what is seen now can no longer be taken away.
        Ok(objects.iter().map(|object| self.exists(object)).collect())
    }

    /// Writes the pins; the caller holds the shared locks and publishes the objects afterwards.
    pub(crate) fn write(&self, objects: &[Object]) -> Result<(), StoreError> {
        let new = self.unpinned(objects);
        if new.is_empty() {
            return Ok(());
        }
        // The leading newline ends a line that a full disk has cut short.
        let mut lines = String::from("\n");
        for object in &new {
            let _ = writeln!(lines, "{object}");
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut state.file {
            Some(file) => file,
            empty => empty.insert(self.create()?),
        };
        // One write call at the end of the file: lines of two threads do not mix.
        file.file()
            .write_all(lines.as_bytes())
            .context("write", file.path())?;
        state.pinned.extend(new);
        Ok(())
    }

    fn unpinned(&self, objects: &[Object]) -> Vec<Object> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        objects
            .iter()
            .filter(|object| !state.pinned.contains(object))
            .copied()
            .collect()
    }

    fn dir_of(&self, object: &Object) -> PathBuf {
        match object {
            Object::Blob(digest) => self.root.shard(digest),
            Object::Layer(_) => self.root.layers(),
        }
    }

    fn exists(&self, object: &Object) -> bool {
        match object {
            Object::Blob(digest) => self.root.blob(digest).exists(),
            Object::Layer(id) => self.root.layer(id).exists(),
        }
    }

    fn create(&self) -> Result<FileLock, StoreError> {
        let number = u128::from_ne_bytes(random_bytes());
        let path = self.root.live().join(format!("{number:032x}"));
        FileLock::acquire_within(&path, Target::File, Sharing::Exclusive, PATIENCE)
            .context("make", &path)?
            .ok_or(StoreError::Busy { path })
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = state.file.take()
            && let Err(error) = file.remove()
        {
            tracing::debug!(%error, "left a live file behind");
        }
    }
}

/// Reads the pins of all living processes and removes the files of dead ones.
pub(crate) fn pins(root: &Root) -> Result<HashSet<Object>, StoreError> {
    let dir = root.live();
    let mut pins = HashSet::new();
    for entry in std::fs::read_dir(&dir).context("list", &dir)? {
        let path = entry.context("list", &dir)?.path();
        match FileLock::acquire_now(&path, Target::Existing, Sharing::Exclusive) {
            Ok(Some(dead)) => dead.remove().context("remove", &path)?,
            Ok(None) => pins.extend(read(&path)?),
            // Its process has just ended.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io("lock", &path, error)),
        }
    }
    Ok(pins)
}

fn read(path: &std::path::Path) -> Result<Vec<Object>, StoreError> {
    match std::fs::read_to_string(path) {
        // A last line still being written pins an object of a directory that is not locked by us.
        Ok(text) => Ok(text.lines().filter_map(|line| line.parse().ok()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(StoreError::io("read", path, error)),
    }
}
