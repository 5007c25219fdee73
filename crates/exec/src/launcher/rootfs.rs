//! The step's root: an overlay or a directory, mounted `nodev` in the private tmpfs.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use acetate_snapshot::RootMount;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount, move_mount,
};

use super::scratch::{Scratch, detached};
use super::sources::Sources;
use crate::spec::{Doing, Failure, OverlayApi, RootSpec, StepSpec};
use crate::sys::Depth;
use crate::userns;

/// The name of the mount point in the private tmpfs.
pub(super) const NAME: &str = "root";

/// The mounted root.
#[derive(Debug)]
pub(super) struct Rootfs {
    pub(super) root: OwnedFd,
    pub(super) scratch: Scratch,
    /// What the step's own mounts show, opened as well before the private tmpfs could cover it.
    pub(super) sources: Sources,
}

/// Mounts the private tmpfs and in it the step's root.
pub(super) fn mount_root(spec: &StepSpec) -> Result<Rootfs, Failure> {
    let tree = Tree::open(&spec.root, spec.mount_points.as_deref())?;
    let sources = Sources::open(&spec.mounts)?;
    let scratch = Scratch::mount(&spec.root)?;
    let root = tree.mount(spec.overlay_api, &scratch, NAME)?;
    Ok(Rootfs {
        root,
        scratch,
        sources,
    })
}

fn attach_at(tree: BorrowedFd<'_>, target: &OwnedFd) -> rustix::io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(tree, "", target, "", flags)
}

/// A file system of layers or of one directory, opened before the private tmpfs covers it.
#[derive(Debug)]
pub(super) enum Tree {
    Overlay(Parts),
    Dir(OwnedFd),
}

/// The directories of an overlay, opened.
#[derive(Debug)]
pub(super) struct Parts {
    lower: Vec<OwnedFd>,
    upper: OwnedFd,
    work: OwnedFd,
}

impl Tree {
    pub(super) fn open(root: &RootSpec, mount_points: Option<&str>) -> Result<Self, Failure> {
        match root {
            RootSpec::Dir(path) => {
                let dir = open_dir(path)?;
                detached(dir.as_fd(), MountAttrFlags::MOUNT_ATTR_NODEV, Depth::One)
                    .map(Self::Dir)
                    .doing(|| format!("bind the directory `{path}`"))
            }
            RootSpec::Overlay { lower, upper, work } => {
                let work = open_dir(work)?;
                let mut lower = lower
                    .iter()
                    .map(|path| open_dir(path))
                    .collect::<Result<Vec<_>, _>>()?;
                // Without it, and where no more layers fit, mount points are made in place.
                if let Some(mount_points) = mount_points
                    && lower.len() < RootMount::MAX_LOWERS
                {
                    lower.push(open_dir(mount_points)?);
                }
                Ok(Self::Overlay(Parts {
                    lower,
                    upper: open_dir(upper)?,
                    work,
                }))
            }
        }
    }

    /// Mounts it in the private tmpfs as `name`, and opens it there.
    pub(super) fn mount(
        &self,
        api: OverlayApi,
        scratch: &Scratch,
        name: &str,
    ) -> Result<OwnedFd, Failure> {
        let target = scratch.mkdir(name)?;
        match self {
            Self::Dir(tree) => {
                attach_at(tree.as_fd(), &target).doing(|| "mount the root directory".into())?;
            }
            Self::Overlay(parts) => {
                let doing = || format!("mount the overlay of {} layers", parts.lower.len());
                match parts.mount_new(api).doing(doing)? {
                    Some(tree) => attach_at(tree.as_fd(), &target).doing(doing)?,
                    None => parts.mount_classic(scratch, name).doing(doing)?,
                }
            }
        }
        scratch.open(name)
    }
}

fn open_dir(path: &str) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    open(path, flags, Mode::empty()).doing(|| format!("open the directory `{path}`"))
}

/// A short name for a directory: option strings end at 255 bytes, and the step reads them in its
/// mount table, where host paths have no business.
fn short(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

/// The options of every overlay: [`RootMount::OVERLAY_OPTIONS`] and, below, the flags.
fn flags() -> impl Iterator<Item = &'static str> {
    // `volatile`: an upper directory of a crashed step is thrown away, so nothing needs syncing.
    ["volatile"]
        .into_iter()
        .chain(userns::is_nested().then_some("userxattr"))
}

