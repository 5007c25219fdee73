use crate::damage;
use acetate_image::{ImageError, Puller, ResolvedImage};
use acetate_oci::Digest;
use acetate_snapshot::{Layer, Snapshot};
use acetate_store::{LayerId, Object, Store};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Fetches the blobs of pulled layers, at the last moment at which they are needed.
pub(crate) struct Blobs {
    store: Arc<Store>,
    puller: Arc<Puller>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where blobs can be had in this build.
    offers: HashMap<Digest, (Arc<ResolvedImage>, usize)>,
    /// Layers that were found in a form that can be used.
    ready: HashSet<LayerId>,
    /// Blobs that outputs are made of, in whatever form.
    in_use: BTreeSet<Digest>,
}

/// Why a layer has no form that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Nothing in this build says where its blob is; whatever made it has to be done again.
    #[error("layer `{0}` is gone")]
    Lost(LayerId),
    #[error("failed to {0}")]
    Image(#[from] ImageError),
    #[error(transparent)]
    Store(#[from] acetate_store::StoreError),
    #[error(transparent)]
    Snapshot(#[from] acetate_snapshot::SnapshotError),
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blobs")
    }
}

impl Blobs {
    pub(crate) fn new(store: Arc<Store>, puller: Arc<Puller>) -> Self {
        Self {
            store,
            puller,
            state: Mutex::default(),
        }
    }

    /// Remembers where the layers of an image can be had.
    pub(crate) fn offer(&self, image: &Arc<ResolvedImage>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (idx, layer) in image.layers().iter().enumerate() {
            state
                .offers
                .entry(layer.digest)
                .or_insert_with(|| (Arc::clone(image), idx));
        }
    }

    /// Sees to it that every layer has a directory or a blob here.
    pub(crate) async fn ensure_usable(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        let unknown = self.unknown(snapshot);
        if unknown.is_empty() {
            return Ok(());
        }
        let ids: Vec<LayerId> = unknown.iter().map(Layer::id).collect();
        // Pinned before they are looked at: what is seen then stays while this process lives.
        let pins: Vec<Object> = ids.iter().copied().map(Object::Layer).collect();
        self.store.live().pin(&pins)?;
        let dirs = self.store.layers().dirs(&ids)?;
        let without = unknown
            .into_iter()
            .zip(dirs)
            .filter(|(_, dir)| dir.is_none());
        self.fetch(without.map(|(layer, _)| layer).collect())
            .await?;
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ready
            .extend(ids);
        Ok(())
    }

    /// Sees to it that the blob of every pulled layer is here, for an export.
    pub(crate) async fn ensure_blobs(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        let pulled = snapshot.layers().iter().filter(|layer| is_pulled(layer));
        self.fetch(pulled.cloned().collect()).await
    }

    /// Remembers the blobs that an output is about to be made of.
    pub(crate) fn uses(&self, blobs: impl Iterator<Item = Digest>) {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .in_use
            .extend(blobs);
    }

    /// Throws damaged blobs of these snapshots, and of the outputs, away and forgets that they were usable.
    pub(crate) async fn repair(&self, snapshots: Vec<Snapshot>) -> Result<(), FetchError> {
        let mut suspects = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            for layer in snapshots.iter().flat_map(Snapshot::layers) {
                state.ready.remove(&layer.id());
            }
            state.in_use.clone()
        };
        let sealed = snapshots
            .iter()
            .flat_map(Snapshot::layers)
            .filter_map(Layer::sealed);
        suspects.extend(sealed.flat_map(|sealed| [sealed.blob.digest, sealed.diff_id]));
        let store = Arc::clone(&self.store);
        let check = move || damage::remove_damaged(&store, &suspects);
        Ok(acetate_stdx::blocking(check).await?)
    }

    fn unknown(&self, snapshot: &Snapshot) -> Vec<Layer> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pulled = snapshot.layers().iter().filter(|layer| is_pulled(layer));
        pulled
            .filter(|layer| !state.ready.contains(&layer.id()))
            .cloned()
            .collect()
    }

    async fn fetch(&self, layers: Vec<Layer>) -> Result<(), FetchError> {
        let mut fetching = JoinSet::new();
        for layer in layers {
            let Some(sealed) = layer.sealed() else {
                continue;
            };
            let digest = sealed.blob.digest;
            let offer = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.offers.get(&digest).cloned()
            };
            match offer {
                Some((image, idx)) => {
                    let puller = Arc::clone(&self.puller);
                    fetching.spawn(async move { puller.fetch_layer(&image, idx).await });
                }
                None if self.store.blobs().has(&digest)?.is_some() => {}
                None => return Err(FetchError::Lost(layer.id())),
            }
        }
        while let Some(joined) = fetching.join_next().await {
            if let Ok(fetched) = joined {
                fetched?;
            }
        }
        Ok(())
    }
}

/// Layers made here have their own directory; those known by ChainID came as a blob.
fn is_pulled(layer: &Layer) -> bool {
    matches!(layer.id(), LayerId::Chain(_))
}
