//! The step's `/dev`: a tmpfs with the few nodes that every step may open.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, mkdirat, openat, statat, symlinkat};
use rustix::mount::{MountAttrFlags, OpenTreeFlags, open_tree};

use super::scratch::{PLAIN, attach, new_filesystem};
use crate::request::{SCRIPTS, Security};
use crate::spec::{Doing, Failure, StepSpec};
use crate::sys::{self, Depth};
use crate::userns;

/// The nodes of every step, with their device numbers; nothing else in the sandbox can be opened as a device.
const NODES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];
/// More nodes of an insecure step, where the host has them.
const INSECURE_NODES: [(&str, u32, u32); 6] = [
    ("kmsg", 1, 11),
    ("cuse", 10, 203),
    ("fuse", 10, 229),
    ("kvm", 10, 232),
    ("net/tun", 10, 200),
    ("loop-control", 10, 237),
];
/// The loop devices that an insecure step finds beyond the first free one.
const MORE_LOOPS: u32 = 7;

const LINKS: [(&str, &str); 6] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("/proc/kcore", "core"),
    ("pts/ptmx", "ptmx"),
];

/// The group `tty` in every distribution.
const TTY_GROUP: u32 = 5;

/// Mounts `/dev` and all below it at `target`, and returns it.
pub(super) fn mount(spec: &StepSpec, target: BorrowedFd<'_>) -> Result<OwnedFd, Failure> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID;
    let options = [("mode", "0755"), ("size", "65536k")];
    let dev = new_filesystem("tmpfs", &options, attributes)?;
    for (link, name) in LINKS {
        symlinkat(link, &dev, name).doing(|| format!("make `/dev/{name}`"))?;
    }
    attach(dev.as_fd(), target).doing(|| "mount `/dev`".into())?;
    for node in NODES {
        bind_node(dev.as_fd(), FileType::CharacterDevice, node)?;
    }
    if spec.security == Security::Insecure {
        bind_insecure_nodes(dev.as_fd())?;
    }
    write_scripts(spec, dev.as_fd())?;
    mount_filesystems(spec, dev.as_fd())?;
    Ok(dev)
}

fn bind_insecure_nodes(dev: BorrowedFd<'_>) -> Result<(), Failure> {
    let present = |name: &str| statat(CWD, format!("/dev/{name}"), AtFlags::empty()).is_ok();
    let nodes = INSECURE_NODES.into_iter();
    for node in nodes.filter(|(name, ..)| present(name)) {
        if let Some((dir, _)) = node.0.split_once('/') {
            mkdirat(dev, dir, Mode::from_raw_mode(0o755)).doing(|| format!("make `/dev/{dir}`"))?;
        }
        bind_node(dev, FileType::CharacterDevice, node)?;
    }
    // Without loop devices, or without the right to use them, there are none to give.
    let Ok(free) = sys::free_loop_device() else {
        return Ok(());
    };
    for number in 0..=free.saturating_add(MORE_LOOPS) {
        let name = format!("loop{number}");
        if present(&name) {
            bind_node(dev, FileType::BlockDevice, (&name, 7, number))?;
        }
    }
    Ok(())
}

/// Binds one node of the host, after a look at what it is.
fn bind_node(dev: BorrowedFd<'_>, kind: FileType, node: (&str, u32, u32)) -> Result<(), Failure> {
    let (name, major, minor) = node;
    let path = format!("/dev/{name}");
    let doing = || format!("bind `{path}`");
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let source = open_tree(CWD, &path, flags).doing(doing)?;
    let stat = statat(&source, "", AtFlags::EMPTY_PATH).doing(doing)?;
    let is_node = FileType::from_raw_mode(stat.st_mode) == kind
        && rustix::fs::major(stat.st_rdev) == major
        && rustix::fs::minor(stat.st_rdev) == minor;
    if !is_node {
        return Err(Failure::Image(format!(
            "`{path}` of this machine is not that device"
        )));
    }
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    sys::mount_setattr(source.as_fd(), attributes, Depth::One).doing(doing)?;
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(dev, name, create, Mode::from_raw_mode(0o666))
        .map(drop)
        .doing(doing)?;
    attach_below(dev, name, source.as_fd()).doing(doing)
}

fn mount_filesystems(spec: &StepSpec, dev: BorrowedFd<'_>) -> Result<(), Failure> {
    let group = TTY_GROUP.to_string();
    let mut pts = vec![("ptmxmode", "0666"), ("mode", "0620")];
    // The group is left out where it does not exist: a namespace that maps a single id.
    if userns::current_maps().1.contains(TTY_GROUP) {
        pts.push(("gid", &group));
    }
    let terminals = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    mount_below(dev, "pts", "devpts", &pts, terminals)?;
    let size = spec.shm_size.to_string();
    mount_below(
        dev,
        "shm",
        "tmpfs",
        &[("mode", "1777"), ("size", &size)],
        PLAIN,
    )?;
    mount_below(dev, "mqueue", "mqueue", &[], PLAIN)
}

/// Writes the scripts of the step; the directory is there only when there are some.
fn write_scripts(spec: &StepSpec, dev: BorrowedFd<'_>) -> Result<(), Failure> {
    if spec.scripts.is_empty() {
        return Ok(());
    }
    let name = SCRIPTS.trim_start_matches("/dev/");
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let dir = mkdirat(dev, name, Mode::from_raw_mode(0o755))
        .and_then(|()| openat(dev, name, flags, Mode::empty()))
        .doing(|| format!("make `{SCRIPTS}`"))?;
    for script in &spec.scripts {
        let doing = || format!("write `{SCRIPTS}/{}`", script.name);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o755);
        let file = openat(&dir, &script.name, flags, mode).doing(doing)?;
        // Whatever the umask is.
        rustix::fs::fchmod(&file, mode).doing(doing)?;
        File::from(file)
            .write_all(script.text.as_bytes())
            .map_err(|error| Failure::Setup {
                doing: doing(),
                errno: error.raw_os_error().unwrap_or(libc::EIO),
            })?;
    }
    Ok(())
}

fn mount_below(
    dev: BorrowedFd<'_>,
    name: &str,
    kind: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<(), Failure> {
    let mount = new_filesystem(kind, options, attributes)?;
    mkdirat(dev, name, Mode::from_raw_mode(0o755))
        .and_then(|()| attach_below(dev, name, mount.as_fd()))
        .doing(|| format!("mount `/dev/{name}`"))
}

fn attach_below(dev: BorrowedFd<'_>, name: &str, mount: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let target = openat(dev, name, flags, Mode::empty())?;
    attach(mount, target.as_fd())
}
