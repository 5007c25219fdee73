//! `/proc`, `/sys` and the rest of what a step sees beside its root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::rootfs::Rootfs;
use super::scratch::{PLAIN, attach, detached, is_kind, new_filesystem};
use super::stubs::Stubs;
use super::{dev, files, mask, step_mounts};
use crate::request::{Network, Security};
use crate::spec::{Doing, Failure, RootSpec, StepSpec};
use crate::sys::{self, Depth};

const SYSFS_MAGIC: libc::c_long = 0x6265_6572;
const CGROUP2_MAGIC: libc::c_long = 0x6367_7270;

/// Who mounts `/proc`: it shows the pid namespace of the process that makes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proc {
    Now,
    ByRuntime,
}

/// Mounts everything below the root.
///
/// What was made for mounting is told through `stub_report`, also when not everything could be mounted.
pub(super) fn mount_all(
    spec: &StepSpec,
    rootfs: &Rootfs,
    stub_report: OwnedFd,
    proc: Proc,
) -> Result<(), Failure> {
    let root = rootfs.root.as_fd();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let writable_path = spec.root.writable();
    // The private tmpfs may cover it (a plain directory); then the mounted root is the directory.
    let writable = match &spec.root {
        RootSpec::Dir(_) => super::resolve::open(root, "/", flags),
        RootSpec::Overlay { .. } => rustix::fs::open(writable_path, flags, Mode::empty()),
    }
    .doing(|| format!("open the directory `{writable_path}`"))?;
    let mut stubs = Stubs::new(root, writable);
    let mounted = mount_sandbox(spec, rootfs, &mut stubs, proc)
        .and_then(|()| step_mounts::attach_all(spec, rootfs, &mut stubs));
    stubs.finish(&stub_report)?;
    drop(stub_report);
    mounted?;
    if spec.network == Network::None {
        sys::loopback_up().doing(|| "set the loopback device up".into())?;
    }
    rustix::system::sethostname(spec.hostname.as_bytes()).doing(|| "set the host name".into())
}

/// Mounts what every step sees.
fn mount_sandbox(
    spec: &StepSpec,
    rootfs: &Rootfs,
    stubs: &mut Stubs<'_>,
    proc: Proc,
) -> Result<(), Failure> {
    let root = rootfs.root.as_fd();
    stubs.ensure_sandbox()?;
    dev::mount(spec, real_dir(root, "dev")?.as_fd())?;
    verify(root, "dev", libc::TMPFS_MAGIC)?;
    mount_sys(spec, root)?;
    verify(root, "sys", SYSFS_MAGIC)?;
    if proc == Proc::Now {
        let mount = new_filesystem("proc", &[], PLAIN)?;
        attach(mount.as_fd(), real_dir(root, "proc")?.as_fd()).doing(|| "mount `/proc`".into())?;
        verify(root, "proc", libc::PROC_SUPER_MAGIC)?;
    }
    files::mount(spec, rootfs)?;
    if proc == Proc::Now && spec.security == Security::Sandbox {
        mask::apply(rootfs)?;
    }
    Ok(())
}

/// Opens one of the root's own directories; a link there could lead the mount elsewhere.
fn real_dir(root: BorrowedFd<'_>, name: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, name, flags, Mode::empty(), resolve) {
        Err(Errno::LOOP | Errno::NOTDIR) => Err(Failure::Image(format!(
            "`/{name}` in it is not a directory"
        ))),
        opened => opened.doing(|| format!("open `/{name}`")),
    }
}

/// Checks that what the step will find under `name` is what was mounted.
fn verify(root: BorrowedFd<'_>, name: &str, magic: libc::c_long) -> Result<(), Failure> {
    if is_kind(real_dir(root, name)?.as_fd(), magic) {
        return Ok(());
    }
    Err(Failure::Image(format!(
        "`/{name}` is not what was mounted there"
    )))
}

fn mount_sys(spec: &StepSpec, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let attributes = match spec.security {
        Security::Sandbox => PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY,
        Security::Insecure => PLAIN,
    };
    let target = real_dir(root, "sys")?;
    match new_filesystem("sysfs", &[], attributes) {
        Ok(mount) => {
            attach(mount.as_fd(), target.as_fd()).doing(|| "mount `/sys`".into())?;
            mount_cgroup(root, attributes)
        }
        // A user namespace that does not own the network namespace may not make one, and may only bind
        // the host's with everything on it.
        Err(_) => open_path("/sys")
            .and_then(|host| {
                let readonly = PLAIN | MountAttrFlags::MOUNT_ATTR_RDONLY;
                let tree = detached(host.as_fd(), readonly, Depth::Recursive)?;
                attach(tree.as_fd(), target.as_fd())
            })
            .doing(|| "bind `/sys`".into()),
    }
}

/// Shows the unified control groups, as programs size themselves by them, where the host has them.
fn mount_cgroup(root: BorrowedFd<'_>, attributes: MountAttrFlags) -> Result<(), Failure> {
    let unified =
        open_path("/sys/fs/cgroup").is_ok_and(|host| is_kind(host.as_fd(), CGROUP2_MAGIC));
    if !unified {
        return Ok(());
    }
    let Ok(mount) = new_filesystem("cgroup2", &[], attributes) else {
        // Some hosts refuse it in a namespace; the step then sees an empty directory.
        return Ok(());
    };
    let target = super::resolve::open(root, "sys/fs/cgroup", OFlags::PATH)
        .doing(|| "open `/sys/fs/cgroup`".into())?;
    attach(mount.as_fd(), target.as_fd()).doing(|| "mount `/sys/fs/cgroup`".into())
}

fn open_path(path: &str) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
}
