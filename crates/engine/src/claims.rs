//! Listings of caches: what a build does by them, and whether it turned out to be right.

use crate::blobs::{Blobs, FetchError};
use crate::output::Output;
use acetate_cache::SharedCache;
use acetate_cache::remote::{Lost, RemoteLayer};
use acetate_snapshot::{Layer, Listing, Snapshot, Snapshots};
use acetate_store::{LayerId, Object};
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::JoinSet;

/// The claims of caches about layers, and what was made by them.
#[derive(Default)]
pub(crate) struct Claims {
    state: Mutex<State>,
}

/// A cache that can list a layer, and what it says of it.
type Offer = (Arc<dyn SharedCache>, Arc<RemoteLayer>);

#[derive(Default)]
struct State {
    /// Who can list a layer, best first.
    offers: HashMap<LayerId, Vec<Offer>>,
    /// By the layer that a step made, those below it, or beside it, that were merely claimed.
    made_by: HashMap<LayerId, Vec<Layer>>,
    /// Who listed a layer that was claimed.
    sources: HashMap<LayerId, String>,
}

impl Claims {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers that a cache can list a layer.
    pub(crate) fn offer(&self, id: LayerId, cache: &Arc<dyn SharedCache>, layer: &RemoteLayer) {
        if !layer.listing.is_empty() {
            let mut state = self.state();
            let offers = state.offers.entry(id).or_default();
            if !offers.iter().any(|(other, _)| Arc::ptr_eq(other, cache)) {
                offers.push((Arc::clone(cache), Arc::new(layer.clone())));
            }
        }
    }

    /// True when a cache can list a layer.
    pub(crate) fn is_offered(&self, layer: &Layer) -> bool {
        self.state().offers.contains_key(&layer.id())
    }

    /// Notes what was made while these layers were merely claimed.
    pub(crate) fn note_made(&self, made: &Snapshot, claimed: Vec<Layer>) {
        if let Some(top) = made.layers().last().filter(|_| !claimed.is_empty()) {
            self.state().made_by.insert(top.id(), claimed);
        }
    }

    /// A layer of the snapshot that was made by a listing which is not true: it is to be made again.
    pub(crate) fn spoilt(&self, snapshot: &Snapshot) -> Option<LayerId> {
        let state = self.state();
        let is_spoilt = |id: &LayerId| {
            let below = state.made_by.get(id);
            below.is_some_and(|below| below.iter().any(Layer::is_refuted))
        };
        snapshot.layers().iter().map(Layer::id).find(is_spoilt)
    }

    /// True when something that the snapshot was made by has not been compared yet.
    pub(crate) fn is_unproven(&self, snapshot: &Snapshot) -> bool {
        let state = self.state();
        let made_by = snapshot
            .layers()
            .iter()
            .filter_map(|layer| state.made_by.get(&layer.id()));
        made_by
            .flatten()
            .any(|layer| layer.is_unproven() || layer.is_refuted())
    }

    /// By the name of a cache, how many layers it listed otherwise than they are.
    pub(crate) fn refuted(&self) -> BTreeMap<String, u64> {
        let state = self.state();
        let mut refuted: BTreeMap<LayerId, &Layer> = BTreeMap::new();
        for layer in state
            .made_by
            .values()
            .flatten()
            .filter(|it| it.is_refuted())
        {
            refuted.insert(layer.id(), layer);
        }
        let mut counts = BTreeMap::new();
        for source in refuted.keys().filter_map(|id| state.sources.get(id)) {
            *counts.entry(source.clone()).or_default() += 1;
        }
        counts
    }

    /// Asks for the listings of layers, of all at once, and gives those layers that nobody lists.
    pub(crate) async fn ask(&self, snapshots: &Snapshots, layers: Vec<Layer>) -> Vec<Layer> {
        let mut asking = JoinSet::new();
        for layer in layers {
            let offers = self.state().offers.get(&layer.id()).cloned();
            asking.spawn(async move {
                let listed = list(&offers.unwrap_or_default()).await;
                (layer, listed)
            });
        }
        let mut unlisted = Vec::new();
        while let Some(joined) = asking.join_next().await {
            match joined {
                Ok((layer, Some((listing, source)))) => {
                    self.state().sources.insert(layer.id(), source);
                    snapshots.claim(&layer, listing);
                }
                Ok((layer, None)) => unlisted.push(layer),
                Err(error) => tracing::debug!(%error, "a listing was not asked for to the end"),
            }
        }
        unlisted
    }
}

