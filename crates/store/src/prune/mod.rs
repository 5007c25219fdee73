//! Freeing space without taking anything from a running process.
//!
//! Files go first and the index follows, so that a full disk can be freed: the reserve is given up at
//! the start, every removed file helps, and what the index still says about lost files is found out
//! by whoever looks for them. Each object is decided on under the exclusive lock of its directory,
//! with the pins read afresh (see [`crate::Live`]), renamed to the trash and removed from there.

mod cache_mounts;
mod index;
mod sweep;

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use acetate_oci::Digest;
use acetate_stdx::lock::{FileLock, Sharing, Target};

use crate::index::Index;
use crate::root::{Root, lock_dir};
use crate::usage::{self, Tally};
use crate::{LayerId, Object, StoreError, live, trash, tree};

/// What a prune may remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everything that no running process pins or holds.
    All,
    /// Of that, what was not used in the last so many seconds; times of use are kept to the hour.
    Unused {
        /// How long, in seconds.
        secs: i64,
    },
}

/// What becomes of the directories of cache mounts, whose time of use is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMountRule {
    /// They stay.
    Keep,
    /// Those that no running step uses go.
    Remove,
}

/// How to prune.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PruneOptions {
    /// What may go.
    pub scope: Scope,
    /// Whether cache mounts go.
    pub cache_mounts: CacheMountRule,
    /// Kinds of facts that say something of what was removed. They stay until nobody has used them
    /// for thirty days.
    pub spared: &'static [&'static str],
}

impl PruneOptions {
    /// Removes everything that is not in use, cache mounts too.
    pub const ALL: Self = Self {
        scope: Scope::All,
        cache_mounts: CacheMountRule::Remove,
        spared: &[],
    };

    /// Removes what was not used for `secs` seconds; cache mounts stay.
    pub fn unused_for(secs: i64) -> Self {
        Self {
            scope: Scope::Unused { secs },
            cache_mounts: CacheMountRule::Keep,
            spared: &[],
        }
    }
}

/// Why an object stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A running process has pinned it.
    Pinned,
    /// A running process holds it.
    Held,
}

/// An object that would have gone if it were not in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// What stays.
    pub object: Object,
    /// Why.
    pub reason: Reason,
}

/// What a prune did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PruneReport {
    /// Removed blobs.
    pub blobs: Tally,
    /// Removed layer directories.
    pub layers: Tally,
    /// Removed directories of cache mounts.
    pub cache_mounts: Tally,
    /// How many directories of cache mounts stay because a running step uses them.
    pub cache_mounts_in_use: u64,
    /// Removed unfinished objects of dead processes.
    pub temporary: Tally,
    /// Removed left-overs of interrupted removals.
    pub trash: Tally,
    /// Removed records.
    pub records: u64,
    /// Removed facts.
    pub facts: u64,
    /// What stays because a running process uses it.
    pub kept: Vec<Kept>,
    /// What could not be removed, and why, in words.
    pub failures: Vec<String>,
}

impl PruneReport {
    /// Everything freed on the disk, in bytes; the index not counted.
    pub fn bytes(&self) -> u64 {
        let parts = [self.blobs, self.layers, self.cache_mounts];
        let left_over = [self.temporary, self.trash];
        let all = parts.iter().chain(&left_over);
        all.map(|tally| tally.bytes).sum()
    }
}

/// How many layers are decided on under one lock; publishing waits meanwhile.
const N_AT_ONCE: usize = 32;

struct Ctx<'a> {
    root: &'a Root,
    report: PruneReport,
}

pub(crate) fn run(
    root: &Root,
    index: &Index,
    options: &PruneOptions,
) -> Result<PruneReport, StoreError> {
    drop(std::fs::remove_file(root.reserve()));
    index.try_flush();
    let wanted = Wanted::collect(root, index, options)?;
    let mut ctx = Ctx {
        root,
        report: PruneReport::default(),
    };
    ctx.sweep_trash()?;
    ctx.sweep_temporary()?;
    ctx.remove_blobs(&wanted)?;
    ctx.remove_layers(&wanted)?;
    ctx.remove_cache_mounts(options.cache_mounts)?;
    ctx.sweep_locks()?;
    let counts = index::tidy(root, wanted.cutoff, options.spared)?;
    [ctx.report.records, ctx.report.facts] = counts;
    root.make_reserve();
    Ok(ctx.report)
}

/// What is too fresh to go.
struct Wanted {
    layers: HashSet<LayerId>,
    blobs: HashSet<Digest>,
    /// What was used at this time or later stays; `None` means that nothing does.
    cutoff: Option<i64>,
}

