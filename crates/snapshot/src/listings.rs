//! Listings: remembered, found beside the layer or in the index, walked, or scanned.

use crate::apply;
use crate::claims;
use crate::dirs;
use crate::entry::{Entry, EntryKind};
use crate::error::SnapshotError;
use crate::layer::{DirForm, Layer, Origin};
use crate::listing::{self, Listing, RootEntry, WalkOptions};
use crate::snapshots::Snapshots;
use crate::sys;
use acetate_oci::HashingReader;
use acetate_store::FactKey;
use rayon::prelude::*;
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, PoisonError};

/// What a stored listing may unpack to: a limit for a damaged index, not for a layer.
const MAX_STORED: usize = 4 << 30;

/// Returns the listing of a layer, making it at most once in this process.
pub(crate) fn listing(snapshots: &Snapshots, layer: &Layer) -> Result<Arc<Listing>, SnapshotError> {
    // The layers below are listed first and outside the lock, so that locks are taken bottom up.
    if let Some(listing) = remembered(layer) {
        return Ok(listing);
    }
    let made = match &layer.0.origin {
        Origin::Local => local(snapshots, layer)?,
        Origin::Blob { .. } => {
            if let Some(listing) = known(snapshots, layer)? {
                return Ok(listing);
            }
            let listing = apply::scan_blob(snapshots, layer)?;
            if !claims::are_settled(layer.base()) {
                // It is what the claims below make of the layer, and no more than one itself.
                claims::put(layer, listing.clone());
                return Ok(claims::take(layer).unwrap_or_else(|| Arc::new(listing)));
            }
            store(snapshots, layer, &listing);
            listing
        }
    };
    Ok(remember(layer, made))
}

/// Returns a listing that is remembered, stored or claimed.
pub(crate) fn known(
    snapshots: &Snapshots,
    layer: &Layer,
) -> Result<Option<Arc<Listing>>, SnapshotError> {
    if let Some(listing) = remembered(layer) {
        return Ok(Some(listing));
    }
    let found = match &layer.0.origin {
        Origin::Local if layer.0.sealed.get().is_some() => stored(snapshots, layer)?,
        Origin::Local => None,
        Origin::Blob { .. } => found(snapshots, layer)?,
    };
    Ok(match found {
        Some(listing) => Some(remember(layer, listing)),
        None => claims::take(layer),
    })
}

pub(crate) fn remembered(layer: &Layer) -> Option<Arc<Listing>> {
    let listing = layer.0.listing.lock();
    listing.unwrap_or_else(PoisonError::into_inner).clone()
}

/// Keeps a listing unless there is one; returns the one that counts.
pub(crate) fn remember(layer: &Layer, listing: Listing) -> Arc<Listing> {
    claims::settle(layer, &listing);
    let mut slot = layer
        .0
        .listing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    Arc::clone(slot.get_or_insert_with(|| Arc::new(listing)))
}

/// Puts a better listing of the same content in the place of an earlier one.
pub(crate) fn replace(layer: &Layer, listing: Listing) -> Arc<Listing> {
    let listing = Arc::new(listing);
    let mut slot = layer
        .0
        .listing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    *slot = Some(Arc::clone(&listing));
    listing
}

/// Stores the listing of a layer in the index, compressed.
pub(crate) fn store(snapshots: &Snapshots, layer: &Layer, listing: &Listing) {
    const FAST: i32 = 1;
    match zstd::bulk::compress(&listing.encode(), FAST) {
        Ok(bytes) => snapshots
            .0
            .store
            .index()
            .put_facts(vec![(key(layer), bytes)]),
        Err(error) => tracing::debug!(%error, "a listing is not stored"),
    }
}

fn key(layer: &Layer) -> FactKey {
    FactKey::new("listing", layer.id().to_string().as_bytes())
}

