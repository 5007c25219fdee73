//! What a hit on a shared cache brings.

use acetate_cache_api::reapi::{Directory, FileNode, Tree};
use acetate_oci::{Descriptor, Digest, Timestamp};
use prost::Message;

use super::codec::named;
use crate::Fidelity;

/// A result as machines share it: the whole ordered chain of layers, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteRecord {
    /// The layers, bottom to top; empty for scratch and for hints.
    pub layers: Vec<RemoteLayer>,
    /// How long the step ran where it was run, in milliseconds: what a hit saves.
    pub duration_ms: u64,
    /// What kind of sandbox made it.
    pub fidelity: Fidelity,
    /// The results that it was made of, one an input in the order of the vertex's edges: the
    /// `ChainID` of a snapshot, the digest of selected files.
    pub made_of: Vec<Digest>,
}

/// A layer of a shared result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteLayer {
    /// The digest of the tar.
    pub diff_id: Digest,
    /// The size of the tar in bytes.
    pub size: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Where its bytes are.
    pub form: LayerForm,
    /// The pieces of its listing as it is on the layers below, in order; none where nobody listed it.
    pub listing: Vec<Chunk>,
}

/// Where the bytes of a shared layer are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerForm {
    /// In pieces, in order, whose sizes add up to that of the tar.
    Chunks(Vec<Chunk>),
    /// In one blob, compressed or not: beside the record where the cache is an image layout, else
    /// a layer of a base image, which everybody who has the record's key has pinned.
    Blob(Descriptor),
}

/// A piece of a layer's tar: what it is, and the compressed form that caches hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chunk {
    /// The digest of the piece itself.
    pub raw: Digest,
    /// The size of the piece itself in bytes.
    pub raw_size: u32,
    /// The digest of the zstd frame, under which caches hold it; that of the piece where caches hold
    /// the piece itself.
    pub stored: Digest,
    /// The size of what caches hold, in bytes.
    pub stored_size: u32,
}

impl Chunk {
    /// True for a piece that caches hold as it is, since it is compressed already. No zstd frame is
    /// the frame of itself.
    pub fn is_plain(&self) -> bool {
        self.raw == self.stored
    }
}

impl RemoteLayer {
    /// Its pieces, none for a blob.
    pub fn chunks(&self) -> &[Chunk] {
        match &self.form {
            LayerForm::Chunks(chunks) => chunks,
            LayerForm::Blob(_) => &[],
        }
    }

    /// How many bytes a fetch of the whole layer moves.
    pub fn stored_size(&self) -> u64 {
        match &self.form {
            LayerForm::Chunks(chunks) => {
                let sizes = chunks.iter().map(|chunk| u64::from(chunk.stored_size));
                sizes.sum()
            }
            LayerForm::Blob(blob) => blob.size,
        }
    }

    /// The tree that names the stored chunks for servers which check that all of a record is there:
    /// files `000000`, `000001` and so on.
    pub(super) fn tree(&self) -> Vec<u8> {
        let files = self.chunks().iter().enumerate().map(|(n, chunk)| FileNode {
            name: format!("{n:06}"),
            digest: Some(named(&chunk.stored, u64::from(chunk.stored_size))),
            is_executable: false,
        });
        let root = Directory {
            files: files.collect(),
            directories: Vec::new(),
        };
        Tree {
            root: Some(root),
            children: Vec::new(),
        }
        .encode_to_vec()
    }
}
