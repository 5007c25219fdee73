use super::{Staging, dot};
use crate::{Content, FilesError, Node, NodeKind, Tree, resolve};
use acetate_oci::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The layer, and where it holds nothing the base.
impl Tree for Staging<'_> {
    fn lookup(&self, path: &Path) -> Result<Option<Node>, FilesError> {
        let stat = match rustix::fs::statat(&self.fd, dot(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(rustix::io::Errno::NOENT) => return self.lookup_base(path),
            Err(rustix::io::Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(FilesError::io("read", path)(error)),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => NodeKind::Dir,
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(&self.fd, path, Vec::new())
                    .map_err(FilesError::io("read the link", path))?;
                NodeKind::Symlink(crate::bytes_path(target.as_bytes()))
            }
            FileType::Fifo => NodeKind::Fifo,
            FileType::CharacterDevice if stat.st_rdev == 0 => return Ok(None),
            FileType::CharacterDevice => NodeKind::CharDevice(
                rustix::fs::major(stat.st_rdev),
                rustix::fs::minor(stat.st_rdev),
            ),
            FileType::BlockDevice => NodeKind::BlockDevice(
                rustix::fs::major(stat.st_rdev),
                rustix::fs::minor(stat.st_rdev),
            ),
            _ => NodeKind::File {
                size: u64::try_from(stat.st_size).unwrap_or(0),
                digest: None,
            },
        };
        let nanos = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
        Ok(Some(Node {
            path: path.to_owned(),
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Timestamp::new(stat.st_mtime, nanos),
            xattrs: BTreeMap::new(),
            link: None,
            fingerprint: None,
        }))
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Node>, FilesError> {
        self.base.read_dir(path)
    }

    fn open(&self, node: &Node) -> Result<Content, FilesError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::openat(&self.fd, &node.path, flags, Mode::empty()) {
            Ok(fd) => Ok(Content::File(File::from(fd))),
            Err(rustix::io::Errno::NOENT) => self.base.open(node),
            Err(error) => Err(FilesError::io("open", &node.path)(error)),
        }
    }

    fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FilesError> {
        // The base may know a small file without any I/O; the layer on it rarely has one.
        let in_layer = resolve::place(self, path)?;
        match rustix::fs::statat(&self.fd, dot(&in_layer), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => crate::tree::read_small(self, path, limit),
            Err(_) if self.is_hidden(&in_layer) => Ok(None),
            Err(_) => self.base.read_small(&in_layer, limit),
        }
    }
}

impl Staging<'_> {
    /// Finds what the base shows at `path`.
    pub(super) fn lookup_base(&self, path: &Path) -> Result<Option<Node>, FilesError> {
        if self.is_hidden(path) {
            return Ok(None);
        }
        self.base.lookup(path)
    }

    /// Where a destination is once its links are followed.
    pub(crate) fn place(&self, path: &str) -> Result<PathBuf, FilesError> {
        resolve::place(self, Path::new(path))
    }
}
