//! Making the files that a listing describes, in a directory that belongs to us.
//!
//! The listing has no link on the way to any entry, and directories are made or checked one by one
//! through descriptors, so nothing can be written outside.

use crate::entry::{Entry, EntryKind, path_bytes};
use crate::error::SnapshotError;
use crate::listing::Listing;
use crate::paths;
use crate::sys;
use crate::xattrs::{self, OverlayXattrs};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::{Errno, Result as OsResult};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// What the files are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// A layer directory for overlayfs: deletions are devices 0:0, links stay links.
    Layer(OverlayXattrs),
    /// Part of a complete tree: deletions delete, and each link becomes a file of its own, because
    /// a write through one name must not change what a lower layer has under another.
    Tree,
}

/// Gives the content of regular files.
pub(crate) trait Contents {
    /// Makes the file `dir/name` with the content of `entry`, which may be a hard link, and opens
    /// it. The name is free.
    fn make(
        &mut self,
        entry: &Entry,
        dir: BorrowedFd<'_>,
        name: &[u8],
    ) -> Result<OwnedFd, SnapshotError>;

    /// Is told about every file made, by its stat after all is done to it.
    fn made(&mut self, _entry: &Entry, _file: BorrowedFd<'_>) -> OsResult<()> {
        Ok(())
    }
}

/// Makes everything in `listing` below `root`. A root entry sets the attributes of `root` itself.
pub(crate) fn build(
    root: &Path,
    listing: &Listing,
    form: Form,
    contents: &mut dyn Contents,
) -> Result<(), SnapshotError> {
    let opened = sys::open_dir(root).map_err(SnapshotError::os("open", root))?;
    let mut builder = Builder {
        base: root,
        root: opened.as_fd(),
        form,
        open: Vec::new(),
    };
    for entry in listing.entries() {
        builder.leave_until(entry.bytes())?;
        if !entry.path.as_os_str().is_empty() {
            builder.make(entry, contents)?;
        }
    }
    builder.leave_all()?;
    if let Some(entry) = listing.get(Path::new("")) {
        let done = sys::set_attributes_fd(opened.as_fd(), entry);
        done.map_err(SnapshotError::os("set the attributes of", root))?;
    }
    Ok(())
}

/// Opens a new file for [`Contents::make`].
pub(crate) fn create(dir: BorrowedFd<'_>, name: &[u8]) -> OsResult<OwnedFd> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::RUSR | Mode::WUSR)
}

struct Builder<'a> {
    base: &'a Path,
    root: BorrowedFd<'a>,
    form: Form,
    /// The directories on the way to the current entry. Their attributes are set on leaving,
    /// because making something in them changes their times.
    open: Vec<(&'a Entry, OwnedFd)>,
}

impl<'a> Builder<'a> {
    fn make(&mut self, entry: &'a Entry, contents: &mut dyn Contents) -> Result<(), SnapshotError> {
        let dir = self.open.last().map_or(self.root, |(_, fd)| fd.as_fd());
        let name = paths::file_name(entry.bytes());
        let failed = |action| SnapshotError::os(action, self.base.join(&entry.path));
        if let EntryKind::Dir { opaque } = entry.kind {
            let opened = self.directory(dir, name, opaque);
            let opened = opened.map_err(failed("make the directory"))?;
            self.open.push((entry, opened));
            return Ok(());
        }
        if self.form == Form::Tree {
            sys::remove_all(dir, name).map_err(failed("remove"))?;
        }
        match &entry.kind {
            EntryKind::File { .. } => make_file(entry, dir, name, contents, &failed),
            EntryKind::Hardlink(_) if self.form == Form::Tree => {
                make_file(entry, dir, name, contents, &failed)
            }
            EntryKind::Hardlink(target) => self
                .link(path_bytes(target), dir, name)
                .map_err(failed("make the hard link")),
            EntryKind::Whiteout if self.form == Form::Tree => Ok(()),
            EntryKind::Whiteout => whiteout(dir, name).map_err(failed("make the whiteout")),
            _ => make_special(entry, dir, name).map_err(failed("make")),
        }
    }

