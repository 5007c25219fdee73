//! The layer of mount points that all steps on one file system share.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat};

use super::set_times;
use crate::client::monotonic;

/// Makes the layer of mount points that steps on one file system share, or finds it, in `dir`.
///
/// Give its path to [`ExecRequest::mount_points`](crate::ExecRequest::mount_points). It never changes, several
/// processes may make it at once, and it may be deleted whenever no step runs.
///
/// # Errors
/// When `dir` cannot be written to.
pub fn mount_points(dir: &Path) -> io::Result<PathBuf> {
    let path = dir.join("mount-points");
    if path.is_dir() {
        return Ok(path);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::open(dir, flags, Mode::empty())?;
    let name = format!("mount-points.{}.{}", std::process::id(), monotonic());
    layer(parent.as_fd(), &name)?;
    match std::fs::rename(dir.join(&name), &path) {
        // Another process was first.
        Err(_) if path.is_dir() => std::fs::remove_dir_all(dir.join(&name))?,
        renamed => renamed?,
    }
    Ok(path)
}

/// Makes the extra bottom layer as `name` in a directory.
fn layer(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let layer = make_dir(parent, name)?;
    for name in ["proc", "sys", "dev"] {
        make_dir(layer.as_fd(), name)?;
    }
    let etc = make_dir(layer.as_fd(), "etc")?;
    for name in ["hosts", "resolv.conf"] {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        openat(&etc, name, flags, Mode::from_raw_mode(0o644))?;
    }
    // Its own times would be seen where the image has no such directory: one fixed time for all steps.
    for name in ["etc", "proc", "sys", "dev"] {
        set_times(layer.as_fd(), name, &[(0, 0); 2])?;
    }
    Ok(layer)
}

/// Makes a directory and opens it.
fn make_dir(parent: BorrowedFd<'_>, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    openat(parent, name, flags, Mode::empty())
}
