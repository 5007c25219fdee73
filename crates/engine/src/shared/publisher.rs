//! Gives results to caches while the build goes on.

use super::lease::Lease;
use super::source::{SourceError, layer_source, listing_source};
use super::wanted::wanted;
use super::{Export, content_key};
use crate::CachePlace;
use crate::blobs::Blobs;
use crate::output::{Files, Output};
use crate::shared::content;
use crate::sight::SightError;
use acetate_cache::remote::{
    Attest, Existing, LayerSource, ListingSource, Publication, Published, Skip,
};
use acetate_cache::{CacheKey, Fidelity, OpHistory, Past, PastInput, SharedCache};
use acetate_graph::{BuildGraph, VertexId, op_key};
use acetate_image::ResolvedImage;
use acetate_oci::{Descriptor, Digest, Timestamp, chain_id};
use acetate_snapshot::{Layer, Snapshot, SnapshotError, Snapshots};
use acetate_stdx::OnceMap;
use acetate_store::{LayerId, Store};
use futures_util::future;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Publishes the results of one build, in tasks of their own: no step waits for it.
///
/// Sealing, hashing and sending are bounded by what does them, not by the number of tasks, which
/// hold nothing but names.
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    tasks: Mutex<JoinSet<()>>,
}

struct Shared {
    graph: Arc<BuildGraph>,
    store: Arc<Store>,
    snapshots: Snapshots,
    blobs: Arc<Blobs>,
    exports: Vec<Wanting>,
    /// The layers of pinned images, by what they hold.
    bases: HashMap<Digest, Descriptor>,
    /// The listings of layers that were told of.
    listings: Mutex<HashMap<LayerId, ListingSource>>,
    n_pending: AtomicUsize,
    /// Results that are not sealed yet, or not in the hands of the image.
    n_unprepared: watch::Sender<usize>,
    /// Layers that were sealed for a result, be it that it failed.
    sealed: OnceMap<LayerId, ()>,
    faults: Mutex<Vec<String>>,
}

struct Wanting {
    export: Export,
    /// By vertex.
    wants: Vec<bool>,
    /// The layers of results that the cache has, as far as this build knows.
    given: Mutex<HashSet<Digest>>,
}

impl Wanting {
    /// True for a result that the flag wants to be shared.
    fn is_for(&self, made: &Made) -> bool {
        self.wants.get(made.vertex.idx()).copied().unwrap_or(false)
            && Duration::from_millis(made.duration_ms) >= self.export.spec.min_cost
    }

    /// True for a result that came from this very cache.
    fn gave(&self, made: &Made) -> bool {
        match &made.reach {
            Reach::From(cache, _) => Arc::ptr_eq(cache, &self.export.opened.cache),
            Reach::Ran | Reach::Anew | Reach::Local => false,
        }
    }

    fn note_given(&self, layers: impl Iterator<Item = Digest>) {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.extend(layers);
    }
}

/// A result to be given to caches.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) vertex: VertexId,
    pub(crate) files: Files,
    /// What it was made of; none when it was found under its definition key.
    pub(crate) inputs: Option<Vec<Output>>,
    pub(crate) duration_ms: u64,
    pub(crate) reach: Reach,
    /// Ended once the result is there for others.
    pub(crate) lease: Option<Lease>,
}

/// Where a result came from, which decides who lacks it and what it may replace.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// A step ran.
    Ran,
    /// A step ran, and what was recorded of it before is not wanted any more.
    Anew,
    /// It was here.
    Local,
    /// It came from this cache, signed in this envelope or unsigned.
    From(Arc<dyn SharedCache>, Option<Arc<[u8]>>),
}

impl Reach {
    /// Who vouches for the result: this build for what ran in it, and for nothing else. What was
    /// here may have come from anywhere.
    fn attest(&self) -> Attest {
        match self {
            Self::Ran | Self::Anew => Attest::Own,
            Self::Local => Attest::No,
            Self::From(_, envelope) => Attest::Forward(envelope.iter().cloned().collect()),
        }
    }
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Publisher")
    }
}

