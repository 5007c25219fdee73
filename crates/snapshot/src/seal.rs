//! Sealing: a layer made here becomes a tar in the store, and its listing gets all digests.

use crate::clamp;
use crate::complete;
use crate::dirs;
use crate::entry::{Entry, EntryKind};
use crate::error::{BadLayer, SnapshotError};
use crate::layer::{DirForm, Layer, Origin, Sealed};
use crate::layer_tar::{ClampTimes, TarWriter, WHITEOUT_PREFIX};
use crate::listing::{Listing, RootEntry};
use crate::listings;
use crate::merged::{Found, Merged};
use crate::normal;
use crate::snapshots::{Snapshots, blob_ref};
use crate::sys;
use acetate_oci::{Descriptor, Digest, MediaType, Timestamp};
use acetate_store::{Directory, Expect, FactKey, LayerRow, Object};
use rustix::fs::OFlags;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// Seals a layer exactly once in this process; two processes do harmless double work.
///
/// `copy` gets the bytes of the tar, too, when one is made.
pub(crate) fn seal(
    snapshots: &Snapshots,
    layer: &Layer,
    copy: Option<&mut dyn Write>,
) -> Result<Arc<Sealed>, SnapshotError> {
    if let Some(sealed) = usable(snapshots, layer)? {
        return Ok(sealed);
    }
    // Found before the lock: making a directory form takes the same lock.
    let dir = dirs::dir_form(snapshots, layer)?;
    if !dir.path.is_dir() {
        // It was there once in this process, and somebody removed it since.
        return Err(SnapshotError::Lost(layer.id().to_string()));
    }
    let base = snapshots.merged(layer.base())?;
    let _work = layer.0.work.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sealed) = usable(snapshots, layer)? {
        return Ok(sealed);
    }
    let differing = differing(snapshots, layer, &dir, &base)?;
    let out = Both::new(snapshots.0.store.blobs().writer()?, copy);
    let (out, listing) = write_tar(&dir.path, differing, out, ClampTimes::Keep)?;
    let ingested = out.first.commit(Expect::ANY)?;
    let sealed = Arc::new(plain(ingested.digest, ingested.size));
    record(snapshots, layer, &sealed)?;
    listings::store(snapshots, layer, &listing);
    listings::replace(layer, listing);
    Ok(Arc::clone(layer.0.sealed.get_or_init(|| sealed)))
}

/// Seals a layer with no time after `limit`: its derived form for an epoch, which is no layer of its
/// own. It is found again by the `diff_id` and the epoch.
pub(crate) fn clamped(
    snapshots: &Snapshots,
    layer: &Layer,
    limit: Timestamp,
    copy: Option<&mut dyn Write>,
) -> Result<Arc<Sealed>, SnapshotError> {
    let sealed = seal(snapshots, layer, None)?;
    let is_late = |entry: &Entry| entry.mtime > limit;
    if matches!(layer.0.origin, Origin::Blob { .. })
        || !snapshots.listing(layer)?.entries().iter().any(is_late)
    {
        return Ok(sealed);
    }
    let key = clamp_key(&sealed, limit);
    if let Some(known) = known_clamp(snapshots, &key)? {
        return Ok(Arc::new(known));
    }
    let dir = dirs::dir_form(snapshots, layer)?;
    let base = snapshots.merged(layer.base())?;
    let differing = differing(snapshots, layer, &dir, &base)?;
    let out = Both::new(snapshots.0.store.blobs().writer()?, copy);
    let (out, _) = write_tar(&dir.path, differing, out, ClampTimes::To(limit))?;
    let ingested = out.first.commit(Expect::ANY)?;
    let mut fact = ingested.digest.as_bytes().to_vec();
    fact.extend(ingested.size.to_le_bytes());
    snapshots.0.store.index().put_facts(vec![(key, fact)]);
    Ok(Arc::new(plain(ingested.digest, ingested.size)))
}

