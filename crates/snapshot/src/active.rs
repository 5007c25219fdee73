//! Layers being made: [`ActiveSnapshot`] for steps, [`ActiveLayer`] for file operations.

use crate::build;
use crate::complete;
use crate::dirs::{self, ROOT_MARK};
use crate::driver::Driver;
use crate::entry::Entry;
use crate::error::SnapshotError;
use crate::layer::{DirForm, Snapshot};
use crate::listing::RootEntry;
use crate::root_mount::RootMount;
use crate::snapshots::Snapshots;
use crate::sys;
use crate::xattrs;
use acetate_store::LayerId;
use rustix::fs::{AtFlags, FileType, Mode};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A writable root over a snapshot. Dropping it removes what was written.
#[derive(Debug)]
pub struct ActiveSnapshot {
    snapshots: Snapshots,
    base: Snapshot,
    layer: acetate_store::ActiveLayer,
    root: RootMount,
    /// The attributes that the root has below.
    root_below: Entry,
    form: RootEntry,
    /// Keeps merged lower directories while they are mounted.
    _collapsed: Option<Arc<acetate_store::ActiveLayer>>,
}

impl ActiveSnapshot {
    pub(crate) fn prepare(snapshots: &Snapshots, base: &Snapshot) -> Result<Self, SnapshotError> {
        let driver = snapshots.driver()?;
        let forms = dirs::chain(snapshots, base)?;
        let root_below = dirs::root_entry(&forms, snapshots.0.options.overlay)?;
        let layer = snapshots.0.store.layers().new_layer()?;
        let fs = layer.fs_path();
        let mut collapsed = None;
        let mut form = RootEntry::Inherited;
        let root = if forms.is_empty() {
            // Overlayfs wants something below; a plain directory shows the same.
            RootMount::Dir(fs)
        } else if driver == Driver::Overlay {
            let (lower, merged) = lowers(snapshots, base, &forms)?;
            collapsed = merged;
            RootMount::Overlay {
                lower,
                upper: fs,
                work: layer.work_path()?,
            }
        } else {
            complete::copy(snapshots, base, &forms, &layer)?;
            form = RootEntry::Complete;
            RootMount::Dir(fs)
        };
        set_root(root.writable(), &root_below)?;
        if form == RootEntry::Complete {
            complete::seal_copy(&layer)?;
        }
        Ok(Self {
            snapshots: snapshots.clone(),
            base: base.clone(),
            layer,
            root,
            root_below,
            form,
            _collapsed: collapsed,
        })
    }

    /// Returns what to mount.
    pub fn root(&self) -> &RootMount {
        &self.root
    }

    /// Returns the snapshot below.
    pub fn base(&self) -> &Snapshot {
        &self.base
    }

    /// Returns the name that the layer will have.
    pub fn id(&self) -> LayerId {
        self.layer.id()
    }

    /// Makes what was written a layer, at once. Nothing may be mounted on it any more.
    pub fn commit(self) -> Result<Snapshot, SnapshotError> {
        let path = self.root.writable();
        let mut form = self.form;
        if form == RootEntry::Inherited {
            clean(path).map_err(|errno| match errno {
                Errno::NAMETOOLONG => SnapshotError::Unstorable {
                    path: "/".into(),
                    reason: "holds more than 2048 directories in one another, which nothing that \
                             reads a layer can open",
                },
                errno => SnapshotError::os("clean", path)(errno),
            })?;
            form = settle_root(&self.layer, path, &self.root_below, &self.snapshots)?;
        }
        publish(&self.snapshots, &self.base, self.layer, form)
    }
}

/// An empty layer directory over a snapshot, for file operations. Dropping it removes it.
#[derive(Debug)]
pub struct ActiveLayer {
    snapshots: Snapshots,
    base: Snapshot,
    layer: acetate_store::ActiveLayer,
    path: PathBuf,
    root: RootEntry,
}

impl ActiveLayer {
    pub(crate) fn prepare(snapshots: &Snapshots, base: &Snapshot) -> Result<Self, SnapshotError> {
        let layer = snapshots.0.store.layers().new_layer()?;
        Ok(Self {
            snapshots: snapshots.clone(),
            base: base.clone(),
            path: layer.fs_path(),
            layer,
            root: RootEntry::Inherited,
        })
    }

    /// Returns the directory to fill. It holds only what the layer changes: every directory made
    /// in it must have the attributes it has below, since it stands in for it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the snapshot below.
    pub fn base(&self) -> &Snapshot {
        &self.base
    }

    /// Returns the name that the layer will have.
    pub fn id(&self) -> LayerId {
        self.layer.id()
    }

    /// States that the attributes of [`path`](Self::path) itself are the root's. Unless this is
    /// called they mean nothing.
    pub fn own_root(&mut self) {
        self.root = RootEntry::Own;
    }

    /// Marks `name` in the open directory `dir`, which is inside [`path`](Self::path), as deleted.
    pub fn delete(&self, dir: BorrowedFd<'_>, name: &Path) -> Result<(), SnapshotError> {
        let bytes = crate::entry::path_bytes(name);
        build::whiteout(dir, bytes).map_err(SnapshotError::os("make the whiteout", name))
    }

