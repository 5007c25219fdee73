use crate::{Content, FilesError, Fingerprint, LinkGroup, Node, NodeKind, Tree};
use acetate_oci::Timestamp;
use acetate_pattern::IgnoreMatcher;
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Which permissions the files of a directory of the host have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostModes {
    /// Those that they have on the host, which depend on whoever checked them out.
    #[default]
    Exact,
    /// Those that git knows: 0755 for directories and for files that their owner may execute, else
    /// 0644.
    Git,
}

/// A directory of the host, without what its ignore file hides.
///
/// Everything in it belongs to root: who owns a checkout says nothing about an image (S36).
#[derive(Debug)]
pub struct HostTree {
    root: PathBuf,
    fd: OwnedFd,
    ignore: Option<IgnoreMatcher>,
    modes: HostModes,
}

impl HostModes {
    fn of(self, kind: &NodeKind, mode: u32) -> u32 {
        match (self, kind) {
            (Self::Git, NodeKind::File { .. }) if mode & 0o100 == 0 => 0o644,
            (Self::Git, NodeKind::Dir | NodeKind::File { .. }) => 0o755,
            (Self::Exact | Self::Git, _) => mode,
        }
    }
}

impl HostTree {
    /// Opens a directory.
    pub fn open(root: &Path, ignore: Option<IgnoreMatcher>) -> Result<Self, FilesError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())
            .map_err(FilesError::io("open the directory", root))?;
        Ok(Self {
            root: root.to_owned(),
            fd,
            ignore,
            modes: HostModes::Exact,
        })
    }

    /// The same directory, whose files are shown with these permissions.
    pub fn with_modes(self, modes: HostModes) -> Self {
        Self { modes, ..self }
    }

    /// Where the directory is on the host.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// True when nothing at or below `path` is shown.
    fn hides_all_below(&self, path: &Path) -> bool {
        self.hides(path)
            && !self
                .ignore
                .as_ref()
                .is_some_and(|i| i.may_contain_exceptions_below(path.as_os_str().as_bytes()))
    }

    /// What stands at `path`, unless it is hidden.
    fn shown(
        &self,
        place: (BorrowedFd<'_>, &Path),
        path: &Path,
    ) -> Result<Option<Node>, FilesError> {
        let hidden = self.hides(path);
        if hidden && self.hides_all_below(path) {
            return Ok(None);
        }
        // A hidden directory stays visible while a negated pattern may show something below it.
        let node = self.node(place, path)?;
        Ok(node.filter(|node| node.is_dir() || !hidden))
    }

    /// What stands at `path`, which is `name` in the directory `dir`.
    fn node(
        &self,
        (dir, name): (BorrowedFd<'_>, &Path),
        path: &Path,
    ) -> Result<Option<Node>, FilesError> {
        let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(FilesError::io("read", self.root.join(path))(error)),
        };
        let kind = self.kind((dir, name), path, &stat)?;
        let is_regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let link = (stat.st_nlink > 1 && matches!(kind, NodeKind::File { .. }))
            .then_some(LinkGroup::Inode(stat.st_dev, stat.st_ino));
        Ok(Some(Node {
            path: path.to_owned(),
            mode: self.modes.of(&kind, stat.st_mode & 0o7777),
            uid: 0,
            gid: 0,
            mtime: Timestamp::new(
                stat.st_mtime,
                u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
            ),
            xattrs: self.xattrs(path, &kind),
            kind,
            link,
            fingerprint: is_regular.then(|| Fingerprint::of(&stat)),
        }))
    }

    fn kind(
        &self,
        (dir, name): (BorrowedFd<'_>, &Path),
        path: &Path,
        stat: &Stat,
    ) -> Result<NodeKind, FilesError> {
        let device = (
            rustix::fs::major(stat.st_rdev),
            rustix::fs::minor(stat.st_rdev),
        );
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => NodeKind::Dir,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, name, Vec::new())
                    .map_err(FilesError::io("read the link", self.root.join(path)))?;
                NodeKind::Symlink(PathBuf::from(OsStr::from_bytes(target.as_bytes())))
            }
            FileType::CharacterDevice => NodeKind::CharDevice(device.0, device.1),
            FileType::BlockDevice => NodeKind::BlockDevice(device.0, device.1),
            FileType::Fifo => NodeKind::Fifo,
            // A socket cannot be in a layer; it arrives as an empty file (S49).
            FileType::Socket => NodeKind::File {
                size: 0,
                digest: None,
            },
            _ => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                NodeKind::File { size, digest: None }
            }
        })
    }

    /// Extended attributes are best effort (S51): a file system without them has none.
    fn xattrs(&self, path: &Path, kind: &NodeKind) -> BTreeMap<Vec<u8>, Vec<u8>> {
        if !matches!(kind, NodeKind::File { .. } | NodeKind::Dir) {
            return BTreeMap::new();
        }
        crate::xattrs::read(&self.root.join(path))
    }
}

/// A path that system calls take for the root, too.
fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

impl Tree for HostTree {
    fn lookup(&self, path: &Path) -> Result<Option<Node>, FilesError> {
        self.shown((self.fd.as_fd(), or_dot(path)), path)
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Node>, FilesError> {
        let failed = || FilesError::io("list", self.root.join(path));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let dir = rustix::fs::openat2(&self.fd, or_dot(path), flags, Mode::empty(), resolve)
            .map_err(failed())?;
        let mut names = Vec::new();
        for entry in Dir::read_from(&dir).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
        }
        names.sort_unstable();
        let mut nodes = Vec::with_capacity(names.len());
        for name in names {
            let name = Path::new(&name);
            nodes.extend(self.shown((dir.as_fd(), name), &path.join(name))?);
        }
        Ok(nodes)
    }

    fn open(&self, node: &Node) -> Result<Content, FilesError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.fd, &node.path, flags, Mode::empty(), resolve) {
            Ok(fd) => Ok(Content::File(File::from(fd))),
            // A socket; its content is empty.
            Err(rustix::io::Errno::NXIO) => Ok(Content::Stream(Box::new(std::io::empty()))),
            Err(error) => Err(FilesError::io("open", self.root.join(&node.path))(error)),
        }
    }

    fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FilesError> {
        crate::tree::read_small(self, path, limit)
    }

    fn fingerprint(&self, node: &Node) -> Result<Option<Fingerprint>, FilesError> {
        let stat = rustix::fs::statat(&self.fd, &node.path, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(FilesError::io("read", self.root.join(&node.path)))?;
        Ok(Some(Fingerprint::of(&stat)))
    }

    fn hides(&self, path: &Path) -> bool {
        !path.as_os_str().is_empty()
            && self
                .ignore
                .as_ref()
                .is_some_and(|i| i.matches(path.as_os_str().as_bytes()))
    }
}
