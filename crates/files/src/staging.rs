use crate::dir_times::DirTimes;
use crate::fill::{self, Check, Failed};
use crate::{Content, FilesError, Node, NodeKind, Owner, Tree};
use acetate_oci::{Digest, Timestamp};
use acetate_snapshot::TarReader;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, XattrFlags};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

mod replaced;
mod tree;

/// A layer that is being written, seen together with the base that it lies on.
///
/// Nothing is mounted: what the layer does not hold is looked up in the base, and a directory of
/// the base is repeated in the layer before something is put into it.
pub struct Staging<'a> {
    base: &'a dyn Tree,
    accounts: Option<&'a dyn Tree>,
    root: PathBuf,
    fd: OwnedFd,
    dir_times: DirTimes,
    /// Directories of the base that something else took the place of.
    hidden: BTreeSet<PathBuf>,
    now: Timestamp,
}

impl std::fmt::Debug for Staging<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Staging")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// The attributes of what is written.
#[derive(Debug, Clone)]
pub(crate) struct Attrs<'a> {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime: Timestamp,
    pub(crate) xattrs: &'a BTreeMap<Vec<u8>, Vec<u8>>,
}

/// How directories are made that nobody described.
#[derive(Debug, Clone)]
pub(crate) struct Implied {
    pub(crate) mode: u32,
    pub(crate) owner: Owner,
    pub(crate) mtime: Timestamp,
}

impl<'a> Staging<'a> {
    /// Starts to write the layer whose directory is `root` onto `base`; `now` is the time of what
    /// has no other.
    pub fn new(base: &'a dyn Tree, root: &Path, now: Timestamp) -> Result<Self, FilesError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::open(root, flags, Mode::empty())
            .map_err(FilesError::io("open the layer", root))?;
        let mut staging = Self {
            base,
            accounts: None,
            root: root.to_owned(),
            fd,
            dir_times: DirTimes::default(),
            hidden: BTreeSet::new(),
            now,
        };
        staging.adopt_root()?;
        Ok(staging)
    }

    /// Has names of users and groups looked up in another tree than the one that is written onto.
    #[must_use]
    pub fn with_accounts(self, accounts: &'a dyn Tree) -> Self {
        Self {
            accounts: Some(accounts),
            ..self
        }
    }

    /// The tree in which names of users and groups are looked up.
    pub(crate) fn accounts(&self) -> &dyn Tree {
        self.accounts.unwrap_or(self)
    }

    /// The time of what has no other.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Sets the times of directories; the layer is complete afterwards.
    pub fn finish(self) -> Result<(), FilesError> {
        // Children first: setting a time does not touch the parent, but a reader may stop half-way.
        for (path, time) in self.dir_times.upwards() {
            self.set_time(path, time)?;
        }
        Ok(())
    }

    /// The root directory of the layer has the attributes of the base's root.
    fn adopt_root(&mut self) -> Result<(), FilesError> {
        let root = Path::new("");
        let (attrs, xattrs) = match self.base.lookup(root)? {
            Some(node) => (
                (
                    node.mode,
                    Owner {
                        uid: node.uid,
                        gid: node.gid,
                    },
                    node.mtime,
                ),
                node.xattrs,
            ),
            None => ((0o755, Owner::default(), self.now), BTreeMap::new()),
        };
        let (mode, owner, mtime) = attrs;
        self.set_attrs(
            root,
            &Attrs {
                mode,
                owner,
                mtime,
                xattrs: &xattrs,
            },
            Fresh::Dir,
        )?;
        self.dir_times.inherit(root, mtime);
        Ok(())
    }

    /// Makes `path` and its missing parents; what exists stays as it is. `path` holds no links.
    pub(crate) fn make_dirs(&mut self, path: &Path, implied: &Implied) -> Result<(), FilesError> {
        match self.lookup(path)? {
            Some(node) if node.is_dir() => return Ok(()),
            Some(_) => {
                return Err(FilesError::NotADirectory {
                    path: path.to_owned(),
                });
            }
            None => {}
        }
        if let Some(parent) = path.parent() {
            self.make_dirs(parent, implied)?;
        }
        let xattrs = BTreeMap::new();
        let Implied {
            mode,
            ref owner,
            mtime,
        } = *implied;
        self.put_dir(
            path,
            &Attrs {
                mode,
                owner: owner.clone(),
                mtime,
                xattrs: &xattrs,
            },
        )?;
        Ok(())
    }