/// The same for a layer that came as a blob and was made by a build elsewhere.
pub(crate) fn clamped_blob(
    snapshots: &Snapshots,
    layer: &Layer,
    limit: Timestamp,
) -> Result<Arc<Sealed>, SnapshotError> {
    let sealed = seal(snapshots, layer, None)?;
    let key = clamp_key(&sealed, limit);
    if let Some(known) = known_clamp(snapshots, &key)? {
        return Ok(Arc::new(known));
    }
    let compression = sealed.blob.media_type.compression();
    let blob = snapshots.0.store.blobs().open(&sealed.blob.digest)?;
    let (Some(blob), Some(compression)) = (blob, compression) else {
        return Err(SnapshotError::Lost(layer.id().to_string()));
    };
    let out = snapshots.0.store.blobs().writer()?;
    let rewritten = clamp::rewrite(blob, compression, out, limit);
    let (out, diff_id) = rewritten.map_err(|error| error.of(sealed.diff_id))?;
    if diff_id != sealed.diff_id {
        let reason = BadLayer::Mismatch {
            expected: sealed.diff_id,
            found: diff_id,
        };
        return Err(clamp::RewriteError::Bad(reason).of(sealed.diff_id));
    }
    let ingested = out.commit(Expect::ANY)?;
    let mut fact = ingested.digest.as_bytes().to_vec();
    fact.extend(ingested.size.to_le_bytes());
    snapshots.0.store.index().put_facts(vec![(key, fact)]);
    Ok(Arc::new(plain(ingested.digest, ingested.size)))
}

fn clamp_key(sealed: &Sealed, limit: Timestamp) -> FactKey {
    let mut key = sealed.diff_id.as_bytes().to_vec();
    key.extend(limit.secs.to_le_bytes());
    key.extend(limit.nanos.to_le_bytes());
    FactKey::new("clamped", &key)
}

/// Returns a clamped form that was made before and whose blob is still there, pinned.
fn known_clamp(snapshots: &Snapshots, key: &FactKey) -> Result<Option<Sealed>, SnapshotError> {
    let store = &snapshots.0.store;
    let fact = store
        .index()
        .facts(std::slice::from_ref(key))?
        .pop()
        .flatten();
    let Some((digest, size)) = fact.as_deref().and_then(<[u8]>::split_first_chunk::<32>) else {
        return Ok(None);
    };
    let Ok(size) = <[u8; 8]>::try_from(size).map(u64::from_le_bytes) else {
        return Ok(None);
    };
    let digest = Digest::from_bytes(*digest);
    let is_here = store.live().pin(&[Object::Blob(digest)])? == [true];
    Ok(is_here.then(|| plain(digest, size)))
}

/// A blob that is its own uncompressed form.
fn plain(digest: Digest, size: u64) -> Sealed {
    Sealed {
        diff_id: digest,
        blob: Descriptor::new(MediaType::OCI_LAYER, digest, size),
    }
}

/// Returns an earlier outcome whose blob is still there.
fn usable(snapshots: &Snapshots, layer: &Layer) -> Result<Option<Arc<Sealed>>, SnapshotError> {
    let Some(sealed) = layer.sealed() else {
        return Ok(None);
    };
    let is_foreign = matches!(layer.0.origin, Origin::Blob { .. });
    if is_foreign
        || snapshots
            .0
            .store
            .blobs()
            .has(&sealed.blob.digest)?
            .is_some()
    {
        return Ok(Some(sealed));
    }
    Ok(None)
}

fn record(snapshots: &Snapshots, layer: &Layer, sealed: &Sealed) -> Result<(), SnapshotError> {
    let index = snapshots.0.store.index();
    let mut row = index.layer(&layer.id())?.unwrap_or_else(|| {
        let mut row = LayerRow::new(layer.id(), snapshots.now());
        row.parent = layer.base().layers().last().map(Layer::id);
        row.directory = Directory::written(snapshots.0.store.boot());
        row
    });
    row.diff_id = Some(sealed.diff_id);
    row.size = sealed.blob.size;
    row.blob = Some(blob_ref(&sealed.blob));
    index.put_layer(row);
    Ok(())
}

