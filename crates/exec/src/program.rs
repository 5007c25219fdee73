//! This program's own executable, opened so that no step can ever write to it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use rustix::fs::{
    AtFlags, CWD, MemfdFlags, Mode, OFlags, SealFlags, Stat, fcntl_add_seals, fstat, memfd_create,
    open, readlink, statat,
};
use rustix::io::{Errno, Result};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use crate::sys::{self, Depth};

const SELF: &str = "/proc/self/exe";

static PROGRAM: OnceLock<Result<OwnedFd>> = OnceLock::new();

/// Returns this program's file where nobody can write to it: on a read-only mount of its own, or a sealed copy.
///
/// The launcher runs from it. A step can make the kernel hand it the launcher's file (a script whose
/// interpreter is `/proc/self/exe`), and on the original mount root in the step could then write to the
/// host's program.
pub(crate) fn read_only() -> Result<&'static OwnedFd> {
    PROGRAM
        .get_or_init(|| mounted().or_else(|_| copied()))
        .as_ref()
        .map_err(|errno| *errno)
}

/// Fails when the file was replaced meanwhile, or is not in this mount namespace.
fn mounted() -> Result<OwnedFd> {
    let path = readlink(SELF, Vec::new())?;
    let file = open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let same = |a: &Stat, b: &Stat| (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino);
    if !same(&fstat(&file)?, &statat(CWD, SELF, AtFlags::empty())?) {
        return Err(Errno::STALE);
    }
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    let mount = open_tree(&file, "", flags)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    sys::mount_setattr(mount.as_fd(), attributes, Depth::One)?;
    Ok(mount)
}

fn copied() -> Result<OwnedFd> {
    let errno = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy = File::from(memfd_create("acetate", flags)?);
    let mut source = File::open(SELF).map_err(errno)?;
    std::io::copy(&mut source, &mut copy).map_err(errno)?;
    fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(copy.into())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    fn write_error(program: &OwnedFd) -> Errno {
        let path = format!("/proc/self/fd/{}", program.as_raw_fd());
        // Truncation asks the mount before it sees that the program runs.
        match open(path, OFlags::WRONLY | OFlags::TRUNC, Mode::empty()) {
            Err(errno) => errno,
            Ok(file) => rustix::io::write(&file, b"x").unwrap_err(),
        }
    }

    #[test]
    fn nobody_can_write_to_the_copy() {
        assert_eq!(write_error(&copied().unwrap()), Errno::PERM);
    }

    #[test]
    fn nobody_can_write_through_the_mount() {
        if rustix::process::geteuid().is_root() {
            assert_eq!(write_error(&mounted().unwrap()), Errno::ROFS);
        } else {
            println!("skipped: needs root");
        }
    }
}
