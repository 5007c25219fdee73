//! [`RegistryCache`]: a repository as a cache of a build.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use acetate_image::{Force, Recipe};
use acetate_oci::{Compression, Descriptor, Digest, Reference};
use acetate_registry::{Name, Registries, Repository};
use acetate_stdx::OnceMap;
use acetate_store::{BlobRef, Store};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, Semaphore};

use super::fault::{Unread, words};
use super::shelf::{Shelf, View};
use crate::layout::ledger::Ledger;
use crate::layout::load::Absent;
use crate::layout::notes::Notes;
use crate::layout::{Form, Missing};
use crate::remote::{
    Cause, Chunk, Lost, Publication, Published, RemoteHit, RemoteLayer, RemoteRecord,
};
use crate::{CacheKey, CacheReport, SharedCache};

/// How long the records are waited for before steps run without them.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where records are in a registry.
#[derive(Debug, Clone)]
pub struct RegistryPlace {
    /// How registries are spoken to.
    pub registries: Arc<Registries>,
    /// The repository and the tag; a digest is only read.
    pub reference: Reference,
}

/// How a repository is written.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// How layers are compressed.
    pub recipe: Recipe,
    /// Which layers are compressed anew.
    pub force: Force,
    /// What the tag leads to.
    pub form: Form,
    /// Repositories that may have layers already; those of other registries are passed over.
    pub mount_from: Vec<Repository>,
    /// How long writing the records may take when the build has ended.
    pub patience: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            recipe: Recipe::new(Compression::Gzip),
            force: Force::Plain,
            form: Form::Manifest,
            mount_from: Vec::new(),
            patience: Duration::from_secs(60),
        }
    }
}

/// A cache in a repository of a registry.
///
/// One value may be asked and written to in one build. Layers are sent while the build runs, the
/// records of all publications by [`SharedCache::close`].
#[derive(Clone)]
pub struct RegistryCache(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) shelf: Shelf,
    pub(super) place: RegistryPlace,
    pub(super) missing: Missing,
    pub(super) options: Option<RegistryOptions>,
    pub(super) store: Arc<Store>,
    pub(super) loaded: OnceCell<Loaded>,
    pub(super) notes: Notes,
    /// The forms of layers that are in the repository, by the digests of their tars: each was asked
    /// for, or sent, by this value.
    pub(super) placed: OnceMap<Digest, Descriptor>,
    pub(super) state: Mutex<State>,
    /// Unpacking and compressing are work of the CPU.
    pub(super) slots: Semaphore,
}

/// What the repository held when it was first looked at.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) view: Arc<View>,
    pub(super) owner: Owner,
}

/// Whose the tag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Ours to write.
    Us,
    /// A newer version's.
    Newer,
    /// Somebody's who keeps an image there.
    Image,
}

/// What this build gives.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The records.
    pub(super) ledger: Ledger,
    /// What listings consist of that were sent, by the digest of the whole; nothing where that failed.
    pub(super) listings: BTreeMap<Digest, Vec<Chunk>>,
    /// Why nothing is written any more.
    pub(super) stopped: Option<Cause>,
}

impl RegistryCache {
    /// A cache that is only read; `missing` says whether its absence is worth a warning.
    pub fn reader(place: RegistryPlace, missing: Missing, store: Arc<Store>) -> Self {
        Self::new(place, missing, None, store)
    }

    /// A cache that is written, and made when it is not there; it can be read as well.
    pub fn writer(place: RegistryPlace, options: RegistryOptions, store: Arc<Store>) -> Self {
        Self::new(place, Missing::Expected, Some(options), store)
    }