    /// Makes a directory, or gives the one that is there these attributes; true when it was made.
    pub(crate) fn put_dir(&mut self, path: &Path, attrs: &Attrs<'_>) -> Result<bool, FilesError> {
        check_name(path)?;
        match self.lookup(path)? {
            Some(node) if node.is_dir() => {
                self.copy_up(path)?;
                self.set_attrs(path, attrs, Fresh::No)?;
            }
            Some(_) => {
                return Err(FilesError::NotADirectory {
                    path: path.to_owned(),
                });
            }
            None => {
                self.put_new_dir(path, attrs)?;
                return Ok(true);
            }
        }
        self.dir_times.set(path, attrs.mtime);
        Ok(false)
    }

    /// Makes a directory that leads to something, or gives the one that is there the mode; true
    /// when it was made.
    pub(crate) fn put_way(&mut self, path: &Path, attrs: &Attrs<'_>) -> Result<bool, FilesError> {
        if !self.lookup(path)?.is_some_and(|node| node.is_dir()) {
            return self.put_dir(path, attrs);
        }
        self.copy_up(path)?;
        self.set_mode(path, attrs.mode)?;
        Ok(false)
    }

    /// Gives a directory of the layer a time; one that the layer does not hold keeps its own, for a
    /// time alone is no change.
    pub(crate) fn set_dir_time(&mut self, path: &Path, time: Timestamp) {
        if self.dir_times.has(path) {
            self.dir_times.set(path, time);
        }
    }

    /// Notes that a name was made in the directory of `path`: it has the time of the build, unless
    /// it is one of the base that no copy gave a time.
    pub(crate) fn touch_parent(&mut self, path: &Path) {
        if let Some(parent) = path.parent() {
            self.dir_times.touch(parent, self.now);
        }
    }

    /// Writes a regular file, replacing what is no directory, and returns the digest of its bytes
    /// where they passed through us.
    pub(crate) fn put_file(
        &mut self,
        path: &Path,
        content: Content,
        attrs: &Attrs<'_>,
        check: Check,
    ) -> Result<Option<Digest>, FilesError> {
        let mut file = self.create(path)?;
        let filled = fill::fill(&mut file, content, check);
        let digest = filled.map_err(FilesError::io("write", path))?;
        self.set_file_attrs(&file, path, attrs)?;
        Ok(digest)
    }

    /// Writes a regular file out of an archive, holes included; `broken` says what an error of
    /// reading it means.
    pub(crate) fn put_sparse<R: Read>(
        &mut self,
        path: &Path,
        content: &mut TarReader<R>,
        attrs: &Attrs<'_>,
        broken: impl FnOnce(std::io::Error, &TarReader<R>) -> FilesError,
    ) -> Result<(), FilesError> {
        let mut file = self.create(path)?;
        match fill::sparse(&mut file, content) {
            Ok(()) => self.set_file_attrs(&file, path, attrs),
            Err(Failed::Write(error)) => Err(FilesError::io("write", path)(error)),
            Err(Failed::Read(error)) => Err(broken(error, content)),
        }
    }

