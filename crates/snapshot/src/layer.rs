//! [`Layer`] and [`Snapshot`]: values that name layers; the work on them is done by `Snapshots`.

use crate::apply::Draft;
use crate::claims::{self, Claim};
use crate::listing::{Listing, RootEntry};
use acetate_oci::{Descriptor, Digest};
use acetate_store::LayerId;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

/// One immutable layer: a cheap handle, the same for everybody in the process who has its id.
#[derive(Clone)]
pub struct Layer(pub(crate) Arc<LayerState>);

pub(crate) struct LayerState {
    pub(crate) id: LayerId,
    /// What it was made on. Its directory and its listing mean something on that only.
    pub(crate) base: Snapshot,
    pub(crate) origin: Origin,
    pub(crate) dir: OnceLock<DirForm>,
    pub(crate) listing: Mutex<Option<Arc<Listing>>>,
    pub(crate) claim: Mutex<Claim>,
    /// Its files as a claim below has it, for whoever only reads them.
    pub(crate) draft: OnceLock<Draft>,
    pub(crate) sealed: OnceLock<Arc<Sealed>>,
    /// Held while a form of the layer is made, so that each is made once.
    pub(crate) work: Mutex<()>,
}

/// Where a layer comes from.
#[derive(Clone, Debug)]
pub(crate) enum Origin {
    /// Committed here: the directory form is the layer until it is sealed.
    Local,
    /// Fetched or found: the blob is the layer, everything else is made from it.
    Blob {
        diff_id: Digest,
        blob: Box<Descriptor>,
    },
}

/// The directory form of a layer.
#[derive(Clone, Debug)]
pub(crate) struct DirForm {
    pub(crate) path: PathBuf,
    pub(crate) root: RootEntry,
}

/// What sealing a layer yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The layer's blob: for layers made here the uncompressed tar, which is in the store; for
    /// others the descriptor they came with, whether or not the store has the blob.
    pub blob: Descriptor,
}

impl Layer {
    /// Returns the name of the layer in the store.
    pub fn id(&self) -> LayerId {
        self.0.id
    }

    /// Returns the snapshot that the layer was made on.
    pub fn base(&self) -> &Snapshot {
        &self.0.base
    }

    /// Returns the digest of the uncompressed tar when it is known without any work.
    pub fn diff_id(&self) -> Option<Digest> {
        self.sealed().map(|sealed| sealed.diff_id)
    }

    /// Returns whether a claimed listing of the layer is used where its own is not known.
    pub fn is_claimed(&self) -> bool {
        claims::stands(self)
    }

    /// Returns whether something was done by a claimed listing that nobody compared with the layer.
    pub fn is_unproven(&self) -> bool {
        claims::is_open(self)
    }

    /// Returns whether something was done by a claimed listing that is not that of the layer: then
    /// it is to be done again.
    pub fn is_refuted(&self) -> bool {
        claims::is_refuted(self)
    }

    /// Returns what sealing yielded or would yield without any work.
    pub fn sealed(&self) -> Option<Arc<Sealed>> {
        if let Some(sealed) = self.0.sealed.get() {
            return Some(Arc::clone(sealed));
        }
        match &self.0.origin {
            Origin::Local => None,
            Origin::Blob { diff_id, blob } => Some(Arc::new(Sealed {
                diff_id: *diff_id,
                blob: (**blob).clone(),
            })),
        }
    }
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Layer {}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Layer")
            .field(&self.0.id.to_string())
            .finish()
    }
}

/// A chain of layers, bottom first; the empty one is `scratch`. Cloning costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub(crate) layers: Arc<[Layer]>,
}

impl Snapshot {
    /// Returns the empty snapshot.
    pub fn scratch() -> Self {
        Self::default()
    }

    /// Returns the layers, bottom first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Returns whether there is no layer at all.
    pub fn is_scratch(&self) -> bool {
        self.layers.is_empty()
    }

    /// Returns the names of the layers, bottom first: the chain as records hold it.
    pub fn ids(&self) -> Vec<LayerId> {
        self.layers.iter().map(Layer::id).collect()
    }

    /// Returns the diff ids of all layers, bottom first, when all are known without any work.
    pub fn diff_ids(&self) -> Option<Vec<Digest>> {
        self.layers.iter().map(Layer::diff_id).collect()
    }

    pub(crate) fn push(&self, layer: Layer) -> Self {
        let layers = self.layers.iter().cloned().chain([layer]);
        Self {
            layers: layers.collect(),
        }
    }

    /// Returns the chain below the layer with this index.
    pub(crate) fn below(&self, n_layers: usize) -> Self {
        Self {
            layers: self.layers[..n_layers].into(),
        }
    }
}
