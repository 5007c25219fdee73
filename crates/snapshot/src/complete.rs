//! The copying driver: complete trees, and what a step changed in one.
//!
//! Beside the tree lie the inode number of every regular file as copied, and a mark whose change
//! time is later than that of any of them. A file with the same inode at the same path that was
//! not changed since is taken as untouched, without reading it; all others are compared.

use crate::apply::write_beside;
use crate::build::{self, Contents, Form};
use crate::dirs::COMPLETE_MARK;
use crate::entry::{Entry, EntryKind, bytes_path};
use crate::error::SnapshotError;
use crate::layer::{DirForm, Snapshot};
use crate::listing::{self, Listing, RootEntry};
use crate::listings;
use crate::snapshots::Snapshots;
use crate::sys;
use acetate_store::ActiveLayer;
use rustix::fs::OFlags;
use rustix::io::{Errno, Result as OsResult};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Beside the tree: the inodes as copied.
const INODES: &str = "inodes";

/// Copies the tree that a chain shows into the directory of `layer`.
pub(crate) fn copy(
    snapshots: &Snapshots,
    base: &Snapshot,
    forms: &[DirForm],
    layer: &ActiveLayer,
) -> Result<(), SnapshotError> {
    let merged = snapshots.merged(base)?;
    let mut entries = Vec::new();
    let mut sources = HashMap::new();
    merged.walk(b"", &mut |found| {
        sources.insert(found.entry.path.clone(), found.layer);
        entries.push(flat(found.entry, merged.file_of(found)));
    });
    let listing = Listing::new(entries).expect("a merged tree has every parent");
    let mut roots = Vec::with_capacity(forms.len());
    for form in forms {
        roots.push(sys::open_dir(&form.path).map_err(SnapshotError::os("open", &form.path))?);
    }
    let mut copies = Copies {
        sources,
        roots,
        inodes: Vec::new(),
    };
    build::build(&layer.fs_path(), &listing, Form::Tree, &mut copies)?;
    write_beside(layer, INODES, &copies.inodes)
}

/// Writes the mark that says the copy is done. The last change of the tree must lie behind.
pub(crate) fn seal_copy(layer: &ActiveLayer) -> Result<(), SnapshotError> {
    write_beside(layer, COMPLETE_MARK, b"")
}

/// Turns hard links into files: in a copy each name stands for itself.
fn flat(entry: &Entry, file: Option<&Entry>) -> Entry {
    let mut flat = entry.clone();
    flat.kind = match (&entry.kind, file) {
        (EntryKind::Dir { .. }, _) => EntryKind::Dir { opaque: false },
        (EntryKind::Hardlink(_), Some(file)) => file.kind.clone(),
        (kind, _) => kind.clone(),
    };
    flat
}

struct Copies {
    /// From which layer each path comes.
    sources: HashMap<PathBuf, usize>,
    roots: Vec<OwnedFd>,
    /// Encoded: inode number, length of the path, path.
    inodes: Vec<u8>,
}

impl Contents for Copies {
    fn make(
        &mut self,
        entry: &Entry,
        dir: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<OwnedFd, SnapshotError> {
        let copied = self.sources.get(&entry.path).map_or_else(
            || Err(io::ErrorKind::NotFound.into()),
            |layer| copy_file(&self.roots[*layer], entry.bytes(), dir, name),
        );
        copied.map_err(SnapshotError::io("copy", &entry.path))
    }

    fn made(&mut self, entry: &Entry, file: BorrowedFd<'_>) -> OsResult<()> {
        let inode = rustix::fs::fstat(file)?.st_ino;
        let path = entry.bytes();
        let len = u32::try_from(path.len()).map_err(|_| Errno::NAMETOOLONG)?;
        self.inodes.extend_from_slice(&inode.to_le_bytes());
        self.inodes.extend_from_slice(&len.to_le_bytes());
        self.inodes.extend_from_slice(path);
        Ok(())
    }
}

/// Copies one file: by reference where the file system can, else within the kernel.
fn copy_file(root: &OwnedFd, path: &[u8], dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let source = sys::open_below(root.as_fd(), path, OFlags::RDONLY)?;
    let target = build::create(dir, name)?;
    if rustix::fs::ioctl_ficlone(&target, &source).is_ok() {
        return Ok(target);
    }
    // The standard library copies between files by `copy_file_range` and knows when not to.
    let mut target = File::from(target);
    io::copy(&mut File::from(source), &mut target)?;
    Ok(target.into())
}

/// Lists a complete tree; also returns the files that are as they were copied.
pub(crate) fn walk(
    snapshots: &Snapshots,
    dir: &DirForm,
) -> Result<(Listing, HashSet<PathBuf>), SnapshotError> {
    let copied = read_inodes(&dir.path.with_file_name(INODES));
    let mark = dir.path.with_file_name(COMPLETE_MARK);
    let mark = rustix::fs::lstat(&mark).map_err(SnapshotError::os("stat", &mark))?;
    let copied_until = (mark.st_ctime, mark.st_ctime_nsec);
    let mut untouched = HashSet::new();
    let options = listings::walk_options(snapshots, RootEntry::Complete);
    let listing = listing::walk_with(&dir.path, options, &mut |entry, stat| {
        // Equal times prove nothing: the clock of the file system is coarse.
        let before = (stat.st_ctime, stat.st_ctime_nsec) < copied_until;
        if before && copied.get(&entry.path) == Some(&stat.st_ino) {
            untouched.insert(entry.path.clone());
        }
    })?;
    Ok((listing, untouched))
}

/// Reads the inode numbers; what cannot be read makes files be compared, nothing worse.
fn read_inodes(path: &Path) -> HashMap<PathBuf, u64> {
    let mut inodes = HashMap::new();
    let bytes = std::fs::read(path).unwrap_or_else(|error| {
        tracing::debug!(?path, %error, "every file is compared by its content");
        Vec::new()
    });
    let mut rest = bytes.as_slice();
    while let Some((inode, path, tail)) = split_inode(rest) {
        inodes.insert(path.to_owned(), inode);
        rest = tail;
    }
    inodes
}

fn split_inode(bytes: &[u8]) -> Option<(u64, &Path, &[u8])> {
    let (inode, rest) = bytes.split_first_chunk::<8>()?;
    let (len, rest) = rest.split_first_chunk::<4>()?;
    let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
    let (path, rest) = rest.split_at_checked(len)?;
    Some((u64::from_le_bytes(*inode), bytes_path(path), rest))
}