impl Wanted {
    fn collect(root: &Root, index: &Index, options: &PruneOptions) -> Result<Self, StoreError> {
        let mut wanted = Self {
            layers: HashSet::new(),
            blobs: HashSet::new(),
            cutoff: None,
        };
        let Scope::Unused { secs } = options.scope else {
            return Ok(wanted);
        };
        let cutoff = root.now().saturating_sub(secs);
        wanted.cutoff = Some(cutoff);
        for (layers, used) in index.record_layers()? {
            if used >= cutoff {
                wanted.layers.extend(layers);
            }
        }
        for row in index.all_layers()? {
            if row.used >= cutoff {
                wanted.layers.insert(row.id);
            }
            if wanted.layers.contains(&row.id) {
                wanted.blobs.extend(row.blob.map(|blob| blob.digest));
            }
        }
        Ok(wanted)
    }

    fn is_fresh(&self, path: &Path) -> bool {
        let Some(cutoff) = self.cutoff else {
            return false;
        };
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.mtime() >= cutoff)
    }
}

impl Ctx<'_> {
    fn remove_blobs(&mut self, wanted: &Wanted) -> Result<(), StoreError> {
        for (_, shard) in usage::entries(&self.root.path.join("blobs/sha256"))? {
            let Some(lock) = lock_dir(&shard, Sharing::Exclusive)? else {
                continue;
            };
            let pins = live::pins(self.root)?;
            let mut hidden = Vec::new();
            for (name, path) in usage::entries(&shard)? {
                let Ok(digest) = Digest::from_hex(&name) else {
                    self.fail(&path, &"not a blob's name");
                    continue;
                };
                if !wanted.blobs.contains(&digest) && !wanted.is_fresh(&path) {
                    hidden.extend(self.take_blob(&digest, &path, &pins));
                }
            }
            // One that is not empty stays.
            drop(std::fs::remove_dir(&shard));
            drop(lock);
            for path in hidden {
                let bytes = self.remove(&path);
                self.report.blobs += bytes;
            }
        }
        Ok(())
    }

    fn take_blob(
        &mut self,
        digest: &Digest,
        path: &Path,
        pins: &HashSet<Object>,
    ) -> Option<PathBuf> {
        let object = Object::Blob(*digest);
        if pins.contains(&object) {
            self.report.kept.push(Kept {
                object,
                reason: Reason::Pinned,
            });
            return None;
        }
        match trash::hide(self.root, path) {
            Ok(hidden) => Some(hidden),
            // Where even a name costs space: a file goes in one step anyway.
            Err(error) if error.is_full() => Some(path.to_owned()),
            Err(error) => {
                self.fail(path, &error);
                None
            }
        }
    }

    fn remove_layers(&mut self, wanted: &Wanted) -> Result<(), StoreError> {
        let mut layers = usage::layers(self.root)?;
        layers.retain(|(id, path)| !wanted.layers.contains(id) && !wanted.is_fresh(path));
        for some in layers.chunks(N_AT_ONCE) {
            let Some(lock) = lock_dir(&self.root.layers(), Sharing::Exclusive)? else {
                return Ok(());
            };
            let pins = live::pins(self.root)?;
            let mut hidden = Vec::new();
            for (id, path) in some {
                hidden.extend(self.take_layer(id, path, &pins));
            }
            drop(lock);
            for path in hidden {
                let bytes = self.remove(&path);
                self.report.layers += bytes;
            }
        }
        Ok(())
    }

    fn take_layer(&mut self, id: &LayerId, path: &Path, pins: &HashSet<Object>) -> Option<PathBuf> {
        let object = Object::Layer(*id);
        if pins.contains(&object) {
            self.report.kept.push(Kept {
                object,
                reason: Reason::Pinned,
            });
            return None;
        }
        match FileLock::acquire_now(path, Target::Existing, Sharing::Exclusive) {
            Ok(Some(_unused)) => match trash::hide(self.root, path) {
                Ok(hidden) => Some(hidden),
                Err(error) => {
                    self.fail(path, &error);
                    None
                }
            },
            Ok(None) => {
                self.report.kept.push(Kept {
                    object,
                    reason: Reason::Held,
                });
                None
            }
            // Another prune was faster.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                self.fail(path, &error);
                None
            }
        }
    }

    /// Removes an object that nobody can see any more and tells what that freed.
    fn remove(&mut self, path: &Path) -> Tally {
        let mut tally = Tally::default();
        let bytes = tree::size_of(path).unwrap_or(0);
        match trash::remove(path) {
            Ok(()) => tally.add(bytes),
            // Another prune may have removed it half.
            Err(_) if !path.exists() => {}
            Err(error) => self.fail(path, &error),
        }
        tally
    }

    fn fail(&mut self, path: &Path, error: &dyn std::fmt::Display) {
        self.report
            .failures
            .push(format!("`{}`: {error}", path.display()));
    }
}
