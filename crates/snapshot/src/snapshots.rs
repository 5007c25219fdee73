//! [`Snapshots`]: makes layers and their forms, each only when it is needed.

use crate::active::{ActiveLayer, ActiveSnapshot};
use crate::driver::{self, Driver, DriverChoice};
use crate::error::SnapshotError;
use crate::layer::{DirForm, Layer, LayerState, Origin, Sealed, Snapshot};
use crate::listing::Listing;
use crate::merged::Merged;
use crate::scan::Limits;
use crate::view::View;
use crate::xattrs::OverlayXattrs;
use crate::{dirs, listings, seal};
use acetate_oci::{Descriptor, Digest, Timestamp};
use acetate_stdx::clock::{Clock, SystemClock};
use acetate_store::{BlobRef, LayerId, LayerRow, Object, Store};
use std::collections::HashMap;
use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

/// How snapshots are made.
#[derive(Clone, Debug)]
pub struct SnapshotOptions {
    /// Which driver prepares the roots of steps.
    pub driver: DriverChoice,
    /// Whose marks overlayfs uses: `User` inside a user namespace.
    pub overlay: OverlayXattrs,
    /// What a foreign layer may hold at most.
    pub limits: Limits,
    /// Tells when a layer was made.
    pub clock: Arc<dyn Clock>,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            driver: DriverChoice::Auto,
            overlay: OverlayXattrs::Trusted,
            limits: Limits::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// A layer that is known by its blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobLayer {
    /// The digest of the uncompressed tar.
    pub diff_id: Digest,
    /// The blob, compressed or not.
    pub blob: Descriptor,
}

/// The layers of one store. Cloning is cheap; every method may be called from any thread and
/// blocks while it works.
#[derive(Clone)]
pub struct Snapshots(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) store: Arc<Store>,
    pub(crate) options: SnapshotOptions,
    pub(crate) driver: OnceLock<Driver>,
    pub(crate) collapsed: dirs::Collapsed,
    layers: Mutex<HashMap<LayerId, Weak<LayerState>>>,
}

impl Snapshots {
    /// Opens the layers of a store with default options. Does no I/O.
    pub fn open(store: Arc<Store>, driver: DriverChoice) -> Self {
        Self::with_options(
            store,
            SnapshotOptions {
                driver,
                ..SnapshotOptions::default()
            },
        )
    }

    /// Opens the layers of a store. Does no I/O.
    pub fn with_options(store: Arc<Store>, options: SnapshotOptions) -> Self {
        Self(Arc::new(Inner {
            store,
            options,
            driver: OnceLock::new(),
            collapsed: dirs::Collapsed::default(),
            layers: Mutex::default(),
        }))
    }

    /// Returns the driver in use, trying overlayfs out in the store when nobody has in this boot.
    pub fn driver(&self) -> Result<Driver, SnapshotError> {
        if let Some(driver) = self.0.driver.get() {
            return Ok(*driver);
        }
        let driver = driver::choose(&self.0.store, &self.0.options)?;
        Ok(*self.0.driver.get_or_init(|| driver))
    }

    /// Makes a writable root over `base` for a step.
    ///
    /// Every layer below gets a directory form first, which may unpack blobs. Dropping the result
    /// leaves nothing.
    pub fn prepare(&self, base: &Snapshot) -> Result<ActiveSnapshot, SnapshotError> {
        ActiveSnapshot::prepare(self, base)
    }

    /// Makes an empty layer directory over `base` to be filled by file operations; nothing is
    /// mounted or unpacked. Dropping the result leaves nothing.
    pub fn prepare_layer(&self, base: &Snapshot) -> Result<ActiveLayer, SnapshotError> {
        ActiveLayer::prepare(self, base)
    }

    /// Names the chain of layers with these blobs, bottom first. Reads and fetches no blob; one
    /// question to the index.
    pub fn from_blobs(&self, blobs: &[BlobLayer]) -> Result<Snapshot, SnapshotError> {
        let mut chain: Option<Digest> = None;
        let mut ids = Vec::with_capacity(blobs.len());
        for blob in blobs {
            chain = Some(next_chain(chain, blob.diff_id));
            ids.extend(chain.map(LayerId::Chain));
        }
        let known = self.0.store.index().layers(&ids)?;
        let mut snapshot = Snapshot::scratch();
        for ((blob, id), known) in blobs.iter().zip(ids).zip(known) {
            if known.is_none_or(|row| row.blob.is_none()) {
                self.put_blob_row(id, &snapshot, blob);
            }
            let layer = self.intern(id, &snapshot, || Origin::Blob {
                diff_id: blob.diff_id,
                blob: Box::new(blob.blob.clone()),
            });
            snapshot = snapshot.push(layer);
        }
        Ok(snapshot)
    }