    /// Hides everything that lower layers have in `name`, a directory inside the open directory
    /// `dir`.
    pub fn hide_below(&self, dir: BorrowedFd<'_>, name: &Path) -> Result<(), SnapshotError> {
        let mark = self.snapshots.0.options.overlay.opaque().as_bytes();
        let bytes = crate::entry::path_bytes(name);
        xattrs::set(dir, bytes, mark, b"y").map_err(SnapshotError::os("mark as opaque", name))
    }

    /// Makes the directory a layer, at once.
    pub fn commit(self) -> Result<Snapshot, SnapshotError> {
        if self.root == RootEntry::Own {
            crate::apply::write_beside(&self.layer, ROOT_MARK, b"")?;
        }
        publish(&self.snapshots, &self.base, self.layer, self.root)
    }
}

fn publish(
    snapshots: &Snapshots,
    base: &Snapshot,
    layer: acetate_store::ActiveLayer,
    root: RootEntry,
) -> Result<Snapshot, SnapshotError> {
    let published = layer.publish()?;
    let dir = DirForm {
        path: published.path,
        root,
    };
    Ok(snapshots.committed(published.id, base, dir))
}

type Lowers = (Vec<PathBuf>, Option<Arc<acetate_store::ActiveLayer>>);

/// Returns the lower directories, topmost first and not more than overlayfs takes.
fn lowers(
    snapshots: &Snapshots,
    base: &Snapshot,
    forms: &[DirForm],
) -> Result<Lowers, SnapshotError> {
    // Nothing shows through a complete tree.
    let bottom = forms
        .iter()
        .rposition(|form| form.root == RootEntry::Complete)
        .unwrap_or(0);
    let n_collapsed = n_collapsed(forms.len() - bottom);
    if n_collapsed == 0 {
        let paths = forms[bottom..].iter().rev().map(|form| form.path.clone());
        return Ok((paths.collect(), None));
    }
    let merged = dirs::collapse(snapshots, base, bottom + n_collapsed)?;
    let above = forms[bottom + n_collapsed..].iter().rev();
    let paths = above.map(|form| form.path.clone());
    let paths = paths.chain([merged.fs_path()]).collect();
    Ok((paths, Some(merged)))
}

/// Decides how many of the lowest layers become one directory: in large steps, so that a growing
/// chain uses the same directory many times.
fn n_collapsed(n_layers: usize) -> usize {
    const STEP: usize = 256;
    let excess = n_layers.saturating_sub(RootMount::MAX_LOWERS);
    if excess == 0 {
        return 0;
    }
    (excess + 1).next_multiple_of(STEP)
}

fn set_root(path: &Path, entry: &Entry) -> Result<(), SnapshotError> {
    sys::open_dir(path)
        .and_then(|dir| sys::set_attributes_fd(dir.as_fd(), entry))
        .map_err(SnapshotError::os("set the attributes of", path))
}

/// Notes whether the step changed the root directory itself, and takes its time back: that one
/// changes with every name made in it and belongs to no layer.
fn settle_root(
    layer: &acetate_store::ActiveLayer,
    path: &Path,
    below: &Entry,
    snapshots: &Snapshots,
) -> Result<RootEntry, SnapshotError> {
    let now = dirs::read_root(path, snapshots.0.options.overlay)?;
    if now.mtime != below.mtime {
        let times = sys::times(below.mtime);
        rustix::fs::utimensat(rustix::fs::CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(SnapshotError::os("set the times of", path))?;
    }
    if now.same_ownership(below) {
        return Ok(RootEntry::Inherited);
    }
    crate::apply::write_beside(layer, ROOT_MARK, b"")?;
    Ok(RootEntry::Own)
}

/// Replaces sockets by whiteouts: a layer has none, and what they replaced is gone.
///
/// Reads names only. Directories that had sockets keep their times.
fn clean(path: &Path) -> rustix::io::Result<()> {
    clean_dir(sys::open_dir(path)?.as_fd(), MAX_DEPTH)
}

/// Below this, every path is longer than the 4095 bytes that the kernel takes.
const MAX_DEPTH: usize = 2048;

fn clean_dir(dir: BorrowedFd<'_>, depth: usize) -> rustix::io::Result<()> {
    let depth = depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?;
    let mut sockets = Vec::new();
    for (name, kind) in sys::names(dir)? {
        match kind {
            FileType::Directory => {
                let inner = rustix::fs::openat(dir, &name, sys::dir_flags(), Mode::empty())?;
                clean_dir(inner.as_fd(), depth)?;
            }
            FileType::Socket => sockets.push(name),
            _ => {}
        }
    }
    if sockets.is_empty() {
        return Ok(());
    }
    let before = rustix::fs::fstat(dir)?;
    for name in sockets {
        rustix::fs::unlinkat(dir, &name, AtFlags::empty())?;
        build::whiteout(dir, &name)?;
    }
    rustix::fs::futimens(dir, &sys::times(sys::mtime(&before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_lower_directories_than_the_kernel_takes() {
        for n_layers in [0, 1, 499, 500] {
            assert_eq!(n_collapsed(n_layers), 0, "{n_layers}");
        }
        for n_layers in 501..3000 {
            let lowers = n_layers - n_collapsed(n_layers) + 1;
            assert!(lowers <= RootMount::MAX_LOWERS, "{n_layers} give {lowers}");
        }
        assert_eq!(n_collapsed(501), n_collapsed(755));
    }
}
