//! What is known about the result of a step.

use acetate_oci::{Digest, Timestamp};
use acetate_store::{BlobRef, LayerId, Object};
use serde::{Deserialize, Serialize};

/// A result: the whole ordered chain of layers that a step's output consists of, and how it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheRecord {
    /// The layers, bottom to top, those of the step's base included; empty for scratch and hints.
    pub layers: Vec<LayerRecord>,
    /// How long the step ran, in milliseconds.
    pub duration_ms: u64,
    /// Where the result came from.
    pub origin: Origin,
    /// What kind of sandbox made it.
    pub fidelity: Fidelity,
}

impl CacheRecord {
    /// A result made here, in full fidelity.
    pub fn local(layers: Vec<LayerRecord>, duration_ms: u64) -> Self {
        Self {
            layers,
            duration_ms,
            origin: Origin::Local,
            fidelity: Fidelity::Full,
        }
    }

    /// Everything in the store that this result needs, to be pinned before it is relied on.
    pub fn objects(&self) -> Vec<Object> {
        self.layers.iter().flat_map(LayerRecord::objects).collect()
    }
}

/// One layer of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayerRecord {
    /// Its name in the local store.
    pub id: LayerId,
    /// When it was made, for the image's history.
    pub created: Timestamp,
    /// The digest of its uncompressed tar; none while it is not sealed.
    pub diff_id: Option<Digest>,
    /// The size of its uncompressed tar in bytes; 0 while it is not sealed.
    pub size: u64,
    /// Its tar in the blob store, where there is one.
    pub blob: Option<BlobRef>,
}

impl LayerRecord {
    /// A layer of which only the name and the time are known; the store knows the rest.
    pub fn new(id: LayerId, created: Timestamp) -> Self {
        Self {
            id,
            created,
            diff_id: None,
            size: 0,
            blob: None,
        }
    }

    fn objects(&self) -> impl Iterator<Item = Object> {
        let blob = self.blob.as_ref().map(|blob| Object::Blob(blob.digest));
        std::iter::once(Object::Layer(self.id)).chain(blob)
    }
}

/// Where a result came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// It was made on this machine, in this store.
    Local,
    /// It was imported.
    Imported {
        /// From where: the name of the cache.
        from: String,
        /// The id of the key that signed it, when it was signed and checked.
        signer: Option<String>,
    },
}

/// How close the sandbox that made a result is to a full one (invariant 9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fidelity {
    /// A full id map and all namespaces.
    Full,
    /// Something was weaker: not published, not signed, not read by full machines unless asked.
    Reduced {
        /// What was weaker, in words.
        reason: String,
    },
}
