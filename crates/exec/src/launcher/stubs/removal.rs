//! What happens to mount points that were made in place, once the step has ended.

use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, flock, fstat, statat, unlinkat,
};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::{open_parent, set_times, split, stat_dir, times_of};
use crate::mount_spec::SourceSpec;
use crate::spec::{Doing, Failure, RootSpec, StepSpec};

/// Something that was made in place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stub {
    pub(super) tree: Tree,
    /// The real path of its directory in that tree.
    pub(super) parent: String,
    /// The same as seen from the root, while everything is mounted.
    pub(super) seen_in: String,
    pub(super) name: String,
    /// How the parent and its parents were, the deepest first, as far as making the stub copied them
    /// into the writable directory.
    pub(super) copied: Vec<Attributes>,
    /// Whether others may use it at the same time; then it is only removed under its lock.
    pub(super) shared: bool,
    pub(super) lock: Option<usize>,
}

/// Where something was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Tree {
    /// In the step's root.
    Root,
    /// In the directory of this mount.
    Mount(usize),
    /// In something that was gone with the step.
    Gone,
}

/// What tells a directory that was only copied up from one that the step changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Attributes {
    mode: u32,
    owner: (u32, u32),
    modified: (i64, i64),
}

impl Attributes {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            mode: stat.st_mode,
            owner: (stat.st_uid, stat.st_gid),
            modified: times_of(stat)[1],
        }
    }
}

/// Removes what was made for the step's mounts, newest first, where the step left it empty.
///
/// The times of the directories around stay as the step left them. `report` is what `Stubs::finish` sent.
pub(in crate::launcher) fn remove(spec: &StepSpec, report: Vec<OwnedFd>) -> Result<(), Failure> {
    let mut report = report.into_iter();
    let Some(note) = report.next() else {
        return Ok(());
    };
    let locks: Vec<OwnedFd> = report.collect();
    for stub in read(note)?.iter().rev() {
        let Some(dir) = tree_path(spec, stub.tree) else {
            continue;
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let tree = rustix::fs::open(dir, flags, Mode::empty())
            .doing(|| format!("open the directory `{dir}`"))?;
        remove_one(tree.as_fd(), stub, &locks)
            .doing(|| format!("remove the mount point `/{}/{}`", stub.seen_in, stub.name))?;
    }
    Ok(())
}

fn read(note: OwnedFd) -> Result<Vec<Stub>, Failure> {
    let mut note = File::from(note);
    let mut text = String::new();
    let failed = |errno| Failure::Setup {
        doing: "read what was made for mounting".into(),
        errno,
    };
    note.rewind()
        .and_then(|()| note.read_to_string(&mut text))
        .map_err(|error| failed(error.raw_os_error().unwrap_or(libc::EIO)))?;
    serde_json::from_str(&text).map_err(|_| failed(libc::EPROTO))
}

/// Returns the path of a tree outside of the step's own mounts.
fn tree_path(spec: &StepSpec, tree: Tree) -> Option<&str> {
    match tree {
        Tree::Root => Some(spec.root.writable()),
        Tree::Gone => None,
        Tree::Mount(number) => match &spec.mounts.get(number)?.source {
            SourceSpec::Directory { dir, .. }
            | SourceSpec::Snapshot {
                root: RootSpec::Dir(dir),
                ..
            } => Some(dir),
            _ => None,
        },
    }
}

fn remove_one(tree: BorrowedFd<'_>, stub: &Stub, locks: &[OwnedFd]) -> rustix::io::Result<()> {
    let parent = match open_parent(tree, &stub.parent) {
        // The step moved or deleted it, with the mount point in it.
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
        opened => opened?,
    };
    if stub.shared && !is_ours_alone(parent.as_fd(), stub, locks) {
        return Ok(());
    }
    unlink_empty(parent.as_fd(), &stub.name)?;
    let mut path = stub.parent.as_str();
    for attributes in &stub.copied {
        let (above, name) = split(path);
        let dir = open_parent(tree, path)?;
        if Attributes::of(&stat_dir(dir.as_fd())?) != *attributes {
            break;
        }
        if unlink_empty(open_parent(tree, above)?.as_fd(), name)? == Unlinked::No {
            break;
        }
        path = above;
    }
    Ok(())
}

/// Whether nobody else has a mount on it; then nobody gets one before its lock is dropped.
fn is_ours_alone(parent: BorrowedFd<'_>, stub: &Stub, locks: &[OwnedFd]) -> bool {
    let Some(lock) = stub.lock.and_then(|lock| locks.get(lock)) else {
        return false;
    };
    let locked = flock(lock, FlockOperation::NonBlockingLockExclusive).is_ok();
    let named = statat(parent, &stub.name, AtFlags::SYMLINK_NOFOLLOW);
    match (locked, fstat(lock), named) {
        (true, Ok(held), Ok(named)) => (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino),
        _ => false,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unlinked {
    Yes,
    No,
}

/// Removes an empty file or directory; its parent keeps its times.
fn unlink_empty(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<Unlinked> {
    let stat = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(Unlinked::No),
        stat => stat?,
    };
    let flags = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => AtFlags::REMOVEDIR,
        FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
        _ => return Ok(Unlinked::No),
    };
    let times = times_of(&stat_dir(parent)?);
    match unlinkat(parent, name, flags) {
        Ok(()) => set_times(parent, ".", &times).map(|()| Unlinked::Yes),
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(Unlinked::No),
        Err(errno) => Err(errno),
    }
}
