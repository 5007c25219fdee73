//! Paths of the kernel that a step must not read or not write.

use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::resolve;
use super::rootfs::Rootfs;
use super::scratch::{PLAIN, Scratch, attach, detached, file_type};
use crate::spec::{Doing, Failure};
use crate::sys::Depth;

/// Paths that read as empty: the usual list of container runtimes.
pub(super) const MASKED: [&str; 13] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
    "/sys/kernel/debug",
];

/// Paths that cannot be written to, by root either.
pub(super) const READ_ONLY: [&str; 5] = [
    "/proc/bus",
    "/proc/fs",
    "/proc/irq",
    "/proc/sys",
    "/proc/sysrq-trigger",
];

/// Masks and protects; a path that exists and cannot be covered fails the step.
pub(super) fn apply(rootfs: &Rootfs) -> Result<(), Failure> {
    drop(rootfs.scratch.mkdir("empty")?);
    for path in MASKED {
        cover(path, mask(rootfs.root.as_fd(), &rootfs.scratch, path))?;
    }
    for path in READ_ONLY {
        cover(path, protect(rootfs.root.as_fd(), path))?;
    }
    Ok(())
}

fn cover(path: &str, result: rustix::io::Result<()>) -> Result<(), Failure> {
    match result {
        // This kernel does not have it.
        Err(Errno::NOENT) => Ok(()),
        result => result.doing(|| format!("cover `{path}`")),
    }
}

fn mask(root: BorrowedFd<'_>, scratch: &Scratch, path: &str) -> rustix::io::Result<()> {
    let target = resolve::open(root, path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let attributes = PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let cover = if file_type(target.as_fd())? == FileType::Directory {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let empty = rustix::fs::openat(scratch, "empty", flags, rustix::fs::Mode::empty())?;
        detached(empty.as_fd(), attributes, Depth::One)?
    } else {
        // The node must stay usable: a reader gets an end of file, not an error.
        let null = resolve::open(root, "dev/null", OFlags::PATH | OFlags::NOFOLLOW)?;
        detached(
            null.as_fd(),
            attributes.difference(MountAttrFlags::MOUNT_ATTR_NODEV),
            Depth::One,
        )?
    };
    attach(cover.as_fd(), target.as_fd())
}

fn protect(root: BorrowedFd<'_>, path: &str) -> rustix::io::Result<()> {
    let target = resolve::open(root, path, OFlags::PATH | OFlags::NOFOLLOW)?;
    let attributes = PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
    let cover = detached(target.as_fd(), attributes, Depth::Recursive)?;
    attach(cover.as_fd(), target.as_fd())
}
