//! [`Sources`]: what the step's own mounts show.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    AtFlags, CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chmodat, chownat, fchmod, fchown,
    open, openat2,
};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use super::resolve::{self, Kind};
use super::rootfs::{Rootfs, Tree};
use super::scratch::{PLAIN, file_type};
use super::stubs::{Keeps, Kept};
use crate::mount_spec::{MountSpec, Owner, SourceSpec};
use crate::spec::{Failure, OverlayApi, RootSpec};

/// What the step's own mounts show, opened and not mounted yet.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// The different snapshots: an overlay cannot be mounted twice.
    trees: Vec<(RootSpec, Tree)>,
    /// One for each mount, in their order; none for what has no place on the host.
    opened: Vec<Option<OwnedFd>>,
}

/// Something that can be mounted.
#[derive(Debug)]
pub(super) struct Shown {
    /// The file or directory; none for new memory.
    pub(super) what: Option<OwnedFd>,
    pub(super) kind: Kind,
    /// Attributes of the mount beside being read-only.
    pub(super) attributes: MountAttrFlags,
    pub(super) keeps: Keeps,
}

impl Sources {
    pub(super) fn open(mounts: &[MountSpec]) -> Result<Self, Failure> {
        let mut sources = Self::default();
        for mount in mounts {
            let opened = match &mount.source {
                SourceSpec::Snapshot { root, .. } => {
                    if !sources.trees.iter().any(|(known, _)| known == root) {
                        sources.trees.push((root.clone(), Tree::open(root, None)?));
                    }
                    None
                }
                SourceSpec::Directory { dir, .. } => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                    let opened = open(dir.as_str(), flags, Mode::empty());
                    Some(opened.map_err(|errno| unusable(mount, dir, errno))?)
                }
                SourceSpec::Socket { path, owner } => Some(open_socket(mount, path, *owner)?),
                SourceSpec::Tmpfs { .. } | SourceSpec::File { .. } => None,
            };
            sources.opened.push(opened);
        }
        Ok(sources)
    }

    /// Mounts every snapshot in the private tmpfs and returns their roots.
    pub(super) fn mount_trees(
        &self,
        api: OverlayApi,
        rootfs: &Rootfs,
    ) -> Result<Vec<OwnedFd>, Failure> {
        let trees = self.trees.iter().enumerate();
        trees
            .map(|(number, (_, tree))| tree.mount(api, &rootfs.scratch, &format!("tree-{number}")))
            .collect()
    }

    /// Returns what the mount of this number shows; `trees` is what [`mount_trees`](Self::mount_trees) gave.
    pub(super) fn show(
        &self,
        number: usize,
        mount: &MountSpec,
        rootfs: &Rootfs,
        trees: &[OwnedFd],
    ) -> Result<Shown, Failure> {
        match &mount.source {
            SourceSpec::Snapshot { root, path } => {
                let index = self.trees.iter().position(|(known, _)| known == root);
                let tree = index.and_then(|index| trees.get(index));
                let tree = tree.ok_or_else(|| failed(mount, path, Errno::NOENT))?;
                let what = resolve::open(tree.as_fd(), path, OFlags::PATH)
                    .map_err(|errno| failed(mount, path, errno))?;
                let kept = kept(number, mount, tree.as_fd(), what.as_fd())?;
                let keeps = match root {
                    RootSpec::Overlay { .. } => Keeps::Nothing,
                    RootSpec::Dir(_) => Keeps::Own(kept),
                };
                Shown::new(mount, what, MountAttrFlags::MOUNT_ATTR_NODEV, keeps)
            }
            SourceSpec::Directory { path, .. } => {
                let dir = self.opened(number, mount)?;
                let what = open_beneath(dir, path).map_err(|errno| failed(mount, path, errno))?;
                let keeps = Keeps::Shared(kept(number, mount, dir, what.as_fd())?);
                Shown::new(mount, what, MountAttrFlags::MOUNT_ATTR_NODEV, keeps)
            }
            SourceSpec::Tmpfs { .. } => Ok(Shown {
                what: None,
                kind: Kind::Dir,
                attributes: MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOSUID,
                keeps: Keeps::Nothing,
            }),
            SourceSpec::File { bytes, owner } => {
                let name = format!("file-{number}");
                let written = rootfs.scratch.write(&name, bytes.expose())?;
                let (uid, gid) = owner.ids();
                fchown(&written, uid, gid)
                    .and_then(|()| fchmod(&written, owner.mode()))
                    .map_err(|errno| failed(mount, "the file", errno))?;
                Shown::new(mount, rootfs.scratch.open(&name)?, PLAIN, Keeps::Nothing)
            }
            SourceSpec::Socket { .. } => {
                let socket = self.opened(number, mount)?.try_clone_to_owned();
                let socket = socket.map_err(|_| failed(mount, "the socket", Errno::MFILE))?;
                Shown::new(mount, socket, PLAIN, Keeps::Nothing)
            }
        }
    }

    fn opened(&self, number: usize, mount: &MountSpec) -> Result<BorrowedFd<'_>, Failure> {
        let opened = self.opened.get(number).and_then(Option::as_ref);
        let opened = opened.ok_or_else(|| failed(mount, "its source", Errno::NOENT))?;
        Ok(opened.as_fd())
    }
}

