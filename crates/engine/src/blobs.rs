use crate::VertexOutcome;
use crate::claims::Claims;
use crate::damage;
use crate::error::words;
use crate::pulls::{Pull, Pulls};
use acetate_cache::SharedCache;
use acetate_cache::remote::{Lost, RemoteLayer};
use acetate_image::{ImageError, Puller, ResolvedImage};
use acetate_oci::{Descriptor, Digest};
use acetate_registry::{NoProgress, Progress, Repository};
use acetate_snapshot::{Layer, Snapshot, Snapshots};
use acetate_store::{LayerId, Object, Store};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// Fetches the blobs of pulled layers, at the last moment at which they are needed.
pub(crate) struct Blobs {
    pub(crate) store: Arc<Store>,
    pub(crate) snapshots: Snapshots,
    pub(crate) claims: Claims,
    puller: Arc<Puller>,
    /// Who hears of layers that come.
    pulls: Arc<Pulls>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where blobs can be had in this build, best first.
    offers: HashMap<Digest, Vec<Offer>>,
    /// The blobs of layers of images, by what they hold.
    bases: HashMap<Digest, Descriptor>,
    /// Layers that were found in a form that can be used.
    ready: HashSet<LayerId>,
    /// Layers whose listing is known, or claimed.
    listed: HashSet<LayerId>,
    /// Blobs that nobody gave who said that they had them.
    lost: HashSet<Digest>,
    /// Blobs that outputs are made of, in whatever form.
    in_use: BTreeSet<Digest>,
}

/// Where a blob can be had.
#[derive(Clone)]
enum Offer {
    /// In an image, as the layer with this index.
    Image(Arc<ResolvedImage>, usize),
    /// In a cache, as this layer.
    Cache(Arc<dyn SharedCache>, Arc<RemoteLayer>),
}

/// Why a layer has no form that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Nothing in this build says where its blob is; whatever made it has to be done again.
    #[error("layer `{0}` is gone")]
    Lost(LayerId),
    #[error("failed to {0}")]
    Image(#[from] ImageError),
    /// What a cache gave cannot be written to the store.
    #[error("failed to keep a layer of a cache")]
    Write(#[source] std::io::Error),
    #[error(transparent)]
    Store(#[from] acetate_store::StoreError),
    #[error(transparent)]
    Snapshot(#[from] acetate_snapshot::SnapshotError),
}

impl FetchError {
    /// True when nothing is left of a layer that it could be had from.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(
            self,
            Self::Lost(_) | Self::Snapshot(acetate_snapshot::SnapshotError::Lost(_))
        )
    }
}

impl std::fmt::Debug for Blobs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blobs")
    }
}

impl Blobs {
    pub(crate) fn new(
        store: Arc<Store>,
        snapshots: Snapshots,
        puller: Arc<Puller>,
        pulls: Pulls,
    ) -> Self {
        Self {
            store,
            snapshots,
            claims: Claims::default(),
            puller,
            pulls: Arc::new(pulls),
            state: Mutex::default(),
        }
    }

    /// Remembers where the layers of an image can be had.
    pub(crate) fn offer(&self, image: &Arc<ResolvedImage>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (layer, diff_id) in image.layers().iter().zip(image.diff_ids()) {
            state.bases.insert(*diff_id, layer.clone());
        }
        drop(state);
        self.offer_blobs(image);
    }

    /// Remembers where the layers can be had of an image that nothing is built on.
    pub(crate) fn offer_blobs(&self, image: &Arc<ResolvedImage>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (idx, layer) in image.layers().iter().enumerate() {
            let offers = state.offers.entry(layer.digest).or_default();
            if !offers.iter().any(|offer| matches!(offer, Offer::Image(..))) {
                offers.insert(0, Offer::Image(Arc::clone(image), idx));
            }
        }
    }

    /// Remembers that a cache has a layer, whose blob has this digest once it is here.
    pub(crate) fn offer_cached(
        &self,
        blob: Digest,
        cache: &Arc<dyn SharedCache>,
        layer: &RemoteLayer,
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let offers = state.offers.entry(blob).or_default();
        let is_same =
            |offer: &Offer| matches!(offer, Offer::Cache(other, _) if Arc::ptr_eq(other, cache));
        if !offers.iter().any(is_same) {
            offers.push(Offer::Cache(Arc::clone(cache), Arc::new(layer.clone())));
        }
    }

