//! Directory forms: found, or made once from the layer's blob.

use crate::apply::{self, Draft};
use crate::claims;
use crate::entry::{Entry, EntryKind};
use crate::error::SnapshotError;
use crate::layer::{DirForm, Layer, Origin, Snapshot};
use crate::listing::RootEntry;
use crate::listings;
use crate::snapshots::Snapshots;
use crate::sys;
use crate::xattrs;
use acetate_store::{ActiveLayer, LayerId, Object, StoreLock};
use rayon::prelude::*;
use rustix::fs::{AtFlags, Mode};
use std::collections::HashMap;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Beside the content: the attributes of its top directory are the root's.
pub(crate) const ROOT_MARK: &str = "root";
/// Beside the content: it is a complete tree, made by the copying driver.
pub(crate) const COMPLETE_MARK: &str = "complete";
/// Beside the content: the layer's listing.
pub(crate) const LISTING: &str = "listing";

/// Chains of more layers than overlayfs takes, merged by hard links; kept while in use.
pub(crate) type Collapsed = Mutex<HashMap<Vec<LayerId>, Arc<ActiveLayer>>>;

/// Returns the directory form of a layer, made from its blob when there is none.
pub(crate) fn dir_form(snapshots: &Snapshots, layer: &Layer) -> Result<DirForm, SnapshotError> {
    if let Some(dir) = layer.0.dir.get() {
        return Ok(dir.clone());
    }
    let _work = layer.0.work.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(dir) = layer.0.dir.get() {
        return Ok(dir.clone());
    }
    let dir = match find(snapshots, layer)? {
        Some(dir) => dir,
        None => make(snapshots, layer)?,
    };
    Ok(layer.0.dir.get_or_init(|| dir).clone())
}

/// Returns the directory form when the store has a trusted one. Makes nothing.
pub(crate) fn find(snapshots: &Snapshots, layer: &Layer) -> Result<Option<DirForm>, SnapshotError> {
    if let Some(dir) = layer.0.dir.get() {
        return Ok(Some(dir.clone()));
    }
    let store = &snapshots.0.store;
    // Pinned before it is looked at: what is seen then stays.
    store.live().pin(&[Object::Layer(layer.id())])?;
    store.layers().dir(&layer.id())?.map(form_of).transpose()
}

/// Finds the directory forms of a whole chain with one question to the index, then makes those
/// that are missing, bottom first.
pub(crate) fn chain(
    snapshots: &Snapshots,
    snapshot: &Snapshot,
) -> Result<Vec<DirForm>, SnapshotError> {
    let unknown: Vec<&Layer> = snapshot
        .layers()
        .iter()
        .filter(|layer| layer.0.dir.get().is_none())
        .collect();
    if !unknown.is_empty() {
        let ids: Vec<LayerId> = unknown.iter().map(|layer| layer.id()).collect();
        let objects: Vec<Object> = ids.iter().copied().map(Object::Layer).collect();
        snapshots.0.store.live().pin(&objects)?;
        let found = snapshots.0.store.layers().dirs(&ids)?;
        for (layer, path) in unknown.into_iter().zip(found) {
            if let Some(path) = path {
                drop(layer.0.dir.set(form_of(path)?));
            }
        }
    }
    make_listed(snapshots, snapshot)?;
    let forms = snapshot.layers().iter();
    forms.map(|layer| dir_form(snapshots, layer)).collect()
}

/// How many directory forms are made side by side: each holds contents in memory.
const SIDE_BY_SIDE: usize = 4;

/// Makes missing directory forms side by side, where everything below is listed already; else each
/// lists the one that the next needs.
fn make_listed(snapshots: &Snapshots, snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let layers = snapshot.layers();
    let is_missing = |layer: &&Layer| layer.0.dir.get().is_none();
    let missing: Vec<&Layer> = layers.iter().filter(is_missing).collect();
    if missing.len() < 2 {
        return Ok(());
    }
    for layer in &layers[..layers.len() - 1] {
        if listings::known(snapshots, layer)?.is_none() {
            return Ok(());
        }
    }
    for missing in missing.chunks(SIDE_BY_SIDE) {
        let drafts = missing.par_iter().map(|layer| draft(snapshots, layer));
        let drafts: Vec<Option<(StoreLock, Draft)>> = drafts.collect::<Result<_, _>>()?;
        for (layer, drawn) in missing.iter().zip(drafts) {
            let Some((_lock, draft)) = drawn else {
                continue;
            };
            if claims::are_settled(layer.base()) && !claims::is_any_refuted(layer.base()) {
                let dir = draft.publish(snapshots, layer)?;
                drop(layer.0.dir.set(dir));
            }
        }
    }
    Ok(())
}

/// Unpacks a layer unless somebody else does; nobody is waited for, since others may wait for what is
/// held here.
fn draft(
    snapshots: &Snapshots,
    layer: &Layer,
) -> Result<Option<(StoreLock, Draft)>, SnapshotError> {
    let Ok(name) = lock_name(layer) else {
        return Ok(None);
    };
    let Some(lock) = snapshots.0.store.try_lock(&name)? else {
        return Ok(None);
    };
    if find(snapshots, layer)?.is_some() {
        return Ok(None);
    }
    Ok(Some((lock, apply::draft(snapshots, layer)?)))
}

fn form_of(path: PathBuf) -> Result<DirForm, SnapshotError> {
    let beside = |mark: &str| {
        let path = path.with_file_name(mark);
        match rustix::fs::lstat(&path) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(errno) => Err(SnapshotError::os("stat", path)(errno)),
        }
    };
    let root = if beside(COMPLETE_MARK)? {
        RootEntry::Complete
    } else if beside(ROOT_MARK)? {
        RootEntry::Own
    } else {
        RootEntry::Inherited
    };
    Ok(DirForm { path, root })
}