    fn create(&mut self, path: &Path) -> Result<File, FilesError> {
        self.clear(path)?;
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, path, flags, Mode::RUSR | Mode::WUSR)
            .map_err(FilesError::io("create", path))?;
        Ok(File::from(fd))
    }

    /// Makes a symbolic link, replacing what is no directory.
    pub(crate) fn put_symlink(
        &mut self,
        path: &Path,
        target: &Path,
        attrs: &Attrs<'_>,
    ) -> Result<(), FilesError> {
        self.clear(path)?;
        rustix::fs::symlinkat(target, &self.fd, path)
            .map_err(FilesError::io("create the link", path))?;
        self.chown(path, &attrs.owner)?;
        self.set_time(path, attrs.mtime)
    }

    /// Makes a device node or fifo, replacing what is no directory.
    pub(crate) fn put_node(
        &mut self,
        path: &Path,
        kind: &NodeKind,
        attrs: &Attrs<'_>,
    ) -> Result<(), FilesError> {
        self.clear(path)?;
        let (file_type, device) = match *kind {
            NodeKind::CharDevice(0, 0) => {
                return Err(FilesError::WhiteoutDevice {
                    path: path.to_owned(),
                });
            }
            NodeKind::CharDevice(a, b) => (FileType::CharacterDevice, rustix::fs::makedev(a, b)),
            NodeKind::BlockDevice(a, b) => (FileType::BlockDevice, rustix::fs::makedev(a, b)),
            _ => (FileType::Fifo, 0),
        };
        rustix::fs::mknodat(&self.fd, path, file_type, Mode::RUSR, device)
            .map_err(FilesError::io("create the node", path))?;
        self.set_attrs(path, attrs, Fresh::No)
    }

    /// Makes another name for a file of this layer, replacing what is no directory.
    pub(crate) fn put_link(&mut self, path: &Path, first: &Path) -> Result<(), FilesError> {
        self.clear(path)?;
        rustix::fs::linkat(&self.fd, first, &self.fd, path, AtFlags::empty())
            .map_err(FilesError::io("link", path))
    }

    /// Makes a directory in the place of something that is none.
    pub(crate) fn replace_by_dir(
        &mut self,
        path: &Path,
        attrs: &Attrs<'_>,
    ) -> Result<(), FilesError> {
        check_name(path)?;
        self.remove(path)?;
        self.put_new_dir(path, attrs)
    }

    fn put_new_dir(&mut self, path: &Path, attrs: &Attrs<'_>) -> Result<(), FilesError> {
        self.copy_up_parent(path)?;
        let is_hidden = self.is_hidden(path);
        if is_hidden {
            self.remove(path)?;
        }
        self.mkdir(path)?;
        if is_hidden {
            self.hide_children(path)?;
        }
        self.set_attrs(path, attrs, Fresh::Dir)?;
        self.dir_times.set(path, attrs.mtime);
        Ok(())
    }

    /// Removes what is no directory from the layer; in the base it is hidden by what comes instead.
    fn remove(&mut self, path: &Path) -> Result<(), FilesError> {
        match rustix::fs::unlinkat(&self.fd, path, AtFlags::empty()) {
            Ok(()) | Err(rustix::io::Errno::NOENT) => Ok(()),
            Err(error) => Err(FilesError::io("replace", path)(error)),
        }
    }

    /// True when the layer itself has something at `path`.
    pub(crate) fn holds(&self, path: &Path) -> Result<bool, FilesError> {
        match rustix::fs::statat(&self.fd, dot(path), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(FilesError::io("read", path)(error)),
        }
    }

    /// Repeats something of the base in the layer that is no directory.
    pub(crate) fn repeat(&mut self, path: &Path, node: &Node) -> Result<(), FilesError> {
        let attrs = Attrs {
            mode: node.mode,
            owner: Owner {
                uid: node.uid,
                gid: node.gid,
            },
            mtime: node.mtime,
            xattrs: &node.xattrs,
        };
        match &node.kind {
            NodeKind::File { .. } => {
                let content = self.base.open(node)?;
                self.put_file(path, content, &attrs, Check::Trust)?;
                Ok(())
            }
            NodeKind::Symlink(target) => self.put_symlink(path, target, &attrs),
            kind => self.put_node(path, kind, &attrs),
        }
    }

    /// Gets `path` out of the way of something that is no directory, and its parent into the layer.
    fn clear(&mut self, path: &Path) -> Result<(), FilesError> {
        check_name(path)?;
        match self.lookup(path)? {
            Some(node) if node.is_dir() => {
                return Err(FilesError::IsADirectory {
                    path: path.to_owned(),
                });
            }
            Some(_) => self.remove(path)?,
            None if self.is_hidden(path) => self.remove(path)?,
            None => {}
        }
        self.copy_up_parent(path)
    }

    fn copy_up_parent(&mut self, path: &Path) -> Result<(), FilesError> {
        path.parent().map_or(Ok(()), |parent| self.copy_up(parent))
    }

    /// Repeats a directory of the base in the layer, with its attributes and time.
    fn copy_up(&mut self, path: &Path) -> Result<(), FilesError> {
        if path.as_os_str().is_empty() || self.dir_times.has(path) {
            return Ok(());
        }
        self.copy_up_parent(path)?;
        let missing = || FilesError::NotFound {
            path: path.to_owned(),
        };
        let node = self.lookup_base(path)?.ok_or_else(missing)?;
        if !node.is_dir() {
            return Err(FilesError::NotADirectory {
                path: path.to_owned(),
            });
        }
        self.mkdir(path)?;
        let owner = Owner {
            uid: node.uid,
            gid: node.gid,
        };
        let attrs = Attrs {
            mode: node.mode,
            owner,
            mtime: node.mtime,
            xattrs: &node.xattrs,
        };
        self.set_attrs(path, &attrs, Fresh::Dir)?;
        self.dir_times.inherit(path, node.mtime);
        Ok(())
    }

    fn mkdir(&self, path: &Path) -> Result<(), FilesError> {
        rustix::fs::mkdirat(&self.fd, path, Mode::RWXU)
            .map_err(FilesError::io("create the directory", path))
    }

    /// Owner first: changing it clears set-id bits.
    fn set_attrs(&self, path: &Path, attrs: &Attrs<'_>, fresh: Fresh) -> Result<(), FilesError> {
        if fresh == Fresh::No || attrs.owner != Owner::default() || path.as_os_str().is_empty() {
            self.chown(path, &attrs.owner)?;
        }
        self.set_mode(path, attrs.mode)?;
        for (name, value) in attrs.xattrs {
            let Ok(name) = CString::new(name.clone()) else {
                continue;
            };
            let set =
                rustix::fs::lsetxattr(self.root.join(path), &*name, value, XattrFlags::empty());
            if let Err(error) = set {
                tracing::debug!(%error, ?name, path = %path.display(), "cannot keep an attribute");
            }
        }
        if fresh == Fresh::No {
            self.set_time(path, attrs.mtime)
        } else {
            Ok(())
        }
    }

    fn set_file_attrs(
        &self,
        file: &File,
        path: &Path,
        attrs: &Attrs<'_>,
    ) -> Result<(), FilesError> {
        if attrs.owner != Owner::default() {
            self.chown(path, &attrs.owner)?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(attrs.mode))
            .map_err(FilesError::io("set the mode of", path))?;
        for (name, value) in attrs.xattrs {
            let Ok(name) = CString::new(name.clone()) else {
                continue;
            };
            if let Err(error) = rustix::fs::fsetxattr(file, &*name, value, XattrFlags::empty()) {
                tracing::debug!(%error, ?name, path = %path.display(), "cannot keep an attribute");
            }
        }
        rustix::fs::futimens(file, &times(attrs.mtime))
            .map_err(FilesError::io("set the time of", path))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> Result<(), FilesError> {
        let mode = Mode::from_raw_mode(mode);
        rustix::fs::chmodat(&self.fd, dot(path), mode, AtFlags::empty())
            .map_err(FilesError::io("set the mode of", path))
    }

    fn chown(&self, path: &Path, owner: &Owner) -> Result<(), FilesError> {
        let uid = Some(rustix::fs::Uid::from_raw(owner.uid));
        let gid = Some(rustix::fs::Gid::from_raw(owner.gid));
        rustix::fs::chownat(&self.fd, dot(path), uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(FilesError::io("set the owner of", path))
    }

    fn set_time(&self, path: &Path, time: Timestamp) -> Result<(), FilesError> {
        rustix::fs::utimensat(&self.fd, dot(path), &times(time), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(FilesError::io("set the time of", path))
    }
}

/// Whether attributes are set on something that was made a moment ago by us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fresh {
    /// A directory of mode 0700 that is ours; its time is set at the end.
    Dir,
    No,
}

fn dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

fn check_name(path: &Path) -> Result<(), FilesError> {
    let name = path.file_name().unwrap_or_default();
    if name.as_encoded_bytes().starts_with(b".wh.") {
        return Err(FilesError::WhiteoutName {
            path: path.to_owned(),
        });
    }
    Ok(())
}

fn times(time: Timestamp) -> Timestamps {
    let spec = Timespec {
        tv_sec: time.secs,
        tv_nsec: i64::from(time.nanos),
    };
    Timestamps {
        last_access: spec,
        last_modification: spec,
    }
}