    /// True for a blob that nobody gave in this build: a record that needs it is of no use.
    pub(crate) fn is_lost(&self, blob: &Digest) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lost.contains(blob)
    }

    /// The blob of a layer of an image that this build has pinned, by what it holds.
    pub(crate) fn base(&self, diff_id: &Digest) -> Option<Descriptor> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.bases.get(diff_id).cloned()
    }

    /// Sees to it that every layer has a directory or a blob here, and that what was done by their
    /// listings was right.
    pub(crate) async fn ensure_usable(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        self.fetch_usable(snapshot).await?;
        self.prove(snapshot).await
    }

    /// Sees to it that every layer has a directory or a blob here.
    pub(crate) async fn fetch_usable(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        self.check(snapshot)?;
        self.ensure_layers(snapshot.layers().to_vec()).await
    }

    /// The same for some layers.
    pub(crate) async fn ensure_layers(&self, layers: Vec<Layer>) -> Result<(), FetchError> {
        let unknown = self.unknown(&layers);
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

    /// Sees to it that the blob of every pulled layer is here, for an export; those layers excepted
    /// of which it has another form.
    pub(crate) async fn ensure_blobs(
        &self,
        snapshot: &Snapshot,
        excepted: &BTreeSet<Digest>,
    ) -> Result<(), FetchError> {
        let is_needed = |layer: &&Layer| {
            // What was done by the listing of a layer is compared with the layer itself.
            let is_other = |id| !excepted.contains(&id) || layer.is_unproven();
            is_pulled(layer) && layer.diff_id().is_none_or(is_other)
        };
        let pulled = snapshot.layers().iter().filter(is_needed);
        self.fetch(pulled.cloned().collect()).await?;
        self.prove(snapshot).await
    }

    /// Sees to it that the blobs of those pulled layers are here that are no layers of images, which
    /// everybody has.
    pub(crate) async fn ensure_own(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        let layers = snapshot.layers().iter();
        let own = layers.filter(|layer| self.is_imported(layer));
        self.fetch(own.cloned().collect()).await?;
        self.prove(snapshot).await
    }

    /// True for a layer that came as a blob, and not from an image of this build.
    pub(crate) fn is_imported(&self, layer: &Layer) -> bool {
        let diff_id = layer.diff_id();
        is_pulled(layer) && diff_id.is_none_or(|diff_id| self.base(&diff_id).is_none())
    }

    /// The repositories of the images that have this blob.
    pub(crate) fn repositories(&self, blob: &Digest) -> Vec<Repository> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let offers = state.offers.get(blob).into_iter().flatten();
        let images = offers.filter_map(|offer| match offer {
            Offer::Image(image, _) => image.reference(),
            Offer::Cache(..) => None,
        });
        images.map(|image| Repository::from(&image)).collect()
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
                state.listed.remove(&layer.id());
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

    /// The pulled layers of a snapshot that were not found listed yet.
    pub(crate) fn unlisted(&self, snapshot: &Snapshot) -> Vec<Layer> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pulled = snapshot.layers().iter().filter(|layer| is_pulled(layer));
        pulled
            .filter(|layer| !state.listed.contains(&layer.id()))
            .cloned()
            .collect()
    }

    pub(crate) fn note_listed(&self, snapshot: &Snapshot) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pulled = snapshot.layers().iter().filter(|layer| is_pulled(layer));
        state.listed.extend(pulled.map(Layer::id));
    }

    fn unknown(&self, layers: &[Layer]) -> Vec<Layer> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let pulled = layers.iter().filter(|layer| is_pulled(layer));
        pulled
            .filter(|layer| !state.ready.contains(&layer.id()))
            .cloned()
            .collect()
    }

    /// Brings the blobs of layers from wherever they can be had.
    pub(crate) async fn fetch(&self, layers: Vec<Layer>) -> Result<(), FetchError> {
        let mut fetching = JoinSet::new();
        for layer in layers {
            let Some(sealed) = layer.sealed() else {
                continue;
            };
            let digest = sealed.blob.digest;
            let offers = {
                let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.offers.get(&digest).cloned().unwrap_or_default()
            };
            if offers.is_empty() {
                if self.store.blobs().has(&digest)?.is_none() {
                    return Err(FetchError::Lost(layer.id()));
                }
                continue;
            }
            let (puller, pulls) = (Arc::clone(&self.puller), Arc::clone(&self.pulls));
            fetching.spawn(async move {
                let taken = take(&puller, &pulls, &offers, layer.id()).await;
                (digest, taken)
            });
        }
        let mut outcome = Ok(());
        while let Some(joined) = fetching.join_next().await {
            let Ok((digest, taken)) = joined else {
                continue;
            };
            if matches!(taken, Err(FetchError::Lost(_))) {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.lost.insert(digest);
            }
            outcome = outcome.and(taken);
        }
        outcome
    }
}

/// Fetches a blob from the first that gives it.
///
/// A fault of an image is an error; what a cache does not give is lost, and made again.
async fn take(
    puller: &Puller,
    pulls: &Pulls,
    offers: &[Offer],
    id: LayerId,
) -> Result<(), FetchError> {
    let mut fault = None;
    for offer in offers {
        match offer {
            Offer::Image(image, idx) => match pull(puller, pulls, image, *idx).await {
                Ok(()) => return Ok(()),
                Err(error) => fault = Some(FetchError::Image(error)),
            },
            Offer::Cache(cache, layer) => match cache.fetch(layer).await {
                Ok(_) => return Ok(()),
                Err(Lost::Local(error)) => fault = fault.or(Some(FetchError::Write(error))),
                Err(lost) => {
                    tracing::debug!(layer = %layer.diff_id, %lost, "a cache does not give a layer");
                }
            },
        }
    }
    Err(fault.unwrap_or(FetchError::Lost(id)))
}

/// Fetches a layer of an image, of which the step that takes the image tells.
async fn pull(
    puller: &Puller,
    pulls: &Pulls,
    image: &ResolvedImage,
    idx: usize,
) -> Result<(), ImageError> {
    let Some(pull) = pulls.layer(&image.manifest_digest) else {
        let silent: Arc<dyn Progress> = Arc::new(NoProgress);
        return puller.fetch_layer(image, idx, &silent).await.map(drop);
    };
    let progress: Arc<dyn Progress> = Arc::<Pull>::clone(&pull);
    let fetched = puller.fetch_layer(image, idx, &progress).await;
    pull.end(match &fetched {
        Ok(_) => VertexOutcome::Done,
        Err(error) => VertexOutcome::Failed(words(error)),
    });
    fetched.map(drop)
}

/// Layers made here have their own directory; those known by ChainID came as a blob.
pub(crate) fn is_pulled(layer: &Layer) -> bool {
    matches!(layer.id(), LayerId::Chain(_))
}