fn make(snapshots: &Snapshots, layer: &Layer) -> Result<DirForm, SnapshotError> {
    let name = lock_name(layer)?;
    if !claims::are_settled(layer.base()) {
        // What is kept is made on what is known, not on what somebody said.
        chain(snapshots, layer.base())?;
    }
    let _lock = wait_for(snapshots, &name)?;
    // Another process may have made it meanwhile.
    if let Some(dir) = find(snapshots, layer)? {
        return Ok(dir);
    }
    apply::draft(snapshots, layer)?.publish(snapshots, layer)
}

fn lock_name(layer: &Layer) -> Result<String, SnapshotError> {
    match (&layer.0.origin, layer.id()) {
        (Origin::Blob { .. }, LayerId::Chain(chain)) => Ok(format!("apply {}", chain.hex())),
        (_, id) => Err(SnapshotError::Lost(id.to_string())),
    }
}

/// Returns a directory in which the files of a layer can be read.
///
/// Where the listings below are only claimed, it is one that is not kept: its blob alone is needed.
pub(crate) fn readable(snapshots: &Snapshots, layer: &Layer) -> Result<PathBuf, SnapshotError> {
    if claims::are_settled(layer.base()) {
        return Ok(dir_form(snapshots, layer)?.path);
    }
    if let Some(dir) = find(snapshots, layer)? {
        return Ok(dir.path);
    }
    let _work = layer.0.work.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(draft) = layer.0.draft.get() {
        return Ok(draft.path());
    }
    let draft = apply::draft(snapshots, layer)?;
    claims::compare(layer, &draft.listing);
    Ok(layer.0.draft.get_or_init(|| draft).path())
}

/// Waits for a lock of the store on a thread that may block.
fn wait_for(snapshots: &Snapshots, name: &str) -> Result<StoreLock, SnapshotError> {
    const PAUSE: Duration = Duration::from_millis(2);
    loop {
        if let Some(lock) = snapshots.0.store.try_lock(name)? {
            return Ok(lock);
        }
        std::thread::sleep(PAUSE);
    }
}

/// Returns the attributes of the root directory of a chain whose directory forms are given.
pub(crate) fn root_entry(
    forms: &[DirForm],
    marks: xattrs::OverlayXattrs,
) -> Result<Entry, SnapshotError> {
    let own = forms.iter().rfind(|form| form.root != RootEntry::Inherited);
    own.map_or_else(
        || Ok(Entry::implied_dir("")),
        |form| read_root(&form.path, marks),
    )
}

/// Reads the attributes of a directory as those of a root.
pub(crate) fn read_root(path: &Path, marks: xattrs::OverlayXattrs) -> Result<Entry, SnapshotError> {
    let read = || {
        let dir = sys::open_dir(path)?;
        let stat = rustix::fs::fstat(&dir)?;
        let xattrs = xattrs::read(dir.as_fd(), b"", marks)?.kept;
        Ok(Entry {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: sys::mtime(&stat),
            xattrs,
            ..Entry::new("", EntryKind::Dir { opaque: false }, stat.st_mode & 0o7777)
        })
    };
    read().map_err(SnapshotError::os("read the attributes of", path))
}

/// Returns one directory that shows what the lowest `n_layers` of a chain show.
///
/// Files are hard links into the layers' own directories; overlayfs never writes to a lower one.
pub(crate) fn collapse(
    snapshots: &Snapshots,
    snapshot: &Snapshot,
    n_layers: usize,
) -> Result<Arc<ActiveLayer>, SnapshotError> {
    let lower = snapshot.below(n_layers);
    let mut collapsed = snapshots
        .0
        .collapsed
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if let Some(layer) = collapsed.get(&lower.ids()) {
        return Ok(Arc::clone(layer));
    }
    let active = snapshots.0.store.layers().new_layer()?;
    link_all(snapshots, &lower, &active.fs_path())?;
    // Only the last few can be in use: a growing chain takes the same one again and again.
    collapsed.retain(|_, layer| Arc::strong_count(layer) > 1);
    let active = Arc::new(active);
    collapsed.insert(lower.ids(), Arc::clone(&active));
    Ok(active)
}

fn link_all(snapshots: &Snapshots, lower: &Snapshot, to: &Path) -> Result<(), SnapshotError> {
    let forms = chain(snapshots, lower)?;
    let merged = snapshots.merged(lower)?;
    let mut entries = Vec::new();
    merged.walk(b"", &mut |found| entries.push(found));
    let root = sys::open_dir(to).map_err(SnapshotError::os("open", to))?;
    let mut sources = Vec::with_capacity(forms.len());
    for form in &forms {
        sources.push(sys::open_dir(&form.path).map_err(SnapshotError::os("open", &form.path))?);
    }
    for found in &entries {
        let path = found.entry.bytes();
        let done = if found.entry.is_dir() {
            rustix::fs::mkdirat(&root, path, Mode::RWXU)
        } else {
            let source = &sources[found.layer];
            rustix::fs::linkat(source, path, &root, path, AtFlags::empty())
        };
        done.map_err(SnapshotError::os("link", to.join(found.path())))?;
    }
    // Backwards: making something in a directory would change its times again.
    for found in entries.iter().rev().filter(|found| found.entry.is_dir()) {
        sys::open_below(root.as_fd(), found.entry.bytes(), sys::dir_flags())
            .and_then(|dir| sys::set_attributes_fd(dir.as_fd(), found.entry))
            .map_err(SnapshotError::os(
                "set the attributes of",
                to.join(found.path()),
            ))?;
    }
    Ok(())
}