    fn new(
        place: RegistryPlace,
        missing: Missing,
        options: Option<RegistryOptions>,
        store: Arc<Store>,
    ) -> Self {
        let n_slots = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Inner {
            shelf: Shelf::new(&place),
            place,
            missing,
            options,
            store,
            loaded: OnceCell::new(),
            notes: Notes::default(),
            placed: OnceMap::new(),
            state: Mutex::default(),
            slots: Semaphore::new(n_slots),
        }))
    }

    /// True when the reference leads to an image, or to what else is no cache; asks the registry.
    pub async fn is_image(&self) -> bool {
        self.loaded().await.owner == Owner::Image
    }

    /// What was in the repository when it was first asked for.
    pub(super) async fn loaded(&self) -> Loaded {
        let load = || self.0.load();
        self.0.loaded.get_or_init(load).await.clone()
    }

    async fn find(&self, keys: &[CacheKey]) -> Vec<Option<RemoteHit>> {
        let loaded = self.loaded().await;
        let state = self.0.state();
        let find = |key: &CacheKey| {
            let ours = state.ledger.ours.get(key);
            ours.or_else(|| loaded.view.catalog.get(key))
        };
        let found: Vec<Option<RemoteRecord>> = keys.iter().map(find).collect();
        drop(state);
        let hits = found.into_iter().map(|record| self.0.notes.judge(record));
        hits.collect()
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn load(&self) -> Loaded {
        let read = tokio::time::timeout(PATIENCE, self.shelf.view(None)).await;
        let unread = match read.unwrap_or(Err(Unread::Late)) {
            Ok(mut view) => {
                if let Some(fault) = view.fault.take() {
                    self.explain(&Unread::Absent(fault));
                } else if view.is_empty() {
                    self.explain(&Unread::Absent(Absent::Entry(self.tag())));
                }
                return Loaded {
                    view: Arc::new(view),
                    owner: Owner::Us,
                };
            }
            Err(unread) => unread,
        };
        self.explain(&unread);
        Loaded {
            view: Arc::default(),
            owner: unread.owner(),
        }
    }

    /// Warns of what is not there, where that is not as it should be.
    fn explain(&self, unread: &Unread) {
        let is_expected = self.missing == Missing::Expected;
        let help = match unread {
            Unread::Absent(Absent::Directory | Absent::Entry(_)) if is_expected => return,
            // Whoever reads looks for records in the image, whoever writes is told when it does.
            Unread::Absent(Absent::Foreign(_)) => return,
            Unread::Absent(Absent::Newer(_)) => "use a newer acetate, or another tag",
            Unread::Absent(Absent::Damaged(_)) => "the next export makes it anew",
            Unread::Absent(_) => "check `ref=`",
            Unread::Registry(_) | Unread::Late => "the build goes on without it",
        };
        self.notes.warn(unread.cause(), || {
            format!(
                "nothing comes from the cache `{}`: {}; {help}",
                self.shown(),
                words(unread)
            )
        });
    }

    /// The reference as messages show it.
    pub(super) fn shown(&self) -> String {
        self.place.reference.to_string()
    }

    fn tag(&self) -> String {
        match self.shelf.name() {
            Name::Tag(tag) => format!("tag `{tag}`"),
            Name::Digest(digest) => format!("manifest `{digest}`"),
        }
    }
}

impl SharedCache for RegistryCache {
    fn name(&self) -> String {
        format!("registry:{}", self.0.shown())
    }

    fn lookup<'a>(&'a self, keys: &'a [CacheKey]) -> BoxFuture<'a, Vec<Option<RemoteHit>>> {
        self.find(keys).boxed()
    }

    fn fetch<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<BlobRef, Lost>> {
        self.fetch_into_store(layer).boxed()
    }

    fn listing<'a>(&'a self, layer: &'a RemoteLayer) -> BoxFuture<'a, Result<Vec<u8>, Lost>> {
        self.read_listing(layer).boxed()
    }

    fn publish<'a>(&'a self, publication: &'a Publication) -> BoxFuture<'a, Published> {
        self.give(publication).boxed()
    }

    fn close(&self) -> BoxFuture<'_, CacheReport> {
        async move {
            self.write_records().await;
            let (stats, warnings) = self.0.notes.take();
            CacheReport { stats, warnings }
        }
        .boxed()
    }
}

impl fmt::Debug for RegistryCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegistryCache")
            .field("reference", &self.0.place.reference)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
