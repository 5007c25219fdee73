//! What the index holds.

use acetate_oci::{Digest, MediaType, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{BootId, LayerId};

/// A blob as the index and its records point at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// What the bytes are.
    pub media_type: MediaType,
    /// Their name.
    pub digest: Digest,
    /// How many there are.
    pub size: u64,
}

/// The state of a layer's directory form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Directory {
    /// There is none; the blob, if any, is the layer.
    Absent,
    /// It was written in this boot and may not have reached the disk.
    Unsynced(BootId),
    /// A sync was recorded after it was written.
    Synced,
}

impl Directory {
    /// A directory published just now.
    pub fn written(boot: BootId) -> Self {
        Self::Unsynced(boot)
    }

    /// Tells whether the directory may be used in the boot `now` (invariant 16).
    pub fn is_trusted(&self, now: BootId) -> bool {
        match self {
            Self::Absent => false,
            Self::Unsynced(boot) => *boot == now,
            Self::Synced => true,
        }
    }
}

/// What the index knows about one layer.
///
/// Putting a row replaces what was known, except that a known `diff_id` or `blob` is not forgotten
/// by a row without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRow {
    /// Its name.
    pub id: LayerId,
    /// The layer that it was made on.
    pub parent: Option<LayerId>,
    /// The digest of its uncompressed tar, once sealed.
    pub diff_id: Option<Digest>,
    /// The size of its uncompressed tar in bytes, once sealed; before, 0 or an estimate.
    pub size: u64,
    /// The tar itself in the blob store, in one form.
    pub blob: Option<BlobRef>,
    /// Its directory form.
    pub directory: Directory,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last used, in seconds since 1970, to the hour; set by the index.
    pub used: i64,
}

impl LayerRow {
    /// A layer of which only the name and the time are known.
    pub fn new(id: LayerId, created: Timestamp) -> Self {
        Self {
            id,
            parent: None,
            diff_id: None,
            size: 0,
            blob: None,
            directory: Directory::Absent,
            created,
            used: 0,
        }
    }

    /// Keeps what `older` knew and this row does not say.
    pub(crate) fn over(mut self, older: &Self) -> Self {
        self.diff_id = self.diff_id.or(older.diff_id);
        if self.blob.is_none() {
            self.blob.clone_from(&older.blob);
        }
        self.used = self.used.max(older.used);
        self
    }
}

/// The name of a record: a space, a key in it, and the index of the vertex's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordKey {
    // The key stands first here and on the disk, so that both orders are the same.
    /// The key.
    pub key: [u8; 32],
    /// Keeps kinds of keys apart.
    pub space: u8,
    /// Which output of the vertex.
    pub output: u32,
}

impl RecordKey {
    pub(crate) fn from_bytes(bytes: [u8; 37]) -> Self {
        let [rest @ .., a, b, c, d] = bytes;
        let [key @ .., space] = rest;
        Self {
            key,
            space,
            output: u32::from_be_bytes([a, b, c, d]),
        }
    }

    pub(crate) fn to_bytes(self) -> [u8; 37] {
        let mut bytes = [0; 37];
        bytes[..32].copy_from_slice(&self.key);
        bytes[32] = self.space;
        bytes[33..].copy_from_slice(&self.output.to_be_bytes());
        bytes
    }
}

/// A record: an opaque payload and the layers without which it is worthless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What the writer put; see [`crate::codec`].
    pub payload: Vec<u8>,
    /// The layers it refers to, in the writer's order.
    pub layers: Vec<LayerId>,
}

/// The name of a fact: what kind it is, and of what.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FactKey(Vec<u8>);

impl FactKey {
    /// Names the fact of the given kind about `subject`; kinds are short words.
    pub fn new(kind: &str, subject: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(kind.len() + 1 + subject.len());
        bytes.extend_from_slice(kind.as_bytes());
        // No kind holds a zero byte, so kind and subject cannot run into each other.
        bytes.push(0);
        bytes.extend_from_slice(subject);
        Self(bytes)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
