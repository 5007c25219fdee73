//! The derived form of a layer for an epoch, made from its blob: the same entries, no time later.

use crate::entry::{Entry, EntryKind};
use crate::error::{BadLayer, SnapshotError};
use crate::layer_tar::{
    ClampTimes, TarEntry, TarKind, TarReader, TarRules, TarWriter, WHITEOUT_PREFIX,
};
use crate::paths;
use crate::scan::decoder;
use acetate_oci::{Compression, Digest, HashingReader, Timestamp};
use std::ffi::OsString;
use std::io::{BufReader, Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// Rewrites a layer so that no time in it is later than `limit`; returns the output and the digest
/// of the tar that was read.
///
/// What our own writer wrote comes out as if it had been written with the limit.
pub(crate) fn rewrite<W: Write>(
    blob: impl Read,
    compression: Compression,
    out: W,
    limit: Timestamp,
) -> Result<(W, Digest), RewriteError> {
    let decoder = decoder(blob, compression).map_err(BadLayer::Unreadable)?;
    let input = BufReader::with_capacity(256 * 1024, HashingReader::new(decoder));
    let mut tar = TarReader::new(input, TarRules::Layer);
    let mut writer = TarWriter::new(out, ClampTimes::To(limit));
    while let Some(entry) = tar.next_entry()? {
        let entry = converted(entry);
        match entry.kind {
            EntryKind::File { .. } => {
                writer
                    .append_file(&entry, &mut tar)
                    .map_err(RewriteError::Write)?;
            }
            _ => writer.append(&entry).map_err(RewriteError::Write)?,
        }
    }
    let out = writer.finish().map_err(RewriteError::Write)?;
    let (_, diff_id, _) = tar.into_inner().into_inner().finish();
    Ok((out, diff_id))
}

/// Why a layer could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RewriteError {
    #[error(transparent)]
    Bad(#[from] BadLayer),
    #[error("write the layer")]
    Write(#[source] std::io::Error),
}

impl RewriteError {
    /// The error, with what it concerns.
    pub(crate) fn of(self, diff_id: Digest) -> SnapshotError {
        match self {
            Self::Bad(source) => SnapshotError::Bad {
                layer: diff_id,
                source,
            },
            Self::Write(error) => {
                SnapshotError::io("rewrite the layer", diff_id.to_string())(error)
            }
        }
    }
}

/// An entry as it is written.
fn converted(entry: TarEntry) -> Entry {
    let path = |bytes: Vec<u8>| PathBuf::from(OsString::from_vec(bytes));
    let kind = match entry.kind {
        TarKind::File { size } => EntryKind::File { size, digest: None },
        TarKind::Dir => EntryKind::Dir { opaque: false },
        TarKind::Symlink(target) => EntryKind::Symlink(path(target)),
        TarKind::Hardlink(target) => EntryKind::Hardlink(path(target)),
        TarKind::CharDevice { major, minor } => EntryKind::CharDevice { major, minor },
        TarKind::BlockDevice { major, minor } => EntryKind::BlockDevice { major, minor },
        TarKind::Fifo => EntryKind::Fifo,
    };
    let mut name = entry.name;
    let mut kind = kind;
    if let EntryKind::File { size: 0, .. } = kind
        && let Some(deleted) = paths::file_name(&name).strip_prefix(WHITEOUT_PREFIX)
    {
        name = paths::join(paths::parent(&name).unwrap_or_default(), deleted);
        kind = EntryKind::Whiteout;
    }
    if kind == (EntryKind::Dir { opaque: false }) {
        while name.last() == Some(&b'/') {
            name.pop();
        }
        if name == b"." {
            name.clear();
        }
    }
    Entry {
        path: path(name),
        kind,
        mode: entry.mode,
        uid: entry.uid,
        gid: entry.gid,
        mtime: entry.mtime,
        xattrs: entry.xattrs,
    }
}
