use crate::{Content, FilesError, LinkGroup, Node, NodeKind, Tree};
use acetate_oci::Digest;
use acetate_snapshot::{EntryKind, Follow, Found, Layer, SnapshotError, View};
use std::collections::BTreeMap;
use std::path::Path;

/// The files of a snapshot, as a tree to read from.
#[derive(Debug, Clone)]
pub struct ViewTree {
    view: View,
}

impl ViewTree {
    /// Reads from a view.
    pub fn new(view: View) -> Self {
        Self { view }
    }

    /// The layer that the thing at a path comes from.
    pub fn layer(&self, path: &Path) -> Option<&Layer> {
        let found = self.view.lookup(path)?;
        Some(self.view.source(found).0)
    }

    /// The digest of a regular file, read if no listing knows it.
    pub fn digest(&self, path: &Path) -> Result<Option<Digest>, FilesError> {
        match self.view.lookup(path) {
            Some(found) => Ok(self.view.digest(found)?),
            None => Ok(None),
        }
    }

    fn node(&self, found: Found<'_>) -> Node {
        let entry = found.entry;
        Node {
            path: entry.path.clone(),
            kind: self.kind(found),
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
            link: link(found),
            fingerprint: None,
        }
    }

    fn kind(&self, found: Found<'_>) -> NodeKind {
        match &found.entry.kind {
            EntryKind::File { size, digest } => NodeKind::File {
                size: *size,
                digest: *digest,
            },
            EntryKind::Hardlink(_) => {
                let (_, listing) = self.view.source(found);
                match listing.file_of(found.entry).map(|entry| &entry.kind) {
                    Some(EntryKind::File { size, digest }) => NodeKind::File {
                        size: *size,
                        digest: *digest,
                    },
                    _ => NodeKind::File {
                        size: 0,
                        digest: None,
                    },
                }
            }
            EntryKind::Dir { .. } | EntryKind::Whiteout => NodeKind::Dir,
            EntryKind::Symlink(target) => NodeKind::Symlink(target.clone()),
            EntryKind::CharDevice { major, minor } => NodeKind::CharDevice(*major, *minor),
            EntryKind::BlockDevice { major, minor } => NodeKind::BlockDevice(*major, *minor),
            EntryKind::Fifo => NodeKind::Fifo,
        }
    }
}

impl Tree for ViewTree {
    fn lookup(&self, path: &Path) -> Result<Option<Node>, FilesError> {
        match self.view.lookup(path) {
            Some(found) => Ok(Some(self.node(found))),
            // The root exists even where no layer lists it.
            None if path.as_os_str().is_empty() => Ok(Some(root())),
            None => Ok(None),
        }
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Node>, FilesError> {
        Ok(self
            .view
            .read_dir(path)
            .into_iter()
            .map(|found| self.node(found))
            .collect())
    }

    fn open(&self, node: &Node) -> Result<Content, FilesError> {
        let found = self.view.lookup(&node.path);
        let found = found.ok_or_else(|| FilesError::NotFound {
            path: node.path.clone(),
        })?;
        Ok(Content::File(self.view.open(found)?))
    }

    fn read_small(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FilesError> {
        match self.view.read(path, limit) {
            Ok(bytes) => Ok(bytes),
            // A path that leads nowhere is an absent file.
            Err(SnapshotError::Path { .. }) if self.view.resolve(path, Follow::All).is_err() => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Every file names its own group, for its other names point at it.
fn link(found: Found<'_>) -> Option<LinkGroup> {
    let layer = u32::try_from(found.layer).unwrap_or(u32::MAX);
    match &found.entry.kind {
        EntryKind::Hardlink(first) => Some(LinkGroup::Name(layer, first.clone())),
        EntryKind::File { .. } => Some(LinkGroup::Name(layer, found.entry.path.clone())),
        _ => None,
    }
}

fn root() -> Node {
    Node {
        path: Path::new("").to_owned(),
        kind: NodeKind::Dir,
        mode: 0o755,
        uid: 0,
        gid: 0,
        mtime: acetate_oci::Timestamp::default(),
        xattrs: BTreeMap::new(),
        link: None,
        fingerprint: None,
    }
}