/// The layers of inputs that are merely claimed, to be looked at before anything is made of them: a
/// claim may be refuted meanwhile.
pub(crate) fn claimed(inputs: &[Output]) -> Vec<Layer> {
    let mut claimed = Vec::new();
    for input in inputs {
        let snapshot = input.files().snapshot;
        let layers = snapshot.layers().iter();
        claimed.extend(layers.filter(|layer| layer.is_claimed()).cloned());
    }
    claimed
}

/// Reads a listing from the first cache that gives it; also the name of that one.
async fn list(offers: &[Offer]) -> Option<(Listing, String)> {
    for (cache, layer) in offers {
        let bytes = match cache.listing(layer).await {
            Ok(bytes) => bytes,
            Err(lost) => {
                tell(layer, &lost);
                continue;
            }
        };
        let decoded = acetate_stdx::offload(move || Listing::decode(&bytes)).await;
        match decoded {
            Ok(listing) if listing.is_digested() => return Some((listing, cache.name())),
            Ok(_) => tracing::debug!(layer = %layer.diff_id, "a listing lacks digests"),
            Err(error) => {
                tracing::debug!(layer = %layer.diff_id, %error, "a listing cannot be read");
            }
        }
    }
    None
}

fn tell(layer: &RemoteLayer, lost: &Lost) {
    tracing::debug!(layer = %layer.diff_id, %lost, "a cache does not list a layer");
}

impl Blobs {
    /// Sees to it that every layer is listed: by what is here, by a cache, or else by its blob, which
    /// is fetched for that.
    pub(crate) async fn ensure_listed(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        self.check(snapshot)?;
        let unknown = self.unlisted(snapshot);
        if unknown.is_empty() {
            return Ok(());
        }
        let (snapshots, store) = (self.snapshots.clone(), Arc::clone(&self.store));
        let look = move || -> Result<Vec<Layer>, FetchError> {
            let ids: Vec<LayerId> = unknown.iter().map(Layer::id).collect();
            let pins: Vec<Object> = ids.iter().copied().map(Object::Layer).collect();
            store.live().pin(&pins)?;
            let dirs = store.layers().dirs(&ids)?;
            let mut unlisted = Vec::new();
            for (layer, dir) in unknown.into_iter().zip(dirs) {
                // A directory has its listing beside it, which is read by whoever wants it.
                if dir.is_none() && snapshots.known_listing(&layer)?.is_none() {
                    unlisted.push(layer);
                }
            }
            Ok(unlisted)
        };
        let unlisted = acetate_stdx::blocking(look).await?;
        let left = self.claims.ask(&self.snapshots, unlisted).await;
        self.ensure_layers(left).await?;
        self.note_listed(snapshot);
        Ok(())
    }

    /// Asks for the listings of those layers that caches offer to list and nobody here has listed.
    pub(crate) async fn list_offered(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        let mut unlisted = Vec::new();
        for layer in self.unlisted(snapshot) {
            if self.claims.is_offered(&layer) && self.snapshots.known_listing(&layer)?.is_none() {
                unlisted.push(layer);
            }
        }
        if !unlisted.is_empty() {
            self.claims.ask(&self.snapshots, unlisted).await;
        }
        Ok(())
    }

    /// Says so when a snapshot was made by a listing that turned out to be another layer's.
    pub(crate) fn check(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        match self.claims.spoilt(snapshot) {
            Some(id) => Err(FetchError::Lost(id)),
            None => Ok(()),
        }
    }

    /// Makes directories of all layers, which compares the listings that were claimed with them.
    pub(crate) async fn ensure_trees(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        self.fetch_usable(snapshot).await?;
        if snapshot.layers().iter().any(Layer::is_claimed) {
            let (snapshots, chain) = (self.snapshots.clone(), snapshot.clone());
            acetate_stdx::blocking(move || snapshots.dirs(&chain)).await?;
        }
        self.check(snapshot)
    }

    /// Compares the listings that were used with the blobs that have come.
    pub(crate) async fn prove(&self, snapshot: &Snapshot) -> Result<(), FetchError> {
        if snapshot.layers().iter().any(Layer::is_unproven) {
            let (snapshots, chain) = (self.snapshots.clone(), snapshot.clone());
            acetate_stdx::blocking(move || snapshots.prove(&chain)).await?;
        }
        self.check(snapshot)
    }
}