    /// Finds a recorded chain again: `None` when a layer of it is left in no form that can be used.
    ///
    /// What is found is pinned, so it stays. One question to the index and one look at the disk
    /// per form of a layer.
    pub fn from_layers(&self, ids: &[LayerId]) -> Result<Option<Snapshot>, SnapshotError> {
        let rows = self.0.store.index().layers(ids)?;
        let Some(rows) = rows.into_iter().collect::<Option<Vec<_>>>() else {
            return Ok(None);
        };
        let forms = self.pin_forms(&rows)?;
        let mut snapshot = Snapshot::scratch();
        let mut chain = None;
        for (row, forms) in rows.iter().zip(forms) {
            let is_bottom = snapshot.is_scratch();
            let Some((id, origin)) = origin_of(row, forms, (chain, is_bottom)) else {
                return Ok(None);
            };
            chain = row
                .diff_id
                .filter(|_| is_bottom || chain.is_some())
                .map(|diff_id| next_chain(chain, diff_id));
            // A layer without a parent was made on scratch, wherever it stands now.
            let own_base = match row.parent {
                None => Snapshot::scratch(),
                Some(_) => snapshot.clone(),
            };
            let layer = self.intern(id, &own_base, || origin);
            if let (Some(diff_id), Some(blob)) = (row.diff_id, &row.blob) {
                let blob = descriptor(blob);
                drop(layer.0.sealed.set(Arc::new(Sealed { diff_id, blob })));
            }
            snapshot = snapshot.push(layer);
        }
        Ok(Some(snapshot))
    }

    /// Lays the layers of `upper` over those of `lower`, as a merge of the graph does.
    ///
    /// A layer that was made by file operations on scratch is taken as it is. Any other is sealed,
    /// and its blob is applied on the new chain.
    pub fn stack(&self, lower: &Snapshot, upper: &Snapshot) -> Result<Snapshot, SnapshotError> {
        if lower.is_scratch() || upper.is_scratch() {
            let whole = if lower.is_scratch() { upper } else { lower };
            return Ok(whole.clone());
        }
        if let [layer] = upper.layers()
            && matches!(layer.0.origin, Origin::Local)
        {
            return Ok(lower.push(layer.clone()));
        }
        let layers = lower.layers().iter().chain(upper.layers());
        let blobs: Result<Vec<_>, SnapshotError> = layers
            .map(|layer| {
                let sealed = self.seal(layer)?;
                Ok(BlobLayer {
                    diff_id: sealed.diff_id,
                    blob: sealed.blob.clone(),
                })
            })
            .collect();
        self.from_blobs(&blobs?)
    }

    /// Computes the diff of a layer and stores it as an uncompressed tar; exactly once per layer.
    ///
    /// A layer that came as a blob is sealed already. The listing then has all content digests.
    pub fn seal(&self, layer: &Layer) -> Result<Arc<Sealed>, SnapshotError> {
        seal::seal(self, layer, None)
    }

    /// [`Self::seal`]; the bytes of the tar go to `copy`, too, when one has to be made.
    ///
    /// # Errors
    /// Those of `copy` as well.
    pub fn seal_with(
        &self,
        layer: &Layer,
        copy: &mut dyn Write,
    ) -> Result<Arc<Sealed>, SnapshotError> {
        seal::seal(self, layer, Some(copy))
    }

    /// Seals a layer for an epoch: times after `limit` become `limit`. Layers that came as a blob
    /// stay as they are.
    pub fn seal_clamped(
        &self,
        layer: &Layer,
        limit: Timestamp,
    ) -> Result<Arc<Sealed>, SnapshotError> {
        seal::clamped(self, layer, limit, None)
    }

    /// [`Self::seal_clamped`]; the bytes of the clamped tar go to `copy`, too, when one has to be
    /// made.
    ///
    /// # Errors
    /// Those of `copy` as well.
    pub fn seal_clamped_with(
        &self,
        layer: &Layer,
        limit: Timestamp,
        copy: &mut dyn Write,
    ) -> Result<Arc<Sealed>, SnapshotError> {
        seal::clamped(self, layer, limit, Some(copy))
    }

    /// The same for a layer that came as a blob from a build elsewhere, not from an image: the blob
    /// must be here.
    pub fn seal_clamped_blob(
        &self,
        layer: &Layer,
        limit: Timestamp,
    ) -> Result<Arc<Sealed>, SnapshotError> {
        seal::clamped_blob(self, layer, limit)
    }

    /// Returns the listing of a layer: read beside it, walked, or scanned from its blob. Content
    /// digests are there when that costs nothing.
    pub fn listing(&self, layer: &Layer) -> Result<Arc<Listing>, SnapshotError> {
        listings::listing(self, layer)
    }

    /// Makes the directory forms of a whole chain.
    ///
    /// Those whose base is listed are made side by side.
    pub fn dirs(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        dirs::chain(self, snapshot).map(drop)
    }

    /// Returns the listing of a layer with the digest of every regular file, reading files in
    /// parallel where needed.
    pub fn digested(&self, layer: &Layer) -> Result<Arc<Listing>, SnapshotError> {
        listings::digested(self, layer)
    }

    /// Returns the directory form of a layer, unpacking its blob when there is none.
    pub fn dir(&self, layer: &Layer) -> Result<PathBuf, SnapshotError> {
        Ok(dirs::dir_form(self, layer)?.path)
    }