    fn directory(&self, dir: BorrowedFd<'_>, name: &[u8], opaque: bool) -> OsResult<OwnedFd> {
        let made = rustix::fs::mkdirat(dir, name, Mode::RWXU);
        if made == Err(Errno::EXIST) {
            let is_dir = sys::file_type(&sys::lstat_at(dir, name)?) == FileType::Directory;
            if !is_dir || (opaque && self.form == Form::Tree) {
                sys::remove_all(dir, name)?;
                rustix::fs::mkdirat(dir, name, Mode::RWXU)?;
            }
        } else {
            made?;
        }
        if let (true, Form::Layer(marks)) = (opaque, self.form) {
            xattrs::set(dir, name, marks.opaque().as_bytes(), b"y")?;
        }
        rustix::fs::openat(dir, name, sys::dir_flags(), Mode::empty())
    }

    fn link(&self, target: &[u8], dir: BorrowedFd<'_>, name: &[u8]) -> OsResult<()> {
        let parent = paths::parent(target).unwrap_or_default();
        let holder = sys::open_below(self.root, parent, sys::dir_flags())?;
        let target = paths::file_name(target);
        rustix::fs::linkat(&holder, target, dir, name, AtFlags::empty())
    }

    fn leave_until(&mut self, path: &[u8]) -> Result<(), SnapshotError> {
        while let Some((dir, _)) = self.open.last() {
            if paths::is_below(path, dir.bytes()) {
                break;
            }
            self.leave()?;
        }
        Ok(())
    }

    fn leave_all(&mut self) -> Result<(), SnapshotError> {
        while !self.open.is_empty() {
            self.leave()?;
        }
        Ok(())
    }

    fn leave(&mut self) -> Result<(), SnapshotError> {
        let Some((entry, fd)) = self.open.pop() else {
            return Ok(());
        };
        sys::set_attributes_fd(fd.as_fd(), entry).map_err(SnapshotError::os(
            "set the attributes of",
            self.base.join(&entry.path),
        ))
    }
}

fn make_file<E: FnOnce(Errno) -> SnapshotError>(
    entry: &Entry,
    dir: BorrowedFd<'_>,
    name: &[u8],
    contents: &mut dyn Contents,
    failed: &dyn Fn(&'static str) -> E,
) -> Result<(), SnapshotError> {
    let file = contents.make(entry, dir, name)?;
    sys::set_attributes_fd(file.as_fd(), entry).map_err(failed("set the attributes of"))?;
    contents.made(entry, file.as_fd()).map_err(failed("stat"))
}

fn make_special(entry: &Entry, dir: BorrowedFd<'_>, name: &[u8]) -> OsResult<()> {
    let node = |kind, device| rustix::fs::mknodat(dir, name, kind, Mode::RUSR, device);
    match &entry.kind {
        EntryKind::Symlink(target) => rustix::fs::symlinkat(path_bytes(target), dir, name)?,
        EntryKind::CharDevice { major, minor } => {
            let device = rustix::fs::makedev(*major, *minor);
            node(FileType::CharacterDevice, device)?;
        }
        EntryKind::BlockDevice { major, minor } => {
            node(FileType::BlockDevice, rustix::fs::makedev(*major, *minor))?;
        }
        EntryKind::Fifo => node(FileType::Fifo, 0)?,
        EntryKind::File { .. }
        | EntryKind::Dir { .. }
        | EntryKind::Hardlink(_)
        | EntryKind::Whiteout => return Err(Errno::INVAL),
    }
    sys::set_attributes_at(dir, name, entry)
}

/// Makes the mark by which overlayfs knows a deleted name.
pub(crate) fn whiteout(dir: BorrowedFd<'_>, name: &[u8]) -> OsResult<()> {
    let device = rustix::fs::makedev(0, 0);
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), device)
}
