use crate::{FilesError, Fingerprint};
use acetate_oci::{Digest, Timestamp};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file tree that is read: a build context on the host, or the files of a snapshot.
///
/// Paths are relative to the root, without `.` and `..`, and are never followed through symbolic
/// links: following is [`crate::resolve`]'s work, so that every link stays inside the root.
pub trait Tree: Sync {
    /// Finds what stands at `path`; the empty path is the root.
    fn lookup(&self, path: &Path) -> Result<Option<Node>, FilesError>;

    /// Lists a directory, sorted by name.
    fn read_dir(&self, path: &Path) -> Result<Vec<Node>, FilesError>;

    /// Opens the content of a regular file.
    fn open(&self, node: &Node) -> Result<Content, FilesError>;

    /// Reads a small file, following links; `None` when there is no regular file. What is longer
    /// than `limit` bytes is cut.
    fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FilesError>;

    /// The fingerprint that a file of this tree has by now, for trees that can change.
    fn fingerprint(&self, node: &Node) -> Result<Option<Fingerprint>, FilesError> {
        Ok(node.fingerprint)
    }

    /// True when `path` is hidden itself and only shown because something below it may not be.
    fn hides(&self, _path: &Path) -> bool {
        false
    }
}

/// The content of a regular file.
pub enum Content {
    /// A file that the kernel can copy by itself.
    File(File),
    /// Bytes that have to pass through us.
    Stream(Box<dyn Read + Send>),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Stream(stream) => stream.read(buffer),
        }
    }
}

/// One file, directory or other thing of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it is, relative to the root.
    pub path: PathBuf,
    /// What it is.
    pub kind: NodeKind,
    /// The permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// When it was changed last.
    pub mtime: Timestamp,
    /// Extended attributes that a layer keeps.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Equal for names of one file, none when there is one name only.
    pub link: Option<LinkGroup>,
    /// What tells whether a regular file changed since, where the tree can say so.
    pub fingerprint: Option<Fingerprint>,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    /// A regular file.
    File {
        /// Its length in bytes.
        size: u64,
        /// The digest of its bytes, where it is known without reading.
        digest: Option<Digest>,
    },
    /// A directory.
    Dir,
    /// A symbolic link and where it points.
    Symlink(PathBuf),
    /// A character device.
    CharDevice(u32, u32),
    /// A block device.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// Names the group of hard links that a node belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LinkGroup {
    /// Device and inode on the host.
    Inode(u64, u64),
    /// The first name within a layer, and which layer.
    Name(u32, PathBuf),
}

impl Node {
    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == NodeKind::Dir
    }

    /// The last component of the path; empty for the root.
    pub fn name(&self) -> &std::ffi::OsStr {
        self.path.file_name().unwrap_or_default()
    }
}

/// Reads a small file through [`Tree::open`].
pub(crate) fn read_small(
    tree: &dyn Tree,
    path: &Path,
    limit: u64,
) -> Result<Option<Vec<u8>>, FilesError> {
    let Some(node) = crate::resolve::follow(tree, path)? else {
        return Ok(None);
    };
    if !matches!(node.kind, NodeKind::File { .. }) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let read = tree.open(&node)?.take(limit).read_to_end(&mut bytes);
    read.map_err(FilesError::io("read", path))?;
    Ok(Some(bytes))
}