impl Shown {
    fn new(
        mount: &MountSpec,
        what: OwnedFd,
        attributes: MountAttrFlags,
        keeps: Keeps,
    ) -> Result<Self, Failure> {
        let kind = match file_type(what.as_fd()) {
            Ok(FileType::Directory) => Kind::Dir,
            Ok(_) => Kind::File,
            Err(errno) => return Err(failed(mount, "its source", errno)),
        };
        Ok(Self {
            what: Some(what),
            kind,
            attributes,
            keeps,
        })
    }
}

impl Owner {
    fn ids(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    fn mode(self) -> Mode {
        Mode::from_raw_mode(self.mode)
    }
}

/// Opens the socket and hands it to the step.
fn open_socket(mount: &MountSpec, path: &str, owner: Owner) -> Result<OwnedFd, Failure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let hand_over = || {
        let socket = open(path, flags, Mode::empty())?;
        if file_type(socket.as_fd())? != FileType::Socket {
            return Err(Errno::NOTSOCK);
        }
        let (uid, gid) = owner.ids();
        chownat(&socket, "", uid, gid, AtFlags::EMPTY_PATH)?;
        // A descriptor that was only opened as a path cannot be given to fchmod.
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&socket));
        chmodat(CWD, link, owner.mode(), AtFlags::empty())?;
        Ok(socket)
    };
    hand_over().map_err(|errno| unusable(mount, path, errno))
}

/// Opens what is in a directory that no link may lead out of.
fn open_beneath(dir: BorrowedFd<'_>, path: &str) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let relative = match path.trim_start_matches('/') {
        "" => ".",
        relative => relative,
    };
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    loop {
        match openat2(dir, relative, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            opened => return opened,
        }
    }
}

fn kept(
    number: usize,
    mount: &MountSpec,
    top: BorrowedFd<'_>,
    what: BorrowedFd<'_>,
) -> Result<Kept, Failure> {
    let path = resolve::real_path(top, what).map_err(|errno| failed(mount, "its source", errno))?;
    Ok(Kept {
        mount: number,
        path,
    })
}

fn failed(mount: &MountSpec, source: &str, errno: Errno) -> Failure {
    let reason = match errno {
        Errno::NOENT => format!("`{source}` does not exist in its source"),
        Errno::XDEV => format!("`{source}` leads out of its source through a link"),
        errno => format!("`{source}`: {}", std::io::Error::from(errno)),
    };
    Failure::Mount {
        target: mount.target.clone(),
        reason,
    }
}

/// For a path of the host.
fn unusable(mount: &MountSpec, path: &str, errno: Errno) -> Failure {
    let reason = match errno {
        Errno::NOTSOCK => format!("`{path}` is not a socket"),
        errno => format!("`{path}`: {}", std::io::Error::from(errno)),
    };
    Failure::Mount {
        target: mount.target.clone(),
        reason,
    }
}
