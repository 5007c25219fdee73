//! [`Scratch`]: the private tmpfs of one step, for generated files and mount points.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

use crate::spec::{Doing, Failure, RootSpec};
use crate::sys::{self, Depth};

/// Attributes that every mount of a step has unless it says otherwise.
pub(super) const PLAIN: MountAttrFlags = MountAttrFlags::MOUNT_ATTR_NODEV
    .union(MountAttrFlags::MOUNT_ATTR_NOSUID)
    .union(MountAttrFlags::MOUNT_ATTR_NOEXEC);

/// A tmpfs that only this step's mount namespace has, mounted over a directory that is ours anyway.
#[derive(Debug)]
pub(super) struct Scratch {
    mount: OwnedFd,
    path: String,
}

impl Scratch {
    /// Mounts it. Descriptors into the covered directory must have been opened before.
    pub(super) fn mount(root: &RootSpec) -> Result<Self, Failure> {
        let path = match root {
            RootSpec::Overlay { work, .. } => work,
            RootSpec::Dir(dir) => dir,
        };
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
        let mount = memory(attributes).doing(|| "make a new tmpfs".into())?;
        move_mount(
            mount.as_fd(),
            "",
            CWD,
            path,
            MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
        )
        .doing(|| format!("mount the private tmpfs on `{path}`"))?;
        Ok(Self {
            mount,
            path: path.clone(),
        })
    }

    /// Returns its path, which is valid in this mount namespace only.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Makes a directory in it.
    pub(super) fn mkdir(&self, name: &str) -> Result<OwnedFd, Failure> {
        rustix::fs::mkdirat(&self.mount, name, Mode::from_raw_mode(0o755))
            .doing(|| format!("make the private directory `{name}`"))?;
        self.open(name)
    }

    /// Opens what is in it under `name`, following mounts.
    pub(super) fn open(&self, name: &str) -> Result<OwnedFd, Failure> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.mount, name, flags, Mode::empty())
            .doing(|| format!("open the private `{name}`"))
    }

    /// Writes a file (0644) into it and returns it.
    pub(super) fn write(&self, name: &str, bytes: &[u8]) -> Result<OwnedFd, Failure> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let doing = || format!("write the private file `{name}`");
        let file = openat(&self.mount, name, flags, Mode::from_raw_mode(0o644)).doing(doing)?;
        let mut rest = bytes;
        while !rest.is_empty() {
            let written =
                rustix::io::retry_on_intr(|| rustix::io::write(&file, rest)).doing(doing)?;
            rest = &rest[written..];
        }
        Ok(file)
    }

    /// Returns a detached mount of one thing in it.
    pub(super) fn detached(
        &self,
        name: &str,
        attributes: MountAttrFlags,
    ) -> Result<OwnedFd, Failure> {
        let target = self.open(name)?;
        detached(target.as_fd(), attributes, Depth::One)
            .doing(|| format!("bind the private `{name}`"))
    }
}

impl AsFd for Scratch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mount.as_fd()
    }
}

/// Returns a detached copy of the mount at `what`, with more attributes.
pub(super) fn detached(
    what: BorrowedFd<'_>,
    attributes: MountAttrFlags,
    depth: Depth,
) -> rustix::io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    if depth == Depth::Recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    let mount = open_tree(what, "", flags)?;
    sys::mount_setattr(mount.as_fd(), attributes, depth)?;
    Ok(mount)
}

/// Attaches a detached mount at an open target.
pub(super) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags)
}

/// Makes a new file system with options, detached.
pub(super) fn new_filesystem(
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Failure> {
    let make = || {
        let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            fsconfig_set_string(context.as_fd(), *name, *value)?;
        }
        fsconfig_create(context.as_fd())?;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
    };
    make().doing(|| format!("make a new {kind}"))
}

/// Makes the private tmpfs. It holds secrets, which must not reach a swap device either: new kernels
/// have an option for that, which root of a user namespace may not use.
fn memory(attributes: MountAttrFlags) -> rustix::io::Result<OwnedFd> {
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(context.as_fd(), "mode", "0700")?;
    let _unknown = fsconfig_set_flag(context.as_fd(), "noswap");
    fsconfig_create(context.as_fd())?;
    fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

/// Whether the file system at `fd` is of this kind.
pub(super) fn is_kind(fd: BorrowedFd<'_>, magic: libc::c_long) -> bool {
    rustix::fs::fstatfs(fd).is_ok_and(|stat| i128::from(stat.f_type) == i128::from(magic))
}

/// What kind of thing an open descriptor is.
pub(super) fn file_type(fd: BorrowedFd<'_>) -> rustix::io::Result<rustix::fs::FileType> {
    let stat = rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)?;
    Ok(rustix::fs::FileType::from_raw_mode(stat.st_mode))
}
