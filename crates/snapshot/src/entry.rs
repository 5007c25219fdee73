//! [`Entry`]: one name in a layer.

use acetate_oci::{Digest, Timestamp};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Extended attributes by full name (`user.x`, `security.capability`), in order.
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// One name in a layer: an addition or change, or the deletion of a name that exists below.
///
/// A hard link repeats the attributes of its file, so that nobody has to look them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The path relative to the root of the image: no leading or trailing slash, no `.` or `..`,
    /// and empty for the root directory itself.
    pub path: PathBuf,
    /// What the name is.
    pub kind: EntryKind,
    /// Permissions with the set-id and sticky bits (`0o7777`), without the file type.
    pub mode: u32,
    /// The numeric owner.
    pub uid: u32,
    /// The numeric group.
    pub gid: u32,
    /// When the content last changed.
    pub mtime: Timestamp,
    /// The extended attributes that a layer keeps.
    pub xattrs: Xattrs,
}

/// What an [`Entry`] is, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File {
        /// Length in bytes.
        size: u64,
        /// The digest of the content, once somebody computed it.
        digest: Option<Digest>,
    },
    /// A directory. Its entry changes attributes; what is in it below stays, unless `opaque`.
    Dir {
        /// Whether everything below this directory in lower layers is hidden.
        opaque: bool,
    },
    /// A symbolic link with its target, exactly as stored.
    Symlink(PathBuf),
    /// Another name of a regular file in the same layer that sorts before this one.
    Hardlink(PathBuf),
    /// A character device node.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device node.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// The name exists in a lower layer and is deleted by this one.
    Whiteout,
}

impl Entry {
    /// Makes an entry owned by root, of the epoch, without extended attributes.
    pub fn new(path: impl Into<PathBuf>, kind: EntryKind, mode: u32) -> Self {
        Self {
            path: path.into(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: Timestamp::default(),
            xattrs: Xattrs::new(),
        }
    }

    /// Makes the deletion of `path`.
    pub fn whiteout(path: impl Into<PathBuf>) -> Self {
        Self::new(path, EntryKind::Whiteout, 0)
    }

    /// Makes the directory that stands in for a parent nobody described: root's, `0755`, epoch.
    pub fn implied_dir(path: impl Into<PathBuf>) -> Self {
        Self::new(path, EntryKind::Dir { opaque: false }, 0o755)
    }

    /// Returns the last component of the path, empty for the root.
    pub fn name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// Returns whether this is a directory.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, EntryKind::Dir { .. })
    }

    /// Returns whether this deletes a name.
    pub fn is_whiteout(&self) -> bool {
        matches!(self.kind, EntryKind::Whiteout)
    }

    /// Returns whether this hides everything that lower layers have under the same path.
    pub fn hides_below(&self) -> bool {
        !matches!(self.kind, EntryKind::Dir { opaque: false })
    }

    /// Returns whether permissions, owner, time and extended attributes are equal.
    pub fn same_attributes(&self, other: &Self) -> bool {
        self.mtime == other.mtime && self.same_ownership(other)
    }

    /// Returns whether permissions, owner and extended attributes are equal; times may differ.
    pub fn same_ownership(&self, other: &Self) -> bool {
        (self.mode, self.uid, self.gid) == (other.mode, other.uid, other.gid)
            && self.xattrs == other.xattrs
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        path_bytes(&self.path)
    }
}

pub(crate) fn path_bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_bytes()
}

pub(crate) fn bytes_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}