fn stored(snapshots: &Snapshots, layer: &Layer) -> Result<Option<Listing>, SnapshotError> {
    let mut facts = snapshots.0.store.index().facts(&[key(layer)])?;
    let Some(bytes) = facts.pop().flatten() else {
        return Ok(None);
    };
    let size = zstd::zstd_safe::get_frame_content_size(&bytes)
        .ok()
        .flatten();
    let size = size.and_then(|size| usize::try_from(size).ok());
    let unpacked = size
        .filter(|size| *size <= MAX_STORED)
        .and_then(|size| zstd::bulk::decompress(&bytes, size).ok());
    let listing = unpacked.and_then(|bytes| Listing::decode(&bytes).ok());
    if listing.is_none() {
        tracing::debug!(layer = %layer.id(), "a stored listing is damaged and made anew");
    }
    Ok(listing)
}

fn local(snapshots: &Snapshots, layer: &Layer) -> Result<Listing, SnapshotError> {
    if layer.0.sealed.get().is_some()
        && let Some(listing) = stored(snapshots, layer)?
    {
        return Ok(listing);
    }
    walk(snapshots, &dirs::dir_form(snapshots, layer)?)
}

/// Lists a directory form as it is, not yet compared with the layers below.
pub(crate) fn walk(snapshots: &Snapshots, dir: &DirForm) -> Result<Listing, SnapshotError> {
    listing::walk(&dir.path, walk_options(snapshots, dir.root))
}

pub(crate) fn walk_options(snapshots: &Snapshots, root: RootEntry) -> WalkOptions {
    WalkOptions {
        overlay: snapshots.0.options.overlay,
        root,
    }
}

/// Finds the listing of a blob beside its directory form, or in the index.
fn found(snapshots: &Snapshots, layer: &Layer) -> Result<Option<Listing>, SnapshotError> {
    let dir = dirs::find(snapshots, layer)?;
    if let Some(listing) = dir.as_ref().and_then(apply::listing_beside) {
        return Ok(Some(listing));
    }
    stored(snapshots, layer)
}

/// Returns the listing with all content digests.
pub(crate) fn digested(
    snapshots: &Snapshots,
    layer: &Layer,
) -> Result<Arc<Listing>, SnapshotError> {
    let known = listing(snapshots, layer)?;
    if known.is_digested() {
        return Ok(known);
    }
    let dir = dirs::dir_form(snapshots, layer)?;
    let root = sys::open_dir(&dir.path).map_err(SnapshotError::os("open", &dir.path))?;
    Ok(replace(layer, digest_all(&known, &root, &dir)?))
}

fn digest_all(known: &Listing, root: &OwnedFd, dir: &DirForm) -> Result<Listing, SnapshotError> {
    let entries: Result<Vec<Entry>, SnapshotError> = known
        .entries()
        .par_iter()
        .map(|entry| match entry.kind {
            EntryKind::File { size, digest: None } => {
                let digest = digest_file(root, entry);
                let digest =
                    digest.map_err(SnapshotError::io("read", dir.path.join(&entry.path)))?;
                let kind = EntryKind::File {
                    size,
                    digest: Some(digest),
                };
                Ok(Entry {
                    kind,
                    ..entry.clone()
                })
            }
            _ => Ok(entry.clone()),
        })
        .collect();
    let mut listing = Listing::new(entries?).expect("digests change no path");
    for (path, bytes) in known.inline_files() {
        listing.set_inline(path.clone(), bytes.clone());
    }
    Ok(listing)
}

/// Hashes the file of an entry below `root`.
pub(crate) fn digest_file(root: &OwnedFd, entry: &Entry) -> io::Result<acetate_oci::Digest> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK;
    let file = File::from(sys::open_below(root.as_fd(), entry.bytes(), flags)?);
    let mut reader = HashingReader::new(file);
    // Larger than the buffer of `io::copy`: hashing is fast, calls are not.
    let mut buffer = vec![0; 128 * 1024];
    while io::Read::read(&mut reader, &mut buffer)? > 0 {}
    Ok(reader.finish().1)
}