impl Parts {
    /// Mounts by the new API; `None` where the kernel has no `lowerdir+` (before Linux 6.7).
    fn mount_new(&self, api: OverlayApi) -> rustix::io::Result<Option<OwnedFd>> {
        if api == OverlayApi::Classic {
            return Ok(None);
        }
        let context = match fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC) {
            Err(Errno::NOSYS) => return Ok(None),
            opened => opened?,
        };
        for (index, dir) in self.lower.iter().enumerate() {
            match fsconfig_set_string(context.as_fd(), "lowerdir+", short(dir)) {
                Err(Errno::INVAL) if index == 0 => return Ok(None),
                set => set?,
            }
        }
        fsconfig_set_string(context.as_fd(), "upperdir", short(&self.upper))?;
        fsconfig_set_string(context.as_fd(), "workdir", short(&self.work))?;
        for (name, value) in RootMount::OVERLAY_OPTIONS {
            fsconfig_set_string(context.as_fd(), name, value)?;
        }
        for flag in flags() {
            fsconfig_set_flag(context.as_fd(), flag)?;
        }
        fsconfig_create(context.as_fd())?;
        let attributes = MountAttrFlags::MOUNT_ATTR_NODEV;
        fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map(Some)
    }

    /// Mounts by mount(2), whose data is one page: about 200 layers by their short names.
    fn mount_classic(&self, scratch: &Scratch, name: &str) -> rustix::io::Result<()> {
        let lower: Vec<String> = self.lower.iter().map(short).collect();
        let mut options = vec![
            format!("lowerdir={}", lower.join(":")),
            format!("upperdir={}", short(&self.upper)),
            format!("workdir={}", short(&self.work)),
        ];
        options.extend(RootMount::OVERLAY_OPTIONS.map(|(name, value)| format!("{name}={value}")));
        options.extend(flags().map(ToOwned::to_owned));
        let data = std::ffi::CString::new(options.join(",")).map_err(|_| Errno::INVAL)?;
        let target = format!("{}/{name}", scratch.path());
        mount(
            "overlay",
            target,
            "overlay",
            MountFlags::NODEV,
            data.as_c_str(),
        )
    }
}

/// Makes the whole mount tree a receiver only: nothing of the step's mounts gets out.
pub(super) fn isolate_mounts() -> Result<(), Failure> {
    use rustix::mount::{MountPropagationFlags, mount_change};
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .doing(|| "make the mounts private".into())
}

/// Enters the root and forgets everything outside of it.
pub(super) fn pivot(rootfs: Rootfs) -> Result<(), Failure> {
    use rustix::mount::{UnmountFlags, unmount};
    let Rootfs { root, .. } = rootfs;
    let enter = || {
        rustix::process::fchdir(&root)?;
        rustix::process::pivot_root(".", ".")?;
        // The old root now lies over the new one, and the working directory is in it.
        unmount(".", UnmountFlags::DETACH)?;
        rustix::process::chdir("/")
    };
    enter().doing(|| "enter the root".into())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::request::ExecRequest;
    use crate::sys::{self, Namespaces};

    /// Mounts a root of `n_layers` layers in a mount namespace of one thread, and uses it.
    fn mount_and_use(api: OverlayApi, n_layers: usize) {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let lower: Vec<_> = (0..n_layers).map(|n| path(&format!("layer-{n}"))).collect();
        for dir in lower.iter().chain(&[path("upper"), path("work")]) {
            fs::create_dir(dir).unwrap();
        }
        fs::write(lower[n_layers - 1].join("bottom"), "below").unwrap();
        fs::write(lower[0].join("top"), "above").unwrap();
        let root = RootMount::Overlay {
            lower,
            upper: path("upper"),
            work: path("work"),
        };
        let mut spec = StepSpec::new(&ExecRequest::new(root, ["true"]), None).unwrap();
        spec.overlay_api = api;
        let mounts = std::thread::spawn(move || {
            sys::unshare(Namespaces::MOUNT).unwrap();
            isolate_mounts().unwrap();
            let rootfs = mount_root(&spec).unwrap();
            let file = |name: &str| short(&rootfs.root) + "/" + name;
            assert_eq!(fs::read_to_string(file("bottom")).unwrap(), "below");
            fs::write(file("top"), "new").unwrap();
            fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
        });
        let mounts = mounts.join().unwrap();
        let line = mounts
            .lines()
            .find(|line| line.contains(" overlay "))
            .unwrap();
        for option in ["nodev", "redirect_dir=nofollow", "volatile"] {
            assert!(line.contains(option), "no {option} in {line}");
        }
        assert_eq!(
            fs::read_to_string(path("upper").join("top")).unwrap(),
            "new"
        );
    }

    #[test]
    fn both_mount_interfaces_work() {
        if !rustix::process::geteuid().is_root() {
            println!("skipped: needs root");
            return;
        }
        mount_and_use(OverlayApi::Auto, 3);
        mount_and_use(OverlayApi::Auto, 300);
        mount_and_use(OverlayApi::Classic, 3);
        mount_and_use(OverlayApi::Classic, 150);
    }
}