impl Publisher {
    pub(crate) fn new<'a>(
        graph: &Arc<BuildGraph>,
        store: &Arc<Store>,
        snapshots: &Snapshots,
        blobs: &Arc<Blobs>,
        exports: &[Export],
        images: impl Iterator<Item = &'a Arc<ResolvedImage>>,
    ) -> Self {
        let exports = exports.iter().map(|export| Wanting {
            wants: wanted(graph, &export.spec),
            export: export.clone(),
            given: Mutex::default(),
        });
        let layers = images.flat_map(|image| image.diff_ids().iter().zip(image.layers()));
        let shared = Shared {
            graph: Arc::clone(graph),
            store: Arc::clone(store),
            snapshots: snapshots.clone(),
            blobs: Arc::clone(blobs),
            exports: exports.collect(),
            bases: layers.map(|(id, blob)| (*id, blob.clone())).collect(),
            listings: Mutex::default(),
            n_pending: AtomicUsize::new(0),
            n_unprepared: watch::Sender::new(0),
            sealed: OnceMap::new(),
            faults: Mutex::default(),
        };
        Self {
            shared: Arc::new(shared),
            tasks: Mutex::default(),
        }
    }

    /// True when some cache is given results.
    pub(crate) fn is_active(&self) -> bool {
        !self.shared.exports.is_empty()
    }

    /// True when a cache wants the results of steps that this build does not need, too.
    pub(crate) fn wants(&self, vertex: VertexId) -> bool {
        let mut exports = self.shared.exports.iter();
        exports.any(|one| one.wants.get(vertex.idx()).copied().unwrap_or(false))
    }

    /// True when the cache with this index has a result that the flag wants shared and that this layer
    /// is in.
    pub(crate) fn has_given(&self, export: usize, layer: &Digest) -> bool {
        let export = self.shared.exports.get(export);
        export.is_some_and(|one| {
            let given = one.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.contains(layer)
        })
    }

    /// Gives a result to whoever wants it; returns at once.
    pub(crate) fn offer(&self, mut made: Made) {
        self.shared.note_known(&made);
        let takers = self.shared.takers(&made);
        if takers.is_empty() && made.lease.is_none() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        shared.n_pending.fetch_add(1, Ordering::Relaxed);
        shared.n_unprepared.send_modify(|n| *n += 1);
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let mut lease = made.lease.take();
            if let Some(lease) = &mut lease {
                lease.flush().await;
            }
            let publication = if takers.is_empty() {
                None
            } else {
                shared.prepare(made, &takers).await
            };
            shared.n_unprepared.send_modify(|n| *n -= 1);
            if let Some(publication) = publication {
                shared.publish(&publication, takers).await;
            }
            if let Some(lease) = lease {
                lease.end().await;
            }
            shared.n_pending.fetch_sub(1, Ordering::Relaxed);
        });
    }

    /// Waits until all results so far are sealed, and the image has been told of them, at most so
    /// long.
    pub(crate) async fn prepared(&self, patience: Duration) {
        let mut n_unprepared = self.shared.n_unprepared.subscribe();
        let all = n_unprepared.wait_for(|n| *n == 0);
        if tokio::time::timeout(patience, all).await.is_err() {
            tracing::debug!("some results are not told of in the image");
        }
    }

    /// Waits until all is given, at most so long; returns how many results were not.
    pub(crate) async fn drain(&self, patience: Duration) -> usize {
        let mut tasks = {
            let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        let all = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, all).await.is_ok() {
            return 0;
        }
        let n_left = self.shared.n_pending.load(Ordering::Relaxed);
        tasks.shutdown().await;
        n_left
    }

    /// Notes that a cache did not take something, where that is an error of the build.
    pub(crate) fn note_fault(&self, export: &Export, what: &str, skip: &Skip) {
        self.shared.note_fault(export, what, skip);
    }

    /// What went wrong with caches whose faults are errors of the build.
    pub(crate) fn faults(&self) -> Vec<String> {
        let faults = self.shared.faults.lock();
        faults.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Shared {
    /// Notes of which layers a cache has a result already, since that came from there.
    fn note_known(&self, made: &Made) {
        for one in self.exports.iter().filter(|one| one.is_for(made)) {
            if one.gave(made) {
                let layers = made.files.snapshot.layers().iter();
                one.note_given(layers.filter_map(Layer::diff_id));
            }
        }
    }

    /// The exports that a result is for.
    fn takers(&self, made: &Made) -> Vec<usize> {
        let is_for = |one: &Wanting| {
            one.is_for(made)
                // What was found under a content key is new under this definition key.
                && (!one.gave(made) || made.inputs.is_some())
        };
        let exports = self.exports.iter().enumerate();
        exports
            .filter(|(_, one)| is_for(one))
            .map(|(n, _)| n)
            .collect()
    }

    /// Seals a result, and tells the image of it; none when that cannot be done.
    async fn prepare(self: &Arc<Self>, made: Made, takers: &[usize]) -> Option<Publication> {
        if let Err(error) = self.blobs.ensure_own(&made.files.snapshot).await {
            tracing::debug!(%error, "a result is not shared: a layer of it is not here");
            return None;
        }
        // A signed record is given on as it came only with the listings that it names.
        let listed = self.blobs.list_offered(&made.files.snapshot).await;
        if let Err(error) = listed {
            tracing::debug!(%error, "a result is shared without listings of caches");
        }
        self.seal_apart(&made).await;
        let shared = Arc::clone(self);
        let snapshot = made.files.snapshot.clone();
        let prepared = acetate_stdx::offload(move || shared.publication(&made)).await;
        // In sealing digests may have been taken from listings of others.
        if let Err(error) = self.blobs.prove(&snapshot).await {
            tracing::debug!(%error, "a result is not shared: it is to be made again");
            return None;
        }
        let publication = match prepared {
            Ok(publication) => publication,
            Err(error) => {
                tracing::debug!(%error, "a result is not shared: it cannot be sealed");
                return None;
            }
        };
        for export in takers.iter().map(|n| &self.exports[*n].export) {
            if matches!(export.spec.place, CachePlace::Inline) {
                export.opened.cache.publish(&publication).await;
            }
        }
        Some(publication)
    }

    /// Seals what the result consists of, and what it was made of, one layer to a thread: whoever
    /// needs a layer that is being sealed waits here, and not on a thread that others could use.
    async fn seal_apart(&self, made: &Made) {
        let inputs = made
            .inputs
            .iter()
            .flatten()
            .filter_map(|input| match input {
                Output::Files(files) => Some(&files.snapshot),
                Output::Selected(_) => None,
            });
        let snapshots = inputs.chain(std::iter::once(&made.files.snapshot));
        let layers = snapshots.flat_map(Snapshot::layers);
        let layers = layers.filter(|layer| layer.sealed().is_none());
        let sealed = layers.map(|layer| async {
            let (snapshots, id, layer) = (self.snapshots.clone(), layer.id(), layer.clone());
            // Who asks for it next is told of a fault.
            let seal = async || drop(acetate_stdx::offload(move || snapshots.seal(&layer)).await);
            self.sealed.get_or_init(&id, seal).await;
        });
        let sealed: Vec<_> = sealed.collect();
        future::join_all(sealed).await;
    }

    async fn publish(&self, publication: &Publication, takers: Vec<usize>) {
        for n in takers {
            let export = &self.exports[n].export;
            if matches!(export.spec.place, CachePlace::Inline) {
                continue;
            }
            match export.opened.cache.publish(publication).await {
                Published::Done(_) => {
                    let layers = publication.layers.iter();
                    self.exports[n].note_given(layers.map(|layer| layer.diff_id));
                }
                Published::Skipped(skip) => self.note_fault(export, "a result", &skip),
            }
        }
    }

    fn note_fault(&self, export: &Export, what: &str, skip: &Skip) {
        if export.spec.ignore_error {
            return;
        }
        let name = export.opened.cache.name();
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.push(format!("{what} was not given to {name}: {skip:?}"));
    }

    fn publication(&self, made: &Made) -> Result<Publication, PublishError> {
        let vertex = self.graph.vertex(made.vertex);
        let key = self.graph.key(made.vertex);
        let mut keys = vec![CacheKey::definition(&key, 0)];
        let mut made_of = Vec::new();
        if let Some(inputs) = &made.inputs {
            let content = content_key(&self.snapshots, vertex, inputs)?;
            keys.extend(content.map(|key| CacheKey::content(&key, 0)));
            for input in inputs {
                made_of.push(match input {
                    Output::Files(files) => self.identity(&files.snapshot)?,
                    Output::Selected(selected) => selected.digest,
                });
            }
        } else {
            made_of = self.made_of(made)?;
        }
        keys.push(CacheKey::hint(&op_key(&vertex.op)));
        Ok(Publication {
            keys,
            layers: self.layers(&made.files)?,
            duration_ms: made.duration_ms,
            fidelity: Fidelity::Full,
            made_of,
            existing: match made.reach {
                Reach::Anew => Existing::Replace,
                Reach::Ran | Reach::Local | Reach::From(..) => Existing::Keep,
            },
            attest: made.reach.attest(),
        })
    }

    /// What a result was made of that was recorded here earlier; empty when nobody knows.
    fn made_of(&self, made: &Made) -> Result<Vec<Digest>, PublishError> {
        let vertex = self.graph.vertex(made.vertex);
        let key = *self.graph.key(made.vertex).digest();
        let history = OpHistory::new(Arc::clone(&self.store));
        let pasts = history
            .find(&[op_key(&vertex.op)])
            .pop()
            .unwrap_or_default();
        let top = made.files.snapshot.ids().last().copied();
        let is_it = |past: &Past| past.definition == key && past.result == top;
        let Some(past) = pasts.decode().into_iter().find(is_it) else {
            return Ok(Vec::new());
        };
        let mut made_of = Vec::with_capacity(past.inputs.len());
        for input in past.inputs {
            made_of.push(match input {
                PastInput::Selection(digest) => digest,
                PastInput::Chain(ids) => match self.snapshots.from_layers(&ids)? {
                    Some(snapshot) => self.identity(&snapshot)?,
                    // What is gone has no name any more.
                    None => return Ok(Vec::new()),
                },
            });
        }
        Ok(made_of)
    }

    /// The name of a result by what it holds; that of nothing is the digest of nothing.
    fn identity(&self, snapshot: &Snapshot) -> Result<Digest, PublishError> {
        let chain = content::chain(&self.snapshots, snapshot)?;
        Ok(chain_id(&chain).unwrap_or_else(|| Digest::of(b"")))
    }

    /// What a layer lists, where that is known; listings are encoded once to learn their digest.
    fn listing(&self, layer: &Layer) -> Result<Option<ListingSource>, PublishError> {
        let listings = || self.listings.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = listings().get(&layer.id()) {
            return Ok(Some(known.clone()));
        }
        let source = listing_source(&self.snapshots, layer)?;
        if let Some(source) = &source {
            listings().insert(layer.id(), source.clone());
        }
        Ok(source)
    }

    fn layers(&self, files: &Files) -> Result<Vec<LayerSource>, PublishError> {
        let layers = files.snapshot.layers().iter().zip(files.created.iter());
        let source = |(layer, created): (&Layer, &Timestamp)| {
            let sealed = self.snapshots.seal(layer)?;
            let base = self.bases.get(&sealed.diff_id).cloned();
            Ok(LayerSource {
                listing: self.listing(layer)?,
                ..layer_source(&self.store, &sealed, *created, base)?
            })
        };
        layers.map(source).collect()
    }
}

/// Why a result cannot be given to anybody.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Sight(#[from] SightError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Source(#[from] SourceError),
}
