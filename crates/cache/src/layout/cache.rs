//! [`LayoutCache`]: the directory as a cache of a build.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acetate_image::{Force, Recipe};
use acetate_oci::{Compression, Descriptor, Digest};
use acetate_stdx::OnceMap;
use acetate_stdx::lock::FileLock;
use acetate_store::{BlobRef, Store};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::{OnceCell, Semaphore};

use super::catalog::Catalog;
use super::dir::LayoutDir;
use super::load::{Absent, load};
use super::notes::{Notes, cause};
use crate::remote::{
    Cause, Chunk, Lost, Publication, Published, RemoteHit, RemoteLayer, RemoteRecord,
};
use crate::{CacheKey, CacheReport, Fidelity, SharedCache};

/// The largest tar of a layer that is fetched or published, in bytes.
pub(super) const MAX_LAYER: u64 = 64 << 30;

/// Where records are in a layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayoutPlace {
    /// The directory.
    pub dir: PathBuf,
    /// The tag in its index.
    pub tag: String,
    /// The manifest, where it is not the one that the tag names; it is only read.
    pub digest: Option<Digest>,
}

impl LayoutPlace {
    /// The usual tag, `latest`, of a directory.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            tag: "latest".to_owned(),
            digest: None,
        }
    }
}

/// Whether it is worth a warning that there is nothing at the place yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Somebody meant something that is there.
    #[default]
    Warned,
    /// This build, or the one before it, is to make it.
    Expected,
}

/// What becomes of records and blobs that this build does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reset {
    /// They stay.
    #[default]
    Keep,
    /// The tag then holds the results of this build only, and blobs that nothing names are removed.
    Drop,
}

/// How a layout is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayoutOptions {
    /// How layers are compressed.
    pub recipe: Recipe,
    /// Which layers are compressed anew.
    pub force: Force,
    /// What becomes of what is there.
    pub reset: Reset,
}

impl Default for LayoutOptions {
    fn default() -> Self {
        Self {
            recipe: Recipe::new(Compression::Gzip),
            force: Force::Plain,
            reset: Reset::Keep,
        }
    }
}

/// A cache in a directory that is an OCI layout.
///
/// One value may be asked and written to in one build. Blobs are written while the build runs,
/// the records of all publications by [`SharedCache::close`].
#[derive(Clone)]
pub struct LayoutCache(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) dir: LayoutDir,
    pub(super) place: LayoutPlace,
    pub(super) missing: Missing,
    pub(super) options: Option<LayoutOptions>,
    pub(super) store: Arc<Store>,
    pub(super) loaded: OnceCell<Loaded>,
    pub(super) notes: Notes,
    /// The forms of layers that are in the directory, by the digests of their tars: each was looked
    /// at, or written, by this value.
    pub(super) placed: OnceMap<Digest, Descriptor>,
    pub(super) state: Mutex<State>,
    /// Unpacking is work of the CPU.
    pub(super) slots: Semaphore,
}

/// What the layout held when it was first looked at.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) catalog: Arc<Catalog>,
    /// The records there are not ours to replace.
    pub(super) is_newer: bool,
}

/// What this build gives.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Records that were published, those that were there already among them.
    pub(super) ours: Catalog,
    /// Keys whose record is replaced, whoever wrote it.
    pub(super) replaces: BTreeSet<CacheKey>,
    /// What listings consist of that were written, by the digest of the whole.
    pub(super) listings: BTreeMap<Digest, Vec<Chunk>>,
    /// Whether there is anything to write.
    pub(super) has_news: bool,
    /// Keeps others from removing what no index names yet.
    pub(super) blobs: Option<FileLock>,
    /// Why nothing is written any more.
    pub(super) stopped: Option<Cause>,
}

impl LayoutCache {
    /// A cache that is only read; `missing` says whether its absence is worth a warning.
    pub fn reader(place: LayoutPlace, missing: Missing, store: Arc<Store>) -> Self {
        Self::new(place, missing, None, store)
    }

    /// A cache that is written, and made when it is not there; it can be read as well.
    pub fn writer(place: LayoutPlace, options: LayoutOptions, store: Arc<Store>) -> Self {
        Self::new(place, Missing::Expected, Some(options), store)
    }