    /// Returns the tree that a snapshot shows. Needs the listing of every layer, and no directory.
    pub fn view(&self, snapshot: &Snapshot) -> Result<View, SnapshotError> {
        let merged = self.merged(snapshot)?;
        Ok(View::new(merged, snapshot.clone(), self.clone()))
    }

    /// Pins both forms of layers and tells which are there and trusted.
    fn pin_forms(&self, rows: &[LayerRow]) -> Result<Vec<Forms>, SnapshotError> {
        let mut objects = Vec::with_capacity(rows.len() * 2);
        for row in rows {
            objects.push(Object::Layer(row.id));
            objects.extend(row.blob.as_ref().map(|blob| Object::Blob(blob.digest)));
        }
        let mut found = self.0.store.live().pin(&objects)?.into_iter();
        let boot = self.0.store.boot();
        let forms = rows.iter().map(|row| Forms {
            dir: found.next() == Some(true) && row.directory.is_trusted(boot),
            blob: row.blob.is_some() && found.next() == Some(true),
        });
        Ok(forms.collect())
    }

    pub(crate) fn merged(&self, snapshot: &Snapshot) -> Result<Merged, SnapshotError> {
        let listings: Result<Vec<_>, _> = snapshot
            .layers()
            .iter()
            .map(|layer| self.listing(layer))
            .collect();
        Ok(Merged::new(listings?))
    }

    pub(crate) fn now(&self) -> Timestamp {
        let (secs, nanos) = self.0.options.clock.now();
        Timestamp::new(secs, nanos)
    }

    /// Takes a directory just published as a layer.
    pub(crate) fn committed(&self, id: LayerId, base: &Snapshot, dir: DirForm) -> Snapshot {
        let mut row = LayerRow::new(id, self.now());
        row.parent = base.layers().last().map(Layer::id);
        row.directory = acetate_store::Directory::written(self.0.store.boot());
        self.0.store.index().put_layer(row);
        let layer = self.intern(id, base, || Origin::Local);
        drop(layer.0.dir.set(dir));
        base.push(layer)
    }

    /// Returns the one handle of a layer. The same id on another base is another position, which
    /// only layers independent of their base have: they keep the base they were made on.
    fn intern(&self, id: LayerId, base: &Snapshot, origin: impl FnOnce() -> Origin) -> Layer {
        let mut layers = self.0.layers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = layers.get(&id).and_then(Weak::upgrade) {
            return Layer(state);
        }
        let state = Arc::new(LayerState {
            id,
            base: base.clone(),
            origin: origin(),
            dir: OnceLock::new(),
            listing: Mutex::default(),
            claim: Mutex::default(),
            draft: OnceLock::new(),
            sealed: OnceLock::new(),
            work: Mutex::default(),
        });
        if layers.len() >= layers.capacity() {
            layers.retain(|_, state| state.strong_count() > 0);
        }
        layers.insert(id, Arc::downgrade(&state));
        Layer(state)
    }

    fn put_blob_row(&self, id: LayerId, base: &Snapshot, layer: &BlobLayer) {
        let mut row = LayerRow::new(id, self.now());
        row.parent = base.layers().last().map(Layer::id);
        row.diff_id = Some(layer.diff_id);
        row.size = layer.blob.size;
        row.blob = Some(blob_ref(&layer.blob));
        self.0.store.index().put_layer(row);
    }
}

impl fmt::Debug for Snapshots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshots")
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

/// Extends the ChainID of the layers below by one layer.
fn next_chain(below: Option<Digest>, diff_id: Digest) -> Digest {
    let chain = below.map_or_else(|| vec![diff_id], |below| vec![below, diff_id]);
    acetate_oci::chain_id(&chain).unwrap_or(diff_id)
}

pub(crate) fn descriptor(blob: &BlobRef) -> Descriptor {
    Descriptor::new(blob.media_type.clone(), blob.digest, blob.size)
}

pub(crate) fn blob_ref(blob: &Descriptor) -> BlobRef {
    BlobRef {
        media_type: blob.media_type.clone(),
        digest: blob.digest,
        size: blob.size,
    }
}

/// Which forms of a layer are there.
#[derive(Clone, Copy, Debug)]
struct Forms {
    dir: bool,
    blob: bool,
}

/// Decides by which form a recorded layer is used: a local one whose directory is gone goes on
/// under its ChainID.
fn origin_of(
    row: &LayerRow,
    forms: Forms,
    (below, is_bottom): (Option<Digest>, bool),
) -> Option<(LayerId, Origin)> {
    let blob = row.diff_id.zip(row.blob.as_ref()).map(|(diff_id, blob)| {
        let blob = Box::new(descriptor(blob));
        (diff_id, Origin::Blob { diff_id, blob })
    });
    match (row.id, blob) {
        (LayerId::Local(_), _) if forms.dir => Some((row.id, Origin::Local)),
        (LayerId::Local(_), Some((diff_id, origin)))
            if forms.blob && (is_bottom || below.is_some()) =>
        {
            Some((LayerId::Chain(next_chain(below, diff_id)), origin))
        }
        (LayerId::Chain(_), Some((_, origin))) if forms.dir || forms.blob => Some((row.id, origin)),
        _ => None,
    }
}