/// Writes everything twice when there is a second place.
struct Both<'a, W> {
    first: W,
    second: Option<&'a mut dyn Write>,
}

impl<'a, W> Both<'a, W> {
    fn new(first: W, second: Option<&'a mut dyn Write>) -> Self {
        Self { first, second }
    }
}

impl<W: Write> Write for Both<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.first.write(bytes)?;
        if let Some(second) = &mut self.second {
            second.write_all(&bytes[..n])?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.first.flush()
    }
}

/// Returns what the layer changes, in normal form.
fn differing(
    snapshots: &Snapshots,
    layer: &Layer,
    dir: &DirForm,
    base: &Merged,
) -> Result<Listing, SnapshotError> {
    let root = sys::open_dir(&dir.path).map_err(SnapshotError::os("open", &dir.path))?;
    let view = snapshots.view(layer.base())?;
    let mut same_bytes = |entry: &Entry, found: Found<'_>| {
        let own = listings::digest_file(&root, entry)
            .map_err(SnapshotError::io("read", dir.path.join(&entry.path)))?;
        Ok(view.digest(found)? == Some(own))
    };
    if dir.root == RootEntry::Complete {
        let (raw, untouched) = complete::walk(snapshots, dir)?;
        return normal::diff(&raw, base, &mut |entry, found| {
            Ok(untouched.contains(&entry.path) || same_bytes(entry, found)?)
        });
    }
    let raw = match listings::remembered(layer) {
        Some(raw) => raw,
        None => Arc::new(listings::walk(snapshots, dir)?),
    };
    normal::diff(&raw, base, &mut same_bytes)
}

/// Writes the tar of a layer whose files are below `dir`; returns the listing with the digests of
/// what was written.
pub(crate) fn write_tar<W: Write>(
    dir: &Path,
    listing: Listing,
    out: W,
    clamp: ClampTimes,
) -> Result<(W, Listing), SnapshotError> {
    let root = sys::open_dir(dir).map_err(SnapshotError::os("open", dir))?;
    let mut tar = TarWriter::new(out, clamp);
    let inline = listing.inline_files().clone();
    let mut entries = listing.into_entries();
    for entry in &mut entries {
        check_storable(entry)?;
        append(&mut tar, &root, entry)
            .map_err(SnapshotError::io("store", dir.join(&entry.path)))?;
    }
    let out = tar
        .finish()
        .map_err(SnapshotError::io("store the layer of", dir))?;
    let mut listing = Listing::new(entries).expect("digests change no path");
    for (path, bytes) in inline {
        listing.set_inline(path, bytes);
    }
    Ok((out, listing))
}

fn append<W: Write>(tar: &mut TarWriter<W>, root: &OwnedFd, entry: &mut Entry) -> io::Result<()> {
    let EntryKind::File { size, .. } = entry.kind else {
        return tar.append(entry);
    };
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = File::from(sys::open_below(root.as_fd(), entry.bytes(), flags)?);
    let digest = Some(tar.append_file(entry, file)?);
    entry.kind = EntryKind::File { size, digest };
    Ok(())
}

fn check_storable(entry: &Entry) -> Result<(), SnapshotError> {
    let refused = |reason| {
        let path = entry.path.clone();
        Err(SnapshotError::Unstorable { path, reason })
    };
    let name = crate::paths::file_name(entry.bytes());
    if name.starts_with(WHITEOUT_PREFIX) {
        return refused("has a name that means a deletion in a layer (`.wh.`)");
    }
    if entry.xattrs.keys().any(|name| name.contains(&b'=')) {
        return refused("has an extended attribute with `=` in its name");
    }
    Ok(())
}
