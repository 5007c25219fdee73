//! Trying out overlayfs in the store itself: its file system decides what works.
//!
//! The trial mounts nothing anywhere: the overlay exists as a descriptor only and ends with it.

use crate::error::SnapshotError;
use crate::root_mount::RootMount;
use crate::sys;
use crate::xattrs::{self, OverlayXattrs};
use acetate_store::Store;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Returns whether overlayfs in the store can delete, replace a directory and keep an attribute.
pub(crate) fn overlay(store: &Store, marks: OverlayXattrs) -> Result<bool, SnapshotError> {
    let scratch = store.layers().new_layer()?;
    let lower = scratch.fs_path();
    let work = scratch.work_path()?;
    let works = trial(&lower, &work, marks);
    match &works {
        Ok(true) => {}
        Ok(false) => tracing::info!("overlayfs does not keep what layers need, copying instead"),
        Err(errno) => tracing::info!(%errno, "overlayfs is refused in the store, copying instead"),
    }
    Ok(works.unwrap_or(false))
}

fn trial(fs: &Path, work: &Path, marks: OverlayXattrs) -> rustix::io::Result<bool> {
    let fs = sys::open_dir(fs)?;
    for name in ["lower", "upper", "lower/dir"] {
        rustix::fs::mkdirat(&fs, name, Mode::RWXU)?;
    }
    let lower = open(fs.as_fd(), "lower")?;
    let upper = open(fs.as_fd(), "upper")?;
    for name in ["file", "dir/inner"] {
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        drop(rustix::fs::openat(
            &lower,
            name,
            flags,
            Mode::RUSR | Mode::WUSR,
        )?);
    }
    let work = sys::open_dir(work)?;
    let root = mount(&[lower.as_fd()], upper.as_fd(), work.as_fd(), marks)?;
    change(root.as_fd())?;
    let stat = sys::lstat_at(upper.as_fd(), b"file")?;
    let whiteout = sys::file_type(&stat) == FileType::CharacterDevice;
    let dir = xattrs::read(upper.as_fd(), b"dir", marks)?;
    let value = dir.kept.get(b"user.acetate".as_slice());
    let hidden = sys::lstat_at(root.as_fd(), b"dir/inner").err() == Some(Errno::NOENT);
    Ok(whiteout && dir.opaque && hidden && value.is_some_and(|value| value == b"1"))
}

/// Deletes a file, replaces a directory and sets an attribute, through the overlay.
fn change(root: BorrowedFd<'_>) -> rustix::io::Result<()> {
    rustix::fs::unlinkat(root, "file", AtFlags::empty())?;
    sys::remove_all(root, b"dir")?;
    rustix::fs::mkdirat(root, "dir", Mode::RWXU)?;
    let dir = open(root, "dir")?;
    rustix::fs::fsetxattr(&dir, "user.acetate", b"1", XattrFlags::empty())
}

fn open(dir: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, name, sys::dir_flags(), Mode::empty())
}

/// Makes an overlay that is attached nowhere and returns its root.
///
/// Takes the lower directories topmost first; more than one needs Linux 6.8.
pub(crate) fn mount(
    lowers: &[BorrowedFd<'_>],
    upper: BorrowedFd<'_>,
    work: BorrowedFd<'_>,
    marks: OverlayXattrs,
) -> rustix::io::Result<OwnedFd> {
    use rustix::mount::{fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen};
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let by_number = |fd: BorrowedFd<'_>| {
        use std::os::fd::AsRawFd;
        format!("/proc/self/fd/{}", fd.as_raw_fd())
    };
    let lower_key = if lowers.len() == 1 {
        "lowerdir"
    } else {
        "lowerdir+"
    };
    for lower in lowers {
        fsconfig_set_string(context.as_fd(), lower_key, by_number(*lower))?;
    }
    for (key, dir) in [("upperdir", upper), ("workdir", work)] {
        fsconfig_set_string(context.as_fd(), key, by_number(dir))?;
    }
    for (key, value) in RootMount::OVERLAY_OPTIONS {
        fsconfig_set_string(context.as_fd(), key, value)?;
    }
    if marks == OverlayXattrs::User {
        fsconfig_set_flag(context.as_fd(), "userxattr")?;
    }
    fsconfig_create(context.as_fd())?;
    let flags = MountAttrFlags::MOUNT_ATTR_NODEV;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)
}
