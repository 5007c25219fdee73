//! [`View`]: the tree that a snapshot shows, without a mount.

use crate::claims;
use crate::dirs;
use crate::entry::{EntryKind, bytes_path, path_bytes};
use crate::error::SnapshotError;
use crate::layer::{Layer, Snapshot};
use crate::listing::Listing;
use crate::merged::{Found, Merged};
use crate::paths;
use crate::resolve::Follow;
use crate::snapshots::Snapshots;
use crate::sys;
use acetate_oci::{Digest, HashingReader};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The merged tree of a snapshot: names come from listings, bytes from directory forms.
///
/// Paths may be written absolute or relative; both mean the root of the image. Looking up costs a
/// binary search per layer and component; nothing is copied.
#[derive(Clone, Debug)]
pub struct View {
    merged: Merged,
    snapshot: Snapshot,
    snapshots: Snapshots,
}

/// Where a path leads inside a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The relative path without links on the way, whether or not it exists.
    pub path: PathBuf,
    /// What is there.
    pub found: Option<Found<'a>>,
}

impl View {
    pub(crate) fn new(merged: Merged, snapshot: Snapshot, snapshots: Snapshots) -> Self {
        Self {
            merged,
            snapshot,
            snapshots,
        }
    }

    /// Returns the snapshot that is viewed.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// Returns what is at exactly this path, following no link on the way.
    ///
    /// The root itself is found only when a layer lists it; it always exists.
    pub fn lookup(&self, path: &Path) -> Option<Found<'_>> {
        let path = paths::normalise(path)?;
        self.merged.lookup(path_bytes(&path))
    }

    /// Follows a path as a process inside the image would; links never lead out of the root.
    ///
    /// Fails on loops and when something on the way is no directory. What is missing is taken as
    /// written, so the result can be created.
    pub fn resolve(&self, path: &Path, follow: Follow) -> Result<Resolved<'_>, SnapshotError> {
        let path = self.merged.resolve(path, follow)?;
        Ok(Resolved {
            found: self.merged.lookup(&path),
            path: bytes_path(&path).to_owned(),
        })
    }

    /// Returns the entries directly inside a directory, in order; empty for anything else.
    pub fn read_dir(&self, path: &Path) -> Vec<Found<'_>> {
        let path = paths::normalise(path);
        path.map_or_else(Vec::new, |path| self.merged.read_dir(path_bytes(&path)))
    }

    /// Calls `visit` for everything below `dir`, parents before their content and in order.
    pub fn walk<'a>(&'a self, dir: &Path, visit: &mut dyn FnMut(Found<'a>)) {
        if let Some(dir) = paths::normalise(dir) {
            self.merged.walk(path_bytes(&dir), visit);
        }
    }

    /// Returns the layer and the listing that an entry comes from.
    pub fn source(&self, found: Found<'_>) -> (&Layer, &Arc<Listing>) {
        (
            &self.snapshot.layers[found.layer],
            self.merged.listing(found.layer),
        )
    }

    /// Returns the size of a regular file, also through a hard link.
    pub fn size(&self, found: Found<'_>) -> Option<u64> {
        match self.merged.file_of(found)?.kind {
            EntryKind::File { size, .. } => Some(size),
            _ => None,
        }
    }

    /// Opens a regular file for reading.
    ///
    /// Makes the directory form of its layer when there is none, which unpacks the layer.
    pub fn open(&self, found: Found<'_>) -> Result<File, SnapshotError> {
        let layer = &self.snapshot.layers[found.layer];
        let dir = dirs::readable(&self.snapshots, layer)?;
        let path = dir.join(&found.entry.path);
        let opened = sys::open_dir(&dir).and_then(|root| {
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            sys::open_below(root.as_fd(), found.entry.bytes(), flags)
        });
        opened
            .map(File::from)
            .map_err(SnapshotError::os("open", path))
    }

    /// Returns the digest of a regular file's content, reading it when no listing knows it;
    /// `None` for anything that is no regular file.
    pub fn digest(&self, found: Found<'_>) -> Result<Option<Digest>, SnapshotError> {
        match self.merged.file_of(found).map(|file| &file.kind) {
            Some(EntryKind::File {
                digest: Some(digest),
                ..
            }) => {
                claims::rely_on_digest(&self.snapshot.layers[found.layer]);
                Ok(Some(*digest))
            }
            Some(EntryKind::File { .. }) => {
                let mut reader = HashingReader::new(self.open(found)?);
                io::copy(&mut reader, &mut io::sink())
                    .map_err(SnapshotError::io("read", found.path()))?;
                Ok(Some(reader.finish().1))
            }
            _ => Ok(None),
        }
    }

    /// Reads a small text file such as `/etc/passwd`, following links; `None` when there is no
    /// regular file. Those that listings carry cost no I/O.
    ///
    /// Fails when the file is longer than `limit` bytes.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, SnapshotError> {
        let resolved = self.resolve(path, Follow::All)?;
        let Some(found) = resolved.found else {
            return Ok(None);
        };
        let Some(size) = self.size(found) else {
            return Ok(None);
        };
        if size > limit {
            return Err(SnapshotError::Path {
                path: resolved.path,
                reason: "is too large to be read whole",
            });
        }
        if let Some(bytes) = self.merged.listing(found.layer).inline(found.path()) {
            return Ok(Some(bytes.to_vec()));
        }
        let mut bytes = Vec::new();
        self.open(found)?
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(SnapshotError::io("read", &resolved.path))?;
        Ok(Some(bytes))
    }
}
