//! What the step asks to mount over its root.

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Stat, statat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::resolve::{self, Kind};
use super::rootfs::Rootfs;
use super::scratch::{attach, detached, new_filesystem};
use super::sources::Shown;
use super::stubs::{Cover, Keeps, Point, Stubs};
use crate::mount_spec::{MountSpec, SourceSpec};
use crate::spec::{Failure, StepSpec};
use crate::sys::{self, Depth};

/// Mounts everything, those above before those below.
///
/// What must not be written to becomes so only at the end, since mount points may be missing in it.
pub(super) fn attach_all(
    spec: &StepSpec,
    rootfs: &Rootfs,
    stubs: &mut Stubs<'_>,
) -> Result<(), Failure> {
    if spec.mounts.is_empty() {
        return Ok(());
    }
    for at in ["dev", "sys", "proc"] {
        stubs.cover(Cover {
            at: at.into(),
            keeps: Keeps::Nothing,
        });
    }
    let trees = rootfs.sources.mount_trees(spec.overlay_api, rootfs)?;
    let mut read_only = Vec::new();
    for number in order(spec, rootfs)? {
        let mount = &spec.mounts[number];
        let shown = rootfs.sources.show(number, mount, rootfs, &trees)?;
        let tree = attach_one(mount, shown, rootfs, stubs)?;
        if mount.read_only {
            read_only.push((mount, tree));
        }
    }
    for (mount, tree) in read_only {
        sys::mount_setattr(tree.as_fd(), MountAttrFlags::MOUNT_ATTR_RDONLY, Depth::One)
            .map_err(|errno| failed(mount, errno))?;
    }
    Ok(())
}

/// Returns the numbers of the mounts by the depth of the place where they really go.
fn order(spec: &StepSpec, rootfs: &Rootfs) -> Result<Vec<usize>, Failure> {
    let depth = |number: usize| {
        let mount = &spec.mounts[number];
        let real = resolve::locate(rootfs.root.as_fd(), &mount.target)
            .map_err(|errno| failed(mount, errno))?;
        check_place(mount, &real)?;
        Ok((real.split('/').count(), number))
    };
    let mut order = (0..spec.mounts.len())
        .map(depth)
        .collect::<Result<Vec<_>, Failure>>()?;
    order.sort_unstable();
    Ok(order.into_iter().map(|(_, number)| number).collect())
}

/// Some places are the sandbox's own.
fn check_place(mount: &MountSpec, real: &str) -> Result<(), Failure> {
    let reason = match real {
        "" => "the root itself cannot be a mount target".into(),
        "dev" | "sys" => format!("nothing can be mounted as `/{real}`"),
        real if real.split('/').next() == Some("proc") => {
            "nothing can be mounted in `/proc`".into()
        }
        _ => return Ok(()),
    };
    Err(Failure::Mount {
        target: mount.target.clone(),
        reason,
    })
}

/// Mounts one and returns the mount, which can still be written to.
fn attach_one(
    mount: &MountSpec,
    shown: Shown,
    rootfs: &Rootfs,
    stubs: &mut Stubs<'_>,
) -> Result<OwnedFd, Failure> {
    let failed = |errno| failed(mount, errno);
    let point = stubs
        .ensure_step(&mount.target, shown.kind)
        .map_err(failed)?;
    let stat = statat(&point.target, "", AtFlags::EMPTY_PATH).map_err(failed)?;
    let is_dir = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    if shown.kind == Kind::File && is_dir {
        return Err(failed(Errno::ISDIR));
    }
    let at = resolve::real_path(rootfs.root.as_fd(), point.target.as_fd()).map_err(failed)?;
    // What is mounted by now may hold links of its own.
    check_place(mount, &at)?;
    let tree = match &shown.what {
        Some(what) => detached(what.as_fd(), shown.attributes, Depth::One).map_err(failed)?,
        None => memory(mount, shown.attributes, &point, &stat)?,
    };
    attach(tree.as_fd(), point.target.as_fd()).map_err(failed)?;
    stubs.cover(Cover {
        at,
        keeps: shown.keeps,
    });
    Ok(tree)
}

/// Makes a tmpfs; it has the mode of the directory that it covers.
fn memory(
    mount: &MountSpec,
    attributes: MountAttrFlags,
    point: &Point,
    covered: &Stat,
) -> Result<OwnedFd, Failure> {
    let mode = if point.existed {
        covered.st_mode & 0o7777
    } else {
        0o1777
    };
    let mode = format!("{mode:04o}");
    let mut options = vec![("mode", mode.as_str())];
    let size = match &mount.source {
        SourceSpec::Tmpfs { size: Some(size) } => size.to_string(),
        _ => String::new(),
    };
    if !size.is_empty() {
        options.push(("size", &size));
    }
    new_filesystem("tmpfs", &options, attributes)
}

fn failed(mount: &MountSpec, errno: Errno) -> Failure {
    let reason = match errno {
        Errno::ISDIR => "the target is a directory, and what is mounted is a file".into(),
        Errno::NOTDIR => "the target, or something above it, is not a directory".into(),
        Errno::LOOP => "the target leads through too many links".into(),
        errno => std::io::Error::from(errno).to_string(),
    };
    Failure::Mount {
        target: mount.target.clone(),
        reason,
    }
}
