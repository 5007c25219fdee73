//! Cache mounts as people see them: what they are called, what is in them, and how they go.

use std::path::{Path, PathBuf};

use acetate_oci::Digest;
use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::cache_mounts::{CONTENT, CacheMounts, NewCacheMount, slots};
use crate::error::IoContext;
use crate::root::lock_dir;
use crate::tree::measure;
use crate::usage::{Tally, entries, is_locked};
use crate::{StoreError, trash};

/// The file beside the content of a directory that tells what it is.
const ABOUT: &str = "about";
const HEADER: &str = "acetate cache mount 1";

/// What the identity of a cache mount is made of; only the identity decides which one it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMountName {
    /// The id that a Dockerfile gives it.
    pub id: String,
    /// What a new directory begins with, in words, on one line.
    pub begins: String,
}

/// One cache mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMountItem {
    /// What makes two of them the same.
    pub identity: Digest,
    /// None where it was made before names were kept.
    pub name: Option<CacheMountName>,
    /// Its directories, oldest generation first.
    pub dirs: Vec<CacheMountDir>,
}

/// One directory of a cache mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheMountDir {
    /// Later generations replace earlier ones.
    pub generation: u64,
    /// Which of those that are used side by side.
    pub number: u64,
    /// What is mounted.
    pub path: PathBuf,
    /// Allocated bytes.
    pub bytes: u64,
    /// Everything in it but directories.
    pub n_files: u64,
    /// Whether a running step uses it.
    pub in_use: bool,
}

/// What became of a cache mount that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMountRemoval {
    /// So many directories are gone.
    Removed(Tally),
    /// A running step uses one of them, so all of them stay.
    InUse,
    /// There is none.
    Absent,
}

impl CacheMounts {
    /// All cache mounts, by identity; reads every directory of them.
    pub fn list(&self) -> Result<Vec<CacheMountItem>, StoreError> {
        let mut items = Vec::new();
        for (name, dir) in entries(&self.root.cache_mounts())? {
            if let Ok(identity) = Digest::from_hex(&name) {
                items.extend(look(identity, &dir)?);
            }
        }
        Ok(items)
    }

    /// Removes all directories of a cache mount, or none when one is in use.
    pub fn remove(&self, identity: &Digest) -> Result<CacheMountRemoval, StoreError> {
        let dir = self.root.cache_mount(identity);
        let Some(looking) = lock_dir(&dir, Sharing::Exclusive)? else {
            return Ok(CacheMountRemoval::Absent);
        };
        let slots = slots(&dir)?;
        let mut locks = Vec::with_capacity(slots.len());
        for (_, path) in &slots {
            let lock = FileLock::acquire_now(path, Target::Existing, Sharing::Exclusive);
            match lock.context("lock", path)? {
                Some(lock) => locks.push(lock),
                None => return Ok(CacheMountRemoval::InUse),
            }
        }
        let mut hidden = Vec::with_capacity(slots.len());
        for (_, path) in &slots {
            hidden.push(trash::hide(&self.root, path)?);
        }
        // One that is not empty stays.
        drop(std::fs::remove_dir(&dir));
        drop((looking, locks));
        if hidden.is_empty() {
            return Ok(CacheMountRemoval::Absent);
        }
        let mut tally = Tally::default();
        for path in hidden {
            let bytes = measure(&path).context("measure", &path)?.bytes;
            trash::remove(&path)?;
            tally.add(bytes);
        }
        Ok(CacheMountRemoval::Removed(tally))
    }
}

impl NewCacheMount {
    /// Notes what the directory is called, for people who look at it later.
    pub fn describe(&self, name: &CacheMountName) -> Result<(), StoreError> {
        let path = self.path().with_file_name(ABOUT);
        let begins = name.begins.replace(['\n', '\r'], " ");
        let text = format!("{HEADER}\n{begins}\n{}", name.id);
        std::fs::write(&path, text).context("write", &path)
    }
}

/// Looks at the directories of one identity; none where a prune was faster.
fn look(identity: Digest, dir: &Path) -> Result<Option<CacheMountItem>, StoreError> {
    let Some(looking) = lock_dir(dir, Sharing::Exclusive)? else {
        return Ok(None);
    };
    let mut found = Vec::new();
    for (slot, path) in slots(dir)? {
        found.push((slot, is_locked(&path)?, path));
    }
    // Measuring takes long, and steps wait for this lock.
    drop(looking);
    let mut item = CacheMountItem {
        identity,
        name: None,
        dirs: Vec::with_capacity(found.len()),
    };
    for (slot, in_use, path) in found {
        item.name = name_of(&path).or(item.name);
        let content = path.join(CONTENT);
        let size = measure(&content).context("measure", &content)?;
        item.dirs.push(CacheMountDir {
            generation: slot.generation,
            number: slot.number,
            path: content,
            bytes: size.bytes,
            n_files: size.n_files,
            in_use,
        });
    }
    Ok((!item.dirs.is_empty()).then_some(item))
}

/// What was noted; what is damaged or of another version is as good as nothing.
fn name_of(path: &Path) -> Option<CacheMountName> {
    let text = std::fs::read_to_string(path.join(ABOUT)).ok()?;
    let (header, rest) = text.split_once('\n')?;
    let (begins, id) = rest.split_once('\n')?;
    (header == HEADER).then(|| CacheMountName {
        id: id.to_owned(),
        begins: begins.to_owned(),
    })
}