    fn new(
        place: LayoutPlace,
        missing: Missing,
        options: Option<LayoutOptions>,
        store: Arc<Store>,
    ) -> Self {
        let n_slots = std::thread::available_parallelism().map_or(2, usize::from);
        Self(Arc::new(Inner {
            dir: LayoutDir::new(&place.dir),
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

    /// What was in the layout when it was first asked for.
    pub(super) async fn loaded(&self) -> Loaded {
        let load = || {
            let inner = Arc::clone(&self.0);
            acetate_stdx::blocking(move || inner.load())
        };
        self.0.loaded.get_or_init(load).await.clone()
    }

    async fn find(&self, keys: &[CacheKey]) -> Vec<Option<RemoteHit>> {
        let loaded = self.loaded().await;
        let state = self.0.state();
        let find = |key: &CacheKey| state.ours.get(key).or_else(|| loaded.catalog.get(key));
        let found: Vec<Option<RemoteRecord>> = keys.iter().map(find).collect();
        drop(state);
        let hits = found.into_iter().map(|record| self.0.judge(record));
        hits.collect()
    }
}

impl Inner {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self) -> Loaded {
        let loaded = load(&self.dir, &self.place.tag, self.place.digest.as_ref());
        let absent = match loaded {
            Ok(catalog) => {
                return Loaded {
                    catalog: Arc::new(catalog),
                    is_newer: false,
                };
            }
            Err(absent) => absent,
        };
        self.explain(&absent);
        Loaded {
            catalog: Arc::default(),
            is_newer: matches!(absent, Absent::Newer(_)),
        }
    }

    /// Warns of what is not there, where that is not as it should be.
    fn explain(&self, absent: &Absent) {
        let (cause, help) = match absent {
            Absent::Directory | Absent::Entry(_) if self.missing == Missing::Expected => return,
            // Whoever writes replaces what others keep under the tag, as they do.
            Absent::Foreign(_) if self.options.is_some() => return,
            // An empty directory may become a layout.
            Absent::Other if self.missing == Missing::Expected && !self.dir.has_files() => return,
            Absent::Other => (Cause::Failing, "name another directory"),
            Absent::Directory | Absent::Entry(_) => {
                (Cause::Unreachable, "check `src=`, `tag=` and `digest=`")
            }
            Absent::Foreign(_) => (Cause::Damaged, "name a tag that acetate wrote"),
            Absent::Newer(_) => (Cause::Damaged, "use a newer acetate, or another tag"),
            Absent::Damaged(_) => (Cause::Damaged, "the next export makes it anew"),
            Absent::Io(error) => (cause(error), "check its owner and mode"),
        };
        self.notes.warn(cause, || {
            let dir = self.dir.path().display();
            format!("nothing comes from the cache in `{dir}`: {absent}; {help}")
        });
    }

    /// Takes a record, unless a weaker sandbox made its result.
    fn judge(&self, record: Option<RemoteRecord>) -> Option<RemoteHit> {
        self.notes.count(|stats| match &record {
            Some(record) if record.fidelity == Fidelity::Full => {
                stats.hits += 1;
                stats.saved_ms += record.duration_ms;
            }
            Some(_) => stats.reduced += 1,
            None => stats.misses += 1,
        });
        let record = record.filter(|record| record.fidelity == Fidelity::Full)?;
        Some(RemoteHit {
            signer: None,
            envelope: None,
            record,
            namespace: None,
        })
    }

    /// The directory under its one name, by which facts about it are remembered.
    pub(super) fn real_path(&self) -> PathBuf {
        let path = self.dir.path();
        std::fs::canonicalize(path).unwrap_or_else(|_| Path::to_owned(path))
    }
}

impl SharedCache for LayoutCache {
    fn name(&self) -> String {
        let place = &self.0.place;
        let end = match &place.digest {
            Some(digest) => format!("@{digest}"),
            None => format!(":{}", place.tag),
        };
        format!("local:{}{end}", place.dir.display())
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

impl fmt::Debug for LayoutCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayoutCache")
            .field("place", &self.0.place)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}
